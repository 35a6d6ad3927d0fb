"""The reference of commands: what `--help` says, with the options as a table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from mlpbench.base.escapes import Markdown, code
from mlpbench.cli.main import main
from mlpbench.report.section import table
from site_pages.prose import block, prose
from site_pages.prose import page as whole_page

LEAD = (
    "Every command says the same with `--help`. [The tutorial](../tutorial.md) shows the usual ones in their order. "
    "Paths and names of experiments may stand for each other: `width` is `width.yaml` here, or the experiment of that name "
    "that comes with the package."
)


def page() -> str:
    """Return the page of all commands."""
    context = click.Context(main, info_name="mlpbench")
    commands = [(name, main.get_command(context, name)) for name in main.list_commands(context)]
    sections = [part for name, c in commands if c is not None for part in _section(c, f"mlpbench {name}", 2)]
    status = next(p for p in re.split(r"\n\s*\n", main.help or "") if p.startswith("Exit status"))
    return whole_page("Commands", LEAD, *sections, "## Exit status", prose(" ".join(status.split())))


def _section(command: click.Command, path: str, level: int) -> Iterator[str]:
    """Yield the parts of the section of a command, and of the commands below it."""
    context = click.Context(command, info_name=path)
    yield f"{'#' * level} {path}"
    pieces = " ".join(command.collect_usage_pieces(context))
    yield block(f"{path} {pieces}", "text")
    yield from _paragraphs(command.help or "")
    records = [p.get_help_record(context) for p in command.get_params(context)]
    rows = [record for record in records if record is not None and record[1] and "--help" not in record[0]]
    if rows:
        yield table(["option", "what it does"], [[code(name), prose(text)] for name, text in rows], "ll")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, "a listed command is there"
            yield from _section(below, f"{path} {name}", min(level + 1, 3))


def _paragraphs(text: str) -> Iterator[Markdown]:
    r"""Yield the paragraphs of a help text; one that begins with `\b` keeps its lines."""
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        yield (
            block(inspect.cleandoc(part.removeprefix("\b\n")), "text")
            if part.startswith("\b")
            else prose(" ".join(part.split()))
        )
