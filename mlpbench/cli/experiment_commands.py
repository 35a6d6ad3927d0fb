"""Commands about experiment files and data: train or plan an experiment, list them, print the schema, list and fetch data."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.cli.common_options import (
    DATA_DIR,
    DEVICE,
    EXECUTOR,
    FOLDER,
    JSON,
    NUMERICS,
    RESULTS,
    SET,
    THREADS,
    WORKERS,
    noting_unsealed,
    print_report_failures,
    warn,
)

if TYPE_CHECKING:
    from mlpbench.jobs.judge import Outcome


@click.command()
@click.argument("specs", nargs=-1, required=True, type=FOLDER, metavar="SPEC...")
@SET
@RESULTS
@DEVICE
@EXECUTOR
@WORKERS
@THREADS
@NUMERICS
@DATA_DIR
@click.option("--rerun", type=click.Choice(["failed", "stale", "all"]), help="Train these runs again too.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first run that fails.")
@click.option("--until-decided", is_flag=True, help="Give undecided claims more replicates (with --max-replicates).")
@click.option(
    "--max-replicates",
    type=int,
    help="Largest number of replicates; verdicts are exploratory unless the file declares it.",
)
@click.option(
    "--budget",
    type=int,
    help="Replicates at which to end where the file declares `anytime`; by default twice those there are.",
)
@click.option("--no-report", is_flag=True, help="Train and store only.")
@click.option("--yes", is_flag=True, help="Allow more than 100,000 runs.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def run(specs: tuple[Path, ...], overrides: tuple[str, ...], no_report: bool, **chosen: Any) -> None:
    """Train what is missing of each SPEC, then write its report.

    Finished runs are kept whatever happens and are never trained twice: run the same command again to continue after an
    interruption, or after adding a level, a replicate or a claim.
    """
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.jobs import run as runner
    from mlpbench.jobs.options import Options

    options = Options(report=not no_report, **chosen)
    experiments = [yaml_reader.read(spec, overrides) for spec in specs]  # all of them, before the first is trained
    names = [experiment.name for experiment in experiments]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise InputError(f"experiments of one command need different names, got {twice[0]!r} twice")
    failed = 0
    for experiment in experiments:
        with noting_unsealed(options.results / experiment.name):
            outcome = runner.run(experiment, options, click.echo, warn)
        failed += outcome.failed + len(outcome.report_failures)
        if not options.quiet:
            _print_outcome(outcome)
        print_report_failures(outcome.folder, outcome.report_failures)
    if failed:
        sys.exit(1)


def _print_outcome(outcome: Outcome) -> None:
    from mlpbench.report.words import terminal_table

    if outcome.verdicts:
        click.echo()
        click.echo(terminal_table(outcome.verdicts))
        click.echo()
    n, diverged = sum(outcome.statuses.values()), outcome.statuses.get("diverged", 0)
    counts = [f"{n} run{'s' * (n != 1)}"]
    counts += [f"{n} {status}" for n, status in ((diverged, "diverged"), (outcome.failed, "failed")) if n]
    click.echo(f"{outcome.experiment.name}: {', '.join(counts)}, {outcome.trained} trained now")
    if outcome.report is not None:
        click.echo(f"report: {outcome.report}")


@click.command()
@click.argument("spec", type=FOLDER)
@SET
@RESULTS
@DEVICE
@WORKERS
@THREADS
@NUMERICS
@JSON
def plan(spec: Path, overrides: tuple[str, ...], as_json: bool, **chosen: Any) -> None:
    """Show what `run` would train and judge: runs, stacks, what is done, FLOPs, expected time, memory, claims and margins."""
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.jobs.anytime_budget import within_budget
    from mlpbench.jobs.inventory import take_inventory
    from mlpbench.jobs.options import Options
    from mlpbench.results.folder_check import check_folder
    from mlpbench.results.seal import SPEC
    from mlpbench.results.store import Store

    options = Options(**chosen)
    experiment = yaml_reader.read(spec, overrides)
    store = Store(options.results / experiment.name)
    with noting_unsealed(store.folder):
        found = check_folder(store, experiment)
    if records := [message for path, message in found.records.items() if path != store.folder / SPEC]:
        raise InputError("\n".join(records))
    experiment = within_budget(experiment, store, options)
    inventory = take_inventory(experiment, store, options)
    claims = {c.id: c.hypothesis(experiment, inventory.conditions).wording.formula for c in experiment.claims}
    summary = inventory.summary(options).to_json()
    for line in [*found.records.values(), *found.tables.values(), *found.of_report.values(), *found.notes]:
        click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps(summary | {"claims": claims}, indent=2))
        return
    for key, value in summary.items():
        label, text = _described(key, value)
        click.echo(f"{label:<20}{text}")
    for claim, formula in claims.items():
        click.echo(f"claim {claim}: {printable(formula)}")


def _described(key: str, value: Any) -> tuple[str, str]:
    """Return a line of a plan: what it is, and the value for a reader."""
    from mlpbench.jobs.listing import planned_time

    if key == "flops":
        prefix, unit = next(((p, u) for p, u in (("T", 1e12), ("G", 1e9)) if value >= u), ("M", 1e6))
        return "FLOPs", f"{value / unit:.3g} {prefix}FLOP"
    if key == "seconds":
        return "expected time", planned_time(value)
    if key == "bytes_per_worker":
        return "memory", f"about {value / 2**20:.0f} MiB per worker, excluding data"
    return key.replace("_", " "), str(value)


@click.command(name="list")
@click.argument("folder", type=FOLDER, default=Path("experiments"))
@click.option(
    "--results",
    type=FOLDER,
    help="Folder that has the results folders (default: results/reference, if it exists).",
)
@WORKERS
@JSON
def list_(folder: Path, results: Path | None, workers: int | None, as_json: bool) -> None:
    """List the experiments of a folder: number of runs, expected time here, verdicts so far, question."""
    from mlpbench.jobs import listing
    from mlpbench.jobs.options import Options

    damage: list[str] = []
    rows = listing.list_experiments(folder, results, Options(workers=workers), damage.append, warn)
    with noting_unsealed(*((results or listing.REFERENCE) / row.name for row in rows)):
        pass
    if as_json:
        click.echo(json.dumps([asdict(row) | {"file": str(row.file)} for row in rows], indent=2))
    elif rows:
        click.echo(listing.text(rows))
    for line in damage:
        warn(line)
    if damage:
        sys.exit(InputError.status)


@click.command()
def schema() -> None:
    """Print the JSON Schema of an experiment file, with which editors complete keys and mark mistakes.

    \b
      mlpbench schema > experiment.schema.json
    and, as the first line of an experiment file:
      # yaml-language-server: $schema=experiment.schema.json
    """
    from mlpbench.experiment.file.json_schema import schema

    click.echo(json.dumps(schema(), indent=2))


@click.group()
def data() -> None:
    """List the data sets that have a name, and fetch them."""


@data.command(name="list")
def data_list() -> None:
    """List the data sets that have a name: size, whether they are on this machine, and where they come from."""
    from mlpbench.data.data_sets import DATA_SETS

    for name, source in DATA_SETS.items():
        facts = source.facts
        target = f"{facts.n_classes} classes" if facts.n_classes else "regression"
        click.echo(f"{name:<16}{facts.n_train} train, {facts.n_test} test, {target}  {source.availability()}")


@data.command(name="fetch")
@click.argument("name")
@DATA_DIR
def data_fetch(name: str, data_dir: Path | None) -> None:
    """Fetch a data set of `mlpbench data list`, check it by SHA-256 and cache it.

    --data-dir, or MLPBENCH_DATA, is a folder with the files as they are distributed, in it or in a sub-folder with the name
    of the data set.
    """
    from mlpbench.data.data_sets import lookup

    click.echo(f"{name}: {lookup(name).fetch(data_dir=data_dir, say=click.echo)}")
