"""The oracle: one run at a time by `torch.nn`, autograd and `torch.optim`, as a textbook has it.

Only the random numbers are mlpbench's own: the splits, with the weights against their shift (see test_example_weights.py), and what
its addressed streams draw for initial values, batch order, noise of dropout, inputs and labels. Nothing is stacked, padded, reused or written in place.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import mup_reference
import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from mlpbench.base.streams import generator
from mlpbench.data.dataset import Dataset
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.experiment.value_types import THEN, parse_call
from mlpbench.training.batches.biased_selection import standardised_mean
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.batches.example_weights import weights
from mlpbench.training.network import parameters

CURVE = 10_000
# How far rounding may take two correct trainings apart, relative to the largest number.
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}

# One row for each name of a component (see mlpbench/experiment/components), as torch has it; from these rows follow those of
# oracle_rows.py, and the cases of the tests of each component. Keys are canonical names, with an example of the parameter.
MODULES: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu(0.01)": lambda: nn.LeakyReLU(0.01),
    "leaky_relu(0.3)": lambda: nn.LeakyReLU(0.3),
    "prelu": lambda: nn.PReLU(num_parameters=1),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


def _naive_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    p = torch.exp(z) / torch.exp(z).sum(1, keepdim=True)
    return -torch.log(p.gather(1, y[:, None])[:, 0])


def _numbers(z: Tensor, y: Tensor) -> Tensor:
    """Return targets of the outputs' shape: numbers as they are, classes as one-hot vectors."""
    return y if y.is_floating_point() else functional.one_hot(y, z.shape[1]).to(z.dtype)


# Of each example; y are classes, (N,), or numbers, (N, C), for the losses that take them.
EXAMPLE_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda z, y: functional.cross_entropy(z, y, reduction="none"),
    "naive_cross_entropy": _naive_cross_entropy,
    "squared_error": lambda z, y: 0.5 * (z - _numbers(z, y)).square().sum(1),
    "mse": lambda z, y: functional.mse_loss(z, _numbers(z, y), reduction="none").mean(1),
}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: lambda z, y, of_each=of_each: of_each(z, y).mean()  # type: ignore[misc]
    for name, of_each in EXAMPLE_LOSSES.items()
}


# torch's weights are (O, I): its fan-in is the second axis. `default` is what `nn.Linear.reset_parameters` does.
INITIALISERS: dict[str, Callable[[Tensor, torch.Generator], object]] = {
    "normal(0.05)": lambda w, rng: nn.init.normal_(w, std=0.05, generator=rng),
    "default": lambda w, rng: nn.init.kaiming_uniform_(w, a=math.sqrt(5), generator=rng),
    "xavier_uniform": lambda w, rng: nn.init.xavier_uniform_(w, generator=rng),
    "xavier_normal": lambda w, rng: nn.init.xavier_normal_(w, generator=rng),
    "he_uniform": lambda w, rng: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=rng),
    "he_normal": lambda w, rng: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=rng),
    "orthogonal": lambda w, rng: nn.init.orthogonal_(w, generator=rng),
    "constant(-0.25)": lambda w, rng: nn.init.constant_(w, -0.25),
    "zeros": lambda w, rng: nn.init.zeros_(w),
}


class BatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d, which refuses to train on one example: here its normalised value is 0, and nothing is averaged."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; of one example in training only the shift is left."""
        if self.training and len(input) == 1:
            return input * 0 * self.weight + self.bias
        return super().forward(input)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda units: nn.Identity(),
    "layer": nn.LayerNorm,
    "batch": BatchNorm,
}
Groups = list[dict[str, Any]]


class TorchOptimiser(NamedTuple):
    """torch's optimiser, from parameter groups, rate and the numbers of its canonical name; and the rate of the oracle's rows.

    `normalises`: a step is about as long for a small gradient as for a large one.
    """

    make: Callable[[Groups, float, tuple[float, ...]], torch.optim.Optimizer]
    lr: float
    normalises: bool = False


def _adam(numbers: tuple[float, ...]) -> dict[str, Any]:
    return {"betas": numbers[:2], "eps": numbers[2]} if numbers else {}


