"""Train stored runs again, alone, and compare what comes out with what the tables have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlpbench.base import numerics
from mlpbench.base.errors import InputError, MachineError
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import records
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import make_stack
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options, environment
from mlpbench.jobs.run import get_data, train
from mlpbench.results.schemas import SCHEMAS, TABLES
from mlpbench.results.store import Store
from mlpbench.results.verification_record import IDENTICAL, WITHIN, digest_of, record, recorded

# Columns of the way a run was trained, which is how it is trained again.
WAY = ["env_device", "env_numerics", "env_threads"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What came of it: for each run trained again its grade, and what of the folder is not what was written.

    `checked` has a row for each run: `run_id`, `label`, `replicate`, `grade`, `differs`, and `elsewhere`: in what the
    environment it was made in differs from this one, empty where its bits have to be the same here. `lost` are the runs
    of the grid of which no row can be read, where files are `damaged`; `unrecorded` is why the folder has no record of it.
    """

    experiment: Experiment
    stored: int
    checked: pd.DataFrame
    damaged: Mapping[Path, str]
    lost: Sequence[Run]
    unrecorded: MachineError | None = None

    @property
    def passed(self) -> bool:
        """Whether all is as it has to be: the same bits, or within tolerance where the environment is another."""
        elsewhere = (self.checked["elsewhere"] != "") & (self.checked["grade"] == WITHIN)
        return not self.damaged and bool((elsewhere | (self.checked["grade"] == IDENTICAL)).all())


def verify(experiment: Experiment, store: Store, options: Options, sample: int | None) -> Verification:
    """Train `sample` runs of a folder again, or all; those that never were come first.

    What was found out is on record even if this is interrupted. Raises InputError where there is nothing to train again.
    """
    damaged = store.damaged()
    stored = {table: _all_rows(store, table) for table in TABLES}
    rows = stored["runs"].set_index("run_id", drop=False)
    planned = list(grid.runs(experiment))
    lost = [r for r in planned if r.run_id not in rows.index] if damaged else []
    rows = rows[rows["status"] != "failed"]
    known = [r for r in planned if r.run_id in rows.index]
    if not known and not damaged:
        raise InputError(f"there must be finished runs to verify, got none of this experiment in {store.folder}")
    before = recorded(store.folder)
    chosen = sorted(known, key=lambda r: (r.run_id in before, r.run_id))[:sample]
    get_data(experiment, options)
    rows = rows.loc[[r.run_id for r in chosen]]
    kept = {t: dict(list(f[f["run_id"].isin(rows.index)].groupby("run_id"))) for t, f in stored.items()}
    made = {row["run_id"]: row for row in records(rows)}
    found: list[dict[str, Any]] = []
    try:
        for _, group in rows.groupby(WAY, dropna=False):
            here = as_made(options, group.iloc[0])
            now = environment(here)
            for run, fresh in _trained(experiment, [r for r in chosen if r.run_id in group.index], here):
                old = {t: kept[t].get(run.run_id, stored[t].head(0)) for t in TABLES}
                (row,) = records(agreement(old, fresh, complete=True))
                where = {"label": run.label, "replicate": run.replicate}
                found.append(row | where | {"elsewhere": ", ".join(numerics.differences(made[run.run_id], now))})
    finally:
        unrecorded = _record(store.folder, _entries(found, made, environment(options))) if found else None
    columns = ["run_id", "label", "replicate", "grade", "differs", "elsewhere"]
    checked = pd.DataFrame(found, columns=columns).sort_values("run_id", ignore_index=True)
    return Verification(
        experiment=experiment, stored=len(known), checked=checked, damaged=damaged, lost=lost, unrecorded=unrecorded
    )


def _all_rows(store: Store, table: str) -> pd.DataFrame:
    """Return a table with what damaged files still have: which of their runs were altered is to be found out."""
    sound, rest = store.read(table, sound=True), store.salvaged(table)
    rest = rest[~rest["run_id"].isin(set(sound["run_id"]))]
    return pd.concat([sound, rest]) if len(rest) else sound


def as_made(options: Options, row: pd.Series[Any]) -> Options:
    """Return the options a run was trained with, as far as its row says: on a GPU only where one is."""
    made = row[WAY].to_dict()
    device = "cpu" if made["env_device"] == "cpu" else options.device
    mode = made["env_numerics"] if made["env_numerics"] in numerics.MODES else options.numerics
    threads = options.threads if pd.isna(made["env_threads"]) else int(made["env_threads"])
    return replace(options, device=device, numerics=mode, threads=threads)


def _trained(
    experiment: Experiment, runs: Sequence[Run], options: Options
) -> Iterator[tuple[Run, dict[str, pd.DataFrame]]]:
    """Yield each run with the rows of its tables, trained alone."""
    stacks = sorted((make_stack([r], experiment.data) for r in runs), key=lambda s: (-s.seconds, s.stack_id))
    for stack, tables in train(experiment, stacks, options):
        rows = {t: pa.Table.from_pylist([dict(r) for r in tables[t]], schema=SCHEMAS[t]) for t in TABLES}
        yield stack.runs[0], {t: table.to_pandas() for t, table in rows.items()}


def _record(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> MachineError | None:
    """Add to the record of a folder; return why that could not be, as of one that is read-only."""
    try:
        record(folder, recorded(folder) | dict(entries))
    except MachineError as error:
        return error
    return None


def _entries(
    found: Sequence[Mapping[str, Any]], made: Mapping[str, Mapping[str, Any]], here: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    place = {"cpu": here["env_cpu"], "torch": here["env_torch"]}
    return {
        row["run_id"]: {
            "grade": row["grade"],
            "weights_sha256": digest_of(made[row["run_id"]]["weights_sha256"]),
            **place,
        }
        for row in found
    }
