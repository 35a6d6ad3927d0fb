"""Calls of the functions of plugins: whatever one raises becomes an error that names the piece and its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.components.own_pieces import PieceError, plain
from mlpbench.experiment.plugins.piece_source import Piece


class NotFiniteError(PieceError):
    """A piece raised on numbers that are not finite: their run has diverged, which is no failure."""


@dataclass(frozen=True, kw_only=True)
class PieceCall:
    """A piece that is loaded: its kind, its canonical name, its function and, where it gives one, its derivative."""

    kind: str
    name: str
    function: Callable[..., Any]
    own_derivative: Callable[..., Any] | None = None

    @classmethod
    def of(cls, piece: Piece, names: Mapping[str, Any]) -> PieceCall:
        """Return the piece as the names of its module have it; raise PieceError where they have no function of its name."""
        function = names.get(piece.called)
        if not callable(function):
            raise PieceError(f"{piece.kind} {piece.called} must be a function, got {type(function).__name__}")
        derivative = getattr(function, "own_derivative", None)
        return cls(kind=piece.kind, name=piece.name, function=function, own_derivative=derivative)

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns; raise PieceError where it raises, but memory that is wanting as it is.

        That is a NotFiniteError where it was given numbers that are not finite.
        """
        return self._call(self.function, arguments)

    def derivative(self, *arguments: Any) -> Any:
        """Return what the function's own derivative returns; raise as a call does."""
        assert self.own_derivative is not None, "others have that of autograd"
        return self._call(self.own_derivative, arguments)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return function(*arguments)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise self.raised(error, arguments) from error

    def raised(self, error: BaseException, arguments: Iterable[Any]) -> PieceError:
        """Return the error of a piece that raised, given what it was called with."""
        numbers = [x for a in arguments for x in (a.values() if isinstance(a, dict) else [a]) if isinstance(x, Tensor)]
        kind = PieceError if all(bool(x.isfinite().all()) for x in numbers) else NotFiniteError
        return kind(f"{self.kind} {plain(self.name)} raised {error_text(error)}")

    def wrong(self, rule: str, got: object) -> PieceError:
        """Return the error of a piece that returns what it must not."""
        return PieceError(f"{self.kind} {plain(self.name)} must return {rule}, got {got}")

    def numbers(self, x: object, shape: torch.Size, rule: str) -> Tensor:
        """Return a tensor that a piece returned; raise PieceError where it is none, or of another shape or kind of numbers."""
        if not isinstance(x, Tensor):
            raise self.wrong(f"{rule}, of shape {tuple(shape)}", f"{type(x).__name__}")
        if x.shape != shape:
            raise self.wrong(f"{rule}, of shape {tuple(shape)}", f"shape {tuple(x.shape)}")
        if not x.is_floating_point():
            raise self.wrong(f"{rule}, real numbers", f"dtype {x.dtype}")
        return x


def error_text(error: BaseException) -> str:
    """Return what an error says, with the last line of a plugin that it passed through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__mlpbench_plugin__")
        if name is not None:
            place = f" ({name}:{trace.tb_lineno})"
        trace = trace.tb_next
    said = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{said}{place}"
