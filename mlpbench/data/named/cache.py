"""The cache of parsed arrays: one folder per data set and fingerprint, which appears whole or not at all.

ROOT/<name>-<fingerprint[:12]>/ holds x_train.npy, y_train.npy, x_test.npy, y_test.npy and meta.json, which has a checksum of
each and of itself. It is written into a hidden folder beside and moved into place; of processes that write at once the first
wins and the others discard.

Checksums are CRC-32: 55 MB take 16 ms, and whoever wants other numbers can have them without the cache.
"""

import errno
import glob
import json
import multiprocessing
import os
import shutil
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import platformdirs
from numpy.typing import NDArray

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import checksum, parse_json, read_regular, write_record
from mlpbench.base.machine import sync
from mlpbench.data.named.named_files import Arrays, NamedFiles, is_as_distributed, shapes
from mlpbench.data.npy_files import map_npy

ABANDONED_AFTER_S = 24 * 3600
MOVES = 8
# Folders whose arrays this process has compared with their checksums, with the states of their files then.
_compared: dict[Path, list[list[int]]] = {}


class DamagedCache(Exception):
    """A copy in the cache that is not what was written, or that is of other data; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class CachedArrays:
    """Arrays of a data set, memory-mapped; where they came from; stamps of the user's files that were equal to them."""

    arrays: Arrays
    origin: str
    checked: dict[str, list[int]]


def folder_of(data: NamedFiles, cache_dir: Path | None = None) -> Path:
    """Return the cache folder of a data set, which need not exist.

    It is under `cache_dir`, else MLPBENCH_CACHE, else XDG_CACHE_HOME/mlpbench, else ~/.cache/mlpbench.
    """
    return cache_root(cache_dir) / f"{data.name}-{data.facts.fingerprint[:12]}"


def read(folder: Path, data: NamedFiles, *, compare: bool = True) -> CachedArrays | None:
    """Return the data set as memory-mapped arrays, or None where the folder is absent.

    The bytes of the arrays are compared with their checksums where that is wanted, once in a process; workers leave it to the
    process that started them. Raises DamagedCache where the copy is damaged or of other data.
    """
    if not os.path.lexists(folder):
        return None
    meta = _meta(folder)
    if meta["fingerprint"] != data.facts.fingerprint:
        raise DamagedCache(f"{folder} is of other data")
    arrays: Arrays = {part: _mapped(folder / f"{part}.npy", shape) for part, shape in shapes(data).items()}
    cached = CachedArrays(arrays=arrays, origin=meta["origin"], checked=meta["checked"])
    if compare and multiprocessing.parent_process() is None:
        _compare(folder, data, cached, meta.get("sums"))
    return cached


def _meta(folder: Path) -> dict[str, Any]:
    """Return what meta.json says; raise DamagedCache where it can't be read or was altered."""
    path = folder / "meta.json"
    try:
        meta = parse_json(read_regular(path))
        seal = meta.pop("seal", None)
        kinds = {"fingerprint": str, "origin": str, "checked": dict}
        if not all(isinstance(meta[key], kind) for key, kind in kinds.items()):
            raise ValueError("a value has another type")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCache(f"{path} can't be read ({type(error).__name__})") from error
    # Copies of earlier releases have no seal.
    if (seal is not None or "sums" in meta) and seal != _seal(meta):
        raise DamagedCache(f"{path} is damaged: it is not what was written")
    return dict(meta)


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array of the cache; raise DamagedCache where it is none of this shape."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise DamagedCache(f"{path} is missing" if not os.path.lexists(path) else f"{path} is not a regular file")
        array = map_npy(path)
        if array.dtype != np.uint8 or array.shape != shape or not array.flags.c_contiguous:
            raise DamagedCache(f"{path} is damaged: it has not {'x'.join(map(str, shape))} bytes")
    except (OSError, ValueError) as error:
        raise DamagedCache(f"{path} is damaged: it holds no array ({type(error).__name__})") from error
    return array


