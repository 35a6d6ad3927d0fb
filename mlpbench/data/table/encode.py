"""From the columns of the user's own files to what a network learns from: encoded, split and scaled.

Shapes: `N` rows, `I` inputs. `table_inputs` says what inputs columns become, `scaling` how those that are numbers are scaled,
`gaps` which rows are left out; 0/1 inputs stay as they are. The target of a regression is scaled by its mean and sd in training.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.models import shown, suggestion
from mlpbench.data.dataset import TargetScale, TargetScaling, Task, held_out
from mlpbench.data.file_errors import file_error
from mlpbench.data.formats.columns import (
    LARGEST_FLOAT32,
    TYPE_NAMES,
    Column,
    SplitColumn,
    Table,
    named,
)
from mlpbench.data.row_blocks import Indices, RowBlocks
from mlpbench.data.table.gaps import Missing, check_gaps, kept_rows, rows_of
from mlpbench.data.table.input_columns import InputColumn
from mlpbench.data.table.row_split import SPLIT_SEED, RowSplit, split_rows
from mlpbench.data.table.scaling import InputScale, Scale, fitted_scale
from mlpbench.data.table.table_inputs import Inputs, id_notes, table_inputs
from mlpbench.data.table.target_column import Target, few_numbers_note, target_of, target_scale_of
from mlpbench.data.text.dates import DAY, DAYS, SECONDS

# Part of the fingerprint: raised by one whenever the same table comes to give other arrays.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The arrays of a table: x float32 (N, I), y uint8 classes or float32 numbers (N,), for training and for testing.

    Behind the rows to train on stand `n_validation` that a column gives for validation; `blocks` says which of the training rows stay
    together, `block_train` the group of each, or its place in time, where a column says that they do. `classes` has the name of each
    class, and is None for regression. `notes` say what became of columns where that is not plain, beside how they were read: sentences
    that do not name the file. `columns` and `input_scale` make the same inputs of other rows; `gaps` has the number of gaps of each column.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.uint8] | NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.uint8] | NDArray[np.float32]
    classes: tuple[str, ...] | None
    fingerprint: str
    target_scale: TargetScale | None = None
    notes: tuple[str, ...] = ()
    columns: tuple[InputColumn, ...]
    gaps: tuple[int, ...]
    input_scale: InputScale
    n_validation: int = 0
    blocks: RowBlocks | None = None
    block_train: Indices | None = None

    @property
    def n_train(self) -> int:
        """Number of rows to train on."""
        return len(self.y_train) - self.n_validation

    @property
    def n_test(self) -> int:
        """Number of rows to test on."""
        return len(self.y_test)

    @property
    def n_features(self) -> int:
        """Number of inputs, I."""
        return int(self.x_train.shape[1])


@dataclass(frozen=True, kw_only=True)
class PreparedTable:
    """The rows that are learned from, and tested on, before any is split off.

    Attributes:
        table: all rows, of both files where there are two.
        columns: the columns of the rows that are kept.
        input_columns: those of them that are not the target, nor say how rows are split.
        target: the target of these rows.
        of_test: which of them are of a test file.
        notes: which rows are left out.

    """

    table: Table
    columns: Sequence[Column]
    input_columns: Sequence[Column]
    target: Target
    of_test: NDArray[np.bool_]
    notes: Sequence[str]


def prepare(rows: Table, test_rows: Table | None, target: str, task: Task | None, missing: Missing) -> PreparedTable:
    """Return the rows to learn from, with their target; raise InputError for what cannot be learned.

    Args:
        rows: the rows to train on, or all rows.
        test_rows: the rows to test on, where they are given.
        target: the target column.
        task: `classes` or `number` where the values of the target column do not say which.
        missing: what becomes of gaps.

    """
    if missing == "refuse":
        for given in (rows, test_rows):
            if given is not None:
                check_gaps(given)
    table = rows if test_rows is None else _joined(rows, test_rows)
    if len(table.columns) < 2:
        raise file_error(f"a data file must have a column beside the target, got {target!r} alone", table.name)
    by = rows.split_by
    kept, notes = kept_rows(table, target, missing, by.name if by is not None else None)
    of_test = (np.arange(table.rows) >= rows.rows)[kept]
    columns = rows_of(table.columns, kept)
    no_inputs = [target] if by is None or by.is_input else [target, by.name]
    input_columns = [c for c in columns if c.name not in no_inputs]
    if not input_columns:
        raise file_error(f"a data file must have an input beside {' and '.join(map(repr, no_inputs))}", table.name)
    file_rows = np.where(of_test, -1, np.flatnonzero(kept))
    column = next(c for c in columns if c.name == target)
    try:
        aim = target_of(column, task, file_rows)
    except InputError as error:
        # Rows that were left out may be why.
        if not notes:
            raise
        raise InputError(f"{error}; {'; '.join((*notes, *column.notes))}") from None
    return PreparedTable(
        table=table,
        columns=columns,
        input_columns=input_columns,
        target=aim,
        of_test=of_test,
        notes=[*notes, *few_numbers_note(column, aim, task)],
    )


def encode(
    rows: Table,
    test_rows: Table | None,
    target: str,
    *,
    share: float,
    scale: Scale,
    task: Task | None,
    target_scale: TargetScaling | None = None,
    missing: Missing = "impute",
) -> Encoded:
    """Return the arrays of a table; raise InputError for what cannot be learned.

    The fingerprint is a hash of the values and options, not of the file: a csv and a parquet of one table have the same.

    Args:
        rows: the rows to train on, or all rows.
        test_rows: the rows to test on, where they are given.
        target: the target column; all others are inputs.
        share: the share of the rows to test on otherwise, of each class alike.
        scale: how numbers are scaled; `none` leaves them as they are.
        task: `classes` or `number` where the values of the target column do not say which.
        target_scale: how numbers that are the target are scaled, by default `standard`.
        missing: what becomes of gaps.

    """
    prepared = prepare(rows, test_rows, target, task, missing)
    table, columns, aim, of_test = prepared.table, prepared.columns, prepared.target, prepared.of_test
    input_columns, notes, by = prepared.input_columns, list(prepared.notes), rows.split_by
    apart = of_test if test_rows is not None else None
    if apart is not None and (not apart.any() or apart.all()):
        part = "training" if apart.all() else "test"
        raise file_error(f"both files must have rows without gaps, got no {part} rows", table.name)
    split = _plain_split(aim, share, apart)
    if by is not None:
        split = split_rows(next(c for c in columns if c.name == by.name), by, share, apart)
    train, is_test = split.is_training, split.is_test
    notes += check_training_rows(aim, split, by, has_test_rows=test_rows is not None)
    inputs = table_inputs(
        input_columns, train, table, "test or validation row" if split.is_validation.any() else "test row"
    )
    input_scale, scale_notes = fitted_scale(inputs.x[train], inputs.numeric, scale, inputs.owners)
    options = {
        "version": VERSION,
        "scale": scale,
        "test": share if test_rows is None else None,
        "train_rows": int(np.count_nonzero(~of_test)) if test_rows is not None else None,
        "classes": aim.classes and len(aim.classes),
        "numeric": inputs.numeric.tolist() if scale != "none" else None,
    }
    options |= split.identity
    of_target = target_scale_of(aim, train, target_scale)
    if of_target is not None:
        options |= {"target_scale": "log" if of_target.log else "standard"}
    if input_scale.constant:
        options["constant"] = list(input_scale.constant)
    fingerprint = fingerprint_of(inputs.x, aim.values, options)
    x = input_scale.apply(inputs.x)
    check_range(x, inputs.owners, table.name)
    y = aim.arrays(of_target)
    x32 = x.astype(np.float32)
    of_columns = [*split.notes, *notes, *id_notes(input_columns), *inputs.notes]
    trained = np.concatenate([np.flatnonzero(train), np.flatnonzero(split.is_validation)])
    return Encoded(
        x_train=x32[trained],
        y_train=y[trained],
        x_test=x32[is_test],
        y_test=y[is_test],
        classes=aim.classes,
        fingerprint=fingerprint,
        target_scale=of_target,
        columns=tuple(inputs.columns),
        gaps=tuple(int(c.gaps.sum()) for c in input_columns),
        input_scale=input_scale,
        notes=(*of_columns, *constant_notes(inputs, input_scale, train), *scale_notes),
        n_validation=int(split.is_validation.sum()),
        blocks=split.blocks,
        block_train=split.block_train,
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
    return Table(name=rows.name, columns=columns, split_by=rows.split_by)


def _extended(a: Column, b: Column, a_name: str, b_name: str) -> Column:
    if a.gaps.all() or b.gaps.all():
        # A part without a value is of any type.
        with_values = b if a.gaps.all() else a
        values, spelt = np.concatenate([a.values, b.values]), (*a.spelt_gaps, *b.spelt_gaps)
        return replace(with_values, values=values, spelt_gaps=spelt, place=a.place)
    hint = f"`words: [{a.name}]` takes all values for words"
    if a.type != b.type:
        message = f"a column must hold {TYPE_NAMES[a.type]}, as in {a_name}, got {TYPE_NAMES[b.type]}"
        raise file_error(f"{message}; {hint}", b_name, column=a.name)
    if a.unit != b.unit:
        if {a.unit, b.unit} == {DAYS, SECONDS}:
            return _extended(_in_seconds(a), _in_seconds(b), a_name, b_name)
        in_units = [f"numbers in {c.unit}" if c.unit else "plain numbers" for c in (a, b)]
        message = f"a column must hold {in_units[0]}, as in {a_name}, got {in_units[1]}"
        raise file_error(f"{message}; {hint}", b_name, column=a.name)
    if a.ordered and (a.words != b.words if b.ordered else not set(b.words) <= set(a.words)):
        message = f"ordered categories must be those of {a_name}, in their order, {shown(a.words)}"
        raise file_error(f"{message}, got {shown(b.words)}; {hint}", b_name, column=a.name)
    words = a.words if a.ordered else tuple(sorted({*a.words, *b.words}))
    code = {word: float(i) for i, word in enumerate(words)}
    parts = [np.array([code[w] for w in c.words] + [np.nan])[c.codes] if words else c.values for c in (a, b)]
    spelt = (*a.spelt_gaps, *b.spelt_gaps)
    # 0.0 and 1.0 of a test file are the classes 0 and 1 that were trained on.
    whole = a.whole and bool((b.values == np.floor(b.values))[~b.gaps].all())
    return replace(a, values=np.concatenate(parts), words=words, whole=whole, spelt_gaps=spelt)


def _in_seconds(c: Column) -> Column:
    """Return dates as seconds since 1970-01-01, because the other part of the column has times."""
    return replace(c, values=c.values * DAY, unit=SECONDS) if c.unit == DAYS else c


def _plain_split(aim: Target, share: float, given: NDArray[np.bool_] | None) -> RowSplit:
    """Return the rows to test on, those given or a share: of classes, each has its share."""
    none = np.zeros(len(aim.values), bool)
    if given is not None:
        return RowSplit(is_test=given, is_validation=none)
    total = number_of_test_rows(aim, share)
    order = np.random.Generator(np.random.SFC64(SPLIT_SEED)).permutation(len(aim.values))
    return RowSplit(is_test=held_out(aim.labels, order, total), is_validation=none)


def number_of_test_rows(aim: Target, share: float) -> int:
    """Return how many rows a share of them is; raise InputError where a part is left without rows."""
    rows = len(aim.values)
    total = round(share * rows)
    if total < 1 or rows - total < 2:
        message = f"test must hold out a row of a data file and leave two for training, got {share:g} of {rows} rows"
        raise file_error(message, aim.place.file)
    return total


def check_training_rows(
    aim: Target, split: RowSplit, by: SplitColumn | None = None, *, has_test_rows: bool
) -> list[str]:
    """Return notes on classes of which a side has no row: training rows only where groups or times choose.

    Raises InputError where the target does not vary among the training rows, or a class has none of them otherwise.
    """
    train = split.is_training
    if aim.classes is None:
        if np.ptp(aim.values[train]) == 0:
            raise aim.place.error("a target must have different values among the training rows, got one")
        return []
    codes, n = aim.values.astype(np.int64), len(aim.classes)
    counts, trained = np.bincount(codes, minlength=n), np.bincount(codes[train], minlength=n)
    tested = np.bincount(codes[split.is_test], minlength=n)
    if split.blocks is not None:
        if np.count_nonzero(trained) < 2:
            only = shown(aim.classes[int(np.argmax(trained))])
            raise aim.place.error(f"training rows must be of two classes at least, got only {only}")
        shares = (
            []
            if split.blocks.in_time
            else ["classes have no equal shares in training and test rows: groups stay whole"]
        )
        return shares + _lost_notes("training", trained, aim.classes) + _lost_notes("test", tested, aim.classes)
    if (trained == 0).any():
        lost_class = int(np.argmin(trained))
        why = f"of {counts[lost_class]} in all: give it more, or a smaller test"
        if has_test_rows or by is not None:
            why = (
                "all of them in test rows"
                if not split.is_validation.any()
                else "all of them in test or validation rows"
            )
        message = f"every class must be among the training rows, got no row of {shown(aim.classes[lost_class])}, {why}"
        raise aim.place.error(message)
    return _lost_notes("test", tested, aim.classes)


def _lost_notes(side: str, counts: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Return a note on the classes of which a side has no row."""
    at = np.flatnonzero(counts == 0)
    names = f"{', '.join(shown(classes[i]) for i in at[:3])}{' and others' * (len(at) > 3)}"
    return [f"no {side} row of class {names}"] if len(at) else []


