"""Which runs represent a condition: nuisance settings tuned on validation examples, and the values of folds averaged.

A grid with nuisance settings has for each scientific condition several tunings, the combinations of nuisance levels. In each
replicate one tuning is chosen, the best by validation. Where validation is folds, it is the best on those of the replicate, which then
refits its own choice. Where it is a share of the examples, it is the best over the replicates before: the first replicate
only tunes. Claims rest on the runs of the chosen tunings alone, each evaluated on the test set once.

Why by those before? A run that does well on validation examples by luck does well on test examples too. With 8 levels that are alike on
one side of a comparison, choosing over the replicates that are judged gave 10 to 12% false verdicts. Choosing over all other
replicates is no better, 10 to 21%: where levels are nearly equal, each replicate chooses against its own luck, all of them together
(halves that choose for each other: 7%). By those before, what is judged is new: given the choice, a replicate's test metric is a fresh draw
of the chosen level, so that the t test keeps its 5% (of levels with an equal spread), and replicates that are added later leave
earlier choices as they are. What a verdict is about is the levels as chosen, a little worse than the best where levels are close.

Reference: Luedtke and van der Laan, Statistical Inference for the Mean Outcome under a Possibly Non-Unique Optimal Treatment Strategy,
2016 (online one-step estimator); Dawid, Statistical Theory: The Prequential Approach, 1984.

Where every tuning is refitted and tested, the regret says how far the chosen one lies from the best. With T refits of a
replicate, their test metrics m_t (accuracies; of losses the sign is turned), the tuning c that all folds choose and the
tuning s that the first fold alone, a single split, would have chosen:

    regret = max_t m_t - m_c      split_regret = max_t m_t - m_s      split_excess = split_regret - regret = m_c - m_s

The best is the best on this test set, so a regret is 0 at least, and above 0 by luck where tunings are alike; the excess has
no such bias.

Shapes: `G` scientific conditions, `T` tunings of each, `R` replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, MISSING, OK, observe, observe_ids, observe_runs
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, count_tunings, format_level, label_of, run_ids
from mlpbench.experiment.metrics.metric import REGRETS
from mlpbench.experiment.spec import Experiment
from mlpbench.results.metric_column import own_names_in

# From this share of diverged runs on, reports warn of a tuning.
MANY_DIVERGED = 0.25
# In place of the number of a tuning: none can be chosen yet.
NONE = -1
VALIDATED = ("val_loss", "val_accuracy")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TunedGrid:
    """The scientific conditions with their chosen tunings, and the run that represents each replicate.

    Attributes:
        conditions: the scientific conditions, each with the settings of the tuning chosen most often.
        observed: a row for each condition and replicate, as `observe` makes them.
        tuning: a row for each condition and tuning (see `_tuning`); empty where nothing is tuned.
        choice: what the tunings are chosen by; None where nothing is tuned.
        run_ids: all runs that the choice and `observed` rest on, those of folds and of other tunings included.
        is_whole_grid: whether these are all runs of the grid.

    """

    conditions: Sequence[Condition]
    observed: pd.DataFrame
    tuning: pd.DataFrame
    run_ids: pd.Series[Any]
    is_whole_grid: bool = False
    choice: Choice | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The tuning chosen in each replicate, and what the choice rests on.

    **Shape**: `chosen`, `alone`, `split` and `tied` (G, R), the others (G, T, R).

    Attributes:
        chosen: the number of the tuning, `NONE` where it can't be chosen yet.
        alone: the tuning that each replicate would choose for itself.
        split: the tuning that each replicate would choose by its first fold alone.
        tied: whether another one is as good as the chosen.
        cost: the objective, validation loss or minus validation accuracy; infinite for failed and diverged runs.
        diverged, failed, missing: number of runs, one for each fold, that ended so.

    """

    chosen: Ints
    alone: Ints
    split: Ints
    tied: npt.NDArray[np.bool_]
    cost: Floats
    diverged: Ints
    failed: Ints
    missing: Ints

    @property
    def settled(self) -> npt.NDArray[np.bool_]:
        """Whether all runs that a choice rests on are there, shape (G, R)."""
        return np.asarray(self.missing.sum(axis=1) == 0)


