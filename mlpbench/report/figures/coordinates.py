"""Coordinate check: whether activations keep their scale as width grows, at the start and after some training.

Reference: G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", 2022.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mlpbench.report.figures import theme
from mlpbench.report.figures.panels import panels


def coordinate_check(estimates: pd.DataFrame) -> Figure:
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
