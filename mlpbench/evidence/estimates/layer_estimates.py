"""What layers measure, from the table `layers`, which has a row for each layer and probe.

Metrics of layers become columns of the planned runs, for claims. For figures there are estimates by condition: variances, norms
and gains range over many orders of magnitude, so intervals are t intervals over replicates of their logarithms, and means are
geometric. A replicate whose number is exactly 0 (below what its precision can represent) has no logarithm; where there is one,
the mean is missing rather than one of the others, and `zeros` counts them.

Distributions of weights are of one run of a condition, from quantiles: means over replicates would blur what is exactly zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.observe import DIVERGED, OK, intervals
from mlpbench.evidence.frames import is_among, places, with_finite
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES
from mlpbench.experiment.metrics.metric_names import OfLayer

Floats = npt.NDArray[np.float64]
START, END = "start", "end"
FIRST, LAST = "first hidden layer", "last hidden layer"
VARIANCE, GRADIENT = "activation variance", "gradient norm"
FORWARD, BACKWARD = "forward gain", "backward gain"
SCALE = "activation scale"
PLACE = ["step", "layer"]
FINISHED = ["n", "mean", "sd", "low", "high", "zeros"]
# Where the widest distribution at the start is this many times the narrowest, a linear axis would show one as a line.
WIDE = 10.0
# A density of fewer stretches between quantiles than this is a step each.
FEWEST_SMOOTHED = 3
# What reads the layers of some runs: `run_id`, `epoch`, `step`, `layer`, some metrics, and the `steps` the run was to take.
Layers = Callable[[Sequence[str], Sequence[str]], pd.DataFrame]
# How far replicates are from independent, by position: of splits of one table alone.
Overlaps = pd.Series | None


def with_layers(
    metrics: Sequence[tuple[str, Collection[str]]], observed: pd.DataFrame, layers: Layers | None
) -> pd.DataFrame:
    """Return the planned runs with a column for each layer metric among `metrics`, NaN where it is not measured.

    `metrics` has metrics of claims, of layers or not, and the `condition_id` of every condition that they are needed of. Only
    finished runs of those conditions are read, in one go, and nothing where no metric is of layers. Raises ValueError where
    one is needed and there is nothing to read it from.
    """
    of_layers = [(name, of, needed) for name, needed in metrics if (of := metric_names.layer_metric(name)) is not None]
    if not of_layers:
        return observed
    if layers is None:
        raise ValueError(f"claims on layers need the table of layers, got none for {of_layers[0][0]!r}")
    needed = set().union(*(conditions for _, _, conditions in of_layers))
    wanted = observed["condition_id"].isin(needed) & (observed["status"] == OK)
    names = sorted({of.metric for _, of, _ in of_layers})
    rows = with_finite(layers(list(observed.loc[wanted, "run_id"]), names), names)
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
    parts: list[pd.Series[float]] = []
    for n, some in rows.groupby(layers):
        numbers = list(of.numbers(int(str(n))))
        by_run = some.loc[some["layer"].isin(numbers)].groupby("run_id")[of.metric]
        whole = by_run.prod() if of.layer == "all" else by_run.mean()
        parts.append(whole[by_run.count() == len(numbers)])
    return pd.concat(parts) if parts else pd.Series(dtype=float)


def _is_at(rows: pd.DataFrame, epoch: float) -> npt.NDArray[np.bool_]:
    """Return which rows are of the probe at an epoch, as `plan.probe_steps` rounds it to a step."""
    if np.isinf(epoch):
        return np.asarray(rows["step"] == rows["steps"])
    moved = rows[rows["step"] > 0]
    # A row has its step and its epoch, so that their ratio is the run's steps an epoch; without one, all is the start.
    each = (moved["step"] / moved["epoch"]).round().groupby(moved["run_id"]).first()
    due = np.rint(epoch * rows["run_id"].map(each).astype(float).fillna(0.0))
    return np.asarray(rows["step"] == due)


def measured(
    observed: pd.DataFrame,
    conditions: Sequence[Condition],
    layers: Layers,
    columns: Sequence[str],
    *,
    ends: bool = True,
) -> pd.DataFrame:
    """Return the rows of the layers of some planned runs, with position, replicate, status, depth, width and last step.

    Convolutions count as hidden layers. Where `ends` is set, runs were measured at their end, and the last step is that of a
    finished run's last probe: a tuned run may have another number of steps than its condition. Of a condition with many
    replicates the first `MOST_DOTS` are read. A run without a number in any of the columns, as `trim` leaves it, has no rows. Rows are in the order of the grid, whatever the order of files.
    """
    ended = observed["status"].isin([OK, DIVERGED]) & (observed["replicate"] < MOST_DOTS)
    runs = observed.loc[ended, ["position", "replicate", "run_id", "status"]]
    stored = layers(list(runs["run_id"]), columns).drop(columns="steps")
    has_any = stored[list(columns)].notna().any(axis=1)
    stored = stored[is_among(stored["run_id"], stored.loc[has_any, "run_id"])]
    rows = runs.merge(with_finite(stored, [c for c in columns if c != WEIGHT_QUANTILES]), on="run_id")
    rows = rows.sort_values(["position", "replicate", *PLACE], kind="stable", ignore_index=True)
    used = sorted(set(rows["position"]))
    settings = {i: conditions[i].settings for i in used}
    return rows.assign(
        depth=rows["position"].map({i: s.n_hidden for i, s in settings.items()}),
        width=rows["position"].map({i: s.hidden_sizes[-1] if s.hidden_sizes else 0 for i, s in settings.items()}),
        last=rows.groupby("run_id")["step"].transform("max")
        if ends
        else rows["position"].map({i: s.steps for i, s in settings.items()}),
    )


def at_start_and_end(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at the start, of diverged runs too, and those of finished runs at the end; `when` says which.

    A run without a step has a start alone.
    """
    start = rows[rows["step"] == 0].assign(when=START)
    end = rows[(rows["step"] == rows["last"]) & (rows["last"] > 0) & (rows["status"] == OK)].assign(when=END)
    return pd.concat([start, end], ignore_index=True)


