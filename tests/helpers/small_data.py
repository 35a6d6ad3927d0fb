"""Small data sets of any shape, made by arithmetic, and runs on them by way of the real spec and grid."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.dataset import DataFacts, Dataset, DataSource
from mlpbench.data.named.named_data import NamedData
from mlpbench.data.table.table_data import TableData
from mlpbench.data.table.table_options import TableFacts, TableOptions
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import DeviceData

NAME = "made"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A data set with its facts, in memory and on the device."""

    source: DataSource
    dataset: Dataset
    data: DeviceData

    @property
    def facts(self) -> DataFacts:
        return self.source.facts


@functools.lru_cache(maxsize=32)
def made(*, n_train: int, n_test: int, features: int, classes: int) -> Made:
    """Return bytes around one prototype per class, so that there is something to learn; classes are not balanced."""
    source = NamedData(
        name=NAME,
        title="Made",
        family="Made",
        n_train=n_train,
        n_test=n_test,
        input_shape=(features,),
        class_names=tuple(map(str, range(classes))),
        home="https://example.org",
        megabytes=1,
        files={"made": f"{n_train},{n_test},{features},{classes}"},
    )
    rng = np.random.default_rng([n_train, n_test, features, classes])
    prototypes = rng.uniform(0, 255, (classes, features))
    weights = np.arange(1, classes + 1) / sum(range(1, classes + 1))
    parts: dict[str, Any] = {}
    for part, n in (("train", n_train), ("test", n_test)):
        y = rng.choice(classes, n, p=weights).astype(np.uint8)
        noisy = prototypes[y] + rng.normal(0, 60, (n, features))
        parts |= {f"x_{part}": noisy.clip(0, 255).astype(np.uint8), f"y_{part}": y}
    return made_of(source, **parts)


@functools.lru_cache(maxsize=32)
def made_images(*, n_train: int, n_test: int, image: tuple[int, int], classes: int) -> Made:
    """Return the data of `made` as images of so many rows and columns."""
    flat = made(n_train=n_train, n_test=n_test, features=image[0] * image[1], classes=classes)
    assert isinstance(flat.source, NamedData)
    arrays = {part: getattr(flat.dataset, part) for part in flat.source.parts}
    return made_of(replace(flat.source, input_shape=image), **arrays)


@functools.lru_cache(maxsize=32)
def made_numbers(*, n_train: int, n_test: int, features: int) -> Made:
    """Return float32 inputs and a number to predict, a line and a bend, as a table whose file is long gone."""
    rng = np.random.default_rng([n_train, n_test, features])
    slopes = rng.normal(0, features**-0.5, features)
    parts: dict[str, Any] = {}
    for part, n in (("train", n_train), ("test", n_test)):
        x = rng.normal(0, 1, (n, features))
        y = x @ slopes + np.sin(2 * x[:, 0]) + rng.normal(0, 0.1, n)
        parts |= {f"x_{part}": x.astype(np.float32), f"y_{part}": y.astype(np.float32)}
    digest = hashlib.sha256(f"{n_train},{n_test},{features}".encode()).hexdigest()
    known = TableFacts(fingerprint=digest, n_train=n_train, n_test=n_test, n_features=features)
    return made_of(TableData(options=TableOptions(file="/gone/made.csv", target="y"), file_facts=known), **parts)


def made_of(source: DataSource, **parts: Any) -> Made:
    dataset = Dataset(facts=source.facts, **parts)
    return Made(source=source, dataset=dataset, data=DeviceData(dataset, torch.device("cpu")))


@contextmanager
def named(source: DataSource) -> Iterator[None]:
    """Let specs name the data set; names resolve through a literal table, so this is the only way in."""
    DATA_SETS[NAME] = source
    try:
        yield
    finally:
        del DATA_SETS[NAME]


def runs(of: Made, fixed: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]] = (), **keys: Any) -> list[Run]:
    """Return the runs of an experiment on made data, replicates inside conditions; a condition may override `fixed`."""
    varied = {k for c in conditions for k in c}
    base = {k: v for k, v in fixed.items() if k in varied}
    listed = [{"label": str(i), **base, **c} for i, c in enumerate(conditions)]
    tree = {"name": "x", "question": "?", "dataset": NAME, "replicates": 1} | keys
    tree |= {"fixed": {k: v for k, v in fixed.items() if k not in varied}}
    tree |= {"factors": {"conditions": listed}} if listed else {}
    with named(of.source):
        return grid.runs(build(tree))
