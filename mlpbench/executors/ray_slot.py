"""What runs on the nodes of a Ray cluster: a place where one stack at a time is trained.

The classes are sent to the nodes with their code, so that a node can say what it lacks, mlpbench itself even: until a node is
known to have what the driver has, nothing but the standard library is imported here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpbench.experiment.grid import Run
    from mlpbench.training.worker_setup import StackRows

# A stack says how far it is after so long at the soonest.
SECONDS_BETWEEN_SHARES = 1.0
LETTERS_OF_DIGEST = 12
# Packages on which bits may depend; those that are nowhere are the same everywhere.
SAME = ("mlpbench", "torch", "numpy", "triton", "nvidia-cublas", "nvidia-cublas-cu12")
# The variables that a library reads when it is loaded, by their first letters.
READ_BY: dict[str, tuple[str, ...]] = {"numpy": ("NPY_", "OPENBLAS_"), "torch": ("",)}


def node_facts() -> dict[str, str | None]:
    """Return what must be the same on all nodes, by its name: versions, and a digest of the package's source."""
    facts = {"Python": platform.python_version()}
    return facts | {name: _version(name) for name in SAME} | {"source of mlpbench": _digest()}


def processor() -> str:
    """Return the name of this node's processor, where mlpbench is what it is on the driver."""
    from mlpbench.base import machine

    return machine.processor()


def gpu_name() -> str:
    """Return the product name of the GPU that Ray gives to this process; raise where torch can use none."""
    from mlpbench.training.worker import gpus

    for name in gpus().values():
        return name
    raise RuntimeError("torch finds none that it can use")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _digest() -> str | None:
    """Return a digest of the package's modules, None where there is none; nothing of it is imported."""
    spec = importlib.util.find_spec("mlpbench")
    if spec is None or not spec.submodule_search_locations:
        return None
    root, digest = Path(spec.submodule_search_locations[0]), hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:LETTERS_OF_DIGEST]


class Board:
    """Where the slots leave how far their stacks are, and the driver looks now and then."""

    def __init__(self) -> None:
        self._shares: dict[int, float] = {}

    def put(self, place: int, share: float) -> None:
        """Leave the share of a stack that is trained."""
        self._shares[place] = share

    def take(self) -> dict[int, float]:
        """Return the shares that are new."""
        shares, self._shares = self._shares, {}
        return shares


class Slot:
    """A process on a node that trains one stack at a time, in the environment of a worker process."""

    def __init__(self, variables: Mapping[str, str | None], board: Any) -> None:
        # Those that are set were so before the process began. What its node had set beside them goes now, before a library
        # reads it; but Ray may have loaded numpy.
        loaded = sum((prefixes for module, prefixes in READ_BY.items() if module in sys.modules), ())
        removed = [
            name for name, value in variables.items() if value is None and os.environ.pop(name, None) is not None
        ]
        self._too_late = [name for name in removed if name.startswith(loaded)]
        self._board = board

    def begin(self) -> tuple[str, dict[str, str | None], list[str]]:
        """Return its node, the facts of it, and the variables of the node that a library has read before they were removed."""
        import ray

        return ray.get_runtime_context().get_node_id(), node_facts(), self._too_late

    def prepare(self, setup: bytes, *datasets: Any) -> None:
        """Take what stacks are trained with; the data lie in memory that all processes of a node share."""
        from mlpbench.training.worker import Worker

        self._worker = Worker(replace(pickle.loads(setup), datasets=datasets))

    def train(self, place: int, runs: Sequence[Run]) -> StackRows:
        """Return the rows of a stack; `place` is that of its share."""
        said = time.monotonic()

        def progress(share: float) -> None:
            nonlocal said
            if time.monotonic() - said >= SECONDS_BETWEEN_SHARES:
                said = time.monotonic()
                self._board.put.remote(place, share)

        return self._worker.train(runs, progress)