def signals(rows: pd.DataFrame, overlaps: Overlaps = None) -> pd.DataFrame:
    """Return activation variance of hidden layers and gradient norm of all layers, at start and end.

    Keys are position, when, measure and layer.
    """
    rows = at_start_and_end(rows)
    variance = rows[rows["layer"] <= rows["depth"]].assign(measure=VARIANCE, value=rows["act_var"])
    gradient = rows.assign(measure=GRADIENT, value=rows["grad_norm"])
    return _geometric(pd.concat([variance, gradient]), ["position", "when", "measure", "layer"], overlaps)


def gains(rows: pd.DataFrame, overlaps: Overlaps = None) -> pd.DataFrame:
    """Return the gain over all hidden layers, at start and end; keys are position, when, measure and depth.

    forward   rms a_L-1 / rms x           = product of forward_gain over l = 1 ... L-1
    backward  rms dC/dz_1 / rms dC/dz_L   = product of backward_gain over l = 1 ... L-1
    """
    rows = at_start_and_end(rows)
    rows = rows[rows["layer"] <= rows["depth"]]
    keys = ["position", "when", "depth", "replicate"]
    parts = []
    for measure, column in ((FORWARD, "forward_gain"), (BACKWARD, "backward_gain")):
        # Behind a layer that passes nothing on there is 0 / 0, which has no gain: the product is 0 all the same.
        with np.errstate(divide="ignore"):
            logs = np.log10(rows[column].astype(float).fillna(0.0))
        total = rows.assign(log=logs).groupby(keys, sort=True)["log"].sum().reset_index()
        parts.append(total.assign(measure=measure))
    return _from_logs(pd.concat(parts), ["position", "when", "measure", "depth"], overlaps)


