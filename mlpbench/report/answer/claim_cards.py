"""The section "Verdicts": a card for each claim, with what was estimated in plain words, its picture, and what could change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import get_args

import pandas as pd

from mlpbench.base.escapes import Markdown, bullets, code
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.judging.caveats import BoundKept
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.claims.hypothesis import BettingTest, Decision
from mlpbench.report.answer import claim_figure
from mlpbench.report.answer.claim_flags import flags
from mlpbench.report.answer.plain_words import plainly
from mlpbench.report.context import PROVENANCE, Context
from mlpbench.report.section import Section, SectionFigure, blocks, with_code
from mlpbench.report.sections.verdicts import further
from mlpbench.report.verdict_tables import verdict_cell
from mlpbench.report.words import Digits, estimate_cell, estimate_phrase, expected_cell, probability, units_counted

# Claims beyond so many stand in a table, without a card.
MOST_CARDS = 12
# Words of the answer that name claims: the first picture is to stand near the top.
MOST_WORDS = 80
# Stands once, in the first card.
READING = "A dot is a {}, the bar the interval, the dashed line the bound; the shaded side is as claimed."
# Differences in these change the bits of a run.
BITS_DEPEND_ON = ("device", "numerics", "threads per worker")
TESTS = {
    "t": "a t test of the {middle}",
    "sign_flip": "a sign-flip test of the {middle}",
    "signed_rank": "a signed-rank test of the {middle}",
    "sign": "a sign test of the {middle}",
    "binomial": "an exact binomial test",
    "mcnemar": "McNemar's exact test",
    "studentised_flip": "a sign-flip test of the {middle}",
}


def answer(verdicts: Sequence[Verdict]) -> str:
    """Return the answer to the question from all verdicts: how many claims have which, and the claims, as many as there is room for.

    The first claim of each verdict goes before others; what is left out is counted. Nothing where there are no claims.
    """
    if not verdicts:
        return ""
    by_verdict = {d: [v for v in verdicts if v.decision == d] for d in get_args(Decision)}
    groups = {decision: of for decision, of in by_verdict.items() if of}
    firsts = [of[0] for of in groups.values()]
    named: list[Verdict] = []
    words = 0
    for v in [*firsts, *(v for v in verdicts if v not in firsts)]:
        words += len(v.claim.says.split())
        if words <= MOST_WORDS:
            named.append(v)
    groups_said = []
    for decision, of in groups.items():
        said = [v.claim.says.strip().rstrip(".") for v in of if v in named]
        left = len(of) - len(said)
        if said:
            listed = "; ".join([*said, *([f"and {left} more"] if left else [])])
            groups_said.append(Markdown("**{}**: {}.").format(decision.capitalize(), listed))
    return blocks(tally(verdicts), bullets(groups_said))


def tally(verdicts: Sequence[Verdict]) -> Markdown:
    """Return `**3 of 7 claims are supported, 1 is refuted, and 3 are undecided.**`."""
    return Markdown("**{}**").format(counted(Counter(v.decision for v in verdicts)))


def counted(counts: Mapping[Decision, int]) -> str:
    """Return how many claims have which verdict, as a sentence.

    >>> counted({"supported": 3, "undecided": 1})
    '3 of 4 claims are supported and 1 is undecided.'
    """
    n, present = sum(counts.values()), [d for d in get_args(Decision) if counts.get(d)]
    if len(present) == 1:
        what = "The claim is" if n == 1 else "Both claims are" if n == 2 else f"All {n} claims are"
        return f"{what} {present[0]}."
    parts = [f"{counts[d]} {'is' if counts[d] == 1 else 'are'} {d}" for d in present]
    first = f"{counts[present[0]]} of {n} claims {'is' if counts[present[0]] == 1 else 'are'} {present[0]}"
    last = f" and {parts[-1]}" if len(parts) == 2 else f", and {parts[-1]}"
    return f"{', '.join([first, *parts[1:-1]])}{last}."


def section(context: Context) -> Section:
    """Return a card for each of the first claims, and a table and a figure of all others."""
    verdicts = context.verdicts
    if not verdicts:
        return Section(title="Verdicts", sentences="This experiment makes no claims.")
    return Section(title="Verdicts", sentences=mixed_runs(context.runs), parts=cards(context))


def cards(context: Context) -> Sequence[Section]:
    """Return a card for each of the first claims, and a part with a table and a figure of all others."""
    verdicts = context.verdicts
    first = [card(v, i, items_of(context)) for i, v in enumerate(verdicts[:MOST_CARDS], start=1)]
    return [*first, *([further(verdicts[MOST_CARDS:])] if len(verdicts) > MOST_CARDS else [])]


def items_of(context: Context) -> str:
    """Return what examples are: images, rows of tables, or examples."""
    facts = context.experiment.facts
    if all(len(data.input_shape) > 1 for data in facts):
        return "images"
    return "rows" if all(data.profile is not None for data in facts) else "examples"


def card(verdict: Verdict, number: int, items: str) -> Section:
    """Return the card of a claim, as a part of the section.

    Args:
        verdict: what the evidence says of it.
        number: its place among the claims, from 1, by which its figure is named.
        items: what examples are: `images` or `examples`.

    """
    drawn = SectionFigure(name=f"claim_{number}", draw=partial(claim_figure.draw, verdict), alt=alternative(verdict))
    changes = flags(verdict)
    change = Markdown("; ").join(map(with_code, changes))
    return Section(
        title=verdict.claim.says,
        sentences=said(verdict, items),
        figures=[drawn] if claim_figure.has_figure(verdict) else [],
        notes=blocks(
            READING.format(verdict.hypothesis.units.removesuffix("s")) if number == 1 and verdict.numbers.known else "",
            Markdown("What could change it: {}.").format(change) if changes else "",
            Markdown("{} Claim {}.").format(judged_by(verdict), code(verdict.claim.id)),
        ),
    )


def said(verdict: Verdict, items: str) -> Markdown:
    """Return the verdict with what was estimated in plain words; then precisely, what was claimed, and in how many replicates it shows."""
    decided, estimated = verdict_cell(verdict), estimate_phrase(verdict)
    number = "" if verdict.estimate is None else estimated.partition(" (")[0]
    plain = plainly(verdict, items) or number or "no estimate"
    precise = f"Estimated {estimated}, claimed" if verdict.estimate is not None else "Claimed"
    return blocks(
        Markdown("**{}**: {}.").format(f"{decided[0].upper()}{decided[1:]}", plain),
        f"{precise} {expected_cell(verdict)}; {in_how_many(verdict)}.",
    )


def in_how_many(verdict: Verdict) -> str:
    """Return in how many replicates, or data sets, the number lies on the side that was found."""
    kept = next((c for c in verdict.caveats if isinstance(c, BoundKept)), None)
    if kept is not None:
        return kept.count + " replicates"
    units, numbers, tested = verdict.hypothesis.units, verdict.numbers.known, verdict.hypothesis
    if not verdict.n:
        return f"no complete {units.removesuffix('s')} to judge it by"
    if tested.is_exact or tested.test.about in ("wins", "failures", "variances") or len(numbers) != verdict.n:
        return f"n = {units_counted(verdict)}"
    q = Digits(verdict)
    if tested.sense == "equivalent":
        within = sum(abs(v - tested.centre) <= tested.bound for v in numbers)
        return f"within that in {within} of {verdict.n} {units}"
    sides = (sum(v > tested.bound for v in numbers), sum(v < tested.bound for v in numbers))
    above, equal = sides[0] >= sides[1], verdict.n - sum(sides)
    tied = f", equal to it in {equal}" if equal else ""
    return f"{'above' if above else 'below'} {q.exact(tested.bound)} in {max(sides)} of {verdict.n} {units}{tied}"


def judged_by(verdict: Verdict) -> str:
    """Return in a line by which test a claim was judged, and its p."""
    n = f"n = {units_counted(verdict)}"
    if verdict.hypothesis.is_exact:
        return "Follows from the settings: not tested."
    if verdict.observed:
        return f"Observed in every replicate, not tested, {n}."
    about = verdict.hypothesis.test.about
    test = "pairwise tests of variances" if about == "variances" else TESTS[verdict.test]
    if isinstance(verdict.hypothesis.test, BettingTest) or verdict.e_value is not None:
        test = "an e-process, at any time" if verdict.e_value is not None else "bets on the {middle}"
    test = test.format(middle=verdict.hypothesis.middle)
    if verdict.p_corrected is None:
        return f"Not tested: no p, {n}."
    p = probability(verdict.p_corrected)
    shown = f" The figure shows the first {MOST_DOTS} {verdict.hypothesis.units}." * (verdict.n > MOST_DOTS)
    return f"Judged by {test}, {n}, corrected p {'' if p.startswith('<') else '= '}{p.replace('<', '< ')}.{shown}"


def alternative(verdict: Verdict) -> str:
    """Return what the figure of a claim shows, for readers who cannot see it."""
    sides = " and ".join(reversed(verdict.hypothesis.sides)) if verdict.numbers.minuend else ""
    joined = f"Every replicate with {sides}, joined, and the differences: " if sides else ""
    return f"{joined}{verdict.decision}, {estimate_cell(verdict)}, claimed {expected_cell(verdict)}."


def mixed_runs(runs: pd.DataFrame) -> str:
    """Return a warning where runs that are compared were made in ways that change their bits; else nothing."""
    values = {name: sorted(runs[PROVENANCE[name]].dropna().unique(), key=str) for name in BITS_DEPEND_ON}
    differ = [f"{name}: {', '.join(map(str, of))}" for name, of in values.items() if len(of) > 1]
    return f"The runs that are compared were not all made in the same way ({'; '.join(differ)})." if differ else ""
