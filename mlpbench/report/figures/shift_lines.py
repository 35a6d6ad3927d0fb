"""Test accuracy, or loss, against the severity of a shift: a panel for each kind, a line for each condition."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from mlpbench.report.figures import theme
from mlpbench.report.figures.theme import Look

COLUMNS = 3
# What a severity is, under its panel.
UNITS = {
    "noise": "sd of the noise",
    "blur": "sd of the blur, pixels",
    "translation": "pixels moved by",
    "brightness": "added to each pixel",
    "contrast": "share of contrast lost",
    "labels": "classes moved on by",
}


def under_shift(found: pd.DataFrame, look: Look, good: str) -> Figure:
    """Return the figure for estimates by `kind`, `severity` and condition, with `low` and `high` as bands.

    Severity 0 is the plain test set, so that every line of a condition starts at one height.
    """
    kinds = list(dict.fromkeys(found["kind"]))
    columns = min(COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    with theme.style():
        figure, axes = theme.new(1.0 + 2.1 * rows, rows, columns, sharey=True)
        for i, ax in enumerate(axes):
            if i >= len(kinds):
                ax.remove()
                continue
            _panel(ax, found[found["kind"] == kinds[i]], look)
            ax.set_title(kinds[i], loc="left")
            ax.set_xlabel(UNITS.get(kinds[i], "severity"))
            if i % columns == 0:
                ax.set_ylabel(f"test {good}")
            if good == "accuracy":
                ax.yaxis.set_major_formatter(theme.percent)
        handles = []
        if len(look.entries) > 1:
            handles = [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in look.entries]
        theme.legend_below(figure, handles, look.title)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    for condition, line in rows.groupby("condition_id", sort=False):
        colour = look.colours[str(condition)]
        marks = {"marker": "o", "markersize": 3.0, "linewidth": 1.3} if look.is_detailed else {"linewidth": 0.8}
        ax.plot(line["severity"], line["mean"], color=colour, **marks)
        if look.is_detailed:
            ax.fill_between(line["severity"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
    levels = sorted(set(rows["severity"]))
    # Levels that stand close to each other would have their numbers on one another.
    room = 0.12 * levels[-1]
    shown = [v for i, v in enumerate(levels) if i == 0 or i == len(levels) - 1 or v - levels[i - 1] >= room]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
