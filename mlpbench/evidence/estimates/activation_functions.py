"""Activation functions and their slopes as numbers on an axis, in float64 and without torch.

The training package computes the same functions by kernels of its own; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr

from mlpbench.experiment.value_types import parse_call

Floats = npt.NDArray[np.float64]
REACH, POINTS = 8.0, 1601
# So many steps between two points find the largest slope to seven digits.
FINER = 100
# Where the slope of PReLU starts, as in torch.nn.PReLU; it is learnt from there.
PRELU_START = 0.25


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An activation on [-8, 8]: x, f(x), f'(x), its largest slope and the x nearest to 0 at which it has that.

    At a kink the slope is the one on the left, as in training. `flat` says that f' is largest on more than a point.
    """

    name: str
    x: Floats
    value: Floats
    slope: Floats
    largest: float
    at: float
    flat: bool


def _density(x: Floats) -> Floats:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


# name -> (f(x, a), f'(x, a)); a is the slope of leaky ReLU and PReLU.
FUNCTIONS: dict[str, tuple[Callable[[Floats, float], Floats], Callable[[Floats, float], Floats]]] = {
    "identity": (lambda x, a: x.copy(), lambda x, a: np.ones_like(x)),
    "relu": (lambda x, a: np.maximum(x, 0.0), lambda x, a: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": (lambda x, a: np.where(x > 0, x, a * x), lambda x, a: np.where(x > 0, 1.0, a)),
    "prelu": (lambda x, a: np.where(x > 0, x, a * x), lambda x, a: np.where(x > 0, 1.0, a)),
    "sigmoid": (lambda x, a: expit(x), lambda x, a: expit(x) * expit(-x)),
    "tanh": (lambda x, a: np.tanh(x), lambda x, a: 1 / np.cosh(x) ** 2),
    "gelu": (lambda x, a: x * ndtr(x), lambda x, a: ndtr(x) + x * _density(x)),
    "silu": (lambda x, a: x * expit(x), lambda x, a: expit(x) * (1 + x * expit(-x))),
    "elu": (lambda x, a: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))), lambda x, a: np.exp(np.minimum(x, 0.0))),
}


def shape(canonical: str) -> Shape:
    """Return the shape of an activation by its canonical name, such as `leaky_relu(0.01)`."""
    name, parameters = parse_call(canonical)
    value, slope = FUNCTIONS[name]
    a = PRELU_START if name == "prelu" else parameters[0] if parameters else 0.0
    x, fine = (np.linspace(-REACH, REACH, n) for n in (POINTS, (POINTS - 1) * FINER + 1))
    slopes = slope(fine, a)
    largest = float(slopes.max())
    reached = fine[slopes == largest]
    at = float(reached[np.abs(reached).argmin()])
    flat = bool(np.ptp(reached) > 1)
    return Shape(name=canonical, x=x, value=value(x, a), slope=slope(x, a), largest=largest, at=at, flat=flat)


def shapes(names: Sequence[str]) -> list[Shape]:
    """Return the shape of each activation."""
    return [shape(name) for name in names]
