"""Activations: forward and backward are those of `torch.nn.functional`, at every number there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_reference import MODULES

from mlpbench.experiment.components.activations import ACTIVATIONS, Activation, activation
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word, parse_call

EDGES: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu(0.0)": lambda: nn.LeakyReLU(0.0),
    "leaky_relu(1.0)": lambda: nn.LeakyReLU(1.0),
}
REFERENCES = MODULES | EDGES
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
    return f, torch.full((1, 1), parameter, dtype=dtype) if f.learnt else parameter


def reference(name: str, z: Tensor) -> Tensor:
    values: Tensor = REFERENCES[name]().to(z.dtype)(z * 1)
    return values


def close(got: Tensor, expected: Tensor) -> None:
    tolerance = 1e-12 if got.dtype == torch.float64 else 1e-6
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_every_activation_has_a_reference() -> None:
    kind = SETTINGS["activation"].value_type
    assert isinstance(kind, Word)
    assert {name.partition("(")[0] for name in REFERENCES} == set(ACTIVATIONS) == set(kind.table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_forward_is_torchs(name: str, dtype: torch.dtype) -> None:
    f, parameter = named(name, dtype)
    z = grid(dtype)
    kept = z.clone()
    h = torch.full_like(z, 7)
    f.forward(torch, z, h, parameter)
    close(h, reference(name, kept).detach())
    assert torch.equal(z.nan_to_num(), kept.nan_to_num()), "two buffers: the input is left as it was"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_backward_is_autograds(name: str, dtype: torch.dtype) -> None:
    f, parameter = named(name, dtype)
    z = grid(dtype)
    upstream = torch.linspace(-2, 3, z.numel(), dtype=dtype)[None]
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(reference(name, leaf), leaf, upstream)
    h, d = torch.empty_like(z), upstream.clone()
    f.forward(torch, z, h, parameter)
    f.backward(torch, d, z, h, parameter)
    close(d, expected)


@pytest.mark.parametrize("name", [n for n in REFERENCES if not activation(n)[0].needs_input])
def test_one_buffer_is_enough_where_the_output_tells_the_derivative(name: str) -> None:
    f, parameter = named(name)
    z = grid(torch.float64)
    leaf = z.clone().requires_grad_()
    expected = reference(name, leaf)
    (slope,) = torch.autograd.grad(expected, leaf, torch.ones_like(z))
    f.forward(torch, z, z, parameter)
    close(z, expected.detach())
    d = torch.ones_like(z)
    f.backward(torch, d, z, z, parameter)
    close(d, slope)


@pytest.mark.parametrize("name", LARGEST_SLOPES)
def test_the_largest_slope_on_minus_8_to_8_is_the_textbooks(name: str) -> None:
    f, parameter = named(name)
    z = torch.linspace(-8, 8, 16_001, dtype=torch.float64)[None]
    h, d = torch.empty_like(z), torch.ones_like(z)
    f.forward(torch, z, h, parameter)
    f.backward(torch, d, z, h, parameter)
    assert float(d.max()) == pytest.approx(LARGEST_SLOPES[name], abs=5e-4)


@pytest.mark.parametrize("name", MODULES)
def test_the_module_that_is_exported_is_the_same_function(name: str) -> None:
    f, _ = activation(name)
    z = grid(torch.float64)
    exported = f.module(nn, *parse_call(name)[1]).to(z.dtype)
    assert torch.equal(exported(z).nan_to_num(), reference(name, z).nan_to_num())


@pytest.mark.parametrize("name", REFERENCES)
def test_backward_agrees_with_finite_differences(name: str) -> None:
    f, parameter = named(name)
    z = torch.linspace(-7.9, 8, 400, dtype=torch.float64)[None]  # no kink within a step of any point
    step = 1e-6
    up, down, h = torch.empty_like(z), torch.empty_like(z), torch.empty_like(z)
    f.forward(torch, z + step, up, parameter)
    f.forward(torch, z - step, down, parameter)
    f.forward(torch, z, h, parameter)
    d = torch.ones_like(z)
    f.backward(torch, d, z, h, parameter)
    torch.testing.assert_close(d, (up - down) / (2 * step), rtol=0, atol=1e-8)


def test_a_kink_has_the_slope_of_its_left_side() -> None:
    """At 0 torch takes 0 for ReLU and the slope of the negative side for leaky ReLU."""
    for name, expected in (("relu", 0.0), ("leaky_relu(0.3)", 0.3), ("prelu", 0.25), ("elu", 1.0)):
        f, parameter = named(name, torch.float32)
        z, h, d = torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1)
        f.forward(torch, z, h, parameter)
        f.backward(torch, d, z, h, parameter)
        assert float(d) == pytest.approx(expected)


def test_each_run_has_its_own_slope() -> None:
    f, _ = activation("prelu")
    slopes = torch.tensor([[0.25], [0.0], [-0.5], [1.5]], dtype=torch.float64)
    z = grid(torch.float64)[:, :1601].repeat(4, 1)
    h, d = torch.empty_like(z), torch.ones_like(z)
    f.forward(torch, z, h, slopes)
    f.backward(torch, d, z, h, slopes)
    for i, slope in enumerate(slopes):
        leaf = z[i].clone().requires_grad_()
        expected = functional.prelu(leaf, slope)
        (gradient,) = torch.autograd.grad(expected.sum(), leaf)
        close(h[i], expected.detach())
        close(d[i], gradient)
