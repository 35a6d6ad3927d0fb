"""The kinds of pieces that a plugin may have: which function each is, and the settings whose levels it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PieceKind:
    """A kind of piece: the arguments of its function, what that returns, and the settings that may have it as a level.

    `differentiates` says that its derivative may be given too, by `@NAME.derivative`; without one it is that of autograd. Of kinds
    that are no level an experiment uses `every` piece of its plugins. `trains` says that training calls it.
    """

    arguments: tuple[str, ...]
    returns: str
    settings: tuple[str, ...] = ()
    differentiates: bool = False
    every: bool = False
    trains: bool = True

    def signature(self, name: str) -> str:
        """Return how the function of a piece is to be written: `mish(z)`."""
        return f"{name}({', '.join(self.arguments)})"


# Each is a decorator of `mlpbench` too: see decorators.py.
KINDS: Mapping[str, PieceKind] = {
    "activation": PieceKind(
        arguments=("z",),
        returns="f(z), number by number, of the shape of z",
        settings=("activation",),
        differentiates=True,
    ),
    "initialiser": PieceKind(
        arguments=("shape", "fan_in", "fan_out", "generator"),
        returns="an array of that shape, drawn from the generator",
        settings=("init", "bias_init"),
    ),
    "optimiser": PieceKind(
        arguments=("gradient", "state", "lr", "step"),
        returns="(update, state): what is added to the parameters, of the shape of the gradient, and a dict",
        settings=("optimizer",),
    ),
    "loss": PieceKind(
        arguments=("outputs", "targets"),
        returns="the loss of each example, of shape (B,)",
        settings=("loss",),
        differentiates=True,
    ),
    "schedule": PieceKind(
        arguments=("share",),
        returns="the factor of the learning rate, a number of at least 0",
        settings=("schedule",),
    ),
    "metric": PieceKind(
        arguments=("outputs", "targets"),
        returns="one number for all examples",
        every=True,
        trains=False,
    ),
    "dataset": PieceKind(
        arguments=(),
        returns="arrays x and y, or x_train, y_train, x_test and y_test",
        trains=False,
    ),
    "figure": PieceKind(
        arguments=("context",),
        returns="a matplotlib figure, a sentence, or both as a tuple",
        every=True,
        trains=False,
    ),
}


def kind_of_setting(setting: str) -> str | None:
    """Return the kind of the pieces that are levels of a setting, None where there are none."""
    return next((name for name, kind in KINDS.items() if setting in kind.settings), None)
