"""Every replicate of every condition: how much of a difference is luck."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import theme
from mlpbench.report.figures.error_curves import row_height, rows_axis
from mlpbench.report.figures.theme import Look


def replicates(estimates: pd.DataFrame, points: pd.DataFrame, look: Look, metric: str) -> Figure:
    """Return a row for each condition: its replicates, mean and interval; n where runs lack a value.

    `estimates` has position, condition_id, mean, low, high, n and planned; `points` has position and value.
    """
    with theme.style():
        figure, (ax,) = theme.new(row_height(len(estimates)))
        rows = records(estimates)
        for row in rows:
            colour, at = look.colours[row["condition_id"]], row["position"]
            values = floats(points.loc[points["position"] == at, "value"].dropna())
            ax.plot(values, [at + 0.18] * len(values), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
            ax.hlines(at - 0.12, row["low"], row["high"], color=colour, linewidth=2)
            ax.plot([row["mean"]], [at - 0.12], "D", color=colour, markersize=4.5)
        labels = [look.labels[r["condition_id"]] + ("" if r["n"] == r["planned"] else f" (n = {r['n']})") for r in rows]
        rows_axis(ax, labels, look.rows)
        ax.set_xlabel(metric)
        mean = Line2D([], [], color=theme.INK, marker="D", markersize=4.5, linewidth=2, label="mean with 95% interval")
        dot = Line2D([], [], color=theme.INK, marker="o", alpha=0.35, markersize=4, linestyle="none")
        dot.set_label("one replicate")
        theme.legend_below(figure, [mean, dot])
        ax.grid(axis="y", visible=False)
    return figure
