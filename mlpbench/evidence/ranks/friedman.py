"""Ranks of conditions over data sets: the Friedman test in Iman and Davenport's form, and the Nemenyi critical difference.

Within each of N data sets the k conditions are ranked by their outcome, the best is 1, and equal ones share their mean rank. If no
condition were better than any other all orders would be as likely, and the mean ranks R_j would differ by chance alone:

    Q = (k - 1) N^2 sum_j (R_j - (k + 1) / 2)^2 / (sum_ij r_ij^2 - N k (k + 1)^2 / 4),
    F = (N - 1) Q / (N (k - 1) - Q),    F with k - 1 and (k - 1)(N - 1) degrees of freedom.

F is an approximation, which knows nothing of how few orders there are: p is never below (k!)^(1 - N), the chance that all data sets agree.
Of two conditions the test is the sign test, which is exact.

Two of the conditions differ, over all pairs of them at 5%, where their mean ranks do by

    CD = q(0.95; k, infinity) / sqrt(2) sqrt(k (k + 1) / (6 N))

at least, q of the studentised range. Ranks know nothing of how large a difference is: a claim over data sets, `unit: dataset`, does.

References: Friedman, The Use of Ranks to Avoid the Assumption of Normality Implicit in the Analysis of Variance, 1937; Iman and
Davenport, Approximations of the Critical Region of the Friedman Statistic, 1980; Nemenyi, Distribution-Free Multiple Comparisons,
1963; Conover, Practical Nonparametric Statistics, 1999, section 5.8 (ties); Demsar, Statistical Comparisons of Classifiers over
Multiple Data Sets, 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import fdtrc

from mlpbench.evidence.statistics.sign_test import sign_test
from mlpbench.evidence.statistics.t_test import LEVEL

Floats = npt.NDArray[np.float64]
# Outcomes are equal that are so in as many digits: their means are sums in another order.
DIGITS = 12


def ranks(outcome_NK: Floats, better: Literal["higher", "lower"]) -> Floats:
    """Return the rank of each condition within each data set, 1 for the best; equal ones share their mean rank.

    >>> ranks(np.array([[0.9, 0.8, 0.9], [0.5, 0.7, 0.6]]), "higher")
    array([[1.5, 3. , 1.5],
           [3. , 1. , 2. ]])
    """
    largest = np.abs(outcome_NK).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.round(outcome_NK / np.where(largest > 0, largest, 1.0), DIGITS)
    return pd.DataFrame(scaled).rank(axis=1, method="average", ascending=better == "lower").to_numpy(dtype=float)


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """The Friedman test of two conditions or more on two data sets or more.

    Attributes:
        mean_ranks: the mean rank of each condition.
        f, p: Iman and Davenport's F and its p, of two conditions that of the sign test; NaN where all tie in every data set.
        critical_difference: by which two mean ranks differ at 5%.

    """

    mean_ranks: Floats
    f: float
    p: float
    critical_difference: float


def friedman(rank_NK: Floats) -> Friedman:
    """Return the test of ranks, a row for each data set and a column for each condition.

    >>> found = friedman(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [2.0, 1.0, 3.0]]))
    >>> [round(value, 3) for value in (found.f, found.p, found.critical_difference)]
    [3.857, 0.084, 1.657]
    """
    n, k = rank_NK.shape
    assert n > 1
    assert k > 1
    means = rank_NK.mean(axis=0)
    among = float(n * ((means - (k + 1) / 2) ** 2).sum())
    within = (float((rank_NK**2).sum()) - n * k * (k + 1) ** 2 / 4) / (n * (k - 1))
    if within <= 0:
        f = p = math.nan
    else:
        q = among / within
        left = n * (k - 1) - q
        f = (n - 1) * q / left if left > 1e-9 * q else math.inf
        p = float(fdtrc(k - 1, (k - 1) * (n - 1), f)) if math.isfinite(f) else 0.0
        p = max(p, math.exp((1 - n) * math.lgamma(k + 1)))
        if k == 2:
            p = sign_test(rank_NK[:, 1] - rank_NK[:, 0], 0.0, drop_ties=True)
    return Friedman(mean_ranks=means, f=f, p=p, critical_difference=critical_difference(n, k))


def critical_difference(n: int, k: int) -> float:
    """Return by how much mean ranks of two of k conditions on n data sets differ at 5% over all pairs.

    >>> round(critical_difference(14, 4), 2)
    1.25
    """
    from scipy.stats import studentized_range  # takes half a second to import; experiments on one data set do without

    quantile = float(studentized_range.ppf(LEVEL, k, np.inf))
    return quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
