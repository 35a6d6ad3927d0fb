"""How a stack's parameters follow their gradients: learning rates by schedule, decay, clipping, the optimiser, L1.

The learning rate is applied in one of two places. Plain SGD (`sgd` without clipping), w -= eta g, is linear in g:
`Updates.output_factor` multiplies dL/dz at the outputs by eta, and the products of the backward pass subtract eta g from
the weights (`GradientTarget.put_weights`). Every other optimiser keeps gradients in buffers first, and its rule in
`experiment/components/optimisers.py` multiplies by `Step.rate`.

Shapes: `R` runs, `S` elements of a run's buffer, padding included (its gradient is zero, and so it stays).

References: R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013, for clipping; I. Daubechies
et al., "An iterative thresholding algorithm for linear inverse problems", 2004, for the soft threshold of L1.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlpbench.base import machine
from mlpbench.experiment.components.optimisers import BETA_1, BETA_2, OPTIMISERS, Step
from mlpbench.experiment.components.parametrizations import STANDARD
from mlpbench.experiment.components.schedules import factors
from mlpbench.experiment.grid import RunSettings
from mlpbench.experiment.value_types import parse_call
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.buffers import Room, Stacked
from mlpbench.training.network.dense_kernels import RULES, DenseKernels
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget
from mlpbench.training.pieces.own_updates import OwnOptimiser, own_shapes

# As torch.nn.utils.clip_grad_norm_ has it, so that a zero gradient is no division by zero.
CLIP_EPS = 1e-6
# MKL reads its mode once, when it is loaded. Its vectorised roots, which torch takes, start from the processor's own estimate
# (RSQRTPS), in double precision and, in mode COMPATIBLE, in single precision too: some are off by one unit in the last
# place, and which ones differs between processors. Bits of mode AVX2 (`portable`) carry between Intel's processors alone.
_MODE = os.environ.get("MKL_CBWR")
_EXACT = _MODE == "COMPATIBLE" or (_MODE == "AVX2" and "Intel" in machine.processor())


def root(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the square roots of x, correctly rounded if numerics are universal, or portable on a processor of Intel."""
    if not _EXACT or x.device.type != "cpu":
        return torch.sqrt(x, out=out)
    roots = np.sqrt(x.numpy(), out=None if out is None else out.numpy())
    return torch.from_numpy(roots) if out is None else out


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One array of parameters of every run, its gradient, and lambda of each run, (R, 1), where any of them decays.

    Where a parametrisation has factors for each layer, `rate_R1` is that of the learning rate, and `multiplier_R1` that of the
    gradient whose norm is clipped.
    """

    value: Stacked
    gradient: Stacked
    decay_R1: Tensor | None = None
    rate_R1: Tensor | None = None
    multiplier_R1: Tensor | None = None


class OptimiserState:
    """An optimiser of all parameters of a stack, with its state and the parameter of each run's rule, (R, 1).

    With `numbers`, those of each run in double precision, (R, 1) each, its rule is the tuned one.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[Parameter],
        parameter_R1: Tensor,
        kernels: DenseKernels | None = None,
        steps: int = 0,
        numbers: Sequence[Sequence[float]] = (),
    ) -> None:
        self._name, self._optimiser = name, OPTIMISERS[name].with_numbers() if numbers else OPTIMISERS[name]
        self._kernels = kernels = kernels if name in RULES and not numbers else None
        if kernels is not None:  # they read what Adam divides by, of all steps
            t = np.arange(steps + 1 if self._optimiser.states == 2 else 1)
            corrections = np.stack([1 - BETA_1**t, np.sqrt(1 - BETA_2**t)], axis=1)
            self._corrections = torch.from_numpy(corrections.astype(np.float32)).to(parameter_R1.device)
        self._parameter_R1 = parameter_R1
        self._of_runs = list(zip(*numbers, strict=True))
        make: dict[str, Any] = {"dtype": torch.float64, "device": parameter_R1.device}
        self._numbers = [torch.tensor(of_runs, **make)[:, None] for of_runs in self._of_runs]
        self._parameters = parameters
        self._rooms = Room(), Room()
        self._states = [[torch.zeros_like(p.value.flat_RS) for _ in range(self._optimiser.states)] for p in parameters]

    @property
    def is_kernel(self) -> bool:
        """Whether kernels take the steps."""
        return self._kernels is not None

    @property
    def states(self) -> Sequence[Sequence[Tensor]]:
        """What is kept of each array of parameters from step to step, (R, S) each."""
        return self._states

    def step(self, rate_R1: Tensor, number: int | Tensor) -> None:
        """Take a step, counted from 1, with each run's learning rate."""
        if self._kernels is not None:
            assert isinstance(number, Tensor), "on a GPU"
            self._step_by_kernels(self._kernels, rate_R1, number)
            return
        of_roots, of_product = self._rooms

        def product(a: Tensor, b_R1: Tensor) -> Tensor:
            return torch.mul(a, b_R1, out=of_product.like(a))

        step = Step(
            rate=rate_R1,
            parameter=self._parameter_R1,
            number=number,
            root=root,
            roots=lambda v: root(v, of_roots.like(v)),
            product=product,
            numbers=self._numbers,
            power=functools.cache(functools.partial(self._power, number)),
        )
        for p, states in zip(self._parameters, self._states):
            w, g = p.value.flat_RS, p.gradient.flat_RS
            own = step if p.rate_R1 is None else replace(step, rate=rate_R1 * p.rate_R1)
            if p.decay_R1 is not None:
                if self._optimiser.coupled:
                    g.add_(product(w, p.decay_R1))
                else:
                    w.mul_(1 - own.rate * p.decay_R1)
            self._optimiser.rule(w, g, states, own)

    def let_go(self) -> None:
        """Give back memory that is of use within a step alone."""
        for room in self._rooms:
            room.let_go()

    def _power(self, number: int | Tensor, i: int) -> Tensor:
        """Return each run's i-th number to a power, (R, 1); on a CPU one by one, as a vector's last elements may be rounded otherwise."""
        if isinstance(number, Tensor):
            return self._numbers[i] ** number
        return torch.tensor([of_run**number for of_run in self._of_runs[i]], dtype=torch.float64)[:, None]

    def _step_by_kernels(self, kernels: DenseKernels, rate_R1: Tensor, number: Tensor) -> None:
        place = (number, self._corrections)
        for p, states in zip(self._parameters, self._states):
            own_R1 = rate_R1 if p.rate_R1 is None else rate_R1 * p.rate_R1
            kernels.update(self._name, p.value, p.gradient, states, own_R1, self._parameter_R1, p.decay_R1, *place)


