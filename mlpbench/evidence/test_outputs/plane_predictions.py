"""Classes of data with two inputs: what replicates of one condition predict at test points, and all over the plane.

Predictions of test points are those that the folder has, checked against the accuracy on record. The plane is asked of the
networks themselves, where their weights are kept.

Shapes: `N` test examples, `C` classes, `G` places of the grid along each input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.example_sampling import AGREES
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, runs_of
from mlpbench.experiment.spec import Experiment
from mlpbench.results.examples import TestSet

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
# Networks that are asked about the plane, and places along each input at which they are.
MOST_NETWORKS, GRID = 5, 96
# So far beyond the test points, as a share of their range, the plane reaches.
ROOM = 0.08


@dataclass(frozen=True, kw_only=True)
class PlanePredictions:
    """What replicates of one condition predict of points with two inputs.

    Attributes:
        position: the condition.
        x_N2: the test points of the first replicate.
        true_N, predicted_N: their classes, and those that the first replicate predicts.
        ends: the ends of the first input's axis, then of the second's.
        n_networks: how many replicates were asked about the plane.
        shares_CGG: the share of those that predict each class at each place, second input by first; None where no weights are kept.

    """

    position: int
    x_N2: Floats
    true_N: Places
    predicted_N: Places
    ends: tuple[float, float, float, float]
    n_networks: int = 0
    shares_CGG: Floats | None = None

    @property
    def wrong(self) -> int:
        """How many test points the first replicate misclassifies."""
        return int((self.true_N != self.predicted_N).sum())

    @property
    def agreement(self) -> float | None:
        """The share of the plane on which all replicates that were asked predict one class; None of fewer than two."""
        if self.shares_CGG is None or self.n_networks < 2:
            return None
        return float((self.shares_CGG.max(axis=0) >= 1 - 1e-9).mean())


def read_plane(
    experiment: Experiment, condition: Condition, observed: pd.DataFrame, position: int, test_set: TestSet
) -> PlanePredictions | None:
    """Return what a condition's replicates predict; None where there are no two inputs, or examples or predictions are not known."""
    data = condition.data
    rows = observed[(observed["position"] == position) & observed["test_accuracy"].notna()].sort_values("replicate")
    some = records(rows.head(MOST_NETWORKS))
    if data.n_classes is None or data.n_features != 2 or not some:
        return None
    (run,) = runs_of(experiment, condition, [int(some[0]["replicate"])])
    arrays = test_set.arrays(data, run.seed, run.streams["split"])
    stored: list[Any] = test_set.predictions([some[0]["run_id"]])["predicted"].tolist()
    if arrays is None or not stored or len(stored[0]) != len(arrays.y_test):
        return None
    predicted_N, true_N = np.frombuffer(stored[0], dtype=np.uint8).astype(np.int64), arrays.y_test.astype(np.int64)
    if abs(float((predicted_N == true_N).mean()) - some[0]["test_accuracy"]) > AGREES:
        return None
    x_N2 = arrays.x_test.astype(np.float64)
    ends = (*_ends(x_N2[:, 0]), *_ends(x_N2[:, 1]))
    votes = [v for row in some if (v := _votes(row["run_id"], ends, data.n_classes, test_set)) is not None]
    return PlanePredictions(
        position=position,
        x_N2=x_N2,
        true_N=true_N,
        predicted_N=predicted_N,
        ends=ends,
        n_networks=len(votes),
        shares_CGG=np.mean(votes, axis=0) if votes else None,
    )


def _ends(x_N: Floats) -> tuple[float, float]:
    low, high = float(x_N.min()), float(x_N.max())
    room = ROOM * (high - low) or 1.0
    return low - room, high + room


def _votes(run_id: str, ends: tuple[float, float, float, float], n_classes: int, test_set: TestSet) -> Floats | None:
    """Return 1 where a run's network predicts a class, (C, G, G), else 0; None where its weights are not kept."""
    network = test_set.network(run_id)
    if network is None:
        return None
    first, second = np.linspace(*ends[:2], GRID), np.linspace(*ends[2:], GRID)
    plane = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    predicted = network.outputs(plane).argmax(axis=1).reshape(GRID, GRID)
    return np.asarray(np.arange(n_classes)[:, None, None] == predicted, dtype=np.float64)
