"""What type the values of a column have: numbers, true and false, or text, as they are written or by the type of a file.

Each function returns a `Column`, or raises InputError with the place of the value that fits none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlpbench.base.models import LARGEST, shown
from mlpbench.data.file_errors import reason
from mlpbench.data.table.columns import TYPE_NAMES, Column, ColumnPlace, ColumnType, first_true

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_FLAG = r"^(true|false|True|False|TRUE|FALSE)$"
_NOT_FINITE = r"^(?i:[+-]?(inf|infinity|nan))$"
COLUMN_RULE = "a column must hold numbers, true and false or text"
NO_MISSING = "a table must have no missing values"
# What stands for a missing value in the tables of other programs, in columns of numbers and of text alike.
MISSING = r"^(?i:na|n/a|#n/a|<na>|nan|null|none|\?|-)$"


def written_column(place: ColumnPlace, raw: pa.Array[Any]) -> Column:
    """Return a column of the one type that all its values are written in; raise InputError where there are several."""
    text = pc.utf8_trim_whitespace(raw)
    if (at := first_true(pc.equal(text, pa.scalar("")))) is not None:
        raise place.error(f"{NO_MISSING}, got an empty value", at)
    number = pc.match_substring_regex(text, _NUMBER)
    if pc.all(number).as_py():
        whole = bool(pc.all(pc.match_substring_regex(text, _WHOLE)).as_py())
        written = (lambda row: text[row].as_py()) if whole else None
        return number_column(place, pc.cast(text, pa.float64()).to_numpy(), whole=whole, written=written)
    flag = pc.match_substring_regex(text, _FLAG)
    if pc.all(flag).as_py():
        return flag_column(place, pc.equal(pc.utf8_lower(text), pa.scalar("true")).to_numpy(zero_copy_only=False))
    missing = pc.match_substring_regex(text, MISSING)
    numeric = pc.or_(number, pc.match_substring_regex(text, _NOT_FINITE))
    if pc.any(numeric).as_py() and pc.all(pc.or_(numeric, missing)).as_py():
        at = first_true(pc.invert(number))
        assert at is not None
        value = text[at].as_py()
        rule = "a number must be finite" if re.match(r"(?i)[+-]?inf", value) else NO_MISSING
        raise place.error(f"{rule}, got {value!r} among numbers", at)
    masks: tuple[tuple[pa.Array[Any], ColumnType], ...] = ((number, "number"), (flag, "flag"))
    for mask, masked_type in masks:
        if pc.any(mask).as_py() and not pc.all(pc.or_(mask, missing)).as_py():
            few = 2 * np.count_nonzero(mask.to_numpy(zero_copy_only=False)) < len(text)
            at = first_true(mask if few else pc.invert(mask))
            assert at is not None
            message = f"a column must hold one kind of value, got {shown(text[at].as_py())}"
            raise place.error(f"{message} among {TYPE_NAMES['word' if few else masked_type]}", at)
    return text_column(place, raw, TYPE_NAMES["flag" if pc.any(flag).as_py() else "word"])


def typed_column(place: ColumnPlace, chunked: pa.ChunkedArray[Any]) -> Column:
    """Return a column of the type that a file says; raise InputError where values are missing or the type is another one."""
    try:
        raw = chunked.combine_chunks()
        if pa.types.is_dictionary(raw.type):
            raw = raw.cast(raw.type.value_type)
        # Unchecked, bytes that are no text fail much later.
        raw.validate(full=True)
    except pa.ArrowException as error:
        raise place.error(f"a column must hold what its type says, text in UTF-8, got {reason(error)}") from None
    dtype = raw.type
    if raw.null_count:
        raise place.error(f"{NO_MISSING}, got a null", first_true(pc.is_null(raw)))
    if pa.types.is_boolean(dtype):
        return flag_column(place, raw.to_numpy(zero_copy_only=False))
    whole = pa.types.is_integer(dtype)
    if whole or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        values = raw.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        exact = whole or (pa.types.is_decimal(dtype) and dtype.scale <= 0)
        return number_column(place, values, whole=whole, written=(lambda row: raw[row].as_py()) if exact else None)
    if is_text(dtype):
        return text_column(place, raw)
    raise place.error(f"{COLUMN_RULE}, got {dtype}")


def is_text(dtype: pa.DataType) -> bool:
    """Return whether values of a type are text."""
    return pa.types.is_string(dtype) or pa.types.is_large_string(dtype)


def number_column(
    place: ColumnPlace, values: NDArray[np.generic], *, whole: bool, written: Callable[[int], object] | None = None
) -> Column:
    """Return a column of numbers; raise InputError where one is missing or infinite.

    Whole numbers that float64 may have merged are refused too: `written` gives them as the file has them, by row. 2^53 itself
    is what 2^53 + 1 is rounded to.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        read = np.asarray(values, np.float64)
    finite = np.isfinite(read)
    if not finite.all():
        at = int(np.argmin(finite))
        rule = NO_MISSING if np.isnan(read[at]) else "a number must be finite and fit 64 bits"
        raise place.error(f"{rule}, got {read[at]}", at)
    large = np.abs(read) > LARGEST
    if written is not None and large.any():
        at = int(np.argmax(large))
        message = f"a whole number must lie within 2^53, so that no two become one, got {shown(written(at))}"
        raise place.error(f"{message}; an identifier? take it out, or write it as text", at)
    return Column(name=place.column, type="number", values=read, whole=whole)


def flag_column(place: ColumnPlace, values: NDArray[np.generic]) -> Column:
    """Return a column of true and false as 1 and 0."""
    return Column(name=place.column, type="flag", values=values.astype(np.float64))


def text_column(place: ColumnPlace, raw: Any, among: str = TYPE_NAMES["word"]) -> Column:
    """Return a column of text from an array of pyarrow, as codes into its sorted words; spaces around a word do not count.

    Raises InputError for missing values `among` others, and for two words that differ only in the spaces around them: one of
    them is a slip, and which one is not to be known.
    """
    coded = raw.dictionary_encode()
    codes = coded.indices.to_numpy()
    text = pc.utf8_trim_whitespace(coded.dictionary)

    def row(word: int) -> int:
        return int(np.argmax(codes == word))

    if (at := first_true(pc.equal(text, pa.scalar("", text.type)))) is not None:
        raise place.error(f"{NO_MISSING}, got an empty value", row(at))
    if (at := first_true(pc.match_substring_regex(text, MISSING))) is not None:
        hint = "if it is a word and no missing value, write another one"
        raise place.error(f"{NO_MISSING}, got {text[at].as_py()!r} among {among}; {hint}", row(at))
    words = [str(word) for word in text.to_pylist()]
    if len(set(words)) < len(words):
        seen: dict[str, int] = {}
        at = next(i for i, word in enumerate(words) if seen.setdefault(word, i) != i)
        both = " and ".join(repr(coded.dictionary[i].as_py()) for i in (seen[words[at]], at))
        raise place.error(f"words must differ in more than the spaces around them, got {both}", row(at))
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    values = rank[codes].astype(np.float64)
    return Column(name=place.column, type="word", values=values, words=tuple(words[i] for i in order))
