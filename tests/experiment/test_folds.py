"""Roles and folds in the grid: what is trained on what, under which identity, in which stack; what a file may not say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from drawn_specs import spec
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.data.dataset import fold_of
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.yaml_source import Source
from mlpbench.experiment.plan import plan, signature
from mlpbench.experiment.spec import Experiment

SMALL = {"train_size": 1000, "epochs": 2, "batch_size": 64}


def ids(experiment: Experiment) -> list[str]:
    return [r.run_id for r in grid.runs(experiment)]


@given(
    n=st.integers(2, 300),
    folds=st.integers(2, 12),
    classes=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    numbers=st.booleans(),
)
def test_folds_partition_the_examples_evenly_and_so_each_class(
    n: int, folds: int, classes: int, seed: int, numbers: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=n).astype(np.float32) if numbers else rng.integers(classes, size=n).astype(np.uint8)
    found = fold_of(labels, rng.permutation(n), folds)
    assert [int((found == fold).sum()) for fold in range(folds)] == [grid.fold_size(n, folds, f) for f in range(folds)]
    if not numbers:
        for label in range(classes):
            counts = [int((found[labels == label] == fold).sum()) for fold in range(folds)]
            assert max(counts) - min(counts) <= 1


def test_folds_of_numbers_do_not_depend_on_the_numbers() -> None:
    order = np.random.default_rng(0).permutation(50)
    found = [fold_of(np.random.default_rng(i).normal(size=50).astype(np.float32), order, 5) for i in range(2)]
    assert np.array_equal(found[0], found[1])
    assert len(set(found[0][:5].tolist())) > 1


def test_a_run_of_a_nuisance_level_is_the_run_of_a_factor_level_or_of_a_fixed_setting() -> None:
    share: dict[str, Any] = {"validation": 0.1, "replicates": 2}
    tuned = spec(**share, factors={"width": [8, 16]}, nuisance={"lr": [0.1, 0.3]})
    crossed = spec(**share, factors={"width": [8, 16], "lr": [0.1, 0.3]})
    fixed = [i for w in (8, 16) for lr in (0.1, 0.3) for i in ids(spec(**share, fixed={"width": w, "lr": lr}))]
    assert ids(tuned) == ids(crossed) == fixed
    assert len(set(fixed)) == 8


def test_a_refit_is_the_plain_run_without_validation() -> None:
    plain = spec(fixed=SMALL, replicates=2)
    folded = spec(fixed=SMALL, replicates=2, validation={"folds": 3})
    refits = [r for r in grid.runs(folded) if r.fold is None]
    assert [r.run_id for r in refits] == ids(plain)
    assert [r.settings for r in refits] == [r.settings for r in grid.runs(plain)]


def test_folds_have_identities_of_their_own_which_know_fold_and_number_of_folds() -> None:
    found = [ids(spec(fixed=SMALL, replicates=2, validation={"folds": k})) for k in (2, 4, 5)]
    refits = set(ids(spec(fixed=SMALL, replicates=2)))
    of_folds = [set(i) - refits for i in found]
    assert [len(i) for i in of_folds] == [4, 8, 10]
    assert not of_folds[0] & of_folds[1]
    assert not of_folds[1] & of_folds[2]
    # Half of the examples held out as a share is not fold 0 of 2.
    assert not of_folds[0] & set(ids(spec(fixed=SMALL, replicates=2, validation=0.5)))


def test_runs_stand_replicate_by_replicate_folds_first() -> None:
    experiment = spec(fixed=SMALL, factors={"width": [8, 16]}, replicates=2, validation={"folds": 3})
    runs = grid.runs(experiment)
    assert [(r.condition.levels["width"], r.replicate, r.fold) for r in runs] == [
        (w, r, f) for w in (8, 16) for r in (0, 1) for f in (0, 1, 2, None)
    ]
    assert ids(experiment) == grid.all_run_ids(experiment)
    assert len(runs) == grid.count_runs(experiment)


def test_folds_of_one_size_stand_in_one_stack_and_those_of_another_or_refits_do_not() -> None:
    """1,000 examples in 3 folds: one of 334 and two of 333; steps follow from what is left to fit."""
    runs = grid.runs(spec(fixed=SMALL | {"batch_size": 333}, replicates=4, validation={"folds": 3}))
    sizes = Counter((r.fold, r.settings.n_validation, r.settings.n_fit, r.settings.steps) for r in runs)
    assert sizes == {(0, 334, 666, 4): 4, (1, 333, 667, 6): 4, (2, 333, 667, 6): 4, (None, 0, 1000, 8): 4}
    # At 11 steps an epoch either way, sizes alone tell them apart.
    for members in (runs, grid.runs(spec(fixed=SMALL, validation={"folds": 3}))):
        assert len({signature(r.settings) for r in members}) == 3
    experiment = spec(fixed=SMALL, replicates=2, validation={"folds": 5})
    stacks = plan(grid.runs(experiment), workers=1, memory=2**33)
    held = [{r.fold for r in s.runs} for s in stacks]
    assert all(folds == {None} or None not in folds for folds in held)
    assert any(len(folds) > 1 for folds in held)


def test_replicates_of_a_top_up_are_the_same_runs_as_if_planned_at_once() -> None:
    claim = {"id": "c", "says": "c", "bound": {"metric": "test_accuracy", "above": 0.5}}
    declared = spec(fixed=SMALL, replicates=3, claims=[claim], until_decided={"max_replicates": 7})
    assert ids(declared) == ids(spec(fixed=SMALL, replicates=7))


COMPARED = [
    {
        "id": "c",
        "says": "c",
        "compare": {"metric": "test_accuracy", "a": {"lr": 0.1}, "b": {"lr": 0.3}, "expect": "less"},
    }
]
BOUND = [{"id": "c", "says": "c", "bound": {"metric": "test_accuracy", "above": 0.5}}]
ALL_AT_ONCE: dict[str, Any] = {"claims": BOUND, "replicates": 3}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no validation": ({"nuisance": {"lr": [0.1, 0.3]}}, "nuisance settings are tuned on validation"),
    "two roles": (
        {"nuisance": {"lr": [0.1, 0.3]}, "fixed": {"lr": 1}, "validation": 0.1},
        "a setting has one role, but lr stands under fixed and nuisance",
    ),
    "two roles, a factor": (
        {"nuisance": {"lr": [0.1, 0.3]}, "factors": {"lr": [1, 2]}, "validation": 0.1},
        "a setting has one role, but lr stands under factors and nuisance",
    ),
    "a level twice": ({"nuisance": {"lr": [0.1, 0.1]}, "validation": 0.1}, "the levels of a factor must differ"),
    "no list": ({"nuisance": {"lr": 0.1}, "validation": 0.1}, "the levels of nuisance setting lr must be a list"),
    "no setting": ({"nuisance": {"lrr": [0.1]}, "validation": 0.1}, "did you mean 'lr'?"),
    "claimed": (
        {"nuisance": {"lr": [0.1, 0.3]}, "validation": 0.1, "claims": COMPARED},
        "lr is a nuisance setting, tuned for each condition",
    ),
    "one fold": ({"validation": {"folds": 1}}, "folds must be a whole number of at least 2, got 1"),
    "true folds": ({"validation": {"folds": True}}, "folds must be a whole number of at least 2, got true"),
    "misspelt": ({"validation": {"fold": 5}}, "unknown key 'fold'"),
    "too many folds": ({"validation": {"folds": 11}, "fixed": {"train_size": 10}}, "folds must be at most train_size"),
    "folds alone": ({"folds": 5}, "unknown key 'folds'"),
    "no more": (
        ALL_AT_ONCE | {"until_decided": {"max_replicates": 3}},
        "max_replicates must be above replicates, 3, got 3",
    ),
    "no claims": ({"until_decided": {"max_replicates": 30}}, "until_decided needs claims to decide"),
    "one replicate": (
        ALL_AT_ONCE | {"replicates": 1, "until_decided": {"max_replicates": 30}},
        "until_decided needs 2 replicates or more at the first interim analysis, got 1",
    ),
    "unknown": (ALL_AT_ONCE | {"until_decided": {"max": 30}}, "unknown key 'max'"),
    "no number": (ALL_AT_ONCE | {"until_decided": {"max_replicates": "many"}}, "max_replicates must be a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_file_may_not_say(name: str) -> None:
    keys, said = WRONG[name]
    with pytest.raises(InputError) as raised:
        spec(**keys)
    assert said in str(raised.value)


def test_a_dump_is_read_as_the_same_experiment() -> None:
    experiment = spec(
        factors={"width": [8, 16]},
        nuisance={"lr": [0.1, 0.3], "init": ["he_normal", {"normal": 0.1}]},
        validation={"folds": 4},
        replicates=3,
        until_decided={"max_replicates": 12},
        claims=BOUND,
    )
    again = yaml_reader.from_mapping(Source("dump", yaml_reader.dump(experiment)).tree())
    assert again == experiment.model_copy(update={"fixed": again.fixed})
    assert ids(again) == ids(experiment)


def test_overrides_keep_a_nuisance_setting_with_a_list_and_fix_it_with_a_value() -> None:
    tree = {"name": "x", "question": "?", "dataset": "fashion_mnist", "validation": 0.1, "nuisance": {"lr": [0.1, 0.3]}}
    listed = yaml_reader.from_mapping(tree, ["lr=[1, 2, 3]"])
    assert (listed.nuisance, listed.factors) == ({"lr": (1.0, 2.0, 3.0)}, {})
    one = yaml_reader.from_mapping(tree, ["lr=0.5"])
    assert (one.nuisance, one.fixed) == ({}, {"lr": 0.5})
    folds = yaml_reader.from_mapping(tree, ["validation={folds: 3}"])
    assert (folds.validation, folds.folds) == (None, 3)
