"""From trained runs to the interval with test-set sampling, with the data there and gone."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from repository import EXPERIMENTS

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import claims_table
from mlpbench.experiment import grid
from mlpbench.jobs import judge
from mlpbench.results.folders import read_folder
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

IRIS = EXPERIMENTS / "own_data" / "iris.csv"
COMPARE = {"metric": "test_accuracy", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "greater", "margin": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small networks trained on a copy of the irises, two streams varying one at a time."""
    root = tmp_path_factory.mktemp("sampled")
    shutil.copy(IRIS, root / "iris.csv")
    tree: dict[str, Any] = {
        "name": "iris",
        "question": "Does it help?",
        "dataset": {"file": str(root / "iris.csv"), "target": "species", "test": 0.3},
        "fixed": {"width": 4, "batch_size": 16, "epochs": 3, "init": "he_normal"},
        "factors": {"depth": [0, 1]},
        "vary": {"each": ["init", "order"]},
        "claims": [
            {"id": "c", "says": "It does.", "compare": COMPARE},
            {"id": "s", "says": "x", "share": {"metric": "test_loss", "where": {"depth": 1}, "stream": "init", "expect": "largest"}},
        ],
    }  # fmt: skip
    return mlpbench.run(tree, results=root / "results", workers=1, device="cpu").folder


def accuracies(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """What was predicted rightly, by run, from the predictions and the file of the data alone."""

    labels = mlpbench.load(folder).experiment.sources[0].load().y_test
    table = pd.read_parquet(folder / "predictions")
    return {r: np.frombuffer(p, np.uint8) == labels for r, p in zip(table["run_id"], table["predicted"], strict=True)}


def test_the_interval_comes_from_the_stored_predictions(folder: Path) -> None:
    found = mlpbench.load(folder)
    row = found.claims.set_index("id").loc["c"]
    right = accuracies(folder)
    made = grid.conditions(found.experiment)
    ids = {c.condition_id: grid.run_ids(found.experiment, c, range(5)) for c in made}
    depth = {c.condition_id: c.levels["depth"] for c in made}
    d = np.array([sum((1 if depth[c] else -1) * 0.5 * right[ids[c][r]].astype(float) for c in ids) for r in range(5)])
    assert row["estimate"] == pytest.approx(d.mean())
    rest = d - d.mean(1, keepdims=True) - d.mean(0) + d.mean()
    n, examples = d.shape
    interaction = (rest**2).sum() / ((n - 1) * (examples - 1))
    added = max(0.0, d.mean(0).var(ddof=1) / examples - interaction / (n * examples))
    own = ((row["high"] - row["low"]) / 2) ** 2 / 2.776445**2
    assert (row["high_test"] - row["low_test"]) / 2 >= 1.96 * math.sqrt(own + added)
    assert row["high_test"] - row["low_test"] > row["high"] - row["low"]
    assert row["sampling"] == ""


def test_each_stream_has_runs_of_its_own_that_differ(folder: Path) -> None:
    runs = mlpbench.load(folder).runs
    assert len(runs) == 20
    assert runs["weights_sha256"].nunique() == 20
    text = (folder / "report.md").read_text()
    assert "| depth=1 | test accuracy | order | 5 |" in text
    assert "has the largest share of the variance of test accuracy" in text


def test_without_the_data_the_rest_is_judged(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "iris"
    shutil.copytree(folder, copied)  # its file of data stands elsewhere from there
    assert mlpbench.load(copied).claims.equals(mlpbench.load(folder).claims), "labels are kept in the folder"
    (kept,) = copied.glob("test_labels-*.npy")
    kept.unlink()
    row = mlpbench.load(copied).claims.iloc[0]
    assert (
        row["sampling"]
        == "No test-set-sampling interval: the folder lacks the labels; `mlpbench report` adds them where the data are."
    )
    assert math.isnan(row["low_test"])
    before = mlpbench.load(folder).claims.iloc[0]
    assert (row["estimate"], row["p"], row["verdict"]) == (before["estimate"], before["p"], before["verdict"])
    assert row["note"] == before["note"]


def test_damaged_predictions_cost_the_interval_alone(folder: Path, tmp_path: Path) -> None:
    copied = folder.parent / "damaged"
    shutil.copytree(folder, copied)
    for path in (copied / "predictions").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError) as raised:
        mlpbench.load(copied)
    for path in (copied / "predictions").glob("*.parquet"):
        assert f"{path} is damaged: its bytes are not those that were written" in str(raised.value)
    row = judge.finish(read_folder(copied), Store(copied), report=False).claims.iloc[0]
    assert row["sampling"].endswith("20 of 20 runs have no predictions.")
    assert not math.isnan(row["estimate"])


def test_claims_judged_without_a_test_set_say_nothing_of_it(folder: Path) -> None:
    found = mlpbench.load(folder)
    made = grid.conditions(found.experiment)
    frame = claims_table(judge_claims(found.experiment, made, found.runs, found.curves))
    assert (frame["sampling"] == "").all()
    assert frame["low_test"].isna().all()


@pytest.mark.slow
def test_a_report_adds_the_labels_where_the_data_are(folder: Path) -> None:
    (kept,) = folder.glob("test_labels-*.npy")
    content, report = kept.read_bytes(), (folder / "report.md").read_bytes()
    kept.write_bytes(content[:-9])
    damaged = CliRunner().invoke(main, ["report", str(folder)])
    assert damaged.exit_code == 2
    assert f"{kept} is damaged (" in damaged.stderr
    assert (kept.read_bytes(), (folder / "report.md").read_bytes()) == (content[:-9], report)
    kept.unlink()
    assert "lacks the labels" in mlpbench.load(folder).claims.iloc[0]["sampling"]
    assert CliRunner().invoke(main, ["report", str(folder)]).exit_code == 0
    assert kept.read_bytes() == content
    assert (folder / "report.md").read_bytes() == report
