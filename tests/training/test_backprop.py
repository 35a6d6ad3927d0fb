"""The pass that is written out equals autograd, central differences and the stacked engine's own pass."""

from __future__ import annotations

import itertools

import backprop
import pytest
import torch
from torch import Tensor, nn
from torch_reference import MODULES

SIZES = [5, 7, 4, 3]
ACTIVATIONS = [name for name in MODULES if name != "prelu"]


def problem(seed: int = 0) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    shapes = list(itertools.pairwise(SIZES))
    return (
        draw(6, SIZES[0]),
        torch.randint(SIZES[-1], (6,), generator=rng),
        [draw(i, o) for i, o in shapes],
        [draw(o) for _, o in shapes],
    )


def gradients(f: str) -> tuple[Tensor, list[Tensor]]:
    x, y, weights, biases = problem()
    done = backprop.forward(x, weights, biases, f)
    loss, error = backprop.cross_entropy(done.logits, y)
    d_weights, d_biases = backprop.backward(done, error, weights, f)
    return loss, [*d_weights, *d_biases]


@pytest.mark.parametrize("f", ACTIVATIONS)
def test_gradients_are_those_of_autograd(f: str) -> None:
    x, y, weights, biases = problem()
    layers: list[nn.Module] = []
    for w, b in zip(weights, biases, strict=True):
        linear = nn.Linear(w.shape[0], w.shape[1], dtype=torch.float64)
        linear.weight.data, linear.bias.data = w.T.clone(), b.clone()
        layers += [linear, MODULES[f]()]
    model = nn.Sequential(*layers[:-1])
    expected = nn.functional.cross_entropy(model(x), y)
    torch.autograd.backward(expected)
    linears = [m for m in model if isinstance(m, nn.Linear)]
    slopes = [p.grad for m in linears for p in (m.weight, m.bias) if p.grad is not None]
    right = [g.T for g in slopes[::2]] + slopes[1::2]
    loss, found = gradients(f)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=0)
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("f", ["sigmoid", "tanh", "gelu", "silu"])
def test_gradients_are_central_differences(f: str) -> None:
    x, y, weights, biases = problem()
    _, found = gradients(f)
    for parameter, gradient in zip([*weights, *biases], found, strict=True):
        flat = parameter.view(-1)
        for i in range(0, len(flat), 3):
            ends = []
            for step in (1e-5, -1e-5):
                kept = flat[i].clone()
                flat[i] += step
                ends.append(backprop.cross_entropy(backprop.forward(x, weights, biases, f).logits, y)[0])
                flat[i] = kept
            slope = (ends[0] - ends[1]) / 2e-5
            assert float(gradient.reshape(-1)[i]) == pytest.approx(float(slope), rel=1e-5, abs=1e-9)


def test_backward_of_any_vector_is_a_vector_jacobian_product() -> None:
    """Outputs that are not scalars have a Jacobian; going back with v gives v^T J, as autograd has it."""
    x, _, weights, biases = problem()
    v = torch.randn(6, SIZES[-1], dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    done = backprop.forward(x, weights, biases, "tanh")
    found, _ = backprop.backward(done, v, weights, "tanh")

    def outputs(*ws: Tensor) -> Tensor:
        h = x
        for i, (w, b) in enumerate(zip(ws, biases, strict=True)):
            z = h @ w + b
            h = torch.tanh(z) if i < len(ws) - 1 else z
        return h

    _, expected = torch.autograd.functional.vjp(outputs, tuple(weights), v)  # type: ignore[no-untyped-call]
    jacobian = torch.autograd.functional.jacobian(outputs, tuple(weights))  # type: ignore[no-untyped-call]
    for a, b, j in zip(found, expected, jacobian, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(a, (v[:, :, None, None] * j).sum((0, 1)), rtol=1e-10, atol=1e-14)


def test_extreme_logits_have_a_finite_loss() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=torch.float64)
    loss, error = backprop.cross_entropy(logits, torch.tensor([1, 1]))
    assert float(loss) == pytest.approx((2e4 + float(torch.tensor(2.0).log())) / 2)
    assert error.isfinite().all()
