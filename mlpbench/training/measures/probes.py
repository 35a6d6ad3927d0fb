"""Stability measurements of every layer of a stack, at chosen steps, on the first training examples of each run.

Shapes: `R` runs, `N` probe examples, `U` units of a layer. Dropout and input noise are off; batch normalisation uses the
probe batch and leaves its running averages alone. With layers l = 1 ... L (L: outputs), z_l before the activation, a_l
after it (a_L = z_L, a_0 = x) and before a residual connection adds to it, C the mean loss over the probe examples:

    act_mean, act_var   mean and variance of a_l over examples and units, of a convolution over positions too
    act_zero            share of a_l that is exactly zero
    act_saturated       share of units and examples with |f'(z_l)| below 1% of the largest slope of f
    grad_norm           ||dC/dW_l||
    update_ratio        ||W_l after the step - before|| / ||before||, of the step that ends at the probe
    forward_gain        sqrt(mean a_l^2 / mean a_{l-1}^2)
    backward_gain       sqrt(mean (dC/dz_l)^2 / mean (dC/dz_{l+1})^2)
    weight_quantiles    0%, 5%, ... 100% of the numbers in W_l, linear between order statistics

Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.experiment.components.activations import Activation
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics.metric import QUANTILES, WEIGHT_QUANTILES
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.plan import PROBE_EXAMPLES, probe_steps
from mlpbench.training.batches.minibatches import Examples, Gather
from mlpbench.training.buffers import Stacked, column
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget
from mlpbench.training.parameter_updates import root
from mlpbench.training.worker_setup import Row

SATURATED = 0.01
REACH = 8.0

Measured = dict[str, Tensor]  # a metric -> its value in each run, (R,); the quantiles, (R, QUANTILES)


class Prober:
    """Measures the layers of a stack at the steps a spec asks for, and keeps the rows."""

    def __init__(
        self, runs: Sequence[Run], network: Network, examples: Examples, epochs: Sequence[float] | None
    ) -> None:
        self._runs, self._network = runs, network
        self._examples = examples.first(PROBE_EXAMPLES)
        self._steps = set(probe_steps(runs[0].settings, epochs))
        self.ends = epochs is None or math.inf in epochs
        self._before: list[Tensor] = []
        self._probes: list[tuple[int, list[Measured]]] = []

    def wants(self, step: int) -> bool:
        """Return whether layers are measured after this many steps."""
        return step in self._steps

    def remember(self) -> None:
        """Keep the weights as they are before the step that ends at a probe."""
        self._before = [w.flat_RS.clone() for w in self._network.parameters.weights]

    def probe(self, step: int, *, updated: bool = True) -> None:
        """Measure the layers after this many steps, if that was asked for; `updated` says that the last step was seen."""
        if self.wants(step):
            averages = [(t, t.clone()) for norm in self._network.norms for t in (norm.mean, norm.variance)]
            self._probes.append((step, self._measure(updated=updated and step > 0)))
            for now, before in averages:
                now.copy_(before)

    def rows(self, count: int, diverged_at: Sequence[int]) -> list[Row]:
        """Return a row for each of the first `count` runs, probe and layer; a run that has diverged is no longer measured."""
        rows = []
        for step, layers in self._probes:
            lists = [{name: values.tolist() for name, values in layer.items()} for layer in layers]
            for i, run in enumerate(self._runs[:count]):
                if 0 <= diverged_at[i] <= step:
                    continue
                where = {"run_id": run.run_id, "epoch": step / run.settings.steps_per_epoch, "step": step}
                for number, layer in enumerate(lists, start=1):
                    finite = {k: v[i] for k, v in layer.items() if k in LAYER_METRICS and math.isfinite(v[i])}
                    quantiles = layer[WEIGHT_QUANTILES][i]
                    listed = quantiles if all(map(math.isfinite, quantiles)) else None
                    row = {k: finite.get(k) for k in LAYER_METRICS} | {WEIGHT_QUANTILES: listed}
                    rows.append(where | {"layer": number} | row)
        return rows

    def _measure(self, *, updated: bool) -> list[Measured]:
        network, n = self._network, len(self._examples)
        make: dict[str, Any] = {"dtype": network.dtype, "device": network.device}
        make |= {"source": self._examples.x.dtype, "scale": network.input_scale}
        gather = Gather(self._examples.index_GN.shape[0], n, self._examples.x.shape[1], **make)
        inputs, y_RB1 = gather(self._examples, 0, n)
        work = Workspace(network, n, backward=True, drops=False)
        outputs = network.forward(inputs, work, train=True)
        activations = [*work.activations(n), outputs.x_RNM]
        slopes = self._small_slopes(work, n)
        squares = [torch.cat([_mean(x.double().square()) for _, x in inputs.parts()])]
        layers = []
        for layer, a_RNU in enumerate(activations):
            a = a_RNU.double()
            mean, square = _mean(a), _mean(a.square())
            measured = {"act_mean": mean, "act_var": _mean((a - mean.view(-1, *[1] * (a.ndim - 1))).square())}
            measured["act_zero"] = _mean((a == 0).double())
            measured["forward_gain"] = root(square / squares[-1])
            if layer < len(slopes):
                measured["act_saturated"] = _mean(slopes[layer].double())
            squares.append(square)
            layers.append(measured)
        self._backward(inputs, y_RB1, work, layers)
        for measured, weight, (size, _) in zip(layers, network.parameters.weights, network.shapes, strict=True):
            measured[WEIGHT_QUANTILES] = _quantiles(weight.x_RNM[:, :size])
        if updated:
            for measured, before, weight in zip(layers, self._before, network.parameters.weights):
                change = (weight.flat_RS.double() - before.double()).square().sum(1)
                measured["update_ratio"] = root(change / before.double().square().sum(1))
        return layers

    def _small_slopes(self, work: Workspace, n: int) -> list[Tensor]:
        """Return where each layer's activation is saturated, in the shapes of the activations."""
        maps, first = work.maps, self._network.offset
        dense = [self._saturated(first + i, z, a).x_RNM for i, (z, a) in enumerate(zip(work.z, work.a))]
        if maps is None:
            return dense
        front = [self._saturated(i, z, a) for i, (z, a) in enumerate(zip(maps.z, maps.a))]
        return [*maps.by_unit(front, n), *dense]

    def _saturated(self, layer: int, z: Stacked, a: Stacked) -> Stacked:
        """Return where the activation's slope is next to nothing."""
        slope = torch.ones_like(a.flat_RS)
        of_units = slope.as_strided(a.x_RNM.shape, a.x_RNM.stride())
        largest = torch.ones(len(slope), 1, dtype=slope.dtype, device=slope.device)
        for start, stop, f, parameter in self._network.ranges:
            own = slice(start, stop)
            a_R1 = self._network.slope(layer, own) if f.learnt else parameter
            if f.own_backward is None:
                f.backward(torch, slope[own], z.flat_RS[own], a.flat_RS[own], a_R1)
            else:  # without the padding, as in training
                f.backward(torch, of_units[own], z.x_RNM[own], a.x_RNM[own], a_R1)
            largest[own] = largest_slope(f, parameter)
        small = slope.abs() < SATURATED * largest
        view = small.as_strided(a.x_RNM.shape, a.x_RNM.stride())
        return Stacked(small, view, view)

    def _backward(self, inputs: Any, y_RB1: Tensor, work: Workspace, layers: Sequence[Measured]) -> None:
        network, n = self._network, len(self._examples)
        loss = LOSSES[self._runs[0].settings.loss]
        z = work.outputs.rows(n)
        loss.forward(torch, z, y_RB1, work.losses.columns(n))
        scale = column([1 / n] * network.runs, dtype=network.dtype, device=network.device)
        loss.gradient(torch, z, y_RB1, scale, work.d_outputs.rows(n))
        gradients = network.layers()
        network.backward(inputs, work, GradientTarget(into=gradients, subtracts=False))
        errors = [_mean(d.double().square()) for d in work.errors(n)]
        for layer, (measured, weight) in enumerate(zip(layers, gradients.weights)):
            measured["grad_norm"] = root(weight.flat_RS.double().square().sum(1))
            if layer + 1 < len(errors):
                measured["backward_gain"] = root(errors[layer] / errors[layer + 1])


