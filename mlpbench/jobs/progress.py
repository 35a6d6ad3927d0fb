"""A progress line on the terminal: runs done, rate, elapsed time and ETA, by the work that is done rather than by stacks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from mlpbench.base.escapes import printable, shortened
from mlpbench.experiment.plan import Stack

# At first the planned rate counts as if this share of the work had been measured at it.
TRUST = 0.05
# The line is drawn anew after so many seconds, and drawing it takes at most this share of the time: stacks may be millions.
DRAWN_EVERY_S, MOST_DRAWING = 0.1, 0.05
# Letters of a line above the bar, which says why a run failed.
MOST_PRINTED = 1000


class Progress:
    """A line on standard error where that is a terminal, and nothing elsewhere."""

    def __init__(self, name: str, stacks: Sequence[Stack], workers: int, *, hidden: bool) -> None:
        self._stacks, self._workers = stacks, workers
        self._n_runs = sum(len(s.runs) for s in stacks)
        self._planned_seconds = sum(s.seconds for s in stacks)
        self._n_done = 0
        self._next = 0.0  # when the line is to be drawn again
        self._began: float | None = None  # when the first stack did: a worker takes seconds to load torch
        shown = sys.stderr is not None and sys.stderr.isatty() and not hidden
        opening = f"{{desc}}: 0/{self._n_runs} runs, workers are starting"
        size = _line_size() if shown else {}
        # The bar moves the cursor, which the command line lets nothing else do.
        self._stream = getattr(sys.stderr, "stream", sys.stderr)
        bar: dict[str, Any] = {"desc": name, "disable": not shown, "bar_format": opening, "file": self._stream}
        self._bar = tqdm(total=self._planned_seconds, **bar, **size)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, shares: Sequence[float]) -> None:
        """Take the share of each stack that is done."""
        now = time.monotonic()
        if self._bar.disable or now < self._next:
            return
        if self._began is None and any(shares):
            self._began = now
        done = sum(s.seconds * share for s, share in zip(self._stacks, shares, strict=True))
        self._bar.n = max(self._bar.n, done)
        self._show()
        self._next = time.monotonic() + max(DRAWN_EVERY_S, (time.monotonic() - now) / MOST_DRAWING)

    def finish(self, stack: Stack) -> None:
        """Count a stack's runs as done."""
        self._n_done += len(stack.runs)
        if self._n_done == self._n_runs:  # at once, and with the shares that come next
            self._bar.n, self._next = self._planned_seconds, 0.0
            self._show()

    def print(self, text: str) -> None:
        """Print a line above the bar, or alone where there is none."""
        self._bar.write(shortened(printable(text), MOST_PRINTED), file=self._stream)

    def _show(self) -> None:
        if self._began is None:
            return
        elapsed = time.monotonic() - self._began
        rate = f", {self._n_done / elapsed * 60:.3g} runs/min" if self._n_done else ""
        left = seconds_left(self._planned_seconds, self._bar.n, elapsed * self._workers) / self._workers
        text = f"{self._n_done}/{self._n_runs} runs{rate}, elapsed {_clock(elapsed)}, ETA {_clock(left)}"
        self._bar.bar_format = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {text}"
        self._bar.refresh()


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


def _line_size() -> dict[str, Any]:
    """Return tqdm's arguments for the width of the line: a terminal that says 0 has no size, but does show lines."""
    has_size = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    return {"dynamic_ncols": True} if has_size else {"ncols": 80, "nrows": 24}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