def _rmsprop(numbers: tuple[float, ...]) -> dict[str, Any]:
    return dict(zip(("alpha", "eps", "momentum"), numbers))


def _sgd(groups: Groups, lr: float, numbers: tuple[float, ...], *, nesterov: bool = False) -> torch.optim.Optimizer:
    momentum, dampening = (*numbers, 0.0, 0.0)[:2]
    return torch.optim.SGD(groups, lr, momentum=momentum, dampening=dampening, nesterov=nesterov)


OPTIMISERS: dict[str, TorchOptimiser] = {
    "sgd": TorchOptimiser(_sgd, 0.2),
    "momentum": TorchOptimiser(_sgd, 0.05),
    "nesterov": TorchOptimiser(partial(_sgd, nesterov=True), 0.05),
    "rmsprop": TorchOptimiser(lambda gs, lr, n: torch.optim.RMSprop(gs, lr, **_rmsprop(n)), 0.01, normalises=True),
    "adam": TorchOptimiser(lambda gs, lr, n: torch.optim.Adam(gs, lr, **_adam(n)), 0.01, normalises=True),
    "adamw": TorchOptimiser(lambda gs, lr, n: torch.optim.AdamW(gs, lr, **_adam(n)), 0.01, normalises=True),
}
Scheduled = Callable[[torch.optim.Optimizer, int, tuple[float, ...]], lr_scheduler.LRScheduler]
# (optimiser, steps, parameters) -> scheduler
SCHEDULES: dict[str, Scheduled] = {
    "constant": lambda o, steps, p: lr_scheduler.ConstantLR(o, factor=1.0),
    "step(7,0.5)": lambda o, steps, p: lr_scheduler.StepLR(o, step_size=int(p[0]), gamma=p[1]),
    "cosine": lambda o, steps, p: lr_scheduler.CosineAnnealingLR(o, T_max=max(steps, 1)),
    "warmup(12)": lambda o, steps, p: lr_scheduler.LambdaLR(o, lambda t: min(1.0, (t + 1) / p[0])),
}


def scheduler_of(canonical: str, optimiser: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """Return torch's scheduler for the canonical name of a schedule."""
    by_word = {parse_call(name)[0]: make for name, make in SCHEDULES.items()}
    if THEN in canonical:
        first, then = canonical.split(THEN)
        warm = int(parse_call(first)[1][0])
        both = [scheduler_of(first, optimiser, warm), scheduler_of(then, optimiser, max(steps - warm, 0))]
        return lr_scheduler.SequentialLR(optimiser, both, milestones=[warm])
    word, parameters = parse_call(canonical)
    return by_word[word](optimiser, steps, parameters)


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
    """Loss and accuracy. Where the best outputs are equal but for rounding, a hit is a matter of luck: hence two ends.

    Numbers have no accuracy: NaN.
    """

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
    best_step: int | None = None
    steps_taken: int | None = None

    @property
    def parameters(self) -> list[Tensor]:
        """Weights (I, O) and biases (O,), layer by layer: `nn.Linear` keeps its weight the other way round.

        A convolution's I are 9 taps a channel.
        """
        return [
            t
            for m in affine(self.model)
            for t in (m.weight.detach().flatten(1).T, *([] if m.bias is None else [m.bias.detach()]))
        ]

    @property
    def weights(self) -> list[Tensor]:
        """Weights (I, O), layer by layer."""
        return [m.weight.detach().flatten(1).T for m in affine(self.model)]

    @property
    def others(self) -> list[Tensor]:
        """Slopes of PReLU, then scales and shifts of normalisation, each layer by layer."""
        norms = [m for m in self.model.modules() if isinstance(m, nn.LayerNorm | nn.BatchNorm1d)]
        slopes = [m.weight for m in self.model.modules() if isinstance(m, nn.PReLU)]
        return [t.detach() for t in (*slopes, *(m.weight for m in norms), *(m.bias for m in norms))]

    @property
    def averages(self) -> list[Tensor]:
        """Running mean and variance of batch normalisation, layer by layer."""
        norms = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm1d)]
        return [t for m in norms for t in (m.running_mean, m.running_var) if t is not None]


