"""Which examples a run sees, and when: splits, batch order and dropout noise, all from addressed streams.

Shapes: `G` distinct batches, `B` batch, `I` inputs, `U` units. Runs with the same streams see the same batches, which are
gathered once for all of them.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.data.dataset import Dataset
from mlpbench.data.splits import fold_of, held_out
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.biased_selection import Floats, selected, standardised_mean
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.buffers import Stacked, column, padded

Indices = NDArray[np.int64]
Values = NDArray[np.uint8] | NDArray[np.float32]
DrawKey = tuple[int, int]
PIXEL_MAX = 255.0


class DeviceData:
    """A data set resident on a device: pixels as bytes, a quarter of the memory that gathering would otherwise read.

    Targets are classes of shape (N,), or numbers of shape (N, C). Where replicates draw their own examples, these stand
    one below another, and `draws` has the place of each; else there is one, which all runs share.
    """

    def __init__(self, data: Dataset, device: torch.device, draws: Mapping[DrawKey, int] | None = None) -> None:
        self._draws = draws
        self.device = device
        self.facts = data.facts
        self.n_classes, self.n_outputs = data.facts.n_classes, data.facts.n_outputs
        self.labels = data.y_train
        self.x_train, self.x_test = _resident(data.x_train, device), _resident(data.x_test, device)
        # Whatever `features` says: what shifts and weights look at.
        self.whole_train, self.whole_test = self.x_train, self.x_test
        self.y_train, self.y_test = self._targets(data.y_train), self._targets(data.y_test)

    def _targets(self, y: Values) -> Tensor:
        resident = _resident(y, self.device)
        return resident[:, None] if self.n_classes is None else resident.long()

    @property
    def n_features(self) -> int:
        """Inputs per example."""
        return self.x_train.shape[1]

    def of(self, runs: Sequence[Run]) -> DeviceData:
        """Return the data as runs of one signature see them: the first inputs, where `features` says so."""
        features = runs[0].settings.features
        if features is None:
            return self
        narrowed = copy.copy(self)
        narrowed.x_train, narrowed.x_test = self.x_train[:, :features], self.x_test[:, :features]
        return narrowed

    def draw_of(self, run: Run) -> int:
        """Return which of the draws a run sees."""
        return 0 if self._draws is None else self._draws[draw_key(run)]

    def labels_of(self, run: Run) -> Values:
        """Return the training targets of a run's own draw."""
        n, draw = len(self.labels) // self.n_draws, self.draw_of(run)
        return self.labels[draw * n : (draw + 1) * n]

    def split(self, run: Run) -> Split:
        """Choose a run's examples, see `split`, as indices into `x_train`."""
        labels = self.labels_of(run)
        z = self.z_train if run.settings.train_shift != "none" else None
        local, start = split(run, labels, z), self.draw_of(run) * len(labels)
        return Split(fit=local.fit + start, validation=local.validation + start)

    def test_index(self, draws: Sequence[int]) -> Tensor:
        """Return the rows of `x_test` of some draws, shape (draws, n)."""
        n = len(self.x_test) // self.n_draws
        return torch.stack([torch.arange(d * n, (d + 1) * n, device=self.device) for d in draws])

    @cached_property
    def z_train(self) -> Floats:
        """The standardised mean input of each training example, by which a covariate shift selects, `features` or not."""
        return standardised_mean(self.whole_train.cpu().numpy())

    @property
    def n_draws(self) -> int:
        """How many draws stand one below another: one where all runs share their examples."""
        return 1 if self._draws is None else len(self._draws)


def draw_key(run: Run) -> DrawKey:
    """Return what a draw of data is addressed by: runs that share it share their examples."""
    return run.seed, run.streams["split"]


