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


def false_discoveries(claims: Sequence[JudgedClaim]) -> str:
    """Say by Benjamini and Hochberg's method how many tested verdicts stand over all experiments, and which do not.

    Nothing is said of a single experiment, whose claims Holm's method corrects. Of the verdicts that would not stand `MOST_NAMED`
    are named, the others counted.

    >>> false_discoveries([JudgedClaim(experiment=e, id="c", verdict="supported", p=0.001) for e in ("a", "b")])[-30:]
    '2 of 2 decided verdicts stand.'
    """
    tested = [c for c in claims if c.p is not None]
    if len({c.experiment for c in claims}) < 2 or not tested:
        return ""
    q = q_values([c.p for c in tested if c.p is not None])
    decided = [(c, v) for c, v in zip(tested, q, strict=True) if c.verdict in ("supported", "refuted")]
    fallen = [f"{c.experiment} {c.id} (q = {v:.2g})" for c, v in decided if v > ALPHA]
    left_out = len(claims) - len(tested)
    text = (
        f"Over all {len(tested)} tested claims together, at a false discovery rate of 5% (Benjamini and Hochberg, 1995; of p that "
        "are corrected neither for the other claims of an experiment nor for interim analyses), "
        f"{len(decided) - len(fallen)} of {len(decided)} decided verdicts stand"
    )
    if fallen:
        more = f" and {len(fallen) - MOST_NAMED} more" if len(fallen) > MOST_NAMED else ""
        text += f"; these would not: {', '.join(fallen[:MOST_NAMED])}{more}"
    return (
        f"{text}. {left_out} claims without a p (observed, exact, not judged, or of an older report) are left out."
        if left_out
        else f"{text}."
    )
