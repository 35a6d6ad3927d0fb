"""The two ways in which rows leave a DataFrame for plain Python."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows, in order, as dictionaries with column names for keys."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def floats(column: pd.Series[Any]) -> list[float]:
    """Return a column as plain floats."""
    return [float(v) for v in column.to_numpy(dtype=float)]
