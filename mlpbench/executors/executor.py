"""One interface for whatever trains stacks: worker processes, this process, or a Ray cluster."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Sequence
from typing import Literal, Protocol

from mlpbench.base.environment import Numerics, gpu_variables, library_variables
from mlpbench.base.errors import InputError
from mlpbench.executors.process_pool import ProcessPool
from mlpbench.executors.ray_executor import RayExecutor
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import WORKERS_PER_GPU, Setup, StackRows

__all__ = [
    "EXECUTORS",
    "WORKERS_PER_GPU",
    "Executor",
    "ExecutorName",
    "Setup",
    "StackRows",
]

ExecutorName = Literal["local", "inline", "ray"]


class Executor(Protocol):
    """Trains stacks, `workers` of them at a time."""

    @property
    def workers(self) -> int:
        """The number of stacks in training at the same time."""
        ...

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
        """Yield each stack, or a part of it, with the rows of its tables as soon as it is trained.

        `tick` is called now and then with the share of each stack's work that is done. A run that can't be trained is a
        row with status `failed`. Raises MachineError where nothing can be trained at all.
        """
        ...


class Inline:
    """Trains in the calling process, whose numerical libraries are loaded already.

    They read their mode from the environment when they are loaded, so that must be right from the start.
    """

    workers = 1

    def __init__(self, setup: Setup, workers: int = 1) -> None:
        self.setup = setup

    @staticmethod
    def check(numerics: Numerics, *, on_gpu: bool = False) -> None:
        """Raise InputError where this process was not started with the environment of this mode."""
        needed = library_variables(numerics) | (gpu_variables() if on_gpu else {})
        wrong = {name: value for name, value in needed.items() if os.environ.get(name) != value}
        if wrong:
            changes = ", ".join(
                f"{name} unset" if value is None else f"{name}={value}" for name, value in wrong.items()
            )
            rule = f"--executor inline with --numerics {numerics} needs the process to be started with {changes}"
            raise InputError(f"{rule}; --executor local sets that itself")

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
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


# `local`: one process for each worker. `inline`: this process, one stack after another, for debuggers and tests. `ray`: the
# nodes of the cluster that this process is connected to.
EXECUTORS: dict[ExecutorName, Callable[[Setup, int], Executor]] = {
    "local": ProcessPool,
    "inline": Inline,
    "ray": RayExecutor,
}
