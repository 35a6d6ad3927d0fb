"""Which rows of a table are for training, validation and testing, where a column says so: `split`, `groups` or `time`.

Shapes: `N` rows, `T` training rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.models import shown, suggestion
from mlpbench.data.file_errors import file_error
from mlpbench.data.formats.columns import Column, SplitColumn, named
from mlpbench.data.row_blocks import MOST_GROUPS, Indices, Mask, RowBlocks
from mlpbench.data.table.gaps import counted
from mlpbench.data.text.dates import in_units

Side = Literal["training", "validation", "test"]

# The address of the one permutation that splits off test rows: verdicts concern one test set, so no replicate moves it.
SPLIT_SEED = 0
_SIDES: Mapping[str, Side] = {
    **dict.fromkeys(("train", "training", "fit"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout", "heldout"), "test"),
}
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")
_USUAL = ("train", "validation", "test")
# From this share of the rows on, one group is most of a table.
LARGE_GROUP = 0.5


@dataclass(frozen=True, kw_only=True)
class RowSplit:
    """On which side each row stands.

    Attributes:
        is_test, is_validation: the rows to test on, and those that are for validation alone, (N,); all others are trained on.
        blocks: which training rows stay together, where some do.
        block_train: the group of each training row, or its place in time, (T,).
        identity: what the fingerprint of the data has of it.
        notes: how it was understood.

    """

    is_test: Mask
    is_validation: Mask
    blocks: RowBlocks | None = None
    block_train: Indices | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_training(self) -> Mask:
        """The rows to train on, (N,)."""
        return np.asarray(~(self.is_test | self.is_validation))


def split_rows(c: Column, by: SplitColumn, share: float, given: Mask | None) -> RowSplit:
    """Return the sides of rows by a column without gaps; raise InputError where it does not say them.

    Args:
        c: the column.
        by: what it says.
        share: the share of the rows to test on, where it does not say which.
        given: the rows to test on, where they are of a file of their own.

    """
    if by.option == "split":
        found = _by_side(c)
    elif by.option == "groups":
        found = _by_group(c, share, given)
    else:
        found = _in_time(c, share, given, is_input=by.is_input)
    if found.is_training.sum() < 2:
        message = f"{by.option} must leave two rows for training, got {counted(int(found.is_training.sum()), 'row')}"
        raise file_error(message, c.place.file, column=c.name)
    return found


def _by_side(c: Column) -> RowSplit:
    sides = [_SIDES.get(re.sub(r"[\s_-]", "", word.casefold())) for word in c.words]
    if not any(sides) and all(word.casefold() in (*_YES, *_NO) for word in c.words):
        sides = [_flagged(c, word) for word in c.words]
    if None in sides:
        code = sides.index(None)
        rule = "a split column must say in each row train, validation or test"
        got = shown(c.words[code])
        near = suggestion(c.words[code].casefold(), _USUAL)
        raise c.place.error(f"{rule}, got {got}{near}", int(np.argmax(c.values == code)))
    side_N = np.array(sides, dtype=object)[c.codes]
    rows = {side: side_N == side for side in ("training", "validation", "test")}
    if lost := next((side for side in ("training", "test") if not rows[side].any()), None):
        rule = "a split column must have rows for training and for testing"
        raise c.place.error(f"{rule}, got none for {lost}: {', '.join(map(shown, c.words))}")
    words = {side: [shown(w) for w, of in zip(c.words, sides, strict=True) if of == side] for side in rows}
    said = [
        f"{' and '.join(words[side])} {counted(int(rows[side].sum()), f'{side} row')}" for side in rows if words[side]
    ]
    return RowSplit(
        is_test=rows["test"],
        is_validation=rows["validation"],
        identity={"split": _digest(rows["test"] + 2 * rows["validation"])},
        notes=(f"{named([c.name])} says which rows are for what, and is no input: {', '.join(said)}",),
    )


def _flagged(c: Column, word: str) -> Side:
    """Return what 0, 1, true or false in a column says, where its name says of what: `is_test`."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", c.name).casefold()
    of = {_SIDES.get(re.sub(r"^(is|in)(?=t|h)", "", part)) for part in re.split(r"[\W_]+", parts)} - {None}
    if of not in ({"test"}, {"training"}):
        rule = "a split column must say in each row train, validation or test"
        hint = "1 and 0, or true and false, are understood where its name says of what, as is_test or is_train"
        raise c.place.error(f"{rule}, got {shown(word)}; {hint}", int(np.argmax(c.values == c.words.index(word))))
    return "test" if (word.casefold() in _YES) == (of == {"test"}) else "training"


