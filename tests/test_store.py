"""A table never shows a run twice, a file appears whole or not at all, and damage is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.errors import InputError, MachineError
from mlpbench.store import SCHEMAS, Store, write_whole

IDS = [f"{i:016x}" for i in range(6)]


def rows_of(ids: list[str], loss: float) -> dict[str, list[dict[str, Any]]]:
    return {
        "runs": [{"run_id": i, "status": "ok", "test_loss": loss, "hidden_sizes": [3], "dropout": [0.5]} for i in ids],
        "curves": [{"run_id": i, "epoch": e, "step": e, "split": "test", "loss": loss} for i in ids for e in (0, 1)],
        "layers": [{"run_id": i, "epoch": 0, "step": 0, "layer": n, "act_mean": loss} for i in ids for n in (1, 2)],
        "predictions": [{"run_id": i, "predicted": bytes([1, 2])} for i in ids],
    }


def name_of(ids: list[str]) -> str:
    return "-".join(sorted(ids))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(stacks=st.lists(st.lists(st.sampled_from(IDS), min_size=1, unique=True), max_size=6), cut=st.integers(0, 3))
def test_every_table_has_the_last_rows_of_each_run_once(
    tmp_path_factory: pytest.TempPathFactory, stacks: list[list[str]], cut: int
) -> None:
    """Whatever was trained again in whatever stacks, and although one writer was killed between two tables."""
    store = Store(tmp_path_factory.mktemp("store"))
    with store.writing():
        orphans = rows_of(IDS[:2], -1.0)
        for table in ("predictions", "layers", "curves")[:cut]:
            store._write(store.folder / table / "cut-short.parquet", SCHEMAS[table], orphans[table])
    last: dict[str, float] = {}
    for loss, ids in enumerate(stacks):
        with store.writing():
            store.add(name_of(ids), rows_of(ids, float(loss)))
        last |= dict.fromkeys(ids, float(loss))
    runs = store.read("runs")
    assert dict(zip(runs["run_id"], runs["test_loss"], strict=True)) == last
    assert len(runs) == len(last)
    curves = store.read("curves", list(last))
    assert sorted(curves["run_id"]) == sorted([*last, *last])
    assert all(curves["loss"] == curves["run_id"].map(last))
    assert sorted(store.read("layers", list(last))["run_id"]) == sorted([*last, *last])
    assert sorted(store.read("predictions", list(last))["run_id"]) == sorted(last)


def test_every_file_of_a_table_has_the_same_schema_even_where_columns_are_empty(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
        store.add(
            "b", {"runs": [{"run_id": IDS[1], "status": "failed"}], "curves": [], "layers": [], "predictions": []}
        )
    for table, schema in SCHEMAS.items():
        for path in (tmp_path / table).glob("*.parquet"):
            assert pq.read_schema(path).equals(schema)
    frame = pd.read_parquet(tmp_path / "runs")
    assert list(frame.columns) == SCHEMAS["runs"].names
    assert len(frame) == 2


def test_an_absent_table_reads_as_an_empty_one_with_its_columns(tmp_path: Path) -> None:
    assert list(Store(tmp_path).read("runs").columns) == SCHEMAS["runs"].names
    assert list(Store(tmp_path).read("runs", columns=["run_id", "status"]).columns) == ["run_id", "status"]


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("good", rows_of(IDS[:1], 1.0))
    bad = tmp_path / "runs" / "bad.parquet"
    bad.write_bytes((tmp_path / "runs" / "good.parquet").read_bytes()[:200])
    with pytest.raises(InputError, match=r"bad\.parquet.*remove it and run again"):
        store.read("runs")
    with pytest.raises(InputError, match=r"bad\.parquet"), store.writing():
        pass


def test_one_process_writes_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from mlpbench.store import Store\n"
        "with Store(Path(sys.argv[1])).writing(): print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(MachineError, match="another one is writing"), Store(tmp_path).writing():
            pass
    finally:
        process.kill()
        process.communicate()
    with Store(tmp_path).writing():
        pass


def test_leftovers_of_a_killed_writer_are_neither_read_nor_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
    left = tmp_path / "runs" / ".b.parquet.0123.tmp"
    left.write_bytes(b"half a file")
    assert len(store.read("runs")) == 1
    with store.writing():
        assert not left.exists()


def test_a_refused_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "page.md", b"old")
    (tmp_path / "page.md").chmod(0o644)
    folder = tmp_path / "taken.md"
    folder.mkdir()
    with pytest.raises(MachineError, match=r"taken\.md can't be written"):
        write_whole(folder, b"new")
    write_whole(tmp_path / "page.md", b"new")
    assert (tmp_path / "page.md").read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.md", "taken.md"]


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("good", rows_of(IDS[:1], 1.0))
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "runs" / "foreign.parquet")
    with pytest.raises(InputError, match=r"foreign\.parquet is not a file of this table, it has no run_id"):
        store.read("runs")
    with pytest.raises(InputError, match=r"foreign\.parquet is not"), store.writing():
        pass
