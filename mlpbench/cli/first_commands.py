"""Commands for the first minutes: write a file, explain a word, look at this machine, show an experiment from end to end."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import (
    FOLDER,
    JSON,
    RESULTS,
    find_browser,
    print_report_failures,
    show_page,
    warn,
)
from mlpbench.cli.experiment_commands import print_outcome

if TYPE_CHECKING:
    from mlpbench.experiment.file.glossary import Entry

# As wide as lines are easily read; narrower where the terminal is.
WIDEST, NARROWEST = 100, 40


@click.command()
@click.argument("name")
@click.option(
    "--template",
    metavar="TEMPLATE",
    help="compare two levels; tune a setting for each; ablate a recipe; own-data, a table of your own; replicate a published "
    "number.  [default: compare, with --data own-data]",
)
@click.option(
    "--data", type=FOLDER, metavar="FILE", help="A table of your own, or the name of one that comes with mlpbench."
)
@click.option(
    "--target", metavar="COLUMN", help="The column of that table to predict: a name, or a position such as -1."
)
def new(name: str, template: str | None, data: Path | None, target: str | None) -> None:
    """Write NAME.yaml here: an experiment with comments, which runs as it is, to be changed into your own.

    Beside it comes mlpbench.schema.json, with which editors explain keys and mark mistakes, offline. With --data the table is
    looked at, and comments say how it is read. Nothing is overwritten.
    """
    from mlpbench.jobs.first_steps import starter_files

    files = starter_files.starter_files(name, template, data, target)
    starter_files.write(files)
    for path in files.content:
        what = {".json": "schema, for editors", ".csv": "data", ".yaml": "experiment"}[path.suffix]
        click.echo(f"{what}: {path}")
    click.echo(f"next: mlpbench run {files.path}")


@click.command()
@RESULTS
@click.option("--no-test", is_flag=True, help="Train nothing: leave out the test of bits and speed.")
@JSON
def doctor(results: Path, no_test: bool, as_json: bool) -> None:
    """Look at this machine: torch, processor, memory, disk, data, GPU, what would be chosen and why, bits and speed.

    Trains a few small networks, of which the weights are known, for some ten seconds. Exit status 1 if something is wrong; each
    such line says what to do.
    """
    from mlpbench.cli.styled_output import print_marked
    from mlpbench.jobs.first_steps.doctor import check_results, findings, healthy

    check_results(results)
    found = []
    for finding in findings(results, test=not no_test):
        found.append(finding)
        if not as_json:
            mark = {"fine": "ok", "note": "note", "wrong": "WRONG"}[finding.state]
            for line in _wrapped(f"{mark:<7}{finding.what}", finding.seen, 24):
                print_marked(line)
            if finding.way:
                click.echo("\n".join(_wrapped("", f"-> {finding.way}", 24)))
    if as_json:
        click.echo(json.dumps({"healthy": healthy(found), "findings": [f.to_json() for f in found]}, indent=2))
    elif healthy(found):
        click.echo("nothing is wrong")
    if not healthy(found):
        sys.exit(1)


@click.command()
@RESULTS
@click.option("--no-open", is_flag=True, help="Do not open the report in a browser.")
def demo(results: Path, no_open: bool) -> None:
    """Show an experiment from end to end, in seconds: train 40 small networks on digits, judge three claims, write the report.

    No data are downloaded. The report is opened where there is a screen and a browser; else its path is printed.
    """
    from mlpbench.jobs.first_steps import demo as demonstration

    folder = demonstration.results_folder(results)
    if folder != results:
        warn(f"{results} can't be written to: results go to {folder}")
    click.echo(textwrap.indent(demonstration.demo_text(), "  "))
    outcome, page = demonstration.run_demo(folder, click.echo, warn)
    print_outcome(outcome)
    print_report_failures(outcome.folder, outcome.report_failures)
    if page is not None:
        click.echo(f"page: {page}")
    click.echo("next: mlpbench new mine, then mlpbench run mine.yaml; `mlpbench explain WORD` explains a word")
    if page is not None:
        show_page(find_browser(False if no_open else None, [outcome.folder]), page)
    if outcome.failed or outcome.report_failures or page is None:
        sys.exit(1)


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD...]")
@JSON
def explain(words: tuple[str, ...], as_json: bool) -> None:
    """Say what a setting, key, word, metric, claim, data set or numerics mode is: range, default, source, an example.

    Without WORD everything that there is to explain is listed, by kind. What other libraries call a setting is understood:
    `mlpbench explain learning_rate` explains lr.
    """
    from mlpbench.experiment.file import glossary

    if not words:
        groups = glossary.groups()
        listed = [e.to_json() for group in groups.values() for e in group]
        click.echo(json.dumps(listed, indent=2) if as_json else "\n".join(_all(groups)))
        return
    found = {word: glossary.explain(word) for word in words}
    together = " ".join(words)
    # `mlpbench explain at the margin`, and `p value`, of which each is a word too
    is_one = len(words) > 1 and (not all(found.values()) or glossary.is_term(together))
    if is_one and (whole := glossary.explain(together)):
        found = {together: whole}
    found = {word: entries or _nearest(word) for word, entries in found.items()}
    unknown = [word for word, entries in found.items() if not entries]
    if unknown:
        near = glossary.nearest_name(unknown[0])
        meant = "" if near is None else f"; did you mean {near!r}?"
        raise InputError(f"nothing is called {unknown[0]!r}{meant}; `mlpbench explain` alone lists what there is")
    flat = [entry for entries in found.values() for entry in entries]
    if as_json:
        click.echo(json.dumps([e.to_json() for e in flat], indent=2))
        return
    for word, entries in found.items():
        if entries[0].name.lower() != word.lower().replace("-", "_") and entries[0].name != word:
            click.echo(f"{word}: here {entries[0].name}\n")
    click.echo("\n\n".join("\n".join(_lines(entry)) for entry in flat))


def _nearest(word: str) -> list[Entry]:
    """Return the entries of the word that was meant, where there is no doubt of it."""
    from mlpbench.experiment.file import glossary

    meant = glossary.meant_name(word)
    return [] if meant is None else glossary.explain(meant)


def _width() -> int:
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns - 1))


def _wrapped(label: str, text: str, indent: int = 11, before: int = 0) -> Iterator[str]:
    """Yield a text behind its label, wrapped to the terminal, of which the caller takes some columns before it."""
    for i, line in enumerate(textwrap.wrap(text, max(10, _width() - indent - before), break_on_hyphens=False) or [""]):
        yield f"{label if i == 0 else '':<{indent}}{line}"


def _lines(entry: Entry) -> Iterator[str]:
    from mlpbench.experiment.file import glossary

    yield f"{entry.name} ({entry.kind})"
    yield from _wrapped("", entry.meaning, 2)
    said = (("values", entry.values), ("default", entry.default), ("source", entry.source))
    for label, text in said:
        if text:
            yield from _wrapped(f"  {label}", text)
    described = {word: meaning for word, meaning in entry.words.items() if meaning}
    widest = min(20, max(map(len, described), default=0)) + 2
    for i, (word, meaning) in enumerate(described.items()):
        for j, line in enumerate(_wrapped(word, meaning, widest, before=11)):
            yield f"{'  words' if i == 0 and j == 0 else '':<11}{line}"
    for i, line in enumerate(entry.example.splitlines()):
        # Not wrapped: it is to be copied.
        yield f"{'  example' if i == 0 else '':<11}{line}"
    if others := [*glossary.other_names(entry.name), *glossary.other_forms(entry.name)]:
        yield from _wrapped("  also", ", ".join(others))


def _all(groups: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield the names of all entries by what they are, wrapped."""
    for title, entries in groups.items():
        yield f"{title}:"
        yield from _wrapped("", ", ".join(dict.fromkeys(e.name for e in entries)), 2)
    yield ""
    yield from _wrapped("", "mlpbench explain WORD says what one of them is.", 0)
