"""Optimisers: each is one entry of `OPTIMISERS`, by the elementwise rule of its step.

Shapes: `R` runs, `S` elements of a run's buffer. With gradient g, to which coupled weight decay lambda has been added
(g += lambda w, as torch does), and learning rate eta:

    sgd                                                  w -= eta g
    momentum   m = mu m + g                              w -= eta m
    nesterov   m = mu m + g                              w -= eta (g + mu m)
    rmsprop    v = a v + (1 - a) g^2                     w -= eta g / (sqrt v + eps)                   a = 0.99
    adam       m = b1 m + (1 - b1) g, v likewise of g^2  w -= eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    adamw      adam, and instead of coupled decay        w *= 1 - eta lambda

eps = 1e-8, b1 = 0.9, b2 = 0.999: the defaults of torch, whose results these equal. Numbers of one's own have a rule of their
own (`tuned`), in stacks of their own:

    momentum(mu, tau)      m = g at first, then mu m + (1 - tau) g           w -= eta m
    rmsprop(a, eps, mu)    v as above, m = mu m + g / (sqrt v + eps)         w -= eta m
    adam(b1, b2, eps)      as above, and adamw

References: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013; T. Tieleman,
G. Hinton, "Lecture 6.5: RMSprop", 2012; D. Kingma, J. Ba, "Adam", 2015; I. Loshchilov, F. Hutter, "Decoupled weight decay
regularization", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlpbench.base.models import Value
from mlpbench.experiment.components.own_pieces import Components, unloaded
from mlpbench.experiment.value_types import Flag, Number, Pair, Parameters, Word, entry_of

Tensor = Any  # torch.Tensor
RMSPROP_ALPHA = 0.99
BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8
# What a root is divided by may not vanish: the padding of buffers has gradients of zero.
LEAST_EPS = 1e-30


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: each run's learning rate and parameter, (R, 1), the step's number from 1, and exact square roots.

    `root` stands for `torch.sqrt`, whose bits depend on the processor. Of arrays, `roots` does the same and `product`
    multiplies, each in memory of its own that its next call overwrites. The number is an int on a CPU, a tensor in double
    precision on a GPU. A tuned rule has all `numbers` of each run, and the number'th `power` of any of them: (R, 1), in double
    precision, so that 1 minus one of them is rounded once.
    """

    rate: Tensor
    parameter: Tensor
    number: int | Tensor
    root: Callable[[Tensor], Tensor]
    roots: Callable[[Tensor], Tensor]
    product: Callable[[Tensor, Tensor], Tensor]
    numbers: Sequence[Tensor] = ()
    power: Callable[[int], Tensor] | None = None


Rule = Callable[[Tensor, Tensor, Sequence[Tensor], Step], object]


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """An optimiser: `rule(w, g, states, step)` updates w (R, S) in place, and may overwrite the gradient g.

    `states` is the number of buffers of w's size that it keeps, zeros at first. `coupled` says that weight decay is added to
    the gradient. `normalises` says that a step is about as long for a small gradient as for a large one. `linear` says that the step is w -= eta g and nothing else, which training takes within the product
    that computes g. `tuned` is the rule where a run has more numbers than the `usual` ones of its canonical name, and
    `tuned_states` the number of its buffers. `own(gradient, state, lr, step)` is a plugin's, which training calls for each array of
    each run instead of a rule: it returns what is added to the array, and its state.
    """

    rule: Rule
    states: int
    parameters: Parameters = field(default_factory=dict)
    coupled: bool = True
    normalises: bool = False
    linear: bool = False
    usual: int = 0
    tuned: Rule | None = None
    tuned_states: int = 0
    own: Callable[..., tuple[Tensor, dict[Any, Any]]] | None = None

    def with_numbers(self) -> Optimiser:
        """Return the optimiser with its tuned rule."""
        assert self.tuned is not None, "an optimiser that takes further numbers has a rule for them"
        return replace(self, rule=self.tuned, states=self.tuned_states)


