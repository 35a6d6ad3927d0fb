"""Which runs an experiment asks for now, given what its tables have: training goes in rounds, each following from the last.

All runs of a grid are asked for at once, but for two kinds. Where settings are tuned on folds, a replicate's refit follows
from its choice, which follows from its runs on folds. Where claims are topped up until they are decided, further
replicates follow from the verdicts at the last look. Both are read off the tables each time: nothing is remembered.

Shapes: `C` conditions, `R` replicates, `S` slots (folds, then all examples), `G` scientific conditions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which runs are asked for, shape (C, R, S), and how many refits of each scientific condition, (G,), will be too."""

    mask: npt.NDArray[np.bool_]
    to_come: npt.NDArray[np.int64]


def has_rounds(experiment: Experiment) -> bool:
    """Return whether what is asked for depends on what came out before."""
    return experiment.until_decided is not None or _refits_follow(experiment)


def _refits_follow(experiment: Experiment) -> bool:
    """Return whether a refit waits for the choice of its replicate: not where every level is refitted."""
    return bool(experiment.nuisance and experiment.folds and experiment.refit == "chosen")


def wanted(experiment: Experiment, conditions: Sequence[Condition], store: Store) -> Wanted:
    """Return what is asked for, given the tables of a folder."""
    slots, tunings = grid.slots(experiment), grid.count_tunings(experiment)
    mask = np.ones((len(conditions), experiment.most_replicates, len(slots)), dtype=np.bool_)
    to_come = np.zeros(len(conditions) // tunings, dtype=np.int64)
    if not has_rounds(experiment):
        return Wanted(mask=mask, to_come=to_come)
    from mlpbench.evidence.estimates import tuning_choice  # scipy takes a while to load, and most grids need none of it
    from mlpbench.evidence.judging import claim_verdicts, interim_analysis

    ids = grid.all_run_ids(experiment, conditions)
    runs = store.read("runs", ids, columns=claim_verdicts.RUN_COLUMNS, sound=True)

    def curves(of: Sequence[str] | None = None) -> pd.DataFrame:
        return store.read("curves", ids if of is None else of, sound=True)

    layers = functools.partial(store.read_layers, sound=True)
    counts = np.full(len(to_come), experiment.replicates)
    if experiment.until_decided is not None:
        counts = np.array(interim_analysis.judge(experiment, conditions, runs, curves, layers=layers).replicates)
    mask &= (np.arange(mask.shape[1]) < np.repeat(counts, tunings)[:, None])[:, :, None]
    if _refits_follow(experiment):
        choice = tuning_choice.choose(experiment, conditions, runs, counts.tolist())
        chosen = np.full((len(to_come), mask.shape[1]), tuning_choice.NONE)
        chosen[:, : choice.chosen.shape[1]] = choice.chosen
        mask[:, :, -1] = (chosen[:, None, :] == np.arange(tunings)[:, None]).reshape(len(conditions), -1)
        to_come = (~choice.settled).sum(axis=1)
    return Wanted(mask=mask, to_come=to_come)
