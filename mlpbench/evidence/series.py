"""The frames that figures show: error and loss by split, with the place of each condition along the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment

# More lines than this can't each have a colour: they are told apart by the first of the other factors.
MOST_GROUPS = 10
MEASURES = {"error": "accuracy", "loss": "loss"}


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Estimates and replicates of train and test error and loss; `factor` is None where the axis is categorical."""

    estimates: pd.DataFrame
    points: pd.DataFrame
    factor: str | None


def numeric_factor(experiment: Experiment, conditions: Sequence[Condition]) -> str | None:
    """Return the first factor with at least two levels, all of them numbers, or None."""
    for name in experiment.factor_names:
        levels = [c.levels.get(name) for c in conditions]
        if len(set(levels)) > 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels):
            return name
    return None


def errors(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, estimates: pd.DataFrame
) -> Errors:
    """Return error = 1 - accuracy, and loss, of train and test, by condition and by replicate."""
    factor = numeric_factor(experiment, conditions)
    others = [n for n in experiment.factor_names if n != factor]
    place = {i: _place(c, i, factor) for i, c in enumerate(conditions)}
    series = {i: "" if factor is None else _series(c, others) for i, c in enumerate(conditions)}
    means, points = [], []
    for measure, metric in MEASURES.items():
        for split in ("train", "test"):
            rows = estimates[estimates["metric"] == f"{split}_{metric}"]
            seen = pd.DataFrame({"position": observed["position"], "value": observed[f"{split}_{metric}"]}).dropna()
            if measure == "error":
                rows = rows.assign(mean=1 - rows["mean"], low=1 - rows["high"], high=1 - rows["low"])
                seen = seen.assign(value=1 - seen["value"])
            means.append(rows.dropna(subset=["mean"]).assign(measure=measure, split=split))
            points.append(seen.assign(measure=measure, split=split))
    frames = [pd.concat(parts, ignore_index=True) for parts in (means, points)]
    first = {i: _series(c, others[:1]) for i, c in enumerate(conditions)}
    group = series if len(set(series.values())) <= MOST_GROUPS else first
    keys: dict[str, Mapping[int, Any]] = {"x": place, "series": series, "group": group}
    placed = [f.assign(**{name: f["position"].map(of) for name, of in keys.items()}) for f in frames]
    return Errors(estimates=placed[0], points=placed[1], factor=factor)


def _place(condition: Condition, position: int, factor: str | None) -> float:
    return float(position) if factor is None else float(condition.levels[factor])  # type: ignore[arg-type]


def _series(condition: Condition, others: Sequence[str]) -> str:
    return ", ".join(f"{n}={format_level(condition.levels[n])}" for n in others if n in condition.levels)
