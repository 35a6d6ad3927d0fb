"""Every number of a test agrees with scipy, with a published example, or with simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.t_test import Sample

PAIRS = [
    (np.array([0.871, 0.874, 0.869, 0.872, 0.875]), np.array([0.868, 0.869, 0.868, 0.866, 0.871])),
    (np.array([0.51, 0.47]), np.array([0.55, 0.44])),
    (np.random.default_rng(1).normal(0.3, 1, 30), np.random.default_rng(2).normal(0, 1, 30)),
]


def sample_of(values: np.ndarray) -> Sample:
    return Sample(n=len(values), mean=float(values.mean()), sd=float(values.std(ddof=1)))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_two_sided_p_is_that_of_the_paired_t_test(a: np.ndarray, b: np.ndarray) -> None:
    assert t_test.two_sided(sample_of(a - b), 0) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("margin", [-0.002, 0.002, 0.3])
def test_two_sided_p_against_a_margin_is_that_of_a_one_sample_t_test(
    a: np.ndarray, b: np.ndarray, margin: float
) -> None:
    expected = stats.ttest_1samp(a - b, popmean=margin).pvalue
    assert t_test.two_sided(sample_of(a - b), margin) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("margin", [0.002, 0.01, 0.5])
def test_equivalence_is_the_larger_of_two_one_sided_tests(a: np.ndarray, b: np.ndarray, margin: float) -> None:
    above = stats.ttest_1samp(a - b, popmean=-margin, alternative="greater").pvalue
    below = stats.ttest_1samp(a - b, popmean=margin, alternative="less").pvalue
    assert t_test.equivalence(sample_of(a - b), margin) == pytest.approx(max(above, below), rel=1e-9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_beyond_is_one_sided_against_the_nearer_bound_and_against_the_opposite_side(
    a: np.ndarray, b: np.ndarray
) -> None:
    d, margin = np.abs((a - b).mean()) + (a - b) - (a - b).mean(), 0.0005
    nearer = stats.ttest_1samp(d, popmean=margin, alternative="greater").pvalue
    opposite = stats.ttest_1samp(d, popmean=-margin, alternative="greater").pvalue
    assert t_test.beyond(sample_of(a - b), margin) == pytest.approx(nearer + opposite, rel=1e-9)
    assert t_test.beyond(sample_of(d), 0.0) == pytest.approx(t_test.two_sided(sample_of(d), 0.0), rel=1e-12)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_interval_is_scipys(a: np.ndarray, b: np.ndarray) -> None:
    expected = stats.ttest_1samp(a - b, popmean=0).confidence_interval(0.95)
    assert sample_of(a - b).interval(0.95) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_without_spread_any_distance_is_certain_and_none_is_nothing() -> None:
    exact = Sample(n=5, mean=1.0, sd=0.0)
    assert t_test.two_sided(exact, 2.0) == 0
    assert t_test.two_sided(exact, 1.0) == 1
    assert t_test.equivalence(exact, 2.0) == 0
    assert t_test.equivalence(exact, 1.0) == 0.5
    assert t_test.beyond(exact, 0.5) == 0


def test_holm_on_a_worked_example() -> None:
    """p of 0.01, 0.04, 0.03, 0.005 at 0.05: 0.03, 0.06, 0.06, 0.02; two of four are rejected (Holm, 1979)."""
    assert t_test.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def step_down(p: list[float], level: float) -> set[int]:
    """Reject while the smallest p that is left is at most level / (number left): Holm's own words."""
    left, rejected = set(range(len(p))), set()
    while left:
        smallest = min(left, key=lambda i: p[i])
        if p[smallest] > level / len(left):
            break
        left.remove(smallest)
        rejected.add(smallest)
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_stepping_down_rejects(p: list[float], level: float) -> None:
    adjusted = t_test.holm(p)
    clear = [i for i, v in enumerate(adjusted) if abs(v - level) > 1e-12]
    assert {i for i in clear if adjusted[i] <= level} == step_down(p, level) & set(clear)


def test_a_claim_without_p_stays_without_and_still_counts() -> None:
    adjusted = t_test.holm([0.01, math.nan, 0.02])
    assert adjusted[0] == pytest.approx(0.03)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 100])
@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("level", [0.05, 0.025, 0.005])
def test_power_is_scipys_noncentral_t(n: int, shift: float, level: float) -> None:
    expected = stats.nct.sf(stats.t.isf(level, n - 1), n - 1, shift * math.sqrt(n))
    assert t_test.power(n, shift, level) == pytest.approx(expected, abs=1e-8)


def test_power_at_ten_replicates_and_one_sd_is_the_textbook_value() -> None:
    """A paired t test at 0.05, two-sided, 10 pairs, effect of 1 sd: 0.803 (Cohen, Statistical Power Analysis, 1988)."""
    assert t_test.power(10, 1.0, 0.025) == pytest.approx(0.803, abs=0.001)


@pytest.mark.parametrize(("n", "level"), [(2, 0.025), (5, 0.025), (5, 0.004), (30, 0.05)])
def test_the_detectable_shift_has_80_percent_power(n: int, level: float) -> None:
    shift = t_test.detectable_shift(n, level)
    assert stats.nct.sf(stats.t.isf(level, n - 1), n - 1, shift * math.sqrt(n)) == pytest.approx(0.8, abs=1e-6)


def test_the_detectable_margin_has_80_percent_power_in_simulation() -> None:
    n, level, repeats = 8, 0.05, 20_000
    margin = t_test.detectable_margin(n, level)
    draws = np.random.default_rng(3).normal(0, 1, (repeats, n))
    mean, error = draws.mean(1), draws.std(1, ddof=1) / math.sqrt(n)
    found = (np.abs(mean) < margin - stats.t.isf(level, n - 1) * error).mean()
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / repeats))


@settings(max_examples=50)
@given(st.floats(-3, 3), st.floats(0.1, 2), st.integers(2, 40), st.floats(-2, 2))
def test_mirroring_the_sample_and_the_bound_changes_no_p(mean: float, sd: float, n: int, bound: float) -> None:
    one, other = Sample(n=n, mean=mean, sd=sd), Sample(n=n, mean=-mean, sd=sd)
    assert t_test.two_sided(one, bound) == t_test.two_sided(other, -bound)
    assert t_test.equivalence(one, abs(bound)) == t_test.equivalence(other, abs(bound))
    assert t_test.beyond(one, abs(bound)) == t_test.beyond(other, abs(bound))


@pytest.mark.parametrize("n", [5000, 10_000])
def test_of_very_many_replicates_a_small_shift_is_detected(n: int) -> None:
    """The noncentral t has no number where its chance is next to 1: that is above any that is wanted."""
    shift = t_test.detectable_shift(n, 0.05)
    normal = (1.6448536 + 0.8416212) / n**0.5
    assert shift == pytest.approx(normal, rel=1e-3)
