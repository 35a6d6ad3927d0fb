"""Several results folders of one experiment joined into a new one."""

from __future__ import annotations

import glob
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.files import UNFINISHED, refused, sync_folder
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import is_among
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.diff import read_tables, run_labels
from mlpbench.jobs.judge import finish
from mlpbench.results import weight_files
from mlpbench.results.folder_check import open_folders
from mlpbench.results.folders import (
    IDENTICAL,
    merged_interim_analyses,
    read_verifications,
    write_interim_analyses,
    write_verifications,
)
from mlpbench.results.register import merged_registers, read_register, write_register
from mlpbench.results.schemas import DROPPABLE, KEYS, SCHEMAS, TABLES
from mlpbench.results.store import Store

Tables = Mapping[str, pd.DataFrame]
MOST_NAMED = 10
ABANDONED_AFTER_S = 3600


class Conflict(MlpbenchError):
    """Two folders have different results of one run: status 1, a check found a difference."""

    status = 1


@dataclass(frozen=True, kw_only=True)
class MergedFolder:
    """A folder that others were joined into.

    `taken` counts the runs from each folder, `shared` those that were in several, `others` those not in the grid of the
    new folder.
    """

    experiment: Experiment
    folder: Path
    taken: Mapping[Path, int]
    shared: int
    others: int


def merge(folders: Sequence[Path], to: Path, say: Say = say_nothing, *, dry_run: bool = False) -> MergedFolder:
    """Write one results folder with the runs of several.

    A run in several folders is taken from the first that finished it, and what `trim` removed of it from another one.
    Weights that were saved are copied. Nothing is written where an error is raised.

    Args:
        folders: Results folders of one experiment.
        to: The new folder, which must not exist or must be empty.
        say: gets a line about each file that is missing and can be restored.
        dry_run: write nothing, and return what would come of it.

    Raises:
        Conflict: Two folders have different results of one run.
        InputError: One of them is no results folder, they are of different experiments, or `to` is not empty.
        MachineError: The disk refuses.

    """
    _check_places(folders, to)
    opened = open_folders(folders, say)
    experiments = [experiment for experiment, _ in opened]
    stores = [store for _, store in opened]
    if len({e.name for e in experiments}) > 1:
        names = " and ".join(sorted({e.name for e in experiments}))
        raise InputError(f"folders to be merged must be of one experiment, got {names}")
    merged: Tables = {t: SCHEMAS[t].empty_table().to_pandas() for t in TABLES}
    taken, shared = {}, 0
    for i, folder in enumerate(folders):
        tables = read_tables(stores[i])
        _refuse_conflicts(merged, tables, folders[:i], folder, experiments[i])
        finished, finished_here = _finished_ids(merged), _finished_ids(tables)
        present = set(merged["runs"]["run_id"])
        replaced = (present - finished) & finished_here
        new = set(tables["runs"]["run_id"]) - (present - replaced)
        shared += len(tables["runs"]) - len(new)
        taken[folder] = len(new)
        unreplaced = {t: frame[~is_among(frame["run_id"], replaced)] for t, frame in merged.items()}
        filled = {t: _fill_trimmed(unreplaced[t], tables[t], t, finished & finished_here) for t in TABLES}
        merged = {t: pd.concat([filled[t], tables[t][is_among(tables[t]["run_id"], new)]]) for t in TABLES}
    ids = set(merged["runs"]["run_id"])
    grids = [set(grid.all_run_ids(e)) for e in experiments]
    largest = max(range(len(grids)), key=lambda i: len(grids[i] & ids))
    if not dry_run:
        _write(experiments[largest], merged, stores, to)
    return MergedFolder(
        experiment=experiments[largest], folder=to, taken=taken, shared=shared, others=len(ids - grids[largest])
    )


def _check_places(folders: Sequence[Path], to: Path) -> None:
    if len(folders) < 2:
        raise InputError(f"at least two folders can be merged, got {len(folders)}")
    places = [folder.resolve() for folder in folders]
    twice = [f for i, f in enumerate(folders) if places[i] in places[:i]]
    if twice:
        raise InputError(f"folders to be merged must differ, got {twice[0]} twice")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"the merged folder must be new or empty, got {to} with something in it")
    within = [f for f, place in zip(folders, places, strict=True) if place in to.resolve().parents]
    if within:
        raise InputError(f"the merged folder must lie outside those that are merged, got {to} in {within[0]}")


