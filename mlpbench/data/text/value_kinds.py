"""What kind of value a text is: a number, a date, true or false, a gap, or a word; the spellings that all readers share.

Patterns are written so that `re` and pyarrow, whose expressions are RE2's, read them alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mlpbench.data.text.dates import looks_like_date
from mlpbench.data.text.written_numbers import looks_like_number

ValueKind = Literal["number", "date", "flag", "text"]

# What stands for a missing value in the tables of other programs, in columns of numbers and of text alike.
MISSING = r"(?i:na|n/a|#n/a|<na>|nan|null|none|\?|-)"
# Of these, what may as well be a class of its own, of people or of answers.
MAY_BE_CLASS = r"(?i:none|-)"
FLAG = r"(true|false|True|False|TRUE|FALSE)"
INFINITE = r"(?i:[+-]?(inf|infinity))"
# What begins like a number and may be none: `1k`, `0x1f`, `1/5`, `12 kg`, `10-20`.
NUMBER_AHEAD = r"[(+-]?\.?[0-9].*"
# Of a column, so many values must be of one kind for the kind to be the column's: the others are slips.
_MOST = 0.9
_GAP = re.compile(f"({MISSING})?")
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FLAG, _INFINITE, _MAY_BE_CLASS = (re.compile(pattern) for pattern in (FLAG, INFINITE, MAY_BE_CLASS))


def whole(pattern: str) -> str:
    """Return the expression that a whole text matches."""
    return f"^(?:{pattern})$"


def is_gap(value: str) -> bool:
    """Return whether a value is empty, or is what other programs write for a missing one.

    >>> [is_gap(v) for v in ("", "N/A", "?", "0")]
    [True, True, True, False]
    """
    return _GAP.fullmatch(value) is not None


def may_be_class(value: str) -> bool:
    """Return whether what is spelt like a gap may as well be a class: `None` and `-`, and not `NA` or `?`."""
    return _MAY_BE_CLASS.fullmatch(value) is not None


def kind_of(value: str) -> ValueKind:
    """Return the kind of a value.

    >>> [kind_of(v) for v in (" 1,5", "inf", "2004-03-10", "True", "red")]
    ['number', 'number', 'date', 'flag', 'text']
    """
    text = value.strip()
    # Most are, and this is quickly seen.
    if _PLAIN.fullmatch(text):
        return "number"
    if looks_like_number(text) or _INFINITE.fullmatch(text):
        return "number"
    if looks_like_date(text):
        return "date"
    return "flag" if _FLAG.fullmatch(text) else "text"


def kind_of_most(values: Sequence[str]) -> ValueKind | None:
    """Return the kind of nearly all values of a column, text where there is none; None where it has no values."""
    if not values:
        return None
    kinds = [kind_of(v) for v in values]
    kind = max(set(kinds), key=kinds.count)
    return kind if kinds.count(kind) >= _MOST * len(kinds) else "text"
