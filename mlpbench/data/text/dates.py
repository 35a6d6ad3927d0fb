"""Dates and times as numbers: days since 1970-01-01, seconds since then where times matter, seconds since midnight.

Written dates are read in the forms that say what is the year, the month and the day: `2004-03-10`, `2004/3/10`, `10.03.2004`,
`10 Mar 2004`, `March 10, 2004`, each with a time behind it or none, and `2004-03` for the first of a month. Of `10/03/2004` a
day beyond 12 in the column tells which is the day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlpbench.data.text.written_numbers import LONGEST, UnreadValue

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = {
    **{m: i + 1 for i, m in enumerate(_MONTHS)},
    **{f"{m}{rest}": i + 1 for i, (m, rest) in enumerate(zip(_MONTHS, ("uary", "ruary", "ch", "il", "", "e", "y", "ust", "tember", "ober", "ember", "ember"))) if rest},
    "sept": 9,
}  # fmt: skip
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>[.,]\d+)?)?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
)
_TIME = rf"(?:(?:T|,? +){_CLOCK})?"
_ISO = re.compile(rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){_TIME}", re.ASCII)
_MONTH_OF_YEAR = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})", re.ASCII)
_NUMBERS = re.compile(
    rf"(?P<first>\d{{1,2}})(?P<mark>[-/.])(?P<second_>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}){_TIME}", re.ASCII
)
_DAY_NAME = re.compile(
    rf"(?P<day>\d{{1,2}})[-/. ]+(?P<name>[A-Za-z]{{3,9}})\.?[-/, ]+(?P<year>\d{{4}}){_TIME}", re.ASCII
)
_NAME_DAY = re.compile(rf"(?P<name>[A-Za-z]{{3,9}})\.? +(?P<day>\d{{1,2}}),? +(?P<year>\d{{4}}){_TIME}", re.ASCII)
# Of `10/03/04` any number may be the year, and the year of any century.
_SHORT_YEAR = re.compile(rf"[0-9]{{1,2}}([-/.])([0-9]{{1,2}}|[A-Za-z]{{3}})\1[0-9]{{2}}{_TIME}", re.ASCII)
_CLOCK_ALONE = re.compile(_CLOCK, re.ASCII)
_CLOCK_OF_POINTS = re.compile(r"(?P<hour>\d{1,2})\.(?P<minute>\d{2})\.(?P<second>\d{2})", re.ASCII)
_TIMES = (_CLOCK_ALONE, _CLOCK_OF_POINTS)
_FORMS = (_ISO, _MONTH_OF_YEAR, _NUMBERS, _DAY_NAME, _NAME_DAY, *_TIMES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86400
DAYS, SECONDS = "days since 1970-01-01", "seconds since 1970-01-01 (UTC)"
_MIDNIGHT = "seconds since midnight"
_WHAT = {DAYS: "dates", SECONDS: "dates and times", _MIDNIGHT: "times", "seconds": "durations"}
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Dates or times as numbers, by their spellings, what they count, and that in a phrase for a note.

    `day_first` says whether the day stands first, where day and month are both numbers.
    """

    numbers: dict[str, float]
    unit: str
    note: str
    day_first: bool | None = None


def looks_like_date(text: str) -> bool:
    """Return whether a text has one of the forms of dates and times.

    >>> [looks_like_date(t) for t in ("2004-03-10", "10/3/2004 18:00", "5 Mar 2004", "18.00.00", "2004", "3/4")]
    [True, True, True, True, False, False]
    """
    return any(_match(form, text) for form in _FORMS)


def read_dates(texts: Sequence[str], day_first: bool | None) -> Moments | None:
    """Return what different texts are as numbers; None where they have no form of dates or times in common.

    Args:
        texts: the different values of a column.
        day_first: whether the day stands before the month where both are numbers and the year comes last.

    Raises UnreadValue for a date that no calendar has, a year of two digits, and where day and month could change places.

    """
    if texts and all(len(text) <= LONGEST and _SHORT_YEAR.fullmatch(text) for text in texts) and not _are_times(texts):
        hint = "write years with four digits, or name the column in `words`"
        raise UnreadValue("a date must have a year of four digits", texts[0], hint)
    for form in _FORMS:
        if not texts or not _match(form, texts[0]):
            continue
        matches = {text: match for text in texts if (match := _match(form, text)) is not None}
        if len(matches) < len(texts):
            continue
        if form in _TIMES:
            seconds = {text: _read(_seconds, m) for text, m in matches.items()}
            return Moments(numbers=seconds, unit=_MIDNIGHT, note=f"times, as {_MIDNIGHT}")
        order = _day_is_first(matches, day_first) if form is _NUMBERS else None
        seconds = {text: _read(partial(_since_epoch, day_is_first=order), m) for text, m in matches.items()}
        values, unit = _counted(np.array(list(seconds.values())))
        first = "" if order is None else f" with the {'day' if order else 'month'} first"
        note = f"{_WHAT[unit]}{first}, as {unit}"
        return Moments(numbers=dict(zip(seconds, values.tolist())), unit=unit, note=note, day_first=order)
    return None


