"""Estimates in plain words: counts of examples, times, percent, points and units, each on the side of its sign."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from arithmetic_tables import COMPARED, verdict_with
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.evidence.judging.claim_values import UnitNumbers
from mlpbench.report.answer.plain_words import plainly

SLOPE = {"factor": "width", "scale": "log", "expect": "rises"}
TERMS = {
    "terms": [{"weight": 2, "where": {"width": 16}}, {"weight": -2, "where": {"width": 8}}],
    "expect": "greater",
}
EQUAL = COMPARED | {"expect": "equivalent", "margin": 0.01}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimate": 0.00408}, "about 4 more of 1,000 test images right"),
        ({"estimate": -0.0301}, "about 3 fewer of 100 test images right"),
        ({"estimate": 0.00012, "fields": EQUAL}, "about 1 more of 10,000 test images right"),
        ({"estimate": 0.00001, "fields": EQUAL}, "as many of 10,000 test images right"),
        ({"estimate": 0.0052, "metric": "late_train_accuracy"}, "about 5 more of 1,000 training images right"),
        ({"estimate": -0.0054, "metric": "gap_accuracy", "low": -0.0070, "high": -0.0038},
         "accuracy gap 0.54 percentage points lower"),
        ({"estimate": 0.0035, "form": "trend", "fields": SLOPE},
         "about 4 more of 1,000 test images right per doubling of width"),
        ({"estimate": 1.71, "metric": "log10_train_loss"}, "train loss 51 times larger"),
        ({"estimate": -1.71, "metric": "log10_train_loss"}, "train loss 51 times smaller"),
        ({"estimate": -0.097, "metric": "log10_train_loss"}, "train loss 20% smaller"),
        ({"estimate": -400.0, "metric": "log10_train_loss", "low": -500.0, "high": -300.0}, ""),
        ({"estimate": -235.0, "metric": "steps_to_train_loss_0.5", "low": -245.0, "high": -225.0}, "235 steps fewer"),
        ({"estimate": 12.5, "metric": "train_seconds", "low": 11.5, "high": 13.5}, "12.5 s more"),
        ({"estimate": -0.0237, "metric": "train_loss", "low": -0.0274, "high": -0.0199}, "train loss 0.0237 lower"),
        ({"estimate": 0.8446, "form": "bound", "fields": {"above": 0.7}}, "84.5% of test images right"),
        ({"estimate": 0.346, "metric": "sparsity", "form": "bound", "fields": {"above": 0.1}}, "sparsity 34.6%"),
        ({"estimate": -0.00002, "form": "trend", "fields": SLOPE, "low": -0.00003, "high": -0.00001},
         "test accuracy 0.0020 percentage points lower per doubling of width"),
        ({"estimate": 0.0156, "form": "contrast", "fields": TERMS, "low": 0.0118, "high": 0.0193},
         "a contrast of +1.56 percentage points in test accuracy"),
        ({"estimate": 0.2, "metric": "diverged", "form": "bound", "fields": {"above": 0.1}}, "20% of runs diverged"),
        ({"estimate": 0.0, "metric": "train_loss"}, "no difference in train loss"),
        ({"estimate": None}, ""),
        ({"estimate": -0.01, "estimate_is": "at most"}, ""),
        ({"estimate": 0.0152, "fields": COMPARED | {"of": "median"}, "test": "t"},
         "about 15 more of 1,000 test images right in the median"),
    ],
)  # fmt: skip
def test_an_estimate_in_plain_words(changes: dict[str, Any], said: str) -> None:
    assert plainly(verdict_with(**changes), "images") == said


@given(st.floats(-1, 1, allow_nan=False))
def test_counts_of_examples_are_near_the_estimate_and_on_its_side(estimate: float) -> None:
    said = plainly(verdict_with(estimate=estimate), "rows")
    found = re.fullmatch(r"about ([\d,]+) (more|fewer) of ([\d,]+) test rows right", said)
    if found is None:
        assert said == "as many of 10,000 test rows right"
        assert abs(estimate) <= 0.5 / 10_000
        return
    number, of = (int(found[i].replace(",", "")) for i in (1, 3))
    assert abs(abs(estimate) - number / of) <= 0.5 / of + 1e-12
    assert (found[2] == "more") == (estimate > 0)
    assert number >= 3 or of == 10_000


def with_sides(minuend: list[float], subtrahend: list[float], **changes: Any) -> str:
    numbers = UnitNumbers(minuend=minuend, subtrahend=subtrahend)
    keys: dict[str, Any] = {"estimate": -0.231, "metric": "test_loss", "low": -0.242, "high": -0.220} | changes
    return plainly(replace(verdict_with(**keys), numbers=numbers), "images")


def test_a_loss_is_compared_by_its_ratio_only_where_both_sides_are_positive() -> None:
    assert with_sides([0.6, 0.6], [0.831, 0.831]) == "test loss 28% lower, 0.6 against 0.831"
    assert with_sides([0.01, 0.01], [0.241, 0.241]) == "test loss 24 times lower, 0.01 against 0.241"
    assert with_sides([9.989], [9.9895], metric="weight_norm", estimate=-0.005, low=-0.006, high=-0.004) == (
        "weight norm 0.0050 lower"
    )
    assert with_sides([0.6, -0.1], [0.831, 0.831]) == "test loss 0.231 lower"
    assert with_sides([0.6], [0.831], metric="gap_loss") == "loss gap 0.231 lower"
