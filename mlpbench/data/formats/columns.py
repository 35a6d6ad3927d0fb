"""What a file of the user's own becomes, whatever its format: a table of columns of numbers, true/false, or words.

A column may have gaps, and has no infinite values. A file with anything else is refused, with the file, the column and the
line or row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.models import shown
from mlpbench.data.file_errors import file_error

ColumnType = Literal["number", "flag", "word"]
# What a column may say of rows, in place of being an input: `split`, on which side they stand, or what keeps them together.
RowOption = Literal["split", "groups", "time"]
TYPE_NAMES: dict[ColumnType, str] = {"number": "numbers", "flag": "true and false", "word": "text"}
MOST_COLUMNS = 1_000_000
# What a network is given, inputs and targets, is float32.
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
# A prediction is stored as a byte.
MOST_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class WrittenForm:
    """How numbers and dates of a column are written: the decimal mark, whether the day comes first; None where it does not matter."""

    decimal: str | None = None
    day_first: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """What an experiment file says of how columns are read.

    Attributes:
        missing_values: spellings of a gap, besides those that are known; a number is a gap wherever it stands.
        words: names of columns of words, whatever they look like; only an empty value, or one of `missing_values`, is a gap.
        day_first: whether 03/04/2004 is in April; None where the dates of a column must show it.
        decimal: the decimal mark of numbers in text; None where they must show it.
        text: names of columns that are words too, with the usual spellings of gaps: those that were words in training.
        learned: of columns by name, how numbers and dates were written in the rows that were learned from.
        trimmed: names of columns of words of which spaces around them make no other word.

    """

    missing_values: tuple[str | int | float, ...] = ()
    words: tuple[str, ...] = ()
    day_first: bool | None = None
    decimal: str | None = None
    text: tuple[str, ...] = ()
    learned: Mapping[str, WrittenForm] = field(default_factory=dict)
    trimmed: tuple[str, ...] = ()

    def form(self, column: str) -> WrittenForm:
        """Return what is known of how numbers and dates of a column are written, learned or said."""
        learned = self.learned.get(column, WrittenForm())
        day_first = self.day_first if learned.day_first is None else learned.day_first
        return WrittenForm(decimal=learned.decimal, day_first=day_first)

    def are_words(self, column: str) -> bool:
        """Return whether the values of a column are words, whatever they look like."""
        return column in self.words or column in self.text


PLAIN = ColumnOptions()


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column as float64: numbers, 0 and 1 for flags, codes 0, 1, ... into `words` for text.

    Attributes:
        name: the name of the column.
        type: what its values are.
        values: the values; not-a-number where there is a gap.
        words: different words, in alphabetical order, or in their own where they are `ordered`.
        whole: whether numbers are written without a decimal point, or are of a whole-number type.
        is_asked_for: whether the experiment file says that its values are words, however many there are.
        ordered: whether the words are categories of which the file says the order.
        named_gaps: which of the `missing_values` of an experiment file it has.
        spelt_gaps: which spellings of a gap stand among words, of those that may as well be a class.
        merged: the first row with a whole number beyond 2^53, where float64 may make one of two, and that number.
        unit: what numbers count, where that is known: the unit they are written with, or that of dates.
        notes: what is to be known of how it was read, in phrases that go with `column 'a': `.
        form: how numbers and dates are written, where other values could be read in two ways.
        place: where its values stand.

    """

    name: str
    type: ColumnType
    values: NDArray[np.float64]
    words: tuple[str, ...] = ()
    whole: bool = False
    is_asked_for: bool = False
    ordered: bool = False
    named_gaps: frozenset[str] = frozenset()
    spelt_gaps: tuple[str, ...] = ()
    merged: tuple[int, object] | None = None
    unit: str = ""
    notes: tuple[str, ...] = ()
    form: WrittenForm = WrittenForm()
    place: ColumnPlace

    @property
    def gaps(self) -> NDArray[np.bool_]:
        """The rows that have no value."""
        return np.isnan(self.values)

    @property
    def codes(self) -> NDArray[np.int64]:
        """The code of each row's word, that of a gap behind them all."""
        return np.where(self.gaps, len(self.words), np.nan_to_num(self.values)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class SplitColumn:
    """The column of a file that says how rows are split: its name, its position from 0, and whether it is an input too."""

    option: RowOption
    name: str
    at: int
    is_input: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of one file, called `name` in errors.

    `notes` say how the file was read where that is not plain: sentences that do not name the file. `target` is the name of
    the target, where one was chosen, and `left_out` has the names of columns that were not. Where columns are not `is_named`,
    their names are their positions, from 1. `split_by` is the column that says how rows are split, where there is one.
    """

    name: str
    columns: Sequence[Column]
    notes: tuple[str, ...] = ()
    target: str = ""
    left_out: tuple[str, ...] = ()
    is_named: bool = True
    split_by: SplitColumn | None = None

    @property
    def rows(self) -> int:
        """Number of rows of every column."""
        return len(self.columns[0].values)


@dataclass(frozen=True, kw_only=True)
class ColumnPlace:
    """Where the values of a column stand, for errors; `line` gives the line of a value, by its row counted from 0."""

    file: str
    column: str
    line: Callable[[int], int] | None = None

    def error(self, message: str, at: int | None = None) -> InputError:
        """Return the error of one value, or of the column."""
        if at is None or self.line is None:
            return file_error(message, self.file, column=self.column, row=None if at is None else at + 1)
        return file_error(message, self.file, column=self.column, line=self.line(at))


def named(columns: Sequence[str], counts: Mapping[str, int] | None = None, most: int = 5) -> str:
    """Return the names of columns as notes have them, with counts where there are some: the first few, and how many more.

    >>> named(["a", "b", "c"], {"a": 3}, most=2)
    "columns 'a' (3), 'b' and 1 more"
    """
    counted = counts or {}
    some = ", ".join(shown(c) + (f" ({counted[c]})" if c in counted else "") for c in columns[:most])
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return f"column{'s' if len(columns) > 1 else ''} {some}{more}"


def letters(column: Any) -> int:
    """Return how many bytes all words of a column of pyarrow come to, counted by the words that differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        words = chunk.dictionary_encode()  # of such a chunk itself
        lengths = pc.cast(pc.binary_length(words.dictionary), pa.int64())
        total += pc.sum(lengths.take(words.indices)).as_py() or 0
    return total


def first_true(mask: Any) -> int | None:
    """Return the first position at which a mask of pyarrow is true."""
    import pyarrow as pa
    import pyarrow.compute as pc

    at: int = pc.index(mask, pa.scalar(True)).as_py()
    return None if at < 0 else at
