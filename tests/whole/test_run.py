"""The main job, end to end, with real workers on real data: nothing depends on company, workers, order or history."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from table_equality import same_tables

import mlpbench
from mlpbench.base.errors import InputError, MachineError
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs.inventory import RunState, take_inventory
from mlpbench.jobs.options import Options
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Does a wider hidden layer do better on few images?",
    "dataset": "fashion_mnist",
    "fixed": {"train_size": 1500, "epochs": 2, "dropout": 0.2, "weight_decay": 0.001},
    "factors": {"width": [5, 16], "lr": [0.1, 0.5]},
    "replicates": 3,
    "validation": 0.2,
    "claims": [
        {
            "id": "wider-is-better",
            "says": "16 units do better than 5.",
            "compare": {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 5}, "expect": "greater"},
        }
    ],
}
PLAIN = {key: value for key, value in SMALL.items() if key != "claims"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished results folder; tests copy it before they change it."""
    results = tmp_path_factory.mktemp("results")
    return mlpbench.run(SMALL, results=results, executor="inline").folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return shutil.copytree(done.parent, tmp_path / "results")


def test_pandas_and_duckdb_read_a_folder_as_one_table(done: Path) -> None:
    frame = pd.read_parquet(done / "runs")
    assert list(frame.columns) == SCHEMAS["runs"].names
    assert len(frame) == 12
    assert (frame["status"] == "ok").all()
    assert frame["run_id"].is_unique
    query = f"select run_id, test_accuracy, hidden_sizes from '{done}/runs/*.parquet' order by run_id"
    table = duckdb.connect().execute(query).df()
    mine = frame.sort_values("run_id", ignore_index=True)
    assert table["run_id"].tolist() == mine["run_id"].tolist()
    assert table["test_accuracy"].tolist() == mine["test_accuracy"].tolist()
    assert [list(v) for v in table["hidden_sizes"]] == [list(v) for v in mine["hidden_sizes"]]


def test_curves_start_before_the_first_step_and_have_every_split_of_every_run(done: Path) -> None:
    curves = pd.read_parquet(done / "curves")
    assert set(curves["split"]) == {"train", "validation", "test"}
    assert sorted(set(curves["epoch"])) == [0.0, 1.0, 2.0]
    assert len(curves) == 12 * 3 * 3
    start = curves[(curves["epoch"] == 0) & (curves["split"] == "test")]
    assert start["loss"].between(2.25, 2.36).all()  # ten classes, nothing learnt: near ln 10 = 2.303


def test_the_end_of_a_curve_is_the_metric_of_the_run(done: Path) -> None:
    curves, runs = pd.read_parquet(done / "curves"), pd.read_parquet(done / "runs").set_index("run_id")
    end = curves[curves["epoch"] == 2].pivot(index="run_id", columns="split", values="loss")
    pd.testing.assert_series_equal(end["test"], runs["test_loss"].sort_index(), check_names=False)
    pd.testing.assert_series_equal(end["validation"], runs["val_loss"].sort_index(), check_names=False)
    pd.testing.assert_series_equal(end["train"], runs["train_loss"].sort_index(), check_names=False)


