"""The levels of interim analyses: what t tests spend at them, and the shares that claims have and leave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr, ndtri

from mlpbench.evidence.statistics.alpha_spending import schedule, share_out, spent
from mlpbench.evidence.statistics.t_boundary import nominal_levels
from mlpbench.evidence.statistics.t_test import ALPHA, holm

Array = np.ndarray[Any, Any]


def t_of_paths(rng: np.random.Generator, at: Sequence[int], paths: int) -> Array:
    """Return t of the first n of normal numbers, (analyses, paths)."""
    x = rng.normal(size=(paths, at[-1]))
    return np.array([x[:, :n].mean(axis=1) / x[:, :n].std(axis=1, ddof=1) * math.sqrt(n) for n in at])


@pytest.mark.parametrize(
    ("at", "level"),
    [
        ((5, 8, 12, 18, 30), ALPHA),
        ((5, 8), ALPHA),
        ((3, 5, 8), ALPHA / 3),
        pytest.param((2, 4, 6, 9, 14, 21, 32, 48, 60), ALPHA, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("sides", [1, 2])
def test_each_analysis_spends_what_it_may(at: tuple[int, ...], level: float, sides: int) -> None:
    """Counted over paths, within four binomial errors and what the lattice may miss it by; of one-sided p a little less."""
    paths = 40_000
    t = t_of_paths(np.random.default_rng(1), at, paths)
    open_paths = np.ones(paths, dtype=bool)
    for t_n, n, p, share in zip(t, at, nominal_levels(at, level), spent(at, level), strict=True):
        decided = open_paths & (sides * stats.t.sf(np.abs(t_n) if sides == 2 else t_n, n - 1) <= p)
        assert decided.sum() == pytest.approx(paths * share, abs=4 * math.sqrt(paths * share) + 0.03 * paths * share)
        open_paths &= ~decided


def normal_levels(at: Sequence[int], level: float) -> list[float]:
    """Return the one-sided nominal levels of a mean with known variance, by numerical integration from look to look.

    Reference: Armitage, McPherson and Rowe, Repeated Significance Tests on Accumulating Data, 1969.
    """
    from scipy.optimize import brentq

    points, weights = np.polynomial.legendre.leggauss(80)
    levels, lowest = [spent(at, level)[0]], -8.0
    top = -float(ndtri(levels[0]))
    z = lowest + (points + 1) / 2 * (top - lowest)
    density = stats.norm.pdf(z) * weights * (top - lowest) / 2
    for (n, more), share in zip(itertools.pairwise(at), spent(at, level)[1:], strict=True):
        r = math.sqrt(n / more)
        rest = math.sqrt(1 - r * r)

        def too_much(b: float, r: float = r, z: Array = z, of: Array = density, share: float = share) -> float:
            return float(ndtr((r * z - b) / math.sqrt(1 - r * r)) @ of - share)

        top = float(brentq(too_much, 0, 9))
        levels.append(float(ndtr(-top)))
        new = lowest + (points + 1) / 2 * (top - lowest)
        density = stats.norm.pdf((new[:, None] - r * z) / rest) / rest @ density * weights * (top - lowest) / 2
        z = new
    return levels


@pytest.mark.parametrize("level", [0.025, 0.001])
def test_with_many_replicates_levels_are_those_of_a_known_variance(level: float) -> None:
    at = (4000, 6000, 9000, 14_000, 20_000)
    assert [p / 2 for p in nominal_levels(at, 2 * level)] == pytest.approx(
        normal_levels(at, level), rel=0.01, abs=0.003 * level
    )


@settings(max_examples=25)
@given(
    first=st.integers(2, 20),
    more=st.integers(1, 60),
    level=st.floats(1e-5, 0.05),
)
def test_a_nominal_level_is_at_least_what_is_spent_and_at_most_what_has_been(
    first: int, more: int, level: float
) -> None:
    at = tuple(schedule(first, first + more))
    levels, shares = np.array(nominal_levels(at, level)), np.array(spent(at, level))
    assert (levels >= shares * (1 - 1e-9)).all()
    assert (levels <= np.cumsum(shares) * (1 + 1e-9)).all()
    assert levels[0] == pytest.approx(shares[0])


@given(number=st.integers(0, 4), few=st.integers(1, 20), more=st.integers(1, 20))
def test_a_larger_share_has_larger_levels_at_every_analysis(number: int, few: int, more: int) -> None:
    """The graphical procedure asks for it."""
    at = (5, 8, 12, 18, 30)
    small, large = (nominal_levels(at, ALPHA / m)[number] for m in (few + more, few))
    assert small < large


P = st.floats(1e-6, 1.0)


@given(p=st.lists(st.one_of(P, st.just(math.nan)), max_size=8))
def test_at_a_single_analysis_shares_are_those_of_holm(p: list[float]) -> None:
    corrected = share_out(p, lambda _i, level: level, len(p))
    by_holm = holm(p)
    assert [c <= ALPHA for c in corrected] == [h <= ALPHA for h in by_holm]
    for c, h in zip(corrected, by_holm, strict=True):
        if h <= ALPHA:
            assert c == pytest.approx(h)
        assert math.isnan(c) == math.isnan(h)


@given(
    p=st.lists(P, min_size=1, max_size=5),
    number=st.integers(0, 2),
    union=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_claims_are_decided_just_where_every_set_of_claims_that_has_them_is_rejected(
    p: list[float], number: int, union: list[bool]
) -> None:
    """The closed test: a set of k claims is rejected where one of its p is within the nominal level of a k-th of 5%.

    Reference: Marcus, Peritz and Gabriel, On Closed Testing Procedures with Special Reference to Ordered Analysis of Variance, 1976.
    """
    at = (5, 8, 12)

    def nominal(i: int, level: float) -> float:
        return (spent(at, level) if union[i] else nominal_levels(at, level))[number]

    def rejected(members: tuple[int, ...]) -> bool:
        return any(p[i] <= nominal(i, ALPHA / len(members)) for i in members)

    claims = range(len(p))
    sets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(claims, k)]
    closed = [all(rejected(s) for s in sets if i in s) for i in claims]
    assert [c <= ALPHA for c in share_out(p, nominal, len(p))] == closed
