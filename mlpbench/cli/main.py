"""The command line: parse arguments, call the runner or the evidence, print. Nothing imports this module."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.environment import VERSION
from mlpbench.base.errors import MachineError, MlpbenchError
from mlpbench.cli.common_options import DATA_DIR, DEVICE, EXECUTOR, NUMERICS, RESULTS, SET, THREADS, WORKERS
from mlpbench.cli.folder_commands import diff, index, merge, report, trim, verify
from mlpbench.cli.model_commands import export
from mlpbench.cli.shipped_commands import list_, schema

if TYPE_CHECKING:
    from mlpbench.jobs.judge import Outcome

INTERRUPTED = 130


class _Group(click.Group):
    """A group of commands whose errors are one message and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MlpbenchError as error:
            click.echo(f"mlpbench: {error}", err=True)
            ctx.exit(error.status)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has enough; click ends quietly
                raise
            click.echo(f"mlpbench: the machine could not: {error}", err=True)
            _drop_output()
            ctx.exit(MachineError.status)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the second of a hurried two must not cut this short
            click.echo("mlpbench: interrupted; finished stacks are kept, run the same command again to go on", err=True)
            ctx.exit(INTERRUPTED)


def _drop_output() -> None:
    """Send what is still to be printed nowhere: a second failure, at exit, would replace our exit status."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# A line of "\b" keeps the lines after it as they are.
HELP = """Find out what really matters in a multilayer perceptron.

An experiment is a YAML file: a question, the factors to vary, and the claims to judge. `mlpbench run` trains every
combination with replicates, keeps every number in parquet and writes a report whose verdicts carry their evidence.

\b
Start here:
  mlpbench run experiments/width.yaml
  mlpbench plan experiments/width.yaml     what would be trained, and how long
  mlpbench run experiments/width.yaml --set replicates=10

Exit status: 0 done, 1 some runs failed or a check found a difference, 2 bad input, 3 the machine could not, 130
interrupted.
"""


@click.group(cls=_Group, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="mlpbench")
def main() -> None:
    """Parse what comes before the command; HELP says what all of it is for."""


@main.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
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
@click.option("--max-replicates", type=int, help="Up to so many; verdicts are exploratory unless the file declares it.")
@click.option("--no-report", is_flag=True, help="Train and store only.")
@click.option("--yes", is_flag=True, help="Train even more than 100,000 runs.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def run(specs: tuple[Path, ...], overrides: tuple[str, ...], no_report: bool, **given: Any) -> None:
    """Train what is missing of each SPEC, then write its report.

    Finished runs are kept whatever happens and are never trained twice: run the same command again to go on after an
    interruption, or after adding a level, a replicate or a claim.
    """
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.jobs import run as runner
    from mlpbench.jobs.options import Options

    options = Options(report=not no_report, **given)
    experiments = [yaml_reader.read(spec, overrides) for spec in specs]  # all of them, before the first is trained
    _refuse_twins([e.name for e in experiments])
    failed = 0
    for experiment in experiments:
        outcome = runner.run(experiment, options, click.echo)
        failed += outcome.failed
        if not options.quiet:
            _print_outcome(outcome)
    if failed:
        sys.exit(1)


def _refuse_twins(names: list[str]) -> None:
    from mlpbench.base.errors import InputError

    twice = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if twice is not None:
        raise InputError(f"experiments of one command need different names, got {twice!r} twice")


def _print_outcome(outcome: Outcome) -> None:
    from mlpbench.report.language import terminal

    if outcome.verdicts:
        click.echo()
        click.echo(terminal.claims_text(outcome.verdicts))
        click.echo()
    n, diverged = sum(outcome.statuses.values()), outcome.statuses.get("diverged", 0)
    states = [f"{n} run{'s' * (n != 1)}"]
    states += [f"{n} {what}" for n, what in ((diverged, "diverged"), (outcome.failed, "failed")) if n]
    click.echo(f"{outcome.experiment.name}: {', '.join(states)}, {outcome.trained} trained now")
    if outcome.report is not None:
        click.echo(f"report: {outcome.report}")


@main.command()
@click.argument("spec", type=click.Path(path_type=Path))
@SET
@RESULTS
@DEVICE
@WORKERS
@THREADS
@NUMERICS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(spec: Path, overrides: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Show what `run` would train: conditions, runs, stacks, what is done, FLOPs, expected time and memory."""
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.jobs.inventory import inspect
    from mlpbench.jobs.options import Options
    from mlpbench.results.store import Store

    options = Options(**given)
    experiment = yaml_reader.read(spec, overrides)
    store = Store(options.results / experiment.name)
    facts = inspect(experiment, store, options).facts(options)
    for path, why in store.damaged().items():
        click.echo(f"{path} {why}: `run` sets it aside and trains its runs again", err=True)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        click.echo(f"{key.replace('_', ' '):<20}{_human(key, value)}")


def _human(key: str, value: Any) -> str:
    if key == "flops":
        return f"{value / 1e12:.3g} TFLOP"
    if key == "seconds":
        return f"about {value:.0f} s" if value < 120 else f"about {value / 60:.0f} min"
    if key == "bytes_per_worker":
        return f"about {value / 2**20:.0f} MiB beside the data"
    return str(value)


@main.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR...]")
@click.option("--markdown", is_flag=True, help="Print one table in Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def claims(folders: tuple[Path, ...], markdown: bool, as_json: bool) -> None:
    """Print the verdicts of results folders; of all under results/ by default."""
    from mlpbench.base.errors import InputError
    from mlpbench.jobs.judge import load
    from mlpbench.report.language import ledger, terminal

    if markdown and as_json:
        raise InputError("claims are printed in one format, got --markdown and --json")

    chosen = folders or tuple(sorted(p.parent for p in Path("results").glob("*/spec.yaml")))
    if not chosen:
        click.echo("no results in results/ yet: mlpbench run SPEC makes them", err=True)
    outcomes = [load(folder) for folder in chosen]
    if as_json:
        rows = {o.experiment.name: json.loads(o.claims.to_json(orient="records")) for o in outcomes}
        click.echo(json.dumps(rows, indent=2))
        return
    if markdown:
        click.echo(ledger.markdown((o.experiment.name, o.verdicts) for o in outcomes))
        return
    for outcome in outcomes:
        click.echo(f"{outcome.experiment.name}: {outcome.experiment.question}")
        click.echo(terminal.claims_text(outcome.verdicts))
        click.echo()


for folder_command in (report, index, verify, diff, merge, trim, export, list_, schema):
    main.add_command(folder_command)


@main.group()
def data() -> None:
    """See and get data sets."""


@data.command(name="list")
def data_list() -> None:
    """List the data sets that have a name: examples, whether they are on this machine, and where they come from."""
    from mlpbench.data.data_sets import DATA_SETS

    for name, source in DATA_SETS.items():
        facts = source.facts
        target = f"{facts.n_classes} classes" if facts.n_classes else "regression"
        click.echo(f"{name:<16}{facts.n_train} train, {facts.n_test} test, {target}  {source.availability()}")


@data.command(name="fetch")
@click.argument("name")
@DATA_DIR
def data_fetch(name: str, data_dir: Path | None) -> None:
    """Get a data set that `mlpbench data list` has, check it by SHA-256 and cache it.

    --data-dir, or MLPBENCH_DATA, is a folder with the files as they are distributed, in it or in a sub-folder with the name
    of the data set.
    """
    from mlpbench.data.data_sets import lookup

    click.echo(f"{name}: {lookup(name).fetch(data_dir=data_dir, say=click.echo)}")
