"""Top-up: the schedule of looks, what they may spend, that false verdicts stay below 5%, and verdicts that stand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, frame, make, replace_metric, spec
from hypothesis import given
from hypothesis import strategies as st
from reports import report_of
from scipy import stats

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.interim_analysis import Judgement
from mlpbench.evidence.judging.verdict import claims_table
from mlpbench.evidence.statistics.alpha_spending import schedule, spent
from mlpbench.evidence.statistics.t_boundary import nominal_levels
from mlpbench.evidence.statistics.t_test import ALPHA, Sample, beyond, equivalence, two_sided
from mlpbench.experiment import grid
from mlpbench.experiment.claims.hypothesis import EVERY_LEAST
from mlpbench.experiment.spec import Experiment
from mlpbench.results.registration import ClaimStanding, Registration

SIMULATED = 4000


def claim(name: str, a: int, b: int, **more: Any) -> dict[str, Any]:
    form = {"metric": "test_loss", "a": {"width": a}, "b": {"width": b}, "expect": "greater", "margin": 0.0} | more
    return {"id": name, "says": name, "compare": form}


# 8 against 16 is clear at the first look, 16 against 32 at none, 32 against 64 at the second.
CLAIMS = [claim("clear", 8, 16), claim("never", 16, 32), claim("later", 32, 64)]
EVERY = {"id": "every", "says": "e", "bound": {"metric": "test_loss", "where": {"width": 8}, "above": 0, "of": "every"}}


def declared(most: int = 12, replicates: int = 5, claims: Any = CLAIMS) -> Experiment:
    until = {"max_replicates": most}
    return spec(factors={"width": [8, 16, 32, 64]}, replicates=replicates, claims=claims, until_decided=until)


def tables(experiment: Experiment, *, there: Any = lambda i, r: True, lost: Any = ()) -> Tables:
    """Return tables with all replicates of the top-up.

    `there` says which runs (condition, replicate) are stored, `lost` has those of them that failed.
    """
    whole = experiment.model_copy(update={"replicates": experiment.most_replicates, "until_decided": None})
    missing = {(i, r): "missing" for i in range(4) for r in range(whole.replicates) if not there(i, r)}
    full = make(whole, status=missing | dict.fromkeys(lost, "failed"))
    noise = [-0.01, 0.012, 0.003, -0.004, 0.001, 0.0105, -0.0105, 0.002, -0.002, 0.006, -0.006, 0.0]
    later = [0.1, 0.02, 0.15, 0.1, 0.05]
    losses: dict[tuple[int, int], float] = {}
    for r in range(whole.replicates):
        eps = noise[r % len(noise)]
        gain = later[r] if r < 5 else 0.11 + 0.001 * r
        of = [2.0 + eps / 10, 1.0, 1.0 + eps, 1.0 + eps - gain]
        losses |= {(i, r): v for i, v in enumerate(of)}
    return replace_metric(Tables(experiment, full.conditions, full.runs, full.curves), "test_loss", losses)


def judged(experiment: Experiment, **keys: Any) -> Judgement:
    made = tables(experiment, **keys)
    return interim_analysis.judge(experiment, made.conditions, made.runs, made.curves)


@given(first=st.integers(2, 200), more=st.integers(1, 1000))
def test_looks_start_at_the_replicates_grow_by_about_half_and_end_at_the_most(first: int, more: int) -> None:
    at = schedule(first, first + more)
    assert (at[0], at[-1]) == (first, first + more)

    def step(n: int) -> int:
        return max(2, math.ceil(n / 2))

    for before, n in itertools.pairwise(at[:-1]):
        assert n - before == step(before)
    # No stub: the last step is half of a usual one at least, or what all there is to add comes to.
    assert len(at) == 2 or at[-1] - at[-2] >= step(at[-2]) / 2
    assert at[-1] - at[-2] < step(at[-2]) + step(at[-2] + step(at[-2])) / 2
    assert sum(spent(at)) == pytest.approx(ALPHA, rel=1e-12)
    assert min(spent(at)) > 0


def test_a_level_is_spent_as_the_third_power_of_the_share_of_replicates() -> None:
    assert schedule(5, 30) == [5, 8, 12, 18, 30]
    assert schedule(5, 6) == [5, 6]
    assert schedule(5, 9) == [5, 9]
    assert np.cumsum(spent([5, 8, 12, 18, 30])) == pytest.approx([ALPHA * (n / 30) ** 3 for n in (5, 8, 12, 18, 30)])


def false_verdicts(
    at: Sequence[int], each: Sequence[float], draw: Any, sense: str, margin: float, seed: int = 7
) -> tuple[int, int]:
    """Count experiments, true difference exactly the margin, that a look decides: below it, and above it."""
    rng = np.random.default_rng(seed)
    below = above = 0
    for values in draw(rng, (SIMULATED, at[-1])) + margin:
        for n, level in zip(at, each, strict=True):
            sample = Sample(n=n, mean=float(values[:n].mean()), sd=float(values[:n].std(ddof=1)))
            if sense == "equivalent":
                p = equivalence(sample, margin) if abs(sample.mean) <= margin else beyond(sample, margin)
            else:
                p = two_sided(sample, margin)
            if p <= level:
                below += sample.mean <= margin
                above += sample.mean > margin
                break
    return below, above


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.normal(0, 0.002, shape)


def discrete(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Differences of two accuracies on 10,000 examples."""
    return (rng.binomial(10_000, 0.88, shape) - rng.binomial(10_000, 0.88, shape)) / 10_000


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Differences of two skewed metrics: lognormal each."""
    return 0.002 * (rng.lognormal(0, 1, shape) - rng.lognormal(0, 1, shape))


def skewed_differences(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Differences that are skewed themselves, of mean 0."""
    return 0.002 * (rng.lognormal(0, 1, shape) - math.exp(0.5))


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(normal, id="normal"),
        pytest.param(discrete, id="discrete", marks=pytest.mark.slow),
        pytest.param(skewed, id="skewed", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("margin", [0.0, pytest.param(0.002, marks=pytest.mark.slow)])
def test_false_verdicts_through_top_up_stay_below_5_percent(draw: Any, margin: float) -> None:
    """At a true difference of exactly the margin, looks from 5 to 30: at most 5%, where naive looks give about 16%.

    Naive are looks after 5, 10, ..., 30 replicates at 5% each.
    """
    at = schedule(5, 30)
    wrong = sum(false_verdicts(at, nominal_levels(tuple(at), ALPHA), draw, "greater", margin))
    bound = stats.binom.ppf(0.999, SIMULATED, ALPHA) / SIMULATED
    assert wrong / SIMULATED <= bound
    naive_at = [5, 10, 15, 20, 25, 30]
    naive = sum(false_verdicts(naive_at, [ALPHA] * 6, draw, "greater", margin))
    # Of heavy tails fewer are decided, rightly or wrongly.
    expected = (0.02, 0.12) if draw is skewed else (0.033, 0.16)
    assert (wrong / SIMULATED, naive / SIMULATED) == pytest.approx(expected, abs=0.025)


def test_a_top_up_does_not_mend_skewed_differences() -> None:
    """t is not calibrated for them: about 18% false at a single look of 5, 22% through looks, as the README states."""
    once = sum(false_verdicts([5], [ALPHA], skewed_differences, "greater", 0.0)) / SIMULATED
    at = tuple(schedule(5, 30))
    looked = sum(false_verdicts(at, nominal_levels(at, ALPHA), skewed_differences, "greater", 0.0)) / SIMULATED
    print(f"skewed differences: {once:.3f} false at one look of 5, {looked:.3f} through looks up to 30")
    assert (once, looked) == pytest.approx((0.18, 0.22), abs=0.03)


def test_false_equivalence_through_top_up_stays_below_5_percent() -> None:
    at = schedule(5, 30)
    levels = nominal_levels(tuple(at), ALPHA)
    supported, refuted = false_verdicts(at, levels, normal, "equivalent", 0.002, seed=8)
    most = stats.binom.ppf(0.999, SIMULATED, ALPHA)
    assert 0 < supported <= most
    assert 0 < refuted <= most


def test_a_verdict_stands_at_its_look_and_undecided_claims_alone_are_looked_at_again() -> None:
    found = judged(declared())
    rows = claims_table(found.verdicts).set_index("id")
    assert rows["look"].to_dict() == {"clear": 1, "never": 3, "later": 2}
    assert rows["n"].to_dict() == {"clear": 5, "never": 12, "later": 8}
    assert rows["verdict"].to_dict() == {"clear": "supported", "never": "undecided", "later": "supported"}
    assert [look.replicates for look in found.interim_analyses] == [5, 8, 12]
    assert [list(claims_table(look.verdicts)["id"]) for look in found.interim_analyses] == [
        ["clear", "never", "later"],
        ["never", "later"],
        ["never"],
    ]
    # 8 is of no claim that was undecided; 64 of one that the second look decided.
    assert found.replicates == [5, 12, 12, 8]
    assert found.grid.observed.groupby("position").size().tolist() == [5, 12, 12, 8]


def test_what_every_replicate_keeps_gets_the_replicates_that_can_show_it_once_the_others_are_decided() -> None:
    claims = [CLAIMS[0], EVERY]

    def found(most: int, there: Any = lambda i, r: True) -> tuple[Judgement, Any]:
        judgement = judged(declared(most, claims=claims), there=there)
        return judgement, {v.claim.id: (v.decision, v.n) for v in judgement.verdicts}

    whole, verdicts = found(30)
    assert verdicts == {"clear": ("supported", 5), "every": ("supported", EVERY_LEAST)}
    assert whole.replicates == [EVERY_LEAST, 5, 5, 5]
    assert [a.replicates for a in whole.interim_analyses] == [5], "no look is spent on it"
    waiting, verdicts = found(30, there=lambda i, r: r < 5)
    assert verdicts == {"clear": ("supported", 5), "every": ("undecided", 5)}
    assert waiting.replicates == [EVERY_LEAST, 5, 5, 5]
    few, verdicts = found(EVERY_LEAST - 1)
    assert verdicts["every"] == ("undecided", 5), "which the most that is declared can't show"
    assert few.replicates == [5, 5, 5, 5]


def test_a_claim_is_decided_within_the_nominal_level_of_its_share_and_leaves_it_to_the_others() -> None:
    """The share is that of three claims until the first is decided, of two until the second is, then all of the level."""
    found = judged(declared())
    shares = {(1, "clear"): 3, (1, "never"): 2, (1, "later"): 2, (2, "later"): 2, (2, "never"): 1, (3, "never"): 1}
    for look in found.interim_analyses:
        for row in claims_table(look.verdicts).to_dict("records"):
            share = ALPHA / shares.pop((look.number, row["id"]))
            nominal = nominal_levels((5, 8, 12), share)[look.number - 1]
            assert row["p_holm"] == pytest.approx(min(1.0, row["p"] * ALPHA / nominal), rel=1e-12, abs=0)
            assert (row["verdict"] != "undecided") == (row["p"] <= nominal)
    assert not shares
    first = {v.claim.id: v.p for v in found.interim_analyses[0].verdicts}
    # What 5% would have decided at the first look, the rule does not.
    assert first["later"] is not None
    assert 0.05 > first["later"] > nominal_levels((5, 8, 12), ALPHA / 3)[0]


def test_other_tests_spend_their_nominal_levels() -> None:
    """Signs are flipped at what may be spent: only for t is it known how much more would do."""
    (flipped,) = (CLAIMS[1] | {"test": "sign_flip"},)
    found = judged(declared(most=12, replicates=6, claims=[flipped]))
    assert [look.replicates for look in found.interim_analyses] == [6, 9, 12]
    for look, level in zip(found.interim_analyses, spent([6, 9, 12]), strict=True):
        (row,) = claims_table(look.verdicts).to_dict("records")
        assert row["p_holm"] == pytest.approx(min(1.0, row["p"] * ALPHA / level))


def test_a_t_test_without_all_its_replicates_spends_its_nominal_level() -> None:
    found = judged(declared(claims=[CLAIMS[1]]), lost={(1, 3)})
    for look, level in zip(found.interim_analyses, spent([5, 8, 12]), strict=True):
        (row,) = claims_table(look.verdicts).to_dict("records")
        assert row["n"] == look.replicates - 1
        assert row["p_holm"] == pytest.approx(min(1.0, row["p"] * ALPHA / level))


def test_what_comes_after_a_verdict_does_not_change_it() -> None:
    whole = claims_table(judged(declared()).verdicts).set_index("id")
    others = tables(declared())
    turned = replace_metric(others, "test_loss", {(i, r): 5.0 - i for i in (0, 3) for r in range(8, 12)})
    again = claims_table(
        interim_analysis.judge(declared(), turned.conditions, turned.runs, turned.curves).verdicts
    ).set_index("id")
    pd.testing.assert_frame_equal(whole, again)


def test_an_incomplete_look_decides_nothing_and_asks_for_its_own_replicates_alone() -> None:
    first = judged(declared(), there=lambda i, r: r < 5 and (i, r) != (0, 3))
    assert claims_table(first.verdicts)["verdict"].tolist() == ["undecided"] * 3
    assert claims_table(first.verdicts)["note"].str.contains("Interim analysis 1 is incomplete").all()
    assert (first.replicates, [look.complete for look in first.interim_analyses]) == ([5] * 4, [False])
    second = judged(declared(), there=lambda i, r: r < 5 or (i, r) == (1, 5))
    assert (second.replicates, [look.complete for look in second.interim_analyses]) == ([5, 8, 8, 8], [True, False])
    assert claims_table(second.verdicts).set_index("id")["verdict"].to_dict() == {
        "clear": "supported", "never": "undecided", "later": "undecided",
    }  # fmt: skip


def test_looks_are_followed_from_the_tables_whatever_else_they_have() -> None:
    """With all replicates stored at once, or only those that were asked for, the verdicts are the same."""
    asked = judged(declared()).replicates
    one, other = judged(declared()), judged(declared(), there=lambda i, r: r < asked[i])
    pd.testing.assert_frame_equal(claims_table(one.verdicts), claims_table(other.verdicts))


def test_a_bound_of_every_replicate_is_neither_topped_up_nor_a_member_of_the_family() -> None:
    found = judged(declared(claims=[CLAIMS[0], EVERY]))
    assert found.replicates == [5] * 4
    rows = claims_table(found.verdicts).set_index("id")
    assert [rows[c]["every"] for c in ("n", "planned", "verdict")] == [5, 5, "undecided"]
    share = nominal_levels((5, 8, 12), ALPHA)[0]
    assert float(rows["p_holm"]["clear"]) == pytest.approx(float(rows["p"]["clear"]) * ALPHA / share, rel=1e-12, abs=0)


def test_a_claim_that_can_not_be_tested_is_not_topped_up() -> None:
    steps = {"id": "s", "says": "s", "bound": {"metric": "steps_to_train_loss_0.000001", "below": 10}}
    assert judged(declared(claims=[steps])).replicates == [5] * 4


def test_the_report_says_how_many_looks_there_were_at_which_n_and_what_was_spent() -> None:
    made = tables(declared())
    text = report_of(made).markdown
    assert (
        "There were 3 interim analyses, at 5, 8, 12 replicates, which spent 0.00362, 0.0112, 0.0352 of the level of 0.05, 0.05 in all."
        in text
    )
    assert "after correction for interim analyses and claims, at interim analysis 1)" in text
    assert "| p (corrected) |" in text
    assert "Holm" not in text
    standing = ClaimStanding(declared_before="5 replicates and no top-up declared")
    registration = Registration(standings={claim.id: standing for claim in made.experiment.claims})
    late = report_of(made, registration=registration)
    assert "**supported, exploratory**" in late.markdown
    assert "All verdicts are exploratory" in late.markdown
    assert "exploratory" not in text


def test_tuned_conditions_are_topped_up_with_all_their_levels() -> None:
    """A level can't be chosen for the further replicates without its rivals' runs."""
    experiment = spec(
        fixed={"batch_size": 256, "epochs": 10},
        factors={"width": [8, 16]},
        nuisance={"lr": [0.1, 0.2]},
        validation=0.1,
        replicates=3,
        until_decided={"max_replicates": 5},
        claims=[claim("close", 8, 16)],
    )
    rows: list[dict[str, Any]] = []
    for run in grid.runs(experiment):
        s, r = run.settings, run.replicate
        loss = 1 + (s.width == 8) * (-1) ** r * 0.1 + s.lr
        row = {"run_id": run.run_id, "status": "ok", "val_accuracy": s.lr, "val_loss": 1 - s.lr, "test_loss": loss}
        rows.append(row | {"replicate": r})
    conditions = grid.conditions(experiment)
    found = interim_analysis.judge(experiment, conditions, frame("runs", rows), pd.DataFrame())
    assert (found.replicates, claims_table(found.verdicts)["tuned"].tolist()) == ([5, 5], ["lr=0.2"])
    assert claims_table(found.verdicts)["n"].tolist() == [4]  # the first of five only tunes
    assert set(found.grid.run_ids) == set(grid.all_run_ids(experiment))
