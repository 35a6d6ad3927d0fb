"""What became of a table of the user's own: the profile of one that has been read, and sentences and rows that say it.

`mlpbench data describe` and reports say it in the same words.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown
from mlpbench.data.dataset import DataFacts
from mlpbench.data.formats.columns import named
from mlpbench.data.profile import MOST_COLUMNS, ColumnProfile, TableProfile
from mlpbench.data.table.gaps import counted

if TYPE_CHECKING:
    from mlpbench.data.table.encode import Encoded
    from mlpbench.data.table.input_columns import InputColumn
    from mlpbench.data.table.scaling import InputScale

MOST_WORDS = 6
COLUMN_HEAD = ("column", "kind", "gaps", "inputs", "becomes")
# Rows that are compared at a time.
CHUNK = 8192


def profile_of(encoded: Encoded, target: str, left_out: tuple[str, ...]) -> TableProfile:
    """Return what became of a table.

    Args:
        encoded: its arrays, and how they were made.
        target: the name of the target.
        left_out: columns that are no inputs.

    """
    mean = sd = None
    rows: tuple[tuple[int, ...], ...] = ()
    # Behind the training rows stand those that a column gives for validation.
    n_train = len(encoded.y_train) - encoded.n_validation
    y_train, y_validation = encoded.y_train[:n_train], encoded.y_train[n_train:]
    if encoded.classes is None:
        y = y_train if encoded.target_scale is None else encoded.target_scale.own_units(y_train)
        # So many digits are the same on every processor.
        mean, sd = (float(f"{v:.7g}") for v in (y.mean(dtype=np.float64), y.std(dtype=np.float64)))
    else:
        n = len(encoded.classes)
        parts = [y for y in (y_train, y_validation, encoded.y_test) if len(y)]
        rows = tuple(zip(*(np.bincount(y.astype(np.int64), minlength=n).tolist() for y in parts)))
    beyond = encoded.columns[MOST_COLUMNS:]
    return TableProfile(
        target=target,
        columns=_columns(encoded),
        further_columns=len(beyond),
        further_inputs=sum(c.width for c in beyond),
        left_out=left_out[:MOST_COLUMNS],
        further_left_out=len(left_out[MOST_COLUMNS:]),
        class_rows=rows,
        target_mean=mean,
        target_sd=sd,
        repeated=_repeated(encoded.x_train[:n_train], encoded.x_test),
    )


def _columns(encoded: Encoded) -> tuple[ColumnProfile, ...]:
    columns, start = [], 0
    for column, gaps in zip(encoded.columns[:MOST_COLUMNS], encoded.gaps):
        kind, becomes = _kind(column), _becomes(column, start, encoded.input_scale)
        columns.append(ColumnProfile(name=column.name, kind=kind, inputs=column.width, gaps=gaps, becomes=becomes))
        start += column.width
    return tuple(columns)


def _kind(column: InputColumn) -> str:
    if column.type == "number":
        return f"numbers in {column.unit}" if column.unit else "numbers"
    if column.type == "flag":
        return "true and false"
    return "ordered categories" if column.ordered else "words"


def _becomes(column: InputColumn, start: int, scale: InputScale) -> str:
    """Return what is done with the values of a column; its first input has a place, from 0."""
    if column.one_hot:
        more = f" and {len(column.words) - MOST_WORDS} more" if len(column.words) > MOST_WORDS else ""
        some = ", ".join(column.words[:MOST_WORDS]) + more
        words = f"0 or 1 for each of {some}" if some else "0"
        return words + ("; for a gap too" if column.has_gaps and some else "")
    if start in scale.constant or column.median is None:
        return f"0: {'one' if column.median is not None else 'no'} value in the training rows"
    gaps = f"; a gap {column.median:g}, marked by an input" if column.has_gaps else ""
    plain = {"number": "x", "flag": "0 or 1", "word": "0, 1, ... in their order"}[column.type]
    if start not in scale.scaled:
        return plain + gaps
    i = scale.scaled.index(start)
    if scale.scale == "quantile":
        return f"normal deviate{gaps}"
    centre, spread = scale.centre[i], scale.spread[i]
    return f"(x {'+' if centre < 0 else '-'} {abs(centre):.4g}) / {spread:.4g}{gaps}"


def _repeated(x_train: NDArray[np.float32], x_test: NDArray[np.float32]) -> int:
    """Return how many test rows have the inputs of a training row."""
    trained = set(_digests(x_train))
    return sum(digest in trained for digest in _digests(x_test))


def _digests(x: NDArray[np.float32]) -> list[bytes]:
    """Return a digest of the values of each row."""
    digests = []
    for at in range(0, len(x), CHUNK):
        rows = np.ascontiguousarray(x[at : at + CHUNK] + np.float32(0))  # -0.0 and 0.0 are one value
        digests += [hashlib.blake2b(row, digest_size=16).digest() for row in rows]
    return digests


def summary(facts: DataFacts) -> str:
    """Return what a table is, in a sentence: rows, inputs, and the target."""
    total, validated = facts.n_train + facts.n_validation + facts.n_test, ""
    if facts.n_validation:
        validated = f", {facts.n_validation} to validate on"
    rows = f"{total} rows, {facts.n_train} to train on{validated} and {facts.n_test} to test on"
    rows += ", drawn by each replicate; below those of replicate 0 of seed 0" * facts.is_resplit
    inputs = counted(facts.n_features, "input")
    if facts.profile is None:
        return f"{facts.name}: {rows}; {inputs}"
    columns = counted(len(facts.profile.columns) + facts.profile.further_columns, "column")
    target = f"target {shown(facts.profile.target)}, {counted(len(facts.class_names), 'class', 'classes')}"
    if not facts.class_names:
        mean, sd = facts.profile.target_mean, facts.profile.target_sd
        spread = (
            f" with mean {mean:.4g} and standard deviation {sd:.4g} over the training rows" if mean is not None else ""
        )
        target = f"target {shown(facts.profile.target)}, numbers{spread}"
    return f"{facts.name}: {rows}; {columns} that became {inputs}; {target}"


def remarks(profile: TableProfile) -> list[str]:
    """Return what else is to be known of a table: columns that were left out, and rows that come again."""
    said = []
    if profile.left_out:
        n = len(profile.left_out) + profile.further_left_out
        # The names that are not kept are counted by those that are.
        some = named([*profile.left_out, *[""] * profile.further_left_out])
        said.append(f"{some} {'is' if n == 1 else 'are'} left out")
    if n := profile.repeated:
        said.append(f"{counted(n, 'test row')} {'has' if n == 1 else 'have'} the inputs of a training row")
    return said


def column_rows(profile: TableProfile) -> list[tuple[str, ...]]:
    """Return a row for each column, and one for those that are not listed, with the cells of `COLUMN_HEAD`."""
    rows: list[tuple[str, ...]] = [
        (c.name, c.kind, str(c.gaps or ""), str(c.inputs), c.becomes) for c in profile.columns
    ]
    if profile.further_columns:
        rows.append((f"{profile.further_columns} more", "", "", str(profile.further_inputs), ""))
    return rows


def class_head(facts: DataFacts) -> tuple[str, ...]:
    """Return what the columns of the table of classes are called."""
    return ("class", "training rows", *["validation rows"] * bool(facts.n_validation), "test rows")


def class_rows(facts: DataFacts, profile: TableProfile) -> list[tuple[str, ...]]:
    """Return a row for each class, and one for those that are not listed, with the cells of `class_head`."""
    sizes = [n for n in (facts.n_train, facts.n_validation, facts.n_test) if n]
    rows: list[tuple[str, ...]] = [
        (name, *(f"{n} ({n / size:.1%})" for n, size in zip(of_class, sizes)))
        for name, of_class in zip(facts.class_names, profile.class_rows)
    ]
    return [*rows, (f"{profile.further_classes} more", *[""] * len(sizes))] if profile.further_classes else rows


def lines(facts: DataFacts) -> list[str]:
    """Return all that is known of a table as text, the columns of tables aligned."""
    said = [summary(facts)]
    if facts.profile is not None:
        said += _aligned([COLUMN_HEAD, *column_rows(facts.profile)])
        said += _aligned([class_head(facts), *class_rows(facts, facts.profile)]) if facts.class_names else []
        said += remarks(facts.profile)
    return [*said, *facts.notes]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the rows of a table as lines, each column as wide as its widest entry."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
