"""How often verdicts are wrong, and how often a difference is found: what is counted for the documentation, case by case.

A case draws experiments whose truth is known and counts what the rules of the package decide, with what is commonly done beside it.
Experiments come in batches, each with random draws of its own, so that a test counts the first batch again.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from resplit_coverage import coverage
from scipy import stats
from simulated_experiments import (
    DISTRIBUTIONS,
    FLOORS,
    by_those_before,
    drawn_of,
    followed,
    interquartile_truth,
    over_all,
    p_of,
    paired,
    samples,
    tuned_draws,
    wrongly_decided,
)

from mlpbench.evidence.ranks.signed_rank import SignedRankSample
from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.alpha_spending import schedule, seed_level
from mlpbench.evidence.statistics.assurance import EVEN, LIKELY, more_for
from mlpbench.evidence.statistics.e_process import of_mean
from mlpbench.evidence.statistics.sign_test import sign_test
from mlpbench.evidence.statistics.t_test import ALPHA, holm
from mlpbench.evidence.statistics.typical import TypicalSample

Array = np.ndarray[Any, Any]
Counts = dict[str, int]
TOP_UP = schedule(5, 30)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is counted.

    Attributes:
        count: from a generator and a number of experiments to how often what was so.
        batch: the number of experiments of a batch, few where one takes long.
        batches: how many of them there are.

    """

    count: Callable[[np.random.Generator, int], Counts]
    batch: int = 200
    batches: int = 100

    def counted(self, seed: int, batch: int) -> Counts:
        """Return the counts of one batch."""
        return self.count(np.random.default_rng([seed, batch]), self.batch)


def by_t(rng: np.random.Generator, repeats: int) -> Counts:
    """Count what a t test decides at a true difference of the margin: for each metric and number of replicates, what is wrong."""
    return {
        f"{metric}, {n}": sum(
            t_test.two_sided(s, 0.0) <= ALPHA
            for s in samples(paired(metric, n, 0.0, repeats, rng), FLOORS.get(metric, 0.0))
        )
        for metric, n in itertools.product(("normal", "skewed", "counts of 10,000", "counts of 500"), (5, 10, 30))
    }


def of_skewed_differences(rng: np.random.Generator, repeats: int) -> Counts:
    """Count the same where differences themselves are lognormal, with and without a top-up."""
    drawn = paired("skewed differences", 30, 0.0, repeats, rng)
    return {
        **{f"t, {n}": sum(p_of(row[:n]) <= ALPHA for row in drawn) for n in (5, 30)},
        "top-up": sum(bool(followed(row[None], TOP_UP)) for row in drawn),
    }


def of_ten_claims(rng: np.random.Generator, repeats: int) -> Counts:
    """Count experiments with ten claims about differences of 0 in which any is decided."""
    p = np.array([p_of(row) for row in rng.normal(0, 1, (10 * repeats, 5))]).reshape(-1, 10)
    return {"Holm": sum(min(holm(list(row))) <= ALPHA for row in p), "each at 5%": int((p.min(axis=1) <= ALPHA).sum())}


def of_top_ups(rng: np.random.Generator, repeats: int) -> Counts:
    """Count top-ups from 5 to 30 replicates, of no difference and of half a standard deviation, and the replicates they took."""
    counts: Counter[str] = Counter()
    for row in rng.normal(0, 1, (repeats, 30)):
        counts["wrong"] += bool(followed(row[None], TOP_UP))
        counts["each at 5%"] += any(p_of(row[:n]) <= ALPHA for n in TOP_UP)
    for row in rng.normal(0.5, 1, (repeats, 30)):
        decided = followed(row[None], TOP_UP)
        counts["found"] += 0 in decided
        counts["replicates"] += decided.get(0, (30, True))[0]
        counts["found at once"] += p_of(row) <= ALPHA
        counts["found at a first seed"] += 0 in followed(row[None], TOP_UP, seed_level(1))
        counts["found at once at a first seed"] += p_of(row) <= seed_level(1)
    return dict(counts)


def at_any_time(rng: np.random.Generator, repeats: int) -> Counts:
    """Count what looking after every replicate to 200 decides of no difference, and to 30 of 0.7 standard deviations."""
    none, some = rng.normal(0, 1, (repeats, 200)), rng.normal(0.7, 1, (repeats, 30))
    n = np.arange(2, 201)
    sums, squares = np.cumsum(none, axis=1)[:, 1:], np.cumsum(none**2, axis=1)[:, 1:]
    t = sums / np.sqrt(n * (squares - sums**2 / n) / (n - 1))
    return {
        "wrong": sum(of_mean(row, 0.0).largest()[0] >= 1 / ALPHA for row in none),
        "each at 5%": int(np.any(2 * stats.t.sf(np.abs(t), n - 1) <= ALPHA, axis=1).sum()),
        "found": sum(of_mean(row, 0.0).largest()[0] >= 1 / ALPHA for row in some),
        "found at once": sum(p_of(row) <= ALPHA for row in some),
    }


def of_five_seeds(rng: np.random.Generator, repeats: int) -> Counts:
    """Count in how many experiments the best of five seeds decides, of no difference and five replicates each."""
    p = np.asarray(stats.ttest_1samp(rng.normal(size=(repeats, 5, 5)), 0, axis=-1).pvalue)
    levels = np.array([seed_level(j) for j in range(1, 6)])
    return {"wrong": int((p <= levels).any(axis=1).sum()), "each at 5%": int((p <= ALPHA).any(axis=1).sum())}


