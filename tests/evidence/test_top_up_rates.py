"""How often a top-up decides wrongly, and how often it decides: claims followed through interim analyses, by the rules that judge.

The rates of what came before are counted on the same draws: linear spending, the union bound over analyses, Bonferroni over claims.
`test_through_the_tables` goes the whole way from rows to verdicts, and gives the verdicts that following the rules does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from scipy import stats
from simulated_experiments import followed, p_of

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.verdict import SUPPORTED, UNDECIDED
from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.alpha_spending import schedule, seed_level
from mlpbench.evidence.statistics.t_test import ALPHA

FIRST, MOST = 5, 30
REPEATS = pytest.mark.parametrize(
    "repeats", [pytest.param(600, marks=pytest.mark.slow), pytest.param(20_000, marks=pytest.mark.prove)]
)
Array = np.ndarray[Any, Any]


def interval(found: int, repeats: int) -> str:
    low, high = stats.binomtest(found, repeats).proportion_ci(0.95)
    return f"{found} of {repeats} = {found / repeats:.3f} ({low:.3f} to {high:.3f})"


def followed_before(values_CR: Array, at: Sequence[int]) -> dict[int, tuple[int, bool]]:
    """Return the same by the rules before: analysis k spends 0.05 (n_k - n_(k-1)) / N, a share for each claim."""
    decided: dict[int, tuple[int, bool]] = {}
    for before, n in zip([0, *at[:-1]], at, strict=True):
        for i in range(len(values_CR)):
            if i not in decided and p_of(values_CR[i, :n]) <= ALPHA * (n - before) / at[-1] / len(values_CR):
                decided[i] = (n, float(values_CR[i, :n].mean()) > 0)
    return decided


OLD = [5, 8, 12, 18, 27, 30]
NEW = schedule(FIRST, MOST)


def draws(shifts: Sequence[float], repeats: int, seed: int) -> Array:
    """Return experiments, (experiments, claims, replicates): claims share half of their variance, as ones on a baseline do."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(size=(repeats, 1, MOST)), rng.normal(size=(repeats, len(shifts), MOST))
    return np.asarray((shared + own) / math.sqrt(2) + np.array(shifts)[:, None])


def count(
    experiments: Array, follow: Callable[[Array, Sequence[int]], Any], at: Sequence[int], which: Sequence[int]
) -> int:
    """Count experiments in which one of some claims is decided."""
    return sum(any(i in decided for i in which) for decided in (follow(values, at) for values in experiments))


@REPEATS
@pytest.mark.parametrize("claims", [1, 4])
def test_no_difference_is_decided_in_at_most_five_percent(claims: int, repeats: int) -> None:
    """Of experiments, whatever the number of their claims."""
    repeats //= claims
    experiments = draws([0.0] * claims, repeats, seed=1)
    new = count(experiments, followed, NEW, range(claims))
    old = count(experiments, followed_before, OLD, range(claims))
    print(f"\n{claims} claims, no difference: {interval(new, repeats)} decided; before {interval(old, repeats)}")
    assert new <= ALPHA * repeats + 4 * math.sqrt(repeats * ALPHA * (1 - ALPHA))


@REPEATS
def test_a_true_null_beside_differences_that_are_decided_is_decided_in_at_most_five_percent(repeats: int) -> None:
    """It gets their shares."""
    repeats //= 3
    experiments = draws([0.0, 1.5, 3.0], repeats, seed=2)
    new = count(experiments, followed, NEW, [0])
    old = count(experiments, followed_before, OLD, [0])
    print(f"\nbeside two differences: {interval(new, repeats)} decided; before {interval(old, repeats)}")
    assert new <= ALPHA * repeats + 4 * math.sqrt(repeats * ALPHA * (1 - ALPHA))


