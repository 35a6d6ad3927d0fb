"""A section of a report: a title, sentences, a table, figures and notes, and the Markdown they become.

Whatever is no `Markdown` is text, and is escaped here: words of users, and ours that have no markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mlpbench.base.escapes import Markdown, code, markdown

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
        alt = self.alt.replace("[", "(").replace("]", ")")
        return Markdown(" ".join(alt.split())) if isinstance(self.alt, Markdown) else markdown(alt, in_cell=True)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report, in the order in which it is read: title, sentences, table, figures, notes.

    Args:
        title: the heading.
        sentences: one paragraph, or several in Markdown: what the numbers say, then how to read the table and the figures.
        table: a table in Markdown.
        figures: what is drawn.
        notes: further blocks, below the figures.
        parts: sections within it, below the notes, with smaller headings.
        fold: what is inside, in a line, of a section that a page shows by its title until a reader opens it; empty where it is open.
        in_fold: whether it is inside the fold of the section before it.
        failure: why there is nothing but the title, if making the section failed; else empty.

    """

    title: str
    sentences: str = ""
    table: str = ""
    figures: Sequence[SectionFigure] = ()
    notes: str = ""
    parts: Sequence[Section] = ()
    fold: str = ""
    in_fold: bool = False
    failure: str = ""

    @property
    def every_figure(self) -> Sequence[SectionFigure]:
        """Its figures and those of its parts, in the order of the page."""
        return [*self.figures, *(figure for part in self.parts for figure in part.every_figure)]

    @property
    def markdown(self) -> Markdown:
        """The section as Markdown."""
        return self.text({})

    def text(self, undrawn: Mapping[str, str], level: int = 2) -> Markdown:
        """Return the section as Markdown.

        Args:
            undrawn: says by path why a figure could not be drawn, in place of its link.
            level: that of its heading.

        """
        shown = [
            Markdown("*The figure {} could not be drawn: {}*").format(code(f.path), undrawn[f.path])
            if f.path in undrawn
            else Markdown(f"![{f.alt_text}]({f.path})")
            for f in self.figures
        ]
        failure = Markdown("*This section could not be made: {}*").format(self.failure) if self.failure else ""
        parts = [part.text(undrawn, level + 1) for part in self.parts]
        return blocks(heading(level, self.title), failure, self.sentences, self.table, *shown, self.notes, *parts)


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


def blocks(*parts: str) -> Markdown:
    """Return the parts that are not empty as blocks of Markdown."""
    return Markdown("\n\n").join(part for part in parts if part)


def heading(level: int, title: str) -> Markdown:
    """Return a heading of a level, 1 for that of the page."""
    words = markdown(title)
    # Signs at the end would close the heading, and not be read.
    words = Markdown(f"{words[:-1]}\\#") if words.endswith("#") and not words.endswith("\\#") else words
    return Markdown(f"{'#' * level} {words}")


def with_code(text: str) -> Markdown:
    """Return text as Markdown in which what stands between backticks is code; Markdown as it is.

    >>> with_code("`of: typical` judges *such*")
    '`of: typical` judges \\\\*such\\\\*'
    """
    if isinstance(text, Markdown):
        return text
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markdown(text)
    spaces = [
        (part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :] if part.strip() else "") for part in parts
    ]
    said = [code(part) if i % 2 else markdown(part.strip(), in_cell=i > 0) for i, part in enumerate(parts)]
    return Markdown("".join(f"{before}{text}{after}" for (before, after), text in zip(spaces, said, strict=True)))


def paragraph(*sentences: str) -> str:
    """Return the sentences that are not empty as one paragraph: as text, or as Markdown where one of them is."""
    some = [sentence for sentence in sentences if sentence]
    return (Markdown(" ") if any(isinstance(s, Markdown) for s in some) else " ").join(some)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> Markdown:
    """Return a Markdown table; `align` has `l` or `r` for each column.

    >>> print(table(["width", "error"], [["8", "0.2"]], "lr"))
    | width | error |
    | --- | ---: |
    | 8 | 0.2 |
    """
    rule = ["---:" if a == "r" else "---" for a in align]
    lines = [[_cell(name) for name in head], rule, *([_cell(cell) for cell in row] for row in rows)]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _cell(text: str) -> str:
    """Return text as one table cell: no bars, in code either, and no line breaks."""
    return " ".join(markdown(text, in_cell=True).split()).replace("|", "\\|")
