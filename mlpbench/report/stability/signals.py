"""The section "Signal by layer": activation variance and gradient norm from the first layer to the last."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.evidence.estimates.layer_estimates import END, GRADIENT, START, VARIANCE
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures.line_arrangement import Arrangement
from mlpbench.report.figures.panels import panels, whole_numbers
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.stability import layer_lines

# The settings that make signals what they are at the start.
SIGNAL_SETTINGS = ("activation", "init", "bias_init", "depth", "norm", "input_scale")


def section(context: Context) -> Section | None:
    """Return signals by layer if a setting that makes them is varied or nothing is trained, and a condition has 2 hidden layers.

    Those settings are activation, init, bias_init, depth, hidden_sizes, norm and input_scale.
    """
    factors = {name for c in context.conditions for name in c.levels}
    shapes = {c.settings.hidden_sizes for c in context.conditions} if "hidden_sizes" in factors else set()
    untrained = any(c.settings.steps == 0 for c in context.conditions)
    if not (layer_lines.varied(context, SIGNAL_SETTINGS) or len(shapes) > 1 or untrained):
        return None
    depths = {i: c.settings.n_hidden for i, c in enumerate(context.drawn_conditions)}
    rows = context.layer_rows if max(depths.values()) > 1 else pd.DataFrame()
    if rows.empty:
        return None
    estimates, lines = layer_estimates.signals(rows), layer_lines.arranged(context)
    found = sentence(estimates, layer_lines.drawn_labels(context), depths)
    figure = SectionFigure(
        name="signals",
        draw=partial(draw, estimates, lines),
        alt=f"Activation variance and gradient norm against layer. {found}",
    )
    return Section(
        title="Signal by layer",
        sentences=layer_lines.text(
            context, found, "The last layer is the output layer.", layer_lines.BANDS, lines.sentence
        ),
        figures=[figure],
    )


def sentence(estimates: pd.DataFrame, labels: Mapping[int, str], depths: Mapping[int, int]) -> str:
    """Say how variance and gradient change over the hidden layers, in which condition most and in which least."""
    compared = (
        (VARIANCE, "the variance of activations in the last hidden layer is", "times that in the first"),
        (GRADIENT, "the gradient norm of the first layer is", "times that of the last hidden layer"),
    )
    parts = []
    for when in (START, END):
        now = estimates[estimates["when"] == when]
        ratios = [(_ratios(now[now["measure"] == m], depths, m), what, against) for m, what, against in compared]
        spans = [f"{layer_lines.span(values, labels, what)} {against}" for values, what, against in ratios if values]
        if spans:
            parts.append(f"At the {when} {' and '.join(spans)}.")
    return paragraph(*parts, layer_lines.zeros(estimates))


def _ratios(rows: pd.DataFrame, depths: Mapping[int, int], measure: str) -> dict[int, float]:
    """Return last over first hidden layer of a variance, first over last of a gradient, where both have a mean."""
    means = {(int(r["position"]), int(r["layer"])): float(r["mean"]) for r in records(rows)}
    ratios = {}
    for position, depth in depths.items():
        first, last = means.get((position, 1), np.nan), means.get((position, depth), np.nan)
        ratio = last / first if measure == VARIANCE else first / last
        if depth > 1 and np.isfinite(ratio):
            ratios[position] = float(ratio)
    return ratios


def draw(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return a row for each of start and end, a column for each measure; with panels of their own, the other way round.

    `estimates` has position (a place in `lines`), when, measure, layer, mean, low and high.
    """
    frame = layer_lines.placed(estimates, lines).assign(x=estimates["layer"])
    figure = panels(layer_lines.in_grid(frame, lines), lines.entries, lines.title, "layer")
    whole_numbers(figure.axes)
    return figure
