"""Numbers in words: digits, units and signs as people write them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from arithmetic_tables import verdict_with

from mlpbench.report.language.words import about, estimate_cell, fixed, probability, verdict_sentence, with_spread


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.871234, 0.00131, "0.8712"),
        (0.871234, 0.00997, "0.871"),
        (0.871234, 0.00099, "0.87123"),
        (-0.00001, 0.01, "0.000"),
        (2350.0, 117.0, "2350"),
        (0.5, math.nan, "0.5"),
        (0.123456, 0.0, "0.1235"),
        (math.nan, 0.1, "-"),
        (123456.7, math.nan, "123457"),
    ],
)
def test_digits_follow_the_spread(value: float, spread: float, text: str) -> None:
    assert fixed(value, spread) == text


def test_mean_and_spread() -> None:
    assert with_spread(0.871234, 0.00131) == "0.8712 ± 0.0013"
    assert with_spread(0.871234, 0.00031, 0.00131) == "0.8712 ± 0.0003"
    assert with_spread(0.8712, math.nan) == "0.8712"
    assert with_spread(math.nan, math.nan) == "-"
    # Beside conditions a thousand times larger, its own digits.
    assert with_spread(0.00482, 0.00068, 0.6) == "0.00482 ± 0.00068"
    assert with_spread(0.0, 0.0, 0.6) == "0.00 ± 0.00"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "<0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (math.nan, "-")]
)
def test_p_values(p: float, text: str) -> None:
    assert probability(p) == text


def test_a_rough_number_is_rounded() -> None:
    assert [about(n) for n in (7, 99, 145, 3032)] == ["7", "99", "140", "3000"]


def test_a_difference_of_accuracies_is_in_points_with_its_sign() -> None:
    assert estimate_cell(verdict_with()) == "+1.52 pp (+1.31 to +1.73)"
    negative = verdict_with(estimate=-0.0152, low=-0.0173, high=-0.0131)
    assert estimate_cell(negative).startswith("-1.52 pp (-1.73")
    level = verdict_with(kind="level", estimate=0.8712, low=0.8699, high=0.8725)
    assert estimate_cell(level) == "0.8712 (0.8699 to 0.8725)"
    slope: dict[str, Any] = {"metric": "steps_to_train_loss_0.5", "kind": "slope", "per": "per doubling of width"}
    steps = verdict_with(**slope, estimate=-95.0, low=-106.0, high=-84.0)
    assert estimate_cell(steps) == "-95 steps per doubling of width (-106 to -84)"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "the advantage is above the margin of 0.2 pp (p < 0.001; p = 0.012 after Holm's correction)"),
        ({"decision": "refuted"}, "any advantage is below the margin of 0.2 pp"),
        ({"decision": "refuted", "bound": 0.0}, "the difference is below 0 pp"),
        ({"sense": "less", "bound": -0.002}, "the reduction is above the margin of 0.2 pp"),
        ({"sense": "less", "bound": -0.002, "decision": "refuted"}, "any reduction is below the margin of 0.2 pp"),
        ({"sense": "less", "bound": 0.0}, "the difference is below 0 pp"),
        ({"sense": "equivalent"}, "the difference lies within the margin of 0.2 pp"),
        ({"sense": "equivalent", "decision": "refuted"}, "the difference lies beyond the margin of 0.2 pp"),
        ({"kind": "level", "bound": 0.7}, "the mean is above 0.7"),
        ({"kind": "level", "bound": 0.7, "sense": "less", "decision": "refuted"}, "the mean is above 0.7"),
        ({"kind": "slope", "bound": 0.001, "decision": "refuted"}, "any rise is below the margin of 0.1 pp"),
        ({"kind": "slope", "bound": -0.001, "sense": "less"}, "the fall is above the margin of 0.1 pp"),
    ],
)
def test_a_decided_verdict_says_on_which_side_of_the_bound_the_mean_lies(changes: dict[str, Any], said: str) -> None:
    assert said in verdict_sentence(verdict_with(**changes))


def test_an_undecided_verdict_says_what_would_decide() -> None:
    undecided: dict[str, Any] = {"decision": "undecided", "p": 0.3, "p_corrected": 0.6, "detectable": 0.0042}
    assert verdict_sentence(verdict_with(**undecided, more_replicates=12)) == (
        "Estimated +1.52 pp (95% interval +1.31 to +1.73, n = 5); on which side of 0.2 pp it lies isn't settled "
        "(p = 0.30; p = 0.60 after Holm's correction). With 5 replicates a distance of 0.42 pp from there would be "
        "found (80% power); about 12 further replicates would decide, should the estimate hold."
    )
    assert "no affordable number" in verdict_sentence(verdict_with(**undecided))


OPEN: dict[str, Any] = {
    "metric": "log10_steps_to_train_loss_0.5", "kind": "level", "median": True, "estimate": 3.3711,
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"low": 3.3, "high": math.inf}, "3.371 decades (at least 3.300)"),
        ({"low": -math.inf, "high": 3.4}, "3.371 decades (at most 3.400)"),
        ({"low": 3.3, "high": math.inf, "known": "at least"}, "at least 3.371 decades (at least 3.300)"),
        ({"low": 3.3711, "high": math.inf, "known": "at least"}, "at least 3.371 decades (at least 3.371)"),
        ({"low": -math.inf, "high": math.inf}, "3.371 decades (open on both sides)"),
        ({"low": -math.inf, "high": math.inf, "estimate": None}, "-"),
        ({"low": None}, "3.371 decades"),
    ],
)
def test_an_open_interval_says_on_which_side_and_digits_follow_the_other(keys: dict[str, Any], text: str) -> None:
    assert estimate_cell(verdict_with(**OPEN | keys)) == text
