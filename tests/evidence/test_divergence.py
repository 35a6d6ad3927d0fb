"""Diverged runs count: a sign test has them as the worst possible value, and without one there is no survivors' verdict.

Rates are counted over simulated experiments; `make prove` counts more of them, and prints them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from error_rates import at_most, say
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.divergence import CountedAsWorst, FailureRates, NoMean
from mlpbench.evidence.judging.trend_steps import StepNotJudged
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.statistics.failure_rates import paired_rate_interval, rate_interval
from mlpbench.evidence.statistics.sign_test import censored_median
from mlpbench.report.words import verdict_sentence

ACCURACY = "test_accuracy"
A, B = {"width": 8}, {"width": 16}
SAMPLES = pytest.mark.parametrize("repeats", [60, pytest.param(2000, marks=pytest.mark.prove)])


def compare(test: str = "t", metric: str = ACCURACY, expect: str = "less", **more: Any) -> dict[str, Any]:
    return {
        "id": "c", "says": "It does.", "test": test,
        "compare": {"metric": metric, "a": A, "b": B, "expect": expect, "margin": 0.0} | more,
    }  # fmt: skip


def judged(*given: Any, **more: Any) -> Verdict:
    """Return the verdict over such `tables`."""
    return _judge(tables(*given, **more))


def tables(
    claim: dict[str, Any],
    table: Any,
    diverged: Any,
    metric: str = ACCURACY,
    levels: Sequence[int] = (8, 16),
    **more: Any,
) -> Tables:
    """Return tables in which a metric is as given, and some runs, by (condition, replicate), have diverged."""
    n = len(table[0])
    status = {(i, r): "diverged" for i, row in enumerate(diverged) for r, lost in enumerate(row) if lost}
    experiment = spec(factors={"width": list(levels)}, claims=[claim], replicates=n, **more)
    values = {(i, r): float(v) for i, row in enumerate(table) for r, v in enumerate(row) if (i, r) not in status}
    return replace_metric(make(experiment, status=status), metric, values)


def _judge(made: Tables) -> Verdict:
    (verdict,) = judge_claims(*made.parts)
    return verdict


def halves(seed: int = 0, n: int = 16) -> tuple[Any, Any]:
    """Two conditions alike, of which the second diverges wherever it would have been worse than the first."""
    table = np.random.default_rng(seed).normal(0.8, 0.01, (2, n))
    table[0] = np.sort(table[0])
    table[1] = (
        table[0] + np.where(np.arange(n) < n // 2, -0.02, 0.02) + np.random.default_rng(seed + 1).normal(0, 2e-3, n)
    )
    return table, np.stack([np.zeros(n, bool), np.arange(n) < n // 2])


@pytest.mark.parametrize("test", ["t", "sign_flip"])
def test_no_survivors_verdict_where_b_diverges_in_8_of_16(test: str) -> None:
    table, diverged = halves()
    survivors = stats.ttest_rel(table[0, 8:], table[1, 8:])
    assert survivors.pvalue < 1e-6, "on the survivors alone a would be found to be less than b"
    verdict = judged(compare(test), table, diverged)
    assert (verdict.decision, verdict.p) == ("undecided", None)
    assert isinstance(verdict.withheld, NoMean)
    assert "`test: sign` (6 replicates or more) judges the median" in verdict.note
    (rates,) = (c for c in verdict.caveats if isinstance(c, FailureRates))
    assert rates.sentence == (
        "Runs diverged in 0 of 16 (width=8) and 8 of 16 (width=16) replicates: a difference of -50 pp "
        "(95% interval -72 to -21 pp)."
    )
    assert "Estimated" in verdict_sentence(verdict)


def test_the_sign_test_has_a_diverged_run_as_the_worst() -> None:
    table, diverged = halves()
    verdict = judged(compare("sign"), table, diverged)
    assert (verdict.n, verdict.p, verdict.decision) == (16, 1.0, "undecided")  # 8 ahead, 8 behind
    assert CountedAsWorst(metric=ACCURACY, replicates=8, n=16) in verdict.caveats
    worse = judged(compare("sign", expect="greater"), table, np.stack([diverged[0], np.arange(16) < 15]))
    assert worse.decision == "supported"
    assert worse.p == pytest.approx(stats.binomtest(15, 16).pvalue)
    assert worse.estimate is None
    assert worse.interval is not None
    assert worse.interval.high == np.inf
    assert "The median isn't known" in verdict_sentence(worse)


@pytest.mark.parametrize(("metric", "worse"), [(ACCURACY, "less"), ("test_loss", "greater")])
def test_which_side_is_the_worst_follows_from_the_metric(metric: str, worse: str) -> None:
    table = np.full((2, 10), 0.5) + np.arange(10) / 100
    lost = np.stack([np.ones(10, bool), np.zeros(10, bool)])
    for test, decision in (("sign", "supported"), ("t", "undecided")):
        assert judged(compare(test, metric, worse), table, lost, metric).decision == decision


def test_where_neither_side_is_better_a_median_is_undecided_too() -> None:
    table = np.full((2, 10), 5.0) + np.arange(10)
    claim = compare("sign", "weight_norm", "less")
    verdict = judged(claim, table + np.array([[0], [3]]), [[True] + [False] * 9, [False] * 10], "weight_norm")
    assert (verdict.decision, verdict.p) == ("undecided", None)
    assert "neither more nor less of it is better" in verdict.note


def test_a_replicate_in_which_both_sides_diverged_counts_for_neither() -> None:
    table = np.stack([np.full(10, 0.9), np.full(10, 0.8)]) + np.arange(10) / 1000
    verdict = judged(compare("sign", expect="greater"), table, np.array([np.arange(10) < 2] * 2))
    assert verdict.p == pytest.approx(stats.binomtest(8, 10).pvalue)
    assert (verdict.n, verdict.sizes.wins) == (10, None)


def test_a_level_a_contrast_and_a_trend_count_diverged_runs() -> None:
    table = 0.8 + np.arange(3)[:, None] / 10 + np.arange(10) / 1000
    lost = np.zeros((3, 10), bool)
    lost[1, :5] = True
    levels = [8, 16, 32]
    level = {"bound": {"metric": ACCURACY, "where": B, "above": 0.85}}
    terms = [{"weight": w, "where": {"width": v}} for w, v in ((1, 8), (-2, 16), (1, 32))]
    contrast = {"contrast": {"metric": ACCURACY, "terms": terms, "expect": "greater"}}
    trend = {"trend": {"metric": ACCURACY, "factor": "width", "expect": "rises", "scale": "log"}}
    for form in (level, contrast, trend):
        verdict = judged({"id": "c", "says": "x"} | form, table, lost, levels=levels)
        assert verdict.decision == "undecided", form
        by_sign = judged({"id": "c", "says": "x", "test": "sign"} | form, table, lost, levels=levels)
        assert by_sign.p is not None
        assert by_sign.n == 10
    (rates,) = (c for c in judged({"id": "c", "says": "x"} | level, table, lost, levels=levels).caveats
                if isinstance(c, FailureRates))  # fmt: skip
    assert rates.sentence == "Runs diverged in 5 of 10 replicates: 50% (95% interval 24% to 76%)."
    # The middle level has no weight in the slope, and is part of its steps.
    (withheld,) = (c for c in judged({"id": "c", "says": "x"} | trend, table, lost, levels=levels).caveats
                   if isinstance(c, StepNotJudged))  # fmt: skip
    assert withheld.diverged


def test_claims_about_diverging_and_of_every_replicate_are_as_they_were() -> None:
    table, diverged = halves()
    rate = judged(compare("t", "diverged", "less"), table, diverged)
    assert rate.p is not None
    assert rate.decision == "supported"
    every = {"id": "c", "says": "x", "bound": {"metric": ACCURACY, "where": B, "above": 0.1, "of": "every"}}
    assert judged(every, table, diverged).decision == "refuted"


def test_a_top_up_does_not_wait_for_what_replicates_cannot_bring() -> None:
    table, _ = halves()
    diverged = np.stack([np.zeros(16, bool), np.arange(16) < 4])
    for test, replicates in (("t", 16), ("sign", 60)):
        made = tables(compare(test), table, diverged, until_decided={"max_replicates": 60})
        judgement = interim_analysis.judge(made.experiment, made.conditions, made.runs, made.curves)
        assert (judgement.replicates[0] > 16) == (replicates > 16)


def test_an_infinite_median_is_none() -> None:
    infinite = np.array([-np.inf, -np.inf, 1.0])
    assert np.isnan(censored_median(infinite, infinite, 0.0)[0])
    assert np.isnan(censored_median(np.array([-np.inf, np.inf]), np.array([-np.inf, np.inf]), 0.0)[0])


def failures(both: int, first: int, second: int, neither: int) -> tuple[Any, Any]:
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    return one, np.repeat([True, False, True, False], [both, first, second, neither])


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Fagerland, Lydersen and Laake, Recommended Tests and Confidence Intervals for Paired Binomial Proportions, 2014.
        ((1, 1, 7, 12), -0.507, -0.026),
        # Newcombe, 1998, the table of methods applied to examples.
        ((36, 12, 2, 0), 0.0569, 0.3404),
    ],
)
def test_newcombes_interval_is_that_of_published_examples(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    digits = 3 if low < 0 else 4
    assert [round(end, digits) for end in paired_rate_interval(*failures(*table), 0.95)] == [low, high]


@given(st.tuples(*[st.integers(0, 12)] * 4).filter(any))
def test_newcombes_interval_turns_with_its_sides_and_holds_the_difference(table: tuple[int, int, int, int]) -> None:
    one, other = failures(*table)
    low, high = paired_rate_interval(one, other, 0.95)
    assert paired_rate_interval(other, one, 0.95) == pytest.approx((-high, -low))
    assert -1 - 1e-9 <= low <= one.mean() - other.mean() + 1e-9
    assert one.mean() - other.mean() - 1e-9 <= high <= 1 + 1e-9


@pytest.mark.parametrize("repeats", [100, pytest.param(4000, marks=pytest.mark.prove)])
@pytest.mark.parametrize("n", [5, 16, 30])
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_intervals_of_failure_rates_cover(shared: float, n: int, repeats: int) -> None:
    """Rates of 10% and 40%, independent and where a shared stream makes both fail in the same replicates."""
    rng = np.random.default_rng(n)
    missed = alone = 0
    for _ in range(repeats):
        common, own = rng.random(n), rng.random((2, n))
        draws = np.where(rng.random(n) < shared, common, own)
        one, other = draws[0] < 0.1, draws[1] < 0.4
        low, high = paired_rate_interval(one, other, 0.95)
        missed += not low <= -0.3 <= high
        low, high = rate_interval(int(other.sum()), n, 0.95)
        alone += not low <= 0.4 <= high
    at_most(f"difference of rates missed, n = {n}, {shared:.0%} shared", missed, repeats, 0.07)
    say(f"rate missed, n = {n}", alone, repeats)


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
def test_survivors_support_nothing_wrongly(repeats: int) -> None:
    """Two conditions that are alike but for the worse half of b, which diverges: a is not less than b."""
    rng, counts = np.random.default_rng(7), Counter[str]()
    survivors = 0
    made = make(spec(factors={"width": [8, 16]}, claims=[compare("t"), compare("sign") | {"id": "s"}], replicates=16))
    for _ in range(repeats):
        own = rng.normal(0, 0.005, (2, 16))
        table, lost = 0.8 + rng.normal(0, 0.01, 16) + own, own[1] < 0
        runs = made.runs.assign(**{ACCURACY: table.ravel()})
        gone = np.concatenate([np.zeros(16, bool), lost])
        runs = runs.assign(status=np.where(gone, "diverged", "ok"))
        runs.loc[gone, ACCURACY] = np.nan
        if (~lost).sum() > 1:
            p = stats.ttest_rel(table[0, ~lost], table[1, ~lost]).pvalue
            survivors += int(p <= 0.05 and (table[0] - table[1])[~lost].mean() < 0)
        for verdict in judge_claims(made.experiment, made.conditions, runs, made.curves):
            counts[f"{verdict.claim.id} {verdict.decision}"] += 1
    say("a less than b, supported before, on the survivors", survivors, repeats)
    at_most("a less than b, supported now, by t", counts["c supported"], repeats)
    at_most("a less than b, supported now, by sign", counts["s supported"], repeats)
    assert survivors > 0.2 * repeats
