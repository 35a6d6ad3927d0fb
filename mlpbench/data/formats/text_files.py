"""Text files of the user's own: from bytes to columns of text, whose types follow from how values are written.

pyarrow splits the rows; what is to be known before, how the file is encoded, separated and headed, is recognised or said.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mlpbench.base.models import shown
from mlpbench.data.file_errors import file_error, reason
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.columns import PLAIN, ColumnOptions, ColumnPlace, Table
from mlpbench.data.formats.written_columns import written_columns
from mlpbench.data.text.dialect import MOST_ROWS, Dialect, TextOptions, in_words, recognise, record, records, sample
from mlpbench.data.text.header_row import index_note, names_for, read_header
from mlpbench.data.text.packed_files import read_content
from mlpbench.data.text.text_encoding import decoded
from mlpbench.data.text.value_kinds import kind_of

# A line of one word above rows of so many values is a title.
LEAST_BELOW_TITLE = 3


def read_text(
    path: Path, name: str, suffix: str, choice: ColumnChoice, options: TextOptions, asked: ColumnOptions = PLAIN
) -> Table:
    """Return the table of a text file; raise InputError, with the line, where it is not a clean one.

    Args:
        path: the file.
        name: what the file is called in errors.
        suffix: how its name ends, without what says that it is packed.
        choice: the columns that are read.
        options: what is said of how it is written.
        asked: what is said of how its columns are read.

    """
    text, encoding = decoded(read_content(path, name), options.encoding, name)
    _check(text, name)
    dialect, titles = _without_titles(recognise(text, options, name, suffix), options)
    del text
    rows = records(sample(dialect.text), dialect.separator, MOST_ROWS)
    if not rows:
        raise file_error("a data file must have rows, got comments alone", name)
    separator, first_line = dialect.separator, record(sample(dialect.text), dialect.separator, 0)[1]
    header = read_header(rows, dialect.commented, options, name, first_line, choice.only or ())
    if header.in_file and len(rows) == 1:
        raise file_error("a data file must have rows, got a header alone", name)
    body = _without_lines(dialect.text, first_line) if header.in_file else dialect.text
    rows = rows[1:] if header.in_file else rows
    widths = [len(r) for r in rows]
    width = max(set(widths), key=widths.count)
    columns = _parsed(body, separator, width, name)
    left, ends = _without_ends(columns, header.names)
    notes = [f"read as {encoding}"] if encoding else []
    notes += [*dialect.notes, *titles, *header.notes, *ends]
    names, is_unnamed = names_for(header, len(left), options, separator, name)
    may_be_index = header.names is not None and names[0] not in choice.names()
    if may_be_index and (note := index_note(names[0], left[0], separator, name, unnamed_by_header=is_unnamed)):
        notes.append(note)
        names, left = names[1:], left[1:]
    chosen = choice.of(names, name, named=header.names is not None)

    def line(row: int) -> int:
        return record(body, separator, row)[1]

    places = [ColumnPlace(file=name, column=names[i], line=line) for i in chosen.keep]
    return Table(
        name=name,
        columns=written_columns(places, [left[i] for i in chosen.keep], chosen.asked(asked)),
        notes=(*notes, *chosen.notes),
        target=chosen.target or "",
        left_out=chosen.left_out,
        split_by=chosen.split_by,
        is_named=header.names is not None,
    )


def _check(text: str, name: str) -> None:
    if not text.strip():
        raise file_error("a data file must have a header and rows, got an empty file", name)
    if text.count('"') % 2:
        line = text.count("\n", 0, text.rindex('"')) + 1
        hint = "one within a value stands twice, in a value in quotes; else take it out"
        raise file_error(f"a quote must be closed, got an odd number of quotes; {hint}", name, line=line)


def _without_titles(dialect: Dialect, options: TextOptions) -> tuple[Dialect, list[str]]:
    """Return a text without the lines above its header that have one value, a word, where rows have three and more; and a note."""
    head = sample(dialect.text)
    rows = records(head, dialect.separator, MOST_ROWS)
    widths = [len(r) for r in rows]
    if (
        not rows
        or options.header not in (None, True)
        or dialect.commented
        or max(set(widths), key=widths.count) < LEAST_BELOW_TITLE
    ):
        return dialect, []
    titles = 0
    while titles < len(rows) - 1 and [kind_of(v) for v in rows[titles] if v.strip()] == ["text"]:
        titles += 1
    if not titles:
        return dialect, []
    text = _without_lines(dialect.text, record(head, dialect.separator, titles - 1)[1])
    what = "1 line above the header is a title" if titles == 1 else f"{titles} lines above the header are titles"
    return replace(dialect, text=text), [f"{what} and left out"]


def _without_lines(text: str, n: int) -> str:
    """Return a text whose first lines are empty: the others keep their numbers."""
    at = 0
    for _ in range(n):
        at = text.find("\n", at) + 1
        if not at:
            return "\n" * n
    return "\n" * n + text[at:]


def _parsed(text: str, separator: str, width: int, name: str) -> list[pa.Array[Any]]:
    ragged: list[pa.csv.InvalidRow] = []

    def refuse(row: pa.csv.InvalidRow) -> Literal["error"]:
        ragged.append(row)
        return "error"

    content = text.encode()
    positions = [str(i) for i in range(width)]
    try:
        read = pa.csv.read_csv(
            io.BytesIO(content),
            # One block: rows are then numbered, and none can be too long for a block.
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=max(len(content) + 1, 1024), column_names=positions
            ),
            parse_options=pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if not ragged:
            raise file_error(f"a text file must be a table, got {reason(error)}", name) from None
        row = ragged[0]
        line = record(text, separator, (row.number or 1) - 1)[1]
        got = f"{row.actual_columns} in {shown(row.text[:80])}"
        message = f"a row must have {row.expected_columns} values, one per column, got {got}"
        raise file_error(
            f"{message}; columns were split at {in_words(separator)}: say `separator` if it is another", name, line=line
        ) from None
    return [read.column(i).combine_chunks() for i in range(width)]


def _without_ends(columns: list[pa.Array[Any]], names: Sequence[str] | None) -> tuple[list[pa.Array[Any]], list[str]]:
    """Return the columns without those at the end that have neither a name nor a value, and what to say of that."""
    width = len(columns)
    while width > 1 and (names is None or len(names) < width or not names[width - 1]):
        if pc.any(pc.not_equal(pc.utf8_trim_whitespace(columns[width - 1]), pa.scalar(""))).as_py():
            break
        width -= 1
    if width == len(columns):
        return columns, []
    return columns[:width], ["separators at the ends of lines are left out"]
