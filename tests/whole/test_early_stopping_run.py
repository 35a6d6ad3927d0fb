"""Runs that stop early, from the file to the report: trained once, checked again, planned as if none stopped; and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import mlpbench
from mlpbench.cli.main import main

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC = """
name: stops
question: Does it stop?
dataset: digits
validation: 0.3
fixed: {width: 16, init: he_normal, lr: 1.0, batch_size: 64, epochs: 15, train_size: 300}
factors: {early_stopping: [none, 2, {patience: 3, metric: val_accuracy}]}
replicates: 3
probes: [start, 3, end]
save_weights: true
claims:
  - id: cheaper
    says: It takes less.
    compare: {metric: flops, a: {early_stopping: 2}, b: {early_stopping: none}, expect: less}
"""


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an experiment that is trained once for all tests."""
    here = tmp_path_factory.mktemp("stops")
    (here / "stops.yaml").write_text(SPEC)
    invoke("run", str(here / "stops.yaml"), "--results", str(here / "results"), "--workers", "1", "--quiet")
    return here


def test_the_table_has_what_was_taken_and_spent(folder: Path) -> None:
    runs = mlpbench.load(folder / "results" / "stops").runs
    whole, stopping = (runs[(runs["early_stopping"] == "none") == full] for full in (True, False))
    assert (whole["epochs_taken"] == 15).all()
    assert whole["best_epoch"].isna().all()
    assert (stopping["epochs_taken"] < 15).any()
    assert (stopping["best_epoch"] <= stopping["epochs_taken"]).all()
    per_epoch = whole["flops"].iloc[0] / 15
    assert (stopping["flops"] == per_epoch * stopping["epochs_taken"]).all()
    early = stopping[stopping["early_stopping"] == "patience(2)"]
    assert (early["epochs_taken"] - early["best_epoch"] == 2)[early["epochs_taken"] < 15].all()


def test_every_run_has_a_curve_up_to_its_stop_and_probes_at_its_end(folder: Path) -> None:
    outcome = mlpbench.load(folder / "results" / "stops")
    taken = outcome.runs["epochs_taken"].to_numpy(dtype=float).tolist()
    for run_id, epochs in zip(outcome.runs["run_id"], taken, strict=True):
        curve = outcome.curves[outcome.curves["run_id"] == run_id]
        assert curve["epoch"].max() == epochs
        assert len(curve) == 3 * (epochs + 1)
        probed = set(outcome.layers.loc[outcome.layers["run_id"] == run_id, "epoch"])
        assert probed == {e for e in (0, 3) if e <= epochs} | {epochs}


def test_nothing_is_trained_again_and_what_is_trained_again_is_the_same(folder: Path) -> None:
    spec, results = str(folder / "stops.yaml"), str(folder / "results")
    assert "9 runs, 0 trained now" in invoke("run", spec, "--results", results, "--workers", "1")
    assert "identical" in invoke("verify", f"{results}/stops", "--all", "--workers", "1")


def test_on_folds_the_refit_is_verified_exported_and_explained(tmp_path: Path) -> None:
    spec = tmp_path / "stops.yaml"
    spec.write_text(
        SPEC.replace("validation: 0.3", "validation: {folds: 3}")
        .replace("replicates: 3", "replicates: 2")
        .replace("save_weights: true\n", "")
    )
    assert "refits              6" in invoke("plan", str(spec), "--results", str(tmp_path))
    invoke("run", str(spec), "--results", str(tmp_path), "--workers", "1", "--quiet")
    assert "24 runs, 0 trained now" in invoke("run", str(spec), "--results", str(tmp_path), "--workers", "1")
    assert "identical" in invoke("verify", str(tmp_path / "stops"), "--all", "--workers", "1")
    text = (tmp_path / "stops" / "report.md").read_text()
    assert "on all training examples a run takes the mean of its folds' best epochs, rounded." in text
    runs = mlpbench.load(tmp_path / "stops").runs
    refit = runs[runs["fold"].isna() & (runs["early_stopping"] != "none")].iloc[0]
    assert refit["epochs_taken"] < 15
    to = tmp_path / "weights.safetensors"
    invoke("export", refit["run_id"], str(to), "--results", str(tmp_path))
    assert to.is_file(), "training it again gave the weights of its row, or there would be a refusal"


def test_the_report_has_epochs_and_says_what_results_are_of(folder: Path) -> None:
    text = (folder / "results" / "stops" / "report.md").read_text()
    assert "| epochs | best epoch |" in text
    assert "Where training stops early, results are those of the best epoch by validation." in text
    assert "a mean curve ends at the first stop of its replicates" in text


def test_a_plan_is_of_runs_that_do_not_stop(folder: Path) -> None:
    output = invoke("plan", str(folder / "stops.yaml"), "--results", str(folder / "nothing"))
    assert "early stopping      FLOPs and time are upper bounds: those of runs that don't stop early" in output
    without = SPEC.replace("[none, 2, {patience: 3, metric: val_accuracy}]", "[none]").partition("claims:")[0]
    (folder / "plain.yaml").write_text(without)
    plain = invoke("plan", str(folder / "plain.yaml"), "--results", str(folder / "nothing"))
    assert "early stopping" not in plain


def test_a_run_warns_in_the_terminal_in_the_report_and_in_python(tmp_path: Path) -> None:
    tree = {
        "name": "still",
        "question": "Does it learn?",
        "dataset": "digits",
        "fixed": {"width": 8, "lr": 1e-9, "epochs": 2, "train_size": 200},
        "replicates": 2,
    }
    outcome = mlpbench.run(tree, results=tmp_path, workers=1, quiet=True)
    (warning,) = outcome.warnings
    assert warning.startswith(
        "The loss never moved: the train loss ends within 1% of where it started here. Try a higher"
    )
    assert f"## Warnings\n\n- {warning}\n" in (tmp_path / "still" / "report.md").read_text()
    again = invoke("run", str(tmp_path / "still" / "spec.yaml"), "--results", str(tmp_path), "--workers", "1")
    assert f"warning: {warning}\n" in again
    quiet = invoke(
        "run", str(tmp_path / "still" / "spec.yaml"), "--results", str(tmp_path), "--workers", "1", "--quiet"
    )
    assert quiet == ""
