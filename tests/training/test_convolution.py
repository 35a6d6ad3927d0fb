"""Convolutions with pooling, against `torch.nn` and autograd; their bits have test_convolution_invariance.py.

Trainings against `torch.nn` and `torch.optim` have their rows in oracle_rows.py.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from small_data import Made, made, made_images, runs
from torch import Tensor, nn
from torch_reference import LOSSES, MODULES, POOLINGS, affine, bias_of, build, train

from mlpbench.base.models import SpecProblem
from mlpbench.base.streams import generator
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.engine import _Stack, train_stack
from mlpbench.training.network import parameters
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget

CPU = torch.device("cpu")
SHAPES = [((8, 8), [3]), ((9, 6), [2, 5]), ((5, 7), [17, 1]), ((2, 3), [8]), ((13, 14), [1, 3, 2])]


def pairs(members: Sequence[dict[str, Any]], image: tuple[int, int], **fixed: Any) -> tuple[Made, list[Run]]:
    of = made_images(n_train=90, n_test=61, image=image, classes=4)
    return of, runs(of, {"precision": "float64", "batch_size": 37, "lr": 0.1, "steps": 5} | fixed, members)


class Problem:
    """A stack with random parameters, two batches that runs share in turns, and plain modules with the same numbers."""

    def __init__(
        self, image: tuple[int, int], channels: list[int], n: int, members: list[dict[str, Any]], **fixed: Any
    ):
        fixed = {"conv_channels": channels, "hidden_sizes": [6]} | fixed
        of, made_runs = pairs(members, image, **fixed)
        self.settings = [r.settings for r in made_runs]
        first, count = self.settings[0], len(self.settings)
        self.network = Network(
            self.settings,
            first.sizes(of.facts),
            dtype=torch.float64,
            device=CPU,
            convolutions=first.convolutions(of.facts),
        )
        rng = torch.Generator().manual_seed(0)
        self.x_GBI = torch.rand(2, n, image[0] * image[1], generator=rng, dtype=torch.float64)
        cuts, batches = [0, 1, count - 1, count], [1, 0, 1]
        self.groups = [Group(start=a, stop=b, batch=g) for (a, b), g in zip(itertools.pairwise(cuts), batches)]
        self.d_RBC = torch.randn(count, n, 4, generator=rng, dtype=torch.float64)
        self.work = Workspace(self.network, 37, backward=True)
        p = self.network.parameters
        for stacked, (inputs, outputs) in zip(p.weights, self.network.shapes):
            own = stacked.x_RNM[:, :inputs]
            own.copy_(torch.randn(count, inputs, outputs, generator=rng, dtype=torch.float64) * 0.5)
        for stacked in (*p.biases, *p.slopes):
            stacked.x_RNM.copy_(torch.randn(stacked.x_RNM.shape, generator=rng, dtype=torch.float64) * 0.3)
        self.models = [self._model(i, made_runs[i], of) for i in range(count)]

    def _model(self, i: int, run: Run, of: Made) -> nn.Sequential:
        model = build(run, self.x_GBI.shape[2], 4, of.facts.image_shape)
        p = self.network.parameters
        with torch.no_grad():
            for module, weight, bias in zip(affine(model), p.weights, p.biases, strict=True):
                w_IO = weight.x_RNM[i, : module.weight.flatten(1).shape[1]]
                module.weight.copy_(w_IO.T.reshape(module.weight.shape))
                bias_of(module).copy_(bias.x_RNM[i, 0])
            for slope, own in zip((m for m in model if isinstance(m, nn.PReLU)), p.slopes, strict=False):
                slope.weight.copy_(own.x_RNM[i, 0])
        return model.eval()

    @property
    def inputs(self) -> Inputs:
        return Inputs(x_GBI=self.x_GBI, groups=self.groups)

    def of_run(self, i: int) -> Tensor:
        (group,) = [g for g in self.groups if g.start <= i < g.stop]
        return self.x_GBI[group.batch]

    def gradients(self) -> list[list[Tensor]]:
        """The gradients of sum(outputs * d), of each run: weights and biases in turn, then slopes where it has them."""
        n = self.x_GBI.shape[1]
        self.work.d_outputs.x_RNM[:, :n] = self.d_RBC
        into = self.network.layers()
        for stacked in into.all:
            stacked.x_RNM.fill_(5.0)
        self.network.backward(self.inputs, self.work, GradientTarget(into=into, subtracts=False))
        inputs = [i for i, _ in self.network.shapes]
        found = []
        for i, s in enumerate(self.settings):
            weights = [w.x_RNM[i, :rows].T for w, rows in zip(into.weights, inputs)]
            slopes = [o.x_RNM[i, 0] for o in into.slopes] if s.activation == "prelu" else []
            found.append([t for both in zip(weights, (b.x_RNM[i, 0] for b in into.biases)) for t in both] + slopes)
        return found


def autograds(model: nn.Sequential, x: Tensor, d: Tensor) -> list[Tensor]:
    leaves = [p for m in affine(model) for p in (m.weight, bias_of(m))]
    leaves += [m.weight for m in model if isinstance(m, nn.PReLU)]
    gradients = torch.autograd.grad((model(x) * d).sum(), leaves)
    return [g.flatten(1) if g.ndim > 1 else g for g in gradients]


EVERY: list[dict[str, Any]] = [{"activation": name} for name in MODULES]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("image", "channels"), SHAPES)
@pytest.mark.parametrize("hidden", [[6], pytest.param([], marks=pytest.mark.slow)])
def test_outputs_and_gradients_are_autograds(
    image: tuple[int, int], channels: list[int], hidden: list[int], pooling: str
) -> None:
    """Every activation in one stack; odd sizes; a batch that is not full, after one that was left stale numbers."""
    for n in (37, 5):
        p = Problem(image, channels, n, EVERY, hidden_sizes=hidden, pooling=pooling)
        full = Problem(image, channels, 37, EVERY, hidden_sizes=hidden, pooling=pooling)
        p.network, p.work = full.network, full.work
        p.models = full.models
        full.network.forward(full.inputs, full.work, train=True)
        full.gradients()
        z = p.network.forward(p.inputs, p.work, train=True).x_RNM
        kept = p.gradients()
        for i, model in enumerate(p.models):
            torch.testing.assert_close(z[i], model(p.of_run(i)).detach(), rtol=1e-11, atol=1e-12)
            for own, expected in zip(kept[i], autograds(model, p.of_run(i), p.d_RBC[i]), strict=True):
                torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-11)


def test_a_gradient_goes_to_the_first_maximum_row_by_row() -> None:
    """Equal inputs and weights that see one tap: every pooled cell is a tie, and torch's rule tells the taps apart."""
    p = Problem((6, 6), [2, 2], 3, [{"activation": "identity"}, {"activation": "tanh"}, {"activation": "relu"}])
    p.x_GBI.copy_((p.x_GBI * 2).round())
    for stacked in p.network.parameters.weights[:2]:
        stacked.x_RNM.zero_()
        stacked.x_RNM[:, ::9] = 1.0
    for i, model in enumerate(p.models):
        with torch.no_grad():
            for module in affine(model)[:2]:
                module.weight.zero_()
                module.weight[:, :, 0, 0] = 1.0
        p.network.forward(p.inputs, p.work, train=True)
        for own, expected in zip(p.gradients()[i], autograds(model, p.of_run(i), p.d_RBC[i]), strict=True):
            torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-11)
    a = p.work.activations(3)[0]
    corners = a.view(a.shape[0], 4, -1, *a.shape[2:])
    assert int(((corners == corners.amax(1, keepdim=True)).sum(1) > 1).sum()) > 20, "there are ties"


