"""The inventory of a results folder: which runs an experiment asks for, and which of them are done, failed, stale or missing.

All runs of a grid are asked for at once, but for three kinds. Where settings are tuned on folds, the refit of a replicate
follows from its choice, which follows from its runs on folds. Where runs on folds stop early, the refit trains as long as
these say. Where claims are topped up until they are decided, further replicates follow from the verdicts of the last interim
analysis. All follow from the tables alone, each time.

Shapes: `C` conditions, `R` replicates, `S` slots (each fold, then all examples), `G` scientific conditions.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlpbench.base.environment import KIND, differences
from mlpbench.base.models import DATASET
from mlpbench.data.made_data import MadeData
from mlpbench.experiment import grid, shift_spec
from mlpbench.experiment.components.own_pieces import own_names
from mlpbench.experiment.grid import Condition, Run
from mlpbench.experiment.plan import Stack, outline, plan, probe_steps
from mlpbench.experiment.plugins.piece_kinds import KINDS
from mlpbench.experiment.plugins.plugin import outdated_names, pieces_of
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs import asked_runs
from mlpbench.jobs.options import Options, Rerun, environment
from mlpbench.results.metric_column import are_measured, metric_columns, unmeasured_line, unmeasured_runs
from mlpbench.results.store import Store

if TYPE_CHECKING:  # a plan of a folder without runs does without them
    import pandas as pd
    import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class RunState(IntEnum):
    """What a results folder has of a run of the grid."""

    NOT_ASKED_FOR = -1  # so far: it may follow from other results
    DONE = 0  # there, as a run here would be
    FAILED = 1  # ended in an error
    STALE = 2  # trained in an environment in which bits may differ
    MISSING = 3  # not there, or a part of it is not


# What is trained, in order, beside what is missing.
RERUN: dict[Rerun | None, list[RunState]] = {
    None: [],
    "failed": [RunState.FAILED],
    "stale": [RunState.STALE],
    "all": [RunState.FAILED, RunState.STALE, RunState.DONE],
}


class Runs:
    """Some runs of a grid, in order. They can be counted without being made, since a grid may have millions."""

    def __init__(
        self, experiment: Experiment, conditions: Sequence[Condition], places: Ints, refit_epochs: Ints | None = None
    ) -> None:
        self._experiment, self._conditions, self._places = experiment, conditions, places
        self._refit_epochs = refit_epochs

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Run]:
        slots = grid.slots(self._experiment)
        rest, slot = np.divmod(self._places, len(slots))
        condition, replicate = np.divmod(rest, self._experiment.most_replicates)
        # Neighbours of one condition and slot are made together: of a grid without folds, all of a condition.
        starts = np.flatnonzero(np.diff(condition * len(slots) + slot, prepend=-1)).tolist()
        for start, end in itertools.pairwise([*starts, len(condition)]):
            replicates = replicate[start:end].tolist()
            c, fold = condition[start], slots[slot[start]]
            for run in grid.runs_of(self._experiment, self._conditions[c], replicates, [fold]):
                if self._refit_epochs is not None and run.settings.is_refit_of_stops:
                    yield replace(run, refit_epochs=int(self._refit_epochs[c, run.replicate]))
                else:
                    yield run


@dataclass(frozen=True, kw_only=True)
class PlanSummary:
    """What `plan` prints: runs by state, and what training the rest is expected to take.

    `device` names the GPU where runs are trained on one. `outdated` counts runs of the folder by pieces of plugins whose code has changed. `stops_early` is set where runs may stop early: then they take less, FLOPs and time are those without a stop. `on_folds` and `refits` are counted where there are folds, `replicates` and `most_replicates` where there is a top-up.
    """

    experiment: str
    conditions: int
    runs: int
    on_folds: int | None
    refits: int | None
    replicates: int | None
    most_replicates: int | None
    done: int
    failed: int
    stale: int
    missing: int
    stacks: int
    workers: int
    device: str | None = None
    flops: int
    seconds: float
    bytes_per_worker: int
    stops_early: bool | None = None
    outdated: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields that apply, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The runs of a grid by what a results folder has of them.

    `states` is of shape (C, R, S). `refits_to_come`, of shape (G,), counts the refits that will be asked for once it is
    known which, or how long they train: `refit_epochs` of shape (C, R), or None where that is always known. `other_runs` are in the
    folder, but not in the grid; of them `outdated` counts those that were trained with a piece of a plugin whose code has changed, by
    the piece and its file; `unmeasured` counts those of the grid that lack the number of a metric. `stale_in` says in what stale runs' environments differ.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    states: npt.NDArray[np.int8]
    refits_to_come: Ints
    other_runs: int
    stale_in: Sequence[str]
    refit_epochs: Ints | None = None
    outdated: Mapping[str, int] = field(default_factory=dict)
    unmeasured: Mapping[str, int] = field(default_factory=dict)

    @property
    def runs(self) -> Runs:
        """All runs of the grid that are asked for."""
        return self._at(self.states != RunState.NOT_ASKED_FOR)

    def of(self, state: RunState) -> Runs:
        """Return the runs in a state."""
        return self._at(self.states == state)

    def _at(self, where: Bools) -> Runs:
        return Runs(self.experiment, self.conditions, np.flatnonzero(where), self.refit_epochs)

    def count(self, state: RunState) -> int:
        """Return the number of runs in a state."""
        return int((self.states == state).sum())

    def n_todo(self, rerun: Rerun | None) -> int:
        """Return the number of runs to be trained."""
        return sum(self.count(state) for state in (RunState.MISSING, *RERUN[rerun]))

    def todo(self, rerun: Rerun | None) -> list[Run]:
        """Return the runs to be trained."""
        return [run for state in (RunState.MISSING, *RERUN[rerun]) for run in self.of(state)]

    def outdated_lines(self) -> list[str]:
        """Return a line about each piece of a plugin whose code has changed since runs of the folder were trained."""
        return [
            f"{n} run{'s are' if n != 1 else ' is'} stale: trained with another {piece}, whose code has changed; kept, but the report leaves "
            f"{'them' if n != 1 else 'it'} out"
            for piece, n in self.outdated.items()
        ] + [unmeasured_line(words, n) for words, n in self.unmeasured.items()]

    def stacks(self, todo: Sequence[Run], options: Options) -> list[Stack]:
        """Put runs into stacks."""
        return plan(todo, **options.resources)

    def summary(self, options: Options, rerun: Rerun | None = None) -> PlanSummary:
        """Return counts of runs, and the work that is left."""
        slots = grid.slots(self.experiment)
        todo = np.isin(self.states, (RunState.MISSING, *RERUN[rerun])).sum(axis=1)
        # Which level a refit will have is not known yet: it is taken to cost what that of the first does.
        todo[:: grid.count_tunings(self.experiment), -1] += self.refits_to_come
        work = outline(
            (
                (condition.settings_of(fold), condition.data, n)
                for condition, counts in zip(self.conditions, todo.tolist(), strict=True)
                for fold, n in zip(slots, counts)
            ),
            **options.resources,
        )
        asked_for, to_come = self.states != RunState.NOT_ASKED_FOR, int(self.refits_to_come.sum())
        folded, top_up = self.experiment.folds is not None, self.experiment.until_decided is not None
        return PlanSummary(
            experiment=self.experiment.name,
            conditions=len(self.conditions),
            runs=int(asked_for.sum()) + to_come,
            on_folds=int(asked_for[:, :, :-1].sum()) if folded else None,
            refits=int(asked_for[:, :, -1].sum()) + to_come if folded else None,
            replicates=int(asked_for.any(axis=(0, 2)).sum()) if top_up else None,
            most_replicates=self.experiment.most_replicates if top_up else None,
            done=self.count(RunState.DONE),
            failed=self.count(RunState.FAILED),
            stale=self.count(RunState.STALE),
            missing=self.count(RunState.MISSING) + to_come,
            stacks=work.stacks,
            workers=work.busy(options.n_workers),
            device=options.gpu_words or None,
            flops=work.flops,
            seconds=work.elapsed(options.n_workers),
            bytes_per_worker=work.bytes,
            stops_early=any(c.settings.stops_early for c in self.conditions) or None,
            outdated=sum(self.outdated.values()) or None,
        )


def take_inventory(experiment: Experiment, store: Store, options: Options) -> Inventory:
    """Compare the grid with the results folder; raise InputError for a device that is not there."""
    conditions = grid.conditions(experiment)
    here = environment(options)
    plugins = experiment.used_plugins
    levels = [name for kind in KINDS.values() for name in kind.settings] if experiment.plugins else []
    made = [DATASET, "env_dataset"] if pieces_of(plugins, DATASET) else []
    columns = [
        "run_id",
        "status",
        "diverged_at_step",
        "epochs_taken",
        "weights_sha256",
        *levels,
        *metric_columns(plugins),
        *made,
        *KIND,
    ]
    stored = None if store.is_empty("runs") else store.read("runs", columns=columns, sound=True)
    asked_for, refits_to_come, epochs = asked_runs.asked_for(experiment, conditions, store)
    states = np.full(asked_for.size, RunState.MISSING, dtype=np.int8)
    stale_in: dict[str, None] = {}
    other_runs = 0
    outdated: Mapping[str, int] = {}
    unmeasured: Mapping[str, int] = {}
    if stored is not None and len(stored):
        import pyarrow as pa

        planned = pa.array(grid.all_run_ids(experiment, conditions), pa.string())
        place = _places(stored["run_id"], planned)
        other_runs = int((place < 0).sum()) + int((~asked_for.ravel()[place[place >= 0]]).sum())
        outdated = _outdated(stored[place < 0], levels, experiment)
        rows = stored[place >= 0].assign(place=place[place >= 0]).sort_values("place", ignore_index=True)
        unmeasured = unmeasured_runs(rows, plugins)
        rows = rows[are_measured(rows, plugins)]
        rows = rows[_is_whole(rows, experiment, conditions, planned, store)]
        if epochs is not None:
            rows = rows[_lasts_as_its_folds_say(rows, experiment, conditions, epochs)]
        states[rows["place"].to_numpy()] = np.where(rows["status"] == "failed", RunState.FAILED, RunState.DONE)
        ended = rows[rows["status"] != "failed"]
        # Few environments, whatever the number of runs: each is compared once, in the order of the grid.
        for _, alike in ended.groupby(list(KIND), dropna=False, sort=False):
            differing = dict.fromkeys(differences(alike.iloc[0].to_dict(), here))
            stale_in |= differing
            if differing:
                states[alike["place"].to_numpy()] = RunState.STALE
    return Inventory(
        experiment=experiment,
        conditions=conditions,
        states=np.where(asked_for, states.reshape(asked_for.shape), RunState.NOT_ASKED_FOR),
        refits_to_come=refits_to_come,
        other_runs=other_runs,
        stale_in=tuple(stale_in),
        refit_epochs=epochs,
        outdated=outdated,
        unmeasured=unmeasured,
    )


def _outdated(rows: pd.DataFrame, levels: Sequence[str], experiment: Experiment) -> Mapping[str, int]:
    """Return how many runs were trained with a piece of a plugin that has another code by now, by piece and file."""
    names = outdated_names(experiment.plugins, {name: rows[name].unique() for name in levels})
    counts: Counter[str] = Counter()
    for of_run in rows[list(levels)].itertuples(index=False):
        counts.update({names[name]: 1 for level in of_run for name in own_names(level) if name in names})
    for plugin in experiment.used_plugins if "env_dataset" in rows else ():
        for called in pieces_of([plugin], DATASET):
            made = {s.facts.fingerprint for s in experiment.sources if isinstance(s, MadeData) and s.called == called}
            others = int(((rows[DATASET] == called) & ~rows["env_dataset"].isin(made)).sum())
            counts.update({f"{called} ({DATASET} of {plugin.name})": others} if others else {})
    return counts


def _places(run_ids: pd.Series[Any], planned: pa.StringArray) -> Ints:
    """Return where in the grid each run stands, -1 for those that are not in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(pa.array(run_ids, pa.string()), value_set=planned)
    return np.asarray(places.fill_null(-1), dtype=np.int64)


