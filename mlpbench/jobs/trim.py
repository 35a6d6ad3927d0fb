"""Make a results folder small enough to be published: what its report does not read is dropped.

What the report reads is found out by rendering it. What is dropped leaves its row, with nothing in it: the run is as done as
before, and `agreement` takes what is not there for no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.jobs.judge import render
from mlpbench.results import test_examples
from mlpbench.results.folders import read_folder
from mlpbench.results.schemas import DROPPABLE, TABLES
from mlpbench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """Of how many runs a table keeps something, of how many it has nothing (left), and its bytes before and after."""

    kept: int
    dropped: int
    before: int
    after: int


class _Noting(Store):
    """A store that takes down of which runs the columns that may be dropped are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = {(table, column): set[str]() for table, columns in DROPPABLE.items() for column in columns}

    def read(
        self,
        table: str,
        run_ids: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        *,
        sound: bool = False,
    ) -> pd.DataFrame:
        found = super().read(table, run_ids, columns, sound=sound)
        for column in DROPPABLE.get(table, ()):
            if columns is None or column in columns:
                self.asked[table, column] |= set(found["run_id"])
        return found


def trim(folder: Path) -> Mapping[str, Trimmed]:
    """Drop what the report of a folder does not read of `DROPPABLE`, and return what came of each table.

    All tables are encoded as small as they can be. Raises InputError where it is no results folder or has damaged files,
    MachineError where it can't be written.
    """
    experiment, store = read_folder(folder), _Noting(folder)
    if damaged := store.damaged():
        path, why = next(iter(damaged.items()))
        raise InputError(f"{path} {why}: `mlpbench run` sets it aside and trains its runs again")
    with store.writing():
        test_examples.keep(experiment, store)
        if (
            test_examples.needed(experiment)
            and test_examples.test_set(experiment, store, keeping=False).labels() is None
        ):
            rule = "which predictions the report reads is known where the test labels are"
            raise InputError(f"{rule}, got {folder} without them: `mlpbench report` adds them where the data are")
        render(experiment, store)
        asked = {key: frozenset(ids) for key, ids in store.asked.items()}
        planned = frozenset(grid.all_run_ids(experiment, grid.conditions(experiment)))
        # Runs of another grid were not asked for by this one.
        others = set(store.read("runs", columns=["run_id"])["run_id"]) - planned
        return {
            table: _trim(store, table, {c: others | asked[table, c] for c in DROPPABLE.get(table, ())})
            for table in TABLES
        }


def _trim(store: Store, table: str, kept: Mapping[str, Collection[str]]) -> Trimmed:
    """Empty columns of a table but for some runs each."""
    before = _size(store, table)
    read = {column: pa.array(sorted(ids), pa.string()) for column, ids in kept.items()}

    def without(rows: pa.Table) -> pa.Table:
        for column, ids in read.items():
            at = rows.schema.get_field_index(column)
            nothing = pa.scalar(None, rows.schema.field(at).type)
            rows = rows.set_column(at, column, pc.if_else(pc.is_in(rows["run_id"], ids), rows[column], nothing))
        return rows

    store.rewrite(table, without)
    rows = store.read(table)
    left = rows.groupby("run_id")[list(read) or ["run_id"]].count().sum(axis=1) > 0
    return Trimmed(kept=int(left.sum()), dropped=int((~left).sum()), before=before, after=_size(store, table))


def _size(store: Store, table: str) -> int:
    return sum(path.stat().st_size for path in (store.folder / table).glob("*.parquet"))
