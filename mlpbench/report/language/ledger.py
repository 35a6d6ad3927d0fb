"""The ledger: the claims of several experiments in one table of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.language.words import estimate_cell, expected_cell
from mlpbench.report.sections import tables

HEAD = ("experiment", "claim", "verdict", "estimate (95% interval)", "claimed", "n", "p (corrected)")


def markdown(ledger: Iterable[tuple[str, Sequence[Verdict]]]) -> str:
    """Return a row for each claim of each named experiment, in the order given."""
    rows = [
        (
            name,
            f"{v.claim.says} (`{v.claim.id}`)",
            tables.verdict_cell(v),
            estimate_cell(v),
            expected_cell(v),
            str(v.n),
            tables.p_cell(v),
        )
        for name, verdicts in ledger
        for v in verdicts
    ]
    return tables.table(HEAD, rows, "lllllrr")