def _is_whole(
    rows: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], planned: pa.StringArray, store: Store
) -> Bools:
    """Return whether all of each run is there: curves, predictions, shifts, probes up to where it diverged, weights if kept."""
    place, status = rows["place"].to_numpy(), rows["status"].to_numpy()
    diverged = status == "diverged"
    end = np.full(len(planned), np.inf)
    end[place[diverged]] = rows.loc[diverged, "diverged_at_step"].astype(float)
    slots, replicates = grid.slots(experiment), experiment.most_replicates
    # What is due of a run depends on its condition and its slot; runs of a condition stand replicate by replicate.
    due_as = np.arange(len(planned)) // (replicates * len(slots)) * len(slots) + np.arange(len(planned)) % len(slots)
    steps = [probe_steps(c.settings_of(fold), experiment.probes) for c in conditions for fold in slots]
    due = np.array([len(s) for s in steps])[due_as]
    per_epoch = np.array([c.settings_of(fold).steps_per_epoch for c in conditions for fold in slots])[due_as[place]]
    taken = np.round(rows["epochs_taken"].to_numpy(dtype=float) * per_epoch)
    last = np.array([c.settings_of(fold).steps for c in conditions for fold in slots])[due_as[place]]
    stopped = (status == "ok") & (taken < last)  # whose last probe is where they stopped
    end[place[stopped]] = taken[stopped]
    for i in place[diverged | stopped]:
        due[i] = bisect_left(steps[due_as[i]], end[i])
    probed = _count_probes(steps, end, due_as, planned, store) >= due
    curves, predictions = (_has_rows(table, planned, store) for table in ("curves", "predictions"))
    shifted = _has_shifts(shift_spec.splits(experiment.shifts), planned, store)
    on_fold = due_as % len(slots) < len(slots) - 1
    whole = (curves & probed)[place] & ((status != "ok") | (predictions & shifted)[place] | on_fold[place])
    if experiment.save_weights:
        saved = store.weights()
        digests = zip(rows["run_id"], rows["weights_sha256"], strict=True)
        whole &= (status != "ok") | np.array([sha in saved.get(i, ()) for i, sha in digests], dtype=np.bool_)
    return np.asarray(whole | (status == "failed"), dtype=np.bool_)


