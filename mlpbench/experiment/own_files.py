"""The user's own files, read into columns: csv and parquet tables, arrays in npz.

A column is numbers, true/false, or words; it has no gaps and nothing infinite. Whatever a file has beside that is refused,
with the file, the column and the line or row.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlpbench.errors import InputError
from mlpbench.experiment.kinds import shown, suggestion
from mlpbench.experiment.own_data import MAX_BYTES

Kind = Literal["number", "flag", "word"]
KINDS: dict[Kind, str] = {"number": "numbers", "flag": "true and false", "word": "text"}
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_FLAG = r"^(true|false|True|False|TRUE|FALSE)$"
_NOT_FINITE = r"^(?i:[+-]?(inf|infinity|nan))$"
_MISSING = r"^(?i:na|n/a|nan|null|none|\?|-)$"
_FLAGS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column as float64: numbers, 0 and 1 for flags, codes 0, 1, ... into `words` for text.

    `whole` numbers are written without a decimal point, or are of a whole-number type.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]
    words: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of one file, called `name` in errors."""

    name: str
    columns: Sequence[Column]

    @property
    def rows(self) -> int:
        """How many rows every column has."""
        return len(self.columns[0].values)


Place = Callable[[int], str]


def wrong(message: str, *place: str) -> InputError:
    """Return the error of a data file: rule and value, then where."""
    return InputError(f"{message} ({', '.join(place)})")


def read_table(path: Path, name: str) -> Table:
    """Return the table of a csv or parquet file; raise InputError for anything that is not a clean table."""
    try:
        table = _csv(path, name) if path.suffix == ".csv" else _parquet(path, name)
    except OSError as error:
        raise wrong(f"a data file must be readable, got {(error.strerror or str(error)).lower()!r}", name) from None
    if not table.rows:
        raise wrong("a data file must have rows, got a header alone", name)
    return table


def _names(names: Sequence[str], name: str) -> None:
    """Refuse names of columns that are missing or stand twice."""
    for i, column in enumerate(names):
        if not column or re.fullmatch(r"__index_level_\d+__", column):
            hint = "a table that pandas wrote with its index? write it with index=False"
            raise wrong(f"a column must have a name of its own, got {column!r} for column {i + 1}; {hint}", name)
        if column in names[:i]:
            raise wrong(f"the columns of a table must have different names, got {column!r} twice", name)


def _csv(path: Path, name: str) -> Table:
    content = path.read_bytes()
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
    header = _record(text, 0)[0]
    if len(header) == 1 and (other := next((c for c in ";\t|" if c in header[0]), None)):
        raise wrong(f"the columns of a csv file must be separated by commas, got {other!r}", name, "line 1")
    names = [h.strip() for h in header]
    _names(names, name)
    del text
    read = _parsed(content, header, name)

    def place(row: int) -> str:
        return f"line {_record(content.decode('utf-8-sig'), row + 1)[1]}"

    columns = [_text_column(n, read.column(i).combine_chunks(), name, place) for i, n in enumerate(names)]
    return Table(name=name, columns=columns)


def _record(text: str, number: int) -> tuple[list[str], int]:
    """Return a record of a csv text that is not an empty line, counted from 0, and the line it ends on."""
    reader = csv.reader(io.StringIO(text, newline=""))
    csv.field_size_limit(2**31 - 1)
    seen = -1
    for record in reader:
        seen += bool(record)
        if seen == number:
            return record, reader.line_num
    raise AssertionError("the record was counted before")


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
            raise wrong(f"a csv file must be a table, got '{str(error).splitlines()[0]}'", name) from None
        row = ragged[0]
        line = _record(content.decode("utf-8-sig"), (row.number or 2) - 1)[1]
        got = f"{row.actual_columns} in {shown(row.text[:80])}"
        message = f"a row must have {row.expected_columns} values, one a column, got {got}"
        raise wrong(message, name, f"line {line}") from None
    if read.num_columns != len(header):
        raise wrong(f"a csv file must have one header, got {len(header)} names or {read.num_columns}", name, "line 1")
    return read


