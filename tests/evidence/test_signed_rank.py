"""The signed-rank test over data sets: scipy and all assignments of signs as oracles, and the interval that goes with it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from demsar import C45, C45_M
from error_rates import at_most, say
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.ranks.signed_rank import SignedRankSample, between, of_sense

Array = np.ndarray[Any, Any]
# Small whole numbers have ties and zeros; their halves and thirds are no binary fractions.
whole = st.lists(st.integers(-6, 6), min_size=3, max_size=10)
spread = st.lists(st.integers(-10_000, 10_000), min_size=4, max_size=20, unique=True).filter(
    lambda v: len({abs(x) for x in v}) == len(v) and 0 not in v
)
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95])
REPEATS = pytest.mark.parametrize(
    "repeats", [pytest.param(1_000, id="short"), pytest.param(20_000, marks=pytest.mark.prove)]
)


def sample(values: Any, unit: float = 1.0) -> SignedRankSample:
    return SignedRankSample(values=np.array(values, dtype=float) * unit)


@given(spread)
@settings(max_examples=50, deadline=None)
def test_without_ties_it_is_the_exact_test_of_scipy(values: list[int]) -> None:
    x = np.array(values, dtype=float)
    assert sample(x).p(0) == pytest.approx(stats.wilcoxon(x, method="exact").pvalue)
    assert sample(x).above(0) == pytest.approx(stats.wilcoxon(x, alternative="greater", method="exact").pvalue)
    assert sample(x).below(0) == pytest.approx(stats.wilcoxon(x, alternative="less", method="exact").pvalue)


@given(whole, st.sampled_from([1.0, 0.1, 1 / 3]), st.integers(-4, 4))
@settings(max_examples=60, deadline=None)
def test_with_ties_and_zeros_all_assignments_of_signs_count(values: list[int], unit: float, at: int) -> None:
    """A sum of signed ranks, which are those of scipy, over every assignment of signs to what isn't zero."""
    away = np.array(values) - at
    ranks = stats.rankdata(np.abs(away))[away != 0]
    sums = [(ranks * (np.array(signs) > 0)).sum() for signs in itertools.product((-1, 1), repeat=len(ranks))]
    seen = ranks[away[away != 0] > 0].sum()
    expected = np.mean(np.array(sums) >= seen - 1e-9)
    assert sample(values, unit).above(at * unit) == pytest.approx(expected)
    assert sample(-np.array(values), unit).below(-at * unit) == pytest.approx(expected)


def test_halves_of_the_ranks_of_zeros_change_nothing() -> None:
    """Demsar's statistics of C4.5 with and without tuning of m (his table 2): R+ = 93, R- = 12, with two zeros."""
    away = np.array(C45_M) - np.array(C45)
    sizes = np.round(np.abs(away), 6)
    ranks = stats.rankdata(sizes)
    halves = ranks[sizes == 0].sum() / 2
    assert (ranks[away > 1e-9].sum() + halves, ranks[away < -1e-9].sum() + halves) == (93, 12)
    p = sample(away).p(0.0)
    # He rejects at 5%; the normal approximation that scipy has there is near.
    assert p == pytest.approx(stats.wilcoxon(away, zero_method="zsplit", correction=True).pvalue, abs=0.005)
    assert p < 0.05


@given(whole, levels)
@settings(max_examples=80, deadline=None)
def test_the_interval_is_of_the_numbers_that_are_not_rejected(values: list[int], level: float) -> None:
    """On a grid finer than half of the distance of two Walsh averages, but for the ends themselves, at which p jumps."""
    one = sample(values)
    low, high = one.interval(level)
    for at in np.arange(min(values) - 1.0, max(values) + 1.01, 0.125):
        if at not in (low, high):
            assert (one.p(at) > 1 - level + 1e-12) == (low < at < high), at


