"""Plugins for tests: pieces that the package has itself, written as a user would, and pieces whose bits are easily moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlpbench.experiment.plugins.piece_source import read_pieces
from mlpbench.experiment.plugins.plugin import Plugin, PluginCode
from mlpbench.training.pieces.load_pieces import load_pieces

HEAD = "import mlpbench\nimport numpy as np\nimport torch\nfrom torch.nn import functional as F\n\n\n"
# What the package has, by another way: each is called `own_` and its name.
TWINS = (
    HEAD
    + """
@mlpbench.activation
def own_relu(z):
    return torch.where(z > 0, z, 0.0)

@mlpbench.activation
def own_gelu(z):
    return z * (1 + torch.erf(z / 2**0.5)) / 2

@mlpbench.activation
def own_tanh(z):
    return 2 * torch.sigmoid(2 * z) - 1

@own_tanh.derivative
def _(z):
    return 1 - z.tanh() ** 2

@mlpbench.initialiser
def own_he_normal(shape, fan_in, fan_out, generator):
    return generator.standard_normal(shape) * (2 / fan_in) ** 0.5

@mlpbench.optimiser
def own_sgd(gradient, state, lr, step):
    return -lr * gradient, state

@mlpbench.optimiser
def own_adam(gradient, state, lr, step):
    m = 0.9 * state.get("m", 0) + 0.1 * gradient
    v = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    update = m / (1 - 0.9**step) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return -lr * update, {"m": m, "v": v}

@mlpbench.optimiser
def own_momentum(gradient, state, lr, step):
    m = state.setdefault("m", torch.zeros_like(gradient))
    m.mul_(0.9).add_(gradient)
    return gradient.copy_(m).mul_(-lr), state

@mlpbench.loss
def own_cross_entropy(outputs, targets):
    return -torch.log_softmax(outputs, 1).gather(1, targets[:, None])[:, 0]

@mlpbench.loss
def own_squared_error(outputs, targets):
    wanted = targets if targets.is_floating_point() else F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    return ((outputs - wanted) ** 2).sum(1) / 2

@own_squared_error.derivative
def _(outputs, targets):
    wanted = targets if targets.is_floating_point() else F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    return outputs - wanted

@mlpbench.schedule
def own_cosine(share):
    return (1 + np.cos(np.pi * share)) / 2

@mlpbench.metric
def own_accuracy(outputs, targets):
    return (outputs.argmax(1) == targets).double().mean()

@mlpbench.metric
def own_log_loss(outputs, targets):
    return F.cross_entropy(outputs, targets)

@mlpbench.metric
def own_rmse(outputs, targets):
    return (outputs - targets).square().mean().sqrt()
"""
)
# Sums, tails of vectors, products: what would tell a run from its stack-mates if anything did; some keep to no contract.
TOUCHY = (
    HEAD
    + """
@mlpbench.activation
def mixing(z):
    return torch.sin(z * (1 + z.abs().mean())) + z.softmax(1)

@mlpbench.activation
def cusp(z):
    return z.abs().sqrt()

@mlpbench.activation
def in_place(z):
    return z.mul_(0.5).add_(1).sin()

@mlpbench.initialiser
def heavy(shape, fan_in, fan_out, generator):
    return generator.standard_cauchy(shape) / (10 * fan_in)

@mlpbench.optimiser
def whitened(gradient, state, lr, step):
    m = state.get("m", torch.zeros_like(gradient))
    m += gradient
    state["m"] = m
    if m.ndim == 2:
        u, s, v = torch.linalg.svd(m, full_matrices=False)
        return -lr * (u @ v + m / (1 + m.norm())), state
    return -lr * m / (1 + m.square().mean().sqrt()), state

@mlpbench.loss
def shared(outputs, targets):
    wanted = targets if targets.is_floating_point() else F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    each = F.smooth_l1_loss(outputs, wanted, reduction="none").logsumexp(1)
    return each / (1 + each.detach().std(correction=0))

@mlpbench.schedule
def zigzag(share):
    return 1.0 if int(10 * share) % 2 else 0.3

@mlpbench.metric
def spread(outputs, targets):
    return outputs.exp().std() + (outputs.T @ outputs).sum() + outputs.mean()

@mlpbench.metric
def spoiling(outputs, targets):
    number = outputs.sub_(outputs.mean(0)).square_().sum()
    return float(number) + float(targets.mul_(0).sum())
"""
)
PIECES = Path(__file__).parents[2] / "experiments" / "own_pieces" / "pieces.py"


def plugin_of(text: str, name: str = "pieces.py") -> Plugin:
    """Return a plugin of a source."""
    return Plugin(name=name, pieces=read_pieces(text), code=PluginCode(text=text, path=Path("/somewhere") / name))


def loaded(text: str, name: str = "pieces.py") -> dict[str, Any]:
    """Load the pieces of a source into this process, and return the key of a spec that names them."""
    plugin = plugin_of(text, name)
    load_pieces([plugin])
    return {"plugins": [plugin.as_written()]}
