"""A stack of multilayer perceptrons of one shape: forward pass, backward pass and update, run axis first.

Shapes: `R` runs, `B` batch, `I` inputs, `O` outputs of a layer, `G` distinct batches. With h_0 = x and hidden layers
l = 1 ... L-1:

    forward    z_l = h_{l-1} W_l + b_l       a_l = f(z_l)       h_l = a_l * m_l        (m: dropout mask / (1 - p))
    backward   dW_l = h_{l-1}^T dz_l         db_l = sum_B dz_l  dz_{l-1} = (dz_l W_l^T) * m_{l-1} * f'(z_{l-1})

The gradient of the inputs is never computed. Plain descent is linear in the gradient, so the learning rate is multiplied
into dz at the outputs and the weight gradient is added to the weights by the product that computes it (`baddbmm_`).

Reference: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.grid import RunSettings
from mlpbench.training.activations import Activation, activation
from mlpbench.training.buffers import Stacked, column, padded


@dataclass(frozen=True, kw_only=True)
class Group:
    """Neighbours in the stack, `start` to `stop`, that see the same batch: number `batch` of the distinct ones."""

    start: int
    stop: int
    batch: int


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A batch for every run: the distinct batches, x of shape (G, B, I), and which runs see which."""

    x_GBI: Tensor
    groups: Sequence[Group]

    def of(self, group: Group) -> Tensor:
        """Return the group's batch, seen (not copied) once per run: shape (runs of the group, B, I)."""
        return self.x_GBI[group.batch].expand(group.stop - group.start, -1, -1)


class Workspace:
    """The buffers of a pass over up to `batch` examples: one set, used by every step."""

    def __init__(self, network: Network, batch: int, *, backward: bool) -> None:
        def buffer(columns: int) -> Stacked:
            return Stacked.zeros(network.runs, batch, columns, dtype=network.dtype, device=network.device)

        hidden = network.sizes[1:-1]
        keeps_input = backward and any(a.needs_input for _, _, a, _ in network.ranges)
        self.a = [buffer(m) for m in hidden]
        self.z = [buffer(m) for m in hidden] if keeps_input else self.a
        self.dropped = [buffer(m) if backward and drops else a for m, drops, a in zip(hidden, network.drops, self.a)]
        self.mask = [buffer(m) if backward and drops else None for m, drops in zip(hidden, network.drops)]
        self.d = [buffer(m) for m in hidden] if backward else []
        self.outputs = buffer(network.sizes[-1])
        self.d_outputs = buffer(network.sizes[-1]) if backward else self.outputs
        self.losses = Stacked.zeros(network.runs, 1, batch, dtype=network.dtype, device=network.device)


