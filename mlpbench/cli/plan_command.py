"""The command that says what would be trained and judged, before it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.cli.common_options import (
    DEVICE,
    FOLDER,
    JSON,
    NOTHING_WRITTEN,
    NUMERICS,
    RESULTS,
    SET,
    THREADS,
    WORKERS,
    located_folders,
    noting_unsealed,
    read_experiments,
    warn,
)

# Where the text of a plan begins, behind its labels.
INDENT = 20

if TYPE_CHECKING:
    from mlpbench.experiment.spec import Experiment
    from mlpbench.jobs.inventory import Inventory
    from mlpbench.jobs.options import Options
    from mlpbench.jobs.pilot_plan import PilotPlan
    from mlpbench.jobs.planning.detectable import Detectable


@click.command()
@click.argument("specs", nargs=-1, required=True, type=FOLDER, metavar="SPEC...")
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
    specs: tuple[Path, ...],
    overrides: tuple[str, ...],
    pilot: Path | None,
    figure: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show what `run` would train and judge: runs, stacks, what is done, FLOPs, expected time, memory, claims and margins.

    SPEC is what `run` takes. Of several there is a plan of each, and one line for each at the end; with --json a list.

    Each claim says which effect the planned replicates detect with 80% power at its level by Holm's method, in standard
    deviations of the replicates' numbers. The level is that of its seed, by the register of the results folder. With --pilot there is
    for each claim its assurance, the chance to be decided over what the effect may be after the pilot, against the number of
    replicates and the time they take, and a number is suggested.
    """
    from mlpbench.cli.styled_output import print_filled
    from mlpbench.jobs.options import Options

    options = Options(**chosen)
    if pilot is not None and len(specs) > 1:
        raise InputError(f"--pilot is about one experiment: give one SPEC with it, got {len(specs)}")
    if figure is not None and pilot is None:
        raise InputError(f"--figure draws the chances of claims over a pilot: it needs --pilot DIR, got {figure} alone")
    if figure is not None and figure.suffix != ".png":
        raise InputError(f"--figure must be a file whose name ends in .png, got {figure}")
    plans = [_planned(e, options, pilot) for e in read_experiments(specs, overrides, options.results, warn)]
    if figure is not None and not any(of.pilot.foreseen for of in plans if of.pilot is not None):
        raise InputError("--figure draws the chances of claims over a pilot: no claim has one, leave it out")
    if as_json:
        contents = [of.to_json() for of in plans]
        click.echo(json.dumps(contents if len(contents) > 1 else contents[0], indent=2))
    for i, of in enumerate(plans if not as_json else ()):
        if i:
            click.echo()
        for label, text in of.lines():
            print_filled(label, text, INDENT)
        if of.detects is not None:
            _print_claims(of.claims, of.detects)
    for of in plans:
        if of.pilot is not None:
            _print_pilot(of.pilot, figure, quiet=as_json)
    if len(plans) > 1 and not as_json:
        click.echo("\n" + _together(plans))


@dataclass(frozen=True)
class _Planned:
    """What is to be said of one experiment before it runs."""

    inventory: Inventory
    summary: Mapping[str, Any]
    detects: Detectable | None
    pilot: PilotPlan | None

    @property
    def claims(self) -> dict[str, str]:
        """Each claim as a formula."""
        tests = {} if self.detects is None else self.detects.tests
        return {name: test.hypothesis.wording.formula for name, test in tests.items()}

    def to_json(self) -> dict[str, Any]:
        experiment = self.inventory.experiment
        of_claims: dict[str, Any] = {} if self.detects is None else {"detectable": self.detects.to_json()}
        of_claims |= {} if self.pilot is None else {"pilot": self.pilot.to_json()}
        of_claims |= {"tuning": experiment.tuning_rule} if experiment.tuning_rule else {}
        of_claims |= {"plugins": [p.as_written() for p in experiment.used_plugins]} if experiment.used_plugins else {}
        return {**self.summary, **of_claims, "claims": self.claims}

    def lines(self) -> list[tuple[str, str]]:
        """Return what is to be trained, a label and a text each."""
        experiment = self.inventory.experiment
        lines = [_described(key, value) for key, value in self.summary.items()]
        for plugin in experiment.used_plugins:
            pieces = ", ".join(f"{piece.kind} {piece.name}" for piece in plugin.pieces)
            lines.append(("plugin", f"{plugin.name}: {pieces}"))
        lines += [("", line) for line in self.inventory.outdated_lines()]
        return lines + [("tuning", experiment.tuning_rule)] * bool(experiment.tuning_rule)


def _planned(experiment: Experiment, options: Options, pilot: Path | None) -> _Planned:
    """Return the plan of an experiment, and say what is to be known of its files; raise InputError where a record is damaged."""
    from mlpbench.jobs.planning import planned
    from mlpbench.results.folder_check import check_folder
    from mlpbench.results.store import Store

    store = Store(options.results / experiment.name)
    with noting_unsealed(store.folder):
        found = check_folder(store, experiment)
    of = planned.plan(experiment, options, found)
    from_pilot: PilotPlan | None = None
    if pilot is not None:
        from mlpbench.jobs.pilot_plan import read_pilot  # scipy takes a while to load

        (pilot,) = located_folders([pilot])
        tests = {} if of.detectable is None else of.detectable.tests
        from_pilot = read_pilot(pilot, of.experiment, of.inventory.conditions, options, tests, warn)
    for line in of.said:
        click.echo(line, err=True)
    return _Planned(of.inventory, of.summary.to_json(), of.detectable, from_pilot)


