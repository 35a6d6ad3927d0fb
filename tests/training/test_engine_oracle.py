"""Stacked equals one at a time: every setting, against `torch.nn`, autograd and `torch.optim` (see torch_reference.py).

Each row of `ROWS` (see oracle_rows.py) is trained in two replicates, in one stack with all rows of its signature, so that neighbours differ in
everything that neighbours may differ in. A new setting, or a new level of one, needs a row: a test below says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from oracle_rows import BASE, ROWS
from small_data import Made, made, made_images, made_numbers, runs
from torch_reference import TOLERANCE, Measured, Trained, train

from mlpbench.experiment.components.activations import ACTIVATIONS
from mlpbench.experiment.components.initialisers import INITIALISERS
from mlpbench.experiment.components.losses import LOSSES, losses_of
from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.experiment.components.schedules import SCHEDULES
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.experiment.plan import signature, training_flops
from mlpbench.experiment.settings import GPU_PRECISIONS, SETTINGS
from mlpbench.experiment.value_types import THEN, Chain, Flag, Word, parse_call
from mlpbench.training.engine import _Stack
from mlpbench.training.measures.run_rows import Model
from mlpbench.training.worker_setup import StackRows

# More than one chunk of evaluation, a last chunk that is not full, and more than the curves' 10,000 examples.
MADE = made(n_train=12_300, n_test=1_234, features=19, classes=5)
NUMBERS = made_numbers(n_train=12_300, n_test=1_234, features=19)
IMAGES = made_images(n_train=700, n_test=210, image=(9, 6), classes=5)
DATA = {"classes": MADE, "numbers": NUMBERS, "images": IMAGES}
# Every third row in double precision; the others and single precision are left to the slower tests, and the
# second replicate in double precision to the proofs.
CASES = [
    case
    for i, name in enumerate(ROWS)
    for case in (
        pytest.param(name, "float64", 0, id=f"{name}-float64", marks=[pytest.mark.slow] * (i % 3 > 0)),
        pytest.param(name, "float64", 1, id=f"{name}-float64-1", marks=pytest.mark.prove),
        pytest.param(name, "float32", 1, id=f"{name}-float32", marks=pytest.mark.slow),
    )
]


def data_of(name: str) -> Made:
    return DATA[kind_of(name)]


def kind_of(name: str) -> str:
    return "numbers" if ROWS[name].numbers else "images" if ROWS[name].images else "classes"


@functools.cache
def runs_of(name: str, precision: str) -> tuple[Run, ...]:
    row = ROWS[name]
    fixed = {k: v for k, v in {**BASE, "precision": precision, **row.fixed}.items() if v is not None}
    return tuple(runs(data_of(name), fixed, replicates=2, **row.keys))


@dataclass(frozen=True)
class Stacked:
    """What the engine made of a stack."""

    rows: StackRows
    models: Mapping[str, Model]


@functools.cache
def stacked(wanted: tuple[Any, ...], kind: str = "classes") -> Stacked:
    """Train all rows of a signature and of one data set in one stack."""
    of = DATA[kind]
    members = {r.run_id: r for n in ROWS if data_of(n) is of for p in TOLERANCE for r in runs_of(n, p)}
    company = [r for r in members.values() if signature(r.settings) == wanted]
    with torch.no_grad():
        stack = _Stack(company, of.data)
        rows = stack.train(lambda share: None)
        return Stacked(rows, {r.run_id: stack._model(i) for i, r in enumerate(stack.runs[: len(company)])})


@functools.cache
def oracle(name: str, precision: str, replicate: int) -> Trained:
    return train(runs_of(name, precision)[replicate], data_of(name).dataset, drift_of(name, precision))


def tolerance_of(name: str, precision: str) -> float:
    return ROWS[name].tolerance if precision == "float32" else TOLERANCE[precision]


def drift_of(name: str, precision: str) -> float:
    """How far biases before batch norm may be off, and what is measured with them."""
    return (precision == "float32" and ROWS[name].drift) or tolerance_of(name, precision)


def assert_close(got: ArrayLike, expected: ArrayLike, tolerance: float) -> None:
    """Compare relative to the largest number: single small numbers carry the rounding of the large ones."""
    a, b = np.asarray(got, float), np.asarray(expected, float)
    assert a.shape == b.shape
    assert np.isfinite(b).all()
    worst = np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)
    assert worst < tolerance, f"off by {worst:.2g} of the largest number"


@pytest.mark.parametrize(("name", "precision", "replicate"), CASES)
def test_stacked_equals_one_at_a_time(name: str, precision: str, replicate: int) -> None:
    tolerance, drift = tolerance_of(name, precision), drift_of(name, precision)
    run = runs_of(name, precision)[replicate]
    expected = oracle(name, precision, replicate)
    made_of = stacked(signature(run.settings), kind_of(name))
    (row,) = [r for r in made_of.rows.runs if r["run_id"] == run.run_id]
    assert row["status"] == "ok"
    assert row["diverged"] == 0
    if expected.best_step is not None:
        steps = [row[name] * run.settings.steps_per_epoch for name in ("best_epoch", "epochs_taken")]
        assert steps == pytest.approx([expected.best_step, expected.steps_taken])
    model = made_of.models[run.run_id]
    right = [*expected.parameters, *expected.others, *expected.averages]
    walking = [*model.biases[:-1], *model.averages[::2]]
    for own, number in zip((*model.learnt, *model.averages), right, strict=True):
        assert own.dtype == number.dtype == getattr(torch, precision)
        assert_close(own, number, drift if any(own is w for w in walking) else tolerance)
    assert_curves(run, made_of.rows, expected, drift)
    assert_metrics(row, expected, drift)
    assert_predictions(run, made_of.rows, expected, drift)


def assert_curves(run: Run, rows: StackRows, expected: Trained, tolerance: float) -> None:
    points = {(r["step"], r["split"]): r for r in rows.curves if r["run_id"] == run.run_id}
    assert len(points) == sum(r["run_id"] == run.run_id for r in rows.curves)
    assert points.keys() == expected.curves.keys()
    for (step, part), measured in expected.curves.items():
        point = points[step, part]
        assert point["epoch"] == pytest.approx(step / run.settings.steps_per_epoch)
        assert_measured(point["loss"], point["accuracy"], measured, tolerance)


def assert_metrics(row: Mapping[str, Any], expected: Trained, tolerance: float) -> None:
    for part, measured in expected.metrics.items():
        assert_measured(row[f"{part}_loss"], row.get(f"{part}_accuracy"), measured, tolerance)
    assert ("val_loss" in row) == ("val" in expected.metrics)
    assert row["gap_loss"] == row["test_loss"] - row["train_loss"]
    if math.isnan(expected.metrics["test"].least_accuracy):
        assert "gap_accuracy" not in row
    else:
        assert row["gap_accuracy"] == row["train_accuracy"] - row["test_accuracy"]
    norm = math.sqrt(sum(float(w.double().square().sum()) for w in expected.weights))
    assert_close(row["weight_norm"], norm, tolerance)
    assert row["n_parameters"] == sum(p.numel() for p in expected.model.parameters())


def assert_measured(loss: float, accuracy: float | None, expected: Measured, tolerance: float) -> None:
    assert_close(loss, expected.loss, tolerance)
    if math.isnan(expected.least_accuracy):
        assert accuracy is None
        return
    assert accuracy is not None
    assert expected.least_accuracy - 1e-12 <= accuracy <= expected.most_accuracy + 1e-12


def assert_predictions(run: Run, rows: StackRows, expected: Trained, tolerance: float) -> None:
    (packed,) = [r["predicted"] for r in rows.predictions if r["run_id"] == run.run_id]
    if expected.test_logits.shape[1] == 1:
        # Stored as float32, whatever they were computed in.
        assert_close(np.frombuffer(packed, "<f4"), expected.test_logits[:, 0], max(tolerance, 1e-7))
        return
    got = torch.from_numpy(np.frombuffer(packed, np.uint8).astype(np.int64))
    z = expected.test_logits.double()
    assert got.shape == (len(z),)
    chosen, best = z.gather(1, got[:, None])[:, 0], z.amax(1)
    assert float((best - chosen).max()) <= tolerance * max(float(z.abs().max()), 1e-3)


def settings_of(name: str) -> RunSettings:
    return runs_of(name, "float64")[0].settings


def levels_of(setting: str) -> set[str]:
    levels = [getattr(settings_of(name), setting) for name in ROWS]
    return {parse_call(part)[0] for level in levels for part in level.split(THEN)}


def test_every_level_has_a_row() -> None:
    """A level that is added to a table fails here until it has its row."""
    assert levels_of("activation") == set(ACTIVATIONS)
    assert levels_of("init") == set(INITIALISERS)
    assert levels_of("bias_init") == {name for name, i in INITIALISERS.items() if i.of_biases}
    assert levels_of("loss") == set(LOSSES)
    assert {settings_of(name).loss for name in ROWS if ROWS[name].numbers} == set(losses_of("numbers"))
    assert levels_of("optimizer") == set(OPTIMISERS)
    assert levels_of("schedule") == set(SCHEDULES)
    for name, setting in SETTINGS.items():
        if isinstance(setting.value_type, Word | Chain) and name != "precision":
            assert levels_of(name) == set(setting.value_type.table), name
        if isinstance(setting.value_type, Flag):
            assert {getattr(settings_of(row), name) for row in ROWS} == {False, True}, name


def test_every_precision_has_its_rows() -> None:
    """Rounded precisions have an oracle of their own: test_precision.py, and test_gpu.py and test_dense_kernels.py for tf32 and tf32x3."""
    kind = SETTINGS["precision"].value_type
    assert isinstance(kind, Word)
    assert {*TOLERANCE, "bfloat16", *GPU_PRECISIONS} == set(kind.table)


def test_every_setting_has_a_row() -> None:
    named = {key for row in ROWS.values() for key, value in row.fixed.items() if value is not None}
    assert named | {"precision"} == set(SETTINGS)


def test_there_are_many_rows_and_most_of_them_are_long() -> None:
    """Errors of an update add up: 30 steps, on batches of which some are not full, show what one step may hide."""
    assert len(ROWS) >= 110
    assert sum(settings_of(name).steps >= 30 for name in ROWS) >= 60
    for optimiser in OPTIMISERS:
        mine = [s for s in map(settings_of, ROWS) if parse_call(s.optimizer)[0] == optimiser]
        assert sum(s.steps >= 30 and s.n_fit % s.batch_size > 0 for s in mine) >= 8
        assert any(s.clip_norm is not None for s in mine)
        assert any(s.l1 > 0 for s in mine)
        assert {s.weight_decay * (1 + s.decay_bias) > s.weight_decay for s in mine if s.weight_decay} == {False, True}
        assert {parse_call(s.schedule.partition(THEN)[0])[0] for s in mine} == set(SCHEDULES)
        assert {s.norm for s in mine} == {"none", "layer", "batch"}


@pytest.mark.parametrize("precision", TOLERANCE)
def test_l1_leaves_the_same_weights_at_exactly_zero(precision: str) -> None:
    """A weight that stays below the threshold is zero, not small; some are left, or the row would prove little."""
    for name in (f"{o}, l1" for o in OPTIMISERS):
        run, expected = runs_of(name, precision)[1], oracle(name, precision, 1)
        weights = stacked(signature(run.settings)).models[run.run_id].weights
        for own, right in zip(weights, expected.weights):
            assert float(((own == 0) != (right == 0)).double().mean()) < 0.01
        assert any(0 < float((w == 0).double().mean()) < 1 for w in weights), name


@pytest.mark.slow
def test_rows_of_one_signature_stand_in_one_stack_and_differ() -> None:
    """The table would prove less if most rows stood alone, or were the same run."""
    largest = max(
        (stacked(signature(r.settings)).rows.runs for r in runs_of("base", "float64")), key=lambda rows: len(rows)
    )
    assert len(largest) > 60
    assert all(row["stack_size"] == len(largest) for row in largest)
    assert len({row["weights_sha256"] for row in largest}) > 0.9 * len(largest)


def test_flops_count_each_product_of_the_steps() -> None:
    (run, _) = runs_of("an epoch and some steps", "float64")
    examples = 300 + 2 * 64
    forward = 19 * 17 + 17 * 9 + 9 * 5
    weight_gradients, input_gradients = forward, 17 * 9 + 9 * 5
    assert training_flops(run.settings, MADE.facts) == 2 * examples * (forward + weight_gradients + input_gradients)
