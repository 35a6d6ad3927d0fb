"""Top-up: the looks at which claims are judged, the level each look may spend, and what came of following them.

An experiment that declares `until_decided` gives further replicates to the claims that are still undecided. Judging again
and again at 5% would be wrong far more often than in 5%, so each look has a level of its own:

    look k, at n_k of at most N replicates, may spend alpha (n_k - n_(k-1)) / N, with n_0 = 0.

That is the linear spending function at the information fraction n_k / N. A claim decided wrongly was so at some look: by
the union bound the chance of it is at most the sum of the levels, alpha, whatever the looks have in common. Claims share a
level equally (Bonferroni), and a verdict stands at the look that decided it. The looks follow from `replicates` and
N alone, so they can be followed again from the tables.

Reference: Lan and DeMets, Discrete Sequential Boundaries for Clinical Trials, 1983.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mlpbench.evidence.estimates.layer_columns import Layers
from mlpbench.evidence.estimates.observe import MISSING
from mlpbench.evidence.estimates.tuning_choice import Gathered, gather, winners
from mlpbench.evidence.judging import judge as judging
from mlpbench.evidence.judging.caveats import least_replicates
from mlpbench.evidence.judging.judge import Curves
from mlpbench.evidence.judging.reduction import conditions_of
from mlpbench.evidence.judging.verdict import UNDECIDED, Verdict
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.forms import Claim
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment
from mlpbench.results.test_examples import TestSet


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """An interim analysis: the verdicts at one number of replicates on the claims that were undecided before it.

    `number` counts from 1; `level` is for all claims together. An analysis is `complete` once no run that it needs is
    missing: it decides only then.
    """

    number: int
    replicates: int
    level: float
    complete: bool
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdicts and what they rest on.

    `replicates` has the number of replicates of each scientific condition; without a declared top-up there are no
    `interim_analyses`.
    """

    gathered: Gathered
    verdicts: Sequence[Verdict]
    replicates: Sequence[int]
    interim_analyses: Sequence[InterimAnalysis] = ()


def schedule(replicates: int, most: int) -> list[int]:
    """Return at how many replicates the looks are: half as many more each time, 2 at least, up to `most`."""
    found = [replicates]
    while found[-1] < most:
        found.append(min(most, found[-1] + max(2, math.ceil(found[-1] / 2))))
    return found


def levels(at: Sequence[int]) -> list[float]:
    """Return what each of the looks at so many replicates may spend; their sum is `ALPHA`."""
    return [ALPHA * (n - before) / at[-1] for before, n in zip([0, *at[:-1]], at, strict=True)]


def judge(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    declared_late: str = "",
    test_set: TestSet | None = None,
    layers: Layers | None = None,
) -> Judgement:
    """Return the verdicts over the runs there are, by interim analyses where the experiment declares a top-up.

    `declared_late` says how the experiment was declared at its first analysis, where it has been topped up since without
    having declared that before: its verdicts are exploratory. `test_set` and `layers` are for `judge.judge`.
    """
    if experiment.until_decided is None:
        groups = len(conditions) // count_tunings(experiment)
        gathered = gather(experiment, conditions, runs)
        verdicts = judging.judge(
            experiment, gathered.conditions, runs, curves, gathered.observed, test_set=test_set, layers=layers
        )
        judgement = Judgement(gathered=gathered, verdicts=verdicts, replicates=[experiment.replicates] * groups)
    else:
        judgement = _analyse(experiment, conditions, runs, curves, test_set, layers)
    late = f"Exploratory: the first look was with {declared_late}." if declared_late else ""
    tuned = _tuned(experiment, judgement.gathered)
    verdicts = tuple(
        replace(v, exploratory=bool(declared_late), tuned=t, note=f"{v.note} {late}".strip())
        for v, t in zip(judgement.verdicts, tuned, strict=True)
    )
    return replace(judgement, verdicts=verdicts)


