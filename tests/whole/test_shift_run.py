"""Shifts through the main job: rows of the curves, completeness, claims and report, and training under shift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.jobs import write_pages
from mlpbench.report.figures import theme

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC: dict[str, Any] = {
    "name": "shifted",
    "question": "What is left under shift?",
    "dataset": "fashion_mnist",
    "fixed": {"width": 8, "train_size": 600, "batch_size": 64, "epochs": 2, "init": "he_normal", "weighting": "none"},
    "factors": {"train_shift": ["none", {"covariate": 2}]},
    "shifts": {"noise": [0.3], "labels": [1]},
    "replicates": 2,
    "claims": [
        {
            "id": "concept",
            "says": "Little is left where the concept changes.",
            "bound": {
                "metric": "shift_accuracy[labels,1]",
                "where": {"train_shift": "none"},
                "below": 0.4,
                "of": "mean",
            },
        }
    ],
}


def run(results: Path, **more: Any) -> mlpbench.Outcome:
    return mlpbench.run(SPEC | more, results=results, workers=1)


def splits(results: Path) -> set[str]:
    return set(pd.read_parquet(results / "shifted" / "curves")["split"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("shifted")
    assert run(results).trained == 4
    return results


def test_every_run_has_a_row_for_each_shift_at_its_end(done: Path) -> None:
    curves = pd.read_parquet(done / "shifted" / "curves")
    rows = curves[curves["split"].str.startswith("shift:")]
    assert rows.groupby("run_id")["split"].apply(sorted).tolist() == [["shift:labels:1", "shift:noise:0.3"]] * 4
    assert set(zip(rows["step"], rows["epoch"], strict=True)) == {(20, 2.0)}
    assert set(curves["split"]) == {"train", "test", "shift:labels:1", "shift:noise:0.3"}


@pytest.mark.slow
def test_claim_and_section_are_in_the_report_and_the_folder_is_verified(done: Path) -> None:
    report = (done / "shifted" / "report.md").read_text()
    assert "## Under shift" in report
    assert "shift_accuracy[labels,1]" in report
    assert len(theme.png(write_pages.render(done / "shifted").drawings["figures/shift.png"]())) > 5_000
    assert mlpbench.load(done / "shifted").claims["n"].tolist() == [2]
    assert CliRunner().invoke(main, ["verify", str(done / "shifted"), "--sample", "1"]).exit_code == 0
    assert CliRunner().invoke(main, ["report", str(done / "shifted"), "--check"]).exit_code == 0


@pytest.mark.slow
def test_a_stored_run_without_the_shifts_that_are_asked_for_is_trained_again(tmp_path: Path) -> None:
    def trained(**more: Any) -> int:
        n: int = run(tmp_path, claims=[], **more).trained
        return n

    assert trained(shifts={}) == 4
    assert splits(tmp_path) == {"train", "test"}
    assert trained(shifts={"labels": [1]}) == 4, "none of the runs was tested under it"
    assert trained(shifts={"labels": [1]}) == trained(shifts={}) == 0, "more than was asked for is there"
    assert trained(shifts={"labels": [1]}, replicates=3) == 2
    assert trained(shifts={"labels": [1, 2]}, replicates=1) == 2
    assert trained(shifts={"labels": [1, 2]}, replicates=3) == 4, "only those without"
    assert splits(tmp_path) == {"train", "test", "shift:labels:1", "shift:labels:2"}


@pytest.mark.slow
def test_folds_and_diverged_runs_are_whole_without_rows_of_a_shift(tmp_path: Path) -> None:
    fixed = {k: v for k, v in SPEC["fixed"].items() if k != "weighting"} | {
        "activation": "identity",
        "loss": "mse",
        "init": {"normal": 0.01},
    }
    keys: dict[str, Any] = {"fixed": fixed, "factors": {"lr": [0.05, 1e5]}, "validation": {"folds": 2}, "claims": []}
    first = run(tmp_path, **keys)
    assert first.trained == 12
    assert first.statuses == {"ok": 6, "diverged": 6}
    assert run(tmp_path, **keys).trained == 0
    rows = first.curves[first.curves["split"].str.startswith("shift:")]
    assert rows["run_id"].nunique() == 2, "the refits that did not diverge"


def test_training_data_that_accept_too_few_fail_with_a_reason(tmp_path: Path) -> None:
    """Brightness of two kinds: next to nothing is as bright as the expected share says."""
    rows = "\n".join(f"{int(i < 20)},{i % 2}" for i in range(400))
    (tmp_path / "dark.csv").write_text(f"a,y\n{rows}\n")
    data = {"file": str(tmp_path / "dark.csv"), "target": "y", "test": 0.25, "task": "classes"}
    fixed = {"depth": 0, "epochs": 1, "train_size": 40}
    keys: dict[str, Any] = {"dataset": data, "fixed": fixed, "shifts": {"noise": [0.1]}, "claims": []}
    outcome = run(tmp_path, factors={"train_shift": ["none", {"covariate": 20}]}, replicates=1, **keys)
    assert outcome.statuses == {"ok": 1, "failed": 1}
    (said,) = outcome.runs["error"].dropna()
    assert "train_size must be at most what train_shift covariate(20.0) accepts, 1" in said
    with pytest.raises(InputError, match="must be at most"):
        run(tmp_path, factors={"train_shift": [{"covariate": 20}]}, **keys | {"fixed": fixed | {"train_size": 200}})


@pytest.mark.slow
def test_weights_recover_part_of_what_a_shift_costs(tmp_path: Path) -> None:
    """What the experiment is for, at small scale: linear models lose by dark images, weights win most of it back."""
    fixed = {"depth": 0, "train_size": 3_000, "steps": 300, "batch_size": 128}
    rows = [{"label": "none"}] + [
        {"label": f"{kind} {w}", "train_shift": {kind: s}, "weighting": w}
        for kind, s, estimated in (("covariate", 2, "classifier"), ("label", 3, "bbse"))
        for w in ("none", "exact", estimated)
    ]  # fmt: skip
    rows = [{"train_shift": "none", "weighting": "none"} | row for row in rows]
    keys: dict[str, Any] = {"fixed": fixed, "factors": {"conditions": rows}, "shifts": {"labels": [1]}, "claims": []}
    found = run(tmp_path, replicates=4, **keys)
    accuracy = found.runs.groupby(["train_shift", "weighting"])["test_accuracy"].mean()
    for shift, estimated in (("covariate(2.0)", "classifier"), ("label(3.0)", "bbse")):
        cost = accuracy["none", "none"] - accuracy[shift, "none"]
        assert cost > 0.02
        for weighting in ("exact", estimated):
            assert accuracy[shift, weighting] - accuracy[shift, "none"] > 0.3 * cost, (shift, weighting)
    curves = found.curves[found.curves["split"] == "shift:labels:1"]
    assert curves["accuracy"].max() < 0.15, "no weights help where the concept changes"
