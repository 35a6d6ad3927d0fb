"""The header of a safetensors file: its metadata read, and its keys put in order.

Reference: the safetensors format: 8 bytes of length, a header in JSON, the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError

# What the metadata of a file must have.
NEEDED = ("run_id", "weights_sha256", "settings")
# The header's length stands first, in this many bytes.
LENGTH_BYTES = 8


def read_metadata(header: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a header; raise InputError where it is none of ours."""
    try:
        metadata = json.loads(header)["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or any(not isinstance(metadata.get(key), str) for key in NEEDED):
        rule = "weights must be in a safetensors file of mlpbench, with run_id, weights_sha256 and settings in its metadata"
        raise InputError(f"{rule}, got {path}")
    return metadata


def ordered(content: bytes) -> bytes:
    """Return a safetensors file with the keys of its header in order: the library leaves those of the metadata in none.

    Reads the same; the same weights then have the same bytes in every process.
    """
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    header: Any = json.loads(content[LENGTH_BYTES:end])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + content[end:]
