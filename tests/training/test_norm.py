"""Layer and batch normalisation: forward, backward and running averages are torch's, run by run.

Shapes: `R` runs, `B` batch, `U` units.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlpbench.training.buffers import Stacked
from mlpbench.training.network.norm import EPS, NEWEST, Norm

CPU = torch.device("cpu")
RUNS = 3
LARGEST = 12
TOLERANCE = {torch.float32: 5e-5, torch.float64: 1e-11}
MODULES: dict[str, type[nn.LayerNorm] | type[nn.BatchNorm1d]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


class Layer:
    """A norm of a stack with random scales and shifts, in buffers that hold rows of an earlier, larger batch."""

    def __init__(self, kind: str, units: int, dtype: torch.dtype) -> None:
        make: dict[str, Any] = {"dtype": dtype, "device": CPU}
        self.rng = torch.Generator().manual_seed(units)
        self.dtype = dtype
        self.norm = Norm(kind, RUNS, units, **make)
        self.z, self.x_hat, self.d = (Stacked.zeros(RUNS, LARGEST, units, **make) for _ in range(3))
        self.gamma, self.beta = (Stacked.zeros(RUNS, 1, units, **make) for _ in range(2))
        for stacked in (self.z, self.x_hat, self.d, self.gamma, self.beta):
            stacked.x_RNM.copy_(self.draw(*stacked.x_RNM.shape))
        self.modules = [MODULES[kind](units, dtype=dtype) for _ in range(RUNS)]
        for i, module in enumerate(self.modules):
            with torch.no_grad():
                module.weight.copy_(self.gamma.x_RNM[i, 0])
                module.bias.copy_(self.beta.x_RNM[i, 0])

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.rng, dtype=self.dtype)

    def forward(self, z_RBU: Tensor, *, train: bool = True) -> Tensor:
        n = z_RBU.shape[1]
        self.z.x_RNM[:, :n] = z_RBU
        self.norm.forward(self.z.rows(n), self.x_hat.rows(n), self.gamma, self.beta, train=train)
        return self.z.x_RNM[:, :n].clone()

    def backward(self, d_RBU: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """dL/dz, dL/dgamma and dL/dbeta from dL/dy."""
        n = d_RBU.shape[1]
        self.d.x_RNM[:, :n] = d_RBU
        d_gamma, d_beta = self.norm.backward(self.d.rows(n), self.x_hat.rows(n), self.gamma.x_RNM.clone())
        return self.d.x_RNM[:, :n].clone(), d_gamma, d_beta


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=TOLERANCE[got.dtype], atol=TOLERANCE[got.dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("units", [3, 5, 16, 33])
@pytest.mark.parametrize("batch", [2, 7, LARGEST])
@pytest.mark.parametrize("kind", MODULES)
def test_forward_backward_and_averages_are_torchs(kind: str, batch: int, units: int, dtype: torch.dtype) -> None:
    layer = Layer(kind, units, dtype)
    for step in range(3):
        z, d = layer.draw(RUNS, batch, units) * (1 + 3 * step) + step, layer.draw(RUNS, batch, units)
        y, (dz, d_gamma, d_beta) = layer.forward(z), layer.backward(d)
        for i, module in enumerate(layer.modules):
            leaf = z[i].clone().requires_grad_()
            expected = module(leaf)
            close(y[i], expected.detach())
            wanted = (leaf, module.weight, module.bias)
            for got, right in zip((dz[i], d_gamma[i, 0], d_beta[i, 0]), torch.autograd.grad(expected, wanted, d[i])):
                close(got, right)
            if isinstance(module, nn.BatchNorm1d):
                assert module.running_mean is not None
                assert module.running_var is not None
                close(layer.norm.mean[i, 0], module.running_mean)
                close(layer.norm.variance[i, 0], module.running_var)
    y = layer.forward(z, train=False)
    for i, module in enumerate(layer.modules):
        close(y[i], module.eval()(z[i]).detach())


@pytest.mark.parametrize("kind", MODULES)
def test_what_is_normalised_has_mean_0_and_variance_1(kind: str) -> None:
    layer = Layer(kind, 40, torch.float64)
    layer.forward(layer.draw(RUNS, LARGEST, 40) * 50 + 7)
    over = 2 if kind == "layer" else 1
    assert float(layer.x_hat.x_RNM.mean(over).abs().max()) < 1e-12
    assert float((layer.x_hat.x_RNM.var(over, correction=0) - 1).abs().max()) < 1e-6


def test_a_batch_of_one_is_its_shift_and_leaves_the_averages_alone() -> None:
    layer = Layer("batch", 5, torch.float64)
    layer.forward(layer.draw(RUNS, 8, 5))
    mean, variance = layer.norm.mean.clone(), layer.norm.variance.clone()
    y = layer.forward(layer.draw(RUNS, 1, 5) * 1e3)
    assert torch.equal(y, layer.beta.x_RNM)
    assert torch.equal(layer.norm.mean, mean)
    assert torch.equal(layer.norm.variance, variance)
    d = layer.draw(RUNS, 1, 5)
    dz, d_gamma, d_beta = layer.backward(d)
    assert not dz.any(), "the normalised value is 0 whatever the input"
    assert not d_gamma.any()
    assert torch.equal(d_beta, d)


def test_one_unit_normalised_over_itself_is_its_shift() -> None:
    layer = Layer("layer", 1, torch.float64)
    assert torch.equal(layer.forward(layer.draw(RUNS, 7, 1)), layer.beta.x_RNM.expand(-1, 7, -1))


def test_averages_weigh_the_newest_batch_by_a_tenth_and_its_variance_has_divisor_n_minus_1() -> None:
    assert (EPS, NEWEST) == (1e-5, 0.1) == (nn.BatchNorm1d(1).eps, nn.BatchNorm1d(1).momentum)
    layer = Layer("batch", 1, torch.float64)
    layer.forward(torch.tensor([[[1.0], [3.0]]], dtype=torch.float64).expand(RUNS, 2, 1))
    assert layer.norm.mean[0].item() == pytest.approx(0.1 * 2)
    assert layer.norm.variance[0].item() == pytest.approx(0.9 * 1 + 0.1 * 2)


def test_evaluation_leaves_the_averages_alone_and_depends_on_no_other_example() -> None:
    layer = Layer("batch", 5, torch.float64)
    layer.forward(layer.draw(RUNS, 8, 5))
    mean = layer.norm.mean.clone()
    z = layer.draw(RUNS, 6, 5)
    whole = layer.forward(z, train=False)
    part = layer.forward(z[:, 2:3], train=False)
    assert torch.equal(whole[:, 2:3], part)
    assert torch.equal(layer.norm.mean, mean)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_number_spoils_its_own_run_only(kind: str, bad: float) -> None:
    clean, spoilt = Layer(kind, 5, torch.float64), Layer(kind, 5, torch.float64)
    z = clean.draw(RUNS, 6, 5)
    worse = z.clone()
    worse[1, 2, 3] = bad
    y, other = clean.forward(z), spoilt.forward(worse)
    assert not other[1].isfinite().all()
    for run in (0, 2):
        assert torch.equal(y[run], other[run])
        assert torch.equal(clean.norm.mean[run], spoilt.norm.mean[run])
