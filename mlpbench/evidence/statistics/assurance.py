"""Assurance: the chance that a claim is decided after so many replicates, given what some replicates have shown.

Power is the chance at one effect, and an estimated effect is not the effect: at 80% power of what 5 replicates had shown, a
true effect of 0.1 sd was decided in 25%, one of 0.3 in 61%. Assurance is the mean of power over what the effect may be. With the
prior p(mu, sigma^2) ~ 1 / sigma^2, which knows nothing, n replicates with mean x and standard deviation s give

    sigma^2 = (n - 1) s^2 / chi^2(n - 1),    mu ~ N(x, sigma^2 / n),

and m further ones have a mean y ~ N(x, sigma^2 (1/n + 1/m)) and a sum of squares S ~ sigma^2 chi^2(m - 1). A t test decides where
the standard error of the replicates it sees is small enough for their mean. Of all n + m of them the mean is
(n x + m y) / (n + m) and the sum of squares (n - 1) s^2 + S + n m / (n + m) (x - y)^2: what the first have shown stays, and the
chance is a predictive one. In an experiment of its own the m are alone, and the first n were its pilot.

Replicates that split one table anew have what is special to the table in common: it moves x and y alike, and adds nothing to their
distance. The test knows that it may, and takes the standard error s sqrt(1/n + overlap), which has a floor: chances that no number of
replicates reaches are had by no number.

The mean over mu and sigma is taken by quadrature, so that the same numbers give the same answer. It holds in the mean over effects
that the data allow, and of no single one: where the effect is small beside them, claims are decided less often.

References: Spiegelhalter, Freedman and Blackburn, Monitoring Clinical Trials: Conditional or Predictive Power?, 1986;
O'Hagan, Stevens and Campbell, Assurance in Clinical Trial Design, 2005.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc, betaincinv, chdtr, chdtri, ndtri, stdtr, stdtrit

from mlpbench.evidence.statistics.sign_test import least_on_one_side
from mlpbench.evidence.statistics.t_test import MOST_REPLICATES, Sample, inflation, smallest_enough

Floats = npt.NDArray[np.float64]
# At these numbers of replicates it is as likely as not that a claim is decided, and likely.
EVEN, LIKELY = 0.5, 0.8
# So many values of sigma and of the mean, all as likely: with more, assurances move by less than 0.005.
SIGMAS, MEANS = 24, 200
# Errors at which a claim is refuted are exact at so many margins, and interpolated between them.
MARGINS, HALVINGS = 65, 30
# In sds; the square of this is a number still.
FURTHEST = 1e100


@functools.cache
def _chances(count: int) -> Floats:
    """Return the middles of so many parts of the chances from 0 to 1."""
    return (np.arange(count) + 0.5) / count


def largest_error(mean: Floats, n: int, bounds: tuple[float, ...], level: float) -> Floats:
    """Return the largest standard error with which a t test of n replicates decides, for each mean.

    One bound: it decides for either side, |mean - bound| / t(1 - level/2). Two: for equivalence between -b and b where the mean
    lies there, by (b - |mean|) / t(1 - level), else against it, where `t_test.beyond` is at most `level`.
    """
    if len(bounds) == 1:
        return np.abs(mean - bounds[0]) / float(stdtrit(n - 1, 1 - level / 2))
    within = bounds[1] - np.abs(mean)
    out = np.maximum(-within, 0.0)
    beyond = out * np.interp(bounds[1] / np.maximum(out, 1e-300), *_errors_beyond(n, level))
    return np.where(within >= 0, within / float(stdtrit(n - 1, 1 - level)), beyond)


@functools.lru_cache(maxsize=256)
def _errors_beyond(n: int, level: float) -> tuple[Floats, Floats]:
    """Return margins, and the largest standard error with which a mean beyond them by 1 refutes an equivalence within each.

    It grows from 1 / t(1 - level/2) to 1 / t(1 - level) with the margin: F(-1 / error) + F(-(1 + 2 margin) / error) = level.
    """
    margins = np.concatenate([[0.0], np.geomspace(0.01, 100, MARGINS - 1)])
    low, high = (np.full(MARGINS, 1 / float(stdtrit(n - 1, 1 - share))) for share in (level / 2, level))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        decides = stdtr(n - 1, -1 / middle) + stdtr(n - 1, -(1 + 2 * margins) / middle) <= level
        low, high = np.where(decides, middle, low), np.where(decides, high, middle)
    return margins, low


def assurance(
    sample: Sample, more: int, bounds: tuple[float, ...], level: float, half: float = 0.0, *, alone: bool = False
) -> float:
    """Return the chance that a claim is decided, either way or at its margin, by t tests at `level` after so many more replicates.

    Args:
        sample: what replicates have shown; two or more, which are not equal.
        more: number of further replicates, two or more.
        bounds: one, or the two of an equivalence about 0.
        level: of the test: two-sided for one bound, else that of each one-sided test.
        half: how far from a bound a number lies at the margin, which two one-sided tests find; 0 where nothing does.
        alone: whether the further replicates are tested alone, and not with the others.

    >>> sample = Sample(n=5, mean=0.3, sd=1.0)
    >>> [round(assurance(sample, more, (0.0,), 0.05), 2) for more in (20, 200, 2000)]
    [0.43, 0.8, 0.94]

    """
    # In units of the sd, as squares of very large or small numbers are none; a mean further off is decided all the same.
    x, half, *ends = (min(max(number / sample.sd, -FURTHEST), FURTHEST) for number in (sample.mean, half, *bounds))
    n, bounds = sample.n, tuple(ends)
    sigma2 = (n - 1) / chdtri(n - 1, _chances(SIGMAS))[:, None]
    y = x + np.sqrt(sigma2 * (1 / n + 1 / more)) * ndtri(_chances(MEANS))[None, :]
    if alone:
        tested, mean, before = more, y, np.zeros_like(y)
    else:
        tested = n + more
        mean = (n * x + more * y) / tested
        before = (n - 1) + n * more / tested * (x - y) ** 2
    largest = largest_error(mean, tested, bounds, level)
    if half:
        off = np.minimum.reduce([np.abs(mean - bound) for bound in bounds])
        largest = np.maximum(largest, (half - off) / float(stdtrit(tested - 1, 1 - level)))
    squares = (tested - 1) * tested * (largest / inflation(tested, sample.overlap)) ** 2
    return float(chdtr(more - 1, np.maximum(squares - before, 0.0) / sigma2).mean())


def more_for(sample: Sample, wanted: float, bounds: tuple[float, ...], level: float, half: float = 0.0) -> int | None:
    """Return the number of further replicates with which assurance is `wanted`; None where it takes `MOST_REPLICATES` and more."""
    if sample.sd == 0:
        return None
    return smallest_enough(1, lambda more: assurance(sample, more, bounds, level, half) >= wanted, MOST_REPLICATES)


def more_if_equal(sample: Sample, bounds: tuple[float, ...], level: float, half: float = 0.0) -> int | None:
    """Return the number of further replicates that decide if mean and standard deviation stay as they are; None where none does.

    >>> more_if_equal(Sample(n=5, mean=1.0, sd=1.0), (0.0,), 0.05), more_if_equal(Sample(n=5, mean=0.0, sd=1.0), (0.0,), 0.05)
    (2, None)
    """

    def decides(more: int) -> bool:
        there = replace(sample, n=sample.n + more)
        mean = np.array([there.mean])
        largest = float(largest_error(mean, there.n, bounds, level)[0])
        off = min(abs(there.mean - bound) for bound in bounds)
        at_it = (half - off) / float(stdtrit(there.n - 1, 1 - level))
        return there.error <= max(largest, at_it) and max(largest, at_it) > 0

    return smallest_enough(0, decides, MOST_REPLICATES)


def sign_assurance(larger: int, n: int, more: int, level: float) -> float:
    """Return the chance that a sign test at `level` of so many further replicates alone decides, either way.

    Of a share p of replicates above, the prior Beta(1/2, 1/2) becomes Beta(larger + 1/2, n - larger + 1/2) where so many of n
    lay there; the mean over p is taken by quadrature.

    >>> [round(sign_assurance(9, 10, more, 0.05), 2) for more in (5, 10, 40)]
    [0.0, 0.63, 0.94]

    Reference: Jeffreys, An Invariant Form for the Prior Probability in Estimation Problems, 1946.
    """
    least = least_on_one_side(more, level)
    if least > more:
        return 0.0
    share = betaincinv(larger + 0.5, n - larger + 0.5, _chances(MEANS))
    return float(np.mean(bdtrc(least - 1, more, share) + bdtr(more - least, more, share)))
