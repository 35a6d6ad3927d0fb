"""Commands about results folders: verdicts, reports, verification, differences, merging, trimming, weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.cli.common_options import (
    DATA_DIR,
    DEVICE,
    DRY_RUN,
    FOLDER,
    JSON,
    NOTHING_WRITTEN,
    OPEN,
    PLUGINS,
    WORKERS,
    find_browser,
    located_folders,
    noting_unsealed,
    print_report_failures,
    show_page,
    warn,
)

if TYPE_CHECKING:
    from mlpbench.jobs.diff import FolderDifference
    from mlpbench.jobs.verify import Verification
    from mlpbench.report.papers.paper_files import VectorFormat

MOST_LISTED = 20


@click.command()
@click.argument("folders", nargs=-1, type=FOLDER, metavar="[DIR...]")
@click.option("--markdown", is_flag=True, help="Print one table in Markdown.")
@click.option("--check", is_flag=True, help="Compare with the stored verdicts; exit with 1 if one has changed.")
@JSON
def claims(folders: tuple[Path, ...], markdown: bool, check: bool, as_json: bool) -> None:
    """Print the verdicts of results folders; of all below results/ by default.

    DIR may be the name of a folder below results/, here and in all commands about results folders.

    Of several experiments it says which verdicts would not stand over all claims together, by Benjamini and Hochberg's method.
    """
    from mlpbench.cli.styled_output import print_paragraph, print_verdicts
    from mlpbench.evidence.frames import json_records
    from mlpbench.jobs.judge import changed_verdicts, load_all
    from mlpbench.report.many_claims import JudgedClaim, false_discoveries
    from mlpbench.report.verdict_tables import ledger

    if markdown and as_json:
        raise InputError("claims are printed in one format, got --markdown and --json")
    if markdown and check:
        raise InputError("--check prints what has changed, not a table: give it without --markdown")
    chosen = located_folders(folders) or tuple(sorted(p.parent for p in Path("results").glob("*/spec.yaml")))
    if not chosen:
        click.echo("no results in results/ yet: `mlpbench run SPEC` writes them", err=True)
    with noting_unsealed(*chosen):
        outcomes = load_all(chosen, warn)
    if check:
        changed = {outcome.experiment.name: changed_verdicts(outcome) for outcome in outcomes}
        if as_json:
            click.echo(json.dumps(changed, indent=2))
        for outcome in () if as_json else outcomes:
            n = len(outcome.context.verdicts)
            same = f"{outcome.experiment.name}: {n} verdict{'s' * (n != 1)} as stored"
            click.echo("\n".join(changed[outcome.experiment.name] or [same]))
        if any(changed.values()):
            sys.exit(1)
        return
    if as_json:
        rows = {o.experiment.name: json_records(o.claims) for o in outcomes}
        click.echo(json.dumps(rows, indent=2))
    elif markdown:
        click.echo(ledger((o.experiment.name, o.context.verdicts) for o in outcomes))
    else:
        for outcome in outcomes:
            print_paragraph(f"{outcome.experiment.name}: {printable(outcome.experiment.question)}")
            print_verdicts(outcome.context.verdicts)
            click.echo()
    together = false_discoveries(
        [
            JudgedClaim(experiment=o.experiment.name, id=v.claim.id, verdict=v.decision, p=v.p)
            for o in outcomes
            for v in o.context.verdicts
        ]
    )
    if together and markdown:
        click.echo(f"\n{together}")
    elif together and not as_json:
        print_paragraph(together)


@click.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--html", is_flag=True, help="Write report.html too: one file, with a table of runs that sorts and filters."
)
@click.option(
    "--latex", is_flag=True, help="Write report.tex too: tables of claims and of conditions, for papers (booktabs)."
)
@click.option("--figures", metavar="pdf,svg", help="Write figures as PDF or SVG too, for papers: pdf, svg or pdf,svg.")
@OPEN
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 unless the report is up to date.")
def report(folder: Path, html: bool, latex: bool, figures: str | None, opens: bool, check: bool) -> None:
    """Write the report of a results folder again, from its tables, or of kernel benchmarks from `kernels.json`.

    An existing report.html is kept up to date with report.md, here and by `mlpbench run`, and so are report.tex and figures as PDF
    and SVG. In a paper:

    \b
      mlpbench report results/width --latex --figures pdf
      mlpbench cite results/width >> references.bib
    and, in LaTeX, with the packages array, booktabs and graphicx:
      \\input{results/width/report.tex}
      \\includegraphics{results/width/figures/error.pdf}
    """
    from mlpbench.jobs import write_pages

    (folder,) = located_folders([folder])
    formats: tuple[VectorFormat, ...] = ()
    if figures is not None:
        from mlpbench.report.papers.paper_files import read_formats

        formats = read_formats(figures)
    if opens and check:
        raise InputError("--check writes no page that --open could show: give one of them")
    if not check:
        browser = find_browser(opens, [folder])
        with noting_unsealed(folder):
            path, failures = write_pages.write(folder, html=html or opens, latex=latex, figures=formats, say=warn)
        click.echo(f"report: {path}")
        if latex:
            click.echo(f"tables: {folder / 'report.tex'}")
        for kind in formats:
            click.echo(f"figures: {folder / 'figures' / f'*.{kind}'}")
        print_report_failures(folder, failures)
        show_page(browser, path)
        if failures:
            sys.exit(1)
        return
    with noting_unsealed(folder):
        differing = write_pages.check(folder, html=html, latex=latex, figures=formats, say=warn)
    for name, how in differing.items():
        click.echo(f"{folder / name} {how}")
    if differing:
        sys.exit(1)
    click.echo(f"{folder}: report is up to date")


@click.command()
@click.argument("folders", nargs=-1, type=FOLDER, metavar="[DIR...]")
def cite(folders: tuple[Path, ...]) -> None:
    """Print BibTeX entries of results folders, with version and digest, and of mlpbench itself.

    The digest is that of the folder's seal: whoever has the folder can tell whether it is the one that is cited. Files that were
    altered since are refused. Whatever is written to the folder changes the digest, a report that is rendered by another version too:
    cite it last. Whose results they are mlpbench doesn't know: add an author to the entry.

    \b
      mlpbench cite results/width >> references.bib
    """
    from mlpbench.jobs import write_pages
    from mlpbench.report.papers.citation import software_entry

    folders = located_folders(folders)
    with noting_unsealed(*folders):
        entries = dict.fromkeys(write_pages.citation(folder, warn) for folder in folders)  # BibTeX refuses one twice
    click.echo("\n".join([*entries, software_entry()]), nl=False)


@click.command()
@click.argument("folder", type=FOLDER, metavar="[DIR]", default=Path("results"))
def index(folder: Path) -> None:
    """Write index.md and index.html of a folder: what is true, a row for each claim of every experiment below it.

    Experiments stand under topics: the `topic` of their file, or that of what they vary. The page has chips and a search that choose
    among claims; both say how many decided verdicts stand at a false discovery rate of 5% over all of them. Pictures of the Markdown
    lie in index_figures/. A file notes.yaml in DIR may say something about a verdict, such as why a claim was refuted: folder, claim,
    verdict and a sentence, which stands with the claim for as long as it has that verdict. Folders that can't be read, or have damaged files, are named there and don't stop it: exit status 2.
    """
    from mlpbench.jobs import write_pages

    paths, problems = write_pages.write_index(folder, warn)
    for path in paths:
        click.echo(f"index: {path}")
    for problem in problems:
        warn(problem)
    if problems:
        sys.exit(InputError.status)


@click.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--sample", type=click.IntRange(min=1), default=3, show_default=True, help="Number of runs to train again."
)
@click.option("--all", "everything", is_flag=True, help="Train all of them again.")
@DEVICE
@WORKERS
@DATA_DIR
@PLUGINS
@JSON
def verify(folder: Path, sample: int, everything: bool, as_json: bool, **chosen: Any) -> None:
    """Train runs of a results folder again, alone, and compare: identical, within tolerance, or different.

    Weights (by their digest, saved or not), metrics, curves, layers and predictions are compared bit for bit. Runs that were
    never verified come first, so that repeating the command covers more of them. An existing report is written again, with
    the outcome. Exit status 1 if a run is different, or only within tolerance although nothing has changed on which bits
    depend.
    """
    from mlpbench.jobs import write_pages
    from mlpbench.jobs.options import Options
    from mlpbench.jobs.verify import verify
    from mlpbench.results.folder_check import open_folder

    (folder,) = located_folders([folder])
    with noting_unsealed(folder):
        experiment, store = open_folder(folder, warn, tables=False)
    say = warn if as_json else click.echo
    verification = verify(experiment, store, Options(**chosen), None if everything else sample, say)
    if as_json:
        content = {
            "passed": verification.passed,
            "stored": verification.stored,
            "damaged": {str(path): why for path, why in verification.damaged.items()},
            "lost": [run.run_id for run in verification.lost],
            "runs": json.loads(verification.checked.to_json(orient="records")),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        _print_verification(verification)
    if verification.unrecorded:
        raise verification.unrecorded
    if (folder / "report.md").exists() and not verification.damaged:
        print_report_failures(folder, write_pages.write(folder)[1])
    if not verification.passed:
        sys.exit(1)


def _print_verification(verification: Verification) -> None:
    from mlpbench.evidence.agreement import counts, not_identical

    checked = verification.checked
    grades = ", ".join(f"{n} {grade}" for grade, n in counts(checked).items() if n) or "nothing to compare"
    runs = f"{len(checked)} of {verification.stored} runs trained again, alone"
    click.echo(f"{verification.experiment.name}: {runs}: {grades}")
    for path, why in verification.damaged.items():
        click.echo(f"{path} {why}")
    if verification.lost:
        click.echo("runs of which no row can be read:")
        _print_list([f"{r.label}, replicate {r.replicate} ({r.run_id})" for r in verification.lost])
    rows = not_identical(checked)
    if rows:
        click.echo("differences, as stored (and as trained now):")
        _print_runs(rows, {r["run_id"]: f"{r['label']}, replicate {r['replicate']}" for r in rows})
    elsewhere = sorted(set(checked["elsewhere"]) - {""})
    if elsewhere:
        click.echo(f"trained with another {' or another '.join(elsewhere)} than here: the bits may differ")


def _print_runs(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    _print_list([f"{_run_label(r['run_id'], labels)}: {r['grade']}: {r['differs']}" for r in rows])


def _run_label(run_id: str, labels: Mapping[str, str]) -> str:
    return f"{labels.get(run_id, 'a run of another grid')} ({run_id})"


def _print_list(lines: Sequence[str]) -> None:
    for line in lines[:MOST_LISTED]:
        click.echo(f"  {line}")
    if len(lines) > MOST_LISTED:
        click.echo(f"  and {len(lines) - MOST_LISTED} more")


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@JSON
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Compare two results folders: which runs are identical, which have changed, which are only in one of them.

    Weights are compared by their digest, `weights_sha256`, saved or not. Exit status 1 if the folders differ.
    """
    from mlpbench.jobs.diff import diff

    a, b = located_folders([a, b])
    with noting_unsealed(a, b):
        difference = diff(a, b, warn)
    if as_json:
        content = {
            "same": difference.same,
            "only_a": difference.only_a,
            "only_b": difference.only_b,
            "runs": json.loads(difference.both.to_json(orient="records")),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        _print_difference(a, b, difference)
    if not difference.same:
        sys.exit(1)


def _print_difference(a: Path, b: Path, difference: FolderDifference) -> None:
    from mlpbench.evidence.agreement import not_identical

    changed = not_identical(difference.both)
    only = ((a, difference.only_a), (b, difference.only_b))
    click.echo(f"{len(difference.both) - len(changed):>6} runs identical")
    click.echo(f"{len(changed):>6} runs changed")
    for folder, run_ids in only:
        click.echo(f"{len(run_ids):>6} runs only in {folder}")
    if changed:
        if difference.environments:
            click.echo(f"trained with another {' and another '.join(difference.environments)}: the bits may differ")
        click.echo(f"changed, in {a} (and in {b}):")
        _print_runs(changed, difference.labels)
    for folder, run_ids in only:
        if run_ids:
            click.echo(f"only in {folder}:")
            _print_list([_run_label(run_id, difference.labels) for run_id in run_ids])


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR DIR...")
@click.option("-o", "--output", required=True, type=FOLDER, help="The merged folder: a new one.")
@DRY_RUN
def merge(folders: tuple[Path, ...], output: Path, dry_run: bool) -> None:
    """Merge results folders of one experiment, trained on two machines for example, and write the report.

    A run in several folders is taken from the first, with weights that were saved, and what `trim` removed of it from
    another one. If folders have different results of a run, nothing is written and the conflicts are listed: exit status 1.
    Give the merged folder the name of the experiment, and `mlpbench run` continues in it.
    """
    from mlpbench.jobs.merge import merge

    folders = located_folders(folders)
    with noting_unsealed(*folders):
        merged = merge(folders, output, warn, dry_run=dry_run)
    for folder, n in merged.taken.items():
        click.echo(f"{n:>6} runs from {folder}")
    if merged.shared:
        click.echo(f"{merged.shared:>6} runs were in several, with the same results")
    if merged.others:
        click.echo(
            f"{merged.others:>6} runs are not of the grid in {output / 'spec.yaml'}: they are kept, and `mlpbench run` "
            "reports them with a file that has all levels"
        )
    click.echo(NOTHING_WRITTEN if dry_run else f"report: {output / 'report.md'}")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option(
    "--others",
    is_flag=True,
    help="Remove also runs that are not of the grid: of an earlier seed, or of changed settings.",
)
@DRY_RUN
def trim(folders: tuple[Path, ...], others: bool, dry_run: bool) -> None:
    """Remove from results folders the numbers that their reports do not read, and compress the rest.

    This removes curves and numbers of layers of runs that no figure shows and no claim reads, and predictions of conditions
    that no claim names. All else stays, and so does the report. The runs stay done: a later `run` does not train them again.
    A claim or figure that is added later and needs a removed number says so (`run --rerun all` trains the runs again).

    With --others runs go that spec.yaml no longer names. That they were looked at stays in the register of the folder, and claims
    are judged at the level that this leaves.
    """
    from mlpbench.jobs.trim import remove_others, trim

    for folder in located_folders(folders):
        with noting_unsealed(folder):
            if others:
                gone = f"{remove_others(folder, warn, dry_run=dry_run)} runs of another grid"
                click.echo(f"{folder}: {gone} {'would be removed' if dry_run else 'removed'}")
            trimmed = trim(folder, warn, dry_run=dry_run)
        for table, done in trimmed.items():
            size = f"{done.bytes_before / 2**20:.1f} MiB"
            size += "" if dry_run else f", now {done.bytes_after / 2**20:.1f} MiB"
            removed = f"{done.removed} {'would be removed' if dry_run else 'removed'}"
            click.echo(f"{folder}: {table}: {done.kept} kept, {removed}; {size}")
    if dry_run:
        click.echo(NOTHING_WRITTEN)


@click.command()
@click.argument("run")
@click.argument("file", type=FOLDER, metavar="FILE.safetensors")
@click.option(
    "--results",
    type=FOLDER,
    multiple=True,
    default=(Path("results"),),
    show_default="results",
    help="Folder in which to look for the run, at any depth; repeatable.",
)
@DEVICE
@DATA_DIR
@PLUGINS
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export(run: str, file: Path, results: tuple[Path, ...], force: bool, **chosen: Any) -> None:
    """Write the weights of RUN, a run_id or a unique prefix, to a safetensors file.

    Where the experiment did not keep them (`save_weights: true`), the run is trained again, alone, and its weights are
    checked against the digest in its row: exit status 1 if they differ, as on another kind of processor.
    """
    from mlpbench.jobs.export import export
    from mlpbench.jobs.options import Options
    from mlpbench.results.seal import unsealed

    exported = export(run, file, results, Options(quiet=True, **chosen), warn, force=force)
    if note := unsealed([exported.stored.folder]):
        warn(note)
    how = "trained again, alone, with the weights of its row" if exported.trained else "saved when it was trained"
    click.echo(f"{exported.stored.run_id} of {exported.stored.folder}: {how}")
    click.echo(f"weights: {file}")
