"""What would decide an undecided claim: the fewest replicates that can, and how many more are likely to, by each test.

A t test may decide by two replicates. A test of n signs has no p below 2^(1 - n), and one of a share s none below 2 min(s, 1 - s)^n: at
the level of a first seed, 0.03, six replicates on one side (p = 0.031) decide nothing, and seven do. An experiment with fewer is no
error, as its replicates may be topped up, and folders that were trained before have verdicts: `plan` and `run` say so, and a claim.

How many further replicates are likely to decide follows by t from assurance; a number that lies at its margin is decided then too. Where
replicates are counted it is the number with 80% power, if they come out as often on each side as they have; of bets the number by
which they are won in 80% of seeded draws from the replicates there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlpbench.evidence.statistics import assurance, t_test
from mlpbench.evidence.statistics.alpha_spending import spent
from mlpbench.evidence.statistics.bounded_mean import BETS, least_replicates, least_to_refute
from mlpbench.evidence.statistics.paired_shares import least_counted, more_counted
from mlpbench.evidence.statistics.sign_test import more_needed
from mlpbench.evidence.statistics.t_test import MOST_REPLICATES, POWER, Sample, inflation
from mlpbench.experiment.claims.hypothesis import (
    BettingTest,
    FailureTest,
    Hypothesis,
    SignedRankTest,
    SignFlipTest,
    SignTest,
    TypicalTest,
    WinTest,
)

Floats = npt.NDArray[np.float64]
HALF = 0.5
# Of bets: so many sequences are drawn, of so many further replicates at most.
SEQUENCES, MOST_DRAWN = 200, 1_000
SEED = 20_241_101
# Of signed ranks beside t, of normal numbers: 3 / pi (Hodges and Lehmann, 1956).
EFFICIENCY = 3 / math.pi


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What would decide a claim that is undecided, or tell on which side of its margin one lies that is at it.

    Attributes:
        detectable: distance from the bound that the test finds with 80% power at the present n, in the metric's unit.
        more_replicates, more_for_even: number of further replicates with which the chance is 80%, or 50%, that the claim is
            decided, given what the present ones have shown (`statistics.assurance`); where replicates are counted, or bet on, the number for 80%
            power if they stay as they are. None where it is more than 100,000, of bets more than 1,000.
        unknown: why no such number can be said, in words.
        is_foreseen: whether one was looked for.
        floor: the standard error that replicates of one table never fall below, where that is why no number of them is enough.
        are_equal: whether the present ones all have the same number, which says nothing of what others will have: `more_replicates`
            is then the number that decides if all have it.

    """

    detectable: float | None = None
    more_replicates: int | None = None
    more_for_even: int | None = None
    unknown: str = ""
    is_foreseen: bool = False
    floor: float | None = None
    are_equal: bool = False


@dataclass(frozen=True, kw_only=True)
class TooFew:
    """So many replicates decide a claim in no case at a level: `least` can, and of a share, or of equal places, `to_support` support it."""

    n: int
    least: int
    to_support: int
    level: float
    units: str = "replicates"


def fewest(hypothesis: Hypothesis, level: float) -> int:
    """Return the fewest complete replicates of which some outcome decides a claim at a level, either way."""
    test = hypothesis.test
    if isinstance(test, WinTest):
        return least_counted(min(hypothesis.bound, 1 - hypothesis.bound), level)
    if isinstance(test, BettingTest):
        return min(fewest_to_support(hypothesis, level), least_to_refute(hypothesis.bound, test.reach, level))
    if isinstance(test, SignTest | FailureTest | SignFlipTest | TypicalTest | SignedRankTest):
        # Each of the two tests of an equivalence is of one side.
        one_sided = hypothesis.sense == "equivalent" and isinstance(test, SignFlipTest | SignedRankTest)
        p_of_all = 2 * level if one_sided else level
        return max(test.least, least_counted(HALF, p_of_all))
    return test.least


def fewest_to_support(hypothesis: Hypothesis, level: float) -> int:
    """Return the fewest that may support it: of a share, or of places that are the same, other ones than may refute it."""
    test = hypothesis.test
    if isinstance(test, WinTest):
        return least_counted(hypothesis.bound, level)
    if isinstance(test, BettingTest):
        return least_replicates(hypothesis.bound, test.reach, level)
    return fewest(hypothesis, level)


def too_few(hypothesis: Hypothesis, level: float, at: Sequence[int]) -> TooFew | None:
    """Return that replicates decide a claim in no case; None where they may.

    Args:
        hypothesis: what the claim comes down to.
        level: at which it is decided.
        at: the numbers of replicates that are judged, of a top-up those of all interim analyses.

    """
    if hypothesis.is_observed:
        return None
    levels = spent(at, level) if len(at) > 1 else [level]
    if any(n >= fewest(hypothesis, of_n) for n, of_n in zip(at, levels, strict=True)):
        return None
    last = levels[-1]
    return TooFew(
        n=at[-1],
        least=fewest(hypothesis, last),
        to_support=fewest_to_support(hypothesis, last),
        level=last,
        units=hypothesis.units,
    )


