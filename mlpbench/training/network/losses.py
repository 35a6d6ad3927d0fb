"""Losses of a stack and their gradients at the outputs.

Shapes: `R` runs, `B` batch, `C` classes. A loss takes the outputs `z`, overwrites them as it needs, and returns the loss
of each example, in nats or half squared units.

- cross_entropy: l = log sum_c exp(z_c - max z) - (z_y - max z), dl/dz = softmax(z) - onehot(y)
- naive_cross_entropy: p = exp z / sum_c exp z_c, l = -log p_y,  dl/dz = p (p_y / p_y) - onehot(y) (p_y / p_y): not finite
  where exp overflows or p_y underflows to zero
- squared_error: l = 1/2 sum_c (z_c - onehot(y)_c)^2,           dl/dz = z - onehot(y)
- mse: l = 1/C sum_c (z_c - onehot(y)_c)^2,                     dl/dz = 2/C (z - onehot(y))

Where examples are weighted, L = 1/B sum_i w_i l_i: `scale` then has a number for each example, of shape (R, B, 1).
The last two also take targets that are numbers, y of shape (R, B, C), in place of onehot(y).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpbench.training.buffers import Stacked

# (outputs z, classes y_RB1 or numbers y_RBC, losses per example) -> None: fills the losses; leaves in z what the gradient needs
Forward = Callable[[Stacked, Tensor, Stacked], None]
# (what forward left in z, y_RB1, scale_R11 or scale_RB1, gradient) -> None: fills the gradient, its padding columns stay zero
Backward = Callable[[Stacked, Tensor, Tensor, Stacked], None]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss with its gradient; `backward` is called after `forward` on the same buffers."""

    forward: Forward
    backward: Backward


def _cross_entropy(z: Stacked, y_RB1: Tensor, loss: Stacked) -> None:
    z.wide_RNP.sub_(z.x_RNM.amax(2, keepdim=True))
    chosen_RB = z.x_RNM.gather(2, y_RB1).squeeze(2)
    z.flat_RS.exp_()
    loss_RB = loss.x_RNM[:, 0]
    torch.sum(z.x_RNM, 2, out=loss_RB)
    loss.flat_RS.log_()
    loss_RB.sub_(chosen_RB)


def _cross_entropy_gradient(z: Stacked, y_RB1: Tensor, scale_R11: Tensor, d: Stacked) -> None:
    torch.mul(z.x_RNM, scale_R11 / z.x_RNM.sum(2, keepdim=True), out=d.x_RNM)
    d.x_RNM.scatter_add_(2, y_RB1, -scale_R11.expand_as(y_RB1))


def _naive_cross_entropy(z: Stacked, y_RB1: Tensor, loss: Stacked) -> None:
    z.flat_RS.exp_()
    z.x_RNM.div_(z.x_RNM.sum(2, keepdim=True))
    loss.x_RNM[:, 0] = z.x_RNM.gather(2, y_RB1).squeeze(2)
    loss.flat_RS.log_().neg_()


def _naive_cross_entropy_gradient(z: Stacked, y_RB1: Tensor, scale_R11: Tensor, d: Stacked) -> None:
    # The chain rule as it is written, through -1 / p_y, so that it fails where the textbook's two steps do.
    p_RB1 = z.x_RNM.gather(2, y_RB1)
    back_RB1 = scale_R11 * (p_RB1 * (1 / p_RB1))
    torch.mul(z.x_RNM, back_RB1, out=d.x_RNM)
    d.x_RNM.scatter_add_(2, y_RB1, -back_RB1)


def _squared_error(z: Stacked, y: Tensor, loss: Stacked) -> None:
    if y.is_floating_point():
        z.x_RNM.sub_(y)
    else:
        z.x_RNM.scatter_add_(2, y, torch.full_like(y, -1, dtype=z.x_RNM.dtype))
    torch.sum(z.x_RNM.square(), 2, out=loss.x_RNM[:, 0])
    loss.x_RNM.mul_(0.5)


def _mse(z: Stacked, y: Tensor, loss: Stacked) -> None:
    _squared_error(z, y, loss)
    loss.x_RNM.mul_(2 / z.x_RNM.shape[2])


def _mse_gradient(z: Stacked, y_RB1: Tensor, scale_R11: Tensor, d: Stacked) -> None:
    torch.mul(z.x_RNM, scale_R11 * (2 / z.x_RNM.shape[2]), out=d.x_RNM)


def _squared_error_gradient(z: Stacked, y_RB1: Tensor, scale_R11: Tensor, d: Stacked) -> None:
    torch.mul(z.x_RNM, scale_R11, out=d.x_RNM)


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(forward=_cross_entropy, backward=_cross_entropy_gradient),
    "naive_cross_entropy": Loss(forward=_naive_cross_entropy, backward=_naive_cross_entropy_gradient),
    "squared_error": Loss(forward=_squared_error, backward=_squared_error_gradient),
    "mse": Loss(forward=_mse, backward=_mse_gradient),
}
