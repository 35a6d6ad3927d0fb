"""Reliability and ROC curves of a run: against scikit-learn, against the scores that are made of them, and from a real run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from mlpbench.experiment.metrics.set_curves import RELIABILITY, ROC, ROC_STEPS, roc, set_curves
from mlpbench.experiment.metrics.set_scores import BINS, TestOutputs, of_set

Seeds = st.integers(0, 10_000)


def outputs(seed: int, n: int, classes: int, *, rounded: bool = False, logits: bool = True) -> TestOutputs:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    z = rng.normal(size=(n, classes)) + 2 * (np.arange(classes) == targets[:, None])
    z = np.round(z) if rounded else z
    return TestOutputs(
        targets=targets, predicted=z.argmax(axis=1), n_classes=classes, outputs=z.astype(np.float32), are_logits=logits
    )


@given(Seeds, st.integers(1, 300), st.integers(2, 10))
@settings(max_examples=50, deadline=None)
def test_bins_give_the_calibration_error_and_the_accuracy(seed: int, n: int, classes: int) -> None:
    of = outputs(seed, n, classes)
    stored = set_curves(of)[RELIABILITY]
    assert stored is not None
    counts, confidence, right = np.array(stored).reshape(3, BINS)
    assert counts.sum() == n
    assert right.sum() == (of.targets == of.predicted).sum()
    error = of_set("ece", of)
    assert error is not None
    assert math.isclose(float(np.abs(confidence - right).sum()) / n, error, abs_tol=1e-12)
    edges = np.linspace(0, 1, BINS + 1)
    inside = counts > 0
    means = confidence[inside] / counts[inside]
    assert (means > edges[:-1][inside] - 1e-12).all()
    assert (means <= edges[1:][inside] + 1e-12).all()


@given(Seeds, st.integers(2, 200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_roc_curve_is_that_of_scikit_learn(seed: int, n: int, rounded: bool) -> None:
    of = outputs(seed, n, 2, rounded=rounded)
    score, positive = of.z_CN[1] - of.z_CN[0], of.y_N == 1
    curve = roc(score, positive)
    if curve is None:
        assert positive.all() or not positive.any()
        return
    x, y, _ = reference.roc_curve(positive, score, drop_intermediate=False)
    for k, rate in enumerate(curve):
        at = k / ROC_STEPS
        there = np.isclose(x, at, rtol=0, atol=1e-12)
        # Where the curve goes straight up, its end; else the straight line between two corners.
        expected = y[there].max() if there.any() else np.interp(at, x, y)
        assert math.isclose(rate, expected, abs_tol=1e-9)
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[-1] == 1


def test_many_examples_have_the_area_of_the_score() -> None:
    of = outputs(3, 5000, 2)
    curve = roc(of.z_CN[1] - of.z_CN[0], of.y_N == 1)
    area = of_set("roc_auc", of)
    assert curve is not None
    assert area is not None
    assert abs(float(np.trapezoid(curve, dx=1 / ROC_STEPS)) - area) < 0.005


@pytest.mark.parametrize(
    ("of", "known"),
    [
        (None, set()),
        (outputs(0, 20, 3), {RELIABILITY}),
        (outputs(0, 20, 2), {RELIABILITY, ROC}),
        (outputs(0, 20, 2, logits=False), {ROC}),
        (outputs(0, 20, 3, logits=False), set()),
        (TestOutputs(targets=np.zeros(3), predicted=np.zeros(3), n_classes=2), set()),
        (TestOutputs(targets=np.zeros((3, 1)), predicted=np.zeros((3, 1)), n_classes=None), set()),
    ],
)
def test_curves_are_there_where_they_have_a_meaning(of: Any, known: set[str]) -> None:
    curves = set_curves(of)
    assert set(curves) == {RELIABILITY, ROC}
    assert {name for name, values in curves.items() if values is not None} == known


def test_one_class_alone_has_no_roc_curve() -> None:
    assert roc(np.array([1.0, 2.0]), np.array([True, True])) is None
    assert roc(np.array([1.0, 2.0]), np.array([False, False])) is None
