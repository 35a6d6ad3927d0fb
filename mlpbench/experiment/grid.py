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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.base.models import DATASET, STREAM, STREAMS, Path, SpecProblem, Value, shown
from mlpbench.data.dataset import DataFacts
from mlpbench.data.row_blocks import FoldPart
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.run_settings import LATER, SIZES
from mlpbench.experiment.run_settings import RunSettings as RunSettings
from mlpbench.experiment.run_settings import resolve as resolve
from mlpbench.experiment.settings import SETTINGS

# Raised by one whenever the engine's arithmetic changes the bits of a run: every identity changes with it.
NUMERICS_VERSION = 1
# The identities of a condition are kept while a command goes on, where it has no more runs than this.
MOST_KEPT = 10_000


Levels = dict[str, Value]
# The levels of a factor, or of several that go together, each with its path in the file.
Axis = list[tuple[Levels, dict[str, Path]]]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One combination of levels, those of nuisance settings included, and the facts of its data set.

    `in_folds` has the settings of its run on each fold: batches and steps follow from how many examples are left.
    """

    condition_id: str
    label: str
    levels: Mapping[str, Value]
    data: DataFacts
    settings: RunSettings
    in_folds: tuple[RunSettings, ...] = ()

    def settings_of(self, fold: int | None) -> RunSettings:
        """Return the settings of the run on a fold, or of the one on all examples."""
        return self.settings if fold is None else self.in_folds[fold]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train: a condition in a replicate (and a fold).

    `refit_epochs` is how many epochs a refit of runs that stop early takes: it follows from its runs on folds, and so from what
    its identity has. It is None for all others, and where it is not known yet.
    """

    run_id: str
    condition: Condition
    replicate: int
    seed: int
    streams: Mapping[str, int]
    fold: int | None = None
    refit_epochs: int | None = None

    @property
    def label(self) -> str:
        """Label of the condition, with the fold."""
        return self.condition.label + ("" if self.fold is None else f", fold {self.fold}")

    @property
    def data(self) -> DataFacts:
        """The facts of the data set that the run learns."""
        return self.condition.data

    @property
    def settings(self) -> RunSettings:
        """The resolved settings of the run."""
        return self.condition.settings_of(self.fold)


def conditions(experiment: Design) -> list[Condition]:
    """Return the conditions in the order of the file; raise SpecProblem where levels do not fit together or the data."""
    grid = []
    seen: dict[str, Levels] = {}
    for levels, places in _combinations(experiment):
        settings = {k: v for k, v in levels.items() if k not in ("label", STREAM, DATASET)}
        data = experiment.source_of(levels).facts
        resolved = resolve(experiment.fixed | settings, experiment, data, places)
        alone = {STREAM: levels[STREAM]} if STREAM in levels else {}
        identity = _hash(_json(_canonical(resolved, data.fingerprint) | alone)).hexdigest()[:12]
        label = label_of(levels, experiment)
        if identity in seen:
            place = next(iter(places.values()), ("factors",))
            one, why = label_of(seen[identity], experiment), _why_same(seen[identity], levels, resolved)
            raise SpecProblem(place, f"conditions must differ, but '{one}' and '{label}' are the same run: {why}")
        seen[identity] = levels
        grid.append(
            Condition(
                condition_id=identity,
                label=label,
                levels=levels,
                data=data,
                settings=resolved,
                in_folds=_in_folds(experiment.fixed | settings, experiment, data, places, resolved.train_size),
            )
        )
    return grid


# Why a setting that a file names may change nothing.
_NO_LAYERS = "there is no hidden layer"
UNUSED = {
    "activation": _NO_LAYERS,
    "norm": _NO_LAYERS,
    "parametrization": _NO_LAYERS,
    "residual": "no hidden layer has the width of the one before it",
    "bias_init": "bias is false",
    "decay_bias": "bias is false",
    "pooling": "there are no conv_channels",
}


# ... and what may be wanting in the conditions for others, whose value stays as it is written.
_IDLE: Mapping[str, tuple[str, Callable[[RunSettings], bool]]] = {
    "dropout": (_NO_LAYERS, lambda s: not s.hidden_sizes),
    "decay_bias": ("weight_decay is 0", lambda s: not s.weight_decay),
}


