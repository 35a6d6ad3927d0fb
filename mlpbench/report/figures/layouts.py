"""Layouts that figures of several sections share: a row for each condition, and lines with bands in a grid of panels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import DASHES, ConditionColours
from mlpbench.report.figures.grouped_rows import RowPlan, block_axis, plan_rows
from mlpbench.report.figures.line_ends import name_line_ends, of_level
from mlpbench.report.figures.text_room import shorten, wrap

# Rows that have their name beside them; of more, every k-th has.
MOST_NAMED_ROWS = 100
# Bands of more lines than this, in one panel, are a smear.
MOST_BANDS = 10
# Points of a line that each have a mark.
MOST_MARKS = 12
PANEL_HEIGHT = 2.15
# Of so few rows with so many replicates the dots are heaped, so that their distribution is seen; fewer rows still are paired.
HEAPED_ROWS, HEAPED_DOTS, PAIRED_ROWS = 6, 15, 3
# Columns of a heap of dots across the axis, and how high it is, in rows.
HEAPS, HEAP_HEIGHT = 90, 0.52
# Of the width of a figure, what names of rows take at most, in points.
NAMES = 0.42 * theme.POINTS


def row_height(rows: int) -> float:
    """Return the height, in inches, of a figure with a row for each condition."""
    return min(20.0, 1.3 + 0.24 * max(rows, 2))


def rows_axis(ax: Axes, labels: list[str], title: str) -> None:
    """Put conditions on the y axis, the first on top; where they are too many for the height, every k-th is named."""
    every = -(-len(labels) // MOST_NAMED_ROWS)
    names = [shorten(label, NAMES, theme.SMALL) for label in labels[::every]]
    ax.set_yticks(range(0, len(labels), every), names)
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
    log: bool = False,
) -> Figure:
    """Return a row for each condition: its replicates, their mean and interval; n where runs lack a value.

    Args:
        estimates: position, condition_id, mean, low, high, n and planned.
        points: position, value and, where conditions are paired by it, replicate.
        colours: those of the conditions.
        title: what the axis is.
        is_share: whether numbers are shares, written as percents.
        constant: the value of a prediction that looks at no input, where it is known.
        log: whether the axis is log: means are geometric then.

    """
    rows = records(estimates)
    plan = plan_rows([str(r["condition_id"]) for r in rows], colours)
    values = {r["position"]: floats(points.loc[points["position"] == r["position"], "value"].dropna()) for r in rows}
    heaped = len(rows) <= HEAPED_ROWS and max(map(len, values.values()), default=0) >= HEAPED_DOTS
    ends = [v for r in rows for v in (r["low"], r["high"], *values[r["position"]])]
    inside = scales.limits([r["mean"] for r in rows], ends, log=log)
    text = theme.percent if is_share else None
    with theme.style():
        height = 1.3 + 0.62 * plan.height if heaped else row_height(plan.height)
        figure, (ax,) = theme.new(height)
        scales.put_limits(ax, "x", inside, text)
        for row in rows:
            at = plan.at[str(row["condition_id"])]
            _replicate_row(
                ax, row, values[row["position"]], at, colours.colours[row["condition_id"]], inside, heaped, is_share
            )
        if joins_rows(estimates, points):
            _pair(ax, points, [(r["position"], plan.at[str(r["condition_id"])]) for r in rows])
        _name_rows(ax, rows, plan, colours)
        ax.set_xlabel(title)
        mean = Line2D([], [], color=theme.INK, marker="D", markersize=4.5, linewidth=2)
        mean.set_label(f"{'geometric ' * log}mean with 95% interval")
        dot = Line2D([], [], color=theme.INK, marker="o", alpha=0.35, markersize=4, linestyle="none")
        dot.set_label("one replicate")
        off = [scales.arrow_handle()] if any(inside and inside.side(r["mean"]) for r in rows) else []
        theme.legend_below(figure, [mean, dot, *off, *theme.constant_line(ax, constant, "x")])
        ax.grid(axis="y", visible=False)
    return figure


def joins_rows(estimates: pd.DataFrame, points: pd.DataFrame) -> bool:
    """Return whether `replicate_rows` joins the runs of one replicate: of so few rows, and where replicates are known."""
    return 1 < len(estimates) <= PAIRED_ROWS and "replicate" in points


def _replicate_row(
    ax: Axes,
    row: Mapping[str, Any],
    values: list[float],
    at: float,
    colour: str,
    inside: scales.Limits | None,
    heaped: bool,
    is_share: bool,
) -> None:
    """Draw one row: its dots below its mean; where the mean lies off the axis, an arrow."""
    if inside is None or not math.isfinite(row["mean"]):
        return
    side = inside.side(row["mean"])
    shown = [v for v in values if not inside.side(v)]
    down = _heap(shown, inside) if heaped else [0.18] * len(shown)
    ax.plot(
        shown, [at + d for d in down], "o", color=colour, alpha=0.35, markersize=3.6 if heaped else 4, markeredgewidth=0
    )
    if side:
        text = theme.percent(row["mean"]) if is_share else f"{row['mean']:.3g}"
        scales.arrow(ax, "x", at, text, inside, side, colour)
        return
    above = 0.1 if heaped else 0.12
    ax.hlines(at - above, max(row["low"], inside.low), min(row["high"], inside.high), color=colour, linewidth=2)
    ax.plot([row["mean"]], [at - above], "D", color=colour, markersize=4.5)


def _heap(values: Sequence[float], inside: scales.Limits) -> list[float]:
    """Return how far below its row each dot stands: dots of one place stand on one another."""
    low, high = (math.log10(v) if inside.log else v for v in (inside.low, inside.high))
    levels: dict[int, int] = {}
    heights = []
    for v in values:
        place = int(HEAPS * ((math.log10(v) if inside.log else v) - low) / (high - low))
        heights.append(levels.get(place, 0))
        levels[place] = levels.get(place, 0) + 1
    step = min(0.1, HEAP_HEIGHT / max(levels.values(), default=1))
    return [0.06 + step * h for h in heights]


def _pair(ax: Axes, points: pd.DataFrame, places: Sequence[tuple[int, float]]) -> None:
    """Join the values of one replicate, of rows beside each other."""
    by = {
        p: dict(zip(*(points.loc[points["position"] == p, n] for n in ("replicate", "value")), strict=True))
        for p, _ in places
    }
    for (a, above), (b, below) in itertools.pairwise(places):
        for replicate in sorted(by[a].keys() & by[b].keys()):
            ax.plot(
                [by[a][replicate], by[b][replicate]],
                [above + 0.06, below + 0.06],
                color=theme.FAINT,
                linewidth=0.5,
                alpha=0.45,
                zorder=0.9,
            )


def _name_rows(ax: Axes, rows: Sequence[Mapping[str, Any]], plan: RowPlan, colours: ConditionColours) -> None:
    names = {
        str(r["condition_id"]): f" (n = {r['n']})" if r["n"] < r["planned"] else ""
        for r in rows
    }  # fmt: skip
    block_axis(ax, plan, colours.row_title, names)


def panels(
    frame: pd.DataFrame,
    entries: Sequence[tuple[str, str]],
    title: str,
    x: str,
    styles: Sequence[tuple[str, int]] = (),
) -> Figure:
    """Return a grid of panels, `row` by `column`, of lines over x on a log y axis.

    Args:
        frame: row, column and head (what stands above a panel), measure (what y is), line (which points belong together),
            text (what its colour stands for), x, mean, low and high; `style`, the place of its dash, where dashes differ.
        entries: the colour of each text.
        title: what the texts are levels of.
        x: the title of the x axis.
        styles: what dashes stand for.

    """
    rows, columns = (list(dict.fromkeys(frame[name])) for name in ("row", "column"))
    frame = frame if "style" in frame else frame.assign(style=0)
    with theme.style():
        figure, axes = theme.new(PANEL_HEIGHT * len(rows) + 0.75, len(rows), len(columns), sharex=True)
        at = {(r, c): axes[i * len(columns) + j] for i, r in enumerate(rows) for j, c in enumerate(columns)}
        for (r, c), ax in at.items():
            part = frame[(frame["row"] == r) & (frame["column"] == c)]
            _draw(ax, part, dict(entries), marker="o" if frame["x"].nunique() <= MOST_MARKS else "")
            theme.panel_title(ax, str(part["head"].iloc[0]) if len(part) else "")
            if r == rows[-1]:
                ax.set_xlabel(x)
        measured = frame.groupby(["row", "column"], sort=False)["measure"].first().to_dict()
        for measure in dict.fromkeys(frame["measure"]):
            same = [ax for key, ax in at.items() if measured.get(key) == measure]
            _shared(same, frame.loc[frame["measure"] == measure, "mean"])
        for (r, c), ax in at.items():
            if (r, c) not in measured:
                ax.remove()
                continue
            left = [measured.get((r, other)) for other in columns[: columns.index(c)]]
            if measured.get((r, c)) in left:
                ax.tick_params(labelleft=False)
            else:
                ax.set_ylabel(wrap(str(measured.get((r, c), "")), 72 * PANEL_HEIGHT - 40, 8.5))
        last = frame[(frame["row"] == rows[0]) & (frame["column"] == columns[-1])]
        several = [entry for entry in entries if entry[0] in set(frame["text"])]
        ends = [] if styles or (rows[0], columns[-1]) not in measured else _ends(last, dict(several), title)
        if len(several) > 1 and not (ends and name_line_ends(figure, at[rows[0], columns[-1]], ends)):
            handles = [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in several]
            handles += [
                Line2D([], [], color=theme.INK, linewidth=1.3, linestyle=DASHES[place], label=text)
                for text, place in styles
            ]
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
        dash = DASHES[int(line["style"].iloc[0])]
        theme.line_with_band(
            ax, line, "x", colour, 1.3 if few else 0.9, band=few, marker=marker, markersize=3, linestyle=dash
        )
        known = line.dropna(subset=["mean"])
        if not marker and len(known):
            # Where a line ends is seen where others run on.
            ax.plot([known["x"].iloc[-1]], [known["mean"].iloc[-1]], "o", color=colour, markersize=2.4)


def _shared(axes: Sequence[Axes], means: pd.Series[float]) -> None:
    """Give panels one log axis over the means, at least a decade of it: noise about a constant is to look like that."""
    finite = means[np.isfinite(means) & (means > 0)]
    if finite.empty:
        for ax in axes:
            ax.set_yticks([])
        return
    low, high = math.log10(finite.min()), math.log10(finite.max())
    room = max(0.06 * (high - low), (1 - (high - low)) / 2, 0.05)
    for ax in axes:
        bottom, top = max(10.0 ** max(low - room, -320), 5e-324), 10.0 ** min(high + room, 307)
        # Else a log scale would look for limits that hold the bands of very few runs, beyond all numbers.
        ax.set_autoscaley_on(False)
        ax.set_yscale("log")
        ax.set_ylim(bottom, top)
        scales.log_ticks(ax.yaxis, bottom, top)


def _ends(part: pd.DataFrame, colours: Mapping[str, str], title: str) -> list[tuple[str, float, float, str]]:
    """Return what stands at the end of each line: a text, where, and its colour; nothing unless each text has one line."""
    if set(part["text"]) != set(colours) or part["line"].nunique() != len(colours):
        return []
    ends = {
        str(text): of.dropna(subset=["mean"]).sort_values("x").tail(1) for text, of in part.groupby("text", sort=False)
    }
    if any(end.empty for end in ends.values()):
        return []
    return [
        (of_level(title, text), float(e["x"].iloc[0]), float(e["mean"].iloc[0]), colours[text])
        for text, e in ends.items()
    ]
