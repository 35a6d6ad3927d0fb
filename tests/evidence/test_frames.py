"""Rows leave tables with all their digits."""

from __future__ import annotations

import json
import math

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.evidence.frames import json_records


@given(st.lists(st.tuples(st.floats(width=64), st.none() | st.integers(0, 99), st.booleans()), min_size=1))
def test_numbers_in_json_are_those_of_the_table(rows: list[tuple[float, int | None, bool]]) -> None:
    columns = list(zip(*rows, strict=True))
    types = ("float64", "Int64", "bool")
    frame = pd.DataFrame({t: pd.Series(c, dtype=t) for t, c in zip(types, columns, strict=True)})
    found = json.loads(json.dumps(json_records(frame), allow_nan=False))
    assert [tuple(row.values()) for row in found] == [(a if math.isfinite(a) else None, b, c) for a, b, c in rows]
