"""Stacked tensors laid out so that a run's bits never depend on its stack-mates.

Shapes: `R` runs, `N` rows, `M` columns, `P` columns rounded up to whole vectors, `S` elements from one run to the next.

Matrix products: measured on AVX-512 machines, MKL's batched product gives a slice the same bits in any company only if
every row of every operand starts at a multiple of 64 bytes; with odd row lengths the bits follow the slice's alignment.
So rows are `P` long. The padding columns of weights and gradients are zero; multiplying them too is not only harmless but
about three times as fast as a product with 8 or 10 columns.

Elementwise kernels: they treat the tail of a whole buffer differently from its body, and round differently there
(sigmoid, silu, gelu, ...). So each run is followed by spare elements, and whole buffers are processed: no element that
matters is ever in a tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

VECTOR = 16
SPARE = 64


def padded(n: int) -> int:
    """Return n rounded up to a multiple of `VECTOR`."""
    return -(-n // VECTOR) * VECTOR


def elements(rows: int, columns: int) -> int:
    """Return how many elements lie from one run's matrix to the next: padded rows, then spare elements."""
    return -(-rows * padded(columns) // SPARE) * SPARE + SPARE


@dataclass(frozen=True)
class Stacked:
    """A matrix per run.

    `flat_RS` is the whole memory, for elementwise work; `wide_RNP` the rows with their padding columns; `x_RNM` the
    numbers themselves. All three are views of one buffer.
    """

    flat_RS: Tensor
    wide_RNP: Tensor
    x_RNM: Tensor

    @classmethod
    def zeros(cls, runs: int, rows: int, columns: int, *, dtype: torch.dtype, device: torch.device) -> Stacked:
        """Return zeros of shape (runs, rows, columns) in the padded layout."""
        wide, stride = padded(columns), elements(rows, columns)
        flat = torch.zeros(runs, stride, dtype=dtype, device=device)
        view = flat.as_strided((runs, rows, wide), (stride, wide, 1))
        return cls(flat, view, view[:, :, :columns])

    def zeros_like(self) -> Stacked:
        """Return zeros of the same shape and layout."""
        runs, rows, columns = self.x_RNM.shape
        return self.zeros(runs, rows, columns, dtype=self.flat_RS.dtype, device=self.flat_RS.device)

    def rows(self, n: int) -> Stacked:
        """Return the view of the first n rows of every run; `flat_RS` stays whole."""
        return self if n == self.x_RNM.shape[1] else Stacked(self.flat_RS, self.wide_RNP[:, :n], self.x_RNM[:, :n])

    def columns(self, n: int) -> Stacked:
        """Return the view of the first n columns; `flat_RS` and `wide_RNP` stay whole."""
        return self if n == self.x_RNM.shape[2] else Stacked(self.flat_RS, self.wide_RNP, self.x_RNM[:, :, :n])


class Room:
    """Memory for an array that a step computes and needs no more, one for all of them: kept until `let_go`.

    Megabytes that are allocated anew come from the system page by page, which takes longer than the arithmetic.
    """

    def __init__(self) -> None:
        self._flat = torch.empty(0)

    def like(self, x: Tensor) -> Tensor | None:
        """Return room in the shape of an array, which the next call gives again; None on a GPU, where torch keeps memory."""
        if x.device.type == "cuda":
            return None
        if self._flat.dtype != x.dtype or self._flat.numel() < x.numel():
            self._flat = torch.empty(x.numel(), dtype=x.dtype, device=x.device)
        return self._flat[: x.numel()].view(x.shape)

    def let_go(self) -> None:
        """Give the memory back."""
        self._flat = torch.empty(0)


def column(values: Sequence[float], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return one number per run as a tensor of shape (R, 1, 1)."""
    return torch.tensor(values, dtype=dtype, device=device)[:, None, None]
