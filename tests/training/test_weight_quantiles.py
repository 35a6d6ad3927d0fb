"""Quantiles of weights: those that NumPy finds in the same weights, whatever the layout, the company and the precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_data import made, runs
from torch_reference import build

from mlpbench.experiment.metrics.metric import QUANTILES
from mlpbench.training.engine import train_stack
from mlpbench.training.measures.probes import _quantiles

MADE = made(n_train=300, n_test=40, features=19, classes=5)
BASE: dict[str, Any] = {"hidden_sizes": [13, 8], "batch_size": 64, "epochs": 0}


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 7), (20, 1), (7, 3), (41, 5), (64, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantiles_are_linear_between_order_statistics(size: tuple[int, int], dtype: torch.dtype) -> None:
    values = np.random.default_rng(sum(size)).normal(size=size)
    given = torch.tensor(values, dtype=dtype)
    expected = np.quantile(given.double().numpy(), np.linspace(0, 1, QUANTILES))
    (found,) = _quantiles(given[None])
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=1e-15)
    assert (found[0], found[-1]) == (given.min().double(), given.max().double())


def test_padding_is_no_weight() -> None:
    """Columns of padding are zeros, which positive weights would show."""
    members = runs(MADE, BASE, [{"init": {"constant": 0.5}}, {"init": "he_normal"}])
    rows = train_stack(members, MADE.data).layers
    constant = [r for r in rows if r["run_id"] == members[0].run_id]
    assert [r["weight_quantiles"] for r in constant] == [[0.5] * QUANTILES] * 3
    model = build(members[1], 19, 5)
    for row, linear in zip((r for r in rows if r["run_id"] == members[1].run_id), list(model)[::4], strict=False):
        weights = linear.weight.detach().double().numpy()  # type: ignore[operator]
        expected = np.quantile(weights, np.linspace(0, 1, QUANTILES))
        np.testing.assert_allclose(row["weight_quantiles"], expected, rtol=1e-12, atol=1e-14)


def test_what_is_not_finite_has_no_quantiles_and_no_warning() -> None:
    found = _quantiles(torch.tensor([[[1.0, float("inf")], [float("inf"), float("nan")]]]))
    assert not found.isfinite().all()


def test_weights_that_diverge_leave_no_row_that_is_not_finite() -> None:
    members = runs(
        MADE, BASE | {"activation": "identity", "loss": "mse", "epochs": 2}, [{"lr": 0.01}, {"lr": 1e4}, {"lr": 1e30}]
    )
    rows = train_stack(members, MADE.data, probes=[step / 5 for step in range(11)]).layers
    assert all(np.isfinite(r["weight_quantiles"]).all() for r in rows if r["weight_quantiles"] is not None)
    assert all(r["weight_quantiles"] for r in rows if r["run_id"] == members[0].run_id)
