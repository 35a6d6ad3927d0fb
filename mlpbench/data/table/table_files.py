"""Csv, parquet and npz files of the user's own.

A csv file is UTF-8, with commas and a header; pyarrow reads all its values as text, and the type of a column follows from
how they are written. That of a parquet file follows from its schema. An npz file, which numpy makes, has the arrays `x` and
`y`, or `x_train`, `y_train`, `x_test`, `y_test`; everything in it is checked before it is used: a header of 60 bytes may ask
for terabytes.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_regular
from mlpbench.base.models import shown, suggestion
from mlpbench.data.npy_files import ArrayError, read_header, read_values
from mlpbench.data.table.column_types import (
    COLUMN_RULE,
    flag_column,
    is_text,
    number_column,
    typed_column,
    typed_text_column,
)
from mlpbench.data.table.columns import (
    MAX_BYTES,
    MOST_COLUMNS,
    PLAIN,
    Column,
    ColumnOptions,
    ColumnPlace,
    Table,
    check_unpacked,
    column_names,
    file_error,
    letters,
    reading,
    reason,
)
from mlpbench.data.table.written_columns import written_columns

_PLAIN = "the arrays of an npz file must be plain numbers, true and false or text"


def read_table(path: Path, name: str, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of a csv or parquet file, called `name` in errors; raise InputError where it is not a clean one."""
    with reading(name):
        return (read_csv if path.suffix == ".csv" else read_parquet)(path, name, asked)


