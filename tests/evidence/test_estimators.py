"""Every estimator agrees with scipy on the same numbers: one row each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlpbench.evidence.estimates.observe import intervals
from mlpbench.evidence.statistics import effect_sizes, resampling, t_test, variance_components
from mlpbench.evidence.statistics.t_test import Sample

RNG = np.random.default_rng(11)
SAMPLES: dict[str, np.ndarray[Any, Any]] = {
    "accuracies": np.array([0.871, 0.874, 0.869, 0.872, 0.875, 0.868, 0.8701]),
    "normal": RNG.normal(0.3, 1, 10),
    "skewed": RNG.lognormal(0, 1, 16) - 1,
    "counts": RNG.integers(-3, 5, 12).astype(float),
    "far from 0": RNG.normal(100, 0.5, 8),
}
OTHER: dict[str, np.ndarray[Any, Any]] = {
    k: np.random.default_rng(5).normal(0, 0.7, len(v)) for k, v in SAMPLES.items()
}


def sample(x: np.ndarray[Any, Any]) -> Sample:
    return Sample(n=len(x), mean=float(x.mean()), sd=float(x.std(ddof=1)))


def t(x: Any, at: float, side: Any = "two-sided") -> float:
    return float(stats.ttest_1samp(x, at, alternative=side).pvalue)


def flip(x: Any, side: Any = "two-sided") -> float:
    found = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=2**20, alternative=side)
    return float(found.pvalue)


def bootstrap(x: Any) -> tuple[float, float]:
    rng = np.random.default_rng(99)
    found = stats.bootstrap((x,), np.mean, n_resamples=50_000, method="BCa", random_state=rng)
    return found.confidence_interval.low, found.confidence_interval.high


def frame_interval(x: Any) -> tuple[float, float]:
    import pandas as pd

    found = intervals(pd.DataFrame({"group": 0, "value": x}), ["group"], pd.Series([0.0]))
    return float(found["low"].iloc[0]), float(found["high"].iloc[0])


# What is estimated: ours, scipy's, and how near they are (relative; None: within 3% of the interval's width).
ROWS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any], float | None]] = {
    "t p, two-sided": (lambda x, y: t_test.two_sided(sample(x), 0.1), lambda x, y: t(x, 0.1), 1e-9),
    "paired t": (lambda x, y: t_test.two_sided(sample(x - y), 0), lambda x, y: stats.ttest_rel(x, y).pvalue, 1e-9),
    "TOST": (
        lambda x, y: t_test.equivalence(sample(x), 0.5),
        lambda x, y: max(t(x, -0.5, "greater"), t(x, 0.5, "less")),
        1e-9,
    ),
    "TOST about a value": (
        lambda x, y: t_test.equivalence(sample(x - 0.87), 0.5),
        lambda x, y: max(t(x, 0.37, "greater"), t(x, 1.37, "less")),
        1e-6,
    ),
    "t interval": (
        lambda x, y: sample(x).interval(0.95),
        lambda x, y: tuple(stats.ttest_1samp(x, 0).confidence_interval(0.95)),
        1e-9,
    ),
    "t interval of a condition": (
        lambda x, y: frame_interval(x),
        lambda x, y: tuple(stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))),
        1e-9,
    ),
    "sign flip, two-sided": (lambda x, y: resampling.sign_flip(x), lambda x, y: flip(x), 1e-9),
    "sign flip, greater": (lambda x, y: resampling.sign_flip(x, "greater"), lambda x, y: flip(x, "greater"), 1e-9),
    "sign flip, less": (lambda x, y: resampling.sign_flip(x, "less"), lambda x, y: flip(x, "less"), 1e-9),
    "sign flip, equivalence": (
        lambda x, y: resampling.equivalence_flip(x, 0.5),
        lambda x, y: max(flip(x + 0.5, "greater"), flip(x - 0.5, "less")),
        1e-9,
    ),
    "BCa": (lambda x, y: resampling.bca(x, 0.95), lambda x, y: bootstrap(x), None),
    "interquartile mean": (
        lambda x, y: effect_sizes.interquartile_mean(x),
        lambda x, y: stats.trim_mean(x, 0.25),
        1e-12,
    ),
    "skewness": (lambda x, y: effect_sizes.skewness(x), lambda x, y: stats.skew(x), 1e-9),
    "Brown-Forsythe": (
        lambda x, y: variance_components.brown_forsythe(x, y),
        lambda x, y: stats.levene(x, y, center="median").pvalue,
        1e-9,
    ),
    "Holm": (
        lambda x, y: sum(t_test.holm([t(x, v) for v in (0.0, 0.1, 0.2)])),
        lambda x, y: sum(_holm([t(x, v) for v in (0.0, 0.1, 0.2)])),
        1e-12,
    ),
}


def _holm(p: list[float]) -> list[float]:
    """Holm as the closure of Bonferroni's test: the largest p of all families that hold a member."""
    families = [[i for i in range(len(p)) if bits >> i & 1] for bits in range(1, 2 ** len(p))]
    return [max(min(1.0, len(f) * min(p[j] for j in f)) for f in families if i in f) for i in range(len(p))]


