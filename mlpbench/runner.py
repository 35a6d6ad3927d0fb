"""The main job: what is missing, planned, trained, stored; then the report."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mlpbench import provenance
from mlpbench.errors import InputError
from mlpbench.executors import ProcessPool
from mlpbench.experiment import reading
from mlpbench.experiment.grid import Condition, Run, conditions, make_run
from mlpbench.experiment.plan import Stack, plan, probe_steps
from mlpbench.experiment.spec import Experiment
from mlpbench.progress import Progress
from mlpbench.store import Store
from mlpbench.training.setup import Setup

MEMORY_SHARE = 0.5
Rerun = Literal["failed", "stale", "all"]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run: where results go, on what, and what to train again."""

    results: Path = Path("results")
    device: str = "auto"
    workers: int | None = None
    threads: int = 1
    data_dir: Path | None = None
    rerun: Rerun | None = None
    fail_fast: bool = False
    report: bool = True
    quiet: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """The runs of a grid, and what the results folder has of them."""

    experiment: Experiment
    conditions: Sequence[Condition]
    runs: Sequence[Run]
    done: Sequence[Run]
    failed: Sequence[Run]
    stale: Sequence[Run]
    missing: Sequence[Run]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of an experiment came to: tables as DataFrames, and where they are."""

    experiment: Experiment
    folder: Path
    trained: int
    runs: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    claims: pd.DataFrame = field(repr=False)
    report: Path | None = None

    @property
    def failed(self) -> int:
        """How many runs of the grid failed."""
        return int((self.runs["status"] == "failed").sum())


def run(spec: Path | Mapping[str, Any], options: Options, overrides: Sequence[str] = (), say: Say = print) -> Outcome:
    """Train what is missing of an experiment and render its report.

    Raises InputError for a wrong spec, MachineError where the machine could not; finished stacks are kept.
    """
    experiment = read(spec, overrides)
    check_options(options)
    store = Store(options.results / experiment.name)
    if store.folder.exists() and not store.folder.is_dir():
        raise InputError(f"the results of {experiment.name} go into a folder, got the file {store.folder}")
    state = inspect(experiment, store, options)
    todo = _todo(state, options.rerun)
    if todo:
        _train(state, todo, store, options, say)
    elif not options.quiet:
        say(f"{experiment.name}: all {len(state.runs)} runs are done")
    if state.stale and options.rerun not in ("stale", "all"):
        say(
            f"{experiment.name}: {len(state.stale)} runs are stale (another device, thread count or numerics): "
            "--rerun stale trains them again"
        )
    return finish(experiment, store, options, trained=len(todo))


def read(spec: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Experiment:
    """Return the checked experiment of a file or a mapping; raise InputError."""
    return reading.from_mapping(spec, overrides) if isinstance(spec, Mapping) else reading.read(spec, overrides)


def check_options(options: Options) -> None:
    """Raise InputError for an option that can't be meant."""
    for name, value in (("--workers", options.workers), ("--threads", options.threads)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value}")
    if options.results.exists() and not options.results.is_dir():
        raise InputError(f"--results must be a folder, got the file {options.results}")


def inspect(experiment: Experiment, store: Store, options: Options) -> State:
    """Compare the grid with the results folder."""
    grid = conditions(experiment)
    runs = [make_run(experiment, c, r) for c in grid for r in range(experiment.replicates)]
    columns = ["run_id", "status", "diverged_at_step", "env_device", "env_threads", "env_numerics"]
    known = store.read("runs", columns=columns).set_index("run_id").to_dict("index")
    probed = set(store.read("layers", columns=["run_id", "step"]).drop_duplicates().itertuples(index=False, name=None))
    sorted_runs: dict[str, list[Run]] = {"done": [], "failed": [], "stale": [], "missing": []}
    for r in runs:
        row = known.get(r.run_id)
        kind = _kind(row, options)
        if kind == "done" and not _is_probed(r, row, experiment, probed):
            kind = "missing"
        sorted_runs[kind].append(r)
    return State(experiment=experiment, conditions=grid, runs=runs, **sorted_runs)


def _kind(row: Mapping[Any, Any] | None, options: Options) -> str:
    if row is None:
        return "missing"
    if row["status"] == "failed":
        return "failed"
    on_cpu = row["env_device"] == "cpu"
    wants_cpu = options.device == "cpu" or (options.device == "auto" and not _has_cuda())
    same = on_cpu == wants_cpu and row["env_threads"] == options.threads and row["env_numerics"] == "fast"
    return "done" if same else "stale"


