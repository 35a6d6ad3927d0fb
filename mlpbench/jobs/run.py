"""Run an experiment: take the inventory of its results folder, train what is missing, store it, then report."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mlpbench.base import environment, obstacles
from mlpbench.base.errors import InputError
from mlpbench.base.files import other_spelling
from mlpbench.base.models import DATASET
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.executors import piece_check, ray_cluster
from mlpbench.executors.executor import EXECUTORS, Setup, StackRows
from mlpbench.experiment.components.own_pieces import plain, split_name
from mlpbench.experiment.dataset_levels import DatasetMaker
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run, RunSettings, unused_settings
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.plan import Stack
from mlpbench.experiment.plugins.piece_kinds import KINDS
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import COST, Plugin, pieces_of, plugin_lines, train_with_pieces, with_code
from mlpbench.experiment.spec import Experiment, UntilDecided
from mlpbench.jobs import asked_runs
from mlpbench.jobs.inventory import RERUN, Inventory, RunState, take_inventory
from mlpbench.jobs.judge import Outcome, finish, judge, record_interim_analyses
from mlpbench.jobs.listing import long_time
from mlpbench.jobs.options import Options, check_possible
from mlpbench.jobs.planning.anytime_budget import within_budget
from mlpbench.jobs.progress import Progress, at_work
from mlpbench.jobs.write_pages import LivePage, libraries
from mlpbench.results import seal
from mlpbench.results.folder_check import check_folder, first_messages, listed
from mlpbench.results.metric_column import own_columns
from mlpbench.results.plugin_figures import StoredFigure, in_base64, read_figures, write_figures
from mlpbench.results.register import Register, write_register
from mlpbench.results.registration import registered, registration_in
from mlpbench.results.seal import NAME as SEAL
from mlpbench.results.seal import SPEC
from mlpbench.results.store import ASIDE, Store

SETTING_COLUMNS = tuple(field.name for field in fields(RunSettings))
# More runs than this are trained only where the user says that they are meant.
MOST_WITHOUT_YES = 100_000
# Files of a results folder that a run writes anew, beside those that the seal knows.
WRITTEN = (".lock", "report.md", "report.html")
# Letters of what went wrong in a figure of a plugin.
SHOWN_ERROR = 2_000


def run(experiment: Experiment, options: Options, say: Say = print, warn: Say = say_nothing) -> Outcome:
    """Train what is missing of an experiment and write its report.

    `say` is called with each message for the user, `warn` with those about files that are missing, and where nothing else is
    said, with those about damaged ones. Raises InputError for wrong input before anything is written, and
    MachineError for a system error; finished stacks are kept.
    """
    tell = warn if options.quiet else say
    if options.quiet:
        say = say_nothing
    experiment = _with_plugins(experiment, options)
    filed, experiment = experiment, topped_up(experiment, options)
    if options.pilot:
        filed = experiment = _pilot(experiment, options)
    store = Store(options.results / experiment.name)
    experiment = within_budget(experiment, store, options)
    if os.path.isfile(store.folder):
        raise InputError(f"the results of {experiment.name} need a folder, got the file {store.folder}")
    if (found := obstacles.first(*_places(store.folder))) is not None:
        raise InputError(f"the results of {experiment.name} can't be written, as {found.refusal}")
    if other := other_spelling(store.folder):
        raise InputError(
            f"capitals make no difference to the file system of {options.results}: {experiment.name} would be written into the "
            f"folder of {other}; another --results or --set name=... keeps experiments apart"
        )
    notes: list[str] = []
    spoilt = _look_at(experiment, store, notes)
    for note in notes:
        tell(note)
    for note in experiment.data_notes:
        say(note)
    inventory = take_inventory(experiment, store, options)
    for note in unused_settings(experiment, inventory.conditions):
        tell(f"{experiment.name}: {note}")
    _confirm(inventory, options)

    def register() -> Register:
        return registered(store, experiment, inventory.conditions, filed, pilot=options.pilot, spec=readable)

    readable = spoilt is None
    register()  # what is wrong with it is said before anything is written
    if experiment.claims and not options.pilot and inventory.n_todo(options.rerun):
        for note in _undecidable(inventory, register()):
            tell(note)
    _prepare(inventory, options, say)
    with store.writing() as damaged:
        for path, why in damaged.items():
            notes.append(f"{path} {why}: moved to {store.folder / ASIDE}; its runs are trained again")
            tell(notes[-1])
        if spoilt:
            store.set_aside(spoilt)
        if inventory.n_todo(options.rerun):
            inventory = take_inventory(experiment, store, options)  # another process may have written until now
        todo = inventory.todo(options.rerun)
        with seal.locked(options.results):  # experiments that start at the same time beside each other count each other
            write_register(store.folder, register())
        store.write_spec(yaml_reader.dump(experiment, store.folder))
        live = LivePage(store) if options.html and options.report else None
        trained = _train_and_store(inventory, todo, store, options, live) if todo else 0
        if asked_runs.has_rounds(experiment, inventory.conditions):
            inventory, more = _train_in_rounds(inventory, todo, store, options, filed, live)
            trained += more
        store.compact()
        _draw_figures(inventory, store, trained, say)
        _say_what_is_left(inventory, todo, options, say)
        with at_work(f"{experiment.name}: {'writing report' if options.report else 'judging'}", hidden=options.quiet):
            outcome = finish(
                experiment,
                store,
                inventory.conditions,
                report=options.report,
                html=options.html,
                trained=trained,
                filed=None if options.pilot else filed,
            )
    return replace(outcome, notes=tuple(notes))


def _places(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files that a run writes and never moves away."""
    return [folder / name for name in ("", *seal.PARTS, "figures", ASIDE)], [folder / name for name in WRITTEN]