def tuned_by(experiment: Experiment) -> str:
    """Return the metric that settings are tuned by: validation accuracy, or loss where the target is numbers."""
    return "val_accuracy" if experiment.has_classes else "val_loss"


def choose(
    experiment: Experiment, conditions: Sequence[Condition], runs: pd.DataFrame, counts: Sequence[int]
) -> Choice:
    """Choose a tuning for each scientific condition, which has `counts` replicates.

    The tuning with the fewest runs that diverged, or failed, comes first; of those with equally many, the one that classifies
    the most validation examples right over the replicates before, or over the folds of a replicate; of equal ones that of the lower mean
    validation loss, which alone counts where the target is numbers. What is equal in that too is ordered by its content,
    never by its place in the file, and claims say that it is. Its runs can't be averaged: a refit is made of the chosen tuning alone, and
    curves, layers and predictions are those of one run. A diverged run wins only where every tuning has one. Runs that are not there yet are no
    part of a mean and count like diverged ones.
    """
    tunings, replicates = count_tunings(experiment), max(counts)
    folds: list[int | None] = [*range(experiment.folds)] if experiment.folds else [None]
    ids = [i for c in conditions for i in run_ids(experiment, c, range(replicates), folds)]
    observed = observe_ids(ids, runs)
    shape = (len(counts), tunings, replicates, len(folds))
    status = observed["status"].to_numpy(dtype=object).reshape(shape)
    planned = np.arange(replicates) < np.array(counts)[:, None]
    status[~np.broadcast_to(planned[:, None, :, None], shape)] = ""
    diverged, failed, missing = ((status == s).sum(axis=3) for s in (DIVERGED, FAILED, MISSING))
    loss, accuracy = (
        np.where(status == OK, observed[m].to_numpy(dtype=float).reshape(shape), np.nan) for m in VALIDATED
    )
    of_loss = tuned_by(experiment) == "val_loss"
    sizes = np.array([[c.settings_of(fold).n_validation for fold in folds] for c in conditions])
    ranked = Ranked(
        loss=loss,
        accuracy=np.full(shape, np.nan) if of_loss else accuracy,
        n=sizes.reshape(len(counts), tunings, 1, len(folds)),
        order=np.argsort(np.argsort([c.condition_id for c in conditions])).reshape(len(counts), tunings, 1),
    )
    bad = diverged + failed + missing
    ended = ((status == OK) | (status == DIVERGED)).any(axis=(1, 3)) & (missing.sum(axis=1) == 0)
    alone = np.where(planned & ended, ranked.best(bad), NONE)
    first = np.isin(status[..., 0], (DIVERGED, FAILED, MISSING)).astype(np.int64)
    split = np.where(planned & ended, ranked.of_first_fold.best(first), NONE)
    if experiment.folds:
        chosen, tied = alone, ranked.are_tied(bad)
    else:
        chosen, tied = _by_those_before(ranked, bad)
    chosen = np.where(planned, chosen, NONE)
    cost = _mean(loss if of_loss else -accuracy, (3,))
    return Choice(
        chosen=chosen,
        alone=alone,
        split=split,
        tied=tied & (chosen != NONE),
        cost=cost,
        diverged=diverged,
        failed=failed,
        missing=missing,
    )


