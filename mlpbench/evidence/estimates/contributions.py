"""What each piece of an ablation contributes: by how much the base is better than the base without it, replicate by replicate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import accuracy_step
from mlpbench.evidence.estimates.overlap import largest_overlap
from mlpbench.evidence.statistics.t_test import LEVEL, Sample, holm, two_sided
from mlpbench.experiment.ablation import BASE
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment

Floats = npt.NDArray[np.float64]
ALL = "without all"


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """By how much the outcome is better with something: n replicates, mean, 95% t interval, two-sided p against 0.

    Interval and p are NaN below two replicates. `p_holm` is p corrected over the pieces by Holm's method, NaN for what is no piece.
    """

    name: str
    n: int
    mean: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What each piece contributes, in the order of the file, what all do together, and the interaction: `together` minus the sum.

    `base` is the mean outcome with all pieces, over the replicates that have one.
    """

    pieces: Sequence[Contribution]
    together: Contribution
    left_over: Contribution
    base: float


def contributions(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, name: str
) -> Contributions:
    """Return what the pieces of an ablation contribute to a metric; levels of other factors are averaged in each replicate.

    With y_0 of the base, y_k without piece k, y_all without all, signed so that more is better, and in each replicate:

        contribution_k = y_0 - y_k,   together = y_0 - y_all,   left over = together - sum_k contribution_k.

    Without interaction nothing is left over. A replicate counts where all runs that the number needs have a value. The sd is
    that of the replicates, or what one test example moves the number by, if that is more; where replicates split one table anew, its
    error is corrected for their overlap.
    References: Student, The Probable Error of a Mean, 1908; Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    assert experiment.ablate is not None, "there are contributions where there are pieces"
    sign = -1.0 if metric(name).better == "lower" else 1.0
    every = pd.Index(sorted(set(observed["replicate"])))
    means = {label: sign * _by_replicate(conditions, observed, name, label, every) for label in _labels(experiment)}
    step = max(accuracy_step(name, c.settings, c.data.n_test) for c in conditions)
    pieces = list(experiment.ablate.remove)
    base, whole = means[BASE], means[ALL]
    each = {piece: base - means[f"without {piece}"] for piece in pieces}
    overlap = largest_overlap(name, conditions)
    found = [_contribution(piece, values, step, overlap) for piece, values in each.items()]
    corrected = holm([c.p for c in found])
    rest = base - whole - sum(each.values())
    return Contributions(
        pieces=[replace(c, p_holm=math.nan if math.isnan(c.p) else p) for c, p in zip(found, corrected, strict=True)],
        together=_contribution("all", base - whole, step, overlap),
        left_over=_contribution("left over", rest, step * max(1, len(pieces) - 1), overlap),
        base=sign * float(np.nanmean(base)) if np.isfinite(base).any() else math.nan,
    )


def _labels(experiment: Experiment) -> list[str]:
    return [str(condition["label"]) for condition in experiment.conditions]


def _by_replicate(
    conditions: Sequence[Condition], observed: pd.DataFrame, name: str, label: str, replicates: pd.Index[int]
) -> Floats:
    """Return the mean over the conditions of a label in each of the replicates, NaN where one of them has no value."""
    positions = [i for i, c in enumerate(conditions) if c.levels["label"] == label]
    rows = observed[observed["position"].isin(positions)].dropna(subset=[name]).groupby("replicate")[name]
    whole = rows.mean()[rows.size() == len(positions)]
    return np.asarray(whole.reindex(replicates), dtype=np.float64)


def _contribution(name: str, values: Floats, step: float, overlap: float) -> Contribution:
    known = values[~np.isnan(values)]
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2:
        return Contribution(name=name, n=len(known), mean=mean)
    sample = Sample(n=len(known), mean=mean, sd=max(float(known.std(ddof=1)), step), overlap=overlap)
    low, high = sample.interval(LEVEL)
    return Contribution(name=name, n=sample.n, mean=mean, low=low, high=high, p=two_sided(sample, 0.0))