def unused_settings(experiment: Design, grid: Sequence[Condition]) -> list[str]:
    """Return a line about each fixed setting that changes no run, with the reason: it was meant to."""
    said = {k: v for k, v in experiment.fixed.items() if v != SETTINGS[k].default}
    whys = {k: UNUSED[k] for k, v in said.items() if k in UNUSED and all(getattr(c.settings, k) != v for c in grid)}
    idle = {k: _IDLE[k] for k in said if k in _IDLE and k not in whys}
    whys |= {k: why for k, (why, is_idle) in idle.items() if all(is_idle(c.settings) for c in grid)}
    return [f"{k}: {_as_written(said[k])} changes nothing here, as {whys[k]}" for k in said if k in whys]


def _why_same(one: Levels, other: Levels, settings: RunSettings) -> str:
    """Return why two conditions are one run, by the levels in which they differ as written and the settings that they come to."""
    differing = [n for n in one | other if n not in ("label", STREAM) and one.get(n) != other.get(n)]
    whys = (_why_alike(n, [of[n] for of in (one, other) if n in of], settings) for n in differing)
    return ", ".join(dict.fromkeys(whys)) or "their levels are the same"


def _why_alike(name: str, written: Sequence[Value], settings: RunSettings) -> str:
    """Return why different levels of a setting are alike: it changes nothing there, or the run has one value for both."""
    if name == DATASET:
        return "the content of their data is the same"
    if name in ("width", "depth", "hidden_sizes"):
        if not settings.hidden_sizes:
            return "neither has a hidden layer"
        name = "hidden_sizes"
    name = "steps" if name == "epochs" else name
    value = getattr(settings, name)
    if name in UNUSED and any(of != value for of in written):
        return f"{name} changes nothing there, as {UNUSED[name]}"
    return f"{name} is {_as_written(value)} in both"


def _as_written(value: Value) -> str:
    """Return a level as a file has it: `true`, which labels print as Python does."""
    return shown(value) if isinstance(value, bool) else format_level(value)


def _in_folds(
    levels: Mapping[str, Value], experiment: Design, data: DataFacts, places: Mapping[str, Path], total: int
) -> tuple[RunSettings, ...]:
    if experiment.folds is None:
        return ()
    if total < experiment.folds:
        rule = f"folds must be at most train_size, so that each has an example, which is {total}"
        raise SpecProblem(("validation", "folds"), f"{rule}, got {experiment.folds}")
    parts = _fold_parts(data, experiment.folds, total)
    by_part = {part: resolve(levels, experiment, data, places, in_fold=part) for part in dict.fromkeys(parts)}
    return tuple(by_part[part] for part in parts)


def _fold_parts(data: DataFacts, folds: int, total: int) -> list[FoldPart]:
    """Return how many of `total` examples each fold is fitted to and validated on; raise SpecProblem where groups are too few."""
    if data.blocks is None:
        sizes = [fold_size(total, folds, fold) for fold in range(folds)]
        return [FoldPart(fit=total - size, validation=size) for size in sizes]
    try:
        return data.blocks.fold_parts(folds, total)
    except ValueError as error:
        raise SpecProblem(("validation", "folds"), str(error)) from None


def fold_size(total: int, folds: int, fold: int) -> int:
    """Return how many of `total` examples a fold has: equally many each, the first ones one more where it must be."""
    return total // folds + (fold < total % folds)


def count_conditions(experiment: Design) -> int:
    """Return how many conditions the grid has, by arithmetic alone."""
    zipped = len(next(iter(experiment.zipped.values()), (None,)))
    scientific = math.prod(len(v) for v in experiment.factors.values()) * zipped * max(1, len(experiment.conditions))
    return scientific * count_tunings(experiment) * (len(experiment.vary) if experiment.one_at_a_time else 1)


