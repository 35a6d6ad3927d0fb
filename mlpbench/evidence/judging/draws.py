"""Which replicates of a claim are draws of their own: equal ones, however many, are one, and one draw is no test.

Replicates differ by the random streams that `vary` names, in conditions that draw from them. Seconds are measured, but stack by
stack: all runs of a stack have one measurement between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpbench.evidence.judging.caveats import Caveat, Remark
from mlpbench.experiment.drawn_streams import SharedDraw

Bools = npt.NDArray[np.bool_]

EXACT = Remark(text="Exact: it follows from the settings, so that there is nothing to test.")
NOT_EXACT = Remark(
    text="It follows from the settings, and still differs between replicates: their runs are of different versions."
)


@dataclass(frozen=True, kw_only=True)
class OneDraw(SharedDraw, Caveat):
    """Replicates that are all the same, as is known before they are trained.

    What they share, and what to vary, is found in `experiment.drawn_streams`, so that a plan can say it too.
    """


@dataclass(frozen=True, kw_only=True)
class MeasuredTogether(Caveat):
    """Replicates that were trained in one stack, whose seconds are measured as a whole.

    Attributes:
        replicates: the number of those that share a measurement with others, and are left out.

    """

    template = "{replicates} replicates were timed in the same stacks as others and are no measurements of their own."
    replicates: int


def measured_apart(table: npt.NDArray[Any]) -> Bools:
    """Return which rows have measurements none of which an earlier one of these rows has.

    Shape: table (R, C), the seconds of R replicates in C conditions, returns (R,).

    >>> measured_apart(np.array([[1.5, 2.5], [1.5, 2.5], [1.25, 2.0]]))
    array([ True, False,  True])
    """
    seen: list[set[float]] = [set() for _ in range(table.shape[1])]
    apart = np.ones(len(table), dtype=bool)
    for i, row in enumerate(table.tolist()):
        apart[i] = not any(value in values for value, values in zip(row, seen, strict=True))
        if apart[i]:
            for value, values in zip(row, seen, strict=True):
                values.add(value)
    return apart
