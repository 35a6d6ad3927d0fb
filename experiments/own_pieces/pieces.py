"""Pieces of one's own: an activation, two optimisers and a loss, by their papers, and a metric. `mlpbench check` proves their contract."""

import torch
from torch.nn.functional import log_softmax, softplus

import mlpbench


@mlpbench.activation
def mish(z):
    """D. Misra, "Mish: a self regularized non-monotonic activation function", 2019."""
    return z * softplus(z).tanh()


@mlpbench.loss
def focal(outputs, targets):
    """T.-Y. Lin et al., "Focal loss for dense object detection", 2017, with gamma = 2."""
    log_p = log_softmax(outputs, 1).gather(1, targets[:, None])[:, 0]
    return -((1 - log_p.exp()) ** 2) * log_p


@mlpbench.optimiser
def lion(gradient, state, lr, step):
    """X. Chen et al., "Symbolic discovery of optimization algorithms", 2023."""
    m = state.get("m", torch.zeros_like(gradient))
    update = -lr * torch.sign(0.9 * m + 0.1 * gradient)
    return update, {"m": 0.99 * m + 0.01 * gradient}


@mlpbench.optimiser
def muon(gradient, state, lr, step):
    """K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; vectors take plain momentum."""
    m = 0.95 * state.get("m", torch.zeros_like(gradient)) + gradient
    update = gradient + 0.95 * m
    if update.ndim == 2:
        update = orthogonal(update) * max(1, gradient.shape[1] / gradient.shape[0]) ** 0.5
    return -lr * update, {"m": m}


@mlpbench.metric
def top_2(outputs, targets):
    """Share of examples whose class is among the two with the largest outputs."""
    first_two = outputs.topk(2, 1).indices
    return (first_two == targets[:, None]).any(1).double().mean()


def orthogonal(x):
    """Return about the nearest orthogonal matrix, by five steps of a quintic Newton-Schulz iteration."""
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
        b = -4.7750 * a + 2.0315 * a @ a
        x = 3.4445 * x + (b @ x if x.shape[0] <= x.shape[1] else x @ b)
    return x
