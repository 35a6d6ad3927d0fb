"""What a data set is, whatever its kind: facts that need no data, and examples as arrays; and how examples are split.

A kind of data set is a subclass of `DataSource`; `data_sets` has the table in which each one that has a name is found.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import unknown_key
from mlpbench.base.streams import generator
from mlpbench.data.profile import TableProfile
from mlpbench.data.row_blocks import RowBlocks

Values = NDArray[np.uint8] | NDArray[np.float32]
Say = Callable[[str], None]

KEY = "dataset"
Task = Literal["classes", "number"]
TargetScaling = Literal["standard", "log", "none"]
NUMBER_BYTES = 4
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LinearTruth:
    """The function behind a target that is linear in its inputs: y = bias + sum_k weights_k x_k, but for noise."""

    weights: tuple[float, ...]
    bias: float

    def of_first(self, features: int) -> LinearTruth | None:
        """Return the truth for a model of the first inputs; None where the target depends on another input."""
        if any(self.weights[features:]):
            return None
        return LinearTruth(weights=self.weights[:features], bias=self.bias)


@dataclass(frozen=True, kw_only=True)
class TargetScale:
    """How the target y of a regression becomes what a network is trained on: t = (y - mean) / sd, or (log y - mean) / sd.

    Losses and errors of t become those of y, or of log y, by `sd`: an absolute error once, a squared one twice.
    """

    mean: float
    sd: float
    log: bool = False

    def trained(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return t of targets."""
        return ((np.log(y) if self.log else y) - self.mean) / self.sd

    def own_units(self, t: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return y of outputs; infinite beyond what float64 holds."""
        y = t.astype(np.float64) * self.sd + self.mean
        with np.errstate(over="ignore"):
            return np.exp(y) if self.log else y


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a plan, an engine and a report need to know of a data set.

    Attributes:
        name: what tables and errors call the data: a word, or the name of a file.
        title: what reports call them: a few words.
        n_train, n_test: numbers of examples to train on, a share for validation included, and to test on.
        input_shape: the shape of one example: rows and columns of an image, with channels where there are any, or inputs in a row.
        class_names: a name for each class, in order; none where the target is a number.
        fingerprint: SHA-256, in hex, the identity of the data that a network sees.
        truth: the function behind the target, where it is known.
        target_scale: how a target that is a number is scaled for training; None where it is trained on as it is.
        is_drawn_anew: whether each replicate draws its own examples.
        is_resplit: whether it draws them from the rows of one table, which replicates share: they are not independent.
        notes: what a person should know of how the data were read, a sentence each.
        n_validation: number of examples beside those to train on that the data set gives for validation.
        blocks: which training examples stay together whatever splits them; None where each stands alone.
        profile: what became of each column of a table of the user's own; None of other data, and where it is not known.

    """

    name: str
    title: str
    n_train: int
    n_test: int
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    fingerprint: str
    truth: LinearTruth | None = None
    target_scale: TargetScale | None = None
    is_drawn_anew: bool = False
    is_resplit: bool = False
    notes: tuple[str, ...] = ()
    n_validation: int = 0
    blocks: RowBlocks | None = None
    profile: TableProfile | None = None

    @property
    def n_features(self) -> int:
        """Number of inputs per example; an image is read row by row."""
        return prod(self.input_shape)

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of an example that is an image of one channel, None where it is anything else."""
        return (self.input_shape[0], self.input_shape[1]) if len(self.input_shape) == 2 else None

    @property
    def n_classes(self) -> int | None:
        """Number of classes of the target, None for regression."""
        return len(self.class_names) or None

    @property
    def squared_unit(self) -> float:
        """By what a squared error of outputs is multiplied to be one of the target: 1 unless the target is scaled."""
        return 1.0 if self.target_scale is None else self.target_scale.sd**2

    @property
    def n_outputs(self) -> int:
        """Outputs of a network: one per class, or one for the number."""
        return self.n_classes or 1

    @property
    def draw_bytes(self) -> int:
        """Memory of the examples that one replicate draws of its own, inputs and targets."""
        return NUMBER_BYTES * (self.n_features + 1) * (self.n_train + self.n_test) if self.is_drawn_anew else 0


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The examples of a data set as read-only arrays; bytes are pixels, for which a network's input is x / 255.

    Targets are what a network is trained on: scaled, where `facts.target_scale` says so. Behind the training examples stand
    those that the data set gives for validation. `block_train` has the group of each training example, or its place in time.

    Shape:
        - x_train: uint8 or float32 [n_train + n_validation, n_features], C-contiguous
        - y_train: uint8 [n_train + n_validation], classes from 0, or float32, numbers
        - x_test, y_test: the same, of n_test
        - block_train: int64 [n_train], where `facts.blocks` says that examples stay together
    """

    facts: DataFacts
    x_train: Values
    y_train: Values
    x_test: Values
    y_test: Values
    block_train: Indices | None = None

    def read_only(self) -> Dataset:
        """Return it, with arrays that nobody can write to."""
        for array in (self.x_train, self.y_train, self.x_test, self.y_test, self.block_train):
            if array is not None:
                array.flags.writeable = False
        return self


def say_nothing(line: str) -> None:
    """Discard a message that nobody wants to read."""


class DataSource(ABC):
    """A data set as an experiment names it; each kind of data set is a class of its own."""

    @property
    @abstractmethod
    def facts(self) -> DataFacts:
        """What is known of the data without loading them."""

    @abstractmethod
    def origin(self) -> str:
        """Return where the data come from, in words."""

    def fetch(self, *, data_dir: Path | None = None, cache_dir: Path | None = None, say: Say = say_nothing) -> str:
        """Make sure that the data can be loaded, and return where they come from.

        Args:
            data_dir: a folder of files to read in place of a download, by default MLPBENCH_DATA.
            cache_dir: where downloaded data are kept, by default MLPBENCH_CACHE.
            say: gets a line before each step that may take time.

        Raises InputError where a file is missing or is not what it must be, MachineError where a download fails.

        """
        if not self.facts.is_drawn_anew:
            self.load(data_dir=data_dir, cache_dir=cache_dir)
        return self.origin()

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the examples that all replicates share; raises what `fetch` raises, TypeError where there are none."""
        raise TypeError(f"each replicate draws its own examples of {self.facts.name}: they are drawn, not loaded")

    def draw(self, seed: int, replicate: int) -> Dataset:
        """Return the examples that a replicate draws, where `facts.is_drawn_anew`; else raise TypeError."""
        raise TypeError(f"all replicates share the examples of {self.facts.name}: they are loaded, not drawn")

    def loaded(self, *, data_dir: Path | None = None) -> DataSource:
        """Return the data set as it is sent to a machine that lacks its files: with its examples; raises what `load` raises."""
        return self if self.facts.is_drawn_anew else LoadedData(self.load(data_dir=data_dir))

    @property
    def is_in_package(self) -> bool:
        """Whether the examples are had wherever mlpbench is: they come with it, or are made by it."""
        return False

    @property
    def has_one_input(self) -> bool:
        """Whether the target depends on one number x, the first input: others are made of it."""
        return self.facts.n_features == 1

    def is_cached(self, cache_dir: Path | None = None) -> bool:
        """Return whether the data can be loaded without a download."""
        return True

    def availability(self) -> str:
        """Return where the data are or come from, as `mlpbench data list` prints it."""
        return f"here, {self.origin()}"

    def with_options(self, options: Mapping[Any, Any]) -> DataSource:
        """Return the data set with the options that stand beside `name` in a file; raise SpecProblem for wrong ones."""
        for key in options:
            raise unknown_key((KEY, key), ["name"])
        return self

    def as_written(self, folder: Path | None) -> str | dict[str, Any]:
        """Return what a file in `folder` says under `dataset`."""
        return self.facts.name


@dataclass(frozen=True)
class LoadedData(DataSource):
    """A data set whose examples are in memory, wherever they came from."""

    examples: Dataset

    @property
    def facts(self) -> DataFacts:
        """The facts."""
        return self.examples.facts

    def origin(self) -> str:
        """Return that they are in memory."""
        return "in memory"

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the examples."""
        return self.examples


@dataclass(frozen=True, kw_only=True)
class KnownClasses(DataSource):
    """A data set of classes whose facts are written in the package."""

    name: str
    title: str
    n_train: int = 60_000
    n_test: int = 10_000
    input_shape: tuple[int, ...] = (28, 28)
    class_names: tuple[str, ...]

    @abstractmethod
    def identity(self) -> str:
        """Return a text that changes whenever an array does: the fingerprint is its hash."""

    @cached_property
    def facts(self) -> DataFacts:
        """The facts."""
        return DataFacts(
            name=self.name,
            title=self.title,
            n_train=self.n_train,
            n_test=self.n_test,
            input_shape=self.input_shape,
            class_names=self.class_names,
            fingerprint=hashlib.sha256(self.identity().encode()).hexdigest(),
        )


def chosen_examples(seed: int, replicate: int, n: int, size: int) -> Indices:
    """Return which of n examples are chosen to train on, `size` of them by chance; a smaller choice is part of a larger one."""
    if size >= n:
        return np.arange(n)
    return generator(seed, replicate, "split", 0).permutation(n)[:size]


def held_out(targets: NDArray[np.generic], order: Indices, total: int) -> NDArray[np.bool_]:
    """Return which examples are held out, `total` of them, the first ones in `order`.

    Args:
        targets: numbers of a floating type, which are drawn from alike, or classes, each of which has its share of `total`.
        order: a random permutation of the examples.
        total: the number of examples to hold out.

    """
    mask = np.zeros(len(targets), bool)
    if targets.dtype.kind == "f":
        mask[order[:total]] = True
        return mask
    classes, counts = np.unique(targets, return_counts=True)
    for label, count in zip(classes, _apportioned(counts, total)):
        mask[order[targets[order] == label][:count]] = True
    return mask


def _apportioned(counts: Indices, total: int) -> Indices:
    """Share `total` among classes in proportion to their counts, by largest remainder (Hamilton's method)."""
    exact = counts * total / counts.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: total - shares.sum()]] += 1
    return shares


def fold_of(targets: NDArray[np.generic], order: Indices, folds: int) -> Indices:
    """Return the fold of each example: dealt out in `order`, class by class where targets are classes.

    Folds have equally many examples, and equally many of each class, but for one; the first folds have the one more.
    """
    dealt = order if targets.dtype.kind == "f" else order[np.argsort(targets[order], kind="stable")]
    fold = np.empty(len(targets), np.int64)
    fold[dealt] = np.arange(len(targets)) % folds
    return fold