def moments_of(raw: pa.Array[Any]) -> tuple[NDArray[np.float64], str, str] | None:
    """Return an array of dates, times or durations as numbers, their unit and a note; None for another type."""
    dtype = raw.type
    if pa.types.is_date(dtype):
        values, unit = _counted(_float(raw.cast(pa.date32()).cast(pa.int32())) * DAY)
    elif pa.types.is_timestamp(dtype):
        values, unit = _counted(_float(raw.cast(pa.int64())) / _PER_SECOND[dtype.unit])
    elif pa.types.is_time(dtype):
        integers = raw.cast(pa.int32() if pa.types.is_time32(dtype) else pa.int64())
        values, unit = _float(integers) / _PER_SECOND[dtype.unit], _MIDNIGHT
    elif pa.types.is_duration(dtype):
        values, unit = _float(raw.cast(pa.int64())) / _PER_SECOND[dtype.unit], "seconds"
    else:
        return None
    return values, unit, f"{_WHAT[unit]}, as {unit}"


def _float(raw: pa.Array[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = raw.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _counted(seconds: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """Return seconds since 1970-01-01 as days where all are at midnight; gaps stay gaps."""
    if np.nan_to_num(seconds % DAY).any():
        return seconds, SECONDS
    return seconds / DAY, DAYS


def _are_times(texts: Sequence[str]) -> bool:
    return all(any(_match(form, text) for form in _TIMES) for text in texts)


def _match(form: re.Pattern[str], text: str) -> re.Match[str] | None:
    match = form.fullmatch(text) if len(text) <= LONGEST else None
    if match is not None and form in (_DAY_NAME, _NAME_DAY) and match["name"].lower() not in _MONTH_NAMES:
        return None
    return match


def _read(number: Callable[[re.Match[str]], float], match: re.Match[str]) -> float:
    try:
        return number(match)
    except ValueError:
        rule = "a date must be one of the calendar, and a time one of the clock"
        raise UnreadValue(rule, match.string) from None


def _day_is_first(matches: dict[str, re.Match[str]], day_first: bool | None) -> bool:
    if day_first is not None:
        return day_first
    if all(m["mark"] == "." for m in matches.values()):
        return True
    first = any(int(m["first"]) > 12 for m in matches.values())
    if first or any(int(m["second_"]) > 12 for m in matches.values()):
        return first
    rule = "a date must show which number is the day"
    raise UnreadValue(rule, next(iter(matches)), "say `day_first: true`, or `day_first: false` where it is the second")


def _since_epoch(match: re.Match[str], day_is_first: bool | None) -> float:
    parts = match.groupdict()
    if day_is_first is not None:
        day, month = (parts["first"], parts["second_"])[:: 1 if day_is_first else -1]
    else:
        day, month = parts.get("day") or "1", parts.get("month") or str(_MONTH_NAMES[parts.get("name", "").lower()])
    midnight = datetime(int(parts["year"]), int(month), int(day), tzinfo=UTC)
    clock = _seconds(match) if parts.get("hour") else 0.0
    return (midnight - _EPOCH).total_seconds() + clock - _offset(parts.get("zone"))


def _seconds(match: re.Match[str]) -> float:
    parts = match.groupdict()
    hour, minute, second = (int(parts[key] or 0) for key in ("hour", "minute", "second"))
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(f"no hour of half a day: {hour}")
        hour = hour % 12 + (12 if half in "pP" else 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):
        raise ValueError(f"no time of the clock: {hour}:{minute}:{second}")
    part = parts.get("part")
    return 3600.0 * hour + 60 * minute + second + (float(f"0.{part[1:]}") if part else 0.0)


def _offset(zone: str | None) -> float:
    if zone is None or zone[0] not in "+-":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"no offset of a time zone: {zone}")
    offset = 3600.0 * hours + 60 * minutes
    return -offset if zone[0] == "-" else offset


def in_units(number: float, unit: str) -> str:
    """Return a number as a person writes it: the date or the time that it is by its unit.

    >>> in_units(12487.0, DAYS), in_units(2004.0, "")
    ('2004-03-10', '2004')
    """
    if unit not in (DAYS, SECONDS):
        return f"{number:.10g}"
    seconds = number * (DAY if unit == DAYS else 1)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{number:.10g} {unit}"
    return f"{moment:%Y-%m-%d}" if unit == DAYS else f"{moment:%Y-%m-%d %H:%M:%S}"
