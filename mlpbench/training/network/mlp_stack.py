"""A stack of multilayer perceptrons of one shape: forward and backward pass, run axis first.

Shapes: `R` runs, `B` batch, `I` inputs, `O` outputs of a layer, `P` columns padded, `G` distinct batches. With h_0 = x and
hidden layers l = 1 ... L-1:

    forward    z_l = h_{l-1} W_l + b_l       a_l = f(N(z_l))       h_l = a_l * m_l     (m: dropout mask / (1 - p))
    backward   dW_l = h_{l-1}^T dz_l         db_l = sum_B dz_l     dz_{l-1} = N'((dz_l W_l^T) * m_{l-1} * f'(...))

With residual connections h_l = h_{l-1} + a_l * m_l where both layers are hidden and have one width, and dh_l is added to
dz_l W_l^T. N is the identity, layer or batch normalisation. Convolutions may stand in front (see convolution.py): then x is what they
leave, and its gradient goes back to them; else the gradient of the inputs is never computed. In precision bfloat16 what
goes into a product (x, h, W, dz) is rounded to bfloat16 first, and everything else is float32, as under autocast.

Reference: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.components.activations import ACTIVATIONS, Activation, activation
from mlpbench.experiment.convolution_shapes import Convolution
from mlpbench.experiment.grid import RunSettings
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.buffers import SPARE, Stacked, column, padded
from mlpbench.training.network.convolution import Convolutions, Maps
from mlpbench.training.network.dense_kernels import DenseKernels
from mlpbench.training.network.fused import Fused, worth
from mlpbench.training.network.norm import Norm
from mlpbench.training.network.parameters import GradientTarget, Layers


class Workspace:
    """The buffers of a pass over up to `batch` examples: one set, used by every step; dropout needs `drops`.

    `fused` has the first layers of runs that share a batch, if they are side by side now, and those alone count.
    """

    def __init__(self, network: Network, batch: int, *, backward: bool, drops: bool = True) -> None:
        def buffer(columns: int) -> Stacked:
            return Stacked.zeros(network.runs, batch, columns, dtype=network.dtype, device=network.device)

        hidden = network.sizes[1:-1]
        keeps_input = backward and network.keeps_input
        self.a = [buffer(m) for m in hidden]
        self.z = [buffer(m) for m in hidden] if keeps_input else self.a
        self.x_hat = [buffer(m) for m in hidden] if network.norms else self.a
        masked = [backward and drops and any_drops for any_drops in network.drops]
        sums = [has or skips for has, skips in zip(masked, network.skips)]
        self.dropped = [buffer(m) if has else a for m, has, a in zip(hidden, sums, self.a)]
        self.mask = [buffer(m) if has else None for m, has in zip(hidden, masked)]
        self.d = [buffer(m) for m in hidden] if backward else []
        # What comes back to a sum, for the layer before it.
        self.d_sum = [buffer(m) if backward and skips else None for m, skips in zip(hidden, network.skips)]
        self.outputs = buffer(network.sizes[-1])
        self.d_outputs = buffer(network.sizes[-1]) if backward else self.outputs
        rounded = network.parameters.weights if network.rounds else []
        self.weights = [w.zeros_like() for w in rounded]
        self.losses = Stacked.zeros(network.runs, 1, batch, dtype=network.dtype, device=network.device)
        self.maps = Maps(network.front, batch, backward=backward) if network.front is not None else None
        self.fused: Fused | None = None

    def parts(self, inputs: Inputs) -> Iterator[tuple[slice, Tensor]]:
        """Yield neighbours with their batch, as `Inputs.parts` does; none whose first layers are fused."""
        return inputs.parts() if self.fused is None else self.fused.others(inputs)

    def activations(self, n: int) -> list[Tensor]:
        """Return each layer's activations for n examples, units last: (R, n, O), of convolutions (R, positions, n, O)."""
        return [*(self.maps.by_unit(self.maps.a, n) if self.maps else []), *(a.x_RNM[:, :n] for a in self.a)]

    def errors(self, n: int) -> list[Tensor]:
        """Return dL/dz of each layer for n examples, in the shapes of the activations, and of the outputs."""
        dense = [d.x_RNM[:, :n] for d in (*self.d, self.d_outputs)]
        return [*(self.maps.by_unit(self.maps.d, n) if self.maps else []), *dense]


