"""The IDX parser: what was written comes back, and nothing else is taken for data."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.data.named import named_files
from mlpbench.data.named.named_files import parse_idx


def as_idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_idx_returns_what_was_written(data: st.DataObject, shape: list[int]) -> None:
    size = int(np.prod(shape))
    array = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(shape)
    parsed = parse_idx(as_idx(array))
    assert parsed.shape == array.shape
    assert np.array_equal(parsed, array)


@given(st.lists(st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 3), min_size=1, max_size=5))
def test_idx_returns_numbers_of_four_bytes(rows: list[tuple[int, ...]]) -> None:
    content = struct.pack(">III", 0x0C02, len(rows), 3) + b"".join(struct.pack(">3i", *row) for row in rows)
    assert parse_idx(content).tolist() == [list(row) for row in rows]
    with pytest.raises(ValueError, match=rf"must have {len(content)} bytes, got {len(content) - 1}: truncated"):
        parse_idx(content[:-1])


@given(st.data())
def test_idx_knows_every_truncation(data: st.DataObject) -> None:
    content = as_idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    with pytest.raises(ValueError, match="must"):
        parse_idx(content[: data.draw(st.integers(0, len(content) - 1))])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "must start with 000008, of bytes, or 00000c, of int32, got 504b03"),
        (struct.pack(">II", 0x0D01, 1) + b"\0\0\0\0", "got 00000d"),
        (as_idx(np.zeros(3, np.uint8)) + b"x", r"shape \(3,\) must have 11 bytes, got 12: too long"),
        (as_idx(np.zeros(3, np.uint8))[:-1], "got 10: truncated"),
    ],
)
def test_idx_says_how_content_differs(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_idx(content)


def test_gzip_is_known_by_content_not_by_name() -> None:
    content = as_idx(np.arange(9, dtype=np.uint8))
    assert named_files.unzipped(content) == named_files.unzipped(gzip.compress(content)) == content
    with pytest.raises(named_files.ArchiveError, match="damaged gzip"):
        named_files.unzipped(gzip.compress(content)[:-9])
