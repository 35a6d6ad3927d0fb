"""Outcome against cost: a dot for each condition, and the Pareto front."""

from __future__ import annotations

import itertools

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.figures.theme import Look
from mlpbench.report.language.words import short_exponent

PANELS = {"train_seconds": "training time of a run, s", "flops": "FLOPs of a run"}
# Up to so many dots have their name beside them, where none is longer than a panel has room for.
MOST_NAMED, LONGEST_NAME = 10, 24


def tradeoff(drawn: pd.DataFrame, every: pd.DataFrame, what: str, look: Look) -> Figure:
    """Return a panel for each cost on a log axis; the front is that of `every` condition, the dots are of those `drawn`.

    Both have condition_id, mean, low, high, train_seconds, flops, front_train_seconds and front_flops.
    """
    with theme.style():
        figure, axes = theme.new(3.4, 1, 2, sharey=True)
        for ax, (cost, title) in zip(axes, PANELS.items(), strict=True):
            front = every[every[f"front_{cost}"]].sort_values(cost)
            ax.plot(front[cost], front["mean"], drawstyle="steps-post", color=theme.FAINT, linewidth=1.2, zorder=1)
            for row in records(drawn):
                colour = look.colours[row["condition_id"]]
                ax.vlines(row[cost], row["low"], row["high"], color=colour, linewidth=1.4)
                ax.plot([row[cost]], [row["mean"]], "o", color=colour, markersize=5,
                        markerfacecolor=colour if row[f"front_{cost}"] else "white")  # fmt: skip
            _cost_axis(ax, list(every[cost]), title)
        axes[0].set_ylabel(what)
        short = all(len(look.labels[c]) <= LONGEST_NAME for c in drawn["condition_id"])
        named = short and len(drawn) <= MOST_NAMED and look.is_detailed and _named(figure, axes, drawn, look)
        handles = [
            Line2D([], [], color=theme.INK, marker="o", markersize=5, linestyle="none", label="on the front"),
            Line2D([], [], color=theme.INK, marker="o", markersize=5, linestyle="none", markerfacecolor="white",
                   label="beaten at its cost"),
        ]  # fmt: skip
        if not named and len(look.entries) > 1:
            handles += [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in look.entries]
        theme.legend_below(figure, handles, "" if named else look.title)
    return figure


def _cost_axis(ax: Axes, costs: list[float], title: str) -> None:
    ax.set_xscale("log")
    wide = max(costs) >= 30 * min(costs)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short_exponent(f"{v:.3g}")))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.12, y=0.1)
    ax.set_xlabel(title)


def _named(figure: Figure, axes: list[Axes], drawn: pd.DataFrame, look: Look) -> bool:
    """Write the names of conditions beside their dots and return True, unless they would run into each other."""
    for ax, cost in zip(axes, PANELS, strict=True):
        _name(ax, drawn, cost, look)
    figure.draw_without_rendering()
    for ax in axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        if any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)):
            for text in [text for other in axes for text in other.texts]:
                text.remove()
            return False
    return True


def _name(ax: Axes, drawn: pd.DataFrame, cost: str, look: Look) -> None:
    """Write each name above the interval, where neither front nor intervals run."""
    for row in records(drawn):
        top = row["mean"] if pd.isna(row["high"]) else row["high"]
        ax.annotate(look.labels[row["condition_id"]], (row[cost], top), xytext=(0, 3), textcoords="offset points",
                    ha="center", va="bottom", fontsize=7)  # fmt: skip
