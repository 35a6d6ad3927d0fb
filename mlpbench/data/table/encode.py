"""From the columns of the user's own files to what a network learns from: encoded, split and scaled.

Shapes: `N` rows, `I` inputs. Numbers are inputs as they are, true and false are 1 and 0, text has one 0/1 input for each of
its words in order. With `scale: standard` a column of numbers becomes (x - mean) / sd, by mean and sd (over N, not N - 1) of
the training rows; 0/1 inputs and the target of a regression stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown, suggestion
from mlpbench.data.dataset import held_out
from mlpbench.data.file_errors import MAX_BYTES, file_error
from mlpbench.data.table.columns import MOST_CLASSES, TYPE_NAMES, Column, ColumnPlace, Table

Task = Literal["classes", "number"]
Scale = Literal["standard", "none"]

MOST_WORDS = 1000
LONGEST_CLASS = 200
# Whole numbers with more different values than this are a quantity; with fewer, classes.
MOST_WHOLE_CLASSES = 20
LARGEST = float(np.finfo(np.float32).max)
# The address of the one permutation that splits off test rows: verdicts concern one test set, so no replicate moves it.
SPLIT_SEED = 0
# Part of the fingerprint: raised by one whenever the same table comes to give other arrays.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The arrays of a table: x float32 (N, I), y uint8 classes or float32 numbers (N,), for training and for testing.

    `classes` has the name of each class, and is None for regression. `notes` say what became of columns where that is not
    plain: sentences that do not name the file.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.uint8] | NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.uint8] | NDArray[np.float32]
    classes: tuple[str, ...] | None
    fingerprint: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The target of every row: codes of sorted classes, or numbers where `classes` is None."""

    place: ColumnPlace
    values: NDArray[np.float64]
    classes: tuple[str, ...] | None


def encode(
    rows: Table, test_rows: Table | None, target: str, *, share: float, scale: Scale, task: Task | None
) -> Encoded:
    """Return the arrays of a table; raise InputError for what cannot be learned.

    The fingerprint is a hash of the values and options, not of the file: a csv and a parquet of one table have the same.

    Args:
        rows: the rows to train on, or all rows.
        test_rows: the rows to test on, where they are given.
        target: the target column; all others are inputs.
        share: the share of the rows to test on otherwise, of each class alike.
        scale: `standard`, or `none` for numbers as they are.
        task: `classes` or `number` where the values of the target column do not say which.

    """
    table = rows if test_rows is None else _joined(rows, test_rows)
    inputs = [c for c in table.columns if c.name != target]
    if not inputs:
        raise file_error(f"a data file must have a column beside the target, got {target!r} alone", table.name)
    aim = _target(next(c for c in table.columns if c.name == target), task, table.name)
    x, owners = _inputs(inputs, table)
    is_number = np.array([c.type == "number" for c in owners])
    is_test = _test_rows(aim, share) if test_rows is None else np.arange(table.rows) >= rows.rows
    _check_training_rows(aim, is_test, has_test_rows=test_rows is not None)
    options = {
        "version": VERSION,
        "scale": scale,
        "test": share if test_rows is None else None,
        "train_rows": rows.rows if test_rows is not None else None,
        "classes": aim.classes and len(aim.classes),
        "numeric": is_number.tolist() if scale == "standard" else None,
    }
    fingerprint = _fingerprint(x, aim.values, options)
    if scale == "standard":
        _standardise(x, is_number, ~is_test, owners, table.name)
    _check_range(x, owners, table.name)
    y = aim.values.astype(np.float32) if aim.classes is None else aim.values.astype(np.uint8)
    x32 = x.astype(np.float32)
    return Encoded(
        x_train=x32[~is_test],
        y_train=y[~is_test],
        x_test=x32[is_test],
        y_test=y[is_test],
        classes=aim.classes,
        fingerprint=fingerprint,
    )


