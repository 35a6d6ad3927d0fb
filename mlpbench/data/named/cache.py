"""The cache of parsed arrays: one folder per data set and fingerprint, which appears whole or not at all.

ROOT/<name>-<fingerprint[:12]>/ holds x_train.npy, y_train.npy, x_test.npy, y_test.npy and meta.json. It is written into
a hidden folder beside and moved into place; of processes that write at once the first wins and the others discard.
"""

import errno
import glob
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import platformdirs

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import read_regular, write_record
from mlpbench.data.dataset import ARRAY_ERRORS
from mlpbench.data.named.named_files import Arrays, NamedFiles, shapes

ABANDONED_AFTER_S = 24 * 3600
MOVES = 8


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
    return _root(cache_dir) / f"{data.name}-{data.facts.fingerprint[:12]}"


def read(folder: Path, data: NamedFiles) -> CachedArrays | None:
    """Return the data set as memory-mapped arrays, or None where the folder is absent, damaged or of other data.

    Files are judged by type, shape and size, not by content: reading all pages at every start is what the map avoids.
    """
    try:
        meta = json.loads(read_regular(folder / "meta.json"))
        if meta["fingerprint"] != data.facts.fingerprint:
            return None
        arrays: Arrays = {}
        for part, shape in shapes(data).items():
            path = folder / f"{part}.npy"
            if not path.is_file():  # a pipe would be waited for
                return None
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.memmap) or array.dtype != np.uint8 or array.shape != shape:
                return None
            if not array.flags.c_contiguous or path.stat().st_size != array.offset + array.nbytes:
                return None
            arrays[part] = array
        return CachedArrays(arrays=arrays, origin=str(meta["origin"]), checked=dict(meta["checked"]))
    except (*ARRAY_ERRORS, KeyError, TypeError):
        return None


def write(folder: Path, data: NamedFiles, arrays: Arrays, origin: str, checked: dict[str, list[int]]) -> None:
    """Put the arrays of a data set at `folder`, whole or not at all; raise MachineError where the disk refuses."""
    beside = _hidden(folder)
    try:
        beside.mkdir(parents=True)
        _sweep(folder)
        for part in shapes(data):
            with (beside / f"{part}.npy").open("wb") as file:
                np.save(file, arrays[part], allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        _write_meta(beside, data, origin, checked)
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
    with suppress(MachineError):
        _write_meta(folder, data, origin, checked)


def _root(cache_dir: Path | None) -> Path:
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


def _write_meta(folder: Path, data: NamedFiles, origin: str, checked: dict[str, list[int]]) -> None:
    meta = {"name": data.name, "fingerprint": data.facts.fingerprint, "origin": origin, "checked": checked}
    write_record(folder / "meta.json", meta)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