def _lasts_as_its_folds_say(
    rows: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], epochs_CR: Ints
) -> Bools:
    """Return whether each run ends where it is to end: a refit where its runs on folds say by now, some of which may be new."""
    slots = len(grid.slots(experiment))
    condition, replicate = np.divmod(rows["place"].to_numpy() // slots, experiment.most_replicates)
    settings = [conditions[c].settings for c in condition]
    is_refit = (rows["place"].to_numpy() % slots == slots - 1) & np.array([s.is_refit_of_stops for s in settings])
    per_epoch, most = (np.array([getattr(s, n) for s in settings]) for n in ("steps_per_epoch", "steps"))
    wanted = np.minimum(epochs_CR[condition, replicate] * per_epoch, most)
    taken = np.round(rows["epochs_taken"].to_numpy(dtype=float) * per_epoch)
    diverged = rows["diverged_at_step"].to_numpy(dtype=float)
    status = rows["status"].to_numpy()
    differs = np.where(status == "diverged", diverged > wanted, (status == "ok") & (taken != wanted))
    return np.asarray(~(is_refit & (epochs_CR[condition, replicate] >= 0) & differs), dtype=np.bool_)


def _has_rows(table: str, planned: pa.StringArray, store: Store) -> Bools:
    """Return whether a table has rows of each planned run."""
    import pandas as pd

    places = _places(pd.Series(store.read(table, columns=["run_id"], sound=True)["run_id"].unique()), planned)
    has_rows = np.zeros(len(planned), dtype=np.bool_)
    has_rows[places[places >= 0]] = True
    return has_rows


def _count_probes(
    steps: Sequence[Sequence[int]], end: npt.NDArray[np.float64], due_as: Ints, planned: pa.StringArray, store: Store
) -> Ints:
    """Return at how many of the steps that are due, before its end, each planned run was probed."""
    import pandas as pd

    layers = store.read("layers", columns=["run_id", "step"], sound=True)
    probes = pd.DataFrame({"place": _places(layers["run_id"], planned), "step": layers["step"]}).drop_duplicates()
    probes = probes[probes["place"] >= 0]
    probes = probes.assign(due_as=due_as[probes["place"].to_numpy()])
    due = pd.DataFrame([(i, step) for i, of_run in enumerate(steps) for step in of_run], columns=["due_as", "step"])
    place, step = probes.merge(due.astype("int64"), on=["due_as", "step"])[["place", "step"]].to_numpy(np.int64).T
    return np.bincount(place[step < end[place]], minlength=len(planned))


def _has_shifts(splits: Sequence[str], planned: pa.StringArray, store: Store) -> Bools:
    """Return whether each planned run was tested under every shift that is asked for."""
    if not splits:
        return np.ones(len(planned), dtype=np.bool_)
    curves = store.read("curves", columns=["run_id", "split"], sound=True)
    curves = curves[curves["split"].isin(splits)].drop_duplicates()
    place = _places(curves["run_id"], planned)
    return np.asarray(np.bincount(place[place >= 0], minlength=len(planned)) == len(splits), dtype=np.bool_)
