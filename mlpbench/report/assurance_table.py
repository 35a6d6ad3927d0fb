"""How many replicates planned claims need: assurance against replicates and time, as text and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Letters of a claim's name in a table.
LONGEST_NAME = 36
MARGIN_OF_LINE = 0.01
# Numbers of replicates that are nearer than this have one tick.
LEAST_RATIO = 1.5


@dataclass(frozen=True, kw_only=True)
class Assurances:
    """The assurance of claims at some numbers of replicates.

    Attributes:
        replicates, times: the numbers, and how long training each of them takes, in words.
        chances: the assurance at each of them, by claim.
        wanted: assurances of interest, of which the one that is suggested stands in the middle.
        needed: the number of replicates, in words, for each of those, by claim.

    """

    replicates: Sequence[int]
    times: Sequence[str]
    chances: Mapping[str, Sequence[float]]
    wanted: Sequence[float]
    needed: Mapping[str, Sequence[str]]

    def text(self) -> str:
        """Return a table with a row for each claim.

        >>> shown = Assurances(replicates=[5, 10], times=["10 s", "20 s"], chances={"a": [0.25, 0.5]}, wanted=[0.8], needed={"a": ["31"]})
        >>> print(shown.text())
        replicates         5    10    80% at
        expected time   10 s  20 s
        a               0.25  0.50        31
        """
        rows = [
            ["replicates", *map(str, self.replicates), *(f"{w:.0%} at" for w in self.wanted)],
            ["expected time", *self.times, *("" for _ in self.wanted)],
            *(
                [_shortened(name), *(f"{chance:.2f}" for chance in chances), *self.needed[name]]
                for name, chances in self.chances.items()
            ),
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        first = len(self.replicates) + 1

        def line(row: Sequence[str]) -> str:
            cells = [
                cell.rjust(w + (2 if i == first else 0)) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join([f"{row[0]:<{widths[0] + 1}}", *cells[1:]]).rstrip()

        return "\n".join(map(line, rows))


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def draw(curves: Mapping[str, Sequence[float]], replicates: Sequence[int], shown: Assurances, source: str) -> Figure:
    """Return a figure of assurance against replicates, with the time they take on top.

    Args:
        curves: the assurance of each claim at `replicates`.
        replicates: numbers of them, in order.
        shown: what the table has: ticks stand at its numbers, and a rule at the assurance that is suggested.
        source: the pilot, in words.

    """
    from matplotlib.ticker import FixedLocator, NullLocator

    from mlpbench.report.figures import theme

    with theme.style():
        figure, (ax,) = theme.new(3.4)
        likely = shown.wanted[len(shown.wanted) // 2]
        ax.axhline(likely, color=theme.FAINT, linewidth=1.0, linestyle="dashed", zorder=1)
        colours = theme.palette(len(curves), ordered=False)
        for colour, chances in zip(colours, curves.values(), strict=True):
            ax.plot(replicates, chances, color=colour)
        top = ax.twiny()
        ticks = [i for i, n in enumerate(shown.replicates) if not i or n >= LEAST_RATIO * shown.replicates[i - 1]]
        for axis_of, labels, name in (
            (ax, list(map(str, shown.replicates)), "replicates"),
            (top, shown.times, "expected time"),
        ):
            axis_of.set_xscale("log", base=2)
            axis_of.set_xlim(replicates[0], replicates[-1])
            axis_of.xaxis.set_major_locator(FixedLocator([shown.replicates[i] for i in ticks]))
            axis_of.xaxis.set_minor_locator(NullLocator())
            axis_of.set_xticklabels([labels[i] for i in ticks])
            axis_of.set_xlabel(name)
        top.grid(visible=False)
        ax.set_ylim(0, 1 + MARGIN_OF_LINE)
        ax.yaxis.set_major_formatter(theme.percent)
        ax.set_ylabel("assurance")
        ax.set_title(f"Chance that a claim is decided, given {source}", loc="left")
        handles = theme.colour_handles(zip(map(_shortened, curves), colours, strict=True))
        theme.legend_below(figure, handles)
        if len(curves) == 1:
            ax.set_ylabel(f"assurance of {_shortened(next(iter(curves)))}")
    return figure
