"""What training calls of plugins, one run at a time: whatever a function does, its bits can't depend on a stack.

Each call gets tensors of its own, contiguous, in the shape that the run has alone: so it has the same shapes, strides, alignment and
number of threads in any company. Derivatives are those of autograd where a piece gives none.

Shapes: `R` runs, `B` batch, `C` outputs, `O` units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlpbench.experiment.components.initialisers import Array, Layer
from mlpbench.training.buffers import Stacked
from mlpbench.training.pieces.piece_calls import NotFiniteError, PieceCall


def _own(x: Tensor) -> Tensor:
    """Return a tensor's numbers in memory of their own, without gaps."""
    return x.clone(memory_format=torch.contiguous_format)


def _pulled_back(piece: PieceCall, f: Callable[[Tensor], Tensor], x: Tensor, d: Tensor) -> Tensor:
    """Return the gradient of the sum of d * f(x) by x, by autograd, for the function f of a piece."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = f(_own(leaf))  # no leaf itself, so that a function may change it in place
        if not y.requires_grad:  # a constant
            return torch.zeros_like(x)
        try:
            (gradient,) = torch.autograd.grad(y, leaf, d.to(y.dtype), allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise piece.raised(error, [x, d]) from error
    return torch.zeros_like(x) if gradient is None else gradient


def _nan_like(x: Tensor) -> Tensor:
    """Return what comes of numbers that are not finite where a piece raises on them: their run has diverged."""
    return torch.full_like(x, torch.nan)


class OwnActivation:
    """An activation of a plugin: f(z) and dL/dz of one run."""

    def __init__(self, piece: PieceCall) -> None:
        self._piece = piece

    def _f(self, z: Tensor) -> Tensor:
        return self._piece.numbers(self._piece(z), z.shape, "f(z), number by number")

    def forward(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        try:
            return self._f(_own(z))
        except NotFiniteError:
            return _nan_like(z)

    def backward(self, d: Tensor, z: Tensor) -> Tensor:
        """Return d * f'(z)."""
        try:
            if self._piece.own_derivative is None:
                return _pulled_back(self._piece, self._f, z, _own(d))
            slope = self._piece.derivative(_own(z))
        except NotFiniteError:
            return _nan_like(z)
        return _own(d) * self._piece.numbers(slope, z.shape, "f'(z) as its derivative")

    def module(self) -> nn.Module:
        """Return it as a module."""
        return OwnModule(self._piece)


