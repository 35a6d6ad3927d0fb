"""The section "Gain against depth": how much of the signal passes through all hidden layers, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.evidence.estimates.layer_estimates import BACKWARD, END, FORWARD, START
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.line_arrangement import Arrangement
from mlpbench.report.figures.panels import panels
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.stability import layer_lines

MEANING = (
    "The forward gain is the root mean square of the last hidden activations divided by that of the inputs, the backward gain "
    "that of the gradient at the first layer divided by that at the outputs."
)


def section(context: Context) -> Section | None:
    """Return gain against depth if `depth` is a factor with 3 levels or more that have hidden layers."""
    depths = {c.settings.n_hidden for c in context.drawn_conditions} - {0}
    if "depth" not in context.experiment.factor_names or len(depths) < 3:
        return None
    rows = context.layer_rows
    if rows.empty:
        return None
    estimates, lines = layer_estimates.gains(rows), layer_lines.arranged(context, "depth")
    found = sentence(estimates, layer_lines.drawn_labels(context))
    figure = SectionFigure(
        name="depth_gain",
        draw=partial(draw, estimates, lines),
        alt=f"Forward and backward gain over all hidden layers against depth. {found}",
    )
    return Section(
        title="Gain against depth",
        sentences=layer_lines.text(context, found, MEANING, layer_lines.BANDS, lines.sentence),
        figures=[figure],
    )


def sentence(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say what the gains are at the largest depth, in which condition most and in which least."""
    when = START if (estimates["when"] == START).any() else END
    depth = int(estimates["depth"].max())
    deepest = estimates[(estimates["when"] == when) & (estimates["depth"] == depth)]
    parts = []
    for measure in (FORWARD, BACKWARD):
        rows = records(deepest[deepest["measure"] == measure].dropna(subset=["mean"]))
        parts.append(
            layer_lines.span({int(r["position"]): float(r["mean"]) for r in rows}, labels, f"the {measure} is")
        )
    gains = " and ".join(filter(None, parts))
    return paragraph(
        f"Through {depth} hidden layers at the {when} {gains}." if gains else "", layer_lines.zeros(estimates)
    )


def draw(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return forward and backward gain over depth; `estimates` has position, when, measure, depth, mean, low and high."""
    frame = layer_lines.placed(estimates, lines).assign(x=estimates["depth"])
    figure = panels(layer_lines.in_grid(frame, lines), lines.entries, lines.title, "depth")
    with theme.style():
        for ax in figure.axes:
            theme.level_axis(ax, [float(d) for d in estimates["depth"]], ax.get_xlabel())
    return figure
