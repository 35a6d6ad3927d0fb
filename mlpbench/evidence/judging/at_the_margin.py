"""What lies at the margin: an effect about as large as the margin of its claim, which no number of replicates may decide.

A claim with a margin m > 0 has an edge: the margin, or of an equivalence the one on the side of the estimate. It is `at the margin`
where its main test has not decided it, and two one-sided tests find its number within half of the margin of the edge:

    reject mean <= edge - m / 2 and mean >= edge + m / 2, by the test of the claim (t, sign flips, signs of a median, flips of typical replicates, or signed ranks of data sets).

With t that is where the 90% interval lies within half of the margin on either side of the edge.

How often is that wrong? A claim that is wrongly `at the margin` has its number half of the margin or more from the edge.
The p of the two tests, the larger one (intersection-union), are corrected by Holm's method over all claims with a margin, decided ones
too: in at most 5% of experiments any claim is wrongly at the margin. Holm's method of the main tests is as it was. Its level
for those claims alone that the main tests leave undecided would not do: claims half of a margin off are left undecided where chance
has moved their estimate towards the margin, which is selection by the very error that is to be bounded (a third of experiments
with 20 such claims was wrong, in simulation).

Of one claim all verdicts together are wrong in 5%: no number lies on the edge and half of the margin from it, and each part of what
may be true is tested at the whole level (partitioning). Of several claims `supported` and `refuted` are wrong in at most 5% of
experiments, and `at the margin` in at most 5%: both together in more than 5% where some claims lie on their edge and others half of a
margin from it, since Holm's method gives the level of decided claims to the former.

At interim analyses each spends its share of the level on these tests too (by the union bound), and an e-process against either end
judges them where replicates are looked at whenever one likes.

References: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, 1987; Berger, Multiparameter
Hypothesis Testing and Acceptance Sampling, 1982 (intersection-union); Holm, A Simple Sequentially Rejective Multiple Test Procedure,
1979; Finner and Strassburger, The Partitioning Principle: A Powerful Tool in Multiple Decision Theory, 2002.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlpbench.evidence.judging.claim_values import ClaimValues, Floats
from mlpbench.evidence.judging.p_correction import AtAnyTime, AtInterimAnalysis, Bet, Correction, process_of
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.ranks import signed_rank
from mlpbench.evidence.ranks.signed_rank import SignedRankSample
from mlpbench.evidence.statistics import resampling, t_test
from mlpbench.evidence.statistics.alpha_spending import share_out, spent
from mlpbench.evidence.statistics.e_process import EProcess
from mlpbench.evidence.statistics.sign_test import one_sided
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.evidence.statistics.typical import TypicalSample, between
from mlpbench.experiment.claims.hypothesis import Hypothesis

HALF = 0.5


def edge_of(hypothesis: Hypothesis, estimate: float) -> float:
    """Return the margin of a claim, of an equivalence the one on the side of the estimate."""
    if hypothesis.sense != "equivalent":
        return hypothesis.bound
    return hypothesis.centre + math.copysign(hypothesis.bound, estimate - hypothesis.centre)


def reach_of(hypothesis: Hypothesis) -> float:
    """Return how far from the edge a number still lies at the margin."""
    return HALF * (hypothesis.margin or 0.0)


def p_at_the_margin(verdict: Verdict, values: ClaimValues, bet: Bet | None = None) -> float:
    """Return the p of a number half of the margin or more from the edge; NaN where a claim has no margin or no test.

    Args:
        verdict: the verdict so far, with the p of the main test and the estimate.
        values: the numbers of the replicates.
        bet: how the claim is judged where p is to hold whenever one looks.

    """
    hypothesis = verdict.hypothesis
    if hypothesis.margin is None or verdict.p is None or verdict.estimate is None:
        return math.nan
    edge, half = edge_of(hypothesis, verdict.estimate), reach_of(hypothesis)
    if bet is not None:
        return _at_any_time(hypothesis, values, (edge - half, edge + half), bet.start(values))
    if hypothesis.is_of_median:
        return one_sided(values.lower, values.upper, (edge - half, edge + half))
    if hypothesis.test.about == "typical":
        return between(
            TypicalSample(values=values.complete, least_spread=values.least_spread), (edge - half, edge + half)
        )
    if hypothesis.test.about == "pseudomedian":
        return signed_rank.between(SignedRankSample(values=values.complete), (edge - half, edge + half))
    if not hypothesis.test.assumes_normal:
        return resampling.equivalence_flip(values.complete - edge, half)
    sample = values.sample
    return t_test.equivalence(replace(sample, mean=sample.mean - edge), half)


def _at_any_time(hypothesis: Hypothesis, values: ClaimValues, ends: tuple[float, float], first: int) -> float:
    """Return 1 over the largest e that was reached against both ends, while the estimate lay between them."""
    against = [replace(hypothesis, sense="greater", centre=0.0, bound=end) for end in ends]
    low, high = (process_of(of_end, values, first) for of_end in against)
    return min(1.0, 1 / float(e_between(low, high).max(initial=1.0)))


def e_between(low: EProcess, high: EProcess) -> Floats:
    """Return the e of a number between two ends, of the e-processes against each, where the estimate lies between them; else 1."""
    return np.where((low.side > 0) & (high.side < 0), np.minimum(low.e, high.e), 1.0)


def corrected(
    p: Sequence[float], levels: Sequence[float], correct: Correction, dropped: int = 0, once: Sequence[bool] = ()
) -> Sequence[float]:
    """Return the p of claims with a margin, corrected for each other; NaN stays NaN and counts as one of them.

    Args:
        p: p of each claim with a margin.
        levels: the levels at which they are decided.
        correct: the correction of the main tests: it says whether this is an interim analysis, and which, or one of any time.
        dropped: the number of claims that are stated no more.
        once: whether each is judged at the first interim analysis alone, where it spends all of its level; none where empty.

    """
    if isinstance(correct, AtAnyTime):
        return [v if math.isnan(v) else min(1.0, correct.claims * v) for v in p]
    if isinstance(correct, AtInterimAnalysis):
        number, of_alpha = correct.number - 1, [level / ALPHA for level in levels]
        undecided = max(len(p), correct.with_margin)

        def nominal(i: int, level: float) -> float:
            level *= of_alpha[i]
            return level if once and once[i] else spent(correct.at, level)[number]

        shared = share_out(p, nominal, undecided)
        return [v if math.isnan(v) else min(1.0, v * part) for v, part in zip(shared, of_alpha, strict=True)]
    return t_test.holm([*p, *[1.0] * dropped])[: len(p)]
