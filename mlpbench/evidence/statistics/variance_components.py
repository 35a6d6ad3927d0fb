"""Where the spread comes from: the variance that each random stream makes alone, and which makes the most.

It takes an experiment in which one stream varies at a time. Streams that act together may add more than the sum of what
they do alone: shares are of that sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr

from mlpbench.evidence.statistics.t_test import LEVEL

Floats = npt.NDArray[np.float64]
# The fewest values a kurtosis is estimated from.
LEAST = 5


def log_variance(values: Floats) -> tuple[float, float]:
    """Return an estimate of the log variance of values that need not be normal, and its standard error.

    ln(c s^2), c = n / (n - z), z = 1.96; error = c sqrt((g - (n - 3)/n) / (n - 1)), where g is the kurtosis about a mean
    trimmed by 1 / (2 sqrt(n - 4)) at each end. NaN below 5 values or without spread.
    Reference: Bonett, Approximate Confidence Interval for Standard Deviation of Nonnormal Distributions, 2006.
    """
    n = len(values)
    if n < LEAST or np.ptp(values) == 0:
        return math.nan, math.nan
    z = float(ndtri(0.5 + LEVEL / 2))
    c = n / (n - z)
    cut = int(n / (2 * math.sqrt(n - 4))) if n > LEAST else 0
    centre = np.sort(values)[cut : n - cut].mean()
    about_mean = float(((values - values.mean()) ** 2).sum())
    g = n * float(((values - centre) ** 4).sum()) / about_mean**2
    return math.log(c * about_mean / (n - 1)), c * math.sqrt(max(0.0, g - (n - 3) / n) / (n - 1))


def sd_interval(values: Floats) -> tuple[float, float]:
    """Return the 95% interval of the standard deviation, after Bonett (see `log_variance`); NaN where there is none."""
    middle, error = log_variance(values)
    z = float(ndtri(0.5 + LEVEL / 2))
    return math.exp((middle - z * error) / 2), math.exp((middle + z * error) / 2)


def brown_forsythe(a: Floats, b: Floats) -> float:
    """Return the two-sided p of equal variances: a t test on distances from the median.

    Reference: Brown and Forsythe, Robust Tests for the Equality of Variances, 1974.
    """
    x, y = np.abs(a - np.median(a)), np.abs(b - np.median(b))
    df = len(x) + len(y) - 2
    pooled = (float(((x - x.mean()) ** 2).sum()) + float(((y - y.mean()) ** 2).sum())) / df
    difference = float(x.mean() - y.mean())
    if pooled == 0:
        return 0.0 if difference else 1.0
    return min(1.0, 2 * float(stdtr(df, -abs(difference) / math.sqrt(pooled * (1 / len(x) + 1 / len(y))))))


def largest(stream: str, values: Mapping[str, Floats]) -> tuple[float, bool]:
    """Return p and side of the claim that a stream's variance is the largest.

    Where its estimate is the largest, the claim must hold against each other stream: the largest p of the pairs, which is
    a test at the level of one pair (intersection-union). Where another's is larger, that one refutes it: the smallest p
    among those above it, times the number of other streams (Bonferroni).
    Reference: Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, 1982.
    """
    own = values[stream]
    others = [v for s, v in values.items() if s != stream]
    above = [v for v in others if v.var(ddof=1) > own.var(ddof=1)]
    if above:
        return min(1.0, len(others) * min(brown_forsythe(own, v) for v in above)), False
    return max(brown_forsythe(own, v) for v in others), True


def share(stream: str, values: Mapping[str, Floats]) -> tuple[float, float, float]:
    """Return a stream's share of the summed variances, and its 95% interval; NaN where there is none.

    The interval is that of the log of the ratio to the other streams' sum, whose error is made of those of the log
    variances (delta method): share = 1 / (1 + exp(-log ratio)).

    >>> values = {"init": np.array([0.1, 0.3, 0.2, 0.5, 0.4]), "order": np.array([0.1, 0.2, 0.1, 0.2, 0.1])}
    >>> [round(number, 2) for number in share("init", values)]
    [0.89, 0.45, 0.99]

    """
    variances = {s: float(v.var(ddof=1)) for s, v in values.items()}
    total = math.fsum(variances.values())
    rest = total - variances[stream]
    if not total > 0:
        return math.nan, math.nan, math.nan
    estimate = variances[stream] / total
    if not 0 < estimate < 1:
        return estimate, math.nan, math.nan
    errors = {s: log_variance(v)[1] if variances[s] > 0 else 0.0 for s, v in values.items()}
    of_rest = math.fsum((variances[s] / rest * errors[s]) ** 2 for s in values if s != stream)
    half = float(ndtri(0.5 + LEVEL / 2)) * math.sqrt(errors[stream] ** 2 + of_rest)
    ratio = math.log(variances[stream] / rest)
    return estimate, 1 / (1 + math.exp(half - ratio)), 1 / (1 + math.exp(-half - ratio))
