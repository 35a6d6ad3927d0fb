"""Stability measurements of every layer of a stack, at chosen steps, on the first training examples of each run.

Shapes: `R` runs, `N` probe examples, `U` units of a layer. Dropout and input noise are off; batch normalisation uses the
probe batch and leaves its running averages alone. With layers l = 1 ... L (L: outputs), z_l before the activation, a_l
after it (a_L = z_L, a_0 = x), C the mean loss over the probe examples:

    act_mean, act_var   mean and variance of a_l over examples and units
    act_zero            share of a_l that is exactly zero
    act_saturated       share of units and examples with |f'(z_l)| below 1% of the largest slope of f
    grad_norm           ||dC/dW_l||
    update_ratio        ||W_l after the step - before|| / ||before||, of the step that ends at the probe
    forward_gain        sqrt(mean a_l^2 / mean a_{l-1}^2)
    backward_gain       sqrt(mean (dC/dz_l)^2 / mean (dC/dz_{l+1})^2)

Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics import LAYER_METRICS
from mlpbench.experiment.plan import PROBE_EXAMPLES, probe_steps
from mlpbench.training.batches import Examples, Gather
from mlpbench.training.buffers import column
from mlpbench.training.losses import LOSSES
from mlpbench.training.network import Network, Sink, Workspace
from mlpbench.training.roots import root

SATURATED = 0.01

Row = dict[str, Any]
Measured = dict[str, Tensor]  # a metric -> its value in each run, (R,)


class Prober:
    """Measures the layers of a stack at the steps a spec asks for, and keeps the rows."""

    def __init__(
        self, runs: Sequence[Run], network: Network, examples: Examples, epochs: Sequence[float] | None
    ) -> None:
        self._runs, self._network = runs, network
        self._examples = examples.first(PROBE_EXAMPLES)
        self._steps = set(probe_steps(runs[0].settings, epochs))
        self._before: list[Tensor] = []
        self._found: list[tuple[int, list[Measured]]] = []

    def wants(self, step: int) -> bool:
        """Return whether layers are measured after this many steps."""
        return step in self._steps

    def remember(self) -> None:
        """Keep the weights as they are before the step that ends at a probe."""
        self._before = [w.flat_RS.clone() for w in self._network.parameters.weights]

    def probe(self, step: int) -> None:
        """Measure the layers after this many steps, if that was asked for."""
        if self.wants(step):
            averages = [(t, t.clone()) for norm in self._network.norms for t in (norm.mean, norm.variance)]
            self._found.append((step, self._measure(updated=step > 0)))
            for now, before in averages:
                now.copy_(before)

    def rows(self, given: Sequence[Run], diverged_at: Sequence[int]) -> list[Row]:
        """Return a row for each run, probe and layer; a run that has diverged is no longer measured."""
        rows = []
        for step, layers in self._found:
            lists = [{name: values.tolist() for name, values in layer.items()} for layer in layers]
            for i, run in enumerate(self._runs[: len(given)]):
                if 0 <= diverged_at[i] <= step:
                    continue
                where = {"run_id": run.run_id, "epoch": step / run.settings.steps_per_epoch, "step": step}
                for number, layer in enumerate(lists, start=1):
                    finite = {k: v[i] for k, v in layer.items() if math.isfinite(v[i])}
                    rows.append(where | {"layer": number} | {k: finite.get(k) for k in LAYER_METRICS})
        return rows

    def _measure(self, *, updated: bool) -> list[Measured]:
        network, n = self._network, len(self._examples)
        make: dict[str, Any] = {"dtype": network.dtype, "device": network.device}
        features = network.sizes[0]
        gather = Gather(self._examples.index_GN.shape[0], n, features, source=self._examples.x.dtype, **make)
        inputs, y_RB1 = gather(self._examples, 0, n)
        work = Workspace(network, n, backward=True, drops=False)
        outputs = network.forward(inputs, work, train=True)
        activations = [a.x_RNM for a in work.a] + [outputs.x_RNM]
        squares = [torch.cat([_mean(x.double().square()) for _, x in inputs.parts()])]
        found = []
        for layer, a_RNU in enumerate(activations):
            a = a_RNU.double()
            mean, square = _mean(a), _mean(a.square())
            measured = {"act_mean": mean, "act_var": _mean((a - mean[:, None, None]).square())}
            measured["act_zero"] = _mean((a == 0).double())
            measured["forward_gain"] = root(square / squares[-1])
            if layer < len(work.a):
                measured["act_saturated"] = _mean(self._saturated(layer, work).double())
            squares.append(square)
            found.append(measured)
        self._backward(inputs, y_RB1, work, found)
        if updated:
            for measured, before, weight in zip(found, self._before, network.parameters.weights):
                change = (weight.flat_RS.double() - before.double()).square().sum(1)
                measured["update_ratio"] = root(change / before.double().square().sum(1))
        return found

    def _saturated(self, layer: int, work: Workspace) -> Tensor:
        """Return where the activation's slope is next to nothing, of shape (R, N, U)."""
        z, a = work.z[layer], work.a[layer]
        slope = torch.ones_like(a.flat_RS)
        largest = torch.ones(len(slope), 1, dtype=slope.dtype, device=slope.device)
        for start, stop, f, parameter in self._network.ranges:
            own = slice(start, stop)
            of = self._network.slope(layer, own) if f.learns else parameter
            f.backward(slope[own], z.flat_RS[own], a.flat_RS[own], of)
            largest[own] = f.largest_slope
        small = slope.abs() < SATURATED * largest
        return small.as_strided(a.x_RNM.shape, a.x_RNM.stride())

    def _backward(self, inputs: Any, y_RB1: Tensor, work: Workspace, found: Sequence[Measured]) -> None:
        network, n = self._network, len(self._examples)
        loss = LOSSES[self._runs[0].settings.loss]
        z = work.outputs.rows(n)
        loss.forward(z, y_RB1, work.losses.columns(n))
        scale = column([1 / n] * network.runs, dtype=network.dtype, device=network.device)
        loss.backward(z, y_RB1, scale, work.d_outputs.rows(n))
        gradients = network.layers()
        network.backward(inputs, work, Sink(into=gradients, descends=False))
        errors = [_mean(d.x_RNM[:, :n].double().square()) for d in (*work.d, work.d_outputs)]
        for layer, (measured, weight) in enumerate(zip(found, gradients.weights)):
            measured["grad_norm"] = root(weight.flat_RS.double().square().sum(1))
            if layer < len(work.d):
                measured["backward_gain"] = root(errors[layer] / errors[layer + 1])


def _mean(x_RNU: Tensor) -> Tensor:
    return x_RNU.mean((1, 2))
