"""Tests and intervals that resample the replicates: sign flips and the BCa bootstrap. Seeded, so that they repeat."""

from __future__ import annotations

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
    least = 1e-12 * float(np.abs(values).sum())
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
