"""A csv file of the user's own: UTF-8, commas, a header; what a column holds is told from how it is written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mlpbench.base.messages import shown
from mlpbench.data.table.columns import (
    KINDS,
    NO_GAPS,
    Column,
    Kind,
    Source,
    Table,
    check_whole,
    column_names,
    numbers,
    reason,
    wrong,
)
from mlpbench.data.table.text_cells import MISSING, first, words

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_FLAG = r"^(true|false|True|False|TRUE|FALSE)$"
_NOT_FINITE = r"^(?i:[+-]?(inf|infinity|nan))$"


def read_csv(path: Path, name: str) -> Table:
    """Return the table of a csv file, called `name` in errors; raise InputError where it is not a clean one."""
    content = path.read_bytes()
    text = _text(content, name)
    header = _record(text, 0)[0]
    if len(header) == 1 and (other := next((c for c in ";\t|" if c in header[0]), None)):
        raise wrong(f"the columns of a csv file must be separated by commas, got {other!r}", name, "line 1")
    names = column_names(header, name)
    if not _record(text, 1)[0]:
        raise wrong("a data file must have rows, got a header alone", name)
    del text
    read = _parsed(content, header, name)

    def line(row: int) -> str:
        return f"line {_record(content.decode('utf-8-sig'), row + 1)[1]}"

    sources = [Source(file=name, column=n, row=line) for n in names]
    return Table(name=name, columns=[_column(s, read.column(i).combine_chunks()) for i, s in enumerate(sources)])


def _text(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"a csv file must be UTF-8, got byte {content[error.start]:#04x}"
        raise wrong(message, name, f"line {line}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise wrong("a csv file must be text, got a zero byte", name, f"line {line}")
    if not text.strip():
        raise wrong("a data file must have a header and rows, got an empty file", name)
    if text.count('"') % 2:
        line = text.count("\n", 0, text.rindex('"')) + 1
        raise wrong("a quote must be closed, got an odd number of quotes", name, f"the last on line {line}")
    return text


def _record(text: str, number: int) -> tuple[list[str], int]:
    """Return a record of a csv text that is not an empty line, counted from 0, and the line it ends on.

    The record is empty, and the line the last, where there are not so many.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    # The limit is the whole process's: it is put back.
    before = csv.field_size_limit(2**31 - 1)
    try:
        seen = -1
        for record in reader:
            seen += bool(record)
            if seen == number:
                return record, reader.line_num
    finally:
        csv.field_size_limit(before)
    return [], reader.line_num


def _parsed(content: bytes, header: Sequence[str], name: str) -> pa.Table:
    ragged: list[pa.csv.InvalidRow] = []

    def refuse(row: pa.csv.InvalidRow) -> Literal["error"]:
        ragged.append(row)
        return "error"

    try:
        read = pa.csv.read_csv(
            io.BytesIO(content),
            # One block: rows are then numbered, and none can be too long for a block.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=max(len(content) + 1, 1024)),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if not ragged:
            raise wrong(f"a csv file must be a table, got {reason(error)}", name) from None
        row = ragged[0]
        line = _record(content.decode("utf-8-sig"), (row.number or 2) - 1)[1]
        got = f"{row.actual_columns} in {shown(row.text[:80])}"
        message = f"a row must have {row.expected_columns} values, one a column, got {got}"
        raise wrong(message, name, f"line {line}") from None
    if read.column_names != list(header):
        raise wrong(
            f"a csv file must have one header, got {shown(header)} or {shown(read.column_names)}", name, "line 1"
        )
    return read


def _column(source: Source, raw: pa.Array[Any]) -> Column:
    """Tell what a column of text holds; raise InputError where that is several things."""
    text = pc.utf8_trim_whitespace(raw)
    if (at := first(pc.equal(text, pa.scalar("")))) is not None:
        raise source.wrong(f"{NO_GAPS}, got an empty value", at)
    number = pc.match_substring_regex(text, _NUMBER)
    if pc.all(number).as_py():
        whole = bool(pc.all(pc.match_substring_regex(text, _WHOLE)).as_py())
        column = numbers(source, pc.cast(text, pa.float64()).to_numpy(), whole=whole)
        if whole:
            check_whole(source, column.values, lambda row: text[row].as_py())
        return column
    flag = pc.match_substring_regex(text, _FLAG)
    if pc.all(flag).as_py():
        values = pc.equal(pc.utf8_lower(text), pa.scalar("true")).cast(pa.float64()).to_numpy()
        return Column(name=source.column, kind="flag", values=values)
    missing = pc.match_substring_regex(text, MISSING)
    numeric = pc.or_(number, pc.match_substring_regex(text, _NOT_FINITE))
    if pc.any(numeric).as_py() and pc.all(pc.or_(numeric, missing)).as_py():
        at = first(pc.invert(number))
        assert at is not None
        value = text[at].as_py()
        rule = "a number must be finite" if re.match(r"(?i)[+-]?inf", value) else NO_GAPS
        raise source.wrong(f"{rule}, got {value!r} among numbers", at)
    mixed: tuple[tuple[pa.Array[Any], Kind], ...] = ((number, "number"), (flag, "flag"))
    for other, kind in mixed:
        if pc.any(other).as_py() and not pc.all(pc.or_(other, missing)).as_py():
            few = 2 * np.count_nonzero(other.to_numpy(zero_copy_only=False)) < len(text)
            at = first(other if few else pc.invert(other))
            assert at is not None
            message = f"a column must hold one kind of value, got {shown(text[at].as_py())}"
            raise source.wrong(f"{message} among {KINDS['word' if few else kind]}", at)
    return words(source, raw, KINDS["flag" if pc.any(flag).as_py() else "word"])
