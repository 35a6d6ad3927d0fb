"""The time left follows the plan at first and what was measured later."""

from __future__ import annotations

import io
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.experiment import grid
from mlpbench.experiment.file.yaml_reader import from_mapping
from mlpbench.experiment.plan import Stack, plan
from mlpbench.jobs import progress
from mlpbench.jobs.progress import seconds_left

seconds = st.floats(0.01, 1e6)


@given(total=seconds)
def test_before_anything_is_done_the_plan_is_told(total: float) -> None:
    assert seconds_left(total, 0.0, 0.0) == pytest.approx(total)


@given(total=seconds, slower=st.floats(0.1, 10), share=st.floats(0.5, 1))
def test_work_that_takes_longer_than_planned_is_told_nearly_so(total: float, slower: float, share: float) -> None:
    left = seconds_left(total, share * total, share * total * slower)
    assert left == pytest.approx((1 - share) * total * slower, rel=1.0, abs=1e-9)
    assert left >= 0


@given(total=seconds, spent=seconds)
def test_at_the_end_nothing_is_left(total: float, spent: float) -> None:
    assert seconds_left(total, total, spent) == 0


class Line(io.StringIO):
    """A standard error that is a terminal, or is not, of some width."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        return 2


SPEC = {
    "name": "two",
    "question": "Which?",
    "dataset": "digits",
    "fixed": {"epochs": 10},
    "factors": {"width": [8, 400]},
    "replicates": 3,
}


def stacks() -> list[Stack]:
    return plan(list(grid.runs(from_mapping(SPEC))), workers=2, memory=10**9)


def at(
    shares: list[float], stream: Line, monkeypatch: pytest.MonkeyPatch, *, columns: int = 100, later: float = 0.0
) -> str:
    """Return what is written of stacks of which such shares are done, the first with a loss of 0.25."""
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((columns, 30)))
    monkeypatch.setattr("sys.stderr", stream)
    made = stacks()
    clock = {"now": 1000.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])
    with progress.Progress("two", made, 2, hidden=False) as shown:
        shown.update([1e-6] * len(made))
        clock["now"] += 1 + later
        shown.finish(made[0], [{"train_loss": 0.25}])
        shown.update(shares)
        written = stream.getvalue()
    return written


def test_a_terminal_has_a_bar_and_below_it_the_epoch_of_each_stack_with_the_last_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = len(stacks())
    assert n > 1
    text = at([1.0, 0.35, *[0.0] * (n - 2)], Line(terminal=True), monkeypatch)
    assert f"{len(stacks()[0].runs)}/6 runs, " in text
    assert f"stack 2/{n} epoch 4/10; last loss 0.25" in text


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = at([0.5] * len(stacks()), Line(terminal=True), monkeypatch, columns=columns)
    lines = re.split(r"[\r\n]|\x1b\[A", text)
    assert max(map(len, lines)) <= columns
    assert any("ETA" in line for line in lines)


def test_without_a_terminal_a_line_comes_each_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [1.0, *[0.5] * (len(stacks()) - 1)]
    assert at(shares, Line(terminal=False), monkeypatch, later=10) == ""
    text = at(shares, Line(terminal=False), monkeypatch, later=progress.PRINTED_EVERY_S)
    assert re.fullmatch(r"two: \d/6 runs, [0-9.]+ runs/min, elapsed 0:31, ETA [0-9:]+\n", text)


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Line(terminal=terminal)
    monkeypatch.setattr("sys.stderr", stream)
    made = stacks()
    with progress.Progress("two", made, 2, hidden=True) as shown, progress.at_work("writing report", hidden=True):
        shown.update([0.5] * len(made))
    assert stream.getvalue() == ""


def test_what_is_at_work_is_said_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((80, 30)))
    for terminal in (True, False):
        stream = Line(terminal=terminal)
        monkeypatch.setattr("sys.stderr", stream)
        with progress.at_work("two: writing report", hidden=False):
            said = stream.getvalue()
        assert ("two: writing report" in said) == terminal
