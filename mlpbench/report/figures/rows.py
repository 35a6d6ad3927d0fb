"""Figures with a row for each condition: their height, their axis, and rows of replicates with a mean."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours

# Rows that have their name beside them; of more, every k-th has.
MOST_NAMED = 100


def row_height(rows: int) -> float:
    """Return the height, in inches, of a figure with a row for each condition."""
    return min(20.0, 1.3 + 0.24 * max(rows, 2))


def rows_axis(ax: Axes, labels: list[str], title: str) -> None:
    """Put conditions on the y axis, the first on top; where they are too many for the height, every k-th is named."""
    every = -(-len(labels) // MOST_NAMED)
    ax.set_yticks(range(0, len(labels), every), labels[::every])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_ylabel(title)


def replicate_rows(estimates: pd.DataFrame, points: pd.DataFrame, colours: ConditionColours, title: str) -> Figure:
    """Return a row for each condition: its replicates, their mean and interval; n where runs lack a value.

    `estimates` has position, condition_id, mean, low, high, n and planned; `points` has position and value.
    """
    with theme.style():
        figure, (ax,) = theme.new(row_height(len(estimates)))
        rows = records(estimates)
        for row in rows:
            colour, at = colours.colours[row["condition_id"]], row["position"]
            values = floats(points.loc[points["position"] == at, "value"].dropna())
            ax.plot(values, [at + 0.18] * len(values), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
            ax.hlines(at - 0.12, row["low"], row["high"], color=colour, linewidth=2)
            ax.plot([row["mean"]], [at - 0.12], "D", color=colour, markersize=4.5)
        names = [colours.labels[r["condition_id"]] for r in rows]
        short = [
            f"{name} (n = {r['n']})" if r["n"] < r["planned"] else name for name, r in zip(names, rows, strict=True)
        ]
        rows_axis(ax, short, colours.row_title)
        ax.set_xlabel(title)
        mean = Line2D([], [], color=theme.INK, marker="D", markersize=4.5, linewidth=2, label="mean with 95% interval")
        dot = Line2D([], [], color=theme.INK, marker="o", alpha=0.35, markersize=4, linestyle="none")
        dot.set_label("one replicate")
        theme.legend_below(figure, [mean, dot])
        ax.grid(axis="y", visible=False)
    return figure
