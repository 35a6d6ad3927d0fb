"""Activations and their derivatives, elementwise, written into buffers that are already there.

Each entry has `forward(z, h)`, which writes f(z) into h, and `backward(d, z, h)`, which turns d = dL/dh into dL/dz in
place. z and h may be one buffer where `needs_input` is false: then the derivative is computed from the output alone.
The kernels are PyTorch's own, so that results equal those of `torch.nn`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.value_types import parse_call

# Where the slope of PReLU starts, as in torch.nn.PReLU.
PRELU_START = 0.25

_aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One activation; the last argument is the slope of leaky ReLU, for PReLU one per run, and unused by the others."""

    forward: Callable[[Tensor, Tensor, Any], object]
    backward: Callable[[Tensor, Tensor, Tensor, Any], object]
    needs_input: bool = False
    learns: bool = False
    largest_slope: float = 1.0


def _prelu(z: Tensor, h: Tensor, slope_R1: Tensor) -> object:
    below = z.clamp_max(0).mul_(slope_R1)
    return torch.clamp_min(z, 0, out=h).add_(below)


def _prelu_backward(d: Tensor, z: Tensor, h: Tensor, slope_R1: Tensor) -> object:
    return d.mul_(torch.where(z > 0, torch.ones_like(slope_R1), slope_R1))


def _elu_backward(d: Tensor, z: Tensor, h: Tensor, a: float) -> object:
    return _aten.elu_backward.grad_input(d, 1.0, 1.0, 1.0, True, h, grad_input=d)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(
        forward=lambda z, h, a: h if h is z else h.copy_(z),
        backward=lambda d, z, h, a: d,
    ),
    "relu": Activation(
        forward=lambda z, h, a: torch.clamp_min(z, 0, out=h),
        backward=lambda d, z, h, a: _aten.threshold_backward.grad_input(d, h, 0, grad_input=d),
    ),
    "leaky_relu": Activation(
        forward=lambda z, h, a: _aten.leaky_relu.out(z, a, out=h),
        backward=lambda d, z, h, a: _aten.leaky_relu_backward.grad_input(d, z, a, False, grad_input=d),
        needs_input=True,
    ),
    "prelu": Activation(forward=_prelu, backward=_prelu_backward, needs_input=True, learns=True),
    "sigmoid": Activation(
        forward=lambda z, h, a: torch.sigmoid(z, out=h),
        backward=lambda d, z, h, a: _aten.sigmoid_backward.grad_input(d, h, grad_input=d),
        largest_slope=0.25,
    ),
    "tanh": Activation(
        forward=lambda z, h, a: torch.tanh(z, out=h),
        backward=lambda d, z, h, a: _aten.tanh_backward.grad_input(d, h, grad_input=d),
    ),
    "gelu": Activation(
        forward=lambda z, h, a: _aten.gelu.out(z, out=h),
        backward=lambda d, z, h, a: _aten.gelu_backward.grad_input(d, z, grad_input=d),
        needs_input=True,
        largest_slope=1.12890,
    ),
    "silu": Activation(
        forward=lambda z, h, a: _aten.silu.out(z, out=h),
        backward=lambda d, z, h, a: _aten.silu_backward.grad_input(d, z, grad_input=d),
        needs_input=True,
        largest_slope=1.09984,
    ),
    "elu": Activation(
        forward=lambda z, h, a: _aten.elu.out(z, out=h),
        backward=_elu_backward,
    ),
}


def activation(canonical: str) -> tuple[Activation, float]:
    """Return the activation and its parameter for a canonical name such as `leaky_relu(0.01)`."""
    name, parameters = parse_call(canonical)
    return ACTIVATIONS[name], parameters[0] if parameters else 0.0
