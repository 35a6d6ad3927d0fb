"""The header of a safetensors file: its metadata read, and its keys put in order.

Reference: the safetensors format: 8 bytes of length, a header in JSON, the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError

if TYPE_CHECKING:
    pass


# What a file must say of itself.
NEEDED = ("run_id", "weights_sha256", "settings")


_LENGTH = 8


def told(header: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a header; raise InputError where it is none of ours."""
    try:
        found = json.loads(header)["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict) or any(not isinstance(found.get(key), str) for key in NEEDED):
        rule = "weights must be in a safetensors file of mlpbench, with run_id, weights_sha256 and settings in its metadata"
        raise InputError(f"{rule}, got {path}")
    return found


def ordered(content: bytes) -> bytes:
    """Return a safetensors file with the keys of its header in order: the library leaves those of the metadata in none.

    Reads the same; the same weights then have the same bytes in every process.
    """
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header: Any = json.loads(content[_LENGTH:end])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + content[end:]
