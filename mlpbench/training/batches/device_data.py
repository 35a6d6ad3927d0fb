"""The data of a stack on its device, and which of the examples each run trains and validates on.

Where replicates draw their own data, the draws of a stack's runs stand one below another. A draw is a function of seed and
replicate alone, and gathering copies: what else is drawn changes no run's bits.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.data.dataset import DataFacts, Dataset, DataSource, chosen_examples, fold_of, held_out
from mlpbench.data.row_blocks import RowBlocks
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.biased_selection import Floats, selected, standardised_mean

Indices = NDArray[np.int64]
Values = NDArray[np.uint8] | NDArray[np.float32]
DrawKey = tuple[int, int]
Part = Literal["x_train", "y_train", "x_test", "y_test"]
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
        self.labels, self._blocks = data.y_train, data.block_train
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

    def rows_of(self, run: Run) -> slice:
        """Return the training examples of a run's own draw, as rows of `x_train`."""
        n, draw = len(self.labels) // self.n_draws, self.draw_of(run)
        return slice(draw * n, (draw + 1) * n)

    def labels_of(self, run: Run) -> Values:
        """Return the training targets of a run's own draw."""
        return self.labels[self.rows_of(run)]

    def split(self, run: Run) -> Split:
        """Choose a run's examples, see `split`, as indices into `x_train`."""
        labels = self.labels_of(run)
        z = self.z_train if run.settings.train_shift != "none" else None
        local, start = split(run, labels, z, self.facts, self._blocks), self.draw_of(run) * len(labels)
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
    """Indices of the training set: those that are fitted and those for validation."""

    fit: Indices
    validation: Indices


def split(
    run: Run,
    labels: Values,
    z: Floats | None = None,
    facts: DataFacts | None = None,
    block_N: Indices | None = None,
) -> Split:
    """Choose a run's examples: a smaller train size is a subset of a larger one, validation is stratified by class.

    Where labels are numbers, validation is drawn from all of them alike. The folds of a replicate share its examples.
    Examples of one group stay together; of rows in time the latest are chosen and validated on, see `RowBlocks`.

    Args:
        run: the run.
        labels: the training targets, behind them those that the data set gives for validation.
        z: standardised mean inputs, needed under a `train_shift`.
        facts: whether the data set gives examples for validation, and which examples stay together.
        block_N: the group of each training example, or its place in time, where they do.

    Raises ValueError where a shift accepts too few examples.

    """
    s = run.settings
    given = 0 if facts is None else facts.n_validation
    if facts is not None and facts.blocks is not None:
        assert block_N is not None, "whoever knows that examples stay together knows which"
        return _split_blocks(run, facts.blocks, block_N)
    chosen: Indices = np.arange(len(labels) - given)
    replicate = run.streams["split"]
    if s.train_shift != "none":
        assert z is not None, "a shift of training examples looks at them"
        chosen = selected(run, z, labels)
    else:
        chosen = chosen_examples(run.seed, replicate, len(chosen), s.train_size)
    if given:
        return Split(fit=chosen, validation=np.arange(len(labels) - given, len(labels)))
    if not s.n_validation:
        return Split(fit=chosen, validation=chosen[:0])
    order = generator(run.seed, replicate, "split", 1).permutation(s.train_size)
    if run.fold is not None:
        in_validation = fold_of(labels[chosen], order, s.folds or 1) == run.fold
    else:
        in_validation = held_out(labels[chosen], order, s.n_validation)
    return Split(fit=chosen[~in_validation], validation=chosen[in_validation])


def _split_blocks(run: Run, blocks: RowBlocks, block_N: Indices) -> Split:
    """Choose a run's examples where groups stay together, or later examples are validated on."""
    s = run.settings
    if blocks.in_time:
        latest = np.argsort(block_N)[len(block_N) - s.train_size :]
        # What a fold is validated on follows what it is fitted to; what is later still is left to the next folds.
        return Split(fit=latest[: s.n_fit], validation=latest[s.n_fit : s.n_fit + s.n_validation])
    rows = np.arange(len(block_N))
    if not s.n_validation:
        return Split(fit=rows, validation=rows[:0])
    order = generator(run.seed, run.streams["split"], "split", 1).permutation(blocks.n_blocks)
    if run.fold is not None:
        in_validation = blocks.fold_of(block_N, s.folds or 1, order) == run.fold
    else:
        in_validation = blocks.in_share(block_N, s.validation, order)
    return Split(fit=rows[~in_validation], validation=rows[in_validation])


class DrawnData:
    """What draws the data of a stack, and the device they go to."""

    def __init__(self, source: DataSource, device: torch.device) -> None:
        self._source, self.device = source, device
        self.facts = source.facts

    def of(self, runs: Sequence[Run]) -> DeviceData:
        """Return the draws of these runs, each once, as data on the device."""
        keys = list(dict.fromkeys(map(draw_key, runs)))
        drawn = [self._source.draw(*key) for key in keys]

        def below(part: Part) -> Values:
            values: Values = np.concatenate([getattr(d, part) for d in drawn])
            return values

        whole = Dataset(
            facts=self.facts,
            x_train=below("x_train"),
            y_train=below("y_train"),
            x_test=below("x_test"),
            y_test=below("y_test"),
        )
        return DeviceData(whole, self.device, {key: i for i, key in enumerate(keys)}).of(runs)


def on_device(source: DataSource, device: torch.device, *, data_dir: Path | None = None) -> DeviceData | DrawnData:
    """Return data for `train_stack`: loaded and resident, or drawn stack by stack."""
    if source.facts.is_drawn_anew:
        return DrawnData(source, device)
    return DeviceData(source.load(data_dir=data_dir), device)
