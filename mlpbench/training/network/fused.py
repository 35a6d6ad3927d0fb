"""The first layer of runs that see the same batch as one product: their weights stand side by side.

Shapes: `R` runs, `n` neighbours that share a batch, `B` batch, `I` inputs, `P` units padded, `W` = n P columns side by side.

    forward    (z_1 ... z_n) = x (W_1 ... W_n) + (b_1 ... b_n)      (B, I) (I, W)
    descent    (W_1 ... W_n) -= x^T (dz_1 ... dz_n)                 (I, B) (B, W)

A product of few columns does not keep a processor busy; one of many does. Each column is the sum of the same terms as
in the batched product, and has its bits wherever the library adds them in the same order. Whether it does is not promised:
it is tried, on this machine and in these shapes (`agrees`), and where it does not, products stay batched. So no bit depends
on what is fused.

Reference: S. Wang et al., "Horizontally Fused Training Array", MLSys 2021, who fuse layers of models of one shape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.plan import FUSED_UNITS
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.buffers import Stacked, padded

# Products of fewer multiply-adds a run are too small to gain, and those of a few hundred take ways of their own.
SMALLEST = 4096
# So many numbers are compared each way: where orders differ, some of a few terms may agree by chance.
COMPARED = 4096
# Of the numbers of a trial so many are zero, half of them negative: a sum of zeros has a sign too.
ZEROS = 0.3


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Runs that share a batch: their weights, (I, W), and room for their z or dz, (B, W)."""

    group: Group
    w_IW: Tensor
    room_BW: Tensor

    @property
    def own(self) -> slice:
        """Their place in the stack."""
        return self.group.own

    def by_run(self, of_NW: Tensor) -> Tensor:
        """Return a view of rows side by side with the run axis first, of shape (n, rows, P)."""
        return of_NW.view(len(of_NW), len(self.group), -1).transpose(0, 1)


