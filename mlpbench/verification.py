"""Train stored runs again, alone, and compare what comes out with what the tables have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlpbench import numerics
from mlpbench.errors import InputError
from mlpbench.evidence.agreement import IDENTICAL, WITHIN, agreement
from mlpbench.evidence.frames import records
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import make_stack
from mlpbench.experiment.spec import Experiment
from mlpbench.options import Options, environment
from mlpbench.runner import train
from mlpbench.schemas import SCHEMAS, TABLES
from mlpbench.store import Store
from mlpbench.verified import digest_of, record, recorded

# Columns of the way a run was trained, which is how it is trained again.
WAY = ["env_device", "env_numerics", "env_threads"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What came of it: for each run trained again its grade, and the files that are not what was written.

    `checked` has a row for each run: `run_id`, `label`, `replicate`, `grade`, `differs`, and `elsewhere`: in what the
    environment it was made in differs from this one, empty where its bits have to be the same here.
    """

    experiment: Experiment
    stored: int
    checked: pd.DataFrame
    damaged: Mapping[Path, str]

    @property
    def passed(self) -> bool:
        """Whether all is as it has to be: the same bits, or within tolerance where the environment is another."""
        elsewhere = (self.checked["elsewhere"] != "") & (self.checked["grade"] == WITHIN)
        return not self.damaged and bool((elsewhere | (self.checked["grade"] == IDENTICAL)).all())


def verify(experiment: Experiment, store: Store, options: Options, sample: int | None) -> Verification:
    """Train `sample` runs of a folder again, or all; those that never were come first. Raises InputError for no runs."""
    damaged = store.damaged()
    stored = {table: _all_rows(store, table) for table in TABLES}
    rows = stored["runs"].set_index("run_id", drop=False)
    rows = rows[rows["status"] != "failed"]
    known = [r for r in grid.runs(experiment) if r.run_id in rows.index]
    if not known:
        raise InputError(f"there must be finished runs to verify, got none of this experiment in {store.folder}")
    before = recorded(store.folder)
    chosen = sorted(known, key=lambda r: (r.run_id in before, r.run_id))[:sample]
    parts = []
    for _, group in rows.loc[[r.run_id for r in chosen]].groupby(WAY, dropna=False):
        members = set(group["run_id"])
        here = _as_made(options, group.iloc[0])
        fresh = _trained(experiment, [r for r in chosen if r.run_id in members], here)
        found = agreement({t: f[f["run_id"].isin(members)] for t, f in stored.items()}, fresh)
        now = environment(here)
        made = {str(row["run_id"]): ", ".join(numerics.differences(row, now)) for row in records(group)}
        parts.append(found.assign(elsewhere=found["run_id"].map(made)))
    label = pd.DataFrame([(r.run_id, r.condition.label, r.replicate) for r in chosen])
    label.columns = pd.Index(["run_id", "label", "replicate"])
    checked = label.merge(pd.concat(parts), on="run_id")
    record(store.folder, before | _entries(checked, rows, environment(options)))
    return Verification(experiment=experiment, stored=len(known), checked=checked, damaged=damaged)


def _all_rows(store: Store, table: str) -> pd.DataFrame:
    """Return a table with what damaged files still have: which of their runs were altered is to be found out."""
    sound, rest = store.read(table, sound=True), store.salvaged(table)
    rest = rest[~rest["run_id"].isin(set(sound["run_id"]))]
    return pd.concat([sound, rest]) if len(rest) else sound


def _as_made(options: Options, row: pd.Series[Any]) -> Options:
    """Return the options a run was trained with: on a GPU only where one is."""
    device = "cpu" if row["env_device"] == "cpu" else options.device
    return replace(options, device=device, numerics=row["env_numerics"], threads=int(row["env_threads"]))


def _trained(experiment: Experiment, runs: Sequence[Run], options: Options) -> dict[str, pd.DataFrame]:
    stacks = sorted((make_stack([r], experiment.data) for r in runs), key=lambda s: (-s.seconds, s.stack_id))
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for _, tables in train(experiment, stacks, options):
        for table in TABLES:
            rows[table] += tables[table]
    return {t: pa.Table.from_pylist(rows[t], schema=SCHEMAS[t]).to_pandas() for t in TABLES}


def _entries(checked: pd.DataFrame, rows: pd.DataFrame, here: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    place = {"cpu": here["env_cpu"], "torch": here["env_torch"]}
    weights = rows["weights_sha256"].astype(object)
    return {
        row["run_id"]: {"grade": row["grade"], "weights_sha256": digest_of(weights[row["run_id"]]), **place}
        for row in records(checked)
    }
