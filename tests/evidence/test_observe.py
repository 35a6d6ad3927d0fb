"""Estimates: hand numbers, scipy's intervals, and every run accounted for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import WIDTHS, make, replace_metric, spec, width_tables
from scipy import stats

from mlpbench.evidence.estimates.observe import accuracy_step, estimate, estimate_curves, measure, observe
from mlpbench.evidence.frames import records


def rows_of(made: Any, *metrics: str) -> list[dict[str, Any]]:
    seen = observe(made.experiment, made.conditions, made.runs)
    return records(estimate(made.experiment, made.conditions, seen, made.curves, metrics))


def test_mean_sd_and_interval_are_scipys() -> None:
    made = width_tables()
    rows = rows_of(made, "test_loss")
    assert [r["label"] for r in rows] == [f"width={w}" for w in WIDTHS]
    for row, width in zip(rows, WIDTHS, strict=True):
        values = made.runs.loc[made.runs["width"] == width, "test_loss"]
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert row["n"] == 5
        assert row["mean"] == pytest.approx(values.mean())
        assert row["sd"] == pytest.approx(values.std(ddof=1))
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_every_planned_run_has_a_row_and_a_status() -> None:
    status = {(0, 0): "diverged", (0, 1): "failed", (1, 2): "missing"}
    made = make(spec(factors={"width": [8, 16]}), status=status)
    seen = observe(made.experiment, made.conditions, made.runs)
    assert len(seen) == 10
    by = seen.set_index(["position", "replicate"])
    assert {k: by.loc[k, "status"] for k in status} == status
    assert by["test_accuracy"].isna().sum() == 3
    assert by.loc[(0, 0), "diverged"] == 1
    assert by.loc[(0, 2), "diverged"] == 0
    assert by["diverged"].isna().sum() == 2, "failed and missing runs neither diverged nor did not"
    first, second = rows_of(made, "test_accuracy")
    assert [first[k] for k in ("n", "planned", "diverged", "failed", "missing")] == [3, 5, 1, 1, 0]
    assert [second[k] for k in ("n", "planned", "diverged", "failed", "missing")] == [4, 5, 0, 0, 1]


def test_equal_accuracies_have_no_spread_and_the_interval_of_one_example() -> None:
    made = make(spec(factors={"width": [8, 16]}))
    made = replace_metric(made, "test_accuracy", {(0, r): 0.85 for r in range(5)})
    row = rows_of(made, "test_accuracy")[0]
    assert row["sd"] == 0
    assert row["high"] - row["mean"] == pytest.approx(stats.t.ppf(0.975, 4) / 10_000 / math.sqrt(5))
    made = replace_metric(made, "test_loss", {(0, r): 0.5 for r in range(5)})
    assert rows_of(made, "test_loss")[0]["sd"] == 0


def test_the_least_step_of_an_accuracy_is_one_example_of_its_set() -> None:
    (condition,) = make(spec(validation=0.1, replicates=1)).conditions
    steps = {k: accuracy_step(f"{k}_accuracy", condition.settings, 10_000) for k in ("train", "val", "test", "gap")}
    assert steps == {"train": 1 / 54_000, "val": 1 / 6_000, "test": 1 / 10_000, "gap": 1 / 10_000}
    assert accuracy_step("test_loss", condition.settings, 10_000) == 0
    assert accuracy_step("test_macro_f1", condition.settings, 10_000) == 1 / 10_000
    late = {k: accuracy_step(f"late_{k}_accuracy", condition.settings, 20_000) for k in ("train", "test", "gap")}
    assert late == {"train": 1 / 10_000, "test": 1 / 20_000, "gap": 1 / 10_000}, (
        "curves are of 10,000 training examples"
    )


def test_one_replicate_has_a_mean_and_no_spread() -> None:
    (row,) = rows_of(make(spec(replicates=1)), "test_accuracy")
    assert row["n"] == 1
    assert not math.isnan(row["mean"])
    assert all(math.isnan(row[k]) for k in ("sd", "low", "high"))


def test_steps_to_a_loss_that_is_never_reached_are_censored_not_missing() -> None:
    made = make(spec(factors={"width": [8, 16]}), status={(0, 0): "diverged", (0, 1): "missing"})
    never, start = rows_of(made, "steps_to_train_loss_0.0001")[0], rows_of(made, "steps_to_train_loss_100")[0]
    assert (never["n"], never["censored"]) == (0, 3)
    assert (start["n"], start["censored"], start["mean"]) == (3, 0, 0)


def test_a_curve_without_numbers_was_not_measured_and_is_not_censored() -> None:
    """It was trimmed: whether the run came to the loss is not known."""
    made = make(spec(factors={"width": [8, 16]}))
    observed = observe(made.experiment, made.conditions, made.runs)
    empty = observed["run_id"].iloc[0]
    curves = made.curves.assign(loss=made.curves["loss"].where(made.curves["run_id"] != empty))
    found = measure(observed, curves, "steps_to_train_loss_100")
    assert found["value"].isna().tolist() == [True, *[False] * (len(found) - 1)]
    assert not found["censored"].any()


@pytest.mark.parametrize("metric", ["test_accuracy", "test_loss", "train_accuracy", "gap_accuracy", "gap_loss"])
def test_late_is_the_mean_of_the_points_of_the_second_half(metric: str) -> None:
    """Ten epochs have five points after step 1,175 and three have two after 352, whatever the order of the rows."""
    short = make(spec(fixed={"epochs": 3}, factors={"width": [8, 16]}), status={(0, 0): "diverged", (0, 1): "missing"})
    for made, points in ((width_tables(), 5), (short, 2)):
        seen = observe(made.experiment, made.conditions, made.runs)
        split, _, what = metric.partition("_")
        signs = {"gap": {"test": 1, "train": -1} if what == "loss" else {"train": 1, "test": -1}}.get(split, {split: 1})
        expected = []
        for run_id, status in zip(seen["run_id"], seen["status"], strict=True):
            of_run = made.curves[made.curves["run_id"] == run_id].sort_values("step")
            tails = {s: of_run.loc[of_run["split"] == s, what].to_numpy()[-points:] for s in signs}
            expected.append(sum(k * tails[s].mean() for s, k in signs.items()) if status == "ok" else math.nan)
        found = measure(seen, made.curves.sample(frac=1, random_state=3), f"late_{metric}")
        np.testing.assert_allclose(found["value"], expected, rtol=1e-12)
        assert not found["censored"].any()


def test_late_has_no_value_where_the_curve_is_not_there() -> None:
    made = make(spec(factors={"width": [8, 16]}))
    seen = observe(made.experiment, made.conditions, made.runs)
    gone = seen["run_id"].iloc[0]
    curves = made.curves.assign(accuracy=made.curves["accuracy"].where(made.curves["run_id"] != gone))
    for there in (curves, made.curves[made.curves["run_id"] != gone]):
        found = measure(seen, there, "late_test_accuracy")
        assert found["value"].isna().tolist() == [True, *[False] * (len(found) - 1)]


def test_an_unknown_metric_is_refused() -> None:
    made = width_tables()
    seen = observe(made.experiment, made.conditions, made.runs)
    with pytest.raises(ValueError, match="did you mean 'test_accuracy'"):
        measure(seen, made.curves, "test_acuracy")


def test_curves_average_the_runs_that_finished() -> None:
    made = make(spec(factors={"width": [8, 16]}), status={(1, 0): "diverged"})
    seen = observe(made.experiment, made.conditions, made.runs)
    rows = estimate_curves(made.experiment, made.conditions, seen, made.curves)
    some = rows[(rows["position"] == 1) & (rows["split"] == "test") & (rows["measure"] == "loss")]
    assert list(some["epoch"]) == list(range(11))
    assert set(some["n"]) == {4}
    ids = seen.loc[(seen["position"] == 1) & (seen["status"] == "ok"), "run_id"]
    kept = made.curves["run_id"].isin(ids) & (made.curves["split"] == "test") & (made.curves["epoch"] == 1)
    values = made.curves.loc[kept, "loss"].to_numpy()
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    row = some[some["epoch"] == 1].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_curves_of_nothing_are_empty() -> None:
    made = make(spec(replicates=2), status={(0, 0): "diverged", (0, 1): "missing"})
    seen = observe(made.experiment, made.conditions, made.runs)
    assert estimate_curves(made.experiment, made.conditions, seen, made.curves).empty
