"""What mypy refuses in a script of a user's: each line has an `ignore`, and mypy complains of one that is not needed (`make types`).

Nothing runs it: the experiments are wrong.
"""

from __future__ import annotations

import mlpbench


def wrong(outcome: mlpbench.Outcome) -> None:
    """Each call has one mistake, which an editor marks."""
    mlpbench.Experiment(name="w", question="Which?", dataset="digits", replicate=3)  # type: ignore[arg-type]
    mlpbench.Experiment(name="w", dataset="digits")  # type: ignore[call-arg]
    mlpbench.Experiment(name="w", question="Which?", dataset="digits", replicates="3")  # type: ignore[arg-type]
    mlpbench.Experiment(name="w", question="Which?", vary=["inti"])  # type: ignore[list-item]
    mlpbench.run("width", executor="slurm")  # type: ignore[arg-type]
    mlpbench.run("width", workers="2")  # type: ignore[arg-type]
    mlpbench.plan(3)  # type: ignore[arg-type]
    outcome.tidy("run")  # type: ignore[arg-type]
    outcome.plot.curve()  # type: ignore[attr-defined]
    mlpbench.nothing()  # type: ignore[attr-defined]
