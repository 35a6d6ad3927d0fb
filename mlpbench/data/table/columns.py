"""What a file of the user's own becomes, whatever its format: a table of columns of numbers, true/false, or words.

A column has no missing and no infinite values. A file with anything else is refused, with the file, the column and the
line or row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.data.file_errors import file_error

ColumnType = Literal["number", "flag", "word"]
TYPE_NAMES: dict[ColumnType, str] = {"number": "numbers", "flag": "true and false", "word": "text"}
MOST_COLUMNS = 1_000_000
# A prediction is stored as a byte.
MOST_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column as float64: numbers, 0 and 1 for flags, codes 0, 1, ... into `words` for text.

    `whole` numbers are written without a decimal point, or are of a whole-number type.
    """

    name: str
    type: ColumnType
    values: NDArray[np.float64]
    words: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of one file, called `name` in errors.

    `notes` say how the file was read where that is not plain: sentences that do not name the file. `target` is the name of
    the target, where one was chosen, and `left_out` has the names of columns that were not.
    """

    name: str
    columns: Sequence[Column]
    notes: tuple[str, ...] = ()
    target: str = ""
    left_out: tuple[str, ...] = ()

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
