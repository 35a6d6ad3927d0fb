"""The figures of train and test error: over a numeric factor, or a row for each condition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.estimates.observe import as_geometric
from mlpbench.evidence.frames import floats
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.grouped_rows import block_axis, plan_rows
from mlpbench.report.figures.layouts import row_height
from mlpbench.report.figures.line_ends import bare, name_line_ends

# Lines take so many levels: two that are joined suggest a trend.
FEWEST_LEVELS = 3
# The two sides of the best level, with hues that differ for the colour-blind too.
UNDER, OVER = "underfits", "overfits"
SIDES = {UNDER: "#56b4e9", OVER: "#de8f05"}
FACES: dict[str, str | None] = {"train": "white", "test": None}
# How far train and test stand aside from their level, as a share of the axis: their intervals would hide each other.
ASIDE = 0.016
# The same of rows; and so many replicates that are joined at most.
ROW_ASIDE, MOST_JOINED = 0.16, 30
PANELS = {"error": "classification error", "loss": "loss"}


def error_against_factor(
    estimates: pd.DataFrame, points: pd.DataFrame, factor: str, regions: pd.DataFrame | None = None
) -> Figure:
    """Return error and loss over a numeric factor: means with intervals, replicates faint behind.

    Both frames have `measure` (error, loss), `split`, `x`, `series` (levels of the other factors, in words) and `group`
    (what a colour stands for); `estimates` has mean, low and high, and their geometric kin for log axes, `points` has a `value`
    per replicate. `regions` has `measure`, `side` and `x` of levels that are shaded.
    """
    panels = _panels(estimates)
    levels = sorted(set(estimates["x"]))
    with theme.style():
        figure, axes = theme.new(3.5, 1, len(panels))
        group = dict(zip(estimates["series"], estimates["group"], strict=True))
        colours = theme.distinct_colours(group.values())
        paired = joins_replicates(points, levels)
        for ax, measure in zip(axes, panels, strict=True):
            theme.level_axis(ax, levels, factor)
            means = estimates[estimates["measure"] == measure]
            log = on_log_axis(means)
            here = _aside(as_geometric(means) if log else means, ax, levels)
            dots = _aside(points[points["measure"] == measure], ax, levels)
            for name, split in itertools.product(group, FACES):
                line, seen = (f[(f["series"] == name) & (f["split"] == split)].sort_values("x") for f in (here, dots))
                _line(ax, line, seen, split, colours[group[name]], joined=len(levels) >= FEWEST_LEVELS, paired=paired)
            _value_axis(ax, measure, here, dots, log=log)
            spaced(ax, levels)
            if regions is not None:
                _shade(ax, regions[regions["measure"] == measure], levels)
        ends = _test_ends(_aside(estimates, axes[-1], levels), panels[-1], colours)
        named = bool(ends) and name_line_ends(figure, axes[-1], ends)
        _legend(figure, {} if named else colours, dots=not points.empty, lines=len(levels) >= FEWEST_LEVELS)
    return figure


def joins_replicates(points: pd.DataFrame, levels: Sequence[float]) -> bool:
    """Return whether the runs of one replicate are joined: of one line, over levels enough, and few replicates."""
    if "replicate" not in points or points.empty or len(levels) < FEWEST_LEVELS:
        return False
    return points["series"].nunique() == 1 and points["replicate"].nunique() <= MOST_JOINED


def on_log_axis(means: pd.DataFrame) -> bool:
    """Return whether estimates of a measure are on a log axis: over a decade, where every replicate's number is positive."""
    return bool(means["geo_mean"].notna().all()) and theme.spans_decade(list(means["mean"]))


def _test_ends(
    estimates: pd.DataFrame, measure: str, colours: Mapping[str, str]
) -> list[tuple[str, float, float, str]]:
    """Return what stands at the end of the test lines of the last panel, nothing for one line or for lines of one colour."""
    rows = estimates[(estimates["measure"] == measure) & (estimates["split"] == "test")]
    if not 1 < len(colours) == rows["series"].nunique():
        return []
    last = rows[rows["x"] == rows["x"].max()]
    if set(last["group"]) != set(colours):
        return []
    means = (as_geometric(last) if on_log_axis(estimates[estimates["measure"] == measure]) else last)["mean"]
    short = bare(list(colours))
    return [(short[g], float(x), float(m), colours[g]) for g, x, m in zip(last["group"], last["x"], means, strict=True)]