@functools.cache
def largest_slope(f: Activation, parameter: float) -> float:
    """Return the largest slope of an activation on [-8, 8], to five decimals; of one that is learnt, where it starts."""
    z = torch.linspace(-REACH, REACH, 16_001, dtype=torch.float64)[None, None]
    h, slope = torch.empty_like(z), torch.ones_like(z)
    a_R1 = torch.full((1, 1), parameter, dtype=z.dtype) if f.learnt else parameter
    f.forward(torch, z, h, a_R1)
    f.backward(torch, slope, z, h, a_R1)
    return round(float(slope.max()), 5)


def _mean(x_RNU: Tensor) -> Tensor:
    return x_RNU.mean(tuple(range(1, x_RNU.ndim)))


def _quantiles(w_RIO: Tensor) -> Tensor:
    """Return the quantiles of each run's weights, (R, QUANTILES), float64 on the CPU, whatever the precision and the device.

    Quantile k of K lies at (n - 1) k / (K - 1) of the n ordered numbers. The two it lies between are picked, not computed,
    and their place is integer arithmetic, so that nothing but the weights can move a bit.
    """
    n = w_RIO[0].numel()
    at = [divmod((n - 1) * k, QUANTILES - 1) for k in range(QUANTILES)]
    pairs = np.array([(low, min(low + 1, n - 1)) for low, _ in at])
    fractions = np.array([rest / (QUANTILES - 1) for _, rest in at])
    below, above = _order_statistics(w_RIO, pairs).transpose(2, 0, 1)
    with np.errstate(invalid="ignore", over="ignore"):  # of a run about to diverge; what is not finite is left out
        return torch.from_numpy(below + (above - below) * fractions)


def _order_statistics(w_RIO: Tensor, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the numbers at some places of each run's ordered weights, of shape (R, *places.shape)."""
    if w_RIO.device.type != "cuda":
        wanted = np.unique(places)
        ordered = [np.partition(w_IO.numpy().ravel(), wanted)[places] for w_IO in w_RIO]
        return np.stack(ordered).astype(np.float64)
    ordered_RN = w_RIO.flatten(1).sort(1).values
    picked = ordered_RN[:, torch.from_numpy(places).to(w_RIO.device)] + 0.0  # a zero has a sign, and no order
    return picked.double().cpu().numpy()
