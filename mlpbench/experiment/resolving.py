"""The settings of a run, every one filled in, and how they follow from what a file gives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlpbench.experiment.catalogue import DataFacts
from mlpbench.experiment.kinds import Value
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import Experiment, Path, SpecProblem

LOSSES_OF_NUMBERS = ("squared_error", "mse")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The resolved settings of a run: every setting filled in, each thing said in one way."""

    hidden_sizes: tuple[int, ...]
    width: int | None
    depth: int
    activation: str
    init: str
    bias_init: str
    dropout: tuple[float, ...]
    input_noise: float
    weight_decay: float
    decay_bias: bool
    l1: float
    optimizer: str
    lr: float
    schedule: str
    batch_size: int
    epochs: int | None
    steps: int
    train_size: int
    validation: float
    loss: str
    label_noise: float
    norm: str
    clip_norm: float | None
    precision: str
    folds: int | None = None
    in_fold: int | None = None

    @property
    def descends(self) -> bool:
        """Whether a step is plain descent, which the engine takes within the products of the backward pass."""
        return self.optimizer == "sgd" and self.clip_norm is None

    @property
    def n_validation(self) -> int:
        """Examples set aside for validation: a share of them, or the run's fold."""
        return round(self.train_size * self.validation) if self.in_fold is None else self.in_fold

    @property
    def n_fit(self) -> int:
        """Examples the gradient sees."""
        return self.train_size - self.n_validation

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps of one pass, the last partial batch counted."""
        return math.ceil(self.n_fit / self.batch_size)

    def layer_shapes(self, data: DataFacts) -> list[tuple[int, int]]:
        """(inputs, outputs) of each affine layer."""
        sizes = [data.n_features, *self.hidden_sizes, data.n_outputs]
        return list(itertools.pairwise(sizes))


def resolve(
    given: Mapping[str, Value], experiment: Experiment, places: Mapping[str, Path], *, in_fold: int | None = None
) -> RunSettings:
    """Fill in defaults and put settings that can be said in two ways into one; raise SpecProblem.

    `in_fold` is how many examples the run leaves to its fold; a run without one is on all of them, folds or not.
    """
    data = experiment.data

    def problem(name: str, message: str) -> SpecProblem:
        return SpecProblem(places.get(name, ("fixed", name)), message)

    value: dict[str, Any] = {name: given.get(name, s.default) for name, s in SETTINGS.items()}
    hidden = tuple(value["hidden_sizes"]) if value["hidden_sizes"] is not None else (value["width"],) * value["depth"]
    dropout = value["dropout"]
    if isinstance(dropout, tuple) and len(dropout) != len(hidden):
        message = f"dropout must have one number per hidden layer, got {len(dropout)} for {len(hidden)}: {dropout}"
        raise problem("dropout", message)
    train_size = data.n_train if value["train_size"] == "all" else value["train_size"]
    if train_size > data.n_train:
        message = f"train_size must be at most {data.n_train}, what {data.name} has, got {train_size}"
        raise problem("train_size", message)
    loss = value["loss"] or ("squared_error" if data.n_classes is None else "cross_entropy")
    if data.n_classes is None and loss not in LOSSES_OF_NUMBERS:
        rule = f"loss must be one of {', '.join(LOSSES_OF_NUMBERS)} where the target is numbers, as in {data.name}"
        raise problem("loss", f"{rule}, got {loss!r}")
    if data.n_classes is None and value["label_noise"] > 0:
        message = f"label_noise must be 0 where the target is numbers, as in {data.name}, got {value['label_noise']}"
        raise problem("label_noise", message)
    validation = experiment.validation or (1 / experiment.folds if experiment.folds and in_fold is not None else 0.0)
    n_fit = train_size - (round(train_size * validation) if in_fold is None else in_fold)
    if n_fit < 1:
        raise SpecProblem(
            ("validation",), f"validation must leave a training example of {train_size}, got {validation}"
        )
    if validation and n_fit == train_size:
        raise SpecProblem(("validation",), f"validation must take an example of {train_size}, got {validation}")
    batch = n_fit if value["batch_size"] == "full" else min(value["batch_size"], n_fit)
    per_epoch = math.ceil(n_fit / batch)
    steps = value["steps"] if value["steps"] is not None else value["epochs"] * per_epoch
    same = len(set(hidden)) == 1
    return RunSettings(
        hidden_sizes=hidden,
        width=hidden[0] if same else None,
        depth=len(hidden),
        activation=value["activation"] if hidden else "identity",
        init=value["init"],
        bias_init=value["bias_init"],
        dropout=dropout if isinstance(dropout, tuple) else (dropout,) * len(hidden),
        input_noise=value["input_noise"],
        weight_decay=value["weight_decay"],
        decay_bias=value["decay_bias"],
        l1=value["l1"],
        optimizer=value["optimizer"],
        lr=value["lr"],
        schedule=value["schedule"],
        batch_size=batch,
        epochs=steps // per_epoch if steps % per_epoch == 0 else None,
        steps=steps,
        train_size=train_size,
        validation=validation,
        loss=loss,
        label_noise=value["label_noise"],
        norm=value["norm"] if hidden else "none",
        clip_norm=value["clip_norm"],
        precision=value["precision"],
        folds=None if in_fold is None else experiment.folds,
        in_fold=in_fold,
    )
