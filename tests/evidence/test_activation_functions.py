"""The activation functions that figures draw are those that networks are trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpbench.evidence.estimates.activation_functions import FUNCTIONS, PRELU_START, shape
from mlpbench.training.network import activations


@pytest.mark.parametrize("name", [n if n != "leaky_relu" else "leaky_relu(0.2)" for n in activations.ACTIVATIONS])
def test_functions_and_slopes_are_those_of_training(name: str) -> None:
    kernel, parameter = activations.activation(name)
    drawn = shape(name)
    z = torch.from_numpy(drawn.x.copy())[None]
    of = torch.full((1, 1), activations.PRELU_START, dtype=z.dtype) if kernel.learns else parameter
    h, d = torch.empty_like(z), torch.ones_like(z)
    kernel.forward(z.clone(), h, of)
    kernel.backward(d, z, h, of)
    np.testing.assert_allclose(drawn.value, h[0].numpy(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(drawn.slope, d[0].numpy(), atol=1e-6, rtol=0)
    assert drawn.largest == pytest.approx(kernel.largest_slope, abs=1e-5)


def test_every_activation_can_be_drawn() -> None:
    assert set(FUNCTIONS) == set(activations.ACTIVATIONS)
    assert PRELU_START == activations.PRELU_START


@pytest.mark.parametrize(
    ("name", "largest", "at", "flat"),
    [("sigmoid", 0.25, 0, False), ("tanh", 1, 0, False), ("gelu", 1.1289, np.sqrt(2), False), ("relu", 1, 0, True)],
)
def test_the_largest_slope_is_where_calculus_puts_it(name: str, largest: float, at: float, flat: bool) -> None:
    found = shape(name)
    assert found.largest == pytest.approx(largest, abs=5e-5)
    assert found.at == pytest.approx(at, abs=2e-4)
    assert found.flat == flat
