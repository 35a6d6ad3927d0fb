"""How the lines of a text file are written: comments, and what separates columns.

A separator is recognised by two things: lines have equally many fields, and no field has another separator in it. Where two
separators do nearly as well, none is taken: the file is refused, and `separator` settles it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, islice

from mlpbench.base.models import shown
from mlpbench.data.file_errors import file_error

# What a file is recognised by: so many of its rows, or fewer long ones that come to so many letters.
MOST_ROWS, LEAST_ROWS, SAMPLE = 1000, 30, 2**19
# Of wide rows, fewer are looked into.
MOST_FIELDS = 2**17
LONGEST_COMMENT = 10
_CANDIDATES = (",", ";", "\t", "|")
_SPACES = " "
# Two separators are told apart by this much, of the greatest difference 1.
_MARGIN = 0.03
# A header of fewer or more names than a row has values speaks against a separator.
_ONE_OFF, _FAR_OFF = 0.9, 0.5
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d+)?|\d+\.|[.,]\d+)([eE][+-]?\d+)?\s*")
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}([.,' ]\d{3})+([.,]\d+)?\s*")
_NUMBERS = re.compile(r"\s*[+-]?[\d.,]+([eE][+-]?\d+)?(\s+[+-]?[\d.,]+([eE][+-]?\d+)?)+\s*")
_OUTSIDE_QUOTES = re.compile(r'"(?:[^"]|"")*"|[ \t]+')
_COMMENT = "#"
# The first line of tables that Excel writes, or is to read.
_EXCEL = re.compile(r'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)
_SPELLINGS = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " ", "\\s+": " "}
_NO_SEPARATOR = frozenset("\"'.+-\r\n\0#")
_SEPARATOR_WORDS = {"\t": "tabs", " ": "spaces"}


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What is said of a text file, each None where it is to be recognised.

    Attributes:
        separator: what stands between columns; a space means runs of spaces and tabs.
        encoding: an encoding that Python knows.
        header: whether the first line has the names of the columns, or their names.
        comment: what lines begin with that are no rows; "" for none.

    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | tuple[str, ...] | None = None
    comment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The text of a file, in which lines without a row are empty, and how it is to be split.

    Attributes:
        text: the text; columns that spaces separate are separated by tabs in it.
        separator: what separates columns in it.
        commented: the fields of the last comment above the rows, which may be a header.
        notes: what was recognised where it is not plain, sentences.

    """

    text: str
    separator: str
    commented: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def checked_separator(written: str) -> str:
    """Return a separator by its character; raise ValueError for what can be none."""
    separator = _SPELLINGS.get(written, written)
    if len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in _NO_SEPARATOR:
        rule = "separator must be one character such as ',', ';', '|', or tab or spaces"
        raise ValueError(f"{rule}, got {shown(written)}")
    return separator


def in_words(separator: str) -> str:
    """Return a separator as sentences have it."""
    return _SEPARATOR_WORDS.get(separator, repr(separator))


def recognise(text: str, options: TextOptions, name: str, suffix: str) -> Dialect:
    """Return how a text is written; raise InputError where that is uncertain.

    Args:
        text: the text of a file.
        options: what is said of it.
        name: what the file is called in errors.
        suffix: how its name ends, `.tsv` being the sign of tabs.

    """
    if "\n" not in text:
        text = text.replace("\r", "\n")  # line ends of old Macs
    said = options.separator
    if first := _EXCEL.match(text):
        said, text = said or first[1], text[first.end() - 1 :]
    mark = _COMMENT if options.comment is None else options.comment
    # Most texts have neither comments nor lines without values: they are not split into lines.
    lines = text.split("\n") if mark and mark in text else []
    comments = _comments(lines, mark)
    head = sample(_without(lines, comments) if comments else text)
    separator = said or _separator(head, name, suffix)
    notes = []
    if options.separator is None and separator != ("\t" if suffix == ".tsv" else ","):
        notes.append(f"columns are separated by {in_words(separator)}")
    commented: tuple[str, ...] = ()
    if comments:
        width = _mode([len(r) for r in records(head, separator, MOST_ROWS)])
        if options.comment is None:
            rows = _rows_among(lines, comments, separator, width)
            comments = [i for i in comments if i not in rows]
        commented = _commented(lines, comments, mark, separator, width)
        text = _without(lines, comments)
    if comments:
        notes.append(
            _counted(len(comments), f"that begins with {mark!r} is a comment", f"that begin with {mark!r} are comments")
        )
    if any(f"\n{first}" in text or text.startswith(first) for first in (separator, " ", "\t")):
        text, without_values = _without_blank(text, separator)
        if without_values:
            notes.append(
                _counted(without_values, "of separators alone is left out", "of separators alone are left out")
            )
    if separator == _SPACES:
        text, separator = _with_tabs(text), "\t"
    return Dialect(text=text, separator=separator, commented=commented, notes=tuple(notes))


def records(text: str, separator: str, most: int) -> list[list[str]]:
    """Return the first records of a text that are not an empty line; runs of spaces count as one separator."""
    if separator == _SPACES:
        text, separator = _with_tabs(text), "\t"
    with _any_length():
        return list(islice((r for r in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if r), most))


