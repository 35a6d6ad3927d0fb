"""Stacked equals one at a time: every setting, against `torch.nn`, autograd and `torch.optim.SGD` (see reference.py).

Each row of `ROWS` is trained in two replicates, in one stack with all rows of its signature, so that neighbours differ in
everything that neighbours may differ in. A new setting, or a new level of one, needs a row: a test below says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from made_data import made, runs
from numpy.typing import ArrayLike
from reference import TOLERANCE, Measured, Trained, train
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.experiment.kinds import Word, parse_call
from mlpbench.experiment.plan import signature, training_flops
from mlpbench.experiment.settings import SETTINGS
from mlpbench.training.activations import ACTIVATIONS
from mlpbench.training.engine import StackRows, _Stack
from mlpbench.training.init import INITIALISERS
from mlpbench.training.losses import LOSSES

# More than one chunk of evaluation, a last chunk that is not full, and more than the curves' 10,000 examples.
MADE = made(n_train=12_300, n_test=1_234, features=19, classes=5)
BASE = {
    "hidden_sizes": [17, 9],
    "activation": "tanh",
    "init": {"normal": 0.3},
    "lr": 0.2,
    "batch_size": 64,
    "epochs": 2,
    "train_size": 300,
}


@dataclass(frozen=True)
class Row:
    """Settings beside `BASE`, and keys of the experiment beside its settings."""

    fixed: Mapping[str, Any]
    keys: Mapping[str, Any] = field(default_factory=dict)


def of_depth(depth: int, **more: Any) -> Row:
    return Row({"hidden_sizes": None, "width": 11, "depth": depth, "dropout": 0.3 if depth else 0.0, **more})


ROWS: dict[str, Row] = {
    "base": Row({}),
    "identity": Row({"activation": "identity"}),
    "relu": Row({"activation": "relu"}),
    "leaky_relu": Row({"activation": "leaky_relu"}),
    "leaky_relu 0.3": Row({"activation": {"leaky_relu": 0.3}}),
    "sigmoid": Row({"activation": "sigmoid"}),
    "tanh": Row({"activation": "tanh", "lr": 0.3}),
    "gelu": Row({"activation": "gelu"}),
    "silu": Row({"activation": "silu"}),
    "elu": Row({"activation": "elu"}),
    "normal": Row({"init": {"normal": 1.0}}),
    "default": Row({"init": "default"}),
    "xavier_uniform": Row({"init": "xavier_uniform"}),
    "xavier_normal": Row({"init": "xavier_normal"}),
    "he_uniform": Row({"init": "he_uniform"}),
    "he_normal": Row({"init": "he_normal"}),
    "orthogonal": Row({"init": "orthogonal"}),
    "constant": Row({"init": {"constant": 0.1}}),
    "zeros": Row({"init": "zeros"}),
    "bias normal": Row({"bias_init": {"normal": 0.5}}),
    "bias default": Row({"bias_init": "default"}),
    "bias xavier_uniform": Row({"bias_init": "xavier_uniform"}),
    "bias xavier_normal": Row({"bias_init": "xavier_normal"}),
    "bias he_uniform": Row({"bias_init": "he_uniform"}),
    "bias he_normal": Row({"bias_init": "he_normal"}),
    "bias constant": Row({"bias_init": {"constant": -0.2}}),
    "bias zeros": Row({"bias_init": "zeros", "lr": 0.15}),
    "dropout 0": Row({"dropout": 0, "lr": 0.25}),
    "dropout 0.5": Row({"dropout": 0.5}),
    "dropout 1": Row({"dropout": 1}),
    "dropout per layer": Row({"dropout": [0.2, 0.5], "activation": "relu"}),
    "dropout in the second layer only": Row({"dropout": [0, 0.5], "activation": "gelu"}),
    "dropout 1 in the first layer only": Row({"dropout": [1, 0.1], "activation": "elu", "bias_init": "default"}),
    "weight decay": Row({"weight_decay": 0.3, "bias_init": {"normal": 1.0}}),
    "weight decay, biases too": Row({"weight_decay": 0.3, "decay_bias": True, "bias_init": {"normal": 1.0}}),
    "biases would decay, if anything did": Row({"decay_bias": True, "bias_init": {"normal": 1.0}}),
    "weight decay beyond 1 / lr": Row({"weight_decay": 7.0}),
    "lr": Row({"lr": 0.003}),
    "optimizer": Row({"optimizer": "sgd", "lr": 0.7}),
    "squared error": Row({"loss": "squared_error", "lr": 0.05}),
    "squared error, relu, dropout": Row(
        {"loss": "squared_error", "lr": 0.05, "activation": "relu", "dropout": [0.2, 0.5], "weight_decay": 0.01}
    ),
    "cross-entropy": Row({"loss": "cross_entropy", "lr": 0.22}),
    "depth 0": of_depth(0),
    "depth 0, squared error, decay": of_depth(0, loss="squared_error", lr=0.05, weight_decay=0.1),
    "depth 1": of_depth(1),
    "depth 2": of_depth(2),
    "depth 3": of_depth(3, activation="relu", init="he_normal"),
    "depth 4": of_depth(4, activation="silu", init="xavier_normal"),
    "hidden sizes": Row({"hidden_sizes": [3, 40, 1]}),
    "width": of_depth(1, width=1),
    "batch of 1": Row({"batch_size": 1, "epochs": 1, "train_size": 40}),
    "full batch": Row({"batch_size": "full", "epochs": 4}),
    "batch beyond the data": Row({"batch_size": 512, "epochs": 3}),
    "whole batches only": Row({"batch_size": 60}),
    "last batch of 1": Row({"batch_size": 23}),
    "0 epochs": Row({"epochs": 0}),
    "3 epochs": Row({"epochs": 3, "dropout": 0.2}),
    "fewer steps than an epoch": Row({"epochs": None, "steps": 3}),
    "an epoch and some steps": Row({"epochs": None, "steps": 7, "dropout": 0.2}),
    "all examples": Row({"train_size": "all", "batch_size": 1000, "epochs": 2}),
    "validation": Row({}, {"validation": 0.15}),
    "validation of all examples": Row({"train_size": "all", "batch_size": 1000, "epochs": 1}, {"validation": 0.1}),
    "another seed": Row({}, {"seed": 7}),
    "only init varies": Row({"dropout": 0.3}, {"vary": ["init"]}),
    "only order varies": Row({"dropout": 0.3}, {"vary": ["order"]}),
    "only dropout varies": Row({"dropout": 0.3}, {"vary": ["dropout"]}),
    "only split varies": Row({"dropout": 0.3}, {"vary": ["split"]}),
}
# Every row is trained in each precision.
CASES = [pytest.param(name, p, id=f"{name}-{p}") for name in ROWS for p in TOLERANCE]


@functools.cache
def runs_of(name: str, precision: str) -> tuple[Run, ...]:
    row = ROWS[name]
    fixed = {k: v for k, v in {**BASE, "precision": precision, **row.fixed}.items() if v is not None}
    return tuple(runs(MADE, fixed, replicates=2, **row.keys))


@dataclass(frozen=True)
class Stacked:
    """What the engine made of a stack."""

    rows: StackRows
    weights: Mapping[str, list[Tensor]]


@functools.cache
def stacked(wanted: tuple[Any, ...]) -> Stacked:
    """Train all rows of a signature in one stack."""
    members = {r.run_id: r for name in ROWS for p in TOLERANCE for r in runs_of(name, p)}
    company = [r for r in members.values() if signature(r.settings) == wanted]
    with torch.no_grad():
        stack = _Stack(company, MADE.data)
        rows = stack.train(lambda share: None)
        return Stacked(rows, {r.run_id: stack._parameters(i) for i, r in enumerate(stack.runs[: len(company)])})


@functools.cache
def oracle(name: str, precision: str, replicate: int) -> Trained:
    return train(runs_of(name, precision)[replicate], MADE.dataset)


def assert_close(got: ArrayLike, expected: ArrayLike, precision: str) -> None:
    """Compare relative to the largest number: single small numbers carry the rounding of the large ones."""
    a, b = np.asarray(got, float), np.asarray(expected, float)
    assert a.shape == b.shape
    assert np.isfinite(b).all()
    worst = np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)
    assert worst < TOLERANCE[precision], f"off by {worst:.2g} of the largest number"


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_stacked_equals_one_at_a_time(name: str, precision: str) -> None:
    for replicate, run in enumerate(runs_of(name, precision)):
        expected = oracle(name, precision, replicate)
        made_of = stacked(signature(run.settings))
        (row,) = [r for r in made_of.rows.runs if r["run_id"] == run.run_id]
        assert row["status"] == "ok"
        assert row["diverged"] == 0
        weights = made_of.weights[run.run_id]
        assert len(weights) == len(expected.parameters)
        for got, right in zip(weights, expected.parameters, strict=True):
            assert got.dtype == right.dtype == getattr(torch, precision)
            assert_close(got, right, precision)
        assert_curves(run, made_of.rows, expected, precision)
        assert_metrics(row, expected, precision)
        assert_predictions(run, made_of.rows, expected, precision)


def assert_curves(run: Run, rows: StackRows, expected: Trained, precision: str) -> None:
    points = {(r["step"], r["split"]): r for r in rows.curves if r["run_id"] == run.run_id}
    assert len(points) == sum(r["run_id"] == run.run_id for r in rows.curves)
    assert points.keys() == expected.curves.keys()
    for (step, part), measured in expected.curves.items():
        point = points[step, part]
        assert point["epoch"] == pytest.approx(step / run.settings.steps_per_epoch)
        assert_measured(point["loss"], point["accuracy"], measured, precision)


def assert_metrics(row: Mapping[str, Any], expected: Trained, precision: str) -> None:
    for part, measured in expected.metrics.items():
        assert_measured(row[f"{part}_loss"], row[f"{part}_accuracy"], measured, precision)
    assert ("val_loss" in row) == ("val" in expected.metrics)
    assert row["gap_loss"] == row["test_loss"] - row["train_loss"]
    assert row["gap_accuracy"] == row["train_accuracy"] - row["test_accuracy"]
    norm = math.sqrt(sum(float(w.double().square().sum()) for w in expected.parameters[::2]))
    assert_close(row["weight_norm"], norm, precision)
    assert row["n_parameters"] == sum(p.numel() for p in expected.model.parameters())


def assert_measured(loss: float, accuracy: float, expected: Measured, precision: str) -> None:
    assert_close(loss, expected.loss, precision)
    assert expected.least_accuracy - 1e-12 <= accuracy <= expected.most_accuracy + 1e-12


def assert_predictions(run: Run, rows: StackRows, expected: Trained, precision: str) -> None:
    (packed,) = [r["predicted"] for r in rows.predictions if r["run_id"] == run.run_id]
    got = torch.from_numpy(np.frombuffer(packed, np.uint8).astype(np.int64))
    z = expected.test_logits.double()
    assert got.shape == (len(z),)
    chosen, best = z.gather(1, got[:, None])[:, 0], z.amax(1)
    assert float((best - chosen).max()) <= TOLERANCE[precision] * max(float(z.abs().max()), 1e-3)


def levels_of(setting: str) -> set[str]:
    found = {getattr(r.settings, setting) for name in ROWS for r in runs_of(name, "float64")}
    return {parse_call(level)[0] for level in found}


def test_every_level_has_a_row() -> None:
    """A level that is added to a table fails here until it has its row above."""
    assert levels_of("activation") == set(ACTIVATIONS)
    assert levels_of("init") == set(INITIALISERS)
    assert levels_of("bias_init") == set(INITIALISERS) - {"orthogonal"}
    assert levels_of("loss") == set(LOSSES)
    for name, setting in SETTINGS.items():
        if isinstance(setting.kind, Word):
            tested = set(TOLERANCE) if name == "precision" else levels_of(name)
            assert tested == set(setting.kind.table), name


def test_every_setting_has_a_row() -> None:
    named = {key for row in ROWS.values() for key, value in row.fixed.items() if value is not None}
    assert named | {"precision"} == set(SETTINGS)


def test_rows_of_one_signature_stand_in_one_stack_and_differ() -> None:
    """The table would prove less if most rows stood alone, or were the same run."""
    largest = max(
        (stacked(signature(r.settings)).rows.runs for r in runs_of("base", "float64")), key=lambda rows: len(rows)
    )
    assert len(largest) > 60
    assert all(row["stack_size"] == len(largest) for row in largest)
    assert len({row["weights_sha256"] for row in largest}) > 0.9 * len(largest)


def test_flops_count_each_product_of_the_steps() -> None:
    (run, _) = runs_of("an epoch and some steps", "float64")
    examples = 300 + 2 * 64
    forward = 19 * 17 + 17 * 9 + 9 * 5
    weight_gradients, input_gradients = forward, 17 * 9 + 9 * 5
    assert training_flops(run.settings, MADE.facts) == 2 * examples * (forward + weight_gradients + input_gradients)
