"""What could change a verdict, as short flags: the sampling of the test set, further seeds, few or odd replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.judging.caveats import (
    BestAtEdge,
    BoundKept,
    Caveat,
    CensoredMean,
    FarReplicates,
    LeastSpread,
    LeftOut,
    SharedStreams,
    Skewed,
    TooFewReplicates,
    TooFewToDecide,
    Unfinished,
)
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, UNDECIDED, Verdict
from mlpbench.experiment.claims.hypothesis import EVERY_LEAST
from mlpbench.report.words import needed, not_robust, out_of_reach

# Caveats that a reader should see beside the verdict; the others say how it was judged.
FLAGS: Mapping[type[Caveat], Callable[[Any], str]] = {
    LeftOut: lambda c: clause(c.sentence),
    CensoredMean: lambda c: clause(c.sentence),
    TooFewReplicates: lambda c: clause(c.sentence),
    TooFewToDecide: lambda c: f"{c.n} {c.units} can't decide it, {c.least} can",
    FarReplicates: lambda c: f"{c.far} of {c.n} {c.plural} lie{c.s} far from the others",
    LeastSpread: lambda c: f"the {c.plural} differ by less than the metric can show",
    BestAtEdge: lambda c: "a better level may lie beyond the range",
    Skewed: lambda c: f"the {c.plural} are skewed",
    SharedStreams: lambda c: "it is about one random draw",
    Unfinished: lambda c: f"{c.done} of {c.planned} runs are there",
}

# Those that say what is lacking for a verdict.
LACKING = (TooFewReplicates, TooFewToDecide, Unfinished)


def clause(sentence: str) -> str:
    """Return a sentence as a part of another one: the verdict that it begins with stands there already.

    >>> clause("Undecided: runs diverged."), clause("A test needs 2 replicates, got 0.")
    ('runs diverged', 'a test needs 2 replicates, got 0')
    """
    plain = sentence.removeprefix("Undecided: ").rstrip(".")
    begun = f"{plain[:1].lower()}{plain[1:]}"
    return Markdown(begun) if isinstance(sentence, Markdown) else begun


def _of_every(verdict: Verdict) -> list[str]:
    """Return what is missing where all replicates that there are keep a bound, and no more is known of further ones."""
    return [_kept(c) for c in verdict.caveats if isinstance(c, BoundKept) and c.rate is not None]


def _kept(kept: BoundKept) -> str:
    shown = f"{kept.kept} of {kept.planned} show that at least {kept.rate:.0%} of further replicates would keep it"
    return f"{shown}, {EVERY_LEAST} of {EVERY_LEAST} would show 90%" if kept.planned < EVERY_LEAST else shown


def would_decide(verdict: Verdict) -> str:
    """Return what would decide an undecided claim, or why nothing does, as plain text; nothing of a claim that is decided."""
    if verdict.decision != UNDECIDED:
        return ""
    others = [c for c in verdict.caveats if c is not verdict.withheld]
    found = [] if verdict.withheld is None else [clause(verdict.withheld.sentence)]
    found += _of_every(verdict)
    found += [FLAGS[kind](c) for c in others for kind in LACKING if isinstance(c, kind)]
    if more := needed(verdict):
        found.append(clause(more))
    elif not found:
        unknown = f"how many {verdict.hypothesis.units} would decide it is not known for this test"
        found = [clause(out_of_reach(verdict)) if verdict.outlook.is_foreseen else unknown]
    text = "; ".join(dict.fromkeys(found)).replace("`", "")
    return f"{text[:1].upper()}{text[1:]}."


def flags(verdict: Verdict) -> Sequence[str]:
    """Return what could change a verdict, each in a few words; nothing of one that follows from the settings."""
    found: list[str] = []
    if not_robust(verdict):
        found.append("not robust: a different test set of this size could change the verdict")
    elif verdict.test_sampling.unknown is not None:
        found.append("the sampling of the test set is not included")
    if verdict.withheld is not None:
        found.append(clause(verdict.withheld.sentence))
    found += [
        say(c)
        for c in verdict.caveats
        if c is not verdict.withheld
        for kind, say in FLAGS.items()
        if isinstance(c, kind)
    ]
    if verdict.decision == UNDECIDED:
        found += _of_every(verdict)
    if verdict.exploratory:
        found.append("exploratory: stated after its runs were looked at")
    if verdict.seeds is not None and verdict.seeds > 1:
        found.append(f"seed {verdict.seed_number} of {verdict.seeds} looked at")
    if verdict.decision in (UNDECIDED, AT_THE_MARGIN) and (more := needed(verdict)):
        found.append(clause(more))
    return list(dict.fromkeys(found))