def _momentum(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (m,) = states
    m.mul_(step.parameter).add_(g)
    w.sub_(step.product(m, step.rate))


def _nesterov(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (m,) = states
    m.mul_(step.parameter).add_(g)
    w.sub_(g.add_(step.product(m, step.parameter)).mul_(step.rate))


def _rmsprop(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (v,) = states
    v.mul_(RMSPROP_ALPHA).addcmul_(g, g, value=1 - RMSPROP_ALPHA)
    w.sub_(g.mul_(step.rate).div_(step.roots(v).add_(EPS)))


def _adam(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    m, v = states
    m.lerp_(g, 1 - BETA_1)
    v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
    scale = step.roots(v).div_((1 - BETA_2**step.number) ** 0.5).add_(EPS)
    w.sub_(step.product(m, step.rate / (1 - BETA_1**step.number)).div_(scale))


def _damped(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    (m,) = states
    mu, tau = step.numbers
    m.mul_(mu.to(g.dtype)).add_(step.product(g, (1 - tau * (step.number > 1)).to(g.dtype)))
    w.sub_(step.product(m, step.rate))


def _tuned_rmsprop(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    v, m = states
    alpha, eps, mu = step.numbers
    v.mul_(alpha.to(g.dtype)).addcmul_(step.product(g, (1 - alpha).to(g.dtype)), g)
    m.mul_(mu.to(g.dtype)).add_(g.div_(step.roots(v).add_(eps.to(g.dtype))))
    w.sub_(step.product(m, step.rate))


def _tuned_adam(w: Tensor, g: Tensor, states: Sequence[Tensor], step: Step) -> None:
    assert step.power is not None, "a tuned rule has the powers of its numbers"
    m, v = states
    beta_1, beta_2, eps = step.numbers
    m.lerp_(g, (1 - beta_1).to(g.dtype))
    v.mul_(beta_2.to(g.dtype)).addcmul_(step.product(g, (1 - beta_2).to(g.dtype)), g)
    scale = step.roots(v).div_(step.root(1 - step.power(1)).to(g.dtype)).add_(eps.to(g.dtype))
    w.sub_(step.product(m, step.rate / (1 - step.power(0)).to(g.dtype)).div_(scale))


_MOMENTUM: Parameters = {"number": Number(low=0, high=1, default=0.9)}
_EPS = Number(low=LEAST_EPS, default=EPS)
_OF_SGD: Parameters = {
    "momentum": Number(low=0, high=1, default=0.0),
    "dampening": Number(low=0, high=1, default=0.0),
    "nesterov": Flag(default=False),
}
_OF_RMSPROP: Parameters = {
    "alpha": Number(low=0, high=1, default=RMSPROP_ALPHA),
    "eps": _EPS,
    "momentum": Number(low=0, high=1, default=0.0),
}
_OF_ADAM: Parameters = {
    "betas": Pair(each=Number(low=0, high=1, open_high=True), default=(BETA_1, BETA_2)),
    "eps": _EPS,
}


def own_optimiser(name: str, step: Callable[..., tuple[Tensor, dict[Any, Any]]]) -> Optimiser:
    """Return the optimiser of a plugin; what it keeps is counted as two buffers, what Adam has."""
    return Optimiser(rule=unloaded(name), states=2, own=step)


OPTIMISERS: Components[Optimiser] = Components(
    {
        "sgd": Optimiser(
            rule=lambda w, g, states, step: w.sub_(g.mul_(step.rate)), states=0, parameters=_OF_SGD, linear=True
        ),
        "momentum": Optimiser(rule=_momentum, states=1, parameters=_MOMENTUM, usual=1, tuned=_damped, tuned_states=1),
        "nesterov": Optimiser(rule=_nesterov, states=1, parameters=_MOMENTUM, usual=1),
        "rmsprop": Optimiser(
            rule=_rmsprop, states=1, parameters=_OF_RMSPROP, normalises=True, tuned=_tuned_rmsprop, tuned_states=2
        ),
        "adam": Optimiser(
            rule=_adam, states=2, parameters=_OF_ADAM, normalises=True, tuned=_tuned_adam, tuned_states=2
        ),
        "adamw": Optimiser(
            rule=_adam,
            states=2,
            parameters=_OF_ADAM,
            coupled=False,
            normalises=True,
            tuned=_tuned_adam,
            tuned_states=2,
        ),
    },
    declared=lambda name: own_optimiser(name, unloaded(name)),
)


def optimiser(canonical: str) -> tuple[Optimiser, tuple[float, ...]]:
    """Return the optimiser of a canonical name, with its tuned rule where it has more numbers than the usual ones, and the numbers.

    >>> optimiser("adam")[1], optimiser("adam(0.9,0.98,1e-08)")[1]
    ((), (0.9, 0.98, 1e-08))
    """
    entry, numbers = entry_of(OPTIMISERS, canonical)
    return (entry.with_numbers() if len(numbers) > entry.usual else entry), numbers


@dataclass(frozen=True, kw_only=True)
class OptimiserWord(Word):
    """An optimiser: a word, or one with some of its numbers: `{adam: {betas: [0.9, 0.98]}}`, `{sgd: {momentum: 0.9}}`.

    `{sgd: {momentum: 0.9}}` is `momentum(0.9)`, with `nesterov: true` it is `nesterov(0.9)`, with a dampening `momentum(0.9,0.1)`.
    """

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        word, argument = self._parts(value)
        if word == "momentum" and isinstance(argument, tuple) and len(argument) == 2:
            return self.read({"sgd": {"momentum": argument[0], "dampening": argument[1]}})
        canonical = str(super().read(value))
        if canonical == "sgd" or not canonical.startswith("sgd"):
            return canonical
        assert isinstance(argument, Mapping), "a string can't say true or false"
        momentum, dampening, nesterov = (argument.get(key, limits.default) for key, limits in _OF_SGD.items())
        if not momentum:
            raise ValueError("sgd with a momentum above 0 where it has nesterov or a dampening")
        if nesterov and dampening:
            raise ValueError("sgd with a dampening of 0 where it has nesterov")
        if nesterov:
            return f"nesterov({float(momentum)!r})"
        return f"momentum({float(momentum)!r}" + (f",{float(dampening)!r})" if dampening else ")")
