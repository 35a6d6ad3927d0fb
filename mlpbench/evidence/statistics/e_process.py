"""Evidence that may be looked at whenever one likes: e-processes for a mean and for a median, and intervals from them.

An e-process is a bet against a hypothesis. It starts at 1, and if the hypothesis is true it is at most 1 in the mean whenever one
stops, so that it ever reaches 1 / alpha with chance alpha at most (Ville, 1939). Replicates may be added until it does.

Of the mean, with t the t statistic of the first n replicates against the bound, v = n - 1 and g = 1/2:

    e_n = (1 + n g)^(-1/2) [(1 + t^2 / v) / (1 + t^2 / (v (1 + n g)))]^(n / 2),

the likelihood ratio of the scale-invariant data, an effect of N(0, g) standard deviations against none. Of the median, where a of
k replicates lie on the side of the bound where more do:

    e_n = 2^k B(a + 1, k - a + 1) where a > k / 2, else that of a = k / 2,

the likelihood ratio of a share on that side that is uniform on (0, 1) against one half. Replicates on the bound or on an unknown side
are among the k - a, as in the sign test: so few on one side that half lie there at most would else come to be evidence. Where as
many lie above as below by the hypothesis, those on the bound are left out.

Which side is it? A decision for "above" is wrong where the true mean is at most the bound. Moving all replicates up to it makes t
larger and leaves the spread as it is: whatever crosses with a positive t crosses then too. So the chance is at most that of
crossing at the bound itself, alpha. An equivalence is wrong beyond one of its margins, and needs both to be crossed towards the
middle. That a mean lies outside needs the nearer one to be crossed outwards: at a margin both events lie within that of crossing it
in either direction. Of several seeds all must lie on that side.

No well-kept Python library has it (`confseq` is for bounded numbers and known variances).

References: Gönen, Johnson, Lu and Westfall, The Bayesian Two-Sample t Test, 2005, equation 3; Grünwald, de Heide and Koolen, Safe
Testing, 2024, section 4.3; Wang and Ramdas, Anytime-Valid t-Tests and Confidence Sequences for Gaussian Means with Unknown
Variance, 2025; Robbins, Statistical Methods Related to the Law of the Iterated Logarithm, 1970 (binomial mixture).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, stdtr

from mlpbench.evidence.statistics.sign_test import known_sides
from mlpbench.evidence.statistics.t_test import ALPHA

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
G = 0.5
LARGEST = 1e300


@dataclass(frozen=True, kw_only=True)
class EProcess:
    """An e-process after each replicate, and on which side of the bound the estimate is then.

    `side` is 1 above, -1 below, and 0 where it lies within a margin on both sides.
    """

    e: Floats
    side: Ints

    def largest(self) -> tuple[float, int, int]:
        """Return the largest e that was reached, on which side the estimate was then, and after how many replicates."""
        if not len(self.e):
            return 1.0, 0, 0
        i = int(np.argmax(self.e))
        return float(self.e[i]), int(self.side[i]), i + 1

    def side_at(self, needed: float) -> int:
        """Return on which side the estimate was when e first came to what is needed, or where it was largest."""
        crossed = self.e >= needed
        return int(self.side[np.argmax(crossed)]) if crossed.any() else self.largest()[1]

    def then(self, other: EProcess) -> EProcess:
        """Return this e-process, of one seed, followed by that of another: the evidence of separate seeds multiplies.

        What a seed had come to when the next was begun counts, not the largest that it reached; and evidence for different
        sides makes none.
        """
        if not len(self.e):
            return other
        agrees = other.side == self.side[-1]
        e = np.where(agrees, np.minimum(self.e[-1] * other.e, LARGEST), np.minimum(other.e, 1.0))
        return EProcess(e=np.concatenate([self.e, e]), side=np.concatenate([self.side, other.side]))


def t_e_values(values: Floats, bound: float, floor: float = 0.0) -> Floats:
    """Return e of mean = bound after each number of replicates; `floor` is the least standard deviation that counts.

    >>> [round(float(e), 2) for e in t_e_values(np.array([1.0, 2.0, 1.5, 1.2]), bound=0.0)]
    [1.0, 1.29, 2.16, 4.06]
    """
    n = np.arange(1, len(values) + 1)
    away = values - bound
    mean, v, grown = np.cumsum(away) / n, np.maximum(n - 1, 1), 1 + n * G
    spread = np.array([away[:k].std() for k in n])
    variance = np.maximum(spread**2 * n / v, floor**2)
    # (1 + t^2 / v) / (1 + t^2 / (v (1 + n g))), with t^2 = n mean^2 / variance; it is 1 + n g where there is no spread.
    apart, within = n * mean**2, v * variance
    ratio = np.divide(apart + within, apart / grown + within, out=np.ones(len(n)), where=apart + within > 0)
    log_e = n / 2 * np.log(ratio) - np.log(grown) / 2
    return np.where(n < 2, 1.0, np.exp(np.minimum(log_e, math.log(LARGEST))))


def sign_e_values(a: Floats | Ints, b: Floats | Ints) -> Floats:
    """Return e of "as many lie above as below" where a lie on the one side and b on the other.

    >>> [round(float(e), 2) for e in sign_e_values(np.array([1, 2, 3, 4]), np.zeros(4))]
    [1.0, 1.33, 2.0, 3.2]
    """
    return np.asarray(np.exp(np.minimum((a + b) * math.log(2) + betaln(a + 1, b + 1), math.log(LARGEST))))


def of_mean(values: Floats, bound: float, *, equivalent: bool = False, floor: float = 0.0) -> EProcess:
    """Return the e-process of a mean against a bound, or of its being within the bound on both sides of 0."""
    mean = np.cumsum(values) / np.arange(1, len(values) + 1)
    if not equivalent:
        return EProcess(e=t_e_values(values, bound, floor), side=np.sign(mean - bound).astype(np.int64))
    low, high = (t_e_values(values, at, floor) for at in (-bound, bound))
    inside = np.abs(mean) <= bound
    e = np.where(inside, np.minimum(low, high), np.where(mean > 0, high, low))
    return EProcess(e=e, side=np.where(inside, 0, np.sign(mean)).astype(np.int64))


def of_median(lower: Floats, upper: Floats, bound: float, *, drop_ties: bool = False) -> EProcess:
    """Return the e-process of a median against a bound; each replicate's number lies between a lower and an upper one.

    `drop_ties` leaves out those that equal the bound: as many lie above as below by the hypothesis (see `sign_test`).
    """
    above, below, tied = known_sides(lower, bound, upper)
    a, b, k = np.cumsum(above), np.cumsum(below), np.cumsum(~tied if drop_ties else np.ones(len(lower), bool))
    most = np.maximum(np.maximum(a, b), k / 2)
    return EProcess(e=sign_e_values(most, k - most), side=np.sign(a - b).astype(np.int64))


def anytime_interval(values: Floats, floor: float = 0.0, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the means that the e-process has not reached 1 / alpha against: they cover the true one however often one looks.

    Of fewer than 6 replicates, at 5%, none is excluded.

    >>> [round(end, 2) for end in anytime_interval(np.array([1.0, 2.0, 1.5, 1.2, 1.6, 1.4, 1.8]))]
    [0.76, 2.24]
    """
    n = len(values)
    t = crossing_t(n, 1 / alpha)
    mean = float(values.mean()) if n else math.nan
    half = t * max(float(values.std(ddof=1)), floor) / math.sqrt(n) if n > 1 else math.inf
    return mean - half, mean + half


def crossing_t(n: int, e: float) -> float:
    """Return |t| of n replicates at which the e-value is e; infinite where no t is enough.

    From the formula, with A = (e sqrt(1 + n g))^(2 / n): t^2 = v (A - 1) / (1 - A / (1 + n g)).
    """
    if n < 2:
        return math.inf
    grown = 1 + n * G
    a = (e * math.sqrt(grown)) ** (2 / n)
    return math.sqrt((n - 1) * (a - 1) / (1 - a / grown)) if a < grown else math.inf


def crossing_p(n: int, e: float) -> float:
    """Return the two-sided p of a t test of n replicates at which the e-value is e."""
    t = crossing_t(n, e)
    return 0.0 if math.isinf(t) else 2 * float(stdtr(n - 1, -t))
