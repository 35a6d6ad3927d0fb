"""Activations: forward and backward are those of `torch.nn.functional`, at every number there is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word
from mlpbench.training.network.activations import ACTIVATIONS, PRELU_START, Activation, activation

REFERENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z * 1,
    "relu": functional.relu,
    "leaky_relu(0.01)": functools.partial(functional.leaky_relu, negative_slope=0.01),
    "leaky_relu(0.3)": functools.partial(functional.leaky_relu, negative_slope=0.3),
    "leaky_relu(0.0)": functools.partial(functional.leaky_relu, negative_slope=0.0),
    "leaky_relu(1.0)": functools.partial(functional.leaky_relu, negative_slope=1.0),
    "prelu": lambda z: functional.prelu(z, torch.full((1,), PRELU_START, dtype=z.dtype)),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
}
# The largest slope, to three places, and where it is: textbook numbers, not torch's.
LARGEST_SLOPES = {
    "identity": 1.0,
    "relu": 1.0,
    "leaky_relu(0.01)": 1.0,
    "prelu": 1.0,
    "sigmoid": 0.25,
    "tanh": 1.0,
    "gelu": 1.129,
    "silu": 1.100,
    "elu": 1.0,
}
SPECIAL = [0.0, -0.0, torch.nan, torch.inf, -torch.inf, 1e-30, -1e-30, 100.0, -100.0, 1e30, -1e30]


def grid(dtype: torch.dtype) -> Tensor:
    """[-8, 8], its kinks and the special numbers, at a length that has a tail beside whole vectors; shape (1, n)."""
    return torch.cat([torch.linspace(-8, 8, 1601, dtype=dtype), torch.tensor(SPECIAL, dtype=dtype)])[None]


def named(name: str, dtype: torch.dtype = torch.float64) -> tuple[Activation, Any]:
    """The activation and its parameter: for PReLU a slope per run, here of one run."""
    f, parameter = activation(name)
    return f, torch.full((1, 1), PRELU_START, dtype=dtype) if f.learns else parameter


def close(got: Tensor, expected: Tensor) -> None:
    tolerance = 1e-12 if got.dtype == torch.float64 else 1e-6
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_every_activation_has_a_reference() -> None:
    kind = SETTINGS["activation"].kind
    assert isinstance(kind, Word)
    assert {name.partition("(")[0] for name in REFERENCES} == set(ACTIVATIONS) == set(kind.table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_forward_is_torchs(name: str, dtype: torch.dtype) -> None:
    f, parameter = named(name, dtype)
    z = grid(dtype)
    kept = z.clone()
    h = torch.full_like(z, 7)
    f.forward(z, h, parameter)
    close(h, REFERENCES[name](kept))
    assert torch.equal(z.nan_to_num(), kept.nan_to_num()), "two buffers: the input is left as it was"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_backward_is_autograds(name: str, dtype: torch.dtype) -> None:
    f, parameter = named(name, dtype)
    z = grid(dtype)
    upstream = torch.linspace(-2, 3, z.numel(), dtype=dtype)[None]
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(REFERENCES[name](leaf), leaf, upstream)
    h, d = torch.empty_like(z), upstream.clone()
    f.forward(z, h, parameter)
    f.backward(d, z, h, parameter)
    close(d, expected)


@pytest.mark.parametrize("name", [n for n in REFERENCES if not activation(n)[0].needs_input])
def test_one_buffer_is_enough_where_the_output_tells_the_derivative(name: str) -> None:
    f, parameter = named(name)
    z = grid(torch.float64)
    leaf = z.clone().requires_grad_()
    expected = REFERENCES[name](leaf)
    (slope,) = torch.autograd.grad(expected, leaf, torch.ones_like(z))
    f.forward(z, z, parameter)
    close(z, expected.detach())
    d = torch.ones_like(z)
    f.backward(d, z, z, parameter)
    close(d, slope)


@pytest.mark.parametrize("name", LARGEST_SLOPES)
def test_the_largest_slope_on_minus_8_to_8_is_the_textbooks(name: str) -> None:
    f, parameter = named(name)
    z = torch.linspace(-8, 8, 16_001, dtype=torch.float64)[None]
    h, d = torch.empty_like(z), torch.ones_like(z)
    f.forward(z, h, parameter)
    f.backward(d, z, h, parameter)
    assert float(d.max()) == pytest.approx(LARGEST_SLOPES[name], abs=5e-4)
    assert f.largest_slope == pytest.approx(float(d.max()), abs=1e-5), "what a slope is called small against"


@pytest.mark.parametrize("name", REFERENCES)
def test_backward_agrees_with_finite_differences(name: str) -> None:
    f, parameter = named(name)
    z = torch.linspace(-7.9, 8, 400, dtype=torch.float64)[None]  # no kink within a step of any point
    step = 1e-6
    up, down, h = torch.empty_like(z), torch.empty_like(z), torch.empty_like(z)
    f.forward(z + step, up, parameter)
    f.forward(z - step, down, parameter)
    f.forward(z, h, parameter)
    d = torch.ones_like(z)
    f.backward(d, z, h, parameter)
    torch.testing.assert_close(d, (up - down) / (2 * step), rtol=0, atol=1e-8)


def test_a_kink_has_the_slope_of_its_left_side() -> None:
    """At 0 torch takes 0 for ReLU and the slope of the negative side for leaky ReLU."""
    for name, expected in (("relu", 0.0), ("leaky_relu(0.3)", 0.3), ("prelu", 0.25), ("elu", 1.0)):
        f, parameter = named(name, torch.float32)
        z, h, d = torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1)
        f.forward(z, h, parameter)
        f.backward(d, z, h, parameter)
        assert float(d) == pytest.approx(expected)


def test_each_run_has_its_own_slope() -> None:
    f, _ = activation("prelu")
    slopes = torch.tensor([[0.25], [0.0], [-0.5], [1.5]], dtype=torch.float64)
    z = grid(torch.float64)[:, :1601].repeat(4, 1)
    h, d = torch.empty_like(z), torch.ones_like(z)
    f.forward(z, h, slopes)
    f.backward(d, z, h, slopes)
    for i, slope in enumerate(slopes):
        leaf = z[i].clone().requires_grad_()
        expected = functional.prelu(leaf, slope)
        (gradient,) = torch.autograd.grad(expected.sum(), leaf)
        close(h[i], expected.detach())
        close(d[i], gradient)
