"""What the register makes of verdicts: levels of seeds, evidence of later replicates and of other seeds, and runs that are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from error_rates import at_most, say

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, UNDECIDED, Verdict, claims_table
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.e_process import of_mean
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.spec import Experiment
from mlpbench.report.verdict_tables import verdict_cell
from mlpbench.results.registration import ClaimStanding, Registration, of_seed

MOST, BEFORE = 24, 8


def declared(*, seed: int = 0, **keys: Any) -> Experiment:
    form = {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater", "margin": 0.0}
    claim = {"id": "more", "says": "So.", "compare": form}
    return spec(**{"factors": {"width": [8, 16]}, "replicates": 5, "claims": [claim], "seed": seed} | keys)


def anytime(seed: int = 0) -> Experiment:
    return declared(seed=seed, until_decided={"anytime": True, "max_replicates": MOST})


def tables(experiment: Experiment, differences_R: Any) -> Tables:
    """Return tables in which width 16 differs from 8 by given numbers."""
    n = len(differences_R)
    full = make(experiment.model_copy(update={"replicates": n, "until_decided": None}))
    losses = {(i, r): 2.0 + i * float(differences_R[r]) for i in range(2) for r in range(n)}
    return replace_metric(Tables(experiment, full.conditions, full.runs, full.curves), "test_loss", losses)


def judged(made: Tables, *, dropped: int = 0, **standing: Any) -> Verdict:
    registration = Registration(standings={"more": ClaimStanding(**standing)}, dropped=dropped)
    (verdict,) = interim_analysis.judge(*made.parts, registration).verdicts
    return verdict


def draws(mean: float, n: int = MOST, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(mean, 1, n)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_claim_is_decided_at_the_level_of_its_seed(number: int) -> None:
    x = np.array([-2, -1, 0, 1, 2]) / np.sqrt(2.5) + 2.5  # 2.5 standard deviations: t = 5.6
    verdict = judged(tables(declared(), x), number=number, seeds=3)
    assert verdict.p is not None
    assert 0.004 < verdict.p < 0.007  # between the levels of the second seed and of the third
    assert verdict.decision == (SUPPORTED if number < 3 else UNDECIDED)
    row = claims_table([verdict]).iloc[0]
    assert (row["level"], row["seed_number"], row["seeds"]) == (seed_level(number), number, 3)
    assert f"Seed {number} of 3 looked at" in verdict.note


def test_the_best_claim_of_a_family_is_corrected_for_dropped_ones_at_interim_analyses_too() -> None:
    experiment = declared(until_decided={"max_replicates": 12})
    alone, of_four = (judged(tables(experiment, draws(1.5, 5)), dropped=k).p_corrected for k in (0, 3))
    assert alone is not None
    assert of_four is not None
    assert of_four > alone


def test_a_late_claim_is_judged_by_what_was_trained_since_whenever_one_looks() -> None:
    x = draws(2.0)
    verdict = judged(tables(anytime(), x), is_late=True, before=BEFORE)
    assert verdict.e_value == pytest.approx(of_mean(x[BEFORE:], 0.0).largest()[0], rel=1e-6)
    assert (verdict.decision, verdict.exploratory, verdict.anytime) == (SUPPORTED, False, True)
    assert verdict_cell(verdict) == "supported, anytime"
    assert "when 8 replicates had been looked at" in verdict.note
    assert claims_table([verdict])["anytime"].to_list() == [True]


def test_what_was_looked_at_before_is_no_evidence_for_a_late_claim() -> None:
    x = np.concatenate([draws(5.0, BEFORE), draws(0.0, MOST - BEFORE)])
    assert judged(tables(anytime(), x)).decision == SUPPORTED
    late = judged(tables(anytime(), x), is_late=True, before=BEFORE)
    assert (late.decision, late.exploratory, late.anytime) == (UNDECIDED, True, False)
    none_yet = judged(tables(anytime(), x[:BEFORE]), is_late=True, before=BEFORE)
    assert (none_yet.e_value, none_yet.decision, none_yet.exploratory) == (1.0, UNDECIDED, True)


@pytest.mark.parametrize("standing", [{"is_registered": False}, {"is_late": True, "declared_before": "5 replicates"}])
def test_without_a_registered_start_no_replicates_make_more_of_an_exploratory_claim(standing: dict[str, Any]) -> None:
    verdict = judged(tables(anytime(), draws(3.0)), **standing)
    assert (verdict.decision, verdict.exploratory, verdict.anytime) == (SUPPORTED, True, False)


def test_e_values_of_the_seeds_of_one_claim_multiply() -> None:
    x, y = draws(1.0, 6, seed=1), draws(1.0, 9, seed=2)
    now = tables(anytime(seed=1), y)
    before = tables(of_seed(now.experiment, 0, 6), x)
    runs = pd.concat([before.runs, now.runs], ignore_index=True)
    both = Tables(now.experiment, now.conditions, runs, now.curves)
    verdict = judged(both, number=2, seeds=2, earlier=((0, 6),))
    expected = of_mean(x, 0.0).then(of_mean(y, 0.0)).largest()[0]
    assert verdict.e_value == pytest.approx(expected, rel=1e-6)
    assert expected > judged(now, number=2, seeds=2).e_value  # type: ignore[operator]


def test_a_seed_at_which_runs_diverged_leaves_the_claim_undecided() -> None:
    """Its other runs alone would be evidence for whatever it is that makes the others diverge."""
    now = tables(anytime(seed=1), draws(3.0, 9, seed=2))
    before = tables(of_seed(now.experiment, 0, 6), draws(3.0, 6, seed=1))
    both = Tables(now.experiment, now.conditions, pd.concat([before.runs, now.runs], ignore_index=True), now.curves)
    assert judged(both, number=2, seeds=2, earlier=((0, 6),)).decision == SUPPORTED
    both.runs.loc[both.runs["run_id"] == before.runs["run_id"].iloc[-1], "status"] = "diverged"
    verdict = judged(both, number=2, seeds=2, earlier=((0, 6),))
    assert verdict.decision == UNDECIDED
    assert "at seed 0, whose evidence counts too, runs diverged" in verdict.note


@pytest.mark.parametrize("repeats", [400, pytest.param(10_000, marks=pytest.mark.prove)])
def test_the_best_of_four_claims_is_false_in_at_most_five_percent_by_later_replicates(repeats: int) -> None:
    """Looking after every replicate to 24; the claim is stated after 8, as the best of four, for the side on which it lies."""
    rng = np.random.default_rng(16)
    needed = 1 / ALPHA
    whole = later = 0
    for _ in range(repeats):
        x = rng.normal(size=(4, BEFORE))
        t = x.mean(axis=1) / x.std(axis=1, ddof=1)
        best = x[np.abs(t).argmax()] * np.sign(t[np.abs(t).argmax()])
        values = np.concatenate([best, rng.normal(size=MOST - BEFORE)])
        for first in (0, BEFORE):
            process = of_mean(values[first:], 0.0)
            is_false = bool(((process.e >= needed) & (process.side > 0)).any())
            whole, later = whole + is_false * (first == 0), later + is_false * (first > 0)
    say("best of 4 claims, stated after 8 replicates, by all of them", whole, repeats)
    at_most("by those trained since", later, repeats)
    assert whole > later


@pytest.mark.parametrize("repeats", [400, pytest.param(10_000, marks=pytest.mark.prove)])
def test_seeds_whose_e_values_multiply_are_false_in_at_most_five_percent(repeats: int) -> None:
    """Four seeds of six replicates, of no difference, looked at after every one."""
    rng = np.random.default_rng(16)
    wrong = 0
    for _ in range(repeats):
        process = of_mean(rng.normal(size=6), 0.0)
        for _ in range(3):
            process = process.then(of_mean(rng.normal(size=6), 0.0))
        wrong += bool((process.e >= 1 / ALPHA).any())
    at_most("four seeds multiplied, looked at after every replicate", wrong, repeats)


# Runs that are missing.


def without(made: Tables, run_ids: list[str]) -> Tables:
    runs = made.runs[~made.runs["run_id"].isin(run_ids)]
    return Tables(made.experiment, made.conditions, runs, made.curves)


def test_nothing_is_decided_before_all_runs_are_there() -> None:
    made = tables(declared(), draws(9.0, 5))
    assert judged(made).decision == SUPPORTED
    for i in (0, -1):
        verdict = judged(without(made, [made.runs["run_id"].to_list()[i]]))
        assert verdict.decision == UNDECIDED
        assert verdict_cell(verdict) == "undecided (9 of 10 runs)"


@pytest.mark.parametrize("until", [None, {"max_replicates": 12}])
def test_the_runs_of_other_tunings_have_to_be_there_too(until: Any) -> None:
    tuned: dict[str, Any] = {
        "nuisance": {"lr": [0.1, 0.2]},
        "validation": 0.1,
        "fixed": {"batch_size": 256, "epochs": 1},
    }
    experiment = declared(**tuned, until_decided=until)
    full = make(experiment.model_copy(update={"until_decided": None}))
    made = Tables(experiment, full.conditions, full.runs, full.curves)
    whole = judged(made)
    chosen = whole.tuned
    other = next(c for c in full.conditions if f"lr={c.settings.lr:g}" not in chosen)
    lost = made.runs.loc[made.runs["condition_id"] == other.condition_id, "run_id"].to_list()[-1]
    verdict = judged(without(made, [lost]))
    assert "runs)" not in verdict_cell(whole)
    assert verdict_cell(verdict) == "undecided (19 of 20 runs)"
    assert REFUTED != verdict.decision != SUPPORTED
