"""From the columns of the user's own files to what a network learns from: encoded, split and scaled.

Shapes: `N` rows, `I` inputs. Numbers are inputs as they are, true and false are 1 and 0, text has one 0/1 input for each of
its words in order. With `scale: standard` a column of numbers becomes (x - mean) / sd, by mean and sd (over N, not N - 1) of
the training rows; 0/1 inputs and a target of numbers stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.messages import shown, suggestion
from mlpbench.data.stratify import Indices, stratified
from mlpbench.data.table.columns import MAX_BYTES, MOST_CLASSES, TYPE_NAMES, Column, Table, file_error

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
    """The arrays of own data: x float32 (N, I), y uint8 classes or float32 numbers (N,), for training and for testing.

    `classes` has the name of each class, and is None for numbers.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.uint8] | NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.uint8] | NDArray[np.float32]
    classes: tuple[str, ...] | None
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The target of every row: codes of sorted classes, or numbers where `classes` is None."""

    values: NDArray[np.float64]
    classes: tuple[str, ...] | None


def encode(given: Table, test: Table | None, target: str, *, share: float, scale: Scale, task: Task | None) -> Encoded:
    """Return the arrays of a table whose test rows are another table, or a share of its own; raise InputError.

    The fingerprint is a hash of the values and options, not of the file: a csv and a parquet of one table have the same.
    """
    table = given if test is None else _joined(given, test)
    inputs = [c for c in table.columns if c.name != target]
    of = next(c for c in table.columns if c.name == target)
    if not inputs:
        raise file_error(f"a data file must have a column beside the target, got {target!r} alone", table.name)
    aim = _target(of, task, table.name)
    x, numeric = _inputs(inputs, table)
    held = _held(aim, share, table.name) if test is None else np.arange(table.rows) >= given.rows
    _check_classes(aim, held, table.name, of.name, given=test is not None)
    fingerprint = _fingerprint(
        x,
        aim,
        {
            "version": VERSION,
            "scale": scale,
            "test": share if test is None else None,
            "train_rows": given.rows if test is not None else None,
            "classes": aim.classes and len(aim.classes),
            "numeric": numeric.tolist() if scale == "standard" else None,
        },
    )
    if scale == "standard":
        _standardise(x, numeric, ~held, inputs, table.name)
    _check_range(x, inputs, table.name)
    y = aim.values.astype(np.float32) if aim.classes is None else aim.values.astype(np.uint8)
    x32 = x.astype(np.float32)
    return Encoded(
        x_train=x32[~held],
        y_train=y[~held],
        x_test=x32[held],
        y_test=y[held],
        classes=aim.classes,
        fingerprint=fingerprint,
    )


def _joined(a: Table, b: Table) -> Table:
    """Return the rows of both tables, which must have the same columns."""
    of = {c.name: c for c in b.columns}
    names = [c.name for c in a.columns]
    if missing := [n for n in names if n not in of]:
        near = suggestion(missing[0], of)
        raise file_error(f"a test file must have the columns of {a.name}, got none named {missing[0]!r}{near}", b.name)
    if extra := [n for n in of if n not in names]:
        near = suggestion(extra[0], names)
        raise file_error(f"a test file must have only the columns of {a.name}, got {extra[0]!r} too{near}", b.name)
    return Table(name=a.name, columns=[_extended(c, of[c.name], a.name, b.name) for c in a.columns])


def _extended(a: Column, b: Column, a_name: str, b_name: str) -> Column:
    if a.type != b.type:
        message = f"a column must hold {TYPE_NAMES[a.type]}, as in {a_name}, got {TYPE_NAMES[b.type]}"
        raise file_error(message, b_name, f"column {a.name!r}")
    words = sorted({*a.words, *b.words})
    at = {word: float(i) for i, word in enumerate(words)}
    parts = [np.array([at[w] for w in c.words])[c.values.astype(np.int64)] if words else c.values for c in (a, b)]
    whole = a.whole and b.whole
    return Column(name=a.name, type=a.type, values=np.concatenate(parts), words=tuple(words), whole=whole)


def _target(of: Column, task: Task | None, name: str) -> _Target:
    """Tell classes from numbers: text, true/false and few different whole numbers are classes, unless `task` says."""
    here = f"column {of.name!r}"
    found, codes = np.unique(of.values, return_inverse=True)
    few = of.type != "number" or (of.whole and len(found) <= MOST_WHOLE_CLASSES)
    if task == "number" and of.type == "word":
        raise file_error("a target of numbers must hold numbers, got text: take `task: number` out", name, here)
    if len(found) < 2:
        got = of.words[0] if of.type == "word" else f"{found[0]:g}"
        raise file_error(f"a target must have different values, got only {shown(got)}", name, here)
    if task == "number" or (task is None and not few):
        if abs(of.values).max() > LARGEST:
            raise file_error(f"a target must fit float32, got {abs(of.values).max():g}", name, here)
        return _Target(values=of.values, classes=None)
    if len(found) > MOST_CLASSES:
        message = f"a target must have at most {MOST_CLASSES} classes, got {len(found)} different values"
        raise file_error(f"{message}; an identifier? take another column", name, here)
    if of.type == "number":
        if (found != np.floor(found)).any():
            value = found[found != np.floor(found)][0]
            raise file_error(f"classes must be text, true and false or whole numbers, got {value:g}", name, here)
        gap = next((int(a) + 1 for a, b in pairwise(found) if b - a > 1), None)
        if task is None and gap is not None:
            message = f"classes that are whole numbers must follow one another, got none with {gap}"
            hint = "say `task: classes` to take them as they are, or `task: number`"
            raise file_error(f"{message} between {found[0]:.0f} and {found[-1]:.0f}; {hint}", name, here)
    if long := next((w for w in of.words if len(w) > LONGEST_CLASS), None):
        message = f"a class must have a name of at most {LONGEST_CLASS} characters, got {shown(long[:40])}"
        raise file_error(message, name, here)
    names = [f"{v:.0f}" for v in found] if of.type == "number" else ["false", "true"]
    return _Target(values=codes.astype(np.float64), classes=of.words or tuple(names))


def _inputs(columns: Sequence[Column], table: Table) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return x of shape (N, I), and which inputs are columns of numbers."""
    for c in columns:
        if len(c.words) > MOST_WORDS:
            message = f"a column of text must have at most {MOST_WORDS} different values, got {len(c.words)}"
            raise file_error(f"{message}; an identifier? take it out", table.name, f"column {c.name!r}")
    widths = [max(1, len(c.words)) for c in columns]
    if table.rows * sum(widths) * 4 > MAX_BYTES:
        message = f"own data must have at most {MAX_BYTES // 4} inputs over all rows, got {table.rows} rows"
        raise file_error(f"{message} of {sum(widths)} inputs, one a word of text", table.name)
    x = np.zeros((table.rows, sum(widths)))
    start = 0
    for c, width in zip(columns, widths):
        if c.words:
            x[np.arange(table.rows), start + c.values.astype(np.int64)] = 1
        else:
            x[:, start] = c.values + 0.0  # -0.0 and 0.0 are one value
        start += width
    return x, np.repeat([c.type == "number" for c in columns], widths)


