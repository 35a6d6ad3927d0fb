"""What workers are given and what they hand back; apart from `worker`, so that the parent need not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlpbench.base.environment import Numerics
from mlpbench.data.dataset import DataSource
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.experiment.shift_spec import Shifts

# While one worker prepares a stack or measures its runs, another keeps the GPU busy.
WORKERS_PER_GPU = 6
# A row of a table. Its columns follow from the tables of settings and metrics; `results.schemas` has their types.
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The data sets and the device of the workers, how many threads each may use, and how far their bits are to carry.

    Plugins are those that runs use, with their code: workers load it from here, not from a file.
    """

    datasets: Sequence[DataSource]
    device: str
    threads: int
    numerics: Numerics
    data_dir: Path | None
    probes: Sequence[float] | None
    shifts: Shifts = field(default_factory=dict)
    save_weights: bool = False
    plugins: Sequence[Plugin] = ()


@dataclass
class StackRows:
    """The rows of a stack's runs, in the order in which the runs were given.

    A prediction is the bytes of a run's outputs for the test examples in order: uint8 classes, or float32 numbers,
    little-endian; beside it a byte with the number of points in the later half of training, and at how many of them each class was
    predicted right. Weights are those of runs that ended well, each as the bytes of a file, where they were asked for.
    """

    runs: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)
    layers: list[Row] = field(default_factory=list)
    predictions: list[Row] = field(default_factory=list)
    weights: list[Row] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Sequence[StackRows]) -> StackRows:
        """Return the rows of the parts of a stack."""
        return cls(**{table: [row for part in parts for row in vars(part)[table]] for table in vars(cls())})

    def in_order(self, runs: Sequence[Run]) -> StackRows:
        """Return the rows in the order of these runs, those of a run as they are."""
        place = {run.run_id: i for i, run in enumerate(runs)}
        return StackRows(
            **{table: sorted(rows, key=lambda row: place[row["run_id"]]) for table, rows in vars(self).items()}
        )
