"""Columns of text files, each of the one type that all its values are written in: numbers, dates, true and false, words.

A decimal comma and a comma between thousands are told apart by all columns of numbers together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlpbench.base.models import shown
from mlpbench.data.formats.column_types import (
    Texts,
    column_of_dates,
    column_of_numbers,
    flag_column,
    gaps_of,
    is_text,
    named_gaps,
    number_column,
    plain_array,
    strings,
    text_column,
    typed_column,
)
from mlpbench.data.formats.columns import PLAIN, TYPE_NAMES, Column, ColumnOptions, ColumnPlace, WrittenForm, first_true
from mlpbench.data.text.dates import looks_like_date
from mlpbench.data.text.value_kinds import FLAG, INFINITE, NUMBER_AHEAD, whole
from mlpbench.data.text.written_numbers import decimal_marks, looks_like_number

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
# A number of this form is another one where `.` stands between thousands.
_OF_THOUSANDS = r"^[+-]?([1-9][0-9]{0,2}(\.[0-9]{3})+|[0-9]+)$"
_MAY_BE_NUMBER = r"^[^A-DF-Za-df-z]*[0-9][^A-DF-Za-df-z]*$"
_MARKS = ".,"
_DATES = "dates and times"
_NUMBERS_OF_TEXT = "numbers whose type is text; where they are words, name the column in `words`"
MOST_EXAMPLES = 3
# Columns are looked at together up to so many values.
TOGETHER = 2**16


def typed_columns(
    places: Sequence[ColumnPlace], chunked: Sequence[pa.ChunkedArray[Any]], asked: ColumnOptions = PLAIN
) -> list[Column]:
    """Return the columns of a file or table with types: text is read by what it looks like, as that of a text file is.

    A table then gives the same inputs whatever its format. Raises InputError for what can't be learned from.
    """
    arrays = [plain_array(place, values, asked) for place, values in zip(places, chunked, strict=True)]
    of_text = [i for i, raw in enumerate(arrays) if is_text(raw.type)]
    texts = (arrays[i].cast(pa.string()).fill_null("") for i in of_text)
    columns = dict(zip(of_text, written_columns([places[i] for i in of_text], texts, asked, has_types=True)))
    return [columns[i] if i in columns else typed_column(places[i], raw, asked) for i, raw in enumerate(arrays)]


def written_columns(
    places: Sequence[ColumnPlace], raw: Iterable[Texts], asked: ColumnOptions = PLAIN, *, has_types: bool = False
) -> list[Column]:
    """Return columns, each of the one type that all its values are written in; raise InputError where there are several.

    Args:
        places: the name of each column and where its values stand.
        raw: the text of all values, by column.
        asked: what the experiment file says of columns.
        has_types: whether the file says that they are text: values of several types are words then.

    """
    columns: list[Column | _Written] = []
    proven: set[str] = set()
    for place, texts in zip(places, _looked_at(raw, asked)):
        written = _Written(place, texts, asked, has_types=has_types)
        proven |= {written.marks} & set(_MARKS)
        learned = asked.form(place.column).decimal if written.marks else None
        is_open = written.marks == _MARKS and learned is None
        columns.append(written if is_open else written.column_of_one_mark(learned))
    mark = asked.decimal or ("," if proven == {","} else ".")
    is_certain = asked.decimal is not None or len(proven) == 1
    return [c.column(mark if is_certain else c.only_mark()) if isinstance(c, _Written) else c for c in columns]


class _PlainTexts(NamedTuple):
    """The text of a column, trimmed, and what it comes to where all values are plain numbers.

    `numbers` are those values, not-a-number where there is a gap, and None where others are among them; `is_whole`, `has_point`
    and `of_thousands` say how they are written.
    """

    raw: Texts
    text: Texts
    gap: Texts
    numbers: NDArray[np.float64] | None
    is_whole: bool
    has_point: bool
    of_thousands: bool


def _looked_at(raw: Iterable[Texts], asked: ColumnOptions) -> Iterator[_PlainTexts]:
    """Return what columns of text come to, in turn, so that a copy of few of them is in memory.

    Columns of few rows are taken together: what each call of pyarrow takes is then for many of them.
    """
    group: list[Texts] = []
    for column in raw:
        group.append(column)
        if len(group) * len(column) >= TOGETHER:
            yield from _of_group(group, asked)
            group = []
    if group:
        yield from _of_group(group, asked)


def _of_group(group: Sequence[Texts], asked: ColumnOptions) -> Iterator[_PlainTexts]:
    columns, rows = len(group), len(group[0])
    text: Texts = pc.utf8_trim_whitespace(pa.concat_arrays(group) if columns > 1 else group[0])
    gap = gaps_of(text, asked)

    def by_column(mask: Texts) -> NDArray[np.bool_]:
        """Return a mask by column and row."""
        found: NDArray[np.bool_] = mask.to_numpy(zero_copy_only=False).reshape(columns, rows)
        return found

    is_gap = by_column(gap)

    def are_all(pattern: str) -> NDArray[np.bool_]:
        """Return of which columns all values match, gaps left out."""
        found: NDArray[np.bool_] = np.all(by_column(pc.match_substring_regex(text, pattern)) | is_gap, axis=1)
        return found

    plain, whole_numbers, thousands = map(are_all, (_NUMBER, _WHOLE, _OF_THOUSANDS))
    points: NDArray[np.bool_] = np.any(by_column(pc.match_substring(text, ".")), axis=1)
    others = pa.array(np.repeat(~plain, rows) | is_gap.ravel())
    numbers = pc.if_else(others, pa.scalar("nan"), text).cast(pa.float64()).to_numpy().reshape(columns, rows)
    for i, raw in enumerate(group):
        yield _PlainTexts(
            raw=raw,
            text=text.slice(i * rows, rows),
            gap=gap.slice(i * rows, rows),
            numbers=numbers[i] if plain[i] else None,
            is_whole=bool(whole_numbers[i]) and not is_gap[i].all(),
            has_point=bool(points[i]),
            of_thousands=bool(thousands[i]),
        )


class _Written:
    """A column of text that has yet to be read.

    `marks` are the decimal marks with which all its values are numbers: both where they are other numbers with each, none where
    it has no decimal mark, or values of other types.
    """

    def __init__(self, place: ColumnPlace, texts: _PlainTexts, asked: ColumnOptions, *, has_types: bool) -> None:
        self.place, self.texts, self.asked, self.has_types = place, texts, asked, has_types
        self.raw, self.text, self.gap = texts.raw, texts.text, texts.gap
        self.marks = ""
        self.is_number = self.is_plain = texts.numbers is not None
        if asked.are_words(place.column):
            return
        if self.is_plain:
            self.marks = "" if not texts.has_point else _MARKS if texts.of_thousands else "."
        elif self._all(self._matching(_MAY_BE_NUMBER)):
            self.marks = decimal_marks(self.values)
            self.is_number = bool(self.marks) or all(map(looks_like_number, self.values))

    def only_mark(self) -> str:
        """Return the decimal point, where neither the other columns nor the user say which mark numbers have.

        Raises InputError where a comma may be one between thousands or a decimal comma: 1.25 and 1250 are both `1,250`.
        """
        if not self.is_plain:
            at = first_true(pc.match_substring(self.text, ","))
            message = (
                f"it must be certain whether a comma stands before decimals or thousands, got {str(self.text[at])!r}"
            )
            raise self.place.error(f"{message}; say `decimal: ','` or `decimal: '.'`", at)
        return "."

    @property
    def values(self) -> list[str]:
        """The different values, gaps left out, in the order in which they come."""
        return strings(pc.unique(self.text.filter(pc.invert(self.gap))))

    def column_of_one_mark(self, learned: str | None) -> Column:
        """Return the column as its values show it, or as it was learnt; a note says where that is not the mark that was said."""
        column = self.column(learned or self.marks)
        if learned is not None or not self.marks or self.asked.decimal in (None, *self.marks):
            return column
        note = f"numbers have the decimal mark {self.marks!r}, not {self.asked.decimal!r} as `decimal` says"
        return replace(column, notes=(*column.notes, note))

    def column(self, mark: str) -> Column:
        """Return the column; `mark` is the decimal mark of its numbers, where they have one."""
        if self.asked.are_words(self.place.column):
            return text_column(self.place, self.raw, self.asked)
        column = self._read(mark)
        named = named_gaps(self.text, self.gap, self.asked)
        return replace(column, named_gaps=column.named_gaps | named) if named else column

    def _read(self, mark: str) -> Column:
        if self.texts.numbers is not None and mark != ",":
            return self._plain_numbers(self.texts.numbers)
        if self.is_number:
            return column_of_numbers(self.place, self.text, self.values, mark or ".", self.asked)
        if self._all(self._matching(whole(FLAG))):
            flags = pc.equal(pc.utf8_lower(self.text), pa.scalar("true")).to_numpy(zero_copy_only=False)
            return flag_column(self.place, flags, self.gap.to_numpy(zero_copy_only=False))
        infinite = self._matching(whole(INFINITE))
        if pc.any(infinite).as_py() and self._all(pc.or_(self._in(self._numberlike()), infinite)):
            at = first_true(infinite)
            value = self.text[at].as_py()
            hint = f"`missing_values: [{value}]` takes it for a gap"
            raise self.place.error(f"a number must be finite, got {value!r} among numbers; {hint}", at)
        if (column := column_of_dates(self.place, self.text, self.values, self.asked)) is not None:
            return column
        if not self.has_types:
            self._check_one_type()
        column = text_column(self.place, self.raw, self.asked)
        if len(column.words) > 1 and self._all(self._matching(whole(NUMBER_AHEAD))):
            some = ", ".join(map(shown, column.words[:MOST_EXAMPLES])) + ", ..." * (len(column.words) > MOST_EXAMPLES)
            note = f"{some} are words, though they begin with a number; write numbers alone where they are some"
            return replace(column, notes=(*column.notes, note))
        return column

    def _plain_numbers(self, values: NDArray[np.float64]) -> Column:
        text, is_whole = self.text, self.texts.is_whole
        written = (lambda row: text[row].as_py()) if is_whole else None
        column = number_column(self.place, values, whole=is_whole, written=written, asked=self.asked)
        if self.has_types and self.place.column not in self.asked.learned and not column.gaps.all():
            column = replace(column, notes=(_NUMBERS_OF_TEXT,))
        return replace(column, form=WrittenForm(decimal=".")) if self.marks else column

    def _check_one_type(self) -> None:
        """Refuse text among which there are numbers or flags, and dates among which there is text."""
        dates = [v for v in self.values if looks_like_date(v)]
        masks = (
            (self._in(self._numberlike()), TYPE_NAMES["number"]),
            (self._matching(whole(FLAG)), TYPE_NAMES["flag"]),
            (self._in(dates), _DATES),
        )
        total = len(self.text) - _count(self.gap)
        words = f"`words: [{self.place.column}]` takes all values for words"
        for mask, masked in masks:
            few = 2 * _count(mask) < total
            if not _count(mask) or (masked == _DATES and few):
                continue
            if _count(mask) == total:
                some = " and ".join(map(shown, (dates[0], dates[-1])))
                raise self.place.error(f"dates and times of a column must have one form, got {some}; {words}")
            at = first_true(mask if few else pc.invert(pc.or_(mask, self.gap)))
            value = shown(self.text[at].as_py())
            hint = words if few else f"`missing_values: [{value}]` takes it for a gap, {words}"
            among = TYPE_NAMES["word"] if few else masked
            raise self.place.error(f"a column must hold one kind of value, got {value} among {among}; {hint}", at)

    def _numberlike(self) -> list[str]:
        distinct = pc.unique(self.text.filter(pc.invert(self.gap)))
        some = distinct.filter(pc.match_substring_regex(distinct, _MAY_BE_NUMBER))
        return [v for v in strings(some) if looks_like_number(v)]

    def _matching(self, pattern: str) -> Texts:
        return pc.and_not(pc.match_substring_regex(self.text, pattern), self.gap)

    def _in(self, values: Sequence[str]) -> Texts:
        return pc.is_in(self.text, pa.array(values, self.text.type))

    def _all(self, mask: Texts) -> bool:
        return bool(pc.all(pc.or_(mask, self.gap)).as_py())


def _count(mask: Texts) -> int:
    return int(np.count_nonzero(mask.to_numpy(zero_copy_only=False)))
