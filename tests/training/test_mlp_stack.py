"""The hand-written backward pass: against autograd, against finite differences, and its update against arithmetic.

Shapes: `R` runs, `B` batch, `I` inputs, `C` classes, `G` distinct batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from small_data import made, runs
from torch import Tensor, nn
from torch.nn import functional
from torch_reference import LOSSES as REFERENCE_LOSSES
from torch_reference import MODULES

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import RunSettings
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.buffers import SPARE, VECTOR, Stacked, padded
from mlpbench.training.engine import train_stack
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget, Layers
from mlpbench.training.parameter_updates import Updates

CPU = torch.device("cpu")
MADE = made(n_train=50, n_test=10, features=7, classes=4)
LARGEST_BATCH = 12
ACTIVATIONS = list(MODULES)


def settings_of(conditions: Sequence[dict[str, Any]], **fixed: Any) -> list[RunSettings]:
    shared = {"batch_size": LARGEST_BATCH, "lr": 1.0, "precision": "float64", "steps": 5} | fixed
    return [r.settings for r in runs(MADE, shared, conditions)]


@dataclass
class Problem:
    """A stack with random parameters, batches shared by some runs, labels and, where it drops, noise."""

    network: Network
    work: Workspace
    settings: list[RunSettings]
    x_GBI: Tensor
    groups: list[Group]
    y_RB: Tensor
    noise_LGBU: list[Tensor]
    loss: str

    @classmethod
    def make(cls, settings: list[RunSettings], loss: str, batch: int, *, seed: int = 0) -> Problem:
        rng = torch.Generator().manual_seed(seed)
        sizes = [7, *settings[0].hidden_sizes, 4]
        n = len(settings)
        network = Network(settings, sizes, dtype=torch.float64, device=CPU)
        p = network.parameters
        for stacked, scale in [
            *((w, 0.7) for w in p.weights),
            *((other, 0.3) for other in (*p.biases, *p.slopes, *p.gammas, *p.betas)),
        ]:
            own = matrix(network, stacked)
            own.add_(torch.randn(own.shape, generator=rng, dtype=torch.float64) * scale)
        # The first run sees batch 1, the last ones see batch 0 again: groups need not come in the order of batches.
        cuts = [0, 1, n - 1, n] if n > 2 else [0, n]
        batches = [1, 0, 1] if n > 2 else [0]
        groups = [Group(start=a, stop=b, batch=g) for (a, b), g in zip(itertools.pairwise(cuts), batches)]
        x = torch.rand(2, batch, 7, generator=rng, dtype=torch.float64)
        y = torch.randint(4, (n, batch), generator=rng)
        noise = [torch.rand(2, batch, u, generator=rng, dtype=torch.float64) for u in sizes[1:-1]]
        work = Workspace(network, LARGEST_BATCH, backward=True)
        return cls(network, work, settings, x, groups, y, noise, loss)

    @property
    def inputs(self) -> Inputs:
        return Inputs(x_GBI=self.x_GBI, groups=self.groups)

    def forward(self, *, train: bool = True) -> Stacked:
        for layer, drops in enumerate(self.network.drops):
            if drops:
                noise = Inputs(x_GBI=self.noise_LGBU[layer], groups=self.groups)
                self.network.set_mask(layer, noise, self.work)
        return self.network.forward(self.inputs, self.work, train=train)

    def losses(self) -> Tensor:
        """Mean loss of each run, shape (R,)."""
        z, per_example = self.forward(), self.work.losses.columns(self.y_RB.shape[1])
        LOSSES[self.loss].forward(torch, z, self.y_RB[:, :, None], per_example)
        return per_example.x_RNM[:, 0].mean(1)

    def backward(self, scale_R11: Tensor) -> None:
        """Put dL/dz at the outputs where the backward pass looks for it."""
        n = self.y_RB.shape[1]
        self.losses()
        d = self.work.d_outputs.rows(n)
        LOSSES[self.loss].gradient(torch, self.work.outputs.rows(n), self.y_RB[:, :, None], scale_R11 / n, d)

    def step(self) -> None:
        """Take one step of plain descent with each run's own learning rate, as the engine does."""
        updates = Updates(self.network, self.settings)
        self.backward(updates.output_factor())
        updates.apply(self.inputs, self.work)

    def gradients(self) -> list[Tensor]:
        """The gradients, in buffers that are not clean, in the order of `parameters`."""
        into = self.network.layers()
        # A slope of a run without PReLU has no gradient that could be written.
        for stacked in (*into.weights, *into.biases, *into.gammas, *into.betas):
            stacked.x_RNM.fill_(5.0)
        self.backward(torch.ones(len(self.settings), 1, 1, dtype=torch.float64))
        self.network.backward(self.inputs, self.work, GradientTarget(into=into, subtracts=False))
        return self.matrices(into)

    def parameters(self) -> list[Tensor]:
        """Copies of all weights (R, I, O), then biases, slopes, scales and shifts (R, 1, O)."""
        return self.matrices(self.network.parameters)

    def matrices(self, of: Layers) -> list[Tensor]:
        return [matrix(self.network, stacked, of).clone() for stacked in of.all]

    def plain_outputs(self, run: int, parameters: Sequence[Tensor], *, train: bool = True) -> Tensor:
        """The outputs (B, C) of one run, layer by layer in plain torch."""
        (group,) = [g for g in self.groups if g.start <= run < g.stop]
        s, h = self.settings[run], self.x_GBI[group.batch]
        layers = len(self.network.sizes) - 1
        weights, biases, rest = parameters[:layers], parameters[layers : 2 * layers], parameters[2 * layers :]
        slopes = rest[: len(self.network.parameters.slopes)]
        gammas, betas = rest[len(slopes) :][: layers - 1], rest[len(slopes) :][layers - 1 :]
        for layer, (weight, bias) in enumerate(zip(weights, biases)):
            h = h @ weight + bias
            if layer == layers - 1:
                return h
            if s.norm == "layer":
                h = functional.layer_norm(h, h.shape[1:], gammas[layer][0], betas[layer][0])
            elif s.norm == "batch" and train and len(h) == 1:
                h = h * 0 * gammas[layer] + betas[layer]
            elif s.norm == "batch":
                # Before the first step the running averages are 0 and 1.
                still = (torch.zeros_like(h[0]), torch.ones_like(h[0]))
                h = functional.batch_norm(h, *still, gammas[layer][0], betas[layer][0], training=train)
            prelu = s.activation == "prelu"
            h = functional.prelu(h, slopes[layer].reshape(1)) if prelu else MODULES[s.activation]()(h)
            p = s.dropout[layer]
            if train and p > 0:
                h = h * (self.noise_LGBU[layer][group.batch] >= p) / (1 - p) if p < 1 else h * 0
        raise AssertionError("a network has at least one layer")


