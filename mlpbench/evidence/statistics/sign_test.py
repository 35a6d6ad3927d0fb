"""The median of the replicates: the sign test against a bound, an interval by order statistics, and what would decide.

Nothing is asked of the shape of the distribution, so that it holds for skewed metrics too. All of it is binomial: of
n independent replicates, the number above the true median is Binomial(n, 1/2).

Where a run never got to a loss or an accuracy, a number is not known but lies between two bounds (see `sum_bounds` in
`experiment.claims.replicate_numbers`): `values` are the lower ones and `upper` the upper ones; where the two differ it lies
strictly between them. Sides, median and order statistics follow from the bounds as far as they do: what is said of them is true of
whatever training on, at the rates it was at, would have found.

Reference: Woolson and Lachenbruch, Rank Tests for Censored Matched Pairs, 1980, of tests on differences that are censored.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc, betaincinv

from mlpbench.evidence.statistics.t_test import smallest_enough

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
HALF = 0.5
# What is known of the median: itself, or a bound of it.
EstimateIs = Literal["", "at least", "at most"]


def known_sides(values: Floats, bound: float, upper: Floats | None = None) -> tuple[Bools, Bools, Bools]:
    """Return which values are known to lie above a bound, which below, and which to equal it."""
    upper = values if upper is None else upper
    within = values < upper  # strictly, so that a lower end on the bound itself leaves the number above it
    above = (values > bound) | (within & (values == bound))
    below = (upper < bound) | (within & (upper == bound))
    return above, below, (values == bound) & (upper == bound)


def count_sides(values: Floats, bound: float, upper: Floats | None = None) -> tuple[int, int]:
    """Return how many values are known to lie above a bound and how many below."""
    above, below, _ = known_sides(values, bound, upper)
    return int(above.sum()), int(below.sum())


def count_ties(values: Floats, bound: float, upper: Floats | None = None) -> int:
    """Return how many values are known to equal the bound."""
    return int(known_sides(values, bound, upper)[2].sum())


def sign_test(values: Floats, bound: float, upper: Floats | None = None, *, drop_ties: bool = False) -> float:
    """Return the two-sided p of the exact test of one of two nulls, which differ where values may equal the bound.

    The median is the bound: no more than half lie above it, and no more than half below. p = min(1, 2 P(X >= k)), X ~
    Binomial(n, 1/2), with k the larger of the numbers above and below. Values equal to the bound count in n.

    As many lie above as below, P(x > bound) = P(x < bound), as where two conditions are alike: `drop_ties` leaves values that
    equal the bound out of n, as given how many there are, the others are Binomial with chance 1/2.

    A value on an unknown side of the bound counts in n and for neither side, so that p is never too small. Without ties and
    such values both are the p of scipy's `binomtest`.

    >>> values = np.array([0.4, 0.1, 0.3, 0.2, 0.6, 0.1, 0.0, 0.0])
    >>> [round(sign_test(values, bound=0.0, drop_ties=drop_ties), 4) for drop_ties in (False, True)]
    [0.2891, 0.0312]

    Reference: Conover, Practical Nonparametric Statistics, 1999, section 3.4; of ties Dixon and Mood, The Statistical Sign
    Test, 1946.
    """
    n, most = len(values), max(count_sides(values, bound, upper))
    n -= count_ties(values, bound, upper) if drop_ties else 0
    return min(1.0, 2 * _at_least(most, n, HALF))


def one_sided(lower: Floats, upper: Floats, ends: tuple[float, float]) -> float:
    """Return the larger p of the two one-sided tests of a median that is at most the lower end, or at least the upper one.

    >>> values = np.array([0.4, 0.5, 0.3, 0.4, 0.6, 0.5])
    >>> round(one_sided(values, values, (0.2, 0.7)), 4)
    0.0156
    """
    (above, _), (_, below) = (count_sides(lower, end, upper) for end in ends)
    return max(_at_least(k, len(lower), HALF) for k in (above, below))


def _at_least(k: int, n: int, chance: float) -> float:
    """Return P(X >= k) of X ~ Binomial(n, chance)."""
    return 1.0 if k < 1 else float(bdtrc(k - 1, n, chance))


def median_places(n: int, level: float) -> tuple[int, float]:
    """Return k of the narrowest interval (x_(k), x_(n+1-k)) that covers the median with `level` at least, and its coverage.

    coverage = 1 - 2 P(X <= k - 1), X ~ Binomial(n, 1/2); k is 0 where n is too small for any.

    >>> median_places(10, 0.95)
    (2, 0.978515625)

    Reference: Thompson, On Confidence Ranges for the Median, 1936.
    """
    place, covers = 0, 1.0
    while 2 * (place + 1) <= n and 1 - 2 * float(bdtr(place, n, HALF)) >= level:
        place += 1
        covers = 1 - 2 * float(bdtr(place - 1, n, HALF))
    return place, covers


def median_interval(values: Floats, level: float, upper: Floats | None = None) -> tuple[float, float] | None:
    """Return the interval of `median_places`, None where there are too few values for one.

    It goes from x_(k) of the lower bounds to x_(n+1-k) of the upper ones, either of which may be infinite: each is on the
    outer side of the one of the numbers themselves.
    """
    place, _ = median_places(len(values), level)
    if place == 0:
        return None
    high = values if upper is None else upper
    return float(np.sort(values)[place - 1]), float(np.sort(high)[len(values) - place])


def censored_median(lower: Floats, upper: Floats, bound: float) -> tuple[float, EstimateIs]:
    """Return the median, or what is known of it: that it is at least a number or at most one; NaN where it may be any.

    Where it is known to lie between two numbers, the one is returned that is on the side of `bound` where more replicates
    are known to lie.
    """
    with np.errstate(invalid="ignore"):  # between the two infinities lies any number
        low, high = float(np.median(lower)), float(np.median(upper))
    if low == high and math.isfinite(low):
        return low, ""
    above, below = count_sides(lower, bound, upper)
    if math.isfinite(low) and (above >= below or math.isinf(high)):
        return low, "at least"
    return (high, "at most") if math.isfinite(high) else (math.nan, "")


def least_on_one_side(n: int, level: float) -> int:
    """Return how many of n replicates must lie on one side for a p of at most `level`; n + 1 where all are too few.

    >>> [least_on_one_side(n, 0.05) for n in (5, 6, 10)]
    [6, 6, 9]
    """
    low, high = n // 2 + 1, n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if 2 * _at_least(middle, n, HALF) <= level else (middle + 1, high)
    return low


def detectable_share(n: int, level: float, wanted: float) -> float:
    """Return the share of replicates above a bound at which the test has power `wanted`; 1 where n are too few for any p.

    P(X >= k) of X ~ Binomial(n, share) is the incomplete beta function I_share(k, n - k + 1).
    """
    k = least_on_one_side(n, level)
    return 1.0 if k > n else float(betaincinv(k, n - k + 1, wanted))


def more_needed(n: int, share: float, level: float, wanted: float, most: int) -> int | None:
    """Return the smallest number above n at which the test has power `wanted`, were so large a share on the larger side.

    None where that is more than `most`. Power goes up and down by a little with n, as the test's own level does; the number
    found is one from which it has been reached.
    """
    if share <= HALF:
        return None

    def enough(k: int) -> bool:
        least = least_on_one_side(k, level)
        return least <= k and _at_least(least, k, share) >= wanted

    return smallest_enough(n, enough, most)