def _resident(array: Values, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # The array is a read-only map of a file, which torch cannot express; nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices of the training set: those the gradient sees and those held out for validation."""

    fit: Indices
    validation: Indices


def split(run: Run, labels: Values, z: Floats | None = None) -> Split:
    """Choose a run's examples: a smaller train size is a subset of a larger one, validation is stratified by class.

    Where labels are numbers, validation is drawn from all of them alike. The folds of a replicate share its examples.
    Under a `train_shift` the standardised mean inputs `z` are needed, and ValueError is raised where too few examples are accepted.
    """
    s = run.settings
    chosen: Indices = np.arange(len(labels))
    replicate = run.streams["split"]
    if s.train_shift != "none":
        assert z is not None, "a shift of training examples looks at them"
        chosen = selected(run, z, labels)
    elif s.train_size < len(labels):
        chosen = generator(run.seed, replicate, "split", 0).permutation(len(labels))[: s.train_size]
    if not s.n_validation:
        return Split(fit=chosen, validation=chosen[:0])
    order = generator(run.seed, replicate, "split", 1).permutation(s.train_size)
    if run.fold is not None:
        held = fold_of(labels[chosen], order, s.folds or 1) == run.fold
    else:
        held = held_out(labels[chosen], order, s.n_validation)
    return Split(fit=chosen[~held], validation=chosen[held])


def groups(runs: Sequence[Run], key: Callable[[Run], Hashable]) -> tuple[list[Group], list[Run]]:
    """Return neighbours with one key as groups, and one run for each distinct key, in order of first appearance."""
    first: dict[Hashable, tuple[int, Run]] = {}
    for run in runs:
        first.setdefault(key(run), (len(first), run))
    made = []
    start = 0
    for value, members in itertools.groupby(runs, key):
        stop = start + len(list(members))
        made.append(Group(start=start, stop=stop, batch=first[value][0]))
        start = stop
    return made, [run for _, run in first.values()]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The distinct labellings of the training set, of shape (K, N), and which of them each run learns, (R,).

    Where targets are numbers there is one, of shape (1, N, C).
    """

    y_KN: Tensor
    of_run: Tensor


def noisy_labels(runs: Sequence[Run], data: DeviceData) -> Labels:
    """Replace each run's share of training labels by random classes; a smaller share replaces a part of a larger one.

    A random class may be the right one. Splits are stratified by the labels as they were.
    """
    clean = data.y_train
    distinct: dict[Hashable, tuple[int, Tensor]] = {}
    of_run = []
    for run in runs:
        share = run.settings.label_noise
        address = (run.seed, run.streams["noise"])
        key = (*address, share) if share else None
        if key not in distinct:
            distinct[key] = (len(distinct), _replaced(clean, address, share, data.n_outputs) if share else clean)
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
    groups: Sequence[Group]

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
        return torch.tensor([g.batch for g in self.groups for _ in range(g.start, g.stop)], device=self.index_GN.device)


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
        self._scale = torch.tensor(PIXEL_MAX, dtype=dtype, device=device)

    def __call__(self, examples: Examples, start: int, stop: int) -> tuple[Inputs, Tensor]:
        """Return the inputs of positions start to stop and, per run, their classes (R, B, 1) or numbers (R, B, C)."""
        distinct, n, features = examples.index_GN.shape[0], stop - start, examples.x.shape[1]
        wide = padded(features)
        index = examples.index_GN[:, start:stop].reshape(-1)
        raw = self._raw[: distinct * n]
        torch.index_select(examples.x, 0, index, out=raw)
        x_GBI = self._x.as_strided((distinct, n, features), (n * wide, wide, 1))
        x_GBI.copy_(raw.view(distinct, n, features))
        # In two steps: a division of bytes would put them into numbers elsewhere first.
        if raw.dtype == torch.uint8:
            x_GBI.div_(self._scale)
        if self._factor != 1:
            x_GBI.mul_(self._factor)
        y = examples.labels_at(index.view(distinct, n))
        y_RBC = y.to(x_GBI.dtype) if y.is_floating_point() else y.unsqueeze(2)
        return Inputs(x_GBI=x_GBI, groups=examples.groups), y_RBC


class Batches:
    """The training batches of a stack, step by step."""

    def __init__(
        self, runs: Sequence[Run], fit: Sequence[Indices], labels: Labels, data: DeviceData, *, dtype: torch.dtype
    ) -> None:
        s = runs[0].settings
        self._size, self._per_epoch, self._n = s.batch_size, s.steps_per_epoch, s.n_fit
        self._data = data
        self._labels = labels
        by_id = {run.run_id: indices for run, indices in zip(runs, fit)}
        self.groups, self._first = groups(runs, _batches_of)
        self._fit = [by_id[run.run_id] for run in self._first]
        self._epoch = -1
        self._examples: Examples | None = None
        make: dict[str, Any] = {"dtype": dtype, "device": data.device, "source": data.x_train.dtype}
        self._gather = Gather(len(self._first), s.batch_size, data.n_features, scale=s.input_scale, **make)

    def at(self, step: int) -> tuple[Inputs, Tensor]:
        """Return inputs and classes (R, B, 1) or numbers (R, B, C) of a step, counted from 0."""
        epoch, index = divmod(step, self._per_epoch)
        if self._examples is None or epoch != self._epoch:
            order = [generator(r.seed, r.streams["order"], "order", epoch).permutation(self._n) for r in self._first]
            index_GN = torch.from_numpy(np.stack([fit[o] for fit, o in zip(self._fit, order)])).to(self._data.device)
            self._examples = Examples(
                x=self._data.x_train,
                labels=self._labels.y_KN,
                labelling=self._labels.of_run,
                index_GN=index_GN,
                groups=self.groups,
            )
            self._epoch = epoch
        start = index * self._size
        return self._gather(self._examples, start, min(start + self._size, self._n))

    def indices(self, step: int) -> Tensor:
        """Return which training examples each run sees, of shape (R, B), at the step that `at` was last asked for."""
        start = step % self._per_epoch * self._size
        assert self._examples is not None, "at comes first"
        return self._examples.index_GN[self._examples.of_run, start : min(start + self._size, self._n)]


def _batches_of(r: Run) -> Hashable:
    """Return what runs that see the same batches have in common."""
    return r.seed, r.streams["order"], r.streams["split"], r.fold, r.settings.train_shift


class DropoutNoise:
    """Uniform noise in [0, 1) for dropout: one draw for each distinct stream, whatever the runs' probabilities."""

    def __init__(self, runs: Sequence[Run], *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["dropout"]))
        self._dtype, self._device = dtype, device

    def at(self, step: int, layer: int, batch: int, units: int) -> Inputs:
        """Return noise of shape (G, B, U) for a layer at a step."""
        draws = [
            generator(r.seed, r.streams["dropout"], "dropout", layer, step).random((batch, units), dtype=np.float32)
            for r in self._first
        ]
        noise = torch.from_numpy(np.stack(draws)).to(device=self._device, dtype=self._dtype)
        return Inputs(x_GBI=noise, groups=self._groups)


