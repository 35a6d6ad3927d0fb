"""The number of a claim in each replicate: a weighted sum over conditions, or where the best level lies.

A replicate counts where every run it needs has a value; of the others it is said what they lack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import DIVERGED, KEYS, OK, accuracy_step, measure
from mlpbench.evidence.judging.reduction import Reduction
from mlpbench.evidence.statistics.censored import bounds
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.plan import curve_steps
from mlpbench.experiment.spec import Experiment

Floats = npt.NDArray[np.float64]
# Counts move by whole units: see `_least_spread`.
COUNTS = ("diverged", "dead_units", "distinct_units")


@dataclass(frozen=True, kw_only=True)
class Values:
    """The claim's number in each complete replicate, how many were planned, and why others were left out.

    `lower` and `upper` are the number itself. Of a claim about the median a replicate counts too in which a run never got to
    its loss or accuracy: they are then the bounds it lies between (see `censored`), and `complete` is NaN.

    `table` has a row for each complete replicate and a column for each condition needed, `run_ids` the runs; `at_edge`
    counts the replicates whose best level is the first or the last one.
    """

    complete: Floats
    lower: Floats
    upper: Floats
    planned: int
    left_out: Mapping[tuple[str, int], int]
    censored: bool
    least_spread: float
    table: Floats
    weights: Floats
    run_ids: npt.NDArray[Any]
    at_edge: int = 0

    @property
    def unknown(self) -> int:
        """In how many replicates only bounds of the number are known."""
        return int((self.lower < self.upper).sum())


def values_of(
    reduction: Reduction,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
) -> Values:
    """Return the numbers of a claim; `observed` has a row for every planned run, in the order of the grid."""
    positions = [i for i, c in enumerate(conditions) if c.condition_id in reduction.weights]
    needed = [conditions[i] for i in positions]
    columns = [*KEYS, *({metric_names.plain(reduction.metric)} & set(observed.columns))]
    some = observed["position"].isin(positions)
    frame = measure(observed.loc[some, columns], curves, reduction.metric)
    weights = np.array([reduction.weights[c.condition_id] for c in needed])
    # A row for each replicate, a column for each condition: `observed` has all that are planned, in this order.
    table = frame["value"].to_numpy(dtype=float).reshape(len(needed), -1).T
    run_ids = frame["run_id"].to_numpy(dtype=object).reshape(len(needed), -1).T
    lacking = frame[frame["value"].isna()]
    reason = lacking["status"].where(
        lacking["status"] != OK, lacking["censored"].map({True: "censored", False: "unmeasured"})
    )
    counts = lacking.groupby([reason.astype(str).rename("why"), "position"]).size()
    left_out = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    at_edge, censored = 0, bool(frame["censored"].any())
    if reduction.kind == "place":
        # A run that diverged, or never came to the loss, is not the best one, whatever the others are.
        ruled_out = (frame["status"] == DIVERGED).to_numpy() | frame["censored"].to_numpy(dtype=bool)
        whole = ~(np.isnan(table) & ~ruled_out.reshape(len(needed), -1).T).any(axis=1)
        places = [_place(side, reduction, needed, table) for side in reduction.sides]
        whole &= ~np.isnan(places).any(axis=0)
        complete = (places[0] - places[1])[whole]
        last = len(reduction.sides[0]) - 1
        at_edge = int(np.isin(np.array(places)[:, whole], (0, last)).any(axis=0).sum())
        censored, lower, upper, known = False, complete, complete, whole
    else:
        beyond = frame["beyond"].to_numpy(dtype=float).reshape(len(needed), -1).T
        whole = ~(np.isnan(table) & ~(reduction.median & ~np.isnan(beyond))).any(axis=1)
        lower, upper = bounds(table[whole], beyond[whole], weights, reduction.bound)
        complete = np.where(lower < upper, np.nan, lower)
        known = whole & ~np.isnan(table).any(axis=1)
    return Values(
        complete=complete,
        lower=lower,
        upper=upper,
        planned=len(table),
        left_out=left_out,
        censored=censored,
        least_spread=_least_spread(reduction, needed, experiment.data.n_test, table[known]),
        table=table[whole],
        weights=weights,
        run_ids=run_ids[whole],
        at_edge=at_edge,
    )


def _place(
    side: Sequence[Mapping[str, float]], reduction: Reduction, needed: Sequence[Condition], table: Floats
) -> Floats:
    """Return in each replicate the place of the best level, counted from 0; the mean place of those that tie."""
    column = {c.condition_id: i for i, c in enumerate(needed)}
    sign = 1.0 if reduction.better == "higher" else -1.0
    levels = np.array([sum(w * sign * table[:, column[c]] for c, w in share.items()) for share in side])
    levels = np.where(np.isnan(levels), -np.inf, levels)
    best = (levels == levels.max(axis=0)) & np.isfinite(levels)
    with np.errstate(invalid="ignore"):
        place: Floats = (best * np.arange(len(side))[:, None]).sum(axis=0) / best.sum(axis=0)
    return place


def _least_spread(reduction: Reduction, needed: Sequence[Condition], n_test: int, table: Floats) -> float:
    """Return the least standard deviation the replicates are credited with.

    For an accuracy: what one example in one condition moves the sum by. Counts, steps, places and `diverged` are coarse,
    and equal in all of few replicates by luck: they get the sd of one replicate in n that is off by one, 1 / sqrt(n). Of a
    logarithm y it is what that moves y by, near its mean: d y = d x / (x ln 10).
    """
    n = max(len(table), 1)
    if reduction.kind == "place":
        return 1 / math.sqrt(n)
    steps = []
    name = metric_names.plain(reduction.metric)
    reaches = metric_names.reaches(name)
    for i, c in enumerate(needed):
        if name in COUNTS:
            step = 1 / math.sqrt(n)
        elif reaches is not None:
            apart = float(np.diff(curve_steps(c.settings)).max(initial=1))
            step = (apart if reaches.unit == "steps" else apart / c.settings.steps_per_epoch) / math.sqrt(n)
        else:
            step = accuracy_step(name, c.settings, n_test)
        if name != reduction.metric and step and len(table):
            step /= math.log(10) * 10 ** float(table[:, i].mean())
        steps.append(abs(reduction.weights[c.condition_id]) * step)
    return max(steps, default=0.0)
