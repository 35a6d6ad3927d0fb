"""Metrics of plugins: what the package measures too has the same value, and one that goes wrong costs the run its number alone."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_sources import HEAD, TWINS, plugin_of
from small_data import Made, made, made_numbers, runs

from mlpbench.experiment.metrics.own_metrics import COLUMN
from mlpbench.experiment.metrics.set_scores import MOST_OUTPUTS
from mlpbench.training.engine import train_stack
from mlpbench.training.measures.plugin_metrics import PluginMetrics
from mlpbench.training.pieces.load_pieces import load_pieces
from mlpbench.training.worker_setup import Row

CLASSES = made(n_train=150, n_test=31, features=9, classes=4)
NUMBERS = made_numbers(n_train=150, n_test=31, features=9)
FIXED: dict[str, Any] = {"hidden_sizes": [17], "init": "he_normal", "batch_size": 32, "epochs": 3, "lr": 0.05}


def measured(text: str, of: Made = CLASSES, fixed: dict[str, Any] | None = None, **changes: Any) -> list[Row]:
    """Return the rows of two runs that are measured by the metrics of a source."""
    plugin = plugin_of(text)
    load_pieces([plugin])
    metrics = [piece.name for piece in plugin.pieces if piece.kind == "metric"]
    grid = runs(of, FIXED | (fixed or {}), replicates=2, **changes)
    return train_stack(grid, of.data, metrics_of_plugins=metrics).runs


def number(row: Row, called: str) -> Any:
    """Return the number of a metric by its name without the digest."""
    (value,) = [value for name, value in row[COLUMN] if name.partition("@")[0] == called]
    return value


def test_metrics_that_the_package_has_too_are_the_same() -> None:
    for row in measured(TWINS, validation=0.2, fixed={"precision": "float64", "label_noise": 0.3}):
        assert number(row, "test_own_accuracy") == pytest.approx(row["test_accuracy"], abs=1e-12)
        assert number(row, "val_own_accuracy") == pytest.approx(row["val_accuracy"], abs=1e-12)
        assert number(row, "test_own_log_loss") == pytest.approx(row["test_log_loss"], rel=1e-9)
        assert number(row, "val_own_log_loss") == pytest.approx(row["val_loss"], rel=1e-9)


def test_outputs_that_are_numbers_are_in_the_units_of_the_target() -> None:
    for row in measured(TWINS, NUMBERS, validation=0.2):
        assert number(row, "test_own_rmse") == pytest.approx(row["test_rmse"], rel=1e-6)
        assert number(row, "val_own_rmse") == pytest.approx((2 * row["val_loss"]) ** 0.5, rel=1e-5)


def test_runs_on_folds_are_measured_on_validation_and_their_refit_on_the_test_set() -> None:
    plugin = plugin_of(TWINS)
    load_pieces([plugin])
    metrics = [piece.name for piece in plugin.pieces if piece.kind == "metric"]
    grid = runs(CLASSES, FIXED, validation={"folds": 2})
    assert {run.fold for run in grid} == {None, 0, 1}
    for run in grid:
        (row,) = train_stack([run], CLASSES.data, metrics_of_plugins=metrics).runs
        part = "test" if run.fold is None else "val"
        assert [name for name, _ in row[COLUMN]] == [f"{part}_{name}" for name in metrics]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            "raise ValueError('no way')",
            "metric p raised ValueError: no way (pieces.py:9), so that the run has no test_p",
        ),
        (
            "return outputs",
            "metric p must return one number, got Tensor of shape (31, 4), so that the run has no test_p",
        ),
        ("return 'much'", "metric p must return one number, got str, so that the run has no test_p"),
        ("raise SystemExit(3)", "metric p raised SystemExit: 3 (pieces.py:9), so that the run has no test_p"),
    ],
)
def test_a_metric_that_goes_wrong_costs_the_run_its_number_alone(body: str, error: str) -> None:
    sound = "@mlpbench.metric\ndef q(outputs, targets):\n    return 1.5\n"
    rows = measured(f"{HEAD}@mlpbench.metric\ndef p(outputs, targets):\n    {body}\n{sound}")
    usual = train_stack(runs(CLASSES, FIXED, replicates=2), CLASSES.data).runs
    for row, without in zip(rows, usual, strict=True):
        assert (row["status"], row["error"]) == ("ok", error)
        assert (number(row, "test_p"), number(row, "test_q")) == (None, 1.5)
        assert row["weights_sha256"] == without["weights_sha256"]
        assert COLUMN not in without


def test_a_number_that_is_not_finite_is_none() -> None:
    for returned in ("float('nan')", "outputs.sum() / 0", "np.inf"):
        (row, _) = measured(f"{HEAD}@mlpbench.metric\ndef p(outputs, targets):\n    return {returned}\n")
        assert number(row, "test_p") is None
        assert "error" not in row


def test_a_run_that_diverged_has_no_number() -> None:
    rows = measured(TWINS, fixed={"lr": 1e30})
    assert [row["status"] for row in rows] == ["diverged", "diverged"]
    assert all(COLUMN not in row for row in rows)


def test_outputs_are_kept_where_they_are_few_enough() -> None:
    metrics = PluginMetrics(pieces=["p"])
    assert metrics.keeps(MOST_OUTPUTS // 10, 10)
    assert not metrics.keeps(MOST_OUTPUTS // 10 + 1, 10)
    assert not metrics.keeps(5, None)
    assert not PluginMetrics().keeps(5, 2)
