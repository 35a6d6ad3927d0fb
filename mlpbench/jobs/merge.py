"""Two results folders side by side, and several joined into one."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mlpbench.base.atomic_files import UNFINISHED, refused
from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.numerics import KIND, differences
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import records
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.judge import finish
from mlpbench.results import look_record, weight_files
from mlpbench.results.folders import read_folder
from mlpbench.results.schemas import DROPPABLE, KEYS, SCHEMAS, TABLES
from mlpbench.results.store import Store
from mlpbench.results.verification_record import IDENTICAL, record, recorded

Tables = Mapping[str, pd.DataFrame]
MOST_NAMED = 10
ABANDONED_AFTER_S = 3600


class Conflict(MlpbenchError):
    """Two folders have different results of one run: status 1, a check found a difference."""

    status = 1


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two folders side by side: a row of `both` for each run they share, and the runs that only one of them has.

    `elsewhere` says in what the environments of shared runs differ, of all that bits may depend on.
    """

    both: pd.DataFrame
    only_a: Sequence[str]
    only_b: Sequence[str]
    labels: Mapping[str, str]
    elsewhere: Sequence[str]

    @property
    def same(self) -> bool:
        """Whether the folders have the same runs with the same results."""
        return not (self.only_a or self.only_b) and bool((self.both["grade"] == IDENTICAL).all())


def diff(a: Path, b: Path) -> Difference:
    """Compare two results folders run by run; raise InputError where one is none or is damaged."""
    experiments = [read_folder(folder) for folder in (a, b)]
    one, other = (_tables(folder) for folder in (a, b))
    ids = [set(tables["runs"]["run_id"]) for tables in (one, other)]
    labels: dict[str, str] = {}
    for experiment in reversed(experiments):
        labels |= _labels(experiment)
    return Difference(
        both=agreement(one, other),
        only_a=sorted(ids[0] - ids[1]),
        only_b=sorted(ids[1] - ids[0]),
        labels=labels,
        elsewhere=_elsewhere(one["runs"], other["runs"]),
    )


