"""Small files that unpack to gigabytes: refused by name with status 2, before the gigabytes are there."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from repository import ROOT

from mlpbench.base.files import sealed
from mlpbench.results.schemas import SCHEMAS

MIB = 2**20
# Runs a command in a process of its own, and prints that process's status and largest resident memory.
MEASURE = """\
import json, resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "mlpbench", *sys.argv[1:]], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([done.returncode, done.stdout, done.stderr, peak]))
"""


def measured(folder: Path, *arguments: str) -> tuple[int, str, str, int]:
    """Return status, outputs and peak memory in bytes of a command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLPBENCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-c", MEASURE, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    status, out, err, peak = json.loads(done.stdout)
    return status, out, err, peak


def dictionary_of_a_long_word(path: Path) -> None:
    """300 rows that share a word of 20 MB: 6 GB once each row has its own."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), pa.array(["z" * 20_000_000]))
    pq.write_table(pa.table({"a": words, "y": [i % 2 for i in range(300)]}), path, store_schema=False)


def column_of_zeros(path: Path) -> None:
    """A hundred million rows of nothing but zeros, in a few hundred bytes."""
    zeros = pa.array(np.zeros(10**8, np.int8))
    pq.write_table(pa.table({"a": zeros, "y": zeros}), path)


def zipped_zeros(path: Path) -> None:
    """1 GB of zeros in 1 MB, in pieces of 16 MiB so that making it takes little memory."""
    import zipfile

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**9 // 1000, 1000)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(head.getvalue())
            for _ in range(10):
                member.write(bytes(10**8))
        y = io.BytesIO()
        np.save(y, np.arange(10**6) % 2)
        archive.writestr("y.npy", y.getvalue())


def gzipped_rows(path: Path) -> None:
    """A csv file of 1 GB that says the same in each row."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    rows = b"0.5,1\n" * 10**6
    path.write_bytes(
        b"".join([packer.compress(b"a,y\n"), *(packer.compress(rows) for _ in range(180)), packer.flush()])
    )


def zipped_rows(path: Path) -> None:
    """The same in a zip file."""
    import zipfile

    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("b.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(180):
            member.write(b"0.5,1\n" * 10**6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("b.parquet", dictionary_of_a_long_word),
        ("b.parquet", column_of_zeros),
        ("b.npz", zipped_zeros),
        ("b.csv.gz", gzipped_rows),
        ("b.csv.zip", zipped_rows),
    ],
    ids=["dictionary", "zeros", "npz", "gz", "zip"],
)
def test_a_table_that_unpacks_to_gigabytes_is_refused(name: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 20 * MIB
    (tmp_path / "b.yaml").write_text(f"name: b\nquestion: q\ndataset: {{file: {name}, target: y}}\n")
    status, out, err, peak = measured(tmp_path, "plan", "b.yaml")
    assert (status, out) == (2, "")
    assert f"mlpbench: {name}: a data file must come to at most " in err
    assert "write it without compression" in err
    assert peak < 400 * MIB


@pytest.mark.slow
def test_a_gzipped_file_of_a_named_data_set_is_unpacked_no_further_than_needed(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = b"".join([*(packer.compress(bytes(MIB)) for _ in range(1024)), packer.flush()])
    (folder / "train-images-idx3-ubyte.gz").write_bytes(zeros)
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"x"))
    status, out, err, peak = measured(tmp_path, "data", "fetch", "mnist", "--data-dir", "g")
    assert (status, out) == (2, "mnist: checking g\n")
    assert "train-images-idx3-ubyte.gz is corrupt: more than 94080000 bytes once it is unpacked" in err
    assert peak < 400 * MIB
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False], ids=["checksum in its name", "none"])
@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({}, "it would come to more than 1073741824 bytes in memory"),
        (
            {"use_dictionary": False, "column_encoding": {"error": "DELTA_BYTE_ARRAY"}},
            "words are encoded as DELTA_BYTE_ARRAY, which mlpbench never writes",
        ),
    ],
    ids=["dictionary", "shared beginnings"],
)
def test_a_part_of_a_table_that_unpacks_to_gigabytes_is_damaged(
    written: dict[str, Any], why: str, named: bool, tmp_path: Path
) -> None:
    """Its checksum is right, and so are its columns: 60 rows that share a reason of 20 MB."""
    columns = {f.name: pa.nulls(60, f.type) for f in SCHEMAS["runs"]}
    reason = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int32()), pa.array(["z" * 20_000_000]))
    rows = pa.table(columns | {"error": reason})
    if written:
        rows = rows.set_column(rows.schema.get_field_index("error"), "error", reason.cast("string"))
    pq.write_table(rows, tmp_path / "t.parquet", store_schema=False, **written)
    content = (tmp_path / "t.parquet").read_bytes()
    assert len(content) < 50 * MIB
    path = tmp_path / (sealed("x", content, ".parquet") if named else "x.parquet")
    path.write_bytes(content)
    command = "import pathlib, sys; from mlpbench.results.part_files import damage; print(damage(pathlib.Path(sys.argv[1]), 'runs'))"
    wrapped = MEASURE.replace('"-m", "mlpbench", ', '"-c", ')
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", wrapped, command, str(path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    status, out, err, peak = json.loads(done.stdout)
    assert (status, err) == (0, "")
    assert why in out
    assert peak < 400 * MIB
