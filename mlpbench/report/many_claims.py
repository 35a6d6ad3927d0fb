"""All claims of several experiments together: which decided verdicts would not stand beside so many others.

A verdict is decided within its experiment, by Holm's method. Nothing of that is changed here: what is said of all claims is said
beside it, for who reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlpbench.evidence.statistics.t_test import ALPHA, q_values
from mlpbench.experiment.claims.hypothesis import Decision

MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """The verdict on a claim of some experiment.

    Attributes:
        experiment, id: where the claim stands, and its name there.
        verdict: what its experiment says of it.
        p: its uncorrected p; None where it is observed or exact, not tested.

    """

    experiment: str
    id: str
    verdict: Decision
    p: float | None


@dataclass(frozen=True, kw_only=True)
class ClaimsTogether:
    """The claims of several experiments, judged at one false discovery rate.

    Attributes:
        claims: all of them.
        q: the q of each, in their order; None of one that is not tested, and of all of a single experiment, whose claims
            Holm's method corrects.

    """

    claims: Sequence[JudgedClaim]
    q: Sequence[float | None]

    @property
    def tested(self) -> Sequence[tuple[JudgedClaim, float]]:
        """The claims that have a q, and theirs."""
        return [(c, q) for c, q in zip(self.claims, self.q, strict=True) if q is not None]

    @property
    def decided(self) -> Sequence[tuple[JudgedClaim, float]]:
        """Those of them that their experiments support or refute."""
        return [(c, q) for c, q in self.tested if c.verdict in ("supported", "refuted")]

    @property
    def fallen(self) -> Sequence[tuple[JudgedClaim, float]]:
        """Those of the decided ones that would not stand."""
        return [(c, q) for c, q in self.decided if q > ALPHA]

    @property
    def short(self) -> str:
        """How many stand, in a sentence; nothing where nothing was tested over several experiments."""
        if not self.tested:
            return ""
        if not self.decided:
            return f"None of the {len(self.tested)} tested claims is decided."
        stand = len(self.decided) - len(self.fallen)
        return (
            f"At a false discovery rate of 5% over all {len(self.tested)} tested claims together, by p that are not corrected for interim "
            f"analyses, {stand} of {len(self.decided)} decided verdicts stand."
        )

    @property
    def sentence(self) -> str:
        """How many stand and by what method, and which do not."""
        if not self.tested:
            return ""
        fallen = [f"{c.experiment} {c.id} (q = {q:.2g})" for c, q in self.fallen]
        text = (
            f"Over all {len(self.tested)} tested claims together, at a false discovery rate of 5% (Benjamini and Hochberg, 1995; of p that "
            "are corrected neither for the other claims of an experiment nor for interim analyses), "
            + (
                f"{len(self.decided) - len(fallen)} of {len(self.decided)} decided verdicts stand"
                if self.decided
                else "none is decided"
            )
        )
        if fallen:
            more = f" and {len(fallen) - MOST_NAMED} more" if len(fallen) > MOST_NAMED else ""
            text += f"; these would not: {', '.join(fallen[:MOST_NAMED])}{more}"
        left_out = len(self.claims) - len(self.tested)
        counted = f"{left_out} claims without a p" if left_out > 1 else "A claim without a p"
        return (
            f"{text}. {counted} (observed, exact, not judged, or of an older report) {'are' if left_out > 1 else 'is'} left out."
            if left_out
            else f"{text}."
        )


def judged_together(claims: Sequence[JudgedClaim]) -> ClaimsTogether:
    """Return all claims with their q over several experiments, by Benjamini and Hochberg's method."""
    several = len({c.experiment for c in claims}) > 1
    q = iter(q_values([c.p for c in claims if c.p is not None]))
    return ClaimsTogether(claims=claims, q=[next(q) if several and c.p is not None else None for c in claims])


def false_discoveries(claims: Sequence[JudgedClaim]) -> str:
    """Say by Benjamini and Hochberg's method how many tested verdicts stand over all experiments, and which do not.

    Nothing is said of a single experiment, whose claims Holm's method corrects. Of the verdicts that would not stand `MOST_NAMED`
    are named, the others counted.

    >>> false_discoveries([JudgedClaim(experiment=e, id="c", verdict="supported", p=0.001) for e in ("a", "b")])[-30:]
    '2 of 2 decided verdicts stand.'
    """
    return judged_together(claims).sentence