def matrix(network: Network, stacked: Stacked, of: Layers | None = None) -> Tensor:
    """The numbers of an array without its padding: weights are padded in rows, too."""
    for weight, rows in zip((of or network.parameters).weights, network.sizes):
        if stacked is weight:
            return weight.x_RNM[:, :rows]
    return stacked.x_RNM


DROPOUTS: list[Any] = [0, 0.5, [0, 0.5], [0.3, 0], 0.4, 1, 0.2, 0, 0.5, 0.1]
COMPANY = [{"activation": a, "dropout": p} for a, p in zip(ACTIVATIONS, itertools.cycle(DROPOUTS))]


def problem(loss: str, batch: int, conditions: Sequence[dict[str, Any]] = COMPANY, **fixed: Any) -> Problem:
    return Problem.make(settings_of(conditions, **({"hidden_sizes": [6, 5]} | fixed)), loss, batch)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 5, LARGEST_BATCH])
def test_a_step_at_rate_1_is_autograds_gradient(loss: str, batch: int, norm: str) -> None:
    """All activations and dropouts in one stack; full and partial batches; after another batch was in the buffers."""
    p = problem(loss, LARGEST_BATCH, norm=norm)
    p.step()
    later = Problem.make(p.settings, loss, batch, seed=1)
    later.work, later.network = p.work, p.network
    for tracked in later.network.norms:
        tracked.mean.zero_()
        tracked.variance.fill_(1.0)
    assert_step_is_autograds(later)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("hidden", [[], [3], [17, 1, 16], [5, 6, 7, 8]])
@pytest.mark.parametrize("activation", ["silu", "prelu"])
def test_a_step_is_autograds_gradient_at_every_depth(activation: str, hidden: list[int], norm: str) -> None:
    conditions = [{"dropout": p, "weight_decay": w} for p, w in ((0, 0), (0.4, 0), (0, 0.1))] if hidden else [{}]
    p = problem("cross_entropy", 9, conditions, hidden_sizes=hidden, activation=activation, norm=norm)
    assert_step_is_autograds(p)


