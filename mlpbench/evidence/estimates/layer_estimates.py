"""What layers measure, by condition: estimates with finished intervals from the table `layers`.

Variances, norms and gains span decades, so that intervals are t intervals over replicates of their logarithms: means are
geometric. A replicate whose number is exactly 0 (below what its precision can hold) has no logarithm; where there is one,
the mean is missing rather than one of the others, and `zeros` counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.layer_columns import Layers
from mlpbench.evidence.estimates.observe import DIVERGED, OK, intervals
from mlpbench.experiment.grid import Condition

START, END = "start", "end"
FIRST, LAST = "first hidden layer", "last hidden layer"
VARIANCE, GRADIENT = "activation variance", "gradient norm"
FORWARD, BACKWARD = "forward gain", "backward gain"
SCALE = "activation scale"
PLACE = ["step", "layer"]
FINISHED = ["n", "mean", "sd", "low", "high", "zeros"]


def measured(
    observed: pd.DataFrame,
    conditions: Sequence[Condition],
    layers: Layers,
    columns: Sequence[str],
    *,
    ends: bool = True,
) -> pd.DataFrame:
    """Return the rows of the layers of some planned runs, with position, replicate, status, depth, width and last step.

    Of depth convolutions are a part: they are hidden layers here. `ends` says that runs were measured at their end: that is the last step of a finished one, also where what was tuned
    gives it another number of steps than its condition. Of a condition with many replicates the first `MOST_DOTS` are read. Rows are in the order of the grid, whatever the
    order of files.
    """
    ended = observed["status"].isin([OK, DIVERGED]) & (observed["replicate"] < MOST_DOTS)
    runs = observed.loc[ended, ["position", "replicate", "run_id", "status"]]
    rows = runs.merge(layers(list(runs["run_id"]), columns).drop(columns="steps"), on="run_id")
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


def signals(rows: pd.DataFrame) -> pd.DataFrame:
    """Return activation variance of hidden layers and gradient norm of all layers, at start and end.

    Keys are position, when, measure and layer.
    """
    rows = at_start_and_end(rows)
    variance = rows[rows["layer"] <= rows["depth"]].assign(measure=VARIANCE, value=rows["act_var"])
    gradient = rows.assign(measure=GRADIENT, value=rows["grad_norm"])
    return _geometric(pd.concat([variance, gradient]), ["position", "when", "measure", "layer"])


def gains(rows: pd.DataFrame) -> pd.DataFrame:
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
    return _from_logs(pd.concat(parts), ["position", "when", "measure", "depth"])


def over_steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Return variance and gradient norm of the first and the last hidden layer at every probe of finished runs.

    Keys are position, measure, which and step; of one hidden layer there is the first alone.
    """
    rows = rows[(rows["status"] == OK) & (rows["depth"] > 0)]
    deep = rows[(rows["layer"] == rows["depth"]) & (rows["depth"] > 1)].assign(which=LAST)
    both = pd.concat([rows[rows["layer"] == 1].assign(which=FIRST), deep])
    parts = [both.assign(measure=m, value=both[c]) for m, c in ((VARIANCE, "act_var"), (GRADIENT, "grad_norm"))]
    return _geometric(pd.concat(parts), ["position", "measure", "which", "step"])


def scales(rows: pd.DataFrame, groups: dict[int, str]) -> pd.DataFrame:
    """Return the root mean square of the last hidden layer's activations at every probe of finished runs.

    Conditions of one width and one of the `groups`, given by position, are averaged within the replicate. Keys are
    position (the first of those averaged), group, width, epoch and measure.
    """
    rows = rows[(rows["status"] == OK) & (rows["layer"] == rows["depth"])]
    square = rows["act_var"] + rows["act_mean"] ** 2
    with np.errstate(divide="ignore"):
        rows = rows.assign(log=np.log10(np.sqrt(square)), group=rows["position"].map(groups), measure=SCALE)
    keys = ["group", "width", "epoch"]
    rows = rows.assign(position=rows.groupby(keys)["position"].transform("min"))
    whole = rows.groupby(["position", *keys, "measure", "replicate"], sort=True)["log"].mean().reset_index()
    return _from_logs(whole, ["position", *keys, "measure"])


def _geometric(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    with np.errstate(divide="ignore"):
        logs = np.log10(rows["value"].astype(float))
    return _from_logs(rows.assign(log=logs), keys)


def _from_logs(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the keys and `FINISHED` of `log`, in its own unit again; `sd` stays in log10 units."""
    if rows.empty:
        return pd.DataFrame(columns=[*keys, *FINISHED])
    log = rows["log"].to_numpy(dtype=float)
    rows = rows.assign(value=np.where(np.isfinite(log), log, np.nan), zero=np.isneginf(log))
    floors = pd.Series(0.0, index=rows[keys[0]].unique())
    found = intervals(rows, keys, floors).join(rows.groupby(keys, sort=True)["zero"].sum().rename("zeros"))
    shown = (found["zeros"] == 0).to_numpy()
    for name in ("mean", "low", "high"):
        found[name] = (10.0 ** found[name]).where(shown)
    return found.reset_index()
