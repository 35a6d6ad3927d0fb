"""Scores of the whole test set: each equals what scikit-learn computes from the same predictions and outputs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.special
import sklearn.dummy
import sklearn.metrics as reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_data import Made, made, made_numbers, made_of, runs
from test_scores import FIXED

from mlpbench.data.data_sets import lookup
from mlpbench.data.dataset import TargetScale
from mlpbench.experiment import grid
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics import set_scores
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.metrics.set_scores import (
    MOST_OUTPUTS,
    SET_SCORES,
    TestOutputs,
    area_under_curve,
    constant_loss,
    of_constant,
    of_set,
)
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import DeviceData, DrawnData
from mlpbench.training.engine import _Stack, train_stack

Array = NDArray[Any]
BINARY, SEVEN = (made(n_train=1_700, n_test=1_234, features=19, classes=c) for c in (2, 7))
NUMBERS = made_numbers(n_train=1_700, n_test=1_234, features=19)


def calibration_error(p: Array, y: Array) -> float:
    """The definition, bin by bin: torchmetrics' but for what lies on an edge, which belongs to the bin below."""
    confidence, right = p.max(1), p.argmax(1) == y
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def roc_auc(p: Array, y: Array) -> float:
    return float(reference.roc_auc_score(y, p[:, 1] if p.shape[1] == 2 else p, multi_class="ovr"))


# Of each score what another library makes of probabilities (N, C), or predicted numbers (N, 1), and targets.
REFERENCES: dict[str, Callable[[Array, Array], float]] = {
    "balanced_accuracy": lambda p, y: reference.balanced_accuracy_score(y, p.argmax(1)),
    "macro_f1": lambda p, y: reference.f1_score(y, p.argmax(1), average="macro"),
    "roc_auc": roc_auc,
    "top_3_accuracy": lambda p, y: reference.top_k_accuracy_score(y, p, k=3),
    "top_5_accuracy": lambda p, y: reference.top_k_accuracy_score(y, p, k=5),
    "log_loss": lambda p, y: reference.log_loss(y, p),
    "brier": lambda p, y: reference.brier_score_loss(y, p if p.shape[1] > 2 else p[:, 1]),
    "ece": calibration_error,
    "rmse": lambda p, y: reference.root_mean_squared_error(y, p),
    "mae": lambda p, y: reference.mean_absolute_error(y, p),
    "r2": lambda p, y: reference.r2_score(y, p),
}
CASES = [
    *((name, of) for name, score in SET_SCORES.items() if score.target == "classes" for of in ("binary", "seven")),
    *((name, "numbers") for name, score in SET_SCORES.items() if score.target == "numbers"),
]
DATA = {"binary": BINARY, "seven": SEVEN, "numbers": NUMBERS}


@functools.cache
def trained(of: str, loss: str | None = None) -> tuple[list[dict[str, Any]], list[tuple[Array, Array]]]:
    """Return the rows of a stack of linear models, and outputs and targets of each for the test examples."""
    data = DATA[of]
    members = runs(data, FIXED | {"lr": 0.01} | ({"loss": loss} if loss else {}), replicates=3)
    with torch.no_grad():
        stack = _Stack(members, data.data)
        rows = stack.train(lambda share: None).runs
        models = {run.run_id: stack._model(i) for i, run in enumerate(stack.runs)}
    x = data.dataset.x_test.astype(np.float64) / (255 if of != "numbers" else 1)
    y = data.dataset.y_test.astype(np.int64) if of != "numbers" else data.dataset.y_test[:, None]
    outputs = []
    for run in members:
        weight, bias = (models[run.run_id].learnt[i].double().numpy() for i in (0, 1))
        outputs.append((x @ weight + bias, y))
    return rows, outputs


def test_every_score_has_a_reference() -> None:
    assert set(REFERENCES) == set(SET_SCORES)


@pytest.mark.parametrize(("name", "of"), CASES)
def test_a_score_equals_that_of_another_library(name: str, of: str) -> None:
    rows, outputs = trained(of)
    if of == "binary" and name.startswith("top_"):
        assert all(f"test_{name}" not in row for row in rows), "with two classes three are all, and more"
        return
    for row, (z, y) in zip(rows, outputs, strict=True):
        p = z if of == "numbers" else scipy.special.softmax(z, axis=1)
        # Numbers are stored, and scored, in single precision.
        assert row[f"test_{name}"] == pytest.approx(REFERENCES[name](p, y), rel=1e-6 if of == "numbers" else 1e-9)
    assert len({row[f"test_{name}"] for row in rows}) > 1, "the case would prove little if all were the same"


