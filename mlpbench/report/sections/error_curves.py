"""Sections on train and test error: how both depend on a factor, where networks under- and overfit, and the gap between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from mlpbench.evidence.estimates.axis_estimates import MEASURES
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.layouts import row_height, rows_axis
from mlpbench.report.section import Section, figure_section, paragraph
from mlpbench.report.words import fixed, highest_and_lowest, listing

# More of these is a network that can fit more, or that is fitted for longer. Fewer examples or less regularisation make
# overfitting likelier too, but there the error rises for other reasons as well.
CAPACITIES = ("width", "depth", "features", "epochs", "steps")
FEWEST_LEVELS = 3
MOST_NAMED = 6
# The two sides of the best level, with hues that differ for the colour-blind too.
UNDER, OVER = "underfits", "overfits"
SIDES = {UNDER: "#56b4e9", OVER: "#de8f05"}
FACES: dict[str, str | None] = {"train": "white", "test": None}
# How far train and test stand aside from their level, as a share of the axis: their intervals would hide each other.
ASIDE = 0.011
PANELS = {"error": "classification error", "loss": "loss"}
BARS = "Bars are 95% intervals over replicates."
# Of a gap above a panel, where there is room for few letters, and in words.
GAP_TITLES = {"gap_accuracy": "accuracy gap, pp", "gap_loss": "loss gap"}
GAP_MEANING = {"gap_accuracy": "train minus test accuracy", "gap_loss": "test minus train loss"}


def section(context: Context) -> Section | None:
    """Return train and test error (or loss) of the conditions; None where there is one condition, or no finished run."""
    errors = context.errors
    if len(context.conditions) < 2 or errors.estimates.empty:
        return None
    finding = sentence(errors.every)
    if errors.factor:
        regions = fit_regions(context)
        finding = paragraph(finding, regions_sentence(regions, errors.factor))
        draw = partial(error_against_factor, errors.estimates, errors.points, errors.factor, regions)
    else:
        labels = [context.colours.labels[c.condition_id] for c in context.drawn_conditions]
        draw = partial(error_by_condition, errors.estimates, errors.points, labels, context.colours.row_title)
    what = "loss" if context.measure == "loss" else "error"
    return figure_section(
        f"Train and test {what}",
        finding,
        BARS,
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
            return f"{row['label']} ({row['mean']:.4g}, {abs(gap):.4g} {side} its train loss)"
        return f"{row['label']} ({row['mean']:.2%}, {100 * abs(gap):.2f} pp {side} its train error)"

    if best["position"] == worst["position"]:
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


def error_against_factor(
    estimates: pd.DataFrame, points: pd.DataFrame, factor: str, regions: pd.DataFrame | None = None
) -> Figure:
    """Return error and loss over a numeric factor: means with intervals, replicates faint behind.

    Both frames have `measure` (error, loss), `split`, `x`, `series` (levels of the other factors, in words) and `group`
    (what a colour stands for); `estimates` has mean, low and high, `points` has a `value` per replicate. `regions` has
    `measure`, `side` and `x` of levels that are shaded.
    """
    panels = _panels(estimates)
    with theme.style():
        figure, axes = theme.new(3.5, 1, len(panels))
        group = dict(zip(estimates["series"], estimates["group"], strict=True))
        colours = theme.distinct_colours(group.values())
        estimates, points = (_aside(frame, list(estimates["x"])) for frame in (estimates, points))
        for ax, measure in zip(axes, panels, strict=True):
            for name in group:
                for split in FACES:
                    chosen = (estimates["measure"] == measure) & (estimates["series"] == name)
                    line = estimates[chosen & (estimates["split"] == split)].sort_values("x")
                    seen = points[(points["measure"] == measure) & (points["series"] == name)]
                    _line(ax, line, seen[seen["split"] == split], split, colours[group[name]])
            theme.level_axis(ax, list(estimates["level"]), factor)
            _value_axis(ax, measure, list(estimates.loc[estimates["measure"] == measure, "mean"]))
            if regions is not None:
                _shade(ax, regions[regions["measure"] == measure], sorted(set(estimates["level"])))
        _legend(figure, colours, dots=not points.empty)
    return figure


def error_by_condition(estimates: pd.DataFrame, points: pd.DataFrame, labels: list[str], title: str) -> Figure:
    """Return error and loss, a row for each condition: train hollow and test filled.

    Frames as for `error_against_factor`, with `x` the row of the condition.
    """
    panels = _panels(estimates)
    with theme.style():
        figure, axes = theme.new(row_height(len(labels)), 1, len(panels), sharey=True)
        colour = theme.palette(1, ordered=False)[0]
        for ax, measure in zip(axes, panels, strict=True):
            for split, face in FACES.items():
                chosen = (estimates["measure"] == measure) & (estimates["split"] == split)
                seen = points[(points["measure"] == measure) & (points["split"] == split)]
                ax.plot(seen["value"], seen["x"], ".", color=colour, alpha=0.3, markersize=4, markeredgewidth=0)
                rows = estimates[chosen]
                ax.hlines(rows["x"], rows["low"], rows["high"], color=colour, linewidth=1.4)
                ax.plot(rows["mean"], rows["x"], "o", color=colour, markerfacecolor=face or colour, markersize=5)
            ax.set_xlabel(PANELS[measure])
            if measure == "error":
                ax.xaxis.set_major_formatter(theme.percent)
        rows_axis(axes[0], labels, title)
        _legend(figure, {"": colour}, lines=False)
    return figure


def _shade(ax: Axes, regions: pd.DataFrame, levels: list[float]) -> None:
    """Shade levels to half way to their neighbours, or to the end of the axis; write a word into each stretch."""
    if regions.empty:
        return
    left, right = ax.get_xlim()
    _headroom(ax)
    log = ax.get_xscale() == "log"
    between = [math.sqrt(a * b) if log else (a + b) / 2 for a, b in itertools.pairwise(levels)]
    ends = [left, *between, right]
    side_of = dict(zip(regions["x"], regions["side"], strict=True))
    for side, group in itertools.groupby(range(len(levels)), key=lambda i: side_of.get(levels[i])):
        if side is None:
            continue
        stretch = list(group)
        start, stop = ends[stretch[0]], ends[stretch[-1] + 1]
        ax.axvspan(start, stop, color=SIDES[side], alpha=0.16, linewidth=0)
        middle = math.sqrt(start * stop) if log else (start + stop) / 2
        ax.annotate(side, (middle, 1), xycoords=("data", "axes fraction"), xytext=(0, -3), textcoords="offset points",
                    ha="center", va="top", fontsize=7.5)  # fmt: skip
    ax.set_xlim(left, right)


def _headroom(ax: Axes) -> None:
    """Make room for words above what is drawn."""
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** 0.1 if ax.get_yscale() == "log" else top + 0.1 * (top - bottom))


def _panels(estimates: pd.DataFrame) -> list[str]:
    """Return the measures that there are: a regression has no classification error."""
    return [m for m in PANELS if (estimates["measure"] == m).any()]


def _aside(frame: pd.DataFrame, levels: list[float]) -> pd.DataFrame:
    """Keep each level, and move x to the left for train and to the right for test."""
    sign = frame["split"].map({"train": -1.0, "test": 1.0}).astype(float)
    if theme.spans_decade(levels):
        moved = frame["x"] * (max(levels) / min(levels)) ** (sign * ASIDE)
    else:
        moved = frame["x"] + sign * ASIDE * (max(levels) - min(levels))
    return frame.assign(level=frame["x"], x=moved)


def _line(ax: Axes, line: pd.DataFrame, seen: pd.DataFrame, split: str, colour: str) -> None:
    face = FACES[split]
    ax.plot(seen["x"], seen["value"], ".", color=colour, alpha=0.3, markersize=4, markeredgewidth=0)
    ax.vlines(line["x"], line["low"], line["high"], color=colour, linewidth=1.4)
    ax.plot(line["x"], line["mean"], color=colour, linestyle=theme.SPLITS[split], linewidth=1.2)
    ax.plot(line["x"], line["mean"], "o", color=colour, markerfacecolor=face or colour, markersize=4.5)


def _value_axis(ax: Axes, measure: str, means: list[float]) -> None:
    ax.set_title(PANELS[measure], loc="left")
    if theme.spans_decade(means):
        ax.set_yscale("log")
        wide = max(means) >= 100 * min(means)
        theme.log_ticks(ax.yaxis, (1.0,) if wide else (1.0, 2.0, 5.0))
    if measure == "error":
        ax.yaxis.set_major_formatter(theme.percent)
        ax.yaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, colours: dict[str, str], *, lines: bool = True, dots: bool = True) -> None:
    single = next(iter(colours.values())) if len(colours) == 1 else theme.INK
    handles = [
        Line2D(
            [], [], color=single, marker="o", markerfacecolor=face or single, markersize=4.5,
            linestyle=theme.SPLITS[split] if lines else "none", linewidth=1.2, label=split,
        )
        for split, face in FACES.items()
    ]  # fmt: skip
    if dots:
        handles.append(Line2D([], [], color=single, marker=".", alpha=0.3, linestyle="none", label="one replicate"))
    theme.legend_below(figure, handles + theme.colour_handles(colours.items()))


def generalisation_gap(context: Context) -> Section | None:
    """Return the gap by condition, where it differs between conditions by more than its intervals.

    Shown where the 95% intervals of the largest and the smallest mean gap, in accuracy or in loss, do not overlap; not where
    conditions are the random streams that vary one at a time: they differ by the draw at which the others are fixed.
    """
    if context.experiment.one_at_a_time:
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

    `estimates` has metric, x, series, group (what a colour stands for), mean, low and high.
    """
    names = [name for name in GAP_MEANING if (estimates["metric"] == name).any()]
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
            _gap_title(ax, name, ax.yaxis)
        theme.legend_below(figure, theme.colour_handles(colours.items()))
    return figure


def gap_by_condition(estimates: pd.DataFrame, order: list[str], colours: ConditionColours) -> Figure:
    """Return a panel for each gap with a row for each condition of `order`, in the report's colours."""
    names = [name for name in GAP_MEANING if (estimates["metric"] == name).any()]
    with theme.style():
        figure, axes = theme.new(row_height(len(order)), 1, len(names), sharey=True)
        for ax, name in zip(axes, names, strict=True):
            ax.axvline(0, color=theme.FAINT, linewidth=0.8)
            for row in records(estimates[estimates["metric"] == name]):
                at, colour = order.index(row["condition_id"]), colours.colours[row["condition_id"]]
                ax.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
                ax.plot([row["mean"]], [at], "D", color=colour, markersize=4.5)
            _gap_title(ax, name, ax.xaxis)
            ax.grid(axis="y", visible=False)
        rows_axis(axes[0], [colours.labels[c] for c in order], colours.row_title)
    return figure


def _gap_title(ax: Axes, name: str, axis: Axis) -> None:
    ax.set_title(GAP_TITLES[name], loc="left")
    if name == "gap_accuracy":
        axis.set_major_formatter(lambda v, _: f"{100 * v:.4g}".replace("-", "\N{MINUS SIGN}"))
