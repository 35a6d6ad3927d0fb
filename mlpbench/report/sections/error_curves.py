"""Sections on train and test error: how both depend on a factor, where networks under- and overfit, and the gap between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpbench.evidence.estimates.axis_estimates import MEASURES
from mlpbench.evidence.frames import floats, records
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.error_panels import (
    FEWEST_LEVELS,
    OVER,
    UNDER,
    any_log,
    error_against_factor,
    error_by_condition,
    joins_replicates,
    spaced,
)
from mlpbench.report.figures.grouped_rows import block_axis, names_width, plan_rows
from mlpbench.report.figures.layouts import row_height
from mlpbench.report.figures.line_ends import bare, name_line_ends
from mlpbench.report.number_text import brief, fixed
from mlpbench.report.section import Section, figure_section, paragraph
from mlpbench.report.words import highest_and_lowest, listing

# More of these is a network that can fit more, or that is fitted for longer. Fewer examples or less regularisation make
# overfitting likelier too, but there the error rises for other reasons as well.
CAPACITIES = ("width", "depth", "features", "epochs", "steps")
MOST_NAMED = 6
BARS = "Bars are 95% intervals over replicates."
JOINED = (
    "Thin lines join the runs of one replicate: levels are compared within replicates, so that they differ more clearly than bars that "
    "overlap suggest."
)
ON_LOG = "On a log axis means are geometric."
# Of a gap above a panel, where there is room for few letters, and in words.
GAP_TITLES = {"gap_accuracy": "accuracy gap, pp", "gap_loss": "loss gap"}
GAP_MEANING = {"gap_accuracy": "train minus test accuracy", "gap_loss": "test minus train loss"}


def section(context: Context) -> Section | None:
    """Return train and test error (or loss) of the conditions; None where there is one condition, or no finished run."""
    errors = context.errors
    if len(context.conditions) < 2 or errors.estimates.empty or not context.is_trained:
        return None
    finding = sentence(errors.every)
    levels = sorted(set(errors.estimates["x"]))
    joined = bool(errors.factor) and joins_replicates(errors.points, levels)
    if errors.factor:
        regions = fit_regions(context)
        finding = paragraph(finding, regions_sentence(regions, errors.factor))
        draw = partial(error_against_factor, errors.estimates, errors.points, errors.factor, regions)
    else:
        draw = partial(error_by_condition, errors.estimates, errors.points, context.colours)
    what = "loss" if context.measure == "loss" else "error"
    return figure_section(
        f"Train and test {what}",
        finding,
        BARS,
        JOINED if joined else "",
        ON_LOG if any_log(errors.estimates, bool(errors.factor)) else "",
        errors.drawn_by,
        figure="error",
        alt=f"Train and test {what} against {errors.factor or 'condition'}.",
        draw=draw,
    )


def sentence(estimates: pd.DataFrame) -> str:
    """Say where the test error is lowest and highest, and how far the train error is from it there; of a regression, the loss."""
    classes = bool((estimates["measure"] == "error").any())
    what = "error" if classes else "loss"
    error = estimates[estimates["measure"] == what]
    test = records(error[error["split"] == "test"])
    train = {r["position"]: float(r["mean"]) for r in records(error[error["split"] == "train"])}
    if not test:
        return ""
    worst, best = highest_and_lowest(test)

    def part(row: Mapping[str, Any]) -> str:
        gap = row["mean"] - train[row["position"]]
        side = "above" if gap >= 0 else "below"
        if not classes:
            return f"{row['label']} ({brief(row['mean'], 4)}, {brief(abs(gap), 4)} {side} its train loss)"
        return f"{row['label']} ({row['mean']:.2%}, {100 * abs(gap):.2f} pp {side} its train error)"

    if best["position"] == worst["position"] and len(test) > 1:
        same = f"{best['mean']:.2%}" if classes else brief(best["mean"], 4)
        return f"Test {what} is the same in all {len(test)} conditions that are drawn, {same}."
    if len(test) == 1:
        return f"Test {what} with {part(best)}."
    return f"Test {what} is lowest with {part(best)} and highest with {part(worst)}."


def fit_regions(context: Context) -> pd.DataFrame:
    """Return the levels at which networks under- or overfit: `measure`, `side` (underfits, overfits), `x` and `best`.

    Along a capacity (`CAPACITIES`) of three levels or more that is the only factor, for error and for loss apart: a level
    below the one with the lowest mean test error underfits where test and train error are both above those at the best
    level; a level above it overfits where test error is, and train error is not: a network that can no longer be trained
    does not overfit. Above is a 95% interval of the paired difference above zero; intervals are not corrected for their number.
    """
    columns = ["measure", "side", "x", "best"]
    drawn = context.errors.estimates
    if context.errors.factor not in CAPACITIES or drawn["series"].nunique() != 1:
        return pd.DataFrame(columns=columns)
    rows = []
    for measure, name in MEASURES.items():
        test = drawn[(drawn["measure"] == measure) & (drawn["split"] == "test")].sort_values("x")
        if len(test) < FEWEST_LEVELS:
            continue
        best = min(records(test), key=lambda r: float(r["mean"]))
        levels = dict(zip(test["position"].astype(int).tolist(), test["x"].tolist(), strict=True))
        on_test, on_train = (
            context.worse_than(int(best["position"]), list(levels), f"{s}_{name}") for s in ("test", "train")
        )
        for position, x in levels.items():
            if not on_test[position].low > 0:
                continue
            trains_worse = on_train[position].low > 0
            side = UNDER if x < best["x"] and trains_worse else OVER if x > best["x"] and not trains_worse else ""
            if side:
                rows.append((measure, side, x, best["x"]))
    return pd.DataFrame(rows, columns=columns)


def regions_sentence(regions: pd.DataFrame, factor: str) -> str:
    """Say at which levels networks under- or overfit, against which level, and what that means; nothing where none does."""
    measures: dict[str, list[str]] = {}
    for measure, rows in regions.groupby("measure", sort=False):
        sides = [
            f"{side} at {_levels(rows.loc[rows['side'] == side, 'x'].tolist())}"
            for side in (UNDER, OVER)
            if (rows["side"] == side).any()
        ]
        finding = f"{factor} {rows['best'].iloc[0]:g} is best; the network {listing(sides)}."
        measures.setdefault(finding, []).append(str(measure))
    if not measures:
        return ""
    meaning = (
        "Shaded regions: a network underfits where both its test and its train error (or loss) are higher than at the best level, and "
        "overfits where its test error is higher and its train error is not, by 95% intervals of paired differences."
    )
    return paragraph(*(f"By {listing(names)}, {finding}" for finding, names in measures.items()), meaning)


def _levels(levels: list[float]) -> str:
    if len(levels) > MOST_NAMED:
        return f"{len(levels)} levels from {levels[0]:g} to {levels[-1]:g}"
    return listing([f"{x:g}" for x in levels])


def generalisation_gap(context: Context) -> Section | None:
    """Return the gap by condition, where it differs between conditions by more than its intervals.

    Shown where the 95% intervals of the largest and the smallest mean gap, in accuracy or in loss, do not overlap; not where
    conditions are the random streams that vary one at a time, which differ by the draw at which the others are fixed, nor where no
    network is trained.
    """
    if context.experiment.one_at_a_time or not context.is_trained:
        return None
    names = [f"gap_{context.measure}", *["gap_loss"] * (context.measure == "accuracy")]
    gaps = context.estimated(names)
    apart = [name for name in names if _gap_differs(gaps[gaps["metric"] == name])]
    if not apart:
        return None
    errors = context.errors
    places = errors.estimates.drop_duplicates("position").set_index("position")[["x", "series", "group"]]
    drawn = gaps.dropna(subset=["mean"]).join(places, on="position", how="inner")
    if errors.factor:
        draw = partial(gap_against_factor, drawn, errors.factor)
    else:
        draw = partial(gap_by_condition, drawn, [c.condition_id for c in context.drawn_conditions], context.colours)
    return figure_section(
        "Generalisation gap",
        gap_sentence(gaps[gaps["metric"] == apart[0]]),
        "The accuracy gap is train minus test accuracy, the loss gap test minus train loss." * (len(names) > 1),
        BARS,
        errors.drawn_by,
        figure="gap",
        alt=f"Generalisation gap against {errors.factor or 'condition'}.",
        draw=draw,
    )


def _gap_differs(rows: pd.DataFrame) -> bool:
    with_interval = records(rows.dropna(subset=["low"]))
    if not with_interval:
        return False
    largest, smallest = highest_and_lowest(with_interval)
    return bool(largest["low"] > smallest["high"])


def gap_sentence(rows: pd.DataFrame) -> str:
    """Say where one gap is largest and where it is smallest, with intervals."""
    with_interval = records(rows.dropna(subset=["low"]))
    name = with_interval[0]["metric"]
    largest, smallest = highest_and_lowest(with_interval)
    return f"The gap ({GAP_MEANING[name]}) is largest with {_gap_part(largest, name)} and smallest with {_gap_part(smallest, name)}."


def _gap_part(row: Mapping[str, Any], name: str) -> str:
    factor, unit = (100.0, " pp") if name == "gap_accuracy" else (1.0, "")
    spread = factor * (row["high"] - row["low"]) / 2
    mean, low, high = (fixed(factor * row[k], spread) for k in ("mean", "low", "high"))
    return f"{row['label']}, {mean}{unit} ({low} to {high})"


def gap_against_factor(estimates: pd.DataFrame, factor: str) -> Figure:
    """Return a panel for each gap over a numeric factor, a line for each series, with intervals.

    `estimates` has metric, x, series, group (what a colour stands for), mean, low and high. Two levels are joined by no line.
    """
    names = [name for name in GAP_MEANING if (estimates["metric"] == name).any()]
    levels = sorted(set(estimates["x"]))
    with theme.style():
        figure, axes = theme.new(3.2, 1, len(names))
        group = dict(zip(estimates["series"], estimates["group"], strict=True))
        colours = theme.distinct_colours(group.values())
        for ax, name in zip(axes, names, strict=True):
            rows = estimates[estimates["metric"] == name]
            theme.level_axis(ax, levels, factor)
            ax.axhline(0, color=theme.FAINT, linewidth=0.8)
            for i, one in enumerate(group):
                line = rows[rows["series"] == one].sort_values("x")
                line = _beside(line, ax, levels, i, len(group))
                colour = colours[group[one]]
                ax.vlines(line["x"], line["low"], line["high"], color=colour, linewidth=1.4)
                ax.plot(line["x"], line["mean"], "o-" if len(levels) >= FEWEST_LEVELS else "o", color=colour,
                        markersize=4.5, linewidth=1.2)  # fmt: skip
            ends = [0.0, *floats(rows["low"]), *floats(rows["high"])]
            scales.put_limits(
                ax, "y", scales.limits(floats(rows["mean"]), ends, log=False, clip=False), _gap_text(name)
            )
            spaced(ax, levels)
            theme.panel_title(ax, GAP_TITLES[name])
        short = bare(list(colours))
        last = estimates[(estimates["metric"] == names[-1]) & (estimates["x"] == max(levels))]
        named = [
            (short[g], float(x), float(m), colours[g])
            for g, x, m in zip(last["group"], last["x"], last["mean"], strict=True)
        ]
        alone = 1 < len(colours) == len(group) == len(named)
        if not alone or not name_line_ends(figure, axes[-1], named):
            theme.legend_below(figure, theme.colour_handles(colours.items()))
    return figure


def _beside(line: pd.DataFrame, ax: Axes, levels: Sequence[float], i: int, n: int) -> pd.DataFrame:
    """Move the points of the i-th of n lines aside where no line joins them: their intervals would hide each other."""
    if len(levels) >= FEWEST_LEVELS or n < 2:
        return line
    scale = ax.xaxis.get_transform()
    low, high = scale.transform(np.array([min(levels), max(levels)], dtype=float))
    moved = scale.transform(line["x"].to_numpy(dtype=float)) + (i - (n - 1) / 2) * min(0.05, 0.5 / n) * (high - low)
    return line.assign(x=scale.inverted().transform(moved))


def gap_by_condition(estimates: pd.DataFrame, order: list[str], colours: ConditionColours) -> Figure:
    """Return a panel for each gap with a row for each condition of `order`, in the report's colours."""
    names = [name for name in GAP_MEANING if (estimates["metric"] == name).any()]
    known = set(estimates["condition_id"])
    plan = plan_rows([c for c in order if c in known], colours)
    clipped = False
    with theme.style():
        figure, axes = theme.new(row_height(plan.height), 1, len(names), sharey=True)
        for ax, name in zip(axes, names, strict=True):
            rows = estimates[estimates["metric"] == name]
            found = scales.limits(floats(rows["mean"]), [*floats(rows["low"]), *floats(rows["high"])], log=False)
            ax.axvline(0, color=theme.FAINT, linewidth=0.8)
            for row in records(rows):
                at, colour = plan.at[row["condition_id"]], colours.colours[row["condition_id"]]
                side = 0 if found is None else found.side(row["mean"])
                if side and found is not None:
                    scales.arrow(ax, "x", at, _gap_text(name)(float(f"{row['mean']:.3g}")), found, side, colour)
                    clipped = True
                    continue
                ax.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
                ax.plot([row["mean"]], [at], "D", color=colour, markersize=4.5)
            scales.put_limits(ax, "x", found, _gap_text(name), 6)
            theme.panel_title(ax, GAP_TITLES[name], names_width(plan, 1 / len(names)) + 30)
            ax.grid(axis="y", visible=False)
        block_axis(axes[0], plan, colours.row_title, room=1 / len(names))
        theme.legend_below(figure, [scales.arrow_handle()] * clipped)
    return figure


def _gap_text(name: str) -> Callable[[float], str]:
    """Return what writes a tick: an accuracy in percentage points."""
    factor = 100 if name == "gap_accuracy" else 1
    return lambda v: f"{factor * v:.4g}".replace("-", "\N{MINUS SIGN}")
