"""Rows with gaps: rows without a target are left out, and other gaps are imputed, drop their rows, or are refused.

What is imputed is said in `table_inputs`, by the training rows; which rows there are is settled here, before any is split off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown
from mlpbench.data.file_errors import file_error
from mlpbench.data.formats.columns import Column, Table, named

Missing = Literal["impute", "drop_rows", "refuse"]
Mask = NDArray[np.bool_]

NO_MISSING = "a table must have no missing values where `missing: refuse` says so"


def check_gaps(table: Table) -> None:
    """Raise InputError, with its place, for the first gap of a table."""
    for column in table.columns:
        if column.gaps.any():
            raise column.place.error(f"{NO_MISSING}, got a gap", int(np.argmax(column.gaps)))


def kept_rows(table: Table, target: str, missing: Missing, split_by: str | None = None) -> tuple[Mask, list[str]]:
    """Return which rows are learned from, or tested on, and notes on those that are left out.

    Args:
        table: all rows.
        target: the name of the target column.
        missing: whether rows with other gaps are left out too: `drop_rows`.
        split_by: the name of the column that says how rows are split, in which no row that is kept has a gap.

    Raises InputError where no row is left.

    """
    aim = next(c for c in table.columns if c.name == target)
    _check_spelt(aim)
    kept, notes = ~aim.gaps, []
    if not kept.any():
        raise file_error(
            f"a data file must have rows with a target, got none in {counted(table.rows, 'row')}", table.name
        )
    if n := int(aim.gaps.sum()):
        notes.append(f"{counted(n, 'row')} without a target {'is' if n == 1 else 'are'} left out")
    sides = next((c for c in table.columns if c.name == split_by), None)
    if sides is not None and (n := int((sides.gaps & kept).sum())):
        notes.append(
            f"{counted(n, 'row')} without a value in {named([sides.name])} {'is' if n == 1 else 'are'} left out"
        )
        kept = kept & ~sides.gaps
        if not kept.any():
            raise sides.place.error(f"the column of a split must have values, got none in {counted(table.rows, 'row')}")
    if missing == "drop_rows":
        with_gaps = [c for c in table.columns if c.name != target and (c.gaps & kept).any()]
        complete = kept & ~np.logical_or.reduce([np.zeros(table.rows, bool), *(c.gaps for c in with_gaps)])
        if n := int((kept & ~complete).sum()):
            where = named([c.name for c in with_gaps])
            notes.append(f"{counted(n, 'row')} with a gap in {where} {'is' if n == 1 else 'are'} left out")
        kept = complete
    if not kept.any():
        raise file_error(
            f"a data file must have rows without gaps, got a gap in each of {counted(table.rows, 'row')}", table.name
        )
    return kept, notes


def _check_spelt(aim: Column) -> None:
    """Refuse classes one of which may be spelt like a gap: its rows would be left out."""
    if aim.spelt_gaps:
        name, spelt = shown(aim.name), aim.spelt_gaps[0]
        hint = f"`words: [{name}]` takes it for a class, `missing_values: [{shown(spelt)}]` for a gap"
        raise aim.place.error(f"it must be certain whether {shown(spelt)} is a class or a gap of the target; {hint}")


def rows_of(columns: Sequence[Column], kept: Mask) -> list[Column]:
    """Return columns with some of their rows."""
    return list(columns) if kept.all() else [replace(c, values=c.values[kept]) for c in columns]


def counted(n: int, one: str, several: str = "") -> str:
    """Return a number of things in words.

    >>> counted(1, "row"), counted(3, "row"), counted(2, "class", "classes")
    ('1 row', '3 rows', '2 classes')
    """
    return f"{n} {one}" if n == 1 else f"{n} {several or f'{one}s'}"


def checked_spellings(value: object) -> object:
    """Return what `missing_values` says; raise ValueError for an entry that is neither text nor a finite number."""
    for entry in value if isinstance(value, list | tuple) else ():
        rule = "an entry of missing_values must be text or a finite number"
        if isinstance(entry, bool) or not isinstance(entry, str | int | float):
            raise ValueError(f"{rule}, got {shown(entry)}; text is written in quotes")
        if isinstance(entry, float) and not math.isfinite(entry):
            raise ValueError(f"{rule}, got {entry}; text is written in quotes")
    return value
