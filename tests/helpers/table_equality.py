"""Whether two results folders have the same tables, but for what may differ between two trainings of a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlpbench.results.schemas import KEYS

# What may differ between two trainings of a run; the last two, where somebody works on the code meanwhile.
MAY_DIFFER = ("train_seconds", "stack_size", "env_commit", "env_dirty")


def same_tables(a: Path, b: Path, but: tuple[str, ...] = ()) -> None:
    """Compare all tables of two folders value by value, but for some columns, in whatever files their rows stand."""
    for table, keys in KEYS.items():
        one, other = (pd.read_parquet(f / table).sort_values(list(keys), ignore_index=True) for f in (a, b))
        drop = [c for c in (*MAY_DIFFER, *but) if c in one]
        pd.testing.assert_frame_equal(one.drop(columns=drop), other.drop(columns=drop), check_exact=True)
