"""Small panels, one for each of up to twelve conditions, laid out by their factors: which conditions, and where each stands."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpbench.base.escapes import printable
from mlpbench.base.models import Value
from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.context import Context
from mlpbench.report.figures import theme

MOST_ROWS, MOST_COLUMNS = 3, 4
PANEL_HEIGHT = 1.55
# Letters above a panel, by how many panels stand beside each other.
LETTERS = {1: 70, 2: 36, 3: 24, 4: 18}
LETTERS_BESIDE = 22


@dataclass(frozen=True, kw_only=True)
class ConditionPanels:
    """Conditions in a grid of panels.

    Attributes:
        positions: the condition of each panel, in reading order.
        heads: what stands above each panel; of crossed factors above the first row only.
        columns: how many panels stand beside each other.
        of: how many conditions there are to choose from.
        sides: what stands beside each row of crossed factors; else none.

    """

    positions: Sequence[int]
    heads: Sequence[str]
    columns: int
    of: int
    sides: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """How many rows of panels there are."""
        return -(-len(self.positions) // self.columns)

    @property
    def sentence(self) -> str:
        """Says which conditions are drawn; empty where all are."""
        n = len(self.positions)
        return "" if n == self.of else f"The figure shows {n} of {self.of} conditions, at equal steps of their levels."


def condition_panels(context: Context) -> ConditionPanels:
    """Return panels for the conditions, or for some of them: two crossed factors are columns and rows, others follow each other.

    Of many levels some at equal steps stand for all, the first and the last among them.
    """
    conditions = context.conditions
    varied = [n for n in context.experiment.factor_names if len({_level(c, n) for c in conditions}) > 1]
    if len(varied) == 2:
        across, down = ([*dict.fromkeys(_level(c, n) for c in conditions)] for n in varied)
        cells = {(_level(c, varied[0]), _level(c, varied[1])): i for i, c in enumerate(conditions)}
        if len(cells) == len(conditions) == len(across) * len(down):
            columns, rows = _steps(len(across), MOST_COLUMNS), _steps(len(down), MOST_ROWS)
            kept = [cells[across[j], down[i]] for i in rows for j in columns]
            heads = [_head(conditions[at], varied[:1], len(columns)) for at in kept[: len(columns)]]
            sides = [_head(conditions[at], varied[1:], len(columns)) for at in kept[:: len(columns)]]
            heads += [""] * (len(kept) - len(columns))
            return ConditionPanels(positions=kept, heads=heads, columns=len(columns), of=len(conditions), sides=sides)
    kept = _steps(len(conditions), MOST_ROWS * MOST_COLUMNS)
    n_columns = min(len(kept), 2 if len(kept) == 4 else 3 if len(kept) in (3, 5, 6, 9) else MOST_COLUMNS)
    heads = ["" if len(conditions) == 1 else _head(conditions[at], varied, n_columns) for at in kept]
    return ConditionPanels(positions=kept, heads=heads, columns=n_columns, of=len(conditions))


def _steps(n: int, most: int) -> list[int]:
    """Return up to `most` of n places at equal steps, the first and the last among them."""
    return sorted({round(float(at)) for at in np.linspace(0, n - 1, min(n, most))})


def _level(condition: Condition, name: str) -> Value:
    return condition.levels.get(name)


def _head(condition: Condition, varied: Sequence[str], columns: int) -> str:
    named = [f"{n} {format_level(_level(condition, n))}" for n in varied if n != "label"]
    if "label" in condition.levels:
        named.insert(0, str(condition.levels["label"]))
    text = printable(", ".join(named) or condition.label)
    return textwrap.shorten(text, LETTERS[columns] * 2, placeholder=" …")


def name_axes(panels: ConditionPanels, axes: Sequence[Axes], x: str, y: str) -> None:
    """Name the axes of the lowest panels and of those on the left, each below what its row is."""
    for at, ax in enumerate(axes):
        if at % panels.columns == 0:
            side = panels.sides[at // panels.columns] if panels.sides else ""
            ax.set_ylabel("\n".join([*textwrap.wrap(side, LETTERS_BESIDE), _cut(y, LETTERS_BESIDE)]))
        if at >= len(axes) - panels.columns:
            ax.set_xlabel(_cut(x, LETTERS[panels.columns]))
            ax.tick_params(labelbottom=True)
        # Beside each other, four panels have room for few numbers.
        ax.xaxis.set_major_locator(MaxNLocator(3 if panels.columns == MOST_COLUMNS else 5))
        ax.yaxis.set_major_locator(MaxNLocator(4))


def input_names(data: DataFacts) -> list[str]:
    """Return what the axis of each of one or two inputs is called: of a table its column, else its place."""
    places = ["input"] if data.n_features == 1 or data.truth is not None else ["first input", "second input"]
    columns = [] if data.profile is None else [c for c in data.profile.columns if c.inputs]
    if len(columns) != len(places) or any(c.inputs > 1 for c in columns):
        return places
    return [c.name if c.becomes == "x" else f"{c.name} (scaled)" for c in columns]


def target_name(data: DataFacts) -> str:
    """Return what the axis of the target is called."""
    return "target" if data.profile is None else data.profile.target


def _cut(text: str, letters: int) -> str:
    text = printable(text)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def new_panels(panels: ConditionPanels, height: float, **options: bool) -> tuple[Figure, list[Axes]]:
    """Return a figure with an axis for each panel under its head and beside its side; to be called within `theme.style`."""
    figure, axes = theme.new(height * panels.rows + 0.75, panels.rows, panels.columns, **options)
    for ax in axes[len(panels.positions) :]:
        ax.set_axis_off()
    for ax, head in zip(axes, panels.heads, strict=False):
        ax.set_title("\n".join(textwrap.wrap(head, LETTERS[panels.columns])), loc="left", fontsize=8)
    return figure, axes[: len(panels.positions)]
