"""What every worker of a command has in common; apart from `worker`, so that the parent need not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The data and the device of the workers, and how many threads each may use."""

    dataset: str
    device: str
    threads: int
    data_dir: Path | None
    probes: Sequence[float] | None
