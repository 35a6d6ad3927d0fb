"""One run of an experiment."""

from __future__ import annotations

from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition, Run, runs_of


def make_run(experiment: Design, condition: Condition, replicate: int, fold: int | None = None) -> Run:
    """Return the run of a condition in a replicate, on all examples or on a fold."""
    (run,) = runs_of(experiment, condition, [replicate], [fold])
    return run
