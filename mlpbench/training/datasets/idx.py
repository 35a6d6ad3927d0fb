"""The IDX format of the MNIST family: two zeros, type, rank, the sizes as big-endian uint32, then the values by row.

Format: http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998).
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNSIGNED_BYTE = 0x08


class IdxError(ValueError):
    """Content that is not a whole IDX file of unsigned bytes; the message says how it differs."""


def parse(content: bytes) -> NDArray[np.uint8]:
    """The array an IDX file of unsigned bytes holds.

    Returns a read-only view of `content`, of the shape its header states. Raises IdxError where the magic number is
    another one, or where the file is shorter or longer than its header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise IdxError(f"an idx file of bytes must start with 000008, got {content[:3].hex() or 'nothing'}")
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise IdxError(f"an idx header of {rank} sizes must have {start} bytes, got {len(content)}: truncated")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) != start + prod(shape):
        how = "truncated" if len(content) < start + prod(shape) else "too long"
        raise IdxError(f"an idx file of shape {shape} must have {start + prod(shape)} bytes, got {len(content)}: {how}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read(path: Path) -> bytes:
    """The uncompressed content of an IDX file, gzipped or not.

    Raises IdxError where the compressed stream is damaged, OSError where the file cannot be read.
    """
    content = path.read_bytes()
    # The content decides, not the name: browsers unpack a .gz on the way and keep its name.
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise IdxError(f"damaged gzip stream ({error})") from error
