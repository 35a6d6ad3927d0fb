"""A line on the terminal: runs done, rate and time left, by the work that is done, not by the stacks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from mlpbench.experiment.plan import Stack

# How much of the whole the planned time counts for, beside what was measured so far, in the time left.
TRUST = 0.05


class Progress:
    """Shown on standard error where that is a terminal, and nowhere else."""

    def __init__(self, name: str, planned: Sequence[Stack], workers: int, *, hidden: bool) -> None:
        self._planned, self._workers = planned, workers
        self._runs = sum(len(s.runs) for s in planned)
        self._total = sum(s.seconds for s in planned)
        self._done = 0
        self._began: float | None = None  # when the first stack did: a worker takes seconds to load torch
        shown = sys.stderr is not None and sys.stderr.isatty() and not hidden
        opening = f"{{desc}}: 0/{self._runs} runs, workers are starting"
        size = _size() if shown else {}
        self._bar = tqdm(total=self._total, desc=name, disable=not shown, bar_format=opening, **size)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def tick(self, shares: Sequence[float]) -> None:
        """Take the share of each stack that is done."""
        if self._began is None and any(shares):
            self._began = time.monotonic()
        done = sum(s.seconds * share for s, share in zip(self._planned, shares, strict=True))
        self._bar.n = max(self._bar.n, done)
        self._show()

    def finished(self, stack: Stack) -> None:
        """Count a stack's runs as done."""
        self._done += len(stack.runs)
        self._show()

    def note(self, text: str) -> None:
        """Print a line above the bar, or alone where there is none."""
        self._bar.write(text, file=sys.stderr)

    def _show(self) -> None:
        if self._began is None:
            return
        elapsed = time.monotonic() - self._began
        rate = f", {self._done / elapsed * 60:.3g} runs/min" if self._done else ""
        left = _clock(seconds_left(self._total, self._bar.n, elapsed * self._workers) / self._workers)
        told = f"{self._done}/{self._runs} runs{rate}, {_clock(elapsed)} gone, {left} left"
        self._bar.bar_format = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {told}"
        self._bar.refresh()


def seconds_left(total: float, done: float, spent: float) -> float:
    """Return the worker-seconds left, from planned seconds in all and done, and the worker-seconds that took.

    At first the plan is believed, and what was measured counts the more, the more of it there is.
    """
    trusted = TRUST * total
    return (total - done) * (spent + trusted) / (done + trusted) if total else 0.0


def _size() -> dict[str, Any]:
    """Return tqdm's arguments for the width of the line: a terminal that says 0 has no size, but does show lines."""
    known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
