"""Test rows that each replicate draws for itself, from all rows of a table: `resplit: true`.

A draw is addressed by seed and replicate. Whatever is learned of rows, scales, medians and which words there are, is learned of
the draw's own training rows. Which inputs there are is settled on the whole table, as every replicate has networks of one shape:
an input of which no training row has anything (a word, a gap, a column without a value) is 0. The target of a regression has
the mean and standard deviation of the whole table for origin and unit, in every replicate: a change of unit and no more.

Shapes: `N` rows, `I` inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.streams import generator
from mlpbench.data.dataset import TargetScale, TargetScaling, held_out
from mlpbench.data.formats.columns import Column, named
from mlpbench.data.row_blocks import RowBlocks
from mlpbench.data.table.encode import (
    VERSION,
    Encoded,
    PreparedTable,
    check_range,
    check_training_rows,
    constant_notes,
    fingerprint_of,
    number_of_test_rows,
)
from mlpbench.data.table.input_columns import InputColumn
from mlpbench.data.table.row_split import RowSplit
from mlpbench.data.table.scaling import InputScale, Scale, fitted_scale
from mlpbench.data.table.table_inputs import Inputs, filled, id_notes, table_inputs
from mlpbench.data.table.target_column import target_scale_of

Mask = NDArray[np.bool_]
# The place of test rows among the streams of `split`.
TEST_ROWS = 8


@dataclass(frozen=True, kw_only=True)
class TableDraws:
    """A whole table from which replicates draw their test rows.

    Attributes:
        prepared: its rows, with their target.
        inputs: the inputs of the whole table, which say what inputs every draw has.
        scale: how numbers are scaled.
        n_test: how many rows are drawn.
        target_scale: the scale of the target, of the whole table.
        fingerprint: that of the whole table and its options.
        notes: what is to be known of how the table was read.

    """

    prepared: PreparedTable
    inputs: Inputs
    scale: Scale
    n_test: int
    target_scale: TargetScale | None
    fingerprint: str
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The name of each class; None for regression."""
        return self.prepared.target.classes

    @property
    def columns(self) -> tuple[InputColumn, ...]:
        """The inputs of each column of the whole table."""
        return tuple(self.inputs.columns)

    @property
    def n_train(self) -> int:
        """Number of rows to train on, in every replicate."""
        return len(self.prepared.target.values) - self.n_test

    @property
    def n_features(self) -> int:
        """Number of inputs, I, in every replicate."""
        return int(self.inputs.x.shape[1])

    @property
    def n_validation(self) -> int:
        """Number of rows that are for validation alone: none, a share is taken from the rows to train on."""
        return 0

    @property
    def blocks(self) -> RowBlocks | None:
        """Which training rows stay together: none."""
        return None

    def is_test(self, seed: int, replicate: int) -> Mask:
        """Return which rows a replicate tests on, (N,): of classes, each has its share."""
        target = self.prepared.target
        order = generator(seed, replicate, "split", TEST_ROWS).permutation(len(target.values))
        return held_out(target.labels, order, self.n_test)

    def draw(self, seed: int, replicate: int) -> Encoded:
        """Return the arrays of a replicate; raise InputError for a number that its scale takes out of float32."""
        columns, target, owners = self.prepared.input_columns, self.prepared.target, self.inputs.owners
        is_test = self.is_test(seed, replicate)
        made = [_learned(c, layout, ~is_test) for c, layout in zip(columns, self.inputs.columns, strict=True)]
        x, _ = filled(made, columns)
        input_scale, _ = fitted_scale(x[~is_test], self.inputs.numeric, self.scale, owners)
        input_scale = _without_unseen(input_scale, self._unseen(x, ~is_test))
        x = input_scale.apply(x)
        check_range(x, owners, self.prepared.table.name)
        x32, y = x.astype(np.float32), target.arrays(self.target_scale)
        return Encoded(
            x_train=x32[~is_test],
            y_train=y[~is_test],
            x_test=x32[is_test],
            y_test=y[is_test],
            classes=target.classes,
            fingerprint=self.fingerprint,
            target_scale=self.target_scale,
            notes=self.notes,
            columns=tuple(made),
            gaps=tuple(int(c.gaps.sum()) for c in columns),
            input_scale=input_scale,
        )

    def _unseen(self, x: NDArray[np.float64], train: Mask) -> Mask:
        """Return the inputs of which no training row has anything, (I,): 0 in all of them, and 0 in no scale's sense."""
        without_value = np.array([bool(c.gaps[train].all()) for c in self.inputs.owners])
        unseen: Mask = np.where(self.inputs.numeric, without_value, ~x[train].any(0))
        return unseen


