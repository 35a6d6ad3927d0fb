"""Commands about results folders that are there: pages of them, are they made again the same, do they agree, join them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.cli.common_options import DATA_DIR, DEVICE, WORKERS

if TYPE_CHECKING:
    from mlpbench.jobs.merge import Difference
    from mlpbench.jobs.verify import Verification

MOST_LISTED = 20
NO_GRID = "a run of no grid"
FOLDER = click.Path(path_type=Path)
# What `trim` drops of a table where that is not all of it.
DROPPED = {"layers": "quantiles of weights"}


@click.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--html", is_flag=True, help="Write report.html too: one file, with a table of runs that sorts and filters."
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the report there is not what the tables give.")
def report(folder: Path, html: bool, check: bool) -> None:
    """Write the report of a results folder again, from its tables, or of kernel benchmarks from `kernels.json`.

    A report.html that is there is kept up with report.md, here and by `mlpbench run`.
    """
    from mlpbench.jobs import write_pages

    if not check:
        click.echo(f"report: {write_pages.write(folder, html=html)}")
        return
    differing = write_pages.check(folder, html=html)
    for name, how in differing.items():
        click.echo(f"{folder / name} {how}")
    if differing:
        sys.exit(1)
    click.echo(f"{folder}: the report is what its tables give")


@click.command()
@click.argument("folder", type=FOLDER, metavar="[DIR]", default=Path("results"))
def index(folder: Path) -> None:
    """Write index.md and index.html of a results folder: every experiment below it with picture, question and verdicts."""
    from mlpbench.jobs import write_pages

    for path in write_pages.write_index(folder):
        click.echo(f"index: {path}")


@click.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--sample", type=click.IntRange(min=1), default=3, show_default=True, help="How many runs to train again."
)
@click.option("--all", "everything", is_flag=True, help="Train all of them again.")
@DEVICE
@WORKERS
@DATA_DIR
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(folder: Path, sample: int, everything: bool, as_json: bool, **given: Any) -> None:
    """Train runs of a results folder again, alone, and compare: identical, within tolerance, different.

    Weights (by their digest, saved or not), metrics, curves, layers and predictions are compared, bit for bit. Runs that were never verified come first,
    so that repeating the command covers more of them. A report that is there is written again, as it says what came of it. Exit status 1 where something is
    different, or only within tolerance although nothing that bits depend on has changed.
    """
    from mlpbench.jobs import write_pages
    from mlpbench.jobs.options import Options
    from mlpbench.jobs.verify import verify
    from mlpbench.results.folders import read_folder
    from mlpbench.results.store import Store

    experiment = read_folder(folder)
    found = verify(experiment, Store(folder), Options(**given), None if everything else sample)
    if as_json:
        damaged = {str(path): why for path, why in found.damaged.items()}
        runs = json.loads(found.checked.to_json(orient="records"))
        lost = [r.run_id for r in found.lost]
        told = {"passed": found.passed, "stored": found.stored, "damaged": damaged, "lost": lost, "runs": runs}
        click.echo(json.dumps(told, indent=2))
    else:
        _print_verification(found)
    if found.unrecorded:
        raise found.unrecorded
    if (folder / "report.md").exists() and not found.damaged:
        write_pages.write(folder)
    if not found.passed:
        sys.exit(1)


def _print_verification(found: Verification) -> None:
    from mlpbench.evidence.agreement import counts, not_identical

    grades = ", ".join(f"{n} {grade}" for grade, n in counts(found.checked).items() if n) or "nothing to compare"
    click.echo(f"{found.experiment.name}: {len(found.checked)} of {found.stored} runs trained again, alone: {grades}")
    for path, why in found.damaged.items():
        click.echo(f"{path} {why}")
    if found.lost:
        click.echo("no row can be read of:")
        _print_lines([f"{r.label}, replicate {r.replicate} ({r.run_id})" for r in found.lost])
    rows = not_identical(found.checked)
    if rows:
        click.echo("stored (and now):")
    _print_rows(rows, {r["run_id"]: f"{r['label']}, replicate {r['replicate']}" for r in rows})
    elsewhere = sorted(set(found.checked["elsewhere"]) - {""})
    if elsewhere:
        click.echo(f"made with another {' or another '.join(elsewhere)} than here: the bits may differ")


def _print_rows(rows: list[dict[str, Any]], labels: dict[str, str]) -> None:
    named = ((labels.get(r["run_id"], NO_GRID), r) for r in rows)
    _print_lines([f"{label} ({r['run_id']}): {r['grade']}: {r['differs']}" for label, r in named])


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
def trim(folders: tuple[Path, ...]) -> None:
    """Drop from results folders the numbers that their reports do not read, and store the rest in few bytes.

    What goes are curves and quantiles of weights, of runs that no figure shows, and predictions, of conditions that no
    claim names. Everything else stays, and so does the report. The runs stay done: a later `run` does not train them again,
    and a claim that is added later and needs a dropped prediction says that it is not there (`run --rerun all` makes it
    again).
    """
    from mlpbench.jobs import trim as trimming

    for folder in folders:
        for table, done in trimming.trim(folder).items():
            size = f"{done.before / 2**20:.1f} MiB, now {done.after / 2**20:.1f} MiB"
            click.echo(
                f"{folder}: {DROPPED.get(table, table)} kept of {done.kept} runs, dropped of {done.dropped}; {size}"
            )


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Put two results folders side by side: which runs are the same, which have moved, which only one of them has.

    Weights are compared by their digest, `weights_sha256`, whether they were saved or not. Exit status 1 where they differ.
    """
    from mlpbench.jobs import merge as joining

    found = joining.diff(a, b)
    if as_json:
        runs = json.loads(found.both.to_json(orient="records"))
        lonely = {"only_a": found.only_a, "only_b": found.only_b}
        click.echo(json.dumps({"same": found.same, **lonely, "runs": runs}, indent=2))
    else:
        _print_difference(a, b, found)
    if not found.same:
        sys.exit(1)


