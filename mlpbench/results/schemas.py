"""The tables of results: one Arrow schema for all files of a table, and the keys of its rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mlpbench.base.models import SHOWN
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import METRICS, WEIGHT_QUANTILES
from mlpbench.experiment.metrics.metric_names import LATE_RIGHT, LAYER_METRICS
from mlpbench.experiment.metrics.set_curves import SET_CURVES
from mlpbench.experiment.run_settings import LATER
from mlpbench.experiment.settings import SETTINGS

if TYPE_CHECKING:
    import pandas as pd

GPU_LIBRARIES = "env_gpu_libraries"
ENVIRONMENT = {
    "env_python": "string",
    "env_torch": "string",
    "env_numpy": "string",
    "env_mlpbench": "string",
    "env_commit": "string",
    "env_dirty": "bool",
    "env_blas": "string",
    "env_cpu": "string",
    "env_capability": "string",
    "env_threads": "int64",
    "env_numerics": "string",
    "env_device": "string",
    "env_driver": "string",
    GPU_LIBRARIES: "string",
    "env_dataset": "string",
}

_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "list<int64>": pa.list_(pa.int64()),
    "list<double>": pa.list_(pa.float64()),
    "map<string, double>": pa.map_(pa.string(), pa.float64()),
}


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


_RUN_COLUMNS = {
    "run_id": "string",
    "condition_id": "string",
    "replicate": "int64",
    "fold": "int64",
    "seed": "int64",
    "status": "string",
    "error": "string",
    "diverged_at_step": "int64",
    "dataset": "string",
    **{name: s.value_type.column for name, s in SETTINGS.items()},
    "validation": "double",
    **dict.fromkeys(METRICS, "double"),
    own_metrics.COLUMN: "map<string, double>",
    "n_parameters": "int64",
    "stack_size": "int64",
    "weights_sha256": "string",
    **ENVIRONMENT,
}

SCHEMAS: dict[str, pa.Schema] = {
    "runs": _schema(_RUN_COLUMNS),
    "curves": _schema(
        {
            "run_id": "string",
            "epoch": "double",
            "step": "int64",
            "split": "string",
            "loss": "double",
            "accuracy": "double",
        }
    ),
    "layers": _schema(
        {
            "run_id": "string",
            "epoch": "double",
            "step": "int64",
            "layer": "int64",
            **dict.fromkeys(LAYER_METRICS, "double"),
            WEIGHT_QUANTILES: "list<double>",
        }
    ),
    "predictions": _schema(
        {"run_id": "string", "predicted": "binary", LATE_RIGHT: "binary", **dict.fromkeys(SET_CURVES, "list<double>")}
    ),
}
# Metrics that every folder has. Columns of others, and of some settings, are younger than the first folders: an older row has
# a null there, which does not count as a difference.
FIRST_METRICS = (
    "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy", "gap_loss", "gap_accuracy",
    "weight_norm", "sparsity", "dead_units", "distinct_units", "diverged", "train_seconds", "flops",
)  # fmt: skip
CAME_LATER = (
    *LATER,
    *(name for name in METRICS if name not in FIRST_METRICS),
    own_metrics.COLUMN,
    WEIGHT_QUANTILES,
    LATE_RIGHT,
    *SET_CURVES,
    "env_gpu_libraries",
)
# Columns that `trim` empties in runs of which the report reads none of a group: a run has all of a group or nothing.
DROPPED_TOGETHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "curves": (("loss", "accuracy"),),
    "layers": (tuple(LAYER_METRICS), (WEIGHT_QUANTILES,)),
    "predictions": tuple((column,) for column in ("predicted", LATE_RIGHT, *SET_CURVES)),
}
DROPPABLE = {table: tuple(itertools.chain(*groups)) for table, groups in DROPPED_TOGETHER.items()}
# How a run can end.
STATUSES = {"ok", "diverged", "failed"}
# Whole numbers of a table are counts, places and sizes: more are none that a machine has.
MOST_COUNT = 2**53
_FRACTION = (-1e-9, 1 + 1e-9)
_DIFFERENCE = (-1 - 1e-9, 1 + 1e-9)
# What finite numbers of columns may be; of whole numbers else 0 to MOST_COUNT.
_LIMITS: dict[str, tuple[float, float]] = {
    **{
        m.name: _DIFFERENCE if m.name.startswith("gap_") else _FRACTION
        for m in METRICS.values()
        if m.unit == "fraction"
    },
    "diverged": (0, 1),
    "train_seconds": (0, math.inf),
    "accuracy": _FRACTION,
    "epoch": (0, math.inf),
    "act_zero": _FRACTION,
}
# The columns that identify a row of a table; rows of a compacted file are sorted by them.
KEYS: dict[str, tuple[str, ...]] = {
    "runs": ("run_id",),
    "curves": ("run_id", "step", "split"),
    "layers": ("run_id", "step", "layer"),
    "predictions": ("run_id",),
}
# Rows are removed in this order and written in the reverse one: a run is in `runs` only if the others have it.
TABLES = ("runs", "curves", "layers", "predictions")


def mismatch(schema: pa.Schema, table: str) -> str:
    """Return in what the columns of a file differ from those of its table; nothing where they are these, younger ones aside."""
    wanted = SCHEMAS[table]
    names = schema.names
    if len(set(names)) < len(names):
        return f"it has the column {next(n for n in names if names.count(n) > 1)[:SHOWN]!r} twice"
    for field in wanted:
        if field.name not in names:
            if field.name in (*CAME_LATER, GPU_LIBRARIES):
                continue
            return f"it has no {field.name}"
        kind = schema.field(field.name).type
        if _elements(kind) != _elements(field.type):
            return f"{field.name} must be {field.type}, got {str(kind)[:SHOWN]}"
    return ""


def _elements(kind: pa.DataType) -> tuple[str, *tuple[pa.DataType, ...]]:
    """Return whether a type is a list or a map, and the types of its elements, which may have other names, or the type itself."""
    if isinstance(kind, pa.MapType):
        return "map", kind.key_type, kind.item_type
    return ("list", kind.value_type) if isinstance(kind, pa.ListType) else ("", kind)


def refusal(rows: pd.DataFrame, table: str) -> str:
    """Return what is wrong with the values of some columns of a table; nothing where a run can have such values."""
    for name in rows.columns:
        column, kind = rows[name], SCHEMAS[table].field(name).type
        missing = column.isna()
        if name in (*KEYS[table], "status") and missing.any():
            return f"{name} must not be missing"
        if name == "status":
            wrong = ~column.isin(STATUSES)
        elif name == own_metrics.COLUMN:
            wrong = column.map(lambda stored: not _are_own_metrics(stored), na_action="ignore").eq(True)
        elif name in _LIMITS or pa.types.is_integer(kind):
            low, high = _LIMITS.get(name, (0, MOST_COUNT))
            wrong = (column < low) | (column > high)
        else:
            continue
        if wrong.any():
            return f"{name} can't be {str(column[wrong].iloc[0])[:SHOWN]!r}"
    return ""


def _are_own_metrics(stored: object) -> bool:
    """Return whether a run can have these numbers as metrics of plugins: none, or a few, each by a name once."""
    assert isinstance(stored, list | np.ndarray), "pandas has the entries of a map so"
    names = [name for name, _ in stored]
    return len(set(names)) == len(names) <= own_metrics.MOST and all(own_metrics.measured(name) for name in names)