def print_what_a_run_would_do(experiments: Sequence[Experiment], options: Options) -> None:
    """Print how many runs of each experiment `run` would train, and how many of these again, and which files it would put aside."""
    from mlpbench.jobs.listing import planned_time
    from mlpbench.jobs.run import topped_up

    for experiment in experiments:
        inventory = _planned(topped_up(experiment, options), options, None).inventory
        n, name = inventory.n_todo(options.rerun), experiment.name
        again = n - inventory.n_todo(None)
        time = planned_time(inventory.summary(options, options.rerun).seconds)
        replaced = f", {again} of them again, whose rows are replaced" if again else ""
        click.echo(f"{name}: {n} run{'s' * (n != 1)} would be trained{replaced}, {time}")
    click.echo(NOTHING_WRITTEN)


def _together(plans: Sequence[_Planned]) -> str:
    """Return a line for each of several experiments, and one for all."""
    from mlpbench.jobs.listing import planned_time

    head = ("experiment", "runs", "done", "missing", "expected time", "replicates", "detects")
    rows: list[tuple[str, ...]] = [head]
    for of in plans:
        detects, summary = of.detects, of.summary
        sds = (
            []
            if detects is None
            else sorted({f"{sd:.2g}": sd for sd in detects.sds.values() if sd is not None}.values())
        )
        effect = " to ".join(f"{sd:.2g}" for sd in dict.fromkeys([*sds[:1], *sds[-1:]]))
        counts = (str(summary[key]) for key in ("runs", "done", "missing"))
        replicates = "" if detects is None else str(detects.replicates)
        rows.append(
            (summary["experiment"], *counts, planned_time(summary["seconds"]), replicates, effect and f"{effect} sd")
        )
    sums = (str(sum(of.summary[key] for of in plans)) for key in ("runs", "done", "missing"))
    rows.append(("together", *sums, planned_time(sum(of.summary["seconds"] for of in plans)), "", ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = (
        "  ".join(f"{c:>{w}}" if 0 < i < 4 or i == 5 else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths)))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _print_claims(claims: Mapping[str, str], detects: Detectable) -> None:
    """Print each claim as a formula, with what the planned replicates detect of it, and the level it is judged at."""
    from mlpbench.cli.styled_output import print_filled, print_paragraph

    tested = [test for test in detects.tests.values() if not test.hypothesis.is_observed]
    seeds = {test.standing.number for test in tested}
    if any(test.is_foreseen for test in tested):
        share = f" / {tested[0].family}" if tested[0].family > 1 else ""
        level = (
            f"level {tested[0].seed_level:.3g}{share} (seed {min(seeds)})" if len(seeds) == 1 else f"its level{share}"
        )
        by = f"with 80% power by {detects.replicates} replicates, at {level}, in sd over replicates"
        print_filled("detectable", by, INDENT)
    for name, formula in claims.items():
        test, sds, few = detects.tests[name], detects.sds[name], detects.too_few.get(name)
        if few is not None:
            detected = f"; {few.n} {few.units} can't decide it ({few.least} can)"
        elif name in detects.one_draw:
            said = detects.one_draw[name].sentence.removesuffix(".")
            detected = f"; {said[:1].lower()}{said[1:]}"
        elif not test.is_foreseen:
            detected = ""
        elif sds is None:
            detected = "; detects nothing"
        else:
            detected = f"; shows equality within {sds:.2g} sd" if test.is_equivalence else f"; detects {sds:.2g} sd"
        if len(seeds) > 1 and not test.hypothesis.is_observed:
            detected += f", at level {test.seed_level:.3g} (seed {test.standing.number})"
        late = "; exploratory: its runs have been looked at" if test.standing.is_late else ""
        print_paragraph(f"claim {name}: {printable(formula)}{detected}{late}")


def _print_pilot(planned: PilotPlan, figure: Path | None, *, quiet: bool) -> None:
    """Print the table of assurances and the number of replicates that is suggested, and draw the figure."""
    from mlpbench.jobs.pilot_plan import WANTED, in_replicates, spread_counts
    from mlpbench.report.assurance_table import Assurances, draw

    if not planned.foreseen:
        if not quiet:
            _print_without_assurance(planned)
        return
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
        _print_without_assurance(planned)
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


def _print_without_assurance(planned: PilotPlan) -> None:
    """Print each claim that the pilot says nothing of, with the reason."""
    for name, claim in planned.claims.items():
        if claim.missing:
            click.echo(f"claim {name}: no assurance, {printable(claim.missing)}")


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
        return "early stopping", "FLOPs and time are upper bounds: those of runs that don't stop early"
    return key.replace("_", " "), str(value)