class OwnModule(nn.Module):
    """An activation of a plugin as a module, as `mlpbench.model` returns it."""

    def __init__(self, piece: PieceCall) -> None:
        super().__init__()
        self._piece = piece

    def forward(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        return self._piece.numbers(self._piece(z), z.shape, "f(z), number by number")

    def extra_repr(self) -> str:
        """Return its name, as the module prints it."""
        return self._piece.name


class OwnLoss:
    """A loss of a plugin, in the buffers of a stack: see `experiment.components.losses.Loss`."""

    def __init__(self, piece: PieceCall) -> None:
        self._piece = piece

    def _each(self, z_BC: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each example."""
        return self._piece.numbers(self._piece(z_BC, y), z_BC.shape[:1], "the loss of each example")

    def forward(self, torch: Any, z: Stacked, y: Tensor, loss: Stacked) -> None:
        """Write the loss of each example; y are classes (R, B, 1) or numbers (R, B, C)."""
        for i, (z_BC, y_BC) in enumerate(zip(z.x_RNM, y)):
            try:
                loss.x_RNM[i, 0] = self._each(_own(z_BC), self._targets(y_BC))
            except NotFiniteError:
                loss.x_RNM[i, 0] = torch.nan

    def gradient(self, torch: Any, z: Stacked, y: Tensor, scale: Tensor, d: Stacked) -> None:
        """Write scale * dloss/dz, where scale is (R, 1, 1) or (R, B, 1)."""
        for i, (z_BC, y_BC) in enumerate(zip(z.x_RNM, y)):
            d.x_RNM[i] = self.slopes(z_BC, self._targets(y_BC), _own(scale[i, :, 0].expand(len(z_BC))))

    def slopes(self, z_BC: Tensor, targets: Tensor, scale_B: Tensor) -> Tensor:
        """Return scale * dloss/dz of one run."""
        try:
            if self._piece.own_derivative is None:
                return _pulled_back(self._piece, lambda outputs: self._each(outputs, targets), z_BC, scale_B)
            slope = self._piece.derivative(_own(z_BC), targets)
        except NotFiniteError:
            return _nan_like(z_BC)
        return (
            self._piece.numbers(slope, z_BC.shape, "the slopes of each example's loss by its outputs")
            * scale_B[:, None]
        )

    @staticmethod
    def _targets(y_BC: Tensor) -> Tensor:
        """Return the targets of one run: numbers (B, C), classes (B,)."""
        return _own(y_BC if y_BC.is_floating_point() else y_BC[:, 0])


def own_step(piece: PieceCall) -> Callable[..., tuple[Tensor, dict[Any, Any]]]:
    """Return the step of an optimiser of a plugin, which checks what comes back."""

    def step(gradient: Tensor, state: dict[Any, Any], lr: float, number: int) -> tuple[Tensor, dict[Any, Any]]:
        try:
            returned = piece(_own(gradient), state, lr, number)
        except NotFiniteError:
            return _nan_like(gradient), {}
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise piece.wrong("a pair (update, state)", type(returned).__name__)
        update, after = returned
        if not isinstance(after, dict):
            raise piece.wrong("its state as a dict", type(after).__name__)
        return piece.numbers(update, gradient.shape, "an update"), after

    return step


def own_draw(piece: PieceCall) -> Callable[[Layer], Array]:
    """Return how a plugin's initialiser draws the initial values of a layer."""

    def draw(layer: Layer) -> Array:
        returned = piece(layer.shape, layer.fan_in, layer.fan_out, layer.rng)
        try:
            drawn = np.asarray(returned, dtype=np.float64)
        except (TypeError, ValueError):
            raise piece.wrong(f"an array of shape {layer.shape}", type(returned).__name__) from None
        if drawn.shape != layer.shape:
            raise piece.wrong(f"an array of shape {layer.shape}", f"shape {drawn.shape}")
        return drawn

    return draw


def own_number(piece: PieceCall) -> Callable[[Tensor, Tensor], float | None]:
    """Return a plugin's metric of one run, which gets tensors of its own: its number, None where that is not finite."""

    def number(outputs: Tensor, targets: Tensor) -> float | None:
        try:
            returned = piece(_own(outputs), _own(targets))
        except NotFiniteError:
            return None
        try:
            value = float(returned)
        except (TypeError, ValueError, RuntimeError):  # a tensor of several numbers raises the last
            shape = f" of shape {tuple(returned.shape)}" if isinstance(returned, Tensor) else ""
            raise piece.wrong("one number", f"{type(returned).__name__}{shape}") from None
        return value if math.isfinite(value) else None

    return number


def own_factors(piece: PieceCall) -> Callable[[NDArray[np.float64], int, tuple[float, ...]], NDArray[np.float64]]:
    """Return the factors of all steps t of T by a plugin's schedule, which is asked for each share t / T."""

    def factors(t: NDArray[np.float64], total: int, parameters: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array([_factor(piece, step / total) for step in t.tolist()], dtype=np.float64)

    return factors


def _factor(piece: PieceCall, share: float) -> float:
    returned = piece(share)
    try:
        factor = float(returned)
    except (TypeError, ValueError):
        raise piece.wrong("a number of at least 0", f"{type(returned).__name__} at {share:g}") from None
    if not 0 <= factor < float("inf"):
        raise piece.wrong("a number of at least 0", f"{factor:g} at {share:g}")
    return factor
