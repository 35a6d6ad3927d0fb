"""Layer and batch normalisation of a stack, between an affine layer and its activation.

Shapes: `R` runs, `B` batch, `U` units. Over the units of an example (layer) or the batch of a unit (batch):

    xhat = (z - mean z) / sqrt(var z + eps)        y = gamma xhat + beta        var with divisor n, eps = 1e-5

    dz = (g - mean g - xhat mean(g xhat)) / sqrt(var z + eps)      with g = gamma dy
    dgamma = sum_B dy xhat        dbeta = sum_B dy

In evaluation batch normalisation uses running averages of mean and variance (divisor n - 1), with weight 0.1 for the
newest, from 0 and 1. A batch of one example has no variance: its xhat is 0 and it leaves the running averages alone.
Defaults and results are those of `torch.nn.LayerNorm` and `torch.nn.BatchNorm1d`.

The affine layer before a batch normalisation keeps its bias, as in plain torch, though nothing depends on it: its gradient is
0 but for rounding. Adam and RMSprop divide that by its own size, so that in single precision the bias walks at random, and the
running mean comes after it a few batches late: what is evaluated is up to about 0.5% of its loss off, here as in torch, and
early stopping may take another epoch. `bias: false` ends it (tests/training/test_bias_before_norm.py).

References: J. L. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016; S. Ioffe, C. Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlpbench.training.buffers import Stacked

EPS = 1e-5
NEWEST = 0.1


class Norm:
    """The normalisation of one hidden layer; for batches it keeps the running averages."""

    def __init__(self, kind: str, runs: int, units: int, *, dtype: torch.dtype, device: torch.device) -> None:
        make: dict[str, Any] = {"dtype": dtype, "device": device}
        self.kind = kind
        self.mean, self.variance = torch.zeros(runs, 1, units, **make), torch.ones(runs, 1, units, **make)
        self._over = 2 if kind == "layer" else 1
        self._inverse = torch.empty(0)

    def forward(self, z: Stacked, x_hat: Stacked, gamma: Stacked, beta: Stacked, *, train: bool) -> None:
        """Normalise z of shape (R, B, U) in place; in training, x_hat is kept for the way back."""
        z_RBU, x_RBU = z.x_RNM, x_hat.x_RNM
        if train or self.kind == "layer":
            mean = z_RBU.mean(self._over, keepdim=True)
            torch.sub(z_RBU, mean, out=x_RBU)
            variance = x_RBU.square().mean(self._over, keepdim=True)
            if train and self.kind == "batch":
                self._remember(mean, variance, z_RBU.shape[1])
        else:
            torch.sub(z_RBU, self.mean, out=x_RBU)
            variance = self.variance
        self._inverse = (variance + EPS).rsqrt()
        x_RBU.mul_(self._inverse)
        torch.mul(x_RBU, gamma.x_RNM, out=z_RBU)
        z_RBU.add_(beta.x_RNM)

    def _remember(self, mean: Tensor, variance: Tensor, n: int) -> None:
        if n > 1:
            self.mean.mul_(1 - NEWEST).add_(mean * NEWEST)
            self.variance.mul_(1 - NEWEST).add_(variance * (NEWEST * n / (n - 1)))

    def backward(self, d: Stacked, x_hat: Stacked, gamma_R1U: Tensor) -> tuple[Tensor, Tensor]:
        """Turn d = dL/dy into dL/dz in place, and return dL/dgamma and dL/dbeta, of shape (R, 1, U)."""
        d_RBU, x_RBU = d.x_RNM, x_hat.x_RNM
        d_gamma, d_beta = (d_RBU * x_RBU).sum(1, keepdim=True), d_RBU.sum(1, keepdim=True)
        d_RBU.mul_(gamma_R1U)
        along = (d_RBU * x_RBU).mean(self._over, keepdim=True)
        d_RBU.sub_(d_RBU.mean(self._over, keepdim=True)).sub_(x_RBU * along)
        d_RBU.mul_(self._inverse)
        return d_gamma, d_beta
