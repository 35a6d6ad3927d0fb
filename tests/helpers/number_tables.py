"""Tables of experiments on numbers, with predictions that are chosen by arithmetic and examples of the real data source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from arithmetic_tables import Tables, make, spec
from reports import context_of

from mlpbench.data.dataset import Dataset
from mlpbench.experiment.grid import runs_of
from mlpbench.report.context import Context
from mlpbench.results.examples import TestSet

CUBIC: dict[str, Any] = {"name": "polynomial", "train": 30, "test": 40, "degree": 5, "noise": 0.1}
LINEAR: dict[str, Any] = {"name": "linear", "train": 30, "test": 60}
FIXED: dict[str, Any] = {"depth": 0, "epochs": 1, "batch_size": "full"}
Floats = npt.NDArray[np.float64]
# Predictions of a condition, by its position, from the examples of a replicate.
Predict = Callable[[int, int, Dataset], Floats]


@dataclass(frozen=True)
class NumberTables:
    """Tables, and the test set whose predictions they have; `predicted` is by run."""

    tables: Tables
    test_set: TestSet
    predicted: Mapping[str, bytes]
    drawn: Mapping[str, Dataset]

    @property
    def context(self) -> Context:
        return context_of(self.tables, test_set=self.test_set)


def truth(_position: int, _replicate: int, drawn: Dataset) -> Floats:
    """Return the true function at the test examples."""
    of = drawn.facts.truth
    assert of is not None
    return np.asarray(drawn.x_test.astype(float) @ np.array(of.weights) + of.bias)


def number_tables(predict: Predict = truth, *, dataset: Any = None, lost: Any = (), **keys: Any) -> NumberTables:
    """Return tables of runs that predict so, with the errors that follow; of `lost` runs (condition, replicate) nothing is stored."""
    fixed = {k: v for k, v in FIXED.items() if k not in keys.get("factors", {})}
    experiment = spec(dataset=dataset or CUBIC, **({"fixed": fixed, "replicates": 3} | keys))
    made = make(experiment)
    (source,) = experiment.sources
    predicted: dict[str, bytes] = {}
    drawn: dict[str, Dataset] = {}
    errors: dict[str, float] = {}
    for i, condition in enumerate(made.conditions):
        for run in runs_of(experiment, condition, range(experiment.replicates)):
            data = source.draw(run.seed, run.streams["split"]) if source.facts.is_drawn_anew else source.load()
            numbers = predict(i, run.replicate, data).astype("<f4")
            scale = source.facts.target_scale
            target = data.y_test.astype(float) if scale is None else scale.own_units(data.y_test)
            errors[run.run_id] = float(np.sqrt(np.square(numbers.astype(float) - target).mean()))
            drawn[run.run_id] = data
            if (i, run.replicate) not in lost:
                predicted[run.run_id] = numbers.tobytes()
    rmse = made.runs["run_id"].map(errors)
    runs = made.runs.assign(test_rmse=rmse, test_loss=rmse**2 / 2, test_accuracy=np.nan, train_accuracy=np.nan)

    def predictions(run_ids: Any) -> pd.DataFrame:
        some = [i for i in run_ids if i in predicted]
        return pd.DataFrame({"run_id": some, "predicted": [predicted[i] for i in some]}, dtype=object)

    test_set = TestSet(
        predictions=predictions,
        labels=lambda _data: None,
        arrays=lambda data, seed, replicate: source.draw(seed, replicate) if data.is_drawn_anew else source.load(),
    )
    return NumberTables(replace(made, runs=runs), test_set, predicted, drawn)
