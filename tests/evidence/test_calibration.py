"""False verdicts at the boundary, where it is hardest: in at most 5%, beyond what counting error allows.

`test_through_the_tables` goes the whole way from rows to verdicts; the others draw samples and are quick enough for
more repeats. The seeds are fixed, so these tests pass or fail the same way every time.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_tables import make, replace_metric, spec

from mlpbench.evidence import inference
from mlpbench.evidence.claims import judge
from mlpbench.evidence.inference import Sample

LEVEL = 0.05


def most(repeats: int) -> float:
    """The count that a rate of 5% exceeds about once in 30,000 seeds."""
    return repeats * LEVEL + 4 * math.sqrt(repeats * LEVEL * (1 - LEVEL))


def samples(n: int, mean: float, repeats: int, seed: int) -> list[Sample]:
    draws = np.random.default_rng(seed).normal(mean, 1, (repeats, n))
    return [Sample(n=n, mean=float(d.mean()), sd=float(d.std(ddof=1))) for d in draws]


@pytest.mark.parametrize("n", [2, 5, 10, 30])
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_a_difference_of_the_margin_is_decided_in_five_percent(n: int, margin: float) -> None:
    found = [inference.two_sided(s, margin) <= LEVEL for s in samples(n, margin, 4000, seed=n)]
    low = 4000 * LEVEL - 4 * math.sqrt(4000 * LEVEL * (1 - LEVEL))
    assert low <= sum(found) <= most(4000)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("margin", [1.0, 3.0])
def test_equivalence_is_wrong_either_way_in_at_most_five_percent(n: int, margin: float) -> None:
    drawn = samples(n, margin, 4000, seed=n)
    supported = [abs(s.mean) <= margin and inference.equivalence(s, margin) <= LEVEL for s in drawn]
    refuted = [abs(s.mean) > margin and inference.beyond(s, margin) <= LEVEL for s in drawn]
    assert 0 < sum(supported) <= most(4000)
    assert 0 < sum(refuted) <= most(4000)


def test_intervals_cover() -> None:
    within = [low <= 0.3 <= high for low, high in (s.interval(0.95) for s in samples(5, 0.3, 4000, seed=7))]
    assert 0.93 < np.mean(within) < 0.97


def test_holm_keeps_a_family_of_ten_at_five_percent() -> None:
    drawn = samples(5, 0.0, 10 * 2000, seed=8)
    p = np.array([inference.two_sided(s, 0.0) for s in drawn]).reshape(-1, 10)
    wrong = sum(min(inference.holm(list(row))) <= LEVEL for row in p)
    uncorrected = sum(min(row) <= LEVEL for row in p)
    assert 0 < wrong <= most(2000)
    assert uncorrected > 3 * most(2000), "without the correction the family would be wrong far too often"


def test_power_is_what_theory_gives() -> None:
    """A true difference of 1 sd, 10 replicates: decided for the right side in 80.3% (noncentral t)."""
    found = np.mean([inference.two_sided(s, 0.0) <= LEVEL and s.mean > 0 for s in samples(10, 1.0, 4000, seed=9)])
    expected = inference.power(10, 1.0, LEVEL / 2)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


@pytest.mark.parametrize(("expect", "truth"), [("greater", 0.002), ("less", -0.002), ("equivalent", 0.002)])
def test_through_the_tables(expect: str, truth: float) -> None:
    sides = {"a": {"width": 16}, "b": {"width": 8}, "expect": expect, "margin": 0.002}
    claim = {"id": "c", "says": "It does.", "compare": {"metric": "test_accuracy"} | sides}
    made = make(spec(factors={"width": [8, 16]}, claims=[claim]))
    rng, repeats, wrong = np.random.default_rng(5), 80, {"supported": 0, "refuted": 0, "undecided": 0}
    made = replace(made, curves=made.curves.iloc[:0])
    for _ in range(repeats):
        b = rng.normal(0.85, 0.002, 5)
        both = (b, b + truth + rng.normal(0, 0.0005, 5))
        values = {(i, r): float(v) for i, row in enumerate(both) for r, v in enumerate(row)}
        wrong[judge(*replace_metric(made, "test_accuracy", values).parts)["verdict"].item()] += 1
    if expect == "equivalent":
        assert max(wrong["supported"], wrong["refuted"]) <= most(repeats)
    else:
        assert wrong["supported"] + wrong["refuted"] <= most(repeats)
    assert wrong["undecided"] < repeats, "a test that never decides would pass the rest"
