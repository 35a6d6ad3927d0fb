"""The generalisation gap against a factor, or by condition."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.figures.error_curves import row_height, rows_axis
from mlpbench.report.figures.theme import Look

PANELS = {"gap_accuracy": "train minus test accuracy", "gap_loss": "test minus train loss"}


def gap_against_factor(estimates: pd.DataFrame, factor: str) -> Figure:
    """Return a panel for each gap over a numeric factor, a line for each series, with intervals.

    `estimates` has metric, x, series, group (what a colour stands for), mean, low and high.
    """
    names = [name for name in PANELS if (estimates["metric"] == name).any()]
    with theme.style():
        figure, axes = theme.new(3.2, 1, len(names))
        group = dict(zip(estimates["series"], estimates["group"], strict=True))
        groups = list(dict.fromkeys(group.values()))
        colours = dict(zip(groups, theme.palette(len(groups), ordered=False), strict=True))
        for ax, name in zip(axes, names, strict=True):
            rows = estimates[estimates["metric"] == name]
            ax.axhline(0, color=theme.FAINT, linewidth=0.8)
            for one in group:
                line = rows[rows["series"] == one].sort_values("x")
                colour = colours[group[one]]
                ax.vlines(line["x"], line["low"], line["high"], color=colour, linewidth=1.4)
                ax.plot(line["x"], line["mean"], "o-", color=colour, markersize=4.5, linewidth=1.2)
            theme.level_axis(ax, list(estimates["x"]), factor)
            _title(ax, name, ax.yaxis)
        handles = [
            Line2D([], [], color=c, marker="o", markersize=4.5, linewidth=1.2, label=g) for g, c in colours.items()
        ]
        theme.legend_below(figure, handles if len(handles) > 1 else [])
    return figure


def gap_by_condition(estimates: pd.DataFrame, order: list[str], look: Look) -> Figure:
    """Return a panel for each gap with a row for each condition of `order`, in the report's colours."""
    names = [name for name in PANELS if (estimates["metric"] == name).any()]
    with theme.style():
        figure, axes = theme.new(row_height(len(order)), 1, len(names), sharey=True)
        for ax, name in zip(axes, names, strict=True):
            ax.axvline(0, color=theme.FAINT, linewidth=0.8)
            for row in records(estimates[estimates["metric"] == name]):
                at, colour = order.index(row["condition_id"]), look.colours[row["condition_id"]]
                ax.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
                ax.plot([row["mean"]], [at], "D", color=colour, markersize=4.5)
            _title(ax, name, ax.xaxis)
            ax.grid(axis="y", visible=False)
        rows_axis(axes[0], [look.labels[c] for c in order], look.rows)
    return figure


def _title(ax: Axes, name: str, axis: object) -> None:
    ax.set_title(PANELS[name], loc="left")
    if name == "gap_accuracy":
        axis.set_major_formatter(lambda v, _: f"{100 * v:.4g}".replace("-", "\N{MINUS SIGN}"))  # type: ignore[attr-defined]
        ax.set_title("pp", loc="right", color=theme.FAINT)