def count_runs(experiment: Design) -> int:
    """Return how many runs the experiment asks for before a top-up, by arithmetic alone."""
    n = count_conditions(experiment)
    refits = n // count_tunings(experiment) if experiment.folds and experiment.refit == "chosen" else n
    return (n * (experiment.folds or 0) + refits) * experiment.replicates


def count_tunings(experiment: Design) -> int:
    """Return how many combinations of nuisance levels each scientific condition has: they stand together in the grid."""
    listed = [len(v) for name, v in experiment.nuisance.items() if name not in experiment.ranges]
    return math.prod(listed) * experiment.n_points


def slots(experiment: Design) -> list[int | None]:
    """Return the folds in which a condition is trained in each replicate, in order: None is all examples."""
    return [*range(experiment.folds or 0), None]


def runs(experiment: Design, grid: Sequence[Condition] | None = None) -> list[Run]:
    """Return every run a folder of the experiment can come to have: replicates inside conditions, folds inside those.

    That is with all replicates of a top-up, and every level refitted. `grid` are the conditions, where they are at hand.
    """
    replicates, folds = range(experiment.most_replicates), slots(experiment)
    grid = conditions(experiment) if grid is None else grid
    return [run for condition in grid for run in runs_of(experiment, condition, replicates, folds)]


def runs_of(
    experiment: Design, condition: Condition, replicates: Iterable[int], folds: Sequence[int | None] = (None,)
) -> Iterator[Run]:
    """Yield the runs of a condition in some replicates, in each of them on some folds.

    Streams that do not vary stay at replicate 0. One that varies alone counts from 1: at 0 the conditions of all streams
    would share one run.
    """
    replicates = list(replicates)
    places = ((replicate, fold) for replicate in replicates for fold in folds)
    for (replicate, fold), run_id in zip(places, run_ids(experiment, condition, replicates, folds), strict=True):
        yield Run(
            run_id=run_id,
            condition=condition,
            replicate=replicate,
            seed=experiment.seed,
            streams=_streams(*_drawn(experiment, condition, replicate)),
            fold=fold,
        )


def all_run_ids(experiment: Design, grid: Sequence[Condition] | None = None) -> list[str]:
    """Return the identities of `runs`, in order, without making the runs."""
    replicates, folds = range(experiment.most_replicates), slots(experiment)
    grid = conditions(experiment) if grid is None else grid
    return [run_id for condition in grid for run_id in run_ids(experiment, condition, replicates, folds)]


def run_ids(
    experiment: Design, condition: Condition, replicates: Iterable[int], folds: Sequence[int | None] = (None,)
) -> list[str]:
    """Return the identities of the runs of a condition in some replicates and folds, without making the runs."""
    fingerprint = condition.data.fingerprint
    beginnings: list[str] = []
    for fold in folds:
        canonical = _canonical(condition.settings_of(fold), fingerprint) | {
            "seed": experiment.seed,
            "fold": fold,
            "numerics": NUMERICS_VERSION,
        }
        # `streams` is the last key in order: what stands before it is hashed once for all replicates.
        assert max(canonical) < "streams"
        beginnings.append(_json(canonical)[:-1] + ',"streams":')
    drawn = [_drawn(experiment, condition, replicate) for replicate in replicates]
    vary = drawn[0][0] if drawn else ()
    found = _identities if len(beginnings) * len(drawn) <= MOST_KEPT else _identities.__wrapped__
    return list(found(tuple(beginnings), vary, tuple(replicate for _, replicate in drawn)))


@functools.lru_cache(maxsize=10_000)
def _identities(beginnings: tuple[str, ...], vary: tuple[str, ...], replicates: tuple[int, ...]) -> tuple[str, ...]:
    """Return identities by how canonical forms begin, one for each fold, and the replicates of the streams that vary.

    A command asks for those of a condition several times.
    """
    hashed = [_hash(beginning) for beginning in beginnings]
    identities = []
    for replicate in replicates:
        ending = _ending(vary, replicate)
        for beginning in hashed:
            whole = beginning.copy()
            whole.update(ending)
            identities.append(whole.hexdigest()[:16])
    return tuple(identities)


