"""Commands for the first minutes: write a file, explain a word, look at this machine, show an experiment from end to end."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import JSON

if TYPE_CHECKING:
    from mlpbench.experiment.file.glossary import Entry

# As wide as lines are easily read; narrower where the terminal is.
WIDEST, NARROWEST = 100, 40
TEMPLATES = ("compare", "tune", "ablate", "own-data", "replicate")


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
    together = " ".join(words)  # `mlpbench explain at the margin`
    whole = glossary.explain(together)
    found = {together: whole} if whole else {word: _entries(word) for word in words}
    unknown = [word for word, entries in found.items() if not entries]
    if unknown:
        raise InputError(f"nothing is called {unknown[0]!r}; `mlpbench explain` alone lists what there is")
    flat = [entry for entries in found.values() for entry in entries]
    if as_json:
        click.echo(json.dumps([e.to_json() for e in flat], indent=2))
        return
    for word, entries in found.items():
        if entries[0].name.lower() != word.lower().replace("-", "_") and entries[0].name != word:
            click.echo(f"{word}: here {entries[0].name}\n")
    click.echo("\n\n".join("\n".join(_lines(entry)) for entry in flat))


def _entries(word: str) -> list[Entry]:
    """Return the entries of a word, or of the one that was meant where that is beyond doubt or very near."""
    from mlpbench.experiment.file import glossary

    found = glossary.explain(word)
    if found or (near := glossary.nearest_name(word)) is None:
        return found
    return glossary.explain(near)


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
    if others := glossary.other_names(entry.name):
        yield from _wrapped("  also", ", ".join(others))


def _all(groups: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield the names of all entries by what they are, wrapped."""
    for title, entries in groups.items():
        yield f"{title}:"
        yield from _wrapped("", ", ".join(dict.fromkeys(e.name for e in entries)), 2)
    yield ""
    yield from _wrapped("", "mlpbench explain WORD says what one of them is.", 0)
