"""Metrics of plugins at the end of a run: each is called once for the test set, and once for the validation examples.

A run is measured alone, on the CPU, of tensors of its own: whatever a metric does, its bits can't depend on a stack. One that raises
costs the run nothing but its number: the row of the run says why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from mlpbench.experiment.components.own_pieces import PieceError, split_name
from mlpbench.experiment.metrics.own_metrics import COLUMN, OWN_METRICS, keeps_outputs
from mlpbench.experiment.metrics.set_scores import TestOutputs
from mlpbench.training.worker_setup import Row


@dataclass(frozen=True, kw_only=True)
class PluginMetrics:
    """The metrics of plugins that runs are measured by, by the canonical names of pieces."""

    pieces: Sequence[str] = ()

    def keeps(self, n: int, n_classes: int | None) -> bool:
        """Return whether the outputs for so many examples are needed and can be kept; numbers are kept as predictions."""
        return bool(self.pieces) and n_classes is not None and keeps_outputs(n, n_classes)

    def columns(self, parts: Mapping[str, TestOutputs | None]) -> Row:
        """Return the columns of a run's row: its numbers, and what went wrong; nothing where there are no metrics.

        `parts` are what the run gave for the test set and for validation examples; None where it is not measured there.
        """
        if not self.pieces:
            return {}
        numbers: list[tuple[str, float | None]] = []
        wrong: list[str] = []
        for piece in self.pieces:
            for part, given in parts.items():
                if given is None:
                    continue
                value = None
                try:
                    value = _measure(piece, given)
                except PieceError as error:
                    wrong.append(f"{error}, so that the run has no {part}_{split_name(piece)[0]}")
                numbers.append((f"{part}_{piece}", value))
        return {COLUMN: numbers} | ({"error": "; ".join(wrong)} if wrong else {})


# What runs are measured by where no plugin has a metric.
NO_METRICS = PluginMetrics()


def _measure(piece: str, given: TestOutputs) -> float | None:
    outputs = given.predicted if given.n_classes is None else given.outputs
    if outputs is None:  # they are too many
        return None
    targets = given.targets if given.n_classes is None else given.y_N
    return OWN_METRICS[piece](
        _double(outputs), torch.from_numpy(targets).to(torch.int64) if given.n_classes else _double(targets)
    )


def _double(numbers: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(numbers).to(torch.float64)
