"""While workers train, the process that waits for them loads what a report is written with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlpbench.executors.executor import EXECUTORS, Setup, StackRows
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import Stack
from mlpbench.jobs import run
from mlpbench.jobs.options import Options

HEAVY = {"pandas", "scipy.stats", "matplotlib.figure", "seaborn", "mlpbench.evidence.judging.claim_verdicts"}
TREE: dict[str, Any] = {"name": "a", "question": "What?", "dataset": "digits", "factors": {"width": [8, 16]}}


class Waiting:
    """An executor that waits three times, and has nothing in the end."""

    workers = 1

    def __init__(self, setup: Setup, workers: int) -> None:
        pass

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
        for _ in range(3):
            tick([0.0] * len(stacks))
        yield from ()


@pytest.mark.parametrize(("report", "steps"), [(True, 3), (False, 0)])
def test_a_part_is_loaded_each_time_that_there_is_nothing_to_do(
    report: bool, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def libraries() -> Iterator[None]:
        for i in range(5):
            taken.append(i)
            yield

    monkeypatch.setitem(EXECUTORS, "local", Waiting)
    monkeypatch.setattr(run, "libraries", libraries)
    options = Options(results=tmp_path, device="cpu", report=report, quiet=True)
    run.run(yaml_reader.from_mapping(TREE), options, say=lambda _line: None)
    assert taken == list(range(steps))


def test_nothing_of_it_is_loaded_before_and_all_of_it_after() -> None:
    code = (
        "import sys; from mlpbench.jobs import run; from mlpbench.jobs.write_pages import libraries\n"
        f"print(*(name for name in {sorted(HEAVY)} if name in sys.modules))\n"
        f"print(*(list(libraries()) and [name for name in {sorted(HEAVY)} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = done.stdout.splitlines()
    assert (before.split(), set(after.split())) == ([], HEAVY)