@pytest.mark.parametrize("numbers", SAMPLES)
@pytest.mark.parametrize("name", ROWS)
def test_it_is_scipys(name: str, numbers: str) -> None:
    ours, scipys, near = ROWS[name]
    x, y = SAMPLES[numbers], OTHER[numbers]
    found, expected = ours(x, y), scipys(x, y)
    if near is None:
        assert found == pytest.approx(expected, abs=0.03 * (expected[1] - expected[0]))
    else:
        assert found == pytest.approx(expected, rel=near, abs=1e-15)


def test_the_effect_has_hedges_exact_correction() -> None:
    """J(4) = 1 / (sqrt(2) Gamma(3/2)) = 0.7979; J(9) = 0.9139."""
    assert effect_sizes.standardised(1.0, 1.0, 5) == pytest.approx(0.7979, abs=1e-4)
    assert effect_sizes.standardised(1.0, 2.0, 10) == pytest.approx(0.9139 / 2, abs=1e-4)
    assert math.isnan(effect_sizes.standardised(1.0, 0.0, 10))


def test_the_effect_is_unbiased_for_normal_differences() -> None:
    draws = np.random.default_rng(6).normal(0.8, 1, (20_000, 5))
    found = [effect_sizes.standardised(float(d.mean()), float(d.std(ddof=1)), 5) for d in draws]
    assert np.mean(found) == pytest.approx(0.8, abs=4 * float(np.std(found)) / math.sqrt(len(found)))


def test_many_replicates_are_flipped_by_seeded_draws_near_the_exact_p() -> None:
    x = np.random.default_rng(3).normal(0.45, 1, 17)
    exact = flip(x[:16])
    assert resampling.sign_flip(x[:16]) == pytest.approx(exact, rel=1e-12)
    drawn, again = resampling.sign_flip(x), resampling.sign_flip(x)
    assert drawn == again
    whole = flip(x)
    assert drawn == pytest.approx(whole, abs=4 * math.sqrt(whole / resampling.DRAWN))


def test_the_least_p_of_a_sign_flip_is_two_in_all_assignments() -> None:
    assert resampling.sign_flip(np.full(5, 0.3)) == 2 / 32
    assert resampling.sign_flip(np.full(6, 0.3)) == 2 / 64
    assert resampling.sign_flip(np.zeros(6)) == 1.0


def test_bonetts_interval_is_that_of_the_paper_in_form() -> None:
    """For a large normal sample ln s has the error sqrt(2 / (n - 1)) / 2, and the interval is centred there."""
    x = np.random.default_rng(2).normal(0, 3, 4000)
    low, high = variance_components.sd_interval(x)
    half = 1.96 * math.sqrt(2 / 3999) / 2
    assert math.log(high / low) / 2 == pytest.approx(half, rel=0.05)
    assert math.sqrt(low * high) == pytest.approx(x.std(ddof=1), rel=1e-3)
