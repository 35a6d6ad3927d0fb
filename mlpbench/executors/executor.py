"""One interface for whatever trains stacks: worker processes, or this process; and the devices that it can train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from mlpbench.base.environment import GPU_DRIVER
from mlpbench.base.errors import InputError
from mlpbench.executors.inline import Inline
from mlpbench.executors.process_pool import ProcessPool
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import Setup, Tables

__all__ = ["EXECUTORS", "Executor", "ExecutorName", "Setup", "Tables", "device_name", "device_product"]

ExecutorName = Literal["local", "inline"]


class Executor(Protocol):
    """Trains stacks, `workers` of them at a time."""

    @property
    def workers(self) -> int:
        """The number of stacks in training at the same time."""
        ...

    def map(self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]) -> Iterator[tuple[Stack, Tables]]:
        """Yield each stack, or a part of it, with the rows of its tables as soon as it is trained.

        `tick` is called now and then with the share of each stack's work that is done. A run that can't be trained is a
        row with status `failed`. Raises MachineError where nothing can be trained at all.
        """
        ...


# `local`: one process for each worker. `inline`: this process, one stack after another, for debuggers and tests.
EXECUTORS: dict[ExecutorName, Callable[[Setup, int], Executor]] = {"local": ProcessPool, "inline": Inline}


def device_name(device: str) -> str:
    """Return the device that `auto` stands for; raise InputError for a device that is not there.

    Torch is loaded only where a GPU driver is present or a GPU was asked for by name.
    """
    if device == "cpu" or (device == "auto" and not GPU_DRIVER.exists()):
        return "cpu"
    from mlpbench.training.worker import gpus

    available = list(gpus())
    if device == "auto":
        return available[0] if available else "cpu"
    name = "cuda:0" if device == "cuda" else device
    if name not in available:
        names = ", ".join(["auto", "cpu", *available])
        raise InputError(f"--device must be one of {names} on this machine, got {device!r}")
    return name


def device_product(name: str) -> str:
    """Return the product name of a device from `device_name`, as rows of results have it: `cpu`, `NVIDIA H100`."""
    if name == "cpu":
        return "cpu"
    from mlpbench.training.worker import gpus

    return gpus()[name]
