"""Train stacks in this process, one after another: for debuggers, profilers and tests."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence

from mlpbench.base.errors import InputError
from mlpbench.base.numerics import Numerics, library_variables
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import Setup, Tables


class Inline:
    """Trains in the calling process, whose numerical libraries are loaded already.

    They read their mode from the environment when they are loaded, so that must be right from the start.
    """

    workers = 1

    def __init__(self, setup: Setup, workers: int = 1) -> None:
        self.setup = setup

    @staticmethod
    def check(numerics: Numerics) -> None:
        """Raise InputError where this process was not started with the environment of this mode."""
        needed = library_variables(numerics)
        wrong = {name: value for name, value in needed.items() if os.environ.get(name) != value}
        if wrong:
            changes = ", ".join(
                f"{name} unset" if value is None else f"{name}={value}" for name, value in wrong.items()
            )
            rule = f"--executor inline with --numerics {numerics} needs the process to be started with {changes}"
            raise InputError(f"{rule}; --executor local sets that itself")

    def map(self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]) -> Iterator[tuple[Stack, Tables]]:
        """Yield each stack with its rows; torch is set afterwards as it was before."""
        from mlpbench.training.worker import Worker, torch_settings_restored

        shares = [0.0] * len(stacks)

        def report_share(place: int, share: float) -> None:
            shares[place] = share
            tick(shares)

        with torch_settings_restored():
            worker = Worker(self.setup)
            for place, stack in enumerate(stacks):
                yield stack, worker.train(stack.runs, functools.partial(report_share, place))
