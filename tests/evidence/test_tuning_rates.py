"""How often a comparison of tuned conditions is decided wrongly, by which replicates settings are tuned.

One side has levels that are alike or close, of the other all but one are far off: it has nothing to choose. A run's validation and
test metric share half or all of their spread. A verdict is wrong where it lies against the true difference of the levels as
they were chosen. `make prove` counts the ways that were not taken too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import frame, spec
from error_rates import at_most, say
from scipy import stats
from simulated_experiments import Way, by_those_before, over_all, tuned_draws, wrongly_decided

from mlpbench.evidence.estimates.tuning_choice import choose
from mlpbench.evidence.judging import interim_analysis
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment

Array = np.ndarray[Any, Any]


def by_all_others(val: Array) -> tuple[Array, int]:
    return (val.sum(axis=2, keepdims=True) - val).argmax(axis=1), 0


def by_the_other_half(val: Array) -> tuple[Array, int]:
    half = val.shape[2] // 2
    first, second = val[:, :, :half].mean(axis=2).argmax(axis=1), val[:, :, half:].mean(axis=2).argmax(axis=1)
    return np.stack([second] * half + [first] * (val.shape[2] - half), axis=1), 0


def by_the_first_half(val: Array) -> tuple[Array, int]:
    half = val.shape[2] // 2
    return np.repeat(val[:, :, :half].mean(axis=2).argmax(axis=1)[:, None], val.shape[2], axis=1), half


def each_its_own(val: Array) -> tuple[Array, int]:
    return val.argmax(axis=1), 0


CASES = [
    (levels, n, gap, shared) for levels in (2, 8) for n in (5, 12, 30) for gap in (0, 1, 2) for shared in (1.0, 0.5)
]
WAYS: list[Way] = [over_all, by_all_others, by_the_other_half, by_the_first_half, each_its_own]


@pytest.mark.parametrize("repeats", [1_000, pytest.param(20_000, marks=pytest.mark.prove)])
def test_by_those_before_five_percent_are_wrong_whatever_the_levels(repeats: int) -> None:
    for seed, case in enumerate(CASES if repeats > 1_000 else CASES[::3]):
        data = tuned_draws(*case, repeats, seed)
        found, of_best = wrongly_decided(by_those_before, *data)
        words = "{} levels, n {}, gap {} standard errors, {:.0%} of the spread shared".format(*case)
        at_most(f"{words}: wrong", found, repeats)
        say("    against the best levels, which nobody knows", of_best, repeats)


@pytest.mark.parametrize("repeats", [1_000, pytest.param(20_000, marks=pytest.mark.prove)])
def test_other_ways_were_wrong_more_often_or_judge_fewer(repeats: int) -> None:
    found = {}
    for n in (5, 12, 30):
        data = tuned_draws(8, n, 0.0, 1.0, repeats, n)
        for way in WAYS:
            found[way.__name__, n], _ = wrongly_decided(way, *data)
            say(f"8 equal levels, n {n}, {way.__name__}: wrong", found[way.__name__, n], repeats)
    for name in ("over_all", "by_all_others"):
        assert found[name, 30] > 0.08 * repeats, name
    assert found["by_the_other_half", 30] > 0.055 * repeats
    at_most("first half", found["by_the_first_half", 30], repeats)


@pytest.mark.parametrize("repeats", [1_000, pytest.param(20_000, marks=pytest.mark.prove)])
def test_power_is_nearly_that_of_all_replicates_where_levels_are_apart(repeats: int) -> None:
    """At one standard deviation; the first half leaves half as many to judge."""
    power = {}
    for way in (over_all, by_those_before, by_the_first_half):
        val, test, _, other = tuned_draws(8, 12, 100.0, 1.0, repeats, seed=3)
        chosen, first = way(val)
        differences = (np.take_along_axis(test, chosen[:, None], axis=1)[:, 0] - other)[:, first:] + 1.0
        p = stats.ttest_1samp(differences, 0, axis=1).pvalue
        power[way.__name__] = int(np.sum(p <= 0.05))
        say(f"8 levels far apart, n 12, {way.__name__}: decided", power[way.__name__], repeats)
    assert power["over_all"] - power["by_those_before"] < 0.1 * repeats
    assert power["by_the_first_half"] < 0.7 * power["by_those_before"]


@pytest.mark.parametrize("repeats", [20_000])
def test_top_up_by_those_before_is_wrong_in_at_most_five_percent(repeats: int) -> None:
    """Given the choices, differences are fresh draws: as of conditions that nothing is tuned in, whose boundaries these are."""
    val, test, _, other = tuned_draws(8, 30, 0.0, 1.0, repeats, seed=5)
    chosen, first = by_those_before(val)
    differences = (np.take_along_axis(test, chosen[:, None], axis=1)[:, 0] - other)[:, first:]
    between = np.corrcoef(differences.T)[np.triu_indices(29, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(repeats)
    assert differences.mean(axis=0) == pytest.approx(0.0, abs=5 * np.sqrt(2 / repeats))
    assert differences.var(axis=0) == pytest.approx(2.0, rel=0.06)


def made(n: int, **keys: Any) -> Experiment:
    claim = {"metric": "test_accuracy", "a": {"width": 32}, "b": {"width": 8}, "expect": "greater", "margin": 0}
    return spec(
        **{
            "fixed": {"batch_size": 256, "epochs": 10},
            "factors": {"width": [8, 32]},
            "nuisance": {"lr": [0.01, 0.02, 0.05, 0.1]},
            "validation": 0.1,
            "replicates": n,
            "claims": [{"id": "c", "says": "c", "compare": claim}],
        }
        | keys
    )


@pytest.mark.parametrize("repeats", [3, pytest.param(300, marks=pytest.mark.prove)])
def test_through_the_tables(repeats: int) -> None:
    """From rows of runs to choices and p: those of the rules above; of equal levels 5% are wrong."""
    n, levels, experiment = 8, 4, made(8)
    conditions, found = grid.conditions(experiment), 0
    place = {c.condition_id: i % levels for i, c in enumerate(conditions)}
    wide, narrow = (conditions[::levels].index(next(c for c in conditions if c.settings.width == w)) for w in (32, 8))
    n_validation = conditions[0].settings.n_validation
    for seed in range(repeats):
        val, test, _, other = tuned_draws(levels, n, 0.0, 1.0, 1, seed)
        rows = []
        for run in grid.runs(experiment):
            t, r = place[run.condition.condition_id], run.replicate
            tuned = run.settings.width == 32
            v, x = (val[0, t, r], test[0, t, r]) if tuned else (-4.0 * t, other[0, r])
            row = {"run_id": run.run_id, "status": "ok", "replicate": r, "val_accuracy": 0.5 + v / 50, "val_loss": -v}
            rows.append(row | {"test_accuracy": 0.5 + x / 1000, "test_loss": 1.0})
        table = frame("runs", rows)
        chosen, first = by_those_before(np.rint((0.5 + val / 50) * n_validation) + 1e-6 * val)  # ties: the lower loss
        picked = choose(experiment, conditions, table, [n, n]).chosen
        assert picked[wide, first:].tolist() == chosen[0, first:].tolist()
        assert picked[narrow].tolist() == [0] * n
        (verdict,) = interim_analysis.judge(experiment, conditions, table, pd.DataFrame()).verdicts
        differences = (test[0, chosen[0], range(n)] - other[0])[first:]
        assert verdict.p is not None
        assert verdict.p == pytest.approx(float(stats.ttest_1samp(differences, 0).pvalue), rel=1e-6)
        found += int(verdict.p <= 0.05)
    at_most("8 replicates of 4 equal levels, through the tables: wrong", found, repeats)
