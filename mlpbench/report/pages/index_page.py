"""The index of a folder of results: what is true, a row a claim, under topics in the order of a course."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, groupby
from urllib.parse import quote

from markupsafe import Markup

from mlpbench.base.escapes import Markdown, bullets, code
from mlpbench.base.escapes import markdown as escaped
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file.word_meanings import STATISTICS
from mlpbench.report.many_claims import ClaimsTogether, JudgedClaim, judged_together
from mlpbench.report.pages import claim_strips
from mlpbench.report.pages.page import index_page
from mlpbench.report.pages.report_digest import HTML, MARKDOWN
from mlpbench.report.pages.verdict_notes import VERDICTS, Notes
from mlpbench.report.section import blocks, heading, table
from mlpbench.report.summary import Answer, Summary
from mlpbench.report.topic_order import BENCHMARKS, OTHER, place

TITLE, WITHOUT_CLAIMS = "What is true about MLPs", "Results"
# The folder of the pictures that the Markdown links to, beside it.
PICTURES = "index_figures"
# A page with pictures of more folders takes long to make and to open.
MOST_PICTURED = 100
HOW = "How to read this"
READING: Sequence[tuple[str, str]] = (
    (
        "Verdict",
        "A claim is supported or refuted where its test decides it, corrected for the other claims of its experiment (Holm), for "
        "interim analyses and for the seeds that were tried. At the margin: found within half of its margin of it. Undecided: the data "
        "show neither. Where its file sets no margin, a comparison of accuracies asks for a difference of more than 0.2 percentage points: a "
        "claim may be refuted although its effect is above 0. A verdict is about networks trained as these were, on these data.",
    ),
    (
        "Effect",
        "The estimate with its 95% interval over replicates, or over data sets, 90% for claims of equality. pp are percentage points. "
        "Intervals are corrected for nothing.",
    ),
    ("n", "The number of replicates, each with random draws of its own, or of data sets."),
    (
        "q",
        "The smallest false discovery rate, over all tested claims of this page together, at which the claim counts as found. A decided "
        "verdict with a q above 0.05 would not stand beside so many others.",
    ),
    (
        "Picture",
        "One strip a claim, in the order of its table, each with a scale of its own: a dot for the estimate, a line for the interval, "
        "shaded where the claim holds, and a line across at 0, no difference.",
    ),
)

# What stands beside some verdicts.
QUALIFIERS: Mapping[str, str] = {word: STATISTICS[word] for word in ("not robust", "exploratory", "anytime")}
OF_NOTES = (
    "Note",
    "In italics, with a claim: what somebody wrote about its verdict, after the results. It is not tested.",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A claim as the index lists it.

    Attributes:
        answer: what its report says of it.
        q: its q over all claims of the index; None where it has none.
        falls: whether its verdict is decided and would not stand over all of them.
        anchor: the name by which the page can be linked to.
        note: what somebody wrote about the verdict; empty where nobody did.

    """

    answer: Answer
    q: float | None
    falls: bool
    anchor: str
    note: str = ""

    @property
    def size(self) -> str:
        """The number of replicates, or of data sets; empty where an older report doesn't say it."""
        if self.answer.n is None:
            return ""
        return str(self.answer.n) if self.answer.units == "replicates" else f"{self.answer.n} data sets"

    @property
    def qualifiers(self) -> Sequence[str]:
        """The words beside the verdict, of those that are explained."""
        return [word for word in QUALIFIERS if word in self.answer.qualifiers]

    @property
    def verdict(self) -> str:
        """The verdict with the words beside it."""
        return ", ".join([self.answer.verdict, *self.qualifiers])

    @property
    def q_text(self) -> str:
        """The q with two digits, and whether the verdict would fall."""
        if self.q is None:
            return ""
        text = "< 0.001" if self.q < 0.001 else f"{self.q:.2g}"
        return f"{text}, would not stand" if self.falls else text

    @property
    def strip(self) -> Markup | None:
        """What is drawn of it, None where the report has no numbers."""
        return None if self.answer.numbers is None else Markup(claim_strips.strip(self.answer.numbers))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One experiment, or one folder of kernel benchmarks.

    Args:
        folder: where it lies, seen from the index.
        summary: what its report says.
        files: the files that the index links to.

    """

    folder: str
    summary: Summary
    files: Sequence[str]

    @property
    def topic(self) -> str:
        """The heading under which it stands."""
        return BENCHMARKS if self.summary.benchmarks else self.summary.topic or OTHER

    @property
    def runs(self) -> str:
        """How many runs there are, and how many diverged or failed; of kernel benchmarks, how many."""
        if self.summary.benchmarks:
            return counted(self.summary.benchmarks, "benchmark")
        statuses = self.summary.runs
        ended = [f"{statuses[s]} {s}" for s in ("diverged", "failed") if statuses.get(s)]
        return ", ".join([counted(sum(statuses.values()), "run"), *ended])

    @property
    def facts(self) -> str:
        """The number of runs; and where no claim has a row, how many there are by verdict, or that there are none."""
        if self.summary.answers or self.summary.benchmarks:
            return self.runs
        verdicts = [f"{self.summary.verdicts[v]} {v}" for v in VERDICTS if self.summary.verdicts.get(v)]
        return ", ".join([*(verdicts or ["no claims"]), self.runs])

    def link(self, name: str = "") -> str:
        """Return the address of a file, of the best page by default."""
        name = name or next((page for page in (HTML, MARKDOWN) if page in self.files), self.files[-1])
        return quote(os.fsencode(f"{self.folder}/{name}" if self.folder != "." else name))


@dataclass(frozen=True, kw_only=True)
class Group:
    """The experiments of a topic, in the order of their names."""

    title: str
    anchor: str
    entries: Sequence[Entry]

    @property
    def claims(self) -> int:
        """The number of claims."""
        return sum(len(entry.summary.answers) for entry in self.entries)

    @property
    def verdicts(self) -> Mapping[Decision, int]:
        """The number of claims by verdict."""
        return sum((Counter(entry.summary.verdicts) for entry in self.entries), Counter())


@dataclass(frozen=True, kw_only=True)
class Index:
    """All experiments of a folder, (folder, reason) of those that cannot be read, and notes on verdicts."""

    entries: Sequence[Entry]
    unread: Sequence[tuple[str, str]]
    notes: Notes = field(default_factory=dict)

    @property
    def reading(self) -> Sequence[tuple[str, str]]:
        """What the columns mean, and what stands beside some verdicts, and the notes, where there are some."""
        beside = [(word.capitalize(), text) for word, text in QUALIFIERS.items() if self.qualified[word]]
        return [READING[0], *beside, *READING[1:], *([OF_NOTES] if self.notes else [])]

    @cached_property
    def qualified(self) -> Mapping[str, int]:
        """The number of claims with each word beside the verdict."""
        return Counter(word for rows in self.rows.values() for row in rows for word in row.qualifiers)

    @property
    def title(self) -> str:
        """The heading of the page."""
        return TITLE if any(entry.summary.verdicts for entry in self.entries) else WITHOUT_CLAIMS

    @property
    def is_pictured(self) -> bool:
        """Whether there is a picture of each experiment that has one."""
        return len(self.entries) + len(self.unread) <= MOST_PICTURED

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The experiments by topic, topics in the order of a course."""
        ordered = sorted(self.entries, key=lambda e: (place(e.topic), e.summary.name, e.folder))
        grouped = [(title, list(entries)) for title, entries in groupby(ordered, key=lambda e: e.topic)]
        anchors = distinct(f"topic-{slug(title)}" for title, _ in grouped)
        return [Group(title=t, anchor=a, entries=e) for (t, e), a in zip(grouped, anchors, strict=True)]

    @cached_property
    def together(self) -> ClaimsTogether:
        """The claims of all experiments, in the order of the entries."""
        return judged_together(
            [
                JudgedClaim(experiment=entry.folder, id=a.id, verdict=a.verdict, p=a.p)
                for entry in self.entries
                for a in entry.summary.answers
            ]
        )

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The name of each folder in links to the page, and of its picture: plain, each once."""
        folders = {e.folder: slug(e.folder if e.folder != "." else e.summary.name) for e in self.entries}
        return dict(zip(folders, distinct(folders.values()), strict=True))

    @cached_property
    def rows(self) -> Mapping[str, Sequence[Row]]:
        """The claims of each folder."""
        q = iter(self.together.q)
        fallen = {id(claim) for claim, _ in self.together.fallen}
        judged = iter(self.together.claims)
        return {
            entry.folder: [
                Row(
                    answer=answer,
                    q=next(q),
                    falls=id(next(judged)) in fallen,
                    anchor=f"{self.names[entry.folder]}--{slug(answer.id)}",
                    note=self.notes.get(entry.folder, {}).get(answer.id, ""),
                )
                for answer in entry.summary.answers
            ]
            for entry in self.entries
        }

    @property
    def counts(self) -> Mapping[Decision, int]:
        """The number of claims by verdict, in the usual order."""
        counts = sum((Counter(entry.summary.verdicts) for entry in self.entries), Counter())
        return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}

    @property
    def about(self) -> str:
        """What the index lists, and how many verdicts stand over all of it."""
        benchmarks = sum(bool(entry.summary.benchmarks) for entry in self.entries)
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in self.counts.items())
        qualified = [f"{n} {word}" for word in QUALIFIERS if (n := self.qualified[word])]
        beside = f"; among them {', '.join(qualified)}" if qualified else ""
        claims = f", {counted(sum(self.counts.values()), 'claim')}: {verdicts}{beside}" if verdicts else ""
        folders = f"; kernel benchmarks in {counted(benchmarks, 'folder')}" if benchmarks else ""
        left_out = (
            "" if self.is_pictured else f" With more than {MOST_PICTURED} folders, only the reports have pictures."
        )
        first = f"{counted(len(self.entries) - benchmarks, 'experiment')}{claims}{folders}.{left_out}"
        return f"{first} {self.together.short}".rstrip()


def pictures(index: Index) -> dict[str, bytes]:
    """Return the pictures that the Markdown shows, by their path seen from it."""
    if not index.is_pictured:
        return {}
    drawn = {entry.folder: claim_strips.picture(entry.summary.answers) for entry in index.entries}
    return {_picture(index, folder): content for folder, content in drawn.items() if content is not None}


def markdown(index: Index) -> str:
    """Return the index as Markdown, with a picture of the claims of each experiment."""
    shown = pictures(index)
    topics = [
        [Markdown("[{}](#{})").format(escaped(g.title, in_cell=True), Markdown(anchor)), str(len(g.entries))]
        + [str(g.verdicts.get(verdict, 0) or "") for verdict in VERDICTS]
        for g, anchor in zip(index.groups, _heading_anchors(index), strict=True)
    ]
    several = len(index.groups) > 1 and bool(index.counts)
    return (
        blocks(
            heading(1, index.title),
            index.about,
            table(["topic", "experiments", *VERDICTS], topics, "lrrrrr") if several else "",
            *(_group(group, index, shown) for group in index.groups),
            _undecided(index),
            heading(2, "Could not be read") if index.unread else "",
            bullets(Markdown("{}: {}").format(code(folder), why) for folder, why in index.unread),
            *([heading(2, HOW), _reading(index)] if index.counts else []),
        )
        + "\n"
    )


def _heading_anchors(index: Index) -> list[str]:
    """Return by what name GitHub links to the heading of each topic: the second heading of one name has a number."""
    taken: Counter[str] = Counter([_heading_anchor(index.title)])
    anchors = []
    for group in index.groups:
        anchor = _heading_anchor(group.title)
        anchors.append(f"{anchor}-{taken[anchor]}" if taken[anchor] else anchor)
        taken.update([anchor, *(_heading_anchor(entry.summary.name) for entry in group.entries)])
    return anchors


def _heading_anchor(title: str) -> str:
    return quote(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))


def page(index: Index) -> str:
    """Return the index as one HTML file, with a strip beside each claim unless there are very many."""
    return index_page(title=index.title, index=index, reading=index.reading, how=HOW, strips=claim_strips)


def _group(group: Group, index: Index, shown: Mapping[str, bytes]) -> Markdown:
    return blocks(heading(2, group.title), *(_experiment(entry, index, shown) for entry in group.entries))


def _experiment(entry: Entry, index: Index, shown: Mapping[str, bytes]) -> Markdown:
    """Return an experiment: its name and question, the picture of its claims, and a row for each."""
    name = Markdown("### [{}]({})").format(escaped(entry.summary.name, in_cell=True), Markdown(entry.link()))
    rows = [_row(row) for row in index.rows[entry.folder]]
    head = ["claim", "verdict", "effect (95% interval)", "n", "q", "source"]
    path = _picture(index, entry.folder)
    drawn = Markdown(f"![One strip a claim: estimate, interval, and where it holds.]({path})") if path in shown else ""
    facts = f"{entry.facts}."
    return blocks(name, entry.summary.question, drawn, table(head, rows, "lllrrl") if rows else "", facts)


def _undecided(index: Index) -> Markdown:
    """Return the undecided claims of all experiments in one table, with what would decide each; nothing where there are none."""
    rows = [
        [
            Markdown("[{}]({}): {} ({})" if row.qualifiers else "[{}]({}): {}").format(
                escaped(entry.summary.name, in_cell=True),
                Markdown(entry.link()),
                escaped(row.answer.says, in_cell=True),
                ", ".join(row.qualifiers),
            ),
            row.answer.estimate,
            row.size,
            row.answer.would_decide,
        ]
        for group in index.groups
        for entry in group.entries
        for row in index.rows[entry.folder]
        if row.answer.verdict == "undecided"
    ]
    if not rows:
        return Markdown("")
    return blocks(
        heading(2, "Undecided"), table(["claim", "effect (95% interval)", "n", "what would decide it"], rows, "llrl")
    )


def _row(row: Row) -> list[str]:
    answer = row.answer
    says = Markdown("{} ({})").format(escaped(answer.says, in_cell=True), code(answer.id))
    if row.note:
        says = Markdown("{} *{}*").format(says, escaped(row.note, in_cell=True))
    return [says, Markdown("**{}**").format(row.verdict), answer.estimate, row.size, row.q_text, answer.source]


def _reading(index: Index) -> Markdown:
    lines: list[str] = [Markdown("**{}**: {}").format(term, text) for term, text in index.reading]
    return blocks(bullets(lines), index.together.sentence)


def _picture(index: Index, folder: str) -> str:
    return f"{PICTURES}/{index.names[folder]}.svg"


def slug(text: str) -> str:
    """Return words as a plain name, of small letters, digits and hyphens.

    >>> slug("Linear models")
    'linear-models'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "item"


def distinct(names: Iterable[str]) -> list[str]:
    """Return names, with a number behind those that came before.

    >>> distinct(["a", "b", "a", "a-2"])
    ['a', 'b', 'a-2', 'a-2-2']
    """
    taken: dict[str, None] = {}
    for name in names:
        taken[next(n for n in chain([name], (f"{name}-{i}" for i in count(2))) if n not in taken)] = None
    return list(taken)


def counted(n: int, what: str) -> str:
    """Return a number of things: `1 run`, `2 runs`."""
    return f"{n} {what}{'s' * (n != 1)}"
