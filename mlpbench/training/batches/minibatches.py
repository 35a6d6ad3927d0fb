"""The batches of a stack, in the order of each run's stream, with the labels each run learns, some of them noisy.

Shapes: `R` runs, `G` distinct batches, `B` batch, `I` inputs, `N` examples, `K` labellings. Runs with the same streams see the
same batches, which are gathered once for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import PIXEL_MAX, DeviceData, Indices
from mlpbench.training.batches.stacked_inputs import Group, Inputs, batches_of
from mlpbench.training.buffers import padded
from mlpbench.training.gpu import kernels_for


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The distinct labellings of the training set, of shape (K, N), and which of them each run learns, (R,).

    Where targets are numbers there is one, of shape (1, N, C).
    """

    y_KN: Tensor
    of_run: Tensor


def noisy_labels(runs: Sequence[Run], data: DeviceData) -> Labels:
    """Replace each run's share of training labels by random classes; a smaller share replaces a part of a larger one.

    A random class may be the right one. Where replicates draw their own examples, those of the run's draw are replaced alone. Splits are stratified by the labels as they were.
    """
    clean = data.y_train
    distinct: dict[Hashable, tuple[int, Tensor]] = {}
    of_run = []
    for run in runs:
        share = run.settings.label_noise
        address = (run.seed, run.streams["noise"])
        key = (*address, share, data.draw_of(run)) if share else None
        if key not in distinct:
            noisy = clean
            if share:
                own = data.rows_of(run)
                noisy = clean.clone()
                noisy[own] = _replaced(clean[own], address, share, data.n_outputs)
            distinct[key] = (len(distinct), noisy)
        of_run.append(distinct[key][0])
    y_KN = torch.stack([y for _, y in distinct.values()])
    return Labels(y_KN=y_KN, of_run=torch.tensor(of_run, device=data.device))


