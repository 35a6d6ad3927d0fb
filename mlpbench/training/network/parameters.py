"""The parameters of a stack: their arrays, their initial values, and where the backward pass puts their gradients.

Shapes: `R` runs, `I` inputs, `O` outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.experiment.components.initialisers import INITIALISERS, Array, Layer
from mlpbench.experiment.grid import Run
from mlpbench.experiment.value_types import entry_of
from mlpbench.training.buffers import Stacked
from mlpbench.training.network.dense_kernels import DenseKernels


@dataclass(frozen=True, kw_only=True)
class Layers:
    """One array per layer of everything that is learnt; of a network's parameters, or of their gradients.

    Without `has_biases` the biases are zeros that stay.
    """

    weights: Sequence[Stacked]
    biases: Sequence[Stacked]
    slopes: Sequence[Stacked]
    gammas: Sequence[Stacked]
    betas: Sequence[Stacked]
    has_biases: bool = True

    @property
    def all(self) -> list[Stacked]:
        """Every array that is learnt, kind by kind."""
        return list(self.by_name().values())

    def by_name(self) -> Mapping[tuple[str, int], Stacked]:
        """Return every array that is learnt by its kind and its number there, in the order of `all`."""
        kinds = {"weights": self.weights, "biases": self.biases if self.has_biases else ()}
        kinds |= {"slopes": self.slopes, "gammas": self.gammas, "betas": self.betas}
        return {(kind, i): array for kind, arrays in kinds.items() for i, array in enumerate(arrays)}


@dataclass(frozen=True, kw_only=True)
class GradientTarget:
    """Where the backward pass puts gradients: into buffers, or, in plain SGD, straight into the parameters.

    The step of plain SGD, w -= eta g, is linear in g: `Updates.output_factor` multiplies dL/dz at the outputs by eta, so
    the product that computes a weight's gradient computes eta g, and `subtracts` it from the weight in place.
    `decay_factor_R1` is 1 - eta lambda, where a run decays.
    """

    into: Layers
    subtracts: bool
    decay_factor_R1: Tensor | None = None
    bias_decay_factor_R1: Tensor | None = None
    # Weights are summed up as they are put, while they are in the cache: to see whether all are finite.
    sums_R: Tensor | None = None

    def put_weights(self, number: int, left: Tensor, right: Tensor, own: slice = slice(None)) -> None:
        """Put a layer's gradient, the product of left and right, for some neighbours; their weights decay before."""
        weights = self.into.weights[number]
        if (
            self.decay_factor_R1 is not None
        ):  # multiplying by exactly 1 leaves the bits of runs without decay as they are
            weights.flat_RS[own].mul_(self.decay_factor_R1[own])
        array = weights.wide_RNP[own, : left.shape[1], : right.shape[2]]
        array.baddbmm_(left, right, beta=1 if self.subtracts else 0, alpha=-1 if self.subtracts else 1)
        if self.sums_R is not None:
            self.sums_R[own].add_(weights.flat_RS[own].sum(1))

    def put_dense(self, kernels: DenseKernels, number: int, left_RBI: Tensor, d: Stacked) -> None:
        """Put a dense layer's gradient, left^T d, as `put_weights` does, by one kernel."""
        into, factor_R1 = self.into.weights[number], self.decay_factor_R1
        kernels.put_weights(left_RBI, d, into, subtracts=self.subtracts, decay_factor_R1=factor_R1)

    def put_dense_biases(self, kernels: DenseKernels, number: int, d: Stacked) -> None:
        """Put the gradient of a dense layer's biases, the sums of d over the batch, by one kernel."""
        if not self.into.has_biases:
            return
        into, factor_R1 = self.into.biases[number], self.bias_decay_factor_R1
        kernels.put_biases(d, into, subtracts=self.subtracts, decay_factor_R1=factor_R1)

    def put_biases(self, number: int, gradient: Tensor) -> None:
        """Put the gradient of a layer's biases, of shape (R, 1, O); they decay before."""
        if not self.into.has_biases:
            return
        biases = self.into.biases[number]
        if self.bias_decay_factor_R1 is not None:
            biases.flat_RS.mul_(self.bias_decay_factor_R1)
        self.put(biases.wide_RNP[:, :, : gradient.shape[2]], gradient)

    def put(self, array: Tensor, gradient: Tensor) -> None:
        """Put a gradient that is not a product."""
        if self.subtracts:
            array.sub_(gradient)
        else:
            array.copy_(gradient)


def initialise(
    parameters: Layers, layer_fans: Sequence[tuple[int, int]], sizes: Sequence[int], runs: Sequence[Run]
) -> None:
    """Fill weights and biases, run by run, each from its own draws.

    Args:
        parameters: where they go.
        layer_fans: those in and out of each layer, of convolutions too.
        sizes: units of inputs, hidden layers and outputs, which a parametrisation may follow.
        runs: whose settings say what is drawn.

    """
    for number, ((fan_in, fan_out), weight, bias) in enumerate(zip(layer_fans, parameters.weights, parameters.biases)):
        outputs = bias.x_RNM.shape[2]
        for i, run in enumerate(runs):
            s, address = run.settings, (run.seed, run.streams["init"])
            scales = s.layer_scales(sizes)
            fans, scale = {"fan_in": fan_in, "fan_out": fan_out}, 1.0
            if scales is not None:
                own = scales[number]
                fans, scale = {"fan_in": own.fan_in, "fan_out": own.fan_out}, own.init
            w_IO = scale * weights(s.init, generator(*address, "init", number, 0), fan_in, outputs, **fans)
            b_O = biases(s.bias_init, generator(*address, "init", number, 1), fan_in, outputs, **fans)
            weight.x_RNM[i, :fan_in] = torch.from_numpy(w_IO)
            bias.x_RNM[i, 0] = torch.from_numpy(b_O)


def weights(
    init: str,
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    *,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Array:
    """Return initial weights of shape (I, O) for the canonical name of an initialiser, such as `normal(0.01)`.

    `fan_out` is how many outputs an input goes into, where that is not O: a convolution has 9 a channel. Both fans are those
    of another width where a parametrisation says so.
    """
    return _drawn(init, rng, (inputs, outputs), fan_in or inputs, fan_out or outputs)


def biases(
    init: str,
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    *,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Array:
    """Return initial biases of shape (O,); fans as for weights."""
    return _drawn(init, rng, (outputs,), fan_in or inputs, fan_out or outputs)


def _drawn(init: str, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
    initialiser, parameters = entry_of(INITIALISERS, init)
    parameter = parameters[0] if parameters else 0.0
    layer = Layer(rng=rng, shape=shape, fan_in=fan_in, fan_out=fan_out, parameter=parameter, torch=torch)
    return initialiser.draw(layer)