def read_csv(path: Path, name: str, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of a csv file; raise InputError, with the line, where it is not a clean one."""
    content = read_regular(path, MAX_BYTES)
    text = _text(content, name)
    header = _record(text, 0)[0]
    if len(header) == 1 and (other := next((c for c in ";\t|" if c in header[0]), None)):
        raise file_error(f"the columns of a csv file must be separated by commas, got {other!r}", name, line=1)
    names = column_names(header, name)
    if not _record(text, 1)[0]:
        raise file_error("a data file must have rows, got a header alone", name)
    del text
    read = _parsed(content, header, name)

    def line(row: int) -> int:
        return _record(content.decode("utf-8-sig"), row + 1)[1]

    places = [ColumnPlace(file=name, column=n, line=line) for n in names]
    raw = [read.column(i).combine_chunks() for i in range(len(places))]
    return Table(name=name, columns=written_columns(places, raw, asked))


def _text(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"a csv file must be UTF-8, got byte {content[error.start]:#04x}"
        raise file_error(message, name, line=line) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise file_error("a csv file must be text, got a zero byte", name, line=line)
    if not text.strip():
        raise file_error("a data file must have a header and rows, got an empty file", name)
    if text.count('"') % 2:
        line = text.count("\n", 0, text.rindex('"')) + 1
        raise file_error("a quote must be closed, got an odd number of quotes", name, line=line)
    return text


def _record(text: str, number: int) -> tuple[list[str], int]:
    """Return a record of a csv text that is not an empty line, counted from 0, and the line it ends on.

    Where there are fewer records, it is empty, and the line the last. pyarrow counts records; a line break may stand in one.
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
            raise file_error(f"a csv file must be a table, got {reason(error)}", name) from None
        row = ragged[0]
        line = _record(content.decode("utf-8-sig"), (row.number or 2) - 1)[1]
        got = f"{row.actual_columns} in {shown(row.text[:80])}"
        message = f"a row must have {row.expected_columns} values, one per column, got {got}"
        raise file_error(message, name, line=line) from None
    if read.column_names != list(header):
        got = f"{shown(header)} or {shown(read.column_names)}"
        raise file_error(f"a csv file must have one header, got {got}", name, line=1)
    return read


def read_parquet(path: Path, name: str, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of a parquet file; raise InputError, with the row, where it is not a clean one."""
    try:
        with path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            schema = pq.read_schema(opened)
            text = [field.name for field in schema if is_text(field.type)]
            # A word that stands in many rows stands once in memory, until it is known how much all of them come to.
            with pq.ParquetFile(opened, read_dictionary=text) as file:
                written = list(schema.names)
                if file.metadata.num_rows * len(written) * 8 > MAX_BYTES:
                    message = f"a table must have at most {MAX_BYTES // 8} values, got {file.metadata.num_rows} rows"
                    raise file_error(f"{message} of {len(written)} columns", name)
                names = column_names(written, name)
                for field in schema:
                    if pa.types.is_nested(field.type):
                        raise ColumnPlace(file=name, column=field.name).error(f"{COLUMN_RULE}, got {field.type}")
                groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
                numbers = file.metadata.num_rows * (len(written) - len(text)) * 8
                check_unpacked(max(numbers, sum(group.total_byte_size for group in groups)), size, name)
                table = file.read()
        check_unpacked(numbers + sum(letters(table.column(i)) for i in map(written.index, text)), size, name)
    except (pa.ArrowException, ValueError) as error:
        raise file_error(f"a parquet file must be readable as one, got {reason(error)}", name) from None
    if not names:
        raise file_error("a data file must have columns, got none", name)
    if not table.num_rows:
        raise file_error("a data file must have rows, got a header alone", name)
    places = [ColumnPlace(file=name, column=n) for n in names]
    return Table(name=name, columns=[typed_column(p, table.column(i), asked) for i, p in enumerate(places)])


def read_npz(path: Path, name: str, target: str, asked: ColumnOptions = PLAIN) -> tuple[Table, Table | None]:
    """Return the table of `x` and the target of an npz file; or of `x_train` and `x_test`, each with its target.

    x is (rows, ...), read as one column for each number of a row; the target is (rows,), and the last column. Raises
    InputError for anything else.
    """
    with reading(name), _as_npz(name), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [m.filename.removesuffix(".npy") for m in members]
        wanted = _wanted(members, names, name, target)
        check_unpacked(sum(m.file_size for m in members), path.stat().st_size, name)
        arrays = {n: _array(archive, members[names.index(n)], n, name) for n in wanted}
    check_unpacked(4 * sum(a.size for a in arrays.values() if a.itemsize), path.stat().st_size, name)
    tables = [_npz_table(arrays, x, y, name, asked) for x, y in zip(wanted[::2], wanted[1::2])]
    return tables[0], tables[1] if len(tables) > 1 else None


@contextmanager
def _as_npz(name: str) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    # zipfile, zlib, lzma and numpy each fail in their own ways over damage, and promise no list of them.
    except Exception as error:
        raise file_error(f"an npz file must be readable as one, got {reason(error)}", name) from None


def _wanted(members: list[zipfile.ZipInfo], names: list[str], name: str, target: str) -> list[str]:
    size = sum(m.file_size for m in members)
    if size > MAX_BYTES:
        raise file_error(f"an npz file must hold at most {MAX_BYTES} bytes, got {size}", name)
    whole, parts = ["x", target], [f"{n}_{part}" for part in ("train", "test") for n in ("x", target)]
    wanted = parts if any(n in names for n in parts) else whole
    for n in wanted:
        if n not in names:
            have = f"an npz file must have the arrays {', '.join(whole)}, or {', '.join(parts)}"
            raise file_error(f"{have}, got {shown(', '.join(names) or 'none')[1:-1]}{suggestion(n, names)}", name)
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise file_error(f"the arrays of an npz file must have different names, got {twice!r} twice", name)
    return wanted


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, n: str, name: str) -> NDArray[np.generic]:
    if member.flag_bits & 1:
        raise file_error(f"an npz file must not be encrypted, got {n} with a password", name)
    with archive.open(member) as file:
        try:
            header = read_header(file)
        except ArrayError as error:
            raise file_error(f"{_PLAIN}, got a header of {n} that says {reason(error)}", name) from None
        if header.dtype.hasobject:
            raise file_error(f"{_PLAIN}, got objects, which are never unpickled", name)
        n_bytes = member.file_size - header.start
        if header.n_bytes < 0 or header.n_bytes > n_bytes:
            message = f"{n} must have the bytes that its header asks for"
            raise file_error(f"{message}, got {n_bytes} for {header.dtype} of shape {shown(header.shape)}", name)
        return read_values(file, header)


def _npz_table(
    arrays: dict[str, NDArray[np.generic]], x_name: str, y_name: str, name: str, asked: ColumnOptions
) -> Table:
    x, y = arrays[x_name], arrays[y_name]
    if x.ndim < 2 or x.dtype.kind not in "iufb":
        message = f"{x_name} must be numbers of shape (rows, columns)"
        raise file_error(f"{message}, got {x.dtype} of shape {x.shape}", name)
    if y.ndim != 1 or y.dtype.kind not in "iufbU" or len(y) != len(x):
        message = f"{y_name} must be numbers, true and false or text of shape ({len(x)},), one per row of {x_name}"
        raise file_error(f"{message}, got {y.dtype} of shape {y.shape}", name)
    if not len(x) or not x[0].size:
        raise file_error(f"{x_name} must have rows and columns, got shape {x.shape}", name)
    flat = x.reshape(len(x), -1)
    if flat.shape[1] > MOST_COLUMNS:
        raise file_error(f"{x_name} must have at most {MOST_COLUMNS} numbers per row, got {flat.shape[1]}", name)
    named = {f"{x_name}[:, {i}]": flat[:, i] for i in range(flat.shape[1])} | {y_name: y}
    return Table(name=name, columns=[_npz_column(ColumnPlace(file=name, column=n), v, asked) for n, v in named.items()])


def _npz_column(place: ColumnPlace, values: NDArray[np.generic], asked: ColumnOptions) -> Column:
    if values.dtype.kind == "U":
        return _npz_text_column(place, values, asked)
    if place.column in asked.words:
        return typed_column(place, pa.chunked_array([pa.array(values)]), asked)
    if values.dtype.kind == "b":
        return flag_column(place, values)
    whole = values.dtype.kind in "iu"
    written = (lambda row: values[row].item()) if whole else None
    return number_column(place, values, whole=whole, written=written, asked=asked)


def _npz_text_column(place: ColumnPlace, values: NDArray[np.generic], asked: ColumnOptions) -> Column:
    # Any 32 bits can stand in an array of text, not all of them are characters.
    width = max(1, values.dtype.itemsize // 4)
    points = values.astype(f"=U{width}").view(np.uint32).reshape(len(values), width)
    odd = ((points >= 0xD800) & (points < 0xE000)) | (points > 0x10FFFF)
    if odd.any():
        at = int(np.argmax(odd.any(1)))
        raise place.error(f"text must be of Unicode characters, got {points[at][odd[at]][0]:#x}", at)
    return typed_text_column(place, pa.array(values.tolist(), pa.string()), asked)
