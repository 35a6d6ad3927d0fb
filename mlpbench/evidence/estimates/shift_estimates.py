"""Test performance under shift: an estimate for each condition, kind and severity, with the plain test set as severity 0."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlpbench.evidence.estimates.observe import accuracy_step, intervals, measure
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment

COLUMNS = ["position", "kind", "severity", "n", "mean", "sd", "low", "high"]


def by_severity(
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
    good: str,
) -> pd.DataFrame:
    """Return `COLUMNS` with `condition_id` and `label`: n, mean, sd and t interval over replicates.

    `good` is accuracy or loss. Each kind has its own rows of severity 0: the numbers of the plain test set.
    """
    parts = []
    for kind, severities in experiment.shifts.items():
        names = {0.0: f"test_{good}"} | {s: f"shift_{good}[{kind},{s:g}]" for s in severities}
        for severity, name in names.items():
            measured = measure(observed, curves, name).dropna(subset=["value"])
            floors = [accuracy_step(name, c.settings, experiment.data.n_test) for c in conditions]
            part = intervals(measured, ["position"], pd.Series(floors, dtype=float)).reset_index()
            parts.append(part.assign(kind=kind, severity=severity))
    parts = [p for p in parts if len(p)]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    found = found[COLUMNS].sort_values(["kind", "position", "severity"], ignore_index=True)
    found.insert(0, "condition_id", [conditions[i].condition_id for i in found["position"]])
    found.insert(1, "label", [conditions[i].label for i in found["position"]])
    # Panels stand in the order of the file.
    order = {kind: i for i, kind in enumerate(experiment.shifts)}
    return found.sort_values("kind", key=lambda k: k.map(order), kind="stable", ignore_index=True)


def sentence(found: pd.DataFrame, good: str) -> str:
    """Say under which shift, and with which condition, the mean moves furthest from the plain test set, and least far."""
    rows = records(found)
    plain = {(r["position"], r["kind"]): r for r in rows if r["severity"] == 0}
    pairs = [
        (plain[r["position"], r["kind"]], r) for r in rows if r["severity"] > 0 and (r["position"], r["kind"]) in plain
    ]
    if not pairs:
        return ""
    # What is lost: accuracy that falls, or loss that rises.
    sign = 1.0 if good == "accuracy" else -1.0
    pairs.sort(key=lambda pair: sign * (pair[0]["mean"] - pair[1]["mean"]))
    least, most = pairs[0], pairs[-1]
    several = found["position"].nunique() > 1

    def told(before: dict[str, float], after: dict[str, float]) -> str:
        who = f" with {after['label']}" if several else ""
        numbers = [f"{r['mean']:.1%}" if good == "accuracy" else f"{r['mean']:.3g}" for r in (before, after)]
        return f"{after['kind']} {after['severity']:g}{who} ({numbers[0]} to {numbers[1]})"

    if len(pairs) == 1:
        return f"Mean test {good} moves under {told(*most)}."
    return f"Mean test {good} suffers most from {told(*most)} and least from {told(*least)}."
