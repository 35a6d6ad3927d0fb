"""Whether the first row of a text file is its header, and which of its columns are no data: an index, empty ends of lines.

A header is told from a row by the kinds of values: a word above a column of numbers is a name, a number above numbers is a
row. A header of nothing but numbers is taken for a row, with a note. Where neither is certain the file is refused, and
`header` settles it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from mlpbench.base.models import shown
from mlpbench.data.file_errors import file_error
from mlpbench.data.text.dialect import LONGEST_COMMENT, TextOptions, in_words
from mlpbench.data.text.value_kinds import is_gap, kind_of, kind_of_most

_ID = re.compile(r"(?i)id|index|key|uuid|row|nr|no|number|name")
_INDEX_NAME = re.compile(r"(Unnamed: ?0(\.\d+)?)?")
MOST_COLUMNS = 2000
_SAY = "say `header: true` where line {0} has names, `header: false` where it is a row"


@dataclass(frozen=True, kw_only=True)
class Header:
    """The names of columns, and where they come from.

    Attributes:
        names: the names, without spaces around them, "" where there is none; None where columns are named by position.
        in_file: whether the first record of the rows is the header.
        notes: what was recognised where it is not plain.

    """

    names: tuple[str, ...] | None
    in_file: bool
    notes: tuple[str, ...] = ()


def read_header(
    rows: Sequence[Sequence[str]],
    commented: Sequence[str],
    options: TextOptions,
    file: str,
    line: int,
    known: Collection[str] = (),
) -> Header:
    """Return the header of a file; raise InputError where it is uncertain whether it has one.

    Args:
        rows: the first records of the file.
        commented: the fields of a comment above the first record, where there is one that may be the header.
        options: what is said of the file.
        file: what the file is called in errors.
        line: the line that the first record ends on.
        known: names that a header must have: a first record with all of them is one, be they numbers.

    """
    said = options.header
    if said is None and known and set(known) <= set(_stripped(rows[0])):
        said = True
    first = (
        _looks_like_header(rows) if said is None or (said is True and commented) or isinstance(said, tuple) else said
    )
    if isinstance(said, tuple):
        replaced = first is True
        notes = (f"line {line} is a header, which the names of `header` replace",) if replaced else ()
        return Header(names=_stripped(said), in_file=replaced, notes=notes)
    if commented and first is not True and said is not False:
        return Header(
            names=_stripped(commented), in_file=False, notes=("the last comment above the rows is the header",)
        )
    if said is True or first is True:
        return Header(names=_stripped(rows[0]), in_file=True)
    if first is None:
        message = f"it must be certain whether line {line} is a header or a row, got {shown_row(rows[0])}"
        raise file_error(f"{message}; {_SAY.format(line)}", file, line=line)
    if said is False:
        return Header(names=None, in_file=False)
    numbers = all(kind_of(v) == "number" for v in rows[0] if v.strip())
    why = f"line {line} has numbers and is taken for a row" if numbers else f"line {line} is a row"
    note = f"no header, {why}: columns are named 1 to {len(rows[0])} (where it has names, say `header: true`)"
    return Header(names=None, in_file=False, notes=(note,))


def shown_row(row: Sequence[str]) -> str:
    """Return the first fields of a row as errors have them."""
    text = ", ".join(row)
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def names_for(header: Header, width: int, options: TextOptions, separator: str, file: str) -> tuple[list[str], bool]:
    """Return a name for each column, and whether the first column is one of row names, which the header leaves unnamed.

    Raises InputError where the header has other than so many names.
    """
    if header.names is None:
        return [str(i + 1) for i in range(width)], False
    names = list(header.names)
    while len(names) > width and not names[-1]:
        names.pop()  # a separator at the end of the header alone
    if len(names) == width:
        return names, False
    if isinstance(options.header, tuple):
        raise file_error(f"header must name all {width} columns, got {len(names)} names", file)
    # A header that names the ids has a name for them: it is a comma in the values that makes one column more.
    has_ids = separator == "," and _ID.fullmatch(names[0]) is not None
    if len(names) == width - 1 and len(names) > 1 and not has_ids:
        return ["", *names], True
    message = f"a header must have a name for each of the {width} columns, separated by {in_words(separator)}"
    hint = "say `separator`, or `header: [...]` with all names"
    if len(names) < width - 1:
        hint += f"; a title above the header is left out by `comment: {shown(names[0][:LONGEST_COMMENT])}`"
    if separator == "," and len(names) < width:
        hint += "; words with a comma, and numbers with a decimal comma, need another separator or quotes"
    raise file_error(f"{message}, got {len(names)}; {hint}", file)


def index_note(name: str, values: Any, separator: str, file: str, *, unnamed_by_header: bool) -> str | None:
    """Return what is to be said of a first column that is an index and left out; None where it is an ordinary column.

    A column without a name, or with the one that pandas gives to such, is an index where no value stands twice and none is a
    fraction. What a header
    leaves unnamed between commas may be the whole part of a number with a decimal comma: it must be words or count the rows.

    Args:
        name: the name of the column.
        values: what stands in it.
        separator: what separates columns.
        file: what the file is called in errors.
        unnamed_by_header: whether the header has one name fewer than there are columns.

    Raises InputError for a column that a header leaves unnamed and that is no index.

    """
    if not _INDEX_NAME.fullmatch(name):
        return None
    text = pc.utf8_trim_whitespace(values)
    is_index = pc.count_distinct(text).as_py() == len(text)
    if pc.any(pc.match_substring_regex(text, r"^[+-]?[0-9]*[.,][0-9]+([eE][+-]?[0-9]+)?$")).as_py():
        is_index = False
    if is_index and name:
        is_index = bool(pc.all(pc.match_substring_regex(text, r"^[0-9]+$")).as_py())
    if unnamed_by_header and is_index and separator == ",":
        counted = [[str(i + start) for i in range(len(text))] for start in (0, 1)]
        is_words = not pc.any(pc.match_substring_regex(text, r"^[+-]?[0-9.]+$")).as_py()
        is_index = is_words or text.to_pylist() in counted
    if unnamed_by_header and not is_index:
        message = (
            "a header must have a name for each column, got one too few, and the first column is not surely an index"
        )
        comma = "; numbers with a decimal comma need another separator or quotes" if separator == "," else ""
        raise file_error(f"{message}; say `header: [...]` with all names{comma}", file)
    if not is_index:
        return None
    whose = f"{name!r}" if name else "without a name"
    return f"the first column, {whose}, is an index and left out"


def _stripped(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(n.strip() for n in names)


def _looks_like_header(rows: Sequence[Sequence[str]]) -> bool | None:
    """Return whether the first of some records is a header; None where that is uncertain."""
    first, body = [v.strip() for v in rows[0]], [r for r in rows[1:] if len(r) == len(rows[0])]
    if not body:
        # Alone, or with a name fewer than columns, or more: names are what is not a number.
        return not all(kind_of(v) == "number" for v in first if v)
    names = rows_of = 0
    occur, words = 0, 0
    # Of very many columns, some say it for all.
    for i in range(0, len(first), max(1, len(first) // MOST_COLUMNS)):
        value = first[i]
        if is_gap(value):
            continue
        below = [v for r in body if not is_gap(v := r[i].strip())]
        kind, column = kind_of(value), kind_of_most(below)
        if kind == "text" and column not in ("text", None):
            names += 1
        elif kind != "text" and kind == column:
            rows_of += 1
        elif below:
            words += 1
            occur += value in below
    filled = [v for v in first if v]
    # A header has no name twice, no sign and no fraction.
    is_row = len(set(filled)) < len(filled) or any(
        not re.fullmatch(r"\d+", v) for v in filled if kind_of(v) == "number"
    )
    if names:
        return True if not rows_of or not is_row else None
    if rows_of:
        return False if is_row or occur or not words else None
    if not words or not occur:
        return True
    return False if 2 * occur >= words else None
