"""The waterfall of an ablation: from the base, down by what each piece contributes and by what is left over, to none of them."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.base.escapes import printable
from mlpbench.evidence.estimates.contributions import Contribution, Contributions
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.report.figures import theme
from mlpbench.report.number_text import fixed, signed

BASE, WITHOUT, LEFT_OVER = "with all", "without all", "left over"
HELPS, HARMS, UNCLEAR, REST = "#029e73", "#d55e00", "#b0b0b0", "#56b4e9"
LONGEST = 24
MEANINGS = {
    HELPS: "better with it",
    HARMS: "worse with it",
    UNCLEAR: "not significant (Holm)",
    REST: "left over (interaction)",
}


@dataclass(frozen=True, kw_only=True)
class WaterfallStep:
    """A row: a bar from one level of the outcome to another, with the interval of its end; of a level alone both are equal.

    `text` is what the row comes to, `colour` is empty of a level.
    """

    name: str
    start: float
    end: float
    low: float = math.nan
    high: float = math.nan
    text: str
    colour: str = ""


def waterfall_steps(found: Contributions, sign: float, factor: float) -> list[WaterfallStep]:
    """Return the rows: the base, pieces by what they contribute, largest first, what is left over, and none of them.

    Args:
        found: the contributions, positive where the outcome is better with a piece.
        sign: 1 where a higher outcome is better, else -1.
        factor: by what outcomes are multiplied, as 100 for percent.

    Pieces that have no contribution are left out; without that of all, so are the last two rows.

    """
    level = factor * found.base
    spread = max((factor * (c.high - c.low) / 2 for c in found.pieces if not math.isnan(c.low)), default=0.0)
    steps = [WaterfallStep(name=BASE, start=level, end=level, text=fixed(level, spread))]

    def down(name: str, c: Contribution, colour: str) -> float:
        end = level - sign * factor * c.mean
        ends = [level - sign * factor * v for v in (c.low, c.high)]
        # min() and max() of NaN depend on their order.
        low, high = (math.nan, math.nan) if math.isnan(c.low) else (min(ends), max(ends))
        steps.append(
            WaterfallStep(name=name, start=level, end=end, low=low, high=high, colour=colour, text=_number(c, factor))
        )
        return end

    for c in sorted((c for c in found.pieces if not math.isnan(c.mean)), key=lambda c: -c.mean):
        colour = UNCLEAR if not c.p_holm <= ALPHA else HELPS if c.mean > 0 else HARMS
        level = down(c.name, c, colour)
    if not math.isnan(found.left_over.mean):
        down(LEFT_OVER, found.left_over, REST)
    if not math.isnan(found.together.mean):
        last = factor * (found.base - sign * found.together.mean)
        steps.append(WaterfallStep(name=WITHOUT, start=last, end=last, text=fixed(last, spread)))
    return steps


def _number(c: Contribution, factor: float) -> str:
    """Return a contribution with its interval."""
    spread = 0.0 if math.isnan(c.low) else factor * (c.high - c.low) / 2
    within = "" if math.isnan(c.low) else f" ({fixed(factor * c.low, spread)} to {fixed(factor * c.high, spread)})"
    return f"{signed(factor * c.mean, spread)}{within}"


def draw_waterfall(steps: Sequence[WaterfallStep], outcome: str, unit: str) -> Figure:
    """Return a row for each step, bars hanging from where the one above ended; numbers on the right, in a unit."""
    with theme.style():
        figure, (ax,) = theme.new(1.25 + 0.27 * max(len(steps), 3))
        for at, step in enumerate(steps):
            _draw_step(ax, at, step)
        for at, (step, after) in enumerate(itertools.pairwise(steps)):
            ax.plot([step.end, step.end], [at, at + 1], color=theme.FAINT, linewidth=0.8, linestyle="dotted")
            if step.end != after.start:  # replicates that are missing in one and not in the other
                ax.plot([step.end, after.start], [at + 0.5] * 2, color=theme.FAINT, linewidth=0.8, linestyle="dotted")
        ax.set_ylim(len(steps) - 0.4, -0.6)
        names = [textwrap.shorten(printable(step.name), LONGEST, placeholder=" …") for step in steps]
        ax.set_yticks(range(len(steps)), names)
        ax.set_xlabel(outcome)
        ax.set_title(f"contribution{unit}", loc="right", fontsize=8, x=1.02, ha="left")
        ax.margins(x=0.06)
        ax.grid(axis="y", visible=False)
        numbers = ax.twinx()
        numbers.set_ylim(*ax.get_ylim())
        numbers.set_yticks(range(len(steps)), [step.text for step in steps])
        numbers.tick_params(length=0)
        numbers.grid(visible=False)
        numbers.spines["right"].set_visible(False)
        drawn = dict.fromkeys(step.colour for step in steps if step.colour)
        handles = [Line2D([], [], color=c, linewidth=6, label=MEANINGS[c]) for c in MEANINGS if c in drawn]
        if any(not math.isnan(step.low) for step in steps):
            handles.append(Line2D([], [], color=theme.INK, linewidth=1.2, label="95% interval"))
        theme.legend_below(figure, handles)
    return figure


def _draw_step(ax: Axes, at: int, step: WaterfallStep) -> None:
    if not step.colour:
        ax.plot([step.end], [at], "D", color=theme.INK, markersize=5.5)
        return
    ax.barh([at], [step.end - step.start], left=[step.start], height=0.56, color=step.colour, linewidth=0)
    if not math.isnan(step.low):
        ax.plot([step.low, step.high], [at, at], color=theme.INK, linewidth=1.2, marker="|", markersize=5)
