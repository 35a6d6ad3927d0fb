"""Convolutions with their poolings, in front of a stack of multilayer perceptrons: forward and backward pass.

Shapes: `R` runs, `G` distinct batches, `C` channels in, `O` channels out, `K` = 9 C taps, `B` lanes: the examples, rounded
up to whole vectors; `Q` = positions x B. Examples come last: a shift by a pixel is one by whole vectors, a pooled cell is
the vectors of its four positions, and what the last pooling leaves, (R, features, B), is the dense part's input as its
product wants it. Positions are in order of their place in the pooling, then of the cell: (2, 2, rows, columns).

    forward    U = taps of h (im2col)       Z = W^T U + b            A = f(Z)             h' = pool A
    backward   dA = unpool dh'              dZ = dA * f'(...)        dW = U dZ^T          db = sum_Q dZ
               dU = W dZ                    dh = sum of dU's taps (col2im)

This is a grouped convolution, one group a run, by the batched products that dense layers take (see buffers.py); runs that
see one batch share the taps of the first convolution, and the gradient of the images is never computed. The gradient of
a maximum goes to the first of its positions, row by row, that has it, as in torch.

References: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; K. Chellapilla, S. Puri,
P. Simard, "High performance convolutional neural networks for document processing", 2006, for im2col.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.convolution_shapes import POOLED, TAPS, Convolution
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.buffers import Stacked, padded
from mlpbench.training.network.parameters import GradientTarget

# (layer, z, where f(z) goes)
Activate = Callable[[int, Stacked, Stacked], None]
# (layer, d = dL/dA, which becomes dL/dZ, z, a, target of what the activation learns)
Derive = Callable[[int, Stacked, Stacked, Stacked, GradientTarget], None]


class Maps:
    """The buffers of a pass over up to `batch` examples."""

    def __init__(self, front: Convolutions, batch: int, *, backward: bool) -> None:
        self.lanes = lanes = padded(batch)
        self._front = front
        convolutions = front.shapes

        def buffer(rows: int, positions: int) -> Stacked:
            return Stacked.zeros(front.runs, rows, positions * lanes, **front.make)

        def frame(c: Convolution) -> Stacked:
            return buffer(c.before, c.framed[0] * c.framed[1])

        later = convolutions[1:]
        # The first two belong to distinct batches, whose number is known only when inputs arrive.
        self.framed = [Stacked.zeros(0, 1, 1, **front.make), *map(frame, later)]
        self.taps = [Stacked.zeros(0, 1, 1, **front.make), *(buffer(c.inputs, c.positions) for c in later)]
        self.a = [buffer(c.channels, c.positions) for c in convolutions]
        self.z = [buffer(c.channels, c.positions) for c in convolutions] if backward and front.keeps_input else self.a
        self.pooled = buffer(convolutions[-1].channels, convolutions[-1].cells)
        if backward:
            self.d = [buffer(c.channels, c.positions) for c in convolutions]
            self.d_framed = [self.framed[0], *map(frame, later)]
            self.d_pooled = buffer(convolutions[-1].channels, convolutions[-1].cells)
            # Where a step goes straight into the weights, the way back takes them as they were.
            self.before = [Stacked.zeros(front.runs, padded(c.inputs), c.channels, **front.make) for c in convolutions]

    def by_unit(self, buffers: Sequence[Stacked], n: int) -> list[Tensor]:
        """Return a buffer's numbers for n examples, layer by layer, of shape (R, positions, n, O)."""
        counts = [c.positions for c in self._front.shapes]
        return [_split(b.x_RNM, k, -1)[..., :n].permute(0, 2, 3, 1) for b, k in zip(buffers, counts)]

    def room(self, distinct: int) -> None:
        """Make sure that there are buffers for so many distinct batches."""
        if len(self.framed[0].flat_RS) != distinct:
            c = self._front.shapes[0]
            area = c.framed[0] * c.framed[1] * self.lanes
            self.framed[0] = Stacked.zeros(distinct, c.before, area, **self._front.make)
            self.taps[0] = Stacked.zeros(distinct, c.inputs, c.positions * self.lanes, **self._front.make)


