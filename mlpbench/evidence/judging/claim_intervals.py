"""The interval of a claim's mean: of the level that goes with its test, and no wider than its metric.

A two-sided test at 5% goes with the 95% interval. An equivalence is judged by two tests at 5%, each of one side, and so is one
that is refuted: 90% is the level at which an interval lies within the margin just where they support, and beyond it where they
refute, if the margin is not small beside the standard error (see `t_test.beyond`). A sign-flip test has the interval of the means
that it doesn't reject.

Reference: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, 1987.
"""

from __future__ import annotations

import math

from mlpbench.evidence.estimates.example_sampling import Widened
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.verdict import Interval
from mlpbench.evidence.statistics import resampling
from mlpbench.evidence.statistics.bounded_mean import interval_by_bets
from mlpbench.evidence.statistics.t_test import ALPHA, LEVEL, Sample
from mlpbench.experiment.claims.hypothesis import BCA_LEAST, BettingTest, Decision, Hypothesis, SignFlipTest
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.metrics.metric import metric


def interval_of_mean(hypothesis: Hypothesis, values: ClaimValues, sample: Sample) -> Interval | None:
    """Return the interval over replicates: by t, by the BCa bootstrap where the claim asks for it, or by sign flips that test it.

    None where the sign-flip test has too few replicates to exclude any mean.

    Args:
        hypothesis: what the claim comes down to; its sense says the level, its metric where the interval ends at the latest.
        values: the numbers of the replicates, two or more.
        sample: their mean and the spread that they are credited with.

    """
    level = level_of(hypothesis)
    if hypothesis.test.interval == "bca" and sample.n >= BCA_LEAST and values.sd > 0:
        return within_limits(hypothesis, resampling.bca(values.complete, level), level)
    if isinstance(hypothesis.test, SignFlipTest):
        flipped = resampling.sign_flip_interval(values.complete, level, one_sided=hypothesis.sense == "equivalent")
        return None if flipped is None else within_limits(hypothesis, flipped, level)
    if isinstance(hypothesis.test, BettingTest):
        return within_limits(hypothesis, interval_by_bets(values.complete, level, hypothesis.test.reach), level)
    return within_limits(hypothesis, sample.interval(level), level)


def interval_with_examples(hypothesis: Hypothesis, widened: Widened, own: Interval | None) -> Interval:
    """Return the interval that includes the sampling of the test set.

    By t it is that of `widened`. That of sign flips, `own`, is made longer on either side as that of t would be.
    """
    level = level_of(hypothesis)
    low, high = widened.interval(level)
    if own is None or not isinstance(hypothesis.test, SignFlipTest) or hypothesis.test.interval == "bca":
        return within_limits(hypothesis, (low, high), level)
    mean, (own_low, own_high) = widened.own.mean, widened.own.interval(level)
    shorter = own_high - own_low
    factor = (high - low) / shorter if shorter > 0 else 1.0
    return within_limits(hypothesis, (mean - factor * (mean - own.low), mean + factor * (own.high - mean)), level)


def stands(hypothesis: Hypothesis, decision: Decision, interval: Interval) -> bool:
    """Return whether an interval says what a verdict does: it lies on that side of the bound, or of both of an equivalence."""
    low, high = interval.low - hypothesis.centre, interval.high - hypothesis.centre
    bound = hypothesis.bound
    if hypothesis.sense != "equivalent":
        return not low <= bound <= high
    return (-bound < low and high < bound) if decision == "supported" else (low > bound or high < -bound)


def level_of(hypothesis: Hypothesis) -> float:
    """Return the level of the interval that goes with a claim's test."""
    return 1 - 2 * ALPHA if hypothesis.sense == "equivalent" else LEVEL


def limits_of(hypothesis: Hypothesis) -> tuple[float, float]:
    """Return the least and the largest number that a replicate may have, infinite where that isn't known.

    sum_c w_c x_c with l <= x_c <= h lies between the sums of the lesser and of the larger of w_c l and w_c h.
    """
    low, high = metric(hypothesis.metric).limits
    if not isinstance(hypothesis.number, WeightedSum) or math.isinf(low):
        return -math.inf, math.inf
    ends = [(w * low, w * high) for w in hypothesis.number.weights.values()]
    return math.fsum(min(e) for e in ends), math.fsum(max(e) for e in ends)


def within_limits(hypothesis: Hypothesis, ends: tuple[float, float], level: float) -> Interval:
    """Return an interval that ends where the claim's number does."""
    low, high = limits_of(hypothesis)
    return Interval(low=max(low, ends[0]), high=min(high, ends[1]), level=level)