def _drawn(experiment: Design, condition: Condition, replicate: int) -> tuple[tuple[str, ...], int]:
    """Return the streams that vary in a condition, and the replicate for which they are drawn."""
    if experiment.one_at_a_time:
        return (str(condition.levels[STREAM]),), replicate + 1
    return experiment.vary, replicate


@functools.lru_cache(maxsize=100_000)
def _streams(vary: tuple[str, ...], replicate: int) -> Mapping[str, int]:
    return {s: replicate if s in vary else 0 for s in STREAMS}


@functools.lru_cache(maxsize=100_000)
def _ending(vary: tuple[str, ...], replicate: int) -> bytes:
    """Return how the canonical form of a run ends: its streams."""
    return (_json(_streams(vary, replicate)) + "}").encode()


def _combinations(experiment: Design) -> Iterator[tuple[Levels, Mapping[str, Path]]]:
    """Yield the levels of each condition and the path of each level in the file, first factor slowest, nuisance last."""

    def axis(name: str, levels: Sequence[Value], *path: str) -> Axis:
        return [({name: level}, {name: (*path, i)}) for i, level in enumerate(levels)]

    axes = [axis(name, levels, "factors", name) for name, levels in experiment.factors.items()]
    if experiment.zipped:
        rows = [dict(zip(experiment.zipped, row, strict=True)) for row in zip(*experiment.zipped.values(), strict=True)]
        axes.append([(row, {k: ("factors", "zip", k, i) for k in row}) for i, row in enumerate(rows)])
    if experiment.conditions:
        axes.append([(dict(row), _places(experiment, i, row)) for i, row in enumerate(experiment.conditions)])
    if experiment.one_at_a_time:
        axes.append(axis(STREAM, experiment.vary, "vary", "each"))
    combined = [name for name in experiment.nuisance if name not in experiment.ranges]
    axes += [axis(name, experiment.nuisance[name], "nuisance", name) for name in combined]
    if experiment.ranges:
        points = [
            {name: experiment.nuisance[name][i] for name in experiment.ranges} for i in range(experiment.n_points)
        ]
        axes.append([(dict(point), {name: ("nuisance", name) for name in point}) for point in points])
    for parts in itertools.product(*axes):
        levels: Levels = {}
        places: dict[str, Path] = {}
        for part, where in parts:
            levels |= part
            places |= where
        yield levels, places


def _places(experiment: Design, i: int, row: Levels) -> dict[str, Path]:
    """Return where a file has the levels of a listed condition."""
    if experiment.ablate is not None:
        return {k: experiment.ablate.place(row, k) for k in row if k != "label"}
    return {k: ("factors", "conditions", i, k) for k in row}


def label_of(levels: Mapping[str, Value], experiment: Design) -> str:
    """Return the label of a condition: its factors' levels and, of a listed condition, the label in the file."""
    varying = (*experiment.factors, *experiment.zipped, STREAM, *experiment.nuisance)
    varied = [f"{k}={format_level(v)}" for k, v in levels.items() if k in varying]
    own = [str(levels["label"])] if "label" in levels else []
    return ", ".join(own + varied) or "all"


def format_level(value: Value) -> str:
    """Return a level as reports print it: 0.1, relu, none, (512, 256); a piece of a plugin without the digest of its code."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(format_level(v) for v in value) + ")"
    return plain(str(value))


def _canonical(settings: RunSettings, fingerprint: str) -> dict[str, Any]:
    """Return what the bits depend on; `width`, `depth` and `epochs` only restate `hidden_sizes` and `steps`.

    `SIZES` follow from the data, the folds and the run's fold; a run on no fold is the run it would be in another experiment,
    unless it ends after as many epochs as its runs on folds.
    """
    restated = ["width", "depth", "epochs", *SIZES, *(["folds"] if settings.folds is None else [])]
    restated += [name for name, usual in LATER.items() if getattr(settings, name) == usual]
    fields = {k: v for k, v in vars(settings).items() if k not in restated}
    return {"settings": fields, "data": fingerprint}


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _hash(text: str) -> hashlib._Hash:
    return hashlib.sha256(text.encode())
