"""The mean of numbers that lie between two ends, whatever their distribution: a test by bets, and the interval of what it allows.

Places of a best level are few whole numbers, and rarely symmetric: a best level that moves by five levels in one of ten replicates has
a mean of half a level, and six replicates show no move at all in 53%. Sign flips call that "the same". A bet against
"the mean is at least m" that pays 1 + b (m - x) for each number x, and never more than it has, as b <= 1 / (top - m), is worth at most 1
in the mean if it is true:

    E = mean over c in (0, 1) of prod_r (1 + c (m - x_r) / (top - m)),    p = min(1, 1 / E).

By Markov's inequality p is at most 0.05 in at most 5%, at any number of replicates. It grows with m, so that the means that aren't
rejected are an interval.

References: Waudby-Smith and Ramdas, Estimating Means of Bounded Random Variables by Betting, 2024, section 4; Hoeffding, Probability
Inequalities for Sums of Bounded Random Variables, 1963, of why no test does without the ends.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Sizes of bets, each as likely as the others.
BETS = (np.arange(100) + 0.5) / 100
HALVINGS = 60


def e_below(values: Floats, mean: float, reach: float) -> float:
    """Return the e-value against a mean of at least `mean`, of numbers that are `reach` at most.

    >>> [round(e_below(np.zeros(n), 0.5, 2.0), 1) for n in (6, 12, 24)]
    [2.8, 9.5, 159.3]
    """
    if mean >= reach:
        return float("inf") if (values < mean).any() else 1.0
    each = 1 + BETS[:, None] * ((mean - values) / (reach - mean))[None, :]
    return float(np.exp(np.log(np.maximum(each, 1e-300)).sum(axis=1)).mean())


def equivalence_by_bets(values: Floats, margin: float, reach: float) -> float:
    """Return the p of the test that the mean lies within a margin of 0, of numbers within `reach` of 0: the larger of two."""
    return min(1.0, 1 / min(e_below(values, margin, reach), e_below(-values, margin, reach)))


def beyond_by_bets(values: Floats, margin: float, reach: float) -> float:
    """Return the p of the test that it doesn't: half of a bet lies on either side."""
    e = (e_below(values, -margin, reach) + e_below(-values, -margin, reach)) / 2
    return min(1.0, 1 / max(e, 1e-300))


def interval_by_bets(values: Floats, level: float, reach: float) -> tuple[float, float]:
    """Return the means that neither one-sided test at (1 - level) / 2 rejects.

    >>> [round(end, 2) for end in interval_by_bets(np.zeros(24), 0.9, 2.0)]
    [-0.34, 0.34]
    """
    needed = 2 / (1 - level)

    def upper(x: Floats) -> float:
        inside, outside = float(x.mean()), reach
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if e_below(x, middle, reach) < needed else (inside, middle)
        return outside

    return -upper(-values), upper(values)


def least_replicates(margin: float, reach: float, level: float = 0.05) -> int:
    """Return the fewest numbers, all 0, of which the mean is found within a margin.

    >>> [least_replicates(0.5, reach) for reach in (1, 2, 4)]
    [7, 16, 34]
    """
    n = 1
    while equivalence_by_bets(np.zeros(n), margin, reach) > level:
        n += 1
    return n


def least_to_refute(margin: float, reach: float, level: float = 0.05) -> int:
    """Return the fewest numbers, all as far out as they can be, of which the mean is found beyond a margin.

    >>> [least_to_refute(0.5, reach) for reach in (1, 2, 4)]
    [19, 12, 9]
    """
    n = 1
    while beyond_by_bets(np.full(n, float(reach)), margin, reach) > level:
        n += 1
    return n
