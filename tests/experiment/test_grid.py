"""The grid: a run is what its bits depend on, however the file says it; nothing else changes its identity."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from drawn_specs import PLAIN, made, spec, trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_runs import make_run

from mlpbench.base.errors import InputError
from mlpbench.base.models import STREAMS
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run, conditions, runs
from mlpbench.experiment.settings import SETTINGS


def ids(**keys: Any) -> list[str]:
    return [r.run_id for r in runs(spec(**keys))]


def only(**keys: Any) -> Run:
    (run,) = runs(spec(replicates=1, **keys))
    return run


def fixed(**values: Any) -> str:
    return only(fixed=values).run_id


@pytest.mark.parametrize(
    "spellings",
    [
        [{}, {"width": 256}, {"width": 256, "depth": 1}, {"hidden_sizes": [256]}],
        [{"width": 8, "depth": 2}, {"hidden_sizes": [8, 8]}],
        [{"depth": 0}, {"hidden_sizes": []}, {"depth": 0, "width": 8}, {"depth": 0, "activation": "tanh"}],
        [{"init": {"normal": 0.01}}, {"init": "normal(0.01)"}, {"init": "normal(1e-2)"}, {}],
        [{"activation": "leaky_relu"}, {"activation": {"leaky_relu": 0.01}}],
        [{}, {"epochs": 10}, {"steps": 2350}],
        [{"train_size": 1000, "epochs": 3, "batch_size": 300}, {"train_size": 1000, "steps": 12, "batch_size": 300}],
        [{}, {"train_size": "all"}, {"train_size": 60_000}],
        [{"batch_size": "full"}, {"batch_size": 60_000}, {"batch_size": 70_000}],
        [{"train_size": 100, "batch_size": "full"}, {"train_size": 100, "batch_size": 100}, {"train_size": 100}],
        [{"dropout": 0.5}, {"dropout": [0.5]}],
        [{"dropout": 0}, {"dropout": [-0.0]}, {}],
        [{"lr": 1}, {"lr": 1.0}],
        [{}, {"loss": "cross_entropy"}],
        [{}, {"clip_norm": None}, {"clip_norm": "none"}],
        [{"clip_norm": 1}, {"clip_norm": 1.0}],
        [{}, {"schedule": "constant"}, {"norm": "none"}, {"label_noise": 0}, {"label_smoothing": 0}, {"input_noise": -0.0}, {"l1": 0}],
        [{"optimizer": "momentum"}, {"optimizer": {"momentum": 0.9}}, {"optimizer": "momentum(0.9)"}, {"optimizer": {"sgd": {"momentum": 0.9}}}],
        [{"optimizer": "adam"}, {"optimizer": {"adam": {}}}, {"optimizer": {"adam": {"betas": [0.9, 0.999], "eps": 1e-8}}}],
        [{"optimizer": {"adam": {"betas": [0.9, 0.98]}}}, {"optimizer": "adam(0.9,0.98,1e-08)"}],
        [{"schedule": {"step": {"every": 5, "factor": 1}}}, {"schedule": {"step": {"factor": 1.0, "every": 5}}}, {"schedule": "step(5,1)"}],
        [{"schedule": {"warmup": 5}}, {"schedule": "warmup(5)"}],
        [{"depth": 0}, {"depth": 0, "norm": "batch"}],
        [{"class_weights": {"Coat": 2, "Bag": 0.5}}, {"class_weights": {"Bag": 0.5, "Coat": 2.0}}, {"class_weights": '{"Coat": 2, "Bag": 0.5}'}],
        [{}, {"class_weights": "none"}],
        [{}, {"bias": True}, {"residual": False}, {"parametrization": "standard"}, {"residual": True}],
        [{"bias": False}, {"bias": False, "bias_init": "default", "decay_bias": True}],
        [{"hidden_sizes": [8, 4]}, {"hidden_sizes": [8, 4], "residual": True}],
        [{"depth": 0}, {"depth": 0, "parametrization": "mup", "residual": True}],
        [{"parametrization": "mup"}, {"parametrization": {"mup": 64}}, {"parametrization": "mup(64)"}],
    ],
)  # fmt: skip
def test_spellings_of_one_run_are_one_run(spellings: list[dict[str, Any]]) -> None:
    assert len({fixed(**s) for s in spellings}) == 1


# Each setting at two values, beside what makes the setting matter: the identity must tell them apart.
CHANGES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "hidden_sizes": ([8, 4], [4, 8], {}),
    "width": (8, 9, {}),
    "depth": (1, 2, {}),
    "activation": ({"leaky_relu": 0.01}, {"leaky_relu": 0.02}, {}),
    "init": ({"normal": 0.01}, {"normal": 0.02}, {}),
    "bias_init": ("zeros", {"constant": 1}, {}),
    "dropout": ([0.2, 0.5], [0.5, 0.2], {"depth": 2}),
    "input_noise": (0, 1e-9, {}),
    "l1": (0, 1e-9, {}),
    "optimizer": ({"momentum": 0.9}, {"nesterov": 0.9}, {}),
    "schedule": ({"step": {"every": 5, "factor": 0.5}}, {"step": {"every": 6, "factor": 0.5}}, {}),
    "label_noise": (0, 1e-9, {}),
    "norm": ("layer", "batch", {}),
    "clip_norm": (None, 1e9, {}),
    "weight_decay": (0, 1e-9, {}),
    "decay_bias": (False, True, {"weight_decay": 0.1}),
    "lr": (0.1, 0.1000000001, {}),
    "batch_size": (256, 255, {"steps": 10}),
    "epochs": (1, 2, {}),
    "steps": (10, 11, {}),
    "train_size": (1000, 1001, {"steps": 3, "batch_size": 10}),
    "loss": ("cross_entropy", "squared_error", {}),
    "precision": ("float32", "float64", {}),
    "features": (100, 101, {}),
    "input_scale": (1, 1.0000000001, {}),
    "conv_channels": ([], [1], {}),
    "pooling": ("max", "average", {"conv_channels": [1]}),
    "train_shift": ({"label": 1}, {"label": 1.0000000001}, {"train_size": 1000}),
    "weighting": ("exact", "bbse", {"train_size": 1000, "train_shift": {"label": 1}}),
    "label_smoothing": (0.1, 0.1000000001, {}),
    "bias": (True, False, {}),
    "residual": (True, False, {"depth": 2}),
    "parametrization": ({"mup": 64}, {"mup": 65}, {}),
    "class_weights": ({"Coat": 2}, {"Coat": 2.0000000001}, {}),
    "early_stopping": (3, {"patience": 3, "min_delta": 1e-9}, {}),
}


def test_every_setting_is_known_to_matter() -> None:
    assert set(CHANGES) == set(SETTINGS)


@pytest.mark.parametrize("name", CHANGES)
def test_an_identity_depends_on_every_setting(name: str) -> None:
    one, other, beside = CHANGES[name]
    keys = {"validation": 0.1} if name == "early_stopping" else {}
    assert only(**keys, fixed=beside | {name: one}).run_id != only(**keys, fixed=beside | {name: other}).run_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"optimizer": {"momentum": 0.9}}, {"optimizer": {"momentum": 0.8}}),
        ({"optimizer": "adam"}, {"optimizer": "adamw"}),
        ({"optimizer": "adam"}, {"optimizer": {"adam": {"eps": 1.0000000001e-8}}}),
        ({"optimizer": {"adam": {"betas": [0.9, 0.98]}}}, {"optimizer": {"adam": {"betas": [0.98, 0.9]}}}),
        ({"optimizer": {"momentum": 0.9}}, {"optimizer": {"sgd": {"momentum": 0.9, "dampening": 0.1}}}),
        ({"optimizer": "sgd"}, {"optimizer": {"momentum": 0}}),
        ({"schedule": {"step": {"every": 5, "factor": 0.5}}}, {"schedule": {"step": {"every": 5, "factor": 0.25}}}),
        ({"schedule": {"warmup": 5}}, {"schedule": {"warmup": 6}}),
        ({"loss": "squared_error"}, {"loss": "mse"}),
        ({"activation": "prelu"}, {"activation": {"leaky_relu": 0.25}}),
    ],
)
def test_an_identity_depends_on_words_and_their_parameters(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert fixed(**one) != fixed(**other)


def test_an_identity_does_not_depend_on_when_layers_are_measured() -> None:
    assert only(probes=[0, 1, "end"]).run_id == only(probes=[]).run_id == only().run_id


def test_an_identity_depends_on_seed_validation_and_replicate() -> None:
    made_by = [only().run_id, only(seed=1).run_id, only(validation=0.1).run_id, only(validation=0.2).run_id, ids()[1]]
    assert len(set(made_by)) == len(made_by)


def test_an_identity_depends_on_the_data_and_on_the_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    before = only().run_id
    data = CATALOGUE["fashion_mnist"]
    for name in data.files:
        changed = replace(data, files={**data.files, name: "0" * 64})
        monkeypatch.setitem(DATA_SETS, "fashion_mnist", changed)
        assert only().run_id != before
    monkeypatch.setitem(DATA_SETS, "fashion_mnist", data)
    assert only().run_id == before
    monkeypatch.setattr(grid, "NUMERICS_VERSION", grid.NUMERICS_VERSION + 1)
    assert only().run_id != before


def test_a_run_id_is_the_hash_that_it_was() -> None:
    """Written out by hand: a change of this changes every stored identity, and must be meant."""
    files = CATALOGUE["fashion_mnist"].files
    lines = [*sorted(f"{name}:{checksum}" for name, checksum in files.items()), "uint8/255"]
    resolved = {
        "hidden_sizes": [64, 64], "activation": "leaky_relu(0.2)", "init": "normal(0.01)", "bias_init": "zeros",
        "dropout": [0.5, 0.5], "input_noise": 0.1, "weight_decay": 0.001, "decay_bias": False, "l1": 0.0,
        "optimizer": "nesterov(0.9)", "lr": 0.1, "schedule": "step(50,0.5)", "batch_size": 256, "steps": 3 * 211,
        "train_size": 60_000, "validation": 0.1, "loss": "cross_entropy", "label_noise": 0.0, "norm": "none",
        "clip_norm": None, "precision": "float32",
    }  # fmt: skip
    data = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    whole = {
        "settings": resolved, "data": data, "seed": 7, "fold": None, "numerics": 1,
        "streams": {"init": 3, "order": 3, "dropout": 0, "split": 0, "noise": 0},
    }  # fmt: skip
    hashes = [
        hashlib.sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        for part in (whole, {"settings": resolved, "data": data})
    ]
    given = {
        "width": 64,
        "depth": 2,
        "activation": {"leaky_relu": 0.2},
        "dropout": 0.5,
        "weight_decay": 1e-3,
        "epochs": 3,
        "input_noise": 0.1,
        "optimizer": "nesterov",
        "schedule": {"step": {"factor": 0.5, "every": 50}},
    }
    experiment = spec(fixed=given, validation=0.1, seed=7, vary=["order", "init"], replicates=4)
    run = runs(experiment)[3]
    assert (run.run_id, run.condition.condition_id) == (hashes[0][:16], hashes[1][:12])


def test_identities_are_the_same_in_every_process() -> None:
    program = (
        "from mlpbench.experiment import grid\nfrom mlpbench.experiment.file import yaml_reader\n"
        f"e = yaml_reader.from_mapping({PLAIN | {'factors': {'activation': ['relu', 'tanh'], 'lr': [0.1, 1]}}!r})\n"
        "print([r.run_id for r in grid.runs(e)])"
    )
    here = str([r.run_id for r in runs(spec(factors={"activation": ["relu", "tanh"], "lr": [0.1, 1]}))])
    for seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )  # fmt: skip
        assert done.stdout.strip() == here


@pytest.mark.slow
@given(tree=trees(), data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_name_question_claims_and_the_order_of_keys_are_no_part_of_an_identity(
    tree: dict[str, Any], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(tree.items()))))
    if "fixed" in tree:
        shuffled["fixed"] = dict(data.draw(st.permutations(list(tree["fixed"].items()))))
    other = shuffled | {"name": "other", "question": "Another?", "claims": []}
    assert [r.run_id for r in runs(made(other))] == [r.run_id for r in runs(made(tree))]


@given(tree=trees(claims=False))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_runs_are_told_apart_by_identity_and_conditions_too(tree: dict[str, Any]) -> None:
    experiment = made(tree)
    grid_of = conditions(experiment)
    assert len({c.condition_id for c in grid_of}) == len(grid_of)
    all_runs = runs(experiment)
    assert len(all_runs) == len(grid_of) * experiment.replicates == len({r.run_id for r in all_runs})
    assert [(r.condition.condition_id, r.replicate) for r in all_runs] == [
        (c.condition_id, k) for c in grid_of for k in range(experiment.replicates)
    ]


def test_a_role_is_no_part_of_an_identity() -> None:
    one_by_one = [fixed(lr=lr, width=w) for lr, w in ((0.1, 8), (0.2, 16))]
    zipped = {"zip": {"lr": [0.1, 0.2], "width": [8, 16]}}
    listed = {"conditions": [{"label": "a", "lr": 0.1, "width": 8}, {"label": "b", "lr": 0.2, "width": 16}]}
    assert ids(replicates=1, factors=zipped) == ids(replicates=1, factors=listed) == one_by_one
    product = ids(replicates=1, factors={"lr": [0.1, 0.2], "width": [8, 16]})
    assert [product[0], product[3]] == one_by_one


def test_a_condition_is_the_same_whatever_it_is_called() -> None:
    named = spec(factors={"conditions": [{"label": "slow", "lr": 0.1}]})
    assert conditions(named)[0].condition_id == conditions(spec(fixed={"lr": 0.1}))[0].condition_id


def test_more_replicates_and_more_levels_add_runs_and_change_none() -> None:
    few, more = ids(replicates=2, factors={"lr": [0.1]}), ids(replicates=4, factors={"lr": [0.2, 0.1]})
    assert more[4:6] == few
    assert len(set(more)) == 8


def test_conditions_stand_in_the_order_of_the_file_first_factor_slowest() -> None:
    factors = {
        "width": [16, 8],
        "zip": {"lr": [0.2, 0.1], "epochs": [1, 2]},
        "loss": ["squared_error", "cross_entropy"],
    }
    seen = [
        (s.hidden_sizes[0], s.loss, s.lr, s.epochs) for s in (c.settings for c in conditions(spec(factors=factors)))
    ]
    expected = itertools.product((16, 8), ("squared_error", "cross_entropy"), ((0.2, 1), (0.1, 2)))
    assert seen == [(w, loss, *pair) for w, loss, pair in expected]


@pytest.mark.parametrize("n", range(len(STREAMS) + 1))
def test_streams_that_do_not_vary_stay_at_replicate_0(n: int) -> None:
    for varied in itertools.combinations(STREAMS, n):
        if not varied:
            assert only(vary=[]).streams == dict.fromkeys(STREAMS, 0)
            continue
        for replicate, run in enumerate(runs(spec(vary=list(varied), replicates=3))):
            assert run.replicate == replicate
            assert run.streams == {s: replicate if s in varied else 0 for s in STREAMS}


def test_replicate_0_is_the_same_run_whatever_varies() -> None:
    assert {ids(vary=list(v))[0] for n in range(1, 6) for v in itertools.combinations(STREAMS, n)} == {ids()[0]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"hidden_sizes": (256,), "width": 256, "depth": 1, "steps": 2350, "epochs": 10, "batch_size": 256}),
        ({"hidden_sizes": [8, 4]}, {"width": None, "depth": 2}),
        ({"depth": 0}, {"hidden_sizes": (), "width": None, "depth": 0, "activation": "identity", "dropout": ()}),
        ({"depth": 3, "dropout": 0.5}, {"dropout": (0.5, 0.5, 0.5)}),
        ({"train_size": 100, "batch_size": 30, "epochs": 2}, {"steps": 8, "batch_size": 30}),
        ({"train_size": 100, "batch_size": 30, "steps": 7}, {"steps": 7, "epochs": None}),
        ({"train_size": 100, "batch_size": "full", "epochs": 2}, {"steps": 2, "batch_size": 100}),
        ({"epochs": 0}, {"steps": 0, "epochs": 0}),
    ],
)  # fmt: skip
def test_settings_are_resolved_by_hand_numbers(given: dict[str, Any], expected: dict[str, Any]) -> None:
    resolved = only(fixed=given).settings
    assert {k: getattr(resolved, k) for k in expected} == expected


def test_validation_is_taken_from_the_training_examples() -> None:
    s = only(validation=0.25, fixed={"train_size": 1000, "batch_size": 100, "epochs": 1}).settings
    assert (s.n_validation, s.n_fit, s.steps_per_epoch, s.steps) == (250, 750, 8, 8)
    assert only(validation=0.25, fixed={"train_size": 1000, "batch_size": "full"}).settings.batch_size == 750


def test_layers_join_inputs_and_classes() -> None:
    facts = CATALOGUE["fashion_mnist"].facts
    assert only(fixed={"hidden_sizes": [8, 4]}).settings.layer_shapes(facts) == [(784, 8), (8, 4), (4, 10)]
    assert only(fixed={"depth": 0}).settings.layer_shapes(facts) == [(784, 10)]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"fixed": {"depth": 0}, "factors": {"width": [8, 16]}}, "neither has a hidden layer"),
        ({"fixed": {"depth": 0}, "factors": {"activation": ["relu", "tanh"]}}, "activation changes nothing there, as there is no hidden layer"),
        ({"fixed": {"bias": False}, "factors": {"bias_init": ["zeros", "default"]}}, "bias_init changes nothing there, as bias is false"),
        ({"factors": {"conditions": [{"label": "a"}, {"label": "b", "bias": True}]}}, "bias is true in both"),
        ({"factors": {"conditions": [{"label": "a", "width": 8}, {"label": "b", "hidden_sizes": [8]}]}}, r"hidden_sizes is \(8\) in both"),
        ({"factors": {"conditions": [{"label": "a", "epochs": 1}, {"label": "b", "steps": 235}]}}, "steps is 235 in both"),
        ({"factors": {"batch_size": ["full", 60_000]}}, "batch_size is 60000 in both"),
        ({"factors": {"train_size": ["all", 60_000]}}, "train_size is 60000 in both"),
        ({"factors": {"conditions": [{"label": "a", "lr": 1}, {"label": "b", "lr": 1.0}]}}, "their levels are the same"),
        ({"factors": {"zip": {"lr": [1, 1], "width": [8, 8]}}}, "their levels are the same"),
        ({"factors": {"dropout": [0.5, [0.5]]}}, r"dropout is \(0.5\) in both"),
        ({"factors": {"init": ["zeros"], "zip": {"lr": [2, 2]}}}, "their levels are the same"),
    ],
)  # fmt: skip
def test_two_conditions_that_are_one_run_are_refused_with_the_reason(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=f"conditions must differ, but '.+' and '.+' are the same run: {why}"):
        spec(**keys)


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"fixed": {"train_size": 60_001}}, r"^fixed\.train_size: train_size must be at most 60000, what fashion_mnist has, got 60001"),
        ({"factors": {"train_size": [10, 60_001]}}, r"^factors\.train_size\.1: .* got 60001"),
        ({"fixed": {"dropout": [0.5]}, "factors": {"depth": [1, 2]}}, r"^fixed\.dropout: .*one number per hidden layer, got 1 for 2: "),
        ({"fixed": {"train_size": 1}, "validation": 0.9}, r"^validation: validation must leave a training example of 1, got 0\.9"),
    ],
)  # fmt: skip
def test_levels_that_do_not_fit_are_refused(keys: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        spec(**keys)


def test_a_run_can_be_made_for_any_replicate() -> None:
    experiment = spec(replicates=1)
    (condition,) = conditions(experiment)
    assert make_run(experiment, condition, 4).run_id == ids(replicates=5)[4]


@pytest.mark.parametrize(
    ("setting", "level", "without", "used", "why"),
    [
        ("activation", "tanh", {"depth": 0}, {"depth": 1}, "tanh changes nothing here, as there is no hidden layer"),
        ("norm", "layer", {"depth": 0}, {"depth": 1}, "layer changes nothing here, as there is no hidden layer"),
        ("parametrization", {"mup": 8}, {"depth": 0}, {"depth": 1}, "mup(8) changes nothing here, as there is no hidden"),
        ("residual", True, {"hidden_sizes": [9, 5]}, {"hidden_sizes": [9, 9, 5]}, "no hidden layer has the width of the one"),
        ("residual", True, {"depth": 1}, {"depth": 2}, "no hidden layer has the width of the one before it"),
        ("decay_bias", True, {"bias": False}, {"weight_decay": 0.1}, "decay_bias: true changes nothing here, as bias is false"),
        ("decay_bias", True, {}, {"weight_decay": 0.1}, "decay_bias: true changes nothing here, as weight_decay is 0"),
        ("dropout", 0.5, {"depth": 0}, {"depth": 1}, "0.5 changes nothing here, as there is no hidden layer"),
        ("bias_init", {"constant": 0.1}, {"bias": False}, {}, "changes nothing here, as bias is false"),
    ],
)  # fmt: skip
def test_a_fixed_setting_that_changes_no_run_is_said_with_the_reason(
    setting: str, level: Any, without: dict[str, Any], used: dict[str, Any], why: str
) -> None:
    (said,) = unused(fixed={setting: level, **without})
    assert said.startswith(f"{setting}: ")
    assert why in said
    assert unused(fixed={setting: level, **used}) == []
    assert unused(fixed=without) == []


def test_a_setting_that_some_condition_uses_and_one_that_states_a_default_are_not_noted() -> None:
    assert unused(fixed={"residual": True}, factors={"depth": [0, 1, 2]}) == []
    assert unused(fixed={"activation": "relu", "depth": 0}) == []


def unused(**keys: Any) -> list[str]:
    experiment = spec(**keys)
    return grid.unused_settings(experiment, conditions(experiment))
