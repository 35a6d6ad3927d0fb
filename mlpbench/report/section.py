"""A section of a report: a title, sentences, a table, figures and notes, and the Markdown they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Draws a figure, when its file is wanted.
Drawing: TypeAlias = "Callable[[], Figure]"


@dataclass(frozen=True, kw_only=True)
class SectionFigure:
    """A figure: the name of its file, what draws it, and the alternative text for readers who cannot see it."""

    name: str
    draw: Drawing
    alt: str

    @property
    def path(self) -> str:
        """Where the figure lies, seen from the report."""
        return f"figures/{self.name}.png"

    @property
    def alt_text(self) -> str:
        """The alternative text as Markdown links take it."""
        return escape(self.alt).replace("[", "(").replace("]", ")")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report, in the order in which it is read: title, sentences, table, figures, notes.

    Args:
        title: the heading.
        sentences: one paragraph, or several: what the numbers say, then how to read the table and the figures.
        table: a table in Markdown.
        figures: what is drawn.
        notes: further blocks of Markdown, below the figures.
        failure: why there is nothing but the title, if making the section failed; else empty.

    """

    title: str
    sentences: str = ""
    table: str = ""
    figures: Sequence[SectionFigure] = ()
    notes: str = ""
    failure: str = ""

    @property
    def markdown(self) -> str:
        """The section as Markdown."""
        return self.text({})

    def text(self, undrawn: Mapping[str, str]) -> str:
        """Return the section as Markdown; `undrawn` says by path why a figure could not be drawn, in place of its link."""
        shown = [
            f"*The figure `{f.path}` could not be drawn: {undrawn[f.path]}*"
            if f.path in undrawn
            else f"![{f.alt_text}]({f.path})"
            for f in self.figures
        ]
        failure = f"*This section could not be made: {self.failure}*" if self.failure else ""
        return blocks(f"## {self.title}", failure, self.sentences, self.table, *shown, self.notes)


def figure_section(title: str, finding: str, *more: str, figure: str, alt: str, draw: Drawing) -> Section:
    """Return a section of one figure.

    Args:
        title: the heading.
        finding: what the numbers say; the alternative text of the figure ends with it.
        more: further sentences, of which empty ones are left out.
        figure: the name of the figure's file.
        alt: what the figure shows, for the alternative text.
        draw: draws the figure.

    """
    drawn = SectionFigure(name=figure, draw=draw, alt=f"{alt} {finding}")
    return Section(title=title, sentences=paragraph(finding, *more), figures=[drawn])


def blocks(*parts: str) -> str:
    """Return the parts that are not empty as blocks of Markdown."""
    return "\n\n".join(part for part in parts if part)


def paragraph(*sentences: str) -> str:
    """Return the sentences that are not empty as one paragraph."""
    return " ".join(sentence for sentence in sentences if sentence)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """Return a Markdown table; `align` has `l` or `r` for each column.

    >>> print(table(["width", "error"], [["8", "0.2"]], "lr"))
    | width | error |
    | --- | ---: |
    | 8 | 0.2 |
    """
    rule = ["---:" if a == "r" else "---" for a in align]
    lines = [list(head), rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Return text as one table cell: no bars, no line breaks."""
    return " ".join(text.replace("|", "\\|").split())
