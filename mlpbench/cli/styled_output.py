"""What people see on a terminal: verdicts in colours, and tables that fit its width. Into a pipe the same goes as plain text.

Rich knows what a terminal can do, and honours NO_COLOR, FORCE_COLOR and TERM. It writes past the escape of `terminal_output`, so that
whatever a user wrote is escaped before.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from mlpbench.base.escapes import printable
from mlpbench.base.escapes import terminal as escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from mlpbench.evidence.judging.verdict import Verdict
    from mlpbench.jobs.listing import ListedExperiment

# Lines of text are not wider: they are hard to read.
WIDEST_TEXT = 110
# Of the 256: what a terminal's own green and yellow are is its theme's, and on a light ground they are often too light. Each of these stands
# out from black and from white alike.
GREEN, RED, ORANGE, TEAL = "color(28)", "color(160)", "color(130)", "color(30)"
COLOURS = {
    "supported": f"bold {GREEN}",
    "refuted": f"bold {RED}",
    "undecided": f"bold {ORANGE}",
    "at the margin": f"bold {TEAL}",
    "ok": GREEN,
    "note": ORANGE,
    "WRONG": f"bold {RED}",
}
# Of a table of verdicts, the columns that stand to the right.
RIGHT = (4, 5)
GAP = 2


def console() -> Console | None:
    """Return the terminal that is written to, None where output goes into a file or a pipe and no colour is asked for."""
    stream = getattr(sys.stdout, "stream", sys.stdout)
    if stream is None or not (stream.isatty() or os.environ.get("FORCE_COLOR")):
        return None
    from rich.console import Console

    return Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=False)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print a table of verdicts: on a terminal as wide as that is, a block for each claim where the table would be wider."""
    from mlpbench.report.verdict_tables import terminal_table

    on = console()
    if on is None or not verdicts:
        click.echo(terminal_table(verdicts))
        return
    for line in _verdict_lines(verdicts, on.width):
        _print(on, line)


def print_listed(rows: Sequence[ListedExperiment]) -> None:
    """Print what there is of each experiment, and its question."""
    from mlpbench.jobs.listing import text

    on = console()
    if on is None:
        click.echo(text(rows))
        return
    for line in text(rows, min(WIDEST_TEXT, on.width)).splitlines():
        _print(on, _coloured(escaped(line)))


def print_marked(line: str) -> None:
    """Print a line, on a terminal with the words in colour that say how things stand."""
    on = console()
    if on is None:
        click.echo(line)
    else:
        _print(on, _coloured(escaped(line)))


def print_filled(label: str, text: str, indent: int) -> None:
    """Print a text behind its label, or without one; on a terminal it goes on below itself where it is wider."""
    on = console()
    if on is None:
        click.echo(f"{label:<{indent}}{text}" if label else text)
        return
    indent = indent if label else 0
    for i, line in enumerate(_wrapped(escaped(text), on.width - indent)):
        _print(on, _coloured(f"{label if i == 0 else '':<{indent}}{line}"))


def print_paragraph(text: str) -> None:
    """Print a sentence or two; on a terminal it goes on below, indented, where it is wider."""
    on = console()
    if on is None:
        click.echo(text)
        return
    for i, line in enumerate(_wrapped(escaped(text), min(WIDEST_TEXT, on.width) - 4)):
        _print(on, _coloured(f"{'    ' if i else ''}{line}"))


def _print(on: Console, line: Text) -> None:
    """Print a line as it is, written out where the terminal's encoding lacks a letter."""
    from rich.text import Text

    encoding = on.encoding or "utf-8"
    if (plain := line.plain.encode(encoding, "backslashreplace").decode(encoding)) != line.plain:
        line = Text(plain)
    on.print(line, no_wrap=True, overflow="ignore", crop=False)


def _verdict_lines(verdicts: Sequence[Verdict], width: int) -> Iterator[Text]:
    from rich.text import Text

    from mlpbench.evidence.judging.verdict import sentences
    from mlpbench.report.verdict_tables import shared_caveats, terminal_cells, verdict_notes

    head, rows = terminal_cells(verdicts)
    shared = shared_caveats(verdicts)
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    fits = sum(widths) + GAP * (len(head) - 1) <= width
    if fits:
        yield Text((" " * GAP).join(_aligned(head, widths)).rstrip(), style="bold")
    for row, verdict in zip(rows, verdicts, strict=True):
        colour = COLOURS.get(verdict.decision, "")
        if fits:
            shown = Text()
            for i, cell in enumerate(_aligned(row, widths)):
                shown.append(" " * GAP * (i > 0)).append(cell, style=colour if i == 1 else "")
            yield shown
        else:
            gap = " " * GAP if len(row[0]) + GAP + len(row[1]) <= width else "\n  "
            yield Text(row[0], style="bold").append(gap).append(row[1], style=colour)
            # A p, or how many replicates kept a bound.
            found = row[5] if row[5][:1].isalpha() else f"{head[5]} {row[5]}"
            said = f"{row[2]}; claimed {row[3]}; n {row[4]}; {found}"
            yield from (Text(f"    {line}") for line in _wrapped(said, width - 4))
        for line in _wrapped(printable(verdict_notes(verdict, shared)), min(WIDEST_TEXT, width) - 4):
            yield Text(f"    {line}")
    if shared:
        yield Text("")
        yield from (Text(line) for line in _wrapped(printable(sentences(shared)), min(WIDEST_TEXT, width)))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [c.rjust(w) if i in RIGHT else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_on_hyphens=False)


def _coloured(line: str) -> Text:
    """Return a line with its verdicts, or the word that it begins with, in colour."""
    from rich.text import Text

    text = Text(line)
    first = line.split(" ", 1)[0]
    if first in ("ok", "note", "WRONG"):
        text.stylize(COLOURS[first], 0, len(first))
    for word in ("supported", "refuted", "undecided", "at the margin"):
        text.highlight_regex(rf"\b\d+ {word}\b", COLOURS[word])
    return text
