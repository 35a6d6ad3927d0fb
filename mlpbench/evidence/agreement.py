"""Whether two trainings of the same runs agree: bit for bit, within a tolerance, or not.

Everything that a run's identity fixes is compared: every column of its row but its time, its stack and its environment, and
its curves, layers and predictions, as far as they are there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.evidence.frames import places, records
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.metrics.set_scores import OF_VARIANCE
from mlpbench.results.folders import DIFFERENT, GRADES, IDENTICAL, WITHIN
from mlpbench.results.metric_column import own_columns
from mlpbench.results.schemas import CAME_LATER, DROPPABLE, ENVIRONMENT, KEYS

# Two trainings that round differently drift apart. Up to these limits a difference counts as rounding: of accuracies and other
# shares the difference itself, of everything else the difference relative to the larger number.
SHARE_TOLERANCE = 0.01
RELATIVE_TOLERANCE = 0.05
SHARES = ("fraction", "0 or 1", OF_VARIANCE)
SHARES_BESIDE = {"accuracy", *(name for name, m in LAYER_METRICS.items() if m.unit in SHARES)}
MOST_COLUMNS = 4
# Columns that a run may lack, and is not compared in then: they came later, or `trim` has dropped them.
MAY_LACK = {*CAME_LATER, *(column for columns in DROPPABLE.values() for column in columns)}
NOT_FIXED = ("train_seconds", "stack_size", *ENVIRONMENT)

# What text may be in Arrow, beside nothing but missing values.
TEXT = {pa.string(), pa.large_string(), pa.null()}

Tables = Mapping[str, pd.DataFrame]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def agreement(a: Tables, b: Tables, *, complete: bool = False) -> pd.DataFrame:
    """Return a row for each run that both have: `run_id`, `grade`, `differs` (what differs, in words; empty if nothing).

    Two trainings that end with the same bits of weights must agree in everything that follows from them: a difference can't be
    rounding. Weights that were drawn and never trained are the same however one rounds, and what follows from them differs
    by rounding alone. What one side lacks, because it came later or was trimmed, is not compared; `b` lacks nothing if it is
    `complete`. Tables are asked for one at a time, so that a mapping may read each when it is its turn.
    """
    one, other = a["runs"], b["runs"]
    at = places(one["run_id"], other["run_id"])
    one, other = one[at >= 0].reset_index(drop=True), other.take(at[at >= 0]).reset_index(drop=True)
    one, other, own = _with_own_columns(one, other)
    ids, columns = one["run_id"], [c for c in one.columns if c not in NOT_FIXED]
    unequal = {c: _unequal(one[c], other[c]) for c in columns}
    for column in [c for c in (*CAME_LATER, *own) if c in columns]:
        unequal[column] &= (one[column].notna() & (other[column].notna() | complete)).to_numpy()
    numbers = one["test_accuracy"].isna().to_numpy()
    beside = {t: _beside(a[t], b[t], KEYS[t], ids, numbers, complete) for t in KEYS if t != "runs"}
    metrics = [*(m for m in METRICS if m in columns), *own]
    fixed = [c for c in columns if c not in metrics and c != "weights_sha256"]

    def any_of(which: Iterable[Bools]) -> Bools:
        return functools.reduce(np.logical_or, which, np.zeros(len(ids), bool))

    untrained = one["steps"].eq(0).to_numpy()
    near = ~any_of(~_near(one[m], other[m], m) for m in metrics)
    whole = ~any_of(rows.lonely | (untrained & rows.far) for rows in beside.values())
    rounded = unequal["weights_sha256"] | untrained
    drifted = rounded & whole & ~any_of(unequal[c] for c in fixed) & near
    differing = any_of([*unequal.values(), *(rows.changed for rows in beside.values())])
    values = {c: (one[c].to_numpy(), other[c].to_numpy()) for c in columns if unequal[c].any()}
    differs = np.full(len(ids), "", dtype=object)
    for i in np.flatnonzero(differing):
        names = [c for c in values if unequal[c][i]]
        words = [_difference(c, *(side[i] for side in values[c])) for c in names[:MOST_COLUMNS]]
        more = [f"{len(names) - MOST_COLUMNS} more"] if len(names) > MOST_COLUMNS else []
        differs[i] = ", ".join(words + more + [t for t, rows in beside.items() if rows.changed[i]])
    grade = np.where(differing, np.where(drifted, WITHIN, DIFFERENT), IDENTICAL)
    return pd.DataFrame({"run_id": ids, "grade": grade, "differs": differs})


def _with_own_columns(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return both sides with metrics of plugins, which are in one column, as columns of their own, and the names of these.

    A metric that no run of one side has was measured there by other code, or never: it is not compared.
    """
    columns = [own_columns(side) for side in (one, other)]
    names = sorted(columns[0].keys() & columns[1].keys())
    sides = []
    for side, of_side in zip((one, other), columns):
        sides.append(side.drop(columns=own_metrics.COLUMN, errors="ignore").assign(**{n: of_side[n] for n in names}))
    return sides[0], sides[1], names


def counts(pairs: pd.DataFrame) -> dict[str, int]:
    """Return how many runs have each grade."""
    return {grade: int((pairs["grade"] == grade).sum()) for grade in GRADES}