POOLINGS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class Residual(nn.Module):
    """A block with what it is given added to what it gives."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*modules)

    def forward(self, h: Tensor) -> Tensor:
        """Return h + f(h)."""
        changed: Tensor = self.block(h)
        return h + changed


def affine(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """Return the layers that have a weight, and a bias if the run has any, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def bias_of(module: nn.Linear | nn.Conv2d) -> Tensor:
    """Return the bias of a module that has one."""
    assert module.bias is not None
    return module.bias


def _fill(module: nn.Linear | nn.Conv2d, w_IO: Tensor, b_O: Tensor) -> None:
    with torch.no_grad():
        module.weight.copy_(w_IO.T.reshape(module.weight.shape))
        if module.bias is not None:
            module.bias.copy_(b_O)


def _convolutions(run: Run, image: tuple[int, int] | None) -> list[nn.Module]:
    """Return convolutions with activations and poolings, and what makes images of vectors and vectors of images."""
    s = run.settings
    if image is None or not s.conv_channels:
        return []
    layers: list[nn.Module] = [nn.Unflatten(1, (1, *image))]
    address = run.seed, run.streams["init"]
    for i, (before, after) in enumerate(itertools.pairwise([1, *s.conv_channels])):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=s.bias, dtype=getattr(torch, s.precision))
        fans = {"inputs": 9 * before, "outputs": after, "fan_out": 9 * after}
        w_IO = _tensor(parameters.weights(s.init, generator(*address, "init", i, 0), **fans))
        _fill(convolution, w_IO, _tensor(parameters.biases(s.bias_init, generator(*address, "init", i, 1), **fans)))
        layers += [convolution, MODULES[s.activation](), POOLINGS[s.pooling](2)]
    return [*layers, nn.Flatten()]


def build(run: Run, features: int, classes: int, image: tuple[int, int] | None = None) -> nn.Sequential:
    """Return the network of a run with its initial values."""
    s = run.settings
    dtype = getattr(torch, s.precision)
    layers = _convolutions(run, image)
    if layers:
        with torch.no_grad():
            features = nn.Sequential(*layers).to(dtype)(torch.zeros(1, features, dtype=dtype)).shape[1]
    sizes = [features, *s.hidden_sizes, classes]
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        linear = nn.Linear(inputs, outputs, bias=s.bias, dtype=dtype)
        address, at = (run.seed, run.streams["init"]), len(s.conv_channels) + i
        own = mup_reference.layers(s, features, classes)[i]
        fans = {"fan_in": own.fan_in, "fan_out": own.fan_out}
        w_IO = _tensor(parameters.weights(s.init, generator(*address, "init", at, 0), inputs, outputs, **fans))
        b_O = _tensor(parameters.biases(s.bias_init, generator(*address, "init", at, 1), inputs, outputs, **fans))
        _fill(linear, w_IO * own.init, b_O)
        if i == len(s.hidden_sizes):
            layers.append(linear)
            break
        block = [linear, NORMS[s.norm](outputs), MODULES[s.activation](), NoisyDropout(s.dropout[i])]
        layers += [Residual(*block)] if s.residual and i > 0 and inputs == outputs else block
    return nn.Sequential(*layers).to(dtype)


def optimiser_of(s: RunSettings, model: nn.Sequential) -> torch.optim.Optimizer:
    """Return torch's optimiser of a run: weights decay, biases where told, slopes and norms never."""
    linear = affine(model)
    name, numbers = parse_call(s.optimizer)
    if s.parametrization != "standard":
        groups = mup_reference.groups(s, model, linear, normalises=OPTIMISERS[name].normalises)
        return OPTIMISERS[name].make(groups, s.lr, numbers)
    kept = {p for m in linear for p in m.parameters()}
    decay = [
        ([m.weight for m in linear], s.weight_decay),
        ([m.bias for m in linear if m.bias is not None], s.weight_decay if s.decay_bias else 0.0),
        ([p for p in model.parameters() if p not in kept], 0.0),
    ]
    groups = [{"params": params, "weight_decay": by} for params, by in decay if params]
    return OPTIMISERS[name].make(groups, s.lr, numbers)


