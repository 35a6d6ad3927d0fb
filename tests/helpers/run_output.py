"""What a stack returns for one of its runs."""

from __future__ import annotations

from typing import Any

from mlpbench.experiment.grid import Run
from mlpbench.training.worker_setup import StackRows

# Of a row, only these may depend on who else was there.
OF_THE_STACK = {"train_seconds", "stack_size"}


def by_run(rows: StackRows) -> dict[str, list[dict[str, Any]]]:
    """All rows of each run, whatever the table, but for what may depend on who else was there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in (rows.runs, rows.curves, rows.layers, rows.predictions):
        for row in table:
            found.setdefault(row["run_id"], []).append({k: v for k, v in row.items() if k not in OF_THE_STACK})
    return found


def of_run(rows: StackRows, run: Run) -> dict[str, Any]:
    """Everything that came out for one run, the run's own columns only."""
    (row,) = [r for r in rows.runs if r["run_id"] == run.run_id]
    return {
        "row": {k: v for k, v in row.items() if k not in OF_THE_STACK},
        "curves": [r for r in rows.curves if r["run_id"] == run.run_id],
        "layers": [r for r in rows.layers if r["run_id"] == run.run_id],
        "predictions": [r["predicted"] for r in rows.predictions if r["run_id"] == run.run_id],
    }