def _unequal(a: pd.Series[Any], b: pd.Series[Any]) -> Bools:
    """Return which values differ; missing ones are equal to each other, but not within a list."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        x, y = _floats(a), _floats(b)
        return np.asarray(~((x == y) | (np.isnan(x) & np.isnan(y))))
    try:
        p, q = (pa.array(side, from_pandas=True) for side in (a, b))
        kinds = {side.type for side in (p, q)}
        if kinds <= TEXT:
            return _unequal_values(p.cast(pa.large_string()), q.cast(pa.large_string()))
        if kinds == {pa.binary()}:
            return _unequal_values(p, q)
        if len(kinds) == 1 and pa.types.is_list(p.type):
            return _unequal_lists(p, q)
    except pa.ArrowException:
        pass
    return np.fromiter((not _equal(x, y) for x, y in zip(a, b, strict=True)), bool, len(a))


def _unequal_values(p: Any, q: Any) -> Bools:
    lacking = pc.xor(p.is_valid(), q.is_valid())
    return np.asarray(pc.or_(pc.fill_null(pc.not_equal(p, q), False), lacking).to_numpy(zero_copy_only=False), bool)


def _unequal_lists(p: Any, q: Any) -> Bools:
    """Compare lists of numbers, those of the same length all at once."""
    n, m = (pc.fill_null(pc.list_value_length(side), -1).to_numpy() for side in (p, q))
    unequal = np.asarray(n != m)
    alike = pa.array(~unequal)
    x, y = (_floats(side.filter(alike).flatten().to_pandas()) for side in (p, q))
    of_row = np.repeat(np.flatnonzero(~unequal), np.maximum(n[~unequal], 0))
    unequal[of_row[x != y]] = True
    return unequal


def _floats(column: pd.Series[Any]) -> Any:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _equal(x: Any, y: Any) -> bool:
    if isinstance(x, np.ndarray | list) or isinstance(y, np.ndarray | list):
        return bool(np.array_equal(np.asarray(x), np.asarray(y)))
    return bool(x == y) or (bool(pd.isna(x)) and bool(pd.isna(y)))


def _near(a: pd.Series[Any], b: pd.Series[Any], metric: str) -> Bools:
    if metric == "train_seconds":
        return np.ones(len(a), bool)
    share = metric in METRICS and METRICS[metric].unit in SHARES
    return np.asarray(_close(_floats(a), _floats(b), share=share), bool)


def _close(x: Any, y: Any, *, share: bool) -> Any:
    limit = SHARE_TOLERANCE if share else RELATIVE_TOLERANCE * np.maximum(np.abs(x), np.abs(y))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return (np.abs(x - y) <= limit) | (np.isnan(x) & np.isnan(y)) | (x == y)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Of each run, whether its rows of a table differ, whether one side lacks any, and whether they differ by far."""

    changed: Bools
    lonely: Bools
    far: Bools


def _beside(
    a: pd.DataFrame, b: pd.DataFrame, keys: tuple[str, ...], ids: pd.Series[Any], numbers: Bools, complete: bool
) -> _Rows:
    """Compare the rows of a table beside the runs; `numbers` are the runs that predict numbers."""
    changed, lonely, far = (np.zeros(len(ids), bool) for _ in range(3))
    one, other, place = _paired(a, b, keys, ids, lonely)
    for column in one.columns:
        if column in keys:
            continue
        unequal = _unequal(one[column], other[column])
        if column in MAY_LACK:
            unequal &= _has_any(one[column], place, len(ids)) & (complete | _has_any(other[column], place, len(ids)))
        changed[place[unequal]] = True
        alike = _alike(one[column][unequal], other[column][unequal], numbers[place[unequal]])
        far[place[unequal][~alike]] = True
    return _Rows(changed=lonely | changed, lonely=lonely, far=far)


def _paired(
    a: pd.DataFrame, b: pd.DataFrame, keys: tuple[str, ...], ids: pd.Series[Any], lonely: Bools
) -> tuple[pd.DataFrame, pd.DataFrame, Ints]:
    """Return the rows that both sides have, in the same order, and the places of their runs; mark runs with other rows."""
    sides, at = [], []
    for frame in (a, b):
        place = places(frame["run_id"], ids)
        sides.append(frame if (place >= 0).all() else frame[place >= 0])
        at.append(place[place >= 0])
    code = np.concatenate(at)
    for key in keys[1:]:
        codes, values = pd.factorize(pd.concat([side[key] for side in sides], ignore_index=True), use_na_sentinel=False)
        code = code * len(values) + codes
    rows = code[: len(at[0])], code[len(at[0]) :]
    if not np.array_equal(*rows):
        _, *orders = np.intersect1d(*rows, return_indices=True)
        for i, order in enumerate(orders):
            lonely[np.delete(at[i], order)] = True
            sides[i], at[i] = sides[i].take(order), at[i][order]
    return sides[0].reset_index(drop=True), sides[1].reset_index(drop=True), at[0]


def _alike(a: pd.Series[Any], b: pd.Series[Any], numbers: Bools) -> Bools:
    """Return which values of a table beside the runs differ as much as rounding differently may make them."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        return np.asarray(_close(_floats(a), _floats(b), share=a.name in SHARES_BESIDE), bool)
    return np.array([_alike_each(x, y, number) for x, y, number in zip(a, b, numbers, strict=True)], bool)


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


def _has_any(column: pd.Series[Any], place: Ints, n: int) -> Bools:
    """Return for each row whether its run has a value in the column, in any of its rows."""
    has = np.zeros(n, bool)
    has[place[column.notna().to_numpy()]] = True
    return has[place]


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
    return sorted(records(pairs[pairs["grade"] != IDENTICAL]), key=lambda r: order[r["grade"]])