def _analyse(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    test_set: TestSet | None,
    layers: Layers | None,
) -> Judgement:
    at = schedule(experiment.replicates, experiment.most_replicates)
    counts = [at[0]] * (len(conditions) // count_tunings(experiment))
    gathered = gather(experiment, conditions, runs, counts)
    tested = [c for c in experiment.claims if not _is_observed(c)]
    alive = tested
    verdicts: dict[str, Verdict] = {}
    analyses: list[InterimAnalysis] = []
    for number, (n, level) in enumerate(zip(at, levels(at), strict=True), start=1):
        if not alive and analyses:
            break
        needed = {g for c in alive for g in _needed(c, experiment, gathered.conditions)}
        counts = [n if g in needed else count for g, count in enumerate(counts)]
        gathered = gather(experiment, conditions, runs, counts)
        seen = gathered.observed[gathered.observed["position"].isin(needed)] if number > 1 else gathered.observed
        complete = not (seen["status"] == MISSING).any()
        asked = experiment.model_copy(update={"claims": tuple(alive), "replicates": n})
        each = level / max(1, len(tested))
        found = judging.judge(
            asked, gathered.conditions, runs, curves, gathered.observed, level=each, test_set=test_set, layers=layers
        )
        if not complete:
            waits = f"Look {number} is not complete, and decides nothing yet."
            found = tuple(replace(v, decision=UNDECIDED, note=f"{v.note} {waits}".strip()) for v in found)
        analyses.append(InterimAnalysis(number=number, replicates=n, level=level, complete=complete, verdicts=found))
        verdicts |= {v.claim.id: replace(v, interim_analysis=number) for v in found}
        alive = [v.claim for v in found if _may_decide(v)]
        if not complete:
            break
    for claim in experiment.claims:
        if _is_observed(claim):
            n = min(counts[g] for g in _needed(claim, experiment, gathered.conditions))
            asked = experiment.model_copy(update={"claims": (claim,), "replicates": n})
            seen = gathered.observed[gathered.observed["replicate"] < n]
            (verdicts[claim.id],) = judging.judge(asked, gathered.conditions, runs, curves, seen, layers=layers)
    return Judgement(
        gathered=gathered,
        verdicts=[verdicts[c.id] for c in experiment.claims],
        replicates=counts,
        interim_analyses=tuple(analyses),
    )


def _may_decide(verdict: Verdict) -> bool:
    """Return whether further replicates may decide what is undecided.

    A run that was lost may have left too few for a test. Where the sides of half of the replicates are not known, as their
    runs never got there, those of more would not be.
    """
    if verdict.decision != UNDECIDED:
        return False
    if verdict.p is None:
        return 0 < verdict.n < least_replicates(verdict.claim, verdict.reduction)
    return verdict.p < 1 or not verdict.reduction.median or not verdict.is_partly_known


def _is_observed(claim: Claim) -> bool:
    return claim.bound is not None and claim.bound.of == "every"


def _needed(claim: Claim, experiment: Experiment, conditions: Sequence[Condition]) -> list[int]:
    """Return the positions of the conditions a claim rests on."""
    needed = conditions_of([claim], experiment, conditions)
    return [g for g, c in enumerate(conditions) if c.condition_id in needed]


def _tuned(experiment: Experiment, gathered: Gathered) -> list[str]:
    """Return for each claim the winners of the conditions it rests on."""
    if gathered.tuning.empty:
        return [""] * len(experiment.claims)
    found = []
    for claim in experiment.claims:
        needed = _needed(claim, experiment, gathered.conditions)
        chosen = {g: winners(gathered.tuning, g) for g in needed}
        if len(set(chosen.values())) == 1:
            found.append(next(iter(chosen.values())))
        else:
            found.append("; ".join(f"{gathered.conditions[g].label}: {w}" for g, w in chosen.items()))
    return found


def describe(analyses: Sequence[InterimAnalysis]) -> str:
    """Return in a sentence how many interim analyses there were, at which n, and what level was spent."""
    if not analyses:
        return ""
    done = [look for look in analyses if look.complete]
    waiting = [look for look in analyses if not look.complete]
    at = ", ".join(str(look.replicates) for look in done)
    spent = ", ".join(f"{look.level:.3g}" for look in done)
    first = "No look is complete yet."
    if done:
        first = (
            f"There {'were' if len(done) > 1 else 'was'} {len(done)} look{'s' * (len(done) > 1)}, at {at} replicates, which "
            f"spent {spent} of the level of {ALPHA:g}{f', {sum(x.level for x in done):.3g} in all' * (len(done) > 1)}."
        )
    then = [f"Look {look.number}, at {look.replicates} replicates, is not complete." for look in waiting]
    rule = (
        "Undecided claims get further replicates, as the experiment declares; look k may spend the level's share of the "
        "replicates that are new to it (linear alpha spending, Lan and DeMets, 1983; union bound over looks, Bonferroni over "
        "claims), and a verdict stands at the look that decided it."
    )
    return " ".join([first, *then, rule])
