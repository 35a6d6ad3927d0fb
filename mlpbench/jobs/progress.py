"""Progress of a run: runs done, rate, elapsed time and ETA, by the work that is done rather than by stacks.

On a terminal there are two lines: the bar, and which stacks are in which epoch, with the loss of the last one that ended.
Elsewhere a line is printed now and then, so that a log of hours isn't empty.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from mlpbench.base.escapes import printable, shortened
from mlpbench.experiment.plan import Stack

# At first the planned rate counts as if this share of the work had been measured at it.
TRUST = 0.05
# The line is drawn anew after so many seconds, and drawing it takes at most this share of the time: stacks may be millions.
DRAWN_EVERY_S, MOST_DRAWING = 0.1, 0.05
# Without a terminal a line is printed after so many seconds.
PRINTED_EVERY_S = 30.0
# Of less there is no rate.
LEAST_TIMED_S = 1.0
# On a narrower terminal the bar leaves out rate and elapsed time.
NARROW = 72
# So many stacks in training are named.
MOST_STACKS = 3
# Letters of a line above the bar, which says why a run failed.
MOST_PRINTED = 1000


class Progress:
    """Two lines on standard error where that is a terminal, and a line each half a minute elsewhere."""

    def __init__(self, name: str, stacks: Sequence[Stack], workers: int, *, hidden: bool) -> None:
        self._stacks, self._workers = stacks, workers
        self._n_runs = sum(len(s.runs) for s in stacks)
        self._planned_seconds = sum(s.seconds for s in stacks)
        self._n_done = 0
        self._name, self._done = name, 0.0
        self._next = 0.0  # when the line is to be drawn again
        self._began: float | None = None  # when the first stack did: a worker takes seconds to load torch
        shown = sys.stderr is not None and sys.stderr.isatty() and not hidden
        opening = f"{{desc}}: 0/{self._n_runs} runs, workers are starting"
        size = _line_size() if shown else {}
        # The bar moves the cursor, which the command line lets nothing else do.
        self._stream = getattr(sys.stderr, "stream", sys.stderr)
        bar: dict[str, Any] = {"desc": name, "disable": not shown, "bar_format": opening, "file": self._stream}
        self._bar = tqdm(total=self._planned_seconds, **bar, **size)
        self._below = tqdm(total=0, position=1, leave=False, **bar | {"desc": "", "bar_format": "{desc}"}, **size)
        self._is_silent = hidden or sys.stderr is None
        self._printed = time.monotonic()
        self._loss: float | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._below.close()
        self._bar.close()

    def update(self, shares: Sequence[float]) -> None:
        """Take the share of each stack that is done."""
        now = time.monotonic()
        if self._began is None and any(shares):
            self._began = now
        is_due = not self._is_silent and now >= self._printed + PRINTED_EVERY_S
        if now < self._next or (self._bar.disable and not is_due):
            return
        done = sum(s.seconds * share for s, share in zip(self._stacks, shares, strict=True))
        self._done = max(self._done, done)
        if self._bar.disable:
            print(f"{self._name}: {self._counted(rate=True)}", file=sys.stderr, flush=True)
            self._printed = now
            return
        self._below.set_description_str(self._in_training(shares), refresh=False)
        self._show()
        self._next = time.monotonic() + max(DRAWN_EVERY_S, (time.monotonic() - now) / MOST_DRAWING)

    def finish(self, stack: Stack, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        """Count a stack's runs as done, and take the loss that they ended with."""
        self._n_done += len(stack.runs)
        losses = [row["train_loss"] for row in rows if row.get("train_loss") is not None]
        self._loss = sum(losses) / len(losses) if losses else self._loss
        if self._n_done == self._n_runs:  # at once, and with the shares that come next
            self._done, self._next = self._planned_seconds, 0.0
            self._show()

    def print(self, text: str) -> None:
        """Print a line above the bar, or alone where there is none."""
        self._bar.write(shortened(printable(text), MOST_PRINTED), file=self._stream)

    def _show(self) -> None:
        if self._began is None or self._bar.disable:
            return
        columns = _columns()
        self._bar.n = self._done
        self._bar.bar_format = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {self._counted(rate=columns >= NARROW)}"
        self._bar.refresh()
        self._below.refresh()

    def _counted(self, *, rate: bool) -> str:
        """Return how many runs are done, and the time that is left; with `rate` how fast it goes, and since when."""
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        left = seconds_left(self._planned_seconds, self._done, elapsed * self._workers) / self._workers
        pace = f", {self._n_done / elapsed * 60:.3g} runs/min" if self._n_done and elapsed >= LEAST_TIMED_S else ""
        since = f"{pace}, elapsed {_clock(elapsed)}" if rate else ""
        return f"{self._n_done}/{self._n_runs} runs{since}, ETA {_clock(left)}"

    def _in_training(self, shares: Sequence[float]) -> str:
        """Return which stacks are in which of their epochs, and the loss of the last that ended."""
        at = [i for i, share in enumerate(shares) if 0 < share < 1]
        told = [f"stack {i + 1}/{len(shares)} epoch {_epoch(self._stacks[i], shares[i])}" for i in at[:MOST_STACKS]]
        loss = "" if self._loss is None else f"; last loss {self._loss:.3g}"
        columns = _columns()
        while told:
            more = f" +{len(at) - len(told)}" if len(at) > len(told) else ""
            line = f"  {', '.join(told)}{more}{loss}"
            if len(line) < columns or len(told) == 1:
                return line
            told.pop()
        return ""


def seconds_left(planned: float, done: float, spent: float) -> float:
    """Return the worker-seconds left.

    Args:
        planned: Planned seconds of all the work.
        done: Planned seconds of the work that is done.
        spent: Worker-seconds that this work took.

    Returns:
        What is left of the plan, at the measured rate; at first the planned rate counts too, later hardly.

    >>> seconds_left(100.0, 0.0, 0.0)
    100.0
    >>> round(seconds_left(100.0, 50.0, 100.0), 1)
    95.5

    """
    trusted = TRUST * planned
    return (planned - done) * (spent + trusted) / (done + trusted) if planned else 0.0


@contextmanager
def at_work(what: str, *, hidden: bool) -> Iterator[None]:
    """Say on a terminal what is being done meanwhile, on a line that is gone afterwards."""
    if hidden or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    stream = getattr(sys.stderr, "stream", sys.stderr)
    with tqdm(total=0, bar_format="{desc}", desc=what, leave=False, file=stream, **_line_size()):
        yield


def _epoch(stack: Stack, share: float) -> str:
    """Return the epoch of a stack of whose steps this share is done, and how many it has."""
    settings = stack.runs[0].settings
    epochs = math.ceil(settings.steps / settings.steps_per_epoch) if settings.steps_per_epoch else 0
    return f"{min(epochs, int(share * epochs) + 1)}/{epochs}"


def _columns() -> int:
    """Return the width of the terminal; 80 of one that says none."""
    return os.get_terminal_size(sys.stderr.fileno()).columns or 80


def _line_size() -> dict[str, Any]:
    """Return tqdm's arguments for the width of the line: a terminal that says 0 has no size, but does show lines."""
    has_size = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    return {"dynamic_ncols": True} if has_size else {"ncols": 80, "nrows": 24}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
