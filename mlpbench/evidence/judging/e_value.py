"""The e-value of a claim: what its verdict rests on where replicates are looked at whenever one likes."""

from __future__ import annotations

from dataclasses import replace

from mlpbench.evidence.judging.claim_intervals import within_limits
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, Verdict
from mlpbench.evidence.statistics.e_process import EProcess, anytime_interval, of_mean, of_median
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment.claims.hypothesis import Decision, Hypothesis


def process_of(hypothesis: Hypothesis, values: ClaimValues, first: int = 0) -> EProcess:
    """Return the e-process of a claim judged by t or by signs, over its complete replicates, from the first that counts."""
    if hypothesis.is_of_median:
        return of_median(values.lower[first:], values.upper[first:], hypothesis.bound, drop_ties=hypothesis.drops_ties)
    return of_mean(
        values.complete[first:] - hypothesis.centre,
        hypothesis.bound,
        equivalent=hypothesis.sense == "equivalent",
        floor=values.least_spread,
    )


def by_e_value(verdict: Verdict, values: ClaimValues, needed: float) -> tuple[Verdict, Decision]:
    """Return a verdict with e-value, anytime interval and the p that holds at any time, and to what it leans then.

    `needed` is the e at which the claim is decided: for the side of the estimate then, whatever comes later.
    """
    hypothesis = verdict.hypothesis
    process = process_of(hypothesis, values)
    (e, _, _), side = process.largest(), process.side_at(needed)
    ends = None
    if not hypothesis.is_of_median:
        ends = within_limits(hypothesis, anytime_interval(values.complete, values.least_spread), LEVEL)
    speaks_for = side == {"greater": 1, "less": -1, "equivalent": 0}[hypothesis.sense]
    verdict = replace(verdict, p=min(1.0, 1 / e), e_value=e, anytime_interval=ends)
    return verdict, SUPPORTED if speaks_for else REFUTED
