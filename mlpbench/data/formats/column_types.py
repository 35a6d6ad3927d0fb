"""What type the values of a column have: numbers, true and false, or text, as they are written or by the type of a file.

Dates and times are numbers, and so are `1,234`, `$5` and `12%`, with a note. Each function returns columns, or raises
InputError with the place of the value that fits none and with what would make it fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.models import LARGEST, shown
from mlpbench.data.file_errors import reason
from mlpbench.data.formats.columns import PLAIN, Column, ColumnOptions, ColumnPlace, WrittenForm, first_true
from mlpbench.data.text.dates import Moments, moments_of, read_dates
from mlpbench.data.text.value_kinds import MISSING, may_be_class, whole
from mlpbench.data.text.written_numbers import UnreadValue, WrittenNumbers, decimal_marks, read_numbers

COLUMN_RULE = "a column must hold numbers, dates, true and false or text"
_FINITE = "a number must be finite and fit 64 bits"

# An array of pyarrow, of whose types the stubs know less than the library.
Texts = Any
Mask = NDArray[np.bool_]


def plain_array(place: ColumnPlace, chunked: pa.ChunkedArray[Any], asked: ColumnOptions = PLAIN) -> Texts:
    """Return the values of a column as one array, with codes into words where they are ordered categories alone.

    Raises InputError for bytes that are not what their type says.
    """
    try:
        raw: Texts = chunked.combine_chunks()
        if pa.types.is_dictionary(raw.type):
            # Unchecked, bytes that are no text fail much later.
            raw.dictionary.validate(full=True)
            if raw.type.ordered and is_text(raw.type.value_type) and not asked.are_words(place.column):
                return raw
            raw = raw.cast(raw.type.value_type)
        raw.validate(full=True)
    except pa.ArrowException as error:
        raise place.error(f"a column must hold what its type says, text in UTF-8, got {reason(error)}") from None
    return raw


def typed_column(place: ColumnPlace, raw: Texts, asked: ColumnOptions = PLAIN) -> Column:
    """Return a column of the type that a file says, which is not text; raise InputError where it can't be learned from.

    Args:
        place: the name of the column and where its values stand.
        raw: what `plain_array` returns.
        asked: what the experiment file says of columns.

    """
    dtype = raw.type
    if pa.types.is_dictionary(dtype):
        return _ordered_column(place, raw)
    if asked.are_words(place.column):
        try:
            return text_column(place, raw.cast(pa.string()), asked)
        except pa.ArrowException:
            raise place.error(f"words must be text or have a spelling, got {dtype}") from None
    if pa.types.is_null(dtype):
        return Column(name=place.column, type="number", values=np.full(len(raw), np.nan), place=place)
    if pa.types.is_boolean(dtype):
        gap, flags = raw.is_null(), raw.fill_null(False)
        return flag_column(place, flags.to_numpy(zero_copy_only=False), gap.to_numpy(zero_copy_only=False))
    is_whole = pa.types.is_integer(dtype)
    if is_whole or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        values = raw.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        exact = is_whole or (pa.types.is_decimal(dtype) and dtype.scale <= 0)
        written = (lambda row: raw[row].as_py()) if exact else None
        return number_column(place, values, whole=is_whole, written=written, asked=asked)
    if (moments := moments_of(raw)) is not None:
        values, unit, note = moments
        return Column(name=place.column, type="number", values=values, unit=unit, notes=(note,), place=place)
    raise place.error(f"{COLUMN_RULE}, got {dtype}")


def strings(texts: Texts) -> list[str]:
    """Return the values of an array of text that has no nulls, as Python's."""
    return list(texts.to_pylist())


def is_text(dtype: pa.DataType) -> bool:
    """Return whether values of a type are text."""
    return pa.types.is_string(dtype) or pa.types.is_large_string(dtype)


