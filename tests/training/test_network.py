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
from made_data import made, runs
from reference import LOSSES as REFERENCE_LOSSES
from reference import MODULES
from torch import Tensor, nn

from mlpbench.experiment.grid import RunSettings
from mlpbench.training.buffers import SPARE, VECTOR, Stacked, column, padded
from mlpbench.training.losses import LOSSES
from mlpbench.training.network import Group, Inputs, Network, Workspace

CPU = torch.device("cpu")
MADE = made(n_train=50, n_test=10, features=7, classes=4)
LARGEST_BATCH = 12
ACTIVATIONS = list(MODULES)


def settings_of(conditions: Sequence[dict[str, Any]], **fixed: Any) -> list[RunSettings]:
    shared = {"batch_size": LARGEST_BATCH, "lr": 1.0, "precision": "float64"} | fixed
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
        for weight, bias, i in zip(network.weights, network.biases, sizes):
            weight.x_RNM[:, :i] = torch.randn(weight.x_RNM[:, :i].shape, generator=rng, dtype=torch.float64) * 0.7
            bias.x_RNM[:] = torch.randn(bias.x_RNM.shape, generator=rng, dtype=torch.float64) * 0.3
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
        LOSSES[self.loss].forward(z, self.y_RB[:, :, None], per_example)
        return per_example.x_RNM[:, 0].mean(1)

    def step(self) -> None:
        """Take one step with each run's own learning rate."""
        n = self.y_RB.shape[1]
        self.losses()
        rate = column([s.lr for s in self.settings], dtype=torch.float64, device=CPU)
        d = self.work.d_outputs
        LOSSES[self.loss].backward(self.work.outputs.rows(n), self.y_RB[:, :, None], rate / n, d.rows(n))
        self.network.descend(self.inputs, self.work, d)

    def parameters(self) -> list[Tensor]:
        """Copies of weights (R, I, O) and biases (R, O), layer by layer."""
        network, found = self.network, []
        for weight, bias, i in zip(network.weights, network.biases, network.sizes):
            found += [weight.x_RNM[:, :i].clone(), bias.x_RNM[:, 0].clone()]
        return found

    def batch_of(self, run: int) -> Tensor:
        (group,) = [g for g in self.groups if g.start <= run < g.stop]
        return self.x_GBI[group.batch]

    def plain_outputs(self, run: int, parameters: Sequence[Tensor], *, train: bool = True) -> Tensor:
        """The outputs (B, C) of one run, layer by layer in plain torch."""
        (group,) = [g for g in self.groups if g.start <= run < g.stop]
        s, h = self.settings[run], self.batch_of(run)
        for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2])):
            h = h @ weight + bias
            if layer < len(s.hidden_sizes):
                h = MODULES[s.activation]()(h)
                p = s.dropout[layer]
                if train and p > 0:
                    h = h * (self.noise_LGBU[layer][group.batch] >= p) / (1 - p) if p < 1 else h * 0
        return h


DROPOUTS: list[Any] = [0, 0.5, [0, 0.5], [0.3, 0], 1, 0.2, 0, 0.5, 0.1]
COMPANY = [{"activation": a.partition("(")[0], "dropout": p} for a, p in zip(ACTIVATIONS, DROPOUTS, strict=True)]
COMPANY[3]["activation"] = {"leaky_relu": 0.3}


def problem(loss: str, batch: int, conditions: Sequence[dict[str, Any]] = COMPANY, **fixed: Any) -> Problem:
    return Problem.make(settings_of(conditions, **({"hidden_sizes": [6, 5]} | fixed)), loss, batch)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 5, LARGEST_BATCH])
def test_a_step_at_rate_1_is_autograds_gradient(loss: str, batch: int) -> None:
    """All activations and dropouts in one stack; full and partial batches; after another batch was in the buffers."""
    p = problem(loss, LARGEST_BATCH)
    p.step()
    later = Problem.make(p.settings, loss, batch, seed=1)
    later.work, later.network = p.work, p.network
    assert_step_is_autograds(later)


@pytest.mark.parametrize("hidden", [[], [3], [17, 1, 16], [5, 6, 7, 8]])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_is_autograds_gradient_at_every_depth(loss: str, hidden: list[int]) -> None:
    conditions = [{"dropout": p, "weight_decay": w} for p, w in ((0, 0), (0.4, 0), (0, 0.1))] if hidden else [{}]
    p = problem(loss, 9, conditions, hidden_sizes=hidden, activation="silu")
    assert_step_is_autograds(p)


