"""Means of bounded numbers by bets: at most 5% wrong whatever the distribution, and an interval that agrees with the test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec
from error_rates import at_most, say
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.statistics import resampling
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.bounded_mean import (
    BETS,
    beyond_by_bets,
    e_below,
    equivalence_by_bets,
    interval_by_bets,
    least_replicates,
)
from mlpbench.evidence.statistics.effect_sizes import far_from_others
from mlpbench.results.registration import ClaimStanding, Registration

REPEATS = pytest.mark.parametrize("repeats", [400, pytest.param(2_000, marks=pytest.mark.prove)])


def test_the_e_value_is_the_mean_of_products_and_one_at_most_under_the_hypothesis() -> None:
    """Its mean over two-point distributions, by their binomial chances, exactly."""
    assert e_below(np.array([0.0, 1.0]), 0.5, 2.0) == pytest.approx(
        np.mean([(1 + c * 0.5 / 1.5) * (1 - c * 0.5 / 1.5) for c in BETS])
    )
    for far in (1, 2, 5):
        chance = 0.5 / far
        expected = sum(
            math.comb(9, k) * chance**k * (1 - chance) ** (9 - k) * e_below(np.repeat([far, 0.0], [k, 9 - k]), 0.5, 5.0)
            for k in range(10)
        )
        assert expected == pytest.approx(1.0)


@given(places=st.lists(st.integers(-3, 3), min_size=2, max_size=40), margin=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_interval_never_contradicts_the_verdict(places: list[int], margin: float) -> None:
    values = np.array(places, dtype=float)
    low, high = interval_by_bets(values, 0.9, 3.0)
    assert low <= values.mean() <= high
    if abs(values.mean()) <= margin:
        assert (equivalence_by_bets(values, margin, 3.0) < 0.05) == (-margin < low and high < margin)
    elif beyond_by_bets(values, margin, 3.0) <= 0.05:
        assert low >= margin or high <= -margin


@REPEATS
@pytest.mark.parametrize("n", [6, 14])
@pytest.mark.parametrize("far", [1, 2, 4])
def test_a_best_level_that_moves_rarely_but_far_is_called_the_same_in_at_most_five_percent(
    far: int, n: int, repeats: int
) -> None:
    """Of five levels, by `far` levels with chance 0.5 / far: half a level in the mean. Sign flips call it the same in up to 45%."""
    rng = np.random.default_rng(10 * far + n)
    wrong = refuted = before = 0
    for _ in range(repeats):
        moved = np.where(rng.random(n) < 0.5 / far, float(far), 0.0)
        inside = abs(moved.mean()) <= 0.5
        wrong += inside and equivalence_by_bets(moved, 0.5, 4.0) <= 0.05
        refuted += not inside and beyond_by_bets(moved, 0.5, 4.0) <= 0.05
        before += inside and resampling.equivalence_flip(moved, 0.5) <= 0.05
    say(f"sign flips call a level the same that moves by {far}, n = {n}", before, repeats)
    at_most(f"bets call it the same, n = {n}", wrong, repeats)
    at_most(f"bets call it another, n = {n}", refuted, repeats)


def judged(moves: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Verdict:
    """Return the verdict on three levels of which the best is the first, and on the other side `moves` further."""
    n = len(moves)
    best = {"metric": "test_accuracy", "over": "lr", "where": {"width": 16}, "and": {"width": 8}, "expect": "same"}
    factors = {"width": [8, 16], "lr": [0.1, 0.2, 0.4]}
    made = make(spec(factors=factors, claims=[{"id": "c", "says": "x", "best": best}], replicates=n))
    table = np.full((2, 3, n), 0.8)
    table[0, 0], table[1, moves, np.arange(n)] = 0.9, 0.9
    values = {(i, r): float(v) for i, row in enumerate(table.reshape(6, n)) for r, v in enumerate(row)}
    registration = Registration(standings={"c": ClaimStanding()})
    (verdict,) = judge_claims(*replace_metric(made, "test_accuracy", values).parts, registration=registration)
    return verdict


def test_as_many_replicates_as_the_note_says_show_that_a_best_level_is_the_same() -> None:
    least = least_replicates(0.5, 2, seed_level(1))
    assert least == 18
    assert judged(np.zeros(least, dtype=np.int64)).decision == "supported"
    assert judged(np.zeros(least - 1, dtype=np.int64)).decision == "undecided"
    assert f"{least} replicates are the fewest that show it" in judged(np.zeros(6, dtype=np.int64)).note
    assert judged(np.full(least, 2)).decision == "refuted"


@pytest.mark.parametrize("n", [6, 10, 30])
def test_a_run_that_collapsed_is_seen(n: int) -> None:
    """5% of runs lie 20 sd low; the skewness alone is hidden where one collapsed on either side."""
    rng = np.random.default_rng(n)
    seen = normal = both = 0
    for values in rng.normal(0, 1, (200, n)):
        normal += far_from_others(values) is not None
        seen += far_from_others(values - 20 * (np.arange(n) < 1)) is not None
        both += far_from_others(values - 20 * (np.arange(n) < 1) + 20 * (np.arange(n) > n - 2)) is not None
    assert normal <= 6
    assert seen >= 170
    assert both >= (100 if n == 6 else 190)
