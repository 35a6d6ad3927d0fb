"""Files that appear whole or not at all: a temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlpbench.base.errors import MachineError

# What is left of a write that was cut short.
UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


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


def read_record(path: Path) -> Any:
    """Return what a JSON file holds, None where it is absent or is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def write_record(path: Path, content: object) -> None:
    """Write a JSON file, whole and with sorted keys; raise MachineError where the disk refuses."""
    write_whole(path, json.dumps(content, indent=1, sort_keys=True).encode())


def refused(path: Path, error: OSError) -> MachineError:
    """Return the error that says why the machine would not write a file or folder."""
    why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
    return MachineError(f"{path} can't be written: {why}; finished work is kept, run the same command again to go on")


def sealed(stem: str, content: bytes, suffix: str) -> str:
    """Return the name of a file that says what bytes it has."""
    return f"{stem}-{_checksum(content)}{suffix}"


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
