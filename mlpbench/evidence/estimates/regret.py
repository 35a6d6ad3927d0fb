"""How far the level that folds choose lies from the best there was: known where every level is refitted and tested.

With T refits of a replicate, their test metrics m_t (accuracies; of losses the sign is turned), the level c that all folds
choose and the level s that the first fold alone, a single split, would have chosen:

    regret = max_t m_t - m_c      split_regret = max_t m_t - m_s      split_excess = split_regret - regret = m_c - m_s

The best is the best on this test set, so a regret is 0 at least, and above 0 by luck where levels are alike; the excess has
no such bias. Shapes: `G` scientific conditions, `T` tunings of each, `R` replicates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import DIVERGED, OK, observe_runs
from mlpbench.experiment.spec import Experiment

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def has_regret(experiment: Experiment) -> bool:
    """Return whether every level is refitted, so that the best of a replicate is known."""
    return bool(experiment.nuisance) and experiment.refit == "all"


def regrets(
    refits: Sequence[Sequence[str]], runs: pd.DataFrame, chosen: Ints, split: Ints
) -> tuple[dict[str, Floats], list[str]]:
    """Return the metrics `REGRETS` of one scientific condition, a value for each replicate, and the runs they rest on.

    `refits` are the run ids, (T, R), `chosen` and `split` the levels, (R,), negative where there is none yet. A refit that
    diverged is never the best; a regret is NaN where its own refit diverged, and where a refit of the replicate failed or
    is not there, since that could have been the best.
    """
    ids = [run_id for of_level in refits for run_id in of_level]
    seen = observe_runs(pd.DataFrame({"run_id": np.array(ids, dtype=object)}), runs)
    shape = (len(refits), len(chosen))
    status = seen["status"].to_numpy(dtype=object).reshape(shape)
    known = ((status == OK) | (status == DIVERGED)).all(axis=0) & (chosen >= 0) & (split >= 0)
    each = np.arange(len(chosen))
    found: dict[str, Floats] = {}
    for name, sign in (("accuracy", 1.0), ("loss", -1.0)):
        good = sign * seen[f"test_{name}"].to_numpy(dtype=float).reshape(shape)
        best = np.where(np.isnan(good), -np.inf, good).max(axis=0)
        known_here = known & np.isfinite(best)
        of_folds, of_split = (
            np.where(known_here, best - good[np.maximum(c, 0), each], np.nan) for c in (chosen, split)
        )
        excess = good[np.maximum(chosen, 0), each] - good[np.maximum(split, 0), each]
        found |= {f"regret_{name}": of_folds, f"split_regret_{name}": of_split}
        found[f"split_excess_{name}"] = np.where(known_here, excess, np.nan)
    return found, ids
