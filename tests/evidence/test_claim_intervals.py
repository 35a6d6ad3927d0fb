"""Intervals say what the test says, and end where the metric does: no accuracy above 1, no verdict against its own interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import judged_table, make, replace_metric, spec
from error_rates import at_most
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.estimates.observe import estimate, estimate_curves, intervals, observe
from mlpbench.evidence.estimates.paired_differences import worse_than
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.statistics import resampling, t_test
from mlpbench.evidence.statistics.t_test import Sample
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.report.words import verdict_sentence

FORMS = {
    "greater": {"bound": {"metric": "test_accuracy", "where": {"width": 8}, "above": 0.9}},
    "less": {"bound": {"metric": "test_accuracy", "where": {"width": 8}, "below": 0.9}},
    "equivalent": {"matches": {"metric": "test_accuracy", "where": {"width": 8}, "value": 0.9, "tolerance": 0.01}},
}


def judged(claim: dict[str, Any], accuracies: np.ndarray[Any, Any], **keys: Any) -> dict[str, Any]:
    claims = [{"id": "c", "says": "It does."} | claim]
    tables = make(spec(factors={"width": [8, 16]}, replicates=len(accuracies), claims=claims, **keys))
    values = {(0, r): float(v) for r, v in enumerate(accuracies)} | {(1, r): 0.5 for r in range(len(accuracies))}
    made = replace_metric(tables, "test_accuracy", values)
    (row,) = judged_table(*made.parts).to_dict("records")
    return {str(k): v for k, v in row.items()} | {"verdicts": judge_claims(*made.parts)}


@given(
    mean=st.floats(0.87, 0.93), sd=st.floats(0.0005, 0.02), n=st.integers(3, 12), form=st.sampled_from(sorted(FORMS))
)
def test_a_decided_verdict_lies_on_one_side_of_its_interval(mean: float, sd: float, n: int, form: str) -> None:
    sample = Sample(n=n, mean=mean - 0.9, sd=sd)
    if form == "equivalent":
        low, high = sample.interval(0.9)
        inside, outside = low > -0.01 and high < 0.01, low > 0.01 or high < -0.01
        assert (t_test.equivalence(sample, 0.01) < 0.05) == inside
        assert outside or t_test.beyond(sample, 0.01) > 0.05 or abs(sample.mean) <= 0.01
    else:
        low, high = sample.interval(0.95)
        assert (t_test.two_sided(sample, 0.0) < 0.05) == (low > 0 or high < 0)


def test_an_equivalence_has_the_interval_of_its_tests_and_says_so() -> None:
    """As in `replication`: p is below 0.05 although the 95% interval crosses the margin."""
    accuracies = 0.9127 + 0.0028 * np.array([-1.2, -0.6, 0.1, 0.5, 1.2]) / np.std([-1.2, -0.6, 0.1, 0.5, 1.2], ddof=1)
    row = judged(FORMS["equivalent"], accuracies)
    sample = Sample(n=5, mean=float(accuracies.mean()), sd=0.0028)
    assert sample.interval(0.95)[0] < 0.91 < sample.interval(0.9)[0]
    assert row["verdict"] == "refuted"
    assert row["p"] < 0.05
    assert row["interval_level"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == pytest.approx(sample.interval(0.9))
    (verdict,) = row["verdicts"]
    assert "(90% interval 0.91" in verdict_sentence(verdict)
    assert "(90%: 0.91" in terminal_table([verdict])


@pytest.mark.parametrize("form", ["greater", "less"])
def test_other_claims_have_an_interval_of_95_percent(form: str) -> None:
    row = judged(FORMS[form], np.array([0.91, 0.92, 0.93]))
    sample = Sample(n=3, mean=0.92, sd=0.01)
    assert row["interval_level"] == 0.95
    assert (row["low"], row["high"]) == pytest.approx(sample.interval(0.95))
    assert "%: " not in terminal_table(row["verdicts"])


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("test_accuracy", (0, 1)), ("late_train_accuracy", (0, 1)), ("gap_accuracy", (-1, 1)), ("late_gap_accuracy", (-1, 1)),
        ("shift_accuracy[noise,0.1]", (0, 1)), ("regret_accuracy", (0, 1)), ("split_excess_accuracy", (-1, 1)),
        ("diverged", (0, 1)), ("sparsity", (0, 1)), ("act_zero[1,end]", (0, 1)), ("log10_test_accuracy", (-math.inf, math.inf)),
        ("test_loss", (-math.inf, math.inf)), ("gap_loss", (-math.inf, math.inf)), ("dead_units", (-math.inf, math.inf)),
    ],
)  # fmt: skip
def test_a_metric_says_where_it_ends(name: str, limits: tuple[float, float]) -> None:
    assert metric(name).limits == limits


def test_intervals_of_accuracies_end_at_0_and_1() -> None:
    near_one = judged(FORMS["greater"], np.array([1.0, 1.0, 0.9]))
    assert near_one["high"] == 1.0
    near_nothing = judged(FORMS["less"], np.array([0.0, 0.0, 0.2]))
    assert near_nothing["low"] == 0.0
    differs = {"compare": {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 16}, "expect": "greater"}}
    values = np.array([1.0, 1.0, 0.2])
    row = judged(differs, values)
    assert row["high"] == 1.0
    assert row["low"] < -0.1, "a difference may be negative"
    everywhere = judged(
        {"bound": FORMS["greater"]["bound"] | {"of": "every", "above": 0.5}}, np.array([1.0, 0.97, 1.0])
    )
    assert everywhere["high"] == 1.0


def test_tables_and_figures_have_intervals_that_end_too() -> None:
    tables = make(spec(factors={"width": [8, 16]}, replicates=3))
    accuracies = {0: [1.0, 1.0, 0.8], 1: [0.0, 0.1, 0.0]}
    made = replace_metric(
        tables, "test_accuracy", {(i, r): v for i, of in accuracies.items() for r, v in enumerate(of)}
    )
    experiment, conditions, runs, curves = made.parts
    observed = observe(experiment, conditions, runs)
    rows = estimate(experiment, conditions, observed, curves, ["test_accuracy", "test_loss"])
    ends = rows[rows["metric"] == "test_accuracy"]
    assert ends["high"].tolist()[0] == 1.0
    assert ends["low"].tolist()[1] == 0.0
    low = curves.assign(accuracy=np.where(curves["run_id"] == curves["run_id"].iloc[0], 1.0, 0.7))
    drawn = estimate_curves(experiment, conditions, observed, low)
    of_accuracy = drawn[drawn["measure"] == "accuracy"]
    assert of_accuracy["high"].max() == 1.0
    apart = worse_than(experiment, conditions, observed, "test_accuracy", 0, [1])[1]
    assert apart.high == 1.0
    frame = pd.DataFrame({"g": 0, "value": [-5.0, 5.0]})
    assert intervals(frame, ["g"], pd.Series([0.0]))["high"].iloc[0] > 5, "losses end nowhere"


FLIPPED = {
    "greater": lambda x, at: resampling.sign_flip(x - at),
    "equivalent": lambda x, at: (
        resampling.equivalence_flip(x, at) if abs(x.mean()) <= at else resampling.beyond_flip(x, at)
    ),
}


@given(
    seed=st.integers(0, 10**6),
    n=st.one_of(st.integers(6, 12), st.just(20)),
    form=st.sampled_from(sorted(FLIPPED)),
    grid=st.sampled_from([0, 1, 500]),
    bound=st.floats(0.0, 1.5),
)
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_sign_flip_test_never_contradicts_it(
    seed: int, n: int, form: str, grid: int, bound: float
) -> None:
    """Exact for up to 16 replicates, drawn for more; skewed numbers, and coarse ones that tie with the bound."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(1.0, 1.0, n) - 0.3
    if grid:
        values, bound = np.round(values * grid) / grid, round(bound * grid) / grid
    equivalent = form == "equivalent"
    ends = resampling.sign_flip_interval(values, 0.9 if equivalent else 0.95, one_sided=equivalent)
    assert ends is not None
    low, high = ends
    decided = FLIPPED[form](values, bound) <= 0.05
    if not equivalent:
        assert decided == (not low <= bound <= high)
    elif abs(values.mean()) <= bound:
        assert decided == (-bound < low and high < bound)
    elif decided:
        assert low > bound or high < -bound