def assert_step_is_autograds(p: Problem) -> None:
    before = p.parameters()
    p.step()
    after = p.parameters()
    for run, s in enumerate(p.settings):
        leaves = [t[run].clone().requires_grad_() for t in before]
        z = p.plain_outputs(run, leaves)
        loss = REFERENCE_LOSSES[p.loss](z, p.y_RB[run])
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        for i, (a, b, g) in enumerate(zip(before, after, gradients)):
            decay = s.weight_decay * a[run] if i % 2 == 0 else torch.zeros_like(a[run])
            torch.testing.assert_close(a[run] - b[run], g + decay, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_is_the_slope_of_finite_differences(loss: str) -> None:
    """Central differences of our own forward pass, along random directions: no autograd on either side."""
    p = problem(loss, 8)
    kept = p.parameters()
    rng = torch.Generator().manual_seed(2)
    directions = [torch.randn(t.shape, generator=rng, dtype=torch.float64) for t in kept]
    epsilon = 1e-6

    def shift(by: float) -> None:
        for i, (t, d) in enumerate(zip(kept, directions)):
            stacked = (p.network.weights if i % 2 == 0 else p.network.biases)[i // 2]
            target = stacked.x_RNM[:, : t.shape[1]] if i % 2 == 0 else stacked.x_RNM[:, 0]
            target.copy_(t + by * d)

    shift(epsilon)
    above = p.losses()
    shift(-epsilon)
    slope_R = (above - p.losses()) / (2 * epsilon)
    shift(0.0)
    p.step()
    along_R = sum(((a - b) * d).flatten(1).sum(1) for a, b, d in zip(kept, p.parameters(), directions))
    assert isinstance(along_R, Tensor)
    torch.testing.assert_close(slope_R, along_R, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("train", [True, False])
def test_forward_is_layer_by_layer_torch(train: bool) -> None:
    p = problem("cross_entropy", 7)
    z = p.forward(train=train).x_RNM
    assert z.shape == (len(COMPANY), 7, 4)
    for run in range(len(COMPANY)):
        expected = p.plain_outputs(run, [t[run] for t in p.parameters()], train=train)
        torch.testing.assert_close(z[run], expected, rtol=1e-12, atol=1e-13)


def test_forward_is_that_of_a_plain_sequential() -> None:
    p = problem("cross_entropy", 7, [{"activation": "relu"}])
    model = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    with torch.no_grad():
        for parameter, own in zip(model.parameters(), p.parameters()):
            parameter.copy_(own[0].t())
        torch.testing.assert_close(p.forward().x_RNM[0], model(p.x_GBI[0]), rtol=1e-12, atol=1e-13)


def test_each_run_has_its_own_rate_and_decay() -> None:
    conditions = [
        {"lr": 0.5},
        {"lr": 0.25},
        {"lr": 0.5, "weight_decay": 0.4},
        {"lr": 0.25, "weight_decay": 0.8, "decay_bias": True},
    ]
    p = problem("cross_entropy", 6, conditions, activation="tanh")
    n = len(conditions)
    p.groups = [Group(start=0, stop=n, batch=0)]
    for stacked in (*p.network.weights, *p.network.biases):
        stacked.flat_RS[1:] = stacked.flat_RS[0]
    p.y_RB[1:] = p.y_RB[0]
    before = p.parameters()
    p.step()
    for i, (a, b) in enumerate(zip(before, p.parameters())):
        gradient = (a[0] - b[0]) / 0.5
        decays = [0, 0, 0.4, 0.8] if i % 2 == 0 else [0, 0, 0, 0.8]
        for run, (rate, decay) in enumerate(zip([0.5, 0.25, 0.5, 0.25], decays)):
            expected = (1 - rate * decay) * a[run] - rate * gradient
            torch.testing.assert_close(b[run], expected, rtol=1e-10, atol=1e-13)


def test_padding_of_weights_stays_zero_over_steps() -> None:
    """The products read padding rows and columns of the weights; a number there would leak into the outputs."""
    p = problem("cross_entropy", 7)
    for _ in range(5):
        p.step()
    for weight, bias, i in zip(p.network.weights, p.network.biases, p.network.sizes):
        columns = weight.x_RNM.shape[2]
        assert not weight.wide_RNP[:, i:].any()
        assert not weight.wide_RNP[:, :, columns:].any()
        assert not bias.wide_RNP[:, :, columns:].any()
        assert weight.x_RNM[:, :i].any()


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_finite_finds_the_run_with_a_bad_parameter(layer: int, bad: float) -> None:
    p = problem("cross_entropy", 7)
    assert p.network.finite().tolist() == [True] * 9
    p.network.weights[layer].x_RNM[4, 2, 0] = bad
    p.network.biases[layer].x_RNM[7, 0, 1] = bad
    assert p.network.finite().tolist() == [i not in (4, 7) for i in range(9)]


def test_finite_numbers_whose_sum_overflows_are_finite() -> None:
    p = problem("cross_entropy", 7)
    p.network.weights[0].x_RNM[2, :7] = 1e308
    p.network.weights[1].x_RNM[3, 0, 0] = torch.inf
    assert p.network.finite().tolist() == [i != 3 for i in range(9)]


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
