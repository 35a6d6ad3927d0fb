"""A table of conditions by data sets: the mean outcome of each condition on each data set, and its rank there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.ranks.friedman import Friedman, friedman, ranks

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RankTable:
    """Outcomes and ranks of K conditions on N data sets, in the order in which they come first.

    Attributes:
        datasets, conditions: their names.
        outcome_NK: mean outcomes over replicates that finished.
        lost_NK: the number of runs that diverged: such a condition counts as the worst on its data set.
        rank_NK: ranks within each data set, 1 for the best; equal ones share their mean rank.
        left_out: data sets on which some condition has no outcome at all, as runs failed or are missing.
        test: the Friedman test; None of fewer than two data sets.

    """

    datasets: Sequence[str]
    conditions: Sequence[str]
    outcome_NK: Floats
    lost_NK: npt.NDArray[np.int64]
    rank_NK: Floats
    left_out: Sequence[str]
    test: Friedman | None

    @property
    def mean_ranks(self) -> Floats:
        """The mean rank of each condition."""
        return np.asarray(self.rank_NK.mean(axis=0))

    @property
    def best(self) -> int:
        """The place of the condition with the least mean rank, the first of equal ones."""
        return int(np.argmin(self.mean_ranks))

    @property
    def near_best(self) -> Sequence[str]:
        """The other conditions whose mean rank is less than the critical difference from the best."""
        if self.test is None:
            return []
        away = self.mean_ranks - self.mean_ranks[self.best]
        near = np.flatnonzero(away < self.test.critical_difference).tolist()
        return [self.conditions[i] for i in near if i != self.best]

    @property
    def groups(self) -> Sequence[tuple[int, ...]]:
        """Conditions whose mean ranks all differ by less than the critical difference: the largest such sets of two and more.

        Each in the order of mean ranks. They are what bars of a critical-difference diagram join.
        """
        if self.test is None:
            return []
        order = np.argsort(self.mean_ranks, kind="stable")
        means = self.mean_ranks[order]
        ends = [int((means - means[i] < self.test.critical_difference).sum()) for i in range(len(means))]
        # Of a set that begins later and ends no later, all are in the one before.
        largest = [i for i, end in enumerate(ends) if end > max(ends[:i], default=0) and end > i + 1]
        return [tuple(int(c) for c in order[i : ends[i]]) for i in largest]


def rank_table(cells: pd.DataFrame, better: Literal["higher", "lower"]) -> RankTable | None:
    """Return the table of outcomes and ranks; None where there are not two conditions on some data set.

    Args:
        cells: a row for each condition on each data set, with `dataset`, `condition`, `mean` (NaN where no run finished) and
            `diverged`, a number of runs. Conditions that are not planned on every data set are left out.
        better: which outcome is the best.

    """
    names, conditions = (list(dict.fromkeys(cells[key])) for key in ("dataset", "condition"))
    planned = cells.groupby("condition")["dataset"].nunique()
    conditions = [c for c in conditions if planned[c] == len(names)]
    if len(conditions) < 2:
        return None
    by_cell = cells.set_index(["dataset", "condition"])

    def table(column: str) -> pd.DataFrame:
        return by_cell[column].unstack().reindex(index=names, columns=conditions)

    mean, lost = table("mean"), table("diverged").fillna(0)
    known = (mean.notna() | (lost > 0)).all(axis=1)
    kept = [name for name in names if known[name]]
    if not kept:
        return None
    outcome, diverged = mean.loc[kept].to_numpy(dtype=float), lost.loc[kept].to_numpy(dtype=np.int64)
    worst = -math.inf if better == "higher" else math.inf
    rank_NK = _with_worst(np.where(diverged > 0, worst, outcome), better)
    return RankTable(
        datasets=kept,
        conditions=conditions,
        outcome_NK=outcome,
        lost_NK=diverged,
        rank_NK=rank_NK,
        left_out=[name for name in names if not known[name]],
        test=friedman(rank_NK) if len(kept) > 1 else None,
    )


def _with_worst(outcome_NK: Floats, better: Literal["higher", "lower"]) -> Floats:
    """Return ranks of outcomes of which infinite ones are the worst, and tie."""
    finite = np.isfinite(outcome_NK)
    sign = -1.0 if better == "higher" else 1.0
    known = np.where(finite, outcome_NK, 0.0)
    beyond = 2 * np.abs(known).max(axis=1, initial=0.0, keepdims=True) + 1
    return ranks(np.where(finite, sign * known, beyond), "lower")
