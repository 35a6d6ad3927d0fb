"""The ledger: the claims of several experiments in one table of Markdown."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mlpbench.evidence import sections
from mlpbench.evidence.frames import records
from mlpbench.evidence.words import estimate_cell, expected_cell

HEAD = ("experiment", "claim", "verdict", "estimate (95% interval)", "claimed", "n", "p (corrected)")


def markdown(ledger: Iterable[tuple[str, pd.DataFrame]]) -> str:
    """Return a row for each claim of each named experiment, in the order given."""
    rows = [
        (
            name,
            f"{row['says']} (`{row['id']}`)",
            sections.verdict_cell(row),
            estimate_cell(row),
            expected_cell(row),
            str(row["n"]),
            sections.p_cell(row),
        )
        for name, claims in ledger
        for row in records(claims)
    ]
    return sections.table(HEAD, rows, "lllllrr")
