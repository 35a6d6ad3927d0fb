"""The number of a claim in each replicate, or on each data set.

A replicate counts where every run it needs has a value; of the others it is said what they lack. The number of a data set is the mean
over its replicates that count; one without any is left out.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.data.dataset import DataFacts
from mlpbench.evidence.estimates.observe import DIVERGED, OK, MetricValues, accuracy_step, metric_values
from mlpbench.evidence.estimates.overlap import largest_overlap
from mlpbench.evidence.frames import with_finite
from mlpbench.evidence.judging.draws import measured_apart
from mlpbench.evidence.statistics.effect_sizes import Sizes, sizes_of, standard_deviation
from mlpbench.evidence.statistics.sign_test import count_sides
from mlpbench.evidence.statistics.t_test import Sample
from mlpbench.experiment import shift_spec
from mlpbench.experiment.claims.hypothesis import Hypothesis, LargestVariance
from mlpbench.experiment.claims.replicate_numbers import ROUNDED, Measured, ReplicateNumber, WeightedSum
from mlpbench.experiment.drawn_streams import are_one_draw
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.plan import curve_steps
from mlpbench.experiment.spec import Experiment

Floats = npt.NDArray[np.float64]
# Units of metrics that count: they move by whole units, see `_steps`.
COUNTED = ("0 or 1", "units")

OF_CURVES = (metric_names.reaches, metric_names.late, shift_spec.measured)

# The table, or what reads it: all of it, or that of some runs.
Curves = pd.DataFrame | Callable[[Sequence[str] | None], pd.DataFrame]


def read_curves(curves: Curves, run_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of curves; where it is still to be read, that of some runs."""
    return with_finite(curves if isinstance(curves, pd.DataFrame) else curves(run_ids), ["loss", "accuracy"])


def points_of(hypotheses: Sequence[Hypothesis], observed: pd.DataFrame, curves: Curves) -> pd.DataFrame:
    """Return the curves of the runs that claims on metrics of curves rest on; nothing where there are no such claims."""
    of_curves = [h for h in hypotheses if any(parse(metric_names.plain(h.metric)) for parse in OF_CURVES)]
    needed = {c for h in of_curves for c in h.conditions}
    run_ids = observed.loc[observed["condition_id"].isin(needed), "run_id"]
    return read_curves(curves, list(run_ids)) if needed else pd.DataFrame()


