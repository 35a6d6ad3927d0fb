"""Train and test error against the factor: where a network under- or overfits."""

from __future__ import annotations

import itertools
import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from mlpbench.report.figures import theme

FACES: dict[str, str | None] = {"train": "white", "test": None}
# How far train and test stand aside from their level, as a share of the axis: their intervals would hide each other.
ASIDE = 0.007
PANELS = {"error": "classification error", "loss": "loss"}


# Where networks under- and overfit: hues that differ for the colour-blind too, and words.
SIDES = {"underfits": "#56b4e9", "overfits": "#de8f05"}


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
        groups = list(dict.fromkeys(group.values()))
        colours = dict(zip(groups, theme.palette(len(groups), ordered=False), strict=True))
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
    """Return error and loss of conditions that are not numbers: a row each, train hollow and test filled.

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
    """Shade levels to half way to their neighbours, to the end of the axis where there is none; a word a stretch."""
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
    """Return what there is to show: numbers have no classification error."""
    return [m for m in PANELS if (estimates["measure"] == m).any()]


def row_height(rows: int) -> float:
    """Return the height, in inches, of a figure with a row for each condition."""
    return min(20.0, 1.3 + 0.24 * max(rows, 2))


def rows_axis(ax: Axes, labels: list[str], title: str) -> None:
    """Put conditions on the y axis, first on top; where they are too many for the height, every k-th is named."""
    every = -(-len(labels) // 100)
    ax.set_yticks(range(0, len(labels), every), labels[::every])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_ylabel(title)


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
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
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
    if len(colours) > 1:
        handles += [Line2D([], [], color=c, linewidth=3, label=name) for name, c in colours.items()]
    theme.legend_below(figure, handles)