def test_a_step_takes_the_gradient_at_the_weights_as_they_were() -> None:
    """Plain descent writes into the weights while the way back still reads them."""
    members: list[dict[str, Any]] = [{"lr": 1.0}, {"lr": 0.5, "weight_decay": 0.1}, {"lr": 0.25, "activation": "prelu"}]
    of, stack = pairs(members, (9, 6), conv_channels=[3, 4], hidden_sizes=[5], steps=1, init="he_normal")
    kept = [dataclasses.replace(r.settings, optimizer="momentum(0.0)") for r in stack]
    with torch.no_grad():
        models = []
        for settings in ([r.settings for r in stack], kept):
            others = [
                dataclasses.replace(r, condition=dataclasses.replace(r.condition, settings=s))
                for r, s in zip(stack, settings, strict=True)
            ]
            engine = _Stack(others, of.data)
            engine.train(lambda share: None)
            models.append([engine._model(i) for i in range(3)])
        for one, other in zip(*models, strict=True):
            for a, b in zip(one.learnt, other.learnt, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_initial_filters_have_the_spread_that_torch_gives_them() -> None:
    """torch.nn.init counts 9 inputs a channel in and 9 outputs a channel out; of an orthogonal matrix Q^T Q is 1."""
    weight = torch.empty(64, 32, 3, 3)
    for name, torchs in (
        ("xavier_normal", nn.init.xavier_normal_),
        ("xavier_uniform", nn.init.xavier_uniform_),
        ("he_normal", lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
    ):
        own = parameters.weights(name, generator(0, 0, "init", 0), 9 * 32, 64, fan_out=9 * 64)
        assert own.shape == (9 * 32, 64)
        assert own.std() == pytest.approx(float(torchs(weight).std()), rel=0.03)
    q = parameters.weights("orthogonal", generator(0, 0, "init", 0), 9 * 2, 8, fan_out=9 * 8)
    np.testing.assert_allclose(q.T @ q, np.eye(8), atol=1e-12)


def test_metrics_of_layers_are_those_of_torch() -> None:
    """Convolutions come first; of 90 examples, a number that fills no whole vectors."""
    of = made_images(n_train=90, n_test=30, image=(8, 12), classes=4)
    fixed = {"conv_channels": [3, 5], "hidden_sizes": [6], "precision": "float64", "activation": "sigmoid", "epochs": 0}
    (run,) = runs(of, fixed | {"init": {"normal": 0.5}, "bias_init": {"normal": 0.3}})
    rows = train_stack([run], of.data, probes=[0.0]).layers
    assert [r["layer"] for r in rows] == [1, 2, 3, 4]
    model = build(run, 96, 4, (8, 12))
    x = torch.from_numpy(np.array(of.dataset.x_train)).double() / 255
    y = torch.from_numpy(of.dataset.y_train.astype(np.int64))
    z: list[Tensor] = []

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        z.append(output)

    for module in affine(model):
        module.register_forward_hook(seen)
    torch.autograd.backward(LOSSES["cross_entropy"](model.eval()(x), y))
    acts = [*(torch.sigmoid(t) for t in z[:-1]), z[-1]]
    square = [float(x.square().mean()), *(float(a.detach().square().mean()) for a in acts)]
    errors = [float(t.grad.square().mean()) for t in z if t.grad is not None]
    for i, row in enumerate(rows):
        a = acts[i].detach()
        expected = {"act_mean": float(a.mean()), "act_var": float(a.var(unbiased=False)), "act_zero": 0.0}
        expected["forward_gain"] = math.sqrt(square[i + 1] / square[i])
        gradient = affine(model)[i].weight.grad
        assert gradient is not None
        expected["grad_norm"] = float(gradient.norm())
        if i < 3:
            expected["act_saturated"] = float(((a * (1 - a)) < 0.0025).double().mean())
            expected["backward_gain"] = math.sqrt(errors[i] / errors[i + 1])
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-9), (row["layer"], name)


def test_channels_that_are_zero_everywhere_are_dead_and_filters_are_told_apart() -> None:
    of = made_images(n_train=90, n_test=30, image=(8, 8), classes=4)
    fixed = {"conv_channels": [4, 3], "hidden_sizes": [5], "epochs": 0}
    alike = {"label": "alike", "init": {"constant": 0.1}}
    dead = {"label": "dead", "init": {"constant": 0.1}, "bias_init": {"constant": -99.0}}
    other = {"label": "other", "init": "he_normal", "bias_init": {"normal": 2.0}}
    stack = runs(of, fixed, [alike, dead, other])
    rows = train_stack(stack, of.data).runs
    model = build(stack[2], 64, 4, (8, 8)).eval()
    h, quiet = torch.from_numpy(np.array(of.dataset.x_train)) / 255, 0
    for module in model:
        h = module(h)
        if isinstance(module, nn.ReLU):
            quiet += int((h.detach() == 0).flatten(2).all(2).all(0).sum() if h.ndim == 4 else (h == 0).all(0).sum())
    assert 0 < quiet < 12
    assert [r["dead_units"] for r in rows] == [0.0, 12.0, quiet]
    assert [r["distinct_units"] for r in rows] == [1.0, 1.0, 4.0]
    assert [r["n_parameters"] for r in rows] == [4 * 10 + 3 * 37 + 5 * 13 + 4 * 6] * 3


def test_a_dead_channel_is_told_from_the_spare_examples_of_a_chunk() -> None:
    """Spare lanes hold empty images, whose activation is f(bias): here the only ones that are not zero."""
    of = made_images(n_train=90, n_test=30, image=(8, 8), classes=4)
    (run,) = runs(
        of, {"conv_channels": [4], "depth": 0, "epochs": 0, "init": {"constant": -50.0}, "bias_init": {"constant": 1.0}}
    )
    (row,) = train_stack([run], of.data).runs
    assert row["dead_units"] == 4.0


def test_data_that_are_no_images_are_refused() -> None:
    of = made(n_train=50, n_test=10, features=7, classes=4)
    with pytest.raises(SpecProblem, match="must be") as caught:
        runs(of, {"conv_channels": [8]})
    expected = "conv_channels must be [] where examples are no images of one channel, as in made, got [8]"
    assert expected in str(caught.value)


def test_the_smallest_image_that_a_pooling_leaves_something_of() -> None:
    for image, most in (((2, 2), 1), ((3, 9), 1), ((4, 4), 2), ((28, 28), 4), ((31, 33), 4), ((32, 32), 5)):
        of = made_images(n_train=50, n_test=10, image=image, classes=4)
        assert len(runs(of, {"conv_channels": [1] * most})) == 1
        with pytest.raises(SpecProblem, match=f"at most {most} for images"):
            runs(of, {"conv_channels": [1] * (most + 1)})


class Rounded(torch.autograd.Function):
    """Round a number on the way forward (`what` 0) or its gradient on the way back (1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, what: int) -> Tensor:
        ctx.what = what
        return x.view_as(x) if what else x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *d: Tensor) -> tuple[Tensor, None]:
        return d[0].bfloat16().to(d[0].dtype) if ctx.what else d[0], None


def rounded(x: Tensor, what: int = 0) -> Tensor:
    result = Rounded.apply(x, what)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result


@pytest.mark.parametrize("pooling", POOLINGS)
def test_in_bfloat16_operands_of_products_are_rounded(pooling: str) -> None:
    """Images, filters, activations, what an average leaves of them, and errors; all else is as precise as it was."""
    members = [{"activation": a, "lr": lr} for a, lr in (("gelu", 0.1), ("silu", 0.2), ("relu", 0.3))]
    p = Problem((9, 6), [3, 4], 37, members, hidden_sizes=[], pooling=pooling)
    p.network.rounds = True
    p.work = Workspace(p.network, 37, backward=True)
    clean = p.x_GBI.clone()
    z = p.network.forward(p.inputs, p.work, train=True).x_RNM.clone()
    kept = p.gradients()
    for i, model in enumerate(p.models):
        (group,) = [g for g in p.groups if g.start <= i < g.stop]
        leaves = [t for m in affine(model) for t in (m.weight, bias_of(m))]
        h, f = rounded(clean[group.batch]).view(-1, 1, 9, 6), MODULES[p.settings[i].activation]()
        for w, b in zip(leaves[:-2:2], leaves[1:-2:2], strict=True):
            a = rounded(f(rounded(nn.functional.conv2d(h, rounded(w), b, padding=1), 1)))
            h = rounded(POOLINGS[pooling](2)(a))
        out = rounded(h.flatten(1) @ rounded(leaves[-2]).T + leaves[-1], 1)
        torch.testing.assert_close(z[i], out.detach(), rtol=1e-9, atol=1e-10)
        gradients = torch.autograd.grad((out * p.d_RBC[i]).sum(), leaves)
        for own, expected in zip(kept[i], gradients, strict=True):
            right = expected.flatten(1) if expected.ndim > 1 else expected
            # A last bit of float64 moves one number in thousands to the next bfloat16.
            torch.testing.assert_close(own, right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))


@pytest.mark.slow
def test_a_small_network_learns_fashion_as_torchs_does() -> None:
    """24 steps of the size that experiments have: the same parameters but for rounding."""
    of = made_images(n_train=2_000, n_test=200, image=(28, 28), classes=10)
    (run,) = runs(
        of,
        {"conv_channels": [8, 16], "width": 64, "init": "he_normal", "lr": 0.02, "epochs": 3, "precision": "float64"},
    )
    expected = train(run, of.dataset)
    engine = _Stack([run], of.data)
    with torch.no_grad():
        engine.train(lambda share: None)
        for own, right in zip(engine._model(0).learnt, expected.parameters, strict=True):
            torch.testing.assert_close(own, right, rtol=1e-9, atol=1e-9)
