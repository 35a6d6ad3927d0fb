"""What a file of the user's own becomes, whatever its format: a table of columns of numbers, true/false, or words.

A column has no missing and no infinite values. A file with anything else is refused, with the file, the column and the
line or row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.escapes import printable
from mlpbench.base.models import shown

ColumnType = Literal["number", "flag", "word"]
TYPE_NAMES: dict[ColumnType, str] = {"number": "numbers", "flag": "true and false", "word": "text"}
# Files, and what they contain once it is unpacked.
MAX_BYTES = 2 * 2**30
# A small file may come to this much once it is unpacked, a larger one to so many times its size: beyond are files made to
# fill a memory, and tables so regular that they can be written without compression.
SMALL_BYTES, MOST_TIMES = 2**28, 100
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

    `notes` say how the file was read where that is not plain: sentences that do not name the file.
    """

    name: str
    columns: Sequence[Column]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows of every column."""
        return len(self.columns[0].values)


def file_error(
    message: str, file: str, *, line: int | None = None, column: str | None = None, row: int | None = None
) -> InputError:
    """Return the error of a data file: where, `own.csv:4: column 'age'`, then rule and value."""
    place = [file if line is None else f"{file}:{line}"]
    if column is not None:
        place.append(f"column {column!r}" + (f", row {row}" if row is not None else ""))
    return InputError(printable(": ".join([*place, message])))


def reason(error: Exception) -> str:
    """Return what a library says is wrong, as errors print it; the type of the error where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return shown(next((line.rstrip(".") for line in lines if line), type(error).__name__))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the machine says of a file, called `name`, into one message."""
    try:
        yield
    except OSError as error:
        why = repr(error.strerror.lower()) if error.strerror else reason(error)
        raise file_error(f"a data file must be readable, got {why}", name) from None
    except MemoryError:
        raise MachineError(f"{name}: own data must fit this machine's memory, got more") from None


def check_unpacked(unpacked: int, file_bytes: int, name: str) -> None:
    """Refuse a file that comes to much more than its size: before it is unpacked, by what it says of itself."""
    most = max(SMALL_BYTES, MOST_TIMES * file_bytes)
    if unpacked > most:
        rule = f"a data file must come to at most {most} bytes once it is unpacked, {MOST_TIMES} times its size"
        raise file_error(f"{rule}, got {unpacked}; write it without compression", name)


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


def column_names(written: Sequence[str], file: str) -> list[str]:
    """Return the names of columns without the spaces around them; refuse those that are missing or stand twice."""
    names = [n.strip() for n in written]
    if len(names) > MOST_COLUMNS:
        raise file_error(f"a table must have at most {MOST_COLUMNS} columns, got {len(names)}", file)
    seen: set[str] = set()
    for i, column in enumerate(names):
        if not column or re.fullmatch(r"__index_level_\d+__", column):
            hint = "a table that pandas wrote with its index? write it with index=False"
            raise file_error(f"a column must have a name of its own, got {column!r} for column {i + 1}; {hint}", file)
        if column in seen:
            raise file_error(f"the columns of a table must have different names, got {shown(column)} twice", file)
        seen.add(column)
    return names


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
