"""Sections on curves: loss and accuracy against epochs, and the outcome against the severity of a shift of the test set."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpbench.evidence.estimates.axis_estimates import by_severity
from mlpbench.evidence.estimates.observe import OK, as_geometric, with_numbers
from mlpbench.evidence.frames import places, records
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import MOST_DETAILED, ConditionColours
from mlpbench.report.figures.line_ends import name_line_ends, of_level
from mlpbench.report.figures.shift_panels import draw_shifts, of_many
from mlpbench.report.figures.theme import SPLITS
from mlpbench.report.number_text import brief, fixed, with_spread
from mlpbench.report.section import Section, figure_section
from mlpbench.report.words import highest_and_lowest, listing

MEASURES = ("loss", "accuracy")
# Above this many conditions train and test lines in one panel can't be followed: each split gets its own.
MOST_TOGETHER = 3
BANDS = (
    "Bands are 95% intervals over replicates; train curves use the first 10,000 training examples, or all where there are "
    "fewer."
)
ON_LOG = "On a log axis lines and bands are geometric means and their intervals."
# A loss that falls by less than this has no log axis.
LEAST_FALL = 3.0
# The first point is out of sight, where training moves far from it, if so many follow; lines of a facet that have bands.
FEWEST_LATER = 2
MOST_BANDS = 6
# From one arrow at an edge to the next, in lengths of the axis.
ARROW = 0.035
TEST_ALONE = "The figure shows test curves: train curves of so many conditions would hide them."
SHIFT_BANDS = (
    "Severity 0 is the unshifted test set; bands are 95% intervals over replicates, and each panel has its own axis."
)
SHIFT_ROWS = "Bars are 95% intervals over replicates."


def section(context: Context) -> Section | None:
    """Return the learning curves of the conditions that are drawn; None where nothing was trained."""
    if not has_curves(context):
        return None
    curves = context.curve_estimates
    measures = "Loss and accuracy" if context.measure == "accuracy" else "Loss"
    return figure_section(
        "Learning curves",
        on_stops(context) or sentence(curves),
        BANDS if is_detailed(curves, context.colours) else BANDS.partition("; ")[2].capitalize(),
        ON_LOG if is_log(curves[curves["measure"] == "loss"]) else "",
        "" if in_facets(context.colours) and context.colours.all_differ else context.colours.sentence,
        TEST_ALONE if in_facets(context.colours) else "",
        off_sentence(curves),
        runs_without_curves(context),
        context.excerpt.drawn_by,
        figure="learning_curves",
        alt=f"{measures} on train and test examples against epochs.",
        draw=partial(draw, curves, context.colours, context.constant, context.measure),
    )


def is_detailed(curves: pd.DataFrame, colours: ConditionColours) -> bool:
    """Return whether the figure of curves has bands: few enough lines a panel, and some interval."""
    few = len(colours.entries) <= MOST_BANDS if in_facets(colours) else colours.is_detailed
    return few and bool(curves["low"].notna().any())


def in_facets(colours: ConditionColours) -> bool:
    """Return whether what dashes stand for has panels instead: more lines than `MOST_DETAILED` in one can't be followed."""
    return len(colours.style_entries) > 1 and bool(colours.blocks) and len(colours.colours) > MOST_DETAILED


def is_log(curves: pd.DataFrame) -> bool:
    """Return whether curves of a loss are on a log axis: where all is positive, and falls far."""
    known = curves.dropna(subset=["mean"])
    if known.empty or known["geo_mean"].isna().any():
        return False
    return bool(known["mean"].max() > LEAST_FALL * known["mean"].min())


