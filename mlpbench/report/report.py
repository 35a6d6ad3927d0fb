"""The report of an experiment: a list of sections, each a function of what was judged. Pure: no files are read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlpbench.base.errors import MlpbenchError
from mlpbench.base.escapes import Markdown, code, printable
from mlpbench.report.answer import claim_cards, section_order
from mlpbench.report.claim_answers import answer_of
from mlpbench.report.context import Context
from mlpbench.report.diagnostics import (
    activation_panels,
    layer_signals,
    plugin_sections,
    training_failures,
    weight_distributions,
)
from mlpbench.report.figures import theme
from mlpbench.report.section import Drawing, Section, blocks, heading
from mlpbench.report.sections import (
    conditions,
    cost,
    crossed_factors,
    data,
    dataset_ranks,
    error_curves,
    learning_curves,
    piece_contributions,
    predicted_classes,
    provenance,
    variance,
    verdicts,
)
from mlpbench.report.summary import FirstFigure, Summary
from mlpbench.report.topic_order import topic_of
from mlpbench.report.topics import class_probabilities, dead_units_by_depth, decision_regions, fitted_curves, residuals
from mlpbench.report.words import listing

# All sections; `section_order` says which stand first and last, and which claims call others to the front: the order here is
# that of the diagnostics. A section that has nothing to show returns None, and is left out.
SECTIONS: Sequence[Callable[[Context], Section | None]] = (
    claim_cards.section,
    training_failures.warnings,
    piece_contributions.section,
    dataset_ranks.section,
    fitted_curves.section,
    decision_regions.section,
    conditions.tuning,
    conditions.tuning_curve,
    conditions.section,
    conditions.further,
    error_curves.section,
    learning_curves.section,
    learning_curves.under_shift,
    error_curves.generalisation_gap,
    crossed_factors.section,
    dataset_ranks.each_data_set,
    cost.tradeoff,
    conditions.replicates,
    residuals.section,
    predicted_classes.confusion_matrix,
    predicted_classes.example_images,
    class_probabilities.section,
    variance.section,
    activation_panels.section,
    training_failures.divergence,
    training_failures.dead_units,
    dead_units_by_depth.section,
    layer_signals.by_layer,
    layer_signals.against_depth,
    layer_signals.over_training,
    layer_signals.coordinate_check,
    weight_distributions.section,
    training_failures.unfinished,
    plugin_sections.section,
    data.section,
    cost.training_cost,
    verdicts.method,
    provenance.section,
)

# Data sets that the head of a report names; of more it says how many.
MOST_TITLES = 3
# What is no fault of a section: damaged files, a full disk, too little memory.
PASSED_ON = (MlpbenchError, OSError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: its sections, its summary, and what it rests on.

    Args:
        title: the heading of the page: the question.
        lead: what stands below it: the answer, and what it rests on.
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
        """The whole text, in which every figure stands."""
        return self._text({})

    @property
    def as_drawn(self) -> str:
        """The whole text; in place of a figure that could not be drawn it says so."""
        return self._text(self._undrawn) if self._undrawn else self.markdown

    def _text(self, undrawn: Mapping[str, str]) -> str:
        return blocks(heading(1, self.title), self.lead, *(section.text(undrawn) for section in self.sections)) + "\n"

    @property
    def drawings(self) -> Mapping[str, Drawing]:
        """What draws each figure, by the path that the text links to."""
        return {figure.path: figure.draw for section in self.sections for figure in section.every_figure}

    @cached_property
    def pictures(self) -> Mapping[str, bytes]:
        """The figures as PNG by path, drawn when they are first asked for: most of the time that a report takes."""
        return {path: drawn for path, drawn in self._drawn.items() if isinstance(drawn, bytes)}

    @property
    def failures(self) -> Mapping[str, str]:
        """Why sections could not be made, by title, and figures not be drawn, by path."""
        return {f"the section {s.title!r}": s.failure for s in self.sections if s.failure} | dict(self._undrawn)

    @cached_property
    def _undrawn(self) -> Mapping[str, str]:
        return {path: str(drawn) for path, drawn in self._drawn.items() if not isinstance(drawn, bytes)}

    @cached_property
    def _drawn(self) -> Mapping[str, bytes | str]:
        """Each figure as PNG, or why it could not be drawn."""
        drawn: dict[str, bytes | str] = {}
        for path, draw in self.drawings.items():
            try:
                drawn[path] = theme.png(draw())
            except PASSED_ON:
                raise
            except Exception as error:
                drawn[path] = _reason(error)
        return drawn


def render(context: Context) -> Report:
    """Return the report of the runs there are; the same tables give the same bytes."""
    made = {make: section for make in SECTIONS if (section := _made(make, context)) is not None}
    sections = section_order.arrange(made, context.verdicts)
    return Report(
        title=context.experiment.question,
        lead=blocks(claim_cards.answer(context.verdicts), about(context)),
        sections=sections,
        summary=summarise(context, sections),
        context=context,
    )


def about(context: Context) -> str:
    """Say which experiment this is, on which data, and how many runs it rests on."""
    titles = list(dict.fromkeys(data.title for data in context.experiment.facts))
    data = listing(titles) if len(titles) <= MOST_TITLES else f"{len(titles)} data sets"
    runs = len(context.runs)
    counted = f"{runs:,} run{'s' * (runs != 1)}"
    return Markdown("Experiment {}, on {}: {}.").format(code(context.experiment.name), data, counted)


def _made(make: Callable[[Context], Section | None], context: Context) -> Section | None:
    """Return a section, or one that says why it could not be made: the others are not to be lost with it."""
    try:
        return make(context)
    except PASSED_ON:
        raise
    except Exception as error:
        name = make.__module__.rpartition(".")[2] if make.__name__ == "section" else make.__name__
        return Section(title=name.replace("_", " ").capitalize(), failure=_reason(error))


def _reason(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}")


def summarise(context: Context, sections: Sequence[Section]) -> Summary:
    """Return the summary of an experiment with the sections of its report."""
    return Summary(
        name=context.experiment.name,
        question=context.experiment.question,
        topic=topic_of(context.experiment),
        verdicts=dict(Counter(v.decision for v in context.verdicts)),
        runs=dict(context.statuses),
        answers=tuple(answer_of(verdict, claim_cards.items_of(context)) for verdict in context.verdicts),
        figure=first_figure(sections),
    )


def first_figure(sections: Sequence[Section]) -> FirstFigure | None:
    """Return the first figure of a report, None where it has none."""
    figures = [figure for section in sections for figure in section.every_figure]
    return FirstFigure(file=figures[0].path, alt=figures[0].alt) if figures else None
