"""A row that is older than a column has nothing there, which is no difference; two numbers there are compared."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mlpbench.evidence.agreement import agreement
from mlpbench.results.folders import DIFFERENT, IDENTICAL
from mlpbench.results.schemas import CAME_LATER, SCHEMAS


@pytest.mark.parametrize("column", CAME_LATER)
def test_an_older_row_agrees_with_a_newer_one(column: str) -> None:
    frames = {t: s.empty_table().to_pandas() for t, s in SCHEMAS.items()}
    row: dict[str, Any] = dict.fromkeys(SCHEMAS["runs"].names)
    row |= {"run_id": "0" * 16, "status": "ok", "test_loss": 0.5}

    def tables(value: Any) -> dict[str, Any]:
        runs = pd.DataFrame([row | {column: value}], dtype=object)
        return frames | {"runs": runs}

    assert list(agreement(tables(None), tables(2.0))["grade"]) == [IDENTICAL]
    assert list(agreement(tables(1.0), tables(2.0))["grade"]) == [DIFFERENT]
