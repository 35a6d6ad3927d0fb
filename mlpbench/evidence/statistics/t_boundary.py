"""The nominal levels at which a paired t test at several interim analyses spends exactly what it may.

The t statistics of 5, 8, 12, ... replicates have most replicates in common, so that a wrong decision at one goes along with wrong
ones at others, and less is spent than the sum of the nominal levels. With b_k the bound of T_k, the statistic at n_k replicates,

    P(T_k >= b_k) - P(T_k >= b_k, and T_j >= b_j at some j < k) = what analysis k may spend,

if the true mean is the bound that is tested. The first term is Student's distribution. The second, which is much smaller, is a
mean over walks (S_k, W_k), the sum and the sum of squares about the mean of n_k numbers of N(0, 1), made in blocks: of m numbers the
sum is N(0, m) and the sum of squares about their mean chi-squared with m - 1 degrees of freedom, independent of it. Walks cross
seldom, so they are made with a drift d and weighted by exp(-d S_k + n_k d^2 / 2), the ratio of the densities without and with it.

They are no random draws but a lattice: point i has the coordinates |2 frac(i sqrt(p)) - 1| with p the first primes. It is the
same on every machine and for every version of numpy, and needs far fewer points. What is spent is within 1% of `level` of what may be.

References: Jennison and Turnbull, Group Sequential Methods with Applications to Clinical Trials, 2000, chapters 4 and 7. Genz and
Bretz, Computation of Multivariate Normal and t Probabilities, 2009, section 4.2 (Richtmyer's lattice, folded).
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtri, stdtrit

from mlpbench.evidence.statistics.alpha_spending import spent

Floats = npt.NDArray[np.float64]
WALKS = 2**13
BISECTIONS = 40


@functools.lru_cache(maxsize=1024)
def nominal_levels(at: tuple[int, ...], level: float) -> tuple[float, ...]:
    """Return at which p a t test decides at each analysis, so that it decides wrongly at any of them with chance `level`.

    They are levels of a two-sided p: two one-sided tests at half the level each. For a one-sided p they are a little too small.

    >>> [round(p, 4) for p in nominal_levels((5, 8, 12, 18, 30), 0.05)]
    [0.0002, 0.0007, 0.0024, 0.0085, 0.0441]

    Args:
        at: the numbers of replicates of the analyses.
        level: what all of them spend.

    """
    one_sided = level / 2
    sums_KR, squares_KR = _walks(at)
    n_K1 = np.array(at)[:, None]
    drift = -float(ndtri(one_sided)) / np.sqrt(at[-1])
    sums_KR = sums_KR + drift * n_K1
    weight_KR = np.exp(n_K1 * drift**2 / 2 - drift * sums_KR) / WALKS
    t_KR = sums_KR / np.sqrt(n_K1 * squares_KR / (n_K1 - 1))
    crossed_R = np.zeros(WALKS, dtype=np.bool_)
    nominal: list[float] = []
    before = 0.0
    for n, t_R, weight_R, share in zip(at, t_KR, weight_KR, spent(at, one_sided), strict=True):
        again, weights = t_R[crossed_R], weight_R[crossed_R]
        low, high = share, share + before
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            in_common = float(weights[again >= -stdtrit(n - 1, middle)].sum())
            low, high = (middle, high) if middle - in_common < share else (low, middle)
        nominal.append(low)
        before += share
        crossed_R |= t_R >= -stdtrit(n - 1, low)
    return tuple(2 * p for p in nominal)


@functools.lru_cache(maxsize=8)
def _walks(at: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return sum and sum of squares about the mean of each walk at each number of replicates, (K, R) each."""
    points = _lattice(2 * len(at))
    sums, squares = np.zeros(WALKS), np.zeros(WALKS)
    walks = []
    for k, (n, further) in enumerate(itertools.pairwise((0, *at))):
        m = further - n
        block = np.sqrt(m) * ndtri(points[2 * k])
        if n:
            squares = squares + n * m / further * (sums / n - block / m) ** 2
        if m > 1:
            squares = squares + chdtri(m - 1, points[2 * k + 1])
        sums = sums + block
        walks.append((sums, squares))
    sums_KR, squares_KR = (np.array(parts) for parts in zip(*walks, strict=True))
    return sums_KR, squares_KR


def _lattice(dimensions: int) -> Floats:
    """Return points in (0, 1), (dimensions, WALKS)."""
    odd = itertools.count(3, 2)
    primes = [2]
    while len(primes) < dimensions:
        candidate = next(odd)
        if all(candidate % p for p in primes):
            primes.append(candidate)
    places = np.multiply.outer(np.sqrt(primes), np.arange(1, WALKS + 1))
    return np.asarray(np.clip(np.abs(2 * np.modf(places)[0] - 1), 1e-12, 1 - 1e-12))
