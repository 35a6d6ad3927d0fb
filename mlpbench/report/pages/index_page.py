"""The index of a folder of results: every experiment with its first figure, question, verdicts and runs."""

from __future__ import annotations

import html
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, get_args
from urllib.parse import quote

from mlpbench.base.escapes import Markdown, bullets, code, printable
from mlpbench.base.escapes import markdown as escaped
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.many_claims import JudgedClaim, false_discoveries
from mlpbench.report.pages.markdown_html import data_uri, picture_size
from mlpbench.report.pages.page import index_page
from mlpbench.report.pages.report_digest import HTML, MARKDOWN
from mlpbench.report.section import blocks, heading, table
from mlpbench.report.summary import Summary

TITLE = "Results"
# In CSS pixels; pictures have twice as many dots, for screens that have.
THUMB_WIDTH, THUMB_HEIGHT = 240, 180
# A page with pictures of more folders takes long to make and to open.
MOST_PICTURED = 100
# More than any figure of a report has: a small file may claim to unpack to gigabytes.
MOST_PIXELS = 2**25


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One experiment, or one folder of kernel benchmarks.

    Args:
        folder: where it lies, seen from the index.
        summary: what its report says.
        files: the files that the index links to.
        picture: the first figure as PNG, None where there is none.

    """

    folder: str
    summary: Summary
    files: Sequence[str]
    picture: bytes | None = None

    @property
    def runs(self) -> str:
        """How many runs there are, and how many diverged or failed; of kernel benchmarks, how many."""
        if self.summary.benchmarks:
            return _counted(self.summary.benchmarks, "benchmark")
        statuses = self.summary.runs
        ended = [f"{statuses[s]} {s}" for s in ("diverged", "failed") if statuses.get(s)]
        return ", ".join([_counted(sum(statuses.values()), "run"), *ended])

    @property
    def verdicts(self) -> list[tuple[Decision, int]]:
        """The number of claims by verdict, in the usual order."""
        return _ordered(self.summary.verdicts)

    @cached_property
    def thumbnail(self) -> dict[str, Any] | None:
        """A small copy of the picture, of a tall one the upper part; nothing where it is no picture."""
        from PIL import Image

        if self.picture is None or self.summary.figure is None:
            return None
        if prod(picture_size(self.picture)) > MOST_PIXELS:
            return None
        try:
            with Image.open(io.BytesIO(self.picture), formats=("PNG",)) as whole:
                picture = whole.convert("RGB")
        except (OSError, ValueError, SyntaxError):
            return None
        width, height = picture.size
        picture = picture.crop((0, 0, width, min(height, width * THUMB_HEIGHT // THUMB_WIDTH)))
        small = (2 * THUMB_WIDTH, max(1, round(2 * THUMB_WIDTH * picture.height / width)))
        buffer = io.BytesIO()
        picture.resize(small, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
        uri = data_uri(buffer.getvalue())
        return {"uri": uri, "width": small[0] // 2, "height": small[1] // 2, "alt": self.summary.figure.alt}

    def link(self, name: str = "") -> str:
        """Return the address of a file, of the best page by default."""
        name = name or next((page for page in (HTML, MARKDOWN) if page in self.files), self.files[-1])
        return quote(os.fsencode(f"{self.folder}/{name}" if self.folder != "." else name))


@dataclass(frozen=True, kw_only=True)
class Index:
    """All experiments of a folder, and (folder, reason) of those that cannot be read."""

    entries: Sequence[Entry]
    unread: Sequence[tuple[str, str]]

    @property
    def is_pictured(self) -> bool:
        """Whether there is a picture of each experiment that has one."""
        return len(self.entries) + len(self.unread) <= MOST_PICTURED

    @property
    def about(self) -> str:
        """What the index lists, in a sentence."""
        benchmarks = sum(bool(entry.summary.benchmarks) for entry in self.entries)
        counts = sum((Counter(entry.summary.verdicts) for entry in self.entries), Counter())
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in _ordered(counts))
        claims = f", {_counted(counts.total(), 'claim')}: {verdicts}" if verdicts else ""
        folders = f"; kernel benchmarks in {_counted(benchmarks, 'folder')}" if benchmarks else ""
        left_out = (
            "" if self.is_pictured else f" With more than {MOST_PICTURED} folders, only the reports have pictures."
        )
        together = false_discoveries(
            [
                JudgedClaim(experiment=entry.folder, id=a.id, verdict=a.verdict, p=a.p)
                for entry in self.entries
                for a in entry.summary.answers
            ]
        )
        first = f"{_counted(len(self.entries) - benchmarks, 'experiment')}{claims}{folders}.{left_out}"
        return f"{first} {together}".rstrip()


def markdown(index: Index) -> str:
    """Return the index as Markdown; pictures are those of the reports, shown small."""
    rows = [_row(entry, pictured=index.is_pictured) for entry in index.entries]
    return (
        blocks(
            heading(1, TITLE),
            index.about,
            table(["", "experiment", "question", "verdicts", "runs"], rows, "lllll") if rows else "",
            heading(2, "Could not be read") if index.unread else "",
            bullets(Markdown("{}: {}").format(code(folder), why) for folder, why in index.unread),
        )
        + "\n"
    )


def page(index: Index) -> str:
    """Return the index as one HTML file, with small pictures inside unless there are very many."""
    return index_page(title=TITLE, index=index)


def _row(entry: Entry, *, pictured: bool) -> list[str]:
    summary = entry.summary
    shown = ""
    if pictured and entry.picture is not None and summary.figure:
        # Markdown has no way to say how large a picture is.
        source, alt = entry.link(summary.figure.file), _in_tag(summary.figure.alt)
        shown = Markdown(f'[<img src="{source}" width="{THUMB_WIDTH}" alt="{alt}">]({entry.link()})')
    verdicts: str = Markdown(", ").join(Markdown(f"{n} **{verdict}**") for verdict, n in entry.verdicts)
    verdicts = verdicts or ("" if summary.benchmarks else "no claims")
    name = Markdown("[{}]({})").format(escaped(summary.name, in_cell=True), Markdown(entry.link()))
    return [shown, name, summary.question, verdicts, entry.runs]


def _in_tag(text: str) -> str:
    """Return text as a value in a tag: where a page is read without tags, it is no markup either."""
    return re.sub(r"[\\`*~$\[\]]", lambda m: f"&#{ord(m[0])};", html.escape(printable(text)))


def _ordered(counts: Mapping[Decision, int]) -> list[tuple[Decision, int]]:
    return [(v, counts[v]) for v in get_args(Decision) if counts.get(v)]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