def _with_plugins(experiment: Experiment, options: Options) -> Experiment:
    """Return the experiment with the code of the plugins that it uses; raise InputError where there is none, or in a results folder."""
    plugins = with_code(experiment.used_plugins, options.plugin_files, "run")
    for plugin in plugins:
        _refuse_in_results(plugin)
    return experiment.model_copy(update={"plugins": plugins})


def dataset_maker(say: Say = say_nothing) -> DatasetMaker:
    """Return what makes the arrays of data sets of plugins when an experiment is read to be run; `say` names the code before that."""

    def make(plugin: Plugin, piece: Piece) -> None:
        _refuse_in_results(plugin)
        if plugin.code is None:
            rule = f"the arrays of {piece.called} ({piece.digest}) are not known here, and a results folder has no code"
            raise InputError(f"{rule}: run the experiment file beside {plugin.name}")
        for line in plugin_lines([replace(plugin, pieces=(piece,))]):
            say(line)
        piece_check.make_dataset(plugin, piece)

    return make


def _draw_figures(inventory: Inventory, store: Store, trained: int, say: Say) -> None:
    """Have the folder keep the figures of the experiment's plugins, drawn anew where runs or their code are others."""
    experiment = inventory.experiment
    wanted = {(called, split_name(name)[1]) for called, name in pieces_of(experiment.plugins, "figure").items()}
    if not wanted or (not trained and wanted == {(f.called, f.digest) for f in read_figures(store.folder)}):
        return
    if not trained:
        for line in plugin_lines(experiment.plugins):
            say(f"{experiment.name}: {line}")
    figures = [
        StoredFigure(called=f.called, digest=f.digest, text=f.text, png=in_base64(f.png), error=f.error[:SHOWN_ERROR])
        for f in piece_check.draw_figures(experiment.plugins, _tables(inventory, store))
    ]
    write_figures(store.folder, figures)
    for figure in (f for f in figures if f.error):
        say(f"{experiment.name}: {figure.error}; the report has no such figure")


