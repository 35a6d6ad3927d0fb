"""The number of a claim in each replicate: a weighted sum over conditions, or where the best level of a factor lies.

**Shape**: `R` replicates, `C` conditions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Weights and products are rounded: a sum that is so few units in the last place of its terms from a number is that number.
ROUNDED = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric of some conditions in every replicate planned.

    Attributes:
        conditions: the `condition_id` of each column.
        value_RC: the metric, NaN where a run has none.
        beyond_RC: of a run that never got to its loss or accuracy, what it took at least; NaN for all others.
        diverged_RC: whether the run diverged.
        worst: the value of a diverged run as the worst possible one, infinite; NaN where neither more nor less is better.

    """

    conditions: Sequence[str]
    value_RC: Floats
    beyond_RC: Floats
    diverged_RC: Bools
    worst: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The number of each replicate, or the bounds it lies between where some of its runs are censored.

    Attributes:
        whole: which replicates have all the runs that the number needs.
        lower, upper: bounds of the number of each whole replicate; they are equal where it is known.
        at_edge: number of replicates whose best level is the first or the last.
        censored: whether a replicate was left out because a run never got to its loss or accuracy.
        diverged: whether one was left out because a run diverged.

    """

    whole: Bools
    lower: Floats
    upper: Floats
    at_edge: int = 0
    censored: bool = False
    diverged: bool = False


class ReplicateNumber(Protocol):
    """How the metric of some conditions becomes one number per replicate."""

    @property
    def conditions(self) -> frozenset[str]:
        """The `condition_id` of every condition it needs."""

    def numbers(self, measured: Measured, bound: float, *, bounded: bool) -> Numbers:
        """Return the numbers; `bounded` says that a claim is of the median: runs may leave bounds of one, or an infinite one."""

    def least_spread(self, steps: Mapping[str, float], n: int) -> float:
        """Return the least sd that n replicates are credited with, given what the metric moves by in each condition."""


@dataclass(frozen=True, kw_only=True)
class WeightedSum:
    """sum_c weight_c metric_c over conditions, with the weight of each `condition_id`."""

    weights: Mapping[str, float]

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions with a weight."""
        return frozenset(self.weights)

    def weights_of(self, conditions: Sequence[str]) -> Floats:
        """Return the weights in an order of conditions."""
        return np.array([self.weights[c] for c in conditions])

    def numbers(self, measured: Measured, bound: float, *, bounded: bool) -> Numbers:
        """Return the sum of each replicate whose runs all have a value, or, if `bounded`, at least a lower bound of one.

        If `bounded`, a diverged run has the worst possible value: the sum is infinite, and may be any number where such
        values stand on both sides of it.
        """
        lost = measured.diverged_RC & np.isnan(measured.value_RC)
        counts_as_worst = bounded and not math.isnan(measured.worst)
        lacking = np.isnan(measured.value_RC) & ~(bounded & ~np.isnan(measured.beyond_RC)) & ~(lost & counts_as_worst)
        whole: Bools = ~np.asarray(lacking.any(axis=1))
        weights_C = self.weights_of(measured.conditions)
        known = np.where(lost & counts_as_worst, 0.0, measured.value_RC)
        lower, upper = sum_bounds(known[whole], measured.beyond_RC[whole], weights_C, bound)
        if counts_as_worst:
            raises = weights_C * np.sign(measured.worst) > 0
            up, down = ((lost & side)[whole].any(axis=1) for side in (raises, ~raises))
            lower = np.where(down, -np.inf, np.where(up, np.inf, lower))
            upper = np.where(up, np.inf, np.where(down, -np.inf, upper))
        return Numbers(
            whole=whole,
            lower=lower,
            upper=upper,
            censored=bool((~np.isnan(measured.beyond_RC)).any()),
            diverged=bool(lost.any()) and not counts_as_worst,
        )

    def reach(self, span: tuple[float, float]) -> float:
        """Return the largest size of the sum of values that lie in a finite span."""
        ends = [[w * (high if w > 0 else low) for w in self.weights.values()] for low, high in (span, span[::-1])]
        return max(abs(_exact_sum(of_end)) for of_end in ends)

    def least_spread(self, steps: Mapping[str, float], n: int) -> float:
        """Return what the coarsest step in one condition moves the sum by."""
        return max((abs(w) * steps[c] for c, w in self.weights.items()), default=0.0)


def sum_bounds(table_RC: Floats, beyond_RC: Floats, weights_C: Floats, bound: float) -> tuple[Floats, Floats]:
    """Return lower and upper bound of each replicate's sum over conditions; they are equal where it is known.

    A run that was trained for L steps and never got there needs t > L of them; more is not known. Then a claim's number
    x = sum_c w_c t_c lies between

        lower = sum_c w_c a_c,    a_c = L_c where w_c > 0, and infinity where w_c < 0,
        upper = sum_c w_c b_c,    b_c = infinity where w_c > 0, and L_c where w_c < 0,

    with a_c = b_c = t_c of the runs that got there: strictly between, as each t is above its L. L = 20, against a run that
    took 12: x lies above 8. Where neither got there, x may be any number.

    `table_RC` is NaN where a run never got there, and `beyond_RC` then what it took at least, in the metric's unit. No
    weight is 0. Sums that only rounding tells from 0, or from the bound that they are tested against (or its negative), are
    that number: else replicates that tie would all count for one side.
    """
    censored = np.isnan(table_RC)
    if not censored.any():
        sums = _sums(weights_C, table_RC, bound)
        return sums, sums
    least = np.where(censored, beyond_RC, table_RC)
    most = np.where(censored, np.inf, table_RC)
    return (
        _sums(weights_C, np.where(weights_C > 0, least, most), bound),
        _sums(weights_C, np.where(weights_C > 0, most, least), bound),
    )


