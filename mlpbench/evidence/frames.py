"""The ways in which rows leave a DataFrame for plain Python, and where rows of one stand in another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows, in order, as dictionaries with column names for keys."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def json_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON has them: numbers with all their digits, None where one is missing or infinite."""
    number = {c: frame[c].dtype.kind == "f" for c in frame}
    known = pd.DataFrame({c: np.isfinite(frame[c]) if number[c] else frame[c].notna() for c in frame})
    return records(frame.astype(object).where(known, None))


def floats(column: pd.Series[Any]) -> list[float]:
    """Return a column as plain floats."""
    return [float(v) for v in column.to_numpy(dtype=float)]


def places(values: pd.Series[Any], among: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """Return where each run_id stands among others that differ, -1 for one that does not."""
    one, other = (pa.array(column, pa.string()) for column in (values, among))
    return np.asarray(pc.index_in(one, value_set=other).fill_null(-1), dtype=np.int64)


def is_among(values: pd.Series[Any], among: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return whether each run_id is one of some; `isin` of pandas looks text of Arrow's up many times more slowly."""
    one, other = (pa.array(column, pa.string()) for column in (values, among))
    return np.asarray(pc.is_in(one, value_set=other), dtype=np.bool_)


def with_finite(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a frame in which infinite numbers of some columns are missing ones: no mean, test or axis has a place for them."""
    infinite = [c for c in columns if c in frame and np.isinf(frame[c].to_numpy(dtype=float)).any()]
    return frame.assign(**{c: frame[c].where(np.isfinite(frame[c].to_numpy(dtype=float))) for c in infinite})
