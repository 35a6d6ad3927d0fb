"""The activation functions that figures draw are those that networks are trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_reference import MODULES

from mlpbench.evidence.estimates.activation_functions import shape
from mlpbench.experiment.components.activations import activation
from mlpbench.training.measures.probes import largest_slope


@pytest.mark.parametrize("name", [*MODULES, "leaky_relu(0.0)", "leaky_relu(1.0)"])
def test_values_and_slopes_are_those_of_training(name: str) -> None:
    f, parameter = activation(name)
    drawn = shape(name)
    z = torch.from_numpy(drawn.x.copy())[None]
    of = torch.full((1, 1), parameter, dtype=z.dtype) if f.learnt else parameter
    h, d = torch.empty_like(z), torch.ones_like(z)
    f.forward(torch, z.clone(), h, of)
    f.backward(torch, d, z, h, of)
    np.testing.assert_allclose(drawn.value, h[0].numpy(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(drawn.slope, d[0].numpy(), atol=1e-6, rtol=0)
    assert drawn.largest == pytest.approx(largest_slope(f, parameter), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "largest", "at", "flat"),
    [("sigmoid", 0.25, 0, False), ("tanh", 1, 0, False), ("gelu", 1.1289, np.sqrt(2), False), ("relu", 1, 0, True)],
)
def test_the_largest_slope_is_where_calculus_puts_it(name: str, largest: float, at: float, flat: bool) -> None:
    found = shape(name)
    assert found.largest == pytest.approx(largest, abs=5e-5)
    assert found.at == pytest.approx(at, abs=2e-4)
    assert found.flat == flat
