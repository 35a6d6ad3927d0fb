"""Reliability and ROC curves of conditions, over replicates: means and t intervals of what runs have stored.

Shapes: `R` replicates, `B` bins of confidence, `F` false positive rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from mlpbench.evidence.estimates.overlap import of_part
from mlpbench.evidence.frames import records
from mlpbench.evidence.statistics.t_test import LEVEL, Sample, inflation
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.set_curves import RELIABILITY, ROC, ROC_STEPS
from mlpbench.experiment.metrics.set_scores import BINS
from mlpbench.results.examples import TestSet

Floats = npt.NDArray[np.float64]
# Curves of more replicates than this are not read; a bin counts where it has so many examples of all replicates.
MOST_REPLICATES, LEAST_IN_BIN = 20, 20


@dataclass(frozen=True, kw_only=True)
class MeanCurve:
    """A curve averaged over replicates: places along x, means, and the ends of 95% t intervals, NaN of one replicate."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, kw_only=True)
class ClassProbabilities:
    """What the probabilities of a condition's replicates are worth.

    Attributes:
        position: the condition.
        n: the number of replicates.
        confidence, accuracy: the mean confidence and the accuracy on the test set, means of replicates; NaN where not known.
        excess, low, high: confidence minus accuracy with its interval.
        reliability: accuracy against confidence, at the bins that have examples enough; None where it is not known.
        roc: the true positive rate against the false positive rate; None of other than two classes.

    """

    position: int
    n: int
    confidence: float = math.nan
    accuracy: float = math.nan
    excess: float = math.nan
    low: float = math.nan
    high: float = math.nan
    reliability: MeanCurve | None = None
    roc: MeanCurve | None = None


def read_probabilities(
    condition: Condition, observed: pd.DataFrame, position: int, test_set: TestSet
) -> ClassProbabilities | None:
    """Return the curves of the first replicates of a condition that finished; None where none has any, as in older folders."""
    rows = observed[(observed["position"] == position) & observed["test_accuracy"].notna()].sort_values("replicate")
    run_ids = [row["run_id"] for row in records(rows.head(MOST_REPLICATES))]
    stored = test_set.curves(run_ids).drop_duplicates("run_id").set_index("run_id").reindex(run_ids)
    binned = [of for v in stored[RELIABILITY] if (of := _numbers(v, 3 * BINS)) is not None]
    rates = [of for v in stored[ROC] if (of := _numbers(v, ROC_STEPS + 1)) is not None]
    if not binned and not rates:
        return None
    overlap = of_part("test", condition.settings, condition.data)
    roc = _mean(np.linspace(0, 1, ROC_STEPS + 1), np.stack(rates), overlap) if rates else None
    if not binned:
        return ClassProbabilities(position=position, n=len(rates), roc=roc)
    counts_RB, confidence_RB, right_RB = np.stack(binned).reshape(-1, 3, BINS).transpose(1, 0, 2)
    total_R = counts_RB.sum(axis=1)
    confidence_R, accuracy_R = confidence_RB.sum(axis=1) / total_R, right_RB.sum(axis=1) / total_R
    excess_R = confidence_R - accuracy_R
    low = high = math.nan
    if len(excess_R) > 1:
        sd = float(excess_R.std(ddof=1))
        low, high = Sample(n=len(excess_R), mean=float(excess_R.mean()), sd=sd, overlap=overlap).interval(LEVEL)
    return ClassProbabilities(
        position=position,
        n=len(binned),
        confidence=float(confidence_R.mean()),
        accuracy=float(accuracy_R.mean()),
        excess=float(excess_R.mean()),
        low=low,
        high=high,
        reliability=_reliability(counts_RB, confidence_RB, right_RB, overlap),
        roc=roc,
    )


def _numbers(stored: Any, n: int) -> Floats | None:
    """Return what a run has stored as numbers, None where it has nothing, or something else."""
    if stored is None or (isinstance(stored, float) and math.isnan(stored)):
        return None
    numbers = np.asarray(stored, dtype=np.float64)
    return numbers if numbers.shape == (n,) and np.isfinite(numbers).all() and (numbers >= 0).all() else None


def _reliability(counts_RB: Floats, confidence_RB: Floats, right_RB: Floats, overlap: float) -> MeanCurve:
    """Return accuracy against confidence at the bins that have examples enough, of all replicates together.

    p = sum_r right_r / sum_r n_r, whose error over replicates is that of a ratio: with e_r = right_r - p n_r,

        var(p) = R / (R - 1) sum_r e_r^2 / (sum_r n_r)^2.

    Reference: W. Cochran, Sampling Techniques, 1977, section 6.3.
    """
    total_B, n = counts_RB.sum(axis=0), len(counts_RB)
    kept = np.flatnonzero(total_B >= LEAST_IN_BIN)
    total = total_B[kept]
    accuracy = right_RB[:, kept].sum(axis=0) / total
    half = np.full(len(kept), np.nan)
    if n > 1:
        squares = np.square(right_RB[:, kept] - accuracy * counts_RB[:, kept]).sum(axis=0)
        error = np.sqrt(n / (n - 1) * squares) / total * inflation(n, overlap)
        half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * error
    return MeanCurve(
        x=confidence_RB[:, kept].sum(axis=0) / total,
        mean=accuracy,
        low=np.clip(accuracy - half, 0, 1),
        high=np.clip(accuracy + half, 0, 1),
    )


def _mean(x: Floats, values_RN: Floats, overlap: float) -> MeanCurve:
    """Return means over replicates, and t intervals within 0 and 1; NaN of one replicate."""
    n, mean = len(values_RN), values_RN.mean(axis=0)
    half = np.full(len(x), np.nan)
    if n > 1:
        error = values_RN.std(axis=0, ddof=1) / np.sqrt(n) * inflation(n, overlap)
        half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * error
    return MeanCurve(x=x, mean=mean, low=np.clip(mean - half, 0, 1), high=np.clip(mean + half, 0, 1))