def _held(aim: _Target, share: float, name: str) -> NDArray[np.bool_]:
    """Return which rows are for testing: of classes, each has its share."""
    rows = len(aim.values)
    total = round(share * rows)
    if total < 1 or rows - total < 2:
        message = f"test must take a row of a data file and leave two for training, got {share:g} of {rows} rows"
        raise file_error(message, name)
    order: Indices = np.random.Generator(np.random.SFC64(SPLIT_SEED)).permutation(rows)
    if aim.classes is not None:
        return stratified(aim.values, order, total)
    held = np.zeros(rows, bool)
    held[order[:total]] = True
    return held


def _check_classes(aim: _Target, held: NDArray[np.bool_], name: str, target: str, *, given: bool) -> None:
    here = f"column {target!r}"
    if aim.classes is None:
        if np.ptp(aim.values[~held]) == 0:
            raise file_error("a target must have different values among the training rows, got one", name, here)
        return
    counts = np.bincount(aim.values.astype(np.int64), minlength=len(aim.classes))
    trained = np.bincount(aim.values[~held].astype(np.int64), minlength=len(aim.classes))
    if (trained == 0).any():
        lost = int(np.argmin(trained))
        why = "all of them in test rows" if given else f"of {counts[lost]} in all: give it more, or a smaller test"
        message = f"every class must be among the training rows, got no row of {shown(aim.classes[lost])}, {why}"
        raise file_error(message, name, here)


def _standardise(
    x: NDArray[np.float64], numeric: NDArray[np.bool_], train: NDArray[np.bool_], inputs: Sequence[Column], name: str
) -> None:
    rows = x[train]
    owner = np.repeat(np.arange(len(inputs)), [max(1, len(c.words)) for c in inputs])
    for c, first in zip(inputs, np.flatnonzero(np.diff(owner, prepend=-1))):
        constant = len(c.words) == 1 or (not c.words and np.ptp(rows[:, first] if numeric[first] else x[:, first]) == 0)
        if constant:
            value = c.words[0] if c.words else f"{x[0, first]:g}"
            among = "the training rows" if c.type == "number" else "all rows"
            message = f"a column must vary for scale standard, got {shown(value)} in {among}"
            raise file_error(f"{message}; take it out, or say `scale: none`", name, f"column {c.name!r}")
    mean = rows.mean(0)
    with np.errstate(over="ignore", invalid="ignore"):
        sd = rows.std(0)
    if not np.isfinite(sd[numeric]).all():
        c = inputs[owner[numeric][int(np.argmin(np.isfinite(sd[numeric])))]]
        largest = f"{np.abs(c.values).max():g}"
        message = f"the standard deviation of a column must be finite, got numbers up to {largest}"
        raise file_error(message, name, f"column {c.name!r}")
    x[:, numeric] = (x[:, numeric] - mean[numeric]) / np.where(sd[numeric] > 0, sd[numeric], 1.0)


def _check_range(x: NDArray[np.float64], inputs: Sequence[Column], name: str) -> None:
    largest = np.abs(x).max(0)
    if (largest > LARGEST).any():
        owner = np.repeat(np.arange(len(inputs)), [max(1, len(c.words)) for c in inputs])
        at = int(np.argmax(largest > LARGEST))
        here = f"column {inputs[owner[at]].name!r}"
        raise file_error(
            f"an input must fit float32, got {largest[at]:g}; divide it, or say `scale: standard`", name, here
        )


def _fingerprint(x: NDArray[np.float64], aim: _Target, options: dict[str, object]) -> str:
    hashed = hashlib.sha256(json.dumps(options | {"shape": x.shape}, sort_keys=True).encode())
    for array in (x, aim.values + 0.0):
        hashed.update(np.ascontiguousarray(array, "<f8").data)
    return hashed.hexdigest()
