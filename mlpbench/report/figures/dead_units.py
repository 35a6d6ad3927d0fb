"""Dead units: the share of hidden units that are zero on every example, by condition."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mlpbench.report.figures import theme
from mlpbench.report.figures.replicates import replicates
from mlpbench.report.figures.theme import Look


def dead_units(estimates: pd.DataFrame, points: pd.DataFrame, look: Look) -> Figure:
    """Return a row for each condition: the share in each replicate, its mean and interval; frames as for `replicates`."""
    figure = replicates(estimates, points, look, "dead hidden units, share")
    (ax,) = figure.axes
    ax.xaxis.set_major_formatter(theme.percent)
    return figure