def constant_notes(inputs: Inputs, input_scale: InputScale, train: NDArray[np.bool_]) -> list[str]:
    """Return a note on the columns of which no input varies."""
    owners = [c for c in inputs.owners if not c.gaps[train].all()]
    width, still = (
        Counter(c.name for c in owners),
        Counter(inputs.owners[i].name for i in input_scale.constant),
    )
    # Whole numbers that float64 cannot tell apart have a note of their own.
    merged = {c.name for c in owners if c.merged is not None}
    names = [name for name in width if still[name] == width[name] and name not in merged]
    return [f"{named(names)}: one value in the training rows: its inputs are 0"] if names else []


def check_range(x: NDArray[np.float64], owners: Sequence[Column], file: str) -> None:
    """Raise InputError for an input that float32 does not hold."""
    largest = np.abs(x).max(0)
    if len(beyond := np.flatnonzero(largest > LARGEST_FLOAT32)):
        message = f"an input must fit float32, got {largest[beyond[0]]:g}; divide it, or say `scale: standard`"
        raise file_error(message, file, column=owners[beyond[0]].name)


def fingerprint_of(x: NDArray[np.float64], y: NDArray[np.float64], options: dict[str, object]) -> str:
    """Return the SHA-256, in hex, of inputs and targets before they are scaled, and of what is done with them."""
    hashed = hashlib.sha256(json.dumps(options | {"shape": x.shape}, sort_keys=True).encode())
    for array in (x, y + 0.0):
        hashed.update(np.ascontiguousarray(array, "<f8").data)
    return hashed.hexdigest()