def record(text: str, separator: str, number: int) -> tuple[list[str], int]:
    """Return a record of a text that is not an empty line, counted from 0, and the line it ends on.

    Where there are fewer records, it is empty, and the line the last. pyarrow counts records; a line break may stand in one.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    with _any_length():
        found = next(islice((r for r in reader if r), number, None), [])
    return found, reader.line_num


@contextmanager
def _any_length() -> Iterator[None]:
    """Lift the limit of a field meanwhile: it is the whole process's, and is put back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def sample(text: str) -> str:
    """Return the lines of a text that it is recognised by: the first ones, and more where those end within quotes."""
    start = lines = quotes = 0
    while (end := text.find("\n", start)) >= 0:
        quotes += text.count('"', start, end)
        start, lines = end + 1, lines + 1
        if (lines > MOST_ROWS or (lines > LEAST_ROWS and start > SAMPLE)) and quotes % 2 == 0:
            return text[:start]
    return text


def _separator(head: str, name: str, suffix: str) -> str:
    quality = {s: _quality(records(head, s, MOST_ROWS), s) for s in _CANDIDATES}
    spaces = _quality(records(head, _SPACES, MOST_ROWS), _SPACES)
    # Tabs are spaces too: where some rows have several of them for one, spaces separate all rows alike, and tabs do not.
    if spaces > quality["\t"]:
        quality[_SPACES] = spaces
        quality["\t"] = 0.0 if spaces == 1 else quality["\t"]
    (best, most), (second, other) = Counter(quality).most_common(2)
    if not most:
        return "\t" if suffix == ".tsv" else ","
    if most - other < _MARGIN:
        message = f"what separates columns must be certain, got {in_words(best)} or {in_words(second)}"
        raise file_error(f"{message}; say `separator: {best!r}` or `separator: {second!r}`".replace("\t", "\\t"), name)
    return best


def _quality(rows: Sequence[Sequence[str]], separator: str) -> float:
    """Return how well a separator does, from 0 to 1: equally many fields a row, times fields without another separator."""
    rows = [r for r in rows if any(field.strip() for field in r)]
    width = _mode([len(r) for r in rows[1:] or rows])
    if width < 2:
        return 0.0
    regular = [r for r in rows if len(r) == width][: max(LEAST_ROWS // 10, MOST_FIELDS // width)]
    others = [s for s in _CANDIDATES if s != separator]
    clean = sum(_is_clean(field, others) for r in regular for field in r) / (width * len(regular)) if regular else 0.0
    header = {0: 1.0, 1: _ONE_OFF}.get(abs(len(rows[0]) - width), _FAR_OFF)
    body = rows[1:] or rows
    return sum(len(r) == width for r in body) / len(body) * clean * header


def _is_clean(field: str, others: Sequence[str]) -> bool:
    if not any(s in field for s in others):
        return " " not in field.strip() or not _NUMBERS.fullmatch(field) or bool(_GROUPED.fullmatch(field))
    return bool(_NUMBER.fullmatch(field) or _GROUPED.fullmatch(field))


def _mode(counts: Sequence[int]) -> int:
    return Counter(counts).most_common(1)[0][0] if counts else 0


def _counted(n: int, one: str, several: str) -> str:
    return f"1 line {one}" if n == 1 else f"{n} lines {several}"


def _comments(lines: Sequence[str], mark: str) -> list[int]:
    """Return which lines begin like a comment; none where all do."""
    marked = [i for i, line in enumerate(lines) if line.lstrip(" \t").startswith(mark)]
    marked = _outside_quotes(lines, marked)
    known = set(marked)
    return marked if any(i not in known and line.strip() for i, line in enumerate(lines)) else []


def _rows_among(lines: Sequence[str], marked: Sequence[int], separator: str, width: int) -> set[int]:
    """Return which lines that begin like comments are rows: they have as many fields, and one of these is further down."""
    known = set(marked)
    first_row = next(i for i, line in enumerate(lines) if line.strip() and i not in known)
    with_fields = {i for i in marked if width > 1 and [len(r) for r in records(lines[i], separator, 2)] == [width]}
    return with_fields if any(i > first_row for i in with_fields) else set()


def _commented(lines: Sequence[str], comments: Sequence[int], mark: str, separator: str, width: int) -> tuple[str, ...]:
    """Return the fields of the last comment above all rows, where it has as many as rows have."""
    known = set(comments)
    above = []
    for i, line in enumerate(lines):
        if i in known:
            above.append(line)
        elif line.strip():
            break
    if not above or not mark:
        return ()
    found = records(above[-1].lstrip(" \t").removeprefix(mark).strip(" \r"), separator, 2)
    return tuple(found[0]) if width > 1 and [len(r) for r in found] == [width] else ()


def _without_blank(text: str, separator: str) -> tuple[str, int]:
    """Return a text in which lines of spaces and separators alone are empty, and how many of them had separators."""
    lines, parts = text.split("\n"), f"{separator} \t\r"
    blank = _outside_quotes(lines, [i for i, line in enumerate(lines) if line.rstrip("\r") and not line.strip(parts)])
    return _without(lines, blank), sum(separator.strip(" ") != "" and separator in lines[i] for i in blank)


def _outside_quotes(lines: Sequence[str], some: list[int]) -> list[int]:
    """Return those of some lines that do not begin within quotes."""
    if not some or not any('"' in line for line in lines):
        return some
    quotes = list(accumulate((line.count('"') for line in lines), initial=0))
    return [i for i in some if quotes[i] % 2 == 0]


def _without(lines: Sequence[str], left_out: Sequence[int]) -> str:
    """Return the text with some of its lines empty: the others keep their numbers."""
    gone = set(left_out)
    return "\n".join("" if i in gone else line for i, line in enumerate(lines))


def _with_tabs(text: str) -> str:
    """Return a text whose columns are separated by tabs where runs of spaces and tabs separated them."""
    tabbed = _OUTSIDE_QUOTES.sub(lambda m: m.group() if m.group().startswith('"') else "\t", text)
    return re.sub(r"(?m)^\t|\t?\r?$", "", tabbed)