def _replaced(clean: Tensor, address: tuple[int, int], share: float, classes: int) -> Tensor:
    chosen = generator(*address, "noise", 0).random(len(clean)) < share
    drawn = generator(*address, "noise", 1).integers(classes, size=len(clean))
    at = clean.device
    return torch.where(torch.from_numpy(chosen).to(at), torch.from_numpy(drawn).to(at), clean)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Lists of examples, one for each distinct one among the runs: indices of shape (G, n) into the rows of x and y.

    `labels` has one row for each distinct labelling; `labelling`, of shape (R,), says which one a run learns.
    """

    x: Tensor
    labels: Tensor
    labelling: Tensor
    index_GN: Tensor
    groups: Sequence[Group] | None

    def __len__(self) -> int:
        return self.index_GN.shape[1]

    def first(self, n: int) -> Examples:
        """Return the first n examples of each list, or all where there are fewer."""
        return replace(self, index_GN=self.index_GN[:, :n])

    def labels_at(self, index_GB: Tensor) -> Tensor:
        """Return what each run learns of examples of its list: classes (R, B) or numbers (R, B, C)."""
        labellings, n = self.labels.shape[:2]
        index_RB = index_GB.index_select(0, self.of_run)
        if labellings > 1:
            index_RB += n * self.labelling[:, None]
        # As one list, whose rows are picked faster than by two indices.
        chosen = self.labels.flatten(0, 1).index_select(0, index_RB.view(-1))
        return chosen.view(*index_RB.shape, *self.labels.shape[2:])

    @cached_property
    def of_run(self) -> Tensor:
        """Which distinct list each run reads, shape (R,)."""
        if self.groups is None:
            return torch.arange(len(self.index_GN), device=self.index_GN.device)
        return torch.tensor([g.batch for g in self.groups for _ in range(g.start, g.stop)], device=self.index_GN.device)


# Of a row, whose numbers a kernel reads and writes at once.
MOST_IN_A_KERNEL = 8192


class Gather:
    """Buffers for gathering batches of up to `batch` examples of dtype `source`.

    Bytes are scaled to [0, 1]; whatever they were, `scale` is a factor on them then.
    """

    def __init__(
        self,
        distinct: int,
        batch: int,
        features: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        source: torch.dtype = torch.uint8,
        scale: float = 1.0,
    ) -> None:
        self._factor = scale
        self._raw = torch.empty(distinct * batch, features, dtype=source, device=device)
        self._x = torch.zeros(distinct * batch * padded(features), dtype=dtype, device=device)
        fits = source == torch.uint8 and dtype == torch.float32 and features <= MOST_IN_A_KERNEL
        self._kernels = kernels_for(device) if fits else None
        classes = distinct * batch if self._kernels is not None else 0
        self._y = torch.zeros(classes, dtype=torch.int64, device=device)
        self._scale = torch.tensor(PIXEL_MAX, dtype=dtype, device=device)

    def __call__(self, examples: Examples, start: int, stop: int) -> tuple[Inputs, Tensor]:
        """Return the inputs of positions start to stop and, per run, their classes (R, B, 1) or numbers (R, B, C)."""
        distinct, n, features = examples.index_GN.shape[0], stop - start, examples.x.shape[1]
        wide = padded(features)
        index = examples.index_GN[:, start:stop].reshape(-1)
        x_GBI = self._x.as_strided((distinct, n, features), (n * wide, wide, 1))
        labelled, y_RB = False, self._y
        if self._kernels is not None and examples.x.is_contiguous():
            block = 1 << (features - 1).bit_length()
            labelled = examples.groups is None and examples.labels.ndim == 2
            y_RB = self._y[: distinct * n].view(distinct, n)
            self._kernels.gather_scaled[(len(index),)](
                examples.x, index, x_GBI, features, wide, examples.labels, examples.labelling, y_RB,
                examples.labels.shape[1], n, SCALE=PIXEL_MAX, BLOCK=block, LABELLED=labelled, num_warps=1,
            )  # fmt: skip
        else:
            raw = self._raw[: distinct * n]
            torch.index_select(examples.x, 0, index, out=raw)
            x_GBI.copy_(raw.view(distinct, n, features))
            # In two steps: a division of bytes would put them into numbers elsewhere first.
            if raw.dtype == torch.uint8:
                x_GBI.div_(self._scale)
        if self._factor != 1:
            x_GBI.mul_(self._factor)
        if labelled:
            return Inputs(x_GBI=x_GBI), y_RB.unsqueeze(2)
        y = examples.labels_at(index.view(distinct, n))
        y_RBC = y.to(x_GBI.dtype) if y.is_floating_point() else y.unsqueeze(2)
        return Inputs(x_GBI=x_GBI, groups=examples.groups), y_RBC


class Batches:
    """The training batches of a stack, step by step: `advance` chooses a step's, `batch` gathers them.

    What `batch` does is the same for every step of as many examples, in buffers that stay where they are, so that it can be
    recorded once and replayed (see training/gpu.py).
    """

    def __init__(
        self, runs: Sequence[Run], fit: Sequence[Indices], labels: Labels, data: DeviceData, *, dtype: torch.dtype
    ) -> None:
        s = runs[0].settings
        self._size, self._per_epoch, self._n = s.batch_size, s.steps_per_epoch, s.n_fit
        by_id = {run.run_id: indices for run, indices in zip(runs, fit)}
        self.groups, self._first = batches_of(runs, _batches_of, data.device)
        self._fit = [by_id[run.run_id] for run in self._first]
        self._epoch = -1
        self._epoch_GN = torch.empty(0)
        self._coming: tuple[int, NDArray[np.int64]] | None = None
        index_GB = torch.zeros(len(self._first), min(self._size, self._n), dtype=torch.int64, device=data.device)
        self._examples = Examples(
            x=data.x_train,
            labels=labels.y_KN,
            labelling=labels.of_run,
            index_GN=index_GB,
            groups=self.groups,
        )
        make: dict[str, Any] = {"dtype": dtype, "device": data.device, "source": data.x_train.dtype}
        self._gather = Gather(len(self._first), s.batch_size, data.n_features, scale=s.input_scale, **make)

    def advance(self, step: int) -> int:
        """Choose the examples of a step, counted from 0, and return how many they are."""
        epoch, index = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self.look_ahead(epoch)
            assert self._coming is not None
            self._epoch_GN = torch.from_numpy(self._coming[1]).to(self._examples.index_GN.device)
            self._epoch, self._coming = epoch, None
        start = index * self._size
        n = min(self._size, self._n - start)
        self._examples.index_GN[:, :n] = self._epoch_GN[:, start : start + n]
        return n

    def look_ahead(self, epoch: int) -> None:
        """Draw the order of an epoch, if that was not done, so that a GPU need not wait for it later."""
        if self._coming is None or self._coming[0] != epoch:
            self._coming = epoch, self._ordered(epoch)

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        """Return the examples of an epoch in the order of each distinct stream, of shape (G, N)."""
        orders: dict[Hashable, NDArray[np.int64]] = {}
        for run in self._first:
            address = (run.seed, run.streams["order"])
            if address not in orders:
                orders[address] = generator(*address, "order", epoch).permutation(self._n)
        return np.stack([fit[orders[r.seed, r.streams["order"]]] for fit, r in zip(self._fit, self._first)])

    def at(self, step: int) -> tuple[Inputs, Tensor]:
        """Return what `batch` does of a step, counted from 0."""
        return self.batch(self.advance(step))

    def batch(self, n: int) -> tuple[Inputs, Tensor]:
        """Return inputs and classes (R, B, 1) or numbers (R, B, C) of the step that was chosen, which has n examples."""
        return self._gather(self._examples, 0, n)

    def indices(self, n: int) -> Tensor:
        """Return which training examples each run sees, of shape (R, B), at the step that was chosen, which has n."""
        return self._examples.index_GN[self._examples.of_run, :n]


def _batches_of(r: Run) -> Hashable:
    """Return what runs that see the same batches have in common."""
    return r.seed, r.streams["order"], r.streams["split"], r.fold, r.settings.train_shift
