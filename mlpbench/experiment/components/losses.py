"""Losses of a stack with their gradients at the outputs: each is one entry of `LOSSES`.

Shapes: `R` runs, `B` batch, `C` classes or outputs. Kernels work in buffers (`flat_RS` with its spare elements, `wide_RNP` with
its padding columns, `x_RNM`: see training/buffers.py), so that a run has the same bits in any company; `torch` is handed in.
In nats or squared units, of an example with outputs z and target y (a class, which stands for onehot(y), or numbers):

    cross_entropy        log sum_c exp(z_c - max z) - (z_y - max z)    gradient  softmax(z) - onehot(y)
    naive_cross_entropy  -log p_y,  p = exp z / sum_c exp z_c          gradient  p (p_y / p_y) - onehot(y) (p_y / p_y)
    squared_error        1/2 sum_c (z_c - y_c)^2                       gradient  z - y
    mse                  1/C sum_c (z_c - y_c)^2                       gradient  2/C (z - y)

naive_cross_entropy is not finite where exp overflows or p_y underflows to zero. Labels that are smoothed by e, of cross_entropy, stand for
(1 - e) onehot(y) + e / C: then the gradient is softmax(z) - onehot(y) + e (onehot(y) - 1 / C) (C. Szegedy et al., "Rethinking the
Inception architecture for computer vision", 2016). Losses that are measured are those of the labels as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mlpbench.experiment.components.own_pieces import Components, unloaded

Tensor = Any  # torch.Tensor
Buffer = Any  # mlpbench.training.buffers.Stacked
Target = Literal["classes", "numbers"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss with its gradient, the targets it takes and those whose default it is.

    `forward(torch, z, y, loss)` writes the loss of each example into `loss`, and leaves in z what the gradient needs; y are
    classes (R, B, 1) or numbers (R, B, C). `gradient(torch, z, y, scale, d)` follows on the same buffers and writes d =
    scale * dloss/dz; scale is (R, 1, 1), or (R, B, 1) where examples have weights. Padding columns of d stay zero.
    `half_squares` is the factor on half the squared error that the loss of one number is, if it is that. `of_softmax` says that
    outputs are fitted as logits: their softmax are probabilities.
    """

    forward: Callable[[Any, Buffer, Tensor, Buffer], object]
    gradient: Callable[[Any, Buffer, Tensor, Tensor, Buffer], object]
    targets: tuple[Target, ...] = ("classes",)
    default_of: Target | None = None
    half_squares: float | None = None
    of_softmax: bool = False


def _cross_entropy(torch: Any, z: Buffer, y_RB1: Tensor, loss: Buffer) -> None:
    z.wide_RNP.sub_(z.x_RNM.amax(2, keepdim=True))
    chosen_RB = z.x_RNM.gather(2, y_RB1).squeeze(2)
    z.flat_RS.exp_()
    loss_RB = loss.x_RNM[:, 0]
    torch.sum(z.x_RNM, 2, out=loss_RB)
    loss.flat_RS.log_()
    loss_RB.sub_(chosen_RB)


def _cross_entropy_gradient(torch: Any, z: Buffer, y_RB1: Tensor, scale: Tensor, d: Buffer) -> None:
    torch.mul(z.x_RNM, scale / z.x_RNM.sum(2, keepdim=True), out=d.x_RNM)
    _subtract_at(torch, y_RB1, scale, d.x_RNM)


def _subtract_at(torch: Any, y_RB1: Tensor, amount_RB1: Tensor, x_RBC: Tensor) -> Tensor:
    """Subtract the amount from x at the class of each example, in place.

    A GPU adds at indices in any order, or sorts them first; on a CPU a comparison with every class takes ten times as long.
    """
    if x_RBC.device.type != "cuda":
        return x_RBC.scatter_add_(2, y_RB1, -amount_RB1.expand_as(y_RB1))
    is_class = y_RB1 == torch.arange(x_RBC.shape[2], device=x_RBC.device)
    return torch.where(is_class, x_RBC - amount_RB1, x_RBC, out=x_RBC)