def test_the_interval_of_a_sign_flip_test_has_the_ends_that_a_search_finds() -> None:
    """Where scipy's permutation test begins to reject, found by halving."""
    values = np.array([0.31, -0.12, 0.54, 0.22, 0.9, 0.13, 0.4, 0.05])

    def p(at: float) -> float:
        found = stats.permutation_test((values - at,), np.mean, permutation_type="samples", n_resamples=2**8)
        return float(found.pvalue)

    ends = resampling.sign_flip_interval(values, 0.95)
    assert ends is not None
    for end, away in zip(ends, (-2.0, 2.0), strict=True):
        inside, outside = float(values.mean()), away
        for _ in range(20):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if p(middle) > 0.05 else (inside, middle)
        assert end == pytest.approx(inside, abs=1e-5)


def test_verdicts_of_sign_flip_claims_have_that_interval_and_say_so() -> None:
    accuracies = np.array([0.91, 0.93, 0.9, 0.95, 0.92, 0.9, 0.96, 0.91])
    row = judged(FORMS["greater"] | {"test": "sign_flip"}, accuracies)
    ends = resampling.sign_flip_interval(accuracies, 0.95)
    assert (row["low"], row["high"]) == pytest.approx(ends)
    assert (row["test"], row["interval"]) == ("sign_flip", "sign_flip")
    assert (row["p"] <= 0.05) == (row["low"] > 0.9)
    assert resampling.sign_flip_interval(accuracies[:5], 0.95) is None


@pytest.mark.parametrize("repeats", [300, pytest.param(4_000, marks=pytest.mark.prove)])
@pytest.mark.parametrize("n", [6, 10])
def test_it_covers_the_mean_of_symmetric_numbers(repeats: int, n: int) -> None:
    rng = np.random.default_rng(n)
    covered = 0
    for values in rng.laplace(0.0, 1.0, (repeats, n)):
        low, high = resampling.sign_flip_interval(values, 0.95) or (-math.inf, math.inf)
        covered += low <= 0 <= high
    at_most(f"means outside the interval of a sign-flip test, n = {n}", repeats - covered, repeats)
