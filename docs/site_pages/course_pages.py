"""The course: each chapter with its experiments, their questions and the answers of the reference results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from mlpbench.base.escapes import Markdown, bullets, code
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.section import table
from site_pages.prose import block, facts, page, prose
from site_pages.reference_results import Reference, by_topic

LEAD = (
    "The chapters of the first half of an introductory deep-learning course. Each has experiments that ask its questions, with "
    "the answers of the reference results. Made from the experiment files and the stored verdicts; "
    "[for teachers](../teaching.md) says how to use them in a class."
)


def page_of_course(root: Path) -> str:
    """Return the page."""
    references = by_topic(root)
    rows = []
    for topic, group in references.items():
        counts = [r.summary.verdicts for r in group if r.summary is not None]
        totals = [sum(c.get(v, 0) for c in counts) for v in get_args(Decision)]
        rows.append([topic, str(len(group)), *(str(n or "") for n in totals)])
    head = ["chapter", "experiments", *get_args(Decision)]
    parts: list[str] = [table(head, rows, "lrrrrr")]
    for topic, group in references.items():
        parts.append(f"## {topic}")
        for reference in group:
            parts += _experiment(reference)
    return page("The course", LEAD, *parts)


def _experiment(reference: Reference) -> Iterator[str]:
    yield f"### {reference.name}"
    yield Markdown("**{}**").format(reference.question)
    answer = (
        Markdown("{}; [report]({})").format(reference.tally, Markdown(reference.report)) if reference.report else ""
    )
    source = f"{reference.source}." if reference.source else ""
    yield facts([("takes", reference.takes), ("after", source), ("answer", answer or reference.tally)])
    yield block(f"mlpbench run {reference.name}", "sh")
    if reference.summary is not None:
        lines = [
            Markdown("**{}**: {} {}").format(a.verdict, prose(a.says), code(a.estimate) if a.estimate != "-" else "")
            for verdict in get_args(Decision)
            for a in reference.summary.answers
            if a.verdict == verdict
        ]
        yield bullets(lines)
