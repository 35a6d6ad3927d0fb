"""What a stack on a GPU does by kernels of its own: products of dense layers with all that follows them, losses, updates.

A product is one kernel with what is done to its result: biases and ReLU forward; dropout's mask and ReLU's derivative on
the way back; in plain SGD the update. Tiles follow from the shape of a run's own matrices, by a fixed table: never from the
number of runs, and never from a measurement while training, so that bits depend on neither. Which products are faster
this way than by cuBLAS was measured on an H100: see `of` and `goes_back`.

Shapes: `R` runs, `B` batch, `I` inputs and `O` outputs of a layer, `P` columns padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from mlpbench.experiment.components.optimisers import BETA_1, BETA_2, EPS, RMSPROP_ALPHA
from mlpbench.training.buffers import Stacked, padded
from mlpbench.training.gpu import kernels_for

BLOCK = 1024
WIDEST = 2**31
# A product back through more units than this is faster by cuBLAS: in float32 the kernel reads W against its order.
MOST_BACK = 64
# Of a loss: so many numbers are worked on at once.
LOSS_NUMBERS, MOST_CLASSES = 4096, 1024


class Tile(NamedTuple):
    """The part of a product that a program computes, so many terms of its sums at a time, and how it is compiled."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


# The fastest of those tried on an H100, for products of at most so many columns: forward, back and down.
TILES: Mapping[str, Mapping[str, Sequence[tuple[int, Tile]]]] = {
    "ieee": {
        "affine": [(16, Tile(32, 16, 32, 2, 3)), (32, Tile(64, 32, 16, 4, 3)), (WIDEST, Tile(64, 64, 16, 4, 3))],
        "back": [(16, Tile(64, 16, 16, 4, 3)), (32, Tile(64, 32, 16, 4, 3)), (WIDEST, Tile(128, 64, 16, 4, 3))],
        "descend": [(16, Tile(64, 16, 32, 2, 3)), (32, Tile(64, 32, 16, 2, 4)), (WIDEST, Tile(64, 64, 16, 4, 3))],
    },
    "tf32x3": {
        "affine": [(16, Tile(64, 16, 32, 2, 3)), (32, Tile(64, 32, 32, 2, 3)), (WIDEST, Tile(128, 64, 32, 4, 4))],
        "back": [(16, Tile(64, 16, 32, 4, 3)), (32, Tile(64, 32, 32, 4, 3)), (WIDEST, Tile(128, 64, 32, 4, 3))],
        "descend": [(16, Tile(64, 16, 32, 4, 3)), (32, Tile(64, 32, 32, 2, 3)), (WIDEST, Tile(64, 64, 16, 2, 4))],
    },
    "bfloat16": {
        "affine": [(16, Tile(64, 16, 32, 4, 3)), (32, Tile(64, 32, 32, 4, 3)), (WIDEST, Tile(128, 64, 64, 4, 3))],
        "back": [(16, Tile(64, 16, 32, 4, 3)), (32, Tile(64, 32, 32, 4, 3)), (WIDEST, Tile(64, 64, 32, 4, 3))],
        "descend": [(16, Tile(64, 16, 32, 4, 3)), (32, Tile(64, 32, 32, 4, 3)), (WIDEST, Tile(64, 64, 32, 4, 3))],
    },
}

# The optimisers that the kernel of updates knows; others take the plain way.
RULES = frozenset({"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"})


def tile(precision: str, kernel: str, columns: int) -> Tile:
    """Return the tiles of a product with so many columns."""
    return next(t for most, t in TILES[precision][kernel] if columns <= most)


