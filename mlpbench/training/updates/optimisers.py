"""Optimisers of a stack: one update for all runs, with a learning rate per run.

Shapes: `R` runs, `S` elements of a run's buffer, padding included (its gradient is zero, and so it stays). With gradient
g, coupled weight decay lambda (g += lambda w, as torch does) and learning rate eta, elementwise:

    momentum   m = mu m + g                              w -= eta m
    nesterov   m = mu m + g                              w -= eta (g + mu m)
    rmsprop    v = a v + (1 - a) g^2                     w -= eta g / (sqrt v + eps)                   a = 0.99
    adam       m = b1 m + (1 - b1) g, v likewise of g^2  w -= eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    adamw      adam without coupled decay, after         w *= 1 - eta lambda
    sgd                                                  w -= eta g

eps = 1e-8, b1 = 0.9, b2 = 0.999: the defaults of torch, whose results these equal. Plain sgd without gradient clipping
takes its step within the gradient's product instead (see network.py).

References: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013; T. Tieleman,
G. Hinton, "Lecture 6.5: RMSprop", 2012; D. Kingma, J. Ba, "Adam", 2015; I. Loshchilov, F. Hutter, "Decoupled weight decay
regularization", 2019; R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013, for clipping.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpbench.training.buffers import Stacked
from mlpbench.training.updates.square_roots import root

RMSPROP_ALPHA = 0.99
BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8
# As torch.nn.utils.clip_grad_norm_ has it, so that a zero gradient is no division by zero.
CLIP_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One array of parameters of every run, its gradient, and lambda of each run, (R, 1), where any of them decays."""

    value: Stacked
    gradient: Stacked
    decay_R1: Tensor | None = None


# (w_RS, g_RS, states, rate_R1, momentum_R1, step counted from 1) -> None, in place; g may be overwritten
Rule = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor, Tensor, int], None]


def _sgd(w: Tensor, g: Tensor, states: Sequence[Tensor], rate: Tensor, momentum: Tensor, t: int) -> None:
    w.sub_(g.mul_(rate))


def _momentum(w: Tensor, g: Tensor, states: Sequence[Tensor], rate: Tensor, momentum: Tensor, t: int) -> None:
    (m,) = states
    m.mul_(momentum).add_(g)
    w.sub_(m * rate)


def _nesterov(w: Tensor, g: Tensor, states: Sequence[Tensor], rate: Tensor, momentum: Tensor, t: int) -> None:
    (m,) = states
    m.mul_(momentum).add_(g)
    w.sub_(g.add_(m * momentum).mul_(rate))


def _rmsprop(w: Tensor, g: Tensor, states: Sequence[Tensor], rate: Tensor, momentum: Tensor, t: int) -> None:
    (v,) = states
    v.mul_(RMSPROP_ALPHA).addcmul_(g, g, value=1 - RMSPROP_ALPHA)
    w.sub_(g.mul_(rate).div_(root(v).add_(EPS)))


def _adam(w: Tensor, g: Tensor, states: Sequence[Tensor], rate: Tensor, momentum: Tensor, t: int) -> None:
    m, v = states
    m.lerp_(g, 1 - BETA_1)
    v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
    scale = root(v).div_((1 - BETA_2**t) ** 0.5).add_(EPS)
    w.sub_(torch.mul(m, rate / (1 - BETA_1**t)).div_(scale))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An optimiser: its rule, how many buffers of state it keeps, and whether decay is added to the gradient."""

    rule: Rule
    states: int
    coupled: bool = True


OPTIMISERS: dict[str, Kind] = {
    "sgd": Kind(rule=_sgd, states=0),
    "momentum": Kind(rule=_momentum, states=1),
    "nesterov": Kind(rule=_nesterov, states=1),
    "rmsprop": Kind(rule=_rmsprop, states=1),
    "adam": Kind(rule=_adam, states=2),
    "adamw": Kind(rule=_adam, states=2, coupled=False),
}


class Optimiser:
    """The state of an optimiser over all parameters of a stack."""

    def __init__(self, name: str, parameters: Sequence[Parameter], momentum_R1: Tensor) -> None:
        self._kind = OPTIMISERS[name]
        self._momentum = momentum_R1
        self._parameters = parameters
        # Not zeros_like: on the meta device (memory.py) that loads the compiler, which takes a second.
        self._states = [
            [torch.zeros(w.shape, dtype=w.dtype, device=w.device) for _ in range(self._kind.states)]
            for w in (p.value.flat_RS for p in parameters)
        ]

    def step(self, rate_R1: Tensor, t: int) -> None:
        """Take step number t, counted from 1, with each run's learning rate."""
        for p, states in zip(self._parameters, self._states):
            w, g = p.value.flat_RS, p.gradient.flat_RS
            if p.decay_R1 is not None:
                if self._kind.coupled:
                    g.add_(w * p.decay_R1)
                else:
                    w.mul_(1 - rate_R1 * p.decay_R1)
            self._kind.rule(w, g, states, rate_R1, self._momentum, t)


def clip(parameters: Sequence[Parameter], limit_R1: Tensor) -> None:
    """Scale each run's whole gradient so that its norm is at most the run's limit."""
    # Array by array: a sum over the first axis of (arrays, R) takes another order in a larger stack.
    squares_R1 = functools.reduce(torch.add, [p.gradient.flat_RS.square().sum(1, keepdim=True) for p in parameters])
    scale_R1 = (limit_R1 / (root(squares_R1) + CLIP_EPS)).clamp_max(1.0)
    for p in parameters:
        p.gradient.flat_RS.mul_(scale_R1)


def soft_threshold(weight: Stacked, by_R1: Tensor) -> None:
    """Take the proximal step of lambda ||w||_1: w = sign(w) max(|w| - eta lambda, 0), whose zeros are exact.

    Reference: I. Daubechies et al., "An iterative thresholding algorithm for linear inverse problems", 2004.
    """
    w = weight.flat_RS
    w.sub_(torch.clamp(w, -by_R1, by_R1))