def train(run: Run, data: Dataset, tolerance: float | None = None) -> Trained:
    """Train a run and measure it at the start and after each epoch; stop at the first step that is not finite.

    `tolerance` says which outputs are equal but for rounding.
    """
    s = run.settings
    features = s.features or data.x_train.shape[1]
    model = build(run, features, data.facts.n_outputs, data.facts.image_shape)
    loss_of = measured_loss = LOSSES[s.loss]
    if s.label_smoothing > 0:
        loss_of = nn.CrossEntropyLoss(label_smoothing=s.label_smoothing)
    optimiser = optimiser_of(s, model)
    scheduler = scheduler_of(s.schedule, optimiser, s.steps)
    on_device = DeviceData(data, torch.device("cpu"))
    parts = split(run, data.y_train, None if s.train_shift == "none" else standardised_mean(data.x_train))
    weight = torch.ones(len(data.y_train), dtype=torch.float64)
    if s.weighting != "none":
        weight[parts.fit] = torch.from_numpy(weights(run, parts.fit, on_device))
    x, y = _inputs(data.x_train, s), labels_of(run, data)
    weighted_loss = None
    if s.class_weights != "none":
        of_class = _class_weights(s, y[parts.fit], data.facts.class_names)
        mean = (weight * of_class[y])[parts.fit].mean()
        weight = weight * of_class[y] / mean
        if s.weighting == "none" and s.loss == "cross_entropy" and s.label_smoothing == 0:
            weighted_loss = nn.CrossEntropyLoss(weight=(of_class / mean).to(x.dtype), reduction="none")
    x_test, y_test = _inputs(data.x_test, s), _targets(data.y_test, s.precision)
    sets = {"train": (x[parts.fit[:CURVE]], y[parts.fit[:CURVE]]), "test": (x_test, y_test)}
    if len(parts.validation):
        sets["validation"] = (x[parts.validation], y[parts.validation])
    done = Trained(model)
    near = TOLERANCE[s.precision] if tolerance is None else tolerance

    def record(step: int) -> None:
        for part, (inputs, labels) in sets.items():
            done.curves[step, part] = _measure(model, measured_loss, inputs, labels, near)

    patience, min_delta, metric = _stopping_rule(s.early_stopping)
    sign, best, waited, kept = 1 if metric == "val_loss" else -1, math.inf, 0, None
    record(0)
    for step, batch in enumerate(_batches(run, len(parts.fit)), start=1):
        for i, dropout in enumerate(m for m in model.modules() if isinstance(m, NoisyDropout)):
            rng = generator(run.seed, run.streams["dropout"], "dropout", i, step - 1)
            dropout.noise = _tensor(rng.random((len(batch), s.hidden_sizes[i]), dtype=np.float32))
        inputs = x[parts.fit[batch]]
        if s.input_noise:
            rng = generator(run.seed, run.streams["noise"], "noise", 2, step - 1)
            drawn = _tensor(rng.standard_normal((len(batch), features), dtype=np.float32))
            inputs = inputs + s.input_noise * drawn.to(inputs.dtype)
        model.train()
        if weighted_loss is not None:
            loss = weighted_loss(model(inputs), y[parts.fit[batch]]).mean()
        else:
            loss = _weighted(loss_of, model(inputs), y[parts.fit[batch]], weight[parts.fit[batch]], s)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        if s.clip_norm is not None:
            mup_reference.clip(s, model, affine(model)[-1].weight)
        optimiser.step()
        if s.l1:
            _shrink(model, optimiser.param_groups[0]["lr"] * s.l1)
        scheduler.step()
        if not (loss.isfinite() and all(p.isfinite().all() for p in model.parameters())):
            done.diverged_at = step
            return done
        if step % s.steps_per_epoch == 0 or step == s.steps:
            record(step)
            done.steps_taken = step
            if patience is not None:
                validated = done.curves[step, "validation"]
                value = sign * (validated.loss if metric == "val_loss" else validated.most_accuracy)
                if value < best - min_delta:
                    best, waited, done.best_step = value, 0, step
                    kept = copy.deepcopy(model.state_dict())
                else:
                    waited += 1
                if waited >= patience:
                    break
    if kept is not None:
        model.load_state_dict(kept)
    done.metrics = {
        "train": _measure(model, measured_loss, x[parts.fit], y[parts.fit], near),
        "test": _measure(model, measured_loss, x_test, y_test, near),
    }
    if "validation" in sets:
        done.metrics["val"] = _measure(model, measured_loss, *sets["validation"], near)
    with torch.no_grad():
        done.test_logits = model(x_test)
    return done