class DenseKernels:
    """The kernels of a stack, and whether the products of its dense layers are among them; buffers that stay in place."""

    def __init__(self, kernels: ModuleType, runs: int, precision: str, device: torch.device, *, products: bool) -> None:
        self._kernels, self._runs = kernels, runs
        self._precision = "ieee" if precision == "float32" else precision
        self.products = products
        self._flags_R = torch.zeros(runs, dtype=torch.int32, device=device)
        self._finite_R = torch.zeros(runs, dtype=torch.bool, device=device)
        self._losses_R = torch.zeros(runs, device=device)

    @classmethod
    def of(
        cls, runs: int, precision: str, dtype: torch.dtype, device: torch.device, *, convolves: bool
    ) -> DenseKernels | None:
        """Return the kernels of a stack in single precision on a GPU that has them; None elsewhere."""
        kernels = kernels_for(device) if dtype == torch.float32 else None
        if kernels is None:
            return None
        # Of tf32, cuBLAS's products are twice as fast. Operands that are rounded for convolutions are so for all products.
        products = precision != "tf32" and not (convolves and precision == "bfloat16")
        return cls(kernels, runs, precision, device, products=products)

    def affine(self, x_RBI: Tensor, weight: Stacked, bias: Stacked, z: Stacked, *, relu: bool) -> None:
        """Write x W + b into z, (R, B, P), with ReLU if it is asked for; the padding of rows of x is finite."""
        rows, columns, depth = z.wide_RNP.shape[1], z.wide_RNP.shape[2], padded(x_RBI.shape[2])
        t, w, b = tile(self._precision, "affine", columns), weight.wide_RNP, bias.wide_RNP
        self._kernels.affine[self._grid(rows, columns, t)](
            x_RBI, w, b, z.wide_RNP, rows, columns, depth, x_RBI.stride(0), x_RBI.stride(1), w.stride(0), w.stride(1),
            b.stride(0), z.wide_RNP.stride(0), z.wide_RNP.stride(1), RELU=relu, **self._options(t, depth),
        )  # fmt: skip

    def goes_back(self, units: int) -> bool:
        """Return whether `back_through` takes products with so many terms."""
        return self.products and (self._precision != "ieee" or units <= MOST_BACK)

    def back_through(
        self, d: Stacked, weight: Stacked, before: Stacked, *, active: Stacked | None, mask: Stacked | None
    ) -> None:
        """Write d W^T into `before`, times a mask and ReLU's derivative at `active`, where they are given."""
        rows, columns, depth = before.wide_RNP.shape[1], before.wide_RNP.shape[2], d.wide_RNP.shape[2]
        t, w, b = tile(self._precision, "back", columns), weight.wide_RNP, before.wide_RNP
        self._kernels.back_through[self._grid(rows, columns, t)](
            d.wide_RNP, w, b, b if active is None else active.wide_RNP, b if mask is None else mask.wide_RNP,
            rows, columns, depth, d.wide_RNP.stride(0), d.wide_RNP.stride(1), w.stride(0), w.stride(1), b.stride(0),
            b.stride(1), RELU=active is not None, MASKED=mask is not None, **self._options(t, depth),
        )  # fmt: skip

    def put_weights(
        self, left_RBI: Tensor, d: Stacked, into: Stacked, *, subtracts: bool, decay_factor_R1: Tensor | None
    ) -> None:
        """Write left^T d into an array, or take it from there, decayed, and note what is not finite then."""
        depth, rows, columns = left_RBI.shape[1], left_RBI.shape[2], into.wide_RNP.shape[2]
        t, w, factor = tile(self._precision, "descend", columns), into.wide_RNP, decay_factor_R1
        self._kernels.descend[self._grid(rows, columns, t)](
            left_RBI, d.wide_RNP, w, self._losses_R if factor is None else factor, self._flags_R, rows, padded(rows),
            columns, depth, left_RBI.stride(0), left_RBI.stride(1), d.wide_RNP.stride(0), d.wide_RNP.stride(1),
            w.stride(0), w.stride(1), SUBTRACT=subtracts, DECAYS=factor is not None, **self._options(t, depth),
        )  # fmt: skip

    def put_biases(self, d: Stacked, into: Stacked, *, subtracts: bool, decay_factor_R1: Tensor | None) -> None:
        """Write the sums of d over the batch into an array, or take them from there, as `put_weights` does."""
        rows, columns = d.wide_RNP.shape[1:]
        wide, factor = 16, decay_factor_R1
        self._kernels.descend_biases[(-(-columns // wide), self._runs)](
            d.wide_RNP, into.wide_RNP, self._losses_R if factor is None else factor, self._flags_R, rows, columns,
            d.wide_RNP.stride(0), d.wide_RNP.stride(1), into.wide_RNP.stride(0), ROWS=128, COLUMNS=wide,
            SUBTRACT=subtracts, DECAYS=factor is not None,
        )  # fmt: skip

    def cross_entropy(self, z: Stacked, y_RB1: Tensor, rate_R1: Tensor, d: Stacked) -> Tensor:
        """Return the sums of the losses, (R,), and write their gradients times rate / B into d; see `fits_loss`."""
        rows, classes = z.x_RNM.shape[1:]
        wide = max(16, 1 << (classes - 1).bit_length())
        self._kernels.cross_entropy[(self._runs,)](
            z.wide_RNP, y_RB1, rate_R1, d.wide_RNP, self._losses_R, rows, classes, z.wide_RNP.stride(0),
            z.wide_RNP.stride(1), d.wide_RNP.stride(0), d.wide_RNP.stride(1), ROWS=LOSS_NUMBERS // wide, COLUMNS=wide,
            num_warps=8,
        )  # fmt: skip
        return self._losses_R

    def dropout_masks(self, u_GN: Tensor, stream_R: Tensor, keep_from: Tensor, scale: Tensor, mask_RNM: Tensor) -> None:
        """Write masks of dropout from the uniforms of each run's stream: its scale where they are at least `keep_from`."""
        _, rows, columns = mask_RNM.shape
        self._kernels.dropout_masks[(-(-rows // 16) * -(-columns // 128), self._runs)](
            u_GN, stream_R, keep_from, scale, mask_RNM, rows, columns, u_GN.stride(0), mask_RNM.stride(0),
            mask_RNM.stride(1), ROWS=16, COLUMNS=128,
        )  # fmt: skip

    def note_not_finite(self, array: Stacked) -> None:
        """Note the runs any of whose numbers is not finite."""
        size = array.flat_RS.shape[1]
        self._kernels.note_not_finite[(-(-size // (4 * BLOCK)), self._runs)](
            array.flat_RS, self._flags_R, size, BLOCK=4 * BLOCK
        )

    def finite(self, loss_R: Tensor) -> Tensor:
        """Return whether each run's loss is finite and all that was looked at since the last call, (R,)."""
        block = 1 << (self._runs - 1).bit_length()
        self._kernels.take_flags[(1,)](self._flags_R, loss_R, self._finite_R, self._runs, BLOCK=block)
        return self._finite_R

    def update(
        self,
        rule: str,
        value: Stacked,
        gradient: Stacked,
        states: list[Tensor],
        rate_R1: Tensor,
        parameter_R1: Tensor,
        decay_R1: Tensor | None,
        number: Tensor,
        corrections: Tensor,
    ) -> None:
        """Take an optimiser's step, the `number`th, and note what is not finite then; see `kernels.update`."""
        size, block = value.flat_RS.shape[1], 2 * BLOCK
        m, v = [*states, *([value.flat_RS] * 2)][:2]
        self._kernels.update[(-(-size // block), self._runs)](
            value.flat_RS, gradient.flat_RS, m, v, rate_R1, parameter_R1, rate_R1 if decay_R1 is None else decay_R1,
            number, corrections, self._flags_R, size, BLOCK=block, RULE=rule, DECAYS=decay_R1 is not None, ALPHA=RMSPROP_ALPHA,
            BETA_1=BETA_1, BETA_2=BETA_2, EPS=EPS, num_warps=8,
        )  # fmt: skip

    def _grid(self, rows: int, columns: int, t: Tile) -> tuple[int, int]:
        return -(-rows // t.rows) * -(-columns // t.columns), self._runs

    def _options(self, t: Tile, depth: int) -> dict[str, object]:
        own = {"ROWS": t.rows, "COLUMNS": t.columns, "DEPTH": t.depth, "EVEN": depth % t.depth == 0}
        return own | {"PRECISION": self._precision, "num_warps": t.warps, "num_stages": t.stages}


def fits_loss(classes: int) -> bool:
    """Return whether the kernel of the cross-entropy takes so many classes."""
    return classes <= MOST_CLASSES
