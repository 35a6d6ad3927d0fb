"""Numbers that people and programs write with marks: `1,234.5`, `0,126`, `$1003`, `12%`, `1 000`, `1_000`, `-€ 5`, `(5.50)`.

What a comma means is not to be seen in `1,234` alone. All values of a column must be read with one decimal mark; where both
marks would do, the other columns of the file decide, and where they do not, `decimal` must be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# `$` and the like before or after, `%` after; signs before or after a currency.
_UNITS = "$€£¥₹₩₽"
_SPACES = " \N{THIN SPACE}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_BETWEEN = "'_\N{RIGHT SINGLE QUOTATION MARK}" + _SPACES  # thousands, beside `,` and `.`
_MINUS = "\N{MINUS SIGN}"
_MARKED = re.compile(
    rf"(?P<sign>[+\-{_MINUS}]?)[{_SPACES}]*(?P<before>[{_UNITS}]?)[{_SPACES}]*(?P<inner>[+\-{_MINUS}]?)[{_SPACES}]*"
    rf"(?P<digits>[0-9](?:[0-9.,{_BETWEEN}]*[0-9])?[.,]?|[.,][0-9]+)(?P<power>[eE][+-]?[0-9]+)?"
    rf"[{_SPACES}]*(?P<after>[{_UNITS}%]?)"
)
# No number is longer, and the time that a pattern takes over a hostile text stays short.
LONGEST = 60
_BY_MARK = {
    mark: re.compile(
        rf"(?P<whole>[0-9]*|[1-9][0-9]{{0,2}}(?P<group>[{re.escape(other)}]|[{_BETWEEN}])[0-9]{{3}}"
        rf"(?:(?P=group)[0-9]{{3}})*)(?:{re.escape(mark)}(?P<part>[0-9]*))?"
    )
    for mark, other in ((".", ","), (",", "."))
}


class UnreadValue(ValueError):
    """A value of a column that cannot be read like the others: the rule, the value as it is written, and a way forward."""

    def __init__(self, rule: str, value: str, hint: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.value = value
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class WrittenNumbers:
    """The numbers of a column by their spellings, their unit, and the marks they are written with, in a phrase for a note."""

    numbers: dict[str, float]
    unit: str
    note: str


def looks_like_number(text: str) -> bool:
    """Return whether a text is a number, with or without marks.

    >>> [looks_like_number(t) for t in ("1,234", "$ 5", "12%", "1 000", "(5.50)", "12 34", "3+", "(-1)")]
    [True, True, True, True, True, False, False, False]
    """
    return any(_number(text, mark) is not None for mark in _BY_MARK)


def decimal_marks(texts: Iterable[str]) -> str:
    """Return the decimal marks, of `.` and `,`, with which all texts are numbers; both only where they differ in a value.

    >>> decimal_marks(["0,126", "1,234"]), decimal_marks(["1,234"]), decimal_marks(["1 000"])
    (',', '.,', '.')
    """
    found, differ = ".,", False
    for text in texts:
        by_mark = {mark: _number(text, mark) for mark in found}
        found = "".join(mark for mark in found if by_mark[mark] is not None)
        differ |= len({number and number.value for number in by_mark.values()}) > 1
        if not found:
            return ""
    return found if differ or len(found) < 2 else "."


def read_numbers(texts: Sequence[str], mark: str) -> WrittenNumbers:
    """Return the numbers that different texts are with a decimal mark; raise UnreadValue for one that is none with it."""
    numbers: dict[str, float] = {}
    units: dict[str, str] = {}
    between: dict[str, None] = {}
    has_part, in_brackets = False, ""
    for text in texts:
        number = _number(text, mark)
        if number is None:
            raise UnreadValue(f"numbers of a column must have one decimal mark, here {mark!r}", text)
        numbers[text] = number.value
        if number.value or number.unit:  # a plain 0 is 0 in any unit
            units.setdefault(number.unit, text)
        if number.between:
            between.setdefault(number.between)
        has_part |= number.has_part
        in_brackets = in_brackets or ("" if text[0] != "(" else text)
    plain = units.pop("", None) if len(units) == 2 and not units.keys() & {"%"} else None
    if len(units) > 1:
        first, other = list(units.values())[:2]
        hint = (
            "write all of them in one"
            if "" not in units
            else f"write all of them with {next(filter(None, units))!r}, or none"
        )
        raise UnreadValue(f"numbers of a column must have one unit, here that of {first!r}", other, hint)
    unit = next(iter(units), "")
    said = ["a decimal comma"] if mark == "," and has_part else []
    said += [f"{', '.join(map(repr, between))} between thousands"] if between else []
    said += [f"{unit!r}" + (" (12% is 12)" if unit == "%" else "")] if unit else []
    said += [f"some without it, as {plain!r}, taken for the same"] if plain is not None else []
    said += [f"brackets, which are a minus: {in_brackets!r}"] if in_brackets else []
    note = f"numbers with {' and '.join(said)}" if said else "numbers"
    return WrittenNumbers(numbers=numbers, unit=unit, note=note)


class _Number(NamedTuple):
    """A number, its unit, what stands between its thousands, and whether it has a decimal mark."""

    value: float
    unit: str
    between: str
    has_part: bool


def _number(text: str, mark: str) -> _Number | None:
    """Return the number that a text is with a decimal mark; None where it is none. Accountants write (5.50) for -5.50."""
    in_brackets = len(text) > 2 and text[0] == "(" and text[-1] == ")"
    match = _MARKED.fullmatch(text[1:-1].strip(_SPACES) if in_brackets else text) if len(text) <= LONGEST else None
    if match is None:
        return None
    sign, before, inner, digits, power, after = match.groups()
    parts = _BY_MARK[mark].fullmatch(digits)
    if parts is None or (before and after) or (sign and inner) or (in_brackets and (sign or inner)):
        return None
    whole, group, part = parts.groups()
    if not whole and not part:
        return None
    plain = whole.replace(group, "") if group else whole
    minus = "-" if in_brackets or (sign or inner or "+") != "+" else ""
    value = float(f"{minus}{plain or '0'}.{part or '0'}{power or ''}")
    return _Number(value, before or after, group or "", part is not None)
