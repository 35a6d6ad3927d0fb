"""What is killed, interrupted or refused loses at most the stacks in flight; the next run completes the rest."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from killable_run import (
    RUNS,
    SPEC,
    cpu_seconds,
    end_of_group,
    finished_stacks,
    is_deaf,
    members,
    started,
    wait_for_stacks,
)
from table_equality import same_tables

import mlpbench

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "faulty.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def undisturbed(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    return mlpbench.run(spec, results=results, executor="inline", report=False).folder


def completed(spec: Path, results: Path, undisturbed: Path) -> None:
    """Run again to the end: only what was missing is trained, and the tables equal those of a run left in peace."""
    kept = len(pd.read_parquet(results / "faulty" / "runs")) if finished_stacks(results) else 0
    again = mlpbench.run(spec, results=results, executor="inline", report=False)
    assert again.trained == RUNS - kept
    same_tables(again.folder, undisturbed)
    assert not list(again.folder.rglob("*.tmp"))


def workers_of(command: int) -> list[int]:
    """The worker processes of a command that leads its group."""
    return [pid for pid in members(command) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_kill_9_leaves_no_worker_behind_and_loses_at_most_what_was_in_flight(
    spec: Path, tmp_path: Path, undisturbed: Path
) -> None:
    process = started(spec, tmp_path)
    wait_for_stacks(process, tmp_path)
    before = finished_stacks(tmp_path)
    process.kill()
    process.wait()
    end_of_group(process.pid)
    process.communicate()
    assert before <= finished_stacks(tmp_path) < 6
    completed(spec, tmp_path, undisturbed)


@pytest.mark.parametrize("early", [True, False], ids=["while workers start", "while stacks train"])
def test_ctrl_c_ends_with_130_and_one_line_and_keeps_finished_stacks(
    early: bool, spec: Path, tmp_path: Path, undisturbed: Path
) -> None:
    process = started(spec, tmp_path)
    if early:
        while len(members(process.pid)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
    else:
        wait_for_stacks(process, tmp_path)
        assert all(is_deaf(pid, signal.SIGINT) == (pid != process.pid) for pid in members(process.pid))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "mlpbench: interrupted; finished stacks are kept, run the same command again to continue\n"
    end_of_group(process.pid)
    completed(spec, tmp_path, undisturbed)


def test_a_worker_that_is_killed_once_is_replaced_and_nothing_is_lost(
    spec: Path, tmp_path: Path, undisturbed: Path
) -> None:
    process = started(spec, tmp_path, "--workers", "2")
    wait_for_stacks(process, tmp_path)
    os.kill(max(workers_of(process.pid), key=cpu_seconds), signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (0, "")
    completed(spec, tmp_path, undisturbed)


def test_a_worker_that_is_killed_while_it_hands_over_rows_is_replaced(tmp_path: Path) -> None:
    """Weights are more than a pipe holds: with the command stopped, workers wait in the middle of handing them over."""
    path = tmp_path / "faulty.yaml"
    widths = [256, 224, 192, 160]
    path.write_text(
        f"{SPEC.partition('fixed')[0]}save_weights: true\n"
        f"fixed: {{train_size: 2000, epochs: 2}}\nfactors: {{width: {widths}}}\nreplicates: 2\n"
    )
    process = started(path, tmp_path, "--workers", "2")
    wait_for_stacks(process, tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    before = None
    while before != (before := sum(map(cpu_seconds, members(process.pid)))):
        time.sleep(1)
    assert finished_stacks(tmp_path) < len(widths) - 1, "both workers have a stack"
    os.kill(max(workers_of(process.pid)), signal.SIGKILL)
    os.kill(process.pid, signal.SIGCONT)
    try:
        _, errors = process.communicate(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, errors) == (0, "")
    assert list(pd.read_parquet(tmp_path / "faulty" / "runs")["status"]) == ["ok"] * 2 * len(widths)


def test_ctrl_c_ends_workers_that_are_stopped(spec: Path, tmp_path: Path) -> None:
    process = started(spec, tmp_path, "--workers", "2")
    wait_for_stacks(process, tmp_path)
    for pid in workers_of(process.pid):
        os.kill(pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("interrupted")) == (130, 1)
    end_of_group(process.pid)


def test_a_file_the_machine_refuses_to_write_ends_with_3_and_keeps_what_was_finished(
    spec: Path, tmp_path: Path, undisturbed: Path
) -> None:
    """A limit on the size of files stands for a full disk: curves still fit, a table of runs does not."""
    mlpbench.run(spec, results=tmp_path, executor="inline", report=False, width=[8, 32, 64, 128, 192])
    folder = tmp_path / "faulty"
    (runs,) = (folder / "runs").glob("*.parquet")
    kept = len(pd.read_parquet(folder / "runs"))
    limit = runs.stat().st_size // 2
    command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path), "--no-report"]
    limited = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert limited.returncode == 3
    assert limited.stderr.startswith("mlpbench: ")
    assert "can't be written: file too large; finished work is kept" in limited.stderr
    assert limited.stderr.count("\n") == 1, limited.stderr
    assert len(pd.read_parquet(folder / "runs")) == kept
    completed(spec, tmp_path, undisturbed)


def kill_whoever_trains(process: subprocess.Popen[str], seconds: float) -> int:
    """Kill the worker that has used the most of a processor, again and again; return how many that were."""
    killed: set[int] = set()
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        workers = {pid: cpu_seconds(pid) for pid in {*members(process.pid)} - {process.pid} - killed}
        for pid in (pid for pid, used in workers.items() if used > KILLED_AFTER):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)  # it is listed until its parent has taken note
        time.sleep(0.02)
    return len(killed)


# Of the processor's time: later than a worker needs to start, much earlier than it needs for the stack of this test.
KILLED_AFTER = 5.0


def test_a_stack_that_kills_its_workers_is_tried_in_parts_and_given_up_as_failed_rows(tmp_path: Path) -> None:
    """The system's killer for want of memory, played by hand: whatever trains for long is killed, what is short is not."""
    path = tmp_path / "greedy.yaml"
    path.write_text(
        "name: faulty\nquestion: Who is killed?\ndataset: fashion_mnist\nreplicates: 2\n"
        "factors: {zip: {width: [8, 1024], epochs: [1, 500]}}\n"
    )
    process = started(path, tmp_path, "--workers", "2")
    kills = kill_whoever_trains(process, 600)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1, (out, errors)
    runs = pd.read_parquet(tmp_path / "faulty" / "runs")
    assert len(runs) == 4
    assert (runs[runs["width"] == 8]["status"] == "ok").all()
    lost = runs[runs["width"] == 1024]
    assert (lost["status"] == "failed").all()
    assert lost["error"].str.contains("the worker was killed").all()
    # In company; alone; each half; each run once more: no more than the attempts that are promised.
    assert 3 <= kills <= 8
