"""From columns to inputs: numbers as they are, 0/1 for true and false, one 0/1 input for each word, and what gaps become.

Shapes: `N` rows, `I` inputs. All that is counted is counted over the training rows: medians, and the words that have an input.
A gap in a number or a flag becomes the median, and an input behind it says where there are gaps; a gap among words is one more
word. A word, or a gap among words, that no training row has is 0 in every input of its column: a network has learned nothing
of it. Ordered categories are the numbers 0, 1, ... in their order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown
from mlpbench.data.file_errors import MAX_BYTES, file_error
from mlpbench.data.formats.columns import Column, Table, named
from mlpbench.data.table.gaps import counted
from mlpbench.data.table.input_columns import InputColumn, fitted

MOST_WORDS = 50
# Notes of one kind that are said of different columns.
MOST_NOTES = 8
# Words of which so large a share of the rows has one of its own are names or free text; a few rows say nothing.
MOST_DIFFERENT, LEAST_DIFFERENT = 0.9, 10
# What a column of identifiers is called.
_ID_NAME = re.compile(r"(?i)^(id|index|key|uuid|row|nr|no|number)$|^id[\W_]|[\W_]id$|(?-i:[a-z]I[dD]$)")
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(kw_only=True)
class Inputs:
    """The inputs of a table.

    Attributes:
        x: float64, (N, I).
        columns: what each column becomes.
        owners: the column that each input is of.
        numeric: which inputs are numbers, to be scaled, (I,).
        notes: what became of columns where that is not plain.

    """

    x: Floats
    columns: list[InputColumn]
    owners: list[Column]
    numeric: Mask
    notes: list[str]


def table_inputs(columns: Sequence[Column], train: Mask, table: Table, other: str = "test row") -> Inputs:
    """Return the inputs that columns become; raise InputError for too many of them.

    Args:
        columns: the columns beside the target.
        train: the training rows, (N,).
        table: the table, which has the name of its file and the memory it may take.
        other: what a row that is no training row is called.

    """
    for c in columns:
        _check_words(c)
    made = [fitted(c, train) for c in columns]
    owners = [c for c, column in zip(columns, made) for _ in range(column.width)]
    rows = len(train)
    if rows * len(owners) * 4 > MAX_BYTES:
        message = f"own data must have at most {MAX_BYTES // 4} inputs over all rows, got {rows} rows"
        raise file_error(f"{message} of {len(owners)} inputs, one per word of text", table.name)
    x, unseen = filled(made, columns)
    groups: dict[str, list[str]] = defaultdict(list)
    for c, column in zip(columns, made):
        if c.gaps.any():
            groups[_gap_note(column, other)].append(c.name)
    gaps = {c.name: int(c.gaps.sum()) for c in columns if c.gaps.any()}
    said = [f"{named(names, gaps)}: {note}" for note, names in groups.items()]
    new = {c.name: unseen_words(c, unseen[c.name], other) for c in columns if c.name in unseen}
    return Inputs(x=x, columns=made, owners=owners, numeric=numeric_inputs(made), notes=[*said, *_few(new)])


def filled(made: Sequence[InputColumn], columns: Sequence[Column]) -> tuple[Floats, dict[str, Mask]]:
    """Return the inputs of columns, (N, I), and by the name of a column the rows with a word that has no input."""
    x, unseen, start = np.zeros((len(columns[0].values), sum(c.width for c in made))), {}, 0
    for column, c in zip(made, columns, strict=True):
        new = column.fill(x[:, start : start + column.width], c)
        if new.any():
            unseen[c.name] = new
        start += column.width
    return x, unseen


def numeric_inputs(made: Sequence[InputColumn]) -> Mask:
    """Return which inputs are numbers, (I,): the first one of a column of numbers or of ordered categories."""
    parts = [[not (c.one_hot or c.type == "flag"), *[False] * (c.width - 1)] for c in made]
    return np.array([is_number for part in parts for is_number in part], bool)


def _gap_note(column: InputColumn, other: str) -> str:
    if column.one_hot and column.has_gaps:
        return "gaps are a word of their own"
    if column.one_hot:
        return f"gaps in {other}s alone: 0 in every input of the column"
    if column.median is None:
        return "no value in the training rows: 0"
    if column.has_gaps:
        return "gaps become the median, and an input says where they are"
    return f"gaps in {other}s alone become the median"


def unseen_words(c: Column, unseen: Mask, what: str) -> str:
    """Return how many rows of a column have words without an input, and which: `3 rows have words that ... ('a', 'b')`."""
    n = int(unseen.sum())
    new = [c.words[i] for i in np.unique(c.values[unseen]).astype(np.int64)]
    some = ", ".join(shown(w) for w in new[:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
    has = "has a word" if n == 1 else "have words"
    return f"{counted(n, what)} {has} that no training row has ({some}): 0 in every input"


def _few(notes: dict[str, str]) -> list[str]:
    """Return notes that each column has of its own: of many columns, those of the first few and how many more have one."""
    said = [f"{named([name])}: {note}" for name, note in list(notes.items())[:MOST_NOTES]]
    if (more := len(notes) - MOST_NOTES) > 0:
        said.append(f"{counted(more, 'more column')}: the same, with other words")
    return said


def reading_notes(columns: Sequence[Column]) -> list[str]:
    """Return what is to be known of how columns were read, columns of which the same is to be known together."""
    groups: dict[str, list[str]] = defaultdict(list)
    for c in columns:
        for note in c.notes:
            groups[note].append(c.name)
        if c.ordered:
            order = " < ".join(map(shown, c.words[:4])) + (" < ..." if len(c.words) > 4 else "")
            groups[f"ordered categories, {order}"].append(c.name)
    said = [f"{named(names)}: {note}" for note, names in groups.items()]
    more = [name for names in list(groups.values())[MOST_NOTES:] for name in names]
    return said[:MOST_NOTES] + ([f"{named(more)}: read in yet other ways"] if more else [])


def id_notes(columns: Sequence[Column]) -> list[str]:
    """Return notes on the columns whose numbers look like those of an id: whole, and all different, or too large to be counts."""
    forward = "an id? `drop` leaves out what is no input"
    names, merged = [c.name for c in columns if _looks_like_id(c)], [c.name for c in columns if c.merged is not None]
    said = [f"{named(names)}: whole numbers, all different: {forward}"] if names else []
    too_large = "whole numbers beyond 2^53, of which two may be read as one"
    return (
        [*said, f"{named(merged)}: {too_large}: {forward}, `words` takes them as they are written"] if merged else said
    )


def _looks_like_id(c: Column) -> bool:
    if c.merged is not None:
        return False
    values = c.values[~c.gaps]
    if not c.whole or len(values) < LEAST_DIFFERENT or len(np.unique(values)) < len(values):
        return False
    return bool(np.ptp(values) == len(values) - 1 or _ID_NAME.search(c.name))


def _check_words(c: Column) -> None:
    if c.type != "word" or c.ordered or c.is_asked_for:
        return
    values = c.values[~c.gaps]
    n, total = len(np.unique(values)), len(values)
    hint = f"`drop: [{c.name}]` leaves it out, `words: [{c.name}]` makes {counted(n, 'input')} of it"
    if n > MOST_WORDS:
        message = (
            f"a column of text must have at most {MOST_WORDS} different values, got {n} in {counted(total, 'row')}"
        )
        raise c.place.error(f"{message}; a name, an id or free text? {hint}")
    if n > LEAST_DIFFERENT and n > MOST_DIFFERENT * total:
        message = f"the values of a column of text must come again, got {n} different ones in {counted(total, 'row')}"
        raise c.place.error(f"{message}; a name, an id or free text? {hint}")