def _stopping_rule(canonical: str) -> tuple[int | None, float, str]:
    """Return patience, min_delta and metric of `patience(3,0.01,val_accuracy)`, of which the last two may be left out."""
    if canonical == "none":
        return None, 0.0, "val_loss"
    patience, *more = canonical.removeprefix("patience(").removesuffix(")").split(",")
    return int(patience), float(more[0]) if more else 0.0, more[1] if len(more) > 1 else "val_loss"


def _weighted(
    loss_of: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor, weight: Tensor, s: RunSettings
) -> Tensor:
    """Return the mean loss, or where examples have weights 1/B sum_i w_i l_i, one example after the other."""
    if not s.weighs_examples:
        return loss_of(z, y)
    return torch.stack([w * loss_of(z[i : i + 1], y[i : i + 1]) for i, w in enumerate(weight.to(z.dtype))]).mean()


def _class_weights(s: RunSettings, y: Tensor, names: Sequence[str]) -> Tensor:
    """Return the weight of each class, (C,), as scikit-learn computes them from the labels that a run learns."""
    said: Any = s.class_weights if s.class_weights == "balanced" else None
    if said is None:
        of_names = json.loads(s.class_weights)
        said = {c: of_names.get(name, 1.0) for c, name in enumerate(names)}
    there = np.unique(y.numpy())
    of_class = torch.ones(len(names), dtype=torch.float64)
    kept = said if isinstance(said, str) else {c: said[c] for c in there.tolist()}
    of_class[there] = torch.from_numpy(compute_class_weight(kept, classes=there, y=y.numpy()))
    return of_class


def labels_of(run: Run, data: Dataset) -> Tensor:
    """Return the labels that a run learns: those of the data, a share of them replaced by random classes; or numbers."""
    if data.facts.n_classes is None:
        return _targets(data.y_train, run.settings.precision)
    clean = data.y_train.astype(np.int64)
    address = run.seed, run.streams["noise"]
    replaced = generator(*address, "noise", 0).random(len(clean)) < run.settings.label_noise
    drawn = generator(*address, "noise", 1).integers(data.facts.n_classes, size=len(clean))
    return torch.from_numpy(np.where(replaced, drawn, clean))


def _shrink(model: nn.Sequential, by: float) -> None:
    """Take the proximal step of L1: `softshrink` of every weight."""
    with torch.no_grad():
        for m in affine(model):
            m.weight.copy_(functional.softshrink(m.weight, by))


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


def _measure(
    model: nn.Module, loss_of: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, near: float
) -> Measured:
    model.eval()
    with torch.no_grad():
        z = model(x)
        if y.is_floating_point():
            return Measured(float(loss_of(z, y)), math.nan, math.nan)
        rival = z.scatter(1, y[:, None], -torch.inf).amax(1)
        lead = z.gather(1, y[:, None])[:, 0] - rival
        rounding = near * float(z.abs().max())
        least, most = lead > rounding, lead >= -rounding
        return Measured(float(loss_of(z, y)), float(least.double().mean()), float(most.double().mean()))


def _inputs(given: np.ndarray, s: RunSettings) -> Tensor:
    """Return the inputs a run sees, pixels in [0, 1] and numbers as they are, times its factor."""
    x = torch.from_numpy(np.array(given[:, : s.features])).to(getattr(torch, s.precision))
    return s.input_scale * (x / 255 if given.dtype == np.uint8 else x)


def _targets(y: np.ndarray, precision: str) -> Tensor:
    """Return classes, (N,), or numbers, (N, 1)."""
    if y.dtype == np.float32:
        return torch.from_numpy(np.array(y))[:, None].to(getattr(torch, precision))
    return torch.from_numpy(y.astype(np.int64))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
