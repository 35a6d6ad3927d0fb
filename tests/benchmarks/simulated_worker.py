"""A worker that trains nothing: it answers at once, with the rows of a run that was trained before (see driver_load.py).

Stands in the place of `mlpbench.training.worker`, and has the two functions of it that a worker process calls.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, MutableSequence, Sequence
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from mlpbench.experiment.grid import Run
from mlpbench.training.worker_setup import Row, Setup, StackRows

# How far a number of a run may be off that of the template, and which numbers are no measurements.
SPREAD = 0.02
KEPT = ("n_parameters", "stack_size", "flops", "epochs_taken", "diverged", "step", "epoch", "layer")

_rows: dict[str, list[Row]] = {}
_environment: Row = {}
_shares: MutableSequence[float] = []


def start(setup: Setup, shares: MutableSequence[float]) -> None:
    """Make this process a worker; it ends when its parent does."""
    global _rows, _environment, _shares
    threading.Thread(target=_end_with_parent, daemon=True).start()
    read = json.loads(Path(os.environ["DRIVER_LOAD_TEMPLATE"]).read_text())
    _rows = {table: [{k: _value(v) for k, v in row.items()} for row in rows] for table, rows in read.items()}
    _environment = {"env_device": setup.device, "env_numerics": setup.numerics, "env_threads": setup.threads}
    _shares = shares


def work(index: int, runs: Sequence[Run]) -> StackRows:
    """Return rows of the runs of a stack."""
    _shares[index] = max(_shares[index], 1e-6)
    rows = StackRows()
    for run in runs:
        digest = hashlib.sha256(run.run_id.encode()).digest()
        factor = 1 + SPREAD * (int.from_bytes(digest[:8], "big") / 2**64 - 0.5)
        for table, into in vars(rows).items():
            into += [_varied(row, factor) | {"run_id": run.run_id} for row in _rows[table]]
        rows.runs[-1] |= _environment | {"weights_sha256": digest.hex()}
    return rows


def _varied(row: Mapping[str, Any], factor: float) -> Row:
    return {k: v * factor if isinstance(v, float) and k not in KEPT else v for k, v in row.items()}


def _value(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
