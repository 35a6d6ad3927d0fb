"""Of many conditions the levels of a tuned setting stand side by side, and nothing of the long table is lost."""

from __future__ import annotations

import re
from typing import Any

from mlpbench.report.diagnostics.tuning_levels import MOST_LEVELS, MOST_ROWS, levels_table

LEVELS = ["lr=0.01", "lr=0.1", "lr=1"]


def rows(n: int, levels: list[str] = LEVELS, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "label": f"width={i}", "tuning": level, "value": 0.5 + i / 1000 + k / 10, "chosen": k * (i % 3), "judged": 4,
            "wins": k * (i % 3) + (i == 7), "planned": 4, "diverged": int(i == k), "runs": 12, **more,
        }
        for i in range(n)
        for k, level in enumerate(levels)
    ]  # fmt: skip


def test_few_levels_have_a_row_each() -> None:
    table, read = levels_table(rows(5), "validation accuracy")
    assert read == ""
    assert table.count("\n") == 1 + 5 * 3
    assert "| width=2 | lr=1 | 0.702 | **yes** | 4 of 4 replicates | 1 of 12 |" in table


def test_many_stand_side_by_side_with_all_that_is_to_be_said_of_each() -> None:
    of = rows(MOST_ROWS)
    table, read = levels_table(of, "validation accuracy")
    assert read.startswith("A cell has the validation accuracy of a level")
    lines = table.splitlines()
    assert lines[0] == "| condition | lr=0.01 | lr=0.1 | lr=1 |"
    assert len(lines) == 2 + MOST_ROWS
    for r in of:
        line = next(line for line in lines if line.startswith(f"| {r['label']} |"))
        cell = line.strip("| ").split(" | ")[1 + LEVELS.index(r["tuning"])]
        assert float(re.findall(r"[\d.]+", cell)[0]) == round(r["value"], 4)
        assert (f"({r['chosen']} of 4)" in cell) == (r["chosen"] > 0)
        assert ("**" in cell) == (r["chosen"] == 4)
        assert ("diverged" in cell) == (r["diverged"] > 0)
        assert (f", {r['wins']} alone" in cell) == (r["wins"] != r["chosen"])


def test_levels_that_differ_between_conditions_keep_their_rows() -> None:
    ragged = rows(MOST_ROWS)[:-1]
    assert levels_table(ragged, "validation loss")[0].count("\n") == 1 + len(ragged)
    many = rows(10, [f"lr={k}" for k in range(MOST_LEVELS + 1)])
    assert levels_table(many, "validation loss")[0].count("\n") == 1 + len(many)