def _elsewhere(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    pairs = a[["run_id", *KIND]].merge(b[["run_id", *KIND]], on="run_id")[
        [f"{c}{s}" for s in ("_x", "_y") for c in KIND]
    ]
    found: dict[str, None] = {}
    for row in records(pairs.drop_duplicates()):
        sides = [{c: row[f"{c}{side}"] for c in KIND} for side in ("_x", "_y")]
        found |= dict.fromkeys(differences(*sides))
    return list(found)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A folder that others were joined into: how many runs are from each, and how many its grid does not have."""

    experiment: Experiment
    folder: Path
    taken: Mapping[Path, int]
    shared: int
    others: int


def merge(folders: Sequence[Path], to: Path) -> Joined:
    """Write one results folder with the runs of several, those of the first where they have the same.

    What `trim` has dropped of a run is taken from where it still is, and weights that were saved are copied. Raises Conflict
    where two folders have different results of a run; one that failed or is not whole gives way to another. InputError for
    what is no folder of one experiment, or where `to` has something in it. Nothing is written then.
    """
    _refuse(folders, to)
    experiments = [read_folder(folder) for folder in folders]
    if len({e.name for e in experiments}) > 1:
        names = " and ".join(sorted({e.name for e in experiments}))
        raise InputError(f"folders of one experiment can be joined, got {names}")
    joined: Tables = {t: SCHEMAS[t].empty_table().to_pandas() for t in TABLES}
    taken, shared = {}, 0
    for i, folder in enumerate(folders):
        tables = _tables(folder)
        _refuse_conflicts(joined, tables, folders[:i], folder)
        there = set(joined["runs"]["run_id"])
        mine, theirs = _ids(joined), _ids(tables)
        joined, gave_way = _giving_way(joined, mine, theirs)
        new = set(tables["runs"]["run_id"]) - (there - gave_way)
        shared += len(tables["runs"]) - len(new)
        taken[folder] = len(new)
        joined = {
            t: pd.concat([_filled(joined[t], tables[t], t, mine & theirs), tables[t][tables[t]["run_id"].isin(new)]])
            for t in TABLES
        }
    ids = set(joined["runs"]["run_id"])
    grids = [{r.run_id for r in grid.runs(e)} for e in experiments]
    largest = max(range(len(grids)), key=lambda i: len(grids[i] & ids))
    _write(experiments[largest], joined, folders, to)
    return Joined(
        experiment=experiments[largest], folder=to, taken=taken, shared=shared, others=len(ids - grids[largest])
    )


def _refuse(folders: Sequence[Path], to: Path) -> None:
    if len(folders) < 2:
        raise InputError(f"two folders or more can be joined, got {len(folders)}")
    places = [folder.resolve() for folder in folders]
    twice = [f for i, f in enumerate(folders) if places[i] in places[:i]]
    if twice:
        raise InputError(f"folders to be joined must differ, got {twice[0]} twice")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"the joined folder must be a new or an empty one, got {to} with something in it")
    within = [f for f, place in zip(folders, places, strict=True) if place in to.resolve().parents]
    if within:
        raise InputError(f"the joined folder must lie outside those that are joined, got {to} in {within[0]}")


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    store = Store(folder)
    return {table: store.read(table) for table in TABLES}


def _labels(experiment: Experiment) -> dict[str, str]:
    return {r.run_id: f"{r.label}, replicate {r.replicate}" for r in grid.runs(experiment)}


def _refuse_conflicts(joined: Tables, tables: Tables, before: Sequence[Path], folder: Path) -> None:
    found = agreement(*(_finished(side) for side in (joined, tables)))
    conflicts = found[found["grade"] != IDENTICAL]
    if len(conflicts):
        labels = _labels(read_folder(folder))
        lines = [
            f"\n  {labels.get(run_id, run_id)} ({run_id}): {grade}, {differs}"
            for run_id, grade, differs in conflicts.head(MOST_NAMED).itertuples(index=False)
        ]
        more = [f"\n  and {len(conflicts) - MOST_NAMED} more"] if len(conflicts) > MOST_NAMED else []
        raise Conflict(
            f"folders can be joined where runs they share have the same results, and {len(conflicts)} of {folder} differ "
            f"from {' and '.join(map(str, before))}; `mlpbench verify` says which of them this machine makes again:"
            + "".join(lines + more)
        )


def _finished(tables: Tables) -> Tables:
    """Return tables without the rows of runs that failed, or of which a table has nothing, as of a copy cut short."""
    runs = tables["runs"]
    here = {t: runs["run_id"].isin(set(f["run_id"])) for t, f in tables.items()}
    whole = here["curves"] & (here["predictions"] | (runs["status"] != "ok") | runs["fold"].notna())
    return {**tables, "runs": runs[(runs["status"] != "failed") & whole]}


def _ids(tables: Tables) -> set[str]:
    """Return the runs that are finished."""
    return set(_finished(tables)["runs"]["run_id"])


def _giving_way(joined: Tables, mine: set[str], theirs: set[str]) -> tuple[Tables, set[str]]:
    """Return what is joined so far without runs that are finished in the next tables (`theirs`) only, and which those are."""
    gave_way = (set(joined["runs"]["run_id"]) - mine) & theirs
    return {t: f[~f["run_id"].isin(gave_way)] for t, f in joined.items()}, gave_way


def _filled(frame: pd.DataFrame, other: pd.DataFrame, table: str, compared: set[str]) -> pd.DataFrame:
    """Return rows with what `trim` has dropped of them, where another folder still has it of runs that were compared."""
    if table not in DROPPABLE or frame.empty:
        return frame
    keys, columns = list(KEYS[table]), DROPPABLE[table]
    found = frame[keys].merge(other.loc[other["run_id"].isin(compared), [*keys, *columns]], on=keys, how="left")
    return frame.assign(**{c: frame[c].where(frame[c].notna(), found[c].to_numpy()) for c in columns})


def _arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    made = pa.Table.from_pandas(frame, schema=SCHEMAS[table], preserve_index=False)
    return made.sort_by([(key, "ascending") for key in KEYS[table]])


def _write(experiment: Experiment, tables: Tables, folders: Sequence[Path], to: Path) -> None:
    """Make the folder with its report beside its place and move it there, so that it appears whole or not at all."""
    to = to.resolve()
    _sweep(to)
    beside = to.with_name(f".{to.name}.{uuid.uuid4().hex}.tmp")
    verified = {run_id: entry for folder in reversed(folders) for run_id, entry in recorded(folder).items()}
    try:
        store = Store(beside)
        with store.writing():
            store.write_text("spec.yaml", yaml_reader.dump(experiment, to))
            if looks := look_record.joined(folders):
                look_record.record(beside, looks)
            if verified:
                record(beside, verified)
            runs = tables["runs"]
            digests = zip(runs["run_id"], runs["weights_sha256"], strict=True)
            weight_files.copy([Store(f) for f in folders], digests, beside)
            store.put("joined", {t: _arrow(t, f) for t, f in tables.items()})
        finish(experiment, store, report=True)
        os.replace(beside, to)
    except OSError as error:
        raise refused(to, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sweep(to: Path) -> None:
    """Remove what a killed process left beside the place of a folder, once it is old enough to be nobody's."""
    for left in to.parent.glob(f".{to.name}.*"):
        old = time.time() - left.lstat().st_mtime > ABANDONED_AFTER_S
        if old and UNFINISHED.fullmatch(left.name) and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
