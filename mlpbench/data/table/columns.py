"""What a file of the user's own becomes, whatever its format: a table of columns of numbers, true/false, or words.

A column has no gaps and nothing infinite. Whatever a file has beside that is refused, with the file, the column and the
line or row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.messages import shown
from mlpbench.base.models import LARGEST

Kind = Literal["number", "flag", "word"]
KINDS: dict[Kind, str] = {"number": "numbers", "flag": "true and false", "word": "text"}
NO_GAPS = "a table must have no gaps"


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column as float64: numbers, 0 and 1 for flags, codes 0, 1, ... into `words` for text.

    `whole` numbers are written without a decimal point, or are of a whole-number type.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]
    words: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of one file, called `name` in errors."""

    name: str
    columns: Sequence[Column]

    @property
    def rows(self) -> int:
        """How many rows every column has."""
        return len(self.columns[0].values)


def wrong(message: str, *place: str) -> InputError:
    """Return the error of a data file: rule and value, then where."""
    return InputError(f"{message} ({', '.join(place)})")


def reason(error: Exception) -> str:
    """Return what a library says is wrong, as errors print it; the kind of error where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return shown(next((line.rstrip(".") for line in lines if line), type(error).__name__))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the values of a column stand, for errors: `row` names the place of a value, counted from 0."""

    file: str
    column: str
    row: Callable[[int], str] = lambda at: f"row {at + 1}"

    def wrong(self, message: str, at: int | None = None) -> InputError:
        """Return the error of one value, or of the column."""
        place = [] if at is None else [self.row(at)]
        return wrong(message, self.file, f"column {self.column!r}", *place)


def column_names(given: Sequence[str], file: str) -> list[str]:
    """Return the names of columns without the spaces around them; refuse those that are missing or stand twice."""
    names = [n.strip() for n in given]
    for i, column in enumerate(names):
        if not column or re.fullmatch(r"__index_level_\d+__", column):
            hint = "a table that pandas wrote with its index? write it with index=False"
            raise wrong(f"a column must have a name of its own, got {column!r} for column {i + 1}; {hint}", file)
        if column in names[:i]:
            raise wrong(f"the columns of a table must have different names, got {column!r} twice", file)
    return names


def numbers(source: Source, values: NDArray[np.generic], *, whole: bool) -> Column:
    """Return a column of numbers; raise InputError where one is missing or infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        read = np.asarray(values, np.float64)
    finite = np.isfinite(read)
    if not finite.all():
        at = int(np.argmin(finite))
        rule = NO_GAPS if np.isnan(read[at]) else "a number must be finite and fit 64 bits"
        raise source.wrong(f"{rule}, got {read[at]}", at)
    return Column(name=source.column, kind="number", values=read, whole=whole)


def check_whole(source: Source, read: NDArray[np.float64], spelt: Callable[[int], object]) -> None:
    """Refuse whole numbers that float64 may have merged; `spelt` gives them as the file has them.

    2^53 itself is refused too: it is what 2^53 + 1 is rounded to.
    """
    large = np.abs(read) > LARGEST
    if large.any():
        at = int(np.argmax(large))
        message = f"a whole number must lie within 2^53, so that no two become one, got {shown(spelt(at))}"
        raise source.wrong(f"{message}; an identifier? take it out, or write it as text", at)
