"""What became of a table of the user's own, in plain numbers: columns and their inputs, gaps, classes, rows that come again.

It is written into a results folder with the facts of the table, so that a report can say it where the file is gone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlpbench.base.models import Model

# Columns of which it is said what became of them, and how many of these a results folder and a report have.
MOST_COLUMNS, MOST_KEPT = 1000, 50
# Classes of which a results folder and a report say how many rows have them.
MOST_CLASSES = 30

Count = Annotated[int, Field(ge=0)]
ClassRows = Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=3)]


class ColumnProfile(Model):
    """What became of one column.

    Attributes:
        name: its name.
        kind: what its values are, in words.
        inputs: the number of inputs it has become.
        gaps: how many rows have no value.
        becomes: how values become inputs, and gaps where there are some, in words.

    """

    name: str
    kind: str
    inputs: Count
    gaps: Count = 0
    becomes: str


class TableProfile(Model):
    """What became of a table.

    Attributes:
        target: the name of the target.
        columns: of the columns that became inputs, in order.
        further_columns, further_inputs: numbers of columns that are not among them, and of their inputs.
        left_out: names of columns that are no inputs.
        further_left_out: the number of those that are not named.
        class_rows: of each class in order, its training and its test rows, with its validation rows between them where a column
            says which these are; none where the target is a number.
        further_classes: the number of classes that are not among them.
        target_mean, target_sd: those of a target that is a number, over the training rows; None of classes.
        repeated: how many test rows have the inputs of a training row.

    """

    target: str
    columns: tuple[ColumnProfile, ...] = Field(strict=False)
    further_columns: Count = 0
    further_inputs: Count = 0
    left_out: tuple[str, ...] = Field(default=(), strict=False)
    further_left_out: Count = 0
    class_rows: tuple[ClassRows, ...] = Field(default=(), strict=False)
    further_classes: Count = 0
    target_mean: float | None = None
    target_sd: float | None = Field(default=None, ge=0)
    repeated: Count = 0

    def cut(self) -> TableProfile:
        """Return it as a results folder has it: the first columns and classes alone, and how many more there are of each."""
        columns, left_out, rows = self.columns[:MOST_KEPT], self.left_out[:MOST_KEPT], self.class_rows[:MOST_CLASSES]
        beyond = self.columns[MOST_KEPT:]
        return self.model_copy(
            update={
                "columns": columns,
                "further_columns": self.further_columns + len(beyond),
                "further_inputs": self.further_inputs + sum(c.inputs for c in beyond),
                "left_out": left_out,
                "further_left_out": self.further_left_out + len(self.left_out) - len(left_out),
                "class_rows": rows,
                "further_classes": self.further_classes + len(self.class_rows) - len(rows),
            }
        )
