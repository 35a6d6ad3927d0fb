"""Optimisers: each is one entry of `OPTIMISERS`, by the elementwise rule of its step.

Shapes: `R` runs, `S` elements of a run's buffer. With gradient g, to which coupled weight decay lambda has been added
(g += lambda w, as torch does), and learning rate eta:

    sgd                                                  w -= eta g
    momentum   m = mu m + g                              w -= eta m
    nesterov   m = mu m + g                              w -= eta (g + mu m)
    rmsprop    v = a v + (1 - a) g^2                     w -= eta g / (sqrt v + eps)                   a = 0.99
    adam       m = b1 m + (1 - b1) g, v likewise of g^2  w -= eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    adamw      adam, and instead of coupled decay        w *= 1 - eta lambda

eps = 1e-8, b1 = 0.9, b2 = 0.999: the defaults of torch, whose results these equal.

References: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013; T. Tieleman,
G. Hinton, "Lecture 6.5: RMSprop", 2012; D. Kingma, J. Ba, "Adam", 2015; I. Loshchilov, F. Hutter, "Decoupled weight decay
regularization", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlpbench.experiment.value_types import Number, Parameters

Tensor = Any  # torch.Tensor
RMSPROP_ALPHA = 0.99
BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: each run's learning rate and parameter, (R, 1), the step's number from 1, and exact square roots.

    `root` stands for `torch.sqrt`, whose bits depend on the processor. The number is an int on a CPU, a tensor in double
    precision on a GPU.
    """

    rate: Tensor
    parameter: Tensor
    number: int | Tensor
    root: Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """An optimiser: `rule(w, g, states, step)` updates w (R, S) in place, and may overwrite the gradient g.

    `states` is the number of buffers of w's size that it keeps, zeros at first. `coupled` says that weight decay is added to
    the gradient. `linear` says that the step is w -= eta g and nothing else, which training takes within the product
    that computes g.
    """

    rule: Callable[[Tensor, Tensor, Sequence[Tensor], Step], object]
    states: int
    parameters: Parameters = field(default_factory=dict)
    coupled: bool = True
    linear: bool = False


def _momentum(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (m,) = states
    m.mul_(step.parameter).add_(g)
    w.sub_(m * step.rate)


def _nesterov(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (m,) = states
    m.mul_(step.parameter).add_(g)
    w.sub_(g.add_(m * step.parameter).mul_(step.rate))


def _rmsprop(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (v,) = states
    v.mul_(RMSPROP_ALPHA).addcmul_(g, g, value=1 - RMSPROP_ALPHA)
    w.sub_(g.mul_(step.rate).div_(step.root(v).add_(EPS)))


def _adam(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    m, v = states
    m.lerp_(g, 1 - BETA_1)
    v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
    scale = step.root(v).div_((1 - BETA_2**step.number) ** 0.5).add_(EPS)
    w.sub_((m * (step.rate / (1 - BETA_1**step.number))).div_(scale))


_MOMENTUM: Parameters = {"number": Number(low=0, high=1, default=0.9)}
OPTIMISERS: Mapping[str, Optimiser] = {
    "sgd": Optimiser(rule=lambda w, g, states, step: w.sub_(g.mul_(step.rate)), states=0, linear=True),
    "momentum": Optimiser(rule=_momentum, states=1, parameters=_MOMENTUM),
    "nesterov": Optimiser(rule=_nesterov, states=1, parameters=_MOMENTUM),
    "rmsprop": Optimiser(rule=_rmsprop, states=1),
    "adam": Optimiser(rule=_adam, states=2),
    "adamw": Optimiser(rule=_adam, states=2, coupled=False),
}
