"""How often runs diverge: the share of replicates, and how the shares of two sides that share their replicates differ.

Wilson's interval of a share asks little of n; the interval of a difference is made of those of the two shares:

    low  = d - sqrt((p1 - l1)^2 - 2 phi (p1 - l1)(u2 - p2) + (u2 - p2)^2),
    high = d + sqrt((u1 - p1)^2 - 2 phi (u1 - p1)(p2 - l2) + (p2 - l2)^2),    d = p1 - p2,

with l, u the ends of the shares' intervals and phi the correlation between the sides, where it is positive with a continuity
correction of n/2: replicates share their random streams, so that both sides may fail in the same ones.

References: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927; Newcombe, Improved Confidence Intervals
for the Difference between Binomial Proportions Based on Paired Data, 1998, method 10.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


def rate_interval(failed: int, n: int, level: float) -> tuple[float, float]:
    """Return Wilson's interval of a share.

    Args:
        failed: number of replicates that failed.
        n: number of all.
        level: how often the interval is to hold the share.

    >>> [round(end, 3) for end in rate_interval(8, 16, 0.95)]
    [0.28, 0.72]

    """
    from scipy import stats  # takes half a second to import; experiments in which nothing diverges do without

    interval = stats.binomtest(failed, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def paired_rate_interval(first: Bools, second: Bools, level: float) -> tuple[float, float]:
    """Return Newcombe's interval of the share in which the first side failed minus that of the second.

    Args:
        first: of each replicate, whether the first side failed in it.
        second: whether the second did.
        level: how often the interval is to hold the difference.

    >>> first, second = np.arange(16) < 8, np.arange(16) < 0
    >>> [round(end, 3) for end in paired_rate_interval(first, second, 0.95)]
    [0.207, 0.72]

    """
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    one, other = int((first & ~second).sum()), int((~first & second).sum())
    p1, p2 = (both + one) / n, (both + other) / n
    (l1, u1), (l2, u2) = (rate_interval(both + k, n, level) for k in (one, other))
    cross, sides = both * neither - one * other, (both + one) * (other + neither) * (both + other) * (one + neither)
    corrected = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    phi = corrected / math.sqrt(sides) if sides else 0.0
    below, above = ((p1 - l1, u2 - p2), (u1 - p1, p2 - l2))
    low, high = (math.sqrt(a * a - 2 * phi * a * b + b * b) for a, b in (below, above))
    return p1 - p2 - low, p1 - p2 + high