def _is_probed(
    run: Run, row: Mapping[Any, Any] | None, experiment: Experiment, probed: Collection[tuple[str, int]]
) -> bool:
    """Return whether the run was measured at all steps that are asked for, up to where it diverged."""
    assert row is not None, "a run without a row is missing"
    end = row["diverged_at_step"] if row["status"] == "diverged" else math.inf
    steps = probe_steps(run.settings, experiment.probes)
    return all((run.run_id, step) in probed for step in steps if step < end)


def _todo(state: State, rerun: Rerun | None) -> list[Run]:
    wanted = list(state.missing)
    if rerun in ("failed", "all"):
        wanted += state.failed
    if rerun in ("stale", "all"):
        wanted += state.stale
    if rerun == "all":
        wanted += state.done
    return wanted


def stacks(state: State, todo: Sequence[Run], options: Options) -> list[Stack]:
    """Put the runs that are to be trained into stacks."""
    workers = n_workers(options)
    return plan(todo, state.experiment.data, workers=workers, memory=_memory(workers))


def n_workers(options: Options) -> int:
    """Return how many worker processes to use: one a processor for each of their threads, unless told."""
    return options.workers or max(1, len(os.sched_getaffinity(0)) // options.threads)


def _memory(workers: int) -> int:
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return int(available * MEMORY_SHARE / workers)


def device_name(device: str) -> str:
    """Return the device that `auto` stands for; raise InputError for a device that is not there."""
    if device == "cpu" or (device == "auto" and not _has_cuda()):
        return "cpu"
    import torch  # only where a GPU driver is present or one was asked for by name

    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    name = "cuda:0" if device == "cuda" else device
    there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name not in there:
        raise InputError(
            f"--device must be one of {', '.join(['auto', 'cpu', *there])} on this machine, got {device!r}"
        )
    return name


def _has_cuda() -> bool:
    """Return whether a GPU driver is loaded, without loading torch."""
    return Path("/proc/driver/nvidia/version").exists()


def _train(state: State, todo: Sequence[Run], store: Store, options: Options, say: Say) -> None:
    from mlpbench.training.datasets import fetch

    experiment = state.experiment
    device = device_name(options.device)
    if device == "cpu" and any(r.settings.precision == "tf32" for r in todo):
        raise InputError("precision tf32 needs a GPU, got the device cpu")
    fetch(experiment.dataset, data_dir=options.data_dir, say=None if options.quiet else say)
    planned = stacks(state, todo, options)
    setup = Setup(
        dataset=experiment.dataset,
        device=device,
        threads=options.threads,
        data_dir=options.data_dir,
        probes=experiment.probes,
    )
    by_id = {r.run_id: r for r in todo}
    with store.writing():
        store.write_text("spec.yaml", reading.dump(experiment))
        pool = ProcessPool(setup, min(n_workers(options), len(planned)))
        with Progress(experiment.name, planned, pool.workers, hidden=options.quiet) as progress:
            for stack, tables in pool.map(planned, progress.tick):
                rows = [_full_row(row, by_id[row["run_id"]], experiment) for row in tables["runs"]]
                store.add(stack.stack_id, tables | {"runs": rows})
                progress.finished(stack)
                failed = [row for row in rows if row["status"] == "failed"]
                for row in failed:
                    progress.note(f"{row['run_id']} failed: {row['error']}")
                if failed and options.fail_fast:
                    break


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


def finish(experiment: Experiment, store: Store, options: Options, *, trained: int = 0) -> Outcome:
    """Judge the claims over what the folder has, and render the report."""
    from mlpbench.evidence import claims, report

    grid = conditions(experiment)
    ids = [make_run(experiment, c, r).run_id for c in grid for r in range(experiment.replicates)]
    runs = store.read("runs", ids)
    curves = store.read("curves", runs["run_id"])
    judged = claims.judge(experiment, grid, runs, curves)
    path = None
    if options.report:
        report.write(report.render(experiment, grid, runs, curves), store.folder)
        path = store.folder / "report.md"
    return Outcome(
        experiment=experiment,
        folder=store.folder,
        trained=trained,
        runs=runs,
        curves=curves,
        claims=judged,
        report=path,
    )
