"""Whether two trainings of the same runs agree: bit for bit, within a tolerance, or not.

Everything that a run's identity fixes is compared: every column of its row but its time, its stack and its environment, and
its curves, layers and predictions, as far as they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.evidence.frames import records
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.results.folders import DIFFERENT, GRADES, IDENTICAL, WITHIN
from mlpbench.results.schemas import CAME_LATER, DROPPABLE, ENVIRONMENT, KEYS

# Two trainings that round differently drift apart. Up to these limits a difference counts as rounding: of accuracies and other
# shares the difference itself, of everything else the difference relative to the larger number.
SHARE_TOLERANCE = 0.01
RELATIVE_TOLERANCE = 0.05
SHARES = ("fraction", "0 or 1")
SHARES_BESIDE = {"accuracy", *(name for name, m in LAYER_METRICS.items() if m.unit in SHARES)}
MOST_COLUMNS = 4
# Columns that a run may lack, and is not compared in then: they came later, or `trim` has dropped them.
MAY_LACK = {*CAME_LATER, *(column for columns in DROPPABLE.values() for column in columns)}
NOT_FIXED = ("train_seconds", "stack_size", *ENVIRONMENT)

Tables = Mapping[str, pd.DataFrame]


def agreement(a: Tables, b: Tables, *, complete: bool = False) -> pd.DataFrame:
    """Return a row for each run that both have: `run_id`, `grade`, `differs` (what differs, in words; empty if nothing).

    Two trainings that end with the same bits of weights must agree in everything that follows from them: a difference can't be
    rounding. Weights that were drawn and never trained are the same however one rounds, and what follows from them differs
    by rounding alone. What one side lacks, because it came later or was trimmed, is not compared; `b` lacks nothing if it is
    `complete`.
    """
    one, other = (tables["runs"].set_index("run_id") for tables in (a, b))
    ids = one.index.intersection(other.index)
    one, other = one.loc[ids], other.loc[ids]
    columns = [c for c in one.columns if c not in NOT_FIXED]
    unequal = pd.DataFrame({c: _unequal(one[c], other[c]) for c in columns}, index=ids)
    for column in [c for c in CAME_LATER if c in columns]:
        unequal[column] &= (one[column].notna() & (other[column].notna() | complete)).to_numpy()
    numbers = set(ids[one["test_accuracy"].isna()])
    beside = {t: _beside(a[t], b[t], KEYS[t], set(ids), numbers, complete) for t in KEYS if t != "runs"}
    metrics = [m for m in METRICS if m in columns]
    near = pd.DataFrame({m: _near(one[m], other[m], m) for m in metrics}, index=ids).all(axis=1)
    untrained = one["steps"].eq(0)
    fixed = [c for c in columns if c not in metrics and c != "weights_sha256"]
    rows = []
    for run_id, differing in zip(ids, unequal.to_numpy(), strict=True):
        names = [c for c, differs in zip(columns, differing, strict=True) if differs]
        tables = [t for t, (changed, _, _) in beside.items() if run_id in changed]
        grade = IDENTICAL
        if names or tables:
            rounded = "weights_sha256" in names or untrained[run_id]
            whole = not any(
                run_id in lonely or (untrained[run_id] and run_id in far) for _, lonely, far in beside.values()
            )
            drifted = rounded and whole and not set(names) & set(fixed) and near[run_id]
            grade = WITHIN if drifted else DIFFERENT
        differences = [_difference(c, one.at[run_id, c], other.at[run_id, c]) for c in names[:MOST_COLUMNS]]
        more = [f"{len(names) - MOST_COLUMNS} more"] if len(names) > MOST_COLUMNS else []
        rows.append({"run_id": run_id, "grade": grade, "differs": ", ".join(differences + more + tables)})
    return pd.DataFrame(rows, columns=["run_id", "grade", "differs"])


def counts(pairs: pd.DataFrame) -> dict[str, int]:
    """Return how many runs have each grade."""
    return {grade: int((pairs["grade"] == grade).sum()) for grade in GRADES}


def _unequal(a: pd.Series[Any], b: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        x, y = _floats(a), _floats(b)
        return ~((x == y) | (np.isnan(x) & np.isnan(y)))
    return [not _equal(x, y) for x, y in zip(a, b, strict=True)]


def _floats(column: pd.Series[Any]) -> Any:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _equal(x: Any, y: Any) -> bool:
    if isinstance(x, np.ndarray | list) or isinstance(y, np.ndarray | list):
        return bool(np.array_equal(np.asarray(x), np.asarray(y)))
    return bool(x == y) or (bool(pd.isna(x)) and bool(pd.isna(y)))


def _near(a: pd.Series[Any], b: pd.Series[Any], metric: str) -> Any:
    if metric == "train_seconds":
        return np.ones(len(a), bool)
    return _close(_floats(a), _floats(b), share=METRICS[metric].unit in SHARES)


def _close(x: Any, y: Any, *, share: bool) -> Any:
    limit = SHARE_TOLERANCE if share else RELATIVE_TOLERANCE * np.maximum(np.abs(x), np.abs(y))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return (np.abs(x - y) <= limit) | (np.isnan(x) & np.isnan(y)) | (x == y)


def _beside(
    a: pd.DataFrame, b: pd.DataFrame, keys: tuple[str, ...], ids: set[str], numbers: set[str], complete: bool
) -> tuple[set[str], set[str], set[str]]:
    """Return the runs whose rows of a table differ, those with a row that one side lacks, and those that differ by far.

    `numbers` are the runs that predict numbers.
    """
    sides = [f[f["run_id"].isin(ids)].set_index(list(keys)).sort_index() for f in (a, b)]
    there, here = (side.index for side in sides)
    lonely = {_run_of(key) for key in there.symmetric_difference(here)}
    both = there.intersection(here)
    one, other = (side.loc[both] for side in sides)
    changed, far = np.zeros(len(both), bool), np.zeros(len(both), bool)
    for column in one.columns:
        unequal = np.asarray(_unequal(one[column], other[column]), bool)
        if column in MAY_LACK:
            unequal &= _has_any(one[column]) & (complete | _has_any(other[column]))
        changed |= unequal
        far[unequal] |= ~_alike(one[column][unequal], other[column][unequal], numbers)
    changed_runs, far_runs = ({_run_of(key) for key in both[rows]} for rows in (changed, far))
    return lonely | changed_runs, lonely, far_runs


def _alike(a: pd.Series[Any], b: pd.Series[Any], numbers: set[str]) -> Any:
    """Return which values of a table beside the runs differ as much as rounding differently may make them."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        return _close(_floats(a), _floats(b), share=a.name in SHARES_BESIDE)
    is_number = [_run_of(key) in numbers for key in a.index]
    return np.array([_alike_each(x, y, number) for x, y, number in zip(a, b, is_number, strict=True)], bool)


