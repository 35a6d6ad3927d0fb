"""The runs of a grid, what a results folder has of them, and what a run of the experiment would train."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.base.numerics import KIND, differences
from mlpbench.experiment import grid, shift_spec
from mlpbench.experiment.grid import Condition, Run
from mlpbench.experiment.plan import Stack, outline, plan, probe_steps
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options, Rerun, environment
from mlpbench.jobs.rounds import wanted
from mlpbench.results.store import Store

KINDS = ("done", "failed", "stale", "missing")
DONE, FAILED, STALE, MISSING = range(len(KINDS))
# A run that the grid has, but that what came out so far does not ask for: see rounds.py.
UNASKED = -1

Ints = npt.NDArray[np.int64]


class Runs:
    """Some runs of a grid, in order: counted without being made, since a grid may have millions."""

    def __init__(self, experiment: Experiment, conditions: Sequence[Condition], places: Ints) -> None:
        self._experiment, self._conditions, self._places = experiment, conditions, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Run]:
        slots = grid.slots(self._experiment)
        whole, slot = np.divmod(self._places, len(slots))
        condition, replicate = np.divmod(whole, self._experiment.most_replicates)
        # Neighbours of one condition and slot are made together: of a grid without folds, all of a condition.
        starts = np.flatnonzero(np.diff(condition * len(slots) + slot, prepend=-1)).tolist()
        for start, end in itertools.pairwise([*starts, len(condition)]):
            of = self._conditions[condition[start]]
            yield from grid.runs_of(self._experiment, of, replicate[start:end].tolist(), [slots[slot[start]]])


@dataclass(frozen=True, kw_only=True)
class State:
    """The runs of a grid by what the folder has of them; `others` are runs in the folder that the grid has not.

    `kinds` is of shape (conditions, replicates, slots): see `grid.slots`. `to_come` has how many refits of each scientific
    condition will be asked for once it is known which. `stale` runs were made in another environment; `stale_in` says in
    what it differs.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    kinds: npt.NDArray[np.int8]
    to_come: Ints
    others: int
    stale_in: Sequence[str]

    @property
    def runs(self) -> Runs:
        """All runs of the grid that are asked for."""
        return Runs(self.experiment, self.conditions, np.flatnonzero(self.kinds != UNASKED))

    @property
    def done(self) -> Runs:
        """Runs that are there as a run here would make them."""
        return self._of(DONE)

    @property
    def failed(self) -> Runs:
        """Runs that ended in an error."""
        return self._of(FAILED)

    @property
    def stale(self) -> Runs:
        """Runs that were made in another environment."""
        return self._of(STALE)

    @property
    def missing(self) -> Runs:
        """Runs that are not there, or not whole."""
        return self._of(MISSING)

    def _of(self, kind: int) -> Runs:
        return Runs(self.experiment, self.conditions, np.flatnonzero(self.kinds == kind))

    def n_todo(self, rerun: Rerun | None) -> int:
        """Return how many runs are to be trained."""
        return int(np.isin(self.kinds, _wanted(rerun)).sum())

    def todo(self, rerun: Rerun | None) -> list[Run]:
        """Return what is to be trained."""
        return [run for kind in _wanted(rerun) for run in self._of(kind)]

    def stacks(self, todo: Sequence[Run], options: Options) -> list[Stack]:
        """Put runs into stacks."""
        return plan(todo, self.experiment.data, workers=options.n_workers, memory=options.memory)

    def facts(self, options: Options, rerun: Rerun | None = None) -> dict[str, Any]:
        """Return what `plan` tells: counts, work, expected time and memory."""
        counts = np.isin(self.kinds, _wanted(rerun)).sum(axis=1)
        # Which level a refit will have is not known yet: it is taken to cost what that of the first does.
        counts[:: grid.count_tunings(self.experiment), -1] += self.to_come
        slots = grid.slots(self.experiment)
        work = outline(
            (
                (c.settings_of(f), n)
                for c, row in zip(self.conditions, counts.tolist(), strict=True)
                for f, n in zip(slots, row)
            ),
            self.experiment.data,
            workers=options.n_workers,
            memory=options.memory,
        )
        workers = min(options.n_workers, max(1, work.stacks))
        kinds = {kind: int((self.kinds == i).sum()) for i, kind in enumerate(KINDS)}
        to_come = int(self.to_come.sum())
        return {
            "experiment": self.experiment.name,
            "conditions": len(self.conditions),
            "runs": len(self.runs) + to_come,
            **self._in_rounds(to_come),
            **kinds,
            "missing": kinds["missing"] + to_come,
            "stacks": work.stacks,
            "workers": workers,
            "flops": work.flops,
            "seconds": round(max(work.longest, work.seconds / workers), 1),
            "bytes_per_worker": work.bytes,
        }

    def _in_rounds(self, to_come: int) -> dict[str, int]:
        """Return how many of the runs are on folds and how many refits, and up to how many replicates claims may ask for."""
        found: dict[str, int] = {}
        if self.experiment.folds:
            asked = self.kinds != UNASKED
            found |= {"on_folds": int(asked[:, :, :-1].sum()), "refits": int(asked[:, :, -1].sum()) + to_come}
        if self.experiment.until_decided is not None:
            now = int((self.kinds != UNASKED).any(axis=(0, 2)).sum())
            found |= {"replicates": now, "most_replicates": self.experiment.most_replicates}
        return found


def _wanted(rerun: Rerun | None) -> list[int]:
    """Return the kinds of runs that are trained, in order."""
    again = {None: [], "failed": [FAILED], "stale": [STALE], "all": [FAILED, STALE, DONE]}
    return [MISSING, *again[rerun]]


