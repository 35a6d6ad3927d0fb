"""Conditions and runs of an experiment, in order, each with its identity.

A run's identity is the hash of what its bits depend on: resolved settings, the data's fingerprint, the seed, which
replicate each random stream is drawn for, the fold, and the numerics version of the engine. It depends neither on the
experiment's name nor on roles, claims, the number of replicates, the order of keys or their spelling.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.experiment.catalogue import DataFacts
from mlpbench.experiment.kinds import Value
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import STREAMS, Experiment, Path, SpecProblem

# Raised by one whenever the engine's arithmetic changes the bits of a run: every identity changes with it.
NUMERICS_VERSION = 1
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

    @property
    def descends(self) -> bool:
        """Whether a step is plain descent, which the engine takes within the products of the backward pass."""
        return self.optimizer == "sgd" and self.clip_norm is None

    @property
    def n_validation(self) -> int:
        """Examples set aside for validation."""
        return round(self.train_size * self.validation)

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


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One combination of levels."""

    condition_id: str
    label: str
    levels: Mapping[str, Value]
    settings: RunSettings


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train: a condition in a replicate (and a fold)."""

    run_id: str
    condition: Condition
    replicate: int
    seed: int
    streams: Mapping[str, int]
    fold: int | None = None

    @property
    def settings(self) -> RunSettings:
        """The resolved settings of the run's condition."""
        return self.condition.settings


def conditions(experiment: Experiment) -> list[Condition]:
    """Return the conditions in the order of the file; raise SpecProblem where levels do not fit together or the data."""
    made = []
    seen: dict[str, str] = {}
    fingerprint = experiment.data.fingerprint
    for levels, places in _combinations(experiment):
        settings = {k: v for k, v in levels.items() if k != "label"}
        resolved = resolve(experiment.fixed | settings, experiment, places)
        identity = _hash(_json(_canonical(resolved, fingerprint))).hexdigest()[:12]
        label = _label(levels, experiment)
        if identity in seen:
            place = next(iter(places.values()), ("factors",))
            raise SpecProblem(place, f"conditions must differ, but '{seen[identity]}' and '{label}' are the same run")
        seen[identity] = label
        made.append(Condition(condition_id=identity, label=label, levels=levels, settings=resolved))
    return made


def count_conditions(experiment: Experiment) -> int:
    """Return how many conditions the grid has, by arithmetic alone."""
    zipped = len(next(iter(experiment.zipped.values()), (None,)))
    return math.prod(len(v) for v in experiment.factors.values()) * zipped * max(1, len(experiment.conditions))


def runs(experiment: Experiment, made: Sequence[Condition] | None = None) -> list[Run]:
    """Return every run of the grid, replicates inside conditions; `made` are its conditions, where they are at hand."""
    replicates = range(experiment.replicates)
    given = conditions(experiment) if made is None else made
    return [run for condition in given for run in runs_of(experiment, condition, replicates)]


def make_run(experiment: Experiment, condition: Condition, replicate: int) -> Run:
    """Return the run of a condition in a replicate; streams that do not vary stay at replicate 0."""
    (run,) = runs_of(experiment, condition, [replicate])
    return run


def runs_of(experiment: Experiment, condition: Condition, replicates: Iterable[int]) -> Iterator[Run]:
    """Yield the runs of a condition in some replicates."""
    replicates = list(replicates)
    for replicate, run_id in zip(replicates, run_ids(experiment, condition, replicates), strict=True):
        yield Run(
            run_id=run_id,
            condition=condition,
            replicate=replicate,
            seed=experiment.seed,
            streams=_streams(experiment.vary, replicate),
        )


def all_run_ids(experiment: Experiment, made: Sequence[Condition] | None = None) -> list[str]:
    """Return the identities of all runs of the grid in the order of `runs`, without making the runs."""
    replicates = range(experiment.replicates)
    given = conditions(experiment) if made is None else made
    return [run_id for condition in given for run_id in run_ids(experiment, condition, replicates)]


def run_ids(experiment: Experiment, condition: Condition, replicates: Iterable[int]) -> list[str]:
    """Return the identities of the runs of a condition in some replicates, without making the runs."""
    canonical = _canonical(condition.settings, experiment.data.fingerprint) | {
        "seed": experiment.seed,
        "fold": None,
        "numerics": NUMERICS_VERSION,
    }
    # `streams` is the last key in order: what stands before it is hashed once for all replicates.
    assert max(canonical) < "streams"
    begun = _hash(_json(canonical)[:-1] + ',"streams":')
    found = []
    for replicate in replicates:
        whole = begun.copy()
        whole.update(_rest(experiment.vary, replicate))
        found.append(whole.hexdigest()[:16])
    return found


@functools.lru_cache(maxsize=100_000)
def _streams(vary: tuple[str, ...], replicate: int) -> Mapping[str, int]:
    return {s: replicate if s in vary else 0 for s in STREAMS}


@functools.lru_cache(maxsize=100_000)
def _rest(vary: tuple[str, ...], replicate: int) -> bytes:
    """Return how the canonical form of a run ends: its streams."""
    return (_json(_streams(vary, replicate)) + "}").encode()


def resolve(given: Mapping[str, Value], experiment: Experiment, places: Mapping[str, Path]) -> RunSettings:
    """Fill in defaults and put settings that can be said in two ways into one; raise SpecProblem."""
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
    validation = experiment.validation or 0.0
    n_fit = train_size - round(train_size * validation)
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
    )


def _combinations(experiment: Experiment) -> Iterator[tuple[Levels, Mapping[str, Path]]]:
    """Yield the levels of each condition and the path of each level in the file, first factor slowest."""
    axes: list[list[tuple[Levels, dict[str, Path]]]] = [
        [({name: level}, {name: ("factors", name, i)}) for i, level in enumerate(levels)]
        for name, levels in experiment.factors.items()
    ]
    if experiment.zipped:
        names = list(experiment.zipped)
        rows = zip(*experiment.zipped.values(), strict=True)
        axes.append(
            [
                (dict(zip(names, row, strict=True)), {n: ("factors", "zip", n, i) for n in names})
                for i, row in enumerate(rows)
            ]
        )
    if experiment.conditions:
        axes.append(
            [
                (dict(row), {k: ("factors", "conditions", i, k) for k in row})
                for i, row in enumerate(experiment.conditions)
            ]
        )
    for parts in itertools.product(*axes):
        levels: Levels = {}
        places: dict[str, Path] = {}
        for part, where in parts:
            levels |= part
            places |= where
        yield levels, places


Levels = dict[str, Value]


def _label(levels: Levels, experiment: Experiment) -> str:
    """Return what tells a condition from the others: its factors' levels and, for whole conditions, their label."""
    varied = [f"{k}={format_level(v)}" for k, v in levels.items() if k in (*experiment.factors, *experiment.zipped)]
    own = [str(levels["label"])] if "label" in levels else []
    return ", ".join(own + varied) or "all"


def format_level(value: Value) -> str:
    """Return a level as reports print it: 0.1, relu, (512, 256)."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(format_level(v) for v in value) + ")"
    return str(value)


def _canonical(settings: RunSettings, fingerprint: str) -> dict[str, Any]:
    """Return what the bits depend on; `width`, `depth` and `epochs` only restate `hidden_sizes` and `steps`."""
    fields = {k: v for k, v in vars(settings).items() if k not in ("width", "depth", "epochs")}
    return {"settings": fields, "data": fingerprint}


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _hash(text: str) -> hashlib._Hash:
    return hashlib.sha256(text.encode())
