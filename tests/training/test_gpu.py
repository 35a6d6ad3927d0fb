"""CPU and GPU agree within rounding, and a GPU gives a run the same bits alone and in company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mlpbench.data.dataset import Dataset
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
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
]


def trained(runs: list[Run], data: Dataset, device: str) -> StackRows:
    return train_stack(runs, DeviceData(data, torch.device(device)))


def runs_of(fixed: dict[str, Any]) -> list[Run]:
    shared = {"width": 65, "depth": 2, "train_size": 3000, "epochs": 2}
    tree = {"name": "x", "question": "?", "dataset": "fashion_mnist", "replicates": 3, "fixed": shared | fixed}
    return grid.runs(yaml_reader.from_mapping(tree))


@pytest.mark.parametrize("fixed", CASES, ids=str)
def test_a_gpu_agrees_with_the_cpu(fixed: dict[str, Any], fashion: Dataset) -> None:
    """tf32 has no counterpart on the CPU but float32, from which it differs by its own rounding."""
    on_gpu = trained(runs_of(fixed), fashion, "cuda:0")
    cpu_precision = {"precision": "float32"} if fixed.get("precision") == "tf32" else {}
    on_cpu = trained(runs_of(fixed | cpu_precision), fashion, "cpu")
    rough = 2e-2 if fixed.get("precision") in ("tf32", "bfloat16") else 2e-3
    for name in ("train_loss", "test_loss", "test_accuracy", "weight_norm"):
        gpu, cpu = ([r[name] for r in rows.runs] for rows in (on_gpu, on_cpu))
        np.testing.assert_allclose(gpu, cpu, rtol=rough, atol=rough)


@pytest.mark.parametrize("fixed", CASES, ids=str)
def test_a_gpu_gives_the_same_bits_alone_and_in_company(fixed: dict[str, Any], fashion: Dataset) -> None:
    runs = runs_of(fixed)
    company = {r["run_id"]: r["weights_sha256"] for r in trained(runs, fashion, "cuda:0").runs}
    for run in runs:
        (alone,) = trained([run], fashion, "cuda:0").runs
        assert alone["weights_sha256"] == company[run.run_id]
