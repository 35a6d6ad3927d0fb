"""A verdict as the summary of a report has it: in words, and in the numbers that other pages draw.

Numbers are those of `estimate`, the text: in its unit, so that a difference of accuracies is in percentage points.
"""

from __future__ import annotations

import math

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.claims.hypothesis import Hypothesis
from mlpbench.report.answer.claim_flags import would_decide
from mlpbench.report.answer.plain_words import plainly
from mlpbench.report.summary import LARGEST, Answer, DrawnNumbers
from mlpbench.report.words import estimate_cell, qualifiers


def answer_of(verdict: Verdict, items: str = "examples") -> Answer:
    """Return what a summary says of a claim; `items` is what examples are, such as images."""
    return Answer(
        id=verdict.claim.id,
        says=verdict.claim.says,
        verdict=verdict.decision,
        qualifiers=qualifiers(verdict),
        estimate=estimate_cell(verdict),
        plainly=plainly(verdict, items),
        p=verdict.p,
        n=verdict.n,
        units="data sets" if verdict.hypothesis.datasets else "replicates",
        source=verdict.claim.source,
        would_decide=would_decide(verdict),
        numbers=numbers_of(verdict),
    )


def numbers_of(verdict: Verdict) -> DrawnNumbers | None:
    """Return estimate, interval and bound as they are printed; None where there is no estimate that can be drawn."""
    tested, interval = verdict.hypothesis, verdict.interval
    estimate = _printed(tested, verdict.estimate)
    if estimate is None:
        return None
    return DrawnNumbers(
        estimate=estimate,
        low=None if interval is None else _printed(tested, interval.low),
        high=None if interval is None else _printed(tested, interval.high),
        interval=interval is not None and not math.isnan(interval.low),
        holds=_where_it_holds(tested),
        zero=tested.quantity.signed,
        unit=tested.quantity.unit.strip(),
    )


def _printed(tested: Hypothesis, value: float | None) -> float | None:
    """Return a number in the unit in which it is printed; None where it is not known, infinite or too large to be drawn."""
    if value is None:
        return None
    number = tested.quantity.factor * value
    return number if abs(number) <= LARGEST else None


def _where_it_holds(tested: Hypothesis) -> tuple[float | None, float | None] | None:
    """Return between which numbers a claim holds, None for an open end; None for a claim without a bound."""
    bound, centre = _printed(tested, tested.bound), _printed(tested, tested.centre)
    if bound is None or centre is None:
        return None
    if tested.sense == "equivalent":
        return centre - bound, centre + bound
    return (bound, None) if tested.sense == "greater" else (None, bound)
