"""An outcome as a notebook shows it: the report's cards of claims, each with its picture, and how the runs ended.

It is one element with its style and nothing else: no script, no address, and nothing of a user's that is taken for markup. Its colours
are those of the report's page; they follow the theme of the notebook, and elsewhere what the system prefers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from mlpbench.base.escapes import printable
from mlpbench.report.answer import claim_cards
from mlpbench.report.context import Context
from mlpbench.report.pages.figure_svg import drawn_figure
from mlpbench.report.pages.markdown_html import body
from mlpbench.report.section import Section, blocks
from mlpbench.report.verdict_tables import runs_line

# Warnings beyond so many are counted.
MOST_WARNINGS = 5
# What stands before the palette in the style of the report's page.
ROOT = ":root {"


@dataclass(frozen=True, kw_only=True)
class ShownOutcome:
    """What cards say beside the verdicts.

    Attributes:
        context: what was judged.
        runs: the rows of the table `runs` that it rests on.
        folder: the results folder.
        trained: how many runs were trained now.
        report: the report, where one was written.
        said: what else is to be known, as that files were damaged, or that a loss is still falling.

    """

    context: Context
    runs: pd.DataFrame
    folder: Path
    trained: int
    report: Path | None
    said: Sequence[str]


def outcome_html(shown: ShownOutcome) -> str:
    """Return the outcome as HTML for a cell of a notebook; the same outcome gives the same text."""
    context = shown.context
    parts = claim_cards.cards(context)
    tally = claim_cards.tally(context.verdicts) if context.verdicts else "This experiment makes no claims."
    text = blocks(tally, claim_cards.mixed_runs(shown.runs), *(part.text({}, level=3) for part in parts))
    cards = Markup(body(text, {}, _pictures(parts, context), open_cards=len(parts)).html)
    question = Markup('<p class="question">{}</p>').format(printable(context.experiment.question))
    notes = [runs_line(context.experiment.name, context.statuses, shown.trained), *_said(shown)]
    shell = Markup('<div class="mlpbench">\n<style>{}</style>\n{}\n</div>')
    return str(shell.format(Markup(_style()), Markup("\n").join([question, cards, *map(_note, notes)])))


def _said(shown: ShownOutcome) -> list[str]:
    """Return what stands below the runs: where results are, and what else is to be known of them."""
    said = list(shown.said)
    left = [f"and {len(said) - MOST_WARNINGS} more: see `warnings` and `notes`"] if len(said) > MOST_WARNINGS else []
    where = f"report: {shown.report}" if shown.report is not None else f"results: {shown.folder}"
    return [*said[:MOST_WARNINGS], *left, where]


def _note(text: str) -> Markup:
    return Markup('<p class="note">{}</p>').format(printable(text))


def _pictures(parts: Sequence[Section], context: Context) -> dict[str, str]:
    """Return the figures of the cards as SVG, by the pictures that they stand for.

    Names within them tell this outcome from others on the page.
    """
    digest = hashlib.sha256(repr((context.experiment.name, context.statuses, context.verdicts)).encode()).hexdigest()[
        :8
    ]
    pictures = {}
    for figure in (figure for part in parts for figure in part.every_figure):
        drawn = drawn_figure(figure.draw(), f"{figure.name}-{digest}", str(figure.alt))
        pictures[figure.path] = f"<figure>{drawn.svg}</figure>\n"
    return pictures


def _style() -> str:
    """Return the palette of the report's page, and the style of cards in a notebook."""
    page = (files("mlpbench.report.pages") / "style.css").read_text(encoding="utf-8")
    palette = page.partition(ROOT)[2].partition("}")[0]
    own = (files("mlpbench.report.notebook") / "outcome_cards.css").read_text(encoding="utf-8")
    return f".mlpbench {{{palette}}}\n{own}"