def _exact_sum(numbers: Sequence[float]) -> float:
    """Return the rounded exact sum, NaN where it is beyond the range of numbers."""
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):
        return math.nan


def _sums(weights_C: Floats, table_RC: Floats, bound: float) -> Floats:
    products = weights_C * table_RC
    # math.fsum is exact, so that neither the order of rows nor of conditions moves a bit of the estimate.
    sums = np.array([_exact_sum(row) for row in products.tolist()], dtype=float)
    sizes = np.abs(products).sum(axis=1)
    for number in (0.0, bound, -bound):
        if math.isfinite(number):
            near = np.isfinite(sums) & (np.abs(sums - number) <= ROUNDED * (sizes + abs(number)))
            sums[near] = number
    return sums


@dataclass(frozen=True, kw_only=True)
class BestPlace:
    """The place of the best level of a factor on one side minus its place on the other, counted in levels.

    Each side has for every level, in order, the weights of the conditions that are averaged; `better` says which metric is
    best.
    """

    sides: tuple[Sequence[Mapping[str, float]], Sequence[Mapping[str, float]]]
    better: Literal["higher", "lower"]

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions of both sides."""
        return frozenset(c for side in self.sides for shares in side for c in shares)

    def numbers(self, measured: Measured, bound: float, *, bounded: bool) -> Numbers:
        """Return the difference of places in each replicate.

        A run that diverged, or never came to the loss, is not the best one, whatever the others are.
        """
        ruled_out = measured.diverged_RC | ~np.isnan(measured.beyond_RC)
        whole: Bools = ~np.asarray((np.isnan(measured.value_RC) & ~ruled_out).any(axis=1))
        places = [self._place(side, measured) for side in self.sides]
        whole &= ~np.isnan(places).any(axis=0)
        differences = (places[0] - places[1])[whole]
        ends = (0, len(self.sides[0]) - 1)
        at_edge = int(np.isin(np.array(places)[:, whole], ends).any(axis=0).sum())
        return Numbers(whole=whole, lower=differences, upper=differences, at_edge=at_edge)

    def _place(self, side: Sequence[Mapping[str, float]], measured: Measured) -> Floats:
        """Return in each replicate the place of the best level, from 0; the mean place of those that tie."""
        column = {c: i for i, c in enumerate(measured.conditions)}
        sign = 1.0 if self.better == "higher" else -1.0
        levels = np.array([sum(w * sign * measured.value_RC[:, column[c]] for c, w in s.items()) for s in side])
        levels = np.where(np.isnan(levels), -np.inf, levels)
        best = (levels == levels.max(axis=0)) & np.isfinite(levels)
        with np.errstate(invalid="ignore"):
            place: Floats = (best * np.arange(len(side))[:, None]).sum(axis=0) / best.sum(axis=0)
        return place

    def least_spread(self, steps: Mapping[str, float], n: int) -> float:
        """Return the sd of one replicate in n whose place is off by one."""
        return 1 / math.sqrt(n)


@dataclass(frozen=True, kw_only=True)
class FailureDifference:
    """The share of a side's runs that fail in a replicate minus that of the other: of single conditions 1, 0 or -1.

    A run fails that diverges, that never comes to the loss or accuracy that the metric counts up to, or whose metric is worse than
    `worse_than`. Each side has the weights of its conditions.
    """

    sides: tuple[Mapping[str, float], Mapping[str, float]]
    worse_than: float | None
    better: Literal["higher", "lower"]

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions of both sides."""
        return frozenset(c for side in self.sides for c in side)

    def numbers(self, measured: Measured, bound: float, *, bounded: bool) -> Numbers:
        """Return the difference in each replicate whose runs all ended."""
        failed = measured.diverged_RC | ~np.isnan(measured.beyond_RC)
        whole: Bools = ~np.asarray((np.isnan(measured.value_RC) & ~failed).any(axis=1))
        if self.worse_than is not None:
            value, limit = measured.value_RC, self.worse_than
            failed = failed | (value < limit if self.better == "higher" else value > limit)
        weights_C = np.array([self.sides[0].get(c, 0.0) - self.sides[1].get(c, 0.0) for c in measured.conditions])
        differences = _sums(weights_C, failed[whole].astype(float), 0.0)
        return Numbers(whole=whole, lower=differences, upper=differences)

    def least_spread(self, steps: Mapping[str, float], n: int) -> float:
        """Return the sd of one replicate in n that differs by one."""
        return 1 / math.sqrt(n)
