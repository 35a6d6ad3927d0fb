"""Arrays in files that anyone may have written: read as numpy reads them, or refused by one kind of error."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_tables import array, headed, packed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mlpbench.data import npy_files
from mlpbench.data.npy_files import ArrayError, map_npy, read_npy, read_npz

TYPES = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(),
    arrays_of.unsigned_integer_dtypes(),
    arrays_of.floating_dtypes(),
    arrays_of.unicode_string_dtypes(max_len=4),
)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
GOOD = array(np.arange(12, dtype=np.uint8).reshape(3, 4))


@given(arrays_of.arrays(TYPES, SHAPES), st.booleans())
def test_an_array_reads_as_numpy_reads_it(values: np.ndarray[Any, Any], is_fortran: bool) -> None:
    content = array(np.asfortranarray(values) if is_fortran else values)
    ours, theirs = read_npy(content), np.load(io.BytesIO(content))
    assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


@given(st.data())
def test_whatever_stands_in_a_file_is_an_array_or_one_kind_of_error(data: st.DataObject) -> None:
    """One altered letter of a header is enough for six kinds of errors of numpy's and Python's."""
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    try:
        values = read_npy(bytes(content))
    except ArrayError:
        return
    assert values.nbytes == 12


@pytest.mark.parametrize(
    "header",
    [
        "(" * 5000,
        "-" * 5000 + "1",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999999, 999999999999999999)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 100 + ")}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '|V8', 'fortran_order': False, 'shape': (10**12,)}",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "",
    ],
    ids=lambda header: header[:24] + header[52:70],
)
def test_a_header_that_no_plain_array_has_is_refused(header: str, tmp_path: Path) -> None:
    content = headed(header, bytes(8))
    with pytest.raises(ArrayError):
        read_npy(content)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ArrayError):
        map_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("spoilt", [GOOD[:-1], GOOD + b"\0", GOOD[:40], b"", b"\x93NUMPY\1"])
def test_a_file_has_the_bytes_that_its_header_says(spoilt: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArrayError):
        read_npy(spoilt)
    (tmp_path / "a.npy").write_bytes(spoilt)
    with pytest.raises(ArrayError):
        map_npy(tmp_path / "a.npy")


def test_a_mapped_array_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(GOOD)
    assert map_npy(tmp_path / "a.npy").tolist() == read_npy(GOOD).tolist()


def test_an_archive_is_unpacked_no_further_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(a=np.zeros(10_000), b=np.ones(3))
    assert [v.sum() for v in read_npz(content, ("b", "a"))] == [3.0, 0.0]
    monkeypatch.setattr(npy_files, "MOST_BYTES", 10_000)
    with pytest.raises(ArrayError, match="unpacked, where 10000 are the most"):
        read_npz(content, ("a", "b"))
    with pytest.raises(ArrayError, match="no array c"):
        read_npz(content, ("c",))


def test_an_archive_that_says_less_than_it_has_is_read_no_further() -> None:
    """The directory of an archive may say that a member of gigabytes has some bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", array(np.zeros(100_000)))
    size = len(array(np.zeros(100_000))).to_bytes(4, "little")
    with pytest.raises(ArrayError):
        read_npz(out.getvalue().replace(size, (200).to_bytes(4, "little")), ("a",))


@given(st.data())
def test_whatever_stands_in_an_archive_is_arrays_or_one_kind_of_error(data: st.DataObject) -> None:
    content = bytearray(packed(a=np.arange(12)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        (values,) = read_npz(bytes(content), ("a",))
    except ArrayError:
        return
    assert values.tolist() == list(range(12))
