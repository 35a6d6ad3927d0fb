"""Bounds of the median: the sign test and its interval against scipy and by simulation, and what reports say of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import judged_table, make, replace_metric, spec
from scipy import stats

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict, claims_table
from mlpbench.evidence.statistics.sign_test import median_interval, median_places, more_needed, sign_test
from mlpbench.report.sections.verdicts import explanations
from mlpbench.report.verdict_tables import terminal_table


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 20, 31])
def test_p_is_that_of_scipy_where_no_value_is_equal_to_the_bound(n: int) -> None:
    for above in range(n + 1):
        values = np.array([1.0] * above + [-2.0] * (n - above))
        assert sign_test(values, 0.5) == pytest.approx(stats.binomtest(above, n).pvalue, rel=1e-12)


def test_a_value_equal_to_the_bound_counts_for_neither_side() -> None:
    """6 of 6 above have p = 2/64; with two more that are equal, 6 of 8 or more out of 8: 2 (28 + 8 + 1) / 256."""
    values = np.array([1.0] * 6)
    assert sign_test(values, 0.0) == pytest.approx(2 / 64, rel=1e-12)
    assert sign_test(np.append(values, [0.0, 0.0]), 0.0) == pytest.approx(2 * (28 + 8 + 1) / 256, rel=1e-12)
    assert sign_test(np.zeros(30), 0.0) == 1.0


@pytest.mark.parametrize("ties", [0, 1, 4, 20])
def test_with_ties_dropped_p_is_that_of_scipy_over_the_others(ties: int) -> None:
    for above in range(10):
        values = np.array([1.0] * above + [-2.0] * (9 - above) + [0.0] * ties)
        assert sign_test(values, 0.0, drop_ties=True) == pytest.approx(stats.binomtest(above, 9).pvalue, rel=1e-12)
        assert sign_test(values, 0.0) >= sign_test(values, 0.0, drop_ties=True)
    assert sign_test(np.zeros(6), 0.0, drop_ties=True) == 1.0


def test_an_unknown_side_gives_the_largest_p_that_knowing_it_could() -> None:
    lower, upper = np.array([1.0] * 8 + [-1.0, 0.0]), np.array([1.0] * 8 + [np.inf, 0.0])
    could = [sign_test(np.array([1.0] * 8 + [x, 0.0]), 0.0, drop_ties=True) for x in (-0.5, 0.0, 0.5)]
    assert sign_test(lower, 0.0, upper, drop_ties=True) == max(could)


COMPARED = {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}


def compared(differences: list[float], **keys: Any) -> Verdict:
    claim = {"id": "c", "says": "It is.", "test": "sign", "compare": COMPARED | keys}
    made = make(spec(factors={"width": [8, 16]}, replicates=len(differences), claims=[claim]))
    losses = {(i, r): 0.5 + d * i for i in range(2) for r, d in enumerate(differences)}
    (verdict,) = judge_claims(*replace_metric(made, "test_loss", losses).parts)
    return verdict


def test_ties_of_a_difference_are_left_out_and_those_with_a_margin_or_a_number_are_not() -> None:
    """9 above and 11 equal: as many above as below would be as far off in 2 / 2^9; the median may well be the bound."""
    numbers = [0.25] * 9 + [0.0] * 11
    verdict = compared(numbers)
    assert verdict.decision == "supported"
    assert verdict.estimate == 0
    assert verdict.p == pytest.approx(2 / 2**9)
    assert "9 of 20 replicates above the bound, 0 below, 11 equal to it and left out" in verdict.note
    assert "more lie above 0 than on the other side" in explanations([verdict])
    assert compared([-d for d in numbers], expect="greater").decision == "refuted"
    at_margin = compared([0.5] * 9 + [0.25] * 11, margin=0.25)
    assert at_margin.decision == "undecided"
    assert at_margin.p == pytest.approx(1.0)
    (level,) = verdicts([0.75] * 9 + [0.5] * 11, median(above=0.5))
    assert level.decision == "undecided"
    assert level.p == pytest.approx(1.0)


def test_replicates_to_come_tie_as_often_as_those_there_are() -> None:
    plain, tied = compared([0.25] * 5 + [-0.25] * 2), compared([0.25] * 5 + [-0.25] * 2 + [0.0] * 7)
    (a, b) = (v.outlook.more_replicates for v in (plain, tied))
    assert a is not None
    assert b is not None
    assert b + 14 == 2 * (a + 7)


@pytest.mark.parametrize("n", [6, 10, 30])
@pytest.mark.parametrize("repeats", [150, pytest.param(3000, marks=pytest.mark.prove)])
@pytest.mark.usefixtures("no_outlook")
def test_alike_conditions_that_tie_often_differ_in_at_most_five_percent(repeats: int, n: int) -> None:
    """Small counts, of which 40% tie: a test that counts ties hardly ever decides, one without keeps its level."""
    rng, wrong, before = np.random.default_rng(n), 0, 0
    claim = {"id": "c", "says": "It is.", "test": "sign", "compare": COMPARED}
    made = make(spec(factors={"width": [8, 16]}, replicates=n, claims=[claim]))
    for _ in range(repeats):
        numbers = rng.binomial(4, 0.1, (2, n))
        losses = {(i, r): float(v) for i, row in enumerate(numbers) for r, v in enumerate(row)}
        (verdict,) = judge_claims(*replace_metric(made, "test_loss", losses).parts)
        wrong += verdict.decision != "undecided"
        before += sign_test((numbers[1] - numbers[0]).astype(float), 0.0) <= 0.05
    low, high = stats.binomtest(wrong, repeats).proportion_ci(0.95)
    print(f"sign test with ties, n {n}: {before} of {repeats} before, {wrong} now ({low:.1%} to {high:.1%})")
    assert wrong <= 0.05 * repeats + 4 * (repeats * 0.05 * 0.95) ** 0.5
    assert wrong >= before


def test_the_interval_is_the_narrowest_of_order_statistics_that_covers_enough() -> None:
    for n in range(1, 60):
        place, covers = median_places(n, 0.95)
        coverage = [1 - 2 * stats.binom.cdf(k - 1, n, 0.5) for k in range(1, n // 2 + 1)]
        enough = [k for k, c in enumerate(coverage, start=1) if c >= 0.95]
        assert place == max(enough, default=0)
        if place:
            assert covers == pytest.approx(coverage[place - 1], rel=1e-12)
    values = np.array([5.0, 1.0, 4.0, 2.0, 8.0, 7.0, 3.0, 6.0, 10.0, 9.0])
    assert median_places(10, 0.95)[0] == 2
    assert median_interval(values, 0.95) == (2.0, 9.0)
    assert median_interval(values[:5], 0.95) is None


@pytest.mark.parametrize("n", [6, 10, 25])
def test_the_interval_covers_what_it_says(n: int) -> None:
    rng, repeats = np.random.default_rng(n), 4000
    found = [median_interval(row, 0.95) for row in rng.lognormal(0, 1, (repeats, n))]
    covered = sum(i is not None and i[0] <= 1.0 <= i[1] for i in found)
    says = median_places(n, 0.95)[1]
    assert abs(covered - repeats * says) < 4 * math.sqrt(repeats * says * (1 - says))


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9, 1.0])
def test_further_replicates_are_where_the_power_is_reached(share: float) -> None:
    """Power by scipy: the chance of a number above that has p of at most 5%, on the larger side."""

    def power(n: int) -> float:
        least = next((k for k in range(n // 2 + 1, n + 1) if stats.binomtest(k, n).pvalue <= 0.05), n + 1)
        return float(stats.binom.sf(least - 1, n, share))

    found = more_needed(3, share, 0.05, 0.8, 10_000)
    assert found is not None
    assert power(found) >= 0.8 > power(found - 1)
    assert more_needed(3, 0.5, 0.05, 0.8, 10_000) is None
    assert more_needed(3, 0.5001, 0.05, 0.8, 1000) is None


def median(**keys: Any) -> dict[str, Any]:
    return {"id": "m", "says": "It is high.", "bound": {"metric": "test_loss", "of": "median"} | keys}


def verdicts(values: list[float], claim: dict[str, Any], *, metric: str = "test_loss") -> tuple[Verdict, ...]:
    made = make(spec(replicates=len(values), claims=[claim]))
    return judge_claims(*replace_metric(made, metric, {(0, r): v for r, v in enumerate(values)}).parts)


def judged(values: list[float], claim: dict[str, Any], *, metric: str = "test_loss") -> Any:
    return claims_table(verdicts(values, claim, metric=metric))


SKEWED = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 9.0, 50.0]


def test_a_claim_is_about_the_median_and_says_how_it_was_judged() -> None:
    """Eight of nine lie below 10, though their mean does too: the t test of the mean is not asked."""
    frame = judged(SKEWED, median(below=10))
    (row,) = frame.to_dict("records")
    assert (row["estimate"], row["low"], row["high"]) == (1.4, 1.1, 9.0)
    assert row["p"] == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert (row["verdict"], row["test"], row["interval"], row["n"]) == ("supported", "sign", "order", 9)
    assert row["form"] == "test_loss: below 10 in the median"
    found = verdicts(SKEWED, median(below=10))
    text = explanations(found)
    assert "the median is below 10" in text
    assert "8 of 9" not in text.split("Sign test")[0]
    assert "Sign test of the median: 1 of 9 replicates above the bound, 8 below." in text
    covers = 1 - 2 * stats.binom.cdf(1, 9, 0.5)
    assert f"Order-statistic interval (2nd to 8th of 9), coverage {covers:.1%}." in text
    assert "skewed" not in text
    assert "median < 10" in terminal_table(found)


def test_a_median_on_the_other_side_refutes_and_one_between_is_undecided() -> None:
    assert judged(SKEWED, median(above=10))["verdict"].item() == "refuted"
    frame = judged(SKEWED, median(above=1.25))
    (row,) = frame.to_dict("records")
    assert row["verdict"] == "undecided"
    needed = more_needed(9, 6 / 9, 0.05, 0.8, 100_000)
    assert needed is not None
    assert row["more_replicates"] == needed - 9
    text = explanations(verdicts(SKEWED, median(above=1.25)))
    assert f"About {needed - 9} more replicates needed for 80% power if the share on that side stays the same." in text


def test_a_median_that_lies_on_the_bound_is_on_neither_side() -> None:
    frame = judged([1.0] * 5 + [2.0] * 4, median(above=1.0))
    assert frame["verdict"].item() == "undecided"
    assert "4 of 9 replicates above the bound, 0 below, 5 equal to it" in frame["note"].item()


def test_a_test_accuracy_has_no_interval_with_test_set_sampling() -> None:
    from mlpbench.results.examples import TestSet

    def never(*_: Any) -> Any:
        raise AssertionError("predictions are not read for a median")

    claim = {"id": "m", "says": "m", "bound": {"metric": "test_accuracy", "above": 0.1, "of": "median"}}
    made = make(spec(replicates=6, claims=[claim]))
    (row,) = judged_table(*made.parts, test_set=TestSet(predictions=never, labels=never)).to_dict("records")
    assert row["sampling"] == "No test-set-sampling interval: it is known for means only, not for medians."


@pytest.mark.parametrize("n", [6, 15, 40])
@pytest.mark.parametrize("metric", ["lognormal", "counts"])
def test_at_a_median_on_the_bound_p_is_small_in_at_most_five_percent(metric: str, n: int) -> None:
    """Lognormal numbers of median 1 and mean 1.65; right answers of 20, whose median is 10 and is often met."""
    rng, repeats = np.random.default_rng(n), 4000
    table = rng.lognormal(0, 1, (repeats, n)) if metric == "lognormal" else rng.binomial(20, 0.5, (repeats, n)) / 20
    bound = 1.0 if metric == "lognormal" else 0.5
    wrong = sum(sign_test(row, bound) <= 0.05 for row in table)
    error = 4 * math.sqrt(repeats * 0.05 * 0.95)
    assert wrong <= repeats * 0.05 + error
    if metric == "lognormal":
        assert wrong > 0
        assert sum(sign_test(row, 4.0) <= 0.05 for row in table) > 0.3 * repeats, "a test that never decides would pass"


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 15])
@pytest.mark.usefixtures("no_outlook")
def test_through_the_tables_a_verdict_at_the_bound_is_given_in_at_most_five_percent(n: int) -> None:
    """Lognormal losses, of median 1: the t test of the mean, which is 1.65, is wrong about that bound more often."""
    repeats = 400
    made = make(spec(replicates=n, claims=[median(above=1.0)]))
    made = replace(made, curves=made.curves.iloc[:0])
    rng, counts = np.random.default_rng(n), Counter[str]()
    by_t = 0
    for row in rng.lognormal(0, 1, (repeats, n)):
        tables = replace_metric(made, "test_loss", {(0, r): float(v) for r, v in enumerate(row)})
        (verdict,) = judge_claims(*tables.parts)
        counts[verdict.decision] += 1
        by_t += int(stats.ttest_1samp(row, 1.0).pvalue <= 0.05)
    error = 4 * math.sqrt(repeats * 0.05 * 0.95)
    assert 0 < counts["supported"] + counts["refuted"] <= repeats * 0.05 + error
    if n == 15:
        assert by_t > repeats * 0.05 + error