class Network:
    """Parameters of a stack; runs that share a batch and runs that share an activation stand side by side."""

    def __init__(
        self,
        settings: Sequence[RunSettings],
        sizes: Sequence[int],
        *,
        dtype: torch.dtype,
        device: torch.device,
        convolutions: Sequence[Convolution] = (),
    ) -> None:
        self.runs = len(settings)
        self.sizes = list(sizes)
        self.dtype = dtype
        self.device = device
        precision = settings[0].precision
        self.kernels = DenseKernels.of(self.runs, precision, dtype, device, convolves=bool(convolutions))
        self._products = self.kernels if self.kernels is not None and self.kernels.products else None
        # Kernels round operands themselves, on their way into a product.
        self.rounds = precision == "bfloat16" and self._products is None
        self.input_scale = settings[0].input_scale
        self.ranges = _ranges([s.activation for s in settings])
        # Activations of plugins are called run by run, without the padding: one may not be finite at 0.
        self._own = [(run, f) for start, stop, f, _ in self.ranges if f.own_forward for run in range(start, stop)]
        self._in_stacks = [r for r in self.ranges if r[2].own_forward is None]
        self.keeps_input = any(f.needs_input for _, _, f, _ in self.ranges)
        self._all_relu = all(f is ACTIVATIONS["relu"] for _, _, f, _ in self.ranges)
        make: dict[str, Any] = {"dtype": dtype, "device": device}
        # Arrays of parameters begin with those of the convolutions: so many lie before those of the dense layers.
        self.offset = len(convolutions)
        pooling = settings[0].pooling
        front = Convolutions(convolutions, pooling, self.runs, keeps_input=self.keeps_input, **make)
        self.front = front if convolutions else None
        self.shapes = [*((c.inputs, c.channels) for c in convolutions), *itertools.pairwise(self.sizes)]
        self.fans = [*((c.inputs, c.fan_out) for c in convolutions), *itertools.pairwise(self.sizes)]
        self.skips = settings[0].skips()
        self.has_biases = settings[0].bias
        hidden = range(len(sizes) - 2)
        self.drops = [any(s.dropout[layer] > 0 for s in settings) for layer in hidden]
        self.keep_from = [column([s.dropout[layer] for s in settings], **make) for layer in hidden]
        self.keep_scale = [
            column([1 / (1 - s.dropout[layer]) if s.dropout[layer] < 1 else 0.0 for s in settings], **make)
            for layer in hidden
        ]
        self.norms = [
            Norm(settings[0].norm, self.runs, u, **make) for u in self.sizes[1:-1] if settings[0].norm != "none"
        ]
        self.parameters = self.layers()
        for gamma in self.parameters.gammas:
            gamma.x_RNM.fill_(1.0)
        for slope in self.parameters.slopes:
            for start, stop, _, parameter in self.ranges:
                slope.x_RNM[start:stop].fill_(parameter)

    @property
    def has_own(self) -> bool:
        """Whether any run has an activation of a plugin."""
        return bool(self._own)

    def layers(self) -> Layers:
        """Return zeros in the shapes of the parameters."""
        make: dict[str, Any] = {"dtype": self.dtype, "device": self.device}
        hidden = self.sizes[1:-1]
        learns = any(f.learnt for _, _, f, _ in self.ranges)
        activated = len(self.shapes) - 1
        return Layers(
            # Rows are padded too, for the columns of dz W^T.
            weights=[Stacked.zeros(self.runs, padded(i), o, **make) for i, o in self.shapes],
            biases=[Stacked.zeros(self.runs, 1, o, **make) for _, o in self.shapes],
            slopes=[Stacked.zeros(self.runs, 1, 1, **make) for _ in range(activated) if learns],
            gammas=[Stacked.zeros(self.runs, 1, u, **make) for u in hidden if self.norms],
            betas=[Stacked.zeros(self.runs, 1, u, **make) for u in hidden if self.norms],
            has_biases=self.has_biases,
        )

    def forward(self, inputs: Inputs, work: Workspace, *, train: bool) -> Stacked:
        """Compute the outputs, of shape (R, B, C), in `work.outputs`; dropout acts in training only."""
        n = inputs.x_GBI.shape[1]
        p = self.parameters
        last = len(self.sizes) - 2
        h: Stacked | None = None
        if self.rounds:
            inputs.x_GBI.copy_(inputs.x_GBI.bfloat16())
        features_RFB = self._convolve(inputs, work)
        for layer, bias in enumerate(p.biases[self.offset :]):
            z = (work.outputs if layer == last else work.z[layer]).rows(n)
            weight = self._operand(self.offset + layer, work)
            w_RIP = weight.wide_RNP
            relu = False  # in the product's kernel
            if features_RFB is not None and h is None:
                x_RBF = features_RFB.transpose(1, 2)
                torch.baddbmm(bias.wide_RNP, x_RBF, w_RIP[:, : self.sizes[0]], out=z.wide_RNP)
            elif self._products is not None:
                relu = layer < last and self._all_relu and not self.norms
                x_RBI = inputs.x_GBI if h is None else h.x_RNM
                self._products.affine(x_RBI, weight, bias, z, relu=relu)
            elif h is None:
                if work.fused is not None:
                    work.fused.forward(inputs, bias, z)
                for own, x_RBI in work.parts(inputs):
                    torch.baddbmm(bias.wide_RNP[own], x_RBI, w_RIP[own, : self.sizes[0]], out=z.wide_RNP[own])
            else:
                torch.baddbmm(bias.wide_RNP, h.x_RNM, w_RIP[:, : self.sizes[layer]], out=z.wide_RNP)
            if layer == last:
                return z
            if self.norms:
                self.norms[layer].forward(z, work.x_hat[layer].rows(n), p.gammas[layer], p.betas[layer], train=train)
            h = self._activate(layer, work, n, h if self.skips[layer] else None, train=train, done=relu)
        raise AssertionError("a network has at least one layer")

    def _convolve(self, inputs: Inputs, work: Workspace) -> Tensor | None:
        """Return what the convolutions leave, of shape (R, features, B), where there are any."""
        if self.front is None or work.maps is None:
            return None
        operands = [self._operand(number, work) for number in range(self.offset)]
        biases = self.parameters.biases
        return self.front.forward(inputs, work.maps, operands, biases, self._apply, self._round)

    def _apply(self, number: int, z: Stacked, a: Stacked) -> None:
        """Write f(z) into a, rounded: before dropout's mask, since whether there is one depends on stack-mates."""
        for start, stop, f, parameter in self._in_stacks:
            own = slice(start, stop)
            f.forward(torch, z.flat_RS[own], a.flat_RS[own], self.slope(number, own) if f.learnt else parameter)
        for run, f in self._own:
            assert f.own_forward is not None, "of a plugin"
            a.x_RNM[run] = f.own_forward(z.x_RNM[run])
        self._round(a)

    def _activate(
        self, layer: int, work: Workspace, n: int, before: Stacked | None, *, train: bool, done: bool
    ) -> Stacked:
        """Return what a layer hands on: f(z), with dropout in training, added to what stood before it if that is given."""
        a = work.a[layer]
        if not done:
            z = work.z[layer]
            self._apply(self.offset + layer, z.rows(n) if self._own else z, a.rows(n) if self._own else a)
        mask = work.mask[layer] if train else None
        if mask is None and before is None:
            return a.rows(n)
        h = work.dropped[layer]
        if mask is None:
            h.flat_RS.copy_(a.flat_RS)
        else:
            torch.mul(a.flat_RS, mask.flat_RS, out=h.flat_RS)
        if before is not None:
            h.flat_RS.add_(before.flat_RS)
        self._round(h)
        return h.rows(n)

    def _operand(self, number: int, work: Workspace) -> Stacked:
        """Return a layer's weights as they go into a product; numbers count convolutions first."""
        weight = self.parameters.weights[number]
        if not self.rounds:
            return weight
        work.weights[number].flat_RS.copy_(weight.flat_RS.bfloat16())
        return work.weights[number]

    def _round(self, operand: Stacked) -> None:
        if self.rounds:
            operand.flat_RS.copy_(operand.flat_RS.bfloat16())

    def slope(self, number: int, own: slice) -> Tensor:
        """Return the slopes of PReLU of some neighbours, of shape (neighbours, 1)."""
        return self.parameters.slopes[number].x_RNM[own, 0]

    def set_mask(self, layer: int, noise: Inputs, work: Workspace) -> None:
        """Draw dropout masks from noise u in [0, 1), shape (G, B, units): kept where u >= p, scaled by 1 / (1 - p)."""
        mask = work.mask[layer]
        assert mask is not None
        n = noise.x_GBI.shape[1]
        for own, u_RBU in noise.parts():
            keeps = torch.ge(u_RBU, self.keep_from[layer][own])
            torch.mul(keeps, self.keep_scale[layer][own], out=mask.x_RNM[own, :n])

    def backward(self, inputs: Inputs, work: Workspace, target: GradientTarget) -> None:
        """Backpropagate dz at the outputs, in `work.d_outputs`, and put the gradients into the target."""
        n = inputs.x_GBI.shape[1]
        d = work.d_outputs.rows(n)
        operands = work.weights if self.rounds else self.parameters.weights
        for layer in reversed(range(len(self.sizes) - 1)):
            number, size = self.offset + layer, self.sizes[layer]
            before = None
            derived = False  # in the product's kernel
            self._round(d)
            if layer > 0 and self._products is not None and self._products.goes_back(d.wide_RNP.shape[2]):
                before, active = work.d[layer - 1].rows(n), work.a[layer - 1].rows(n)
                derived = self._all_relu and not self.norms and not any(self.skips)
                mask = work.mask[layer - 1] if derived else None
                mask = mask.rows(n) if mask is not None else None
                self._products.back_through(d, operands[number], before, active=active if derived else None, mask=mask)
            elif layer > 0:
                before = work.d[layer - 1].rows(n)
                torch.bmm(d.x_RNM, operands[number].x_RNM.transpose(1, 2), out=before.wide_RNP)
            elif self.front is not None and work.maps is not None:
                self.front.take(d.x_RNM.transpose(1, 2), operands[number].x_RNM[:, :size], work.maps)
            if self._products is not None:  # before a product that needs the cache
                target.put_dense_biases(self._products, number, d)
            if self._products is not None and (layer > 0 or self.front is None):
                left_RBI = work.dropped[layer - 1].x_RNM[:, :n] if layer > 0 else inputs.x_GBI
                target.put_dense(self._products, number, left_RBI, d)
            elif layer > 0:
                target.put_weights(number, work.dropped[layer - 1].x_RNM[:, :n].transpose(1, 2), d.wide_RNP)
            elif self.front is not None and work.maps is not None:
                target.put_weights(number, self.front.features(work.maps.pooled, n), d.wide_RNP)
            else:
                # In the reverse of the forward pass's order: the batch that it read last is still in the cache.
                for own, x_RBI in reversed(list(work.parts(inputs))):
                    target.put_weights(number, x_RBI.transpose(1, 2), d.wide_RNP[own], own)
                if work.fused is not None:
                    assert target.subtracts, "gradients in buffers are those of every run for itself"
                    work.fused.subtract_gradient(inputs, d, target.decay_factor_R1, target.sums_R)
            if self._products is None and self.has_biases:
                target.put_biases(number, d.wide_RNP.sum(1, keepdim=True))
            if before is not None:
                self._through_sums(layer, before, work)
            if before is not None and derived:
                d = before
            elif before is not None:
                self._through_activation(layer - 1, before, work, target)
                d = before
        if self.front is not None and work.maps is not None:
            self.front.backward(inputs, work.maps, operands, target, self._derive, self._round)

    def _through_sums(self, layer: int, before: Stacked, work: Workspace) -> None:
        """Add to the gradient before a layer what its residual connection brings back, and keep the sum for the next one."""
        kept = work.d_sum[layer] if layer < len(work.d_sum) else None
        if kept is not None:
            before.flat_RS.add_(kept.flat_RS)
        keeps = work.d_sum[layer - 1]
        if keeps is not None:
            keeps.flat_RS.copy_(before.flat_RS)

    def _through_activation(self, layer: int, d: Stacked, work: Workspace, target: GradientTarget) -> None:
        mask = work.mask[layer]
        if mask is not None:
            d.flat_RS.mul_(mask.flat_RS)
        n = d.x_RNM.shape[1]
        self._derive(self.offset + layer, d, work.z[layer], work.a[layer], target)
        if self.norms:
            gamma_R1U = self.parameters.gammas[layer].x_RNM
            d_gamma, d_beta = self.norms[layer].backward(d, work.x_hat[layer].rows(n), gamma_R1U)
            target.put(target.into.gammas[layer].x_RNM, d_gamma)
            target.put(target.into.betas[layer].x_RNM, d_beta)

    def _derive(self, number: int, d: Stacked, z: Stacked, a: Stacked, target: GradientTarget) -> None:
        """Turn d = dL/df(z) into dL/dz in place, and put the gradient of slopes that are learnt."""
        n = d.x_RNM.shape[1]
        for run, f in self._own:
            assert f.own_backward is not None, "of a plugin"
            d.x_RNM[run] = f.own_backward(d.x_RNM[run], z.x_RNM[run, :n])
        for start, stop, f, parameter in self._in_stacks:
            own = slice(start, stop)
            now: float | Tensor = parameter
            if f.learnt:
                now = self.slope(number, own).clone()  # the target may change it in the next line
                gradient_RNM = f.learnt.gradient(d.x_RNM[own], z.x_RNM[own, :n])
                if self.device.type == "cuda":  # how it sums follows from the number of runs: that of the whole stack
                    whole_RNM = torch.zeros_like(d.x_RNM)
                    whole_RNM[own] = gradient_RNM
                    gradient_R = whole_RNM.sum((1, 2))[own]
                else:
                    gradient_R = gradient_RNM.sum((1, 2))
                target.put(target.into.slopes[number].x_RNM[own], gradient_R[:, None, None])
            f.backward(torch, d.flat_RS[own], z.flat_RS[own], a.flat_RS[own], now)

    def worth_fusing(self, groups: Sequence[Group], rows: Collection[int]) -> bool:
        """Return whether first layers are to stand side by side for batches of so many rows."""
        if self.rounds or self.front is not None:
            return False
        inputs, units = self.sizes[:2]
        return worth(groups, rows, inputs=inputs, units=units, dtype=self.dtype, device=self.device)

    def side_by_side(self, groups: Sequence[Group], batch: int) -> Fused:
        """Return room for first layers side by side, for batches of at most so many rows."""
        inputs, units = self.sizes[:2]
        return Fused(groups, inputs=inputs, units=units, batch=batch, dtype=self.dtype, device=self.device)

    def finite(
        self, loss_R: Tensor, sums_R: Tensor | None = None, fused: Fused | None = None, *, noted: bool = False
    ) -> Tensor:
        """Return whether the loss and every parameter of a run are finite, shape (R,), by one sum in the usual case.

        Of weights that were summed up already, `sums_R` is that sum; first layers that are `fused`, which have to be, are
        put back where they might not be finite. `noted` says that kernels looked at all parameters as they updated them.
        """
        assert fused is None or sums_R is not None, "weights that are elsewhere can't be summed up here"
        parameters = self.parameters.all
        if self.kernels is not None:
            for p in () if noted else parameters:
                self.kernels.note_not_finite(p)
            return self.kernels.finite(loss_R)
        if self.device.type == "cuda":  # to look at the sum first would have the host wait for it, step by step
            largest = [
                torch.linalg.vector_norm(p.flat_RS.view(self.runs, SPARE, -1), torch.inf, dim=2).amax(1)
                for p in parameters
            ]
            return torch.stack([loss_R, *largest]).isfinite().all(0)
        unseen = parameters if sums_R is None else parameters[len(self.parameters.weights) :]
        sums = [loss_R, *(() if sums_R is None else (sums_R,)), *(p.flat_RS.sum(1) for p in unseen)]
        fine = torch.isfinite(functools.reduce(torch.add, sums))
        if bool(fine.all()):
            return fine
        if fused is not None:
            fused.put(self.parameters.weights[0])
        # A sum of finite numbers may overflow: look again, one by one.
        return torch.stack([loss_R.isfinite(), *(p.flat_RS.isfinite().all(1) for p in parameters)]).all(0)


def _ranges(names: Sequence[str]) -> list[tuple[int, int, Activation, float]]:
    """Return (start, stop, activation, parameter) of neighbours with one activation."""
    ranges = []
    start = 0
    for name, members in itertools.groupby(names):
        stop = start + len(list(members))
        ranges.append((start, stop, *activation(name)))
        start = stop
    return ranges
