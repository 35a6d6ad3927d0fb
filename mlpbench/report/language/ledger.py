"""The ledger: the claims of several experiments in one table of Markdown."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mlpbench.evidence.frames import records
from mlpbench.report.language.words import estimate_cell, expected_cell
from mlpbench.report.sections import tables

HEAD = ("experiment", "claim", "verdict", "estimate (95% interval)", "claimed", "n", "p (corrected)")


def markdown(ledger: Iterable[tuple[str, pd.DataFrame]]) -> str:
    """Return a row for each claim of each named experiment, in the order given."""
    rows = [
        (
            name,
            f"{row['says']} (`{row['id']}`)",
            tables.verdict_cell(row),
            estimate_cell(row),
            expected_cell(row),
            str(row["n"]),
            tables.p_cell(row),
        )
        for name, claims in ledger
        for row in records(claims)
    ]
    return tables.table(HEAD, rows, "lllllrr")