def inspect(experiment: Experiment, store: Store, options: Options) -> State:
    """Compare the grid with the results folder; raise InputError for a device that is not there."""
    made = grid.conditions(experiment)
    here = environment(options)
    held = store.read("runs", columns=["run_id", "status", "diverged_at_step", "weights_sha256", *KIND], sound=True)
    asked = wanted(experiment, made, store)
    kinds = np.full(asked.mask.size, MISSING, dtype=np.int8)
    stale_in: dict[str, None] = {}
    others = len(held)
    if others:
        planned = pa.array(grid.all_run_ids(experiment, made), pa.string())
        place = _places(held["run_id"], planned)
        others = int((place < 0).sum()) + int((~asked.mask.ravel()[place[place >= 0]]).sum())
        rows = held[place >= 0].assign(place=place[place >= 0]).sort_values("place", ignore_index=True)
        rows = rows[_is_whole(rows, experiment, made, planned, store)]
        kinds[rows["place"].to_numpy()] = np.where(rows["status"] == "failed", FAILED, DONE)
        ended = rows[rows["status"] != "failed"]
        # Few environments, whatever the number of runs: each is compared once, in the order of the grid.
        for _, alike in ended.groupby(list(KIND), dropna=False, sort=False):
            differing = dict.fromkeys(differences(alike.iloc[0].to_dict(), here))
            stale_in |= differing
            if differing:
                kinds[alike["place"].to_numpy()] = STALE
    return State(
        experiment=experiment,
        conditions=made,
        kinds=np.where(asked.mask, kinds.reshape(asked.mask.shape), UNASKED),
        to_come=asked.to_come,
        others=others,
        stale_in=tuple(stale_in),
    )


def _places(run_ids: pd.Series[Any], planned: pa.StringArray) -> Ints:
    """Return where in the grid each run stands, -1 for those that are not in it."""
    found = pc.index_in(pa.array(run_ids, pa.string()), value_set=planned)
    return np.asarray(found.fill_null(-1), dtype=np.int64)


def _is_whole(
    rows: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], planned: pa.StringArray, store: Store
) -> npt.NDArray[np.bool_]:
    """Return whether all of each run is there: curves, predictions, shifts, probes up to where it diverged, weights if kept."""
    place, status = rows["place"].to_numpy(), rows["status"].to_numpy()
    diverged = status == "diverged"
    end = np.full(len(planned), np.inf)
    end[place[diverged]] = rows.loc[diverged, "diverged_at_step"].astype(float)
    slots, replicates = grid.slots(experiment), experiment.most_replicates
    # What is due of a run depends on its condition and its slot; runs of a condition stand replicate by replicate.
    kind = np.arange(len(planned)) // (replicates * len(slots)) * len(slots) + np.arange(len(planned)) % len(slots)
    steps = [probe_steps(c.settings_of(fold), experiment.probes) for c in conditions for fold in slots]
    due = np.array([len(s) for s in steps])[kind]
    for i in place[diverged]:
        due[i] = bisect_left(steps[kind[i]], end[i])
    probed = _probed(steps, end, kind, planned, store) >= due
    curves, predictions = (_has(table, planned, store) for table in ("curves", "predictions"))
    shifted = _shifted(shift_spec.splits(experiment.shifts), planned, store)
    on_fold = kind % len(slots) < len(slots) - 1
    whole = (curves & probed)[place] & ((status != "ok") | (predictions & shifted)[place] | on_fold[place])
    if experiment.save_weights:
        there = store.weights()
        digests = zip(rows["run_id"], rows["weights_sha256"], strict=True)
        whole &= (status != "ok") | np.array([sha in there.get(i, ()) for i, sha in digests], dtype=np.bool_)
    return np.asarray(whole | (status == "failed"), dtype=np.bool_)


def _has(table: str, planned: pa.StringArray, store: Store) -> npt.NDArray[np.bool_]:
    """Return whether a table has rows of each planned run."""
    found = _places(pd.Series(store.read(table, columns=["run_id"], sound=True)["run_id"].unique()), planned)
    has = np.zeros(len(planned), dtype=np.bool_)
    has[found[found >= 0]] = True
    return has


def _probed(
    steps: Sequence[Sequence[int]], end: npt.NDArray[np.float64], kind: Ints, planned: pa.StringArray, store: Store
) -> Ints:
    """Return at how many of the steps of its kind, before its end, each planned run was probed."""
    layers = store.read("layers", columns=["run_id", "step"], sound=True)
    found = pd.DataFrame({"place": _places(layers["run_id"], planned), "step": layers["step"]}).drop_duplicates()
    found = found[found["place"] >= 0]
    found = found.assign(kind=kind[found["place"].to_numpy()])
    due = pd.DataFrame([(i, step) for i, of in enumerate(steps) for step in of], columns=["kind", "step"])
    place, step = found.merge(due.astype("int64"), on=["kind", "step"])[["place", "step"]].to_numpy(np.int64).T
    return np.bincount(place[step < end[place]], minlength=len(planned))


def _shifted(splits: Sequence[str], planned: pa.StringArray, store: Store) -> npt.NDArray[np.bool_]:
    """Return whether each planned run was tested under every shift that is asked for."""
    if not splits:
        return np.ones(len(planned), dtype=np.bool_)
    curves = store.read("curves", columns=["run_id", "split"], sound=True)
    curves = curves[curves["split"].isin(splits)].drop_duplicates()
    place = _places(curves["run_id"], planned)
    return np.asarray(np.bincount(place[place >= 0], minlength=len(planned)) == len(splits), dtype=np.bool_)
