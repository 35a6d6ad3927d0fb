"""Draws of synthetic data, addressed by seed and replicate.

In numpy, float64, without BLAS: products and sums are taken input by input, in order, so that targets have the same bits
in every numerics mode and whatever else is drawn.

Shapes: `N` examples, `I` inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.streams import generator
from mlpbench.data.dataset import Dataset
from mlpbench.data.synthetic.families import Synthetic

Floats = NDArray[np.float64]
# (generator, examples, inputs) -> inputs x_NI
Inputs = Callable[[np.random.Generator, int, int], Floats]
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Synthetic data before they are drawn."""

    facts: Synthetic

    def draw(self, seed: int, replicate: int) -> Dataset:
        """Return the examples of a replicate: y = b + sum_k w_k x_k + e, with e ~ N(0, noise^2)."""
        x_train, y_train = self._part(seed, replicate, 0, self.facts.n_train)
        x_test, y_test = self._part(seed, replicate, 1, self.facts.n_test)
        return Dataset(facts=self.facts, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

    def _part(self, seed: int, replicate: int, part: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        facts = self.facts
        x_NI = INPUTS[facts.name](generator(seed, replicate, "data", part, 0), n, facts.n_features)
        y = np.full(n, facts.true_bias)
        for k, weight in enumerate(facts.true_weights):
            y += weight * x_NI[:, k]
        y += facts.noise * generator(seed, replicate, "data", part, 1).standard_normal(n)
        return _float32(x_NI), _float32(y)


def _float32(values: Floats) -> NDArray[np.float32]:
    # High powers of small numbers are subnormal, which training flushes: 0 here too, whether or not it has begun.
    return np.where(np.abs(values) < SMALLEST, 0.0, values).astype(np.float32)


def _normal(rng: np.random.Generator, n: int, inputs: int) -> Floats:
    return rng.standard_normal((n, inputs))


def _powers(rng: np.random.Generator, n: int, inputs: int) -> Floats:
    """Return x^k / k! for k = 1 ... inputs, each from the one before."""
    x = rng.standard_normal(n)
    x_NI = np.empty((n, inputs))
    x_NI[:, 0] = x
    for k in range(1, inputs):
        x_NI[:, k] = x_NI[:, k - 1] * x / (k + 1)
    return x_NI


INPUTS: dict[str, Inputs] = {"linear": _normal, "polynomial": _powers}
