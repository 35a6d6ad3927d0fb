"""The index of a results folder: every experiment with its first picture, question, verdicts and runs."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlpbench.report.pages.markdown_html import VERDICTS, data_uri
from mlpbench.report.pages.page import index_page
from mlpbench.report.report import HTML, MARKDOWN
from mlpbench.report.sections.tables import escape, table

TITLE = "Results"
# In CSS pixels; pictures have twice as many dots, for screens that have.
THUMB_WIDTH, THUMB_HEIGHT = 240, 180
_PICTURE = re.compile(r"^!\[(.*)\]\((figures/[\w.-]+\.png)\)$", flags=re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One experiment: its folder as seen from the index, what it asks, what came of it, and which files there are.

    `picture` has the name, the words and the PNG of the report's first figure. Kernel benchmarks are no experiment: they
    have neither claims nor runs, but an `amount` of benchmarks.
    """

    name: str
    folder: str
    question: str
    verdicts: Mapping[str, int]
    statuses: Mapping[str, int]
    files: Sequence[str]
    picture: tuple[str, str, bytes] | None = None
    amount: str = ""


@dataclass(frozen=True, kw_only=True)
class Index:
    """All experiments of a results folder, and (folder, reason) of those that can't be read."""

    entries: Sequence[Entry]
    unread: Sequence[tuple[str, str]]

    @property
    def about(self) -> str:
        """What the index is of, in a sentence."""
        n = sum(not entry.amount for entry in self.entries)
        others = len(self.entries) - n
        counts: dict[str, int] = {}
        for entry in self.entries:
            for verdict, count in entry.verdicts.items():
                counts[verdict] = counts.get(verdict, 0) + count
        said = ", ".join(f"{count} {verdict}" for verdict, count in _ordered(counts))
        claims = sum(counts.values())
        told = f", {claims} claim{'s' * (claims != 1)}: {said}" if claims else ""
        beside = f"; kernel benchmarks in {others} folder{'s' * (others > 1)}" if others else ""
        return f"{n} experiment{'s' * (n != 1)}{told}{beside}."


def first_picture(markdown: str) -> tuple[str, str] | None:
    """Return the name and the words of the first figure that a report shows."""
    found = _PICTURE.search(markdown)
    return (found[2], found[1]) if found else None


def markdown(index: Index) -> str:
    """Return the index as Markdown; pictures are those of the reports, shown small."""
    rows = [_row(entry) for entry in index.entries]
    blocks = [f"# {TITLE}", index.about]
    if rows:
        blocks.append(table(["", "experiment", "question", "verdicts", "runs"], rows, "lllll"))
    if index.unread:
        blocks.append("## Could not be read")
        blocks.append("\n".join(f"- `{folder}`: {escape(why)}" for folder, why in index.unread))
    return "\n\n".join(blocks) + "\n"


def page(index: Index) -> str:
    """Return the index as one HTML file, with small pictures inside."""
    entries = [
        {
            "name": e.name,
            "question": e.question,
            "link": _link(e, _best(e)),
            "links": [(name, _link(e, name)) for name in e.files],
            "verdicts": _ordered(e.verdicts),
            "runs": e.amount or _runs(e.statuses),
            "claimless": not e.amount,
            "picture": _thumbnail(e),
        }
        for e in index.entries
    ]
    return index_page(title=TITLE, about=index.about, entries=entries, unread=list(index.unread))


def _row(entry: Entry) -> list[str]:
    link = _link(entry, _best(entry))
    shown = ""
    if entry.picture:
        name, words, _ = entry.picture
        # Markdown has no way to say how large a picture is.
        image = f'<img src="{_link(entry, name)}" width="{THUMB_WIDTH}" alt="{html.escape(words)}">'
        shown = f"[{image}]({link})"
    said = ", ".join(f"{n} **{verdict}**" for verdict, n in _ordered(entry.verdicts))
    said = said or ("" if entry.amount else "no claims")
    return [shown, f"[{entry.name}]({link})", entry.question, said, entry.amount or _runs(entry.statuses)]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(v, counts[v]) for v in [*VERDICTS, *sorted(set(counts) - set(VERDICTS))] if counts.get(v)]


def _runs(statuses: Mapping[str, int]) -> str:
    n = sum(statuses.values())
    ended = [f"{statuses[s]} {s}" for s in ("diverged", "failed") if statuses.get(s)]
    return ", ".join([f"{n} run{'s' * (n != 1)}", *ended])


def _best(entry: Entry) -> str:
    return next((name for name in (HTML, MARKDOWN) if name in entry.files), entry.files[-1])


def _link(entry: Entry, name: str) -> str:
    return quote(f"{entry.folder}/{name}" if entry.folder != "." else name)


def _thumbnail(entry: Entry) -> dict[str, Any] | None:
    """Return a small copy of the picture, of a tall one the upper part; nothing where it is no picture."""
    from PIL import Image

    if not entry.picture:
        return None
    _, words, content = entry.picture
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as whole:
            picture = whole.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
    width, height = picture.size
    picture = picture.crop((0, 0, width, min(height, width * THUMB_HEIGHT // THUMB_WIDTH)))
    small = (2 * THUMB_WIDTH, max(1, round(2 * THUMB_WIDTH * picture.height / width)))
    buffer = io.BytesIO()
    picture.resize(small, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return {"uri": data_uri(buffer.getvalue()), "width": small[0] // 2, "height": small[1] // 2, "alt": words}
