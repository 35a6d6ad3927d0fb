"""Bounds of every replicate: supported only where so many keep it that 90% of further ones would."""

from __future__ import annotations

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec
from scipy import stats

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.claims.hypothesis import EVERY_LEAST
from mlpbench.report.verdict_tables import terminal_table

EVERY = {"id": "e", "says": "All do.", "bound": {"metric": "test_loss", "below": 0.5, "of": "every"}}


def judged(losses: list[float]) -> Verdict:
    made = make(spec(replicates=len(losses), claims=[EVERY]))
    (verdict,) = judge_claims(*replace_metric(made, "test_loss", {(0, r): v for r, v in enumerate(losses)}).parts)
    return verdict


def test_as_many_replicates_are_needed_as_give_ninety_percent_with_95_percent_confidence() -> None:
    """The lower Clopper-Pearson limit of n of n, one-sided at 95%."""
    limits = {n: stats.binomtest(n, n, alternative="greater").proportion_ci(0.95).low for n in range(1, 60)}
    assert min(n for n, low in limits.items() if low >= 0.9) == EVERY_LEAST


@pytest.mark.parametrize("n", [1, 2, 5, 28, 29, 40])
def test_all_of_few_are_undecided_all_of_many_supported(n: int) -> None:
    verdict = judged([0.4] * (n - 1) + [0.45])
    assert verdict.decision == ("supported" if n >= EVERY_LEAST else "undecided")
    assert verdict.p is None
    assert f"{n} of {n} replicates keep the bound; highest 0.45." in verdict.note
    assert f"kept {n} of {n}" in terminal_table([verdict])
    if 1 < n < EVERY_LEAST:
        assert "29 of 29 would make that 90%." in verdict.note


@pytest.mark.parametrize("n", [2, 5, 30])
def test_one_that_breaks_the_bound_refutes(n: int) -> None:
    verdict = judged([0.4] * (n - 1) + [0.6])
    assert verdict.decision == "refuted"
    assert f"kept {n - 1} of {n}" in terminal_table([verdict])


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("repeats", [100, pytest.param(4000, marks=pytest.mark.prove)])
@pytest.mark.usefixtures("no_outlook")
def test_a_bound_that_a_tenth_breaks_is_supported_in_at_most_five_percent(repeats: int, n: int) -> None:
    """All of 5 keep it in 59%, and were called supported; all of 29 in 4.7%."""
    rng, made = np.random.default_rng(n), make(spec(replicates=n, claims=[EVERY]))
    wrong = before = 0
    for _ in range(repeats):
        broken = rng.random(n) < 0.1 + 1e-9
        losses = {(0, r): 0.6 if b else 0.4 for r, b in enumerate(broken)}
        (verdict,) = judge_claims(*replace_metric(made, "test_loss", losses).parts)
        wrong += verdict.decision == "supported"
        before += not broken.any()
    low, high = stats.binomtest(wrong, repeats).proportion_ci(0.95)
    print(f"every, n {n}: {before} of {repeats} before, {wrong} now ({low:.1%} to {high:.1%})")
    assert wrong <= 0.05 * repeats + 4 * (repeats * 0.05 * 0.95) ** 0.5
    assert before > wrong or n == 30
