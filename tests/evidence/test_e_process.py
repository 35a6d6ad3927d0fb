"""E-processes: their formula against an integral, that they are fair bets, and what looking after every replicate decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from error_rates import at_most, say
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.integrate import quad

from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.e_process import (
    G,
    anytime_interval,
    crossing_p,
    crossing_t,
    of_mean,
    of_median,
    sign_e_values,
    t_e_values,
)
from mlpbench.evidence.statistics.t_test import ALPHA

Array = np.ndarray[Any, Any]
MOST = 200
REPEATS = pytest.mark.parametrize(
    "repeats", [200, pytest.param(1_000, marks=pytest.mark.slow), pytest.param(20_000, marks=pytest.mark.prove)]
)
NUMBERS = arrays(np.float64, st.integers(2, 12), elements=st.floats(-3, 3, width=16))


@pytest.mark.parametrize("n", [2, 3, 6, 30])
def test_e_is_the_ratio_of_the_densities_of_t_with_an_effect_and_without(n: int) -> None:
    """By numerical integration of the noncentral t density over effects of N(0, g)."""
    x = np.random.default_rng(n).normal(0.4, 1, n)
    t = float(stats.ttest_1samp(x, 0.1).statistic)

    def joint(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect, 0, math.sqrt(G)))

    expected = quad(joint, -6, 6, limit=200)[0] / stats.t.pdf(t, n - 1)
    assert t_e_values(x, 0.1)[-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 1), (10, 0), (7, 9)])
def test_e_of_signs_is_the_ratio_of_a_uniform_share_to_a_half(a: int, b: int) -> None:
    expected = quad(lambda share: share**a * (1 - share) ** b, 0, 1)[0] * 2 ** (a + b)
    sides = np.array([True] * a + [False] * b, dtype=bool)
    assert [1.0, *sign_e_values(np.cumsum(sides), np.cumsum(~sides))][-1] == pytest.approx(expected)


@given(values=NUMBERS, bound=st.floats(-1, 1), factor=st.floats(0.01, 100))
def test_units_and_mirror_images_change_nothing(values: Array, bound: float, factor: float) -> None:
    values = values + np.linspace(0, 0.1, len(values))
    e = t_e_values(values, bound)
    assert t_e_values(factor * values, factor * bound) == pytest.approx(e, rel=1e-6)
    assert t_e_values(-values, -bound) == pytest.approx(e, rel=1e-9)
    assert t_e_values(values, bound)[:-1] == pytest.approx(t_e_values(values[:-1], bound), rel=1e-9)


@given(values=NUMBERS, bound=st.floats(-1, 1), floor=st.floats(0, 2))
def test_a_floor_of_the_spread_takes_evidence_only(values: Array, bound: float, floor: float) -> None:
    assert (t_e_values(values, bound, floor) <= t_e_values(values, bound) * (1 + 1e-9)).all()


@given(values=NUMBERS.filter(lambda v: v.std() > 0.01))
def test_the_interval_ends_where_the_evidence_reaches_one_over_alpha(values: Array) -> None:
    low, high = anytime_interval(values)
    for end in (low, high):
        if math.isfinite(end):
            assert t_e_values(values, end)[-1] == pytest.approx(1 / ALPHA, rel=1e-6)
    assert low <= values.mean() <= high
    assert math.isinf(low) == math.isinf(high)


@given(n=st.integers(2, 200), e=st.floats(1.5, 1e4))
def test_the_crossing_is_where_e_is_reached(n: int, e: float) -> None:
    t = crossing_t(n, e)
    assert crossing_p(n, e) == pytest.approx(0.0 if math.isinf(t) else 2 * stats.t.sf(t, n - 1))
    assert crossing_p(n, e) <= 1 / e  # one never decides sooner than at a fixed n


def test_equal_numbers_are_evidence_only_away_from_the_bound() -> None:
    assert t_e_values(np.full(5, 0.5), 0.5) == pytest.approx(np.exp(-np.log(1 + np.arange(1, 6) * G) / 2), abs=0.2)
    assert (t_e_values(np.full(30, 0.5), 0.0)[1:] > 1).all()
    assert np.isfinite(t_e_values(np.full(5000, 0.5), 0.0)).all()


@pytest.mark.parametrize("which", ["t", "sign"])
def test_they_are_fair_bets(which: str) -> None:
    """The mean over many experiments is 1 at any n, as far as means of such skewed numbers settle."""
    x = np.random.default_rng(1).normal(0, 1, (20_000, 6))
    last = [
        (t_e_values(row, 0.0) if which == "t" else sign_e_values(np.cumsum(row > 0), np.cumsum(row < 0)))[-1]
        for row in x
    ]
    assert np.mean(last) == pytest.approx(1, abs=5 * np.std(last) / math.sqrt(len(last)))


@REPEATS
def test_looking_after_every_replicate_errs_in_at_most_five_percent(repeats: int) -> None:
    """Up to 200 replicates, where t at 5% each time errs in about half; claims that are decided the wrong way count."""
    repeats //= 2
    x = np.random.default_rng(2).normal(0, 1, (repeats, MOST))
    processes = [of_mean(row, 0.0) for row in x]
    crossed = sum(process.largest()[0] >= 1 / ALPHA for process in processes)
    n = np.arange(2, MOST + 1)
    sums, squares = np.cumsum(x, axis=1)[:, 1:], np.cumsum(x**2, axis=1)[:, 1:]
    t = sums / np.sqrt(n * (squares - sums**2 / n) / (n - 1))
    naive = int(np.any(2 * stats.t.sf(np.abs(t), n - 1) <= ALPHA, axis=1).sum())
    say("t at 5% after every replicate to 200, before", naive, repeats)
    at_most("e-process after every replicate to 200", crossed, repeats)
    covered = sum((1 / t_e_values(row, 0.0) > ALPHA).all() for row in x)
    assert covered == repeats - crossed
    # Below the bound, the wrong side is decided less often still.
    beyond = sum(e >= 1 / ALPHA and side > 0 for e, side, _ in (of_mean(row - 0.1, 0.0).largest() for row in x))
    at_most("supported though 0.1 sd on the other side", beyond, repeats, ALPHA / 2)


@REPEATS
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_equivalence_errs_in_at_most_five_percent_on_either_side(margin: float, repeats: int) -> None:
    """At a true difference of the margin, at which neither `within` nor `beyond` may be found in more than 5%."""
    repeats //= 4
    x = np.random.default_rng(3).normal(margin, 1, (repeats, MOST))
    largest = [of_mean(row, margin, equivalent=True).largest() for row in x]
    inside = sum(e >= 1 / ALPHA and side == 0 for e, side, _ in largest)
    outside = sum(e >= 1 / ALPHA and side != 0 for e, side, _ in largest)
    at_most(f"within a margin of {margin} at the margin", inside, repeats)
    at_most(f"beyond a margin of {margin} at the margin", outside, repeats)


@REPEATS
def test_signs_err_in_at_most_five_percent_of_any_distribution(repeats: int) -> None:
    x = np.random.default_rng(4).lognormal(0, 1, (repeats // 2, MOST))
    found = [of_median(row, row, 1.0).largest()[0] for row in x]
    at_most("signs after every replicate to 200, lognormal", sum(e >= 1 / ALPHA for e in found), repeats // 2)


@REPEATS
@pytest.mark.parametrize("unknown", [False, True], ids=["ties", "unknown sides"])
def test_what_lies_on_neither_side_of_a_median_is_no_evidence(unknown: bool, repeats: int) -> None:
    """The bound is the median of 0.4 above, 0.5 on it or on an unknown side, and 0.1 below; left out, it errs in most."""
    rng, most = np.random.default_rng(6), repeats // 2
    lower = rng.choice([1.0, 0.0, -1.0], p=[0.4, 0.5, 0.1], size=(most, MOST))
    upper = np.where((lower == 0) & unknown, np.inf, lower)
    lower = np.where((lower == 0) & unknown, -np.inf, lower)
    found = [of_median(low, high, 0.0).largest()[0] for low, high in zip(lower, upper, strict=True)]
    at_most("a median that is the bound", sum(e >= 1 / ALPHA for e in found), most)
    if not unknown:
        dropped = [of_median(row, row, 0.0, drop_ties=True).largest()[0] for row in lower]
        assert sum(e >= 1 / ALPHA for e in dropped) > 0.9 * most, "more do lie above than below"


def test_a_decision_is_for_the_side_that_was_first_enough() -> None:
    spread = np.resize([-0.5, 0.5, 0.0], 88)
    process = of_mean(np.where(np.arange(88) < 8, 3.0, -3.0) + spread, 0.0)
    assert process.largest()[1] == -1
    assert process.side_at(20.0) == process.side_at(float(process.e[7])) == 1
    assert process.side_at(1e200) == -1


@REPEATS
def test_seeds_multiply_and_err_in_at_most_five_percent(repeats: int) -> None:
    """Another seed is begun where the first looks well, and wherever it stands after 10."""
    repeats //= 2
    x = np.random.default_rng(5).normal(0, 1, (repeats, 60))
    found = []
    for row in x:
        first = of_mean(row[:10], 0.0)
        good = np.flatnonzero(first.e[1:] > 3)
        first = of_mean(row[: good[0] + 2 if len(good) else 10], 0.0)
        found.append(first.then(of_mean(row[10:], 0.0)).largest()[0])
    at_most("two seeds", sum(e >= 1 / ALPHA for e in found), repeats)


def test_seeds_that_disagree_are_no_evidence_together() -> None:
    x = np.random.default_rng(6).normal(0.7, 1, 12)
    one, same, other = of_mean(x, 0.0), of_mean(x[::-1], 0.0), of_mean(-x, 0.0)
    assert one.then(same).e[-1] == pytest.approx(one.e[-1] * same.e[-1])
    assert one.then(other).largest()[0] == pytest.approx(max(one.e))


@REPEATS
@pytest.mark.parametrize(("effect", "power"), [(0.7, 0.79), (1.0, 0.99)])
def test_what_is_decided_by_30_replicates(effect: float, power: float, repeats: int) -> None:
    x = np.random.default_rng(7).normal(effect, 1, (repeats, 30))
    decided = sum(of_mean(row, 0.0).largest()[0] >= 1 / ALPHA for row in x)
    at_once = np.sum(stats.ttest_1samp(x, 0.0, axis=1).pvalue <= ALPHA)
    say(f"{effect} sd by 30 replicates, e-process", decided, repeats)
    say(f"{effect} sd by 30 replicates, t at once", int(at_once), repeats)
    assert decided / repeats == pytest.approx(power, abs=0.02 + 3 * math.sqrt(power * (1 - power) / repeats))
    assert t_test.power(30, effect, ALPHA / 2) > decided / repeats - 0.05