def _alike_each(x: Any, y: Any, is_number: bool) -> bool:
    """Compare lists of numbers, or predictions: of those a few may be another class, or another number, altogether."""
    if isinstance(x, bytes) and isinstance(y, bytes):
        if len(x) != len(y):
            return False
        if not is_number:
            return bool((np.frombuffer(x, np.uint8) != np.frombuffer(y, np.uint8)).mean() <= SHARE_TOLERANCE)
        predicted = (np.frombuffer(side, np.float32).astype(float) for side in (x, y))
        return bool(_close(*predicted, share=False).mean() >= 1 - SHARE_TOLERANCE)
    if isinstance(x, np.ndarray | list) and isinstance(y, np.ndarray | list):
        p, q = np.asarray(x, float), np.asarray(y, float)
        return p.shape == q.shape and bool(_close(p, q, share=False).all())
    return False


def _has_any(column: pd.Series[Any]) -> Any:
    """Return for each row whether its run has a value in the column, in any of its rows."""
    return column.notna().groupby(level="run_id").transform("any").to_numpy()


def _run_of(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)


def _difference(column: str, before: Any, now: Any) -> str:
    if isinstance(before, float) and isinstance(now, float) and np.isfinite(before - now):
        return f"{column} {before:.6g} ({now - before:+.2g})"
    both = (
        "none" if v is None or v is pd.NA or (isinstance(v, float) and np.isnan(v)) else str(v) for v in (before, now)
    )
    return column if column == "weights_sha256" else f"{column} {next(both)} ({next(both)})"


def not_identical(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of runs that are not identical, the worst first."""
    order = {grade: i for i, grade in enumerate(reversed(GRADES))}
    return sorted((r for r in records(pairs) if r["grade"] != IDENTICAL), key=lambda r: order[r["grade"]])
