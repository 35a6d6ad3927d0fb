"""The section "Layers over training": the signal of the first and the last hidden layer against gradient steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.evidence.estimates.layer_estimates import GRADIENT
from mlpbench.report.context import Context
from mlpbench.report.figures.line_arrangement import Arrangement
from mlpbench.report.figures.panels import panels
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.stability import layer_lines

FEWEST_STEPS = 3


def section(context: Context) -> Section | None:
    """Return layers over steps if layers were measured at 3 steps or more, in a condition with a hidden layer."""
    if len(context.experiment.probes or ()) < FEWEST_STEPS:
        return None
    rows = context.layer_rows
    if rows.empty:
        return None
    estimates, lines = layer_estimates.over_steps(rows), layer_lines.arranged(context)
    if estimates["step"].nunique() < FEWEST_STEPS:
        return None
    found = sentence(estimates, layer_lines.drawn_labels(context))
    figure = SectionFigure(
        name="over_steps",
        draw=partial(draw, estimates, lines),
        alt=f"Activation variance and gradient norm of the first and the last hidden layer against gradient steps. {found}",
    )
    return Section(
        title="Layers over training",
        sentences=layer_lines.text(context, found, layer_lines.BANDS, lines.sentence),
        figures=[figure],
    )


def sentence(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say by what factor the first hidden layer's gradient norm changes in training, where most and where least."""
    rows = estimates[(estimates["measure"] == GRADIENT) & (estimates["which"] == estimates["which"].iloc[0])]
    ratios = {}
    for position, line in rows.groupby("position", sort=True):
        means = line.sort_values("step")["mean"].to_numpy(dtype=float)
        if len(means) > 1 and np.isfinite(means[0]) and np.isfinite(means[-1]) and means[0] > 0:
            ratios[int(str(position))] = float(means[-1] / means[0])
    change = layer_lines.span(ratios, labels, "the gradient norm of the first hidden layer changes by a factor of")
    return paragraph(f"From the first probe to the last {change}." if change else "", layer_lines.zeros(estimates))


def draw(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return a row for each measure, a column for each layer; of conditions in panels, a row for each of both.

    `estimates` has position, measure, which (the layer, in words), step, mean, low and high.
    """
    frame = layer_lines.placed(estimates, lines).assign(x=estimates["step"])
    if lines.panel_of:
        both = frame["measure"].astype(str) + ",\n" + frame["which"].astype(str)
        head = frame["panel"].where(both == both.iloc[0], "")
        frame = frame.assign(row=both, column=frame["panel"], head=head, measure=both)
    else:
        head = frame["which"].where(frame["measure"] == frame["measure"].iloc[0], "")
        frame = frame.assign(row=frame["measure"], column=frame["which"], head=head)
    return panels(frame, lines.entries, lines.title, "gradient step")
