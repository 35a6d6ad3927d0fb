"""What a page shows beyond the text of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures.theme import Look


@dataclass(frozen=True, kw_only=True)
class Interactive:
    """The runs and the curves of a report.

    `observed` is what `estimates.observe` gives, `ended` tells by `run_id` how a run ended that has no metrics, `metrics`
    are the columns to show, `listed` the positions of conditions that tables list. `n_stored` counts the runs that were
    looked at, those of folds and losing tunings included. `curves` are the estimates that the figure of learning curves
    shows.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    observed: pd.DataFrame
    ended: pd.DataFrame
    metrics: Sequence[str]
    listed: Sequence[int]
    n_stored: int
    curves: pd.DataFrame
    look: Look