def over_steps(rows: pd.DataFrame, overlaps: Overlaps = None) -> pd.DataFrame:
    """Return variance and gradient norm of the first and the last hidden layer at every probe of finished runs.

    Keys are position, measure, which and step; of one hidden layer there is the first alone.
    """
    rows = rows[(rows["status"] == OK) & (rows["depth"] > 0)]
    deep = rows[(rows["layer"] == rows["depth"]) & (rows["depth"] > 1)].assign(which=LAST)
    both = pd.concat([rows[rows["layer"] == 1].assign(which=FIRST), deep])
    parts = [both.assign(measure=m, value=both[c]) for m, c in ((VARIANCE, "act_var"), (GRADIENT, "grad_norm"))]
    return _geometric(pd.concat(parts), ["position", "measure", "which", "step"], overlaps)


def scales(
    rows: pd.DataFrame, groups: Mapping[int, str], levels: Mapping[int, str] | None = None, overlaps: Overlaps = None
) -> pd.DataFrame:
    """Return the root mean square of the last hidden layer's activations at every probe of finished runs.

    Conditions of one width and one group are averaged within the replicate. A level that `uneven` names is left out, so that
    every width has the mean over the same levels. Keys are position (the first of those averaged), group, width, epoch and
    measure.

    Args:
        rows: the table `layers` with position, replicate, status, depth and width.
        groups: the group of each position.
        levels: the level that each position has of the settings that are averaged; None where nothing is.
        overlaps: how far replicates are from independent, by position.

    """
    logs = _logs_of_scales(rows, groups, levels)
    left_out = pd.MultiIndex.from_tuples(uneven(rows, groups, levels), names=["group", "level"])
    even = ~pd.MultiIndex.from_frame(logs[["group", "level"]]).isin(left_out)
    logs = logs[even & (logs["status"] == OK)].assign(measure=SCALE)
    keys = ["group", "width", "epoch"]
    logs = logs.assign(position=logs.groupby(keys)["position"].transform("min"))
    whole = logs.groupby(["position", *keys, "measure", "replicate"], sort=True)["log"].mean().reset_index()
    return _from_logs(whole, ["position", *keys, "measure"], overlaps)


def uneven(
    rows: pd.DataFrame, groups: Mapping[int, str], levels: Mapping[int, str] | None = None
) -> list[tuple[str, str]]:
    """Return the groups and levels that `scales` leaves out: at some width a run diverged, or its scale is 0.

    Without them the mean at that width would be over other levels than at the next. A group whose levels are all like that
    keeps them.
    """
    logs = _logs_of_scales(rows, groups, levels)
    fine = np.isfinite(logs["log"]) & (logs["status"] == OK)
    whole = fine.groupby([logs["group"], logs["level"]], sort=False).all()
    some = whole.groupby(level="group").transform("any")
    return list(whole.index[some & ~whole])


def _logs_of_scales(rows: pd.DataFrame, groups: Mapping[int, str], levels: Mapping[int, str] | None) -> pd.DataFrame:
    rows = rows[rows["layer"] == rows["depth"]]
    square = rows["act_var"] + rows["act_mean"] ** 2
    with np.errstate(divide="ignore"):
        logs = np.log10(np.sqrt(square))
    level = "" if levels is None else rows["position"].map(levels)
    return rows.assign(log=logs, group=rows["position"].map(groups), level=level)


def _geometric(rows: pd.DataFrame, keys: list[str], overlaps: Overlaps) -> pd.DataFrame:
    with np.errstate(divide="ignore"):
        logs = np.log10(rows["value"].astype(float))
    return _from_logs(rows.assign(log=logs), keys, overlaps)


def _from_logs(rows: pd.DataFrame, keys: list[str], overlaps: Overlaps) -> pd.DataFrame:
    """Return the keys and `FINISHED` of `log`, in its own unit again; `sd` stays in log10 units."""
    if rows.empty:
        return pd.DataFrame(columns=[*keys, *FINISHED])
    log = rows["log"].to_numpy(dtype=float)
    rows = rows.assign(value=np.where(np.isfinite(log), log, np.nan), zero=np.isneginf(log))
    floors = pd.Series(0.0, index=rows[keys[0]].unique())
    estimates = intervals(rows, keys, floors, overlaps=overlaps).join(
        rows.groupby(keys, sort=True)["zero"].sum().rename("zeros")
    )
    shown = (estimates["zeros"] == 0).to_numpy()
    for name in ("mean", "low", "high"):
        estimates[name] = (10.0 ** estimates[name]).where(shown)
    return estimates.reset_index()


