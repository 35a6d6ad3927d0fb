"""From new rows of a table to the inputs of a network that was trained on others: all that is needed, as one JSON value.

Shapes: `N` rows, `I` inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mlpbench.base.models import Model, shown, suggestion
from mlpbench.data.file_errors import MAX_BYTES, file_error
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.columns import LARGEST_FLOAT32, TYPE_NAMES, Column, ColumnOptions, Table, WrittenForm, named
from mlpbench.data.formats.table_files import FORMATS, NPZ, TEXT, conversion, format_of, read_table
from mlpbench.data.table.gaps import Missing, counted
from mlpbench.data.table.input_columns import InputColumn
from mlpbench.data.table.scaling import InputScale
from mlpbench.data.table.table_inputs import filled, reading_notes, unseen_words
from mlpbench.data.text.dates import DAY, DAYS, SECONDS
from mlpbench.data.text.dialect import TextOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

Mask = NDArray[np.bool_]
FRAME = "the table"
# Options of the table that say how columns are read, of new rows too.
OPTION_KEYS = ("missing_values", "day_first", "decimal")
_TEXT_KEYS = tuple(f.name for f in fields(TextOptions))


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Inputs of new rows, float32 (N, I); `known` says which rows can be predicted; `notes` how they were understood."""

    x: NDArray[np.float32]
    known: Mask
    notes: tuple[str, ...]


class TableEncoder(Model):
    """What a network has learned from: columns with their inputs, and scales, by the training rows.

    Attributes:
        target: the name of the target, which new rows may lack.
        columns: the columns that became inputs, in order.
        scale: how inputs are scaled.
        left_out: columns that were no inputs, and are passed over.
        missing: what became of gaps; of `drop_rows` and `refuse` no row with one is predicted.
        is_named: whether columns had names, and are not known by their positions alone.
        asked_for: columns that were said to be words.
        missing_values, day_first, decimal: what was said of how columns are read.
        text: what was said of how a text file is written.

    """

    target: str
    columns: tuple[InputColumn, ...] = Field(strict=False, min_length=1)
    scale: InputScale
    left_out: tuple[str, ...] = Field(default=(), strict=False)
    missing: Missing = "impute"
    is_named: bool = True
    asked_for: tuple[str, ...] = Field(default=(), strict=False)
    missing_values: tuple[str | int | float, ...] = Field(default=(), strict=False)
    day_first: bool | None = None
    decimal: str | None = None
    text: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> TableEncoder:
        if len({c.name for c in self.columns}) < len(self.columns):
            raise ValueError("columns must have different names")
        if any(len(set(c.words)) < len(c.words) for c in self.columns):
            raise ValueError("the words of a column must be different")
        if unknown := set(self.text) - set(_TEXT_KEYS):
            raise ValueError(f"text has an unknown option {min(unknown)!r}")
        header = self.text.get("header")
        if not all(isinstance(v, str) for k, v in self.text.items() if k != "header") or not (
            isinstance(header, bool | None)
            or (isinstance(header, list | tuple) and all(isinstance(v, str) for v in header))
        ):
            raise ValueError("options of text must be text, a header true, false or names")
        self.scale.check(self.width)
        return self

    @property
    def width(self) -> int:
        """The number of inputs, I."""
        return sum(c.width for c in self.columns)

    def read(self, path: Path, name: str, other: Mapping[str, Any] | None = None) -> NewRows:
        """Return the inputs of the rows of a file.

        Args:
            path: the file.
            name: what it is called in errors.
            other: what is said of how it is written where that is not as in training, by option of a table.

        Raises InputError for what does not fit.

        """
        other, suffix = other or {}, format_of(path.name)
        if suffix is None:
            raise file_error(
                f"new rows must be in a file that ends in {', '.join(FORMATS)}, got {shown(path.name)}{conversion(path.name)}",
                name,
            )
        if suffix not in TEXT and (key := next((k for k in other if k in (*_TEXT_KEYS, "decimal")), None)):
            raise file_error(f"{key} must be left out where the file is no text, got {shown(other[key])}", name)
        if suffix == NPZ and "[" in self.columns[0].name:
            from mlpbench.data.formats.array_files import read_new_rows

            learned = [c.name for c in self.columns]
            return self.rows(read_new_rows(path, name, learned, self._reading(other)), is_whole=True)
        text = self.text | {k: v for k, v in other.items() if k in _TEXT_KEYS}
        said: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in text.items()}
        return self.rows(read_table(path, name, self._choice, TextOptions(**said), self._reading(other))[0])

    def of_frame(self, frame: pd.DataFrame) -> NewRows:
        """Return the inputs of the rows of a DataFrame; raise InputError for what does not fit."""
        from mlpbench.data.formats.parquet_files import frame_table

        return self.rows(frame_table(frame, FRAME, self._choice, self._reading({})))

    def of_array(self, array: NDArray[Any]) -> NewRows:
        """Return the inputs of the rows of an array of shape (N, columns); raise InputError for what does not fit."""
        from mlpbench.data.formats.array_files import matrix_table

        return self.rows(matrix_table(array, FRAME, FRAME, ColumnChoice(), self._reading({})))

    @property
    def _choice(self) -> ColumnChoice:
        # Columns that are passed over may hold anything. Of columns without names, which one is missing is not known yet.
        return ColumnChoice(only=frozenset(c.name for c in self.columns) if self.is_named else None)

    def _reading(self, other: Mapping[str, Any]) -> ColumnOptions:
        """Return how columns are read: as in training, but for what is said now."""
        words = tuple(c.name for c in self.columns if c.type == "word" and c.name not in self.asked_for)
        said = {key: other.get(key, getattr(self, key)) for key in OPTION_KEYS}
        forms = {
            c.name: WrittenForm(decimal=other.get("decimal", c.decimal), day_first=other.get("day_first", c.day_first))
            for c in self.columns
        }
        return ColumnOptions(words=self.asked_for, text=words, learned=forms, **said)

    def rows(self, table: Table, *, is_whole: bool = False) -> NewRows:
        """Return the inputs of the rows of a table, whose other columns are passed over.

        Args:
            table: the rows.
            is_whole: whether it has all columns beside the target, by the names that were learned, or else just those needed.

        Raises InputError for a column that is not there, or is of another type.

        """
        there = {c.name: c for c in table.columns}
        notes = list(table.notes)
        if is_whole and len(there) == len(self.columns) + len(self.left_out):
            pass
        elif not (self.is_named and table.is_named):
            there = self._by_position(table, notes)
        if missing := [c.name for c in self.columns if c.name not in there]:
            near = suggestion(
                missing[0], [*table.left_out, *(n for n in there if n not in {c.name for c in self.columns})]
            )
            raise file_error(
                f"new rows must have the columns that were learned from, got no {named(missing)}{near}", table.name
            )
        if table.rows * self.width * 4 > MAX_BYTES:
            message = f"rows must have at most {MAX_BYTES // 4} inputs in all, got {table.rows} rows"
            raise file_error(f"{message} of {self.width} inputs", table.name)
        used = [_like(column, there[column.name]) for column in self.columns]
        x, unseen = filled(self.columns, used)
        scaled = self.scale.apply(x)
        known = np.ones(table.rows, bool)
        notes += reading_notes(used)
        if extra := [n for n in table.left_out if n != self.target and n not in self.left_out]:
            notes.append(f"{named(extra)}: nothing was learned of {'it' if len(extra) == 1 else 'them'}, passed over")
        if with_gaps := {c.name: int(c.gaps.sum()) for c in used if c.gaps.any()}:
            if self.missing == "impute":
                gaps = "gaps become the median of the training rows, or what gaps were among words"
                notes.append(f"{named(list(with_gaps), with_gaps)}: {gaps}")
            else:
                known &= ~np.logical_or.reduce([c.gaps for c in used])
                notes.append(
                    f"{named(list(with_gaps), with_gaps)}: rows with gaps have no prediction, as none was trained on"
                )
        notes += [f"column {shown(c.name)}: {unseen_words(c, unseen[c.name], 'row')}" for c in used if c.name in unseen]
        beyond = np.abs(scaled).max(1, initial=0.0) > LARGEST_FLOAT32
        if beyond.any():
            known &= ~beyond
            notes.append(f"{counted(int(beyond.sum()), 'row')} with a number that does not fit float32: no prediction")
        x32 = np.where(known[:, None], scaled, 0.0).astype(np.float32)
        return NewRows(x=x32, known=known, notes=tuple(dict.fromkeys(notes)))

    def _by_position(self, table: Table, notes: list[str]) -> dict[str, Column]:
        """Return the columns by the names that were learned, where there, or here, they have none but their positions."""
        n, learned, whole = len(table.columns), len(self.columns), len(self.columns) + len(self.left_out) + 1
        if n == learned:
            notes.append("columns are those learned from, in their order, without the target")
            return {column.name: c for column, c in zip(self.columns, table.columns)}
        if n == whole and not self.is_named:
            return {str(i + 1): c for i, c in enumerate(table.columns)}
        message = f"columns without names must be the {learned} learned from, in their order"
        more = f", or all {whole} of the table that was learned from" * (not self.is_named)
        raise file_error(f"{message}{more}, got {n}", table.name)


