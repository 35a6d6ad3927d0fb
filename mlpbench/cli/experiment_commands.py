"""Commands about experiment files: train or plan an experiment, list them, print the schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.cli.common_options import (
    ADDRESS,
    DATA_DIR,
    DEVICE,
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
    show_page,
    warn,
)

if TYPE_CHECKING:
    from mlpbench.jobs.judge import Outcome
    from mlpbench.jobs.pilot_plan import Detectable, PilotPlan


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
def run(specs: tuple[Path, ...], overrides: tuple[str, ...], no_report: bool, opens: bool, **chosen: Any) -> None:
    """Train what is missing of each SPEC, then write its report.

    SPEC is an experiment file, or the name of one: of a file here, or of an experiment that comes with mlpbench (`mlpbench list`).

    With --html there is a page of it from 20 seconds on: as stacks end it is written again, in a tenth of the time at most, so that
    loading it again shows what is there by then. Claims stay undecided until their runs are complete.

    Finished runs are kept whatever happens and are never trained twice: run the same command again to continue after an
    interruption, or after adding a level, a replicate or a claim.

    Pieces of your own (`plugins: [pieces.py]`) are run by this command and by `check`, and by no other; their file and digest are
    printed first.
    """
    from mlpbench.data.dataset import say_nothing
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.experiment.file.shipped import located
    from mlpbench.jobs import run as runner
    from mlpbench.jobs.options import Options

    options = Options(report=not no_report, **chosen | {"html": chosen["html"] or opens})
    say = say_nothing if options.quiet else click.echo
    # All of them, before the first is trained.
    make = runner.dataset_maker(say)
    experiments = [yaml_reader.read(located(spec, say), overrides, make) for spec in specs]
    names = [experiment.name for experiment in experiments]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise InputError(f"experiments of one command need different names, got {twice[0]!r} twice")
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
    from mlpbench.report.verdict_tables import terminal_table

    if outcome.verdicts:
        click.echo()
        click.echo(terminal_table(outcome.verdicts))
        click.echo()
    n, diverged = sum(outcome.statuses.values()), outcome.statuses.get("diverged", 0)
    counts = [f"{n} run{'s' * (n != 1)}"]
    counts += [f"{n} {status}" for n, status in ((diverged, "diverged"), (outcome.failed, "failed")) if n]
    click.echo(f"{outcome.experiment.name}: {', '.join(counts)}, {outcome.trained} trained now")
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}")
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
@click.option(
    "--pilot",
    type=FOLDER,
    metavar="DIR",
    help="Results folder with conditions of SPEC, from which the number of replicates that claims need is estimated.",
)
@click.option("--figure", type=FOLDER, metavar="FILE", help="Draw the chances over that pilot into this PNG file.")
@JSON
def plan(
    spec: Path, overrides: tuple[str, ...], pilot: Path | None, figure: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Show what `run` would train and judge: runs, stacks, what is done, FLOPs, expected time, memory, claims and margins.

    Each claim says which effect the planned replicates detect with 80% power at its level by Holm's method, in standard
    deviations of the replicates' numbers. The level is that of its seed, by the register of the results folder. With --pilot there is for each claim its assurance, the chance to be decided over
    what the effect may be after the pilot, against the number of replicates and the time they take, and a number is suggested.
    """
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.experiment.file.shipped import located
    from mlpbench.jobs.anytime_budget import within_budget
    from mlpbench.jobs.inventory import take_inventory
    from mlpbench.jobs.options import Options
    from mlpbench.results.folder_check import check_folder
    from mlpbench.results.registration import planned_registration
    from mlpbench.results.seal import SPEC
    from mlpbench.results.store import Store

    options = Options(**chosen)
    if figure is not None and pilot is None:
        raise InputError(f"--figure draws the chances of claims over a pilot: it needs --pilot DIR, got {figure} alone")
    if figure is not None and figure.suffix != ".png":
        raise InputError(f"--figure must be a file whose name ends in .png, got {figure}")
    experiment = yaml_reader.read(located(spec, warn), overrides)
    store = Store(options.results / experiment.name)
    with noting_unsealed(store.folder):
        found = check_folder(store, experiment)
    if records := [message for path, message in found.records.items() if path != store.folder / SPEC]:
        raise InputError("\n".join(records))
    experiment = within_budget(experiment, store, options)
    inventory = take_inventory(experiment, store, options)
    detects: Detectable | None = None
    planned: PilotPlan | None = None
    if experiment.claims or pilot is not None:
        from mlpbench.jobs.pilot_plan import detectable, read_pilot  # scipy takes a while to load

        readable = store.folder / SPEC not in found.records
        registration = planned_registration(store, experiment, inventory.conditions, spec=readable)
        detects = detectable(experiment, inventory.conditions, registration)
        planned = (
            None if pilot is None else read_pilot(pilot, experiment, inventory.conditions, options, detects.tests, warn)
        )
    claims = {} if detects is None else {name: t.hypothesis.wording.formula for name, t in detects.tests.items()}
    summary = inventory.summary(options).to_json()
    of_files = [*found.records.values(), *found.tables.values(), *found.of_report.values(), *found.notes]
    for line in dict.fromkeys([*of_files, *experiment.data_notes]):
        click.echo(line, err=True)
    if as_json:
        of_claims: dict[str, Any] = {} if detects is None else {"detectable": detects.to_json()}
        of_claims |= {} if planned is None else {"pilot": planned.to_json()}
        of_claims |= {"tuning": experiment.tuning_rule} if experiment.tuning_rule else {}
        of_claims |= {"plugins": [p.as_written() for p in experiment.used_plugins]} if experiment.used_plugins else {}
        click.echo(json.dumps(summary | of_claims | {"claims": claims}, indent=2))
    else:
        for key, value in summary.items():
            label, text = _described(key, value)
            click.echo(f"{label:<20}{text}")
        for plugin in experiment.used_plugins:
            pieces = ", ".join(f"{piece.kind} {piece.name}" for piece in plugin.pieces)
            click.echo(f"{'plugin':<20}{plugin.name}: {pieces}")
        for line in inventory.outdated_lines():
            click.echo(line)
        if experiment.tuning_rule:
            click.echo(f"{'tuning':<20}{experiment.tuning_rule}")
        if detects is not None:
            _print_claims(claims, detects)
    if planned is not None:
        _print_pilot(planned, figure, quiet=as_json)