def _joined(rows: Table, test_rows: Table) -> Table:
    """Return the rows of both tables, which must have the same columns."""
    test_columns = {c.name: c for c in test_rows.columns}
    names = [c.name for c in rows.columns]
    if missing := next((n for n in names if n not in test_columns), None):
        rule = f"a test file must have the columns of {rows.name}, got none named {missing!r}"
        raise file_error(f"{rule}{suggestion(missing, test_columns)}", test_rows.name)
    if extra := next((n for n in test_columns if n not in names), None):
        rule = f"a test file must have only the columns of {rows.name}, got {extra!r} too"
        raise file_error(f"{rule}{suggestion(extra, names)}", test_rows.name)
    columns = [_extended(c, test_columns[c.name], rows.name, test_rows.name) for c in rows.columns]
    return Table(name=rows.name, columns=columns)


def _extended(a: Column, b: Column, a_name: str, b_name: str) -> Column:
    if a.type != b.type:
        message = f"a column must hold {TYPE_NAMES[a.type]}, as in {a_name}, got {TYPE_NAMES[b.type]}"
        raise file_error(message, b_name, column=a.name)
    words = tuple(sorted({*a.words, *b.words}))
    code = {word: float(i) for i, word in enumerate(words)}
    parts = [np.array([code[w] for w in c.words])[c.values.astype(np.int64)] if words else c.values for c in (a, b)]
    return replace(a, values=np.concatenate(parts), words=words, whole=a.whole and b.whole)


def _target(column: Column, task: Task | None, file: str) -> _Target:
    """Return the target as classes or numbers: text, flags and few different whole numbers are classes, unless `task` says."""
    place = ColumnPlace(file=file, column=column.name)
    different, codes = np.unique(column.values, return_inverse=True)
    few = column.type != "number" or (column.whole and len(different) <= MOST_WHOLE_CLASSES)
    if task == "number" and column.type == "word":
        raise place.error("regression needs a target of numbers, got text; leave `task: number` out")
    if len(different) < 2:
        got = column.words[0] if column.type == "word" else f"{different[0]:g}"
        raise place.error(f"a target must have different values, got only {shown(got)}")
    if task == "number" or (task is None and not few):
        if (largest := np.abs(different).max()) > LARGEST:
            raise place.error(f"a target must fit float32, got {largest:g}")
        return _Target(place=place, values=column.values, classes=None)
    if len(different) > MOST_CLASSES:
        message = f"a target must have at most {MOST_CLASSES} classes, got {len(different)} different values"
        raise place.error(f"{message}; an identifier? take another column")
    if column.type == "number":
        if (fractions := different[different != np.floor(different)]).size:
            raise place.error(f"classes must be text, true and false or whole numbers, got {fractions[0]:g}")
        gap = next((int(a) + 1 for a, b in pairwise(different) if b - a > 1), None)
        if task is None and gap is not None:
            message = f"classes that are whole numbers must follow one another, got none with {gap}"
            hint = "say `task: classes` to take them as they are, or `task: number`"
            raise place.error(f"{message} between {different[0]:.0f} and {different[-1]:.0f}; {hint}")
    if long := next((w for w in column.words if len(w) > LONGEST_CLASS), None):
        raise place.error(f"a class must have a name of at most {LONGEST_CLASS} characters, got {shown(long[:40])}")
    names = [f"{v:.0f}" for v in different] if column.type == "number" else ["false", "true"]
    return _Target(place=place, values=codes.astype(np.float64), classes=column.words or tuple(names))


