"""Activation functions: each is one entry of `ACTIVATIONS`, with everything that training, export and figures need.

The kernels are PyTorch's own, so that results equal those of `torch.nn`. They write into buffers that exist already. This room
does not import torch: who trains or exports hands it in. `a` is the parameter of the function; of a function that learns
its parameter, one for each run, of shape (R, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpbench.experiment.components.own_pieces import Components, unloaded
from mlpbench.experiment.value_types import Number, Parameters, entry_of

Floats = npt.NDArray[np.float64]
Tensor = Any  # torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A parameter that training learns: where it starts, and its gradient at each number, from d = dL/df and z."""

    start: float
    gradient: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """An activation function f with its derivative.

    `forward(torch, z, h, a)` writes h = f(z). `backward(torch, d, z, h, a)` turns d = dL/dh into dL/dz in place; where
    `needs_input` is false it reads h alone, so that z and h may be one buffer. `function(x, a)` and `slope(x, a)` are f
    and f' in NumPy; at a kink the slope is the one on the left, as in the kernels. `module(nn, *parameters)` makes the
    same function from `torch.nn`; its parameter is called `weight` if it is `learnt`. Of a plugin's, `own_forward(z)` and
    `own_backward(d, z)` return f(z) and dL/dz of one run, which training calls instead; of it there is nothing in NumPy.
    """

    forward: Callable[[Any, Tensor, Tensor, Any], object]
    backward: Callable[[Any, Tensor, Tensor, Tensor, Any], object]
    function: Callable[[Floats, float], Floats]
    slope: Callable[[Floats, float], Floats]
    module: Callable[..., Any]
    parameters: Parameters = field(default_factory=dict)
    needs_input: bool = False
    learnt: Learnt | None = None
    own_forward: Callable[[Tensor], Tensor] | None = None
    own_backward: Callable[[Tensor, Tensor], Tensor] | None = None


def _logistic(x: Floats) -> Floats:
    from scipy.special import expit  # only figures need it: the command line starts without scipy

    return np.asarray(expit(x))


def _normal_cdf(x: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def _normal_density(x: Floats) -> Floats:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def _prelu(torch: Any, z: Tensor, h: Tensor, a_R1: Tensor) -> object:
    below = z.clamp_max(0).mul_(a_R1)
    return torch.clamp_min(z, 0, out=h).add_(below)


def own_activation(
    name: str,
    forward: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor, Tensor], Tensor],
    module: Callable[[Any], Any],
) -> Activation:
    """Return the activation of a plugin, whose kernels take one run after another, what they are given of each.

    Args:
        name: its canonical name.
        forward: returns f(z) of one run.
        backward: returns dL/dz of one run from d = dL/df and z.
        module: makes it a module of `torch.nn`.

    """

    def forward_all(torch: Any, z: Tensor, h: Tensor, a: Any) -> None:
        for of_run, into in zip(z, h):
            into.copy_(forward(of_run))

    def backward_all(torch: Any, d: Tensor, z: Tensor, h: Tensor, a: Any) -> None:
        for d_run, z_run in zip(d, z):
            d_run.copy_(backward(d_run, z_run))

    return Activation(
        forward=forward_all,
        backward=backward_all,
        needs_input=True,
        function=unloaded(name),
        slope=unloaded(name),
        module=module,
        own_forward=forward,
        own_backward=backward,
    )


ACTIVATIONS: Components[Activation] = Components(
    {
        "identity": Activation(
            forward=lambda torch, z, h, a: h if h is z else h.copy_(z),
            backward=lambda torch, d, z, h, a: d,
            function=lambda x, a: x.copy(),
            slope=lambda x, a: np.ones_like(x),
            module=lambda nn: nn.Identity(),
        ),
        "relu": Activation(
            forward=lambda torch, z, h, a: torch.clamp_min(z, 0, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.threshold_backward.grad_input(d, h, 0, grad_input=d),
            function=lambda x, a: np.maximum(x, 0.0),
            slope=lambda x, a: np.where(x > 0, 1.0, 0.0),
            module=lambda nn: nn.ReLU(),
        ),
        "leaky_relu": Activation(
            forward=lambda torch, z, h, a: torch.ops.aten.leaky_relu.out(z, a, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.leaky_relu_backward.grad_input(
                d, z, a, False, grad_input=d
            ),
            needs_input=True,
            function=lambda x, a: np.where(x > 0, x, a * x),
            slope=lambda x, a: np.where(x > 0, 1.0, a),
            module=lambda nn, a: nn.LeakyReLU(a),
            parameters={"number": Number(low=0, high=1, default=0.01)},
        ),
        "prelu": Activation(
            forward=_prelu,
            backward=lambda torch, d, z, h, a_R1: d.mul_(torch.where(z > 0, torch.ones_like(a_R1), a_R1)),
            needs_input=True,
            function=lambda x, a: np.where(x > 0, x, a * x),
            slope=lambda x, a: np.where(x > 0, 1.0, a),
            module=lambda nn: nn.PReLU(),
            learnt=Learnt(start=0.25, gradient=lambda d, z: d * z.clamp_max(0)),
        ),
        "sigmoid": Activation(
            forward=lambda torch, z, h, a: torch.sigmoid(z, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.sigmoid_backward.grad_input(d, h, grad_input=d),
            function=lambda x, a: _logistic(x),
            slope=lambda x, a: _logistic(x) * _logistic(-x),
            module=lambda nn: nn.Sigmoid(),
        ),
        "tanh": Activation(
            forward=lambda torch, z, h, a: torch.tanh(z, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.tanh_backward.grad_input(d, h, grad_input=d),
            function=lambda x, a: np.tanh(x),
            slope=lambda x, a: 1 / np.cosh(x) ** 2,
            module=lambda nn: nn.Tanh(),
        ),
        "gelu": Activation(
            forward=lambda torch, z, h, a: torch.ops.aten.gelu.out(z, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.gelu_backward.grad_input(d, z, grad_input=d),
            needs_input=True,
            function=lambda x, a: x * _normal_cdf(x),
            slope=lambda x, a: _normal_cdf(x) + x * _normal_density(x),
            module=lambda nn: nn.GELU(),
        ),
        "silu": Activation(
            forward=lambda torch, z, h, a: torch.ops.aten.silu.out(z, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.silu_backward.grad_input(d, z, grad_input=d),
            needs_input=True,
            function=lambda x, a: x * _logistic(x),
            slope=lambda x, a: _logistic(x) * (1 + x * _logistic(-x)),
            module=lambda nn: nn.SiLU(),
        ),
        "elu": Activation(
            forward=lambda torch, z, h, a: torch.ops.aten.elu.out(z, out=h),
            backward=lambda torch, d, z, h, a: torch.ops.aten.elu_backward.grad_input(
                d, 1, 1, 1, True, h, grad_input=d
            ),
            function=lambda x, a: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
            slope=lambda x, a: np.exp(np.minimum(x, 0.0)),
            module=lambda nn: nn.ELU(),
        ),
    },
    declared=lambda name: own_activation(name, unloaded(name), unloaded(name), unloaded(name)),
)


def activation(canonical: str) -> tuple[Activation, float]:
    """Return the activation and its parameter for a canonical name such as `leaky_relu(0.01)`; a learnt one's start."""
    f, parameters = entry_of(ACTIVATIONS, canonical)
    return f, f.learnt.start if f.learnt else parameters[0] if parameters else 0.0
