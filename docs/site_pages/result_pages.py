"""The gallery of the reference results, what they say is true, and a page for each of their reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mlpbench.base.escapes import Markdown, markdown
from site_pages.links import MADE, PAGES, REFERENCE, page_of, relinked
from site_pages.prose import page
from site_pages.reference_results import Reference, by_topic

# The gallery leads to a report, and no contents of the site do: there are many.
ORPHAN = "---\norphan: true\n---\n\n"


def pages(root: Path) -> Mapping[str, str]:
    """Return the gallery and, of the repository, the pages that are written already, by their paths below `MADE`."""
    references = by_topic(root)
    names = [r.name for group in references.values() for r in group if r.summary is not None]
    written = [*PAGES, *(f"{REFERENCE}/{name}/report.md" for name in names)]
    return {"gallery.md": _gallery(references), **dict(_as_pages(written, root))}


def _as_pages(files: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
    for file in map(PurePosixPath, files):
        shown = page_of(file)
        if shown.is_relative_to(MADE):
            text = (root / file).read_text(encoding="utf-8")
            head = ORPHAN if file.name == "report.md" else ""
            yield shown.relative_to(MADE).as_posix(), head + relinked(text, file, shown, root)


def _gallery(references: Mapping[str, Sequence[Reference]]) -> str:
    count = sum(len(group) for group in references.values())
    lead = (
        f"The {count} experiments that come with mlpbench, each with the first picture of its report. A picture leads to the "
        "report. [What is true about MLPs](truth.md) has all of their claims in tables, [the course](course.md) tells them "
        "chapter by chapter."
    )
    parts = []
    for topic, group in references.items():
        parts.append(f"## {topic}")
        parts.append("\n\n".join(["::::{container} gallery", *map(_card, group), "::::"]))
    return page("Gallery", lead, *parts)


def _card(reference: Reference) -> str:
    """Return a card: the picture, the question, and how the claims came out."""
    figure = reference.summary.figure if reference.summary is not None else None
    lines = [":::{container} card"]
    if figure is not None:
        path = f"../../{REFERENCE}/{reference.name}/{figure.file}"
        lines.append(f"[![{markdown(figure.alt)}]({path})]({reference.report})")
    title = f"[{reference.name}]({reference.report})" if reference.report else f"`{reference.name}`"
    lines += [f"**{title}**", reference.question, Markdown("*{}*").format(reference.tally), ":::"]
    return "\n\n".join(lines)
