"""bfloat16: what goes into a product is rounded, everything else is float32; tf32 is refused where no GPU is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_data import made, runs
from torch import Tensor, nn
from torch.nn import functional as F

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.settings import GPU_PRECISIONS
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.engine import train_stack
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget

MADE = made(n_train=300, n_test=50, features=19, classes=5)
SIZES = [19, 17, 9, 5]
BATCH = 32
OPERANDS = ["inputs", "weights", "activations", "errors"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "identity": lambda z: z,
    "silu": F.silu,
}


class Rounded(torch.autograd.Function):
    """Round on the way forward; gradients pass as they are."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        return t.bfloat16().float()

    @staticmethod
    def backward(ctx: Any, *d: Tensor) -> Tensor:
        return d[0]


class RoundedError(torch.autograd.Function):
    """Round the gradient on the way back."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        return t.view_as(t)

    @staticmethod
    def backward(ctx: Any, *d: Tensor) -> Tensor:
        return d[0].bfloat16().float()


def rounded(t: Tensor, what: str, left_out: str | None) -> Tensor:
    if what == left_out:
        return t
    kind = RoundedError if what == "errors" else Rounded
    result = kind.apply(t)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result


def emulated(
    x: Tensor, y: Tensor, weights: list[Tensor], biases: list[Tensor], f: str, left_out: str | None
) -> list[Tensor]:
    """Logits, then the gradients of the mean cross-entropy, by autograd with one kind of rounding left out."""
    weights, biases = ([p.clone().requires_grad_(True) for p in group] for group in (weights, biases))
    h = rounded(x, "inputs", left_out)
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = rounded(h @ rounded(w, "weights", left_out) + b, "errors", left_out)
        h = rounded(ACTIVATIONS[f](z), "activations", left_out) if layer < len(weights) - 1 else z
    gradients = torch.autograd.grad(F.cross_entropy(h, y), [*weights, *biases])
    return [h.detach(), *gradients]


def engines(x: Tensor, y: Tensor, weights: list[Tensor], biases: list[Tensor], f: str) -> list[Tensor]:
    """The same by the engine, of the second of two runs."""
    fixed = {"hidden_sizes": SIZES[1:-1], "batch_size": BATCH, "activation": f, "precision": "bfloat16"}
    settings = [r.settings for r in runs(MADE, fixed, replicates=2)]
    network = Network(settings, SIZES, dtype=torch.float32, device=torch.device("cpu"))
    p = network.parameters
    for stacked_w, stacked_b, w, b in zip(p.weights, p.biases, weights, biases, strict=True):
        stacked_w.x_RNM[:, : len(w)], stacked_b.x_RNM[:, 0] = w, b
    work = Workspace(network, BATCH, backward=True)
    inputs = Inputs(x_GBI=x[None].clone(), groups=[Group(start=0, stop=2, batch=0)])
    z, labels = network.forward(inputs, work, train=True), y[None, :, None].expand(2, -1, -1)
    logits = z.x_RNM[1].clone()
    LOSSES["cross_entropy"].forward(torch, z, labels, work.losses)
    LOSSES["cross_entropy"].gradient(torch, z, labels, torch.full((2, 1, 1), 1 / BATCH), work.d_outputs)
    into = network.layers()
    network.backward(inputs, work, GradientTarget(into=into, subtracts=False))
    found = [g.x_RNM[1, :i] for g, i in zip(into.weights, SIZES)]
    return [logits, *found, *(g.x_RNM[1, 0] for g in into.biases)]


def problem() -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    rng = torch.Generator().manual_seed(5)
    shapes = list(itertools.pairwise(SIZES))
    weights = [torch.randn(i, o, generator=rng) * 0.4 for i, o in shapes]
    biases = [torch.randn(o, generator=rng) * 0.3 for _, o in shapes]
    return torch.rand(BATCH, SIZES[0], generator=rng), torch.randint(5, (BATCH,), generator=rng), weights, biases


def furthest(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("f", ACTIVATIONS)
def test_operands_of_products_are_rounded_and_nothing_else(f: str) -> None:
    x, y, weights, biases = problem()
    assert furthest(engines(x, y, weights, biases, f), emulated(x, y, weights, biases, f, None)) < 1e-5


@pytest.mark.parametrize("left_out", OPERANDS)
def test_every_rounding_shows(left_out: str) -> None:
    """The test above would see it if one of them were missing."""
    x, y, weights, biases = problem()
    assert furthest(engines(x, y, weights, biases, "relu"), emulated(x, y, weights, biases, "relu", left_out)) > 3e-4


def test_training_is_near_that_of_torch_under_autocast() -> None:
    x, y, weights, biases = problem()
    layers: list[nn.Module] = []
    for w, b in zip(weights, biases, strict=True):
        linear = nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = w.T.clone(), b.clone()
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(model(x), y)
    torch.autograd.backward(loss)
    linears = [m for m in model if isinstance(m, nn.Linear)]
    expected = [m.weight.grad.T for m in linears] + [m.bias.grad for m in linears]  # type: ignore[union-attr]
    assert furthest(engines(x, y, weights, biases, "relu")[1:], expected) < 0.02


def test_bfloat16_learns_what_float32_learns() -> None:
    fixed = {"hidden_sizes": [17, 9], "batch_size": 64, "epochs": 20, "init": "he_normal"}
    rows = {p: train_stack(runs(MADE, fixed | {"precision": p}), MADE.data).runs[0] for p in ("bfloat16", "float32")}
    assert rows["bfloat16"]["train_loss"] == pytest.approx(rows["float32"]["train_loss"], rel=0.05)
    assert rows["bfloat16"]["weights_sha256"] != rows["float32"]["weights_sha256"]


@pytest.mark.parametrize("precision", GPU_PRECISIONS)
def test_tensor_cores_are_refused_on_a_cpu(precision: str) -> None:
    with pytest.raises(ValueError, match=f"precision {precision} needs a GPU"):
        train_stack(runs(MADE, {"precision": precision}), MADE.data)
