"""Claims that count replicates: in how many a side wins, and whether its runs fail more often. Exact tests, intervals that agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec
from error_rates import at_most
from hypothesis import given
from hypothesis import strategies as st
from reports import report_of
from scipy import stats

from mlpbench.base.models import SpecProblem
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.statistics.paired_shares import (
    binomial_interval,
    binomial_p,
    failure_difference,
    win_share,
)
from mlpbench.evidence.statistics.sign_test import sign_test
from mlpbench.report.sections.verdicts import explanations
from mlpbench.report.verdict_tables import terminal_table

REPEATS = pytest.mark.parametrize("repeats", [500, pytest.param(5_000, marks=pytest.mark.prove)])
TIES = st.lists(st.sampled_from([-1.0, -0.1, 0.0, 0.3, 1.0]), min_size=2, max_size=40)
ACCURACY = "test_accuracy"


def judged(claim: dict[str, Any], a: Any, b: Any, metric: str = ACCURACY, status: Any = None) -> Verdict:
    """Return the verdict on widths 8 (a) and 16 (b) with these values in each replicate."""
    claims = [{"id": "c", "says": "It does."} | claim]
    made = make(spec(factors={"width": [8, 16]}, replicates=len(a), claims=claims), status=status)
    given = {(i, r): float(v) for i, row in enumerate((a, b)) for r, v in enumerate(row)}
    (verdict,) = judge_claims(*replace_metric(made, metric, given).parts)
    return verdict


def wins(**keys: Any) -> dict[str, Any]:
    return {"wins": {"metric": ACCURACY, "a": {"width": 8}, "b": {"width": 16}} | keys}


def fails(**keys: Any) -> dict[str, Any]:
    return {"fails": {"metric": ACCURACY, "a": {"width": 8}, "b": {"width": 16}, "expect": "less"} | keys}


@given(n=st.integers(1, 60), k=st.integers(0, 60), share=st.floats(0.05, 0.95))
def test_intervals_and_p_are_those_of_scipy(n: int, k: int, share: float) -> None:
    k = min(k, n)
    exact = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert binomial_interval(k, n) == pytest.approx((exact.low, exact.high))
    tails = [stats.binomtest(k, n, share, alternative=side).pvalue for side in ("greater", "less")]
    assert binomial_p(k, n, share) == pytest.approx(min(1.0, 2 * min(tails)))


@given(values=TIES, share=st.sampled_from([0.5, 0.6, 0.75]))
def test_what_is_decided_lies_outside_of_the_interval(values: list[float], share: float) -> None:
    """Of sides of several conditions each replicate has a fraction, of which the side counts."""
    x = np.array(values)
    won = win_share(x, x, share)
    if won is not None:
        assert (won.p < 0.05) == (not won.low <= share <= won.high)
        assert won.low <= won.estimate <= won.high
    failed = failure_difference(x)
    assert (failed.p < 0.05) == (not failed.low <= 0 <= failed.high)
    assert failed.low <= failed.estimate <= failed.high
    assert failed.p == pytest.approx(sign_test(x, 0.0, drop_ties=True))
    mirrored = failure_difference(-x)
    assert (mirrored.low, mirrored.high, mirrored.p) == pytest.approx((-failed.high, -failed.low, failed.p))


@REPEATS
@pytest.mark.parametrize("n", [10, 20, 60])
def test_a_share_of_wins_at_the_bound_is_decided_in_at_most_five_percent(n: int, repeats: int) -> None:
    rng = np.random.default_rng(n)
    wrong = 0
    for draws in rng.random((repeats, n)):
        x = np.where(draws < 0.1, 0.0, np.where(draws < 0.1 + 0.9 * 0.75, 1.0, -1.0))
        found = win_share(x, x, 0.75)
        wrong += found is not None and found.p <= 0.05
    at_most(f"P(a > b) = 0.75, called above or below, n = {n}", wrong, repeats)


@REPEATS
@pytest.mark.parametrize("n", [6, 20, 60])
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_equal_failure_rates_are_called_different_in_at_most_five_percent(rate: float, n: int, repeats: int) -> None:
    """Half of the failures are of the replicate, and strike both sides; and different rates lie within the interval in 95%."""
    rng = np.random.default_rng(n)
    wrong = outside = 0
    for _ in range(repeats):
        both = rng.random(n) < rate / 2
        a, b = (both | (rng.random(n) < rate / 2) for _ in range(2))
        wrong += failure_difference(a.astype(float) - b).p <= 0.05
        more = both | (rng.random(n) < rate)
        truth = (rate - rate / 2) * (1 - rate / 2)
        found = failure_difference(more.astype(float) - b)
        outside += not found.low <= truth <= found.high
    at_most(f"failure rates of {rate}, n = {n}, called different", wrong, repeats)
    at_most(f"differences of failure rates outside their interval, n = {n}", outside, repeats)


def test_wins_are_judged_by_the_better_side_of_the_metric_without_ties() -> None:
    high, low = np.full(30, 0.9), np.full(30, 0.8)
    low[:4] = 0.9
    verdict = judged(wins(), high, low)
    assert (verdict.decision, verdict.estimate, verdict.n) == ("supported", 1.0, 30)
    assert verdict.p == pytest.approx(2 * 0.75**26)
    assert "width=8 is better in 26 of 30 replicates, width=16 in 0; they tie in 4" in verdict.note
    assert (verdict.test, verdict.interval_by) == ("binomial", "clopper_pearson")
    by_loss = judged(wins(metric="test_loss"), high, low, "test_loss")
    assert (by_loss.decision, by_loss.estimate) == ("refuted", 0.0)
    assert judged(wins(above=0.95), high, low).decision == "undecided"
    assert "above 0.75" in explanations([verdict])
    assert "> 75" in terminal_table([verdict])


def test_a_diverged_run_loses() -> None:
    same = np.full(20, 0.9)
    status = {(1, r): "diverged" for r in range(20)}
    verdict = judged(wins(), same, same, status=status)
    assert (verdict.decision, verdict.n) == ("supported", 20)
    assert judged(wins(), same, same, status={(0, r): "failed" for r in range(20)}).n == 0


def test_failures_are_diverged_runs_and_those_worse_than_a_number() -> None:
    sound, poor = np.full(20, 0.9), np.full(20, 0.9)
    poor[:9] = 0.1
    assert judged(fails(), sound, poor).decision == "undecided"
    verdict = judged(fails(worse_than=0.2), sound, poor)
    assert verdict.decision == "supported"
    assert verdict.estimate == pytest.approx(-9 / 20)
    assert verdict.p == pytest.approx(2 / 2**9)
    assert "More runs of width=8 fail in 0 of 20 replicates, more of width=16 in 9, as many in 11." in verdict.note
    diverged = judged(fails(expect="greater"), sound, sound, status={(0, r): "diverged" for r in range(8)})
    assert (diverged.decision, diverged.test) == ("supported", "mcnemar")
    rare = judged(fails(worse_than=0.2, expect="greater"), np.where(np.arange(20) < 1, 0.1, 0.9), sound)
    assert rare.decision == "undecided"
    assert "-45" in terminal_table([verdict])


def test_a_report_draws_and_words_both() -> None:
    claims = [{"id": f"c{i}", "says": "It does."} | claim for i, claim in enumerate((wins(), fails(worse_than=0.2)))]
    made = make(spec(factors={"width": [8, 16]}, replicates=12, claims=claims))
    values = {(i, r): 0.9 - 0.01 * i - (0.8 if i and r < 8 else 0.0) for i in range(2) for r in range(12)}
    text = report_of(replace_metric(made, ACCURACY, values)).markdown
    assert "share of replicates with better test_accuracy: width=8 than width=16, above 0.75" in text
    assert "share of runs that diverge or test_accuracy is worse than 0.2: width=8 minus width=16, less" in text


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (wins(metric="weight_norm"), "wins is about a metric of trained runs, of which more or less is better, got 'weight_norm'"),
        (fails(metric="flops"), "fails is about a metric of trained runs"),
        (wins(b={"width": 8}), "a and b must differ"),
        (wins() | {"test": "sign"}, "wins has its own test: it takes no test, got 'sign'"),
        (wins(above=1.5), "above must be"),
    ],
)  # fmt: skip
def test_what_can_not_be_counted_is_refused(claim: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecProblem) as refused:
        make(spec(factors={"width": [8, 16]}, claims=[{"id": "c", "says": "s"} | claim]))
    assert message in str(refused.value)