def number_column(
    place: ColumnPlace,
    values: NDArray[np.generic],
    *,
    whole: bool,
    written: Callable[[int], object] | None = None,
    asked: ColumnOptions = PLAIN,
) -> Column:
    """Return a column of numbers, with gaps where they are not-a-number; raise InputError where one is infinite.

    Args:
        place: the name of the column and where its values stand.
        values: the numbers.
        whole: whether they are of a whole-number type, or written as such.
        written: gives a whole number as the file has it, by row.
        asked: what the experiment file says of columns.

    """
    with np.errstate(over="ignore", invalid="ignore"):
        read = np.array(values, np.float64)
    named = {
        spelling: number for spelling, number in _numbers_of(asked.missing_values).items() if (read == number).any()
    }
    if named:
        read[np.isin(read, list(named.values()))] = np.nan
    if (infinite := np.isinf(read)).any():
        at = int(np.argmax(infinite))
        raise place.error(f"{_FINITE}, got {read[at]}; `missing_values: [{read[at]}]` takes it for a gap", at)
    # 2^53 itself is what 2^53 + 1 is rounded to.
    large = np.abs(read) > LARGEST
    merged = None
    if written is not None and large.any():
        at = int(np.argmax(large))
        merged = (at, written(at))
    return Column(
        name=place.column,
        type="number",
        values=read,
        whole=whole,
        named_gaps=frozenset(named),
        merged=merged,
        place=place,
    )


def flag_column(place: ColumnPlace, values: NDArray[np.generic], gap: Mask | None = None) -> Column:
    """Return a column of true and false as 1 and 0, with gaps where there are some."""
    read = values.astype(np.float64)
    if gap is not None:
        read[gap] = np.nan
    return Column(name=place.column, type="flag", values=read, place=place)


def text_column(place: ColumnPlace, raw: Any, asked: ColumnOptions = PLAIN) -> Column:
    """Return a column of text from an array of pyarrow, as codes into its sorted words; spaces around a word do not count."""
    coded = (pc.utf8_trim_whitespace(raw) if place.column in asked.trimmed else raw).dictionary_encode()
    codes = pc.fill_null(coded.indices, -1).to_numpy()
    text = pc.utf8_trim_whitespace(coded.dictionary)
    gap = gaps_of(text, asked, spelt=place.column not in asked.words).to_numpy(zero_copy_only=False)
    words = [str(word) for word in text.to_pylist()]
    kept = [i for i in range(len(words)) if not gap[i]]
    notes = []
    sorted_words = tuple(sorted({words[i] for i in kept}))
    if len(sorted_words) < len(kept):
        both = _differ_in_spaces([words[i] for i in kept], [str(coded.dictionary[i].as_py()) for i in kept])
        notes.append(f"{' and '.join(map(shown, both))} are one word: spaces around words do not count")
    place_of = {word: i for i, word in enumerate(sorted_words)}
    rank = np.full(len(words) + 1, np.nan)  # the last one is that of code -1, a null
    rank[kept] = [place_of[words[i]] for i in kept]
    asked_for = set(map(str, asked.missing_values))
    spelt = sorted({words[i] for i in range(len(words)) if gap[i] and words[i] and words[i] not in asked_for})
    if spelt:
        some = ", ".join(map(repr, spelt[:3]))
        notes.append(f"{some} is read as a gap; where it is a word, name the column in `words`")
    values: NDArray[np.float64] = rank[codes]
    return Column(
        name=place.column,
        type="word",
        values=values,
        words=sorted_words,
        is_asked_for=place.column in asked.words,
        named_gaps=frozenset(asked_for.intersection(words)),
        spelt_gaps=tuple(filter(may_be_class, spelt)),
        notes=tuple(notes),
        place=place,
    )


def _differ_in_spaces(words: Sequence[str], written: Sequence[str]) -> list[str]:
    """Return the first word that is written in several ways, in all of them, but for more than three."""
    ways: dict[str, list[str]] = {}
    for word, text in zip(words, written):
        ways.setdefault(word, []).append(text)
    return next(texts for texts in ways.values() if len(texts) > 1)[:3]


