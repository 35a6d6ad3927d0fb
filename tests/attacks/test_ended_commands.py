"""Commands that are signalled at any moment, or whose disk is full, end at once and tidily, and lose nothing."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from blank_figures import blank_drawn, blank_path
from folder_attacks import HANG, HANGS_AFTER_S, SILENT, TRACEBACK, Target, make_target
from killable_run import end_of_group, needs_mounts
from table_equality import same_tables

from mlpbench.results.schemas import TABLES

FEW, SIGNALS, DISKS = 4, 100, 50
SENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
ABANDONED = re.compile(r"results/\.joined\.[0-9a-f]{32}\.tmp/")
# What a command makes, and refuses to make where it is there: it was ended after its work.
REFUSING = {"merge": "joined", "export": "w.safetensors"}
TIDY, WHOLE, NEVER = "tidy", "whole", (SILENT, HANG, TRACEBACK)
# A trained folder stands at `results/d`, another one at `other/d`, the experiment at `d.yaml`; nothing at `new`.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "run": ("run", "d.yaml", "--results", "new", "--workers", "2"),
    "rerun": ("run", "d.yaml", "--results", "results", "--workers", "2", "--rerun", "all"),
    "report": ("report", "results/d"),
    "merge": ("merge", "results/d", "other/d", "-o", "results/joined"),
    "trim": ("trim", "results/d"),
    "index": ("index", "results"),
    "export": ("export", "RUN", "results/w.safetensors", "--results", "results"),
}


@dataclass(frozen=True)
class Expected:
    """What a command leaves when nobody disturbs it: its bytes, and how long it takes."""

    files: Mapping[str, bytes]
    place: Path
    seconds: float


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(False, marks=pytest.mark.slow, id="few"),
        pytest.param(True, marks=pytest.mark.prove, id="many"),
    ],
)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bool]:
    """Whether figures are drawn, which takes most of the time of a command: of many commands they are."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setenv("PYTHONPATH", blank_path(tmp_path_factory.mktemp("blank")))
            patch.setattr("mlpbench.report.report.Report._drawn", property(blank_drawn))
        yield request.param


@pytest.fixture(scope="module")
def target(drawn: bool, tmp_path_factory: pytest.TempPathFactory) -> Target:
    return make_target(tmp_path_factory.mktemp("target"))


@pytest.fixture(scope="module")
def undisturbed(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Expected]:
    @functools.cache
    def expected(name: str) -> Expected:
        place = prepared(target, tmp_path_factory.mktemp("undisturbed") / "a")
        began = time.monotonic()
        done = subprocess.run(command(target, name), cwd=place, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), (name, done.stderr)
        return Expected(left(place), place, time.monotonic() - began)

    return expected


def prepared(target: Target, place: Path) -> Path:
    """Return a new folder with what the commands need."""
    shutil.copytree(target.folder, place / "results" / "d")
    shutil.copytree(target.other, place / "other" / "d")
    shutil.copy(target.folder / "spec.yaml", place / "d.yaml")
    return place


def command(target: Target, name: str) -> list[str]:
    arguments = [target.run_id if part == "RUN" else part for part in COMMANDS[name]]
    return [sys.executable, "-m", "mlpbench", *arguments]


def left(place: Path) -> dict[str, bytes]:
    """All files below a folder but locks, and a folder that a killed `merge` leaves for an hour."""
    return {
        name: path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != ".lock" and not ABANDONED.match(name := path.relative_to(place).as_posix())
    }


def differ(name: str, place: Path, expected: Expected) -> str | None:
    """Return what is not as after an undisturbed command."""
    now = left(place)
    if hidden := [path for path in now if path.endswith(".tmp")]:
        return f"{hidden[0]} is left"
    if name not in ("run", "rerun"):
        return min((p for p in now.keys() | expected.files.keys() if now.get(p) != expected.files.get(p)), default=None)
    folder = Path("new" if name == "run" else "results") / "d"
    if not all((place / folder / table).is_dir() for table in TABLES):
        return "tables"
    try:
        same_tables(place / folder, expected.place / folder)
    except AssertionError as error:
        return str(error)
    check = subprocess.run(
        [sys.executable, "-m", "mlpbench", "report", "--check", folder], cwd=place, capture_output=True
    )
    return None if check.returncode == 0 else "the report"


