"""What a worker process does: hold the data, train the stacks it is handed, give back rows."""

from __future__ import annotations

import atexit
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection, parent_process
from typing import Any

import torch

from mlpbench.base import environment as provenance
from mlpbench.base import machine
from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.plugins.plugin import pieces_of
from mlpbench.training.batches.device_data import DeviceData, DrawnData, on_device
from mlpbench.training.engine import train_stack
from mlpbench.training.pieces.load_pieces import load_pieces
from mlpbench.training.worker_setup import Setup, StackRows

# What builds of torch call the libraries of matrix products.
SETTING_NAMES = {"accelerate": "Accelerate", "open": "OpenBLAS", "mkl": "MKL"}
# The share that a stack reports when it begins: above 0, which stands for a stack that has not begun.
BEGUN = 1e-6


class Worker:
    """A worker with its data on the device, each set from when the first stack needs it."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        self.setup = setup
        self._sources = {source.facts.fingerprint: source for source in setup.datasets}
        self._data: dict[str, DeviceData | DrawnData] = {}
        self._plugin_error: Exception | None = None
        self._metrics = tuple(pieces_of(setup.plugins, own_metrics.KIND).values())

    def train(self, runs: Sequence[Run], progress: Callable[[float], None]) -> StackRows:
        """Train a stack; one that fails is halved until the run at fault is alone: its row has the error.

        The error is let go before the halves are trained: it holds the stack, whose memory they may need.
        """
        failed = False
        try:
            self._load_plugins()
            measured = (self.setup.probes, self.setup.shifts)
            rows = train_stack(
                runs,
                self._data_of(runs[0]),
                progress,
                *measured,
                save_weights=self.setup.save_weights,
                metrics_of_plugins=self._metrics,
            )
        except torch.OutOfMemoryError:
            # Fewer runs are filled up to the same brick.
            rows = _failed(runs, f"{self.setup.device} has no memory left for these runs; fewer --workers share it")
        except Exception as error:
            failed = len(runs) > 1
            if not failed:
                rows = _failed(runs, f"{type(error).__name__}: {error}")
        if failed:
            half = len(runs) // 2
            return StackRows.joined([self.train(part, progress) for part in (runs[:half], runs[half:])])
        environment = self._environment()
        return replace(rows, runs=[row | environment for row in rows.runs])

    def _load_plugins(self) -> None:
        """Load the pieces that runs use; raise PieceError, the same each time, where the code of one can't be run."""
        if self._plugin_error is not None:
            raise self._plugin_error
        try:
            load_pieces(self.setup.plugins)
        except PieceError as error:
            self._plugin_error = error
            raise

    def _data_of(self, run: Run) -> DeviceData | DrawnData:
        fingerprint = run.data.fingerprint
        if fingerprint not in self._data:
            device, source = torch.device(self.setup.device), self._sources[fingerprint]
            self._data[fingerprint] = on_device(source, device, data_dir=self.setup.data_dir)
        return self._data[fingerprint]

    def _environment(self) -> dict[str, Any]:
        cuda = self.setup.device.startswith("cuda")
        return {
            "env_blas": _blas(),
            "env_capability": torch.backends.cpu.get_cpu_capability(),
            "env_threads": torch.get_num_threads(),
            "env_numerics": self.setup.numerics,
            "env_cpu": _cpu(),
            "env_device": torch.cuda.get_device_name(self.setup.device) if cuda else "cpu",
            "env_driver": provenance.gpu_driver() if cuda else None,
            "env_gpu_libraries": provenance.gpu_libraries() if cuda else None,
        }


@functools.cache
def _cpu() -> str:
    """Return the processor of this process: on a cluster, another than the driver's."""
    return machine.processor()


def _failed(runs: Sequence[Run], error: str) -> StackRows:
    return StackRows(runs=[{"run_id": run.run_id, "status": "failed", "error": error} for run in runs])


def gpus() -> dict[str, str]:
    """Return the GPUs that torch can use: `cuda:0` and so on, with their product names."""
    return {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}


@contextmanager
def torch_settings_restored() -> Iterator[None]:
    """Set torch back afterwards to what training changes for the whole process: it may be the user's own."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    precision = torch.get_float32_matmul_precision()
    smallest = torch.finfo(torch.float32).smallest_normal
    flushed = bool(torch.tensor(smallest) / 2 == 0)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.set_float32_matmul_precision(precision)
        torch.set_flush_denormal(flushed)


def _blas() -> str | None:
    """Return the library of torch's matrix products with its version, as torch names it."""
    return blas_in(torch.__config__.show())


def blas_in(configuration: str) -> str | None:
    """Return the library that a build of torch names, or that of its settings where it names none, as on macOS."""
    named = (line.strip(" -") for line in configuration.splitlines())
    library = next(
        (line.partition("-Product")[0] for line in named if "Math Kernel" in line or "OpenBLAS" in line), None
    )
    setting = re.search(r"\bBLAS_INFO=(\w+)", configuration)
    return library or (SETTING_NAMES.get(setting[1], setting[1]) if setting else None)


_worker: Worker | None = None
_shares: MutableSequence[float] = []


def start(setup: Setup, shares: MutableSequence[float]) -> None:
    """Make this process a worker; `shares` is shared memory, one number a stack, where progress is left."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Leave at once: rows are handed over when a stack ends, and tidying up would take most of a second. Handlers of `atexit`
    # that were registered earlier do not run.
    atexit.register(os._exit, 0)
    global _worker, _shares
    _shares = shares
    _worker = Worker(setup)


def work(index: int, runs: Sequence[Run]) -> StackRows:
    """Train stack number `index` in this worker."""
    assert _worker is not None, "start() makes a process a worker"

    def progress(share: float) -> None:
        _shares[index] = max(share, BEGUN)

    progress(0.0)
    return _worker.train(runs, progress)


def _end_with_parent() -> None:
    """End when the parent does, however it ends: no one else would take the rows."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
