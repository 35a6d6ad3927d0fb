"""A signal, or a lack of memory, ends a command with one line and its exit status, whenever it comes."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from killable_run import SPEC, end_of_group, is_deaf, members, started

from mlpbench.base.errors import InputError, is_out_of_memory, lacks_address_space
from mlpbench.cli import endings
from mlpbench.cli.main import main

ENDINGS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}


def line(sent: signal.Signals, command: str = "run") -> str:
    kept = "finished stacks are kept, run the same command again to continue"
    return f"mlpbench: {ENDINGS[sent]}; {kept if command == 'run' else 'run the same command again'}\n"


def caught(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM, as it has from the first line of ours that it runs."""
    text = Path(f"/proc/{pid}/status").read_text()
    return bool(int(text.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.fixture(autouse=True)
def signals_arrive() -> Iterator[None]:
    """What nohup, or the background of a script, has processes ignore is ignored by those that they start, ours too."""
    ignored = [sent for sent in ENDINGS if signal.getsignal(sent) is signal.SIG_IGN]
    for sent in ignored:
        signal.signal(sent, signal.SIG_DFL)
    yield
    for sent in ignored:
        signal.signal(sent, signal.SIG_IGN)


def begun(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mlpbench", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not caught(process.pid):
        time.sleep(0.0005)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("sent", ENDINGS)
def test_a_signal_while_modules_load_or_at_the_exit_is_one_line(sent: signal.Signals) -> None:
    """Moments all over the time that the command takes: the process may have ended by then."""
    began = time.monotonic()
    begun("schema").communicate()
    longest = time.monotonic() - began
    ends = []
    for delay in np.linspace(0, longest, 10):
        process = begun("schema")
        time.sleep(delay)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) in [(0, ""), (-sent, ""), (128 + sent, line(sent, "schema"))]
        ends.append(process.returncode)
    assert 128 + sent in ends


@pytest.mark.slow
@pytest.mark.parametrize("sent", ENDINGS)
def test_a_signal_to_a_run_says_what_is_kept_and_nobody_says_more(sent: signal.Signals, tmp_path: Path) -> None:
    """To the command alone, with workers that are starting: the locks that they share leave no warning."""
    spec = tmp_path / "faulty.yaml"
    spec.write_text(SPEC)
    process = started(spec, tmp_path, "--workers", "2")
    while len(members(process.pid)) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, sent)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + sent, line(sent))
    end_of_group(process.pid)


@pytest.mark.slow
def test_a_terminal_that_closes_ends_no_process_that_tidies_up(tmp_path: Path) -> None:
    """The signal reaches the whole group of processes: who takes the locks of the workers back must outlive it."""
    spec = tmp_path / "faulty.yaml"
    spec.write_text(SPEC)
    process = started(spec, tmp_path, "--workers", "2")
    while not (tidying := [p for p in members(process.pid) if "resource_tracker" in command_line(p)]):
        assert process.poll() is None
        time.sleep(0.01)
    assert all(is_deaf(tidying[0], sent) for sent in ENDINGS)
    while len(members(process.pid)) < 4:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGHUP)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + signal.SIGHUP, line(signal.SIGHUP))
    end_of_group(process.pid)


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    spec = tmp_path / "faulty.yaml"
    spec.write_text(SPEC.replace("train_size: 10000, epochs: 4", "train_size: 500, epochs: 1"))
    process = started(spec, tmp_path, "--workers", "1")
    kill_workers(process, 1)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert "12 trained now" in out


@pytest.mark.slow
def test_workers_that_are_killed_whenever_they_start_are_given_up(tmp_path: Path) -> None:
    spec = tmp_path / "faulty.yaml"
    spec.write_text(SPEC)
    process = started(spec, tmp_path, "--workers", "1")
    kill_workers(process, 3)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert errors.startswith(
        "mlpbench: worker processes must be able to start, and they were killed 3 times while they did "
    )
    assert "(by SIGKILL)" in errors
    assert errors.count("\n") == 1, errors


def command_line(pid: int) -> str:
    """Return how a process was started, nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def kill_workers(process: subprocess.Popen[str], number: int) -> None:
    killed: set[int] = set()
    while len(killed) < number:
        assert process.poll() is None, process.communicate()
        for pid in {*members(process.pid)} - killed - {process.pid}:
            if "spawn_main" in command_line(pid):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("mib", [300, 400, 500, 600, 700, 800, 900, 1000])
def test_a_limit_on_memory_that_is_too_low_ends_with_3_and_a_line_about_it(mib: int, tmp_path: Path) -> None:
    spec = tmp_path / "faulty.yaml"
    spec.write_text(SPEC)
    ran = subprocess.run(
        [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path), "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * 2**20, mib * 2**20)),
    )
    assert ran.returncode == 3, ran.stderr
    assert ran.stderr.startswith("mlpbench: out of memory; finished stacks are kept, run the same command again")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libscipy_openblas.so: failed to map segment from shared object"), True),
        (ImportError("no module named x"), False),
        (InputError("question: What is out of memory?"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(
    error: Exception, is_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_out_of_memory(error) == is_one
    wrapped = ValueError("something")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped) == is_one

    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(click.Group, "invoke", failing)
    result = CliRunner().invoke(main, ["schema"])
    if is_one:
        assert result.exit_code == 3
        assert result.stderr.startswith("mlpbench: out of memory; run the same command again with more memory")


def test_an_interruption_is_one_whatever_a_library_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As numpy does, which is interrupted while it loads; or a finaliser, whose errors Python leaves at that."""

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def translated(*_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except endings.Interruption:
            raise ImportError("numpy failed to import") from None

    def lost(*_: Any) -> None:
        thing = Finalised()
        del thing
        gc.collect()
        time.sleep(20)

    ways: Sequence[Callable[..., None]] = (translated, lost)
    for way in ways:
        before = signal.getsignal(signal.SIGTERM)
        monkeypatch.setattr(click.Group, "invoke", way)
        result = CliRunner().invoke(main, ["schema"])
        assert (result.exit_code, result.stderr) == (143, line(signal.SIGTERM, "schema"))
        assert signal.getsignal(signal.SIGTERM) == before


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with endings.caught() as signals:
            signal.raise_signal(signal.SIGHUP)
        assert signals.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_address_space_is_lacking_only_where_it_is_limited() -> None:
    assert not lacks_address_space(2**20)
    assert lacks_address_space(2**60)
