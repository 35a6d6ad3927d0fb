"""The section "Coordinate check": whether activations keep their scale as width grows, at the start and after some training.

Reference: G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", 2022.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.panels import panels
from mlpbench.report.language.words import rounded_factor
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.stability import layer_lines

FEWEST = 3
# Panels beside each other.
MOST_PANELS = 4


def section(context: Context) -> Section | None:
    """Return the check if `width` is a factor with 3 levels or more and layers were measured at 3 steps or more."""
    drawn = context.drawn_conditions
    widths = {c.settings.width for c in drawn if c.settings.depth > 0}
    names = context.experiment.factor_names
    if "width" not in names or len(widths) < FEWEST or len(context.experiment.probes or ()) < FEWEST:
        return None
    rows = context.layer_rows
    if rows.empty:
        return None
    levels = {n: list(dict.fromkeys(_level(c, n) for c in drawn)) for n in names if n != "width"}
    others = [n for n, texts in levels.items() if len(texts) > 1]
    by = next((n for n in others if len(levels[n]) <= MOST_PANELS), "")
    estimates = layer_estimates.scales(rows, {i: f"{by}={_level(c, by)}" if by else "" for i, c in enumerate(drawn)})
    if estimates["epoch"].nunique() < FEWEST:
        return None
    averaged = [n for n in others if n != by]
    over = f"Averaged over {' and '.join(averaged)} within each replicate." if averaged else ""
    found = sentence(estimates)
    figure = SectionFigure(
        name="coordinates",
        draw=partial(draw, estimates),
        alt=f"Scale of the last hidden layer's activations against width, a line for each probed epoch. {found}",
    )
    return Section(
        title="Coordinate check",
        sentences=layer_lines.text(context, found, "The scale is the root mean square.", over, layer_lines.BANDS),
        figures=[figure],
    )


def _level(condition: Condition, name: str) -> str:
    return format_level(condition.levels.get(name))


def sentence(estimates: pd.DataFrame) -> str:
    """Say by what factor the scale changes from the narrowest to the widest network, at the first probe and at the last."""
    parts = []
    for group in dict.fromkeys(estimates["group"]):
        rows = estimates[estimates["group"] == group]
        ends = []
        for epoch in (rows["epoch"].min(), rows["epoch"].max()):
            line = rows[rows["epoch"] == epoch].sort_values("width")
            first, last = (float(line["mean"].iloc[i]) for i in (0, -1))
            if np.isfinite(last / first):
                ends.append(f"{rounded_factor(last / first)} at epoch {epoch:.3g}")
        if ends:
            parts.append(" and ".join(ends) + (f" with {group}" if group else ""))
    if not parts:
        return ""
    narrow, wide = int(estimates["width"].min()), int(estimates["width"].max())
    change = f"From width {narrow} to {wide} the scale of the last hidden layer's activations changes by a factor of {'; '.join(parts)}."
    return paragraph(change, layer_lines.zeros(estimates))


def draw(estimates: pd.DataFrame) -> Figure:
    """Return the scale of the last hidden layer over width, a line for each probe and a panel for each group.

    `estimates` has group, width, epoch, measure, mean, low and high; lines get darker as training goes on.
    """
    epochs = sorted(set(estimates["epoch"]))
    texts = {epoch: f"{epoch:.3g}" for epoch in epochs}
    entries = list(zip(texts.values(), theme.palette(len(epochs), ordered=True), strict=True))
    text = estimates["epoch"].map(texts)
    frame = estimates.assign(
        row="", column=estimates["group"], head=estimates["group"], line=text, text=text, x=estimates["width"]
    )
    figure = panels(frame, entries, "epoch", "width")
    widths = sorted({float(w) for w in estimates["width"]})
    with theme.style():
        for ax in figure.axes:
            ax.set_xscale("log", base=2)  # also for widths within a decade: a slope is to be a power
            ax.set_xticks(widths, [f"{w:g}" for w in widths])
            ax.minorticks_off()
    return figure