@dataclass(frozen=True, kw_only=True)
class OnDataSet:
    """A claim's number on one data set: the mean over n complete replicates of those planned, and their standard deviation.

    Replicates that are one draw are one. `least_spread` is the least one that they are credited with, `overlap` how far they are from
    independent (`estimates.overlap`). Where runs were censored or diverged the mean may be NaN.
    """

    name: str
    n: int
    planned: int
    mean: float
    sd: float
    least_spread: float = 0.0
    overlap: float = 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean; NaN of fewer than two replicates."""
        if self.n < 2:
            return math.nan
        return Sample(n=self.n, mean=self.mean, sd=max(self.sd, self.least_spread), overlap=self.overlap).error


@dataclass(frozen=True, kw_only=True)
class UnitNumbers:
    """The number of a claim in each complete replicate, or on each data set, that its verdict rests on.

    Attributes:
        lower, upper: the bounds it lies between, equal where it is known.
        minuend, subtrahend: where the number is a difference of two means over conditions, these means; else empty. They are NaN
            where a run never got to its loss or accuracy.

    """

    lower: Sequence[float] = ()
    upper: Sequence[float] = ()
    minuend: Sequence[float] = ()
    subtrahend: Sequence[float] = ()

    @property
    def known(self) -> Sequence[float]:
        """The numbers that are known and finite."""
        return [low for low, high in zip(self.lower, self.upper, strict=True) if low == high and math.isfinite(low)]


@dataclass(frozen=True, kw_only=True)
class ClaimValues:
    """The claim's number in each complete replicate, how many were planned, and why others were left out.

    **Shape**: R complete replicates, C conditions the claim needs.

    Attributes:
        complete, lower, upper: the number of each replicate, and the bounds it lies between. They are equal but for a
            claim about the median in which runs never got to a loss or accuracy, or diverged: `complete` is NaN there.
        planned: number of planned replicates.
        left_out: number of replicates without a value, by why and by position of the condition.
        censored: whether some were left out because a run never got to its loss or accuracy.
        least_spread: the least standard deviation that the replicates are credited with.
        overlap: how far they are from independent (`estimates.overlap`).
        conditions: the `condition_id` of each column.
        data: the facts of each of their data sets, once.
        table, run_ids: the metric and the run of each replicate and condition, (R, C).
        replicates: which replicates these are.
        at_edge: number of replicates whose best level is the first or the last one.
        is_one_draw: whether the replicates differ in no random stream that their runs draw from.
        together: number of replicates left out because the measurement of another is theirs.
        diverged: whether some were left out because a run diverged.
        worst: in how many a diverged run counts as the worst possible value.
        diverged_sides: of a weighted sum, for the conditions with a positive weight and for those with a negative one,
            whether a run of theirs diverged in each replicate of which no run is missing.
        datasets: where the data set is the unit, what there is on each, also on those that are left out; what stands above of
            replicates is then said of data sets, but for `left_out`.

    """

    complete: Floats
    lower: Floats
    upper: Floats
    planned: int
    left_out: Mapping[tuple[str, int], int]
    censored: bool
    least_spread: float
    conditions: Sequence[str]
    data: Sequence[DataFacts]
    table: Floats
    run_ids: npt.NDArray[Any]
    replicates: npt.NDArray[np.int64]
    at_edge: int = 0
    is_one_draw: bool = False
    together: int = 0
    diverged: bool = False
    worst: int = 0
    diverged_sides: Sequence[npt.NDArray[np.bool_]] = ()
    datasets: Sequence[OnDataSet] = ()
    overlap: float = 0.0

    @property
    def replicates_planned(self) -> int:
        """The number of planned replicates, of each data set where that is the unit."""
        return max(d.planned for d in self.datasets) if self.datasets else self.planned

    @property
    def sample(self) -> Sample:
        """The complete replicates, summed up for a t test; there must be one."""
        mean, n = float(self.complete.mean()), len(self.complete)
        return Sample(n=n, mean=mean, sd=self.tested_sd, overlap=self.overlap)

    @property
    def sd(self) -> float:
        """The standard deviation of the complete replicates, exactly 0 where all are equal."""
        return standard_deviation(self.complete)

    @property
    def tested_sd(self) -> float:
        """The standard deviation that a t test takes: `least_spread` at least."""
        return max(self.sd, self.least_spread)

    @property
    def unknown(self) -> int:
        """In how many replicates only bounds of the number are known."""
        return int((self.lower < self.upper).sum())

    def one_by_one(self, hypothesis: Hypothesis) -> UnitNumbers:
        """Return the numbers that a verdict rests on, and the two means that each is a difference of, where it is one."""
        lower, upper = self.lower.tolist(), self.upper.tolist()
        if isinstance(hypothesis.test, LargestVariance):
            return UnitNumbers()
        if self.datasets or not isinstance(hypothesis.number, WeightedSum):
            return UnitNumbers(lower=lower, upper=upper)
        weights_C = hypothesis.number.weights_of(self.conditions)
        sides = [weights_C.clip(min=0.0), (-weights_C).clip(min=0.0)]
        if not all(math.isclose(side.sum(), 1.0) for side in sides):
            return UnitNumbers(lower=lower, upper=upper)
        means = [(self.table[:, side > 0] @ side[side > 0]).tolist() for side in sides]
        return UnitNumbers(lower=lower, upper=upper, minuend=means[0], subtrahend=means[1])

    def known_sizes(self, *, compared: bool) -> Sizes:
        """Return spread, middle and who was ahead how often, as far as that is known."""
        if not np.isnan(self.complete).any():
            sizes = sizes_of(self.complete, self.tested_sd, compared=compared)
            return replace(sizes, effect=None)  # Hedges' g is of the mean, which may lie on the other side
        above, below = count_sides(self.lower, 0.0, self.upper)
        ties = int((self.complete == 0).sum())
        if not compared or above + below + ties < len(self.complete):
            return Sizes()
        return Sizes(wins=above, ties=ties)


def values_of(
    hypothesis: Hypothesis,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
) -> list[ClaimValues]:
    """Return the values of a claim's number, and then of each of its steps.

    `observed` has a row for every planned run, in the order of the grid.
    """
    positions = hypothesis.positions(conditions)
    columns = ["run_id", "status", *({metric_names.plain(hypothesis.metric)} & set(observed.columns))]
    runs = observed.loc[observed["position"].isin(positions), columns]
    needed = _NeededRuns(
        hypothesis=hypothesis,
        experiment=experiment,
        positions=np.array(positions),
        conditions=[conditions[i] for i in positions],
        run_ids=runs["run_id"].to_numpy(dtype=object),
        status=runs["status"].to_numpy(dtype=object),
        values=metric_values(runs, curves, hypothesis.metric),
    )
    if hypothesis.datasets:
        names = [of.name for of in hypothesis.datasets]
        numbers = [(of.number, *of.steps) for of in hypothesis.datasets]
        bounds = [hypothesis.bound, *[0.0] * len(hypothesis.steps)]
        return [
            over_datasets(names, [needed.values_of(number, bound) for number in each], (bound, hypothesis.centre))
            for each, bound in zip(zip(*numbers, strict=True), bounds, strict=True)
        ]
    return [
        needed.values_of(hypothesis.number, hypothesis.bound),
        *(needed.values_of(step.number, 0.0) for step in hypothesis.steps),
    ]


def over_datasets(names: Sequence[str], each: Sequence[ClaimValues], near: Sequence[float]) -> ClaimValues:
    """Return the values of a claim over data sets: of each the mean over its complete replicates.

    Args:
        names: the data sets.
        each: the values of the claim's number on each.
        near: numbers that means equal which only rounding tells from them.

    """
    there = [v for v in each if len(v.complete)]
    lower = np.array([_mean(v.lower, -math.inf, near) for v in there])
    upper = np.array([_mean(v.upper, math.inf, near) for v in there])
    sides = max((len(v.diverged_sides) for v in each), default=0)
    return ClaimValues(
        complete=np.where((lower < upper) | np.isinf(lower), np.nan, lower),
        lower=lower,
        upper=upper,
        planned=len(each),
        left_out=sum((Counter(v.left_out) for v in each), Counter()),
        censored=any(v.censored for v in each),
        least_spread=max((v.least_spread / math.sqrt(len(v.complete)) for v in there), default=0.0),
        conditions=[c for v in each for c in v.conditions],
        data=tuple({data.fingerprint: data for v in each for data in v.data}.values()),
        table=np.empty((len(there), 0)),
        run_ids=np.empty((len(there), 0), dtype=object),
        replicates=np.flatnonzero([len(v.complete) > 0 for v in each]),
        together=sum(v.together for v in each),
        diverged=any(v.diverged for v in each),
        worst=sum(v.worst > 0 for v in each),
        diverged_sides=[
            np.array([bool(v.diverged_sides) and bool(v.diverged_sides[side].any()) for v in each])
            for side in range(sides)
        ],
        datasets=[
            OnDataSet(
                name=name,
                n=min(1, len(v.complete)) if v.is_one_draw else len(v.complete),
                planned=v.planned,
                mean=float(v.complete.mean()) if len(v.complete) else math.nan,
                sd=v.sd if len(v.complete) and not np.isnan(v.complete).any() else math.nan,
                least_spread=v.least_spread,
                overlap=v.overlap,
            )
            for name, v in zip(names, each, strict=True)
        ],
    )


def _mean(numbers: Floats, unknown: float, near: Sequence[float]) -> float:
    """Return the mean of bounds of replicates' numbers, of which an infinite one leaves nothing known; exact near some numbers."""
    infinite = numbers[np.isinf(numbers)]
    if len(infinite):
        return unknown if (infinite == unknown).any() else -unknown
    mean, largest = math.fsum(numbers.tolist()) / len(numbers), float(np.abs(numbers).max())
    close = [number for at in (0.0, *near) for number in (at, -at)]
    return next((at for at in close if abs(mean - at) <= ROUNDED * (largest + abs(at))), mean)


