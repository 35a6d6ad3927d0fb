"""Bounds of censored numbers: true of whatever longer training would find, as narrow as that allows, and calibrated."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.statistics.sign_test import (
    censored_median,
    count_sides,
    median_interval,
    median_places,
    sign_test,
)
from mlpbench.experiment.claims.replicate_numbers import sum_bounds

Array = np.ndarray[Any, Any]
LEVEL = 0.05
NAN, INF = math.nan, math.inf


def seen(times: Array, trained: Array) -> tuple[Array, Array]:
    """Return what is known of times: the time, NaN where it is more than was trained, and then what was trained."""
    never = times > trained
    return np.where(never, NAN, times), np.where(never, trained, NAN)


@st.composite
def experiments(draw: st.DrawFn) -> tuple[Array, Array, Array, float]:
    """Draw true times and trained lengths (replicate x condition), weights and a bound, all small whole numbers."""
    n, conditions = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    whole = st.lists(st.integers(0, 9), min_size=n * conditions, max_size=n * conditions)
    times, trained = (np.array(draw(whole), dtype=float).reshape(n, conditions) for _ in range(2))
    weight = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    weights = np.array(draw(st.lists(weight, min_size=conditions, max_size=conditions)))
    return times, trained, weights, float(draw(st.integers(-4, 4)))


def test_bounds_by_hand() -> None:
    """Times minus times: 3 - 5; a never in 9; b never in 9; neither; and 9 steps against as many, known."""
    table = np.array([[3, 5], [NAN, 5], [3, NAN], [NAN, NAN], [9, 9]])
    beyond = np.where(np.isnan(table), 9.0, NAN)
    lower, upper = sum_bounds(table, beyond, np.array([1.0, -1.0]), 0.0)
    assert lower.tolist() == [-2, 4, -INF, -INF, 0]
    assert upper.tolist() == [-2, INF, -6, INF, 0]


@given(experiments())
def test_the_truth_lies_between_the_bounds_and_strictly_where_they_differ(
    made: tuple[Array, Array, Array, float],
) -> None:
    times, trained, weights, bound = made
    truth = times @ weights
    lower, upper = sum_bounds(*seen(times, trained), weights, bound)
    known = lower == upper
    assert (known == (times <= trained).all(axis=1)).all()
    assert (lower[known] == truth[known]).all()
    assert ((lower < truth) & (truth < upper))[~known].all()


@given(experiments())
def test_no_p_is_smaller_and_no_interval_narrower_than_with_longer_training(
    made: tuple[Array, Array, Array, float],
) -> None:
    times, trained, weights, bound = made
    truth = times @ weights
    lower, upper = sum_bounds(*seen(times, trained), weights, bound)
    assert all(
        k <= of_all for k, of_all in zip(count_sides(lower, bound, upper), count_sides(truth, bound), strict=True)
    )
    assert sign_test(lower, bound, upper) >= sign_test(truth, bound)
    found, whole = median_interval(lower, 0.95, upper), median_interval(truth, 0.95)
    assert (found is None) == (whole is None)
    if found is not None and whole is not None:
        assert found[0] <= whole[0] <= whole[1] <= found[1]
    estimate, estimate_is = censored_median(lower, upper, bound)
    median = float(np.median(truth))
    true = {
        "": median == estimate or math.isnan(estimate),
        "at least": median >= estimate,
        "at most": median <= estimate,
    }
    assert true[estimate_is]
    if (times <= trained).all():
        assert (found, estimate, estimate_is) == (whole, median, "")
        assert sign_test(lower, bound, upper) == sign_test(truth, bound)


@given(experiments())
def test_p_is_the_largest_that_any_longer_training_could_give(made: tuple[Array, Array, Array, float]) -> None:
    """No larger than it must be: of the numbers between their bounds some have that p, as some lie on the bound itself."""
    times, trained, weights, bound = made
    lower, upper = sum_bounds(*seen(times[:4], trained[:4]), weights, bound)
    completions = [
        [low]
        if low == high
        else [x for x in {bound - 0.25, bound, bound + 0.25, low + 0.25, high - 0.25} if low < x < high]
        for low, high in zip(lower.tolist(), upper.tolist(), strict=True)
    ]
    largest = max(sign_test(np.array(x), bound) for x in itertools.product(*completions))
    assert sign_test(lower, bound, upper) == largest


@pytest.mark.parametrize("n", [6, 10, 25])
def test_p_is_that_of_scipy_of_the_signs_that_are_known(n: int) -> None:
    for above in range(n + 1):
        lower = np.array([1.0] * above + [-INF] * (n - above))
        upper = np.array([INF] * above + [-1.0] * (n - above))
        assert sign_test(lower, 0.0, upper) == pytest.approx(stats.binomtest(above, n).pvalue, rel=1e-12)
        unknown = np.where(np.arange(n) < above, lower, -INF), np.full(n, INF)
        expected = min(1.0, 2 * stats.binom.sf(above - 1, n, 0.5))
        assert sign_test(unknown[0], 0.0, unknown[1]) == pytest.approx(expected, rel=1e-12)


def test_a_number_beyond_the_bound_itself_is_above_it_and_a_known_one_is_not() -> None:
    """One that never got there in 10 steps is above 10, one that took 10 is not; so for a difference, below as above."""
    lower, upper = np.array([10.0, 10.0]), np.array([INF, 10.0])
    assert count_sides(lower, 10.0, upper) == (1, 0)
    assert count_sides(-upper, -10.0, -lower) == (0, 1)


def test_the_interval_goes_from_the_least_the_low_one_can_be_to_the_most_the_high_one_can() -> None:
    lower = np.array([1.0, 2, 3, 4, 5, 6, 7, -INF, 9, 9])
    upper = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, INF, INF])
    assert median_places(10, 0.95)[0] == 2
    assert median_interval(lower, 0.95, upper) == (1.0, INF)
    assert median_interval(lower[:5], 0.95, upper[:5]) is None


@pytest.mark.parametrize(
    ("lower", "upper", "bound", "median"),
    [
        ([1, 2, 9], [1, 2, INF], 0, (2, "")),
        ([1, 9, 9], [1, INF, INF], 0, (9, "at least")),
        ([-INF, -INF, 1], [-9, -9, 1], 0, (-9, "at most")),
        ([-INF, 4, 9, 9], [2, 4, INF, INF], 0, (6.5, "at least")),
        ([-INF, 1, 6], [4, INF, 6], 0, (1, "at least")),
        ([-INF, 1, 3], [4, INF, 3], 9, (4, "at most")),
        ([-INF, 9, -INF], [INF, INF, -9], 0, (NAN, "")),
        ([-INF] * 4, [INF] * 4, 0, (NAN, "")),
    ],
)  # fmt: skip
def test_a_median_is_known_from_one_side_from_both_or_from_none(
    lower: list[float], upper: list[float], bound: float, median: tuple[float, str]
) -> None:
    found = censored_median(np.array(lower, dtype=float), np.array(upper, dtype=float), bound)
    np.testing.assert_equal(found, median)


@pytest.mark.parametrize("n", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (10, 25))])
@pytest.mark.parametrize("trained", [(20, 20), (20, 8), (8, 20), (3, 3)])
def test_of_times_drawn_alike_the_test_finds_a_difference_in_at_most_five_percent(
    n: int, trained: tuple[int, int]
) -> None:
    """Lognormal times, as curves count them: in whole epochs. With other lengths for a and b as with equal ones."""
    rng, repeats = np.random.default_rng(n), 2000
    times = np.ceil(rng.lognormal(2, 1, (repeats, n, 2)))
    weights, least = np.array([1.0, -1.0]), np.array(trained, dtype=float)

    def decided(times: Array) -> int:
        pairs = (sum_bounds(*seen(row, np.broadcast_to(least, row.shape)), weights, 0.0) for row in times)
        return sum(sign_test(lower, 0.0, upper) <= LEVEL for lower, upper in pairs)

    assert decided(times) <= repeats * LEVEL + 4 * math.sqrt(repeats * LEVEL * (1 - LEVEL))
    if trained == (20, 20):
        assert decided(times * np.array([1, 20])) > 0.3 * repeats, "a test that never decides would pass"
