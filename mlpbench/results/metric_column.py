"""The column of the table `runs` with metrics of plugins: its numbers as columns of their own, and which finished runs lack one.

A metric is no part of what a run is: two experiments share a run, whatever they measure. So it decides whether a stored run is
complete, as the epochs of probes do, and runs that lack one are trained again, to be measured by it. Where the code of a metric has
changed, the folder has the number of the other one, by its digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlpbench.experiment.components.own_pieces import split_name
from mlpbench.experiment.metrics.own_metrics import COLUMN, KIND, measured, numbers_of
from mlpbench.experiment.plugins.plugin import Plugin, pieces_of

if TYPE_CHECKING:
    import pandas as pd


def own_columns(runs: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of plugins that any of these runs has, in the order of their names: a number for each run, NaN for none."""
    if COLUMN not in runs or runs[COLUMN].isna().all():
        return {}
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for i, stored in enumerate(runs[COLUMN]):
        for name, value in numbers_of(stored):
            columns.setdefault(name, np.full(len(runs), np.nan))[i] = np.nan if value is None else value
    return dict(sorted(columns.items()))


def own_names_in(frame: pd.DataFrame, part: str) -> list[str]:
    """Return the columns that are metrics of plugins on a part of the data: `test` or `val`."""
    return [str(name) for name in frame.columns if (of := measured(str(name))) is not None and of[0] == part]


def metric_columns(plugins: Sequence[Plugin]) -> list[str]:
    """Return the columns of the table of runs that say by which metrics of plugins a run was measured; none where there are none."""
    return [COLUMN] if pieces_of(plugins, KIND) else []


def are_measured(rows: pd.DataFrame, plugins: Sequence[Plugin]) -> npt.NDArray[np.bool_]:
    """Return whether each run has a number of every metric, as its code is now, or has ended too badly for one."""
    wanted = set(pieces_of(plugins, KIND).values())
    if not wanted:
        return np.ones(len(rows), dtype=np.bool_)
    measures = [wanted <= _pieces_in(stored) for stored in rows[COLUMN]]
    return np.asarray(np.array(measures, dtype=np.bool_) | (rows["status"] != "ok").to_numpy())


def unmeasured_runs(rows: pd.DataFrame, plugins: Sequence[Plugin]) -> Mapping[str, int]:
    """Return how many finished runs lack the number of a metric, by what is to be said of them."""
    counts: Counter[str] = Counter()
    finished = rows.loc[rows["status"] == "ok", metric_columns(plugins)]
    for plugin in plugins:
        for called, name in pieces_of([plugin], KIND).items():
            what = f"{called} ({KIND} of {plugin.name})"
            for stored in finished[COLUMN]:
                pieces = _pieces_in(stored)
                if name not in pieces:
                    changed = called in (split_name(piece)[0] for piece in pieces)
                    counts[_words(what, changed=changed)] += 1
    return counts


def unmeasured_line(words: str, n: int) -> str:
    """Return a line about runs that lack a number."""
    return f"{n} run{'s are' if n != 1 else ' is'} {words}; {'they are' if n != 1 else 'it is'} trained again to be measured"


def _words(what: str, *, changed: bool) -> str:
    return f"stale: measured with another {what}, whose code has changed" if changed else f"not measured by {what} yet"


def _pieces_in(stored: Any) -> set[str]:
    """Return the pieces that a run was measured by, those of which it has no number included."""
    return {of[1] for name, _ in numbers_of(stored) if (of := measured(name)) is not None}
