"""Predictions of numbers beside their targets, the first input and the true function: of replicates of one condition.

Predictions are those that the folder has; examples are generated again, or read from the package, and count only where predictions
give the error that the run has on record. All numbers are in the target's own units.

Shapes: `R` replicates, `N` test examples, `P` training examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.data.dataset import DataFacts, Dataset, LinearTruth, chosen_examples
from mlpbench.evidence.estimates.overlap import of_part
from mlpbench.evidence.frames import places, records
from mlpbench.evidence.statistics.t_test import LEVEL, Sample
from mlpbench.experiment.grid import Condition, runs_of
from mlpbench.experiment.spec import Experiment
from mlpbench.results.examples import TestSet

Floats = npt.NDArray[np.float64]
# Predictions of more replicates than this are not read.
MOST_REPLICATES = 10
# Residuals are averaged in so many bins, where each has enough of them.
BINS, LEAST_IN_BIN = 8, 5
# Predictions are stored in single precision: so far, relative to the largest target, may an error be from the one on record.
ROUNDED = 2e-6


@dataclass(frozen=True, kw_only=True)
class NumberPredictions:
    """What replicates of one condition predict.

    Attributes:
        position: the condition.
        replicates: their numbers, in order.
        x_RN: the first input of each test example.
        predicted_RN, target_RN: predictions and targets.
        truth_RN: the true function at the test examples; None where it is not known.
        points_x_P, points_y_P: first input and target of the examples that the first replicate is trained on, or validated on; none
            where these are not known.
        overlap: how far replicates are from independent, as those are that split one table.

    """

    position: int
    replicates: tuple[int, ...]
    x_RN: Floats
    predicted_RN: Floats
    target_RN: Floats
    truth_RN: Floats | None
    points_x_P: Floats
    points_y_P: Floats
    overlap: float = 0.0

    @property
    def n(self) -> int:
        """The number of replicates."""
        return len(self.replicates)

    @cached_property
    def off_truth(self) -> float:
        """How far predictions are from the true function, or from the targets where it is not known: RMS, median of replicates."""
        aim_RN = self.target_RN if self.truth_RN is None else self.truth_RN
        return float(np.median(_rms(self.predicted_RN - aim_RN)))

    @cached_property
    def residual_RN(self) -> Floats:
        """Predicted minus true."""
        return np.asarray(self.predicted_RN - self.target_RN)


@dataclass(frozen=True, kw_only=True)
class ResidualSummary:
    """What residuals of replicates say.

    Attributes:
        n: the number of replicates.
        rmse: root mean squared error, mean of replicates.
        r2: share of the variance of the targets that is explained, mean of replicates; NaN where targets do not vary.
        bias, low, high: mean residual with its 95% t interval over replicates; NaN of one replicate.
        fan: standard deviation of residuals where predictions are above their median, over that below; NaN where there is none.
        bins_x_B, bins_y_B: mean prediction and mean residual of bins of equally many predictions; empty where there are few.

    """

    n: int
    rmse: float
    r2: float
    bias: float
    low: float
    high: float
    fan: float
    bins_x_B: Floats
    bins_y_B: Floats


def summarise_residuals(of: NumberPredictions) -> ResidualSummary:
    """Return the summary of the residuals of a condition's replicates."""
    residual_RN = of.residual_RN
    errors, biases = np.square(residual_RN).mean(axis=1), residual_RN.mean(axis=1)
    total = of.target_RN.var(axis=1)
    low = high = math.nan
    if of.n > 1:
        sd = float(biases.std(ddof=1))
        low, high = Sample(n=of.n, mean=float(biases.mean()), sd=sd, overlap=of.overlap).interval(LEVEL)
    is_high_RN = of.predicted_RN > np.median(of.predicted_RN, axis=1, keepdims=True)
    above, below = residual_RN[is_high_RN], residual_RN[~is_high_RN]
    spreads = (float(above.std()), float(below.std())) if len(above) > 1 and len(below) > 1 else (math.nan, math.nan)
    x, y = of.predicted_RN.ravel(), residual_RN.ravel()
    parts = np.array_split(np.argsort(x, kind="stable"), BINS) if len(x) >= BINS * LEAST_IN_BIN else []
    return ResidualSummary(
        n=of.n,
        rmse=float(np.sqrt(errors).mean()),
        r2=float((1 - errors / total).mean()) if (total > 0).all() else math.nan,
        bias=float(biases.mean()),
        low=low,
        high=high,
        fan=spreads[0] / spreads[1] if min(spreads) > 0 else math.nan,
        bins_x_B=np.array([x[p].mean() for p in parts]),
        bins_y_B=np.array([y[p].mean() for p in parts]),
    )