def _by_group(c: Column, share: float, given: Mask | None) -> RowSplit:
    # Numbered in the order of the file: what groups are called is no part of what the data are.
    _, first, found = np.unique(c.values, return_index=True, return_inverse=True)
    group_N = np.argsort(np.argsort(first))[found]
    blocks = RowBlocks.of_groups(group_N)
    if blocks.n_blocks > MOST_GROUPS:
        raise c.place.error(f"rows must be of at most {MOST_GROUPS} groups, got {blocks.n_blocks}")
    if given is None:
        if blocks.n_blocks < 2:
            rule = "rows must be of two groups at least, so that some can be tested on"
            raise c.place.error(f"{rule}, got one, {shown(c.words[int(c.values[0])])}")
        order = np.random.Generator(np.random.SFC64(SPLIT_SEED)).permutation(blocks.n_blocks)
        is_test = blocks.in_share(group_N, share, order)
    else:
        is_test = given
        shared = np.intersect1d(c.values[given], c.values[~given])
        if len(shared):
            rule = "a group must not stand on both sides: in the rows to train on and in the test file"
            hint = "leave its rows out of one of the files, or `groups` out"
            raise c.place.error(f"{rule}, got {_some(c, shared)}; {hint}")
    _, block_train = np.unique(group_N[~is_test], return_inverse=True)
    of_training = RowBlocks.of_groups(block_train)
    n_test, rows_test = blocks.n_blocks - of_training.n_blocks, int(is_test.sum())
    notes = [
        f"{named([c.name])}: {counted(blocks.n_blocks, 'group')} that stay whole, and no input: {of_training.n_blocks} "
        f"with {counted(of_training.n_rows, 'row')} to train on, {n_test} with {counted(rows_test, 'row')} "
        f"({rows_test / len(group_N):.0%}) to test on"
    ]
    largest = of_training.sizes[0][0]
    if of_training.n_blocks > 1 and largest > LARGE_GROUP * of_training.n_rows:
        word = c.words[int(c.values[~is_test][np.argmax(np.bincount(block_train)[block_train])])]
        notes.append(f"{named([c.name])}: {shown(word)} has {largest} of {of_training.n_rows} training rows")
    return RowSplit(
        is_test=is_test,
        is_validation=np.zeros(len(is_test), bool),
        blocks=of_training,
        block_train=block_train.astype(np.int64),
        identity={"groups": _digest(group_N)},
        notes=tuple(notes),
    )


def _in_time(c: Column, share: float, given: Mask | None, *, is_input: bool) -> RowSplit:
    if c.type != "number":
        kind = {"flag": "true and false", "word": "text"}[c.type]
        hint = "a date is written as 2004-03-10, `missing_values` says which values are gaps"
        raise c.place.error(f"time must be dates or numbers, got {kind}; {hint}")
    times, time_N = np.unique(c.values, return_inverse=True)
    is_test = np.zeros(len(time_N), bool) if given is None else given
    if given is None:
        try:
            size = RowBlocks.of_times(c.values).validation_size(share, len(time_N))
        except ValueError:
            rule = "time must have two values at least, so that the latest rows can be tested on"
            raise c.place.error(f"{rule}, got only {in_units(times[0], c.unit)}") from None
        is_test[np.argsort(time_N, kind="stable")[len(time_N) - size :]] = True
    trained, tested = c.values[~is_test], c.values[is_test]
    spans = [f"{in_units(part.min(), c.unit)} to {in_units(part.max(), c.unit)}" for part in (trained, tested)]
    notes = [
        f"{named([c.name])}: rows are split in time: {counted(len(trained), 'row')} of {spans[0]} to train on, the latest of "
        f"them to validate on, {counted(len(tested), 'row')} of {spans[1]} to test on; "
        + ("it is an input too, as `columns` names it" if is_input else "it is no input unless `columns` names it")
    ]
    if given is not None and tested.min() <= trained.max():
        notes.append(f"{named([c.name])}: the test file begins before the rows to train on end")
    return RowSplit(
        is_test=is_test,
        is_validation=np.zeros(len(is_test), bool),
        blocks=RowBlocks.of_times(trained),
        block_train=np.argsort(np.argsort(trained, kind="stable"), kind="stable").astype(np.int64),
        identity={"time": _digest(time_N)},
        notes=tuple(notes),
    )


def _some(c: Column, codes: NDArray[np.float64]) -> str:
    more = f" and {len(codes) - 3} more" if len(codes) > 3 else ""
    return ", ".join(shown(c.words[int(code)]) for code in codes[:3]) + more


def _digest(codes: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes, "<i8").data).hexdigest()
