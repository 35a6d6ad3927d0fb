"""Decimal and thousands marks: which of the columns of a text file have a decimal comma, and their numbers with a point.

"1,5" has a decimal comma and "1,234,567" commas between thousands; "1,234" may be either. What it is follows from the other
values of its column, then from the other columns; where these say nothing, or both, the file is refused, and `decimal` or
`thousands` settles it. "1.234" is read with a point unless its column or all others have decimal commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.base.errors import InputError
from mlpbench.data.text.text_options import TextOptions

# A currency and a percent sign stay: what becomes of them is not decided here.
_BEFORE, _AFTER = r"^[+-]?(?:[$€£¥]\s?)?[+-]?", r"(?:\s?[%$€£¥])?$"
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_GAP = r"^(?i:na|n/a|#n/a|<na>|nan|null|none|\?|-|)$"
# A column of numbers may have so many words that stand for missing values, none of which has a digit.
_MOST_WORDS = 0.05
_SPACED, _SPACED_OR_POINT = "[ '\u00a0\u202f]", "[. '\u00a0\u202f]"


def _whole(body: str) -> str:
    return _BEFORE + body + _AFTER


_DIGITS = _whole(rf"[0-9]+{_EXPONENT}")
_POINT = _whole(rf"(?:[0-9]*\.[0-9]+|[0-9]+\.){_EXPONENT}")
_COMMA = _whole(rf"(?:[0-9]*|[1-9][0-9]{{0,2}}(?:{_SPACED_OR_POINT}[0-9]{{3}})+),[0-9]+{_EXPONENT}")
_BETWEEN = _whole(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_GROUPED_POINTS = _whole(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+")
_GROUPED_SPACES = _whole(rf"[1-9][0-9]{{0,2}}(?:{_SPACED}[0-9]{{3}})+(?:\.[0-9]+)?")
# Without any of this a column has nothing but points, and those before decimals.
_MARKED = rf",|[0-9]{_SPACED}[0-9]|\.[0-9]{{3}}\."
_EITHER = {",": _whole(r"[1-9][0-9]{0,2},[0-9]{3}"), ".": _whole(r"[1-9][0-9]{0,2}\.[0-9]{3}")}


@dataclass(frozen=True, kw_only=True)
class _Marks:
    """What the numbers of a column show: values that can mean one thing alone, and one that may mean two."""

    decimal_comma: bool
    comma_between: bool
    decimal_point: bool
    either_comma: str | None
    either_point: str | None

    @property
    def mark(self) -> str | None:
        """The decimal mark of the column; None where its values do not say, "" where they contradict each other."""
        point = self.decimal_point or self.comma_between
        if self.decimal_comma:
            return "" if point else ","
        return "." if point else None


def with_points(
    columns: Sequence[pa.Array[Any]],
    names: Sequence[str],
    options: TextOptions,
    error: Callable[[int, str], InputError],
) -> tuple[list[pa.Array[Any]], list[str]]:
    """Return the columns of a file with a point for a decimal mark and without thousands marks, and what to say of it.

    Columns of anything but numbers stay as they are.

    Args:
        columns: the columns as they are written.
        names: their names.
        options: what is said of the file.
        error: makes the error of a column, by its position.

    Raises InputError where it is uncertain which mark a column has.

    """
    # One mark said leaves only the other.
    decimal = options.decimal or {".": ",", ",": "."}.get(options.thousands or "")
    if options.thousands is None and not any(_has(c, _MARKED) for c in columns):
        return list(columns), []
    found = [_marks(c) for c in columns]
    known = {m.mark for m in found if m is not None} - {None, ""}
    changed = list(columns)
    commas, between, spaced = [], [], []
    for i, marks in enumerate(found):
        if marks is None:
            continue
        if _has_decimal_comma(marks, decimal, known, partial(error, i)):
            changed[i] = _converted(columns[i])
            commas.append(names[i])
        elif options.thousands is not None:
            changed[i] = _without_groups(columns[i], options.thousands)
        elif marks.comma_between or marks.either_comma is not None:
            changed[i] = _without_groups(columns[i], ",")
            between.append(names[i])
        elif _has(columns[i], _GROUPED_SPACES):
            changed[i] = _without_groups(columns[i], " ")
            spaced.append(names[i])
    notes = []
    if commas and options.decimal is None:
        some = any(m is not None and m.mark == "." for m in found)
        notes.append(f"decimals are written with ','{_in(commas) if some else ''}")
    if between and decimal is None:
        notes.append(f"commas between thousands are left out{_in(between)}")
    if spaced:
        notes.append(f"spaces or apostrophes between thousands are left out{_in(spaced)}")
    return changed, notes


def _has_decimal_comma(
    marks: _Marks, decimal: str | None, known: set[str | None], error: Callable[[str], InputError]
) -> bool:
    """Return whether a column has a decimal comma: by its own values, by what is said, by the other columns."""
    if decimal is not None:
        return decimal == "," and marks.mark in (",", None)
    if marks.mark is not None or (marks.either_comma is None and marks.either_point is None):
        return marks.mark == ","
    if marks.either_comma is not None and len(known) == 1:
        return known == {","}
    if marks.either_comma is None and known != {","}:
        return False
    mark = "," if marks.either_comma is not None else "."
    number = marks.either_comma if mark == "," else marks.either_point
    message = f"it must be certain what {mark!r} in {number!r} stands before, decimals or thousands"
    raise error(f"{message}; say `decimal: ','` or `decimal: '.'`")


def _marks(column: pa.Array[Any]) -> _Marks | None:
    """Return what the numbers of a column show; None where it is none of numbers, or has neither points nor commas."""
    text = pc.utf8_trim_whitespace(pc.unique(column))
    if not pc.any(pc.match_substring_regex(text, rf"[.,]|[0-9]{_SPACED}[0-9]")).as_py():
        return None
    text = text.filter(pc.invert(pc.match_substring_regex(text, _GAP)))
    shapes = {
        name: pc.match_substring_regex(text, shape)
        for name, shape in (("digits", _DIGITS), ("point", _POINT), ("comma", _COMMA), ("between", _BETWEEN))
    }
    shapes["points"] = pc.match_substring_regex(text, _GROUPED_POINTS)
    shapes["spaces"] = pc.match_substring_regex(text, _GROUPED_SPACES)
    number = pc.or_(shapes["digits"], shapes["point"])
    for name in ("comma", "between", "points", "spaces"):
        number = pc.or_(number, shapes[name])
    words = text.filter(pc.invert(number))
    if not pc.any(number).as_py() or len(words) > max(1, _MOST_WORDS * len(text)) or _has(words, "[0-9]"):
        return None
    comma, point = pc.match_substring_regex(text, _EITHER[","]), pc.match_substring_regex(text, _EITHER["."])
    several_points = pc.and_not(shapes["points"], shapes["point"])

    def some(mask: Any) -> bool:
        return bool(pc.any(mask).as_py())

    def first(mask: Any) -> str | None:
        chosen = text.filter(mask)
        return str(chosen[0].as_py()) if len(chosen) else None

    return _Marks(
        decimal_comma=some(pc.and_not(shapes["comma"], comma)) or some(several_points),
        comma_between=some(pc.and_not(shapes["between"], comma)),
        decimal_point=some(pc.and_not(shapes["point"], point)),
        either_comma=first(comma),
        either_point=first(point),
    )


def _has(text: Any, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())


def _converted(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column in which the numbers have a point for a decimal comma, and nothing between thousands."""
    text = pc.utf8_trim_whitespace(column)
    number = pc.or_(pc.match_substring_regex(text, _COMMA), pc.match_substring_regex(text, _GROUPED_POINTS))
    number = pc.or_(number, pc.match_substring_regex(text, _GROUPED_SPACES))
    plain = pc.replace_substring(pc.replace_substring_regex(text, _SPACED_OR_POINT, ""), ",", ".")
    chosen: pa.Array[Any] = pc.if_else(number, plain, column)
    return chosen


def _without_groups(column: pa.Array[Any], mark: str) -> pa.Array[Any]:
    """Return a column in which the numbers have nothing between thousands."""
    between = _SPACED if mark == " " else re.escape(mark)
    text = pc.utf8_trim_whitespace(column)
    grouped = pc.match_substring_regex(text, _whole(rf"[1-9][0-9]{{0,2}}(?:{between}[0-9]{{3}})+(?:[.][0-9]+)?"))
    chosen: pa.Array[Any] = pc.if_else(grouped, pc.replace_substring_regex(text, between, ""), column)
    return chosen


def _in(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f" in {shown}"
