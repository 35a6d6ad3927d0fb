"""Differences between conditions, replicate by replicate, with their t intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates.observe import accuracy_step
from mlpbench.evidence.estimates.overlap import largest_overlap
from mlpbench.evidence.statistics.t_test import LEVEL, Sample
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference: the number of replicates, its mean and its 95% t interval (NaN below two replicates)."""

    n: int
    mean: float
    low: float
    high: float


def by_replicate(observed: pd.DataFrame, name: str, positions: Sequence[int]) -> dict[int, Mapping[int, float]]:
    """Return a metric of each replicate that has it, for each of some conditions."""
    rows = observed.loc[observed["position"].isin(list(positions)), ["position", "replicate", name]].dropna()
    groups = {int(str(p)): g for p, g in rows.groupby("position")}
    return {
        p: dict(zip(groups[p]["replicate"].tolist(), groups[p][name].tolist(), strict=True)) if p in groups else {}
        for p in positions
    }


def difference(
    a: Mapping[int, float], b: Mapping[int, float], least: float = 0.0, most: float = np.inf, overlap: float = 0.0
) -> Difference:
    """Return a minus b over the replicates that both have, with mean ± t(0.975, n - 1) sd sqrt(1/n + overlap).

    Args:
        a: the numbers by replicate.
        b: those that are taken off.
        least: the smallest sd the differences are credited with.
        most: the largest difference there can be.
        overlap: how far replicates are from independent (`estimates.overlap`).

    Reference: Student, The Probable Error of a Mean, 1908.

    """
    both = np.array([a[r] - b[r] for r in sorted(a.keys() & b.keys())])
    if len(both) < 2:
        return Difference(n=len(both), mean=float(both.mean()) if len(both) else np.nan, low=np.nan, high=np.nan)
    sample = Sample(n=len(both), mean=float(both.mean()), sd=max(float(both.std(ddof=1)), least), overlap=overlap)
    low, high = sample.interval(LEVEL)
    return Difference(n=sample.n, mean=sample.mean, low=max(low, -most), high=min(high, most))


def worse_than(
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    name: str,
    reference: int,
    positions: Sequence[int],
) -> dict[int, Difference]:
    """Return by how much each condition is worse than a reference in one metric: positive is worse."""
    sign = -1.0 if metric(name).better == "higher" else 1.0
    values = by_replicate(observed, name, [*dict.fromkeys([reference, *positions])])
    signed = {p: {r: sign * v for r, v in of.items()} for p, of in values.items()}
    steps = {p: accuracy_step(name, conditions[p].settings, conditions[p].data.n_test) for p in values}
    lowest, highest = metric(name).limits
    most = highest - lowest
    shared = largest_overlap(name, [conditions[p] for p in values])
    return {p: difference(signed[p], signed[reference], steps[p] + steps[reference], most, shared) for p in positions}
