"""What became of a table of the user's own, in plain numbers: rows, inputs, columns, classes, and rows that come again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown
from mlpbench.data.table.gaps import counted
from mlpbench.data.table.input_columns import InputColumn
from mlpbench.data.table.scaling import InputScale
from mlpbench.data.table.table_data import TableData
from mlpbench.data.table.table_encoder import TableEncoder

MOST_WORDS = 6


@dataclass(frozen=True, kw_only=True)
class TableDescription:
    """A table as a network sees it.

    Attributes:
        name: the name of the file.
        target: the name of the target.
        n_train, n_validation, n_test, inputs: numbers of rows to train on, to validate on where a column says so, and to test on, and
            of inputs.
        columns: of each column, in order, what became of it.
        classes: of each class by name, its training and test rows; none where the target is a number.
        validation_classes: of each class by name, its validation rows, where a column says so.
        target_mean, target_sd: those of a target that is a number, over the training rows; None of classes.
        repeated: how many test rows have the inputs of a training row.
        notes: how the file was read, where that is not plain.
        is_of_a_draw: whether each replicate draws its own test rows, so that this is one of many.
        credits: who made a table that comes with mlpbench, and on what terms; nothing of a table of the user's own.

    """

    name: str
    target: str
    n_train: int
    n_validation: int
    n_test: int
    inputs: int
    columns: dict[str, str]
    classes: dict[str, tuple[int, int]]
    validation_classes: dict[str, int]
    target_mean: float | None
    target_sd: float | None
    repeated: int
    notes: tuple[str, ...]
    is_of_a_draw: bool = False
    credits: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return it as text, the columns of a table aligned."""
        task = f"{len(self.classes)} classes" if self.classes else "numbers"
        validated = f", {self.n_validation} to validate on" if self.n_validation else ""
        total = self.n_train + self.n_validation + self.n_test
        rows = f"{total} rows, {self.n_train} to train on{validated} and {self.n_test} to test on"
        rows += "; below those of replicate 0 of seed 0" * self.is_of_a_draw
        lines = [f"{self.name}: {rows}; {counted(self.inputs, 'input')}; target {shown(self.target)}, {task}"]
        lines += _aligned([("column", "becomes"), *self.columns.items()])
        if self.classes:
            lines += _aligned(self._class_rows())
        elif self.target_mean is not None:
            lines.append(
                f"target: mean {self.target_mean:g}, standard deviation {self.target_sd:g} over the training rows"
            )
        if self.repeated:
            lines.append(f"{counted(self.repeated, 'test row')} with the inputs of a training row")
        return [*lines, *self.notes, *self.credits]

    def _class_rows(self) -> list[tuple[str, ...]]:
        rows = [["class", "training rows", "test rows"]]
        for name, (train, test) in self.classes.items():
            rows.append([name, f"{train} ({train / self.n_train:.1%})", f"{test} ({test / self.n_test:.1%})"])
        if self.validation_classes:
            rows[0].insert(2, "validation rows")
            for row, n in zip(rows[1:], self.validation_classes.values(), strict=True):
                row.insert(2, f"{n} ({n / self.n_validation:.1%})")
        return list(map(tuple, rows))


def describe(data: TableData) -> TableDescription:
    """Return what became of a table; raise InputError where its file is gone, or is another one by now."""
    _, dataset, encoder = data.read_again()
    facts = data.facts
    # Behind the training rows stand those that a column gives for validation.
    trained = dataset.y_train[: facts.n_train]
    train, validation, test = (Counter(y.tolist()) for y in (trained, dataset.y_train[facts.n_train :], dataset.y_test))
    classes = {name: (train[i], test[i]) for i, name in enumerate(facts.class_names)}
    mean = sd = None
    if not classes:
        y = trained if facts.target_scale is None else facts.target_scale.own_units(trained)
        mean, sd = float(y.mean(dtype=np.float64)), float(y.std(dtype=np.float64))
    return TableDescription(
        name=facts.name,
        target=encoder.target,
        n_train=facts.n_train,
        n_validation=facts.n_validation,
        n_test=facts.n_test,
        inputs=encoder.width,
        columns=_columns(encoder),
        classes=classes,
        validation_classes={name: validation[i] for i, name in enumerate(facts.class_names)} if validation else {},
        target_mean=mean,
        target_sd=sd,
        repeated=_repeated(dataset.x_train[: facts.n_train], dataset.x_test),
        notes=facts.notes,
        is_of_a_draw=facts.is_resplit,
        credits=data.credits(),
    )


def _columns(encoder: TableEncoder) -> dict[str, str]:
    columns, start = {}, 0
    for column in encoder.columns:
        columns[column.name] = f"{counted(column.width, 'input')}: {_became(column, start, encoder.scale)}"
        start += column.width
    return columns


def _became(column: InputColumn, start: int, scale: InputScale) -> str:
    """Return what the values of a column are and what is done with them; its first input has a place, from 0."""
    if column.one_hot:
        some = ", ".join(column.words[:MOST_WORDS]) + (", ..." if len(column.words) > MOST_WORDS else "")
        return f"words ({some})" + (", gaps one more" if column.has_gaps else "")
    what = {"number": column.unit or "number", "flag": "true and false", "word": "ordered categories"}[column.type]
    if start in scale.constant or column.median is None:
        return f"{what}, 0: one value in the training rows"
    gaps = f", gaps {column.median:g} and marked by an input" if column.has_gaps else ""
    if start not in scale.scaled:
        return what + gaps
    i = scale.scaled.index(start)
    scaled = "normal deviate" if scale.scale == "quantile" else f"(x - {scale.centre[i]:.4g}) / {scale.spread[i]:.4g}"
    return f"{what}, {scaled}{gaps}"


def _repeated(x_train: NDArray[np.generic], x_test: NDArray[np.generic]) -> int:
    trained = {row.tobytes() for row in _rows(x_train)}
    return sum(row.tobytes() in trained for row in _rows(x_test))


def _rows(x: NDArray[np.generic]) -> NDArray[np.generic]:
    return x + np.zeros((), x.dtype)  # -0.0 and 0.0 are one value


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the rows of a table as lines, each column as wide as its widest entry."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
