"""The shapes of activation functions, as figures draw them: values and slopes on an axis, in float64 and without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlpbench.experiment.components.activations import Floats, activation

REACH, POINTS = 8.0, 1601
# So many steps between two points find the largest slope to seven digits.
FINER = 100


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An activation on [-8, 8]: x, f(x), f'(x), its largest slope and the x nearest to 0 at which it has that.

    A parameter that is learnt has the value it starts from. `flat` says that f' is largest on more than a point.
    """

    name: str
    x: Floats
    value: Floats
    slope: Floats
    largest: float
    at: float
    flat: bool


def shape(canonical: str) -> Shape:
    """Return the shape of an activation by its canonical name, such as `leaky_relu(0.01)`."""
    f, a = activation(canonical)
    x, fine = (np.linspace(-REACH, REACH, n) for n in (POINTS, (POINTS - 1) * FINER + 1))
    slopes = f.slope(fine, a)
    largest = float(slopes.max())
    reached = fine[slopes == largest]
    at = float(reached[np.abs(reached).argmin()])
    flat = bool(np.ptp(reached) > 1)
    return Shape(name=canonical, x=x, value=f.function(x, a), slope=f.slope(x, a), largest=largest, at=at, flat=flat)
