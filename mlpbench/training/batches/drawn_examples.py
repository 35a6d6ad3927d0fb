"""Data that each replicate draws anew, as a stack sees them: the draws of its runs one below another.

A draw is a function of seed and replicate alone, and gathering copies: what else is drawn changes no run's bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mlpbench.data.dataset import Dataset, DataSource
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.batches import DeviceData, draw_key

Part = Literal["x_train", "y_train", "x_test", "y_test"]


class DrawnData:
    """What draws the data of a stack, and the device they go to."""

    def __init__(self, source: DataSource, device: torch.device) -> None:
        self._source, self.device = source, device
        self.facts = source.facts

    def of(self, runs: Sequence[Run]) -> DeviceData:
        """Return the draws of these runs, each once, as data on the device."""
        keys = list(dict.fromkeys(map(draw_key, runs)))
        drawn = [self._source.draw(*key) for key in keys]

        def below(part: Part) -> NDArray[np.float32]:
            return np.concatenate([np.asarray(getattr(d, part), np.float32) for d in drawn])

        whole = Dataset(
            facts=self.facts,
            x_train=below("x_train"),
            y_train=below("y_train"),
            x_test=below("x_test"),
            y_test=below("y_test"),
        )
        return DeviceData(whole, self.device, {key: i for i, key in enumerate(keys)}).of(runs)


def on_device(source: DataSource, device: torch.device, *, data_dir: Path | None = None) -> DeviceData | DrawnData:
    """Return data for `train_stack`: loaded and resident, or drawn stack by stack."""
    if source.facts.is_drawn_anew:
        return DrawnData(source, device)
    return DeviceData(source.load(data_dir=data_dir), device)
