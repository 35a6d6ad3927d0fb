"""Layouts that figures of several sections share: a row for each condition, and lines with bands in a grid of panels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours

# Rows that have their name beside them; of more, every k-th has.
MOST_NAMED_ROWS = 100
# Bands of more lines than this, in one panel, are a smear.
MOST_BANDS = 10
# Texts at line ends need so many pixels each, and so few lines.
APART, MOST_NAMED_LINES = 20.0, 6
# Points of a line that each have a mark.
MOST_MARKS = 12
PANEL_HEIGHT = 2.15


def row_height(rows: int) -> float:
    """Return the height, in inches, of a figure with a row for each condition."""
    return min(20.0, 1.3 + 0.24 * max(rows, 2))


def rows_axis(ax: Axes, labels: list[str], title: str) -> None:
    """Put conditions on the y axis, the first on top; where they are too many for the height, every k-th is named."""
    every = -(-len(labels) // MOST_NAMED_ROWS)
    ax.set_yticks(range(0, len(labels), every), labels[::every])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_ylabel(title)


def replicate_rows(
    estimates: pd.DataFrame,
    points: pd.DataFrame,
    colours: ConditionColours,
    title: str,
    *,
    is_share: bool = False,
    constant: float | None = None,
) -> Figure:
    """Return a row for each condition: its replicates, their mean and interval; n where runs lack a value.

    `estimates` has position, condition_id, mean, low, high, n and planned; `points` has position and value. `constant` is the
    value of a prediction that looks at no input, where it is known.
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
        if is_share:
            ax.xaxis.set_major_formatter(theme.percent)
        mean = Line2D([], [], color=theme.INK, marker="D", markersize=4.5, linewidth=2, label="mean with 95% interval")
        dot = Line2D([], [], color=theme.INK, marker="o", alpha=0.35, markersize=4, linestyle="none")
        dot.set_label("one replicate")
        theme.legend_below(figure, [mean, dot, *theme.constant_line(ax, constant, "x")])
        ax.grid(axis="y", visible=False)
    return figure


def panels(frame: pd.DataFrame, entries: Sequence[tuple[str, str]], title: str, x: str) -> Figure:
    """Return a grid of panels, `row` by `column`, of lines over x on a log y axis.

    `frame` has row, column and head (what stands above a panel), measure (what y is), line (which points belong
    together), text (what its colour stands for), x, mean, low and high. `entries` gives the colour of each text.
    """
    rows, columns = (list(dict.fromkeys(frame[name])) for name in ("row", "column"))
    with theme.style():
        figure, axes = theme.new(PANEL_HEIGHT * len(rows) + 0.75, len(rows), len(columns), sharex=True)
        at = {(r, c): axes[i * len(columns) + j] for i, r in enumerate(rows) for j, c in enumerate(columns)}
        for (r, c), ax in at.items():
            part = frame[(frame["row"] == r) & (frame["column"] == c)]
            _draw(ax, part, dict(entries), marker="o" if frame["x"].nunique() <= MOST_MARKS else "")
            ax.set_title(str(part["head"].iloc[0]) if len(part) else "", loc="left")
            if r == rows[-1]:
                ax.set_xlabel(x)
        measured = frame.groupby(["row", "column"], sort=False)["measure"].first().to_dict()
        for measure in dict.fromkeys(frame["measure"]):
            same = [ax for key, ax in at.items() if measured.get(key) == measure]
            _shared(same, frame.loc[frame["measure"] == measure, "mean"])
        for (r, c), ax in at.items():
            left = [measured.get((r, other)) for other in columns[: columns.index(c)]]
            if measured.get((r, c)) in left:
                ax.tick_params(labelleft=False)
            else:
                ax.set_ylabel(str(measured.get((r, c), "")))
        last = frame[(frame["row"] == rows[0]) & (frame["column"] == columns[-1])]
        several = [entry for entry in entries if entry[0] in set(frame["text"])]
        if len(several) > 1 and not _name_line_ends(figure, at[rows[0], columns[-1]], last, dict(several)):
            handles = [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in several]
            theme.legend_below(figure, handles, title)
    return figure


def whole_numbers(axes: Sequence[Axes]) -> None:
    """Let ticks of x stand at whole numbers only."""
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))


def _draw(ax: Axes, part: pd.DataFrame, colours: Mapping[str, str], marker: str) -> None:
    lines = list(part.groupby(["line", "text"], sort=False))
    for (_, text), points in lines:
        line, colour = points.sort_values("x"), colours[str(text)]
        few = len(lines) <= MOST_BANDS
        theme.line_with_band(ax, line, "x", colour, 1.3 if few else 0.9, band=few, marker=marker, markersize=3)


def _shared(axes: Sequence[Axes], means: pd.Series[float]) -> None:
    """Give panels one log axis over the means, at least a decade of it: noise about a constant is to look like that."""
    finite = means[np.isfinite(means) & (means > 0)]
    if finite.empty:
        return
    for ax in axes:
        ax.set_yscale("log")
    low, high = math.log10(finite.min()), math.log10(finite.max())
    room = max(0.06 * (high - low), (1 - (high - low)) / 2, 0.05)
    decades = high - low + 2 * room
    for ax in axes:
        ax.set_ylim(10 ** (low - room), 10 ** (high + room))
        if decades < 2.5:
            theme.log_ticks(ax.yaxis, (1.0, 2.0, 5.0))
        else:
            ax.yaxis.set_major_locator(LogLocator(numticks=7))
            ax.yaxis.set_major_formatter(theme.power_of_ten)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())


def _name_line_ends(figure: Figure, ax: Axes, part: pd.DataFrame, colours: Mapping[str, str]) -> bool:
    """Write what a line is at its end, where ends are far enough apart for that; return whether they are."""
    if len(colours) > MOST_NAMED_LINES or set(part["text"]) != set(colours) or part["line"].nunique() != len(colours):
        return False
    ends = {text: of.dropna(subset=["mean"]).sort_values("x").tail(1) for text, of in part.groupby("text", sort=False)}
    if any(end.empty for end in ends.values()):
        return False
    points = {str(text): (float(end["x"].iloc[0]), float(end["mean"].iloc[0])) for text, end in ends.items()}
    figure.draw_without_rendering()  # constrained layout gives axes their size when it is drawn
    heights = sorted(float(ax.transData.transform(point)[1]) for point in points.values())
    if any(b - a < APART for a, b in itertools.pairwise(heights)):
        return False
    for text, point in points.items():
        ax.annotate(text, point, (5, 0), textcoords="offset points", va="center", color=colours[text],
                    annotation_clip=False)  # fmt: skip
    return True