def signalled(
    target: Target, place: Path, name: str, sent: signal.Signals, share: float, expected: Expected
) -> tuple[str, str]:
    """Send a signal to a command's processes after a share of its time; return what came of it, and what it said."""
    prepared(target, place)
    process = subprocess.Popen(
        command(target, name),
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in SENT if s != signal.SIGKILL],
    )
    try:
        process.wait(share * expected.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, sent)
    try:
        _, err = process.communicate(timeout=HANGS_AFTER_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return HANG, "".join(process.communicate())
    try:
        end_of_group(process.pid)
    except AssertionError as error:
        return HANG, str(error)
    if "Traceback" in err or "Exception ignored" in err or "resource_tracker" in err:
        return TRACEBACK, err
    if process.returncode not in (0, -sent, 128 + sent):
        return SILENT, f"status {process.returncode}: {err}"
    if process.returncode == 0 and (what := differ(name, place, expected)):
        return SILENT, f"status 0, but {what} is not as it should be"
    return again(target, place, name, expected, TIDY if process.returncode else WHOLE)


def again(target: Target, place: Path, name: str, expected: Expected, came: str) -> tuple[str, str]:
    """Give the command a second time, undisturbed."""
    if name in REFUSING and (place / "results" / REFUSING[name]).exists():
        what = differ(name, place, expected)
        return (SILENT, f"{what} is not as it should be") if what else (WHOLE, "")
    done = subprocess.run(command(target, name), cwd=place, capture_output=True, text=True)
    if "Traceback" in done.stderr:
        return TRACEBACK, done.stderr
    if done.returncode:
        return SILENT, f"the second time, status {done.returncode}: {done.stderr}"
    what = differ(name, place, expected)
    return (SILENT, f"the second time, {what} is not as it should be") if what else (came, "")


FULL = """\
set -e
mount -t tmpfs -o size=256m tmpfs "$1"
cp -r "$2"/. "$1"
used=$(df -k --output=used "$1" | tail -n 1)
mount -o remount,size=$((used + $3))k "$1"
cd "$1"
shift 3
set +e
"$@"
echo "ended: $?"
mount -o remount,size=256m .
cp -r . "$COPY"
"""


def filled(target: Target, place: Path, name: str, kib: int, expected: Expected) -> tuple[str, str]:
    """Run a command with so many KiB left on its disk; return what came of it, and what it said."""
    prepared(target, place / "before")
    (place / "small").mkdir()
    arguments = ["sh", "-c", FULL, "sh", place / "small", place / "before", str(kib), *command(target, name)]
    environment = os.environ | {"COPY": str(place / "after")}
    try:
        done = subprocess.run(
            ["unshare", "-rm", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=HANGS_AFTER_S,
        )
    except subprocess.TimeoutExpired:
        return HANG, ""
    if "Traceback" in done.stderr or "Exception ignored" in done.stderr:
        return TRACEBACK, done.stderr
    status = int(done.stdout.rpartition("ended: ")[2])
    after = place / "after"
    if status == 0:
        what = differ(name, after, expected)
        return (SILENT, f"status 0, but {what} is not as it should be") if what else (WHOLE, "")
    if status != 3 or "the disk is full" not in done.stderr:
        return SILENT, f"status {status}: {done.stderr}"
    return again(target, after, name, expected, TIDY)


def told(came: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Print how many ended how, and return those that must not be."""
    print(Counter(what for *_, what, _ in came), Counter((name, what) for name, *_, what, _ in came))
    return [case for case in came if case[-2] in NEVER]


def test_a_signal_at_any_moment_ends_any_command_tidily(
    drawn: bool, target: Target, undisturbed: Callable[[str], Expected], tmp_path: Path
) -> None:
    n = SIGNALS if drawn else FEW
    rng = np.random.default_rng(n)
    came = []
    for i in range(n):
        name, sent = list(COMMANDS)[2 * i % len(COMMANDS)], SENT[int(rng.integers(len(SENT)))]
        share = float(rng.uniform(0, 1.1))
        what = signalled(target, tmp_path / str(i), name, sent, share, undisturbed(name))
        came.append((name, sent.name, f"{share:.3f}", *what))
        shutil.rmtree(tmp_path / str(i))
    assert told(came) == []


def test_a_full_disk_ends_any_command_with_3_and_the_same_command_goes_on(
    drawn: bool, target: Target, undisturbed: Callable[[str], Expected], tmp_path: Path
) -> None:
    needs_mounts()
    n = DISKS if drawn else FEW
    rng = np.random.default_rng(n)
    came = []
    for i in range(n):
        name = list(COMMANDS)[2 * i % len(COMMANDS)]
        kib = 4 * int(2 ** rng.uniform(0, 8))
        what = filled(target, tmp_path / str(i), name, kib, undisturbed(name))
        came.append((name, f"{kib} KiB", *what))
        shutil.rmtree(tmp_path / str(i))
    assert told(came) == []