def _text_column(column: str, raw: pa.Array[Any], name: str, place: Place) -> Column:
    """Tell what a column of text holds; raise InputError where that is several things."""
    text = pc.utf8_trim_whitespace(raw)
    here = f"column {column!r}"
    if (at := _first(pc.equal(text, pa.scalar("")))) is not None:
        raise wrong("a table must have no gaps, got an empty value", name, here, place(at))
    number = pc.match_substring_regex(text, _NUMBER)
    if not len(text) or pc.all(number).as_py():
        whole = bool(pc.all(pc.match_substring_regex(text, _WHOLE)).as_py())
        return _numbers(column, pc.cast(text, pa.float64()).to_numpy(), name, place, whole=whole)
    flag = pc.match_substring_regex(text, _FLAG)
    if pc.all(flag).as_py():
        values = pc.equal(pc.utf8_lower(text), pa.scalar("true")).cast(pa.float64()).to_numpy()
        return Column(name=column, kind="flag", values=values)
    lacking = pc.or_(pc.match_substring_regex(text, _MISSING), pc.match_substring_regex(text, _NOT_FINITE))
    if pc.all(pc.or_(number, lacking)).as_py():
        at = _first(pc.invert(number))
        assert at is not None
        value = text[at].as_py()
        infinite = re.match(r"(?i)[+-]?inf", value)
        rule = "a number must be finite" if infinite else "a table must have no gaps"
        raise wrong(f"{rule}, got {value!r} among numbers", name, here, place(at))
    for other, what in ((number, "number"), (flag, "flag")):
        if pc.any(other).as_py():
            few = 2 * np.count_nonzero(other.to_numpy(zero_copy_only=False)) < len(text)
            at = _first(other if few else pc.invert(other))
            assert at is not None
            among = "text" if few else KINDS[what]  # type: ignore[index]
            message = f"a column must hold one kind of value, got {shown(text[at].as_py())} among {among}"
            raise wrong(message, name, here, place(at))
    return _words(column, text)


def _first(mask: pa.Array[Any]) -> int | None:
    """Return the first position at which a mask is true."""
    at = pc.index(mask, pa.scalar(True)).as_py()
    return None if at < 0 else at


