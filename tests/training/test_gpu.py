"""CPU and GPU agree within rounding, and a GPU gives a run the same bits alone and in company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plugin_sources import TWINS, loaded
from run_output import by_run

from mlpbench.data.dataset import Dataset
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
from mlpbench.experiment.settings import GPU_PRECISIONS
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack
from mlpbench.training.worker_setup import StackRows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use is on this machine"),
]

CASES: list[dict[str, Any]] = [
    {},
    {"activation": "gelu", "dropout": 0.3, "init": "he_normal"},
    {"activation": "prelu", "optimizer": "adam", "lr": 0.001},
    {"optimizer": "nesterov", "weight_decay": 0.01, "schedule": "cosine"},
    {"norm": "layer", "optimizer": "rmsprop", "lr": 0.001},
    {"norm": "batch", "clip_norm": 1.0},
    {"input_noise": 0.1, "label_noise": 0.2, "l1": 1e-4},
    {"loss": "squared_error", "lr": 0.01, "precision": "float64"},
    {"precision": "bfloat16"},
    {"precision": "tf32"},
    {"precision": "tf32x3"},
    {"residual": True, "bias": False, "parametrization": "mup", "optimizer": "adam", "lr": 0.001},
    {"label_smoothing": 0.1, "class_weights": "balanced", "optimizer": {"sgd": {"momentum": 0.9}}, "lr": 0.01},
    {"conv_channels": [4], "train_size": 1000},
    {"early_stopping": {"patience": 1}, "epochs": 6, "lr": 0.5},
    *(
        {"plugins": ["twins"]} | own
        for own in (
            {"activation": "own_gelu"},
            {"activation": "own_tanh", "optimizer": "own_adam", "lr": 0.001},
            {
                "init": "own_he_normal",
                "optimizer": "own_momentum",
                "loss": "own_cross_entropy",
                "schedule": "own_cosine",
            },
        )
    ),
]


SCORES = ("train_loss", "test_loss", "test_accuracy", "weight_norm")


def trained(runs: list[Run], data: Dataset, device: str) -> StackRows:
    return train_stack(runs, DeviceData(data, torch.device(device)))


def runs_of(fixed: dict[str, Any]) -> list[Run]:
    fixed = {"width": 65, "depth": 2, "train_size": 3000, "epochs": 2} | fixed
    tree = {"name": "x", "question": "?", "dataset": "fashion_mnist", "replicates": 3, "fixed": fixed}
    if fixed.pop("plugins", None):
        tree |= loaded(TWINS)
    if "early_stopping" in fixed:
        tree["validation"] = 0.2
    return grid.runs(yaml_reader.from_mapping(tree))


@pytest.mark.parametrize("fixed", [c for c in CASES if c.get("precision") in (None, "float64")], ids=str)
def test_a_gpu_agrees_with_the_cpu(fixed: dict[str, Any], fashion: Dataset) -> None:
    """In double precision: in single precision rules that divide by small gradients turn rounding into steps."""
    runs = runs_of(fixed | {"precision": "float64"})
    for name in SCORES:
        gpu, cpu = ([r[name] for r in trained(runs, fashion, device).runs] for device in ("cuda:0", "cpu"))
        np.testing.assert_allclose(gpu, cpu, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "tf32", "tf32x3"])
def test_a_gpu_agrees_with_the_cpu_within_the_rounding_of_a_precision(precision: str, fashion: Dataset) -> None:
    """tf32 has no counterpart on the CPU but float32, from which it differs by its own rounding."""
    on_gpu = trained(runs_of({"precision": precision}), fashion, "cuda:0").runs
    on_cpu = trained(
        runs_of({"precision": "float32" if precision in GPU_PRECISIONS else precision}), fashion, "cpu"
    ).runs
    rough = 2e-3 if precision in ("float32", "tf32x3") else 2e-2
    for name in SCORES:
        gpu, cpu = ([r[name] for r in rows] for rows in (on_gpu, on_cpu))
        np.testing.assert_allclose(gpu, cpu, rtol=rough, atol=rough)


@pytest.mark.parametrize("fixed", CASES, ids=str)
def test_a_gpu_gives_the_same_rows_alone_and_in_company_and_twice(fixed: dict[str, Any], fashion: Dataset) -> None:
    runs = runs_of(fixed)
    company = by_run(trained(runs, fashion, "cuda:0"))
    assert by_run(trained(runs[::-1], fashion, "cuda:0")) == company
    for run in runs:
        assert by_run(trained([run], fashion, "cuda:0"))[run.run_id] == company[run.run_id]


def test_recorded_steps_give_the_bits_of_plain_ones(fashion: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run for fixed in CASES[:4] for run in runs_of(fixed | {"schedule": "cosine"})[:1]]
    recorded = [by_run(trained([run], fashion, "cuda:0")) for run in runs]
    monkeypatch.setattr("mlpbench.training.steps.recorded", lambda work, device, unless: work)
    assert [by_run(trained([run], fashion, "cuda:0")) for run in runs] == recorded


def test_kernels_give_the_bits_of_the_plain_way(fashion: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of({"dropout": 0.3})
    compiled = by_run(trained(runs, fashion, "cuda:0"))
    for module in ("minibatches", "training_noise"):
        monkeypatch.setattr(f"mlpbench.training.batches.{module}.kernels_for", lambda device: None)
    assert by_run(trained(runs, fashion, "cuda:0")) == compiled
