"""What theory says of multilayer perceptrons, and what the package's own parts make of it.

Shapes: `R` runs, `N` examples, `I` inputs, `U` units.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.experiment import grid
from mlpbench.experiment.components.activations import activation
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import on_device
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.batches.training_noise import DropoutNoise, InputNoise
from mlpbench.training.engine import _Stack
from mlpbench.training.measures.probes import largest_slope
from mlpbench.training.network import parameters
from mlpbench.training.network.mlp_stack import Workspace

LINEAR = {"name": "linear", "weights": [1.0, -2.0, 0.5, 3.0], "bias": 0.3, "noise": 0.5, "train": 40, "test": 10}
PLAIN = {"precision": "float64", "batch_size": "full", "steps": 0}


def stack_of(fixed: dict[str, Any], **keys: Any) -> _Stack:
    """Return a stack of an experiment on lines with noise, as the engine makes it."""
    experiment = build({"name": "x", "question": "?", "dataset": LINEAR, "fixed": PLAIN | fixed} | keys)
    with torch.no_grad():
        return _Stack(grid.runs(experiment), on_device(experiment.sources[0], torch.device("cpu")))


def trained(fixed: dict[str, Any], **keys: Any) -> _Stack:
    """Return a stack that has been trained; losses stay finite."""
    stack = stack_of(fixed, **keys)
    with torch.no_grad():
        assert all(row["status"] == "ok" for row in stack.train(lambda share: None).runs)
    return stack


def seen_by(stack: _Stack, run: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the training examples of a run, as float64."""
    fit = stack.fit[run]
    return stack.data.x_train.numpy()[fit].astype(float), stack.data.y_train.numpy()[fit, 0].astype(float)


def ridge(x_NI: NDArray[Any], y_N: NDArray[Any], decay: float) -> tuple[NDArray[Any], float]:
    """Return w = (X'X + n decay I)^-1 X'y of centred data, and the bias that goes with it."""
    n, inputs = x_NI.shape
    centred = x_NI - x_NI.mean(0)
    w = np.linalg.solve(centred.T @ centred + n * decay * np.eye(inputs), centred.T @ (y_N - y_N.mean()))
    return w, float(y_N.mean() - x_NI.mean(0) @ w)


def test_the_product_of_a_hundred_random_matrices_explodes() -> None:
    """Its logarithm grows by (log 2 + digamma(n / 2)) / 2 a matrix: C. Newman, "The distribution of Lyapunov exponents", 1986."""
    largest = []
    for draw in range(200):
        product = np.eye(4)
        for layer in range(100):
            product = product @ parameters.weights("normal(1.0)", generator(0, draw, "init", layer, 0), 4, 4)
        largest.append(np.abs(product).max())
    median = float(np.median(largest))
    growth = (math.log(2) + 1 - np.euler_gamma) / 2
    assert median > 1e20
    assert math.log10(median) == pytest.approx(100 * growth / math.log(10), abs=1)


@pytest.mark.parametrize(
    ("width", "initialiser", "function", "sd", "first"),
    [
        pytest.param(256, "he_normal", "relu", 1.0, 2.0, marks=pytest.mark.slow),
        pytest.param(512, "he_normal", "relu", 1.0, 2.0, marks=pytest.mark.prove),
        pytest.param(512, "xavier_normal", "tanh", 0.01, 1.0, marks=pytest.mark.prove),
    ],
)
def test_he_keeps_the_second_moment_of_relu_and_xavier_that_of_small_tanh(
    width: int, initialiser: str, function: str, sd: float, first: float
) -> None:
    """Mean z_l^2 is var(w) n mean h_{l-1}^2: of He 2 mean x^2 throughout, of Xavier mean x^2 where tanh is a line."""
    layers, networks = 20, 300
    f, parameter = activation(function)
    x_I = sd * generator(0, 0, "noise", 0).standard_normal(width)
    found = np.zeros(layers)
    for network in range(networks):
        h = torch.from_numpy(x_I)[None]
        for layer in range(layers):
            w_IO = parameters.weights(initialiser, generator(0, network, "init", layer, 0), width, width)
            z = h @ torch.from_numpy(w_IO)
            found[layer] += float(z.square().mean()) / networks
            h = torch.empty_like(z)
            f.forward(torch, z, h, parameter)
    np.testing.assert_allclose(found, first * float((x_I**2).mean()), rtol=0.1)


def test_the_slope_of_sigmoid_is_at_most_a_quarter() -> None:
    f, parameter = activation("sigmoid")
    z = torch.linspace(-8, 8, 6401, dtype=torch.float64)
    h, slope = torch.empty_like(z), torch.ones_like(z)
    f.forward(torch, z, h, parameter)
    f.backward(torch, slope, z, h, parameter)
    assert float(slope.max()) == pytest.approx(0.25, abs=1e-12)
    assert float(slope.max()) <= 0.25
    assert abs(float(z[slope.argmax()])) < 1e-3
    torch.testing.assert_close(slope, torch.exp(-z) / (1 + torch.exp(-z)) ** 2)
    # So that a gradient falls by a factor of 4 or more in each layer of weights of size 1.
    assert largest_slope(f, parameter) == 0.25