class InputNoise:
    """Gaussian noise on the inputs of training: one draw for each distinct stream, scaled by each run's deviation."""

    def __init__(self, runs: Sequence[Run], features: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["noise"]))
        deviations = [r.settings.input_noise for r in runs]
        self.acts = any(deviations)
        self._deviation = column(deviations, dtype=dtype, device=device)
        batch = runs[0].settings.batch_size if self.acts else 0
        self._x = Stacked.zeros(len(runs), batch, features, dtype=dtype, device=device)

    def added(self, step: int, inputs: Inputs) -> Inputs:
        """Return the inputs of a step with noise, a batch for each run; as they are where no run has any."""
        if not self.acts:
            return inputs
        _, n, features = inputs.x_GBI.shape
        x_RBI = self._x.rows(n).x_RNM
        draws = [
            generator(r.seed, r.streams["noise"], "noise", 2, step).standard_normal((n, features), dtype=np.float32)
            for r in self._first
        ]
        noise = torch.from_numpy(np.stack(draws)).to(device=x_RBI.device, dtype=x_RBI.dtype)
        for own, clean in inputs.parts():
            x_RBI[own] = clean
        for own, noise_RBI in Inputs(x_GBI=noise, groups=self._groups).parts():
            x_RBI[own] += noise_RBI * self._deviation[own]
        return Inputs(x_GBI=x_RBI)