def _refuse_conflicts(
    merged: Tables, tables: Tables, before: Sequence[Path], folder: Path, experiment: Experiment
) -> None:
    agreed = agreement(_finished(merged), _finished(tables))
    conflicts = agreed[agreed["grade"] != IDENTICAL]
    if conflicts.empty:
        return
    labels = run_labels(experiment)
    lines = [
        f"\n  {labels.get(run_id, run_id)} ({run_id}): {grade}, {differs}"
        for run_id, grade, differs in conflicts.head(MOST_NAMED).itertuples(index=False)
    ]
    more = [f"\n  and {len(conflicts) - MOST_NAMED} more"] if len(conflicts) > MOST_NAMED else []
    raise Conflict(
        f"folders can be merged if runs in several of them have the same results, but {len(conflicts)} runs of {folder} "
        f"differ from {' and '.join(map(str, before))}; `mlpbench verify` says which of them this machine reproduces:"
        + "".join(lines + more)
    )


def _finished(tables: Tables) -> Tables:
    """Return tables without the rows of runs that failed, or of which a table has nothing, as in a copy that is cut short."""
    runs = tables["runs"]
    has_rows = {t: is_among(runs["run_id"], frame["run_id"]) for t, frame in tables.items()}
    whole = has_rows["curves"] & (has_rows["predictions"] | (runs["status"] != "ok") | runs["fold"].notna())
    return {**tables, "runs": runs[(runs["status"] != "failed") & whole]}


def _finished_ids(tables: Tables) -> set[str]:
    return set(_finished(tables)["runs"]["run_id"])


def _fill_trimmed(frame: pd.DataFrame, other: pd.DataFrame, table: str, compared: set[str]) -> pd.DataFrame:
    """Return rows with what `trim` removed of them, where another folder still has it of runs that were compared."""
    if table not in DROPPABLE or frame.empty:
        return frame
    keys, columns = list(KEYS[table]), DROPPABLE[table]
    values = frame[keys].merge(other.loc[is_among(other["run_id"], compared), [*keys, *columns]], on=keys, how="left")
    return frame.assign(**{c: frame[c].where(frame[c].notna(), values[c].to_numpy()) for c in columns})


def _to_arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    rows = pa.Table.from_pandas(frame, schema=SCHEMAS[table], preserve_index=False)
    return rows.sort_by([(key, "ascending") for key in KEYS[table]])


def _write(experiment: Experiment, tables: Tables, stores: Sequence[Store], to: Path) -> None:
    """Write the folder and its report beside its place and move it there, so that it appears whole or not at all."""
    to = to.resolve()
    _remove_abandoned(to)
    beside = to.with_name(f".{to.name}.{uuid.uuid4().hex}.tmp")
    folders = [store.folder for store in stores]
    verified = {run_id: entry for folder in reversed(folders) for run_id, entry in read_verifications(folder).items()}
    try:
        store = Store(beside)
        with store.writing():
            store.write_spec(yaml_reader.dump(experiment, to))
            write_register(beside, merged_registers([read_register(folder) for folder in folders]))
            if analyses := merged_interim_analyses(folders):
                write_interim_analyses(beside, analyses)
            if verified:
                write_verifications(beside, verified)
            runs = tables["runs"]
            digests = zip(runs["run_id"], runs["weights_sha256"], strict=True)
            weight_files.copy([store.weights() for store in stores], digests, beside)
            store.put("joined", {t: _to_arrow(t, frame) for t, frame in tables.items()})
        finish(experiment, store, report=True)
        os.replace(beside, to)
        sync_folder(to.parent)
    except OSError as error:
        raise refused(to, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _remove_abandoned(to: Path) -> None:
    """Remove what a killed process left beside the place of a folder, once it is too old to be in use."""
    for path in to.parent.glob(f".{glob.escape(to.name)}.*"):
        old = time.time() - path.lstat().st_mtime > ABANDONED_AFTER_S
        if old and UNFINISHED.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
