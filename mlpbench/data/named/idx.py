"""The IDX format of the MNIST family: two zeros, type, rank, the sizes as big-endian uint32, then the values by row.

Format: http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998).
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# By the third byte of a file.
TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


class IdxError(ValueError):
    """Content that is not a whole IDX file of unsigned bytes or int32; the message says how it differs."""


def parse(content: bytes) -> NDArray[np.uint8] | NDArray[np.int32]:
    """The array an IDX file of unsigned bytes or int32 holds.

    Returns a read-only view of `content`, of the shape its header states. Raises IdxError where the magic number is
    another one, or where the file is shorter or longer than its header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        rule = "an idx file must start with 000008, of bytes, or 00000c, of int32"
        raise IdxError(f"{rule}, got {content[:3].hex() or 'nothing'}")
    kind, rank = TYPES[content[2]], content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise IdxError(f"an idx header of {rank} sizes must have {start} bytes, got {len(content)}: truncated")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) != (size := start + kind.itemsize * prod(shape)):
        how = "truncated" if len(content) < size else "too long"
        raise IdxError(f"an idx file of shape {shape} must have {size} bytes, got {len(content)}: {how}")
    return np.frombuffer(content, kind, offset=start).reshape(shape)


def read(path: Path) -> bytes:
    """The uncompressed content of an IDX file, gzipped or not.

    Raises IdxError where the compressed stream is damaged, OSError where the file cannot be read.
    """
    return unpacked(path.read_bytes())


def unpacked(content: bytes) -> bytes:
    """The content, ungzipped where it is gzipped; raises IdxError where the compressed stream is damaged."""
    # The content decides, not the name: browsers unpack a .gz on the way and keep its name.
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise IdxError(f"damaged gzip stream ({error})") from error
