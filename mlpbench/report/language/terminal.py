"""Verdicts as a plain table for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.language.words import Digits, estimate_cell, expected_cell, needed, not_robust
from mlpbench.report.sections import tables

COLUMNS = 110


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a plain table for a terminal, at most 110 columns wide; notes stand below their row."""
    if not verdicts:
        return "no claims"
    head = ["claim", "verdict", "estimate (95% interval)", "claimed", "n", tables.p_head(verdicts)]
    cells = [
        [
            v.claim.id,
            tables.verdict_cell(v),
            estimate_cell(v, per=False),
            expected_cell(v),
            f"{v.n}/{v.planned}",
            tables.p_cell(v),
        ]
        for v in verdicts
    ]
    widths = [max(len(c[i]) for c in [head, *cells]) for i in range(len(head))]
    widths[0] = min(widths[0], COLUMNS - sum(widths[1:]) - 2 * (len(head) - 1))
    lines = [_line(head, widths)]
    for cell, verdict in zip(cells, verdicts, strict=True):
        lines.append(_line(cell, widths))
        lines += textwrap.wrap(_below(verdict), COLUMNS, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else f"{cells[0][: widths[0] - 3]}..."
    parts = [
        c.rjust(w) if i > 3 else c.ljust(w) for i, (c, w) in enumerate(zip([first, *cells[1:]], widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def _below(verdict: Verdict) -> str:
    mark, sampled = not_robust(verdict), verdict.test_sampling.interval
    if mark and sampled is not None:
        mark = f" Including test-set sampling the interval is {Digits(verdict).interval(sampled)}. {mark}"
    return f"{needed(verdict)} {verdict.note}{mark}".strip()
