"""The report of an experiment: a list of sections, each a function of what was judged. Pure: no files are read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Drawing, Section, blocks
from mlpbench.report.sections import (
    activation_panels,
    conditions,
    cost,
    crossed_factors,
    error_curves,
    layer_signals,
    learning_curves,
    predicted_classes,
    provenance,
    training_failures,
    variance,
    verdicts,
    weight_distributions,
)
from mlpbench.report.summary import Answer, FirstFigure, Summary
from mlpbench.report.words import estimate_cell

# The sections in the order of a report. A section that has nothing to show returns None, and is left out.
SECTIONS: Sequence[Callable[[Context], Section | None]] = (
    verdicts.section,
    conditions.tuning,
    conditions.section,
    learning_curves.section,
    error_curves.section,
    learning_curves.under_shift,
    error_curves.generalisation_gap,
    crossed_factors.section,
    cost.tradeoff,
    conditions.replicates,
    predicted_classes.confusion_matrix,
    predicted_classes.example_images,
    variance.section,
    activation_panels.section,
    training_failures.divergence,
    training_failures.dead_units,
    layer_signals.by_layer,
    layer_signals.against_depth,
    layer_signals.over_training,
    layer_signals.coordinate_check,
    weight_distributions.section,
    training_failures.unfinished,
    cost.training_cost,
    provenance.section,
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: its sections, its summary, and what it rests on.

    Args:
        title: the heading of the page.
        lead: what stands below it: the question.
        sections: in the order of the page.
        summary: what other pages say of it.
        context: None for the report of kernel benchmarks, which judges nothing.

    """

    title: str
    lead: str
    sections: Sequence[Section]
    summary: Summary
    context: Context | None = None

    @cached_property
    def markdown(self) -> str:
        """The whole text."""
        return blocks(f"# {self.title}", self.lead, *(section.markdown for section in self.sections)) + "\n"

    @property
    def drawings(self) -> Mapping[str, Drawing]:
        """What draws each figure, by the path that the text links to."""
        return {figure.path: figure.draw for section in self.sections for figure in section.figures}

    @cached_property
    def pictures(self) -> Mapping[str, bytes]:
        """The figures as PNG by path, drawn when they are first asked for: most of the time that a report takes."""
        return {path: theme.png(draw()) for path, draw in self.drawings.items()}


def render(context: Context) -> Report:
    """Return the report of the runs there are; the same tables give the same bytes."""
    sections = [section for make in SECTIONS if (section := make(context)) is not None]
    return Report(
        title=context.experiment.name,
        lead=context.experiment.question,
        sections=sections,
        summary=summarise(context, sections),
        context=context,
    )


def summarise(context: Context, sections: Sequence[Section]) -> Summary:
    """Return the summary of an experiment with the sections of its report."""
    return Summary(
        name=context.experiment.name,
        question=context.experiment.question,
        verdicts=dict(Counter(v.decision for v in context.verdicts)),
        runs=dict(context.statuses),
        answers=tuple(
            Answer(id=v.claim.id, says=v.claim.says, verdict=v.decision, estimate=estimate_cell(v))
            for v in context.verdicts
        ),
        figure=first_figure(sections),
    )


def first_figure(sections: Sequence[Section]) -> FirstFigure | None:
    """Return the first figure of a report, None where it has none."""
    figures = [figure for section in sections for figure in section.figures]
    return FirstFigure(file=figures[0].path, alt=figures[0].alt) if figures else None