@dataclass(frozen=True, kw_only=True)
class _NeededRuns:
    """The runs that a claim needs, condition by condition and, within each, replicate by replicate."""

    hypothesis: Hypothesis
    experiment: Experiment
    positions: npt.NDArray[np.int64]
    conditions: Sequence[Condition]
    run_ids: npt.NDArray[Any]
    status: npt.NDArray[Any]
    values: MetricValues

    @functools.cached_property
    def diverged(self) -> npt.NDArray[np.bool_]:
        """Which runs diverged."""
        return np.asarray(self.status == DIVERGED)

    def values_of(self, number: ReplicateNumber, bound: float) -> ClaimValues:
        """Return the values of one number, which is tested against a bound."""
        hypothesis = self.hypothesis
        among = number.conditions
        its_own = [i for i, c in enumerate(self.conditions) if c.condition_id in among]
        needed = [self.conditions[i] for i in its_own]

        def rows(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return array.reshape(len(self.conditions), -1)[its_own]

        def by_replicate(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            # A row for each replicate, a column for each condition.
            return rows(array).T

        table, run_ids = by_replicate(self.values.value), by_replicate(self.run_ids)
        measured = Measured(
            conditions=[c.condition_id for c in needed],
            value_RC=table,
            beyond_RC=by_replicate(self.values.beyond),
            diverged_RC=by_replicate(self.diverged),
            worst={"higher": -math.inf, "lower": math.inf}.get(metric(hypothesis.metric).better, math.nan),
        )
        lost = measured.diverged_RC & np.isnan(table)
        numbers = number.numbers(measured, bound, bounded=hypothesis.takes_bounds)
        whole, together = numbers.whole, 0
        if metric(hypothesis.metric).source == "clock":
            apart = measured_apart(table[whole])
            numbers = replace(numbers, lower=numbers.lower[apart], upper=numbers.upper[apart])
            whole, together = np.isin(np.arange(len(table)), np.flatnonzero(whole)[apart]), int((~apart).sum())
        usable = whole & ~np.isnan(table).any(axis=1) if hypothesis.takes_bounds else whole
        own_values = MetricValues(**{name: rows(array).ravel() for name, array in vars(self.values).items()})
        return ClaimValues(
            complete=np.where((numbers.lower < numbers.upper) | np.isinf(numbers.lower), np.nan, numbers.lower),
            lower=numbers.lower,
            upper=numbers.upper,
            planned=len(table),
            left_out=_left_out(np.repeat(self.positions[its_own], len(table)), rows(self.status).ravel(), own_values),
            censored=numbers.censored,
            least_spread=number.least_spread(
                _steps(hypothesis.metric, needed, table[usable]), max(int(usable.sum()), 1)
            ),
            conditions=measured.conditions,
            data=tuple({c.data.fingerprint: c.data for c in needed}.values()),
            table=table[whole],
            run_ids=run_ids[whole],
            replicates=np.flatnonzero(whole) + self.experiment.set_aside,
            overlap=largest_overlap(hypothesis.metric, needed),
            at_edge=numbers.at_edge,
            is_one_draw=are_one_draw(hypothesis.metric, self.experiment, needed),
            together=together,
            diverged=numbers.diverged,
            worst=0 if numbers.diverged else int(lost[whole].any(axis=1).sum()),
            diverged_sides=self._diverged_sides(number, measured.conditions, lost, by_replicate(self.status)),
        )

    @staticmethod
    def _diverged_sides(
        number: ReplicateNumber, conditions: Sequence[str], lost: npt.NDArray[np.bool_], status: npt.NDArray[Any]
    ) -> Sequence[npt.NDArray[np.bool_]]:
        if not isinstance(number, WeightedSum) or not lost.any():
            return ()
        weights, seen = number.weights_of(conditions), np.isin(status, (OK, DIVERGED)).all(axis=1)
        sides = [side for side in (weights > 0, weights < 0) if side.any()]
        return [np.asarray(lost[seen][:, side].any(axis=1)) for side in sides]


def _left_out(
    position: npt.NDArray[np.int64], status: npt.NDArray[Any], values: MetricValues
) -> Counter[tuple[str, int]]:
    """Count the runs without a value, by why, a status or what a finished run lacks, and by position."""
    lacking = np.flatnonzero(np.isnan(values.value))
    why = np.where(status[lacking] == OK, np.where(values.censored[lacking], "censored", "unmeasured"), status[lacking])
    return Counter(zip(why.tolist(), position[lacking].tolist(), strict=True))


def _steps(measured: str, needed: Sequence[Condition], table: Floats) -> dict[str, float]:
    """Return the least that the metric moves by in each condition, as an sd of the replicates.

    For an accuracy: one example. Counts, steps and `diverged` are coarse, and equal in all of few replicates by luck: they
    get the sd of one replicate in n that is off by one, 1 / sqrt(n). Of a logarithm y it is what that moves y by, near its
    mean: d y = d x / (x ln 10).
    """
    n = max(len(table), 1)
    steps = {}
    name = metric_names.plain(measured)
    reaches = metric_names.reaches(name)
    for i, c in enumerate(needed):
        if metric(name).unit in COUNTED:
            step = 1 / math.sqrt(n)
        elif reaches is not None:
            apart = float(np.diff(curve_steps(c.settings)).max(initial=1))
            step = (apart if reaches.unit == "steps" else apart / c.settings.steps_per_epoch) / math.sqrt(n)
        else:
            step = accuracy_step(name, c.settings, c.data.n_test)
        if name != measured and step and len(table):
            step /= math.log(10) * 10 ** float(table[:, i].mean())
        steps[c.condition_id] = step
    return steps