def _learned(c: Column, layout: InputColumn, train: Mask) -> InputColumn:
    """Return the inputs of a column with the median of the training rows; 0 where none of them has a value."""
    if layout.median is None:
        return layout
    there = c.values[train & ~c.gaps]
    return layout.model_copy(update={"median": float(np.median(there)) if len(there) else 0.0})


def _without_unseen(scale: InputScale, unseen: Mask) -> InputScale:
    """Return a scale by which inputs that were never seen are 0; those that it scales were."""
    constant = sorted({*scale.constant, *np.flatnonzero(unseen).tolist()} - set(scale.scaled))
    return scale if len(constant) == len(scale.constant) else scale.model_copy(update={"constant": tuple(constant)})


def draws_of(prepared: PreparedTable, share: float, scale: Scale, target_scale: TargetScaling | None) -> TableDraws:
    """Return a table from which replicates draw; raise InputError for what cannot be learned.

    Args:
        prepared: its rows.
        share: the share of the rows to test on, of each class alike.
        scale: how numbers are scaled.
        target_scale: how numbers that are the target are scaled, by default `standard`.

    """
    target, every = prepared.target, np.ones(len(prepared.target.values), bool)
    n_test = number_of_test_rows(target, share)
    inputs = table_inputs(prepared.input_columns, every, prepared.table)
    of_target = target_scale_of(target, every, target_scale)
    options: dict[str, object] = {
        "version": VERSION,
        "scale": scale,
        "resplit": n_test,
        "classes": target.classes and len(target.classes),
        "numeric": inputs.numeric.tolist() if scale != "none" else None,
        "target_scale": None if of_target is None else "log" if of_target.log else "standard",
    }
    still, _ = fitted_scale(inputs.x, inputs.numeric, scale, inputs.owners)
    of_columns = [*prepared.notes, *id_notes(prepared.input_columns), *inputs.notes]
    draws = TableDraws(
        prepared=prepared,
        inputs=inputs,
        scale=scale,
        n_test=n_test,
        target_scale=of_target,
        fingerprint=fingerprint_of(inputs.x, target.values, options),
        notes=(*of_columns, *constant_notes(inputs, still, every), *_draw_notes(prepared, n_test, of_target)),
    )
    # How many rows of a class are drawn is the same in every replicate.
    of_first = RowSplit(is_test=draws.is_test(0, 0), is_validation=np.zeros(len(target.values), bool))
    check_training_rows(target, of_first, has_test_rows=False)
    # Only draws have inputs: those of the whole table were for its identity.
    return replace(draws, inputs=replace(inputs, x=np.zeros((0, inputs.x.shape[1]))))


def _draw_notes(prepared: PreparedTable, n_test: int, target_scale: TargetScale | None) -> list[str]:
    rows = len(prepared.target.values)
    said = f"resplit: each replicate tests on {n_test} of the {rows} rows that it draws, and learns scales and medians of the others"
    if target_scale is not None:
        said += "; the unit of the target is of all rows"
    rare = [c.name for c in prepared.input_columns if c.type == "word" and not c.ordered and _has_rare_words(c)]
    return [said, *([f"{named(rare)}: a word that no training row of a replicate has is 0 there"] if rare else [])]


def _has_rare_words(c: Column) -> bool:
    """Return whether a word stands in one row alone, so that the row may be a test row."""
    return bool((np.unique(c.values[~c.gaps], return_counts=True)[1] == 1).any())
