"""Bounds of a claim's numbers where runs never got to a loss or an accuracy, and of their median.

A run that was trained for L steps and never got there needs t > L of them; more is not known. Then a claim's number
x = sum_c w_c t_c is not known either, but lies between

    lower = sum_c w_c a_c,    a_c = L_c where w_c > 0, and infinity where w_c < 0,
    upper = sum_c w_c b_c,    b_c = infinity where w_c > 0, and L_c where w_c < 0,

with a_c = b_c = t_c of the runs that got there: strictly between, as each t is above its L. The signs, the median and the
order statistics of x follow as far as they do from the bounds (see `signs`): what is said of them is true of whatever
training on, at the rates it was at, would have found.

L = 20, against a run that took 12: x lies above 8. Where neither got there, x may be any number.

Reference: Woolson and Lachenbruch, Rank Tests for Censored Matched Pairs, 1980, of tests on differences that are censored.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlpbench.evidence.statistics.sign_test import signs

Floats = npt.NDArray[np.float64]
# What is known of the median: itself, or a bound of it.
Known = Literal["", "at least", "at most"]
# Weights and products are rounded: a sum that is so few units in the last place of its terms from a number is that number.
ROUNDED = 8 * float(np.finfo(np.float64).eps)


def bounds(table_RC: Floats, beyond_RC: Floats, weights_C: Floats, bound: float) -> tuple[Floats, Floats]:
    """Return lower and upper bound of each replicate's sum over conditions; they are equal where it is known.

    **Shape**: R replicates, C conditions. `table_RC` is NaN where a run never got there, and `beyond_RC` then what it took
    at least, in the metric's unit. No weight is 0. Sums that only rounding tells from 0, or from the bound that they are
    tested against (or its negative), are that number: else replicates that tie would all count for one side.
    """
    censored = np.isnan(table_RC)
    if not censored.any():
        known = _sums(weights_C, table_RC, bound)
        return known, known
    least = np.where(censored, beyond_RC, table_RC)
    most = np.where(censored, np.inf, table_RC)
    return (
        _sums(weights_C, np.where(weights_C > 0, least, most), bound),
        _sums(weights_C, np.where(weights_C > 0, most, least), bound),
    )


def _sums(weights_C: Floats, table_RC: Floats, bound: float) -> Floats:
    products = weights_C * table_RC
    # math.fsum is exact, so that neither the order of rows nor of conditions moves a bit of the estimate.
    found = np.array([math.fsum(row) for row in products.tolist()], dtype=float)
    sizes = np.abs(products).sum(axis=1)
    for number in (0.0, bound, -bound):
        if math.isfinite(number):
            near = np.isfinite(found) & (np.abs(found - number) <= ROUNDED * (sizes + abs(number)))
            found[near] = number
    return found


def median(lower: Floats, upper: Floats, bound: float) -> tuple[float, Known]:
    """Return the median, or what is known of it: that it is at least a number or at most one; NaN where it may be any.

    Where it is known to lie between two numbers, the one is returned that is on the side of `bound` where more replicates
    are known to lie.
    """
    low, high = float(np.median(lower)), float(np.median(upper))
    if low == high:
        return low, ""
    above, below = signs(lower, bound, upper)
    if math.isfinite(low) and (above >= below or math.isinf(high)):
        return low, "at least"
    return (high, "at most") if math.isfinite(high) else (math.nan, "")
