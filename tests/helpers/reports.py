"""Contexts and reports of tables made by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arithmetic_tables import Tables

from mlpbench.evidence.estimates.layer_estimates import Layers
from mlpbench.evidence.judging import interim_analysis
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.report import Report, render
from mlpbench.results.examples import TestSet
from mlpbench.results.folders import VerifiedRun
from mlpbench.results.registration import Registration


def context_of(
    tables: Tables,
    *,
    layers: Layers | None = None,
    test_set: TestSet | None = None,
    verifications: Sequence[VerifiedRun] = (),
    registration: Registration | None = None,
) -> Context:
    """Return the context that a report of the tables rests on."""
    judgement = interim_analysis.judge(*tables.parts, registration, test_set, layers)
    return Context(
        experiment=tables.experiment,
        judgement=judgement,
        stored=tables.runs,
        curves=tables.curves,
        layers=layers,
        test_set=test_set,
        verifications=verifications,
    )


def report_of(tables: Tables, **given: Any) -> Report:
    """Return the report of the tables."""
    return render(context_of(tables, **given))


def picture(report: Report, name: str) -> bytes:
    """Return a figure as PNG: it is drawn alone, where `report.pictures` draws them all."""
    return theme.png(report.drawings[f"figures/{name}.png"]())


def section_failures(report: Report) -> dict[str, str]:
    """Return why sections could not be made, by title."""
    return {section.title: section.failure for section in report.sections if section.failure}


def section_text(report: Report, title: str) -> str:
    """Return the Markdown of a section below its title."""
    return report.markdown.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