def _tables(inventory: Inventory, store: Store) -> piece_check.FigureTables:
    """Return the tables of the grid's runs as figures of plugins get them: by label, and by names without digests."""
    experiment, labels = inventory.experiment, {c.condition_id: c.label for c in inventory.conditions}
    ids = [run.run_id for run in inventory.runs]
    runs = store.read("runs", ids)
    own = {plain(name): values for name, values in own_columns(runs).items() if own_metrics.measured(name)}
    runs = runs.drop(columns=own_metrics.COLUMN).assign(**own)
    for name in (name for kind in KINDS.values() for name in kind.settings):
        runs[name] = runs[name].map(plain, na_action="ignore")
    runs.insert(0, "label", runs["condition_id"].map(labels))
    order = {run_id: i for i, run_id in enumerate(ids)}
    runs = runs.sort_values("run_id", key=lambda column: column.map(order), ignore_index=True)
    curves = store.read("curves", ids).sort_values(["run_id", "step", "split"], ignore_index=True)
    return piece_check.FigureTables(name=experiment.name, question=experiment.question, runs=runs, curves=curves)


def _refuse_in_results(plugin: Plugin) -> None:
    """Raise InputError for a plugin whose file is in a results folder."""
    if plugin.code is not None and seal.is_sealed(plugin.code.path.parent):
        rule = "a results folder has no code, and runs none"
        raise InputError(f"{rule}, got the plugin {plugin.code.path}: move it to the folder of your experiment")


def _undecidable(inventory: Inventory, register: Register) -> list[str]:
    """Return a line about each claim that its replicates decide in no case, before they are trained."""
    from mlpbench.jobs.planning.detectable import detectable  # scipy takes a while to load

    experiment, conditions = inventory.experiment, inventory.conditions
    return detectable(experiment, conditions, registration_in(register, experiment, conditions)).notes()


def _look_at(experiment: Experiment, store: Store, notes: list[str]) -> Path | None:
    """Note what is missing in a folder that is there; return the file of its experiment where that was altered.

    Raises InputError where a record can't be read. Damaged tables and weights are left to the store.
    """
    if not any((store.folder / name).exists() for name in (SPEC, SEAL)):
        return None
    check = check_folder(store, experiment)
    spec = store.folder / SPEC
    altered = check.records.pop(spec, None)
    if check.records:
        raise InputError(listed([*check.records.values(), *([altered] if altered else [])]))
    present = os.path.lexists(spec)
    if altered:
        how = f"moved to {store.folder / ASIDE}, and written again" if present else "written again"
        notes.append(f"{altered.partition(': ')[0]}: {how}")
    notes += first_messages([*check.notes, *check.of_report.values()])
    return spec if altered and present else None


def _pilot(experiment: Experiment, options: Options) -> Experiment:
    """Return the experiment as a pilot trains it: no verdict asks for more replicates."""
    if options.until_decided or options.max_replicates is not None:
        raise InputError("--pilot gives no verdicts that could ask for more replicates: leave --until-decided out")
    return experiment.model_copy(update={"until_decided": None})


def topped_up(experiment: Experiment, options: Options) -> Experiment:
    """Return the experiment with the top-up that options ask for; raise InputError for one that is not possible."""
    if not options.until_decided and options.max_replicates is None:
        return experiment
    if experiment.is_anytime:
        if options.max_replicates is None:
            return experiment
        rule = f"{experiment.name} declares until_decided: {{anytime: true}}, which needs no largest number"
        raise InputError(
            f"{rule}: --budget N ends this command at N replicates, got --max-replicates {options.max_replicates}"
        )
    most = options.max_replicates
    if most is None or not options.until_decided:
        if experiment.until_decided is None:
            option, other = ("--until-decided", "--max-replicates N")[:: 1 if options.until_decided else -1]
            raise InputError(
                f"{option.removesuffix(' N')} needs {other} where the experiment declares no until_decided"
            )
        most = most or experiment.most_replicates
    if not experiment.claims:
        raise InputError(f"--until-decided needs claims to decide, got none in {experiment.name}")
    if experiment.replicates < 2 or not experiment.vary:
        raise InputError(
            f"--until-decided needs at least 2 replicates, got {experiment.replicates} in {experiment.name}"
        )
    if most <= experiment.replicates:
        rule = f"--max-replicates must be above the {experiment.replicates} replicates of {experiment.name}"
        raise InputError(f"{rule}, got {most}")
    return experiment.model_copy(update={"until_decided": UntilDecided(max_replicates=most)})