def clip(parameters: Sequence[Parameter], limit_R1: Tensor, room: Room) -> None:
    """Scale each run's whole gradient so that its norm is at most the run's limit; `room` is for the squares."""
    # Array by array: a sum over the first axis of (arrays, R) takes another order in a larger stack.
    sums_R1 = []
    for p in parameters:
        g_RS = p.gradient.flat_RS
        squares_RS = room.like(g_RS)
        if p.multiplier_R1 is not None:
            g_RS = squares_RS = torch.mul(g_RS, p.multiplier_R1, out=squares_RS)
        sums_R1.append(torch.square(g_RS, out=squares_RS).sum(1, keepdim=True))
    squares_R1 = functools.reduce(torch.add, sums_R1)
    scale_R1 = (limit_R1 / (root(squares_R1) + CLIP_EPS)).clamp_max(1.0)
    for p in parameters:
        p.gradient.flat_RS.mul_(scale_R1)


def soft_threshold(weight: Stacked, by_R1: Tensor, room: Room) -> None:
    """Take the proximal step of lambda ||w||_1: w = sign(w) max(|w| - eta lambda, 0), whose zeros are exact."""
    w = weight.flat_RS
    w.sub_(torch.clamp(w, -by_R1, by_R1, out=room.like(w)))


class Updates:
    """The update of every step of a stack's training."""

    def __init__(self, network: Network, settings: Sequence[RunSettings]) -> None:
        self._network = network
        self._settings = settings
        first = settings[0]
        self._plain_sgd = first.plain_sgd
        self._room = Room()
        self._factors = {s.schedule: factors(s.schedule, s.steps) for s in settings if s.schedule != "constant"}
        self._rate_R1 = self._vector([s.lr for s in settings])
        self._l1_R1 = self._vector([s.l1 for s in settings]) if first.l1 > 0 else None
        self._decays = any(s.weight_decay > 0 for s in settings)
        self._decays_bias = any(s.weight_decay > 0 and s.decay_bias for s in settings)
        self._number: int | Tensor = 1
        if network.device.type == "cuda":  # where steps are recorded, their number has to be a place that they read
            self._number = torch.ones((), dtype=torch.float64, device=network.device)
        if self._plain_sgd:
            self._decay_factors = self._decay_factors_of([s.lr for s in settings])
        else:
            self._keep_gradients(network, settings)

    def _keep_gradients(self, network: Network, settings: Sequence[RunSettings]) -> None:
        """Make the buffers of gradients and the optimiser's state."""
        first = settings[0]
        self._clip_R1 = self._vector([s.clip_norm for s in settings]) if first.clip_norm is not None else None
        self._gradients = network.layers()
        pairs = list(zip(network.parameters.all, self._gradients.all))
        weights = len(network.parameters.weights)
        biases = weights if network.has_biases else 0
        lambdas = self._vector([s.weight_decay for s in settings])
        lambdas_bias = self._vector([s.weight_decay * s.decay_bias for s in settings])
        decay = [lambdas if self._decays else None] * weights
        decay += [lambdas_bias if self._decays_bias else None] * biases
        decay += [None] * (len(pairs) - len(decay))
        self._parameters = [
            Parameter(value=value, gradient=gradient, decay_R1=by) for (value, gradient), by in zip(pairs, decay)
        ]
        if first.parametrization != STANDARD:
            self._parameters = self._scaled(self._parameters)
        calls = [parse_call(s.optimizer) for s in settings]
        moments = self._vector([numbers[0] if numbers else 0.0 for _, numbers in calls])
        name = calls[0][0]
        if OPTIMISERS[name].own is not None:
            values, gradients = (own_shapes(network, a.by_name()) for a in (network.parameters, self._gradients))
            self._optimiser: OptimiserState | OwnOptimiser = OwnOptimiser(name, values, gradients, decay)
            return
        numbers = [own for _, own in calls] if len(calls[0][1]) > OPTIMISERS[name].usual else []
        self._optimiser = OptimiserState(name, self._parameters, moments, network.kernels, first.steps, numbers)

    def _scaled(self, parameters: Sequence[Parameter]) -> list[Parameter]:
        """Return the parameters with the factors that each run's parametrisation has for their layers."""
        by_run = [s.layer_scales(self._network.sizes) or () for s in self._settings]
        arrays, layers = self._network.parameters, range(len(self._network.sizes) - 1)

        def factors(name: str) -> list[Tensor]:
            return [self._vector([getattr(scales[layer], name) for scales in by_run]) for layer in layers]

        rates, vector_rates = factors("rate"), factors("vector_rate")
        hidden = vector_rates[:-1] if arrays.gammas else []
        biases = vector_rates if arrays.has_biases else []
        decays = [*factors("decay"), *(factors("vector_decay") if arrays.has_biases else [])]
        all_rates = [*rates, *biases, *([None] * len(arrays.slopes)), *hidden, *hidden]
        all_decays = [*decays, *([None] * (len(all_rates) - len(decays)))]
        scaled = [
            replace(p, rate_R1=rate, decay_R1=p.decay_R1 if p.decay_R1 is None or by is None else p.decay_R1 * by)
            for p, rate, by in zip(parameters, all_rates, all_decays, strict=True)
        ]
        if self._clip_R1 is not None:
            last = len(rates) - 1
            scaled[last] = replace(scaled[last], multiplier_R1=factors("multiplier")[last])
        return scaled

    def take_over(self, other: Updates, places: Sequence[int]) -> None:
        """Go on from the state of an optimiser of more runs, of which those in these places are left."""
        if self._plain_sgd:
            return
        at = torch.tensor(places, dtype=torch.int64, device=self._network.device)
        if isinstance(self._optimiser, OwnOptimiser) or isinstance(other._optimiser, OwnOptimiser):
            self._take_over_own(other, places)
            return
        there = dict(zip(other._network.parameters.by_name(), other._optimiser.states, strict=True))
        for name, own in zip(self._network.parameters.by_name(), self._optimiser.states, strict=True):
            for state, before in zip(own, there[name], strict=True):
                torch.index_select(before, 0, at, out=state)

    def _take_over_own(self, other: Updates, places: Sequence[int]) -> None:
        assert isinstance(self._optimiser, OwnOptimiser), "of one stack"
        assert isinstance(other._optimiser, OwnOptimiser), "of one stack"
        there = list(other._network.parameters.by_name())
        for array, name in enumerate(self._network.parameters.by_name()):
            self._optimiser.take_over(array, other._optimiser.states_of(there.index(name)), places)

    def advance(self, step: int) -> None:
        """Put the learning rates of a step, counted from 0, and what follows from them where the step reads them."""
        if not isinstance(self._number, Tensor):
            self._number = step + 1
        elif not self._plain_sgd:
            self._number.fill_(step + 1)
        if self._factors:
            rates = self._rates(step)
            self._rate_R1.copy_(self._vector(rates))
            if self._plain_sgd:
                for place, factor in zip(self._decay_factors, self._decay_factors_of(rates), strict=True):
                    if place is not None and factor is not None:
                        place.copy_(factor)

    def restart(self) -> None:
        """Forget what the optimiser keeps of steps that were undone."""
        if not self._plain_sgd and isinstance(self._optimiser, OptimiserState):
            for of_array in self._optimiser.states:
                for state in of_array:
                    state.zero_()

    def let_go(self) -> None:
        """Give back memory that is of use within a step alone."""
        self._room.let_go()
        if not self._plain_sgd and isinstance(self._optimiser, OptimiserState):
            self._optimiser.let_go()

    @property
    def is_own(self) -> bool:
        """Whether the optimiser is of a plugin."""
        return not self._plain_sgd and isinstance(self._optimiser, OwnOptimiser)

    @property
    def notes(self) -> bool:
        """Whether kernels note what is not finite while they update, of every parameter and last."""
        kernels, p = self._network.kernels, self._network.parameters
        if kernels is None or self._l1_R1 is not None:
            return False
        # In plain SGD only the products of dense layers and the sums of their biases are kernels.
        dense = kernels.products and self._network.front is None and not (p.slopes or p.gammas)
        return dense if self._plain_sgd else self._optimiser.is_kernel

    @property
    def output_rate_R1(self) -> Tensor:
        """The learning rate in plain SGD, 1 otherwise: what dL/dz at the outputs is multiplied by, (R, 1)."""
        return self._rate_R1 if self._plain_sgd else torch.ones_like(self._rate_R1)

    def output_factor(self) -> Tensor:
        """Return what dL/dz at the outputs is multiplied by, (R, 1, 1): the learning rate in plain SGD, 1 otherwise."""
        return self.output_rate_R1[:, :, None]

    def apply(self, inputs: Inputs, work: Workspace) -> Tensor | None:
        """Backpropagate and update the parameters; return the sum of each run's weights, (R,), where it is known by then."""
        sums_R = None
        if self._plain_sgd:
            factor, bias_factor = self._decay_factors
            # A soft threshold moves weights afterwards, and may make them NaN; a GPU looks at them afterwards too.
            if self._l1_R1 is None and self._network.device.type != "cuda":
                sums_R = torch.zeros(self._network.runs, dtype=self._network.dtype, device=self._network.device)
            target = GradientTarget(
                into=self._network.parameters,
                subtracts=True,
                decay_factor_R1=factor,
                bias_decay_factor_R1=bias_factor,
                sums_R=sums_R,
            )
            self._network.backward(inputs, work, target)
        else:
            self._network.backward(inputs, work, GradientTarget(into=self._gradients, subtracts=False))
            if self._clip_R1 is not None:
                clip(self._parameters, self._clip_R1, self._room)
            self._optimiser.step(self._rate_R1, self._number)
        if self._l1_R1 is not None:
            by_R1 = self._rate_R1 * self._l1_R1
            for weight in self._network.parameters.weights:
                soft_threshold(weight, by_R1, self._room)
        return sums_R

    def _rates(self, step: int) -> list[float]:
        now = {"constant": 1.0} | {name: float(at[step]) for name, at in self._factors.items()}
        return [s.lr * now[s.schedule] for s in self._settings]

    def _decay_factors_of(self, rates: Sequence[float]) -> tuple[Tensor | None, Tensor | None]:
        """Return 1 - eta lambda of weights and of biases, where any run decays."""
        pairs = list(zip(self._settings, rates))
        weights = [1 - lr * s.weight_decay for s, lr in pairs]
        biases = [1 - lr * s.weight_decay * s.decay_bias for s, lr in pairs]
        return self._vector(weights) if self._decays else None, self._vector(biases) if self._decays_bias else None

    def _vector(self, values: Sequence[float | None]) -> Tensor:
        return torch.tensor(values, dtype=self._network.dtype, device=self._network.device)[:, None]
