"""For how many epochs a refit trains whose runs on folds stop early: the mean of their best epochs, rounded.

With best epochs e_1, ..., e_K on the folds of a replicate that finished, the refit takes round(mean(e)) epochs of all its
training examples, halves to the even number, at least one, along the schedule of the whole training. Where no fold finished it
takes all epochs. The number follows from runs whose identities follow from that of the refit: so do its bits.

Reference: I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 7.8, the first strategy of using all data after
early stopping.

Shapes: `C` conditions, `R` replicates, `K` folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import MISSING, OK, observe_ids
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition, Run, run_ids

Ints = npt.NDArray[np.int64]
# Runs on folds are still to come.
UNKNOWN = -1


def refit_epochs(experiment: Design, conditions: Sequence[Condition], runs: pd.DataFrame) -> Ints:
    """Return the epochs of each refit, (C, R), `UNKNOWN` where a run on a fold is missing and where none stops early.

    Args:
        experiment: for its replicates and folds.
        conditions: the grid.
        runs: the rows there are, with `run_id`, `status` and `best_epoch`.

    """
    epochs = np.full((len(conditions), experiment.most_replicates), UNKNOWN, dtype=np.int64)
    folds = list(range(experiment.folds or 0))
    for c, condition in enumerate(conditions):
        if not condition.settings.is_refit_of_stops:
            continue
        ids = run_ids(experiment, condition, range(experiment.most_replicates), folds)
        on_folds = observe_ids(ids, runs)
        status_RK = on_folds["status"].to_numpy(dtype=object).reshape(-1, len(folds))
        best_RK = on_folds["best_epoch"].to_numpy(dtype=float).reshape(-1, len(folds))
        best_RK = np.where(status_RK == OK, best_RK, np.nan)
        ended_R, n_R = (status_RK != MISSING).all(axis=1), (status_RK == OK).sum(axis=1)
        mean_R = np.nansum(best_RK, axis=1) / np.maximum(n_R, 1)
        s = condition.settings
        most = math.ceil(s.steps / s.steps_per_epoch)
        of_each = np.where(n_R > 0, np.clip(np.rint(mean_R), min(1, most), most), most)
        epochs[c] = np.where(ended_R, of_each, UNKNOWN).astype(np.int64)
    return epochs


def with_refit_epochs(
    planned: Sequence[Run], experiment: Design, conditions: Sequence[Condition], runs: pd.DataFrame
) -> list[Run]:
    """Return the runs, refits of runs that stop early with their epochs: from their runs on folds or, without, their own row.

    Args:
        planned: runs of the grid.
        experiment: for its replicates and folds.
        conditions: the grid.
        runs: the rows there are, with `run_id`, `status` and `best_epoch`.

    """
    epochs = refit_epochs(experiment, conditions, runs)
    place = {c.condition_id: i for i, c in enumerate(conditions)}
    own = runs.set_index("run_id")["best_epoch"]
    found = []
    for run in planned:
        if run.fold is not None or not run.settings.is_refit_of_stops:
            found.append(run)
            continue
        known = int(epochs[place[run.condition.condition_id], run.replicate])
        if known == UNKNOWN and run.run_id in own.index and not pd.isna(own[run.run_id]):
            known = round(float(own[run.run_id]))
        found.append(replace(run, refit_epochs=None if known == UNKNOWN else known))
    return found