def smooth_labels(torch: Any, y_RB1: Tensor, amount: Tensor, d_RBC: Tensor) -> None:
    """Add to the gradient of a cross-entropy, scaled by s, what smoothing labels by e does: amount (onehot(y) - 1 / C), amount = s e."""
    _subtract_at(torch, y_RB1, -amount, d_RBC)
    d_RBC.sub_(amount / d_RBC.shape[2])


def _naive_cross_entropy(torch: Any, z: Buffer, y_RB1: Tensor, loss: Buffer) -> None:
    z.flat_RS.exp_()
    z.x_RNM.div_(z.x_RNM.sum(2, keepdim=True))
    loss.x_RNM[:, 0] = z.x_RNM.gather(2, y_RB1).squeeze(2)
    loss.flat_RS.log_().neg_()


def _naive_cross_entropy_gradient(torch: Any, z: Buffer, y_RB1: Tensor, scale: Tensor, d: Buffer) -> None:
    # The chain rule as it is written, through -1 / p_y, so that it fails where the textbook's two steps do.
    p_RB1 = z.x_RNM.gather(2, y_RB1)
    back_RB1 = scale * (p_RB1 * (1 / p_RB1))
    torch.mul(z.x_RNM, back_RB1, out=d.x_RNM)
    _subtract_at(torch, y_RB1, back_RB1, d.x_RNM)


def residuals(torch: Any, z: Buffer, y: Tensor) -> Tensor:
    """Turn the outputs into residuals z - y in place, and return them, of shape (R, B, C)."""
    if y.is_floating_point():
        return z.x_RNM.sub_(y)
    return _subtract_at(torch, y, torch.ones((), dtype=z.x_RNM.dtype, device=y.device), z.x_RNM)


def _squared_error(torch: Any, z: Buffer, y: Tensor, loss: Buffer) -> None:
    torch.sum(residuals(torch, z, y).square(), 2, out=loss.x_RNM[:, 0])
    loss.x_RNM.mul_(0.5)


def _mse(torch: Any, z: Buffer, y: Tensor, loss: Buffer) -> None:
    _squared_error(torch, z, y, loss)
    loss.x_RNM.mul_(2 / z.x_RNM.shape[2])


def own_loss(
    forward: Callable[[Any, Buffer, Tensor, Buffer], object],
    gradient: Callable[[Any, Buffer, Tensor, Tensor, Buffer], object],
) -> Loss:
    """Return the loss of a plugin, which may be of either target."""
    return Loss(forward=forward, gradient=gradient, targets=("classes", "numbers"))


LOSSES: Components[Loss] = Components(
    {
        "cross_entropy": Loss(
            forward=_cross_entropy, gradient=_cross_entropy_gradient, default_of="classes", of_softmax=True
        ),
        "naive_cross_entropy": Loss(
            forward=_naive_cross_entropy, gradient=_naive_cross_entropy_gradient, of_softmax=True
        ),
        "squared_error": Loss(
            forward=_squared_error,
            gradient=lambda torch, z, y, scale, d: torch.mul(z.x_RNM, scale, out=d.x_RNM),
            targets=("classes", "numbers"),
            default_of="numbers",
            half_squares=1,
        ),
        "mse": Loss(
            forward=_mse,
            gradient=lambda torch, z, y, scale, d: torch.mul(z.x_RNM, scale * (2 / z.x_RNM.shape[2]), out=d.x_RNM),
            targets=("classes", "numbers"),
            half_squares=2,
        ),
    },
    declared=lambda name: own_loss(unloaded(name), unloaded(name)),
)


def losses_of(target: Target) -> list[str]:
    """Return the losses that take such a target, its default first."""
    fitting = [name for name, loss in LOSSES.items() if target in loss.targets]
    return sorted(fitting, key=lambda name: LOSSES[name].default_of != target)