def _train_in_rounds(
    inventory: Inventory,
    todo: Sequence[Run],
    store: Store,
    options: Options,
    filed: Experiment,
    live: LivePage | None,
) -> tuple[Inventory, int]:
    """Train the runs that follow from results, until no more do; return the inventory then, and how many were stored."""
    tried = {(run.run_id, run.refit_epochs) for run in todo}
    stored = 0
    while True:
        experiment, conditions = inventory.experiment, inventory.conditions
        if experiment.until_decided is not None:  # on record first: the next replicates follow from it
            judgement = judge(experiment, store, conditions).judgement
            record_interim_analyses(store.folder, experiment, conditions, judgement, filed)
        inventory = take_inventory(inventory.experiment, store, options)
        # A run that was tried and is still missing would stay so for ever.
        new = [run for run in inventory.todo(None) if (run.run_id, run.refit_epochs) not in tried]
        if not new or (options.fail_fast and inventory.count(RunState.FAILED)):
            return inventory, stored
        tried |= {(run.run_id, run.refit_epochs) for run in new}
        stored += _train_and_store(inventory, new, store, options, live)


def _confirm(inventory: Inventory, options: Options) -> None:
    """Refuse, before anything is written, work of days that may be a slip of the keyboard."""
    n = inventory.n_todo(options.rerun) + int(inventory.refits_to_come.sum())
    if n > MOST_WITHOUT_YES and not options.yes:
        work = inventory.summary(options, options.rerun)
        raise InputError(
            f"more than {MOST_WITHOUT_YES} runs need --yes, got {n} runs of {inventory.experiment.name}, which take about "
            f"{long_time(work.seconds)} here with {work.workers} workers"
        )


def _prepare(inventory: Inventory, options: Options, say: Say) -> None:
    """Refuse what this machine can't do, and get the data, before anything is written."""
    todo = inventory.todo(options.rerun)
    check_possible([run.settings.precision for run in todo], options)
    if todo:
        for line in plugin_lines(inventory.experiment.plugins):
            say(f"{inventory.experiment.name}: {line}")
        if train_with_pieces(inventory.experiment.plugins):
            say(f"{inventory.experiment.name}: {COST}")
        get_data(inventory.experiment, options, say)
        if words := options.gpu_words:
            say(f"{inventory.experiment.name}: training on {words}")
        if options.executor == "ray":
            for line in _of_cluster(options):
                say(f"{inventory.experiment.name}: {line}")


def _of_cluster(options: Options) -> list[str]:
    """Return what is to be known of the Ray cluster; raise InputError where a node has not what this process has."""
    options.connect()
    here = environment.environment()
    processors = ray_cluster.check_nodes()
    n, workers = len(processors), options.n_workers
    lines = [f"Ray at {ray_cluster.address()}: {n} node{'s' * (n != 1)}, {workers} worker{'s' * (workers != 1)}"]
    if not options.on_gpu:
        modes = {"env_numerics": options.numerics, "env_threads": options.threads, "env_device": "cpu"}
        others = {
            cpu for cpu in processors if [*environment.differences(here | modes | {"env_cpu": cpu}, here | modes)]
        }
        if others:
            lines.append(
                f"bits may differ between {', '.join(sorted({*others, here['env_cpu']}))}; "
                "--numerics portable or universal gives the same on more processors"
            )
        if ray_cluster.has_gpu():
            lines.append("training on cpu; --device cuda trains on the cluster's GPUs")
    return lines


def get_data(experiment: Experiment, options: Options, say: Say = say_nothing) -> None:
    """Get the data of an experiment and check them; raise InputError or MachineError where that is not possible."""
    for source in experiment.sources:
        source.fetch(data_dir=options.data_dir, say=say)


