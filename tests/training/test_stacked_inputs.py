"""`features` and `input_scale`: a run sees the first inputs, times a factor, in training, evaluation and probes alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_data import Made, made, made_numbers, runs

from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack
from mlpbench.training.worker_setup import StackRows

CPU = torch.device("cpu")
FIXED: dict[str, Any] = {"width": 7, "batch_size": 16, "epochs": 2, "init": "he_normal", "dropout": 0.2}
CLASSES = made(n_train=90, n_test=61, features=19, classes=5)
NUMBERS = made_numbers(n_train=90, n_test=61, features=19)


def outcomes(rows: StackRows) -> str:
    """Return all numbers of a stack, exactly, without names and what inputs take of memory."""
    left_out = {"run_id", "train_seconds", "flops", "train_bytes", "eval_bytes"}
    tables = (rows.runs, rows.curves, rows.layers, rows.predictions)
    return repr([[{k: v for k, v in row.items() if k not in left_out} for row in table] for table in tables])


def with_inputs(of: Made, change: Any) -> DeviceData:
    """Return the data with other inputs; facts are not asked for them."""
    data = of.dataset
    return DeviceData(replace(data, x_train=change(data.x_train), x_test=change(data.x_test)), CPU)


@pytest.mark.parametrize("of", [CLASSES, NUMBERS], ids=["pixels", "numbers"])
@pytest.mark.parametrize("features", [1, 7, 16, 18])
def test_the_first_features_are_the_same_as_data_of_no_more(of: Made, features: int) -> None:
    fixed = FIXED | {"input_noise": 0.1}
    seen = train_stack(runs(of, fixed | {"features": features}, replicates=2), of.data)
    kind = made_numbers if of is NUMBERS else made
    few = kind(n_train=90, n_test=61, features=features, **({} if of is NUMBERS else {"classes": 5}))
    cut = with_inputs(of, lambda x: np.ascontiguousarray(x[:, :features]))
    cut.facts = few.facts
    narrow = train_stack(runs(few, fixed, replicates=2), cut)
    assert outcomes(seen) == outcomes(narrow)


@pytest.mark.parametrize("scale", [0.1, 3.0, 1000.0])
def test_scaled_inputs_are_the_same_as_scaled_data(scale: float) -> None:
    scaled = train_stack(runs(NUMBERS, FIXED | {"input_scale": scale}, replicates=2), NUMBERS.data)
    data = with_inputs(NUMBERS, lambda x: x * np.float32(scale))
    assert outcomes(scaled) == outcomes(train_stack(runs(NUMBERS, FIXED, replicates=2), data))
    plain = train_stack(runs(NUMBERS, FIXED, replicates=2), NUMBERS.data)
    assert outcomes(scaled) != outcomes(plain)


def test_pixels_are_scaled_after_they_are_in_0_to_1() -> None:
    scaled = train_stack(runs(CLASSES, FIXED | {"input_scale": 8}, replicates=2), CLASSES.data)
    data = with_inputs(CLASSES, lambda x: (x / np.float32(255)).astype(np.float32) * np.float32(8))
    assert outcomes(scaled) == outcomes(train_stack(runs(CLASSES, FIXED, replicates=2), data))


def test_noise_is_added_to_scaled_inputs() -> None:
    """Its deviation is that of what the network sees."""
    fixed = FIXED | {"input_noise": 0.5}
    scaled = train_stack(runs(NUMBERS, fixed | {"input_scale": 4.0}, replicates=2), NUMBERS.data)
    data = with_inputs(NUMBERS, lambda x: x * np.float32(4))
    assert outcomes(scaled) == outcomes(train_stack(runs(NUMBERS, fixed, replicates=2), data))


def test_probes_measure_scaled_inputs() -> None:
    """Without a hidden layer and bias, what a layer gives grows as its inputs do, and its gain does not."""
    fixed = {"depth": 0, "epochs": 0}
    small = train_stack(runs(NUMBERS, fixed, replicates=1), NUMBERS.data).layers[0]
    large = train_stack(runs(NUMBERS, fixed | {"input_scale": 16.0}, replicates=1), NUMBERS.data).layers[0]
    assert large["act_var"] == pytest.approx(256 * small["act_var"], rel=1e-5)
    assert large["forward_gain"] == pytest.approx(small["forward_gain"], rel=1e-5)
