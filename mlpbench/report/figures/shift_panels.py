"""The figure of a shifted test set: a panel for each kind of shift over its severities, or rows where each kind has one severity."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.grouped_rows import block_axis, names_width, plan_rows
from mlpbench.report.figures.layouts import row_height
from mlpbench.report.figures.line_ends import name_line_ends, of_level

SHIFT_COLUMNS = 3
# A line takes so many severities, with that of the unshifted test set.
FEWEST = 3
# What the severity of a kind of shift is, under its panel.
UNITS = {
    "noise": "sd of the noise",
    "blur": "sd of the blur, pixels",
    "translation": "translation, pixels",
    "brightness": "added to each pixel",
    "contrast": "share of contrast removed",
    "labels": "class labels rotated by",
}


def of_many(estimates: pd.DataFrame) -> list[str]:
    """Return the kinds of shift of which there are severities enough for lines."""
    counts = estimates.groupby("kind", sort=False)["severity"].nunique()
    return [str(kind) for kind in counts.index[counts >= FEWEST]]


def draw_shifts(estimates: pd.DataFrame, colours: ConditionColours, measure: str) -> Figure:
    """Return the figure for estimates by `kind`, `severity` and condition, with `low` and `high` as bands.

    Severity 0 is the unshifted test set, so that every line of a condition starts at one height. Each panel has its own axis:
    conditions differ by less than severities do. Kinds of one severity are left out beside others, and rows where all are such.
    """
    kinds = of_many(estimates)
    if not kinds:
        return _rows(estimates, colours, measure)
    columns = min(SHIFT_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    with theme.style():
        figure, axes = theme.new(1.0 + 2.1 * rows, rows, columns)
        for i, ax in enumerate(axes):
            if i >= len(kinds):
                ax.remove()
                continue
            of_kind = estimates[estimates["kind"] == kinds[i]]
            _panel(ax, of_kind, colours, is_share=measure == "accuracy")
            theme.panel_title(ax, kinds[i])
            ax.set_xlabel(UNITS.get(kinds[i], "severity"))
            if i % columns == 0:
                ax.set_ylabel(f"test {measure}")
        right = estimates[estimates["kind"] == kinds[columns - 1]]
        ends = [] if len(colours.style_entries) > 1 else _ends(right, colours)
        if not ends or not name_line_ends(figure, axes[columns - 1], ends):
            theme.legend_below(figure, colours.handles(), colours.title)
    return figure


def _ends(rows: pd.DataFrame, colours: ConditionColours) -> list[tuple[str, float, float, str]]:
    text = {colour: of_level(colours.title, t) for t, colour in colours.entries}
    if not 1 < len(text) == len(colours.colours):
        return []
    last = rows[rows["severity"] == rows.groupby("condition_id")["severity"].transform("max")].dropna(subset=["mean"])
    found = [(c, colours.colours[c]) for c in last["condition_id"]]
    return [
        (text[colour], r["severity"], r["mean"], colour) for (_, colour), r in zip(found, records(last), strict=True)
    ]


def _panel(ax: Axes, rows: pd.DataFrame, colours: ConditionColours, *, is_share: bool) -> None:
    for condition, line in rows.groupby("condition_id", sort=False):
        colour, dash = colours.colours[str(condition)], colours.dash(str(condition))
        width, mark = (1.3, "o") if colours.is_detailed else (0.8, "")
        theme.line_with_band(
            ax, line, "severity", colour, width, band=colours.is_detailed, marker=mark, markersize=3.0, linestyle=dash
        )
    ends = [*floats(rows["low"]), *floats(rows["high"])] if colours.is_detailed else []
    scales.put_limits(
        ax,
        "y",
        scales.limits(floats(rows["mean"]), ends, log=False, clip=False),
        theme.percent if is_share else None,
        6,
    )
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(rows["severity"]))))
    ax.xaxis.set_major_formatter("{x:g}")


def _rows(estimates: pd.DataFrame, colours: ConditionColours, measure: str) -> Figure:
    """Return a row for each condition and a panel for each kind: the outcome before the shift, hollow, and under it."""
    kinds = list(dict.fromkeys(estimates["kind"]))
    order = list(dict.fromkeys(estimates["condition_id"]))
    plan = plan_rows(order, colours)
    with theme.style():
        figure, axes = theme.new(row_height(plan.height), 1, len(kinds), sharey=True)
        for ax, kind in zip(axes, kinds, strict=True):
            of_kind = estimates[estimates["kind"] == kind]
            for row in records(of_kind):
                at, colour = plan.at[row["condition_id"]], colours.colours[row["condition_id"]]
                ax.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
                face = "white" if row["severity"] == 0 else colour
                ax.plot([row["mean"]], [at], "o", color=colour, markerfacecolor=face, markersize=5)
            for condition, pair in of_kind.groupby("condition_id", sort=False):
                if len(pair) > 1:
                    ax.plot(
                        pair["mean"], [plan.at[str(condition)]] * len(pair), color=theme.FAINT, linewidth=0.8, zorder=1
                    )
            text = theme.percent if measure == "accuracy" else None
            scales.put_limits(
                ax, "x", scales.limits(floats(of_kind["mean"]), log=False, clip=False), text, 7 // len(kinds) + 1
            )
            severity = max(of_kind["severity"])
            theme.panel_title(
                ax, f"{kind}: {UNITS.get(kind, 'severity')} {severity:g}", names_width(plan, 1 / len(kinds)) + 30
            )
            ax.set_xlabel(f"test {measure}")
            ax.grid(axis="y", visible=False)
        block_axis(axes[0], plan, colours.row_title, room=1 / len(kinds))
        dot: dict[str, Any] = {"color": theme.INK, "marker": "o", "markersize": 5, "linestyle": "none"}
        hollow = Line2D([], [], markerfacecolor="white", label="unshifted", **dot)
        theme.legend_below(figure, [hollow, Line2D([], [], label="shifted", **dot)])
    return figure
