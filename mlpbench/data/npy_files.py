"""Arrays in files that anyone may have written: npy files, and the members of npz files.

numpy reads the header of an array as a Python literal, and passes on whatever Python's parser makes of garbage; it allocates
what the header asks for. Here a header is one of the few that arrays of numbers, flags and text have, values are counted
before they are read, and nothing is ever unpickled.

Reference: the npy format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import SHOWN

MAGIC = b"\x93NUMPY"
# The bytes of the length of a header, by version.
LENGTHS = {(1, 0): 2, (2, 0): 4}
# A header has some hundred bytes; a type of many fields, which has more, is none of ours.
MOST_HEADER = 10_000
MOST_AXES = 32
# Arrays of a results folder and of the cache come to less.
MOST_BYTES = 2**28
_HEADER = re.compile(
    r"""\s*\{\s*'descr':\s*'(?P<descr>[^'\\]*)',\s*'fortran_order':\s*(?P<fortran>True|False),\s*"""
    r"""'shape':\s*\((?P<shape>[\dL\s,-]*)\),?\s*\}\s*"""
)
_DESCR = re.compile(r"[<>=|]?[?biufcSUVO]\d{0,9}")
_SIZES = re.compile(r"(-?\d{1,18}L?(, ?-?\d{1,18}L?)*,?)?")


class ArrayError(ValueError):
    """A file that holds no array that may be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ArrayHeader:
    """What a file says of its values: their shape and type, the order they stand in, and the place they begin at."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    start: int

    @property
    def n_bytes(self) -> int:
        """How many bytes the values have; below 0 where a size is."""
        return -1 if min(self.shape, default=0) < 0 else math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Return the header of an array, and leave the file where its values begin; raise ArrayError where it has none."""
    magic = file.read(len(MAGIC) + 2)
    if magic[: len(MAGIC)] != MAGIC or len(magic) < len(MAGIC) + 2:
        raise ArrayError("no npy file")
    version = magic[-2], magic[-1]
    if version not in LENGTHS:
        raise ArrayError(f"version {version[0]}.{version[1]}")
    length = int.from_bytes(file.read(LENGTHS[version]), "little")
    if length > MOST_HEADER:
        raise ArrayError(f"{length} bytes where {MOST_HEADER} are many")
    text = file.read(length).decode("latin-1")
    says = _HEADER.fullmatch(text)
    if says is None or not _SIZES.fullmatch(says["shape"].strip()):
        got = repr(text.strip()) if length <= SHOWN else f"{length} letters"
        raise ArrayError(f"{got} where type, order and shape are expected")
    if not _DESCR.fullmatch(says["descr"]):
        raise ArrayError(f"type {says['descr']}")
    try:
        dtype = np.dtype(says["descr"])
    except (TypeError, ValueError) as error:
        raise ArrayError(f"type {says['descr']}") from error
    shape = tuple(int(size.strip().removesuffix("L")) for size in says["shape"].split(",") if size.strip())
    if len(shape) > MOST_AXES:
        raise ArrayError(f"{len(shape)} axes")
    order: Literal["C", "F"] = "F" if says["fortran"] == "True" else "C"
    return ArrayHeader(shape=shape, dtype=dtype, order=order, start=len(magic) + LENGTHS[version] + length)


def read_values(file: IO[bytes], header: ArrayHeader) -> NDArray[Any]:
    """Return the array that begins where the file is, once its header was read; raise ArrayError where bytes are missing."""
    if header.dtype.hasobject:
        raise ArrayError("objects, which are never unpickled")
    if header.n_bytes < 0:
        raise ArrayError(f"shape {header.shape}")
    content = file.read(header.n_bytes)
    if len(content) != header.n_bytes:
        raise ArrayError(f"{len(content)} bytes of {header.n_bytes}")
    return np.ndarray(header.shape, header.dtype, buffer=content, order=header.order)


def read_npy(content: bytes) -> NDArray[Any]:
    """Return the array of an npy file; raise ArrayError where it has none, or fewer or more bytes than its header says."""
    file = io.BytesIO(content)
    header = read_header(file)
    if header.start + header.n_bytes != len(content):
        raise ArrayError(f"{len(content)} bytes where {header.start} and {header.n_bytes} are expected")
    return read_values(file, header)


def map_npy(path: Path) -> NDArray[Any]:
    """Return the array of an npy file as a map of it, which reads no values; raise ArrayError, OSError.

    The path must be of a regular file: a pipe would be waited for.
    """
    with path.open("rb") as file:
        header, size = read_header(file), file.seek(0, io.SEEK_END)
    if header.dtype.hasobject or header.n_bytes <= 0 or header.start + header.n_bytes != size:
        raise ArrayError(f"{size} bytes where {header.start} and {header.n_bytes} are expected")
    return np.memmap(path, header.dtype, "r", header.start, header.shape, header.order)


def read_npz(content: bytes, names: Sequence[str]) -> list[NDArray[Any]]:
    """Return some arrays of an npz file; raise ArrayError where it lacks one, is damaged, or has more than `MOST_BYTES`.

    An archive says how long its members are, and zipfile reads no more of one than that.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {m.filename: m for m in archive.infolist()}
            if missing := [name for name in names if f"{name}.npy" not in members]:
                raise ArrayError(f"no array {missing[0]}")
            if (size := sum(members[f"{name}.npy"].file_size for name in names)) > MOST_BYTES:
                raise ArrayError(f"{size} bytes, unpacked, where {MOST_BYTES} are the most")
            return [read_npy(archive.read(members[f"{name}.npy"])) for name in names]
    except (ArrayError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # zipfile, zlib and lzma each fail in their own ways over damage, and promise no list of them
        raise ArrayError(str(error) or type(error).__name__) from error
