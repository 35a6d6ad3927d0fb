"""What would decide a claim: the fewest replicates that can, and how many more are likely to, where they are counted or bet on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec
from scipy import stats

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.statistics import bounded_mean, resampling
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.outlook import fewest, fewest_to_support, of_bets, of_share, too_few
from mlpbench.evidence.statistics.paired_shares import binomial_p
from mlpbench.experiment import grid
from mlpbench.experiment.claims.hypothesis import (
    BettingTest,
    FailureTest,
    Hypothesis,
    SignFlipTest,
    SignTest,
    TTest,
    WinTest,
)
from mlpbench.report.answer.claim_flags import would_decide
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.report.words import verdict_sentence
from mlpbench.results.registration import ClaimStanding, Registration

LEVELS = [0.05, seed_level(1), seed_level(2), seed_level(1) / 4]
SIDES: dict[str, Any] = {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 16}}
COMPARED = {"compare": SIDES | {"expect": "greater", "margin": 0.0}}


def hypothesis_of(**changes: Any) -> Hypothesis:
    experiment = spec(factors={"width": [8, 16]}, claims=[{"id": "c", "says": "s"} | COMPARED], replicates=8)
    (claim,) = experiment.claims
    return replace(claim.hypothesis(experiment, grid.conditions(experiment)), **changes)


def of_ones(n: int) -> np.ndarray[Any, Any]:
    return np.ones(n)


# The p of the outcomes of n replicates that are furthest out.
FURTHEST: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "sign": ({"test": SignTest()}, lambda n: stats.binomtest(n, n).pvalue),
    "flip": ({"test": SignFlipTest()}, lambda n: resampling.sign_flip(of_ones(n))),
    "near, flip": (
        {"test": SignFlipTest(), "sense": "equivalent", "bound": 0.1},
        lambda n: min(
            resampling.equivalence_flip(0 * of_ones(n), 0.1), resampling.beyond_flip(of_ones(n), 0.1)
        ),
    ),
    "fails": ({"test": FailureTest()}, lambda n: stats.binomtest(n, n).pvalue),
    "wins": ({"test": WinTest(), "bound": 0.75}, lambda n: min(binomial_p(0, n, 0.75), binomial_p(n, n, 0.75))),
    "wins seldom": ({"test": WinTest(), "bound": 0.3}, lambda n: min(binomial_p(0, n, 0.3), binomial_p(n, n, 0.3))),
    "places": (
        {"test": BettingTest(reach=2), "sense": "equivalent", "bound": 0.5},
        lambda n: min(
            bounded_mean.equivalence_by_bets(0 * of_ones(n), 0.5, 2),
            bounded_mean.beyond_by_bets(2 * of_ones(n), 0.5, 2),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("test", FURTHEST)
def test_the_fewest_replicates_are_those_whose_furthest_outcome_decides(test: str, level: float) -> None:
    changes, p = FURTHEST[test]
    hypothesis = hypothesis_of(**changes)
    least = fewest(hypothesis, level)
    assert p(least) <= level
    assert least <= hypothesis.test.least or p(least - 1) > level
    assert too_few(hypothesis, level, [least]) is None
    short = too_few(hypothesis, level, [least - 1])
    assert short is not None
    assert (short.least, short.to_support) == (least, fewest_to_support(hypothesis, level))
    assert short.to_support >= least


def test_two_may_decide_by_t_and_seven_by_signs_at_a_first_seed() -> None:
    assert fewest(hypothesis_of(test=TTest()), seed_level(1)) == 2
    assert [fewest(hypothesis_of(test=SignTest()), level) for level in (0.05, seed_level(1), seed_level(2))] == [
        6,
        7,
        9,
    ]


def test_of_a_top_up_each_analysis_has_but_the_level_that_it_spends() -> None:
    """Each analysis may decide at what it spends: the first 8 of 9 replicates spend most, and 9 could have decided at once."""
    signs = hypothesis_of(test=SignTest())
    assert too_few(signs, seed_level(1), [7]) is None
    assert too_few(signs, seed_level(1), [6, 9, 14]) is None
    assert too_few(signs, seed_level(2), [9]) is None
    short = too_few(signs, seed_level(2), [8, 9])
    assert short is not None
    assert (short.n, short.least) == (9, 10)


def judged(claim: dict[str, Any], a: Any, b: Any, number: int | None = None) -> Verdict:
    made = make(spec(factors={"width": [8, 16]}, replicates=len(a), claims=[{"id": "c", "says": "so"} | claim]))
    values = {(i, r): float(v) for i, row in enumerate((a, b)) for r, v in enumerate(row)}
    registration = None if number is None else Registration(standings={"c": ClaimStanding(number=number)})
    (verdict,) = interim_analysis.judge(
        *replace_metric(made, "test_accuracy", values).parts, registration=registration
    ).verdicts
    return verdict


@pytest.mark.parametrize("test", ["sign", "sign_flip"])
@pytest.mark.parametrize(("number", "least"), [(1, 7), (2, 9)])
def test_a_claim_says_that_its_replicates_are_too_few_for_its_level(test: str, number: int, least: int) -> None:
    claim = COMPARED | {"test": test}
    few, enough = (judged(claim, np.linspace(0.8, 0.9, n), np.full(n, 0.5), number) for n in (least - 1, least))
    assert (few.decision, enough.decision) == ("undecided", "supported")
    said = f"{least - 1} replicates can't decide it at level {seed_level(number):.2g}, whatever they show: {least} can."
    assert said in few.note
    assert "whatever they show" not in enough.note
    assert said in " ".join(terminal_table([few]).split())


@pytest.mark.parametrize(
    ("hits", "counted", "share"), [(17, 20, 0.75), (12, 20, 0.75), (8, 9, 0.5), (6, 20, 0.5), (20, 20, 0.9)]
)
def test_further_replicates_of_a_share_have_the_power_that_the_binomial_test_has(
    hits: int, counted: int, share: float
) -> None:
    level = seed_level(1)
    n = 2 * counted  # as many tie
    more = of_share(n, counted, hits, share, level).more_replicates
    assert more is not None

    def power(m: int) -> float:
        of_one = hits / counted
        won = [k for k in range(m + 1) if binomial_p(k, m, share) <= level and (k > share * m) == (of_one > share)]
        return float(np.sum(stats.binom.pmf(won, m, of_one)))

    needed = (n + more) // 2
    assert power(needed) >= 0.8
    assert power(needed - 1) < 0.8


def test_of_a_share_that_is_the_bound_or_that_nothing_is_known_of_no_number_is_said() -> None:
    assert of_share(20, 20, 15, 0.75, 0.05).more_replicates is None
    assert of_share(20, 0, 0, 0.5, 0.05).unknown


def test_bets_on_equal_places_are_won_when_there_are_enough() -> None:
    level = seed_level(1)
    for reach in (1.0, 2.0):
        more = of_bets(np.zeros(5), 0.5, reach, level).more_replicates
        assert more == bounded_mean.least_replicates(0.5, reach, level) - 5


def test_bets_are_won_in_80_percent_of_sequences_that_come_out_as_those_there_are() -> None:
    values, level = np.array([0.0] * 6 + [1.0, -1.0]), 0.05
    more = of_bets(values, 0.5, 2.0, level).more_replicates
    assert more is not None
    rng = np.random.default_rng(1)
    won = sum(
        bounded_mean.equivalence_by_bets(np.concatenate([values, rng.choice(values, more)]), 0.5, 2.0) <= level
        for _ in range(600)
    )
    assert won / 600 == pytest.approx(0.8, abs=0.08)


def test_a_fifth_of_places_that_move_far_is_no_matter_of_replicates() -> None:
    """A mean on the margin of half a level."""
    outlook = of_bets(np.array([0.0, 0.5, 1.0]), 0.5, 1.0, 0.05)
    assert (outlook.more_replicates, outlook.is_foreseen) == (None, True)


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "wins": ({"wins": SIDES}, "more replicates needed for 80% power if that share stays the same."),
    "fails": (
        {"fails": SIDES | {"worse_than": 0.75, "expect": "less"}},
        "more replicates needed for 80% power if runs fail as often as they have.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", CLAIMS)
def test_an_undecided_share_says_how_many_more_replicates_would_decide_it(form: str) -> None:
    claim, words = CLAIMS[form]
    verdict = judged(claim, np.full(10, 0.9), [0.7] * 2 + [0.8] * 7 + [0.95])
    assert verdict.decision == "undecided"
    more = verdict.outlook.more_replicates
    assert more is not None
    assert f"About {more} {words}" in verdict_sentence(verdict)
    assert f"About {more} {words}" in " ".join(terminal_table([verdict]).split())


def test_failures_that_there_are_none_of_say_why_no_number_is_said() -> None:
    verdict = judged(CLAIMS["fails"][0], np.full(10, 0.9), np.full(10, 0.9))
    assert "can't be said: both sides are alike in every replicate so far." in verdict_sentence(verdict)


def equal(n: int, difference: float, **claim: Any) -> Verdict:
    return judged({"compare": COMPARED["compare"] | claim}, np.full(n, 0.5 + difference), np.full(n, 0.5))


def test_no_number_is_promised_where_all_differences_are_equal_to_the_bound() -> None:
    """A spread that is credited and not seen gave one, and a larger one each time that so many were added."""
    for n in (3, 30):
        verdict = equal(n, 0.0)
        assert verdict.decision == "undecided"
        assert verdict.outlook.are_equal
        assert (verdict.outlook.more_for_even, verdict.outlook.more_replicates) == (None, None)
        said = f"All {n} differences are equal: more replicates are unlikely to decide it, as none would if theirs are equal too."
        assert said in verdict_sentence(verdict)
        assert said in would_decide(verdict)


def test_equal_differences_at_the_margin_tell_no_side_of_it() -> None:
    verdict = equal(30, 0.002, margin=0.002)
    assert verdict.decision == "at the margin"
    said = "All 30 differences are equal: more replicates are unlikely to tell on which side of it, as none would if"
    assert said in verdict_sentence(verdict)


@pytest.mark.parametrize(
    ("difference", "claim"),
    [(0.0, {"margin": 1e-4}), (0.0, {"margin": 1e-4, "expect": "equivalent"}), (1e-4, {"margin": 0.0})],
)
def test_the_number_that_is_said_of_equal_differences_decides_where_all_are(
    difference: float, claim: dict[str, Any]
) -> None:
    least = next(n for n in range(3, 40) if equal(n, difference, **claim).decision != "undecided")
    assert least > 3
    verdict = equal(3, difference, **claim)
    assert (verdict.outlook.more_for_even, verdict.outlook.more_replicates) == (None, least - 3)
    said = f"All 3 differences are equal: about {least - 3} more would decide it if theirs are equal too, and otherwise it can't be said how many."
    assert said in verdict_sentence(verdict)


def test_differences_that_are_not_all_equal_have_a_chance_to_be_decided() -> None:
    verdict = judged(COMPARED, [0.5, 0.5, 0.5005], np.full(3, 0.5))
    assert not verdict.outlook.are_equal
    assert "with a chance of 50%" in verdict_sentence(verdict)
