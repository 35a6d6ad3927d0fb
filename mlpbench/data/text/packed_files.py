"""The content of a data file that may be packed: `.gz`, `.bz2`, `.xz`, or the one member of a `.zip`.

How much a file comes to is counted before any of it is kept: a file of a megabyte may unpack to gigabytes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_regular
from mlpbench.base.models import shown
from mlpbench.data.file_errors import MAX_BYTES, check_unpacked, file_error, reason

PACKED = (".gz", ".bz2", ".xz", ".zip")
_PIECE = 2**20
_STREAMS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


def read_content(path: Path, name: str) -> bytes:
    """Return what is in a data file, unpacked where its name ends in one of `PACKED`; raise InputError where it is damaged."""
    content = read_regular(path, MAX_BYTES)
    if path.suffix.lower() not in PACKED:
        return content
    open_ = _opener(path.suffix.lower(), content, name)
    try:
        unpacked = 0
        for piece in _pieces(open_):
            unpacked += len(piece)
            check_unpacked(unpacked, len(content), name)
        with open_() as file:
            return file.read(unpacked)
    except (InputError, MemoryError):
        raise
    # gzip, bz2, lzma and zipfile each fail in their own ways over damage, and promise no list of them.
    except Exception as error:
        raise _damaged(path.suffix.lower(), name, error) from None


def _opener(suffix: str, content: bytes, name: str) -> Callable[[], IO[bytes]]:
    if suffix != ".zip":
        return lambda: _STREAMS[suffix](io.BytesIO(content))
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:
        raise _damaged(suffix, name, error) from None
    # What macOS adds beside each file is none of the user's.
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        names = shown(", ".join(m.filename for m in members) or "none")[1:-1]
        raise file_error(f"a zip file must hold one file, got {names}; unpack the one that is meant", name)
    if members[0].flag_bits & 1:
        raise file_error("a zip file must not be encrypted, got one with a password", name)
    return lambda: archive.open(members[0])


def _pieces(open_: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with open_() as file:
        while piece := file.read(_PIECE):
            yield piece


def _damaged(suffix: str, name: str, error: Exception) -> InputError:
    return file_error(f"a {suffix[1:]} file must be readable as one, got {reason(error)}", name)
