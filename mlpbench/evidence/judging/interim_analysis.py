"""Top-up: the interim analyses at which claims are judged, the level each may spend, and what came of following them.

An experiment that declares `until_decided` gives more replicates to the claims that are still undecided. Judging again
and again at 5% would be wrong far more often than in 5%, so each interim analysis has a level of its own (see
`statistics.alpha_spending`). Claims share it equally, those that are decided leave their share to the others, and a verdict stands
at the analysis that decided it. Claims that every replicate keeps a bound are observed: they get the replicates that can show it,
once the others are decided, and spend nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from mlpbench.evidence.estimates.layer_estimates import Layers
from mlpbench.evidence.estimates.tuning_choice import TunedGrid, tuned_grid, winners
from mlpbench.evidence.frames import is_among, records
from mlpbench.evidence.judging import anytime
from mlpbench.evidence.judging.caveats import BoundKept, IncompleteAnalysis, TiedTunings, Unfinished
from mlpbench.evidence.judging.claim_values import Curves
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.p_correction import AtInterimAnalysis, by_holm
from mlpbench.evidence.judging.registered_verdict import by_registration, dropped_claims, levels_of, without_verdict
from mlpbench.evidence.judging.verdict import UNDECIDED, Verdict
from mlpbench.evidence.statistics.alpha_spending import schedule, spent
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.hypothesis import EVERY_LEAST
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment
from mlpbench.results.examples import TestSet
from mlpbench.results.registration import Registration


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """An interim analysis: the verdicts at one number of replicates on the claims that were undecided before it.

    `number` counts from 1; `level` is for all claims together. An analysis is `complete` once no run that it needs is
    missing: it decides only then. `whole_level` is what all analyses spend together, `most` the number of replicates of the last one,
    of which `set_aside` only tune settings.
    """

    number: int
    replicates: int
    most: int
    level: float
    complete: bool
    whole_level: float = ALPHA
    set_aside: int = 0
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdicts and what they rest on.

    `replicates` has the number of replicates of each scientific condition; without a declared top-up there are no
    `interim_analyses`.
    """

    grid: TunedGrid
    verdicts: Sequence[Verdict]
    replicates: Sequence[int]
    interim_analyses: Sequence[InterimAnalysis] = ()


def judge(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    registration: Registration | None = None,
    test_set: TestSet | None = None,
    layers: Layers | None = None,
) -> Judgement:
    """Return the verdicts over the runs there are, by interim analyses where the experiment declares a top-up.

    `registration` says how the claims are registered, by which verdicts are exploratory, and at which level they are
    decided. `test_set` and `layers` are for `judge_claims`. Nothing is decided before all runs are there, or by a pilot.
    """
    if experiment.is_anytime:
        grid, judged, counts = anytime.follow(
            experiment, conditions, runs, curves, test_set, layers, _may_decide, registration
        )
        judgement = Judgement(grid=grid, verdicts=judged, replicates=counts)
    elif experiment.until_decided is None:
        groups = len(conditions) // count_tunings(experiment)
        grid = tuned_grid(experiment, conditions, runs)
        verdicts = judge_claims(
            experiment,
            grid.conditions,
            runs,
            curves,
            grid.observed,
            correct=partial(by_holm, dropped=dropped_claims(registration)),
            test_set=test_set,
            layers=layers,
            registration=registration,
        )
        waits = Unfinished(done=_there(grid, runs), planned=len(grid.run_ids))
        if waits.done < waits.planned:
            verdicts = tuple(without_verdict(v, waits) for v in verdicts)
        judgement = Judgement(grid=grid, verdicts=verdicts, replicates=[experiment.replicates] * groups)
    else:
        judgement = _analyse(experiment, conditions, runs, curves, test_set, layers, registration)
    tuned, tied = _tuned(experiment, judgement.grid), _tied(experiment, judgement.grid)
    verdicts = tuple(
        by_registration(replace(v, tuned=t, caveats=(*v.caveats, *ties)), registration)
        for v, t, ties in zip(judgement.verdicts, tuned, tied, strict=True)
    )
    return replace(judgement, verdicts=verdicts)


