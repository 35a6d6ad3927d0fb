"""Results folders of any size, made by arithmetic: real specs, identities and schemas, numbers without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sealed_folders import seal_again

from mlpbench.base import environment
from mlpbench.base.files import write_whole
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import curve_steps, probe_steps
from mlpbench.experiment.spec import Experiment
from mlpbench.results.part_files import encoded
from mlpbench.results.register import write_register
from mlpbench.results.registration import registered
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

RUNS_A_FILE = 100_000


def make_folder(tree: Mapping[str, Any], results: Path, *, curves_of: int | None = None, noise: float = 0.002) -> Path:
    """Write the results of an experiment and return their folder.

    Every run has a row in `runs`; curves, layers and predictions are those of the first `curves_of` replicates of each
    condition, of all by default. Accuracy depends on where the condition stands in the grid, with normal noise, a part of
    which the conditions of a replicate share.
    """
    experiment = yaml_reader.from_mapping(tree)
    folder = results / experiment.name
    write_whole(folder / "spec.yaml", yaml_reader.dump(experiment).encode())
    conditions = grid.conditions(experiment)
    write_register(folder, registered(Store(folder), experiment, conditions, experiment))
    rng = np.random.default_rng(0)
    shared = rng.normal(0, noise, experiment.replicates)
    each = max(1, RUNS_A_FILE // experiment.replicates)
    for start in range(0, len(conditions), each):
        part = conditions[start : start + each]
        quality = [0.8 + 0.08 * np.sin(0.01 * (start + i)) for i in range(len(part))]
        accuracy = np.add.outer(quality, shared) + rng.normal(0, noise, (len(part), experiment.replicates))
        accuracy = np.round(accuracy, 4)
        ids = [grid.run_ids(experiment, c, range(experiment.replicates)) for c in part]
        tables = {"runs": _runs(experiment, part, ids, accuracy)}
        if curves_of != 0:
            tables |= _others(experiment, part, [i[:curves_of] for i in ids], accuracy)
        for name, table in tables.items():
            file, content = encoded(f"part{start:06d}", table)
            write_whole(folder / name / file, content)
    seal_again(folder)
    return folder


def _runs(experiment: Experiment, part: list[grid.Condition], ids: list[list[str]], accuracy: Any) -> pa.Table:
    n = accuracy.size
    rows = pa.Table.from_pylist(
        [vars(c.settings) | {"condition_id": c.condition_id} for c in part], schema=SCHEMAS["runs"]
    ).take(np.repeat(np.arange(len(part)), experiment.replicates))
    flat = accuracy.ravel()
    same = environment.environment() | {
        "seed": experiment.seed, "status": "ok", "dataset": experiment.facts[0].name, "env_device": "cpu",
        "env_numerics": "fast", "env_threads": 1, "env_dataset": experiment.facts[0].fingerprint, "n_parameters": 1000,
        "stack_size": experiment.replicates, "diverged": 0.0, "weight_norm": 9.0, "sparsity": 0.0, "dead_units": 0.0,
        "distinct_units": 8.0, "flops": 1e10,
    }  # fmt: skip
    own = {
        "run_id": [i for some in ids for i in some],
        "replicate": np.tile(np.arange(experiment.replicates), len(part)),
        "train_accuracy": flat + 0.01, "test_accuracy": flat, "gap_accuracy": np.full(n, 0.01),
        "train_loss": 2.2 - 2 * flat, "test_loss": 2.3 - 2 * flat, "gap_loss": np.full(n, 0.1),
        "train_seconds": 1 + flat, "weights_sha256": [f"{i:064x}" for i in range(n)],
    }  # fmt: skip
    for name, values in (own | same).items():
        field = SCHEMAS["runs"].field(name)
        column = pa.array(values, field.type) if name in own else pa.repeat(pa.scalar(values, field.type), n)
        rows = rows.set_column(rows.schema.get_field_index(name), field, column)
    return rows


def _others(
    experiment: Experiment, part: list[grid.Condition], ids: list[list[str]], accuracy: Any
) -> dict[str, pa.Table]:
    """Return curves that end where the runs do, probes of every layer, and predictions as long as the real ones."""
    curves: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    predicted = bytes(i % 10 for i in range(experiment.facts[0].n_test))
    for condition, some, ends in zip(part, ids, accuracy, strict=True):
        s = condition.settings
        for run_id, end in zip(some, ends, strict=False):
            for step in curve_steps(s):
                left = (1 - step / s.steps) ** 2
                at = {"run_id": run_id, "epoch": step / s.steps_per_epoch, "step": step}
                for split, above in (("train", 0.01), ("test", 0.0)):
                    reached = (end + above) * (1 - left) + 0.1 * left
                    curves.append({**at, "split": split, "loss": 2.3 - 2 * reached, "accuracy": reached})
            for step in probe_steps(s, experiment.probes):
                at = {"run_id": run_id, "epoch": step / s.steps_per_epoch, "step": step}
                layers += [{**at, "layer": layer, "act_var": 1.0} for layer in range(s.depth + 1)]
    rows = {
        "curves": curves,
        "layers": layers,
        "predictions": [{"run_id": i, "predicted": predicted} for some in ids for i in some],
    }
    return {name: pa.Table.from_pylist(of, schema=SCHEMAS[name]) for name, of in rows.items()}
