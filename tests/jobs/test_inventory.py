"""What a results folder has of a grid: each run is done, failed, stale or missing, as its rows in all tables say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from arithmetic_folders import make_folder
from single_runs import make_run

from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.inventory import RunState, take_inventory
from mlpbench.jobs.options import Options
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

TREE: dict[str, Any] = {
    "name": "held",
    "question": "What is there?",
    "dataset": "fashion_mnist",
    "fixed": {"epochs": 2, "batch_size": 1000},
    "factors": {"depth": [0, 2], "train_size": [2000, 5000]},
    "replicates": 3,
    "probes": [0, 1, "end"],
}
EXPERIMENT = yaml_reader.from_mapping(TREE)
IDS = [r.run_id for r in grid.runs(EXPERIMENT)]
CPU = {"device": "cpu"}
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete folder of 4 conditions and 3 replicates."""
    return make_folder(TREE, tmp_path)


def rewrite(folder: Path, table: str, change: Change) -> None:
    """Change the rows of a table, as one sound file."""
    old = list((folder / table).iterdir())
    rows = change(pd.concat([pd.read_parquet(path) for path in old], ignore_index=True))
    for path in old:
        path.unlink()
    name, content = encoded("changed", pa.Table.from_pandas(rows, schema=SCHEMAS[table], preserve_index=False))
    (folder / table / name).write_bytes(content)


def states(folder: Path, experiment: Experiment = EXPERIMENT, **options: Any) -> dict[str, list[str]]:
    """Return the runs in each state, by identity; none stands twice, and all are counted."""
    inventory = take_inventory(experiment, Store(folder), Options(results=folder.parent, **(CPU | options)))
    found = {s.name.lower(): [r.run_id for r in inventory.of(s)] for s in RunState if s != RunState.NOT_ASKED_FOR}
    assert sorted(i for some in found.values() for i in some) == sorted(r.run_id for r in inventory.runs)
    counts = {name: len(ids) for name, ids in found.items()}
    assert {name: len(inventory.of(RunState[name.upper()])) for name in found} == counts
    assert {name: inventory.count(RunState[name.upper()]) for name in found} == counts
    summary = inventory.summary(Options(results=folder.parent, **(CPU | options))).to_json()
    assert {name: summary[name] for name in found} == counts
    return {name: ids for name, ids in found.items() if ids}


def set_rows(run_id: str, **values: str | int) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            rows.loc[rows["run_id"] == run_id, name] = value
        return rows

    return change


def without_step(run_id: str, step: int) -> Change:
    return lambda rows: rows[(rows["run_id"] != run_id) | (rows["step"] != step)]


def test_a_complete_folder_is_done_and_an_empty_one_missing(folder: Path, tmp_path: Path) -> None:
    assert states(folder) == {"done": IDS}
    assert states(tmp_path / "none") == {"missing": IDS}


@pytest.mark.parametrize("table", ["runs", "curves", "layers", "predictions"])
def test_a_run_that_one_table_lacks_is_missing(folder: Path, table: str) -> None:
    lost = {IDS[4], IDS[7], IDS[11]}
    rewrite(folder, table, lambda rows: rows[~rows["run_id"].isin(lost)])
    assert states(folder) == {"done": [i for i in IDS if i not in lost], "missing": [IDS[4], IDS[7], IDS[11]]}


def test_a_run_without_one_of_its_probes_is_missing(folder: Path) -> None:
    """The step of a probe depends on the training size; all layers of a step are one probe."""
    steps = pd.read_parquet(folder / "layers").query("run_id == @IDS[8]")["step"].unique().tolist()
    assert steps == [0, 2, 4] != [0, 5, 10]
    for step in steps:
        rewrite(folder, "layers", without_step(IDS[8], step))
        assert states(folder)["missing"] == [IDS[8]]


def test_probes_that_are_asked_for_later_make_runs_missing(folder: Path) -> None:
    later = yaml_reader.from_mapping(TREE | {"probes": [0.5]})
    assert [r.run_id for r in grid.runs(later)] == IDS
    assert states(folder, later) == {"missing": IDS}
    assert states(folder, yaml_reader.from_mapping(TREE | {"probes": []})) == {"done": IDS}


def test_a_diverged_run_needs_probes_up_to_its_end_and_no_predictions(folder: Path) -> None:
    rewrite(folder, "runs", set_rows(IDS[3], status="diverged", diverged_at_step=5))
    rewrite(folder, "predictions", lambda rows: rows[rows["run_id"] != IDS[3]])
    rewrite(folder, "layers", lambda rows: rows[(rows["run_id"] != IDS[3]) | (rows["step"] < 5)])
    assert states(folder) == {"done": IDS}
    rewrite(folder, "layers", lambda rows: rows[rows["run_id"] != IDS[3]])
    assert states(folder)["missing"] == [IDS[3]]


def test_a_failed_run_is_failed_whatever_else_there_is(folder: Path) -> None:
    rewrite(folder, "runs", set_rows(IDS[0], status="failed"))
    for table in ("curves", "layers", "predictions"):
        rewrite(folder, table, lambda rows: rows[rows["run_id"] != IDS[0]])
    assert states(folder) == {"failed": [IDS[0]], "done": IDS[1:]}


def test_runs_of_another_environment_are_stale_and_it_is_told_in_what(folder: Path) -> None:
    rewrite(folder, "runs", set_rows(IDS[2], env_threads=2))
    rewrite(folder, "runs", set_rows(IDS[5], env_torch="0.1", env_numerics="portable"))
    assert states(folder)["stale"] == [IDS[2], IDS[5]]
    inventory = take_inventory(EXPERIMENT, Store(folder), Options(results=folder.parent, device="cpu"))
    assert list(inventory.stale_in) == ["thread count", "numerics", "torch"]
    assert states(folder, threads=2)["done"] == [IDS[2]]


def test_what_is_to_be_trained_again(folder: Path) -> None:
    rewrite(folder, "runs", set_rows(IDS[1], status="failed"))
    rewrite(folder, "runs", set_rows(IDS[2], env_threads=2))
    rewrite(folder, "curves", lambda rows: rows[rows["run_id"] != IDS[6]])
    inventory = take_inventory(EXPERIMENT, Store(folder), Options(results=folder.parent, device="cpu"))
    done = [i for i in IDS if i not in (IDS[1], IDS[2], IDS[6])]
    wanted = {
        None: [IDS[6]],
        "failed": [IDS[6], IDS[1]],
        "stale": [IDS[6], IDS[2]],
        "all": [*np.take(IDS, [6, 1, 2]), *done],
    }
    for rerun, expected in wanted.items():
        todo = inventory.todo(rerun)  # type: ignore[arg-type]
        assert [r.run_id for r in todo] == expected
        assert inventory.n_todo(rerun) == len(expected)  # type: ignore[arg-type]
        for run in todo:
            assert run == make_run(EXPERIMENT, run.condition, run.replicate)


def test_runs_that_are_not_of_the_grid_are_counted_apart(folder: Path) -> None:
    fewer = yaml_reader.from_mapping(TREE | {"replicates": 2, "factors": {"depth": [2], "train_size": [2000]}})
    inventory = take_inventory(fewer, Store(folder), Options(results=folder.parent, device="cpu"))
    assert [r.run_id for r in inventory.of(RunState.DONE)] == IDS[6:8]
    assert (len(inventory.runs), inventory.other_runs) == (2, 10)
