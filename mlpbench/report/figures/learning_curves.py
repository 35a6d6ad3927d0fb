"""Learning curves: loss and accuracy against epochs, a colour for each condition, train dashed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from mlpbench.report.figures import theme
from mlpbench.report.figures.theme import SPLITS, Look

MEASURES = ("loss", "accuracy")
# Above this many conditions train and test lines in one panel can't be followed: each split gets its own.
MOST_TOGETHER = 3


def learning_curves(curves: pd.DataFrame, look: Look) -> Figure:
    """Return the figure for estimates by condition, split, epoch and measure, with `low` and `high` as bands."""
    splits = [s for s in SPLITS if (curves["split"] == s).any()]
    measures = [m for m in MEASURES if (curves["measure"] == m).any()]
    with theme.style():
        if len(look.colours) > MOST_TOGETHER:
            figure = _apart(curves, measures, splits, look)
            handles = []
        else:
            figure, axes = theme.new(3.4, 1, len(measures))
            for ax, measure in zip(axes, measures, strict=True):
                _panel(ax, curves[curves["measure"] == measure], measure, look)
                ax.set_ylabel(measure)
                ax.set_xlabel("epoch")
            handles = [Line2D([], [], color=theme.INK, linestyle=SPLITS[s], linewidth=1.4, label=s) for s in splits]
        if len(look.entries) > 1:
            handles += [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in look.entries]
        theme.legend_below(figure, handles, look.title if len(look.entries) > 1 else "")
    return figure


def _apart(curves: pd.DataFrame, measures: list[str], splits: list[str], look: Look) -> Figure:
    figure, axes = theme.new(5.0 if len(measures) > 1 else 3.4, len(measures), len(splits), sharex=True, sharey="row")
    for i, ax in enumerate(axes):
        measure, split = measures[i // len(splits)], splits[i % len(splits)]
        of_measure = curves[curves["measure"] == measure]
        _panel(ax, of_measure[of_measure["split"] == split], measure, look, whole=of_measure)
        if measure == measures[0]:
            ax.set_title(split, loc="left")
        if measure == measures[-1]:
            ax.set_xlabel("epoch")
        if split == splits[0]:
            ax.set_ylabel(measure)
    return figure


def _panel(ax: Axes, curves: pd.DataFrame, measure: str, look: Look, whole: pd.DataFrame | None = None) -> None:
    for (condition, split), line in curves.groupby(["condition_id", "split"], sort=False):
        colour = look.colours[str(condition)]
        width = 1.3 if look.is_detailed else 0.8
        ax.plot(line["epoch"], line["mean"], color=colour, linestyle=SPLITS[str(split)], linewidth=width)
        if look.is_detailed:
            ax.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _scale(ax, curves if whole is None else whole, measure)


def _scale(ax: Axes, curves: pd.DataFrame, measure: str) -> None:
    """Give the axis to the epochs after the first: log for a loss that falls far, cut below for an accuracy."""
    means = curves["mean"]
    if measure == "loss" and means.min() > 0 and means.max() > 3 * means.min():
        ax.set_yscale("log")
        spread = means.max() / means.min()
        subs = (1.0,) if spread > 100 else (1.0, 2.0, 5.0) if spread > 10 else (1, 1.5, 2, 3, 4, 5, 7)
        # Between whole decades a locator has no ticks at all once there are more than it may have.
        ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=None if spread > 100 else 50))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    later = curves.loc[curves["epoch"] > 0, ["mean", "low", "high"]]
    if measure == "accuracy" and not later.empty:
        bottom, top = float(later.min().min()), float(later.max().max())
        room = 0.05 * (top - bottom) or 0.01
        ax.set_ylim(bottom - room, top + room)
