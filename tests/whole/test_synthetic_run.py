"""Synthetic and bundled data, the whole road: trained by workers, judged, reported, verified, told of by every command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from blank_figures import leave_blank
from click.testing import CliRunner
from table_equality import same_tables

import mlpbench
from mlpbench.cli.main import main
from mlpbench.executors.executor import EXECUTORS, Inline
from mlpbench.jobs import write_pages
from mlpbench.report.pages.page import contents

pytestmark = pytest.mark.slow

LINE: dict[str, Any] = {
    "name": "line",
    "question": "Does descent recover the weights?",
    "dataset": {"name": "linear", "train": 200, "test": 50},
    "fixed": {"depth": 0, "lr": 0.1, "batch_size": 10, "epochs": 5},
    "factors": {"train_size": [100, 200]},
    "replicates": 3,
    "claims": [
        {
            "id": "recovers",
            "says": "Weights and bias are within 0.05 of the truth.",
            "bound": {"metric": "param_error", "where": {"train_size": 200}, "below": 0.05},
        },
        {
            "id": "solves",
            "says": "Descent comes to the least-squares solution.",
            "bound": {"metric": "closed_form_gap", "where": {"train_size": 200}, "below": 0.01},
        },
    ],
}
CURVE: dict[str, Any] = {
    "name": "curve",
    "question": "Which degree fits?",
    "dataset": {"name": "polynomial", "degree": 5},
    "fixed": {"depth": 0, "lr": 0.02, "batch_size": 10, "epochs": 30},
    "factors": {"features": [1, 3, 5]},
    "replicates": 3,
    "validation": 0.2,
    "claims": [
        {
            "id": "underfits",
            "says": "A line errs more than a cubic on training examples.",
            "compare": {"metric": "train_loss", "a": {"features": 1}, "b": {"features": 3}, "expect": "greater"},
        }
    ],
}
SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Does a hidden layer help?",
    "dataset": "mnist1d",
    "fixed": {"lr": 0.1, "batch_size": 100, "epochs": 2, "width": 20, "init": "he_normal"},
    "factors": {"depth": [0, 1]},
    "replicates": 2,
    "claims": [
        {
            "id": "c",
            "says": "So.",
            "compare": {"metric": "test_accuracy", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "greater"},
        }
    ],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished folders of all three."""
    folder = tmp_path_factory.mktemp("results")
    for tree in (LINE, CURVE, SMALL):
        mlpbench.run(tree, results=folder, executor="inline")
    return folder


def said(*words: str | Path) -> str:
    done = CliRunner().invoke(main, [str(w) for w in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_weights_are_recovered_and_the_verdicts_say_so(results: Path) -> None:
    found = mlpbench.load(results / "line")
    assert found.claims["verdict"].tolist() == ["supported"] * 2
    assert set(found.runs["dataset"]) == {"linear"}
    assert found.runs["param_error"].between(0, 1).all()
    assert (found.runs["closed_form_gap"] < 1).all()
    assert found.runs["test_accuracy"].isna().all()
    assert found.runs.groupby("replicate")["test_loss"].nunique().tolist() == [2, 2, 2]


def test_a_report_says_what_was_drawn_and_that_each_replicate_has_its_own(results: Path) -> None:
    text = (results / "line" / "report.md").read_text()
    assert "| data | synthetic, linear in 3 inputs, noise 0.01, `" in text
    assert "Verdicts apply to data drawn in this way, test examples too" in text
    assert "Verdicts apply to this test set" in (results / "small" / "report.md").read_text()
    curve = (results / "curve" / "report.md").read_text()
    assert "synthetic, polynomial of degree 3 from 5 powers, noise 0.1" in curve
    for name in re.findall(r"\]\((figures/[^)]+)\)", curve):
        assert (results / "curve" / name).stat().st_size > 1000


def test_powers_beyond_the_truth_have_an_error_and_fewer_have_none(results: Path) -> None:
    runs = mlpbench.load(results / "curve").runs
    assert runs.loc[runs["features"] == 1, "param_error"].isna().all()
    assert runs.loc[runs["features"] != 1, "param_error"].notna().all()
    assert runs["closed_form_gap"].notna().all()
    assert runs["val_loss"].notna().all()


def test_predictions_are_of_each_replicates_own_test_examples(results: Path) -> None:
    found = mlpbench.load(results / "line")
    packed = pd.read_parquet(results / "line" / "predictions").set_index("run_id")["predicted"]
    for row in found.runs.itertuples():
        y = found.experiment.sources[0].draw(0, int(str(row.replicate))).y_test.astype(float)
        loss = float(((np.frombuffer(packed.loc[str(row.run_id)], "<f4") - y) ** 2).mean() / 2)
        assert loss == pytest.approx(row.test_loss, rel=1e-3)


def test_labels_of_bundled_data_are_kept_for_the_interval(results: Path) -> None:
    assert len(list((results / "small").glob("test_labels-*.npy"))) == 1
    assert mlpbench.load(results / "small").claims["low_test"].notna().all()
    assert not list((results / "line").glob("test_labels-*.npy"))


def test_every_command_knows_them(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "local", Inline)
    for name in ("line", "small"):
        made = contents(leave_blank(write_pages.render(results / name)), html=False)
        texts = {file: text for file, text in made.items() if not file.startswith("figures/")}
        assert {file: (results / name / file).read_bytes() for file in texts} == texts
    assert "6 runs trained again, alone: 6 identical" in said("verify", results / "line", "--all").replace("6 of ", "")
    said("index", results)
    assert "line" in (results / "index.md").read_text()
    assert "recovers" in said("claims", results / "line")
    before = {path: path.read_bytes() for path in (results / "curve").rglob("*") if path.suffix in (".md", ".png")}
    said("report", results / "curve", "--html")
    assert {path: path.read_bytes() for path in before} == before
    listed = said("data", "list")
    for name, words in {
        "linear": "drawn anew",
        "polynomial": "regression",
        "digits": "here",
        "mnist1d": "4000",
    }.items():
        assert re.search(rf"^{name} .*{words}", listed, re.MULTILINE)
    assert said("data", "fetch", "polynomial") == "polynomial: drawn anew for each replicate\n"
    assert said("data", "fetch", "digits") == "digits: in the package\n"


def test_workers_and_history_change_nothing(results: Path, tmp_path: Path) -> None:
    mlpbench.run(LINE | {"replicates": 1, "claims": []}, results=tmp_path, executor="inline")
    again = mlpbench.run(LINE, results=tmp_path, workers=2).folder
    same_tables(again, results / "line")


def test_a_plan_of_synthetic_data_loads_no_torch(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: x\nquestion: Why?\ndataset: mnist1d\n")
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom mlpbench.cli.main import main\n"
        "for data in ('linear', 'digits', 'mnist1d'):\n"
        f"    done = CliRunner().invoke(main, ['plan', {str(tmp_path / 'x.yaml')!r}, '--set', f'dataset={{data}}'])\n"
        "    assert done.exit_code == 0, done.output\n"
        "print('torch' in sys.modules, 'scipy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["False", "False"]
