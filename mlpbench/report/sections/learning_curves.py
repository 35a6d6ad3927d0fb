"""Sections on curves: loss and accuracy against epochs, and the outcome against the severity of a shift of the test set."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from mlpbench.evidence.estimates.axis_estimates import by_severity
from mlpbench.evidence.estimates.observe import OK, with_numbers
from mlpbench.evidence.frames import places, records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.theme import SPLITS
from mlpbench.report.section import Section, figure_section
from mlpbench.report.words import fixed, highest_and_lowest, with_spread

MEASURES = ("loss", "accuracy")
# Above this many conditions train and test lines in one panel can't be followed: each split gets its own.
MOST_TOGETHER = 3
BANDS = (
    "Bands are 95% intervals over replicates; train curves use the first 10,000 training examples, or all where there are "
    "fewer."
)
SHIFT_COLUMNS = 3
# What the severity of a kind of shift is, under its panel.
UNITS = {
    "noise": "sd of the noise",
    "blur": "sd of the blur, pixels",
    "translation": "translation, pixels",
    "brightness": "added to each pixel",
    "contrast": "share of contrast removed",
    "labels": "class labels rotated by",
}
SHIFT_BANDS = "Severity 0 is the unshifted test set; bands are 95% intervals over replicates."


def section(context: Context) -> Section | None:
    """Return the learning curves of the conditions that are drawn; None where nothing was trained."""
    if not has_curves(context):
        return None
    curves = context.curve_estimates
    measures = "Loss and accuracy" if context.measure == "accuracy" else "Loss"
    return figure_section(
        "Learning curves",
        on_stops(context) or sentence(curves),
        BANDS,
        runs_without_curves(context),
        context.excerpt.drawn_by,
        figure="learning_curves",
        alt=f"{measures} on train and test examples against epochs.",
        draw=partial(draw, curves, context.colours, context.constant, context.measure),
    )


def has_curves(context: Context) -> bool:
    """Return whether there are curves to draw: not of networks that are not trained."""
    return bool((context.curve_estimates["epoch"] > 0).any())


def on_stops(context: Context) -> str:
    """Say what curves of runs that stop early are of, nothing where there are none."""
    if not context.stops_early:
        return ""
    return (
        "Where training stops early, a mean curve ends at the first stop of its replicates: later points would be of fewer. "
        "Results are those of the best epoch, not of the last."
    )


def sentence(curves: pd.DataFrame) -> str:
    """Say where the mean test accuracy ends, or the loss where there is none; which conditions end highest and lowest."""
    on_test = curves[curves["split"] == "test"]
    if on_test.empty:
        return ""
    what = "accuracy" if (on_test["measure"] == "accuracy").any() else "loss"
    test = on_test[on_test["measure"] == what]
    end = records(test[test["epoch"] == test.groupby("position")["epoch"].transform("max")])
    highest, lowest = highest_and_lowest(end)
    if len(end) == 1:
        start = min(records(test), key=lambda r: float(r["epoch"]))
        return (
            f"Mean test {what} goes from {fixed(start['mean'], highest['sd'])} to "
            f"{with_spread(highest['mean'], highest['sd'])} in {highest['epoch']:g} epochs (n = {highest['n']})."
        )
    lengths = sorted({r["epoch"] for r in end})
    after = f"{lengths[0]:g}" if len(lengths) == 1 else f"{lengths[0]:g} to {lengths[-1]:g}"
    plural = "" if after == "1" else "s"
    return (
        f"After {after} epoch{plural} mean test {what} is highest with {highest['label']}, "
        f"{with_spread(highest['mean'], highest['sd'])}, and lowest with {lowest['label']}, "
        f"{with_spread(lowest['mean'], lowest['sd'])} (mean ± sd over replicates)."
    )


def runs_without_curves(context: Context) -> str:
    """Say how many finished runs have no curves, nothing where all have: those of a trimmed folder may be gone."""
    observed = context.drawn_rows(context.observed)
    finished = observed.loc[observed["status"] == OK, "run_id"]
    there = with_numbers(context.curve_points)["run_id"].drop_duplicates()
    lacking = int((places(finished, there) < 0).sum())
    if not lacking:
        return ""
    return f"{lacking} of {len(finished)} finished runs have no curves: this folder was trimmed."


def draw(
    curves: pd.DataFrame, colours: ConditionColours, constant: float | None = None, outcome: str = "accuracy"
) -> Figure:
    """Return the figure for estimates by condition, split, epoch and measure, with `low` and `high` as bands.

    Args:
        curves: the estimates.
        colours: those of the conditions.
        constant: the outcome of a prediction that looks at no input; None where it is not known.
        outcome: the measure that it is of.

    """
    splits = [s for s in SPLITS if (curves["split"] == s).any()]
    measures = [m for m in MEASURES if (curves["measure"] == m).any()]
    with theme.style():
        if len(colours.colours) > MOST_TOGETHER:
            figure = _a_panel_for_each_split(curves, measures, splits, colours)
            handles = []
            panels = dict(zip(itertools.product(measures, splits), figure.axes, strict=True))
        else:
            figure, axes = theme.new(3.4, 1, len(measures))
            for ax, measure in zip(axes, measures, strict=True):
                draw_panel(ax, curves[curves["measure"] == measure], measure, colours)
                ax.set_ylabel(measure)
                ax.set_xlabel("epoch")
            panels = {(measure, "test"): ax for measure, ax in zip(measures, axes, strict=True)}
            handles = [Line2D([], [], color=theme.INK, linestyle=SPLITS[s], linewidth=1.4, label=s) for s in splits]
        if (outcome, "test") in panels:
            handles += theme.constant_line(panels[outcome, "test"], constant, "y")
        handles += theme.colour_handles(colours.entries)
        theme.legend_below(figure, handles, colours.title if len(colours.entries) > 1 else "")
    return figure


def _a_panel_for_each_split(
    curves: pd.DataFrame, measures: list[str], splits: list[str], colours: ConditionColours
) -> Figure:
    figure, axes = theme.new(5.0 if len(measures) > 1 else 3.4, len(measures), len(splits), sharex=True, sharey="row")
    for i, ax in enumerate(axes):
        measure, split = measures[i // len(splits)], splits[i % len(splits)]
        of_measure = curves[curves["measure"] == measure]
        draw_panel(ax, of_measure[of_measure["split"] == split], measure, colours, whole=of_measure)
        if measure == measures[0]:
            ax.set_title(split, loc="left")
        if measure == measures[-1]:
            ax.set_xlabel("epoch")
        if split == splits[0]:
            ax.set_ylabel(measure)
    return figure


def draw_panel(
    ax: Axes, curves: pd.DataFrame, measure: str, colours: ConditionColours, whole: pd.DataFrame | None = None
) -> None:
    """Draw the curves of one measure, with their bands; the axis is that of `whole`, where that is more."""
    for (condition, split), line in curves.groupby(["condition_id", "split"], sort=False):
        colour = colours.colours[str(condition)]
        width = 1.3 if colours.is_detailed else 0.8
        dashes = SPLITS[str(split)]
        theme.line_with_band(ax, line, "epoch", colour, width, band=colours.is_detailed, linestyle=dashes)
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
        theme.log_ticks(ax.yaxis, subs, most=None if spread > 100 else 50)
    later = curves.loc[curves["epoch"] > 0, ["mean", "low", "high"]]
    if measure == "accuracy" and not later.empty:
        bottom, top = float(later.min().min()), float(later.max().max())
        room = 0.05 * (top - bottom) or 0.01
        ax.set_ylim(bottom - room, top + room)


def under_shift(context: Context) -> Section | None:
    """Return the outcome under the shifts that the experiment tests; None where it tests none, or no run has finished."""
    if not context.experiment.shifts:
        return None
    observed = context.drawn_rows(context.observed)
    estimates = by_severity(context.experiment, context.conditions, observed, context.curve_points, context.measure)
    finding = shift_sentence(estimates, context.measure)
    if not finding:
        return None
    return figure_section(
        "Under shift",
        finding,
        SHIFT_BANDS,
        runs_without_curves(context),
        context.excerpt.drawn_by,
        figure="shift",
        alt=f"Test {context.measure} against the severity of each kind of shift.",
        draw=partial(draw_shifts, estimates, context.colours, context.measure),
    )


def shift_sentence(estimates: pd.DataFrame, measure: str) -> str:
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


def draw_shifts(estimates: pd.DataFrame, colours: ConditionColours, measure: str) -> Figure:
    """Return the figure for estimates by `kind`, `severity` and condition, with `low` and `high` as bands.

    Severity 0 is the unshifted test set, so that every line of a condition starts at one height.
    """
    kinds = list(dict.fromkeys(estimates["kind"]))
    columns = min(SHIFT_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    with theme.style():
        figure, axes = theme.new(1.0 + 2.1 * rows, rows, columns, sharey=True)
        for i, ax in enumerate(axes):
            if i >= len(kinds):
                ax.remove()
                continue
            _shift_panel(ax, estimates[estimates["kind"] == kinds[i]], colours)
            ax.set_title(kinds[i], loc="left")
            ax.set_xlabel(UNITS.get(kinds[i], "severity"))
            if i % columns == 0:
                ax.set_ylabel(f"test {measure}")
            if measure == "accuracy":
                ax.yaxis.set_major_formatter(theme.percent)
        theme.legend_below(figure, theme.colour_handles(colours.entries), colours.title)
    return figure


def _shift_panel(ax: Axes, rows: pd.DataFrame, colours: ConditionColours) -> None:
    for condition, line in rows.groupby("condition_id", sort=False):
        colour = colours.colours[str(condition)]
        width, mark = (1.3, "o") if colours.is_detailed else (0.8, "")
        theme.line_with_band(ax, line, "severity", colour, width, band=colours.is_detailed, marker=mark, markersize=3.0)
    levels = sorted(set(rows["severity"]))
    # Levels that stand close to each other would have their numbers on one another.
    room = 0.12 * levels[-1]
    shown = [v for i, v in enumerate(levels) if i == 0 or i == len(levels) - 1 or v - levels[i - 1] >= room]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_major_formatter("{x:g}")