class Network:
    """Weights and biases of a stack; runs that share a batch and runs that share an activation stand side by side."""

    def __init__(
        self, settings: Sequence[RunSettings], sizes: Sequence[int], *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.runs = len(settings)
        self.sizes = list(sizes)
        self.dtype = dtype
        self.device = device
        self.ranges = _ranges([s.activation for s in settings])
        self.drops = [any(s.dropout[layer] > 0 for s in settings) for layer in range(len(sizes) - 2)]
        make: dict[str, Any] = {"dtype": dtype, "device": device}
        self.keep_from = [column([s.dropout[layer] for s in settings], **make) for layer in range(len(sizes) - 2)]
        self.keep_scale = [
            column([1 / (1 - s.dropout[layer]) if s.dropout[layer] < 1 else 0.0 for s in settings], **make)
            for layer in range(len(sizes) - 2)
        ]
        shapes = list(itertools.pairwise(self.sizes))
        # Rows are padded too, for the columns of dz W^T.
        self.weights = [Stacked.zeros(self.runs, padded(i), o, **make) for i, o in shapes]
        self.biases = [Stacked.zeros(self.runs, 1, o, **make) for _, o in shapes]
        self._decay = column([1 - s.lr * s.weight_decay for s in settings], **make)
        self._decay_bias = column([1 - s.lr * s.weight_decay * s.decay_bias for s in settings], **make)
        self._decays = any(s.weight_decay > 0 for s in settings)

    def forward(self, inputs: Inputs, work: Workspace, *, train: bool) -> Stacked:
        """Compute the outputs, of shape (R, B, C), in `work.outputs`; dropout acts in training only."""
        n = inputs.x_GBI.shape[1]
        last = len(self.weights) - 1
        h: Stacked | None = None
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            z = (work.outputs if layer == last else work.z[layer]).rows(n)
            w_RIP = weight.wide_RNP
            if h is None:
                for g in inputs.groups:
                    own = slice(g.start, g.stop)
                    torch.baddbmm(bias.wide_RNP[own], inputs.of(g), w_RIP[own, : self.sizes[0]], out=z.wide_RNP[own])
            else:
                torch.baddbmm(bias.wide_RNP, h.x_RNM, w_RIP[:, : self.sizes[layer]], out=z.wide_RNP)
            if layer == last:
                return z
            a = work.a[layer]
            for start, stop, f, parameter in self.ranges:
                f.forward(z.flat_RS[start:stop], a.flat_RS[start:stop], parameter)
            h = a.rows(n)
            mask = work.mask[layer]
            if train and mask is not None:
                h = work.dropped[layer].rows(n)
                torch.mul(a.flat_RS, mask.flat_RS, out=h.flat_RS)
        raise AssertionError("a network has at least one layer")

    def set_mask(self, layer: int, noise: Inputs, work: Workspace) -> None:
        """Draw dropout masks from noise u in [0, 1), shape (G, B, units): kept where u >= p, scaled by 1 / (1 - p)."""
        mask = work.mask[layer]
        assert mask is not None
        n = noise.x_GBI.shape[1]
        for g in noise.groups:
            own = slice(g.start, g.stop)
            kept = torch.ge(noise.of(g), self.keep_from[layer][own])
            torch.mul(kept, self.keep_scale[layer][own], out=mask.x_RNM[own, :n])

    def descend(self, inputs: Inputs, work: Workspace, d_outputs: Stacked) -> None:
        """Backpropagate dz at the outputs, already multiplied by each run's learning rate, and take the step."""
        n = inputs.x_GBI.shape[1]
        d = d_outputs.rows(n)
        for layer in reversed(range(len(self.weights))):
            weight, size = self.weights[layer], self.sizes[layer]
            before = None
            if layer > 0:
                before = work.d[layer - 1].rows(n)
                torch.bmm(d.x_RNM, weight.x_RNM.transpose(1, 2), out=before.wide_RNP)
            self._shrink(layer)
            if layer > 0:
                h_RBI = work.dropped[layer - 1].x_RNM[:, :n]
                weight.wide_RNP[:, :size].baddbmm_(h_RBI.transpose(1, 2), d.wide_RNP, alpha=-1)
            else:
                for g in inputs.groups:
                    own = slice(g.start, g.stop)
                    x_RIB = inputs.of(g).transpose(1, 2)
                    weight.wide_RNP[own, :size].baddbmm_(x_RIB, d.wide_RNP[own], alpha=-1)
            self.biases[layer].wide_RNP.sub_(d.wide_RNP.sum(1, keepdim=True))
            if before is not None:
                self._through_activation(layer - 1, before, work)
                d = before

    def _through_activation(self, layer: int, d: Stacked, work: Workspace) -> None:
        mask = work.mask[layer]
        if mask is not None:
            d.flat_RS.mul_(mask.flat_RS)
        z, a = work.z[layer], work.a[layer]
        for start, stop, f, parameter in self.ranges:
            own = slice(start, stop)
            f.backward(d.flat_RS[own], z.flat_RS[own], a.flat_RS[own], parameter)

    def _shrink(self, layer: int) -> None:
        if self._decays:  # multiplying by exactly 1 leaves the bits of runs without decay as they are
            self.weights[layer].flat_RS.mul_(self._decay.squeeze(2))
            self.biases[layer].flat_RS.mul_(self._decay_bias.squeeze(2))

    def finite(self) -> Tensor:
        """Return whether every parameter of a run is finite, shape (R,), at the cost of one sum in the usual case."""
        total = sum((p.flat_RS.sum(1) for p in (*self.weights, *self.biases)), torch.zeros((), device=self.device))
        fine = torch.isfinite(total)
        if bool(fine.all()):
            return fine
        # A sum of finite numbers may overflow: look again, one by one.
        each = [p.flat_RS.isfinite().all(1) for p in (*self.weights, *self.biases)]
        return torch.stack(each).all(0)


def _ranges(names: Sequence[str]) -> list[tuple[int, int, Activation, float]]:
    """Return (start, stop, activation, parameter) of neighbours with one activation."""
    ranges = []
    start = 0
    for name, members in itertools.groupby(names):
        stop = start + len(list(members))
        ranges.append((start, stop, *activation(name)))
        start = stop
    return ranges