def _compare(folder: Path, data: NamedFiles, cached: CachedArrays, sums: object) -> None:
    """Compare the bytes of all arrays with their checksums; raise DamagedCache.

    A copy of an earlier release has none: it is compared with the files it was made of, where their bytes follow from the
    arrays, and gets checksums.
    """
    paths = {part: folder / f"{part}.npy" for part in cached.arrays}
    states = [[s.st_ino, s.st_size, s.st_mtime_ns] for s in (path.stat() for path in paths.values())]
    if _compared.get(folder) == states:
        return
    found = {part: _sum(path) for part, path in paths.items()}
    for part, path in paths.items():
        same = sums.get(part) == found[part] if isinstance(sums, dict) else is_as_distributed(data, part, cached.arrays)
        if not same:
            raise DamagedCache(f"{path} is damaged: its bytes are not those that were written")
    if sums is None:
        with suppress(MachineError):  # a shared cache may be read-only
            _write_meta(folder, data, cached.origin, cached.checked, found)
    _compared[folder] = states


def _sum(path: Path) -> int:
    return zlib.crc32(np.memmap(path, np.uint8, "r").data)


def write(folder: Path, data: NamedFiles, arrays: Arrays, origin: str, checked: dict[str, list[int]]) -> None:
    """Put the arrays of a data set at `folder`, whole or not at all; raise MachineError where the disk refuses."""
    beside = _hidden(folder)
    sums = {}
    try:
        beside.mkdir(parents=True)
        _sweep(folder)
        for part in shapes(data):
            with (beside / f"{part}.npy").open("wb") as file:
                np.save(file, arrays[part], allow_pickle=False)
                file.flush()
                sync(file.fileno())
            sums[part] = _sum(beside / f"{part}.npy")
        _write_meta(beside, data, origin, checked, sums)
        _sync(beside)
        _into_place(beside, folder, data)
    except OSError as error:
        raise MachineError(
            f"the cache folder must be writable, got {error.strerror} at {folder.parent}; set MLPBENCH_CACHE to another one"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def note_checked(folder: Path, data: NamedFiles, origin: str, checked: dict[str, list[int]]) -> None:
    """Remember files found to be equal to the cached arrays, so that they are not read again; never fails."""
    # A shared cache may be read-only; the price is a second of checking at each start.
    with suppress(MachineError, DamagedCache):
        _write_meta(folder, data, origin, checked, _meta(folder).get("sums"))


def cache_root(cache_dir: Path | None = None) -> Path:
    """Return the folder of all that is kept on this machine: `cache_dir`, or that of the environment or the system."""
    if cache_dir is not None:
        return cache_dir.expanduser()
    if variable := os.environ.get("MLPBENCH_CACHE"):
        try:
            return Path(variable).expanduser()
        except RuntimeError as error:
            raise InputError(f"MLPBENCH_CACHE must be a folder, got {variable!r}: {error}") from error
    # Of a user id without a name, as in containers, some releases raise, and others leave `~` as it is.
    with suppress(RuntimeError):
        folder = platformdirs.user_cache_path("mlpbench")
        if folder.is_absolute():
            return folder
    rule = "the cache of data sets is in the home folder, and this user has none"
    raise InputError(f"{rule}: set MLPBENCH_CACHE to a folder")


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{uuid4().hex}")


def _into_place(beside: Path, folder: Path, data: NamedFiles) -> None:
    for _ in range(MOVES):
        try:
            os.rename(beside, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            _sync(folder.parent)
            return
        with suppress(DamagedCache):
            if read(folder, data) is not None:
                return
        _move_away(folder)
    raise OSError(errno.EBUSY, f"{folder} is replaced by other processes again and again")


def _move_away(damaged: Path) -> None:
    # Moved first: a folder deleted in place would be seen half deleted, and processes that map it keep their pages.
    away = _hidden(damaged)
    try:
        os.rename(damaged, away)
    except FileNotFoundError:
        return
    _delete(away)


def _sweep(folder: Path) -> None:
    # A killed process leaves its hidden folder behind, 55 MB of it.
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        if left.lstat().st_mtime < time.time() - ABANDONED_AFTER_S:
            _delete(left)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write_meta(folder: Path, data: NamedFiles, origin: str, checked: dict[str, list[int]], sums: object) -> None:
    meta: dict[str, Any] = {
        "name": data.name,
        "fingerprint": data.facts.fingerprint,
        "origin": origin,
        "checked": checked,
    }
    meta |= {} if sums is None else {"sums": sums}
    write_record(folder / "meta.json", meta | {"seal": _seal(meta)})


def _seal(meta: object) -> str:
    return checksum(json.dumps(meta, sort_keys=True).encode())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)
