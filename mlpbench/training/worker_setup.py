"""What every worker of a command has in common; apart from `worker`, so that the parent need not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlpbench.base.environment import Numerics
from mlpbench.data.dataset import DataSource
from mlpbench.experiment.shift_spec import Shifts

# What a worker hands back: the rows of each table.
Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The data and the device of the workers, how many threads each may use, and how far their bits are to carry."""

    dataset: DataSource
    device: str
    threads: int
    numerics: Numerics
    data_dir: Path | None
    probes: Sequence[float] | None
    shifts: Shifts = field(default_factory=dict)
    save_weights: bool = False
