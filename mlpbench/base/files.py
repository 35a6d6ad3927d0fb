"""Files that appear whole or not at all, names with checksums, and headers of safetensors files.

A file is written under a temporary name, synced and renamed, and then its folder is synced: what was written is there after
a power failure. While it is written it is locked, so that a file that a killed process left is told from one in use.

Reference: the safetensors format: 8 bytes of length, a header in JSON, the numbers.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from mlpbench.base import obstacles
from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.escapes import shortened, spelt
from mlpbench.base.machine import sync

# The name of a file that a killed process was writing.
UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
# The last entry in the metadata of a file of weights: a checksum of all its bytes, with zeros in its own place.
_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{16})"')
_ZEROS = b'"checksum":"0000000000000000"'
# What the metadata of a file must have.
NEEDED = ("run_id", "weights_sha256", "settings")
# The header's length stands first, in this many bytes.
LENGTH_BYTES = 8
# More bytes than any record, page or picture comes to, and than the weights of a run do.
MARGIN = 2**16
MOST_RECORD, MOST_WEIGHTS = 2**28, 2**36
# Letters of a path that an error names.
MOST_NAME = 400
T = TypeVar("T")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all, and stays; raise MachineError where the disk refuses."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        make_folder(path.parent)
        with _opened(beside) as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
            os.replace(beside, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise refused(path, error) from error


SWEPT_TIMES = 20


def _opened(path: Path) -> BinaryIO:
    """Return a new file to be written, locked as long as it is open, where the file system has locks."""
    for _ in range(SWEPT_TIMES):
        file = path.open("wb")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept away before it was locked
    return path.open("wb")  # a file system that counts no links


def sweep(path: Path) -> None:
    """Remove a file that a killed process was writing; one that a living process is writing is left to it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that it stays after a power failure."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of a folder, where its file system can say so."""
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | os.O_CLOEXEC)
    except PermissionError:  # a folder that may be written to, and not read
        return
    try:
        sync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for a `~` at its beginning, which a shell leaves as it is behind `=`."""
    return Path(os.path.expanduser(path))


def checked_path(path: Path) -> Path:
    """Return a path that a line of text can name; raise InputError where its bytes are not UTF-8, or hold control characters."""
    try:
        name = os.fsencode(path).decode()
    except UnicodeDecodeError:
        name = str(path)
    if spelt(name) != name:
        rule = "a path must be text in UTF-8, without control characters and line breaks"
        raise InputError(f"{rule}, got '{shortened(spelt(name), MOST_NAME)}': rename it")
    return path


def other_spelling(path: Path) -> str | None:
    """Return the name that a folder really has where capitals make no difference, as on macOS; None where it has this one."""
    names: list[str] = []
    if path.exists():
        with suppress(OSError):  # a folder that may not be read
            names = os.listdir(path.parent)
    alike = [name for name in names if name.casefold() == path.name.casefold()]
    return alike[0] if alike and path.name not in alike else None


def read_regular(path: Path, most: int = MOST_RECORD) -> bytes:
    """Return the content of a regular file; raise OSError for what is none, or has more than `most` bytes.

    A pipe in the place of a file would be waited for, and a file of holes may be said to have more bytes than any disk.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(handle, "rb", closefd=False) as file:
            # As much as is asked for is taken of memory before it is read.
            content = file.read(min(most, status.st_size + MARGIN) + 1) if status.st_size <= most else b""
        if max(status.st_size, len(content)) > most:
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
        return content
    finally:
        os.close(handle)


def read_record(path: Path, content: TypeAdapter[T], remedy: str) -> T | None:
    """Return what a JSON file holds, None where it does not exist.

    Raises InputError, which ends with the remedy, where it can't be read or is not such content: what is on record there is
    neither nothing nor to be replaced.
    """
    try:
        return content.validate_json(read_regular(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where}: {first['msg']}" if where else first["msg"]
    except OSError as error:
        why = system_reason(error)
    raise InputError(f"{path} is damaged ({why}): {remedy}")


def parse_json(content: bytes) -> Any:
    """Return what a JSON text holds; raise ValueError for what is none, or is nested too deep to be read."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def write_record(path: Path, content: object) -> None:
    """Write a JSON file, whole and with sorted keys; raise MachineError where the disk refuses."""
    write_whole(path, record(content))


def record(content: object) -> bytes:
    """Return the bytes of a JSON file, with sorted keys."""
    return json.dumps(content, indent=1, sort_keys=True).encode()


def system_reason(error: OSError) -> str:
    """Return what the machine says of an operation that failed, in lower case."""
    return (error.strerror or str(error)).lower()


def refused(path: Path, error: OSError) -> MachineError:
    """Return the error for a file or folder that could not be written."""
    if error.errno in obstacles.LASTING and (found := _in_the_way(path, error)) is not None:
        refusal = found.refusal.replace(f"{path} is", "it is", 1)
        return MachineError(
            f"{path} can't be written: {refusal}; finished work is kept, and the same command continues then"
        )
    why = "the disk is full" if error.errno == errno.ENOSPC else system_reason(error)
    return MachineError(
        f"{path} can't be written: {why}; finished work is kept, run the same command again to continue"
    )


def _in_the_way(path: Path, error: OSError) -> obstacles.Obstacle | None:
    """Return what the system stumbled on: at the path, or at one that its error names."""
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    if error.errno == errno.EISDIR:
        return obstacles.first((), [*named, path])
    return obstacles.first([path.parent, *(file.parent for file in named)], [path, *named]) or obstacles.first(named)


def sealed(stem: str, content: bytes, suffix: str) -> str:
    """Return the name of a file with a checksum of its content in it."""
    return f"{stem}-{checksum(content)}{suffix}"


def checksum(content: bytes) -> str:
    """Return 16 hex digits that tell contents apart."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def read_metadata(header: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a header; raise InputError where it is none of ours."""
    try:
        metadata = parse_json(header)["__metadata__"]
    except (ValueError, KeyError, TypeError):
        metadata = None
    if not isinstance(metadata, dict) or any(not isinstance(metadata.get(key), str) for key in NEEDED):
        rule = "weights must be in a safetensors file of mlpbench, with run_id, weights_sha256 and settings in its metadata"
        raise InputError(f"{rule}, got {path}")
    return metadata


def ordered_header(content: bytes, more: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file with the keys of its header in order, and a checksum of the whole file in its metadata.

    Reads the same; the library leaves the metadata in no order. The same weights then have the same bytes in every process.
    `more` is added to the metadata.
    """
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    header: Any = json.loads(content[LENGTH_BYTES:end])
    header["__metadata__"] |= {**(more or {}), "checksum": "0" * 16}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    ordered = len(text).to_bytes(LENGTH_BYTES, "little") + text + content[end:]
    return ordered.replace(_ZEROS, f'"checksum":"{checksum(ordered)}"'.encode(), 1)


def is_as_written(content: bytes) -> bool:
    """Return whether the bytes of a file of weights are those that were written, by the checksum that it has."""
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    found = _CHECKSUM.search(content, 0, min(end, len(content)))
    return (
        found is not None and checksum(content[: found.start()] + _ZEROS + content[found.end() :]) == found[1].decode()
    )
