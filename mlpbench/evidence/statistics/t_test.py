"""The statistics of one claim: t tests against a margin, equivalence, Holm's correction, power.

Everything here is a function of a few numbers, so that each can be checked against scipy and against simulation.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import nctdtr, stdtr, stdtrit

ALPHA = 0.05
LEVEL = 0.95
POWER = 0.8
MOST_REPLICATES = 100_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One number per replicate, summed up: how many, their mean and standard deviation, and how far they are from independent.

    `overlap` is rho / (1 - rho) of replicates that correlate by rho, as splits of one table do (`estimates.overlap`).

    >>> sample = Sample(n=5, mean=0.012, sd=0.01)
    >>> [round(end, 4) for end in sample.interval(0.95)]
    [-0.0004, 0.0244]
    """

    n: int
    mean: float
    sd: float
    overlap: float = 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean, sd / sqrt(n), or sd sqrt(1/n + overlap)."""
        return self.sd * inflation(self.n, self.overlap) / math.sqrt(self.n)

    def t(self, at: float) -> float:
        """Return t = (mean - at) / error; signed infinity, or 0, where there is no spread."""
        if self.error > 0:
            return (self.mean - at) / self.error
        return math.copysign(math.inf, self.mean - at) if self.mean != at else 0.0

    def interval(self, level: float) -> tuple[float, float]:
        """Return mean ± t((1 + level)/2, n - 1) error."""
        half = float(stdtrit(self.n - 1, 0.5 + level / 2)) * self.error
        return self.mean - half, self.mean + half


def inflation(n: int, overlap: float) -> float:
    """Return how many times the standard error of n replicates is that of independent ones: sqrt(1 + n overlap).

    >>> inflation(10, 0.0), inflation(12, 0.25)
    (1.0, 2.0)

    Reference: Nadeau and Bengio, Inference for the Generalization Error, 2003.
    """
    return math.sqrt(1 + n * overlap)


def two_sided(sample: Sample, at: float) -> float:
    """Return the p of the two-sided t test of mean = at.

    >>> round(two_sided(Sample(n=5, mean=0.012, sd=0.01), 0), 3)
    0.055

    Reference: Student, The Probable Error of a Mean, 1908.
    """
    return min(1.0, 2 * float(stdtr(sample.n - 1, -abs(sample.t(at)))))


def equivalence(sample: Sample, margin: float) -> float:
    """Return the larger p of the two one-sided t tests of mean <= -margin and mean >= margin.

    >>> round(equivalence(Sample(n=5, mean=0.001, sd=0.002), 0.005), 4)
    0.0055

    Reference: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, 1987.
    """
    return max(float(stdtr(sample.n - 1, -sample.t(-margin))), float(stdtr(sample.n - 1, sample.t(margin))))


def beyond(sample: Sample, margin: float) -> float:
    """Return the p of the test of |mean| <= margin, the chance at the margin of an estimate as far out on either side.

    p = F((margin - |mean|) / error) + F((-margin - |mean|) / error), F of t with n - 1 degrees: for a margin of nothing the
    two-sided p, for one above the standard error the one-sided p against the nearer bound.

    >>> [round(beyond(Sample(n=5, mean=0.012, sd=0.01), margin), 3) for margin in (0, 0.005)]
    [0.055, 0.106]

    Reference: Hodges and Lehmann, Testing the Approximate Validity of Statistical Hypotheses, 1954.
    """
    if sample.error == 0:
        return 0.0
    return min(1.0, sum(float(stdtr(sample.n - 1, (at - abs(sample.mean)) / sample.error)) for at in (margin, -margin)))


def p_of_sense(sample: Sample, sense: str, bound: float) -> float:
    """Return the p of a claim: against a bound, or of an equivalence of the side on which the mean lies."""
    if sense != "equivalent":
        return two_sided(sample, bound)
    return equivalence(sample, bound) if abs(sample.mean) <= bound else beyond(sample, bound)


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values, in the order given; NaN stays NaN but counts as a member of the family.

    adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), with p_(1) <= ... <= p_(m).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]

    Reference: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    sortable = [1.0 if math.isnan(v) else v for v in p]
    adjusted = [math.nan] * len(p)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: (sortable[i], i))):
        highest = max(highest, min(1.0, (len(p) - rank) * sortable[i]))
        if not math.isnan(p[i]):
            adjusted[i] = highest
    return adjusted


def q_values(p: Sequence[float]) -> list[float]:
    """Return p values corrected by Benjamini and Hochberg's method, in the order given.

    Holm's method guards the claims of one experiment. Over forty experiments with 5% each, two false verdicts are to be expected;
    the share of false ones among all that are decided is what a reader of them all asks for.

    q_(i) = min over j >= i of m p_(j) / j, with p_(1) <= ... <= p_(m): those with q of at most 0.05 have a false discovery rate
    of 5% at most, where the tests are independent or positively dependent.

    >>> [round(q, 3) for q in q_values([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]

    Reference: Benjamini and Hochberg, Controlling the False Discovery Rate, 1995.
    """
    adjusted, lowest = [1.0] * len(p), 1.0
    for rank, i in sorted(enumerate(sorted(range(len(p)), key=lambda i: p[i]), start=1), reverse=True):
        lowest = min(lowest, len(p) * p[i] / rank)
        adjusted[i] = lowest
    return adjusted


def power(n: int, shift: float, level: float) -> float:
    """Return the chance that a one-sided t test at `level` rejects when the mean lies `shift` sds from the bound.

    P(T' > t(1 - level, n - 1)), with T' noncentral t of n - 1 degrees and noncentrality shift sqrt(n). A two-sided test
    that decides for the right side is this at half its level.

    >>> round(power(10, 1.0, 0.025), 3)
    0.803

    Reference: Johnson and Welch, Applications of the Non-Central t-Distribution, 1940.
    """
    return 1 - float(nctdtr(n - 1, shift * math.sqrt(n), float(stdtrit(n - 1, 1 - level))))


def detectable_shift(n: int, level: float, wanted: float = POWER) -> float:
    """Return the shift, in sds, at which `power` reaches `wanted`, to nine digits.

    It rises with the shift, so that bisection finds it. `scipy.optimize` would take a quarter of a second to load for that.
    """
    highest = 1.0
    while power(n, highest, level) < wanted:
        highest *= 2
    step = highest / 10**9
    return step * bisect_left(range(10**9), wanted, key=lambda steps: power(n, steps * step, level))


def detectable_margin(n: int, level: float) -> float:
    """Return the smallest margin, in sds, within which a difference of 0 would be found equivalent with `POWER`."""
    return detectable_shift(n, level, (1 + POWER) / 2)


def smallest_enough(n: int, enough: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number above n that is enough, found by doubling and halving; None where `most` is not.

    Of a test whose power goes up and down with n it is one from which enough has been reached.
    """
    low, high = n, n + 1
    while not enough(high):
        low, high = high, min(2 * high, most)
        if low == high:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
