"""The batches of a stack: the distinct ones, and which runs see which.

Shapes: `G` distinct batches, `B` batch, `I` inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpbench.experiment.grid import Run


@dataclass(frozen=True, kw_only=True)
class Group:
    """Neighbours in the stack, `start` to `stop`, that see the same batch: number `batch` of the distinct ones."""

    start: int
    stop: int
    batch: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def own(self) -> slice:
        """Their place in the stack."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A batch for every run: the distinct batches, x of shape (G, B, I), and which runs see which.

    Without groups every run has a batch of its own.
    """

    x_GBI: Tensor
    groups: Sequence[Group] | None = None

    def parts(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield neighbours in the stack with their batch, seen (not copied) once per run: (neighbours, B, I)."""
        if self.groups is None:
            yield slice(None), self.x_GBI
            return
        for g in self.groups:
            yield g.own, self.x_GBI[g.batch].expand(len(g), -1, -1)


def batches_of(
    runs: Sequence[Run], key: Callable[[Run], Hashable], device: torch.device
) -> tuple[list[Group] | None, Sequence[Run]]:
    """Return which runs see one batch, and a run for each distinct batch.

    On a GPU every run has a batch of its own: a product's kernel follows from the number of runs in it, which must not
    depend on who shares a batch with whom.
    """
    return (None, runs) if device.type == "cuda" else groups(runs, key)


def heights(examples: int, batch: int) -> set[int]:
    """Return how many rows the batches of so many examples have: all the same but for the last."""
    return {min(batch, examples), examples % batch} - {0}


def groups(runs: Sequence[Run], key: Callable[[Run], Hashable]) -> tuple[list[Group], list[Run]]:
    """Return neighbours with one key as groups, and one run for each distinct key, in order of first appearance."""
    first: dict[Hashable, tuple[int, Run]] = {}
    for run in runs:
        first.setdefault(key(run), (len(first), run))
    shared = []
    start = 0
    for value, members in itertools.groupby(runs, key):
        stop = start + len(list(members))
        shared.append(Group(start=start, stop=stop, batch=first[value][0]))
        start = stop
    return shared, [run for _, run in first.values()]
