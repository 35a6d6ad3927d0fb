"""The levels of tuned settings as a table: a row for each level, or, of many conditions, a row for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlpbench.base.escapes import Markdown
from mlpbench.report.number_text import fixed
from mlpbench.report.section import table

# A table with more rows than this has its levels side by side, if they are no more than that.
MOST_ROWS, MOST_LEVELS = 40, 8
BESIDE = (
    "A cell has the {metric} of a level and, in brackets, in how many replicates it was chosen; then, where that differs, how many would "
    "choose it on their own, and how many of its runs diverged."
)


def levels_table(rows: Sequence[Mapping[str, Any]], metric: str) -> tuple[Markdown, str]:
    """Return the table of levels, and a sentence that says how to read one whose levels stand side by side.

    Args:
        rows: of each condition and level, in the order of the grid: its `label`, its level in words (`tuning`), the mean `value`, in how
            many replicates of those `judged` it was `chosen`, how many of those `planned` it `wins`, and how many `runs` `diverged`.
        metric: what levels are chosen by, in words.

    """
    levels = list(dict.fromkeys(r["tuning"] for r in rows))
    labels = list(dict.fromkeys(r["label"] for r in rows))
    if len(rows) <= MOST_ROWS or len(levels) > MOST_LEVELS or len(rows) != len(labels) * len(levels):
        head = ["condition", "level", metric, "chosen", "would be chosen by", "diverged"]
        return table(head, [_row(r) for r in rows], "llrlll"), ""
    cells = {(r["label"], r["tuning"]): _cell(r) for r in rows}
    beside = [[label, *(cells[label, level] for level in levels)] for label in labels]
    return table(["condition", *levels], beside, "l" + "r" * len(levels)), BESIDE.format(metric=metric)


def _row(r: Mapping[str, Any]) -> list[str]:
    chosen = (
        ""
        if not r["chosen"]
        else Markdown("**yes**")
        if r["chosen"] == r["judged"]
        else f"in {r['chosen']} of {r['judged']}"
    )
    wins = f"{r['wins']} of {r['planned']} replicates"
    return [r["label"], r["tuning"], fixed(r["value"], 0.0), chosen, wins, f"{r['diverged']} of {r['runs']}"]


def _cell(r: Mapping[str, Any]) -> str:
    """Return the number of a level, strong where every replicate chose it, and what there is to say of it."""
    # Most levels are chosen by none, and nothing is to be said of them.
    value = Markdown("**{}**" if r["chosen"] == r["judged"] else "{}").format(fixed(r["value"], 0.0))
    more = [
        f" ({r['chosen']} of {r['judged']})" if r["chosen"] else "",
        f", {r['wins']} alone" if r["wins"] != r["chosen"] else "",
        f", {r['diverged']} of {r['runs']} diverged" if r["diverged"] else "",
    ]
    return Markdown("{}{}").format(value, "".join(more))
