"""Make a results folder small enough to be published: remove the values that its report does not read.

Rendering the report shows what it reads. A removed value leaves its row with a null in it: the run is as done as before, and
`agreement` does not count what is not there as a difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.base.errors import InputError
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.evidence.frames import is_among
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.judge import judge
from mlpbench.report.report import render
from mlpbench.results import examples
from mlpbench.results.folder_check import open_folder
from mlpbench.results.schemas import DROPPABLE, DROPPED_TOGETHER, TABLES
from mlpbench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class TrimmedTable:
    """The number of runs of which a table keeps values and of which it has none, and its bytes before and after."""

    kept: int
    removed: int
    bytes_before: int
    bytes_after: int


class _ReadRecorder(Store):
    """A store that records of which runs the columns that may be removed are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.runs_read = {(table, column): set[str]() for table, columns in DROPPABLE.items() for column in columns}

    def read(
        self,
        table: str,
        run_ids: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        *,
        sound: bool = False,
    ) -> pd.DataFrame:
        rows = super().read(table, run_ids, columns, sound=sound)
        for group in DROPPED_TOGETHER.get(table, ()):
            if columns is None or not set(group).isdisjoint(columns):
                for column in group:
                    self.runs_read[table, column] |= set(rows["run_id"])
        return rows


def trim(folder: Path, say: Say = say_nothing, *, dry_run: bool = False) -> Mapping[str, TrimmedTable]:
    """Remove the values of `DROPPABLE` that the report of a folder does not read, and encode all tables as small as possible.

    Returns the outcome for each table; with `dry_run` nothing is written, and sizes stay as they are. Raises InputError where it is no results folder or has damaged files, MachineError
    where it can't be written. `say` gets a line about each file that is missing and can be restored.
    """
    store = _ReadRecorder(folder)
    experiment, _ = open_folder(store, say)
    with nullcontext() if dry_run else store.writing():
        if not dry_run:
            examples.keep_labels(experiment, store)
        if examples.lacks_labels(experiment, store):
            rule = "trim needs the test labels, to know which predictions the report reads"
            raise InputError(
                f"{rule}, got {folder} without them: run `mlpbench report` where the data are, which adds them"
            )
        for section in render(judge(experiment, store, for_report=True)).sections:
            if section.failure:  # what it would have read is not known
                rule = "trim needs a report whose every section can be made"
                raise InputError(f"{rule}, got {section.failure} in {section.title!r} of {folder}")
        read = {key: frozenset(ids) for key, ids in store.runs_read.items()}
        # The report of this grid does not read runs of another one: they are kept.
        others = _others(store, experiment)
        keep = {table: {c: others | read[table, c] for c in DROPPABLE.get(table, ())} for table in TABLES}
        return {table: _trim(store, table, keep[table], dry_run=dry_run) for table in TABLES}


def remove_others(folder: Path, say: Say = say_nothing, *, dry_run: bool = False) -> int:
    """Remove the runs of a folder that are not of the grid in its spec.yaml: of an earlier seed, or of settings that were changed.

    Returns how many there are; with `dry_run` nothing is written. That they were looked at stays in the register, and claims are
    judged at the level that this leaves. Raises InputError where it is no results folder or has damaged files, MachineError where it
    can't be written. `say` gets a line about each file that is missing and can be restored.
    """
    store = Store(folder)
    experiment, _ = open_folder(store, say)
    with nullcontext() if dry_run else store.writing():
        others = _others(store, experiment)
        if not dry_run:
            store.remove(others)
    return len(others)


def _others(store: Store, experiment: Experiment) -> set[str]:
    """Return the runs of a folder that are not of the grid."""
    planned = grid.all_run_ids(experiment, grid.conditions(experiment))
    return set(store.read("runs", columns=["run_id"])["run_id"]).difference(planned)


def _trim(store: Store, table: str, keep: Mapping[str, Collection[str]], *, dry_run: bool) -> TrimmedTable:
    """Empty columns of a table, each but for some runs, or say what that would come to."""
    before = _size(store, table)
    kept_ids = {column: pa.array(sorted(ids), pa.string()) for column, ids in keep.items()}

    def emptied(rows: pa.Table) -> pa.Table:
        for column, ids in kept_ids.items():
            at = rows.schema.get_field_index(column)
            nothing = pa.scalar(None, rows.schema.field(at).type)
            rows = rows.set_column(at, column, pc.if_else(pc.is_in(rows["run_id"], ids), rows[column], nothing))
        return rows

    if dry_run:
        rows = store.read(table)
        for column, ids in keep.items():
            rows[column] = rows[column].where(is_among(rows["run_id"], ids))
    else:
        store.rewrite(table, emptied)
        rows = store.read(table)
    left = rows.groupby("run_id")[list(kept_ids) or ["run_id"]].count().sum(axis=1) > 0
    return TrimmedTable(
        kept=int(left.sum()), removed=int((~left).sum()), bytes_before=before, bytes_after=_size(store, table)
    )


def _size(store: Store, table: str) -> int:
    return sum(path.stat().st_size for path in (store.folder / table).glob("*.parquet"))
