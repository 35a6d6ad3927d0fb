"""What training does differently on a GPU: steps that are recorded and replayed, kernels of its own, and its settings.

Starting hundreds of small kernels takes a GPU's host longer than running them takes the GPU. A CUDA graph is the list of
kernels, with their arguments, that some work starts: replayed, it does the same on the same memory. So everything that
differs from one call to the next has to be put where the kernels read it.

Which kernel a GPU takes for an operation, and in which order it adds, follows from shapes, the number of runs among them:
runs are trained in bricks of a fixed number (`experiment.plan.brick`), filled up with copies, where every run has a batch
of its own. So a run has the same bits alone and in company.

References: A. Gray, "Getting Started with CUDA Graphs", NVIDIA, 2019; NVIDIA, "cuBLAS: Results reproducibility".
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from mlpbench.base.environment import CUBLAS_WORKSPACE

Work = Callable[[int], Tensor]


def prepare(device: torch.device) -> None:
    """Make a GPU the one that kernels are started on, and have cuBLAS take the same kernels every time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    torch.cuda.set_device(device)


def kernels_for(device: torch.device) -> ModuleType | None:
    """Return the kernels of a GPU, where `device` is one and they can be compiled; None elsewhere."""
    return _kernels() if device.type == "cuda" else None


@functools.cache
def _kernels() -> ModuleType | None:
    if torch.version.cuda is None:  # a pretend device
        return None
    try:
        from mlpbench.training import kernels
    except ImportError:
        return None
    return kernels


def recorded(work: Work, device: torch.device, *, unless: bool = False) -> Work:
    """Return the work, recorded where `device` is a GPU; `unless` says that it takes something from the host."""
    # A build of torch without CUDA may have a pretend device (tests/helpers/pretend_gpu.py), but has no graphs.
    can = device.type == "cuda" and torch.version.cuda is not None
    return Recorded(work) if can and not unless else work


class Recorded:
    """Work of one argument, which its result is a function of, as CUDA graphs: one for each argument that comes twice.

    The first call with an argument does the work, so that libraries are loaded and have chosen their kernels; the second
    records it. A result is overwritten by the next call with the same argument.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._done: set[int] = set()
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, n: int) -> Tensor:
        """Do the work, or replay it."""
        if n not in self._done:
            self._done.add(n)
            return self._work(n)
        if n not in self._graphs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = self._work(n)
            self._graphs[n] = graph, result
        graph, result = self._graphs[n]
        graph.replay()
        return result
