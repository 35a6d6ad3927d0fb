"""Losses: each example's loss and its gradient at the outputs are those of torch, also at extreme outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch_reference import EXAMPLE_LOSSES

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word
from mlpbench.training.buffers import Stacked

CPU = torch.device("cpu")


def apply(name: str, z_RBC: Tensor, y_RB: Tensor, scale_R: Tensor) -> tuple[Tensor, Tensor, Stacked]:
    """Return loss (R, B), gradient (R, B, C) and the gradient's buffer, in buffers that are larger and not clean."""
    runs, batch, classes = z_RBC.shape
    z, d = (Stacked.zeros(runs, batch + 3, classes, dtype=z_RBC.dtype, device=CPU) for _ in range(2))
    losses = Stacked.zeros(runs, 1, batch + 3, dtype=z_RBC.dtype, device=CPU)
    z.x_RNM.fill_(-3.0)
    losses.x_RNM.fill_(11.0)
    z.x_RNM[:, :batch] = z_RBC
    n, of = z.rows(batch), losses.columns(batch)
    LOSSES[name].forward(torch, n, y_RB[:, :, None], of)
    loss = of.x_RNM[:, 0].clone()
    LOSSES[name].gradient(torch, n, y_RB[:, :, None], scale_R[:, None, None], d.rows(batch))
    return loss, d.x_RNM[:, :batch].clone(), d


def test_every_loss_has_a_reference() -> None:
    kind = SETTINGS["loss"].value_type
    assert isinstance(kind, Word)
    assert set(LOSSES) == set(EXAMPLE_LOSSES) == set(kind.table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 3, 10, 16, 17])
@pytest.mark.parametrize("name", EXAMPLE_LOSSES)
def test_loss_and_gradient_are_torchs(name: str, classes: int, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(classes)
    z = (
        torch.randn(4, 9, classes, generator=rng, dtype=dtype)
        # Where p_y is next to nothing, so are its digits: naive_cross_entropy has a test of its own for that.
        * torch.tensor([0.1, 1, 10, 5 if name.startswith("naive") else 100], dtype=dtype)[:, None, None]
    )
    y = torch.randint(classes, (4, 9), generator=rng)
    scale = torch.tensor([1.0, 0.5, 0.1, 3.0], dtype=dtype)
    loss, gradient, buffer = apply(name, z, y, scale)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    for r in range(4):
        leaf = z[r].clone().requires_grad_()
        expected = EXAMPLE_LOSSES[name](leaf, y[r])
        (slope,) = torch.autograd.grad((expected * scale[r]).sum(), leaf)
        largest = max(1.0, float(z[r].abs().max()))
        torch.testing.assert_close(loss[r], expected.detach(), rtol=tolerance, atol=tolerance * largest)
        torch.testing.assert_close(gradient[r], slope, rtol=tolerance, atol=tolerance * largest)
    padding = buffer.wide_RNP[:, :, classes:]
    assert not padding.any(), "products read the padding columns: they stay zero"
    assert not buffer.x_RNM[:, 9:].any(), "rows beyond the batch are left alone"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_cross_entropy_is_finite_at_extreme_outputs(size: float, dtype: torch.dtype) -> None:
    """Right and sure: 0. Wrong and sure: the distance of the outputs. Undecided: log of the number of classes."""
    z = torch.tensor([[[size, -size, 0.0], [-size, size, 0.0], [size, size, size]]], dtype=dtype)
    y = torch.tensor([[0, 0, 1]])
    loss, gradient, _ = apply("cross_entropy", z, y, torch.ones(1, dtype=dtype))
    torch.testing.assert_close(loss[0], torch.tensor([0.0, 2 * size, math.log(3)], dtype=dtype))
    third = 1 / 3
    expected = torch.tensor([[[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [third, third - 1, third]]], dtype=dtype)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", EXAMPLE_LOSSES)
def test_a_bad_output_spoils_its_own_run_only(name: str, bad: float) -> None:
    z = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(3, 5, dtype=torch.int64)
    clean, clean_gradient, _ = apply(name, z, y, torch.ones(3))
    z[1, 2, 3] = bad
    loss, gradient, _ = apply(name, z, y, torch.ones(3))
    assert not loss[1].isfinite().all()
    for r in (0, 2):
        assert torch.equal(loss[r], clean[r])
        assert torch.equal(gradient[r], clean_gradient[r])


def test_cross_entropy_of_a_uniform_guess_is_the_log_of_the_classes() -> None:
    loss, gradient, _ = apply("cross_entropy", torch.zeros(2, 3, 10), torch.full((2, 3), 4), torch.ones(2))
    torch.testing.assert_close(loss, torch.full((2, 3), 2.302585))
    assert torch.allclose(gradient.sum(2), torch.zeros(2, 3), atol=1e-7), "softmax and one-hot both sum to 1"


def test_squared_error_is_half_the_squared_distance_to_one_hot() -> None:
    loss, gradient, _ = apply("squared_error", torch.tensor([[[3.0, 1.0]]]), torch.tensor([[1]]), torch.ones(1))
    assert loss.tolist() == [[4.5]]
    assert gradient.tolist() == [[[3.0, 0.0]]]


def test_mse_is_the_mean_over_classes() -> None:
    loss, gradient, _ = apply("mse", torch.tensor([[[3.0, 1.0]]]), torch.tensor([[1]]), torch.ones(1))
    assert loss.tolist() == [[4.5]]
    assert gradient.tolist() == [[[3.0, 0.0]]]
    loss, gradient, _ = apply("mse", torch.tensor([[[3.0, 1.0, 0.0]]]), torch.tensor([[1]]), torch.ones(1))
    assert loss.tolist() == [[3.0]]
    assert gradient.tolist() == [[[2.0, 0.0, 0.0]]]


@pytest.mark.parametrize(("dtype", "too_large"), [(torch.float32, 89.0), (torch.float64, 710.0)])
def test_softmax_and_then_log_fail_where_the_fused_loss_does_not(dtype: torch.dtype, too_large: float) -> None:
    """exp overflows above ln of the largest number, 88.7 and 709.8: not a number. Below minus that, p_y is 0: infinite."""
    z = torch.tensor([[[too_large, 0.0]], [[0.0, -1.3 * too_large]], [[too_large - 2, 0.0]]], dtype=dtype)
    y = torch.tensor([[0], [1], [0]])
    loss, gradient, _ = apply("naive_cross_entropy", z, y, torch.ones(3, dtype=dtype))
    expected = torch.cat([EXAMPLE_LOSSES["naive_cross_entropy"](z[r], y[r]) for r in range(3)])
    torch.testing.assert_close(loss[:, 0], expected, equal_nan=True)
    assert loss[0].isnan()
    assert loss[1] == torch.inf
    assert loss[2] == 0
    assert not gradient[0].isfinite().all()
    assert not gradient[1].isfinite().all(), "autograd has 1 / p_y = inf there, and inf times 0"
    assert gradient[2].isfinite().all()
    fused, slope, _ = apply("cross_entropy", z, y, torch.ones(3, dtype=dtype))
    torch.testing.assert_close(fused[:, 0], torch.tensor([0.0, 1.3 * too_large, 0.0], dtype=dtype))
    assert slope.isfinite().all()