def _print_claims(claims: Mapping[str, str], detects: Detectable) -> None:
    """Print each claim as a formula, with what the planned replicates detect of it, and the level it is judged at."""
    tested = [test for test in detects.tests.values() if not test.hypothesis.is_observed]
    seeds = {test.standing.number for test in tested}
    if any(test.is_foreseen for test in tested):
        share = f" / {tested[0].family}" if tested[0].family > 1 else ""
        level = (
            f"level {tested[0].seed_level:.3g}{share} (seed {min(seeds)})" if len(seeds) == 1 else f"its level{share}"
        )
        by = f"with 80% power by {detects.replicates} replicates, at {level}, in sd over replicates"
        click.echo(f"{'detectable':<20}{by}")
    for name, formula in claims.items():
        test, sds, few = detects.tests[name], detects.sds[name], detects.too_few.get(name)
        if few is not None:
            detected = f"; {few.n} {few.units} can't decide it ({few.least} can)"
        elif not test.is_foreseen:
            detected = ""
        elif sds is None:
            detected = "; detects nothing"
        else:
            detected = f"; shows equality within {sds:.2g} sd" if test.is_equivalence else f"; detects {sds:.2g} sd"
        if len(seeds) > 1 and not test.hypothesis.is_observed:
            detected += f", at level {test.seed_level:.3g} (seed {test.standing.number})"
        late = "; exploratory: its runs have been looked at" if test.standing.is_late else ""
        click.echo(f"claim {name}: {printable(formula)}{detected}{late}")


def _print_pilot(planned: PilotPlan, figure: Path | None, *, quiet: bool) -> None:
    """Print the table of assurances and the number of replicates that is suggested, and draw the figure."""
    from mlpbench.jobs.pilot_plan import WANTED, in_replicates, spread_counts
    from mlpbench.report.assurance_table import Assurances, draw

    shown = Assurances(
        replicates=planned.counts,
        times=[_short_time(planned.seconds(n)) for n in planned.counts],
        chances={name: [claim.assurance(n) for n in planned.counts] for name, claim in planned.foreseen.items()},
        wanted=WANTED,
        needed={name: list(map(in_replicates, numbers)) for name, numbers in planned.needed.items()},
    )
    source = f"the {planned.replicates} replicates of {planned.folder}"
    if not quiet:
        click.echo(f"\nassurance: chance that a claim is decided at another seed, given {source}")
        click.echo(shown.text())
        for name, claim in planned.claims.items():
            if claim.missing:
                click.echo(f"claim {name}: no assurance, {printable(claim.missing)}")
        even, likely, sure = planned.suggested
        each = "each claim" if len(planned.foreseen) == len(planned.claims) else "each of these claims"
        time = "" if likely is None else f", {_short_time(planned.seconds(likely))}"
        click.echo(
            f"suggested: {in_replicates(likely)} replicates, with which {each} has 80%{time}; "
            f"{in_replicates(even)} for 50%, {in_replicates(sure)} for 90%"
        )
    if figure is not None:
        from mlpbench.base.files import write_whole
        from mlpbench.report.figures import theme

        counts = spread_counts(planned)
        curves = {name: [claim.assurance(n) for n in counts] for name, claim in planned.foreseen.items()}
        title = f"{planned.replicates} replicates of {printable(planned.folder.name)}"
        write_whole(figure, theme.png(draw(curves, counts, shown, title)))
        click.echo(f"figure: {figure}", err=quiet)


def _short_time(seconds: float) -> str:
    """Return an expected time as a cell of a table has it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


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
    if key == "stops_early":
        return "early stopping", "FLOPs and time are those of runs that don't stop early: at most so much"
    return key.replace("_", " "), str(value)


@click.command(name="list")
@click.argument("folder", type=FOLDER, metavar="[FOLDER]", default=Path("experiments"))
@click.option(
    "--results",
    type=FOLDER,
    help="Folder that has the results folders (default: results/reference, if it exists).",
)
@WORKERS
@JSON
def list_(folder: Path, results: Path | None, workers: int | None, as_json: bool) -> None:
    """List the experiments of a folder: number of runs, expected time here, verdicts so far, question.

    FOLDER is `experiments` by default; where there is none, those that come with mlpbench are listed.
    """
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
