"""What the register of claims makes of a verdict: at which seed it is judged, whether it is exploratory, or that there is none."""

from __future__ import annotations

from dataclasses import replace

from mlpbench.evidence.judging.caveats import PILOT, Caveat, Exploratory, FurtherSeed, StatedLate, Unregistered
from mlpbench.evidence.judging.verdict import UNDECIDED, Outlook, Verdict
from mlpbench.results.registration import ClaimStanding, Registration


def by_registration(verdict: Verdict, registration: Registration | None) -> Verdict:
    """Return a verdict with what the register says of its claim; as it is where there is no register."""
    if registration is None:
        return verdict
    standing = registration.standings[verdict.claim.id]
    verdict = replace(verdict, seed_number=standing.number, seeds=standing.seeds)
    if registration.is_pilot:
        return replace(without_verdict(verdict, PILOT), exploratory=True)
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
