"""One sentence for each figure about stability, made of the numbers it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates.activation_functions import REACH, Shape
from mlpbench.evidence.estimates.layer_estimates import BACKWARD, END, FORWARD, GRADIENT, START, VARIANCE
from mlpbench.evidence.frames import records


def of_signals(estimates: pd.DataFrame, labels: Mapping[int, str], depths: Mapping[int, int]) -> str:
    """Say how variance and gradient change over the hidden layers, in which condition most and in which least."""
    parts = []
    compared = (
        (VARIANCE, "the variance of activations in the last hidden layer is", "times that in the first"),
        (GRADIENT, "the gradient norm of the first layer is", "times that of the last hidden layer"),
    )
    for when in (START, END):
        now = estimates[estimates["when"] == when]
        ratios = [(_ratios(now[now["measure"] == m], depths, m), what, against) for m, what, against in compared]
        told = [f"{_span(of, labels, what)} {against}" for of, what, against in ratios if of]
        if told:
            parts.append(f"At the {when} {' and '.join(told)}.")
    return " ".join([*parts, *_zeros(estimates)])


def _ratios(rows: pd.DataFrame, depths: Mapping[int, int], measure: str) -> dict[int, float]:
    """Return last over first hidden layer of a variance, first over last of a gradient, where both have a mean."""
    means = {(int(r["position"]), int(r["layer"])): float(r["mean"]) for r in records(rows)}
    found = {}
    for position, depth in depths.items():
        first, last = means.get((position, 1), np.nan), means.get((position, depth), np.nan)
        ratio = last / first if measure == VARIANCE else first / last
        if depth > 1 and np.isfinite(ratio):
            found[position] = float(ratio)
    return found


def of_gains(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say what comes through at the largest depth, forward and back, in which condition most and in which least."""
    when = START if (estimates["when"] == START).any() else END
    deepest = estimates[(estimates["when"] == when) & (estimates["depth"] == estimates["depth"].max())]
    told = []
    for measure in (FORWARD, BACKWARD):
        rows = records(deepest[deepest["measure"] == measure].dropna(subset=["mean"]))
        if rows:
            of = {int(r["position"]): float(r["mean"]) for r in rows}
            told.append(_span(of, labels, f"the {measure} is"))
    if not told:
        return " ".join(_zeros(estimates))
    depth = int(estimates["depth"].max())
    return " ".join([f"Through {depth} hidden layers at the {when} {' and '.join(told)}.", *_zeros(estimates)])