def read_numbers(
    experiment: Experiment, condition: Condition, observed: pd.DataFrame, position: int, test_set: TestSet
) -> NumberPredictions | None:
    """Return the predictions of the first replicates of a condition that finished; None where they are not known.

    That is: where examples are not had with the folder, the folder has no predictions of a run, or such as do not give the
    run's error; and where training examples are chosen by what they are.
    """
    s, data = condition.settings, condition.data
    if data.n_classes is not None or s.train_shift != "none":
        return None
    rows = observed[(observed["position"] == position) & observed["test_loss"].notna()]
    some = records(rows.sort_values("replicate").head(MOST_REPLICATES))
    if not some:
        return None
    run_ids = [row["run_id"] for row in some]
    stored = test_set.predictions(run_ids).drop_duplicates("run_id")
    at = places(pd.Series(run_ids, dtype=object), stored["run_id"])
    if (at < 0).any():
        return None
    raw: list[Any] = stored["predicted"].to_numpy(dtype=object)[at].tolist()
    runs = list(runs_of(experiment, condition, [int(row["replicate"]) for row in some]))
    drawn = [test_set.arrays(data, run.seed, run.streams["split"]) for run in runs]
    arrays = [d for d in drawn if d is not None]
    if len(arrays) < len(runs) or any(len(p) != 4 * data.n_test for p in raw):
        return None
    predicted_RN = np.stack([np.frombuffer(p, dtype="<f4") for p in raw]).astype(np.float64)
    target_RN = np.stack([_own_units(data, d.y_test) for d in arrays])
    if not np.isfinite(predicted_RN).all() or not _agree(predicted_RN - target_RN, target_RN, predicted_RN, some):
        return None
    chosen = chosen_examples(runs[0].seed, runs[0].streams["split"], data.n_train, s.train_size)
    if len(arrays[0].x_train) < data.n_train or data.blocks is not None:
        chosen = chosen[:0]
    return NumberPredictions(
        position=position,
        replicates=tuple(run.replicate for run in runs),
        x_RN=np.stack([d.x_test[:, 0] for d in arrays]).astype(np.float64),
        predicted_RN=predicted_RN,
        target_RN=target_RN,
        truth_RN=None if data.truth is None else np.stack([_true(data.truth, d) for d in arrays]),
        points_x_P=arrays[0].x_train[chosen, 0].astype(np.float64),
        points_y_P=_own_units(data, arrays[0].y_train[chosen]),
        overlap=of_part("test", s, data),
    )


def _own_units(data: DataFacts, y: npt.NDArray[Any]) -> Floats:
    return y.astype(np.float64) if data.target_scale is None else data.target_scale.own_units(y)


def _true(truth: LinearTruth, drawn: Dataset) -> Floats:
    return np.asarray(drawn.x_test.astype(np.float64) @ np.array(truth.weights) + truth.bias)


def _rms(error_RN: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(error_RN).mean(axis=1)))


def _agree(residual_RN: Floats, target_RN: Floats, predicted_RN: Floats, rows: Sequence[dict[str, Any]]) -> bool:
    """Return whether each replicate's predictions give the RMSE that its run has on record; older runs have none, and count."""
    on_record = np.array([row["test_rmse"] for row in rows], dtype=float)
    largest = np.maximum(np.abs(target_RN).max(axis=1), np.abs(predicted_RN).max(axis=1))
    off = np.abs(_rms(residual_RN) - on_record)
    return bool((np.isnan(on_record) | (off <= ROUNDED * largest)).all())
