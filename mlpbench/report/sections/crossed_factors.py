"""The section on two crossed factors: the mean test error of every cell, which is best, and which are not clearly worse."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mlpbench.base.models import Value
from mlpbench.evidence.estimates.paired_differences import Difference, worse_than
from mlpbench.evidence.frames import floats, records
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics.metric_names import LOG10
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.text_room import shorten, text_width
from mlpbench.report.number_text import brief, short_exponent
from mlpbench.report.section import Section, figure_section
from mlpbench.report.words import listing

FEWEST_CELLS = 6
# More levels than this leave no room for a number in a cell.
MOST_LEVELS = 16
TUNED = "lr"
# Sequential in lightness, and the same to the colour-blind.
MAP = "cividis_r"
LOST = "#d9d9d9"
# A shade is for what can be compared: cells this many times the median are as dark as the scale goes.
FAR = 1e4
# From this ratio of the largest to the smallest value shades are log, and so are the differences of losses.
WIDE = 3.0


def crossed_factors(context: Context) -> tuple[str, str] | None:
    """Return the factors of the rows and of the columns, where the conditions are a table of two.

    That is: exactly two factors have two levels or more, every pair of levels is one condition, there are six or more,
    and no factor has more than 16 levels. A learning rate is put in the columns.
    """
    levels = {
        n: list(dict.fromkeys(c.levels.get(n) for c in context.conditions)) for n in context.experiment.factor_names
    }
    varied = [n for n, of in levels.items() if len(of) > 1]
    if len(varied) != 2 or len(context.conditions) < FEWEST_CELLS:
        return None
    rows, columns = sorted(varied, key=lambda n: n == TUNED)
    pairs = {(c.levels.get(rows), c.levels.get(columns)) for c in context.conditions}
    whole = len(pairs) == len(context.conditions) == len(levels[rows]) * len(levels[columns])
    return (rows, columns) if whole and max(len(levels[n]) for n in varied) <= MOST_LEVELS else None


def cells(context: Context, rows: str, columns: str) -> pd.DataFrame:
    """Return a row for each condition: row and column, mean error (or loss), which runs ended badly, and its standing.

    `best` is the cell with the lowest mean of those whose runs all finished, of all where none is whole; `close` those, of
    such cells, whose paired difference from it has a 95% interval that includes 0; `best_of_row` the lowest of a row where the columns
    are learning rates. `lost` counts runs that diverged or failed.
    """
    outcomes = (
        context.estimates[context.estimates["metric"] == context.outcome].sort_values("position").set_index("position")
    )
    positions = list(range(len(context.conditions)))
    means = outcomes["mean"].reindex(positions)
    order = {n: _ordered(context.conditions, n) for n in (rows, columns)}
    if not all(map(theme.is_number, order[rows])):
        order[rows] = _best_first(context, rows, order[rows], means)
    table = pd.DataFrame(
        {
            "position": positions,
            "row": [order[rows].index(c.levels.get(rows)) for c in context.conditions],
            "column": [order[columns].index(c.levels.get(columns)) for c in context.conditions],
            "row_label": [format_level(c.levels.get(rows)) for c in context.conditions],
            "column_label": [format_level(c.levels.get(columns)) for c in context.conditions],
            "label": [c.label for c in context.conditions],
            "value": 1 - means if context.measure == "accuracy" else means,
            "sd": outcomes["sd"].reindex(positions),
            "lost": (outcomes["diverged"] + outcomes["failed"]).reindex(positions).fillna(0).astype(int),
        }
    )
    top = context.best
    against = {} if top is None else _worse_than(context, top, positions)
    table["best"] = table["position"] == top
    near = pd.Series([i != top and i in against and against[i].low <= 0 <= against[i].high for i in positions])
    table["close"] = near & (table["lost"] == 0)
    lowest = (
        table.dropna(subset=["value"]).sort_values(["lost", "value"], kind="stable").groupby("row")["position"].first()
    )
    table["best_of_row"] = (columns == TUNED) & table["position"].isin(lowest)
    return table


def compares_logs(context: Context) -> bool:
    """Return whether cells are compared by the logarithms of losses: those of one size have one spread, sizes that differ do not."""
    values = context.observed[context.outcome].dropna()
    means = context.estimates.loc[context.estimates["metric"] == context.outcome, "mean"].dropna()
    return context.measure == "loss" and bool((values > 0).all()) and is_far_apart(floats(means))


def is_far_apart(values: Sequence[float]) -> bool:
    """Return whether values are positive and the largest is several times the smallest."""
    return bool(values) and min(values) > 0 and max(values) >= WIDE * min(values)


def _worse_than(context: Context, top: int, positions: Sequence[int]) -> Mapping[int, Difference]:
    if not compares_logs(context):
        return context.worse_than(top, positions, context.outcome)
    name = f"{LOG10}{context.outcome}"
    logs = context.observed.assign(**{name: np.log10(context.observed[context.outcome])})
    return worse_than(context.experiment, context.conditions, logs, name, top, positions)


def section(context: Context) -> Section | None:
    """Return the table of two factors as a figure; None where the conditions are none (see `crossed_factors`)."""
    names = crossed_factors(context)
    if names is None:
        return None
    table = cells(context, *names)
    if table["value"].notna().sum() < FEWEST_CELLS:
        return None
    what = "error" if context.measure == "accuracy" else "loss"
    ranged = all(theme.is_number(c.levels.get(names[0])) for c in context.conditions)
    marks = ["Lost runs diverged or failed." * bool(table["lost"].any())]
    return figure_section(
        f"{names[0]} and {names[1]}",
        sentence(table, *names, what, ranged=ranged, logs=compares_logs(context)),
        *marks,
        figure="heatmap",
        alt=f"Mean test {what} by {names[0]} and {names[1]}.",
        draw=partial(draw, table, *names, f"mean test {what}", share=what == "error"),
    )


def sentence(table: pd.DataFrame, rows: str, columns: str, what: str, *, ranged: bool, logs: bool = False) -> str:
    """Say which cell is best, how many do not differ significantly from it, and how the best learning rate moves.

    Args:
        table: the cells.
        rows: the factor of the rows.
        columns: that of the columns.
        what: error or loss.
        ranged: whether the rows are numbers, of which `4 to 64` can be said.
        logs: whether logarithms are compared.

    """
    (top,) = records(table[table["best"]])
    value = f"{top['value']:.2%}" if what == "error" else brief(top["value"], 4)
    n = int(table["close"].sum())
    compared = int((~table["best"] & (table["lost"] == 0) & table["value"].notna()).sum())
    others = f"the other {compared} cells" + " whose runs all finished" * (compared < len(table) - 1)
    counted = {0: f"each of {others} differs", 1: f"1 of {others} does not differ"}.get(
        n, f"{n} of {others} do not differ"
    )
    compare = f"{counted} significantly from it (95% intervals of paired differences{' of logarithms' * logs})"
    if table["sd"].isna().all():
        compare = "with one replicate per cell there are no intervals"
    moved = _moved(table[table["best_of_row"]].sort_values("row"), rows, columns, ranged=ranged)
    return f"Mean test {what} is lowest with {top['label']}, {value}; {compare}.{moved}"


def _moved(lowest: pd.DataFrame, rows: str, columns: str, *, ranged: bool) -> str:
    """Say at which learning rate each row is best, rows with the same together."""
    if lowest.empty:
        return ""
    pairs = list(zip(lowest["column_label"], lowest["row_label"], strict=True))
    if len({c for c, _ in pairs}) == 1:
        return f" The best {columns} is {pairs[0][0]} at every {rows}."
    runs = [(c, [r for _, r in group]) for c, group in itertools.groupby(pairs, key=lambda pair: pair[0])]
    parts = [f"{c} at {rows} {listing(r) if len(r) < 3 or not ranged else f'{r[0]} to {r[-1]}'}" for c, r in runs]
    return f" The best {columns} is {listing(parts)}."


def _ordered(conditions: Sequence[Condition], name: str) -> list[Value]:
    """Return the levels of a factor: numbers by size, others as the file has them."""
    levels = list(dict.fromkeys(c.levels.get(name) for c in conditions))
    return sorted(levels, key=float) if all(map(theme.is_number, levels)) else levels  # type: ignore[arg-type]


def _best_first(context: Context, name: str, levels: list[Value], means: pd.Series[float]) -> list[Value]:
    """Return levels that are words, those with the best cell first: words have no order of their own."""
    sign = -1.0 if context.measure == "accuracy" else 1.0
    best = {
        level: min(
            (
                sign * float(m)
                for c, m in zip(context.conditions, means, strict=True)
                if c.levels.get(name) == level and np.isfinite(m)
            ),
            default=math.inf,
        )
        for level in levels
    }
    return sorted(levels, key=best.__getitem__)


def draw(cells: pd.DataFrame, rows: str, columns: str, what: str, *, share: bool) -> Figure:
    """Return the cells with their numbers; the best is outlined, those close to it dashed, the best of a row has a dot.

    `cells` has row, column, row_label, column_label, value (NaN where no run finished), lost, best, close and best_of_row.
    """
    n_rows, n_columns = int(cells["row"].max()) + 1, int(cells["column"].max()) + 1
    values = np.full((n_rows, n_columns), np.nan)
    values[cells["row"], cells["column"]] = cells["value"]
    norm = _norm(floats(cells["value"].dropna()))
    colours = mpl.colormaps[MAP].with_extremes(bad=LOST)
    with theme.style():
        figure, (ax,) = theme.new(max(2.4, min(7.7, 1.45 + 0.42 * n_rows)))
        image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, aspect="auto")
        size = 8.0 if n_columns <= 10 else 6.0
        for cell in records(cells):
            x, y, value = cell["column"], cell["row"], cell["value"]
            shade = colours(norm(value)) if np.isfinite(value) else mpl.colors.to_rgba(LOST)
            ink = theme.ink_on(shade)
            ax.text(x, y, _number(value, share=share), ha="center", va="center", color=ink, fontsize=size,
                    fontweight="bold" if cell["best"] else "normal")  # fmt: skip
            if cell["lost"]:
                ax.text(x, y + 0.46, f"{cell['lost']} lost", ha="center", va="bottom", color=ink, fontsize=size - 2)
            if cell["best_of_row"]:
                ax.plot([x - 0.42], [y - 0.3], "o", color=ink, markersize=3.5)
            if cell["best"] or cell["close"]:
                ax.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=ink, linewidth=1.6,
                                       linestyle="solid" if cell["best"] else (0, (3, 2))))  # fmt: skip
        places, texts = _labels(cells, "column")
        room = (theme.POINTS - 170) / n_columns - 4
        wide = max(text_width(t, theme.SMALL) for t in texts) > room
        ax.set_xticks(
            places, [shorten(t, 90 if wide else room, theme.SMALL) for t in texts], rotation=90 if wide else 0
        )
        places, texts = _labels(cells, "row")
        ax.set_yticks(places, [shorten(t, 130, theme.SMALL) for t in texts])
        ax.set_xlabel(shorten(columns, 250, 8.5))
        ax.set_ylabel(shorten(rows, 60 + 30 * n_rows, 8.5))
        theme.cells_axes(ax)
        low, high = float(norm.vmin or 0), float(norm.vmax or 0)
        more: Literal["max", "neither"] = "max" if high < np.nanmax(values) else "neither"
        bar = figure.colorbar(image, ax=ax, label=what, pad=0.02, extend=more)
        bar.outline.set_visible(False)
        text = theme.percent if share else lambda v: short_exponent(f"{v:.3g}")
        if isinstance(norm, LogNorm):
            scales.log_ticks(bar.ax.yaxis, low, high, text)
        else:
            scales.linear_ticks(bar.ax.yaxis, text)
        theme.legend_below(figure, _marks(cells, columns))
    return figure


def _marks(cells: pd.DataFrame, columns: str) -> list[Line2D]:
    """Return what outlines and dots stand for, of those that there are."""
    box: dict[str, Any] = {
        "color": "none",
        "markeredgecolor": theme.INK,
        "marker": "s",
        "markersize": 8,
        "markeredgewidth": 1.4,
    }
    marks = [Line2D([], [], label="best cell", **box)]
    if cells["close"].any():
        dashed = Line2D([], [], color=theme.INK, linestyle=(0, (3, 2)), linewidth=1.6)
        dashed.set_label("not significantly different from it")
        marks.append(dashed)
    if cells["best_of_row"].any():
        marks.append(
            Line2D(
                [],
                [],
                color=theme.INK,
                marker="o",
                markersize=3.5,
                linestyle="none",
                label=f"best {columns} of its row",
            )
        )
    return marks


def _labels(cells: pd.DataFrame, axis: str) -> tuple[list[int], list[str]]:
    named = cells.drop_duplicates(axis).sort_values(axis)
    return named[axis].tolist(), named[f"{axis}_label"].tolist()


def _norm(values: list[float]) -> Normalize:
    low, high, middle = min(values), max(values), float(np.median(values))
    if middle > 0:
        high = min(high, FAR * middle)
    if low == high:
        return Normalize(low, low + (abs(low) or 1.0))
    return LogNorm(low, high, clip=True) if low > 0 and high >= WIDE * low else Normalize(low, high, clip=True)


def _number(value: float, *, share: bool) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{100 * value:.1f}%" if share else short_exponent(f"{value:.3g}")