def assert_step_is_autograds(p: Problem) -> None:
    """Whether gradients are kept or go straight into the parameters."""
    before = p.parameters()
    kept = p.gradients()
    p.step()
    after = p.parameters()
    layers = len(p.network.sizes) - 1
    for run, s in enumerate(p.settings):
        leaves = [t[run].clone().requires_grad_() for t in before]
        loss = REFERENCE_LOSSES[p.loss](p.plain_outputs(run, leaves), p.y_RB[run])
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        for i, (a, b, own, g) in enumerate(zip(before, after, kept, gradients, strict=True)):
            torch.testing.assert_close(own[run], g, rtol=1e-10, atol=1e-12)
            decay = s.weight_decay * a[run] if i < layers else torch.zeros_like(a[run])
            torch.testing.assert_close(a[run] - b[run], g + decay, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_is_the_slope_of_finite_differences(loss: str, norm: str) -> None:
    """Central differences of our own forward pass, along random directions: no autograd on either side."""
    p = problem(loss, 8, norm=norm)
    kept = p.parameters()
    rng = torch.Generator().manual_seed(2)
    directions = [torch.randn(t.shape, generator=rng, dtype=torch.float64) for t in kept]
    epsilon = 1e-6

    def shift(by: float) -> None:
        for stacked, t, d in zip(p.network.parameters.all, kept, directions, strict=True):
            matrix(p.network, stacked).copy_(t + by * d)

    shift(epsilon)
    above = p.losses()
    shift(-epsilon)
    slope_R = (above - p.losses()) / (2 * epsilon)
    shift(0.0)
    along_R = sum((g * d).flatten(1).sum(1) for g, d in zip(p.gradients(), directions))
    assert isinstance(along_R, Tensor)
    torch.testing.assert_close(slope_R, along_R, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("train", [True, False])
def test_forward_is_layer_by_layer_torch(train: bool, norm: str) -> None:
    p = problem("cross_entropy", 7, norm=norm)
    z = p.forward(train=train).x_RNM
    assert z.shape == (len(COMPANY), 7, 4)
    for run in range(len(COMPANY)):
        expected = p.plain_outputs(run, [t[run] for t in p.parameters()], train=train)
        torch.testing.assert_close(z[run], expected, rtol=1e-12, atol=1e-13)


def test_forward_is_that_of_a_plain_sequential() -> None:
    p = problem("cross_entropy", 7, [{"activation": "relu"}])
    model = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    own = p.parameters()
    with torch.no_grad():
        linears = [m for m in model if isinstance(m, nn.Linear)]
        for linear, weight, bias in zip(linears, own[:3], own[3:], strict=True):
            linear.weight.copy_(weight[0].t())
            linear.bias.copy_(bias[0, 0])
        torch.testing.assert_close(p.forward().x_RNM[0], model(p.x_GBI[0]), rtol=1e-12, atol=1e-13)


def test_each_run_has_its_own_rate_and_decay() -> None:
    conditions = [
        {"lr": 0.5},
        {"lr": 0.25},
        {"lr": 0.5, "weight_decay": 0.4},
        {"lr": 0.25, "weight_decay": 0.8, "decay_bias": True},
    ]
    p = problem("cross_entropy", 6, conditions, activation="prelu", norm="layer")
    n = len(conditions)
    p.groups = [Group(start=0, stop=n, batch=0)]
    for stacked in p.network.parameters.all:
        stacked.flat_RS[1:] = stacked.flat_RS[0]
    p.y_RB[1:] = p.y_RB[0]
    before = p.parameters()
    p.step()
    for i, (a, b) in enumerate(zip(before, p.parameters())):
        gradient = (a[0] - b[0]) / 0.5
        decays = [0, 0, 0.4, 0.8] if i < 3 else [0, 0, 0, 0.8] if i < 6 else [0] * 4
        for run, (rate, decay) in enumerate(zip([0.5, 0.25, 0.5, 0.25], decays)):
            expected = (1 - rate * decay) * a[run] - rate * gradient
            torch.testing.assert_close(b[run], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_padding_of_weights_stays_zero_over_steps(optimizer: str, clip_norm: float | None) -> None:
    """The products read padding rows and columns of the weights; a number there would leak into the outputs."""
    more: dict[str, Any] = {"weight_decay": 0.1, "decay_bias": True, "l1": 0.01, "lr": 0.1, "clip_norm": clip_norm}
    p = problem("cross_entropy", 7, norm="layer", optimizer=optimizer, **more)
    updates = Updates(p.network, p.settings)
    for step in range(5):
        updates.advance(step)
        p.backward(updates.output_factor())
        updates.apply(p.inputs, p.work)
    for stacked in p.network.parameters.all:
        padding = stacked.flat_RS.clone()
        view = padding.as_strided(stacked.x_RNM.shape, stacked.x_RNM.stride())
        (view[:, : matrix(p.network, stacked).shape[1]]).zero_()
        assert not padding.any()
        assert matrix(p.network, stacked).any()


@pytest.mark.parametrize("kind", ["weights", "biases", "slopes", "gammas", "betas"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("summed", [False, True], ids=["all are looked at", "weights were summed up"])
def test_finite_finds_the_run_with_a_bad_parameter(kind: str, bad: float, summed: bool) -> None:
    p = problem("cross_entropy", 7, norm="batch")
    arrays = getattr(p.network.parameters, kind)

    def finite() -> list[bool]:
        sums_R = sums_of_weights(p.network) if summed else None
        return p.network.finite(torch.zeros(len(COMPANY)), sums_R).tolist()

    assert finite() == [True] * len(COMPANY)
    for layer, run in ((0, 4), (-1, 7)):
        before = arrays[layer].x_RNM[run, 0, 0].clone()
        arrays[layer].x_RNM[run, 0, 0] = bad
        assert finite() == [i != run for i in range(len(COMPANY))]
        arrays[layer].x_RNM[run, 0, 0] = before


def sums_of_weights(network: Network) -> Tensor:
    return torch.stack([w.flat_RS.sum(1) for w in network.parameters.weights]).sum(0)


@pytest.mark.parametrize("hidden", [[], [6], [6, 5]])
@pytest.mark.parametrize("decay", [0, 0.1])
def test_descent_tells_the_sum_of_each_run_s_weights(hidden: list[int], decay: float) -> None:
    conditions = [{"lr": 0.1 * (i + 1), "weight_decay": decay} for i in range(4)]
    p = problem("cross_entropy", 7, conditions, hidden_sizes=hidden)
    updates = Updates(p.network, p.settings)
    p.backward(updates.output_factor())
    found = updates.apply(p.inputs, p.work)
    assert found is not None
    torch.testing.assert_close(found, sums_of_weights(p.network), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("more", [{"optimizer": "adam"}, {"clip_norm": 1.0}, {"l1": 0.1}], ids=str)
def test_weights_that_change_after_their_gradients_are_put_are_not_summed_up(more: dict[str, Any]) -> None:
    p = problem("cross_entropy", 7, [{"lr": 0.1}, {"lr": 0.2}], **more)
    updates = Updates(p.network, p.settings)
    p.backward(updates.output_factor())
    assert updates.apply(p.inputs, p.work) is None


def test_a_soft_threshold_that_is_no_number_ends_a_run_at_its_step() -> None:
    """A lambda beyond single precision times a rate that is 0 there."""
    keys = {"l1": 1e39, "lr": 1e-46}
    rows = train_stack(runs(MADE, {"width": 5, "batch_size": LARGEST_BATCH, "steps": 8}, [keys]), MADE.data).runs
    assert [row["diverged_at_step"] for row in rows] == [1]


def test_finite_numbers_whose_sum_overflows_are_finite() -> None:
    p = problem("cross_entropy", 7)
    p.network.parameters.weights[0].x_RNM[2, :7] = 1e308
    p.network.parameters.weights[1].x_RNM[3, 0, 0] = torch.inf
    assert p.network.finite(torch.zeros(len(COMPANY))).tolist() == [i != 3 for i in range(len(COMPANY))]


def test_a_loss_that_is_not_finite_is_found() -> None:
    p = problem("cross_entropy", 7)
    losses = torch.zeros(len(COMPANY))
    losses[2], losses[5] = torch.nan, torch.inf
    assert p.network.finite(losses).tolist() == [i not in (2, 5) for i in range(len(COMPANY))]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 15), (4, 16), (5, 17), (257, 301)])
def test_rows_and_runs_start_at_whole_vectors_and_end_in_spare_elements(rows: int, columns: int) -> None:
    stacked = Stacked.zeros(3, rows, columns, dtype=torch.float32, device=CPU)
    assert padded(columns) % VECTOR == 0
    assert 0 <= padded(columns) - columns < VECTOR
    assert stacked.x_RNM.shape == (3, rows, columns)
    assert stacked.x_RNM.stride() == (stacked.flat_RS.shape[1], padded(columns), 1)
    assert stacked.flat_RS.shape[1] % SPARE == 0
    assert stacked.flat_RS.shape[1] - rows * padded(columns) >= SPARE
    assert stacked.x_RNM.data_ptr() == stacked.flat_RS.data_ptr() == stacked.wide_RNP.data_ptr()
