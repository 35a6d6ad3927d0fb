"""Train runs that between them have every level of every setting, and print as JSON a digest of all that came of each.

    python tests/helpers/portable_runs.py [NAME...]

test_numerics.py starts it on this processor and on emulated ones, with the variables of a numerics mode.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterator
from typing import Any

import torch
from oracle_rows import BASE, ROWS
from small_data import Made, made, made_images, made_numbers, runs
from torch_reference import MODULES

from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import signature
from mlpbench.training.engine import train_stack
from mlpbench.training.worker_setup import StackRows

# So many that a shift finds enough which it accepts.
PIXELS = made(n_train=4000, n_test=130, features=19, classes=5)
NUMBERS = made_numbers(n_train=4000, n_test=130, features=19)
IMAGES = made_images(n_train=400, n_test=130, image=(9, 6), classes=5)
WIDE = made(n_train=300, n_test=70, features=400, classes=10)
# Training takes some twenty times as long on an emulated processor.
EPOCHS = 1
# In bfloat16 only what goes into products is rounded; the kernels are those of float32.
PRECISIONS = {
    "float64": [*MODULES, "orthogonal", "adam, all of it", "layer norm, rmsprop", "batch norm, clipping, cosine"],
    "bfloat16": [*MODULES, "orthogonal"],
}
# Products that are cut into blocks.
WIDE_RUN: dict[str, Any] = {"width": 128, "steps": 2, "init": "orthogonal", "lr": 0.01}

Named = tuple[str, Made, Run]


def named_runs() -> Iterator[Named]:
    """Yield the runs with their names and data."""
    for precision in ("float32", "float64", "bfloat16"):
        for name in PRECISIONS.get(precision, ROWS):
            row = ROWS[name]
            fixed = {k: v for k, v in {**BASE, **row.fixed, "precision": precision}.items() if v is not None}
            if "epochs" in fixed:
                fixed["epochs"] = min(fixed["epochs"], EPOCHS)
            data = NUMBERS if row.numbers else IMAGES if row.images else PIXELS
            yield f"{name}, {precision}", data, runs(data, fixed, **row.keys)[0]
    for optimizer, precision in (("sgd", "float32"), ("adam", "float32"), ("sgd", "float64")):
        fixed = WIDE_RUN | {"optimizer": optimizer, "precision": precision}
        yield f"wide, {optimizer}, {precision}", WIDE, runs(WIDE, fixed)[0]


def digests(named: Collection[Named]) -> dict[str, dict[str, str]]:
    """Train the runs, stacked by data and signature, and return the digests of each by name."""
    stacks: dict[Any, tuple[Made, dict[str, Run]]] = {}
    for _, data, run in named:
        _, members = stacks.setdefault((data.facts.name, data.facts.n_features, signature(run.settings)), (data, {}))
        members[run.run_id] = run
    found: dict[str, dict[str, str]] = {}
    for data, members in stacks.values():
        rows = train_stack(list(members.values()), data.data)
        found |= {run_id: of_tables(rows, run_id) for run_id in members}
    return {name: found[run.run_id] for name, _, run in named}


def of_tables(rows: StackRows, run_id: str) -> dict[str, str]:
    """Return the start of the SHA-256 of what a run has in each table, and of its weights apart."""
    tables = {"runs": rows.runs, "curves": rows.curves, "layers": rows.layers, "predictions": rows.predictions}
    own = {table: [row for row in all_rows if row["run_id"] == run_id] for table, all_rows in tables.items()}
    (row,) = own["runs"]
    del row["train_seconds"]
    found = {"run_id": run_id, "weights": str(row.pop("weights_sha256", None))[:16]}
    for table, kept in own.items():
        found[table] = hashlib.sha256(json.dumps(kept, default=bytes.hex).encode()).hexdigest()[:16]
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    chosen = [named for named in named_runs() if not wanted or named[0] in wanted]
    capability = torch.backends.cpu.get_cpu_capability()
    print(json.dumps({"capability": capability, "digests": digests(chosen)}))
