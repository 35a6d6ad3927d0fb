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

# The name of a file that a killed process was writing.
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
    """Return the content of a JSON file, None where it does not exist or is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def write_record(path: Path, content: object) -> None:
    """Write a JSON file, whole and with sorted keys; raise MachineError where the disk refuses."""
    write_whole(path, json.dumps(content, indent=1, sort_keys=True).encode())


def refused(path: Path, error: OSError) -> MachineError:
    """Return the error for a file or folder that could not be written."""
    why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
    return MachineError(
        f"{path} can't be written: {why}; finished work is kept, run the same command again to continue"
    )


def sealed(stem: str, content: bytes, suffix: str) -> str:
    """Return the name of a file with a checksum of its content in it."""
    return f"{stem}-{checksum(content)}{suffix}"


def checksum(content: bytes) -> str:
    """Return 16 hex digits that tell contents apart."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()
