"""Train stored runs again, each alone, and compare the results with what the tables have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlpbench.base.environment import MODES, differences, mode_here
from mlpbench.base.errors import InputError, MachineError
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.frames import is_among, records
from mlpbench.evidence.refit_epochs import with_refit_epochs
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import make_stack
from mlpbench.experiment.plugins.plugin import recorded, used_by, with_code
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options, check_possible, environment
from mlpbench.jobs.run import get_data, train
from mlpbench.results.folders import IDENTICAL, WITHIN, VerifiedRun, digest_of, read_verifications, write_verifications
from mlpbench.results.schemas import SCHEMAS, TABLES
from mlpbench.results.store import Store

# Columns that say how a run was trained, and so how it is trained again.
TRAINED_ON = ["env_device", "env_numerics", "env_threads"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How far runs that were trained again agree with their rows, and which files are not what was written.

    `checked` has a row for each run: `run_id`, `label`, `replicate`, `grade`, `differs`, and `elsewhere`: in what its
    environment differs from this one, empty where its bits must be the same here. `lost` are the runs of the grid of which
    no row can be read, where files are `damaged`; `unrecorded` is why the folder has no record of the verification.
    """

    experiment: Experiment
    stored: int
    checked: pd.DataFrame
    damaged: Mapping[Path, str]
    lost: Sequence[Run]
    unrecorded: MachineError | None = None

    @property
    def passed(self) -> bool:
        """Whether no file is damaged and all runs are identical, or within tolerance where the environment is another."""
        elsewhere = (self.checked["elsewhere"] != "") & (self.checked["grade"] == WITHIN)
        return not self.damaged and bool((elsewhere | (self.checked["grade"] == IDENTICAL)).all())


def verify(
    experiment: Experiment, store: Store, options: Options, sample: int | None, say: Say = say_nothing
) -> Verification:
    """Train runs of a folder again and compare; those that were never verified come first.

    Results are put on record even where this is interrupted.

    Args:
        experiment: The experiment of the folder.
        store: The tables of the folder.
        options: Where to train; numerics and threads are those of each run.
        sample: The number of runs; all of them if it is None.
        say: gets a line about the GPU that runs are trained on, if there is one.

    Raises:
        InputError: The folder has no finished run, or the code of a plugin that runs need is not given, or another by now.
        MachineError: The data can't be had.

    """
    damaged = store.damaged()
    stored = {table: _all_rows(store, table) for table in TABLES}
    rows = stored["runs"].set_index("run_id", drop=False)
    conditions = grid.conditions(experiment)
    planned = with_refit_epochs(grid.runs(experiment, conditions), experiment, conditions, stored["runs"])
    lost = [r for r in planned if r.run_id not in rows.index] if damaged else []
    rows = rows[rows["status"] != "failed"]
    stored_runs = [r for r in planned if r.run_id in rows.index]
    if not stored_runs and not damaged:
        raise InputError(f"verify needs finished runs, got none of this experiment in {store.folder}")
    verified = read_verifications(store.folder)
    chosen = sorted(stored_runs, key=lambda r: (r.run_id in verified, r.run_id))[:sample]
    check_possible([run.settings.precision for run in chosen], options)
    needed = used_by(recorded(experiment.plugins), (run.settings for run in chosen))
    experiment = experiment.model_copy(update={"plugins": with_code(needed, options.plugin_files, "verify")})
    get_data(experiment, options)
    rows = rows.loc[[r.run_id for r in chosen]]
    row_of = {row["run_id"]: row for row in records(rows)}
    by_run = {t: dict(list(f[is_among(f["run_id"], rows.index)].groupby("run_id"))) for t, f in stored.items()}
    checked: list[dict[str, Any]] = []
    gpu_said = False
    try:
        for _, group in rows.groupby(TRAINED_ON, dropna=False):
            options_then = as_trained(options, group.iloc[0])
            here = environment(options_then)
            if (words := options_then.gpu_words) and not gpu_said:
                say(f"{experiment.name}: training on {words}")
                gpu_said = True
            for run, fresh in _train_alone(experiment, [r for r in chosen if r.run_id in group.index], options_then):
                old = {t: by_run[t].get(run.run_id, stored[t].head(0)) for t in TABLES}
                (agreed,) = records(agreement(old, fresh, complete=True))
                elsewhere = ", ".join(differences(row_of[run.run_id], here))
                checked.append(agreed | {"label": run.label, "replicate": run.replicate, "elsewhere": elsewhere})
    finally:
        unrecorded = _record(store.folder, checked, row_of, environment(options)) if checked else None
    columns = ["run_id", "label", "replicate", "grade", "differs", "elsewhere"]
    return Verification(
        experiment=experiment,
        stored=len(stored_runs),
        checked=pd.DataFrame(checked, columns=columns).sort_values("run_id", ignore_index=True),
        damaged=damaged,
        lost=lost,
        unrecorded=unrecorded,
    )


def _all_rows(store: Store, table: str) -> pd.DataFrame:
    """Return a table with what damaged files still have: verifying finds out which of their runs were altered."""
    sound, rest = store.read(table, sound=True), store.salvaged(table)
    rest = rest[~is_among(rest["run_id"], sound["run_id"])]
    return pd.concat([sound, rest]) if len(rest) else sound


def as_trained(options: Options, row: pd.Series[Any]) -> Options:
    """Return the options a run was trained with, as far as its row says and this machine has such a device and mode."""
    trained_on = row[TRAINED_ON].to_dict()
    device = "cpu" if trained_on["env_device"] == "cpu" else options.device
    mode = trained_on["env_numerics"] if trained_on["env_numerics"] in MODES else options.numerics
    threads = options.threads if pd.isna(trained_on["env_threads"]) else int(trained_on["env_threads"])
    return replace(options, device=device, numerics=mode_here(mode), threads=threads)


def _train_alone(
    experiment: Experiment, runs: Sequence[Run], options: Options
) -> Iterator[tuple[Run, dict[str, pd.DataFrame]]]:
    """Yield each run with the rows of its tables, trained alone."""
    stacks = sorted((make_stack([r]) for r in runs), key=lambda s: (-s.seconds, s.stack_id))
    for stack, trained in train(experiment, stacks, options):
        rows = {t: pa.Table.from_pylist(vars(trained)[t], schema=SCHEMAS[t]) for t in TABLES}
        yield stack.runs[0], {t: table.to_pandas() for t, table in rows.items()}


def _record(
    folder: Path,
    checked: Sequence[Mapping[str, Any]],
    row_of: Mapping[str, Mapping[str, Any]],
    here: Mapping[str, Any],
) -> MachineError | None:
    """Add to the record of a folder; return why that is not possible, as in one that is read-only."""
    new = {
        run["run_id"]: VerifiedRun(
            grade=run["grade"],
            weights_sha256=digest_of(row_of[run["run_id"]]["weights_sha256"]),
            cpu=here["env_cpu"],
            torch=here["env_torch"],
        )
        for run in checked
    }
    try:
        write_verifications(folder, read_verifications(folder) | new)
    except MachineError as error:
        return error
    return None
