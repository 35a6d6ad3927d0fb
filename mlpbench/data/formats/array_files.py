"""Arrays of the user's own, in npy and npz files, which numpy makes.

An npz file has the arrays `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`; a single array of two axes, in an npz or
npy file, is a table whose columns are named by position. Everything is checked before it is used: a header of 60 bytes may
ask for terabytes.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem, shown, suggestion
from mlpbench.data.dataset import KEY
from mlpbench.data.file_errors import MAX_BYTES, check_unpacked, file_error, reading, reason
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.column_types import flag_column, number_column, typed_column
from mlpbench.data.formats.columns import MOST_COLUMNS, PLAIN, Column, ColumnOptions, ColumnPlace, Table
from mlpbench.data.formats.written_columns import written_columns
from mlpbench.data.npy_files import ArrayError, read_header, read_values

_PLAIN = "the arrays of an {} file must be plain numbers, true and false or text"


def read_npy(path: Path, name: str, choice: ColumnChoice, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of the one array of an npy file; raise InputError where it is none of two axes."""
    size = path.stat().st_size
    check_unpacked(size, size, name)
    with path.open("rb") as file:
        array = _values(file, os.fstat(file.fileno()).st_size, "the array", name)
    return matrix_table(array, "the array", name, choice, asked)


def read_npz(path: Path, name: str, choice: ColumnChoice, asked: ColumnOptions = PLAIN) -> tuple[Table, Table | None]:
    """Return the table of `x` and the target of an npz file; or of `x_train` and `x_test`, each with its target.

    x is (rows, ...), read as one column for each number of a row; the target is (rows,), and the last column. An array of two
    axes that is alone is the table. Raises InputError for anything else.
    """
    with reading(name), _as_npz(name), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [m.filename.removesuffix(".npy") for m in members]
        wanted = _wanted(members, names, name, choice.target)
        check_unpacked(sum(m.file_size for m in members), path.stat().st_size, name)
        arrays = {n: _array(archive, members[names.index(n)], n, name) for n in wanted}
    check_unpacked(4 * sum(a.size for a in arrays.values() if a.itemsize), path.stat().st_size, name)
    if len(wanted) == 1:
        return matrix_table(arrays[wanted[0]], wanted[0], name, choice, asked), None
    tables = [_npz_table(arrays, x, y, name, choice, asked) for x, y in zip(wanted[::2], wanted[1::2])]
    return tables[0], tables[1] if len(tables) > 1 else None


@contextmanager
def _as_npz(name: str) -> Iterator[None]:
    try:
        yield
    except (InputError, SpecProblem, OSError, MemoryError):
        raise
    # zipfile, zlib, lzma and numpy each fail in their own ways over damage, and promise no list of them.
    except Exception as error:
        raise file_error(f"an npz file must be readable as one, got {reason(error)}", name) from None


def _wanted(members: list[zipfile.ZipInfo], names: list[str], name: str, target: str | int | None) -> list[str]:
    size = sum(m.file_size for m in members)
    if size > MAX_BYTES:
        raise file_error(f"an npz file must hold at most {MAX_BYTES} bytes, got {size}", name)
    if len(names) == 1 and (isinstance(target, int) or target not in names):
        return names
    if isinstance(target, int):
        message = f"target must be the name of an array where an npz file has several ({', '.join(names)})"
        raise SpecProblem((KEY, "target"), f"{message}, got {target}")
    label = target if target is not None else "y"
    whole, parts = ["x", label], [f"{n}_{part}" for part in ("train", "test") for n in ("x", label)]
    wanted = parts if any(n in names for n in parts) else whole
    if wanted == whole and len(names) == 2 and label in names:
        # Two arrays can be taken in one way alone, whatever the first is called.
        wanted = [next((n for n in names if n != label), label), label]
    for n in wanted:
        if n not in names:
            have = f"an npz file must have the arrays {', '.join(whole)}, or {', '.join(parts)}"
            hint = suggestion(n, names) or "; `target` names the array of the target"
            raise file_error(f"{have}, got {shown(', '.join(names) or 'none')[1:-1]}{hint}", name)
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise file_error(f"the arrays of an npz file must have different names, got {twice!r} twice", name)
    return wanted


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, n: str, name: str) -> NDArray[np.generic]:
    if member.flag_bits & 1:
        raise file_error(f"an npz file must not be encrypted, got {n} with a password", name)
    with archive.open(member) as file:
        return _values(file, member.file_size, n, name)


