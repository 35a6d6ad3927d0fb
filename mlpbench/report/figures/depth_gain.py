"""Gain against depth: what comes through all hidden layers, forward and back, of what went in."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mlpbench.report.figures import theme
from mlpbench.report.figures.arrangement import Arrangement
from mlpbench.report.figures.panels import panels
from mlpbench.report.figures.signals import in_grid, placed


def gain_against_depth(estimates: pd.DataFrame, arranged: Arrangement) -> Figure:
    """Return forward and backward gain over depth; `estimates` has position, when, measure, depth, mean, low and high."""
    frame = placed(estimates, arranged).assign(x=estimates["depth"])
    figure = panels(in_grid(frame, arranged), arranged.entries, arranged.title, "depth")
    with theme.style():
        for ax in figure.axes:
            theme.level_axis(ax, [float(d) for d in estimates["depth"]], ax.get_xlabel())
    return figure
