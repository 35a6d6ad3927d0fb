"""The course: each chapter with its experiments, their questions and the answers of the reference results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from mlpbench.base.escapes import Markdown, bullets, code
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.answer.claim_cards import counted
from mlpbench.report.section import table
from mlpbench.report.summary import Answer
from site_pages.prose import anchor, facts, page, prose
from site_pages.reference_results import Reference, by_topic

LEAD = (
    "The chapters of the first half of an introductory deep-learning course. Each has experiments that ask its questions, with "
    "the answers of the reference results. Made from the experiment files and the stored verdicts; "
    "[for teachers](../teaching.md) says how to use them in a class."
)


def page_of_course(root: Path) -> str:
    """Return the page."""
    references = by_topic(root)
    rows = [[Markdown("[{}](#{})").format(t, anchor(t)), *_totals(group)] for t, group in references.items()]
    rows.append([Markdown("**all**"), *_totals([r for group in references.values() for r in group])])
    head = ["chapter", "experiments", *get_args(Decision)]
    parts: list[str] = [table(head, rows, "lrrrrr")]
    for topic, group in references.items():
        parts.append(f"## {topic}")
        for reference in group:
            parts += _experiment(reference)
    return page("The course", LEAD, *parts)


def _totals(group: Sequence[Reference]) -> list[str]:
    """Return how many experiments there are, and how many of their claims have which verdict; nothing for none."""
    counts = [r.summary.verdicts for r in group if r.summary is not None]
    return [str(len(group)), *(str(sum(c.get(v, 0) for c in counts) or "") for v in get_args(Decision))]


def _experiment(reference: Reference) -> Iterator[str]:
    """Yield the question of an experiment, how to ask it again, and its answer."""
    yield f"### {reference.name}"
    yield Markdown("**{}**").format(reference.question)
    source = f"{reference.source}." if reference.source else ""
    again = Markdown("{}{}").format(
        code(f"mlpbench run {reference.name}"), f", {reference.takes}" if reference.takes else ""
    )
    yield facts([("source", source), ("run it", again)])
    if reference.summary is None or not reference.summary.answers:
        yield f"*{reference.tally}*"
        return
    said = counted(reference.summary.verdicts)
    if reference.is_older:
        said = Markdown("{} Of an older file of this experiment.").format(said)
    yield Markdown("{} [Report]({})").format(said, Markdown(reference.report))
    in_order = sorted(reference.summary.answers, key=lambda a: get_args(Decision).index(a.verdict))
    yield bullets([_claim(answer) for answer in in_order])


def _claim(answer: Answer) -> Markdown:
    """Return a claim with its verdict, and what was estimated: in plain words, where there are any, and as a number."""
    number = "" if answer.estimate == "-" else answer.estimate
    found = f"{answer.plainly}, {number}" if answer.plainly else f"estimated {number}" if number else ""
    said = Markdown("**{}**: {}").format(answer.verdict, prose(answer.says))
    return Markdown("{} {}.").format(said, prose(f"{found[:1].upper()}{found[1:]}")) if found else said