def test_a_second_run_trains_nothing_and_touches_no_table(copy: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.parquet")}
    again = mlpbench.run(SMALL, results=copy)
    assert again.trained == 0
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*.parquet")} == before


@pytest.mark.slow
def test_another_number_of_workers_and_a_grid_grown_bit_by_bit_give_the_same_tables(done: Path, tmp_path: Path) -> None:
    """Other stacks, other neighbours, another order: the same bits."""
    steps = [
        PLAIN | {"replicates": 1, "factors": {"width": [16], "lr": [0.5]}},
        PLAIN | {"replicates": 2},
        SMALL,
    ]
    how: list[dict[str, Any]] = [{"executor": "inline"}, {"workers": 2}, {"workers": 1}]
    trained = [mlpbench.run(spec, results=tmp_path, **by).trained for spec, by in zip(steps, how, strict=True)]
    assert trained == [1, 7, 4]
    same_tables(done, tmp_path / "small")


def test_adding_a_level_trains_that_level_only_and_one_that_is_left_out_stays_stored(copy: Path) -> None:
    other = mlpbench.run(PLAIN, results=copy, width=[16, 7], executor="inline", report=False)
    assert other.trained == 6
    assert set(other.runs["width"]) == {16, 7}
    assert len(pd.read_parquet(copy / "small" / "runs")) == 18


def test_rerun_all_trains_again_and_leaves_one_row_a_run(done: Path, copy: Path) -> None:
    again = mlpbench.run(SMALL, results=copy, rerun="all", replicates=1, executor="inline", report=False)
    assert again.trained == 4
    same_tables(done, copy / "small")


@pytest.mark.slow
def test_runs_of_another_thread_count_are_stale_until_told_to_train_again(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SMALL | {"replicates": 1}
    assert mlpbench.run(spec, results=copy, threads=2, quiet=False, executor="inline", report=False).trained == 0
    assert "4 runs are stale" in capsys.readouterr().out
    assert mlpbench.run(spec, results=copy, threads=2, executor="inline", report=False).trained == 0
    assert capsys.readouterr().out == ""
    assert mlpbench.run(spec, results=copy, threads=2, rerun="stale", executor="inline", report=False).trained == 4
    frame = pd.read_parquet(copy / "small" / "runs")
    assert sorted(frame["env_threads"]) == [1] * 8 + [2] * 4


def test_a_run_that_cannot_be_trained_is_a_row_and_is_trained_again_when_told(tmp_path: Path) -> None:
    """A billion hidden units do not fit: the others are trained, and the failure is data."""
    spec = PLAIN | {"factors": {"width": [8, 1_000_000_000]}, "replicates": 1}
    first = mlpbench.run(spec, results=tmp_path, executor="inline", report=False)
    assert first.failed == 1
    assert dict(zip(first.runs["width"], first.runs["status"], strict=True)) == {8: "ok", 1_000_000_000: "failed"}
    assert first.runs["error"].notna().sum() == 1
    assert mlpbench.run(spec, results=tmp_path, executor="inline", report=False).trained == 0
    assert mlpbench.run(spec, results=tmp_path, rerun="failed", executor="inline", report=False).trained == 1
    assert len(pd.read_parquet(tmp_path / "small" / "runs")) == 2


def test_a_diverged_run_is_data_and_leaves_its_neighbours_alone(done: Path, tmp_path: Path) -> None:
    spec = PLAIN | {"factors": {"width": [16], "lr": [0.1, 1e30, 0.5]}}
    runs = mlpbench.run(spec, results=tmp_path, executor="inline", report=False).runs
    wild = runs[runs["lr"] == 1e30]
    assert (wild["status"] == "diverged").all()
    assert (wild["diverged_at_step"] <= 3).all()
    assert wild["test_loss"].isna().all()
    calm = runs[runs["lr"] < 1].set_index("run_id")["weights_sha256"]
    stored = pd.read_parquet(done / "runs").set_index("run_id")["weights_sha256"]
    assert calm.to_dict() == stored[calm.index].to_dict()


def test_a_folder_that_is_being_written_is_refused(copy: Path) -> None:
    with (copy / "small" / ".lock").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match=r"another process is writing to .*, and one process at a time may"):
            mlpbench.run(SMALL, results=copy, rerun="all")


def test_load_gives_the_tables_and_verdicts_of_a_folder(done: Path) -> None:
    loaded = mlpbench.load(done)
    assert len(loaded.runs) == 12
    assert loaded.claims["id"].tolist() == ["wider-is-better"]
    assert loaded.experiment.question == SMALL["question"]


def test_load_of_a_folder_without_results_says_what_one_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a results folder \(no spec\.yaml\)"):
        mlpbench.load(tmp_path)


def test_the_reports_numbers_are_those_of_the_tables(done: Path) -> None:
    text = (done / "report.md").read_text()
    runs = pd.read_parquet(done / "runs")
    table = text.partition("## Conditions\n")[2].partition("\n## ")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| width=") and "±" in line]
    rows = {tuple(cells[1].split(", ")): cells for cells in lines}
    for width, lr in ((5, 0.1), (16, 0.5)):
        chosen = runs[(runs["width"] == width) & (runs["lr"] == lr)]["test_loss"]
        shown = rows[f" width={width}", f"lr={lr} "][3].split("±")
        for number, expected in zip(shown, (chosen.mean(), chosen.std(ddof=1)), strict=True):
            digits = len(number.strip().partition(".")[2])
            assert float(number) == pytest.approx(expected, abs=0.5001 * 10**-digits)
    for figure in (done / "figures").iterdir():
        assert f"figures/{figure.name}" in text


def test_results_name_no_host_user_or_path(done: Path) -> None:
    words = [str(Path.home()), os.uname().nodename, str(done.parent)]
    frame = pd.read_parquet(done / "runs").astype(str)
    texts = [(done / "report.md").read_text(), (done / "spec.yaml").read_text(), frame.to_csv()]
    assert not [w for w in words for t in texts if len(w) > 3 and w in t]


def test_an_inventory_sorts_the_grid_into_done_and_missing(copy: Path) -> None:
    experiment = yaml_reader.from_mapping(SMALL | {"replicates": 4, "factors": {"width": [5, 16], "lr": [0.1, 0.3]}})
    inventory = take_inventory(experiment, Store(copy / "small"), Options(results=copy))
    states = (RunState.DONE, RunState.MISSING, RunState.FAILED, RunState.STALE)
    assert tuple(map(inventory.count, states)) == (6, 10, 0, 0)
    assert inventory.other_runs == 6
    assert inventory.summary(Options(results=copy)).missing == 10


@pytest.mark.slow
def test_a_claim_that_is_added_is_judged_everywhere_and_the_spec_is_that_of_the_last_run(copy: Path) -> None:
    added = {
        "id": "lr",
        "says": "It matters.",
        "bound": {"metric": "test_accuracy", "where": {"lr": 0.5}, "above": 0.0},
    }
    ran = mlpbench.run(SMALL, results=copy, claims=[*SMALL["claims"], added])
    assert ran.trained == 0
    assert ran.claims["id"].tolist() == mlpbench.load(copy / "small").claims["id"].tolist() == ["wider-is-better", "lr"]
    mlpbench.run(SMALL, results=copy, replicates=2, executor="inline", report=False)
    assert len(mlpbench.load(copy / "small").runs) == 8
    mlpbench.run(SMALL, results=copy, executor="inline", report=False)
    assert len(mlpbench.load(copy / "small").runs) == 12


def test_runs_of_another_grid_in_the_folder_are_told(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mlpbench.run(PLAIN, results=copy, replicates=2, quiet=False, executor="inline", report=False)
    assert "small: 4 runs in the folder are not of this grid" in capsys.readouterr().out


@pytest.mark.parametrize(
    "table", ["curves", *(pytest.param(t, marks=pytest.mark.slow) for t in ("predictions", "layers"))]
)
def test_a_run_that_has_lost_a_part_is_trained_again(table: str, done: Path, copy: Path) -> None:
    lost = sorted((copy / "small" / table).glob("*.parquet"))[0]
    runs = set(pd.read_parquet(lost)["run_id"])
    lost.unlink()
    assert mlpbench.run(SMALL, results=copy, executor="inline", report=False).trained == len(runs)
    same_tables(done, copy / "small")


@pytest.mark.slow
def test_probes_that_are_asked_for_later_train_the_run_again_to_the_same_bits(done: Path, copy: Path) -> None:
    again = mlpbench.run(SMALL, results=copy, replicates=1, probes=["start", 1, "end"], executor="inline", report=False)
    assert again.trained == 4
    assert sorted(set(again.layers["epoch"])) == [0.0, 1.0, 2.0]
    assert set(again.layers["layer"]) == {1, 2}
    before = pd.read_parquet(done / "runs").set_index("run_id")["weights_sha256"]
    now = again.runs.set_index("run_id")["weights_sha256"]
    assert now.to_dict() == before[now.index].to_dict()
    assert mlpbench.run(SMALL, results=copy, replicates=1, probes=["end"], executor="inline", report=False).trained == 0


@pytest.mark.slow
def test_other_processes_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        mlpbench.run(PLAIN, results=tmp_path, replicates=1, workers=1, report=False)
        assert other.is_alive()
    finally:
        other.terminate()
        other.join()


@pytest.mark.slow
def test_a_script_that_starts_processes_of_its_own_without_the_guard_is_told_so(tmp_path: Path) -> None:
    """They import the script, and would train all of it; workers of mlpbench don't (`test_python_script.py`)."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import multiprocessing, mlpbench\nmlpbench.run({PLAIN!r}, results={str(tmp_path)!r}, report=False, replicates=1)\n"
        "other = multiprocessing.get_context('spawn').Process(target=print)\nother.start()\nother.join()\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert result.returncode == 0
    assert 'must stand under `if __name__ == "__main__":`' in result.stderr


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"workers": "2"}, "--workers must be a whole number of at least 1, got '2'"),
        ({"threads": True}, "--threads must be a whole number of at least 1, got True"),
        ({"rerun": "everything"}, "--rerun must be one of failed, stale, all, got 'everything'"),
        ({"results": ""}, "--results must be a folder, got ''"),
        ({"data_dir": 3}, "--data-dir must be a folder, got 3"),
        ({"wrokers": 2}, "unknown option, setting or key 'wrokers'; did you mean 'workers'?"),
        ({"device": "cuda:99"}, "--device must be one of auto, cpu"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_written(option: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        mlpbench.run(PLAIN, **{"results": tmp_path / "r"} | option)
    assert list(tmp_path.iterdir()) == []