def _values(file: IO[bytes], size: int, n: str, name: str) -> NDArray[np.generic]:
    """Return the array of a file of so many bytes, called `n` in errors."""
    plain = _PLAIN.format("npz" if name.lower().endswith(".npz") else "npy")
    try:
        header = read_header(file)
    except ArrayError as error:
        raise file_error(f"{plain}, got a header of {n} that says {reason(error)}", name) from None
    if header.dtype.hasobject:
        raise file_error(f"{plain}, got objects, which are never unpickled", name)
    n_bytes = size - header.start
    if header.n_bytes < 0 or header.n_bytes > n_bytes:
        message = f"{n} must have the bytes that its header asks for"
        raise file_error(f"{message}, got {n_bytes} for {header.dtype} of shape {shown(header.shape)}", name)
    return read_values(file, header)


def matrix_table(array: NDArray[np.generic], n: str, name: str, choice: ColumnChoice, asked: ColumnOptions) -> Table:
    """Return the table of an array of two axes, whose columns are named by position, from 1."""
    if array.ndim != 2 or array.dtype.kind not in "iufbU" or not array.size:
        message = f"{n}, which is alone, must be numbers, true and false or text of shape (rows, columns)"
        raise file_error(f"{message}, got {array.dtype} of shape {array.shape}; or give x and y in an npz file", name)
    names = [str(i + 1) for i in range(array.shape[1])]
    chosen = choice.of(names, name, named=False)
    places = [ColumnPlace(file=name, column=names[i]) for i in chosen.keep]
    values, asked = [array[:, i] for i in chosen.keep], chosen.asked(asked)
    if array.dtype.kind == "U":
        # All that a table of text has is written: numbers, words, dates.
        columns = written_columns(places, [_texts(p, v) for p, v in zip(places, values)], asked)
    else:
        columns = [_npz_column(p, v, asked) for p, v in zip(places, values)]
    return Table(
        name=name,
        columns=columns,
        notes=(f"columns of the array are named 1 to {len(names)}",),
        target=chosen.target or "",
        left_out=chosen.left_out,
        split_by=chosen.split_by,
        is_named=False,
    )


def _npz_table(
    arrays: dict[str, NDArray[np.generic]],
    x_name: str,
    y_name: str,
    name: str,
    choice: ColumnChoice,
    asked: ColumnOptions,
) -> Table:
    x, y = arrays[x_name], arrays[y_name]
    if x.ndim < 2 or x.dtype.kind not in "iufb":
        message = f"{x_name} must be numbers of shape (rows, columns)"
        raise file_error(f"{message}, got {x.dtype} of shape {x.shape}", name)
    if y.shape == (len(x), 1):
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "iufbU" or len(y) != len(x):
        message = f"{y_name} must be numbers, true and false or text of shape ({len(x)},), one per row of {x_name}"
        raise file_error(f"{message}, got {y.dtype} of shape {y.shape}", name)
    if not len(x) or not x[0].size:
        raise file_error(f"{x_name} must have rows and columns, got shape {x.shape}", name)
    flat = x.reshape(len(x), -1)
    if flat.shape[1] > MOST_COLUMNS:
        raise file_error(f"{x_name} must have at most {MOST_COLUMNS} numbers per row, got {flat.shape[1]}", name)
    if choice.split_by is not None:
        option = choice.split_by.option
        rule = f"{option} must be a column of a table, and x and y of an npz file have none for it"
        hint = "put all columns in one array of two axes, or in a text or parquet file"
        raise SpecProblem((KEY, option), f"{rule}, got {shown(choice.split_by.column)}; {hint}")
    chosen = _inputs(choice, flat.shape[1], name)
    whole = [*(f"{x_name}[:, {i}]" for i in range(flat.shape[1])), y_name]
    left_out = [n for i, n in enumerate(whole[:-1]) if i not in set(chosen)]
    choice.check_words(whole, name, set(range(flat.shape[1])) - set(chosen))
    words = choice.found_words(whole, name)
    asked = replace(asked, words=(*asked.words, *words))
    named = {f"{x_name}[:, {i}]": flat[:, i] for i in chosen} | {y_name: y}
    columns = [_npz_column(ColumnPlace(file=name, column=n), v, asked) for n, v in named.items()]
    return Table(name=name, columns=columns, target=y_name, left_out=tuple(left_out), is_named=False)


