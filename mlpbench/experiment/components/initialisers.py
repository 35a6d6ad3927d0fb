"""Initial weights and biases: each distribution is one entry of `INITIALISERS`.

Draws are float64 whatever the precision of training, so that precisions start from the same point, and normal and uniform
draws are scaled afterwards: conditions that differ only in scale share them.

References: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010;
K. He et al., "Delving deep into rectifiers", 2015; A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning
in deep linear neural networks", 2014; `torch.nn.Linear` for `default`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.components.own_pieces import Components, unloaded
from mlpbench.experiment.value_types import Number, Parameters

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The layer whose initial values are drawn: by which generator, the shape of the array, the layer's fans.

    A convolution's `fan_out` is 9 for each channel. `torch` is there for its linear algebra, which obeys the numerics mode.
    """

    rng: np.random.Generator
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    parameter: float
    torch: Any


@dataclass(frozen=True, kw_only=True)
class Initialiser:
    """A distribution of initial values; `of_biases` says whether biases, of shape (O,), may have it too.

    `of_fans` says that its scale follows from the layer's fans and its parameter alone, and that its mean is 0.
    """

    draw: Callable[[Layer], Array]
    parameters: Parameters = field(default_factory=dict)
    of_biases: bool = True
    of_fans: bool = True


def _normal(deviation: Callable[[Layer], float]) -> Callable[[Layer], Array]:
    return lambda layer: layer.rng.standard_normal(layer.shape) * deviation(layer)


def _uniform(bound: Callable[[Layer], float]) -> Callable[[Layer], Array]:
    return lambda layer: (2 * layer.rng.random(layer.shape) - 1) * bound(layer)


def _orthogonal(layer: Layer) -> Array:
    """Return the Q of a normal matrix, signs fixed so that it is uniform among orthogonal matrices."""
    torch, (rows, columns) = layer.torch, layer.shape
    tall = torch.from_numpy(layer.rng.standard_normal((max(rows, columns), min(rows, columns))))
    q, r = torch.linalg.qr(tall)
    q = q * torch.sign(torch.diagonal(r))
    return np.asarray((q if rows >= columns else q.T).numpy())


def own_initialiser(draw: Callable[[Layer], Array]) -> Initialiser:
    """Return the initialiser of a plugin, of whose scale and mean nothing is known."""
    return Initialiser(draw=draw, of_fans=False)


INITIALISERS: Components[Initialiser] = Components(
    {
        "normal": Initialiser(
            draw=_normal(lambda layer: layer.parameter), parameters={"number": Number(low=0, open_low=True)}
        ),
        "default": Initialiser(draw=_uniform(lambda layer: 1 / math.sqrt(layer.fan_in))),
        "xavier_uniform": Initialiser(draw=_uniform(lambda layer: math.sqrt(6 / (layer.fan_in + layer.fan_out)))),
        "xavier_normal": Initialiser(draw=_normal(lambda layer: math.sqrt(2 / (layer.fan_in + layer.fan_out)))),
        "he_uniform": Initialiser(draw=_uniform(lambda layer: math.sqrt(6 / layer.fan_in))),
        "he_normal": Initialiser(draw=_normal(lambda layer: math.sqrt(2 / layer.fan_in))),
        "orthogonal": Initialiser(draw=_orthogonal, of_biases=False, of_fans=False),
        "constant": Initialiser(
            draw=lambda layer: np.full(layer.shape, layer.parameter), parameters={"number": Number()}, of_fans=False
        ),
        "zeros": Initialiser(draw=lambda layer: np.zeros(layer.shape)),
    },
    declared=lambda name: own_initialiser(unloaded(name)),
)
