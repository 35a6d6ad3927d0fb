"""Forward and backward pass of one multilayer perceptron, written out: what the engine does, for one run and in plain sight.

Shapes: `B` batch, `I` inputs, `O` outputs of a layer, `C` classes. Layers l = 1 ... L; h_0 = x, h_L = z_L are the logits:

    z_l = h_{l-1} W_l + b_l         h_l = f(z_l)  for l < L        L = mean_B ( log sum_c exp z_c - z_y )

Each line of the backward pass is one step of the chain rule, from the loss down:

    dL/dz_L = (softmax(z_L) - onehot(y)) / B
    dL/dW_l = h_{l-1}^T dL/dz_l     dL/db_l = sum_B dL/dz_l
    dL/dh_l = dL/dz_{l+1} W_{l+1}^T
    dL/dz_l = dL/dh_l * f'(z_l)

A non-scalar output has no gradient but a Jacobian; `backward` computes its product with a vector, dL/dz_L above, from the
left: v^T dz_L/dW_l, never the Jacobian itself.

Reference: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpbench.experiment.components.activations import activation


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a forward pass leaves for the way back: z_l of every layer, and h_0 ... h_{L-1}."""

    z: Sequence[Tensor]
    h: Sequence[Tensor]

    @property
    def logits(self) -> Tensor:
        """z_L, of shape (B, C)."""
        return self.z[-1]


def forward(x_BI: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], f: str) -> Pass:
    """Run weights (I, O) and biases (O,) on inputs; `f` is the canonical name of the activation, such as `relu`."""
    rule, parameter = activation(f)
    z, h = [], [x_BI]
    for w_IO, b_O in zip(weights, biases):
        z.append(h[-1] @ w_IO + b_O)
        if len(z) < len(weights):
            h.append(torch.empty_like(z[-1]))
            rule.forward(torch, z[-1], h[-1], parameter)
    return Pass(z=z, h=h)


def cross_entropy(logits_BC: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss in nats and dL/dz_L."""
    shifted = logits_BC - logits_BC.amax(1, keepdim=True)
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    chosen = y_B[:, None]
    error = log_p.exp().scatter_add(1, chosen, -torch.ones_like(chosen, dtype=log_p.dtype))
    return -log_p.gather(1, chosen).mean(), error / len(y_B)


def backward(done: Pass, error_BC: Tensor, weights: Sequence[Tensor], f: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return dL/dW_l and dL/db_l of every layer, from dL/dz_L."""
    rule, parameter = activation(f)
    d_weights, d_biases = [], []
    error = error_BC
    for layer in reversed(range(len(weights))):
        d_weights.append(done.h[layer].T @ error)
        d_biases.append(error.sum(0))
        if layer > 0:
            error = error @ weights[layer].T
            rule.backward(torch, error, done.z[layer - 1], done.h[layer], parameter)
    return d_weights[::-1], d_biases[::-1]