def _inputs(columns: Sequence[Column], table: Table) -> tuple[NDArray[np.float64], list[Column]]:
    """Return x of shape (N, I), and the column that each input is of."""
    for c in columns:
        if len(c.words) > MOST_WORDS:
            message = f"a column of text must have at most {MOST_WORDS} different values, got {len(c.words)}"
            raise file_error(f"{message}; an identifier? take it out", table.name, column=c.name)
    owners = [c for c in columns for _ in range(max(1, len(c.words)))]
    if table.rows * len(owners) * 4 > MAX_BYTES:
        message = f"own data must have at most {MAX_BYTES // 4} inputs over all rows, got {table.rows} rows"
        raise file_error(f"{message} of {len(owners)} inputs, one per word of text", table.name)
    x = np.zeros((table.rows, len(owners)))
    start = 0
    for c in columns:
        if c.words:
            x[np.arange(table.rows), start + c.values.astype(np.int64)] = 1
        else:
            x[:, start] = c.values + 0.0  # -0.0 and 0.0 are one value
        start += max(1, len(c.words))
    return x, owners


def _test_rows(aim: _Target, share: float) -> NDArray[np.bool_]:
    """Return which rows are for testing: of classes, each has its share."""
    rows = len(aim.values)
    total = round(share * rows)
    if total < 1 or rows - total < 2:
        message = f"test must hold out a row of a data file and leave two for training, got {share:g} of {rows} rows"
        raise file_error(message, aim.place.file)
    order = np.random.Generator(np.random.SFC64(SPLIT_SEED)).permutation(rows)
    return held_out(aim.values if aim.classes is None else aim.values.astype(np.int64), order, total)


def _check_training_rows(aim: _Target, is_test: NDArray[np.bool_], *, has_test_rows: bool) -> None:
    if aim.classes is None:
        if np.ptp(aim.values[~is_test]) == 0:
            raise aim.place.error("a target must have different values among the training rows, got one")
        return
    codes, n = aim.values.astype(np.int64), len(aim.classes)
    counts, trained = np.bincount(codes, minlength=n), np.bincount(codes[~is_test], minlength=n)
    if (trained == 0).any():
        lost = int(np.argmin(trained))
        why = (
            "all of them in test rows"
            if has_test_rows
            else f"of {counts[lost]} in all: give it more, or a smaller test"
        )
        message = f"every class must be among the training rows, got no row of {shown(aim.classes[lost])}, {why}"
        raise aim.place.error(message)


def _standardise(
    x: NDArray[np.float64], is_number: NDArray[np.bool_], train: NDArray[np.bool_], owners: Sequence[Column], file: str
) -> None:
    rows = x[train]
    for i, c in enumerate(owners):
        values = rows[:, i] if is_number[i] else x[:, i]
        if np.ptp(values) == 0 and len(c.words) < 2:
            got = shown(c.words[0] if c.words else f"{values[0]:g}")
            message = (
                f"a column must vary for scale standard, got {got} in {'the training' if is_number[i] else 'all'} rows"
            )
            raise file_error(f"{message}; take it out, or say `scale: none`", file, column=c.name)
    mean = rows.mean(0)
    with np.errstate(over="ignore", invalid="ignore"):
        sd = rows.std(0)
    if len(infinite := np.flatnonzero(is_number & ~np.isfinite(sd))):
        c = owners[infinite[0]]
        message = f"the standard deviation of a column must be finite, got numbers up to {np.abs(c.values).max():g}"
        raise file_error(message, file, column=c.name)
    x[:, is_number] = (x[:, is_number] - mean[is_number]) / np.where(sd[is_number] > 0, sd[is_number], 1.0)


def _check_range(x: NDArray[np.float64], owners: Sequence[Column], file: str) -> None:
    largest = np.abs(x).max(0)
    if len(beyond := np.flatnonzero(largest > LARGEST)):
        message = f"an input must fit float32, got {largest[beyond[0]]:g}; divide it, or say `scale: standard`"
        raise file_error(message, file, column=owners[beyond[0]].name)


def _fingerprint(x: NDArray[np.float64], y: NDArray[np.float64], options: dict[str, object]) -> str:
    hashed = hashlib.sha256(json.dumps(options | {"shape": x.shape}, sort_keys=True).encode())
    for array in (x, y + 0.0):
        hashed.update(np.ascontiguousarray(array, "<f8").data)
    return hashed.hexdigest()
