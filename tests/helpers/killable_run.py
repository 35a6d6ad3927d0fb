"""A small grid, ways to start, watch and end the command that trains it, and what a full disk needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SPEC = """\
name: faulty
question: What is left when the machine is pulled away?
dataset: fashion_mnist
fixed: {train_size: 6000, epochs: 4}
factors: {width: [8, 32, 64, 128, 192, 256]}
replicates: 2
"""
RUNS = 12


def started(spec: Path, results: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run as the leader of its own group of processes, as a shell does."""
    command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(results), "--no-report", *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs these tests in the background of a script has Ctrl-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished_stacks(results: Path) -> int:
    return len(list((results / "faulty" / "runs").glob("[!.]*.parquet")))


def wait_for_stacks(process: subprocess.Popen[str], results: Path, number: int = 1) -> None:
    for _ in range(3000):
        if finished_stacks(results) >= number:
            return
        assert process.poll() is None, f"ended before {number} stacks were finished: {process.communicate()}"
        time.sleep(0.02)
    raise AssertionError(f"{number} stacks should take less than a minute")


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended since it was listed
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def is_deaf(pid: int, sent: signal.Signals) -> bool:
    """Whether a process blocks or ignores a signal."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return bool((int(status["SigBlk"], 16) | int(status["SigIgn"], 16)) >> (sent - 1) & 1)


def end_of_group(group: int) -> None:
    for _ in range(500):
        if not members(group):
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("workers outlive the command by more than ten seconds")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def needs_mounts() -> None:
    """Skip a test where nobody may mount a small file system of his own."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system of his own (unshare -rm)")
