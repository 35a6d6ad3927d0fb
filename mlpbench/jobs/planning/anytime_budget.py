"""How many replicates a command trains at most of an experiment that may be looked at whenever one likes.

Such an experiment needs no largest number of replicates: a command ends at a budget, by default twice the replicates there are,
and the next one goes on. The budget stands in the folder's own experiment file as `max_replicates`, so that reports, which know
nothing but the folder, are about as many.
"""

from __future__ import annotations

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment, UntilDecided
from mlpbench.jobs.options import Options
from mlpbench.results.store import Store

# The least that a file may declare.
LEAST = 3


def within_budget(experiment: Experiment, store: Store, options: Options) -> Experiment:
    """Return the experiment with the largest number of replicates that a command may come to; as it is where it declares one.

    Raises InputError for a budget where verdicts don't hold at any time.
    """
    if not experiment.is_anytime or experiment.until_decided is None:
        if options.budget is not None:
            rule = "--budget is for experiments that declare until_decided: {anytime: true}"
            raise InputError(f"{rule}, got {options.budget} for {experiment.name}; did you mean --max-replicates?")
        return experiment
    there = max(replicates_there(experiment, store), experiment.replicates)
    most = max(there, LEAST, options.budget or 2 * there)
    declared = experiment.until_decided.max_replicates
    most = most if declared is None else max(there, min(most, declared))
    return experiment.model_copy(update={"until_decided": UntilDecided(anytime=True, max_replicates=most)})


def replicates_there(experiment: Experiment, store: Store) -> int:
    """Return up to how many replicates the folder has of the experiment's conditions."""
    if store.is_empty("runs"):
        return 0
    stored = store.read("runs", columns=["condition_id", "replicate", "seed"], sound=True)
    ours = {c.condition_id for c in grid.conditions(experiment)}
    stored = stored[stored["condition_id"].isin(ours) & (stored["seed"] == experiment.seed)]
    return 0 if stored.empty else int(stored["replicate"].max()) + 1