def off_sentence(curves: pd.DataFrame) -> str:
    """Name the conditions that end off an axis, which is that of the others; nothing where none does."""
    parts = []
    for measure in MEASURES:
        of_measure = curves[curves["measure"] == measure]
        off = _off_axis(of_measure, measure)
        ends = _ends(of_measure).drop_duplicates("condition_id")
        named = [f"{r['label']} ({brief(r['mean'])})" for r in records(ends[ends["condition_id"].isin(off)])]
        if named:
            parts.append(f"off the axis of the {measure} ends {listing(named)}")
    if not parts:
        return ""
    said = f"{' and '.join(parts)}, where an arrow stands at the edge."
    return said[0].upper() + said[1:]


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
            f"{with_spread(highest['mean'], highest['sd'])} in {brief(highest['epoch'])} epochs (n = {highest['n']})."
        )
    lengths = sorted({r["epoch"] for r in end})
    after = brief(lengths[0]) if len(lengths) == 1 else f"{brief(lengths[0])} to {brief(lengths[-1])}"
    plural = "" if after == "1" else "s"
    if math.isclose(highest["mean"], lowest["mean"], rel_tol=1e-9):
        return f"After {after} epoch{plural} mean test {what} is the same in all {len(end)} conditions, {fixed(highest['mean'], highest['sd'])}."
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
    facets = in_facets(colours)
    together = len(colours.colours) <= MOST_TOGETHER and len(colours.style_entries) < 2
    with theme.style():
        if facets:
            columns = [text for text, _ in colours.style_entries]
            curves = curves[curves["split"] == splits[-1]]
        else:
            columns = ["" if together else split for split in ([""] if together else splits)]
        figure, axes = theme.new(3.4 if len(measures) == 1 or together else 5.0,
                                 *((1, len(measures)) if together else (len(measures), len(columns))), sharex="col" if facets else True)  # fmt: skip
        last = {}
        for (measure, column), ax in zip(itertools.product(measures, columns), axes, strict=True):
            whole = curves[curves["measure"] == measure]
            some = whole if together else whole[_in_column(whole, column, colours, facets=facets)]
            draw_panel(
                ax,
                some,
                measure,
                colours,
                whole,
                by_split=together,
                dashes=not facets,
                few_lines=is_detailed(curves, colours),
            )
            if column != columns[0]:
                ax.tick_params(labelleft=False)
            else:
                ax.set_ylabel(f"{splits[-1]} {measure}" if facets else measure)
            if measure == measures[0] and not together:
                said = f"{colours.style_title}={column}" if facets and colours.style_title else column
                theme.panel_title(ax, said)
            if measure == measures[-1] or together:
                ax.set_xlabel("epoch")
            last[measure] = ax
        handles = []
        if together:
            handles = [Line2D([], [], color=theme.INK, linestyle=SPLITS[s], linewidth=1.4, label=s) for s in splits]
        if outcome in last:
            handles += theme.constant_line(last[outcome], constant, "y")
        right = last[measures[-1] if together else measures[0]]
        ends = _named_ends(curves[curves["measure"] == (measures[-1] if together else measures[0])], colours)
        if not ends or not name_line_ends(figure, right, ends):
            cycled = [h for h in colours.handles() if not facets or h.get_color() != theme.INK]
            handles += cycled
            if facets:
                handles += colours.third_handles()
            theme.legend_below(figure, handles, colours.title if len(colours.entries) > 1 else "")
        else:
            theme.legend_below(figure, handles)
    return figure


def _in_column(curves: pd.DataFrame, column: str, colours: ConditionColours, *, facets: bool) -> pd.Series[bool]:
    """Return which rows stand in a column of panels: those of a split, or of what dashes stand for elsewhere."""
    if not facets:
        return curves["split"] == column
    place = dict(colours.style_entries)[column]
    return curves["condition_id"].map(colours.styles) == place


def _named_ends(curves: pd.DataFrame, colours: ConditionColours) -> list[tuple[str, float, float, str]]:
    """Return what stands at the end of each test line; nothing where lines differ in dashes, too."""
    if len(colours.entries) < 2 or len(colours.style_entries) > 1 or len(colours.entries) != len(colours.colours):
        return []
    ends = _ends(as_geometric(curves) if is_log(curves) else curves)
    text = {c: next(t for t, colour in colours.entries if colour == of) for c, of in colours.colours.items()}
    rows = [r for r in records(ends) if r["condition_id"] in text and np.isfinite(r["mean"])]
    return [
        (of_level(colours.title, text[r["condition_id"]]), r["epoch"], r["mean"], colours.colours[r["condition_id"]])
        for r in rows
    ]


