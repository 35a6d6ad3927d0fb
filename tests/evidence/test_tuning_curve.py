"""The expected best of some tried levels is the mean over all orders of them (of an experiment: test_tuning_choice.py)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.evidence.estimates.tuning_curve import expected_least

COSTS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=7)


@given(costs=COSTS)
def test_it_is_the_mean_of_the_least_over_all_sets_of_so_many(costs: list[float]) -> None:
    expected = [np.mean([min(some) for some in itertools.combinations(costs, k)]) for k in range(1, len(costs) + 1)]
    assert expected_least(np.array(costs)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(n=st.integers(2, 400), seed=st.integers(0, 100))
def test_it_falls_from_the_mean_to_the_least(n: int, seed: int) -> None:
    costs = np.random.default_rng(seed).normal(size=n)
    least = expected_least(costs)
    assert least[0] == pytest.approx(costs.mean())
    assert least[-1] == costs.min()
    assert (np.diff(least) <= 1e-12).all()