@given(spread, levels)
@settings(max_examples=30, deadline=None)
def test_without_ties_its_ends_are_the_walsh_averages_of_the_critical_rank(values: list[int], level: float) -> None:
    """The k-th from either end, k the number of sums of ranks that are rejected (Hollander and Wolfe, section 3.3)."""
    one, n = sample(values), len(values)
    sums = np.zeros(n * (n + 1) // 2 + 1)
    sums[0] = 1.0
    for rank in range(1, n + 1):
        sums[rank:] = sums[rank:] + sums[:-rank].copy()
    k = int((np.cumsum(sums) / 2.0**n <= (1 - level) / 2 + 1e-12).sum())
    expected = (-np.inf, np.inf) if k == 0 else (one.walsh[k - 1], one.walsh[-k])
    assert one.interval(level) == pytest.approx(expected)


@given(whole, st.randoms(use_true_random=False), st.integers(-3, 3), levels)
@settings(max_examples=40, deadline=None)
def test_order_units_and_sides_change_nothing(values: list[int], random: Any, at: int, level: float) -> None:
    one, mixed = sample(values), list(values)
    random.shuffle(mixed)
    low, high = one.interval(level)
    for other, unit in ((sample(mixed), 1.0), (sample(values, 1 / 3), 1 / 3), (sample(values, 1e6), 1e6)):
        assert other.p(at * unit) == one.p(at)
        assert other.pseudo_median == pytest.approx(unit * one.pseudo_median)
        assert other.interval(level) == pytest.approx((unit * low, unit * high))
    turned = sample(-np.array(values))
    assert (turned.p(-at), turned.pseudo_median) == (one.p(at), -one.pseudo_median)
    assert turned.interval(level) == pytest.approx((-high, -low))


@given(whole)
@settings(max_examples=40, deadline=None)
def test_the_pseudo_median_is_never_rejected(values: list[int]) -> None:
    assert sample(values).p(sample(values).pseudo_median) > 0.5


@given(whole, st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_equivalence_is_two_tests_of_one_side_and_beyond_it_is_two_sided_at_no_margin(
    values: list[int], bound: int
) -> None:
    one = sample(values)
    p = of_sense(one, "equivalent", 0.0, bound)
    if abs(one.pseudo_median) <= bound:
        assert p == between(one, (-bound, bound)) == max(one.above(-bound), one.below(bound))
    else:
        nearer = min(one.above(bound), one.below(-bound))
        assert nearer <= p <= min(1.0, 2 * nearer) + 1e-12
        if bound == 0:
            assert p == pytest.approx(one.p(0.0))
    assert of_sense(one, "greater", 5.0, bound) == one.p(bound)


def test_too_few_data_sets_exclude_nothing() -> None:
    assert sample([1.0, 2.0, 3.0, 4.0, 5.0]).interval(0.95) == (-np.inf, np.inf)
    low, high = sample([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).interval(0.95)
    assert (low, high) == (1.0, 6.0)
    assert sample(np.zeros(12)).p(0.0) == 1.0


def test_of_many_data_sets_the_normal_distribution_is_near() -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(0.1, 1, 400), 2)
    expected = stats.wilcoxon(x, zero_method="pratt", correction=True, method="approx").pvalue
    assert sample(x).p(0.0) == pytest.approx(expected, rel=0.01)


DRAWN = {
    "normal": lambda rng, shape: rng.normal(0, 1, shape),
    "double exponential": lambda rng, shape: rng.laplace(0, 1, shape),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "rounded, with ties and zeros": lambda rng, shape: np.round(rng.normal(0, 1, shape)),
}


@REPEATS
@pytest.mark.parametrize("n", [8, 20])
@pytest.mark.parametrize("name", DRAWN)
def test_it_is_wrong_in_at_most_what_its_level_says(name: str, n: int, repeats: int) -> None:
    """Of symmetric numbers at 5%, the equivalence at its margin too; with what a t test comes to beside it."""
    values = DRAWN[name](np.random.default_rng(n), (repeats, n))
    samples = [sample(row) for row in values]
    at_most(f"{name}, n = {n}", sum(s.p(0.0) <= 0.05 for s in samples), repeats)
    margin = 1.0
    moved = [sample(row + margin) for row in values]
    p = [(of_sense(s, "equivalent", 0.0, margin), abs(s.pseudo_median) <= margin) for s in moved]
    at_most("equivalent at the margin", sum(v <= 0.05 and inside for v, inside in p), repeats)
    at_most("beyond it at the margin", sum(v <= 0.05 and not inside for v, inside in p), repeats)
    by_t = np.asarray(stats.ttest_1samp(values, 0.0, axis=1).pvalue)
    say("a t test of the mean", int((by_t <= 0.05).sum()), repeats)


@REPEATS
def test_where_one_data_set_differs_by_far_it_decides_what_a_t_test_can_not(repeats: int) -> None:
    """Twelve data sets one and a half sds above 0, but for one that lies 20 sd lower."""
    values = np.random.default_rng(5).normal(1.5, 1.0, (repeats, 12))
    values[:, 0] -= 20.0
    found = sum(sample(row).p(0.0) <= 0.05 for row in values)
    by_t = int((np.asarray(stats.ttest_1samp(values, 0.0, axis=1).pvalue) <= 0.05).sum())
    say("found by ranks", found, repeats)
    say("found by a t test", by_t, repeats)
    assert found > 0.4 * repeats > by_t
