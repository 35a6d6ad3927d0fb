"""Probes: every metric against `torch.nn`, hooks and autograd on the same weights; probing leaves training as it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from small_data import made, runs
from torch import Tensor, nn
from torch_reference import LOSSES, Trained, build, labels_of, train
from torch_reference import affine as affine_layers

from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.plan import PROBE_EXAMPLES, probe_steps
from mlpbench.training.batches.device_data import split
from mlpbench.training.engine import train_stack

MADE = made(n_train=1_200, n_test=60, features=19, classes=5)
BASE: dict[str, Any] = {
    "hidden_sizes": [13, 8],
    "init": {"normal": 0.4},
    "bias_init": {"normal": 0.3},
    "batch_size": 64,
    "train_size": 600,
    "epochs": 2,
    "lr": 0.05,
    "precision": "float64",
}
START, END = 0.0, math.inf
ALWAYS = {"act_mean", "act_var", "act_zero", "grad_norm", "forward_gain"}


def changed(run: Run, **settings: Any) -> Run:
    """The same run, trained for another number of steps: the reference keeps the weights at the end only."""
    return dataclasses.replace(
        run, condition=dataclasses.replace(run.condition, settings=dataclasses.replace(run.settings, **settings))
    )


def layers_of(members: Sequence[Run], probes: Sequence[float] | None = None) -> dict[tuple[str, int], list[Any]]:
    """The rows of each run and step, layer by layer."""
    found: dict[tuple[str, int], list[Any]] = {}
    for row in train_stack(members, MADE.data, probes=probes).layers:
        assert set(row) == {"run_id", "epoch", "step", "layer", *LAYER_METRICS, WEIGHT_QUANTILES}
        found.setdefault((row["run_id"], row["step"]), []).append(row)
    for rows in found.values():
        assert [r["layer"] for r in rows] == list(range(1, len(rows) + 1))
    return found


@dataclass
class Hooked:
    """What hooks saw at each affine layer: its output, dC/d(output), and what went into each activation and came out."""

    z: list[Tensor]
    into: list[Tensor]
    out: list[Tensor]
    modules: list[nn.Module]


def leaves(model: nn.Module) -> list[nn.Module]:
    """The modules that compute, those of residual blocks among them, in order."""
    return [m for m in model.modules() if not any(True for _ in m.children())]


def hooked(model: nn.Sequential) -> Hooked:
    seen = Hooked([], [], [], [])

    def affine(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        seen.z.append(output)

    def activation(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.into.append(inputs[0].detach())
        seen.out.append(output.detach())
        seen.modules.append(module)

    for linear in affine_layers(model):
        linear.register_forward_hook(affine)
    for f in leaves(model)[2::4]:  # a hidden layer is affine, norm, activation, dropout
        f.register_forward_hook(activation)
    return seen


def expected_metrics(run: Run, model: nn.Sequential) -> list[dict[str, float]]:
    """Each metric of the docstring, computed from what hooks see in one pass over the first examples."""
    dtype = getattr(torch, run.settings.precision)
    fit = split(run, MADE.dataset.y_train).fit[:PROBE_EXAMPLES]
    x = torch.from_numpy(np.array(MADE.dataset.x_train[fit])).to(dtype) / 255
    model.train()
    for m in leaves(model):
        if hasattr(m, "p"):
            m.eval()  # no dropout; batch normalisation uses this very batch
    with torch.enable_grad():
        seen = hooked(model)
        loss = LOSSES[run.settings.loss](model(x), labels_of(run, MADE.dataset)[fit])
        model.zero_grad()
        torch.autograd.backward(loss)
    linear = affine_layers(model)
    activations = [x, *seen.out, seen.z[-1].detach()]
    errors = [z.grad for z in seen.z]
    found = []
    for layer, m in enumerate(linear):
        a, before = activations[layer + 1], activations[layer]
        assert m.weight.grad is not None
        row = {
            "act_mean": float(a.mean()),
            "act_var": float(a.var(correction=0)),
            "act_zero": float((a == 0).double().mean()),
            "grad_norm": float(torch.linalg.matrix_norm(m.weight.grad)),
            "forward_gain": float(a.square().mean().sqrt() / before.square().mean().sqrt()),
        }
        if m is not linear[-1]:
            here, following = errors[layer], errors[layer + 1]
            assert here is not None
            assert following is not None
            row["act_saturated"] = saturated(seen.modules[layer], seen.into[layer])
            row["backward_gain"] = float(here.square().mean().sqrt() / following.square().mean().sqrt())
        found.append(row)
    return found


def saturated(module: nn.Module, z: Tensor) -> float:
    """Share of inputs whose slope is below 1% of the largest on [-8, 8]."""
    with torch.enable_grad():
        leaf = torch.cat([torch.linspace(-8, 8, 20_001, dtype=z.dtype), z.flatten()]).requires_grad_()
        (slope,) = torch.autograd.grad(module(leaf).sum(), leaf)
    largest = float(slope[:20_001].abs().max())
    return float((slope[20_001:].abs() < 0.01 * largest).double().mean())


def assert_row(row: Mapping[str, Any], expected: Mapping[str, float], tolerance: float) -> None:
    assert {k for k in LAYER_METRICS if row[k] is not None} - {"update_ratio"} == set(expected)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=tolerance, abs=1e-12), name


def after(run: Run, steps: int) -> Trained:
    """What the reference has after some steps, on the way of the run."""
    return train(changed(run, steps=steps), MADE.dataset)


CONDITIONS: dict[str, dict[str, Any]] = {
    "relu": {"activation": "relu"},
    "sigmoid": {"activation": "sigmoid", "init": {"normal": 6.0}},
    "tanh": {"activation": "tanh", "init": {"normal": 2.0}},
    "gelu": {"activation": "gelu"},
    "silu": {"activation": "silu", "init": {"normal": 4.0}},
    "elu": {"activation": "elu", "init": {"normal": 4.0}},
    "identity": {"activation": "identity"},
    "leaky": {"activation": {"leaky_relu": 0.3}},
    "prelu": {"activation": "prelu"},
    "dropout": {"activation": "relu", "dropout": [0.5, 0.3]},
    "input noise": {"activation": "relu", "input_noise": 1.0},
    "label noise": {"activation": "relu", "label_noise": 0.5},
}
SHARED: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer": {"norm": "layer"},
    "batch": {"norm": "batch"},
    "adam": {"optimizer": "adam", "lr": 0.01},
    "residual": {"hidden_sizes": [17, 17], "residual": True},
    "no bias": {"bias": False, "bias_init": "zeros"},
    "mup, adam": {"parametrization": {"mup": 5}, "optimizer": "adam", "lr": 0.01},
    "l1, clipped, mse": {"l1": 0.05, "clip_norm": 0.5, "loss": "mse"},
}


@pytest.mark.parametrize(
    "shared", [pytest.param(s, marks=[pytest.mark.slow] * (s not in ("plain", "adam"))) for s in SHARED]
)
def test_every_metric_is_that_of_hooks_and_autograd_at_start_and_end(shared: str) -> None:
    """All activations, dropout and noise in one stack; the probe has them off."""
    members = runs(MADE, BASE | SHARED[shared], list(CONDITIONS.values()))
    found = layers_of(members)
    some = 0.0
    for run in members:
        end = run.settings.steps
        before = after(run, end - 1)
        for step, trained in ((0, after(run, 0)), (end, after(run, end))):
            rows = found.pop((run.run_id, step))
            expected = expected_metrics(run, trained.model)
            assert len(rows) == len(expected) == 3
            for layer, (row, right) in enumerate(zip(rows, expected)):
                assert row["epoch"] == step / run.settings.steps_per_epoch
                assert_row(row, right, 1e-8)
                some += right.get("act_saturated", 0.0)
                if step == 0:
                    assert row["update_ratio"] is None
                    continue
                old, new = before.weights[layer], trained.weights[layer]
                assert row["update_ratio"] == pytest.approx(float((new - old).norm() / old.norm()), rel=1e-7)
    assert not found, "no other rows"
    assert some > 0.5, "some units are saturated, or the metric is tested at zero only"


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("depth", range(5))
def test_every_depth_has_a_row_for_each_layer(depth: int, precision: str) -> None:
    shape = {"hidden_sizes": [9, 17, 4, 1][:depth], "precision": precision}
    (run,) = runs(MADE, BASE | {"activation": "tanh"} | shape)
    found = layers_of([run])
    for step in (0, run.settings.steps):
        expected = expected_metrics(run, after(run, step).model)
        assert len(expected) == depth + 1
        for row, right in zip(found[run.run_id, step], expected, strict=True):
            assert_row(row, right, 1e-8 if precision == "float64" else 1e-3)


def test_fewer_examples_than_a_probe_takes_are_all_taken() -> None:
    (run,) = runs(MADE, BASE | {"train_size": 70, "batch_size": 50})
    for row, right in zip(layers_of([run])[run.run_id, 0], expected_metrics(run, after(run, 0).model), strict=True):
        assert_row(row, right, 1e-10)


@pytest.mark.slow
def test_a_hundred_layers_at_the_start() -> None:
    """The products of deep networks, forward and back, with no step taken: gains multiply to what the ends say."""
    conditions: list[dict[str, Any]] = [
        {"activation": "relu", "init": "he_normal"},
        {"activation": "sigmoid", "init": "xavier_normal"},
        {"activation": "tanh", "init": "xavier_normal"},
    ]
    shape = {"hidden_sizes": [30] * 100, "epochs": 0, "bias_init": "zeros"}
    members = runs(MADE, BASE | shape, conditions)
    found = layers_of(members)
    for run in members:
        rows = found[run.run_id, 0]
        expected = expected_metrics(run, build(run, 19, 5))
        assert len(rows) == 101
        for row, right in zip(rows, expected, strict=True):
            assert_row(row, right, 1e-6)
    first_gradient = {r.settings.activation: found[r.run_id, 0][0]["grad_norm"] for r in members}
    assert first_gradient["sigmoid"] < 1e-20 < 1e-6 < first_gradient["relu"], "sigmoid's gradients vanish with depth"


@pytest.mark.parametrize("shared", [{}, {"norm": "batch"}, {"optimizer": "adam", "norm": "layer"}, {"clip_norm": 0.5}])
def test_probing_changes_no_bit_of_training(shared: dict[str, Any]) -> None:
    conditions = [{"activation": "prelu", "dropout": 0.3}, {"activation": "gelu", "input_noise": 0.2}]
    members = runs(MADE, BASE | {"precision": "float32"} | shared, conditions, replicates=2)
    many = [step / 10 for step in range(21)]
    without, probed = (train_stack(members, MADE.data, probes=p) for p in ([], many))
    assert without.layers == []
    assert len(probed.layers) == len(members) * 3 * 21
    keys = ("weights_sha256", "train_loss", "test_loss")
    assert [[r[k] for k in keys] for r in without.runs] == [[r[k] for k in keys] for r in probed.runs]
    assert repr(without.curves) == repr(probed.curves)


@pytest.mark.parametrize(
    ("probes", "steps"),
    [
        (None, [0, 20]),
        ([], []),
        ([START], [0]),
        ([END], [20]),
        ([0.0, 0.5, 1.0, END], [0, 5, 10, 20]),
        ([0.1, 0.14, 1.96], [1, 20]),
        ([2.0, END], [20]),
        ([3.0], []),
    ],
)
def test_probes_are_taken_at_the_steps_that_were_asked_for(probes: list[float] | None, steps: list[int]) -> None:
    """Ten steps an epoch, two epochs; a fraction of an epoch is rounded to whole steps, what is beyond the end is none."""
    (run,) = runs(MADE, BASE)
    assert probe_steps(run.settings, probes) == steps
    assert [step for _, step in layers_of([run], probes)] == steps


def test_a_probe_between_start_and_end_sees_the_weights_of_that_step() -> None:
    (run,) = runs(MADE, BASE | {"activation": "tanh", "epochs": 3})
    found = layers_of([run], [0.5, 1.0, 2.3])
    for step in (5, 10, 23):
        for row, right in zip(found[run.run_id, step], expected_metrics(run, after(run, step).model), strict=True):
            assert_row(row, right, 1e-8)


def test_a_run_that_has_diverged_is_no_longer_measured_and_its_neighbours_are() -> None:
    conditions: list[dict[str, Any]] = [{"lr": 0.05}, {"lr": 1e4}, {"lr": 1e30}]
    members = runs(MADE, BASE | {"activation": "identity", "loss": "mse"}, conditions)
    rows = train_stack(members, MADE.data, probes=[step / 10 for step in range(21)])
    steps = {r.run_id: sorted({row["step"] for row in rows.layers if row["run_id"] == r.run_id}) for r in members}
    for run, row in zip(members, rows.runs):
        end = row.get("diverged_at_step", 21)
        assert steps[run.run_id] == list(range(end))
    fine, slow, fast = (len(steps[r.run_id]) for r in members)
    assert 1 <= fast < slow < fine == 21
    for row in rows.layers:
        assert all(v is None or math.isfinite(v) for v in row.values() if not isinstance(v, str | list))


def test_what_divides_by_nothing_is_missing() -> None:
    """Weights of zeros: no gain of nothing over nothing, no update in relation to a norm of 0."""
    (run,) = runs(MADE, BASE | {"init": "zeros", "bias_init": "zeros", "activation": "relu", "epochs": 1})
    found = layers_of([run])
    first, second, last = found[run.run_id, 0]
    assert (first["forward_gain"], first["act_zero"], first["act_saturated"]) == (0.0, 1.0, 1.0)
    assert second["forward_gain"] is None
    assert first["backward_gain"] is None
    assert second["backward_gain"] == 0.0
    assert last["grad_norm"] == 0.0
    assert all(row["update_ratio"] is None for row in found[run.run_id, run.settings.steps])
