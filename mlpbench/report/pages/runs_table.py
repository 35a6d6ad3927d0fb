"""The table of runs that a page sorts and filters: a row for each condition and replicate, of very many a stated part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlpbench.evidence.estimates.observe import OK
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.context import Context
from mlpbench.report.sections.conditions import HEADINGS

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


def run_table(context: Context) -> RunTable:
    """Return the runs with levels, status and main metrics; of more than `MOST_RUNS`, the first replicates of some."""
    rows, about = _excerpt(context)
    names = list(context.experiment.factor_names)
    metrics = [*(m for m in HEADINGS if m in set(context.estimates["metric"])), "train_seconds"]
    levels = [[_level(c, n) for c in context.conditions] for n in names]
    numbers = [all(_is_number(c.levels.get(n)) for c in context.conditions) for n in names]
    columns = [Column(title=n, is_number=number) for n, number in zip(names, numbers, strict=True)]
    columns += [Column(title="replicate", is_number=True), Column(title="status", is_number=False)]
    columns += [Column(title=_heading(m), is_number=True) for m in metrics]
    columns.append(Column(title="run", is_number=False))
    ended = records(context.runs.loc[context.runs["status"] != OK, ["run_id", "diverged_at_step", "error"]])
    reasons = {row["run_id"]: _reason(row["diverged_at_step"], row["error"]) for row in ended}
    cells = [
        [
            *(level[row["position"]] for level in levels),
            Cell(text=str(row["replicate"])),
            Cell(text=f"{row['status']}{reasons.get(row['run_id'], '')}"),
            *(_number(m, row[m]) for m in metrics),
            Cell(text=row["run_id"]),
        ]
        for row in records(rows)
    ]
    return RunTable(about=about, columns=columns, rows=cells)


def _excerpt(context: Context) -> tuple[pd.DataFrame, str]:
    """Return the rows of the table, and which runs they are in a sentence."""
    every, n_stored, listed = context.observed, len(context.runs), list(context.excerpt.listed)
    total = len(every)
    also = ""
    if n_stored > total:
        also = (
            f" They are those of {n_stored} runs that represent a condition in a replicate: runs with the chosen settings, not "
            "runs on single folds. The table `runs` has the others."
        )
    if total <= MOST_RUNS:
        what = f"All {total} runs of the grid." if not also else f"{total} runs.{also}"
        return every, what if total > 1 else "The run of the grid."
    first = every[every["position"].isin(listed)].groupby("position", sort=False).head(max(1, MOST_RUNS // len(listed)))
    each = int(first.groupby("position").size().max())
    which = "each condition"
    if len(listed) < len(context.conditions):
        which = f"the {len(listed)} conditions listed above"
    most = f"the first {each} replicates" if each > 1 else "the first replicate"
    return first, f"These are {most} of {which}, {len(first)} of {total} runs.{also}"


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


def _reason(step: float, error: object) -> str:
    """Return at which step a run diverged, or why it failed."""
    if not pd.isna(step):
        return f" at step {int(step)}"
    return f" ({error.splitlines()[0]})" if isinstance(error, str) and error else ""
