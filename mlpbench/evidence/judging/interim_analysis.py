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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.layer_columns import Layers
from mlpbench.evidence.estimates.observe import MISSING
from mlpbench.evidence.estimates.tuning_choice import Gathered, gather, winners
from mlpbench.evidence.frames import records
from mlpbench.evidence.judging import judge as claims
from mlpbench.evidence.judging.caveats import least_replicates
from mlpbench.evidence.judging.judge import SIGN, UNDECIDED, Curves
from mlpbench.evidence.judging.median_claims import is_partly_known
from mlpbench.evidence.judging.reduction import conditions_of, reduce
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.forms import Claim
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment
from mlpbench.results.test_examples import TestSet


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look at the claims that were undecided before it: its number from 1, at how many replicates, and its level.

    `level` is for all claims together, `claims` what was found. A look is `complete` once no run that it needs is missing:
    it decides only then.
    """

    number: int
    replicates: int
    level: float
    complete: bool
    claims: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts with what they rest on; `counts` are the replicates of each scientific condition, `looks` none undeclared."""

    gathered: Gathered
    claims: pd.DataFrame
    counts: Sequence[int]
    looks: Sequence[Look]


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
) -> Judged:
    """Return the verdicts over the runs there are, look by look where the experiment declares a top-up.

    `declared_late` says how the experiment was first looked at, where it has been topped up since without having declared
    that before: its verdicts are exploratory. `test_set` and `layers` are for `claims.judge`.
    """
    groups = len(conditions) // count_tunings(experiment)
    if experiment.until_decided is None:
        gathered = gather(experiment, conditions, runs)
        found = claims.judge(
            experiment, gathered.conditions, runs, curves, gathered.observed, test_set=test_set, layers=layers
        )
        judged = Judged(gathered=gathered, claims=found, counts=[experiment.replicates] * groups, looks=())
    else:
        judged = _follow(experiment, conditions, runs, curves, test_set, layers)
    found = judged.claims.assign(exploratory=bool(declared_late), tuned=_tuned(experiment, judged.gathered))
    if declared_late:
        late = f"Exploratory: the first look was with {declared_late}."
        found["note"] = [f"{note} {late}".strip() for note in found["note"]]
    return Judged(gathered=judged.gathered, claims=found, counts=judged.counts, looks=judged.looks)


def _follow(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    test_set: TestSet | None,
    layers: Layers | None,
) -> Judged:
    at = schedule(experiment.replicates, experiment.most_replicates)
    counts = [at[0]] * (len(conditions) // count_tunings(experiment))
    gathered = gather(experiment, conditions, runs, counts)
    tested = [c for c in experiment.claims if not _is_observed(c)]
    alive = tested
    rows: dict[str, pd.DataFrame] = {}
    looks: list[Look] = []
    for number, (n, level) in enumerate(zip(at, levels(at), strict=True), start=1):
        if not alive and looks:
            break
        needed = {g for c in alive for g in _needed(c, experiment, gathered.conditions)}
        counts = [n if g in needed else count for g, count in enumerate(counts)]
        gathered = gather(experiment, conditions, runs, counts)
        of_look = gathered.observed[gathered.observed["position"].isin(needed)] if number > 1 else gathered.observed
        complete = not (of_look["status"] == MISSING).any()
        of = experiment.model_copy(update={"claims": tuple(alive), "replicates": n})
        each = level / max(1, len(tested))
        found = claims.judge(
            of, gathered.conditions, runs, curves, gathered.observed, level=each, test_set=test_set, layers=layers
        )
        if not complete:
            found["verdict"] = UNDECIDED
            found["note"] = [
                f"{note} Look {number} is not complete, and decides nothing yet.".strip() for note in found["note"]
            ]
        looks.append(Look(number=number, replicates=n, level=level, complete=complete, claims=found))
        rows |= {str(row["id"]): pd.DataFrame([row]).assign(look=number) for _, row in found.iterrows()}
        alive = [
            claim
            for claim, row in zip(alive, records(found), strict=True)
            if _may_decide(claim, row, experiment, gathered.conditions)
        ]
        if not complete:
            break
    for claim in experiment.claims:
        if _is_observed(claim):
            n = min(counts[g] for g in _needed(claim, experiment, gathered.conditions))
            of = experiment.model_copy(update={"claims": (claim,), "replicates": n})
            seen = gathered.observed[gathered.observed["replicate"] < n]
            rows[claim.id] = claims.judge(of, gathered.conditions, runs, curves, seen, layers=layers)
    parts = [rows[c.id] for c in experiment.claims]
    table = (
        pd.concat(parts, ignore_index=True) if parts else claims.judge(experiment, [], runs, curves, gathered.observed)
    )
    return Judged(gathered=gathered, claims=table.astype(claims.COLUMNS), counts=counts, looks=tuple(looks))


def _may_decide(claim: Claim, row: Mapping[str, Any], experiment: Experiment, conditions: Sequence[Condition]) -> bool:
    """Return whether further replicates may decide what is undecided.

    A run that was lost may have left too few for a test. Where the sides of half of the replicates are not known, as their
    runs never got there, those of more would not be.
    """
    if row["verdict"] != UNDECIDED:
        return False
    if math.isnan(row["p"]):
        return bool(0 < row["n"] < least_replicates(claim, reduce(claim, experiment, conditions)))
    if float(row["p"]) < 1 or row["test"] != SIGN:
        return True
    return not is_partly_known(row)


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


def told(looks: Sequence[Look]) -> str:
    """Return in a sentence how many looks there were, at which n, and what level was spent."""
    if not looks:
        return ""
    done = [look for look in looks if look.complete]
    waiting = [look for look in looks if not look.complete]
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