def of_steps(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say by what factor the first hidden layer's gradient norm changes in training, where most and where least."""
    rows = estimates[(estimates["measure"] == GRADIENT) & (estimates["which"] == estimates["which"].iloc[0])]
    ratios = {}
    for position, line in rows.groupby("position", sort=True):
        means = line.sort_values("step")["mean"].to_numpy(dtype=float)
        if len(means) > 1 and np.isfinite(means[0]) and np.isfinite(means[-1]) and means[0] > 0:
            ratios[int(str(position))] = float(means[-1] / means[0])
    told = _span(ratios, labels, "the gradient norm of the first hidden layer changes to")
    return " ".join(
        [f"From the first probe to the last {told} times what it was." if told else "", *_zeros(estimates)]
    ).strip()


def of_dead(estimates: pd.DataFrame) -> str:
    """Say where most and fewest hidden units are dead."""
    rows = records(estimates.dropna(subset=["mean"]))
    most, least = (choose(rows, key=lambda r: float(r["mean"])) for choose in (max, min))

    def part(row: Mapping[str, Any]) -> str:
        interval = "" if np.isnan(row["low"]) else f" (95% interval {row['low']:.1%} to {row['high']:.1%})"
        return f"{row['label']}, {row['mean']:.1%}{interval if row['mean'] > 0 else ''}"

    if len(rows) == 1 or most["mean"] == least["mean"]:
        return f"The share of hidden units that are dead is {most['mean']:.1%}."
    none = sum(r["mean"] == 0 for r in rows)
    low = f"none are in {none} of {len(rows)} conditions" if none else f"it is lowest with {part(least)}"
    return f"The share of hidden units that are dead is highest with {part(most)}; {low}."


def of_divergence(cells: pd.DataFrame, names: Sequence[str]) -> str:
    """Count the runs that diverged, and say in which cell most did and in how many none."""
    there = records(cells[cells["runs"] > 0])
    worst = max(r["diverged"] / r["runs"] for r in there)
    tied = [r for r in there if r["diverged"] / r["runs"] == worst]
    keys = ("across", "down") if len(names) == 2 else ("down",)
    one = ", ".join(f"{n}={tied[0][k]}" for n, k in zip(names, keys))
    what = "combinations" if len(names) == 2 else "levels"
    share = "all" if worst == 1 else f"{tied[0]['diverged']:.0f} of {tied[0]['runs']:.0f}"
    where = f"with {one}" if len(tied) == 1 else f"in each of {len(tied)} {what}, {one} among them"
    never = sum(r["diverged"] == 0 for r in there)
    rest = f", none in {never} of {len(there)} {what}" if never else ""
    return f"{cells['diverged'].sum():.0f} of {cells['runs'].sum():.0f} runs diverged: {share} {where}{rest}."


def of_scales(estimates: pd.DataFrame) -> str:
    """Say by what factor the scale changes from the narrowest to the widest network, at the first probe and at the last."""
    told = []
    for group in dict.fromkeys(estimates["group"]):
        of = estimates[estimates["group"] == group]
        ends = []
        for epoch in (of["epoch"].min(), of["epoch"].max()):
            line = of[of["epoch"] == epoch].sort_values("width")
            first, last = (float(line["mean"].iloc[i]) for i in (0, -1))
            if np.isfinite(last / first):
                ends.append(f"{_factor(last / first)} at epoch {epoch:.3g}")
        if ends:
            told.append(" and ".join(ends) + (f" with {group}" if group else ""))
    if not told:
        return ""
    narrow, wide = int(estimates["width"].min()), int(estimates["width"].max())
    return (
        f"From width {narrow} to {wide} the scale of the last hidden layer's activations changes by a factor of {'; '.join(told)}."
        + "".join(f" {z}" for z in _zeros(estimates))
    )


def of_functions(shapes: Sequence[Shape]) -> str:
    """Say which slope is the largest and which the smallest."""
    most, least = max(shapes, key=lambda s: s.largest), min(shapes, key=lambda s: s.largest)

    def part(shape: Shape) -> str:
        return f"{shape.largest:.5g} of {shape.name}" + ("" if shape.flat else f" (at {shape.at:.3g})")

    if most.largest == least.largest:
        return f"The largest slope on [-{REACH:g}, {REACH:g}] is {most.largest:.5g} for each of them."
    return f"The largest slopes on [-{REACH:g}, {REACH:g}] range from {part(least)} to {part(most)}."


def of_weights(found: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say within what the central 90% of the first layer's weights lie, where widest and where narrowest."""
    when = END if (found["when"] == END).any() else START
    first = found[(found["when"] == when) & (found["layer"] == 1)]
    widths = {int(r["position"]): float(r["quantiles"][-2] - r["quantiles"][1]) for r in records(first)}
    told = _span(widths, labels, "the central 90% of the first layer's weights span")
    return f"At the {when} {told}." if told else ""


def _span(values: Mapping[int, float], labels: Mapping[int, str], what: str) -> str:
    """Return `what 0.2 (one) to 3 (other)`, by position; the value alone where there is one."""
    if not values:
        return ""
    low, high = (choose(values, key=lambda p: values[p]) for choose in (min, max))
    if len(values) == 1 or f"{values[low]:.2g}" == f"{values[high]:.2g}":
        return f"{what} {_factor(values[high])}"
    return f"{what} {_factor(values[low])} ({labels[low]}) to {_factor(values[high])} ({labels[high]})"


def _factor(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.3g}"


def _zeros(estimates: pd.DataFrame) -> list[str]:
    n = estimates.loc[estimates["zeros"] > 0, "position"].nunique()
    if not n:
        return []
    some = "1 condition has" if n == 1 else f"{n} conditions have"
    return [f"{some} a replicate in which a number is exactly 0: lines break off there."]
