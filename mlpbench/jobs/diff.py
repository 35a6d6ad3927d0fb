"""Two results folders side by side, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlpbench.base.environment import KIND, differences
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import records
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment
from mlpbench.results.folders import IDENTICAL, read_folder
from mlpbench.results.schemas import TABLES
from mlpbench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class FolderDifference:
    """How two folders differ.

    `both` has a row for each run in both folders: `run_id`, `grade` and `differs`. `only_a` and `only_b` are runs in one of
    them. `labels` names runs by condition and replicate. `environments` says in what the environments of runs in both
    differ, of all that bits may depend on.
    """

    both: pd.DataFrame
    only_a: Sequence[str]
    only_b: Sequence[str]
    labels: Mapping[str, str]
    environments: Sequence[str]

    @property
    def same(self) -> bool:
        """Whether the folders have the same runs with the same results."""
        return not (self.only_a or self.only_b) and bool((self.both["grade"] == IDENTICAL).all())


def diff(a: Path, b: Path) -> FolderDifference:
    """Compare two results folders run by run; raise InputError where one is none or is damaged."""
    of_a, of_b = (read_folder(folder) for folder in (a, b))
    tables_a, tables_b = (read_tables(folder) for folder in (a, b))
    ids_a, ids_b = (set(tables["runs"]["run_id"]) for tables in (tables_a, tables_b))
    return FolderDifference(
        both=agreement(tables_a, tables_b),
        only_a=sorted(ids_a - ids_b),
        only_b=sorted(ids_b - ids_a),
        labels=run_labels(of_b) | run_labels(of_a),
        environments=_differing_environments(tables_a["runs"], tables_b["runs"]),
    )


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all tables of a results folder."""
    store = Store(folder)
    return {table: store.read(table) for table in TABLES}


def run_labels(experiment: Experiment) -> dict[str, str]:
    """Return condition and replicate of each run, by run_id."""
    return {r.run_id: f"{r.label}, replicate {r.replicate}" for r in grid.runs(experiment)}


def _differing_environments(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    pairs = a[["run_id", *KIND]].merge(b[["run_id", *KIND]], on="run_id").drop(columns="run_id").drop_duplicates()
    differing: dict[str, None] = {}
    for row in records(pairs):
        environments = [{column: row[f"{column}{suffix}"] for column in KIND} for suffix in ("_x", "_y")]
        differing |= dict.fromkeys(differences(*environments))
    return list(differing)