class Convolutions:
    """The convolutions of a stack: what is done with their parameters, which the network keeps."""

    def __init__(
        self,
        shapes: Sequence[Convolution],
        pooling: str,
        runs: int,
        *,
        keeps_input: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shapes = shapes
        self.runs = runs
        self.keeps_input = keeps_input
        self.make: dict[str, Any] = {"dtype": dtype, "device": device}
        self._takes_max = pooling == "max"

    def features(self, pooled: Stacked, n: int) -> Tensor:
        """Return what the last pooling leaves of n examples, of shape (R, features, n), channel by channel."""
        c = self.shapes[-1]
        return pooled.x_RNM.view(self.runs, c.channels * c.cells, -1)[..., :n]

    def forward(
        self,
        inputs: Inputs,
        maps: Maps,
        weights: Sequence[Stacked],
        biases: Sequence[Stacked],
        activate: Activate,
        rounded: Callable[[Stacked], None],
    ) -> Tensor:
        """Compute what the dense part takes, of shape (R, features, B); `rounded` is done to what goes into products."""
        n = inputs.x_GBI.shape[1]
        self._frame(inputs, maps)
        for layer, c in enumerate(self.shapes):
            _gather_taps(c, maps.framed[layer], maps.taps[layer])
            w_ROK = weights[layer].x_RNM[:, : c.inputs].transpose(1, 2)
            b_RO1 = biases[layer].x_RNM.transpose(1, 2)
            z_ROQ = maps.z[layer].x_RNM
            for own, u_RKQ in self._taps(layer, inputs, maps):
                torch.baddbmm(b_RO1[own], w_ROK[own], u_RKQ, out=z_ROQ[own])
            activate(layer, maps.z[layer], maps.a[layer])
            self._pool(layer, maps)
            rounded(maps.pooled if c is self.shapes[-1] else maps.framed[layer + 1])
        return self.features(maps.pooled, n)

    def take(self, d_ROB: Tensor, w_RFO: Tensor, maps: Maps) -> None:
        """Take the gradient of what the dense part took, from dL/dz of its first layer and that layer's weights."""
        n = d_ROB.shape[2]
        torch.bmm(w_RFO, d_ROB, out=self.features(maps.d_pooled, n))
        if n < maps.lanes:
            self.features(maps.d_pooled, maps.lanes)[..., n:] = 0

    def backward(
        self,
        inputs: Inputs,
        maps: Maps,
        weights: Sequence[Stacked],
        target: GradientTarget,
        derive: Derive,
        rounded: Callable[[Stacked], None],
    ) -> None:
        """Backpropagate dL/d(features), in `maps.d_pooled`, and put the gradients into the target.

        `weights` are the operands of the forward pass.
        """
        for layer in reversed(range(len(self.shapes))):
            c, d, before = self.shapes[layer], maps.d[layer], maps.before[layer]
            self._unpool(layer, maps)
            derive(layer, d, maps.z[layer], maps.a[layer], target)
            rounded(d)
            if layer > 0:
                before.flat_RS.copy_(weights[layer].flat_RS)
            d_RQO = d.x_RNM.transpose(1, 2)
            for own, u_RKQ in self._taps(layer, inputs, maps):
                target.put_weights(layer, u_RKQ, d_RQO[own], own)
            target.put_biases(layer, d.x_RNM.sum(2)[:, None])
            if layer > 0:
                torch.bmm(before.x_RNM[:, : c.inputs], d.x_RNM, out=maps.taps[layer].x_RNM)
                _scatter_taps(c, maps.taps[layer], maps.d_framed[layer])

    def _frame(self, inputs: Inputs, maps: Maps) -> None:
        """Put the images into their frames of zeros, pixel by pixel; spare lanes are empty images."""
        c, x_GBI = self.shapes[0], inputs.x_GBI
        distinct, n, _ = x_GBI.shape
        maps.room(distinct)
        inner = _inner(c, maps.framed[0])[:, 0]
        inner[..., :n] = _split(x_GBI, c.rows, c.columns).permute(0, 2, 3, 1)
        if n < maps.lanes:
            inner[..., n:] = 0

    def _taps(self, layer: int, inputs: Inputs, maps: Maps) -> Sequence[tuple[slice, Tensor]]:
        """Return neighbours in the stack with their taps."""
        u_RKQ = maps.taps[layer].x_RNM
        return list(replace(inputs, x_GBI=u_RKQ).parts()) if layer == 0 else [(slice(None), u_RKQ)]

    def _result(self, layer: int, maps: Maps, framed: Sequence[Stacked], last: Stacked) -> Tensor:
        """Return what a pooling leaves, (R, O, rows, columns, B): in the frame of the next convolution, or the last."""
        if layer + 1 < len(self.shapes):
            return _inner(self.shapes[layer + 1], framed[layer + 1])
        return _split(last.x_RNM, *self.shapes[layer].pooled, maps.lanes)

    def _pool(self, layer: int, maps: Maps) -> None:
        into = self._result(layer, maps, maps.framed, maps.pooled)
        first, second, *rest = self._corners(layer, maps.a[layer])
        combine = torch.maximum if self._takes_max else torch.add
        combine(first, second, out=into)
        for a in rest:
            combine(into, a, out=into)
        if not self._takes_max:
            into.mul_(1 / POOLED)

    def _unpool(self, layer: int, maps: Maps) -> None:
        d_pooled = self._result(layer, maps, maps.d_framed, maps.d_pooled)
        corners = self._corners(layer, maps.d[layer])
        if not self._takes_max:
            for d in corners:
                torch.mul(d_pooled, 1 / POOLED, out=d)
            return
        pooled = self._result(layer, maps, maps.framed, maps.pooled)
        for d, a in zip(corners[:-1], self._corners(layer, maps.a[layer])):
            torch.eq(a, pooled, out=d)
            d.mul_(d_pooled)
            d_pooled.sub_(d)  # what is left belongs to a later corner
        corners[-1].copy_(d_pooled)

    def _corners(self, layer: int, buffer: Stacked) -> Sequence[Tensor]:
        """Return the four positions of every pooled cell, row by row, each of shape (R, O, rows, columns, B)."""
        return _split(buffer.x_RNM, POOLED, *self.shapes[layer].pooled, -1).unbind(2)


def _split(x: Tensor, *shape: int) -> Tensor:
    """Return a view with the last axis split."""
    return x.view(*x.shape[:-1], *shape)


def _inner(c: Convolution, framed: Stacked) -> Tensor:
    """Return the image in its frame, of shape (R, C, rows, columns, B)."""
    return _split(framed.x_RNM, *c.framed, -1)[:, :, 1 : 1 + c.rows, 1 : 1 + c.columns]


def _windows(c: Convolution, framed: Stacked, row: int, column: int) -> Tensor:
    """Return what a tap reads at every position, a view of shape (R, C, 2, 2, rows, columns, B)."""
    image = _split(framed.x_RNM, *c.framed, -1)
    of_run, of_channel, of_row, of_column, _ = image.stride()
    corner = image[:, :, row:, column:]
    shape = (*image.shape[:2], 2, 2, *c.pooled, image.shape[4])
    strides = (of_run, of_channel, of_row, of_column, 2 * of_row, 2 * of_column, 1)
    return corner.as_strided(shape, strides, corner.storage_offset())


def _tap(c: Convolution, taps: Stacked, row: int, column: int) -> Tensor:
    """Return a tap of every channel and position, a view of the shape of its window."""
    return _split(taps.x_RNM[:, 3 * row + column :: TAPS], 2, 2, *c.pooled, -1)


def _gather_taps(c: Convolution, framed: Stacked, taps: Stacked) -> None:
    """Copy the nine neighbours that each position reads: im2col."""
    for row, column in itertools.product(range(3), range(3)):
        _tap(c, taps, row, column).copy_(_windows(c, framed, row, column))


def _scatter_taps(c: Convolution, taps: Stacked, framed: Stacked) -> None:
    """Sum the taps' gradients where they were read: col2im. The frame gets its share too, which is never read."""
    framed.x_RNM.zero_()
    for row, column in itertools.product(range(3), range(3)):
        _windows(c, framed, row, column).add_(_tap(c, taps, row, column))
