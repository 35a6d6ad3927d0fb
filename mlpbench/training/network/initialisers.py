"""Initial weights and biases.

Shapes: `I` inputs, `O` outputs of a layer. Draws are float64 whatever the precision of training, so that precisions
start from the same point, and are addressed by layer: conditions that differ only in scale share them.

References: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010;
K. He et al., "Delving deep into rectifiers", 2015; A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning
in deep linear neural networks", 2014; `torch.nn.Linear` for `default`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from mlpbench.experiment.value_types import parse_call

Array = NDArray[np.float64]
# (generator, shape, inputs, outputs, parameter) -> values
Draw = Callable[[np.random.Generator, tuple[int, ...], int, int, float], Array]


def _normal(std: Callable[[int, int, float], float]) -> Draw:
    return lambda rng, shape, i, o, p: rng.standard_normal(shape) * std(i, o, p)


def _uniform(bound: Callable[[int, int, float], float]) -> Draw:
    return lambda rng, shape, i, o, p: (2 * rng.random(shape) - 1) * bound(i, o, p)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...], i: int, o: int, p: float) -> Array:
    """Return the Q of a normal matrix, signs fixed so that it is uniform among orthogonal matrices."""
    rows, columns = shape
    tall = torch.from_numpy(rng.standard_normal((max(shape), min(shape))))
    q, r = torch.linalg.qr(tall)
    q = q * torch.sign(torch.diagonal(r))
    return np.asarray((q if rows >= columns else q.T).numpy())


INITIALISERS: dict[str, Draw] = {
    "normal": _normal(lambda i, o, p: p),
    "default": _uniform(lambda i, o, p: 1 / math.sqrt(i)),
    "xavier_uniform": _uniform(lambda i, o, p: math.sqrt(6 / (i + o))),
    "xavier_normal": _normal(lambda i, o, p: math.sqrt(2 / (i + o))),
    "he_uniform": _uniform(lambda i, o, p: math.sqrt(6 / i)),
    "he_normal": _normal(lambda i, o, p: math.sqrt(2 / i)),
    "orthogonal": _orthogonal,
    "constant": lambda rng, shape, i, o, p: np.full(shape, p),
    "zeros": lambda rng, shape, i, o, p: np.zeros(shape),
}


def weights(init: str, rng: np.random.Generator, inputs: int, outputs: int, *, fan_out: int | None = None) -> Array:
    """Return initial weights of shape (I, O) for the canonical name of an initialiser, such as `normal(0.01)`.

    `fan_out` is how many outputs an input goes into, where that is not O: a convolution has 9 a channel.
    """
    name, parameters = parse_call(init)
    fan = outputs if fan_out is None else fan_out
    return INITIALISERS[name](rng, (inputs, outputs), inputs, fan, parameters[0] if parameters else 0.0)


def biases(init: str, rng: np.random.Generator, inputs: int, outputs: int, *, fan_out: int | None = None) -> Array:
    """Return initial biases of shape (O,); `fan_out` as for weights."""
    name, parameters = parse_call(init)
    fan = outputs if fan_out is None else fan_out
    return INITIALISERS[name](rng, (outputs,), inputs, fan, parameters[0] if parameters else 0.0)