def _ordered_column(place: ColumnPlace, raw: Any) -> Column:
    """Return a column of categories in the order that the file gives them."""
    words = [str(word).strip() for word in raw.dictionary.to_pylist()]
    if len(set(words)) < len(words) or "" in words:
        raise place.error(f"ordered categories must be different words, got {shown(words)}")
    values = pc.fill_null(pc.cast(raw.indices, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return Column(name=place.column, type="word", values=values, words=tuple(words), ordered=True, place=place)


def column_of_dates(place: ColumnPlace, text: Texts, values: Sequence[str], asked: ColumnOptions) -> Column | None:
    """Return a column of dates or times as numbers; None where its different `values` are none, or have several forms."""
    try:
        moments = read_dates(values, asked.form(place.column).day_first)
    except UnreadValue as unread:
        raise _unread(place, text, unread) from None
    if moments is None:
        return None
    column = _looked_up(place, text, moments, asked)
    return replace(column, form=WrittenForm(day_first=moments.day_first))


def column_of_numbers(
    place: ColumnPlace, text: Texts, values: Sequence[str], mark: str, asked: ColumnOptions
) -> Column:
    """Return a column of numbers with marks; raise InputError where one is none by the decimal mark.

    Args:
        place: the name of the column and where its values stand.
        text: its values, trimmed.
        values: the different ones of them, gaps left out.
        mark: the decimal mark.
        asked: what the experiment file says of columns.

    """
    try:
        read = read_numbers(values, mark)
    except UnreadValue as unread:
        other = decimal_marks(values) if asked.form(place.column).decimal == mark else ""
        if other and mark not in other:
            learned = "not as in the rows that were learned from"
            unread.hint = f"all of them are numbers with {other!r}, {learned}: say `--set decimal={other}`"
        raise _unread(place, text, unread) from None
    return replace(_looked_up(place, text, read, asked), form=WrittenForm(decimal=mark))


def _looked_up(place: ColumnPlace, text: Texts, read: Moments | WrittenNumbers, asked: ColumnOptions) -> Column:
    """Return a column of numbers by their spellings; whatever has none is a gap."""
    coded = text.dictionary_encode()
    by_code: NDArray[np.float64] = np.array(
        [read.numbers.get(word, np.nan) for word in strings(coded.dictionary)] + [np.nan]
    )
    values = by_code[pc.fill_null(coded.indices, -1).to_numpy()]
    column = number_column(place, values, whole=False, asked=asked)
    return replace(column, unit=read.unit, notes=(read.note,))


def _unread(place: ColumnPlace, text: Texts, unread: UnreadValue) -> InputError:
    gap = f"`missing_values: [{shown(unread.value)}]` takes it for a gap, "
    hint = unread.hint or f"{gap}`words: [{place.column}]` takes all values for words"
    return place.error(f"{unread.rule}, got {shown(unread.value)}; {hint}", _row(text, unread.value))


def _row(text: Texts, value: str) -> int | None:
    return first_true(pc.equal(text, pa.scalar(value, text.type)))


def gaps_of(text: Any, asked: ColumnOptions, *, spelt: bool = True) -> Texts:
    """Return which values are gaps: nulls, empty ones, those that are named, and what other programs write, if `spelt`."""
    named = ["", *map(str, asked.missing_values)]
    gap = pc.is_in(text, pa.array(named, text.type))
    if spelt:
        gap = pc.or_(gap, pc.fill_null(pc.match_substring_regex(text, whole(MISSING)), False))
    return pc.or_(gap, pc.is_null(text))


def named_gaps(text: Texts, gap: Texts, asked: ColumnOptions) -> frozenset[str]:
    """Return which of the spellings that the experiment file adds stand among the gaps of a column of text."""
    if not asked.missing_values:
        return frozenset()
    return frozenset(map(str, asked.missing_values)).intersection(pc.unique(text.filter(gap)).to_pylist())


def _numbers_of(values: Sequence[str | float]) -> dict[str, float]:
    """Return the numbers among spellings of a gap."""
    numbers = {}
    for value in values:
        try:
            numbers[str(value)] = float(value)
        except ValueError:
            continue
    return {spelling: number for spelling, number in numbers.items() if not np.isnan(number)}
