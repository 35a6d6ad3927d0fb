"""Tables of an outcome for people: verdicts as they are printed, and runs and curves with the factors joined.

Each table begins with what tells rows apart and what was asked. All columns of a folder, in their fixed order, are in `runs`,
`curves` and `claims` of an outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from mlpbench.base.models import Value
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.plugins.plugin import pieces_of
from mlpbench.experiment.spec import Experiment
from mlpbench.report.claim_answers import answer_of
from mlpbench.report.words import expected_cell

TidyTable: TypeAlias = Literal["runs", "curves"]
TIDY_TABLES: tuple[TidyTable, ...] = ("runs", "curves")
# What a person looks at first: on the test set, then on what was held out, then in training.
PARTS = ("test", "val", "train", "gap")
# The column that says the same as `status`.
IN_STATUS = "diverged"
VERDICT_COLUMNS: dict[str, Any] = {
    "claim": object, "says": object, "verdict": object, "estimate": float, "low": float, "high": float, "unit": object,
    "claimed": object, "n": "int64", "planned": "int64", "p": float, "metric": object, "exploratory": bool, "note": object,
}  # fmt: skip


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return a row for each claim, with its numbers as reports print them.

    `estimate`, `low` and `high` are in `unit`: differences of accuracies in percentage points (pp), and `claimed` is the bound in
    that unit. `p` is corrected for the other claims; it is missing where a claim is observed and not tested.
    """
    rows: list[dict[str, Any]] = []
    for verdict in verdicts:
        answer = answer_of(verdict)
        numbers = answer.numbers
        rows.append(
            {
                "claim": answer.id,
                "says": answer.says,
                "verdict": answer.verdict,
                "estimate": None if numbers is None else numbers.estimate,
                "low": None if numbers is None else numbers.low,
                "high": None if numbers is None else numbers.high,
                "unit": "" if numbers is None else numbers.unit,
                "claimed": expected_cell(verdict),
                "n": verdict.n,
                "planned": verdict.planned,
                "p": verdict.p_corrected,
                "metric": verdict.metric,
                "exploratory": verdict.exploratory,
                "note": verdict.note,
            }
        )
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in VERDICT_COLUMNS.items()}
    )


def tidy_runs(experiment: Experiment, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run: condition, factors, replicate, status, then every metric that some run has, in the order of the grid.

    Metrics of plugins have the names by which a file speaks of them, `test_top_2`.

    Args:
        experiment: what was asked.
        runs: the table `runs` of it.

    """
    own = _own_metrics(experiment, runs)
    columns = [*_of_runs(runs), *_metrics(experiment, runs), *own, "run_id"]
    joined = _levels(experiment).merge(runs.assign(**own)[columns], on="condition_id", how="inner")
    joined = joined.sort_values(["position", "replicate", *(["fold"] if "fold" in joined else [])], kind="stable")
    return joined.drop(columns=["position", "condition_id"]).reset_index(drop=True)


def tidy_curves(experiment: Experiment, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each point of a curve: condition, factors, replicate, split, epoch, loss and accuracy, in the order of the grid.

    Args:
        experiment: what was asked.
        runs: the table `runs` of it.
        curves: its table `curves`.

    """
    every = _levels(experiment).merge(runs[[*_of_runs(runs), "run_id"]], on="condition_id", how="inner")
    points = curves.drop(columns=[] if experiment.has_classes else ["accuracy"])
    splits = list(dict.fromkeys(points["split"]))
    joined = every.merge(points.assign(order=points["split"].map(splits.index)), on="run_id", how="inner")
    by = ["position", "replicate", *(["fold"] if "fold" in joined else []), "order", "step"]
    joined = joined.sort_values(by, kind="stable")
    measures = ["split", "epoch", "step", *(m for m in ("loss", "accuracy") if m in points)]
    first = [c for c in every.columns if c not in ("position", "condition_id", "run_id", "status")]
    return joined[[*first, *measures, "run_id"]].reset_index(drop=True)


def _levels(experiment: Experiment) -> pd.DataFrame:
    """Return a row for each condition: where it stands in the grid, its label, and its levels where there are several factors or one."""
    conditions = grid.conditions(experiment)
    names = list(dict.fromkeys(name for condition in conditions for name in condition.levels if name != "label"))
    # Where conditions differ in more than their labels, as in the level they are tuned by, `condition` is no label.
    if any(c.levels.get("label", c.label) != c.label for c in conditions):
        names.insert(0, "label")
    columns: dict[str, list[object]] = {
        "position": list(range(len(conditions))),
        "condition_id": [c.condition_id for c in conditions],
        "condition": [c.label for c in conditions],
    }
    columns |= {name: [_level(c, name) for c in conditions] for name in names}
    return pd.DataFrame(columns)


def _level(condition: Condition, name: str) -> Value:
    """Return a level as a column has it: numbers and truths as they are, all else as reports print it."""
    value = condition.levels.get(name)
    return value if value is None or isinstance(value, bool | int | float) else format_level(value)


def _of_runs(runs: pd.DataFrame) -> list[str]:
    """Return the columns that say which run a row is: its fold only where runs have one."""
    folds = ["fold"] if runs["fold"].notna().any() else []
    return ["condition_id", "replicate", *folds, "status"]


def _metrics(experiment: Experiment, runs: pd.DataFrame) -> list[str]:
    """Return the metrics that some run has, the one that networks are judged by first, and costs last."""
    there = [name for name in METRICS if name != IN_STATUS and name in runs and runs[name].notna().any()]
    measure = "accuracy" if experiment.has_classes else "loss"

    def place(name: str) -> tuple[int, bool]:
        part, _, what = name.partition("_")
        if METRICS[name].is_cost:
            return len(PARTS) + 1, False
        return (PARTS.index(part), what != measure) if part in PARTS else (len(PARTS), False)

    return sorted(there, key=place)


def _own_metrics(experiment: Experiment, runs: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Return the metrics of the experiment's plugins that some run has, as files name them: those of other code are others."""
    if own_metrics.COLUMN not in runs:
        return {}
    stored = [dict(own_metrics.numbers_of(of_run)) for of_run in runs[own_metrics.COLUMN]]
    columns: dict[str, pd.Series[float]] = {}
    for called, piece in pieces_of(experiment.plugins, own_metrics.KIND).items():
        for part in own_metrics.PARTS:
            numbers = pd.Series([of_run.get(f"{part}_{piece}") for of_run in stored], index=runs.index, dtype=float)
            if numbers.notna().any():
                columns[f"{part}_{called}"] = numbers
    return columns
