"""After a power failure at any moment, a results folder has what was acknowledged, and goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from power_loss import Trace, chosen, recorded
from small_archives import same, small

import mlpbench
from mlpbench.base.files import write_whole
from mlpbench.jobs.merge import merge
from mlpbench.results import seal
from mlpbench.results.folder_check import open_folders
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

IDS = [f"{i:016x}" for i in range(6)]


def rows_of(ids: list[str], loss: float) -> dict[str, list[dict[str, Any]]]:
    return {
        "runs": [{"run_id": i, "status": "ok", "test_loss": loss} for i in ids],
        "curves": [{"run_id": i, "epoch": e, "step": e, "split": "test", "loss": loss} for i in ids for e in (0, 1)],
        "layers": [{"run_id": i, "epoch": 0, "step": 0, "layer": 1, "act_mean": loss} for i in ids],
        "predictions": [{"run_id": i, "predicted": bytes([1, 2])} for i in ids],
    }


def add(store: Store, trace: Trace, ids: list[str], loss: float) -> None:
    store.add(f"stack{loss}", rows_of(ids, loss))
    trace.promise(dict.fromkeys(ids, loss))


def first_run(store: Store, trace: Trace) -> None:
    with store.writing():
        store.write_spec("name: lost")
        add(store, trace, IDS[:3], 1.0)
        add(store, trace, IDS[3:5], 2.0)
        store.compact()


def resumed(store: Store, trace: Trace) -> None:
    first_run(store, trace)
    with store.writing():
        add(store, trace, IDS[5:], 3.0)
        add(store, trace, IDS[2:4], 4.0)
        store.compact()


def trimmed(store: Store, trace: Trace) -> None:
    first_run(store, trace)
    with store.writing():
        for table in SCHEMAS:
            store.rewrite(table, lambda rows: rows)


@pytest.mark.parametrize("history", [first_run, resumed, trimmed])
@pytest.mark.parametrize(
    "most", [pytest.param(15, marks=pytest.mark.slow), pytest.param(None, marks=pytest.mark.prove, id="all")]
)
def test_every_state_that_a_power_failure_leaves_has_what_was_acknowledged(
    history: Callable[[Store, Trace], None], most: int | None, tmp_path: Path
) -> None:
    root = tmp_path / "written"
    root.mkdir()
    with recorded(root) as trace:
        history(Store(root / "lost"), trace)
    trace.check_complete(tmp_path / "all")
    states = chosen(trace, most)
    for state in states:
        trace.write(state, tmp_path / "state")
        folder = tmp_path / "state" / "lost"
        if folder.exists():
            check(folder, trace, state[0])
            with Store(folder).writing() as damaged:
                assert not damaged, state
            check(folder, trace, state[0])
            assert not list(folder.rglob("*.tmp")), state
        else:
            assert not [p for at, p in trace.promises if at <= state[0]], state
        shutil.rmtree(tmp_path / "state")
    print(f"{history.__name__}: {len(trace.events)} operations, {len(states)} states")


def check(folder: Path, trace: Trace, length: int) -> None:
    """Every run has the numbers that were acknowledged last, or those that were being written, the same in all tables."""
    promised: dict[str, float] = {}
    allowed: dict[str, set[float]] = {}
    for at, losses in trace.promises:
        for run_id, loss in losses.items():
            if at <= length:
                promised[run_id] = loss
                allowed[run_id] = {loss}
            else:
                allowed.setdefault(run_id, set()).add(loss)
    store = Store(folder)
    assert store.damaged() == {}
    assert seal.flaws(folder) == {}
    runs = store.read("runs").set_index("run_id")["test_loss"]
    assert set(promised) <= set(runs.index)
    assert all(loss in allowed[str(run_id)] for run_id, loss in runs.items())
    curves, layers, predictions = (store.read(t) for t in ("curves", "layers", "predictions"))
    for table, column in ((curves, "loss"), (layers, "act_mean")):
        known = table[table["run_id"].isin(runs.index)]
        assert all(known[column] == known["run_id"].map(runs))
        assert set(runs.index) <= set(table["run_id"])
    assert set(runs.index) <= set(predictions["run_id"])


def test_a_file_is_the_old_one_or_the_new_one_in_every_state_and_the_new_one_once_it_was_written(
    tmp_path: Path,
) -> None:
    """As reports, exported weights and records are written."""
    root = tmp_path / "written"
    root.mkdir()
    (root / "report.md").write_bytes(b"old")
    with recorded(root) as trace:
        write_whole(root / "report.md", b"new")
        trace.promise(b"new")
        write_whole(root / "figures" / "error.png", b"figure")
    for number, state in enumerate(trace.states()):
        to = tmp_path / str(number)
        trace.write(state, to)
        content = (to / "report.md").read_bytes()
        assert content == b"new" or (content == b"old" and state[0] < trace.promises[0][0])
        figure = to / "figures" / "error.png"
        assert not figure.exists() or figure.read_bytes() == b"figure"


@pytest.mark.parametrize(
    "most", [pytest.param(10, marks=pytest.mark.slow), pytest.param(None, marks=pytest.mark.prove, id="all")]
)
def test_a_merged_folder_is_there_as_a_whole_or_not_at_all_and_stays_once_it_was_told(
    most: int | None, tmp_path: Path
) -> None:
    root = tmp_path / "written"
    tree = {
        "name": "lost",
        "question": "q",
        "dataset": "digits",
        "fixed": {"train_size": 60, "epochs": 1},
        "save_weights": True,
    }
    folders = [
        mlpbench.run(tree | {"replicates": n}, results=root / f"of{n}", executor="inline", workers=1).folder
        for n in (1, 2)
    ]
    with recorded(root) as trace:
        merge(folders, root / "joined" / "lost")
        trace.promise("merged")
    trace.check_complete(tmp_path / "all")
    whole = mlpbench.load(root / "joined" / "lost").runs
    states = chosen(trace, most)
    for state in states:
        trace.write(state, tmp_path / "state")
        joined = tmp_path / "state" / "joined" / "lost"
        if joined.exists():
            said: list[str] = []
            open_folders([joined], said.append)
            assert said == [], state
            pd.testing.assert_frame_equal(mlpbench.load(joined).runs, whole)
        else:
            assert state[0] < trace.promises[0][0]
        shutil.rmtree(tmp_path / "state")
    print(f"merge: {len(trace.events)} operations, {len(states)} states")


@pytest.mark.slow
def test_a_cached_data_set_is_whole_or_fetched_again(tmp_path: Path) -> None:
    data = small("mnist")
    files, root = data.put(tmp_path / "files"), tmp_path / "cache"
    root.mkdir()
    with recorded(root) as trace:
        data.source.fetch(data_dir=files, cache_dir=root)
        trace.promise("fetched")
    trace.check_complete(tmp_path / "all")
    states = list(trace.states())
    for number, state in enumerate(states):
        cache = tmp_path / str(number)
        trace.write(state, cache)
        assert data.source.is_cached(cache) or state[0] < trace.promises[0][0]
        loaded = data.source.load(data_dir=files, cache_dir=cache)
        assert same(loaded, data), state
    print(f"cache: {len(trace.events)} operations, {len(states)} states")