def read_new_rows(path: Path, name: str, learned: Sequence[str], asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of the inputs of an npz file, whose columns are named as those that were learned from such a file.

    Args:
        path: the file, with one array, or one of the name of that which was learned from; others are passed over.
        name: what the file is called in errors.
        learned: the names of the columns that were learned from, `x[:, 0]` and the like.
        asked: what is said of how columns are read.

    Raises InputError for other arrays.

    """
    x_name = learned[0].partition("[")[0]
    with reading(name), _as_npz(name), zipfile.ZipFile(path) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        wanted = next((n for n in (x_name, x_name.removesuffix("_train")) if n in members), None)
        if wanted is None and len(members) == 1:
            wanted = next(iter(members))
        if wanted is None:
            message = f"new rows of an npz file must be the array {x_name}, or one that is alone"
            raise file_error(f"{message}, got {shown(', '.join(members) or 'none')[1:-1]}", name)
        check_unpacked(members[wanted].file_size, path.stat().st_size, name)
        x = _array(archive, members[wanted], wanted, name)
    if x.ndim < 2 or x.dtype.kind not in "iufb" or not x.size:
        raise file_error(f"{wanted} must be numbers of shape (rows, columns), got {x.dtype} of shape {x.shape}", name)
    flat = x.reshape(len(x), -1)
    places = [ColumnPlace(file=name, column=f"{x_name}[:, {i}]") for i in range(flat.shape[1])]
    return Table(name=name, columns=[_npz_column(p, v, asked) for p, v in zip(places, flat.T)], is_named=False)


def _inputs(choice: ColumnChoice, width: int, name: str) -> list[int]:
    """Return which columns of x are read: `drop` and `columns` name them by position, from 1."""
    if choice.drop is None and choice.columns is None:
        return list(range(width))
    names = [str(i + 1) for i in range(width)]
    return list(ColumnChoice(drop=choice.drop, columns=choice.columns).of(names, name, named=False).keep)


def _npz_column(place: ColumnPlace, values: NDArray[np.generic], asked: ColumnOptions) -> Column:
    if values.dtype.kind == "U":
        return written_columns([place], [_texts(place, values)], asked, has_types=True)[0]
    if asked.are_words(place.column):
        return typed_column(place, pa.array(values), asked)
    if values.dtype.kind == "b":
        return flag_column(place, values)
    whole = values.dtype.kind in "iu"
    written = (lambda row: values[row].item()) if whole else None
    return number_column(place, values, whole=whole, written=written, asked=asked)


def _texts(place: ColumnPlace, values: NDArray[np.generic]) -> pa.StringArray:
    # Any 32 bits can stand in an array of text, not all of them are characters.
    width = max(1, values.dtype.itemsize // 4)
    points = values.astype(f"=U{width}").view(np.uint32).reshape(len(values), width)
    odd = ((points >= 0xD800) & (points < 0xE000)) | (points > 0x10FFFF)
    if odd.any():
        at = int(np.argmax(odd.any(1)))
        raise place.error(f"text must be of Unicode characters, got {points[at][odd[at]][0]:#x}", at)
    return pa.array(values.tolist(), pa.string())
