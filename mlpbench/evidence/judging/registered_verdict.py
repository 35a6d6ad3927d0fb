"""What the register of claims makes of a verdict: at which seed it is judged, whether it is exploratory, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlpbench.evidence.judging.caveats import Caveat, Exploratory, Remark
from mlpbench.evidence.judging.verdict import UNDECIDED, Verdict
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.outlook import Outlook
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.claim import Claim
from mlpbench.results.registration import ClaimStanding, Registration


@dataclass(frozen=True, kw_only=True)
class StatedLate(Caveat):
    """A claim that is new, or was altered, at a seed at which its runs had been looked at."""

    template = "Exploratory: stated, or altered, after runs of seed {seed} had been looked at. At another seed (--set seed=N) it is not."
    seed: int


@dataclass(frozen=True, kw_only=True)
class LaterReplicates(Caveat):
    """A claim that was stated late, and is judged by what was trained since."""

    template = "Stated, or altered, when {before} replicates had been looked at: e, p and the verdict are of those trained since."
    before: int


@dataclass(frozen=True, kw_only=True)
class Unregistered(Caveat):
    """A claim that is on no register."""

    template = (
        "Exploratory: the folder has no record that it was stated before runs of seed {seed} were looked at. `mlpbench run` "
        "registers claims before it trains."
    )
    seed: int


@dataclass(frozen=True, kw_only=True)
class FurtherSeed(Caveat):
    """A comparison that was made at several seeds; each of them has a level of its own."""

    template = "Seed {number} of {seeds} looked at: decided at a corrected p of at most {level:.2g}."
    number: int
    seeds: int
    level: float


@dataclass(frozen=True, kw_only=True)
class LostSeed(Caveat):
    """A seed at which a claim was registered before, and runs diverged."""

    template = (
        "Undecided: at seed {seed}, whose evidence counts too, runs diverged, and one of the others alone would not be of what was "
        "trained."
    )
    seed: int


PILOT = Remark(text="A pilot gives no verdicts: it registers no claims and spends no level.")


def levels_of(claims: Sequence[Claim], registration: Registration | None) -> list[float]:
    """Return the level at which each claim is decided: that of its seed, or 0.05 where no folder has the claims."""
    if registration is None:
        return [ALPHA] * len(claims)
    return [seed_level(registration.standings[claim.id].number) for claim in claims]


def dropped_claims(registration: Registration | None) -> int:
    """Return how many tested claims are registered and stated no more."""
    return 0 if registration is None else registration.dropped


def by_registration(verdict: Verdict, registration: Registration | None) -> Verdict:
    """Return a verdict with what the register says of its claim; as it is where there is no register."""
    if registration is None:
        return verdict
    standing = registration.standings[verdict.claim.id]
    if registration.is_pilot:
        return replace(without_verdict(verdict, PILOT), exploratory=True)
    verdict = replace(verdict, seed_number=standing.number, seeds=standing.seeds)
    if verdict.e_value is not None and standing.is_confirmed_later:
        later = LaterReplicates(before=standing.before)
        is_decided = verdict.decision != UNDECIDED
        return replace(verdict, exploratory=not is_decided, anytime=is_decided, caveats=(*verdict.caveats, later))
    caveats = [*_why_exploratory(standing)]
    if standing.seeds > 1 and not verdict.observed:
        caveats.append(FurtherSeed(number=standing.number, seeds=standing.seeds, level=verdict.level))
    return replace(verdict, exploratory=standing.is_exploratory, caveats=(*verdict.caveats, *caveats))


def without_verdict(verdict: Verdict, why: Caveat) -> Verdict:
    """Return a verdict that decides nothing, whatever its numbers are."""
    sampling = replace(verdict.test_sampling, confirmed=None)
    caveats = (*verdict.caveats, why)
    return replace(verdict, decision=UNDECIDED, outlook=Outlook(), test_sampling=sampling, caveats=caveats)


def _why_exploratory(standing: ClaimStanding) -> list[Caveat]:
    if not standing.is_registered:
        return [Unregistered(seed=standing.seed)]
    late: list[Caveat] = [StatedLate(seed=standing.seed)] if standing.is_late else []
    return [*late, *([Exploratory(declared=standing.declared_before)] if standing.declared_before else [])]
