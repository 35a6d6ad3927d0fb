"""The order of a report: what shows the claims' metrics stands behind the cards, the rest under "Diagnostics", provenance last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment import shift_spec
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.metrics.scores import CURVE_SCORES
from mlpbench.report.answer import claim_cards
from mlpbench.report.context import OF_TEST_SET, Context
from mlpbench.report.diagnostics import layer_signals, training_failures, weight_distributions
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
    provenance,
    variance,
    verdicts,
)
from mlpbench.report.topics import dead_units_by_depth, decision_regions, fitted_curves

Make: TypeAlias = Callable[[Context], Section | None]

# What every reader wants stands first and last, in this order; a section that is named nowhere here is a diagnostic.
FIRST: Sequence[Make] = (
    claim_cards.section,
    piece_contributions.section,
    dataset_ranks.section,
    fitted_curves.section,
    decision_regions.section,
)
MAIN: Sequence[Make] = (training_failures.warnings, conditions.section, learning_curves.section)
LAST: Sequence[Make] = (verdicts.method, data.section, cost.training_cost, provenance.section)
# Sections behind the cards that show metrics of claims, at most.
MOST_SHOWN = 3
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
    """Return the sections of a report in the order in which they are read; what is a diagnostic is folded.

    Args:
        made: the sections that have something to show, by what made them, in their order among diagnostics.
        claims: the verdicts; their sections stand behind the cards, those of the first claim first.

    """
    shown = [make for v in claims for make in made if make in SHOWS and SHOWS[make](v)]
    promoted = [make for make in dict.fromkeys(shown) if make not in FIRST][:MOST_SHOWN]
    before = [*FIRST, *promoted, *(make for make in MAIN if make not in promoted)]
    rest = [
        replace(section, folded=not section.failure)
        for make, section in made.items()
        if make not in before and make not in LAST
    ]
    heading = [Section(title="Diagnostics", sentences=INTRODUCTION)] if rest else []
    return [
        *(made[make] for make in before if make in made),
        *heading,
        *rest,
        *(made[make] for make in LAST if make in made),
    ]
