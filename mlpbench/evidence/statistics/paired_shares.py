"""Shares of replicates, exactly: in how many one side is ahead, and by how much more often the runs of one side fail.

Of replicates in which one of two sides is ahead (ties left out), the number k in which it is the first is Binomial(m, P(a > b | no tie)):
the test of a share doubles the smaller tail, and Clopper and Pearson's interval has the shares that it doesn't reject.

Where both sides fail in a replicate, or neither does, it says nothing of which fails more often. Of the m others the first one alone fails
in k, Binomial(m, 1/2) if both fail as often (McNemar). With t the share k / m and d = m / n how often they differ, the rates
differ by (2 t - 1) d: its interval takes the ends of t, on the same side of 1/2 as the test says, times that end of d that makes it wider.

References: Clopper and Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial, 1934; McNemar, Note
on the Sampling Error of the Difference between Correlated Proportions, 1947; Bouthillier et al., Accounting for Variance in Machine
Learning Benchmarks, 2021 (P(a > b) above 0.75).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc, betaincinv

from mlpbench.evidence.statistics.sign_test import count_sides, count_ties
from mlpbench.evidence.statistics.t_test import LEVEL, smallest_enough

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JudgedShare:
    """An estimate with its 95% interval and the p of its bound."""

    estimate: float
    low: float
    high: float
    p: float


def binomial_p(k: int, n: int, share: float) -> float:
    """Return the two-sided p of k of n at a share: twice the smaller tail.

    >>> round(binomial_p(10, 10, 0.75), 4)
    0.1126
    """
    above = 1.0 if k < 1 else float(bdtrc(k - 1, n, share))
    return min(1.0, 2 * min(above, float(bdtr(k, n, share))))


def binomial_interval(k: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Clopper and Pearson's interval.

    >>> [round(end, 4) for end in binomial_interval(9, 10)]
    [0.555, 0.9975]
    """
    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    return low, float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0


def least_counted(share: float, level: float) -> int:
    """Return the fewest trials, all of them hits, whose p at a share is at most a level: 2 share^n.

    >>> [least_counted(share, 0.05) for share in (0.25, 0.5, 0.75)]
    [3, 6, 13]
    """
    n = max(1, math.floor(math.log(level / 2) / math.log(share)))
    while 2 * share**n > level:
        n += 1
    return n


def more_counted(n: int, hits: int, share: float, level: float, wanted: float, most: int) -> int | None:
    """Return the smallest number of trials above n with which the test of a share has power `wanted`, were hits as frequent.

    None where that is more than `most`, and where they are as frequent as the share.

    >>> more_counted(10, 9, 0.5, 0.05, 0.8, 1000)
    12
    """
    if n == 0 or hits == share * n:
        return None
    above = hits > share * n
    of_one, tested = (hits / n, share) if above else (1 - hits / n, 1 - share)

    def enough(m: int) -> bool:
        least = int(least_hits(m, tested, level / 2))
        return least <= m and (1.0 if least < 1 else float(bdtrc(least - 1, m, of_one))) >= wanted

    return smallest_enough(n, enough, most)


def least_hits(n: int, share: float, tail: float) -> int:
    """Return the least k with P(X >= k) of at most a tail, X ~ Binomial(n, share); n + 1 where there is none."""
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        reached = middle > 0 and float(bdtrc(middle - 1, n, share)) <= tail
        low, high = (low, middle) if reached else (middle + 1, high)
    return low


def win_share(lower: Floats, upper: Floats, share: float) -> JudgedShare | None:
    """Return how often differences lie above 0, of those that aren't 0, against a share; None where all are.

    A difference of unknown side, between a lower and an upper bound, counts for either: the interval and p are the widest.
    """
    above, below = count_sides(lower, 0.0, upper)
    counted = len(lower) - count_ties(lower, 0.0, upper)
    if counted == 0 or above + below == 0:
        return None
    most = counted - below
    return JudgedShare(
        estimate=above / (above + below),
        low=binomial_interval(above, counted)[0],
        high=binomial_interval(most, counted)[1],
        p=max(binomial_p(k, counted, share) for k in (above, most))
        if (above / counted > share) == (most / counted > share)
        else 1.0,
    )


def failure_difference(differences: Floats) -> JudgedShare:
    """Return in how many more replicates one side fails more, as a share, of the difference of failing runs in each replicate.

    Of sides of one run each that is the difference of their failure rates. Where a side has several, only which one fails
    more counts, as in the test.

    >>> found = failure_difference(np.repeat([1.0, 0.0, -1.0], [8, 11, 1]))
    >>> [round(v, 3) for v in (found.estimate, found.low, found.high, found.p)]
    [0.35, 0.008, 0.681, 0.039]
    """
    n, (more, less) = len(differences), count_sides(differences, 0.0)
    counted = more + less
    least, most = binomial_interval(counted, n)
    ends = (-1.0, 1.0) if counted == 0 else tuple(2 * t - 1 for t in binomial_interval(more, counted))
    low, high = (end * (most if outer else least) for end, outer in zip(ends, (ends[0] < 0, ends[1] > 0), strict=True))
    p = binomial_p(more, counted, 0.5) if counted else 1.0
    return JudgedShare(estimate=(more - less) / n, low=low, high=high, p=p)