def test_log_loss_is_the_loss_where_that_is_the_cross_entropy() -> None:
    for row in trained("seven")[0]:
        assert row["test_log_loss"] == pytest.approx(row["test_loss"], rel=1e-12)
    for row in trained("numbers")[0]:
        assert row["test_rmse"] == pytest.approx(math.sqrt(2 * row["test_loss"]), rel=1e-6)


def test_outputs_of_another_loss_are_no_probabilities() -> None:
    """Areas are of the outputs themselves then: of two classes of their difference, as of a decision function."""
    for of in ("binary", "seven"):
        rows, outputs = trained(of, "squared_error")
        for row, (z, y) in zip(rows, outputs, strict=True):
            assert not {"test_log_loss", "test_brier", "test_ece"} & set(row)
            expected = (
                reference.roc_auc_score(y, z[:, 1] - z[:, 0])
                if of == "binary"
                else np.mean([reference.roc_auc_score(y == c, z[:, c]) for c in range(7)])
            )
            assert row["test_roc_auc"] == pytest.approx(expected, rel=1e-12)


@given(st.data())
def test_scores_equal_those_of_scikit_learn_with_ties_and_missing_classes(data: st.DataObject) -> None:
    """Outputs that are small whole numbers tie often; a class may occur on neither side."""
    n, classes = data.draw(st.integers(1, 30)), data.draw(st.integers(2, 7))
    y = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    cells = st.lists(st.integers(-3, 3), min_size=n * classes, max_size=n * classes)
    z = np.array(data.draw(cells), dtype=np.float32).reshape(n, classes)
    of = TestOutputs(targets=y, predicted=z.argmax(1), n_classes=classes, outputs=z, are_logits=True)
    p = scipy.special.softmax(z.astype(np.float64), axis=1)
    predicted = z.argmax(1)
    recalls = reference.recall_score(y, predicted, average=None, labels=np.unique(y), zero_division=0)
    assert of_set("balanced_accuracy", of) == pytest.approx(recalls.mean())
    assert of_set("macro_f1", of) == pytest.approx(reference.f1_score(y, predicted, average="macro", zero_division=0))
    labels = range(classes)
    assert of_set("log_loss", of) == pytest.approx(reference.log_loss(y, p, labels=labels))
    brier = reference.brier_score_loss(y, p, labels=labels) if classes > 2 else np.mean((p[:, 1] - y) ** 2)
    assert of_set("brier", of) == pytest.approx(brier)
    known = [c for c in ([1] if classes == 2 else labels) if 0 < (y == c).sum() < n]
    area = of_set("roc_auc", of)
    assert (area is None) == (not known)
    if area is not None:
        # From the same bits: probabilities that are equal on paper may differ in the last one.
        assert np.allclose(of.p_CN.T, p, rtol=1e-14)
        assert area == pytest.approx(np.mean([reference.roc_auc_score(y == c, of.p_CN[c]) for c in known]))


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=40))
def test_the_area_counts_pairs_and_ties_half(examples: list[tuple[int, bool]]) -> None:
    s, positive = np.array([float(x) for x, _ in examples]), np.array([b for _, b in examples])
    pairs = [(a > b) + 0.5 * (a == b) for a in s[positive] for b in s[~positive]]
    area = area_under_curve(s, positive)
    assert area == (sum(pairs) / len(pairs) if pairs else None)
    if area is not None:
        order = np.random.default_rng(0).permutation(len(s))
        assert area_under_curve(s[order], positive[order]) == area


def test_of_equal_outputs_the_first_classes_are_the_top() -> None:
    """As for the predicted class, so that a network that says nothing is right about three of seven classes, not about all."""
    y = np.arange(7)
    of = TestOutputs(targets=y, predicted=np.zeros(7, int), n_classes=7, outputs=np.zeros((7, 7)), are_logits=True)
    assert of_set("top_3_accuracy", of) == pytest.approx(3 / 7)
    assert of_set("top_5_accuracy", of) == pytest.approx(5 / 7)
    assert of_set("ece", of) == pytest.approx(0, abs=1e-12), (
        "a seventh of the examples is right, as its probability says"
    )