def _analyse(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    test_set: TestSet | None,
    layers: Layers | None,
    registration: Registration | None,
) -> Judgement:
    at = schedule(experiment.replicates, experiment.most_replicates)
    judged = [n - experiment.set_aside for n in at]
    counts = [at[0]] * (len(conditions) // count_tunings(experiment))
    grid = tuned_grid(experiment, conditions, runs, counts)
    observed = {c.id for c in experiment.claims if c.hypothesis(experiment, grid.conditions).is_observed}
    tested = [c for c in experiment.claims if c.id not in observed]
    whole = max(levels_of(tested, registration), default=ALPHA)
    margins = {c.id for c in tested if c.hypothesis(experiment, grid.conditions).margin is not None}
    alive = tested
    verdicts: dict[str, Verdict] = {}
    analyses: list[InterimAnalysis] = []
    for number, (n, level) in enumerate(zip(at, spent(judged, whole), strict=True), start=1):
        if not alive and analyses:
            break
        needed = {g for c in alive for g in _needed(c, experiment, grid.conditions)}
        counts = [n if g in needed else count for g, count in enumerate(counts)]
        grid = tuned_grid(experiment, conditions, runs, counts)
        waits = IncompleteAnalysis(number=number, done=_there(grid, runs), planned=len(grid.run_ids))
        complete = waits.done == waits.planned
        narrowed = experiment.model_copy(update={"claims": tuple(alive), "replicates": n})
        rejected = sum(v.p_corrected is not None and v.p_corrected <= v.level for v in verdicts.values())
        at_margin = sum(v.p_at_margin is not None and v.p_at_margin <= v.level for v in verdicts.values())
        dropped = dropped_claims(registration)
        correct = AtInterimAnalysis(
            at=judged,
            number=number,
            undecided=len(tested) + dropped - rejected,
            with_margin=len(margins) + dropped - at_margin,
        )
        current = judge_claims(
            narrowed,
            grid.conditions,
            runs,
            curves,
            grid.observed,
            correct=correct,
            test_set=test_set,
            layers=layers,
            registration=registration,
        )
        if not complete:
            current = tuple(without_verdict(v, waits) for v in current)
        analyses.append(
            InterimAnalysis(
                number=number,
                replicates=n,
                most=at[-1],
                level=level,
                whole_level=whole,
                set_aside=experiment.set_aside,
                complete=complete,
                verdicts=current,
            )
        )
        verdicts |= {v.claim.id: replace(v, interim_analysis=number) for v in current}
        alive = [v.claim for v in current if _may_decide(v)]
        if not complete:
            break

    def seen(claim: Claim) -> Verdict:
        n = min(counts[g] for g in _needed(claim, experiment, grid.conditions))
        narrowed = experiment.model_copy(update={"claims": (claim,), "replicates": n})
        rows = grid.observed[grid.observed["replicate"] < n]
        (verdict,) = judge_claims(
            narrowed, grid.conditions, runs, curves, rows, layers=layers, registration=registration
        )
        return verdict

    for claim in experiment.claims:
        if claim.id in observed:
            verdict = seen(claim)
            verdicts[claim.id] = verdict if complete else without_verdict(verdict, waits)
    enough = EVERY_LEAST + experiment.set_aside
    kept = [c for c in experiment.claims if c.id in observed and _kept_by_few(verdicts[c.id])]
    if complete and kept and enough <= at[-1]:
        for g in {g for claim in kept for g in _needed(claim, experiment, grid.conditions)}:
            counts[g] = max(counts[g], enough)
        grid = tuned_grid(experiment, conditions, runs, counts)
        if _there(grid, runs) == len(grid.run_ids):  # until then they stand as at the last analysis
            verdicts |= {claim.id: seen(claim) for claim in kept}
    return Judgement(
        grid=grid,
        verdicts=[verdicts[c.id] for c in experiment.claims],
        replicates=counts,
        interim_analyses=tuple(analyses),
    )


def _there(grid: TunedGrid, runs: pd.DataFrame) -> int:
    """Return how many are there of the runs that verdicts and the choice of tunings rest on."""
    return int(is_among(grid.run_ids, runs["run_id"]).sum())


def _may_decide(verdict: Verdict) -> bool:
    """Return whether further replicates may decide what is undecided, and not withheld for what is known already.

    Further replicates are no further data sets: a claim over these is judged at the first analysis alone. A run that was lost may have left too few for a test. Where the sides of half of the replicates are not known, as their
    runs never got there, those of more would not be.
    """
    if verdict.decision != UNDECIDED or verdict.withheld is not None or verdict.hypothesis.datasets:
        return False
    if verdict.p is None:
        return 0 < verdict.n < verdict.hypothesis.test.least
    return verdict.p < 1 or not verdict.hypothesis.is_of_median or not verdict.is_partly_known


def _kept_by_few(verdict: Verdict) -> bool:
    """Return whether every replicate keeps a bound, and more of them would show that nearly all further ones do.

    It is observed and not tested: more replicates take no share of the level.
    """
    return verdict.decision == UNDECIDED and any(
        isinstance(c, BoundKept) and c.rate is not None for c in verdict.caveats
    )


def _needed(claim: Claim, experiment: Experiment, conditions: Sequence[Condition]) -> list[int]:
    """Return the positions of the conditions a claim rests on."""
    return claim.hypothesis(experiment, conditions).positions(conditions)


def _tuned(experiment: Experiment, grid: TunedGrid) -> list[str]:
    """Return for each claim the winners of the conditions it rests on."""
    if grid.tuning.empty:
        return [""] * len(experiment.claims)
    texts = []
    for claim in experiment.claims:
        needed = _needed(claim, experiment, grid.conditions)
        chosen = {g: winners(grid.tuning, g) for g in needed}
        if len(set(chosen.values())) == 1:
            texts.append(next(iter(chosen.values())))
        else:
            texts.append("; ".join(f"{grid.conditions[g].label}: {w}" for g, w in chosen.items()))
    return texts


def _tied(experiment: Experiment, grid: TunedGrid) -> list[list[TiedTunings]]:
    """Return for each claim in how many replicates the winners of the conditions it rests on tie with other tunings."""
    if grid.tuning.empty:
        return [[] for _ in experiment.claims]
    counts = {
        int(r["position"]): r for r in records(grid.tuning.groupby("position")[["tied", "chosen"]].sum().reset_index())
    }
    found = {
        g: TiedTunings(tied=int(n["tied"]), n=int(n["chosen"]), where=grid.conditions[g].label)
        for g, n in counts.items()
        if n["tied"]
    }
    return [[found[g] for g in _needed(c, experiment, grid.conditions) if g in found] for c in experiment.claims]


def describe(analyses: Sequence[InterimAnalysis]) -> str:
    """Return in sentences how many interim analyses there were, at which n, and what level was spent."""
    if not analyses:
        return ""
    done = [a for a in analyses if a.complete]
    at = ", ".join(str(a.replicates) for a in done)
    level = analyses[-1].whole_level
    spent = ", ".join(f"{a.level:.3g}" for a in done)
    first = "No interim analysis is complete yet."
    if len(done) == 1:
        first = f"There was 1 interim analysis, at {at} replicates, which spent {spent} of the level of {level:.3g}."
    elif done:
        whole = sum(a.level for a in done)
        first = (
            f"There were {len(done)} interim analyses, at {at} replicates, which spent {spent} of the level of {level:.3g}, "
            f"{whole:.3g} in all."
        )
    waiting = [
        f"Interim analysis {a.number}, at {a.replicates} replicates, is incomplete." for a in analyses if not a.complete
    ]
    of_all, aside = analyses[-1].most, analyses[-1].set_aside
    share = f"((n - {aside}) / {of_all - aside})" if aside else f"(n / {of_all})"
    rule = (
        "Undecided claims get more replicates, as the experiment declares. Once there are n of at most "
        f"{analyses[-1].most} replicates, the share {share}^3 of the level may have been spent (Kim and DeMets, "
        "1987), by t tests with the levels that spend just that. Claims share it equally, and those that are decided leave their "
        "share to the others (Maurer and Bretz, 2013). A verdict stands at the analysis that decided it."
    )
    return " ".join([first, *waiting, rule])