class Fused:
    """The first layers of a stack, those side by side that share a batch. What is learnt here has to be put back.

    The weights of a run that shares its batch with none stay where they are.
    """

    def __init__(
        self, groups: Sequence[Group], *, inputs: int, units: int, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._lone = [g for g in groups if len(g) == 1]

        def room(rows: int, g: Group) -> Tensor:
            return torch.zeros(rows, len(g) * padded(units), dtype=dtype, device=device)

        together = (g for g in groups if len(g) > 1)
        self._together = [Neighbours(group=g, w_IW=room(inputs, g), room_BW=room(batch, g)) for g in together]

    def take(self, weights: Stacked) -> None:
        """Copy the weights, (R, I, P), side by side."""
        for some in self._together:
            some.by_run(some.w_IW).copy_(weights.wide_RNP[some.own, : len(some.w_IW)])

    def put(self, weights: Stacked) -> None:
        """Copy the weights back to where every run has its own, (R, I, P)."""
        for some in self._together:
            weights.wide_RNP[some.own, : len(some.w_IW)].copy_(some.by_run(some.w_IW))

    def forward(self, inputs: Inputs, bias: Stacked, z: Stacked) -> None:
        """Write x W + b of those side by side into z, (R, B, P); biases are (R, 1, P)."""
        rows = inputs.x_GBI.shape[1]
        for some in self._together:
            z_BW = some.room_BW[:rows]
            some.by_run(z_BW).copy_(bias.wide_RNP[some.own])
            z_BW.addmm_(inputs.x_GBI[some.group.batch], some.w_IW)
            z.wide_RNP[some.own].copy_(some.by_run(z_BW))

    def subtract_gradient(
        self, inputs: Inputs, d: Stacked, decay_factor_R1: Tensor | None, sums_R: Tensor | None
    ) -> None:
        """Subtract x^T dz from the weights of those side by side, which decay first by `decay_factor_R1`; dz is (R, B, P).

        To `sums_R` are added the sums of their weights.
        """
        rows = inputs.x_GBI.shape[1]
        for some in reversed(self._together):
            if decay_factor_R1 is not None:
                some.by_run(some.w_IW).mul_(decay_factor_R1[some.own, None])
            d_BW = some.room_BW[:rows]
            some.by_run(d_BW).copy_(d.wide_RNP[some.own])
            some.w_IW.addmm_(inputs.x_GBI[some.group.batch].T, d_BW, alpha=-1)
            if sums_R is not None:
                sums_R[some.own].add_(some.by_run(some.w_IW.sum(0, keepdim=True)).sum((1, 2)))

    def others(self, inputs: Inputs) -> Iterator[tuple[slice, Tensor]]:
        """Yield runs that share their batch with none, as `Inputs.parts` does."""
        yield from Inputs(x_GBI=inputs.x_GBI, groups=self._lone).parts()


def worth(
    groups: Sequence[Group], rows: Collection[int], *, inputs: int, units: int, dtype: torch.dtype, device: torch.device
) -> bool:
    """Return whether to stand first layers side by side for batches of so many rows: that gains time and moves no bit.

    Wider layers are as fast by themselves; in double precision a wide product adds in another order.
    """
    shared = {len(g) for g in groups} - {1}
    if not shared or units > FUSED_UNITS or device.type != "cpu" or dtype != torch.float32:
        return False
    wide, threads = padded(units), torch.get_num_threads()
    return all(agrees(count, n, inputs, wide, threads) for count in sorted(rows) for n in sorted(shared))


@functools.cache
def agrees(rows: int, n: int, inputs: int, units: int, threads: int) -> bool:
    """Return whether n runs side by side get the bits that the batched product gives them, forward and in descent.

    It is tried on random numbers, zeros among them, until enough are compared. What a product adds in which order follows
    from shapes, layout and the number of threads, never from the numbers.
    """
    if rows * inputs * units < SMALLEST:
        return False
    tries = math.ceil(COMPARED / (n * units * min(rows, inputs)))
    draws = torch.Generator().manual_seed(0)
    return all(_agree(rows, n, inputs, units, draws) for _ in range(tries))


def _agree(rows: int, n: int, inputs: int, units: int, draws: torch.Generator) -> bool:
    make: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu")}

    def drawn(runs: int, height: int, width: int) -> Stacked:
        stacked = Stacked.zeros(runs, height, width, **make)
        nonzero = torch.rand(runs, height, width, generator=draws) >= ZEROS
        torch.mul(torch.randn(runs, height, width, generator=draws), nonzero, out=stacked.x_RNM)  # 0 times -1 is -0
        return stacked

    x, bias, d = drawn(1, rows, inputs), drawn(n, 1, units), drawn(n, rows, units)
    weights = drawn(n, padded(inputs), units)
    for of in (weights, d):  # of some units nothing is left but the signs
        of.x_RNM[:, :, ::3] *= 0
    z, z_batched, learnt = d.zeros_like(), d.zeros_like(), weights.zeros_like()
    batch = Inputs(x_GBI=x.x_RNM, groups=[Group(start=0, stop=n, batch=0)])
    tried = Fused(batch.groups or (), inputs=inputs, units=units, batch=rows, **make)
    tried.take(weights)
    tried.forward(batch, bias, z)
    tried.subtract_gradient(batch, d, None, None)
    tried.put(learnt)
    x_RBI, w_RIP = x.x_RNM.expand(n, -1, -1), weights.wide_RNP[:, :inputs]
    torch.baddbmm(bias.wide_RNP, x_RBI, w_RIP, out=z_batched.wide_RNP)
    w_RIP.baddbmm_(x_RBI.transpose(1, 2), d.wide_RNP, alpha=-1)
    pairs = ((z.wide_RNP, z_batched.wide_RNP), (learnt.wide_RNP[:, :inputs], w_RIP))
    return all(torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32)) for a, b in pairs)
