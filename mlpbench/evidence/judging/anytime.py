"""Claims of an experiment whose replicates are looked at whenever one likes: `until_decided: {anytime: true}`.

Each claim is judged by an e-process (see `statistics.e_process`): its p is 1 over the largest e that any number of its first
replicates reached, which holds however often one looks. A claim is decided where e reaches m over its level, with m claims (Bonferroni), for
the side on which the estimate was when it first did. There is no schedule and no largest number: an undecided claim asks for half as many
replicates again as there are, up to what a command may train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from mlpbench.evidence.estimates.layer_estimates import Layers, with_layers
from mlpbench.evidence.estimates.observe import MISSING
from mlpbench.evidence.estimates.tuning_choice import TunedGrid, tuned_grid
from mlpbench.evidence.judging.caveats import TooFewYet
from mlpbench.evidence.judging.claim_values import Curves, points_of, values_of
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.divergence import no_mean
from mlpbench.evidence.judging.p_correction import AtAnyTime, Bet, process_of
from mlpbench.evidence.judging.registered_verdict import LostSeed, dropped_claims, levels_of, without_verdict
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.statistics.alpha_spending import step
from mlpbench.evidence.statistics.e_process import EProcess
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment
from mlpbench.results.examples import TestSet
from mlpbench.results.registration import Registration, of_seed

RULE = (
    "Replicates may be added and looked at whenever one likes: each of m claims is judged by an e-process, which reaches "
    f"m / {ALPHA:g} on the wrong side in at most {ALPHA:g} / m of cases however often one looks, t of normal differences, signs of any "
    "(Ville, 1939; Wang and Ramdas, 2025). p is 1 / e, and a verdict stands once it is reached."
)


def follow(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    test_set: TestSet | None,
    layers: Layers | None,
    may_decide: Callable[[Verdict], bool],
    registration: Registration | None = None,
) -> tuple[TunedGrid, list[Verdict], list[int]]:
    """Return the scientific conditions, the verdict on each claim, and how many replicates each condition is asked for.

    A claim is judged by the replicates that all its conditions have: the first ones, up to one that is missing.
    """
    first, most = experiment.replicates, experiment.most_replicates
    groups = len(conditions) // count_tunings(experiment)
    grid = tuned_grid(experiment, conditions, runs, [most] * groups)
    there = [_leading(grid.observed, g) for g in range(groups)]
    hypotheses = {c.id: c.hypothesis(experiment, grid.conditions) for c in experiment.claims}
    needed = {name: hypothesis.positions(grid.conditions) for name, hypothesis in hypotheses.items()}
    have = {c.id: min((there[g] for g in needed[c.id]), default=0) for c in experiment.claims}
    by_number: dict[int, list[Claim]] = {}
    for claim in experiment.claims:
        by_number.setdefault(max(first, have[claim.id]), []).append(claim)
    correct = AtAnyTime(
        claims=max(1, dropped_claims(registration) + sum(not h.is_observed for h in hypotheses.values()))
    )
    bets: dict[str, Bet] = {}
    lost: dict[str, LostSeed] = {}
    for claim, level in zip(experiment.claims, levels_of(experiment.claims, registration), strict=True):
        if hypotheses[claim.id].is_observed:
            continue
        before, why = _earlier(claim, experiment, conditions, runs, curves, layers, registration)
        first_that_counts = 0 if registration is None else registration.standings[claim.id].before
        bets[claim.id] = Bet(needed=correct.needed(level), first=first_that_counts, earlier=before)
        if why is not None:
            lost[claim.id] = why
    verdicts: dict[str, Verdict] = {}
    counts = [first] * groups
    for n, claims in by_number.items():
        of_n = tuned_grid(experiment, conditions, runs, [n] * groups)
        narrowed = experiment.model_copy(update={"claims": tuple(claims), "replicates": n})
        for verdict in judge_claims(
            narrowed,
            of_n.conditions,
            runs,
            curves,
            of_n.observed,
            correct=correct,
            test_set=test_set,
            layers=layers,
            registration=registration,
            bets=bets,
        ):
            name = verdict.claim.id
            if name in lost:
                verdict = replace(without_verdict(verdict, lost[name]), withheld=lost[name])
            asked = min(most, n + step(n)) if have[name] >= first and may_decide(verdict) else n
            for g in needed[name]:
                counts[g] = max(counts[g], asked)
            if have[name] < first:
                verdict = without_verdict(verdict, TooFewYet(there=have[name], first=first))
            verdicts[name] = verdict
    return tuned_grid(experiment, conditions, runs, counts), [verdicts[c.id] for c in experiment.claims], counts


def _earlier(
    claim: Claim,
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    layers: Layers | None,
    registration: Registration | None,
) -> tuple[EProcess | None, LostSeed | None]:
    """Return the e-process of the seeds at which a claim was registered before, whose evidence multiplies, or why there is none.

    Where runs of one of them diverged, the numbers of the others alone would not be of what was trained.
    """
    process = None
    for seed, n in () if registration is None else registration.standings[claim.id].earlier:
        before = of_seed(experiment, seed, n)
        grid = tuned_grid(before, conditions, runs, [n] * (len(conditions) // count_tunings(experiment)))
        hypothesis = claim.hypothesis(before, grid.conditions)
        observed = with_layers([(hypothesis.metric, hypothesis.conditions)], grid.observed, layers)
        points = points_of([hypothesis], observed, curves)
        values, *_ = values_of(hypothesis, before, grid.conditions, observed, points)
        if no_mean(hypothesis, values) is not None:
            return None, LostSeed(seed=seed)
        of_seed_alone = process_of(hypothesis, values)
        process = of_seed_alone if process is None else process.then(of_seed_alone)
    return process, None


def _leading(observed: pd.DataFrame, position: int) -> int:
    """Return how many of the first replicates of a condition have a run."""
    missing = (observed.loc[observed["position"] == position, "status"] == MISSING).to_numpy()
    return int(missing.argmax()) if missing.any() else len(missing)
