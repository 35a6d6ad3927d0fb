"""How the p of claims that are judged together are corrected: by Holm's method, at an interim analysis, or at any time.

A correction gives the claims' corrected p, at most a claim's level where it is decided, and for those that are not, the p at
which they may yet be. Claims that were dropped are members of the family. As nobody judges them any more they count with p = 1,
which leaves the others a smaller share than any other p would.

A p that holds at any time is 1 over an e-value (`by_e_value`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlpbench.evidence.judging.claim_intervals import within_limits
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, Verdict
from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.alpha_spending import share_out, spent
from mlpbench.evidence.statistics.e_process import EProcess, anytime_interval, crossing_p, of_mean, of_median
from mlpbench.evidence.statistics.t_test import ALPHA, LEVEL
from mlpbench.experiment.claims.hypothesis import Decision, Hypothesis, TTest


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """The corrected p of claims, NaN where there is no p, and at which p each that is undecided may yet be decided."""

    p: Sequence[float]
    levels: Sequence[float]


Correction = Callable[[Sequence[Verdict]], Corrected]


def p_of(verdicts: Sequence[Verdict]) -> list[float]:
    """Return the p of verdicts, NaN where there is none."""
    return [math.nan if v.p is None else v.p for v in verdicts]


def by_holm(verdicts: Sequence[Verdict], dropped: int = 0) -> Corrected:
    """Correct by Holm's method. Its next step tests the smallest p that is left at its level over the number of those left."""
    corrected = t_test.holm([*p_of(verdicts), *[1.0] * dropped])[: len(verdicts)]
    left = dropped + sum(not p <= v.level for p, v in zip(corrected, verdicts, strict=True))
    return Corrected(p=corrected, levels=[v.level / max(1, left) for v in verdicts])


@dataclass(frozen=True, kw_only=True)
class AtInterimAnalysis:
    """The correction at one of several interim analyses, for the others and for the other claims.

    Attributes:
        at: the numbers of replicates of all analyses.
        number: which of them this is, from 1.
        undecided: the number of claims, dropped ones too, that none of them has decided before.
        with_margin: the number of claims with a margin, dropped ones too, that none of them has found at it before.

    """

    at: Sequence[int]
    number: int
    undecided: int
    with_margin: int = 0

    def __call__(self, verdicts: Sequence[Verdict]) -> Corrected:
        """Return the corrected p, and at which p the last analysis will decide what this one leaves undecided."""

        def nominal(i: int, level: float, number: int = self.number) -> float:
            return self._levels(verdicts[i], level * of_alpha[i])[number - 1]

        of_alpha = [v.level / ALPHA for v in verdicts]
        shared = share_out(p_of(verdicts), nominal, self.undecided)
        share = ALPHA / max(1, self.undecided - sum(p <= ALPHA for p in shared))
        return Corrected(
            p=[p if math.isnan(p) else min(1.0, p * part) for p, part in zip(shared, of_alpha, strict=True)],
            levels=[nominal(i, share, len(self.at)) for i in range(len(verdicts))],
        )

    def _levels(self, verdict: Verdict, level: float) -> Sequence[float]:
        """Return the nominal levels of a claim at all analyses.

        They are known of one t test of all replicates; what is spent is one for every test.
        """
        tested = verdict.hypothesis
        if tested.datasets:  # judged at the first analysis alone, where it spends all of its level
            return [level] * len(self.at)
        is_whole = verdict.n == verdict.planned
        if not isinstance(tested.test, TTest) or tested.every_step or not is_whole:
            return spent(self.at, level)
        from mlpbench.evidence.statistics.t_boundary import nominal_levels  # most grids need none of it

        return nominal_levels(tuple(self.at), level)


@dataclass(frozen=True, kw_only=True)
class AtAnyTime:
    """The correction for the number of claims, of p that hold at any time."""

    claims: int

    def needed(self, level: float) -> float:
        """Return the e-value at which a claim is decided."""
        return self.claims / level

    def __call__(self, verdicts: Sequence[Verdict]) -> Corrected:
        """Return p times the number of claims, and the p of a t test of as many replicates at which e would be enough."""
        return Corrected(
            p=[min(1.0, self.claims * p) if not math.isnan(p) else p for p in p_of(verdicts)],
            levels=[crossing_p(v.n, self.needed(v.level)) or v.level / self.claims for v in verdicts],
        )


@dataclass(frozen=True, kw_only=True)
class Bet:
    """How a claim is judged by an e-process.

    Attributes:
        needed: the e at which it is decided: for the side of the estimate then, whatever comes later.
        first: the first replicate that counts: of a claim that was stated late, the first that was trained since.
        earlier: the e-process of earlier seeds.

    """

    needed: float
    first: int = 0
    earlier: EProcess | None = None

    def start(self, values: ClaimValues) -> int:
        """Return the place, among the complete replicates, of the first that counts."""
        return int(np.searchsorted(values.replicates, self.first))


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


def by_e_value(verdict: Verdict, values: ClaimValues, bet: Bet) -> tuple[Verdict, Decision]:
    """Return a verdict with e-value, anytime interval and the p that holds at any time, and to what it leans then."""
    hypothesis = verdict.hypothesis
    start = bet.start(values)
    process = process_of(hypothesis, values, start)
    if bet.earlier is not None:
        process = bet.earlier.then(process)
    (e, _, _), side = process.largest(), process.side_at(bet.needed)
    ends = None
    if not hypothesis.is_of_median:
        ends = within_limits(hypothesis, anytime_interval(values.complete[start:], values.least_spread), LEVEL)
    speaks_for = side == {"greater": 1, "less": -1, "equivalent": 0}[hypothesis.sense]
    verdict = replace(verdict, p=min(1.0, 1 / e), e_value=e, anytime_interval=ends)
    return verdict, SUPPORTED if speaks_for else REFUTED