def _ends(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of each condition on the split that is compared, the test examples where they are known."""
    splits = [s for s in SPLITS if (curves["split"] == s).any()]
    some = curves[curves["split"] == splits[-1]] if splits else curves
    return some[some["epoch"] == some.groupby("condition_id")["epoch"].transform("max")]


def _off_axis(curves: pd.DataFrame, measure: str) -> list[str]:
    """Return the conditions that end so far from all others that the axis of a measure is not made for them."""
    ends = _ends(curves).dropna(subset=["mean"])
    if ends.empty or not (curves["epoch"] > 0).any():
        return []
    values = ends["mean"].to_numpy(dtype=float)
    if measure == "loss" and is_log(curves):
        values = np.log10(ends["geo_mean"].to_numpy(dtype=float))
    near = scales.most_alike(values)
    if not len(near):  # their distances are no numbers
        return []
    return [str(c) for c, v in zip(ends["condition_id"], values, strict=True) if not near.min() <= v <= near.max()]


def draw_panel(
    ax: Axes,
    curves: pd.DataFrame,
    measure: str,
    colours: ConditionColours,
    whole: pd.DataFrame | None = None,
    *,
    by_split: bool = True,
    dashes: bool = True,
    few_lines: bool | None = None,
) -> None:
    """Draw the curves of one measure, with their bands.

    Args:
        ax: the panel.
        curves: their estimates.
        measure: what they are of.
        colours: those of the conditions.
        whole: the estimates that the axis is for, where those are more.
        by_split: whether a dash is a split; else it is what conditions differ in.
        dashes: whether it is, in panels of their own.
        few_lines: whether there are bands; by default where conditions are few.

    """
    whole = curves if whole is None else whole
    few = colours.is_detailed if few_lines is None else few_lines
    log = measure == "loss" and is_log(whole)
    shown = as_geometric(curves) if log else curves
    for (condition, split), line in shown.groupby(["condition_id", "split"], sort=False):
        colour = colours.colours[str(condition)]
        style = SPLITS[str(split)] if by_split else colours.dash(str(condition), third=not dashes)
        theme.line_with_band(ax, line, "epoch", colour, 1.3 if few else 0.9, band=few, linestyle=style)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ends = _limits(whole, measure, log=log)
    scales.put_limits(ax, "y", ends)
    if ends is not None:
        beside: Counter[int] = Counter()
        for row in records(_ends(shown)):
            side = ends.side(row["mean"])
            if side:
                # Several that end off the axis have their arrows side by side.
                at = row["epoch"] - ARROW * beside[side] * float(shown["epoch"].max())
                scales.arrow(ax, "y", at, "", ends, side, colours.colours[row["condition_id"]])
                beside[side] += 1


def _limits(curves: pd.DataFrame, measure: str, *, log: bool) -> scales.Limits | None:
    """Return the axis of a measure: that of the epochs after the first, and of conditions that end near each other."""
    off = _off_axis(curves, measure)
    shown = as_geometric(curves) if log else curves
    later = shown[(shown["epoch"] > 0) & ~shown["condition_id"].isin(off)]
    # Of a single point after the start lines would come from out of sight.
    later = shown if later.loc[later["mean"].notna(), "epoch"].nunique() < FEWEST_LATER else later
    means = later["mean"].dropna().to_numpy(dtype=float)
    means = means[np.isfinite(means)]
    if not len(means):
        return None
    # A band is followed as far as the lines span beyond them, not wherever it goes.
    reach = np.ptp(np.log10(means)) if log else np.ptp(means)
    low, high = (
        float(later[name].replace([np.inf, -np.inf], np.nan).agg(f)) for name, f in (("low", "min"), ("high", "max"))
    )
    least, most = float(means.min()), float(means.max())
    if log:
        least, most = max(low, least / 10 ** (0.5 * reach)), min(high, most * 10 ** (0.5 * reach))
    else:
        least, most = max(low, least - 0.5 * reach), min(high, most + 0.5 * reach)
    bounds = [v for v in (least, most, float(means.min()), float(means.max())) if np.isfinite(v)]
    found = scales.limits(bounds, log=log, clip=False)
    if found is None or measure != "accuracy":
        return found
    # No accuracy is above 1: what the axis has beyond it is for the line's own width.
    top = min(found.high, 1 + 0.02 * (1 - found.low))
    return scales.Limits(low=max(found.low, -0.02), high=max(top, found.low + 1e-6), log=False, clipped=bool(off))


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
        *(_of_one_severity(estimates, context.measure), SHIFT_BANDS) if of_many(estimates) else (SHIFT_ROWS,),
        runs_without_curves(context),
        context.excerpt.drawn_by,
        figure="shift",
        alt=f"Test {context.measure} against the severity of each kind of shift.",
        draw=partial(draw_shifts, estimates, context.colours, context.measure),
    )


def _of_one_severity(estimates: pd.DataFrame, measure: str) -> str:
    """Say what kinds of shift come to that are not drawn beside others, as one severity makes no line."""
    parts = []
    for kind in dict.fromkeys(estimates["kind"]):
        rows = estimates[(estimates["kind"] == kind) & (estimates["severity"] > 0)]
        if kind in of_many(estimates) or rows.empty:
            continue
        low, high = (
            f"{v:.1%}" if measure == "accuracy" else brief(v) for v in (rows["mean"].min(), rows["mean"].max())
        )
        level = f"{kind} {rows['severity'].iloc[0]:g}"
        parts.append(f"under {level} it is {low if low == high else f'{low} to {high}'}")
    return f"Not drawn, as one severity makes no line: {listing(parts)}." if parts else ""


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
        first, then = (f"{v:.1%}" if measure == "accuracy" else brief(v) for v in (before(row), row["mean"]))
        return f"{row['kind']} {row['severity']:g}{condition} ({first} to {then})"

    shifted.sort(key=lambda row: sign * (before(row) - row["mean"]))
    if len(shifted) == 1:
        return f"Mean test {measure} changes under {words(shifted[0])}."
    return f"Mean test {measure} suffers most from {words(shifted[-1])} and least from {words(shifted[0])}."