def weight_distributions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of the weights of runs, one for each position, at start and end, as arrays.

    Columns are position, when, layer, which and quantiles. Of a run's layers the first, the one in the middle and the last
    are kept; `which` has them in words.
    """
    rows = at_start_and_end(rows[rows[WEIGHT_QUANTILES].notna()])
    which = [_which(int(layer), int(depth) + 1) for layer, depth in zip(rows["layer"], rows["depth"], strict=True)]
    arrays = pd.Series([np.asarray(q, dtype=float) for q in rows[WEIGHT_QUANTILES]], index=rows.index, dtype=object)
    quantiles = rows.assign(which=which, quantiles=arrays)[["position", "when", "layer", "which", "quantiles"]]
    return quantiles[quantiles["which"] != ""].reset_index(drop=True)


def _which(layer: int, last: int) -> str:
    if layer == 1:
        return "first layer"
    if layer == last:
        return "last layer"
    return "middle layer" if layer == (last + 1) // 2 else ""


def axis_scale(quantiles: pd.DataFrame) -> float:
    """Return the width within which an axis for all distributions is linear, 0 where it is so throughout.

    Beyond it the axis is asinh(w / width): the width is that of the narrowest central 90%, halved. It is so where central widths
    at the start differ by more than `WIDE`, or where the tails of some distribution go far beyond the narrowest centre.
    """
    start = quantiles[quantiles["when"] == START] if (quantiles["when"] == START).any() else quantiles
    widths = np.array([float(q[-2] - q[1]) for q in start["quantiles"]])
    widths = widths[widths > 0]
    if not len(widths):
        return 0.0
    farthest = max(float(np.abs(q).max()) for q in quantiles["quantiles"])
    narrowest = float(widths.min())
    return narrowest / 2 if widths.max() > WIDE * narrowest or farthest > WIDE * narrowest else 0.0


def smooth_density(quantiles: Floats) -> list[tuple[Floats, Floats]]:
    """Return the density as curves, one between each two atoms: places, and the heights there.

    It is the slope of the monotone cubic through the quantiles, so that it is positive and has no steps.
    Reference: Fritsch and Carlson, Monotone Piecewise Cubic Interpolation, 1980.
    """
    from scipy.interpolate import PchipInterpolator

    heights, _ = weight_density(quantiles)
    mass, curves = 1 / (len(quantiles) - 1), []
    for there, group in itertools.groupby(range(len(heights)), key=lambda i: heights[i] > 0):
        if not there:
            continue
        stretch = list(group)
        ends = quantiles[stretch[0] : stretch[-1] + 2]
        if len(stretch) < FEWEST_SMOOTHED:
            curves.append((np.repeat(ends, 2)[1:-1], np.repeat(heights[stretch], 2)))
            continue
        places = np.unique(np.concatenate([np.linspace(a, b, 9) for a, b in itertools.pairwise(ends)]))
        slope = PchipInterpolator(ends, mass * np.arange(len(ends))).derivative()(places)
        curves.append((places, np.maximum(slope, 0.0)))
    return curves


def weight_density(quantiles: Floats) -> tuple[Floats, list[tuple[float, float]]]:
    """Return the density between each two quantiles, and atoms as (place, share of the weights).

    An atom is where quantiles are equal, as of zeros or of a constant; the density is 0 there.
    """
    mass = 1 / (len(quantiles) - 1)
    widths = np.diff(quantiles)
    is_atom = widths <= 1e-9 * max(float(np.abs(quantiles).max()), 1e-300)
    heights = np.divide(mass, widths, out=np.zeros_like(widths), where=~is_atom)
    atoms: list[tuple[float, float]] = []
    for i in np.flatnonzero(is_atom):
        before = atoms.pop() if i and is_atom[i - 1] else (float(quantiles[i]), 0.0)
        atoms.append((before[0], before[1] + mass))
    return heights, atoms