def _say_what_is_left(inventory: Inventory, todo: Sequence[Run], options: Options, say: Say) -> None:
    name, total = inventory.experiment.name, len(inventory.runs)
    failed, stale = inventory.count(RunState.FAILED), inventory.count(RunState.STALE)
    for line in inventory.outdated_lines():
        say(f"{name}: {line}")
    if not todo and not failed and not stale:
        say(f"{name}: all {total} runs are done")
    if failed and RunState.FAILED not in RERUN[options.rerun]:
        say(f"{name}: {failed} of {total} runs failed before: --rerun failed trains them again")
    if stale and RunState.STALE not in RERUN[options.rerun]:
        differing = ", ".join(inventory.stale_in)
        say(
            f"{name}: {stale} runs are stale: they were trained with another {differing}; --rerun stale trains them again"
        )
    if others := inventory.other_runs - sum(inventory.outdated.values()):
        say(
            f"{name}: {others} runs in the folder are not of this grid: they are kept, but the report leaves "
            "them out; another --results or --set name=... keeps experiments apart"
        )


def _train_and_store(
    inventory: Inventory, todo: Sequence[Run], store: Store, options: Options, live: LivePage | None
) -> int:
    """Train runs and store them stack by stack, and keep the page up if there is one; return how many were stored."""
    stored = 0
    stacks, keep = inventory.stacks(todo, options), inventory.experiment.save_weights
    meanwhile = functools.partial(next, libraries(), None) if options.report else None
    # Closed, so that workers have ended before anything is said of what went wrong.
    with closing(train(inventory.experiment, stacks, options, save_weights=keep, meanwhile=meanwhile)) as trained:
        for stack, rows in trained:
            store.add(stack.stack_id, vars(rows))
            stored += len(rows.runs)
            if live is not None:
                live.update(inventory.experiment, inventory.conditions)
            if options.fail_fast and any(row["status"] == "failed" for row in rows.runs):
                break
    return stored


def train(
    experiment: Experiment,
    stacks: Sequence[Stack],
    options: Options,
    *,
    save_weights: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Generator[tuple[Stack, StackRows], None, None]:
    """Yield each stack with the rows of all tables, and with weights if asked for, as it is trained; show progress.

    This process waits most of the time: `meanwhile` is called now and then.
    """
    setup = Setup(
        datasets=experiment.sources,
        device=options.device_name,
        threads=options.threads,
        numerics=options.numerics,
        data_dir=options.data_dir,
        probes=experiment.probes,
        shifts=experiment.shifts,
        save_weights=save_weights,
        plugins=experiment.plugins,
    )
    executor = EXECUTORS[options.executor](setup, min(options.n_workers, len(stacks)))

    def tick(shares: Sequence[float]) -> None:
        progress.update(shares)
        if meanwhile is not None:
            meanwhile()

    with (
        Progress(experiment.name, stacks, executor.workers, hidden=options.quiet) as progress,
        closing(executor.map(stacks, tick)) as trained,
    ):
        for stack, measured in trained:
            runs = {run.run_id: run for run in stack.runs}
            rows = [_complete_row(row, runs[row["run_id"]]) for row in measured.runs]
            yield stack, replace(measured, runs=rows)
            progress.finish(stack, rows)
            for row in rows:
                if row["status"] == "failed":
                    progress.print(f"{row['run_id']} failed: {row['error']}")
                elif row.get("error"):
                    progress.print(f"{row['run_id']}: {row['error']}")


def _complete_row(row: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return a row of the runs table: what was known before training, and what the worker measured."""
    return {
        **{name: getattr(run.settings, name) for name in SETTING_COLUMNS},
        "condition_id": run.condition.condition_id,
        "replicate": run.replicate,
        "fold": run.fold,
        "seed": run.seed,
        "dataset": str(run.condition.levels.get(DATASET, run.data.name)),
        **environment.environment(),
        "env_dataset": run.data.fingerprint,
        **row,
    }
