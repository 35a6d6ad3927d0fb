"""Tests and intervals that resample the replicates: sign flips and the BCa bootstrap. Seeded, so that they repeat."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Side = Literal["greater", "less", "two-sided"]
# Up to this many replicates the sign-flip test takes all 2^n assignments of signs, of more replicates `DRAWN` random ones.
MOST_EXACT = 16
DRAWN = 99_999
RESAMPLES = 9_999
SEED = 20_240_501
EQUAL = 1e-12


def sign_flip(values: Floats, side: Side = "two-sided", *, further: float = 0.0) -> float:
    """Return the p of the sign-flip test that values lie symmetrically about 0, by their mean.

    p is the share of assignments of signs whose mean is at least as far out as the one seen, which counts itself, or whose
    sum is by `further` further out. All of them up to 16 values; of more, 99,999 seeded draws. No normality is asked for, but symmetry is: for differences
    of conditions that are alike, that follows from pairing.

    >>> sign_flip(np.array([0.4, 0.1, 0.3, 0.2, 0.6]))
    0.0625

    Reference: Fisher, The Design of Experiments, 1935.
    """
    seen = float(values.sum()) + further
    # Sums that differ by rounding alone count as equal.
    least = EQUAL * float(np.abs(values).sum())
    sums = _sums(values)
    if side == "two-sided":
        out = np.abs(sums) >= abs(seen) - least
    else:
        out = sums >= seen - least if side == "greater" else sums <= seen + least
    exact = len(values) <= MOST_EXACT
    return float(out.mean()) if exact else float((out.sum() + 1) / (len(out) + 1))


def _sums(values: Floats) -> Floats:
    """Return the sums under all assignments of signs, or under drawn ones."""
    if len(values) <= MOST_EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return sums
    rng = np.random.default_rng(SEED)
    whole = np.zeros(DRAWN)
    for value in values:
        whole += np.where(rng.integers(0, 2, DRAWN, dtype=np.int8) == 1, value, -value)
    return whole


def sign_flip_interval(values: Floats, level: float, *, one_sided: bool = False) -> tuple[float, float] | None:
    """Return the interval of the means that the sign-flip test doesn't reject; None where there are too few values to reject any.

    An assignment is as far out as the one seen, against a mean m below theirs, just where the values whose sign it flips have a mean
    of at most m (or the others have, on the other side). So p grows with m from one mean of a subset to the next, and
    the ends of the interval are order statistics of those means: it holds m just where the test of m doesn't reject.

    Args:
        values: the numbers of the replicates.
        level: of the interval.
        one_sided: whether each end is that of a one-sided test at (1 - level) / 2, as of the two of an equivalence.

    >>> values = np.array([0.4, 0.1, 0.3, 0.2, 0.6, 0.5])
    >>> low, high = sign_flip_interval(values, 0.95)
    >>> [sign_flip(values - at) <= 0.05 for at in (low - 0.001, low + 0.001, high - 0.001, high + 0.001)]
    [True, False, False, True]

    Reference: Hartigan, Using Subsample Values as Typical Values, 1969.

    """
    n, middle = len(values), float(values.mean())
    away = values - middle
    totals, sizes = ((float(v.sum()) - _sums(v)) / 2 for v in (away, np.ones(n)))
    own, alpha = int(n > MOST_EXACT), round((1 - level) / 2 if one_sided else 1 - level, 12)
    needed = math.floor(alpha * (len(sizes) + own)) - own
    if not one_sided:
        totals, sizes = np.concatenate([totals, away.sum() - totals]), np.concatenate([sizes, n - sizes])
    some = sizes > 0
    needed += 1 - int((~some).sum())
    if needed < 1:
        return None
    means = np.sort(totals[some] / sizes[some])
    low, high = (_without_rounding(middle + float(means[i]), values) for i in (needed - 1, len(means) - needed))
    return low, high


def _without_rounding(number: float, values: Floats) -> float:
    """Return a number with as many digits as sums of the values' distances from it have, so that ties with a bound stay ties."""
    error = EQUAL * float(np.abs(values - number).sum())
    return round(number, -math.ceil(math.log10(error))) if error > 0 else number


def equivalence_flip(values: Floats, margin: float) -> float:
    """Return the larger p of the two one-sided sign-flip tests against -margin and margin."""
    return max(sign_flip(values + margin, "greater"), sign_flip(values - margin, "less"))


def beyond_flip(values: Floats, margin: float) -> float:
    """Return the p of the sign-flip test of |mean| <= margin by a mean outside: of means at the margin as far out on either side.

    Reference: Hodges and Lehmann, Testing the Approximate Validity of Statistical Hypotheses, 1954.
    """
    outward = values if values.mean() > 0 else -values
    opposite = sign_flip(outward - margin, "greater", further=2 * margin * len(values))
    return min(1.0, sign_flip(outward - margin, "greater") + opposite)


def p_of_sense(values: Floats, sense: str, bound: float) -> float:
    """Return the p of a claim: against a bound, or of an equivalence of the side on which the mean lies."""
    if sense != "equivalent":
        return sign_flip(values - bound)
    return equivalence_flip(values, bound) if abs(values.mean()) <= bound else beyond_flip(values, bound)


def bca(values: Floats, level: float) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean, of 9,999 seeded resamples.

    Reference: Efron, Better Bootstrap Confidence Intervals, 1987.
    """
    from scipy import stats  # takes a second to import; few claims need it

    bootstrap = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="BCa",
        random_state=np.random.default_rng(SEED),
    )
    return float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high)
