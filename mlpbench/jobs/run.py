"""The main job: what is missing, planned, trained, stored; then the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlpbench.base import environment
from mlpbench.base.errors import InputError
from mlpbench.executors.executor import EXECUTORS, Setup, Tables, device_name
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Condition, Run
from mlpbench.experiment.plan import Stack
from mlpbench.experiment.spec import Experiment, UntilDecided
from mlpbench.jobs.inventory import State, inspect
from mlpbench.jobs.judge import Outcome, finish, read_tables
from mlpbench.jobs.look_notes import note
from mlpbench.jobs.options import Options
from mlpbench.jobs.progress import Progress
from mlpbench.jobs.rounds import has_rounds
from mlpbench.results.store import ASIDE, Store

Say = Callable[[str], None]
# More runs than this are no slip of the keyboard only if the user says so.
MOST_UNASKED = 100_000


def run(experiment: Experiment, options: Options, say: Say = print) -> Outcome:
    """Train what is missing of an experiment and render its report.

    Raises InputError for what is wrong before anything is written, MachineError where the machine could not; finished
    stacks are kept.
    """
    tell: Say = (lambda _line: None) if options.quiet else say
    filed, experiment = experiment, topped_up(experiment, options)
    store = Store(options.results / experiment.name)
    if store.folder.exists() and not store.folder.is_dir():
        raise InputError(f"the results of {experiment.name} go into a folder, got the file {store.folder}")
    state = inspect(experiment, store, options)
    _confirm(state, options)
    _prepare(state, options, tell)
    with store.writing() as damaged:
        for path, why in damaged.items():
            tell(f"{path} {why}: set aside in {store.folder / ASIDE}, its runs are trained again")
        if state.n_todo(options.rerun):
            state = inspect(experiment, store, options)  # again: another process may have written until now
        todo = state.todo(options.rerun)
        store.write_text("spec.yaml", yaml_reader.dump(experiment, store.folder))
        trained = _train(state, todo, store, options) if todo else 0
        if has_rounds(experiment):
            state, more = _in_rounds(state, todo, store, options, filed)
            trained += more
        store.compact()
        _tell(state, todo, options, tell)
        return finish(experiment, store, state.conditions, report=options.report, trained=trained, filed=filed)


def topped_up(experiment: Experiment, options: Options) -> Experiment:
    """Return the experiment with the top-up that options ask for; raise InputError for one that can't be."""
    if not options.until_decided and options.max_replicates is None:
        return experiment
    most = options.max_replicates
    if most is None or not options.until_decided:
        if experiment.until_decided is None:
            given, other = ("--until-decided", "--max-replicates N")[:: 1 if options.until_decided else -1]
            raise InputError(f"{given.removesuffix(' N')} needs {other} where the experiment declares no until_decided")
        most = most or experiment.most_replicates
    if not experiment.claims:
        raise InputError(f"--until-decided needs claims to decide, got none in {experiment.name}")
    if most <= experiment.replicates or experiment.replicates < 2 or not experiment.vary:
        rule = "--max-replicates must be above replicates, of which there are 2 or more"
        raise InputError(f"{rule}, got {most} for {experiment.replicates} replicates of {experiment.name}")
    return experiment.model_copy(update={"until_decided": UntilDecided(max_replicates=most)})


def _in_rounds(
    state: State, todo: Sequence[Run], store: Store, options: Options, filed: Experiment
) -> tuple[State, int]:
    """Train what follows from what was trained, until nothing does; return the state then, and how many were stored."""
    tried = {run.run_id for run in todo}
    stored = 0
    while True:
        _note_looks(state.experiment, state.conditions, store, filed)
        state = inspect(state.experiment, store, options)
        # What was tried and is still not there would be so for ever.
        new = [run for run in state.todo(None) if run.run_id not in tried]
        if not new or (options.fail_fast and state.failed):
            return state, stored
        tried |= {run.run_id for run in new}
        stored += _train(state, new, store, options)


def _note_looks(experiment: Experiment, made: Sequence[Condition], store: Store, filed: Experiment) -> None:
    """Put on record what is looked at now: the next replicates follow from it."""
    if experiment.until_decided is not None:
        from mlpbench.evidence.judging import claim_verdicts, interim_analysis

        runs, curves = read_tables(experiment, made, store, claim_verdicts.RUN_COLUMNS)
        judged = interim_analysis.judge(experiment, made, runs, curves, layers=store.read_layers)
        note(store.folder, experiment, made, judged, filed)


def _confirm(state: State, options: Options) -> None:
    """Refuse what takes days unless it is meant, before anything is written."""
    n = state.n_todo(options.rerun) + int(state.to_come.sum())
    if n > MOST_UNASKED and not options.yes:
        work = state.facts(options, options.rerun)
        raise InputError(
            f"more than {MOST_UNASKED} runs are trained with --yes only, got {n} runs of {state.experiment.name}, which take "
            f"about {_duration(work['seconds'])} here with {work['workers']} workers"
        )


def _duration(seconds: float) -> str:
    """Return a long time in its largest unit of which there are two or more."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _prepare(state: State, options: Options, tell: Say) -> None:
    """Refuse what this machine can't do, and get the data, before anything is written."""
    todo = state.todo(options.rerun)
    if device_name(options.device) == "cpu" and any(r.settings.precision == "tf32" for r in todo):
        raise InputError("precision tf32 needs a GPU, got the device cpu")
    if todo:
        get_data(state.experiment, options, tell)


def get_data(experiment: Experiment, options: Options, tell: Say = lambda _line: None) -> None:
    """Get the data of an experiment and check them; raise InputError or MachineError where they can't be had."""
    experiment.dataset.fetch(data_dir=options.data_dir, say=tell)


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
    stored = 0
    planned, keep = state.stacks(todo, options), state.experiment.save_weights
    for stack, tables in train(state.experiment, planned, options, save_weights=keep):
        store.add(stack.stack_id, tables)
        stored += len(tables["runs"])
        if options.fail_fast and any(row["status"] == "failed" for row in tables["runs"]):
            break
    return stored


def train(
    experiment: Experiment, planned: Sequence[Stack], options: Options, *, save_weights: bool = False
) -> Iterator[tuple[Stack, Tables]]:
    """Yield each stack with the rows of all tables as it is trained, and weights if they are asked for; show progress."""
    setup = Setup(
        dataset=experiment.dataset,
        device=device_name(options.device),
        threads=options.threads,
        numerics=options.numerics,
        data_dir=options.data_dir,
        probes=experiment.probes,
        shifts=experiment.shifts,
        save_weights=save_weights,
    )
    workers = EXECUTORS[options.executor](setup, min(options.n_workers, len(planned)))
    with Progress(experiment.name, planned, workers.workers, hidden=options.quiet) as progress:
        for stack, tables in workers.map(planned, progress.tick):
            by_id = {r.run_id: r for r in stack.runs}
            rows = [_full_row(row, by_id[row["run_id"]], experiment) for row in tables["runs"]]
            yield stack, tables | {"runs": rows}
            progress.finished(stack)
            for row in rows:
                if row["status"] == "failed":
                    progress.note(f"{row['run_id']} failed: {row['error']}")


def _full_row(row: Mapping[str, Any], run: Run, experiment: Experiment) -> dict[str, Any]:
    """Return the row of the runs table: what the worker measured, and what was known before."""
    return {
        **asdict(run.settings),
        "condition_id": run.condition.condition_id,
        "replicate": run.replicate,
        "fold": run.fold,
        "seed": run.seed,
        "dataset": experiment.data.name,
        **environment.environment(),
        "env_dataset": experiment.data.fingerprint,
        **row,
    }
