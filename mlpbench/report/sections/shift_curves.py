"""The section "Under shift": the outcome on shifted test sets, a panel for each kind of shift, a line for each condition."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from mlpbench.evidence.estimates.series import by_severity
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.sections.learning_curves import runs_without_curves

COLUMNS = 3
# What the severity of a kind of shift is, under its panel.
UNITS = {
    "noise": "sd of the noise",
    "blur": "sd of the blur, pixels",
    "translation": "translation, pixels",
    "brightness": "added to each pixel",
    "contrast": "share of contrast removed",
    "labels": "class labels rotated by",
}
BANDS = "Severity 0 is the unshifted test set; bands are 95% intervals over replicates."


def section(context: Context) -> Section | None:
    """Return the outcome under the shifts that the experiment tests; None where it tests none, or no run has finished."""
    if not context.experiment.shifts:
        return None
    observed = context.drawn_rows(context.observed)
    estimates = by_severity(context.experiment, context.conditions, observed, context.curve_points, context.measure)
    found = sentence(estimates, context.measure)
    if not found:
        return None
    figure = SectionFigure(
        name="shift",
        draw=partial(draw, estimates, context.colours, context.measure),
        alt=f"Test {context.measure} against the severity of each kind of shift. {found}",
    )
    text = paragraph(found, BANDS, runs_without_curves(context), context.excerpt.drawn_by)
    return Section(title="Under shift", sentences=text, figures=[figure])


def sentence(estimates: pd.DataFrame, measure: str) -> str:
    """Say under which shift, and with which condition, the mean gets worse most and least; nothing where none is known."""
    rows = records(estimates)
    unshifted = {(r["position"], r["kind"]): r for r in rows if r["severity"] == 0}
    shifted = [r for r in rows if r["severity"] > 0 and (r["position"], r["kind"]) in unshifted]
    if not shifted:
        return ""
    several = estimates["position"].nunique() > 1
    sign = 1.0 if measure == "accuracy" else -1.0

    def before(row: Mapping[str, Any]) -> float:
        return float(unshifted[row["position"], row["kind"]]["mean"])

    def words(row: Mapping[str, Any]) -> str:
        condition = f" with {row['label']}" if several else ""
        first, then = (f"{v:.1%}" if measure == "accuracy" else f"{v:.3g}" for v in (before(row), row["mean"]))
        return f"{row['kind']} {row['severity']:g}{condition} ({first} to {then})"

    shifted.sort(key=lambda row: sign * (before(row) - row["mean"]))
    if len(shifted) == 1:
        return f"Mean test {measure} changes under {words(shifted[0])}."
    return f"Mean test {measure} suffers most from {words(shifted[-1])} and least from {words(shifted[0])}."


def draw(estimates: pd.DataFrame, colours: ConditionColours, measure: str) -> Figure:
    """Return the figure for estimates by `kind`, `severity` and condition, with `low` and `high` as bands.

    Severity 0 is the unshifted test set, so that every line of a condition starts at one height.
    """
    kinds = list(dict.fromkeys(estimates["kind"]))
    columns = min(COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    with theme.style():
        figure, axes = theme.new(1.0 + 2.1 * rows, rows, columns, sharey=True)
        for i, ax in enumerate(axes):
            if i >= len(kinds):
                ax.remove()
                continue
            _panel(ax, estimates[estimates["kind"] == kinds[i]], colours)
            ax.set_title(kinds[i], loc="left")
            ax.set_xlabel(UNITS.get(kinds[i], "severity"))
            if i % columns == 0:
                ax.set_ylabel(f"test {measure}")
            if measure == "accuracy":
                ax.yaxis.set_major_formatter(theme.percent)
        theme.legend_below(figure, theme.colour_handles(colours.entries), colours.title)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, colours: ConditionColours) -> None:
    for condition, line in rows.groupby("condition_id", sort=False):
        colour = colours.colours[str(condition)]
        marks = {"marker": "o", "markersize": 3.0, "linewidth": 1.3} if colours.is_detailed else {"linewidth": 0.8}
        ax.plot(line["severity"], line["mean"], color=colour, **marks)
        if colours.is_detailed:
            ax.fill_between(line["severity"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
    levels = sorted(set(rows["severity"]))
    # Levels that stand close to each other would have their numbers on one another.
    room = 0.12 * levels[-1]
    shown = [v for i, v in enumerate(levels) if i == 0 or i == len(levels) - 1 or v - levels[i - 1] >= room]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
