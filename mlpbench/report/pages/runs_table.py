"""The table of runs that a page sorts and filters: a row for each condition and replicate, of very many a stated part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlpbench.evidence.estimates.observe import OK
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.pages.interactive import Interactive
from mlpbench.report.sections.tables import HEADINGS

# A page with more rows than this takes long to open and to sort.
MOST_RUNS = 2_000


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading of the table, and whether its cells are numbers."""

    title: str
    is_number: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell: what it shows, and what it is sorted by where that differs."""

    text: str
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """The table: what it is about in a sentence, its columns, and its rows in the order of the grid."""

    about: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def run_table(shown: Interactive) -> RunTable:
    """Return the runs with levels, status and main metrics; of more than `MOST_RUNS`, the first replicates of some."""
    rows, about = _excerpt(shown)
    names = list(shown.experiment.factor_names)
    levels = [[_level(c, n) for c in shown.conditions] for n in names]
    numbers = [all(_is_number(c.levels.get(n)) for c in shown.conditions) for n in names]
    columns = [Column(title=n, is_number=of) for n, of in zip(names, numbers, strict=True)]
    columns += [Column(title="replicate", is_number=True), Column(title="status", is_number=False)]
    columns += [Column(title=_heading(m), is_number=True) for m in shown.metrics]
    columns.append(Column(title="run", is_number=False))
    whys = {row["run_id"]: _why(row["status"], row["diverged_at_step"], row["error"]) for row in records(shown.ended)}
    cells = [
        [
            *(of[row["position"]] for of in levels),
            Cell(text=str(row["replicate"])),
            Cell(text=f"{row['status']}{whys.get(row['run_id'], '')}"),
            *(_number(m, row[m]) for m in shown.metrics),
            Cell(text=row["run_id"]),
        ]
        for row in records(rows)
    ]
    return RunTable(about=about, columns=columns, rows=cells)


def _excerpt(shown: Interactive) -> tuple[pd.DataFrame, str]:
    every = shown.observed
    total, listed = len(every), list(shown.listed)
    also = ""
    if shown.n_stored > total:
        also = (
            f" Of {shown.n_stored} runs they are those that stand for a condition in a replicate: with the settings that "
            "were chosen, not of single folds. The table `runs` has the others."
        )
    if total <= MOST_RUNS:
        what = f"All {total} runs of the grid." if not also else f"{total} runs.{also}"
        return every, what if total > 1 else "The run of the grid."
    first = every[every["position"].isin(listed)].groupby("position", sort=False).head(max(1, MOST_RUNS // len(listed)))
    each = int(first.groupby("position").size().max())
    of = f" of the {len(listed)} conditions listed above" if len(listed) < len(shown.conditions) else ""
    most = f"the first {each} replicates" if each > 1 else "the first replicate"
    return first, f"These are {most}{of or ' of each condition'}, {len(first)} of {total} runs.{also}"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _level(condition: Condition, name: str) -> Cell:
    if name not in condition.levels:
        return Cell(text="-", key="")
    value = condition.levels[name]
    key = "" if value is None else repr(value) if isinstance(value, float) else None
    return Cell(text=format_level(value), key=key)


def _heading(metric: str) -> str:
    return "seconds" if metric == "train_seconds" else HEADINGS[metric]


def _number(metric: str, value: float) -> Cell:
    if math.isnan(value):
        return Cell(text="-", key="")
    # Decimals rather than digits where numbers are of usual size, so that a column can be read down.
    plain = "accuracy" in metric or value == 0 or 0.01 <= abs(value) < 100
    text = f"{value:.3g}" if metric == "train_seconds" else f"{value:.4f}" if plain else f"{value:.4g}"
    return Cell(text=text, key=repr(float(value)))


def _why(status: str, step: float, error: object) -> str:
    if status == OK:
        return ""
    if not pd.isna(step):
        return f" at step {int(step)}"
    return f" ({error.splitlines()[0]})" if isinstance(error, str) and error else ""