def error_by_condition(estimates: pd.DataFrame, points: pd.DataFrame, colours: ConditionColours) -> Figure:
    """Return error and loss, a row for each condition: train hollow and, below it, test filled.

    Frames as for `error_against_factor`, with `x` the row of the condition. A condition far from all others lies off the axis.
    """
    panels = _panels(estimates)
    order = estimates.sort_values("x", kind="stable").drop_duplicates("position")
    plan = plan_rows([str(c) for c in order["condition_id"]], colours)
    row = {p: plan.at[c] for p, c in zip(order["position"], order["condition_id"], strict=True)}
    clipped = False
    with theme.style():
        figure, axes = theme.new(row_height(plan.height), 1, len(panels), sharey=True)
        colour = theme.palette(1, ordered=False)[0]
        for ax, measure in zip(axes, panels, strict=True):
            means = estimates[estimates["measure"] == measure]
            log = bool(means["geo_mean"].notna().all()) and scales.is_wide(list(means["mean"]))
            means = as_geometric(means) if log else means
            test = means[means["split"] == "test"]
            first = scales.limits(floats(test["mean"]), [*floats(test["low"]), *floats(test["high"])], log=log)
            near = set(test.loc[[first is not None and not first.side(m) for m in test["mean"]], "position"])
            shown = means[means["position"].isin(near)] if near else means
            seen = points[(points["measure"] == measure) & points["position"].isin(set(shown["position"]))]
            reach = [*floats(shown["low"]), *floats(shown["high"]), *floats(seen["value"])]
            inside = scales.limits(floats(shown["mean"]), _within(reach, floats(shown["mean"])), log=log, clip=False)
            for split, face in FACES.items():
                down = ROW_ASIDE if split == "test" else -ROW_ASIDE
                dots = points[(points["measure"] == measure) & (points["split"] == split)]
                ax.plot(dots["value"], dots["position"].map(row) + down, ".", color=colour, alpha=0.3, markersize=4,
                        markeredgewidth=0)  # fmt: skip
                rows = means[means["split"] == split]
                at = rows["position"].map(row) + down
                ax.hlines(at, rows["low"], rows["high"], color=colour, linewidth=1.4)
                ax.plot(rows["mean"], at, "o", color=colour, markerfacecolor=face or colour, markersize=4.5)
                if split == "test" and inside is not None:
                    for place, mean in zip(at - down, rows["mean"], strict=True):
                        side = inside.side(mean)
                        if side:
                            text = theme.percent(mean) if measure == "error" else f"{mean:.3g}"
                            scales.arrow(ax, "x", place, text, inside, side, colour)
                            clipped = True
            scales.put_limits(ax, "x", inside, theme.percent if measure == "error" else None, 6)
            ax.set_xlabel(PANELS[measure])
            ax.grid(axis="y", visible=False)
        block_axis(axes[0], plan, colours.row_title, room=1 / len(panels))
        _legend(figure, {"": colour}, lines=False, dots=not points.empty, more=[scales.arrow_handle()] * clipped)
    return figure


def _within(values: Sequence[float], means: Sequence[float]) -> list[float]:
    """Return the values that lie no farther from means than these span: an interval may go on out of sight."""
    span = max(means) - min(means) if means else 0.0
    return (
        [v for v in values if min(means) - max(span, 1e-12) <= v <= max(means) + max(span, 1e-12)]
        if span
        else list(values)
    )