def _print_difference(a: Path, b: Path, found: Difference) -> None:
    from mlpbench.evidence.agreement import not_identical

    moved = not_identical(found.both)
    click.echo(f"{'same':<12}{len(found.both) - len(moved):>6}")
    click.echo(f"{'moved':<12}{len(moved):>6}")
    click.echo(f"{'missing':<12}{len(found.only_b):>6}  in {a}")
    click.echo(f"{'missing':<12}{len(found.only_a):>6}  in {b}")
    if moved and found.elsewhere:
        click.echo(f"made with another {' and another '.join(found.elsewhere)}: the bits may differ")
    if moved:
        click.echo(f"in {a} (and in {b}):")
    labels = dict(found.labels)
    _print_rows(moved, labels)
    for folder, lonely in ((a, found.only_b), (b, found.only_a)):
        if lonely:
            click.echo(f"missing in {folder}:")
        _print_lines([f"{labels.get(i, NO_GRID)} ({i})" for i in lonely])


def _print_lines(lines: list[str]) -> None:
    for line in lines[:MOST_LISTED]:
        click.echo(f"  {line}")
    if len(lines) > MOST_LISTED:
        click.echo(f"  and {len(lines) - MOST_LISTED} more")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR DIR...")
@click.option("-o", "--output", required=True, type=FOLDER, help="The joined folder: a new one.")
def merge(folders: tuple[Path, ...], output: Path) -> None:
    """Join results folders of one experiment, trained on two machines for example, and write the report.

    A run that several of them have is taken from the first, with weights that were saved; what `trim` dropped of it, from
    where it still is. Where they have different results of it, nothing is written and the conflicts are listed: exit status
    1. Call the joined folder as the experiment, and `mlpbench run` goes on in it.
    """
    from mlpbench.jobs import merge as joining

    joined = joining.merge(folders, output)
    for folder, n in joined.taken.items():
        click.echo(f"{n:>6} runs from {folder}")
    if joined.shared:
        click.echo(f"{joined.shared:>6} runs were in several, with the same results")
    if joined.others:
        click.echo(
            f"{joined.others} runs are not of the grid in {output / 'spec.yaml'}: they are kept, and `mlpbench run` with a "
            "file that has all levels reports on them"
        )
    click.echo(f"report: {output / 'report.md'}")
