"""Two results folders side by side, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from mlpbench.base.environment import KIND, differences
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import places, records
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment
from mlpbench.results.folder_check import open_folders
from mlpbench.results.folders import IDENTICAL
from mlpbench.results.schemas import TABLES
from mlpbench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class FolderDifference:
    """How two folders differ.

    `both` has a row for each run in both folders: `run_id`, `grade` and `differs`. `only_a` and `only_b` are runs in one of
    them. `experiments` are those of the folders. `environments` says in what the environments of runs in both differ, of
    all that bits may depend on.
    """

    both: pd.DataFrame
    only_a: Sequence[str]
    only_b: Sequence[str]
    experiments: tuple[Experiment, Experiment]
    environments: Sequence[str]

    @property
    def same(self) -> bool:
        """Whether the folders have the same runs with the same results."""
        return not (self.only_a or self.only_b) and bool((self.both["grade"] == IDENTICAL).all())

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Condition and replicate of each run of the two grids, by run_id."""
        of_a, of_b = map(run_labels, self.experiments)
        return of_b | of_a


class _Tables(Mapping[str, pd.DataFrame]):
    """The tables of a results folder, each read when it is asked for, and kept no longer than that but for the runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def runs(self) -> pd.DataFrame:
        return self._store.read("runs")

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.runs if table == "runs" else self._store.read(table)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)


def diff(a: Path, b: Path, say: Say = say_nothing) -> FolderDifference:
    """Compare two results folders run by run; raise InputError where one is none or is damaged.

    `say` gets a line about each file that is missing and can be restored.
    """
    (of_a, store_a), (of_b, store_b) = open_folders([a, b], say)
    tables_a, tables_b = _Tables(store_a), _Tables(store_b)
    there, here = tables_a.runs["run_id"], tables_b.runs["run_id"]
    return FolderDifference(
        both=agreement(tables_a, tables_b),
        only_a=sorted(there[places(there, here) < 0]),
        only_b=sorted(here[places(here, there) < 0]),
        experiments=(of_a, of_b),
        environments=_differing_environments(tables_a.runs, tables_b.runs),
    )


def read_tables(store: Store) -> dict[str, pd.DataFrame]:
    """Return all tables of a results folder."""
    return {table: store.read(table) for table in TABLES}


def run_labels(experiment: Experiment) -> dict[str, str]:
    """Return condition and replicate of each run, by run_id."""
    conditions = grid.conditions(experiment)
    folds = ["" if fold is None else f", fold {fold}" for fold in grid.slots(experiment)]
    labels = (
        f"{condition.label}{fold}, replicate {replicate}"
        for condition in conditions
        for replicate in range(experiment.most_replicates)
        for fold in folds
    )
    return dict(zip(grid.all_run_ids(experiment, conditions), labels, strict=True))


def _differing_environments(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    at = places(a["run_id"], b["run_id"])
    sides = (a.loc[at >= 0, list(KIND)], b[list(KIND)].take(at[at >= 0]))
    pairs = pd.concat([side.reset_index(drop=True).add_suffix(f"_{i}") for i, side in enumerate(sides)], axis=1)
    differing: dict[str, None] = {}
    for row in records(pairs.drop_duplicates()):
        environments = [{column: row[f"{column}_{i}"] for column in KIND} for i in range(2)]
        differing |= dict.fromkeys(differences(*environments))
    return list(differing)