def of_tuned(rng: np.random.Generator, repeats: int) -> Counts:
    """Count what is wrong where one of 8 equal levels is chosen on validation, of 12 replicates."""
    data = tuned_draws(8, 12, 0.0, 1.0, repeats, rng)
    return {"wrong": wrongly_decided(by_those_before, *data)[0], "by all": wrongly_decided(over_all, *data)[0]}


def of_typical(rng: np.random.Generator, repeats: int) -> Counts:
    """Count what is wrong of the typical replicate, by its own test and by a percentile bootstrap, and what is found."""
    counts: Counts = {}
    for name, n in itertools.product(DISTRIBUTIONS, (20, 30)):
        at, drawn = interquartile_truth(name), drawn_of(name, (repeats, n), rng)
        counts[f"{name}, {n}"] = sum(TypicalSample(values=row).p(at) <= ALPHA for row in drawn)
        middle = resampled(drawn, rng)[:, :, n // 4 : n - n // 4].mean(axis=2)
        low, high = np.quantile(middle, [0.025, 0.975], axis=1)
        counts[f"{name}, {n}, bootstrap"] = int(((at < low) | (at > high)).sum())
    some = rng.normal(0.8, 1, (repeats, 20))
    return counts | {
        "found": sum(TypicalSample(values=row).p(0.0) <= ALPHA for row in some),
        "found by signs": sum(sign_test(row, 0.0) <= ALPHA for row in some),
        "found by t": sum(p_of(row) <= ALPHA for row in some),
    }


def resampled(drawn: Array, rng: np.random.Generator) -> Array:
    """Return 999 sorted samples with replacement of each experiment."""
    return np.sort([rng.choice(row, (999, len(row))) for row in drawn], axis=2)


def over_data_sets(rng: np.random.Generator, repeats: int) -> Counts:
    """Count verdicts over 8 data sets of a population without a difference, and those over these 8 alone, of 4 replicates."""
    counts: Counter[str] = Counter()
    for _ in range(repeats):
        values = rng.normal(size=(8, 1)) + 0.3 * rng.normal(size=(8, 4))
        of_each = values.mean(axis=1)
        counts["signed_rank"] += SignedRankSample(values=of_each).p(0.0) <= ALPHA
        counts["t"] += p_of(of_each) <= ALPHA
        counts["these"] += p_of(values.mean(axis=0)) <= ALPHA
    return dict(counts)


def near_a_margin(rng: np.random.Generator, repeats: int) -> Counts:
    """Count what is found at its margin, of 10 replicates with a standard deviation of 0.4 margins: half a margin off it, and on it."""
    counts: Counts = {}
    for name, shift in (("wrong", 0.5), ("found", 1.0)):
        drawn = rng.normal(shift, 0.4, (repeats, 10))
        counts[name] = sum(
            t_test.equivalence(s, 0.5) <= ALPHA and p_of(row - 1.0) > ALPHA
            for s, row in zip(samples(drawn - 1.0), drawn, strict=True)
        )
    return counts


def of_more_replicates(rng: np.random.Generator, repeats: int) -> Counts:
    """Count undecided claims of 5 replicates that are decided by as many more as they say, for chances of 50% and 80%."""
    counts: Counter[str] = Counter()
    for name, wanted in (("50%", EVEN), ("80%", LIKELY)):
        for effects in ("any", "small"):
            told = 0
            while told < repeats:
                effect = rng.uniform(-4, 4) if effects == "any" else 0.1
                first = rng.normal(effect, 1, 5)
                more = None if p_of(first) <= ALPHA else more_for(samples(first[None])[0], wanted, (0.0,), ALPHA)
                if more is not None:
                    told += 1
                    counts[f"{name}, {effects}"] += p_of(np.concatenate([first, rng.normal(effect, 1, more)])) <= ALPHA
    return dict(counts)


def of_splits(rng: np.random.Generator, repeats: int) -> Counts:
    """Count 95% intervals that miss the expected score over tables like the one that is split again in each replicate."""
    counts: Counts = {}
    for target, rows, share, n in itertools.product(("class", "number"), (60, 500), (0.1, 0.5), (10, 30)):
        held = coverage(target, rows, share, n, repeats, rng)
        for name in ("test a", "test b"):
            plain, corrected = held[name]
            where = f"{target}, {rows} rows, {share:.0%} tested, {n}, {name[-1]}"
            counts |= {where: repeats - corrected, f"{where}, uncorrected": repeats - plain}
    return counts


CASES = {
    "t": Case(count=by_t),
    "ten claims": Case(count=of_ten_claims, batches=50),
    "top-up": Case(count=of_top_ups, batches=20),
    "any time": Case(count=at_any_time, batch=50, batches=40),
    "five seeds": Case(count=of_five_seeds),
    "tuned": Case(count=of_tuned),
    "typical": Case(count=of_typical, batch=10, batches=100),
    "data sets": Case(count=over_data_sets),
    "near a margin": Case(count=near_a_margin),
    "skewed differences": Case(count=of_skewed_differences),
    "more replicates": Case(count=of_more_replicates, batch=20, batches=50),
    "splits": Case(count=of_splits, batch=500, batches=2),
}
# What a batch of takes a minute.
LONG = {"splits"}