@pytest.mark.parametrize("decay", [0.0, 0.1, 2.0])
def test_descent_with_weight_decay_is_ridge_regression(decay: float) -> None:
    fixed = {"depth": 0, "weight_decay": decay, "lr": 0.3, "steps": 500}
    stack = trained(fixed, replicates=3)
    for i in range(3):
        w, b = ridge(*seen_by(stack, i), decay)
        model = stack._model(i)
        np.testing.assert_allclose(model.weights[0][:, 0].numpy(), w, atol=1e-12)
        assert float(model.biases[0]) == pytest.approx(b, abs=1e-12)
    least_squares, _ = ridge(*seen_by(stack, 0), 0)
    assert (np.abs(ridge(*seen_by(stack, 0), decay)[0] - least_squares).max() > 0.05) == (decay > 0)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_dropout_in_a_linear_network_is_a_penalty(p: float) -> None:
    """E loss - clean loss = p / (2 (1 - p)) sum_k v_k^2 mean h_k^2: S. Wager et al., "Dropout Training as Adaptive Regularization", 2013."""
    fixed = {
        "width": 6,
        "depth": 1,
        "activation": "identity",
        "dropout": p,
        "init": "he_normal",
        "bias_init": "default",
    }
    stack = stack_of(fixed, replicates=100, vary=["dropout"])
    network, n = stack.network, 40
    work = Workspace(network, n, backward=True)
    noise = DropoutNoise(stack.runs, dtype=network.dtype, device=network.device)
    x_NI, y_N = (torch.from_numpy(a) for a in seen_by(stack, 0))
    inputs = Inputs(x_GBI=x_NI.expand(network.runs, -1, -1))
    with torch.no_grad():
        clean = _loss(network.forward(inputs, work, train=False).x_RNM, y_N)
        h_NU = work.a[0].x_RNM[0].clone()
        losses = []
        for step in range(60):
            network.set_mask(0, noise.at(step, 0, n, 6), work)
            losses.append(_loss(network.forward(inputs, work, train=True).x_RNM, y_N))
    v_U = network.parameters.weights[1].x_RNM[0, :6, 0]
    penalty = p / (2 * (1 - p)) * float((v_U.square() * h_NU.square().mean(0)).sum())
    assert_mean(torch.cat(losses) - clean[0], penalty)


def test_input_noise_in_a_linear_model_is_a_ridge_penalty() -> None:
    """E loss - clean loss = sd^2 / 2 ||w||^2: C. Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", 1995."""
    stack = stack_of({"depth": 0, "input_noise": 0.7, "init": "normal(1.0)"}, replicates=100, vary=["noise"])
    network, n = stack.network, 40
    work = Workspace(network, n, backward=False)
    noise = InputNoise(stack.runs, 4, dtype=network.dtype, device=network.device)
    x_NI, y_N = (torch.from_numpy(a) for a in seen_by(stack, 0))
    inputs = Inputs(x_GBI=x_NI.expand(network.runs, -1, -1))

    def noisy(step: int) -> Inputs:
        noise.draw(step, n)
        return noise.added(inputs)

    with torch.no_grad():
        clean = _loss(network.forward(inputs, work, train=False).x_RNM, y_N)
        losses = [_loss(network.forward(noisy(step), work, train=True).x_RNM, y_N) for step in range(60)]
    w_I = network.parameters.weights[0].x_RNM[0, :4, 0]
    assert_mean(torch.cat(losses) - clean[0], 0.7**2 / 2 * float(w_I.square().sum()))


@pytest.mark.slow
def test_training_with_input_noise_ends_at_ridge_regression_on_average() -> None:
    fixed = {"depth": 0, "input_noise": 0.7, "lr": 0.1, "steps": 200}
    stack = trained(fixed, replicates=100, vary=["noise"])
    learnt = np.stack([stack._model(i).weights[0][:, 0].numpy() for i in range(100)])
    w, _ = ridge(*seen_by(stack, 0), 0.7**2)
    least_squares, _ = ridge(*seen_by(stack, 0), 0.0)
    error = learnt.std(0, ddof=1) / 10
    assert (np.abs(learnt.mean(0) - w) < 4 * error).all()
    assert (np.abs(learnt.mean(0) - least_squares) > 8 * error).all()


def test_a_linear_network_is_the_product_of_its_weights() -> None:
    """As a function: at random inputs too, before training and after it."""
    fixed = {
        "hidden_sizes": [7, 5, 6],
        "activation": "identity",
        "init": "he_normal",
        "bias_init": "default",
        "lr": 0.01,
    }
    for steps in (0, 30):
        stack = trained(fixed | {"steps": steps}, replicates=2)
        network = stack.network
        x_RNI = torch.from_numpy(generator(1, 0, "noise", 0).normal(0, 10, (2, 50, 4)))
        with torch.no_grad():
            z_RN1 = network.forward(Inputs(x_GBI=x_RNI), Workspace(network, 50, backward=False), train=False).x_RNM
        for i in range(2):
            model = stack._model(i)
            product, shift = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
            for w_IO, b_O in zip(model.weights, model.biases, strict=True):
                product, shift = product @ w_IO, shift @ w_IO + b_O
            torch.testing.assert_close(z_RN1[i], x_RNI[i] @ product + shift, rtol=1e-12, atol=1e-12)
        assert bool((product != 0).all())


def _loss(z_RN1: Tensor, y_N: Tensor) -> Tensor:
    """Return half the squared error of each run, (R,)."""
    return (z_RN1[:, :, 0] - y_N).square().mean(1) / 2


def assert_mean(values: Tensor, expected: float) -> None:
    """Compare a mean with what it should be, within 4 standard errors that are small beside it."""
    error = float(values.std()) / math.sqrt(len(values))
    assert error < 0.03 * expected
    assert abs(float(values.mean()) - expected) < 4 * error
