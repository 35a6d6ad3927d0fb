"""A part holds what it was given, whichever encoding makes it small, and the smallest is no larger than another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.results.part_files import SMALLEST, damage, encoded
from mlpbench.results.schemas import SCHEMAS

N = 4000


def table_of(loss: np.ndarray, accuracy: np.ndarray) -> pa.Table:
    steps = np.arange(len(loss))
    rows: dict[str, Any] = {
        "run_id": [f"{i // 100:016x}" for i in steps],
        "epoch": steps % 100 / 4,
        "step": steps % 100,
        "split": ["test"] * len(loss),
        "loss": loss,
        "accuracy": accuracy,
    }
    return pa.table(rows, schema=SCHEMAS["curves"])


def encodings(content: bytes) -> dict[str, tuple[str, ...]]:
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    return {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}


def column_bytes(content: bytes, name: str) -> int:
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    (size,) = (
        c.total_compressed_size for i in range(group.num_columns) if (c := group.column(i)).path_in_schema == name
    )
    return int(size)


def test_shares_of_few_examples_are_a_dictionary_and_numbers_that_all_differ_are_not() -> None:
    rng = np.random.default_rng(0)
    table = table_of(rng.random(N), rng.integers(0, 101, N) / 100)
    (_, plain), (_, small) = (encoded("rows", table, smallest=smallest) for smallest in (False, True))
    assert len(small) < 0.8 * len(plain)
    kinds = encodings(small)
    assert "BYTE_STREAM_SPLIT" in kinds["loss"]
    assert "BYTE_STREAM_SPLIT" not in kinds["accuracy"]
    assert "BYTE_STREAM_SPLIT" in encodings(plain)["accuracy"]


def test_each_column_of_the_smallest_takes_no_more_than_in_another_encoding() -> None:
    rng = np.random.default_rng(0)
    table = table_of(rng.random(N), rng.integers(0, 101, N) / 100)
    _, small = encoded("rows", table, smallest=True)
    assert "RLE_DICTIONARY" not in encodings(small)["step"]  # the same steps in each run are found as they stand
    for name in table.column_names:
        kinds = [(True, False), (False, False), *[(False, True)] * pa.types.is_floating(table.schema.field(name).type)]
        for dictionary, split in kinds:
            sink = pa.BufferOutputStream()
            pq.write_table(
                table.select([name]),
                sink,
                compression="zstd",
                compression_level=SMALLEST,
                write_statistics=False,
                use_dictionary=dictionary,
                use_byte_stream_split=split,
            )
            other = column_bytes(sink.getvalue().to_pybytes(), name)
            assert column_bytes(small, name) <= other, (name, dictionary, split)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(width=64), min_size=1, max_size=50), st.booleans())
def test_every_number_comes_back_with_its_bits(numbers: list[float], smallest: bool) -> None:
    loss = np.array(numbers)
    table = table_of(loss, loss[::-1])
    name, content = encoded("rows", table, smallest=smallest)
    back = pq.read_table(pa.BufferReader(content))
    assert back["loss"].to_numpy().tobytes() == loss.tobytes()
    assert back["accuracy"].to_numpy().tobytes() == loss[::-1].tobytes()
    assert encoded("rows", table, smallest=smallest) == (name, content)


@pytest.mark.parametrize("smallest", [False, True])
def test_an_empty_part_and_one_of_missing_numbers_are_sound(tmp_path: Path, smallest: bool) -> None:
    for rows in (0, 7):
        missing = pa.nulls(rows, pa.float64())
        table = table_of(np.zeros(rows), np.zeros(rows)).set_column(4, "loss", missing)
        name, content = encoded("rows", table, smallest=smallest)
        (tmp_path / name).write_bytes(content)
        assert damage(tmp_path / name, "curves") is None
        assert pq.read_table(pa.BufferReader(content))["loss"].null_count == rows
