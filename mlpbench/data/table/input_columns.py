"""What each column becomes, by its training rows: enough to make the same inputs of other rows, later and elsewhere.

Shapes: `N` rows, `W` inputs of a column.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlpbench.base.models import Model
from mlpbench.data.formats.columns import Column

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class InputColumn(Model):
    """The inputs of one column.

    Attributes:
        name: the name of the column.
        type: what its values are.
        unit: what numbers count, where that is known.
        ordered: whether words are ordered categories: the numbers 0, 1, ...
        words: those that have an input, or all of ordered categories.
        median: what takes the place of a gap in numbers; None where there was no value, and the input is 0.
        has_gaps: whether there were gaps: one more word among words, one more input behind a number.
        decimal, day_first: how its numbers and dates were written, where others could be read in two ways.

    """

    name: str
    type: Literal["number", "flag", "word"]
    unit: str = ""
    ordered: bool = False
    words: tuple[str, ...] = Field(default=(), strict=False)
    median: float | None = None
    has_gaps: bool = False
    decimal: str | None = None
    day_first: bool | None = None

    @property
    def one_hot(self) -> bool:
        """Whether each word has an input of its own."""
        return self.type == "word" and not self.ordered

    @property
    def width(self) -> int:
        """The number of inputs, W."""
        if self.one_hot:
            return max(1, len(self.words) + self.has_gaps)
        # Where no training row has a value there is nothing to impute, and nothing that a second input could say.
        return 1 + (self.has_gaps and self.median is not None)

    def fill(self, part: Floats, c: Column) -> Mask:
        """Put the inputs of rows in place; return which rows have a word that has no input, (N,).

        Args:
            part: zeros, (N, W).
            c: the column, of this type.

        """
        if self.one_hot:
            return self._fill_words(part, c)
        part[:, 0] = c.values + 0.0  # -0.0 and 0.0 are one value
        if self.median is None:
            part[:, 0] = 0.0
        else:
            part[c.gaps, 0] = self.median
            if self.has_gaps:
                part[:, 1] = c.gaps
        return np.zeros(len(part), bool)

    def _fill_words(self, part: Floats, c: Column) -> Mask:
        place = {word: i for i, word in enumerate(self.words)}
        position = np.array([place.get(word, -1) for word in c.words] + [len(self.words) if self.has_gaps else -1])
        at = position[c.codes]
        rows = np.flatnonzero(at >= 0)
        part[rows, at[rows]] = 1
        unseen: Mask = ~c.gaps & (at < 0)
        return unseen


def fitted(c: Column, train: Mask) -> InputColumn:
    """Return what a column becomes by its training rows, (N,)."""
    there, has_gaps = c.values[train & ~c.gaps], bool(c.gaps[train].any())
    if c.type == "word" and not c.ordered:
        words = tuple(c.words[int(code)] for code in np.unique(there))
        return InputColumn(name=c.name, type="word", words=words, has_gaps=has_gaps)
    return InputColumn(
        name=c.name,
        type=c.type,
        unit=c.unit,
        ordered=c.ordered,
        words=c.words if c.ordered else (),
        median=float(np.median(there)) if len(there) else None,
        has_gaps=has_gaps,
        decimal=c.form.decimal,
        day_first=c.form.day_first,
    )