@REPEATS
def test_power_is_nearly_that_of_all_replicates_at_once(repeats: int) -> None:
    """At half a standard deviation: at least 0.72 where 30 replicates at once have 0.75, and fewer replicates are trained."""
    experiments = draws([0.5], repeats, seed=3)
    found = [followed(values, NEW) for values in experiments]
    new = sum(0 in decided for decided in found)
    old = count(experiments, followed_before, OLD, [0])
    at_once = sum(p_of(values[0]) <= ALPHA for values in experiments)
    trained = np.mean([decided.get(0, (MOST, True))[0] for decided in found])
    print(
        f"\nhalf an sd: {interval(new, repeats)} decided after {trained:.1f} replicates on average; "
        f"before {interval(old, repeats)}; 30 at once {interval(at_once, repeats)}"
    )
    assert at_once == pytest.approx(0.754 * repeats, abs=4 * math.sqrt(repeats * 0.19))
    assert new >= 0.72 * repeats - (0 if repeats > 5000 else 2 * math.sqrt(repeats * 0.2))
    assert at_once - new <= 0.04 * repeats


@REPEATS
@pytest.mark.parametrize("shift", [0.5, 0.0])
def test_at_the_level_of_a_first_seed_power_is_in_the_same_proportion(shift: float, repeats: int) -> None:
    """Of half a standard deviation: at least 0.72 of what 30 at once decide 0.76 of, both at 0.0304; of nothing no more than that."""
    level = seed_level(1)
    experiments = draws([shift], repeats, seed=6)
    new = sum(0 in followed(values, NEW, level) for values in experiments)
    at_once = sum(p_of(values[0]) <= level for values in experiments)
    print(
        f"\n{shift:g} sd at level {level:.4f}: {interval(new, repeats)} decided; 30 at once {interval(at_once, repeats)}"
    )
    if shift == 0:
        assert new <= level * repeats + 4 * math.sqrt(repeats * level * (1 - level))
        return
    exact = t_test.power(MOST, shift, level / 2)
    assert at_once == pytest.approx(exact * repeats, abs=4 * math.sqrt(repeats * 0.22))
    assert new >= 0.72 / 0.76 * at_once - (0 if repeats > 5000 else math.sqrt(repeats * 0.05))


@REPEATS
def test_shares_of_decided_claims_give_power_to_the_others(repeats: int) -> None:
    repeats //= 3
    experiments = draws([0.5, 1.5, 3.0], repeats, seed=4)
    new, old = (count(experiments, f, at, [0]) for f, at in ((followed, NEW), (followed_before, OLD)))
    print(f"\nhalf an sd beside two larger: {interval(new, repeats)} decided; before {interval(old, repeats)}")
    assert new - old >= 0.15 * repeats


@functools.cache
def declared() -> tuple[Any, Tables]:
    claims = [
        {
            "id": name,
            "says": name,
            "compare": {"metric": "test_loss", "a": {"width": w}, "b": {"width": 8}, "expect": "greater"},
        }
        for name, w in (("one", 16), ("other", 32))
    ]
    experiment = spec(
        factors={"width": [8, 16, 32]}, replicates=FIRST, claims=claims, until_decided={"max_replicates": MOST}
    )
    return experiment, make(experiment.model_copy(update={"replicates": MOST, "until_decided": None}))


@pytest.mark.parametrize(
    "repeats", [2, pytest.param(20, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.prove)]
)
@pytest.mark.usefixtures("no_outlook")
def test_through_the_tables(repeats: int) -> None:
    """From rows of runs to verdicts: those that following the rules gives, at the same analysis."""
    experiment, made = declared()
    power = 0
    for values_CR in draws([0.5, 1.0], repeats, seed=5):
        losses = {(0, r): 2.0 for r in range(MOST)}
        losses |= {(i + 1, r): 2.0 + float(values_CR[i, r]) for i in range(2) for r in range(MOST)}
        tables = replace_metric(Tables(experiment, made.conditions, made.runs, made.curves), "test_loss", losses)
        judged = interim_analysis.judge(*tables.parts)
        decided = {i: (v.n, v.decision == SUPPORTED) for i, v in enumerate(judged.verdicts) if v.decision != UNDECIDED}
        assert decided == followed(values_CR, NEW)
        power += 0 in decided
    print(f"\nthrough the tables, half an sd beside one: {interval(power, repeats)} decided")
