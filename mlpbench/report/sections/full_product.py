"""Two factors in full product: the mean test error of every cell, which is best, and which are not clearly worse."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import pandas as pd

from mlpbench.base.models import Value
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.language.words import listing
from mlpbench.report.sections.section import Given, Section, best, worse_than

FEWEST_CELLS = 6
# More levels than this leave no room for a number in a cell.
MOST_LEVELS = 16
TUNED = "lr"


def factors(given: Given) -> tuple[str, str] | None:
    """Return the factors of the rows and of the columns, where the conditions are a table of two.

    That is: exactly two factors have two levels or more, every pair of levels is one condition, there are six or more,
    and no factor has more than 16 levels. A learning rate is put in the columns.
    """
    levels = {n: list(dict.fromkeys(c.levels.get(n) for c in given.conditions)) for n in given.experiment.factor_names}
    varied = [n for n, of in levels.items() if len(of) > 1]
    if len(varied) != 2 or len(given.conditions) < FEWEST_CELLS:
        return None
    rows, columns = sorted(varied, key=lambda n: n == TUNED)
    pairs = {(c.levels.get(rows), c.levels.get(columns)) for c in given.conditions}
    whole = len(pairs) == len(given.conditions) == len(levels[rows]) * len(levels[columns])
    return (rows, columns) if whole and max(len(levels[n]) for n in varied) <= MOST_LEVELS else None


def cells(given: Given, rows: str, columns: str) -> pd.DataFrame:
    """Return a row for each condition: row and column, mean error (or loss), which runs ended badly, and its standing.

    `best` is the cell with the lowest mean of those whose runs all finished, of all where none is whole; `close` those, of
    such cells, whose paired difference from it has a 95% interval that includes 0; `best_of_row` the lowest of a row where the columns
    are learning rates. `lost` counts runs that diverged or failed.
    """
    found = given.estimates[given.estimates["metric"] == given.outcome].sort_values("position").set_index("position")
    positions = list(range(len(given.conditions)))
    order = {n: _ordered(given.conditions, n) for n in (rows, columns)}
    means = found["mean"].reindex(positions)
    table = pd.DataFrame(
        {
            "position": positions,
            "row": [order[rows].index(c.levels.get(rows)) for c in given.conditions],
            "column": [order[columns].index(c.levels.get(columns)) for c in given.conditions],
            "row_label": [format_level(c.levels.get(rows)) for c in given.conditions],
            "column_label": [format_level(c.levels.get(columns)) for c in given.conditions],
            "label": [c.label for c in given.conditions],
            "value": 1 - means if given.good == "accuracy" else means,
            "sd": found["sd"].reindex(positions),
            "lost": (found["diverged"] + found["failed"]).reindex(positions).fillna(0).astype(int),
        }
    )
    top = best(given)
    against = {} if top is None else worse_than(given, top, positions, given.outcome)
    table["best"] = table["position"] == top
    near = pd.Series([i != top and i in against and against[i].low <= 0 <= against[i].high for i in positions])
    table["close"] = near & (table["lost"] == 0)
    lowest = (
        table.dropna(subset=["value"]).sort_values(["lost", "value"], kind="stable").groupby("row")["position"].first()
    )
    table["best_of_row"] = (columns == TUNED) & table["position"].isin(lowest)
    return table


def section(given: Given) -> Section | None:
    """Return the table of two factors as a picture; nothing where the conditions are none (see `factors`)."""
    names = factors(given)
    if names is None:
        return None
    table = cells(given, *names)
    if table["value"].notna().sum() < FEWEST_CELLS:
        return None
    from mlpbench.report.figures.heatmap import heatmap

    what = "error" if given.good == "accuracy" else "loss"
    ranged = all(_is_number(c.levels.get(names[0])) for c in given.conditions)
    told = sentence(table, *names, what, ranged=ranged)
    marks = "Outlined: the best cell, solid; cells whose difference from it is not shown, dashed."
    if table["best_of_row"].any():
        marks += f" A dot is the best {names[1]} of a row."
    return Section(
        title=f"{names[0]} and {names[1]}",
        text=f"{told} {marks}",
        name="heatmap",
        draw=partial(heatmap, table, *names, f"mean test {what}", share=what == "error"),
        alt=f"Mean test {what} by {names[0]} and {names[1]}. {told}",
    )


def sentence(table: pd.DataFrame, rows: str, columns: str, what: str, *, ranged: bool) -> str:
    """Say which cell is best, how many are not shown to be worse, and how the best learning rate moves.

    `ranged` tells whether the rows are numbers, of which `4 to 64` can be said.
    """
    (top,) = records(table[table["best"]])
    value = f"{top['value']:.2%}" if what == "error" else f"{top['value']:.4g}"
    n = int(table["close"].sum())
    compared = int((~table["best"] & (table["lost"] == 0) & table["value"].notna()).sum())
    others = f"the other {compared} cells" + " whose runs all finished" * (compared < len(table) - 1)
    counted = {0: f"of {others} each is", 1: f"1 of {others} is not"}.get(n, f"{n} of {others} are not")
    said = f"{counted} shown to be different (95% intervals of paired differences)"
    if table["sd"].isna().all():
        said = "one replicate a cell shows no interval"
    moved = _moved(table[table["best_of_row"]].sort_values("row"), rows, columns, ranged=ranged)
    return f"Mean test {what} is lowest with {top['label']}, {value}; {said}.{moved}"


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
    return sorted(levels, key=float) if all(map(_is_number, levels)) else levels  # type: ignore[arg-type]


def _is_number(level: Value) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)
