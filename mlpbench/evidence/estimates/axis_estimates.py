"""Estimates along an axis, as figures show them: error and loss along a factor, accuracy or loss by severity of a shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS, Excerpt
from mlpbench.evidence.estimates.observe import accuracy_step, geometric_intervals, intervals, measure, with_labels
from mlpbench.evidence.estimates.overlap import overlap
from mlpbench.experiment.claims.selectors import are_numbers
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.spec import Experiment

# More lines than this can't each have a colour: they have the colours of the first of the other factors.
MOST_GROUPS = 10
FEW_LINES = 4
MEASURES = {"error": "accuracy", "loss": "loss"}
SHIFT_COLUMNS = ["position", "kind", "severity", "n", "mean", "sd", "low", "high"]


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Estimates and replicates of train and test error and loss; `factor` is None where the axis is categorical.

    `every` has the estimates of all conditions; `estimates` and `points` are for a figure, and `drawn_by` says how they
    were chosen.
    """

    every: pd.DataFrame
    estimates: pd.DataFrame
    points: pd.DataFrame
    factor: str | None
    drawn_by: str


def numeric_factor(experiment: Experiment, conditions: Sequence[Condition]) -> str | None:
    """Return the factor that makes an axis, or None: the first with three or more levels, all of them numbers.

    One with two levels does where no more than `FEW_LINES` lines join them: more are easier to read as rows. Some conditions
    must differ in it alone, or there would be no line: levels of zipped factors go together.
    """
    short = None
    for name in experiment.factor_names:
        levels = [c.levels.get(name) for c in conditions]
        n = len(set(levels))
        others = [other for other in experiment.factor_names if other != name]
        joined = len({_series(c, others) for c in conditions}) < len(conditions)
        if n > 1 and joined and are_numbers(levels):
            if n > 2:
                return name
            short = short or name
    return short if len(conditions) <= 2 * FEW_LINES else None


def errors(
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    estimates: pd.DataFrame,
    excerpt: Excerpt | None = None,
) -> Errors:
    """Return error = 1 - accuracy, and loss, of train and test, by condition and by replicate.

    Estimates have geometric means and intervals, too, for log axes (`geometric_intervals`).
    Of an excerpt along a factor, each condition that is drawn stands with those that differ from it in the factor alone.
    """
    factor = numeric_factor(experiment, conditions)
    others = [n for n in experiment.factor_names if n != factor]
    series = ["" if factor is None else _series(c, others) for c in conditions]
    drawn = list(range(len(conditions)) if excerpt is None else excerpt.drawn)
    drawn_by, dots = "" if excerpt is None else excerpt.drawn_by, MOST_DOTS
    if drawn_by and factor:
        lines = {series[i] for i in drawn}
        drawn = [i for i, name in enumerate(series) if name in lines]
        beside = f"{drawn_by.rstrip('.')}; each with the conditions that differ from it in {factor} alone, without replicates."
        drawn_by = "Replicates are not drawn." if len(drawn) == len(conditions) else beside
        dots = 0
    place = {i: float(row) if factor is None else _level(conditions[i], factor) for row, i in enumerate(drawn)}
    seen = observed[(observed["replicate"] < dots) & observed["position"].isin(drawn)]
    means, points = [], []
    for name, metric in MEASURES.items():
        for split in ("train", "test"):
            rows = estimates[estimates["metric"] == f"{split}_{metric}"]
            column = f"{split}_{metric}"
            values = pd.DataFrame(
                {"position": observed["position"], "replicate": observed["replicate"], "value": observed[column]}
            ).dropna()
            if name == "error":
                rows = rows.assign(mean=1 - rows["mean"], low=1 - rows["high"], high=1 - rows["low"])
                values = values.assign(value=1 - values["value"])
            together = pd.Series([overlap(column, c.settings, c.data) for c in conditions], dtype=float)
            rows = rows.join(geometric_intervals(values, ["position"], together), on="position")
            means.append(rows.dropna(subset=["mean"]).assign(measure=name, split=split))
            points.append(values[values.index.isin(seen.index)].assign(measure=name, split=split))
    every, dotted = (pd.concat(parts, ignore_index=True) for parts in (means, points))
    shown = every[every["position"].isin(drawn)]
    first = [_series(c, others[:1]) for c in conditions]
    group = series if len({series[i] for i in drawn}) <= MOST_GROUPS else first
    keys: dict[str, Mapping[int, Any]] = {
        "x": place,
        "series": dict(enumerate(series)),
        "group": dict(enumerate(group)),
    }
    placed = [f.assign(**{name: f["position"].map(of) for name, of in keys.items()}) for f in (shown, dotted)]
    placed = [f.astype({"x": float}) for f in placed]  # an empty column of a map is text
    return Errors(every=every, estimates=placed[0], points=placed[1], factor=factor, drawn_by=drawn_by)


def _level(condition: Condition, factor: str) -> float:
    return float(condition.levels[factor])  # type: ignore[arg-type]


def _series(condition: Condition, others: Sequence[str]) -> str:
    return ", ".join(f"{n}={format_level(condition.levels[n])}" for n in others if n in condition.levels)


def by_severity(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, curves: pd.DataFrame, outcome: str
) -> pd.DataFrame:
    """Return n, mean, sd and t interval of each condition under each kind and severity of shift: `condition_id`, `label`, `SHIFT_COLUMNS`.

    `outcome` is accuracy or loss. Each kind has its own rows of severity 0: the numbers of the unshifted test set.
    """
    parts = []
    for kind, severities in experiment.shifts.items():
        names = {0.0: f"test_{outcome}"} | {s: f"shift_{outcome}[{kind},{s:g}]" for s in severities}
        for severity, name in names.items():
            measured = measure(observed, curves, name).dropna(subset=["value"])
            floors = [accuracy_step(name, c.settings, c.data.n_test) for c in conditions]
            limits = METRICS[f"test_{outcome}"].limits
            together = pd.Series([overlap(name, c.settings, c.data) for c in conditions], dtype=float)
            part = intervals(measured, ["position"], pd.Series(floors, dtype=float), limits, together).reset_index()
            parts.append(part.assign(kind=kind, severity=severity))
    parts = [p for p in parts if len(p)]
    estimates = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=SHIFT_COLUMNS)
    estimates = estimates[SHIFT_COLUMNS].sort_values(["kind", "position", "severity"], ignore_index=True)
    estimates = with_labels(estimates, conditions)
    # Panels stand in the order of the file.
    order = {kind: i for i, kind in enumerate(experiment.shifts)}
    return estimates.sort_values("kind", key=lambda k: k.map(order), kind="stable", ignore_index=True)
