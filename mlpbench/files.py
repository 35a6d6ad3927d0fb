"""Files that appear whole or not at all, and parquet files whose names say what bytes they have.

A part of a table is called `<stem>-<checksum of its bytes>.parquet`, so a file that was altered or cut short is known for
it by whoever reads the folder, and nothing has to be kept beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.errors import MachineError

PART = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]-([0-9a-f]{16})\.parquet")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; raise MachineError where the disk refuses."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> MachineError:
    """Return the error that says why the machine would not write a file or folder."""
    why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
    return MachineError(f"{path} can't be written: {why}; finished work is kept, run the same command again to go on")


def parts(folder: Path) -> list[Path]:
    """Return the finished files of a table, in the order of their names."""
    return sorted(f for f in folder.glob("*.parquet") if not f.name.startswith("."))


def encoded(stem: str, table: pa.Table) -> tuple[str, bytes]:
    """Return the name and the bytes of a part."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    return f"{stem}-{_checksum(content)}.parquet", content


def damage(path: Path, schema: pa.Schema) -> str | None:
    """Return what is wrong with a part, or None; a file that was named by someone else is read to find out."""
    try:
        if named := PART.fullmatch(path.name):
            if _checksum(path.read_bytes()) != named[1]:
                return "is damaged: its bytes are not those that were written"
            return None
        if "run_id" not in pq.read_schema(path).names:
            return "is not a file of this table, it has no run_id"
        if pq.read_table(path, schema=schema)["run_id"].null_count:
            return "is damaged: it has a row without run_id"
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"is not a readable parquet file of this table ({str(error).splitlines()[0]})"
    return None


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
