"""Verdicts as a plain table for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlpbench.evidence.frames import records
from mlpbench.report.language.words import Quantity, estimate_cell, expected_cell, needed, unconfirmed
from mlpbench.report.sections import tables

COLUMNS = 110


def claims_text(claims: pd.DataFrame) -> str:
    """Return the verdicts as a plain table for a terminal, at most 110 columns wide; notes stand below their row."""
    if claims.empty:
        return "no claims"
    rows = records(claims)
    head = ["claim", "verdict", "estimate (95% interval)", "claimed", "n", tables.p_head(claims)]
    cells = [
        [
            r["id"],
            tables.verdict_cell(r),
            estimate_cell(r, per=False),
            expected_cell(r),
            f"{r['n']}/{r['planned']}",
            tables.p_cell(r),
        ]
        for r in rows
    ]
    widths = [max(len(c[i]) for c in [head, *cells]) for i in range(len(head))]
    widths[0] = min(widths[0], COLUMNS - sum(widths[1:]) - 2 * (len(head) - 1))
    lines = [_line(head, widths)]
    for cell, row in zip(cells, rows, strict=True):
        lines.append(_line(cell, widths))
        lines += textwrap.wrap(_below(row), COLUMNS, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else f"{cells[0][: widths[0] - 3]}..."
    parts = [
        c.rjust(w) if i > 3 else c.ljust(w) for i, (c, w) in enumerate(zip([first, *cells[1:]], widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def _below(row: Mapping[str, Any]) -> str:
    mark = unconfirmed(row)
    if mark:
        q = Quantity(row)
        mark = f" With the sampling of the test set the interval is {q.plain(row['low_test'])} to {q.plain(row['high_test'])}. {mark}"
    return f"{needed(row)} {row['note']}{mark}".strip()
