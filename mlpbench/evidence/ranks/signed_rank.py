"""The signed-rank test of one number a data set: p against a bound, the pseudo-median, and the interval that goes with the test.

Differences on unlike data sets are no sample of one normal distribution: some data sets are hard, some small, and one of them may
move a mean as far as it likes. Wilcoxon's test asks how large a difference is beside the others and nothing else. With |x_i - m|
ranked over all n data sets, equal ones sharing their mean rank r_i,

    S = sum of r_i where x_i > m,    p = 2 min(P(S* >= S), P(S* <= S)),

where S* is S with each sign drawn by chance: all 2^(nonzero) assignments, of more than 200 data sets the normal distribution of the same
mean and variance. Data sets that equal m are ranked with the others and say nothing for either side (Pratt), which is the same as
Demsar's, who gives half of their ranks to each. P(S* >= S) grows with m, as S - E S* is half of the number of means of two data sets
(Walsh averages, each with itself too) above m less that below it. So the m that are not rejected are an interval between two of those
means, and the estimate is the median of all of them (Hodges and Lehmann): the pseudo-median, which is the median where numbers lie
symmetrically. That they do is what the test assumes.

Why not scipy's `wilcoxon`? Its exact distribution knows no ties, it drops zeros there, and it has no interval; where there are
neither ties nor zeros both are the same, which a test shows.

References: Wilcoxon, Individual Comparisons by Ranking Methods, 1945; Pratt, Remarks on Zeros and Ties in the Wilcoxon Signed Rank
Procedures, 1959; Hodges and Lehmann, Estimates of Location Based on Rank Tests, 1963; Demsar, Statistical Comparisons of Classifiers
over Multiple Data Sets, 2006.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
# Up to this many data sets all assignments of signs count.
MOST_EXACT = 200
# Numbers that differ by less than this share of the largest are equal but for rounding.
ROUNDED = 1e-11


@dataclass(frozen=True, kw_only=True)
class SignedRankSample:
    """One number a data set."""

    values: Floats

    @functools.cached_property
    def walsh(self) -> Floats:
        """The means of any two of the numbers, each with itself too, in order."""
        first, second = np.triu_indices(len(self.values))
        return np.sort((self.values[first] + self.values[second]) / 2)

    @functools.cached_property
    def pseudo_median(self) -> float:
        """The median of those means.

        >>> SignedRankSample(values=np.array([1.0, 2.0, 4.0, 30.0])).pseudo_median
        3.5
        """
        return float(np.median(self.walsh))

    def above(self, at: float) -> float:
        """Return the one-sided p of a pseudo-median of at most `at`: small where the numbers lie above it.

        >>> SignedRankSample(values=np.array([1.0, 2.0, 3.0, 4.0, 5.0])).above(0.0)
        0.03125
        """
        return _upper_tail(self.values - at, self._tolerance(at))

    def below(self, at: float) -> float:
        """Return the one-sided p of a pseudo-median of at least `at`: small where the numbers lie below it."""
        return _upper_tail(at - self.values, self._tolerance(at))

    def p(self, at: float) -> float:
        """Return the two-sided p of a pseudo-median.

        >>> round(SignedRankSample(values=np.array([0.4, 0.5, -0.1, 0.2, 0.6, 0.3, 0.7])).p(0.0), 4)
        0.0312
        """
        return min(1.0, 2 * min(self.above(at), self.below(at)))

    def interval(self, level: float) -> tuple[float, float]:
        """Return between which numbers `p` is above 1 - level; infinite where there are too few data sets to exclude any.

        An end may itself be rejected: p jumps there.

        >>> SignedRankSample(values=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])).interval(0.95)
        (2.0, 6.0)
        """
        return self._low_end(level), -SignedRankSample(values=-self.values)._low_end(level)

    def _low_end(self, level: float) -> float:
        """Return the number below which `above` is at most half of 1 - level: a Walsh average, or minus infinity."""
        rejected_at = round((1 - level) / 2, 12)
        ends = self.walsh[np.diff(self.walsh, prepend=-math.inf) > self._tolerance(0.0)]
        if self.above(float(ends[0]) - 1 - abs(float(ends[0]))) > rejected_at:
            return -math.inf
        # The least end after which, up to the next one, nothing is rejected.
        first, last = 0, len(ends) - 1
        while first < last:
            middle = (first + last) // 2
            after = float(ends[middle] + ends[middle + 1]) / 2
            first, last = (first, middle) if self.above(after) > rejected_at else (middle + 1, last)
        return float(ends[first])

    def _tolerance(self, at: float) -> float:
        return ROUNDED * max(float(np.abs(self.values).max(initial=0.0)), abs(at))


def of_sense(sample: SignedRankSample, sense: str, centre: float, bound: float) -> float:
    """Return the p of a claim: against a bound, or of an equivalence of the side on which the pseudo-median lies.

    Within the margin it is the larger p of two one-sided tests. Beyond it, by x, that of an estimate as far out on either side: the
    one-sided p against the nearer end and that against the other one, which is two-sided where the margin is nothing.

    References: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, 1987; Hodges and Lehmann,
    Testing the Approximate Validity of Statistical Hypotheses, 1954.
    """
    if sense != "equivalent":
        return sample.p(bound)
    ends = (centre - bound, centre + bound)
    if ends[0] <= sample.pseudo_median <= ends[1]:
        return between(sample, ends)
    tail = sample.above if sample.pseudo_median > centre else sample.below
    return min(1.0, sum(map(tail, ends)))


def between(sample: SignedRankSample, ends: tuple[float, float]) -> float:
    """Return the larger p of the two one-sided tests of a pseudo-median at or beyond two ends."""
    return max(sample.above(ends[0]), sample.below(ends[1]))


def _upper_tail(away: Floats, tolerance: float) -> float:
    """Return P(S* >= S) of distances, the chance of a sum of ranks as large as that of the positive ones."""
    sizes = np.abs(away)
    order = np.argsort(sizes, kind="stable")
    # Sizes that are equal but for rounding are one group, and share their mean rank; twice a rank is a whole number.
    group = np.cumsum(np.diff(sizes[order], prepend=-1.0) > tolerance) - 1
    counts = np.bincount(group, minlength=1)
    doubled = (2 * np.cumsum(counts) - counts + 1)[group]
    signs = np.sign(away[order]) * (sizes[order] > tolerance)
    there = signs != 0
    seen = int(doubled[signs > 0].sum())
    if not there.any():
        return 1.0
    ranks = doubled[there]
    if len(away) > MOST_EXACT:
        mean, sd = ranks.sum() / 2, math.sqrt(float((ranks.astype(float) ** 2).sum())) / 2
        return float(ndtr((mean - seen + 1) / sd))  # a half of a rank, doubled: the correction for continuity
    return float(min(1.0, _tails(tuple(ranks.tolist()))[seen]))


@functools.lru_cache(maxsize=256)
def _tails(ranks: tuple[int, ...]) -> Floats:
    """Return P(S* >= s) of every s, where each rank is in the sum with chance one half."""
    chances = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return np.asarray(np.cumsum(chances[::-1])[::-1])
