"""Initial values: the law each name promises, against `torch.nn.init`, and which conditions share their draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn
from torch_reference import INITIALISERS as TORCH

from mlpbench.base.streams import generator
from mlpbench.experiment.components.initialisers import INITIALISERS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word
from mlpbench.training.network import parameters

Array = NDArray[np.float64]
# Inputs, outputs: a fan rule that mixes them up is off by a factor of 2.
FAN_IN, FAN_OUT = 240, 60


def draw(name: str, *, inputs: int = FAN_IN, outputs: int = FAN_OUT, replicate: int = 0) -> Array:
    return parameters.weights(name, generator(0, replicate, "init", 0, 0), inputs, outputs)


def draw_biases(name: str, *, inputs: int = FAN_IN, outputs: int = 4000) -> Array:
    return parameters.biases(name, generator(0, 0, "init", 0, 1), inputs, outputs)


BOUNDS = {
    "default": 1 / math.sqrt(FAN_IN),
    "xavier_uniform": math.sqrt(6 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(6 / FAN_IN),
}
DEVIATIONS = {
    "normal(0.05)": 0.05,
    "xavier_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_normal": math.sqrt(2 / FAN_IN),
    "orthogonal": 1 / math.sqrt(FAN_IN),
    **{name: bound / math.sqrt(3) for name, bound in BOUNDS.items()},
}


def test_every_initialiser_is_tested() -> None:
    kind = SETTINGS["init"].value_type
    assert isinstance(kind, Word)
    named = {name.partition("(")[0] for name in TORCH}
    assert named == set(INITIALISERS) == set(kind.table)


@pytest.mark.parametrize("name", [name for name in TORCH if not name.startswith(("constant", "zeros"))])
def test_the_distribution_is_torchs(name: str) -> None:
    """Kolmogorov-Smirnov on 14,400 draws each: a scale that is off by a fifth is seen."""
    w = torch.empty(FAN_OUT, FAN_IN, dtype=torch.float64)
    TORCH[name](w, torch.Generator().manual_seed(1))
    own = draw(name)
    assert own.shape == (FAN_IN, FAN_OUT)
    assert own.dtype == np.float64
    assert stats.ks_2samp(own.ravel(), w.numpy().ravel()).pvalue > 0.01
    assert stats.ks_2samp(1.2 * own.ravel(), w.numpy().ravel()).pvalue < 1e-3


@pytest.mark.parametrize("name", DEVIATIONS)
def test_mean_and_deviation_are_what_the_fans_say(name: str) -> None:
    w, deviation = draw(name), DEVIATIONS[name]
    # Four standard errors; that of the deviation is deviation / sqrt(2n) for a normal and less for a uniform.
    assert abs(w.mean()) < 4 * deviation / math.sqrt(w.size)
    assert w.std() == pytest.approx(deviation, rel=4 / math.sqrt(2 * w.size))


@pytest.mark.parametrize("name", BOUNDS)
def test_uniform_draws_fill_their_bounds_and_stay_inside(name: str) -> None:
    w, bound = draw(name), BOUNDS[name]
    assert -bound <= w.min() < -0.999 * bound
    assert 0.999 * bound < w.max() < bound
    assert stats.kstest(w.ravel() / bound, "uniform", args=(-1, 2)).pvalue > 0.01


@pytest.mark.parametrize("name", [n for n in DEVIATIONS if n.endswith("normal") or n.startswith("normal")])
def test_normal_draws_are_normal(name: str) -> None:
    assert stats.kstest(draw(name).ravel() / DEVIATIONS[name], "norm").pvalue > 0.01


# Of a layer of 240 inputs and 4000 outputs.
BIAS_DEVIATIONS = {
    "normal(0.05)": 0.05,
    "default": 1 / math.sqrt(3 * FAN_IN),
    "xavier_uniform": math.sqrt(2 / (FAN_IN + 4000)),
    "xavier_normal": math.sqrt(2 / (FAN_IN + 4000)),
    "he_uniform": math.sqrt(2 / FAN_IN),
    "he_normal": math.sqrt(2 / FAN_IN),
}


@pytest.mark.parametrize("name", BIAS_DEVIATIONS)
def test_biases_follow_the_layers_fans(name: str) -> None:
    b = draw_biases(name)
    assert b.shape == (4000,)
    assert b.std() == pytest.approx(BIAS_DEVIATIONS[name], rel=0.05)


def test_default_biases_are_those_of_linear() -> None:
    linear = nn.Linear(FAN_IN, 4000)
    b = draw_biases("default")
    assert float(linear.bias.detach().abs().max()) <= 1 / math.sqrt(FAN_IN)
    assert 0.99 / math.sqrt(FAN_IN) < np.abs(b).max() < 1 / math.sqrt(FAN_IN)


def test_constant_and_zeros_draw_nothing() -> None:
    assert np.array_equal(draw("constant(-0.25)"), np.full((FAN_IN, FAN_OUT), -0.25))
    assert np.array_equal(draw("zeros"), np.zeros((FAN_IN, FAN_OUT)))
    assert np.array_equal(draw_biases("constant(1.5)"), np.full(4000, 1.5))
    assert np.array_equal(draw_biases("zeros"), np.zeros(4000))


@pytest.mark.parametrize(("inputs", "outputs"), [(40, 40), (40, 7), (7, 40), (1, 5), (5, 1)])
def test_orthogonal_rows_or_columns_are_orthonormal(inputs: int, outputs: int) -> None:
    w = draw("orthogonal", inputs=inputs, outputs=outputs)
    assert w.shape == (inputs, outputs)
    small = w.T @ w if inputs >= outputs else w @ w.T
    np.testing.assert_allclose(small, np.eye(min(inputs, outputs)), atol=1e-13)


def test_orthogonal_is_uniform_among_orthogonal_matrices() -> None:
    """In two dimensions: the first column's angle is uniform, and a rotation is as likely as a reflection.

    Without the signs of R's diagonal, LAPACK's Householder vectors give reflections only (F. Mezzadri, "How to generate
    random matrices from the classical compact groups", 2007).
    """
    drawn = [draw("orthogonal", inputs=2, outputs=2, replicate=r) for r in range(2000)]
    angles = np.array([math.atan2(w[1, 0], w[0, 0]) for w in drawn])
    assert stats.kstest(angles, "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 0.01
    rotations = sum(np.linalg.det(w) > 0 for w in drawn)
    assert stats.binomtest(int(rotations), len(drawn)).pvalue > 0.01


def test_conditions_that_differ_only_in_scale_share_their_draws() -> None:
    one = draw("normal(1.0)")
    for name in ("normal(0.01)", "xavier_normal", "he_normal"):
        scale = {"normal(0.01)": 0.01}.get(name) or DEVIATIONS[name]
        np.testing.assert_allclose(draw(name), scale * one, rtol=1e-14)
    unit = draw("default") / BOUNDS["default"]
    for name in ("xavier_uniform", "he_uniform"):
        np.testing.assert_allclose(draw(name), BOUNDS[name] * unit, rtol=1e-13)


def test_replicates_do_not_share_their_draws() -> None:
    first, second = (draw("normal(1.0)", replicate=r).ravel() for r in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(first.size)
