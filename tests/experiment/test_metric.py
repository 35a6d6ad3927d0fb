"""Metrics and the catalogue: what is known by name, and what is said of a name that is not."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from drawn_specs import spec

from mlpbench.base.errors import InputError
from mlpbench.data.data_sets import DATA_SETS, lookup
from mlpbench.data.dataset import Dataset
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.experiment.claims.metric_checks import span_of
from mlpbench.experiment.grid import conditions
from mlpbench.experiment.metrics.metric import METRICS, metric


def test_every_metric_goes_by_its_own_name() -> None:
    for name, measured in METRICS.items():
        assert metric(name) is measured
        assert measured.name == name
        assert measured.meaning
        assert measured.unit


def test_accuracies_are_better_higher_and_losses_lower_and_nothing_else_has_their_margin() -> None:
    accuracies = {f"{s}_accuracy" for s in ("train", "val", "test", "constant")}
    accuracies |= {f"test_{s}_accuracy" for s in ("balanced", "top_3", "top_5")}
    others = {"test_macro_f1", "test_roc_auc", "test_r2"}
    assert {m.name for m in METRICS.values() if m.better == "higher"} == accuracies | others
    assert {m.name for m in METRICS.values() if m.is_accuracy} == accuracies | {"gap_accuracy"}
    assert all(m.better == "lower" for m in METRICS.values() if m.name.endswith("_loss"))
    assert all(m.limits == (0, 1) for m in METRICS.values() if m.name in accuracies | {"test_ece", "test_roc_auc"})


@pytest.mark.parametrize("threshold", ["0.5", "1", ".45", "0.001", "12.75"])
def test_steps_to_a_loss_exist_for_every_loss(threshold: str) -> None:
    measured = metric(f"steps_to_train_loss_{threshold}")
    assert (measured.name, measured.unit, measured.better) == (f"steps_to_train_loss_{threshold}", "steps", "lower")
    assert threshold in measured.meaning
    assert not measured.is_accuracy


@pytest.mark.parametrize("name", ["steps_to_train_loss_", "steps_to_train_loss_x", "steps_to_train_loss_1e-3", "steps_to_train_loss_-1", "steps_to_train_loss_0.5\n", "xsteps_to_train_loss_0.5", "steps_to_test_loss_0.5", ""])  # fmt: skip
def test_a_threshold_is_a_plain_number(name: str) -> None:
    with pytest.raises(ValueError, match=r"metric must be one of train_loss, .* or steps_to_train_loss_X, got "):
        metric(name)


def test_a_near_metric_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"got 'test_acuracy'; did you mean 'test_accuracy'\?$"):
        metric("test_acuracy")


def test_a_data_set_that_is_not_named_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        InputError,
        match=r"must be a name of `mlpbench data list`, got 'fashion-mnist'; did you mean 'fashion_mnist'\?$",
    ):
        lookup("fashion-mnist")
    with pytest.raises(InputError, match=r"got 'xyzzy'$"):
        lookup("xyzzy")


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_knows_the_data_before_they_are_there(name: str) -> None:
    data = CATALOGUE[name]
    assert lookup(name) is data
    assert data.facts.name == name
    assert len(set(data.class_names)) == len(data.class_names) == data.facts.n_outputs <= 256
    assert all(len(bytes.fromhex(c)) == hashlib.sha256().digest_size for c in data.files.values())
    assert data.home.startswith("http")
    assert data.megabytes > 0


def test_what_the_catalogue_knows_is_so(fashion: Dataset) -> None:
    facts = lookup("fashion_mnist").facts
    assert fashion.x_train.shape == (facts.n_train, facts.n_features)
    assert fashion.x_test.shape == (facts.n_test, facts.n_features)
    assert np.array_equal(np.unique(fashion.y_train), np.arange(facts.n_outputs))


@pytest.mark.parametrize(("given", "near"), [("emnist", "emnist_balanced"), ("cifar", "cifar10"), ("kmist", "kmnist")])
def test_a_name_that_begins_another_is_nearest_to_it(given: str, near: str) -> None:
    with pytest.raises(InputError, match=f"got '{given}'; did you mean '{near}'\\?$"):
        lookup(given)


def test_a_fingerprint_is_of_all_files_in_any_order() -> None:
    data = CATALOGUE["fashion_mnist"]
    fingerprint = data.facts.fingerprint
    assert replace(data, files=dict(reversed(list(data.files.items())))).facts.fingerprint == fingerprint
    for name in data.files:
        assert replace(data, files={**data.files, name: "0" * 64}).facts.fingerprint != fingerprint
    assert replace(data, title="Another title").facts.fingerprint == fingerprint
    assert replace(data, recipe="upright").facts.fingerprint != fingerprint


def test_every_fingerprint_is_of_one_data_set() -> None:
    assert len({data.facts.fingerprint for data in DATA_SETS.values()}) == len(DATA_SETS)


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("test_accuracy", (0, 1)),
        ("shift_accuracy[contrast,1]", (0, 1)),
        ("late_gap_accuracy", (-1, 1)),
        ("split_excess_accuracy", (-1, 1)),
        ("regret_accuracy", (0, 1)),
        ("test_loss", (0, math.inf)),
        ("gap_loss", (-math.inf, math.inf)),
        ("split_excess_loss", (-math.inf, math.inf)),
        ("test_brier", (0, 2)),
        ("log10_test_brier", (-math.inf, math.log10(2))),
        ("log10_test_loss", (-math.inf, math.inf)),
        ("test_r2", (-math.inf, 1)),
        ("act_mean[1]", (-math.inf, math.inf)),
        ("act_saturated[1]", (0, 1)),
        ("grad_norm[1,start]", (0, math.inf)),
        ("test_hits@3f2a9c0b71de", (-math.inf, math.inf)),
        ("steps_to_train_loss_0.5", (0, math.inf)),
    ],
)
def test_the_span_of_a_metric_has_every_value_that_it_may_have(name: str, span: tuple[float, float]) -> None:
    assert metric(name).span == span


def test_a_loss_of_a_plugin_may_have_any_value() -> None:
    condition = conditions(spec(factors={"width": [8]}))[0]
    own = replace(condition, settings=replace(condition.settings, loss="mine@3f2a9c0b71de"))
    assert span_of("test_loss", [condition]) == (0, math.inf)
    assert span_of("test_loss", [condition, own]) == (-math.inf, math.inf)
    assert span_of("test_log_loss", [own])[0] == 0
    assert span_of("test_accuracy", [own]) == (0, 1)
