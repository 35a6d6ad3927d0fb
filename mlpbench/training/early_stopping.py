"""Early stopping: the best epoch of each run so far by its own validation, and the runs that go on.

After each epoch the best value of the rule's metric is compared with the present one. A run stops once `patience` epochs in
a row were no better than the best by more than `min_delta`, or once it has diverged. What it ends with are the parameters
of its best epoch, which are kept in a network of the whole stack; those that go on are trained in a smaller one, which they
take their parameters and their optimiser's state along to. Streams are addressed by step and epoch, so that nothing else
follows from who stopped. A refit of runs on folds validates nothing: it ends after the epochs that follow from those.

Reference: L. Prechelt, "Early stopping - but when?", 1998.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mlpbench.experiment.components.stopping_rules import StoppingRule
from mlpbench.experiment.grid import Run
from mlpbench.training.network.mlp_stack import Network


@dataclass
class _Progress:
    """How far a run has come: the step and the value of its best epoch, epochs since, and the step it stopped at."""

    best_step: int = 0
    best: float | None = None
    waited: int = 0
    stopped_at: int | None = None


class EarlyStopping:
    """Which epoch of each run is the best so far, and after how many steps each has stopped."""

    def __init__(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if run.settings.is_refit_of_stops and run.refit_epochs is None:
                raise ValueError(f"a refit of runs that stop early needs their epochs, got none for {run.run_id}")
        self._rules = {run.run_id: StoppingRule.of(run.settings.early_stopping) for run in runs}
        self._progress = {run.run_id: _Progress() for run in runs}

    def note(
        self,
        step: int,
        runs: Sequence[Run],
        means: Mapping[str, Sequence[float | None]],
        *,
        has_diverged: Sequence[bool],
    ) -> tuple[list[int], list[int]]:
        """Note an epoch; return the positions of the runs that improved, and of those that go on.

        Args:
            step: how many steps were taken by then.
            runs: those that were trained; one may stand there twice.
            means: of each score, by its name on curves, the mean over validation examples of each run; nothing of refits.
            has_diverged: whether each run has diverged by then.

        """
        improved, going_on = [], []
        seen: dict[str, bool] = {}
        for i, run in enumerate(runs):
            own, rule = self._progress[run.run_id], self._rules[run.run_id]
            if own.stopped_at is not None or rule is None:
                continue
            if run.refit_epochs is not None:
                last = refit_steps(run, run.refit_epochs)
                if step == last and not has_diverged[i]:
                    own.best_step = step
                    improved.append(i)
                elif step < last and not has_diverged[i]:
                    going_on.append(i)
                continue
            if run.run_id not in seen:
                value = means[rule.metric.removeprefix("val_")][i]
                seen[run.run_id] = not has_diverged[i] and value is not None and rule.improves(value, own.best)
                own.waited = 0 if seen[run.run_id] else own.waited + 1
                if seen[run.run_id]:
                    own.best, own.best_step = value, step
            if seen[run.run_id]:
                improved.append(i)
            if own.waited < rule.patience and not has_diverged[i]:
                going_on.append(i)
        for run in runs:
            if run.run_id not in {runs[i].run_id for i in going_on} and self._progress[run.run_id].stopped_at is None:
                self._progress[run.run_id].stopped_at = step
        return improved, going_on

    def best_step(self, run: Run) -> int:
        """Return after how many steps a run was at its best, 0 where no epoch had a finite value."""
        return self._progress[run.run_id].best_step

    def steps_taken(self, run: Run) -> int:
        """Return how many steps a run took."""
        stopped = self._progress[run.run_id].stopped_at
        return run.settings.steps if stopped is None else stopped


def refit_steps(run: Run, epochs: int) -> int:
    """Return the steps of so many epochs, at most all of them."""
    return min(epochs * run.settings.steps_per_epoch, run.settings.steps)


def copy_runs(into: Network, into_places: Sequence[int], of: Network, places: Sequence[int]) -> None:
    """Copy the parameters and running averages of some runs of a network into runs of another of the same shapes."""
    at, to = (torch.tensor(p, dtype=torch.int64, device=of.device) for p in (places, into_places))
    there = of.parameters.by_name()
    for name, own in into.parameters.by_name().items():
        if name in there:  # slopes are only where a run has them
            own.flat_RS.index_copy_(0, to, there[name].flat_RS.index_select(0, at))
    for own_norm, norm in zip(into.norms, of.norms):
        own_norm.mean.index_copy_(0, to, norm.mean.index_select(0, at))
        own_norm.variance.index_copy_(0, to, norm.variance.index_select(0, at))
