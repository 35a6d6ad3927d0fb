"""Whatever users call things, a report has the same structure: words are never headings, links, tags, code or badges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from arithmetic_tables import Tables, make, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reports import context_of

from mlpbench.base.escapes import printable
from mlpbench.report import report as reporting
from mlpbench.report.pages import index_page, markdown_html
from mlpbench.report.pages.index_page import Entry, Index
from mlpbench.report.report import Report
from mlpbench.report.summary import Answer, DrawnNumbers, FirstFigure, Summary
from mlpbench.results.folders import VerifiedRun

# A reader that takes HTML for HTML, as GitHub does.
READER = MarkdownIt("commonmark", {"html": True}).enable("table")
MARKS = (
    "~~~", "```", "# Verdicts", "## Verdicts", "---", "| a | b |", "|---|---|", "**supported**", "*a*", "_a_", "__a__", "`supported`",
    "[details](http://evil.example)", "![x](http://evil.example/x.png)", "[x]: http://evil.example", "<http://evil.example>",
    '<strong class="verdict supported" data-sign="✓">supported</strong>', "<img src=x onerror=alert(1)>", "<!--", "-->", "<script>",
    "&lt;b&gt;", "&#42;", "1. one", "- one", "> quote", "\\", "$x$", "~~gone~~", "supported", "refuted, not robust", "a|b", "]", "[", "(", ")",
    "lr_0.1", "Does width help?", "<5", "C:\\x", "$5", "größe", "中文",
)  # fmt: skip
PLAIN = ("Is it?", "It is.", "A book", "one", "It failed.", "A machine")
UNSEEN = ("\n", "\n\n", "\n    ", "\x1b]0;owned\x07", "\x1b[31m", "\u202e", "\u2028", "\0", "\r", "\t")
LINES = st.lists(st.sampled_from((*MARKS, " ")), min_size=1, max_size=4).map("".join)
TEXTS = st.lists(st.sampled_from((*MARKS, *UNSEEN, " ")), min_size=1, max_size=5).map("".join)


def tables_of(question: str, says: str, source: str, label: str, error: str, machine: str) -> Tables:
    """Return tables of two conditions and a claim, with a run that failed and one that diverged, with these words."""
    factors = {"conditions": [{"label": label, "width": 8}, {"label": "other", "width": 16}]}
    compare = {"metric": "test_accuracy", "a": {"label": label}, "b": {"label": "other"}, "expect": "greater"}
    claims = [{"id": "supported", "says": says, "source": source, "compare": compare}]
    status = {(0, 0): "failed", (1, 1): "diverged", (1, 2): "missing"}
    tables = make(spec(question=question, factors=factors, claims=claims), status=status)
    runs = tables.runs
    return replace(tables, runs=runs.assign(error=runs["error"].where(runs["error"].isna(), error), env_cpu=machine))


@cache
def plain_structure() -> tuple[list[str], list[str]]:
    """Return the structure of the report, as Markdown and as a page, with words that are plain."""
    return structure(*PLAIN)


@cache
def report_of(words: tuple[str, ...]) -> Report:
    run = VerifiedRun(grade="identical", cpu=words[-1], torch=words[-1])
    return reporting.render(context_of(tables_of(*words), verifications=[run]))


def structure(*words: str) -> tuple[list[str], list[str]]:
    text = str(report_of(words).markdown)
    # Which columns are wide follows from the length of words.
    tags = re.findall("<[^>]+>", markdown_html.body(text, {}, {}).html)
    return list(marks(READER.parse(text))), [tag.replace(' class="long"', "") for tag in tags]


def marks(tokens: Sequence[Token]) -> list[str]:
    """Return what is markup in a page: all but the words."""
    found = []
    for token in tokens:
        if token.type == "inline":
            found += [
                f"{t.type}{t.attrs if t.type != 'image' else ''}" for t in token.children or [] if t.type != "text"
            ]
        else:
            found.append(f"{token.type} {token.tag} {token.info}")
    return found


@given(TEXTS, TEXTS, TEXTS, LINES, TEXTS, TEXTS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_words_never_change_the_structure_of_a_report(
    question: str, says: str, source: str, label: str, error: str, machine: str
) -> None:
    words = [f"Q {question}", f"S {says}", f"S{source}", f"L{label.strip()}", f"E {error}", f"M{machine}"]
    assert structure(*words) == plain_structure()


@pytest.mark.parametrize("mark", [*MARKS, *(f"x{u}~~~{u}# y" for u in UNSEEN)])
def test_one_question_changes_no_structure_and_reads_as_it_was_written(mark: str) -> None:
    """The words alone, at the beginning of their line: where fences, headings and lists begin."""
    if not printable(mark):
        return
    plain, tags = plain_structure()
    text = str(replace(report_of(PLAIN), title=mark).markdown)
    assert list(marks(READER.parse(text))) == plain
    inline = next(t for t in READER.parse(text) if t.type == "inline")
    assert "".join(t.content for t in inline.children or []) == printable(mark)
    page = markdown_html.body(text, {}, {}).html
    assert len(re.findall("<h2", page)) == sum(tag.startswith("<h2") for tag in tags)
    assert page.count('class="verdict ') == 3, "a badge in the answer, one on its card, and one in the table"


@given(TEXTS, TEXTS, LINES)
@settings(max_examples=100, deadline=None)
def test_words_never_change_the_structure_of_an_index(question: str, why: str, folder: str) -> None:
    """The summary of a folder may say anything, and folders may be called anything."""

    def of(name: str, question: str, alt: str, folder: str, why: str) -> Index:
        numbers = DrawnNumbers(estimate=1.0)
        claim = Answer(id=f"c{why}", says=alt, verdict="refuted", estimate=alt, source=alt, numbers=numbers)
        summary = Summary(
            name=name,
            question=question,
            topic=f"T{alt}",
            verdicts={"refuted": 1},
            answers=(claim,),
            figure=FirstFigure(file="figures/a.png", alt=alt),
        )
        entry = Entry(folder=folder, summary=summary, files=["report.md"])
        bare = Entry(folder=f"b{folder}", summary=Summary(name=name, question=question), files=["report.md"])
        return Index(entries=[entry, bare], unread=[(folder, why)])

    hostile, plain = (
        of(f"n{question}", f"q{question}", f"a{why}", f"f{folder}\udcff", f"w{why}"),
        of("n", "q", "a", "f", "w"),
    )
    shown, expected = index_page.markdown(hostile), index_page.markdown(plain)
    for text in (shown, index_page.page(hostile)):
        text.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    without = [
        [m for m in marks(READER.parse(text)) if not m.startswith(("html_inline", "link_open"))]
        for text in (shown, expected)
    ]
    assert without[0] == without[1]
    assert not [t for t in marks(READER.parse(shown)) if t.startswith("html_inline")]
    for tag in ("<a ", "<tr", "<button ", "<strong ", "<svg ", "<script"):
        assert index_page.page(hostile).count(tag) == index_page.page(plain).count(tag)
    assert list(index_page.pictures(hostile).values()) == list(index_page.pictures(plain).values())
    assert all(re.fullmatch(r"index_figures/[a-z0-9_-]+\.svg", path) for path in index_page.pictures(hostile))
