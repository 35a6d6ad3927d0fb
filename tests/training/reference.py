"""The oracle: one run at a time by `torch.nn`, autograd and `torch.optim`, as a textbook has it.

Only the random numbers are mlpbench's own: the splits, and what its addressed streams draw for initial values, batch order
and dropout noise. Nothing is stacked, padded, reused or written in place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlpbench.experiment.grid import Run
from mlpbench.training import init
from mlpbench.training.batches import split
from mlpbench.training.datasets import Dataset
from mlpbench.training.streams import generator

CURVE = 10_000
# How far rounding may take two correct trainings apart, relative to the largest number.
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}

MODULES: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu(0.01)": lambda: nn.LeakyReLU(0.01),
    "leaky_relu(0.3)": lambda: nn.LeakyReLU(0.3),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


def _squared_error(z: Tensor, y: Tensor) -> Tensor:
    return (0.5 * (z - functional.one_hot(y, z.shape[1])) ** 2).sum(1).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "squared_error": _squared_error,
}


class NoisyDropout(nn.Module):
    """nn.Dropout with the noise handed in: a unit is kept where u >= p, and scaled by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise = torch.empty(0)

    def forward(self, h: Tensor) -> Tensor:
        """Drop in training, do nothing in evaluation."""
        if not self.training:
            return h
        if self.p == 1:
            return h * 0
        return h * (self.noise.to(h.dtype) >= self.p) / (1 - self.p)


class Measured(NamedTuple):
    """Loss and accuracy. Where the best outputs are equal but for rounding, a hit is a matter of luck: hence two ends."""

    loss: float
    least_accuracy: float
    most_accuracy: float


@dataclass
class Trained:
    """What one run came to. `curves` has its measurements by (step, split)."""

    model: nn.Sequential
    curves: dict[tuple[int, str], Measured] = field(default_factory=dict)
    metrics: dict[str, Measured] = field(default_factory=dict)
    test_logits: Tensor = field(default_factory=lambda: torch.empty(0))
    diverged_at: int | None = None

    @property
    def parameters(self) -> list[Tensor]:
        """Weights (I, O) and biases (O,), layer by layer: `nn.Linear` keeps its weight the other way round."""
        return [t for m in self.model if isinstance(m, nn.Linear) for t in (m.weight.detach().T, m.bias.detach())]


def build(run: Run, features: int, classes: int) -> nn.Sequential:
    """Return the network of a run with its initial values."""
    s = run.settings
    dtype = getattr(torch, s.precision)
    layers: list[nn.Module] = []
    sizes = [features, *s.hidden_sizes, classes]
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        linear = nn.Linear(inputs, outputs, dtype=dtype)
        address = run.seed, run.streams["init"]
        with torch.no_grad():
            linear.weight.copy_(_tensor(init.weights(s.init, generator(*address, "init", i, 0), inputs, outputs)).T)
            linear.bias.copy_(_tensor(init.biases(s.bias_init, generator(*address, "init", i, 1), inputs, outputs)))
        layers.append(linear)
        if i < len(s.hidden_sizes):
            layers += [MODULES[s.activation](), NoisyDropout(s.dropout[i])]
    return nn.Sequential(*layers)


def train(run: Run, data: Dataset) -> Trained:
    """Train a run and measure it at the start and after each epoch; stop at the first step that is not finite."""
    s = run.settings
    model = build(run, data.x_train.shape[1], data.n_classes)
    loss_of = LOSSES[s.loss]
    linear = [m for m in model if isinstance(m, nn.Linear)]
    optimiser = torch.optim.SGD(
        [
            {"params": [m.weight for m in linear], "weight_decay": s.weight_decay},
            {"params": [m.bias for m in linear], "weight_decay": s.weight_decay if s.decay_bias else 0.0},
        ],
        lr=s.lr,
    )
    parts = split(run, data.y_train)
    x, y = _inputs(data.x_train, s.precision), torch.from_numpy(data.y_train.astype(np.int64))
    x_test, y_test = _inputs(data.x_test, s.precision), torch.from_numpy(data.y_test.astype(np.int64))
    sets = {"train": (x[parts.fit[:CURVE]], y[parts.fit[:CURVE]]), "test": (x_test, y_test)}
    if len(parts.validation):
        sets["validation"] = (x[parts.validation], y[parts.validation])
    done = Trained(model)

    def record(step: int) -> None:
        for name, (inputs, labels) in sets.items():
            done.curves[step, name] = _measure(model, loss_of, inputs, labels)

    record(0)
    for step, batch in enumerate(_batches(run, len(parts.fit)), start=1):
        for i, dropout in enumerate(m for m in model if isinstance(m, NoisyDropout)):
            rng = generator(run.seed, run.streams["dropout"], "dropout", i, step - 1)
            dropout.noise = _tensor(rng.random((len(batch), s.hidden_sizes[i]), dtype=np.float32))
        model.train()
        loss = loss_of(model(x[parts.fit[batch]]), y[parts.fit[batch]])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if not (loss.isfinite() and all(p.isfinite().all() for p in model.parameters())):
            done.diverged_at = step
            return done
        if step % s.steps_per_epoch == 0 or step == s.steps:
            record(step)
    done.metrics = {
        "train": _measure(model, loss_of, x[parts.fit], y[parts.fit]),
        "test": _measure(model, loss_of, x_test, y_test),
    }
    if "validation" in sets:
        done.metrics["val"] = _measure(model, loss_of, *sets["validation"])
    with torch.no_grad():
        done.test_logits = model(x_test)
    return done


def _batches(run: Run, n: int) -> Iterator[np.ndarray]:
    s = run.settings
    left = s.steps
    for epoch in range(s.steps):
        order = generator(run.seed, run.streams["order"], "order", epoch).permutation(n)
        for start in range(0, n, s.batch_size):
            if left == 0:
                return
            yield order[start : start + s.batch_size]
            left -= 1


def _measure(model: nn.Module, loss_of: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Measured:
    model.eval()
    with torch.no_grad():
        z = model(x)
        rival = z.scatter(1, y[:, None], -torch.inf).amax(1)
        lead = z.gather(1, y[:, None])[:, 0] - rival
        rounding = TOLERANCE[str(z.dtype).removeprefix("torch.")] * float(z.abs().max())
        least, most = lead > rounding, lead >= -rounding
        return Measured(float(loss_of(z, y)), float(least.double().mean()), float(most.double().mean()))


def _inputs(pixels: np.ndarray, precision: str) -> Tensor:
    return torch.from_numpy(np.array(pixels)).to(getattr(torch, precision)) / 255


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