def _shade(ax: Axes, regions: pd.DataFrame, levels: list[float]) -> None:
    """Shade levels to half way to their neighbours, or to the end of the axis; write a word into the widest stretch of a side."""
    if regions.empty:
        return
    left, right = ax.get_xlim()
    _headroom(ax)
    log = ax.get_xscale() == "log"
    between = [math.sqrt(a * b) if log else (a + b) / 2 for a, b in itertools.pairwise(levels)]
    ends = [left, *between, right]
    widest: dict[str, tuple[float, float]] = {}
    side_of = dict(zip(regions["x"], regions["side"], strict=True))
    for side, group in itertools.groupby(range(len(levels)), key=lambda i: side_of.get(levels[i])):
        if side is None:
            continue
        stretch = list(group)
        start, stop = ends[stretch[0]], ends[stretch[-1] + 1]
        ax.axvspan(start, stop, color=SIDES[side], alpha=0.16, linewidth=0)
        width = math.log(stop / start) if log else stop - start
        if width > widest.get(side, (0.0, 0.0))[0]:
            widest[side] = width, math.sqrt(start * stop) if log else (start + stop) / 2
    for side, (_, middle) in widest.items():
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


def _aside(frame: pd.DataFrame, ax: Axes, levels: Sequence[float]) -> pd.DataFrame:
    """Move x to the left for train and to the right for test, by equal lengths of the axis."""
    scale = ax.xaxis.get_transform()
    ends = scale.transform(np.array([min(levels), max(levels)], dtype=float))
    sign = frame["split"].map({"train": -1.0, "test": 1.0}).to_numpy(dtype=float)
    moved = scale.transform(frame["x"].to_numpy(dtype=float)) + sign * ASIDE * (ends[1] - ends[0] or 1.0)
    return frame.assign(x=scale.inverted().transform(moved))


def spaced(ax: Axes, levels: Sequence[float]) -> None:
    """Leave room beside the levels: a quarter of the axis where there are but two; of one level matplotlib leaves its own."""
    scale = ax.xaxis.get_transform()
    low, high = scale.transform(np.array([min(levels), max(levels)], dtype=float))
    if low == high:
        return
    room = (0.45 if len(levels) < FEWEST_LEVELS else 0.05) * (high - low)
    ax.set_xlim(*scale.inverted().transform(np.array([low - room, high + room])))


def _line(
    ax: Axes, line: pd.DataFrame, seen: pd.DataFrame, split: str, colour: str, *, joined: bool, paired: bool
) -> None:
    face = FACES[split]
    ax.plot(seen["x"], seen["value"], ".", color=colour, alpha=0.3, markersize=4, markeredgewidth=0)
    if paired:
        for _, one in seen.groupby("replicate", sort=True):
            ax.plot(one["x"], one["value"], color=colour, alpha=0.22, linewidth=0.5, zorder=1)
    ax.vlines(line["x"], line["low"], line["high"], color=colour, linewidth=1.4)
    if joined:
        ax.plot(line["x"], line["mean"], color=colour, linestyle=theme.SPLITS[split], linewidth=1.2)
    ax.plot(line["x"], line["mean"], "o", color=colour, markerfacecolor=face or colour, markersize=4.5)


def _value_axis(ax: Axes, measure: str, means: pd.DataFrame, seen: pd.DataFrame, *, log: bool) -> None:
    theme.panel_title(ax, PANELS[measure])
    ends = [*floats(means["low"]), *floats(means["high"]), *floats(seen["value"])]
    text = theme.percent if measure == "error" else None
    scales.put_limits(ax, "y", scales.limits(floats(means["mean"]), ends, log=log, clip=False), text)


def _legend(
    figure: Figure,
    colours: dict[str, str],
    *,
    lines: bool = True,
    dots: bool = True,
    more: Sequence[Line2D] = (),
) -> None:
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
    theme.legend_below(figure, [*handles, *more, *theme.colour_handles(colours.items())])


def any_log(estimates: pd.DataFrame, along: bool) -> bool:
    """Return whether some panel has a log axis."""
    by_measure = [rows for _, rows in estimates.groupby("measure")]
    if along:
        return any(on_log_axis(rows) for rows in by_measure)
    return any(rows["geo_mean"].notna().all() and scales.is_wide(list(rows["mean"])) for rows in by_measure)
