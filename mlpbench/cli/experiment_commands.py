"""Commands about experiment files: train or plan an experiment, list them, print the schema."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import (
    ADDRESS,
    DATA_DIR,
    DEVICE,
    DRY_RUN,
    EXECUTOR,
    FOLDER,
    JSON,
    NUMERICS,
    OPEN,
    PLUGINS,
    RESULTS,
    SET,
    THREADS,
    WORKERS,
    find_browser,
    noting_unsealed,
    print_report_failures,
    read_experiments,
    show_page,
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
@ADDRESS
@WORKERS
@THREADS
@NUMERICS
@DATA_DIR
@PLUGINS
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
@click.option(
    "--pilot",
    is_flag=True,
    help="Train without verdicts: no claim is registered, no seed spent; run the claims at another seed.",
)
@click.option("--html", is_flag=True, help="Write report.html too, and keep it up while runs are trained.")
@OPEN
@click.option("--no-report", is_flag=True, help="Train and store only.")
@click.option("--yes", is_flag=True, help="Allow more than 100,000 runs.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@DRY_RUN
def run(
    specs: tuple[Path, ...], overrides: tuple[str, ...], no_report: bool, opens: bool, dry_run: bool, **chosen: Any
) -> None:
    """Train what is missing of each SPEC, then write its report.

    SPEC is an experiment file, or the name of one: of a file here, of an experiment that comes with mlpbench (`mlpbench list`), or of
    a results folder, which has the experiment that its runs are of. The file `-` is what stands on standard input.

    With --html there is a page of it from 20 seconds on: as stacks end it is written again, in a tenth of the time at most, so that
    loading it again shows what is there by then. Claims stay undecided until their runs are complete.

    Finished runs are kept whatever happens and are never trained twice: run the same command again to continue after an
    interruption, or after adding a level, a replicate or a claim.

    Pieces of your own (`plugins: [pieces.py]`) are run by this command and by `check`, which print file and digest first; `verify`,
    `export` and `predict` run them where --plugins names the file.
    """
    from mlpbench.data.dataset import say_nothing
    from mlpbench.jobs import run as runner
    from mlpbench.jobs.options import Options

    options = Options(report=not no_report, **chosen | {"html": chosen["html"] or opens})
    say = say_nothing if options.quiet else click.echo
    # All of them, before the first is trained.
    make = runner.dataset_maker(say)
    experiments = read_experiments(specs, overrides, options.results, say, make)
    names = [experiment.name for experiment in experiments]
    if dry_run:
        from mlpbench.cli.plan_command import print_what_a_run_would_do

        print_what_a_run_would_do(experiments, options)
        return
    browser = find_browser(opens, [options.results / name for name in names])
    failed = 0
    pages = []
    for experiment in experiments:
        with noting_unsealed(options.results / experiment.name):
            outcome = runner.run(experiment, options, click.echo, warn)
        failed += outcome.failed + len(outcome.report_failures)
        if not options.quiet:
            print_outcome(outcome)
        print_report_failures(outcome.folder, outcome.report_failures)
        pages += [outcome.report] if outcome.report is not None else []
    for page in pages:
        show_page(browser, page)
    if failed:
        sys.exit(1)


def print_outcome(outcome: Outcome) -> None:
    """Print the verdicts of a run, how its runs ended, its warnings and where its report is."""
    from mlpbench.cli.styled_output import print_paragraph, print_verdicts
    from mlpbench.report.verdict_tables import runs_line

    if outcome.context.verdicts:
        click.echo()
        print_verdicts(outcome.context.verdicts)
        click.echo()
    click.echo(runs_line(outcome.experiment.name, outcome.statuses, outcome.trained))
    for warning in outcome.warnings:
        print_paragraph(f"warning: {warning}")
    if outcome.report is not None:
        click.echo(f"report: {outcome.report}")


@click.command(name="list")
@click.argument("places", nargs=-1, type=FOLDER, metavar="[FOLDER|SPEC...]")
@click.option(
    "--results",
    type=FOLDER,
    help="Folder that has the results folders (default: results, and results/reference for those that have none there).",
)
@WORKERS
@JSON
def list_(places: tuple[Path, ...], results: Path | None, workers: int | None, as_json: bool) -> None:
    """List experiments: number of runs, expected time here, verdicts so far, question.

    FOLDER has experiments, or results; it is `experiments` by default, and where there is none, those that come with mlpbench are
    listed. SPEC is one experiment, a file or a name as `run` takes it. A file that is wrong is named at the end, and doesn't keep the
    others from being listed: exit status 2.
    """
    from mlpbench.cli.styled_output import print_listed
    from mlpbench.jobs import listing
    from mlpbench.jobs.options import Options

    damage: list[str] = []
    options = Options(workers=workers)
    rows = listing.list_experiments(places or (Path("experiments"),), results, options, damage.append, warn)
    with noting_unsealed(*(row.folder for row in rows)):
        pass
    if as_json:
        paths = ({"file": str(row.file), "folder": str(row.folder)} for row in rows)
        click.echo(json.dumps([asdict(row) | of for row, of in zip(rows, paths)], indent=2))
    elif rows:
        print_listed(rows)
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
