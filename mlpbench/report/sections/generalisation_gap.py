"""The section "Generalisation gap": how much worse a network does on test examples than on training examples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.rows import row_height, rows_axis
from mlpbench.report.language.words import fixed
from mlpbench.report.section import Section, SectionFigure, paragraph

# Above the panels, where there is room for few letters.
TITLES = {"gap_accuracy": "accuracy gap, pp", "gap_loss": "loss gap"}
MEANING = {"gap_accuracy": "train minus test accuracy", "gap_loss": "test minus train loss"}


def section(context: Context) -> Section | None:
    """Return the gap by condition, where it differs between conditions by more than its intervals.

    Shown where the 95% intervals of the largest and the smallest mean gap, in accuracy or in loss, do not overlap; not where
    conditions are the random streams that vary one at a time: they differ by the draw at which the others are fixed.
    """
    if context.experiment.one_at_a_time:
        return None
    names = [f"gap_{context.measure}", *["gap_loss"] * (context.measure == "accuracy")]
    gaps = context.estimated(names)
    apart = [name for name in names if _differs(gaps[gaps["metric"] == name])]
    if not apart:
        return None
    errors = context.errors
    places = errors.estimates.drop_duplicates("position").set_index("position")[["x", "series", "group"]]
    drawn = gaps.dropna(subset=["mean"]).join(places, on="position", how="inner")
    if errors.factor:
        draw = partial(gap_against_factor, drawn, errors.factor)
    else:
        draw = partial(gap_by_condition, drawn, [c.condition_id for c in context.drawn_conditions], context.colours)
    found = sentence(gaps[gaps["metric"] == apart[0]])
    figure = SectionFigure(
        name="gap", draw=draw, alt=f"Generalisation gap against {errors.factor or 'condition'}. {found}"
    )
    both = "The accuracy gap is train minus test accuracy, the loss gap test minus train loss." * (len(names) > 1)
    text = paragraph(found, both, "Bars are 95% intervals over replicates.", errors.drawn_by)
    return Section(title="Generalisation gap", sentences=text, figures=[figure])


def _differs(rows: pd.DataFrame) -> bool:
    known = records(rows.dropna(subset=["low"]))
    if not known:
        return False
    largest, smallest = _ends(known)
    return bool(largest["low"] > smallest["high"])


def _ends(known: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    return max(known, key=lambda r: float(r["mean"])), min(known, key=lambda r: float(r["mean"]))


def sentence(rows: pd.DataFrame) -> str:
    """Say where one gap is largest and where it is smallest, with intervals."""
    known = records(rows.dropna(subset=["low"]))
    name = known[0]["metric"]
    largest, smallest = _ends(known)
    return (
        f"The gap ({MEANING[name]}) is largest with {_part(largest, name)} and smallest with {_part(smallest, name)}."
    )


def _part(row: Mapping[str, Any], name: str) -> str:
    factor, unit = (100.0, " pp") if name == "gap_accuracy" else (1.0, "")
    spread = factor * (row["high"] - row["low"]) / 2
    mean, low, high = (fixed(factor * row[k], spread) for k in ("mean", "low", "high"))
    return f"{row['label']}, {mean}{unit} ({low} to {high})"


def gap_against_factor(estimates: pd.DataFrame, factor: str) -> Figure:
    """Return a panel for each gap over a numeric factor, a line for each series, with intervals.

    `estimates` has metric, x, series, group (what a colour stands for), mean, low and high.
    """
    names = [name for name in MEANING if (estimates["metric"] == name).any()]
    with theme.style():
        figure, axes = theme.new(3.2, 1, len(names))
        group = dict(zip(estimates["series"], estimates["group"], strict=True))
        colours = theme.distinct_colours(group.values())
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
        theme.legend_below(figure, theme.colour_handles(colours.items()))
    return figure


def gap_by_condition(estimates: pd.DataFrame, order: list[str], colours: ConditionColours) -> Figure:
    """Return a panel for each gap with a row for each condition of `order`, in the report's colours."""
    names = [name for name in MEANING if (estimates["metric"] == name).any()]
    with theme.style():
        figure, axes = theme.new(row_height(len(order)), 1, len(names), sharey=True)
        for ax, name in zip(axes, names, strict=True):
            ax.axvline(0, color=theme.FAINT, linewidth=0.8)
            for row in records(estimates[estimates["metric"] == name]):
                at, colour = order.index(row["condition_id"]), colours.colours[row["condition_id"]]
                ax.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
                ax.plot([row["mean"]], [at], "D", color=colour, markersize=4.5)
            _title(ax, name, ax.xaxis)
            ax.grid(axis="y", visible=False)
        rows_axis(axes[0], [colours.labels[c] for c in order], colours.row_title)
    return figure


def _title(ax: Axes, name: str, axis: Axis) -> None:
    ax.set_title(TITLES[name], loc="left")
    if name == "gap_accuracy":
        axis.set_major_formatter(lambda v, _: f"{100 * v:.4g}".replace("-", "\N{MINUS SIGN}"))
