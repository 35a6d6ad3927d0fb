"""Killed or interrupted at any moment, a run loses nothing that was finished, and goes on to the same tables."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from killable_run import SPEC, end_of_group, members, needs_mounts, started
from table_equality import same_tables

import mlpbench
from mlpbench.cli.main import main
from mlpbench.results.store import Store

QUICK = SPEC.replace("train_size: 6000, epochs: 4", "train_size: 3000, epochs: 2")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "faulty.yaml"
    path.write_text(QUICK)
    return path


@pytest.fixture(scope="module")
def undisturbed(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    return mlpbench.run(spec, results=results, executor="inline", report=False).folder


@pytest.fixture(scope="module")
def longest(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The seconds that a run takes from its start to its end."""
    began = time.monotonic()
    process = started(spec, tmp_path_factory.mktemp("timed"))
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("sent", "moments"),
    [
        pytest.param(signal.SIGKILL, 4, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 50, marks=pytest.mark.prove),
        pytest.param(signal.SIGINT, 20, marks=pytest.mark.prove),
    ],
)
def test_ended_at_random_moments_a_run_loses_nothing_and_its_tables_are_the_same_in_the_end(
    sent: signal.Signals,
    moments: int,
    longest: float,
    spec: Path,
    undisturbed: Path,
    tmp_path: Path,
) -> None:
    """The whole group of processes gets the signal; a grid that is complete by then is trained again, row by row."""
    draws = np.random.default_rng((int(sent), moments)).uniform(0.0, 1.1 * longest, 10 * moments)
    lost, hits, trained_again, finished = 0, 0, 0, 0
    complete = seen(undisturbed.parent)
    for delay in draws:
        before = seen(tmp_path)
        process = started(spec, tmp_path, *(["--rerun", "all"] if before == complete else []))
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            hits += 1
            # The starter of workers is one of the group: what is more than that and the parent trains, or is about to.
            trained_again += max(0, len(members(process.pid)) - 2)
            os.killpg(process.pid, sent)
        process.wait()
        end_of_group(process.pid)
        process.communicate()
        finished += process.returncode == 0
        assert process.returncode in (0, -sent, 130)
        now = seen(tmp_path)
        lost += len(before - now)
        if hits == moments:
            break
    print(
        f"{sent.name}: {hits} moments in {longest:.1f} s, {finished} runs went to the end, {lost} losses, "
        f"at most {trained_again} stacks trained again"
    )
    assert (hits, lost) == (moments, 0)
    outcome = mlpbench.run(spec, results=tmp_path, executor="inline", report=False)
    same_tables(outcome.folder, undisturbed)
    assert not [p.name for p in outcome.folder.rglob(".*") if p.name != ".lock"]


def seen(results: Path) -> set[str]:
    """The runs that we see, who know of an exchange that was cut short, all of their tables whole."""
    store = Store(results / "faulty")
    runs = store.read("runs")
    for table in ("curves", "layers", "predictions"):
        assert set(runs["run_id"]) <= set(store.read(table)["run_id"])
    assert not store.read("layers").duplicated(["run_id", "step", "layer"]).any()
    return set(runs["run_id"])


FULL = """\
set -e
mount -t tmpfs -o size={small}k tmpfs "$1"
set +e
"$2" -m mlpbench run "$3" --results "$1" --no-report --executor inline
echo "first: $?"
mount -o remount,size=64m "$1"
"$2" -m mlpbench run "$3" --results "$1" --no-report --executor inline
echo "second: $?"
cp -r "$1/faulty" "$4"
"""


@pytest.mark.parametrize(
    "small",
    [
        *(pytest.param(kib, marks=pytest.mark.slow) for kib in (4, 48, 160)),
        *(pytest.param(kib, marks=pytest.mark.prove) for kib in (24, 96)),
    ],
)
def test_a_disk_that_fills_ends_with_3_and_what_was_finished_is_kept(
    small: int, spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """A file system of so many KiB; then room is made, and the same command goes on."""
    needs_mounts()
    place = tmp_path / "small"
    place.mkdir()
    script = ["sh", "-c", FULL.format(small=small), "sh", place, sys.executable, spec, tmp_path / "copy"]
    done = subprocess.run(["unshare", "-rm", *map(str, script)], capture_output=True, text=True)
    first, second = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith(("first", "second")))
    assert (first, second) == (3, 0), done.stderr
    assert "can't be written: the disk is full; finished work is kept" in done.stderr
    assert done.stderr.count("\n") == 1
    same_tables(tmp_path / "copy", undisturbed)
    assert not list((tmp_path / "copy").rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("table", ["runs", "curves", "layers", "predictions"])
@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_damaged_table_is_named_set_aside_and_trained_again(
    table: str, how: str, spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed, tmp_path / "faulty")
    (path,) = (tmp_path / "faulty" / table).glob("*.parquet")
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    else:
        place = int(np.random.default_rng(len(table)).integers(8 * len(content)))
        content[place // 8] ^= 1 << (place % 8)
    path.write_bytes(content)
    arguments = ["run", str(spec), "--results", str(tmp_path), "--no-report", "--executor", "inline"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{path} is damaged: its bytes are not those that were written: moved to " in done.stdout
    assert "12 trained now" in done.stdout
    same_tables(tmp_path / "faulty", undisturbed)
    assert (tmp_path / "faulty" / "damaged" / table / path.name).read_bytes() == content
