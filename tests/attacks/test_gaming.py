"""Whoever tries seeds, margins and tests until a verdict pleases is found out by the register of claims. Runs take a moment each."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from error_rates import at_most, say
from scipy import stats

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.jobs.judge import Outcome
from mlpbench.results import seal

COMPARED = {"metric": "test_accuracy", "a": {"width": 3}, "b": {"width": 2}, "expect": "greater"}
SPEC: dict[str, Any] = {
    "name": "w",
    "question": "Is it better?",
    "dataset": "digits",
    "fixed": {"steps": 1, "train_size": 20, "batch_size": 10},
    "factors": {"width": [2, 3]},
    "replicates": 6,
    "probes": [],
    "claims": [
        {"id": "better", "says": "It is.", "compare": COMPARED},
        {"id": "lower", "says": "It is.", "compare": COMPARED | {"metric": "test_loss", "expect": "less"}},
    ],
}


def run(tree: dict[str, Any], results: Path, **more: Any) -> Outcome:
    return mlpbench.run(tree, results=results, executor="inline", report=False, **more)


def standing(outcome: Outcome) -> list[tuple[int, bool]]:
    """Return for each claim the number of its seed, and whether it is exploratory."""
    rows = outcome.claims[["seed_number", "exploratory"]].itertuples(index=False)
    return [(int(number), bool(exploratory)) for number, exploratory in rows]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results that were looked at."""
    assert standing(run(SPEC, tmp_path)) == [(1, False), (1, False)]
    return tmp_path


def test_seeds_in_a_loop_and_in_renamed_folders_are_counted(results: Path) -> None:
    assert standing(run(SPEC, results, seed=1)) == [(2, False), (2, False)]
    assert standing(run(SPEC | {"name": "other"}, results, seed=2)) == [(3, False), (3, False)]
    assert standing(run(SPEC, results)) == [(1, False), (1, False)]


@pytest.mark.parametrize("fields", [{"margin": 0.001}, {"metric": "train_accuracy"}, {"expect": "less"}])
def test_a_claim_altered_after_a_look_is_exploratory(results: Path, fields: dict[str, Any]) -> None:
    tree = copy.deepcopy(SPEC)
    tree["claims"][0]["compare"] |= fields
    assert standing(run(tree, results)) == [(1, True), (1, False)]


def test_a_dropped_claim_stays_in_the_family(results: Path) -> None:
    p = mlpbench.load(results / "w").claims["p"].to_list()[0]
    alone = run(SPEC | {"claims": SPEC["claims"][:1]}, results)
    assert alone.claims["p_holm"].to_list() == [min(1.0, 2 * p)]


@pytest.mark.parametrize("how", ["removed", "cut", "longer"])
def test_a_register_that_was_altered_is_named(results: Path, how: str) -> None:
    path = results / "w" / seal.REGISTER
    content = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(content[:-1] if how == "cut" else content + b" ")
    with pytest.raises(InputError, match=seal.REGISTER):
        mlpbench.load(results / "w")


def test_a_copy_is_one_look_and_a_renamed_one_with_more_replicates_exploratory(results: Path) -> None:
    shutil.copytree(results / "w", results / "clone" / "w")
    assert standing(mlpbench.load(results / "clone" / "w")) == [(1, False), (1, False)]
    assert standing(run(SPEC | {"name": "again", "replicates": 7}, results)) == [(1, True), (1, True)]


@pytest.mark.parametrize("repeats", [2_000, pytest.param(40_000, marks=pytest.mark.prove)])
def test_the_best_of_twenty_seeds_is_false_in_at_most_five_percent(repeats: int) -> None:
    p = np.asarray(stats.ttest_1samp(np.random.default_rng(16).normal(size=(repeats, 20, 5)), 0, axis=2).pvalue)
    before = int(np.any(p <= ALPHA, axis=1).sum())
    say("20 seeds, 5% each", before, repeats)
    levels = np.array([seed_level(j) for j in range(1, 21)])
    at_most("20 seeds, at the level of each", int(np.any(p <= levels, axis=1).sum()), repeats)
    assert before > 0.58 * repeats
