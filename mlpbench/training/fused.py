"""The first layer of runs that see the same batch as one product: their weights stand side by side.

Shapes: `R` runs, `n` neighbours that share a batch, `G` distinct batches, `B` batch, `I` inputs, `P` units padded.

    forward    (z_1 ... z_n) = x (W_1 ... W_n) + (b_1 ... b_n)      (B, I) (I, n P)
    descent    (W_1 ... W_n) -= x^T (dz_1 ... dz_n)                 (I, B) (B, n P)

A product of few columns does not keep a processor busy; one of many does. Each column is the sum of the same terms as
in the batched product, and has its bits wherever the library adds them in the same order. Whether it does is not promised:
it is tried, on this machine and in these shapes (`agrees`), and where it does not, products stay batched. So no bit depends
on what is fused.

Reference: S. Wang et al., "Horizontally Fused Training Array", MLSys 2021, who fuse layers of models of one shape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.plan import FUSED_UNITS as WIDEST
from mlpbench.training.buffers import Stacked, padded
from mlpbench.training.inputs import Group, Inputs

# So many numbers are compared each way: where orders differ, some of a few terms may agree by chance.
COMPARED = 4096


@dataclass(frozen=True, kw_only=True)
class Block:
    """Neighbours that share a batch: their weights (I, n P), and room for their z or dz, (B, n P)."""

    group: Group
    weights: Tensor
    room: Tensor

    @property
    def own(self) -> slice:
        """The neighbours' place in the stack."""
        return slice(self.group.start, self.group.stop)

    def by_run(self, side_by_side: Tensor) -> Tensor:
        """Return a view with the run axis first, of shape (n, rows, P)."""
        n = self.group.stop - self.group.start
        return side_by_side.view(len(side_by_side), n, -1).transpose(0, 1)


class Fused:
    """The first layers of a stack, those side by side that share a batch. What is learnt here has to be put back."""

    def __init__(
        self, groups: Sequence[Group], *, inputs: int, units: int, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        wide = padded(units)
        self._alone = [g for g in groups if g.stop - g.start == 1]
        self._blocks = [
            Block(
                group=g,
                weights=torch.zeros(inputs, (g.stop - g.start) * wide, dtype=dtype, device=device),
                room=torch.zeros(batch, (g.stop - g.start) * wide, dtype=dtype, device=device),
            )
            for g in groups
            if g.stop - g.start > 1
        ]

    def take(self, weights: Stacked) -> None:
        """Copy the weights of all runs side by side."""
        for block in self._blocks:
            block.by_run(block.weights).copy_(weights.wide_RNP[block.own, : len(block.weights)])

    def put(self, weights: Stacked) -> None:
        """Copy the weights back to where every run has its own."""
        for block in self._blocks:
            weights.wide_RNP[block.own, : len(block.weights)].copy_(block.by_run(block.weights))

    def forward(self, inputs: Inputs, bias: Stacked, z: Stacked) -> None:
        """Write x W + b of those side by side into z."""
        rows = inputs.x_GBI.shape[1]
        for block in self._blocks:
            room = block.room[:rows]
            by_run = block.by_run(room)
            by_run.copy_(bias.wide_RNP[block.own])
            room.addmm_(inputs.x_GBI[block.group.batch], block.weights)
            z.wide_RNP[block.own].copy_(by_run)

    def descend(self, inputs: Inputs, d: Stacked, keep_R1: Tensor | None) -> None:
        """Subtract x^T dz from the weights of those side by side, which decay first by `keep_R1`."""
        rows = inputs.x_GBI.shape[1]
        for block in self._blocks:
            if keep_R1 is not None:
                block.by_run(block.weights).mul_(keep_R1[block.own, None])
            room = block.room[:rows]
            block.by_run(room).copy_(d.wide_RNP[block.own])
            block.weights.addmm_(inputs.x_GBI[block.group.batch].T, room, alpha=-1)

    def others(self, inputs: Inputs) -> Iterator[tuple[slice, Tensor]]:
        """Yield runs that share their batch with none, as `Inputs.parts` does."""
        yield from Inputs(x_GBI=inputs.x_GBI, groups=self._alone).parts()

    def sums(self, weights: Stacked) -> Tensor:
        """Return the sum of each run's weights, shape (R,), of runs that are alone that of their own."""
        found = torch.empty(len(weights.flat_RS), dtype=weights.flat_RS.dtype, device=weights.flat_RS.device)
        for block in self._blocks:
            found[block.own] = block.by_run(block.weights.sum(0, keepdim=True)).sum((1, 2))
        for group in self._alone:
            found[group.start] = weights.flat_RS[group.start].sum()
        return found


def fused(
    groups: Sequence[Group] | None,
    rows: Iterable[int],
    *,
    inputs: int,
    units: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Fused | None:
    """Return first layers side by side, for batches of so many `rows`, or None where that gains nothing or moves a bit.

    Wider layers are as fast by themselves; in double precision a wide product adds in another order.
    """
    shared = {g.stop - g.start for g in groups or ()} - {1}
    counts = {n for n in rows if n}
    if groups is None or not shared or units > WIDEST or device.type != "cpu" or dtype != torch.float32:
        return None
    if not all(agrees(n, k, inputs, padded(units), torch.get_num_threads()) for n in counts for k in shared):
        return None
    return Fused(groups, inputs=inputs, units=units, batch=max(counts), dtype=dtype, device=device)


@functools.cache
def agrees(rows: int, n: int, inputs: int, units: int, threads: int) -> bool:
    """Return whether n runs side by side get the bits that the batched product gives them, forward and in descent.

    It is tried on random numbers, until enough are compared. What a product adds in which order follows from shapes, layout
    and the number of threads, never from the numbers.
    """
    tries = math.ceil(COMPARED / (n * units * min(rows, inputs)))
    draws = torch.Generator().manual_seed(0)
    return all(_agree(rows, n, inputs, units, draws) for _ in range(tries))


def _agree(rows: int, n: int, inputs: int, units: int, draws: torch.Generator) -> bool:
    make: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu")}

    def drawn(runs: int, height: int, width: int) -> Stacked:
        made = Stacked.zeros(runs, height, width, **make)
        made.x_RNM.copy_(torch.randn(runs, height, width, generator=draws))
        return made

    x, weights, bias, d = (
        drawn(1, rows, inputs),
        drawn(n, padded(inputs), units),
        drawn(n, 1, units),
        drawn(n, rows, units),
    )
    z, z_batched, learnt = d.zeros_like(), d.zeros_like(), weights.zeros_like()
    batch = Inputs(x_GBI=x.x_RNM, groups=[Group(start=0, stop=n, batch=0)])
    tried = Fused(batch.groups or (), inputs=inputs, units=units, batch=rows, **make)
    tried.take(weights)
    tried.forward(batch, bias, z)
    tried.descend(batch, d, None)
    tried.put(learnt)
    x_RBI, w_RIP = x.x_RNM.expand(n, -1, -1), weights.wide_RNP[:, :inputs]
    torch.baddbmm(bias.wide_RNP, x_RBI, w_RIP, out=z_batched.wide_RNP)
    w_RIP.baddbmm_(x_RBI.transpose(1, 2), d.wide_RNP, alpha=-1)
    return torch.equal(z.wide_RNP, z_batched.wide_RNP) and torch.equal(learnt.wide_RNP[:, :inputs], w_RIP)
