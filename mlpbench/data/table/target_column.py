"""The target of a table: what its values are, classes or numbers, and the scale that numbers are trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import InputError
from mlpbench.base.models import shown
from mlpbench.data.dataset import TargetScale, TargetScaling, Task
from mlpbench.data.formats.columns import LARGEST_FLOAT32, MOST_CLASSES, Column, ColumnPlace

LONGEST_CLASS = 200
# Whole numbers with more different values than this are a quantity; with fewer, classes.
MOST_WHOLE_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of every row: codes of sorted classes, or numbers where `classes` is None.

    `rows` are the rows of the first file in which the values stand, -1 for those of a test file.
    """

    place: ColumnPlace
    values: NDArray[np.float64]
    classes: tuple[str, ...] | None
    rows: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.float64] | NDArray[np.int64]:
        """What rows are held out by: numbers alike, of classes each its share."""
        return self.values if self.classes is None else self.values.astype(np.int64)

    def arrays(self, scale: TargetScale | None) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return what a network is trained on: classes, or numbers on a scale."""
        if self.classes is not None:
            return self.values.astype(np.uint8)
        return (self.values if scale is None else scale.trained(self.values)).astype(np.float32)

    def error(self, message: str, at: int) -> InputError:
        """Return the error of a value."""
        row = int(self.rows[at])
        return self.place.error(message, row if row >= 0 else None)


def target_of(column: Column, task: Task | None, rows: NDArray[np.int64]) -> Target:
    """Return the target as classes or numbers: text, flags and few different whole numbers are classes, unless `task` says."""
    place = column.place
    if column.merged is not None:
        row, number = column.merged
        message = f"a whole number must lie within 2^53, so that no two become one, got {shown(number)}"
        raise place.error(f"{message}; an identifier? take it out, or write it as text", row)
    different, codes = np.unique(column.values, return_inverse=True)
    few = column.type != "number" or (column.whole and len(different) <= MOST_WHOLE_CLASSES)
    if task == "number" and column.type == "word":
        raise place.error("regression needs a target of numbers, got text; leave `task: number` out")
    if len(different) < 2:
        got = column.words[int(different[0])] if column.type == "word" else f"{different[0]:g}"
        raise place.error(f"a target must have different values, got only {shown(got)}")
    if task == "number" or (task is None and not few):
        if (largest := np.abs(different).max()) > LARGEST_FLOAT32:
            raise place.error(f"a target must fit float32, got {largest:g}")
        return Target(place=place, values=column.values, classes=None, rows=rows)
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
    if column.type == "word":
        names = [column.words[int(code)] for code in different]
    else:
        names = [f"{v:.0f}" for v in different] if column.type == "number" else ["false", "true"]
    return Target(place=place, values=codes.astype(np.float64), classes=tuple(names), rows=rows)


def few_numbers_note(column: Column, aim: Target, task: Task | None) -> list[str]:
    """Return a note where few whole numbers, written with a decimal mark as pandas writes classes with gaps, are numbers to predict."""
    if task is not None or aim.classes is not None:
        return []
    different = np.unique(aim.values)
    if len(different) > MOST_WHOLE_CLASSES or not np.array_equal(different, np.floor(different)):
        return []
    few = f"{len(different)} different whole numbers, written with a decimal mark"
    return [f"target {shown(column.name)}: {few}, are numbers to predict; `task: classes` takes them for classes"]


def target_scale_of(aim: Target, train: NDArray[np.bool_], said: TargetScaling | None) -> TargetScale | None:
    """Return the mean and sd of the target over the training rows, or those of its logarithm; None where it stays as it is."""
    if aim.classes is not None:
        if said is not None:
            raise aim.place.error(f"target_scale is for a target of numbers, got {said} for classes; leave it out")
        return None
    if said == "none":
        return None
    if said == "log" and (least := aim.values.min()) <= 0:
        raise aim.error(f"target_scale log needs a target above 0, got {least:g}", int(aim.values.argmin()))
    values = np.log(aim.values[train]) if said == "log" else aim.values[train]
    scale = TargetScale(mean=float(values.mean()), sd=float(values.std()), log=said == "log")
    if not (math.isfinite(scale.mean) and 0 < scale.sd < math.inf):
        message = f"a target must have a standard deviation that float64 holds, got {scale.sd:g} of its training rows"
        raise aim.place.error(f"{message}; write it in another unit, or say `target_scale: none`")
    return scale