def _like(column: InputColumn, c: Column) -> Column:
    """Return a column of new rows as the one that was learned from: its type, its unit, its order of categories."""
    if c.gaps.all():
        return replace(c, type=column.type, values=np.full(len(c.values), np.nan), words=(), ordered=column.ordered)
    if column.type == "word" and c.type == "word":
        return replace(c, ordered=False) if column.one_hot else _ordered(column, c)
    if column.type != c.type:
        raise c.place.error(
            f"a column must hold {TYPE_NAMES[column.type]}, as those learned from, got {TYPE_NAMES[c.type]}"
        )
    if column.unit == c.unit:
        return c
    if (column.unit, c.unit) == (SECONDS, DAYS):
        return replace(c, values=c.values * DAY, unit=SECONDS)
    if (column.unit, c.unit) == (DAYS, SECONDS):
        return replace(c, values=c.values / DAY, unit=DAYS)
    was, got = (f"numbers in {unit}" if unit else "plain numbers" for unit in (column.unit, c.unit))
    raise c.place.error(f"a column must hold {was}, as those learned from, got {got}")


def _ordered(column: InputColumn, c: Column) -> Column:
    """Return words as the places of the categories that were learned from; others are refused: no number stands for them."""
    place = {word: float(i) for i, word in enumerate(column.words)}
    if new := [w for w in c.words if w not in place and (c.values == c.words.index(w)).any()]:
        message = f"ordered categories must be those learned from, {shown(column.words)}"
        raise c.place.error(f"{message}, got {shown(new[0])}{suggestion(new[0], column.words)}")
    codes = np.array([place.get(w, np.nan) for w in c.words] + [np.nan])
    values = codes[c.codes]
    return replace(c, values=values, words=column.words, ordered=True)