def _numbers(column: str, values: NDArray[np.generic], name: str, place: Place, *, whole: bool) -> Column:
    numbers = np.asarray(values, np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        at = int(np.argmin(finite))
        rule = "a table must have no gaps" if np.isnan(numbers[at]) else "a number must be finite and fit 64 bits"
        raise wrong(f"{rule}, got {numbers[at]}", name, f"column {column!r}", place(at))
    return Column(name=column, kind="number", values=numbers, whole=whole)


def _words(column: str, text: pa.Array[Any]) -> Column:
    coded = text.dictionary_encode()
    words = np.array(coded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(words)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    values = rank[coded.indices.to_numpy()].astype(np.float64)
    return Column(name=column, kind="word", values=values, words=tuple(words[order]))


def _parquet(path: Path, name: str) -> Table:
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _names(names, name)
            if file.metadata.num_rows * len(names) * 8 > MAX_BYTES:
                message = f"a table must have at most {MAX_BYTES // 8} values, got {file.metadata.num_rows} rows"
                raise wrong(f"{message} of {len(names)} columns", name)
            table = file.read()
    except (pa.ArrowException, ValueError) as error:
        why = (str(error).splitlines() or ["nothing"])[0].rstrip(".")
        raise wrong(f"a parquet file must be readable as one, got '{why}'", name) from None
    if not names:
        raise wrong("a data file must have columns, got none", name)
    columns = [_typed_column(n, table.column(i), name) for i, n in enumerate(names)]
    return Table(name=name, columns=columns)


def _typed_column(column: str, chunked: pa.ChunkedArray[Any], name: str) -> Column:
    raw = chunked.combine_chunks()
    if pa.types.is_dictionary(raw.type):
        raw = raw.cast(raw.type.value_type)
    here, kind = f"column {column!r}", raw.type
    if raw.null_count:
        raise wrong("a table must have no gaps, got a null", name, here, _row(_first(pc.is_null(raw)) or 0))
    if pa.types.is_boolean(kind):
        return Column(name=column, kind="flag", values=raw.cast(pa.int8()).to_numpy().astype(np.float64))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = raw.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _numbers(column, values, name, _row, whole=pa.types.is_integer(kind))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if (at := _first(pc.equal(pc.utf8_trim_whitespace(raw), pa.scalar("")))) is not None:
            raise wrong("a table must have no gaps, got an empty value", name, here, _row(at))
        return _words(column, raw)
    raise wrong(f"a column must hold numbers, true and false or text, got {kind}", name, here)


def _row(at: int) -> str:
    return f"row {at + 1}"


def read_arrays(path: Path, name: str, target: str) -> tuple[Table, Table | None]:
    """Return the table of `x` and the target of an npz file; or of `x_train` and `x_test`, each with its target.

    x is (rows, ...), read as one column for each number of a row; the target is (rows,), and the last column. Raises
    InputError for anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(f.file_size for f in archive.infolist())
            names = [f.filename.removesuffix(".npy") for f in archive.infolist()]
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise wrong(f"an npz file must be readable as one, got '{error}'", name) from None
    if size > MAX_BYTES:
        raise wrong(f"an npz file must hold at most {MAX_BYTES} bytes, got {size}", name)
    whole, parts = ["x", target], [f"{n}_{part}" for part in ("train", "test") for n in ("x", target)]
    wanted = parts if any(n in names for n in parts) else whole
    for n in wanted:
        if n not in names:
            have = f"an npz file must have the arrays {', '.join(whole)}, or {', '.join(parts)}"
            raise wrong(f"{have}, got {', '.join(names) or 'none'}{suggestion(n, names)}", name)
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise wrong(f"the arrays of an npz file must have different names, got {twice!r} twice", name)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {n: np.asarray(file[n]) for n in wanted}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        why = "objects, which are never unpickled" if "pickle" in str(error) else f"'{str(error).splitlines()[0]}'"
        message = f"the arrays of an npz file must be plain numbers, true and false or text, got {why}"
        raise wrong(message, name) from None
    tables = [_array_table(arrays, x, y, name) for x, y in zip(wanted[::2], wanted[1::2])]
    return tables[0], tables[1] if len(tables) > 1 else None


def _array_table(arrays: dict[str, NDArray[np.generic]], x_name: str, y_name: str, name: str) -> Table:
    x, y = arrays[x_name], arrays[y_name]
    if x.ndim < 2 or x.dtype.kind not in "iufb":
        message = f"{x_name} must be numbers of shape (rows, columns)"
        raise wrong(f"{message}, got {x.dtype} of shape {x.shape}", name)
    if y.ndim != 1 or y.dtype.kind not in "iufbU" or len(y) != len(x):
        message = f"{y_name} must be numbers, true and false or text of shape ({len(x)},), one a row of {x_name}"
        raise wrong(f"{message}, got {y.dtype} of shape {y.shape}", name)
    if not len(x) or not x[0].size:
        raise wrong(f"{x_name} must have rows and columns, got shape {x.shape}", name)
    flat = x.reshape(len(x), -1)
    kind: Kind = "flag" if x.dtype.kind == "b" else "number"
    made = [_array_column(f"{x_name}[:, {i}]", flat[:, i], name, kind) for i in range(flat.shape[1])]
    if y.dtype.kind == "U":
        last = _words(y_name, pa.array(y.tolist(), pa.string()))
    else:
        last = _array_column(y_name, y, name, "flag" if y.dtype.kind == "b" else "number")
    return Table(name=name, columns=[*made, last])


def _array_column(column: str, values: NDArray[np.generic], name: str, kind: Kind) -> Column:
    if kind == "flag":
        return Column(name=column, kind="flag", values=values.astype(np.float64))
    return _numbers(column, values, name, _row, whole=values.dtype.kind in "iu")
