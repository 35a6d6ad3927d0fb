"""The critical-difference diagram: mean ranks of conditions over data sets, with a bar over those that can't be told apart.

Reference: J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006, figure 1.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpbench.base.escapes import printable
from mlpbench.evidence.ranks.rank_table import RankTable
from mlpbench.report.figures import theme
from mlpbench.report.section import SectionFigure
from mlpbench.report.words import listing

# Conditions that are drawn, letters of their names, and conditions that a sentence names.
MOST_DRAWN, LONGEST, MOST_NAMED = 24, 20, 8
BAR = "#d55e00"
# Inches of a letter, and of a rank beside a name; heights are in rows of names.
LETTER, RANK, TOP = 0.07, 0.45, 2.0


def figures(ranked: RankTable | None) -> list[SectionFigure]:
    """Return the diagram of three conditions or more on two data sets or more, unless all tie everywhere; else nothing."""
    if ranked is None or ranked.test is None or len(ranked.conditions) < 3 or math.isnan(ranked.test.p):
        return []
    order = np.argsort(ranked.mean_ranks, kind="stable")[:MOST_DRAWN]
    ranks = ", ".join(f"{ranked.conditions[i]} {ranked.mean_ranks[i]:.2f}" for i in order)
    alt = f"Critical-difference diagram: mean ranks over {len(ranked.datasets)} data sets: {ranks}. {groups_sentence(ranked)}"
    return [SectionFigure(name="critical_difference", draw=partial(draw_diagram, ranked), alt=alt)]


def groups_sentence(ranked: RankTable) -> str:
    """Say which conditions bars of the diagram join; nothing where there is no diagram."""
    if ranked.test is None or len(ranked.conditions) < 3 or math.isnan(ranked.test.p):
        return ""
    if not ranked.groups:
        return "No two mean ranks are within it of each other."
    if len(ranked.groups) == 1 and len(ranked.groups[0]) == len(ranked.conditions):
        return "All mean ranks are within it of each other: one bar joins them."
    joined = [listing(_some([ranked.conditions[i] for i in group])) for group in ranked.groups[:MOST_NAMED]]
    more = len(ranked.groups) - len(joined)
    return f"A bar joins those within it of each other: {'; '.join(joined)}{f'; and {more} more such groups' if more else ''}."


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= MOST_NAMED else [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]


def draw_diagram(ranked: RankTable) -> Figure:
    """Return the diagram: the best rank on the left, names on both sides, and of many conditions the best ones."""
    assert ranked.test is not None, "there is a diagram where there is a test"
    order = [int(i) for i in np.argsort(ranked.mean_ranks, kind="stable")[:MOST_DRAWN]]
    means = [float(ranked.mean_ranks[i]) for i in order]
    place = {condition: at for at, condition in enumerate(order)}
    groups = [[place[c] for c in group if c in place] for group in ranked.groups]
    bars = [(means[g[0]], means[g[-1]]) for g in groups if len(g) > 1]
    low, high = 1, max(2, len(order)) if len(order) == len(ranked.conditions) else math.ceil(max(means))
    names = [_shortened(ranked.conditions[i]) for i in order]
    half = -(-len(order) // 2)
    levels = bar_levels(bars)
    depth = 0.6 * (max(levels, default=-1) + 1) + 0.8
    with theme.style():
        figure, (ax,) = theme.new(0.5 + 0.2 * (TOP + depth + half))
        _axis(ax, low, high, ranked.test.critical_difference)
        for bar, level in zip(bars, levels, strict=True):
            ax.plot(bar, [0.6 * (level + 1)] * 2, color=BAR, linewidth=3.5, solid_capstyle="butt")
        room = side_room(names) * (high - low)
        for at, mean in enumerate(means):
            on_left = at < half
            y = depth + (at if on_left else len(order) - 1 - at)
            end = low - 0.06 * room if on_left else high + 0.06 * room
            ax.plot([mean, mean, end], [0, y, y], color=theme.INK, linewidth=0.9)
            ax.annotate(f"{names[at]}  {mean:.2f}" if on_left else f"{mean:.2f}  {names[at]}", (end, y), (-3 if on_left else 3, 0),
                        textcoords="offset points", ha="right" if on_left else "left", va="center")  # fmt: skip
        ax.set_xlim(low - room, high + room)
        ax.set_ylim(depth + half - 0.4, -TOP - 0.2)
    return figure


def _shortened(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def side_room(names: list[str]) -> float:
    """Return the room for names on each side of the axis, as a share of its length: the figure is 6 inches wide."""
    room = max(RANK + 0.6, RANK + LETTER * max(map(len, names)))
    return room / (theme.WIDTH - 0.2 - 2 * room)


def bar_levels(bars: list[tuple[float, float]]) -> list[int]:
    """Return on which level below the axis each bar lies, so that none overlap; the first level is 0.

    >>> bar_levels([(1.0, 2.0), (1.5, 3.0), (2.5, 4.0)])
    [0, 1, 0]
    """
    ends: list[float] = []
    levels = []
    for start, end in bars:
        level = next((i for i, taken in enumerate(ends) if taken < start), len(ends))
        ends[level:] = [end, *ends[level + 1 :]]
        levels.append(level)
    return levels


def _axis(ax: Axes, low: int, high: int, critical_difference: float) -> None:
    """Draw the axis of ranks by hand, as it is shorter than the figure, and above it the critical difference."""
    ax.set_axis_off()
    ax.plot([low, high], [0, 0], color=theme.INK, linewidth=1.2)
    every = max(1, (high - low) // 8)
    for rank in range(low, high + 1, every):
        ax.plot([rank, rank], [0, -0.25], color=theme.INK, linewidth=1)
        ax.text(rank, -0.4, f"{rank}", ha="center", va="bottom", fontsize=8)
    shown = min(critical_difference, float(high - low))
    at = -TOP + 0.35
    ax.plot([low, low + shown], [at, at], color=BAR, linewidth=2)
    for end in (low, low + shown) if shown == critical_difference else (low,):
        ax.plot([end, end], [at - 0.2, at + 0.2], color=BAR, linewidth=1.2)
    longer = "" if shown == critical_difference else ", longer than the axis"
    ax.annotate(f"critical difference {critical_difference:.2f}{longer}", (low + shown, at), (5, 0), textcoords="offset points",
                va="center", fontsize=8)  # fmt: skip
    ax.annotate("mean rank", (low, -0.4), (-9, 0), textcoords="offset points", ha="right", va="bottom", fontsize=8)
