"""The runs of a grid, what a results folder has of them, and what a run of the experiment would train."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition, Run
from mlpbench.experiment.plan import Stack, plan, probe_steps
from mlpbench.experiment.spec import Experiment
from mlpbench.numerics import differences
from mlpbench.options import Options, Rerun, environment
from mlpbench.store import Store

# What of a run's environment its bits may depend on.
KIND = ("env_device", "env_numerics", "env_threads", "env_torch", "env_cpu")


@dataclass(frozen=True, kw_only=True)
class State:
    """The runs of a grid by what the folder has of them; `others` are runs in the folder that the grid has not.

    `stale` runs were made in another environment; `stale_in` says in what it differs.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    runs: Sequence[Run]
    done: Sequence[Run]
    failed: Sequence[Run]
    stale: Sequence[Run]
    missing: Sequence[Run]
    others: int
    stale_in: Sequence[str]

    def todo(self, rerun: Rerun | None) -> list[Run]:
        """Return what is to be trained."""
        wanted = list(self.missing)
        if rerun in ("failed", "all"):
            wanted += self.failed
        if rerun in ("stale", "all"):
            wanted += self.stale
        if rerun == "all":
            wanted += self.done
        return wanted

    def stacks(self, todo: Sequence[Run], options: Options) -> list[Stack]:
        """Put runs into stacks."""
        return plan(todo, self.experiment.data, workers=options.n_workers, memory=options.memory)

    def facts(self, options: Options) -> dict[str, Any]:
        """Return what `plan` tells: counts, work, expected time and memory."""
        stacks = self.stacks(self.missing, options)
        workers = min(options.n_workers, max(1, len(stacks)))
        longest = max((s.seconds for s in stacks), default=0.0)
        counts = {
            kind: len(getattr(self, kind)) for kind in ("conditions", "runs", "done", "failed", "stale", "missing")
        }
        return {
            "experiment": self.experiment.name,
            **counts,
            "stacks": len(stacks),
            "workers": workers,
            "flops": sum(s.flops for s in stacks),
            "seconds": round(max(longest, sum(s.seconds for s in stacks) / workers), 1),
            "bytes_per_worker": max((s.bytes for s in stacks), default=0),
        }


def inspect(experiment: Experiment, store: Store, options: Options) -> State:
    """Compare the grid with the results folder; raise InputError for a device that is not there."""
    made = grid.conditions(experiment)
    runs = grid.runs(experiment, made)
    here = environment(options)
    held = store.read("runs", columns=["run_id", "status", "diverged_at_step", *KIND], sound=True)
    known = held.set_index("run_id").to_dict("index")
    tables = _Tables.of(store)
    kinds: dict[str, list[Run]] = {"done": [], "failed": [], "stale": [], "missing": []}
    aspects: dict[str, None] = {}
    for r in runs:
        row = known.get(r.run_id)
        if row is None or not tables.complete(r, row, experiment):
            kinds["missing"].append(r)
        elif row["status"] == "failed":
            kinds["failed"].append(r)
        else:
            differing = dict.fromkeys(differences(row, here))
            aspects |= differing
            kinds["stale" if differing else "done"].append(r)
    others = len(set(known) - {r.run_id for r in runs})
    return State(experiment=experiment, conditions=made, runs=runs, others=others, stale_in=tuple(aspects), **kinds)


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """What the tables beside `runs` have."""

    curves: Collection[str]
    predictions: Collection[str]
    layers: Collection[tuple[str, int]]

    @classmethod
    def of(cls, store: Store) -> _Tables:
        layers = store.read("layers", columns=["run_id", "step"], sound=True).drop_duplicates()
        return cls(
            curves=_ids(store.read("curves", columns=["run_id"], sound=True)),
            predictions=_ids(store.read("predictions", columns=["run_id"], sound=True)),
            layers=set(layers.itertuples(index=False, name=None)),
        )

    def complete(self, run: Run, row: Mapping[Any, Any], experiment: Experiment) -> bool:
        """Return whether all of a run is there: its curves, predictions, and probes up to where it diverged."""
        if row["status"] == "failed":
            return True
        end = row["diverged_at_step"] if row["status"] == "diverged" else math.inf
        if row["status"] == "ok" and run.run_id not in self.predictions:
            return False
        steps = probe_steps(run.settings, experiment.probes)
        return run.run_id in self.curves and all((run.run_id, step) in self.layers for step in steps if step < end)


def _ids(frame: pd.DataFrame) -> set[str]:
    return set(frame["run_id"].unique())
