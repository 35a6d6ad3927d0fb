"""Which runs of a grid are asked for so far: all, or those that earlier results ask for.

Shapes: `C` conditions, `R` replicates, `S` slots (each fold, then all examples), `G` scientific conditions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.registration import registration_of
from mlpbench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def has_rounds(experiment: Experiment, conditions: Sequence[Condition]) -> bool:
    """Return whether the runs that are asked for depend on earlier results."""
    return experiment.until_decided is not None or _refits_follow(experiment) or _epochs_follow(conditions)


def _epochs_follow(conditions: Sequence[Condition]) -> bool:
    """Return whether a refit waits for the epochs at which its runs on folds are at their best."""
    return any(c.settings.is_refit_of_stops for c in conditions)


def _refits_follow(experiment: Experiment) -> bool:
    """Return whether a refit waits for the choice of its replicate: not where every level is refitted."""
    return bool(experiment.nuisance and experiment.folds and experiment.refit == "chosen")


def asked_for(experiment: Experiment, conditions: Sequence[Condition], store: Store) -> tuple[Bools, Ints, Ints | None]:
    """Return which runs are asked for, given the tables of a folder, (C, R, S), and how many refits will be too, (G,).

    And the epochs of refits, (C, R), where they follow from runs on folds.
    """
    slots, tunings = grid.slots(experiment), grid.count_tunings(experiment)
    mask_CRS = np.ones((len(conditions), experiment.most_replicates, len(slots)), dtype=np.bool_)
    to_come_G = np.zeros(len(conditions) // tunings, dtype=np.int64)
    if not has_rounds(experiment, conditions):
        return mask_CRS, to_come_G, None
    refits_follow, epochs_follow = _refits_follow(experiment), _epochs_follow(conditions)
    if store.is_empty("runs") and not (refits_follow or epochs_follow):  # no analysis is complete
        mask_CRS[:, experiment.replicates :] = False
        return mask_CRS, to_come_G, None
    from mlpbench.evidence import refit_epochs  # pandas and scipy take a while to load, and most grids need neither
    from mlpbench.evidence.estimates import tuning_choice
    from mlpbench.evidence.judging import claim_verdicts, interim_analysis

    ids = grid.all_run_ids(experiment, conditions)
    runs = store.read("runs", ids, columns=claim_verdicts.RUN_COLUMNS, sound=True)

    def curves(run_ids: Sequence[str] | None = None) -> pd.DataFrame:
        return store.read("curves", ids if run_ids is None else run_ids, sound=True)

    layers = functools.partial(store.read_layers, sound=True)
    replicates = np.full(len(to_come_G), experiment.replicates)
    if experiment.until_decided is not None:
        registration = registration_of(store.folder, experiment, conditions)
        earlier = registration.earlier_run_ids(experiment, conditions)
        judged = (
            store.read("runs", [*ids, *earlier], columns=claim_verdicts.RUN_COLUMNS, sound=True) if earlier else runs
        )
        judgement = interim_analysis.judge(experiment, conditions, judged, curves, registration, layers=layers)
        replicates = np.array(judgement.replicates)
    mask_CRS &= (np.arange(mask_CRS.shape[1]) < np.repeat(replicates, tunings)[:, None])[:, :, None]
    if refits_follow:
        choice = tuning_choice.choose(experiment, conditions, runs, replicates.tolist())
        chosen_GR = np.full((len(to_come_G), mask_CRS.shape[1]), tuning_choice.NONE)
        chosen_GR[:, : choice.chosen.shape[1]] = choice.chosen
        is_chosen = chosen_GR[:, None, :] == np.arange(tunings)[:, None]
        mask_CRS[:, :, -1] = is_chosen.reshape(len(conditions), -1)
        to_come_G = (~choice.settled).sum(axis=1)
    if not epochs_follow:
        return mask_CRS, to_come_G, None
    epochs_CR = refit_epochs.refit_epochs(experiment, conditions, runs)
    waits_CR = (epochs_CR == refit_epochs.UNKNOWN) & np.array([[c.settings.is_refit_of_stops] for c in conditions])
    # A choice waits for all folds of a replicate: then no chosen refit waits for its own.
    to_come_G += (mask_CRS[:, :, -1] & waits_CR).reshape(len(to_come_G), -1).sum(axis=1)
    mask_CRS[:, :, -1] &= ~waits_CR
    return mask_CRS, to_come_G, epochs_CR
