"""Simulated experiments whose truth is known, and the rules of verdicts followed on them: what rates are counted on.

Tests hold the rates to their bounds; `calibration_table.py` counts those that the documentation has.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from arithmetic_tables import verdict_with
from scipy import stats

from mlpbench.evidence.judging.p_correction import AtInterimAnalysis
from mlpbench.evidence.judging.verdict import UNDECIDED, Verdict
from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.t_test import ALPHA, Sample

Array = np.ndarray[Any, Any]
Seed = int | np.random.Generator
FLOORS = {"counts of 10,000": 1e-4, "counts of 500": 2e-3}


def paired(metric: str, n: int, shift: float, repeats: int, seed: Seed) -> Array:
    """Return differences of two conditions, a row for each experiment, whose true mean is the shift.

    Replicates share a component, as common random numbers make them. Of skewed metrics both conditions are skewed, so that
    differences are symmetric; `skewed differences` are not.
    """
    rng = np.random.default_rng(seed)
    shape = (repeats, n)
    common, spread = rng.normal(0, 0.002, shape), 0.001
    if metric == "normal":
        return np.asarray(shift + rng.normal(0, spread, shape) - rng.normal(0, spread, shape))
    if metric == "skewed":
        a, b = (common + spread * rng.lognormal(0, 1, shape) for _ in range(2))
        return np.asarray(shift + a - b)
    if metric == "skewed differences":
        return np.asarray(shift + spread * (rng.lognormal(0, 1, shape) - math.exp(0.5)))
    examples = {"counts of 10,000": 10_000, "counts of 500": 500}[metric]
    p = np.clip(0.85 + common, 0, 1)
    return np.asarray((rng.binomial(examples, p + shift) - rng.binomial(examples, p)) / examples)


def samples(draws: Array, floor: float = 0.0) -> list[Sample]:
    """Return each experiment as claims see it, its sd at least one test example."""
    sds = np.maximum(draws.std(axis=1, ddof=1), floor)
    return [Sample(n=draws.shape[1], mean=float(m), sd=float(s)) for m, s in zip(draws.mean(axis=1), sds, strict=True)]


@functools.cache
def blank(level: float) -> Verdict:
    """Return an undecided verdict on a claim judged by t, against 0."""
    made = verdict_with("compare", {"a": {"width": 16}, "b": {"width": 8}, "expect": "greater", "margin": 0.0})
    return replace(made, decision=UNDECIDED, p=None, p_corrected=None, level=level)


def p_of(values: Array) -> float:
    """Return p of the t test of a mean of 0."""
    return t_test.two_sided(Sample(n=len(values), mean=float(values.mean()), sd=float(values.std(ddof=1))), 0.0)


def followed(values_CR: Array, at: Sequence[int], level: float = ALPHA) -> dict[int, tuple[int, bool]]:
    """Return at which n each claim that is decided at a level is, and whether for the side above 0, by the rules."""
    decided: dict[int, tuple[int, bool]] = {}
    for number, n in enumerate(at, start=1):
        judged = [i for i in range(len(values_CR)) if i not in decided]
        if not judged:
            break
        verdicts = [replace(blank(level), n=n, planned=n, p=p_of(values_CR[i, :n])) for i in judged]
        correct = AtInterimAnalysis(at=at, number=number, undecided=len(judged))
        for i, p in zip(judged, correct(verdicts).p, strict=True):
            if p <= level:
                decided[i] = (n, float(values_CR[i, :n].mean()) > 0)
    return decided


# From validation metrics (experiments, levels, replicates) the level chosen in each replicate, and the first that is judged.
Way = Callable[[Array], tuple[Array, int]]


def over_all(val: Array) -> tuple[Array, int]:
    """Choose the level that is best over all replicates, which are all judged."""
    return np.repeat(val.mean(axis=2).argmax(axis=1)[:, None], val.shape[2], axis=1), 0


def by_those_before(val: Array) -> tuple[Array, int]:
    """Choose in each replicate the level that is best over those before it; the first is not judged."""
    return (val.cumsum(axis=2) - val).argmax(axis=1), 1


def tuned_draws(
    levels: int, n: int, gap: float, shared: float, repeats: int, seed: Seed
) -> tuple[Array, Array, Array, Array]:
    """Return validation and test metrics of the side with levels, their true means, and those of the other side."""
    rng = np.random.default_rng(seed)
    true = np.r_[0.0, np.full(levels - 1, -gap / np.sqrt(n))]
    both = rng.normal(0, np.sqrt(shared), (repeats, levels, n))
    val, test = (true[:, None] + both + rng.normal(0, np.sqrt(1 - shared), both.shape) for _ in range(2))
    return val, test, true, rng.normal(0, 1, (repeats, n))


def wrongly_decided(way: Way, val: Array, test: Array, true: Array, other: Array) -> tuple[int, int]:
    """Return in how many experiments the t test decides against what is true of the chosen levels, and of the best ones."""
    chosen, first = way(val)
    differences = (np.take_along_axis(test, chosen[:, None], axis=1)[:, 0] - other)[:, first:]
    means = true[chosen][:, first:].mean(axis=1, keepdims=True)
    about_chosen, about_best = (stats.ttest_1samp(differences - m, 0, axis=1).pvalue for m in (means, 0.0))
    return int(np.sum(about_chosen <= 0.05)), int(np.sum(about_best <= 0.05))


TOO_SKEWED = "lognormal, sigma 2"
# Distributions, by their quantile functions.
NORMAL = stats.norm.ppf
DISTRIBUTIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "normal": (NORMAL, 0.0),
    "exponential": (stats.expon.ppf, 0.0),
    "lognormal": (stats.lognorm(1.0).ppf, 0.0),
    "normal, 5% of which collapse": (NORMAL, 0.05),
    # So skewed that its test is wrong in more than its level.
    TOO_SKEWED: (stats.lognorm(2.0).ppf, 0.0),
}


def drawn_of(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return numbers of a distribution; those that collapse lie 20 lower."""
    quantile, collapsed = DISTRIBUTIONS[name]
    values = np.asarray(quantile(rng.random(shape)), dtype=float)
    return np.asarray(values - 20.0 * (rng.random(shape) < collapsed))


@functools.cache
def interquartile_truth(name: str) -> float:
    """Return the interquartile mean of a distribution, by a million of its quantiles."""
    quantile, collapsed = DISTRIBUTIONS[name]
    many = 1_000_000
    parts = [(0.0, round(many * (1 - collapsed))), (20.0, round(many * collapsed))]
    values = np.sort(np.concatenate([quantile((np.arange(k) + 0.5) / k) - fall for fall, k in parts if k]))
    return float(values[many // 4 : 3 * many // 4].mean())
