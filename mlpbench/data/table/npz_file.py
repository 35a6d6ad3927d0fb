"""Arrays of the user's own in an npz file, which numpy makes: `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

Everything in such a file is checked before it is used: a header of 60 bytes may ask for terabytes.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.messages import shown, suggestion
from mlpbench.data.table.columns import (
    MAX_BYTES,
    Column,
    ColumnPlace,
    Table,
    file_error,
    flag_column,
    number_column,
    reading,
    reason,
    text_column,
)

_PLAIN = "the arrays of an npz file must be plain numbers, true and false or text"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: Path, name: str, target: str) -> tuple[Table, Table | None]:
    """Return the table of `x` and the target of an npz file; or of `x_train` and `x_test`, each with its target.

    x is (rows, ...), read as one column for each number of a row; the target is (rows,), and the last column. Raises
    InputError for anything else.
    """
    with reading(name), _as_npz(name), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [m.filename.removesuffix(".npy") for m in members]
        wanted = _wanted(members, names, name, target)
        arrays = {n: _array(archive, members[names.index(n)], n, name) for n in wanted}
    tables = [_table(arrays, x, y, name) for x, y in zip(wanted[::2], wanted[1::2])]
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
    # Files of Python 2 are read, with a warning that would be a second line.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with archive.open(member) as file:
            shape, dtype = _header(file, n, name)
            n_bytes = member.file_size - file.tell()
        if dtype.hasobject:
            raise file_error(f"{_PLAIN}, got objects, which are never unpickled", name)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > n_bytes:
            message = f"{n} must have the bytes that its header asks for"
            raise file_error(f"{message}, got {n_bytes} for {dtype} of shape {shown(shape)}", name)
        with archive.open(member) as file:
            read: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
            return read


def _header(file: IO[bytes], n: str, name: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Return shape and type of an array, and leave the file where its values begin."""
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version[0]}.{version[1]}")
        shape, _, dtype = _HEADERS[version](file)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        raise
    # The header is a Python literal: numpy passes on whatever Python's parser makes of garbage, a MemoryError included.
    except Exception as error:
        raise file_error(f"{_PLAIN}, got a header of {n} that says {reason(error)}", name) from None
    return shape, dtype


def _table(arrays: dict[str, NDArray[np.generic]], x_name: str, y_name: str, name: str) -> Table:
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
    named = {f"{x_name}[:, {i}]": flat[:, i] for i in range(flat.shape[1])} | {y_name: y}
    return Table(name=name, columns=[_column(ColumnPlace(file=name, column=n), v) for n, v in named.items()])


def _column(place: ColumnPlace, values: NDArray[np.generic]) -> Column:
    if values.dtype.kind == "b":
        return flag_column(place, values)
    if values.dtype.kind == "U":
        return _text_column(place, values)
    whole = values.dtype.kind in "iu"
    return number_column(place, values, whole=whole, written=(lambda row: values[row].item()) if whole else None)


def _text_column(place: ColumnPlace, values: NDArray[np.generic]) -> Column:
    # Any 32 bits can stand in an array of text, not all of them are characters.
    width = max(1, values.dtype.itemsize // 4)
    points = values.astype(f"=U{width}").view(np.uint32).reshape(len(values), width)
    odd = ((points >= 0xD800) & (points < 0xE000)) | (points > 0x10FFFF)
    if odd.any():
        at = int(np.argmax(odd.any(1)))
        raise place.error(f"text must be of Unicode characters, got {points[at][odd[at]][0]:#x}", at)
    return text_column(place, pa.array(values.tolist(), pa.string()))
