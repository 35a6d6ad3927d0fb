"""What stands below a verdict: why a p that looks small is not small enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from arithmetic_tables import make, spec
from reports import report_of

from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.verdict_tables import verdict_notes

LEVEL = 0.0304
COMPARED = {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 512}, "expect": "greater"}
CLAIM = {"id": "c", "says": "s", "compare": COMPARED}


@pytest.mark.parametrize(
    ("p", "decision", "says"),
    [
        (0.04, "undecided", True),
        (LEVEL + 1e-9, "undecided", True),
        (0.06, "undecided", False),
        (0.03, "supported", False),
        (None, "undecided", False),
    ],
)
def test_a_p_between_the_level_of_the_seed_and_five_percent_is_explained(
    p: float | None, decision: Decision, says: bool
) -> None:
    context = report_of(make(spec(factors={"width": [8, 512]}, claims=[CLAIM], replicates=8))).context
    assert context is not None
    verdict = replace(context.verdicts[0], p_corrected=p, level=LEVEL, decision=decision)
    sentence = "A p of at most 0.0304 decides it: the level of this seed, of 5% for all seeds."
    assert (sentence in verdict_notes(verdict)) == says
