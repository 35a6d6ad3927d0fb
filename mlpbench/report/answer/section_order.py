"""The order of a report: what shows the claims' metrics stands behind the cards, the rest under "Diagnostics", provenance last."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment import shift_spec
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.metrics.scores import CURVE_SCORES
from mlpbench.report.answer import claim_cards
from mlpbench.report.context import OF_TEST_SET, Context
from mlpbench.report.diagnostics import layer_signals, plugin_sections, training_failures, weight_distributions
from mlpbench.report.section import Section
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
from mlpbench.report.topics import class_probabilities, dead_units_by_depth, decision_regions, fitted_curves, residuals

Make: TypeAlias = Callable[[Context], Section | None]

# What every reader wants stands first and last, in this order; a section that is named nowhere here is a diagnostic.
FIRST: Sequence[Make] = (
    claim_cards.section,
    piece_contributions.section,
    dataset_ranks.section,
    fitted_curves.section,
    decision_regions.section,
)
MAIN: Sequence[Make] = (
    training_failures.warnings,
    conditions.section,
    plugin_sections.section,
    learning_curves.section,
)
LAST: Sequence[Make] = (verdicts.method, data.section, cost.training_cost, provenance.section)
# Sections behind the cards that show metrics of claims, at most.
MOST_SHOWN = 3
# Figures and tables that are open on a page, with those of the cards: further ones are folded, each with its finding.
MOST_OPEN = 5
# Letters of that.
LETTERS = 160
COSTS = ("train_seconds", "flops", "train_bytes", "eval_bytes")
OF_WEIGHTS = ("weight_norm", "sparsity", "distinct_units")
ENDS = tuple(f"{part}_{score}" for part in ("train", "test") for score in CURVE_SCORES)
INTRODUCTION = "How networks trained, and what else was measured: of interest where a verdict surprises."


def _plain(verdict: Verdict) -> str:
    return metric_names.plain(verdict.metric)


def _about(*names: str) -> Callable[[Verdict], bool]:
    return lambda verdict: _plain(verdict).removeprefix(metric_names.LATE) in names


# Which claims a section shows the metric of, or the comparison.
SHOWS: Mapping[Make, Callable[[Verdict], bool]] = {
    learning_curves.section: lambda v: (
        _plain(v).startswith(metric_names.LATE) or metric_names.reaches(_plain(v)) is not None
    ),
    learning_curves.under_shift: lambda v: shift_spec.measured(_plain(v)) is not None,
    error_curves.section: lambda v: _about(*ENDS)(v) and v.hypothesis.test.about not in ("variances", "failures"),
    error_curves.generalisation_gap: _about("gap_accuracy", "gap_loss"),
    residuals.section: _about("test_rmse", "test_mae", "test_r2"),
    class_probabilities.section: _about("test_ece", "test_brier", "test_log_loss", "test_roc_auc"),
    predicted_classes.confusion_matrix: _about("test_balanced_accuracy", "test_macro_f1"),
    conditions.further: lambda v: _about(*OF_TEST_SET)(v) or own_metrics.measured(_plain(v)) is not None,
    conditions.tuning: lambda v: "regret_" in _plain(v) or "excess_" in _plain(v),
    cost.tradeoff: _about(*COSTS),
    training_failures.dead_units: _about("dead_units"),
    dead_units_by_depth.section: _about("dead_units"),
    training_failures.divergence: lambda v: _plain(v) == "diverged" or v.hypothesis.test.about == "failures",
    layer_signals.against_depth: lambda v: _plain(v).partition("[")[0] in LAYER_METRICS,
    layer_signals.by_layer: lambda v: _plain(v).partition("[")[0] in LAYER_METRICS,
    weight_distributions.section: _about(*OF_WEIGHTS),
    variance.section: lambda v: v.hypothesis.test.about == "variances",
    crossed_factors.section: lambda v: v.hypothesis.quantity.kind == "difference" and not v.numbers.minuend,
}


def arrange(made: Mapping[Make, Section], claims: Sequence[Verdict]) -> Sequence[Section]:
    """Return the sections of a report in the order in which they are read; diagnostics are inside one fold.

    Args:
        made: the sections that have something to show, by what made them, in their order among diagnostics.
        claims: the verdicts; their sections stand behind the cards, those of the first claim first.

    """
    shown = [make for v in claims for make in made if make in SHOWS and SHOWS[make](v)]
    promoted = [make for make in dict.fromkeys(shown) if make not in FIRST][:MOST_SHOWN]
    following = [make for make in (*promoted, *MAIN) if make in made]
    before = [*FIRST, *dict.fromkeys(following)]
    others = [section for make, section in made.items() if make not in before and make not in LAST]
    failed = [section for section in others if section.failure]
    rest = [replace(section, in_fold=True) for section in others if not section.failure]
    inside = ", ".join(section.title for section in rest) + "."
    heading = [Section(title="Diagnostics", sentences=INTRODUCTION, fold=inside)] if rest else []
    used = {make: _room(made[make]) for make in FIRST if make in made}
    # Of the figures behind the cards one is open, however many cards there are.
    room = max(MOST_OPEN - sum(used.values()), 1 - sum(used.values()) + used.get(claim_cards.section, 0))
    top: list[Section] = []
    for make in (make for make in before if make in made):
        section = made[make]
        if make not in FIRST and make is not training_failures.warnings and not section.failure:
            room -= _room(section)
            section = replace(section, fold=first_sentence(section)) if room < 0 else section
        top.append(section)
    return [
        *top,
        *failed,
        *heading,
        *rest,
        *(made[make] for make in LAST if make in made),
    ]


def _room(section: Section) -> int:
    """Return how many figures and tables a section has on a page."""
    return len(section.every_figure) + bool(section.table)


def first_sentence(section: Section) -> str:
    """Return the first sentence of a section, which has its finding, in plain letters and cut where it is long."""
    first = re.split(r"(?<=[.:])\s", section.sentences, maxsplit=1)[0]
    plain = re.sub(r"\\([^\w\s])|`", r"\1", first) if isinstance(section.sentences, Markdown) else first
    return textwrap.shorten(plain, LETTERS, placeholder=" …")
