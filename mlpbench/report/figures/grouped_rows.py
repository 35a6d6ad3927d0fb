"""Rows of conditions in blocks: what the rows of a block have in common is said once, above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.text_room import shorten, text_width

# Of the width of a figure, what names of rows take at most beside one panel, and beside several, in points.
NAMES, FEWER = 0.6 * theme.POINTS, 0.42 * theme.POINTS
# Rows that have their name beside them; of more, every k-th has.
MOST_NAMED = 100
# Blocks of fewer rows than this are no help: each row has its whole name.
FEWEST_A_BLOCK = 2


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """Where rows stand, the first at the top.

    Attributes:
        at: the height of each condition's row.
        names: what stands beside each row.
        headings: the height and the text of each line above a block.
        height: the number of rows, with headings.

    """

    at: Mapping[str, float]
    names: Mapping[str, str]
    headings: Sequence[tuple[float, str]]
    height: int


def plan_rows(conditions: Sequence[str], colours: ConditionColours) -> RowPlan:
    """Return where the rows of some conditions stand: in the order given, in blocks where the rows of one have much in common."""
    blocks: dict[str, list[str]] = {}
    for condition in conditions:
        blocks.setdefault(colours.blocks.get(condition, ""), []).append(condition)
    if not colours.blocks or max(map(len, blocks.values()), default=0) < FEWEST_A_BLOCK:
        return RowPlan(
            at={c: float(i) for i, c in enumerate(conditions)},
            names={c: colours.labels[c] for c in conditions},
            headings=[],
            height=len(conditions),
        )
    at: dict[str, float] = {}
    headings = []
    height = 0
    for block, members in blocks.items():
        headings.append((float(height), block))
        height += 1
        for condition in members:
            at[condition] = float(height)
            height += 1
    return RowPlan(at=at, names={c: colours.row_names[c] for c in conditions}, headings=headings, height=height)


def names_width(plan: RowPlan, room: float = 1.0) -> float:
    """Return how many points the names of rows take, beside one panel or, where `room` is less than 1, beside several."""
    return min(
        NAMES if room == 1.0 else FEWER, max((text_width(n, theme.SMALL) for n in plan.names.values()), default=0.0)
    )


def block_axis(ax: Axes, plan: RowPlan, title: str, more: Mapping[str, str] | None = None, room: float = 1.0) -> None:
    """Put the rows of a plan on the y axis, with its headings within the panel.

    Args:
        ax: the panel, the first of its row.
        plan: the rows.
        title: of the axis.
        more: what stands behind the names of some conditions.
        room: the share of the figure's width that headings may take.

    """
    every = -(-len(plan.at) // MOST_NAMED)
    named = list(plan.at)[::every]
    tails = {c: (more or {}).get(c, "") for c in named}
    widest = NAMES if room == 1.0 else FEWER
    texts = [shorten(plan.names[c], widest - text_width(tails[c], theme.SMALL), theme.SMALL) + tails[c] for c in named]
    ax.set_yticks([plan.at[c] for c in named], texts)
    ax.set_ylim(plan.height - 0.4, -0.6)
    ax.set_ylabel(shorten(title, 150, 8.5))
    place = blended_transform_factory(ax.transAxes, ax.transData)
    for at, text in plan.headings:
        said = shorten(text, 0.9 * (room * (theme.POINTS - names_width(plan, room) - 30) - 10), theme.SMALL)
        ax.text(
            0.008,
            at + 0.08,
            said,
            transform=place,
            va="center",
            fontsize=theme.SMALL,
            fontweight="bold",
            color="#595959",
        )