def _by_those_before(ranked: Ranked, bad: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return the best tuning over the replicates before each, and whether others tie with it, (G, R); the first has but its own."""
    before = [(ranked.of_first(r), bad[:, :, :r].sum(axis=2, keepdims=True)) for r in (1, *range(1, bad.shape[2]))]
    best, tied = ([getattr(some, name)(lost) for some, lost in before] for name in ("best", "are_tied"))
    return np.concatenate(best, axis=1), np.concatenate(tied, axis=1)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What tunings are compared by, of finished runs, NaN for others; `F` folds.

    **Shape**: `loss` and `accuracy` (G, T, R, F), `n` examples of validation (G, T, 1, F), `order` (G, T, 1).
    """

    loss: Floats
    accuracy: Floats
    n: Ints
    order: Ints

    @property
    def of_first_fold(self) -> Ranked:
        """The same of the first fold alone, a single split."""
        return replace(self, loss=self.loss[..., :1], accuracy=self.accuracy[..., :1], n=self.n[..., :1])

    def of_first(self, r: int) -> Ranked:
        """Return the same of the first r replicates."""
        return replace(self, loss=self.loss[:, :, :r], accuracy=self.accuracy[:, :, :r])

    def best(self, bad: Ints) -> Ints:
        """Return the best tuning by the fewest bad runs, (G, T, R): in each replicate or, of shape (G, T, 1), over all."""
        order = np.broadcast_to(self.order, bad.shape)
        return np.asarray(np.lexsort((order, *reversed(self._keys(bad))), axis=1)[:, 0], dtype=np.int64)

    def are_tied(self, bad: Ints) -> npt.NDArray[np.bool_]:
        """Return where another tuning is as good as the best, (G, R), so that the order of contents tells them apart."""
        keys = np.stack(self._keys(bad))
        at_best = np.take_along_axis(keys, self.best(bad)[None, :, None, :], axis=2)
        return np.asarray(((keys == at_best).all(axis=0) & np.isfinite(keys[2])).sum(axis=1) > 1)

    def _keys(self, bad: Ints) -> tuple[Floats, Floats, Floats]:
        """Return what tunings are compared by, in this order: bad runs, the share of wrong predictions and the mean loss, (G, T, R)."""
        axes = (3,) if bad.shape[2] == self.loss.shape[2] else (2, 3)
        known = np.isfinite(self.accuracy)
        right = np.rint(np.where(known, self.accuracy, 0.0) * self.n).sum(axis=axes, keepdims=True)
        of = np.where(known, self.n, 0).sum(axis=axes, keepdims=True)
        error = np.where(of > 0, 1 - right / np.maximum(of, 1), np.inf)[..., 0]
        return bad.astype(float), error, _mean(self.loss, axes)


def _mean(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Return the mean over the last of axes, or more of them that stay with length 1; infinity where nothing is there."""
    n = (~np.isnan(values)).sum(axis=axes, keepdims=True)
    return np.where(n > 0, np.nansum(values, axis=axes, keepdims=True) / np.maximum(n, 1), np.inf)[..., 0]


def tuned_grid(
    experiment: Experiment, conditions: Sequence[Condition], runs: pd.DataFrame, counts: Sequence[int] | None = None
) -> TunedGrid:
    """Return the scientific conditions and the runs that represent them; `counts` are their replicates, where they differ.

    A replicate that only tunes has no row.

    A metric of validation examples is the mean over the folds of a replicate, which a replicate has when all have it. Where
    every level is refitted, `observed` has the metrics `REGRETS` too.
    """
    if not experiment.nuisance and not experiment.folds and counts is None:
        observed = observe(experiment, conditions, runs)
        return TunedGrid(
            conditions=conditions,
            observed=observed,
            tuning=pd.DataFrame(),
            run_ids=observed["run_id"],
            is_whole_grid=True,
        )
    tunings = count_tunings(experiment)
    groups = len(conditions) // tunings
    counts = [experiment.replicates] * groups if counts is None else counts
    choice = choose(experiment, conditions, runs, counts) if experiment.nuisance else None
    rows = []
    scientific = []
    regretted: list[dict[str, Floats]] = []
    refitted: list[str] = []
    for g, count in enumerate(counts):
        picked = np.zeros(count, np.int64) if choice is None else choice.chosen[g, :count].copy()
        picked[: experiment.set_aside] = NONE
        most_chosen = int(np.bincount(picked[picked >= 0]).argmax()) if (picked >= 0).any() else 0
        condition = _scientific(experiment, conditions[g * tunings + most_chosen])
        scientific.append(condition)
        members = conditions[g * tunings : (g + 1) * tunings]
        refits = [run_ids(experiment, m, range(count)) for m in members]
        if choice is not None and has_regret(experiment):
            of_condition, ids = regrets(refits, runs, picked, choice.split[g, :count])
            regretted.append(of_condition)
            refitted += ids
        for replicate, t in list(enumerate(picked))[experiment.set_aside :]:
            if t >= 0:
                run_id = refits[t][replicate]
            elif choice is not None and choice.settled[g, replicate]:
                # There never will be a choice: every run on a fold failed, and the first of them stands for the replicate.
                run_id = run_ids(experiment, members[0], [replicate], [0])[0]
            else:
                run_id = f"not chosen {g} {replicate}"  # which no run has
            rows.append((g, condition.condition_id, condition.label, replicate, run_id, max(t, 0)))
    planned = pd.DataFrame(rows, columns=["position", "condition_id", "label", "replicate", "run_id", "tuning"])
    observed = observe_runs(planned.astype({"run_id": object, "label": object, "condition_id": object}), runs)
    used = list(observed["run_id"])
    if experiment.folds:
        means, of_folds = _over_folds(experiment, conditions, runs, observed, tunings)
        of_regret = {name: np.concatenate([r[name] for r in regretted]) for name in REGRETS if regretted}
        observed = observed.assign(
            **means, **{n: np.where(observed["status"] == OK, v, np.nan) for n, v in of_regret.items()}
        )
        used = list(dict.fromkeys([*used, *refitted, *of_folds]))
    elif choice is not None:
        used = [
            i
            for g, n in enumerate(counts)
            for t in range(tunings)
            for i in run_ids(experiment, conditions[g * tunings + t], range(n))
        ]
    tuning = pd.DataFrame() if choice is None else _tuning(experiment, conditions, scientific, choice, counts)
    return TunedGrid(
        conditions=scientific,
        observed=observed.drop(columns="tuning"),
        tuning=tuning,
        run_ids=pd.Series(used, dtype=object),
        choice=choice,
    )


def _scientific(experiment: Experiment, chosen: Condition) -> Condition:
    """Return a scientific condition with the settings of its chosen tuning."""
    if not experiment.nuisance:
        return chosen
    levels = {k: v for k, v in chosen.levels.items() if k not in experiment.nuisance}
    return replace(chosen, levels=levels, label=label_of(levels, experiment))


def _over_folds(
    experiment: Experiment, conditions: Sequence[Condition], runs: pd.DataFrame, observed: pd.DataFrame, tunings: int
) -> tuple[dict[str, Floats], list[str]]:
    """Return the mean over folds of each validation metric for each row, and the runs on folds of all tunings."""
    folds = list(range(experiment.folds or 0))
    position, tuning = observed["position"].to_numpy(), observed["tuning"].to_numpy()
    counts = observed.groupby("position").size()
    by_condition = {
        g * tunings + t: run_ids(experiment, conditions[g * tunings + t], range(n), folds)
        for g, n in enumerate(counts.tolist())
        for t in range(tunings)
    }
    k = len(folds)
    of_rows = [
        i
        for c, r in zip(position * tunings + tuning, observed["replicate"], strict=True)
        for i in by_condition[c][r * k : (r + 1) * k]
    ]
    observed_folds = observe_ids(of_rows, runs)
    means = {
        m: observed_folds[m].to_numpy(dtype=float).reshape(-1, k).mean(axis=1)
        for m in (*VALIDATED, *own_names_in(observed_folds, "val"))
    }
    return means, [i for ids in by_condition.values() for i in ids]


def _tuning(
    experiment: Experiment,
    conditions: Sequence[Condition],
    scientific: Sequence[Condition],
    choice: Choice,
    counts: Sequence[int],
) -> pd.DataFrame:
    """Return a row for each scientific condition and tuning: its validation metric, how often it is chosen, its lost runs.

    `value` is the mean of the metric that is tuned by; `chosen` the number of replicates, of those `judged`, that it represents, and
    `tied` in how many of these another is as good;
    `wins` the number of replicates, of those planned, that would choose it, each for itself; `runs` the number of planned runs; `edges` the settings whose chosen
    level is the lowest or highest of a range of numbers.
    """
    tunings = count_tunings(experiment)
    sign = 1.0 if tuned_by(experiment) == "val_loss" else -1.0
    per_replicate = experiment.folds or 1
    rows = []
    for g, condition in enumerate(scientific):
        n = counts[g]
        for t in range(tunings):
            levels = {k: conditions[g * tunings + t].levels[k] for k in experiment.nuisance}
            finished = choice.cost[g, t, :n][np.isfinite(choice.cost[g, t, :n])]
            chosen = int((choice.chosen[g, experiment.set_aside : n] == t).sum())
            rows.append(
                {
                    "position": g,
                    "label": condition.label,
                    "tuning": ", ".join(f"{k}={format_level(v)}" for k, v in levels.items()),
                    "value": sign * float(finished.mean()) if len(finished) else np.nan,
                    "n": len(finished),
                    "chosen": chosen,
                    "tied": int((choice.tied & (choice.chosen == t))[g, experiment.set_aside : n].sum()),
                    "wins": int((choice.alone[g, :n] == t).sum()),
                    "planned": n,
                    "judged": n - experiment.set_aside,
                    "runs": n * per_replicate,
                    "diverged": int(choice.diverged[g, t, :n].sum()),
                    "failed": int(choice.failed[g, t, :n].sum()),
                    "missing": int(choice.missing[g, t, :n].sum()),
                    "edges": ", ".join(k for k, v in levels.items() if chosen and _is_edge(v, experiment.nuisance[k])),
                }
            )
    return pd.DataFrame(rows)


def _is_edge(level: object, levels: Sequence[object]) -> bool:
    numbers = [v for v in levels if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(levels) > 1 and level in (min(numbers), max(numbers))


def winners(tuning: pd.DataFrame, position: int) -> str:
    """Return the chosen tuning of a condition: `lr=0.1`, or where replicates choose for themselves how many chose each."""
    rows = records(tuning[(tuning["position"] == position) & (tuning["chosen"] > 0)])
    if len(rows) == 1:
        return str(rows[0]["tuning"])
    return " or ".join(
        f"{r['tuning']} ({r['chosen']} of {r['judged']})" for r in sorted(rows, key=lambda r: -r["chosen"])
    )


def has_regret(experiment: Experiment) -> bool:
    """Return whether every tuning is refitted, so that the best of a replicate is known."""
    return bool(experiment.nuisance) and experiment.refit == "all"


def regrets(
    refits: Sequence[Sequence[str]], runs: pd.DataFrame, chosen: Ints, split: Ints
) -> tuple[dict[str, Floats], list[str]]:
    """Return the metrics `REGRETS` of one scientific condition, a value for each replicate, and the runs they rest on.

    `refits` are the run ids, (T, R), `chosen` and `split` the tunings, (R,), negative where there is none yet. A refit that
    diverged is never the best; a regret is NaN where its own refit diverged, and where a refit of the replicate failed or
    is missing, since that could have been the best.
    """
    ids = [run_id for of_tuning in refits for run_id in of_tuning]
    observed = observe_ids(ids, runs)
    shape = (len(refits), len(chosen))
    status = observed["status"].to_numpy(dtype=object).reshape(shape)
    usable = ((status == OK) | (status == DIVERGED)).all(axis=0) & (chosen >= 0) & (split >= 0)
    each = np.arange(len(chosen))
    metrics: dict[str, Floats] = {}
    for name, sign in (("accuracy", 1.0), ("loss", -1.0)):
        good = sign * observed[f"test_{name}"].to_numpy(dtype=float).reshape(shape)
        best = np.where(np.isnan(good), -np.inf, good).max(axis=0)
        usable_here = usable & np.isfinite(best)
        of_folds, of_split = (
            np.where(usable_here, best - good[np.maximum(c, 0), each], np.nan) for c in (chosen, split)
        )
        excess = good[np.maximum(chosen, 0), each] - good[np.maximum(split, 0), each]
        metrics |= {f"regret_{name}": of_folds, f"split_regret_{name}": of_split}
        metrics[f"split_excess_{name}"] = np.where(usable_here, excess, np.nan)
    return metrics, ids
