"""The main job: what is missing, planned, trained, stored; then the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mlpbench import provenance
from mlpbench.errors import InputError
from mlpbench.executors import ProcessPool
from mlpbench.experiment import grid, reading
from mlpbench.experiment.grid import Run
from mlpbench.experiment.spec import Experiment
from mlpbench.options import Options, device_name
from mlpbench.progress import Progress
from mlpbench.state import State, inspect
from mlpbench.store import ASIDE, Store
from mlpbench.training.setup import Setup

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of an experiment came to: tables as DataFrames, and where they are."""

    experiment: Experiment
    folder: Path
    trained: int
    runs: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    layers: pd.DataFrame = field(repr=False)
    claims: pd.DataFrame = field(repr=False)
    report: Path | None = None

    @property
    def failed(self) -> int:
        """How many runs of the grid failed."""
        return int((self.runs["status"] == "failed").sum())


def run(experiment: Experiment, options: Options, say: Say = print) -> Outcome:
    """Train what is missing of an experiment and render its report.

    Raises InputError for what is wrong before anything is written, MachineError where the machine could not; finished
    stacks are kept.
    """
    tell: Say = (lambda _line: None) if options.quiet else say
    store = Store(options.results / experiment.name)
    if store.folder.exists() and not store.folder.is_dir():
        raise InputError(f"the results of {experiment.name} go into a folder, got the file {store.folder}")
    _prepare(inspect(experiment, store, options), options, tell)
    with store.writing() as damaged:
        for path, why in damaged.items():
            tell(f"{path} {why}: set aside in {store.folder / ASIDE}, its runs are trained again")
        state = inspect(experiment, store, options)  # again: another process may have written until now
        todo = state.todo(options.rerun)
        store.write_text("spec.yaml", reading.dump(experiment))
        trained = _train(state, todo, store, options) if todo else 0
        store.compact()
        _tell(state, todo, options, tell)
        return finish(experiment, store, report=options.report, trained=trained)


def _prepare(state: State, options: Options, tell: Say) -> None:
    """Refuse what this machine can't do, and get the data, before anything is written."""
    todo = state.todo(options.rerun)
    if device_name(options.device) == "cpu" and any(r.settings.precision == "tf32" for r in todo):
        raise InputError("precision tf32 needs a GPU, got the device cpu")
    if todo:
        from mlpbench.training.datasets import fetch

        fetch(state.experiment.dataset, data_dir=options.data_dir, say=tell)


def _tell(state: State, todo: Sequence[Run], options: Options, tell: Say) -> None:
    name = state.experiment.name
    if not todo and not state.failed and not state.stale:
        tell(f"{name}: all {len(state.runs)} runs are done")
    if state.failed and options.rerun not in ("failed", "all"):
        tell(f"{name}: {len(state.failed)} of {len(state.runs)} runs failed before: --rerun failed trains them again")
    if state.stale and options.rerun not in ("stale", "all"):
        tell(
            f"{name}: {len(state.stale)} runs are stale, made with another {', '.join(state.stale_in)}: "
            "--rerun stale trains them again"
        )
    if state.others:
        tell(
            f"{name}: {state.others} runs in the folder are not of this grid: they are kept, and are no part of the "
            "report; another --results or --set name=... keeps experiments apart"
        )


def _train(state: State, todo: Sequence[Run], store: Store, options: Options) -> int:
    """Train runs and store them stack by stack; return how many were stored."""
    experiment = state.experiment
    planned = state.stacks(todo, options)
    setup = Setup(
        dataset=experiment.dataset,
        device=device_name(options.device),
        threads=options.threads,
        numerics=options.numerics,
        data_dir=options.data_dir,
        probes=experiment.probes,
    )
    by_id = {r.run_id: r for r in todo}
    pool = ProcessPool(setup, min(options.n_workers, len(planned)))
    stored = 0
    with Progress(experiment.name, planned, pool.workers, hidden=options.quiet) as progress:
        for stack, tables in pool.map(planned, progress.tick):
            rows = [_full_row(row, by_id[row["run_id"]], experiment) for row in tables["runs"]]
            store.add(stack.stack_id, tables | {"runs": rows})
            stored += len(rows)
            progress.finished(stack)
            failed = [row for row in rows if row["status"] == "failed"]
            for row in failed:
                progress.note(f"{row['run_id']} failed: {row['error']}")
            if failed and options.fail_fast:
                break
    return stored


def _full_row(row: Mapping[str, Any], run: Run, experiment: Experiment) -> dict[str, Any]:
    """Return the row of the runs table: what the worker measured, and what was known before."""
    return {
        **asdict(run.settings),
        "condition_id": run.condition.condition_id,
        "replicate": run.replicate,
        "fold": run.fold,
        "seed": run.seed,
        "dataset": experiment.dataset,
        **provenance.environment(),
        "env_dataset": experiment.data.fingerprint,
        **row,
    }


def finish(experiment: Experiment, store: Store, *, report: bool, trained: int = 0) -> Outcome:
    """Judge the claims over what the folder has, and render the report if that is wanted."""
    from mlpbench.evidence import claims
    from mlpbench.evidence import report as pages

    made = grid.conditions(experiment)
    runs = store.read("runs", [r.run_id for r in grid.runs(experiment, made)])
    curves, layers = (store.read(table, runs["run_id"]) for table in ("curves", "layers"))
    if report:
        page = pages.render(experiment, made, runs, curves)
        path, judged = pages.write(page, store.folder), page.claims
    else:
        path, judged = None, claims.judge(experiment, made, runs, curves)
    return Outcome(
        experiment=experiment,
        folder=store.folder,
        trained=trained,
        runs=runs,
        curves=curves,
        layers=layers,
        claims=judged,
        report=path,
    )
