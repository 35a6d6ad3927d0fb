"""Batch norm with optimisers that normalise: where single and double precision part, and that nothing else is to blame.

A bias before batch norm changes nothing that is learnt: its gradient is 0 but for rounding, which Adam and RMSprop divide by
its own size, above eps = 1e-8. In double precision what is left is 1e-9 of a step. In single precision the bias walks at
random, here as in torch. The running mean follows it, a few batches late, so that what is evaluated is a little off meanwhile,
and early stopping may take another epoch. Weights have no part in it, step by step, and `bias: false` ends it.

Reference: S. Ioffe, C. Szegedy, "Batch normalization", 2015, section 3.2, which leaves these biases out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from small_data import made, runs
from torch import Tensor, nn
from torch_reference import LOSSES, NoisyDropout, _batches, _inputs, affine, build, labels_of, optimiser_of

from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import split
from mlpbench.training.engine import _Stack
from mlpbench.training.steps import Steps

MADE = made(n_train=1000, n_test=400, features=19, classes=5)
STEPS = 300
FIXED: dict[str, Any] = {
    "hidden_sizes": [17, 9],
    "activation": "relu",
    "init": "he_normal",
    "norm": "batch",
    "batch_size": 64,
    "train_size": 300,
    "steps": STEPS,
}
NORMALISING = {"adam": 0.01, "adamw": 0.01, "rmsprop": 0.003}
# One unit in the last place of a double: what the loop is disturbed by, to see how far rounding takes it from itself.
LAST_PLACE = 2**-52


@dataclass(frozen=True)
class State:
    """A network after a step: weights, scales and shifts; biases before the norms and their running means; the test loss."""

    learnt: Sequence[Tensor]
    biases: Sequence[Tensor]
    means: Sequence[Tensor]
    loss: float


def run_of(optimiser: str, precision: str, **beside: Any) -> Run:
    fixed = {**FIXED, "optimizer": optimiser, "lr": NORMALISING.get(optimiser, 0.1), "precision": precision, **beside}
    (run,) = runs(MADE, fixed)
    return run


def by_torch(run: Run, disturbed: float = 0.0) -> Iterator[State]:
    """Yield the plain loop's network after each step; `disturbed` is by which share its first weight is off at the start."""
    data, s = MADE.dataset, run.settings
    model = build(run, data.x_train.shape[1], 5)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    layers = affine(model)
    with torch.no_grad():
        layers[0].weight[0, 0] *= 1 + disturbed
    for module in model.modules():
        if isinstance(module, NoisyDropout):
            module.noise = torch.ones(1)
    optimiser, loss_of = optimiser_of(s, model), LOSSES[s.loss]
    fit = split(run, data.y_train, None).fit
    x, y = _inputs(data.x_train, s), labels_of(run, data)
    x_test, y_test = _inputs(data.x_test, s), torch.from_numpy(data.y_test.astype("int64"))
    for batch in _batches(run, len(fit)):
        model.train()
        optimiser.zero_grad()
        torch.autograd.backward(loss_of(model(x[fit[batch]]), y[fit[batch]]))
        optimiser.step()
        model.eval()
        with torch.no_grad():
            loss = float(loss_of(model(x_test), y_test))
        learnt = [m.weight.T for m in layers] + [p for n in norms for p in (n.weight, n.bias)]
        yield State(
            learnt=[p.detach().clone() for p in learnt],
            biases=[m.bias.detach().clone() for m in layers[:-1] if m.bias is not None],
            means=[n.running_mean.clone() for n in norms if n.running_mean is not None],
            loss=loss,
        )


def by_stack(run: Run) -> Iterator[State]:
    """Yield our network after each step."""
    stack = _Stack([run], MADE.data)
    assert stack.test_part is not None
    with torch.no_grad():
        steps = Steps(stack.runs, stack.network, stack.fit, stack.labels, stack.data)
        for step in range(run.settings.steps):
            steps.take(step)
            steps.settle()
            model = stack._model(0)
            half = len(model.others) // 2
            pairs = zip(model.others[:half], model.others[half:], strict=True)
            yield State(
                learnt=[p.clone() for p in (*model.weights, *(p for pair in pairs for p in pair))],
                biases=[b.clone() for b in model.biases[:-1] if model.has_biases],
                means=[m.clone() for m in model.averages[::2]],
                loss=_known(stack.evaluator(stack.test_part).means()["loss"][0]),
            )


def _known(number: float | None) -> float:
    assert number is not None
    return number


@functools.cache
def states(who: str, optimiser: str, precision: str, **beside: Any) -> list[State]:
    run = run_of(optimiser, precision, **beside)
    if who == "disturbed":
        return list(by_torch(run, LAST_PLACE))
    return list(by_torch(run) if who == "torch" else by_stack(run))


def apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest difference, relative to the largest number of its array."""
    return max(
        float((x.double() - y.double()).abs().max() / y.double().abs().max().clamp_min(1e-3)) for x, y in zip(a, b)
    )


def farthest(a: Sequence[State], b: Sequence[State]) -> Mapping[str, float]:
    """How far two trainings are apart at most, in what they learn and in the loss of what they evaluate."""
    return {
        "learnt": max(apart(p.learnt, q.learnt) for p, q in zip(a, b, strict=True)),
        "loss": max(abs(p.loss - q.loss) / q.loss for p, q in zip(a, b, strict=True)),
    }


def walked(states: Sequence[State]) -> float:
    """How far a bias before batch norm went from 0, where all of them began."""
    return max(float(b.abs().max()) for s in states for b in s.biases)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", [*NORMALISING, "sgd", "momentum"])
def test_in_double_precision_every_step_is_that_of_the_plain_loop(optimiser: str) -> None:
    """Nor does rounding grow: the loop, disturbed by one unit in the last place, stays as near to itself."""
    ours, plain = states("stack", optimiser, "float64"), states("torch", optimiser, "float64")
    assert len(plain) == STEPS
    assert plain[-1].loss < 0.5 * plain[0].loss, "something is learnt"
    assert farthest(ours, plain)["learnt"] < 1e-13
    assert farthest(ours, plain)["loss"] < 1e-9
    assert farthest(states("disturbed", optimiser, "float64"), plain)["learnt"] < 1e-13
    assert walked(ours) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", NORMALISING)
def test_in_single_precision_biases_walk_here_as_in_torch_and_weights_do_not(optimiser: str) -> None:
    double = states("torch", optimiser, "float64")
    ours, plain = (states(who, optimiser, "float32") for who in ("stack", "torch"))
    for single in (ours, plain):
        assert farthest(single, double)["learnt"] < 1e-5
        assert walked(single) > 1e4 * walked(double)
        assert 1e-4 < farthest(single, double)["loss"] < 2e-2, "evaluated by running means that come late"
    assert farthest(ours, double)["loss"] < 5 * farthest(plain, double)["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", NORMALISING)
def test_without_biases_single_precision_evaluates_what_double_precision_does(optimiser: str) -> None:
    double = states("torch", optimiser, "float64", bias=False)
    for who in ("stack", "torch"):
        single = states(who, optimiser, "float32", bias=False)
        assert not any(state.biases for state in single)
        assert farthest(single, double)["learnt"] < 1e-5
        assert farthest(single, double)["loss"] < 1e-5


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "nesterov"])
def test_optimisers_that_do_not_normalise_leave_the_biases_where_they_are(optimiser: str) -> None:
    assert not OPTIMISERS[optimiser].normalises
    assert walked(states("stack", optimiser, "float32", steps=60)) < 1e-5