def of_mean(sample: Sample, hypothesis: Hypothesis, level: float, *, near: bool, are_equal: bool = False) -> Outlook:
    """Return what a claim about a mean could show now, and after how many further replicates it is decided with which chance, by t.

    Args:
        sample: the replicates' numbers.
        hypothesis: what the claim comes down to.
        level: at which it is decided.
        near: whether a number that lies at the margin is decided; if not, only the replicates are of interest that tell its side.
        are_equal: whether the replicates all have the same number, so that the sample's spread is credited and not seen: a chance
            that follows from it would move away with every further replicate that has that number too.

    """
    equivalent, bound = hypothesis.sense == "equivalent", hypothesis.bound
    sample = replace(sample, mean=sample.mean - hypothesis.centre)
    if equivalent and abs(sample.mean) <= bound:
        shift = t_test.detectable_margin(sample.n, level)
    else:
        shift = t_test.detectable_shift(sample.n, level if equivalent else level / 2)
    bounds, half = (-bound, bound) if equivalent else (bound,), HALF * (hypothesis.margin or 0.0) * near
    distance = shift * sample.sd * inflation(sample.n, sample.overlap) if near else None
    if are_equal:
        more = assurance.more_if_equal(sample, bounds, level, half)
        if more is not None:
            more = max(more, fewest(hypothesis, level) - sample.n)
        return Outlook(is_foreseen=True, detectable=distance, more_replicates=more, are_equal=True)
    even, likely = (
        assurance.more_for(sample, wanted, bounds, level, half) for wanted in (assurance.EVEN, assurance.LIKELY)
    )
    floor = math.sqrt(sample.overlap) * sample.sd if sample.overlap and likely is None else None
    return Outlook(is_foreseen=True, detectable=distance, more_replicates=likely, more_for_even=even, floor=floor)


def of_ranks(sample: Sample, hypothesis: Hypothesis, level: float, *, near: bool, are_equal: bool = False) -> Outlook:
    """Return the same of a claim over data sets: by t, of whose power signed ranks have 95% where numbers are normal.

    Of further data sets there must be so many as decide at all at that level.
    """
    if sample.sd == 0:
        return Outlook()
    by_t = of_mean(sample, hypothesis, level, near=near, are_equal=are_equal)
    lacking = fewest(hypothesis, level) - sample.n
    even, likely = (
        None if more is None else max(math.ceil(more / EFFICIENCY), lacking)
        for more in (by_t.more_for_even, by_t.more_replicates)
    )
    can_decide = lacking <= 0 and by_t.detectable is not None
    detectable = by_t.detectable / math.sqrt(EFFICIENCY) if can_decide and by_t.detectable is not None else None
    return replace(by_t, detectable=detectable, more_for_even=even, more_replicates=likely)


def of_median(n: int, counted: int, larger: int, level: float, **_: bool) -> Outlook:
    """Return how many more of n replicates a median needs, of which so many counted have a side, and so many lie on one of them."""
    if counted == 0:
        return Outlook(is_foreseen=True, unknown="no replicate has a side so far")
    needed = more_needed(counted, larger / counted, level, POWER, MOST_REPLICATES)
    # Of further replicates as many tie.
    return Outlook(is_foreseen=True, more_replicates=None if needed is None else math.ceil(needed * n / counted) - n)


def of_share(n: int, counted: int, hits: int, share: float, level: float, **_: bool) -> Outlook:
    """Return how many more of n replicates a share needs, of which so many are counted and so many of these are hits."""
    if counted == 0:
        return Outlook(is_foreseen=True, unknown="both sides are alike in every replicate so far")
    needed = more_counted(counted, hits, share, level, POWER, MOST_REPLICATES)
    return Outlook(is_foreseen=True, more_replicates=None if needed is None else math.ceil(needed * n / counted) - n)


def of_bets(values: Floats, margin: float, reach: float, level: float, **_: bool) -> Outlook:
    """Return by how many more replicates bets on a mean within a margin are won, in 80% of draws from the values there are."""
    n = len(values)
    drawn = np.random.default_rng(SEED).integers(0, n, (SEQUENCES, MOST_DRAWN))
    sequences = np.concatenate([np.tile(values, (SEQUENCES, 1)), values[drawn]], axis=1)
    inside = np.minimum(*(_e_so_far(side * sequences, margin, reach) for side in (1, -1)))
    outside = sum(_e_so_far(side * sequences, -margin, reach) for side in (1, -1)) / 2
    within = np.abs(np.cumsum(sequences, axis=1)) <= margin * np.arange(1, n + MOST_DRAWN + 1)
    won = np.where(within, inside, outside)[:, n:] >= 1 / level
    shares = won.mean(axis=0)
    enough = np.minimum.accumulate(shares[::-1])[::-1] >= POWER  # and stays so with more
    return Outlook(is_foreseen=True, more_replicates=int(enough.argmax()) + 1 if enough.any() else None)


def _e_so_far(values: Floats, mean: float, reach: float) -> Floats:
    """Return `bounded_mean.e_below` of each beginning of sequences, (S, N)."""
    total = np.zeros(values.shape)
    for bet in BETS:
        total += np.exp(np.minimum(np.cumsum(np.log1p(bet * (mean - values) / (reach - mean)), axis=1), 600.0))
    return total / len(BETS)
