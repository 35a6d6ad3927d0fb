"""How a stack's parameters follow their gradients: learning rates by schedule, decay, clipping, the optimiser, L1.

Shapes: `R` runs. Plain descent (`sgd` without clipping) takes its step within the products of the backward pass; all else
keeps gradients in buffers first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlpbench.experiment.grid import RunSettings
from mlpbench.experiment.value_types import parse_call
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.network.network import Network, Sink, Workspace
from mlpbench.training.updates.optimisers import Optimiser, Parameter, clip, soft_threshold
from mlpbench.training.updates.schedules import factors


class Updates:
    """The update of every step of a stack's training."""

    def __init__(self, network: Network, settings: Sequence[RunSettings]) -> None:
        self._network = network
        self._settings = settings
        first = settings[0]
        self.descends = first.descends
        self._factors = {s.schedule: factors(s.schedule, s.steps) for s in settings if s.schedule != "constant"}
        self._rate_R1 = self._vector([s.lr for s in settings])
        self._l1_R1 = self._vector([s.l1 for s in settings]) if first.l1 > 0 else None
        self._decays = any(s.weight_decay > 0 for s in settings)
        self._decays_bias = any(s.weight_decay > 0 and s.decay_bias for s in settings)
        if self.descends:
            self._keep = self._kept([s.lr for s in settings])
        else:
            self._keep_gradients(network, settings)

    def _keep_gradients(self, network: Network, settings: Sequence[RunSettings]) -> None:
        """Make the buffers of gradients and the optimiser's state."""
        first = settings[0]
        self._clip_R1 = self._vector([s.clip_norm for s in settings]) if first.clip_norm is not None else None
        self._gradients = network.layers()
        pairs = list(zip(network.parameters.all, self._gradients.all))
        weights, biases = len(network.parameters.weights), len(network.parameters.biases)
        lambdas = self._vector([s.weight_decay for s in settings])
        lambdas_bias = self._vector([s.weight_decay * s.decay_bias for s in settings])
        decay = [lambdas if self._decays else None] * weights
        decay += [lambdas_bias if self._decays_bias else None] * biases
        decay += [None] * (len(pairs) - len(decay))
        self._parameters = [
            Parameter(value=value, gradient=gradient, decay_R1=by) for (value, gradient), by in zip(pairs, decay)
        ]
        calls = [parse_call(s.optimizer) for s in settings]
        moments = [parameters[0] if parameters else 0.0 for _, parameters in calls]
        self._optimiser = Optimiser(calls[0][0], self._parameters, self._vector(moments))

    def rate(self, step: int) -> Tensor:
        """Return each run's learning rate at a step, counted from 0, of shape (R, 1)."""
        if not self._factors:
            return self._rate_R1
        return self._vector(self._rates(step))

    def scale(self, step: int) -> Tensor:
        """Return what dL/dz at the outputs is multiplied by, of shape (R, 1, 1): in plain descent the learning rate."""
        rate_R1 = self.rate(step)
        return (rate_R1 if self.descends else torch.ones_like(rate_R1))[:, :, None]

    def take(self, step: int, inputs: Inputs, work: Workspace) -> Tensor | None:
        """Backpropagate and update the parameters; return the sum of each run's weights, (R,), where it is known by then."""
        sums_R = None
        if self.descends:
            keep, keep_bias = self._kept(self._rates(step)) if self._factors else self._keep
            if self._l1_R1 is None:  # a soft threshold moves weights afterwards, and may make them NaN
                sums_R = torch.zeros(self._network.runs, dtype=self._network.dtype, device=self._network.device)
            into = self._network.parameters
            sink = Sink(into=into, descends=True, keep_R1=keep, keep_bias_R1=keep_bias, sums_R=sums_R)
            self._network.backward(inputs, work, sink)
        else:
            self._network.backward(inputs, work, Sink(into=self._gradients, descends=False))
            if self._clip_R1 is not None:
                clip(self._parameters, self._clip_R1)
            self._optimiser.step(self.rate(step), step + 1)
        if self._l1_R1 is not None:
            by_R1 = self.rate(step) * self._l1_R1
            for weight in self._network.parameters.weights:
                soft_threshold(weight, by_R1)
        return sums_R

    def _rates(self, step: int) -> list[float]:
        now = {"constant": 1.0} | {name: float(at[step]) for name, at in self._factors.items()}
        return [s.lr * now[s.schedule] for s in self._settings]

    def _kept(self, rates: Sequence[float]) -> tuple[Tensor | None, Tensor | None]:
        """Return 1 - eta lambda of weights and of biases, where any run decays."""
        pairs = list(zip(self._settings, rates))
        keep = self._vector([1 - lr * s.weight_decay for s, lr in pairs]) if self._decays else None
        bias = [1 - lr * s.weight_decay * s.decay_bias for s, lr in pairs]
        return keep, self._vector(bias) if self._decays_bias else None

    def _vector(self, values: Sequence[float | None]) -> Tensor:
        return torch.tensor(values, dtype=self._network.dtype, device=self._network.device)[:, None]
