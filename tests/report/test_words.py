"""Numbers in words: digits, units and signs as people write them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from arithmetic_tables import COMPARED, verdict_with

from mlpbench.evidence.judging.verdict import Interval, TestSampling
from mlpbench.evidence.statistics.effect_sizes import Sizes
from mlpbench.report.claim_answers import answer_of
from mlpbench.report.number_text import fixed, with_spread
from mlpbench.report.pages.index_page import QUALIFIERS
from mlpbench.report.verdict_tables import verdict_cell
from mlpbench.report.words import about, estimate_cell, probability, verdict_sentence


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
        (123456.7, math.nan, "123,457"),
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
    assert [about(n) for n in (7, 99, 145, 3032)] == ["7", "99", "140", "3,000"]


def test_a_difference_of_accuracies_is_in_points_with_its_sign() -> None:
    assert estimate_cell(verdict_with()) == "+1.52 pp (+1.31 to +1.73)"
    negative = verdict_with(estimate=-0.0152, low=-0.0173, high=-0.0131)
    assert estimate_cell(negative).startswith("-1.52 pp (-1.73")
    level = verdict_with("bound", {"above": 0.7}, estimate=0.8712, low=0.8699, high=0.8725)
    assert estimate_cell(level) == "0.8712 (0.8699 to 0.8725)"
    slope = {"factor": "width", "scale": "log", "expect": "falls"}
    steps = verdict_with("trend", slope, metric="steps_to_train_loss_0.5", estimate=-95.0, low=-106.0, high=-84.0)
    assert estimate_cell(steps) == "-95 steps per doubling of width (-106 to -84)"


def compared(expect: str, margin: float) -> dict[str, Any]:
    return {"fields": COMPARED | {"expect": expect, "margin": margin}}


def bounded(**fields: Any) -> dict[str, Any]:
    return {"form": "bound", "fields": fields}


def sloped(expect: str, margin: float) -> dict[str, Any]:
    return {"form": "trend", "fields": {"factor": "width", "expect": expect, "margin": margin}}


REFUTED: dict[str, Any] = {"decision": "refuted"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "the advantage is above the margin of 0.2 pp (p < 0.001; p = 0.012 after Holm's correction)"),
        (REFUTED, "any advantage is below the margin of 0.2 pp"),
        (REFUTED | compared("greater", 0), "the difference is below 0 pp"),
        (compared("less", 0.002), "the reduction is above the margin of 0.2 pp"),
        (REFUTED | compared("less", 0.002), "any reduction is below the margin of 0.2 pp"),
        (compared("less", 0), "the difference is below 0 pp"),
        (compared("equivalent", 0.002), "the difference lies within the margin of 0.2 pp"),
        (REFUTED | compared("equivalent", 0.002), "the difference lies beyond the margin of 0.2 pp"),
        (bounded(above=0.7), "the mean is above 0.7"),
        (REFUTED | bounded(below=0.7), "the mean is above 0.7"),
        (bounded(below=0.7, of="median"), "the median is below 0.7"),
        (REFUTED | sloped("rises", 0.001), "any rise is below the margin of 0.1 pp"),
        (sloped("falls", 0.001), "the fall is above the margin of 0.1 pp"),
        ({"test": "sign"}, "the median advantage is above the margin of 0.2 pp"),
        ({"form": "matches", "fields": {"value": 0.9, "tolerance": 0.01}}, "the mean lies within 0.01 of 0.9"),
    ],
)
def test_a_decided_verdict_says_on_which_side_of_the_bound_the_mean_lies(changes: dict[str, Any], said: str) -> None:
    assert said in verdict_sentence(verdict_with(**changes))


UNDECIDED: dict[str, Any] = {"decision": "undecided", "p": 0.3, "p_corrected": 0.6, "detectable": 0.0042}


def test_an_undecided_verdict_says_what_would_decide() -> None:
    assert verdict_sentence(verdict_with(**UNDECIDED, more_replicates=12, more_for_even=4)) == (
        "Estimated +1.52 pp (95% interval +1.31 to +1.73, n = 5); inconclusive: the data do not show whether it exceeds "
        "0.2 pp (p = 0.30; p = 0.60 after Holm's correction). 5 replicates detect a distance of 0.42 pp from 0.2 pp with 80% "
        "power. About 4 more replicates would decide it with a chance of 50%, about 12 with one of 80%."
    )
    far = verdict_sentence(verdict_with(**UNDECIDED, more_for_even=60_000))
    assert "About 60,000 more replicates would decide it with a chance of 50%, 80% takes more than 100,000." in far
    never = "No affordable number of replicates would decide it with a chance of 50%."
    assert never in verdict_sentence(verdict_with(**UNDECIDED))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (compared("less", 0.002), "whether it is below -0.2 pp"),
        (compared("equivalent", 0.002), "whether it lies within 0.2 pp"),
        (bounded(above=0.7), "whether it exceeds 0.7"),
        ({"form": "matches", "fields": {"value": 0.9, "tolerance": 0.01}}, "whether it lies within 0.01 of 0.9"),
    ],
)
def test_an_undecided_verdict_says_what_the_data_do_not_show(changes: dict[str, Any], said: str) -> None:
    assert f"inconclusive: the data do not show {said} (p" in verdict_sentence(verdict_with(**UNDECIDED | changes))


def test_a_comparison_names_its_conditions() -> None:
    sizes = Sizes(sd=0.0017, iqm=0.015, effect=1.25, wins=4, ties=1)
    text = verdict_sentence(verdict_with(sizes=sizes))
    assert text.endswith(
        "Effect size 1.2 (Hedges' g of the differences); width=16 better than width=8 in 4 of 5 replicates, equal in 1."
    )
    assert "width=16 worse than width=8 in 4 of 5" in verdict_sentence(verdict_with(metric="test_loss", sizes=sizes))
    assert "width=16 above width=8 in 4 of 5" in verdict_sentence(verdict_with(metric="weight_norm", sizes=sizes))


def test_a_logarithm_says_what_number_it_comes_to() -> None:
    """A difference of logarithms is a factor, a level is a number."""
    more: dict[str, Any] = {"metric": "log10_test_loss", "estimate": 1.71, "low": 1.61, "high": 1.81}
    assert estimate_cell(verdict_with(**more)) == "+1.71 log10 units, x51 (+1.61 to +1.81)"
    assert estimate_cell(verdict_with(**more), per=False) == "+1.71 log10 units (+1.61 to +1.81)"
    assert "Estimated +1.71 log10 units, x51 (95% interval" in verdict_sentence(verdict_with(**more))
    slope = {"factor": "width", "expect": "rises", "scale": "log"}
    falling = verdict_with("trend", slope, **more | {"estimate": -0.5})
    assert estimate_cell(falling).startswith("-0.50 log10 units per doubling of width, x0.32 (")
    assert estimate_cell(verdict_with(**more | {"estimate": 400.0})).startswith("+400.00 log10 units (")


def test_a_verdict_that_another_test_set_could_change_is_flagged() -> None:
    shaken = TestSampling(interval=Interval(low=-0.01, high=0.03), confirmed=False)
    assert verdict_cell(verdict_with(test_sampling=shaken)) == "supported, not robust"
    assert verdict_cell(verdict_with(test_sampling=shaken, exploratory=True)) == "supported, not robust, exploratory"
    assert verdict_cell(verdict_with(test_sampling=replace(shaken, confirmed=True))) == "supported"


def test_the_summary_has_the_words_beside_a_verdict() -> None:
    shaken = TestSampling(interval=Interval(low=-0.01, high=0.03), confirmed=False)
    assert answer_of(verdict_with()).qualifiers == ()
    assert answer_of(verdict_with(exploratory=True)).qualifiers == ("exploratory",)
    every = answer_of(verdict_with(test_sampling=shaken, exploratory=True, anytime=True))
    assert every.qualifiers == ("not robust", "exploratory", "anytime") == tuple(QUALIFIERS)


OPEN: dict[str, Any] = {
    "metric": "log10_steps_to_train_loss_0.5", "form": "bound", "fields": {"above": 3.0}, "test": "sign",
    "estimate": 3.3711,
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"low": 3.3, "high": math.inf}, "3.371 log10 units = 2,400 (at least 3.300)"),
        ({"low": -math.inf, "high": 3.4}, "3.371 log10 units = 2,400 (at most 3.400)"),
        (
            {"low": 3.3, "high": math.inf, "estimate_is": "at least"},
            "at least 3.371 log10 units = 2,400 (at least 3.300)",
        ),
        (
            {"low": 3.3711, "high": math.inf, "estimate_is": "at least"},
            "at least 3.371 log10 units = 2,400 (at least 3.371)",
        ),
        ({"low": -math.inf, "high": math.inf}, "3.371 log10 units = 2,400 (open on both sides)"),
        ({"low": -math.inf, "high": math.inf, "estimate": None}, "-"),
        ({"low": None}, "3.371 log10 units = 2,400"),
    ],
)
def test_an_open_interval_says_on_which_side_and_digits_follow_the_other(keys: dict[str, Any], text: str) -> None:
    assert estimate_cell(verdict_with(**OPEN | keys)) == text