def test_scores_of_outputs_that_are_not_kept_are_missing_and_those_of_predictions_stay() -> None:
    y = np.arange(4) % 3
    of = TestOutputs(targets=y, predicted=y, n_classes=3, outputs=None, are_logits=True)
    known = {name for name in SET_SCORES if of_set(name, of) is not None}
    assert known == {"balanced_accuracy", "macro_f1"}
    assert set_scores.keeps_outputs(MOST_OUTPUTS // 8, 8)
    assert not set_scores.keeps_outputs(MOST_OUTPUTS // 8 + 1, 8)
    assert not set_scores.keeps_outputs(5, None)


def test_large_test_sets_keep_no_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_scores, "MOST_OUTPUTS", 1_234 * 7 - 1)
    (run,) = runs(SEVEN, FIXED)
    row = train_stack([run], SEVEN.data).runs[0]
    assert "test_macro_f1" in row
    assert "test_roc_auc" not in row


def test_outputs_that_are_huge_have_scores_without_overflow() -> None:
    z = np.array([[1e30, 0.0], [0.0, 800.0]])
    of = TestOutputs(targets=np.array([0, 0]), predicted=z.argmax(1), n_classes=2, outputs=z, are_logits=True)
    assert of_set("log_loss", of) == pytest.approx(400)
    assert of_set("brier", of) == pytest.approx(0.5)
    assert of_set("ece", of) == pytest.approx(0.5)


def test_constant_targets_have_no_share_of_variance() -> None:
    of = TestOutputs(targets=np.ones((3, 1)), predicted=np.zeros((3, 1)), n_classes=None)
    assert of_set("r2", of) is None
    assert of_set("rmse", of) == 1
    assert METRICS["test_r2"].limits == (-math.inf, 1)


@pytest.mark.parametrize("of", DATA)
def test_the_constant_prediction_is_scikit_learns_dummy(of: str) -> None:
    """Of the examples that each run is fitted to, which differ with the replicate, and of the labels that it learns."""
    data = DATA[of]
    noisy = {"label_noise": 0.9} if of == "seven" else {}
    members = runs(data, FIXED | noisy | {"train_size": 40}, replicates=5, validation=0.2)
    with torch.no_grad():
        stack = _Stack(members, data.data)
        labels = {run.run_id: stack.labels.y_KN[stack.labels.of_run[i]] for i, run in enumerate(stack.runs)}
    found = set()
    for run, row in zip(members, train_stack(members, data.data).runs, strict=True):
        fit = data.data.split(run).fit
        y, y_test = labels[run.run_id].numpy()[fit], data.dataset.y_test
        if of == "numbers":
            dummy = sklearn.dummy.DummyRegressor().fit(np.zeros((len(fit), 1)), y.astype(float))
            predicted = dummy.predict(np.zeros((len(y_test), 1)))
            assert row["constant_rmse"] == pytest.approx(reference.root_mean_squared_error(y_test, predicted))
            assert row["constant_loss"] == pytest.approx(row["constant_rmse"] ** 2 / 2)
            assert "constant_accuracy" not in row
            found.add(row["constant_rmse"])
        else:
            dummy = sklearn.dummy.DummyClassifier(strategy="most_frequent").fit(np.zeros((len(fit), 1)), y)
            assert row["constant_accuracy"] == dummy.score(np.zeros((len(y_test), 1)), y_test)
            assert not {"constant_loss", "constant_rmse"} & set(row)
            found.add(row["constant_accuracy"])
    assert len(found) > 1 or of == "binary"


def test_the_constant_loss_is_that_of_training() -> None:
    y, y_test = np.array([[1.0], [3.0]]), np.array([[2.0], [5.0]])
    for name, factor in (("squared_error", 0.5), ("mse", 1.0)):
        half_squares = LOSSES[name].half_squares
        assert half_squares is not None
        assert constant_loss(y, y_test, half_squares) == factor * 4.5
    assert of_constant(y, y_test, None) == {"constant_rmse": np.sqrt(4.5)}


@pytest.mark.parametrize("log", [False, True])
def test_numbers_of_a_scaled_target_are_scored_in_its_own_units(log: bool) -> None:
    """Of a logarithm the loss is in units of that; errors are of the numbers themselves."""
    scale = TargetScale(mean=2.0, sd=3.0, log=log)
    source = NUMBERS.source
    scaled = made_numbers(n_train=1_700, n_test=1_234, features=19)
    facts = replace(source.facts, target_scale=scale)
    data = DeviceData(replace(scaled.dataset, facts=facts), torch.device("cpu"))
    (run,) = runs(NUMBERS, FIXED | {"lr": 0.01})
    made_of_it = train_stack([run], data)
    row = made_of_it.runs[0]
    predicted = np.frombuffer(made_of_it.predictions[0]["predicted"], "<f4")
    y, fitted = (scale.own_units(a) for a in (scaled.dataset.y_test, scaled.dataset.y_train))
    assert row["test_rmse"] == pytest.approx(reference.root_mean_squared_error(y, predicted), rel=1e-6)
    assert row["test_mae"] == pytest.approx(reference.mean_absolute_error(y, predicted), rel=1e-6)
    assert row["test_r2"] == pytest.approx(reference.r2_score(y, predicted), rel=1e-5)
    assert row["constant_rmse"] == pytest.approx(reference.root_mean_squared_error(y, np.full(len(y), fitted.mean())))
    assert ("constant_loss" in row) != log, "the mean of logarithms is another prediction than the mean"
    if not log:
        of_loss = scaled.dataset.y_test - scaled.dataset.y_train.astype(float).mean()
        assert row["constant_loss"] == pytest.approx(9 * np.mean(of_loss**2) / 2, rel=1e-6)
        assert row["constant_loss"] == pytest.approx(row["constant_rmse"] ** 2 / 2, rel=1e-5)


COMPANY: dict[str, Any] = {"hidden_sizes": [17], "batch_size": 64, "steps": 9, "precision": "float32"}


@pytest.mark.parametrize("of", DATA)
def test_scores_have_the_same_bits_alone_and_in_company(of: str) -> None:
    data = DATA[of]
    members = [{"activation": a, "lr": lr} for a in ("relu", "tanh") for lr in (0.1, 0.01, 1e30)]
    stack = runs(data, COMPANY, members, replicates=2)
    company = train_stack(stack, data.data).runs
    names = [m for m in METRICS if m.startswith("constant_") or m.removeprefix("test_") in SET_SCORES]
    measured = set()
    for run, together in zip(stack, company, strict=True):
        (alone,) = train_stack([run], data.data).runs
        for name in names:
            assert repr(alone.get(name)) == repr(together.get(name)), name
            if together["status"] != "ok":
                assert name not in together
            elif name in together:
                measured.add(name)
    assert {row["status"] for row in company} == {"ok", "diverged"}
    expected = {n for n in names if ("numbers" if of == "numbers" else "classes") in METRICS[n].targets}
    assert measured == expected - ({"test_top_3_accuracy", "test_top_5_accuracy"} if of == "binary" else set())


def test_each_replicate_that_draws_its_data_is_scored_on_its_own_draw() -> None:
    source = lookup("polynomial")
    tree: dict[str, Any] = {"name": "x", "question": "?", "dataset": "polynomial", "replicates": 3}
    members: list[Run] = grid.runs(build(tree | {"fixed": {"depth": 0, "steps": 20, "lr": 0.01, "batch_size": 20}}))
    rows = train_stack(members, DrawnData(source, torch.device("cpu"))).runs
    for run, row in zip(members, rows, strict=True):
        drawn = source.draw(run.seed, run.streams["split"])
        error = np.sqrt(np.mean((drawn.y_test.astype(float) - drawn.y_train.astype(float).mean()) ** 2))
        assert row["constant_rmse"] == pytest.approx(error)
        assert row["test_rmse"] == pytest.approx(math.sqrt(2 * row["test_loss"]), rel=1e-5)


def test_labels_that_are_missing_from_the_training_set_do_not_shift_the_others() -> None:
    x = np.zeros((6, 2), np.uint8)
    data: Made = made_of(made(n_train=6, n_test=6, features=2, classes=3).source, x_train=x, x_test=x,
                         y_train=np.array([2, 2, 2, 2, 1, 1], np.uint8), y_test=np.array([0, 0, 1, 2, 2, 2], np.uint8))  # fmt: skip
    (run,) = runs(data, {"depth": 0, "steps": 1, "batch_size": 6})
    assert train_stack([run], data.data).runs[0]["constant_accuracy"] == 0.5
