"""Runs on synthetic data, by way of the real spec and grid, with what draws their examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mlpbench.data.dataset import DataSource
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import DrawnData

FIXED: dict[str, Any] = {"depth": 0, "batch_size": 10, "epochs": 2, "lr": 0.03}


def drawn_runs(
    dataset: Any, fixed: Mapping[str, Any] | None = None, conditions: Sequence[Mapping[str, Any]] = (), **keys: Any
) -> tuple[DataSource, DrawnData, list[Run]]:
    """Return the data set, the data for the engine, and the runs of an experiment, replicates inside conditions."""
    tree: dict[str, Any] = {"name": "x", "question": "?", "dataset": dataset, "fixed": FIXED | dict(fixed or {})}
    if conditions:
        tree["fixed"] = {k: v for k, v in tree["fixed"].items() if not any(k in c for c in conditions)}
        tree["factors"] = {"conditions": [{"label": str(i), **c} for i, c in enumerate(conditions)]}
    experiment = build(tree | keys)
    return experiment.sources[0], DrawnData(experiment.sources[0], torch.device("cpu")), grid.runs(experiment)
