"""The values of metrics that stand in the table `layers`, a row for each layer and probe, as columns with one for each run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import OK
from mlpbench.evidence.frames import places
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric_names import OfLayer

# What reads the layers of some runs: `run_id`, `epoch`, `step`, `layer`, some metrics, and the `steps` the run was to take.
Layers = Callable[[Sequence[str], Sequence[str]], pd.DataFrame]


def with_layers(
    asked: Sequence[tuple[str, Collection[str]]], observed: pd.DataFrame, layers: Layers | None
) -> pd.DataFrame:
    """Return the planned runs with a column for each layer metric that is asked for, NaN where it is not measured.

    `asked` has metrics of claims, of layers or not, and the `condition_id` of every condition that they are needed of. Only
    finished runs of those conditions are read, in one go, and nothing where no metric is of layers. Raises ValueError where
    one is needed and there is nothing to read it from.
    """
    of_layers = [(name, of, needed) for name, needed in asked if (of := metric_names.layer_metric(name)) is not None]
    if not of_layers:
        return observed
    if layers is None:
        raise ValueError(f"claims on layers need the table of layers, got none for {of_layers[0][0]!r}")
    needed = set().union(*(conditions for _, _, conditions in of_layers))
    wanted = observed["condition_id"].isin(needed) & (observed["status"] == OK)
    rows = layers(list(observed.loc[wanted, "run_id"]), sorted({of.metric for _, of, _ in of_layers}))
    columns = {}
    for name, of, _ in of_layers:
        by_run = at_layer(rows, of)
        at = places(observed["run_id"], pd.Series(by_run.index, dtype=object))
        measured = (at >= 0) & wanted.to_numpy(dtype=bool)
        columns[metric_names.plain(name)] = np.where(measured, np.append(by_run.to_numpy(), np.nan)[at], np.nan)
    return observed.assign(**columns)


def at_layer(rows: pd.DataFrame, of: OfLayer) -> pd.Series[float]:
    """Return what a layer metric of each run is, by `run_id`; a run that lacks a layer of it has no value.

    The product over hidden layers is that of the gains: of forward gains, the root mean square of the last hidden
    activation over that of the input; of backward gains, that of the gradient before the first layer over that before the
    outputs. The mean is over hidden layers, each counted once whatever its width.
    """
    rows = rows[_is_at(rows, of.epoch)].sort_values(["run_id", "layer"])
    layers = rows.groupby("run_id")["layer"].transform("max")
    found: list[pd.Series[float]] = []
    for n, some in rows.groupby(layers):
        numbers = list(of.numbers(int(str(n))))
        by_run = some.loc[some["layer"].isin(numbers)].groupby("run_id")[of.metric]
        whole = by_run.prod() if of.layer == "all" else by_run.mean()
        found.append(whole[by_run.count() == len(numbers)])
    return pd.concat(found) if found else pd.Series(dtype=float)


def _is_at(rows: pd.DataFrame, epoch: float) -> npt.NDArray[np.bool_]:
    """Return which rows are of the probe at an epoch, as `plan.probe_steps` rounds it to a step."""
    if np.isinf(epoch):
        return np.asarray(rows["step"] == rows["steps"])
    moved = rows[rows["step"] > 0]
    # A row has its step and its epoch, so that their ratio is the run's steps an epoch; without one, all is the start.
    each = (moved["step"] / moved["epoch"]).round().groupby(moved["run_id"]).first()
    due = np.rint(epoch * rows["run_id"].map(each).astype(float).fillna(0.0))
    return np.asarray(rows["step"] == due)
