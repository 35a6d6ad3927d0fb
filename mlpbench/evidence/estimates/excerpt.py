"""What a report shows of an experiment with many conditions: a few of them, chosen by a rule that it states.

Estimates, claims and sentences are about all conditions; only tables and pictures are cut, since nobody reads a legend
of a thousand lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlpbench.base.escapes import Markdown

# With this many conditions at most, all are shown; of more, this many in tables and `MOST_DRAWN` in pictures.
MOST_ROWS = 60
MOST_DRAWN = 10
# Replicates of a condition that have a dot, at most.
MOST_DOTS = 200
RANKED_BY = (("test_accuracy", False), ("test_loss", True))


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Positions of the conditions that tables list and that pictures draw, and how both were chosen.

    `listed_by` and `drawn_by` are sentences, empty where all conditions are shown.
    """

    listed: Sequence[int]
    drawn: Sequence[int]
    listed_by: str = ""
    drawn_by: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every condition is shown."""
        return not self.listed_by


def choose(n_conditions: int, estimates: pd.DataFrame) -> Excerpt:
    """Return what is shown of a number of conditions: the best in tables, the best to the worst in pictures.

    Conditions are ranked by their mean test accuracy, or by test loss where there is none; those with neither come last.
    """
    if n_conditions <= MOST_ROWS:
        return Excerpt(listed=range(n_conditions), drawn=range(n_conditions))
    for name, ascending in RANKED_BY:
        means = estimates.loc[estimates["metric"] == name].set_index("position")["mean"]
        ranked = [int(str(i)) for i in means.dropna().sort_values(ascending=ascending, kind="stable").index]
        if ranked:
            break
    seen = set(ranked)
    order = [*ranked, *(i for i in range(n_conditions) if i not in seen)]
    what = f"mean test {name.removeprefix('test_')}"
    last = len(ranked or order) - 1
    drawn = dict.fromkeys(order[round(i * last / (MOST_DRAWN - 1))] for i in range(MOST_DRAWN))
    return Excerpt(
        listed=order[:MOST_ROWS],
        drawn=list(drawn),
        listed_by=Markdown(
            f"These are {MOST_ROWS} of {n_conditions} conditions, those with the {'lowest' if ascending else 'highest'} "
            f"{what}, best first; the table `runs` has all."
        ),
        drawn_by=f"The figure shows {len(drawn)} of {n_conditions} conditions: the best, the worst and those at equal steps of rank "
        f"between them, by {what}.",
    )
