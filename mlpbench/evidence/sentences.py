"""One sentence for each figure, made of the numbers it shows, and the alternative text for those who can't see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlpbench.evidence.frames import floats, records
from mlpbench.evidence.words import fixed, with_spread


def of_curves(curves: pd.DataFrame) -> str:
    """Say where the mean test accuracy ends, and which conditions end highest and lowest."""
    test = curves[(curves["split"] == "test") & (curves["measure"] == "accuracy")]
    if test.empty:
        return ""
    end = records(test[test["epoch"] == test.groupby("position")["epoch"].transform("max")])
    best, worst = max(end, key=_mean), min(end, key=_mean)
    if len(end) == 1:
        start = min(records(test), key=lambda r: float(r["epoch"]))
        return (
            f"Mean test accuracy goes from {fixed(start['mean'], best['sd'])} to "
            f"{with_spread(best['mean'], best['sd'])} in {best['epoch']:g} epochs (n = {best['n']})."
        )
    lengths = sorted({r["epoch"] for r in end})
    after = f"{lengths[0]:g}" if len(lengths) == 1 else f"{lengths[0]:g} to {lengths[-1]:g}"
    plural = "" if after == "1" else "s"
    return (
        f"After {after} epoch{plural} mean test accuracy is highest with {best['label']}, "
        f"{with_spread(best['mean'], best['sd'])}, and lowest with {worst['label']}, "
        f"{with_spread(worst['mean'], worst['sd'])} (mean ± sd over replicates)."
    )


def of_errors(estimates: pd.DataFrame) -> str:
    """Say where the test error is lowest and highest, and how far train error lies below it there."""
    error = estimates[estimates["measure"] == "error"]
    test = records(error[error["split"] == "test"])
    train = {r["position"]: float(r["mean"]) for r in records(error[error["split"] == "train"])}
    if not test:
        return ""
    best, worst = min(test, key=_mean), max(test, key=_mean)

    def part(row: Mapping[str, Any]) -> str:
        gap = 100 * (row["mean"] - train[row["position"]])
        side = "above" if gap >= 0 else "below"
        return f"{row['label']} ({row['mean']:.2%}, {abs(gap):.2f} pp {side} its train error)"

    if best["position"] == worst["position"]:
        return f"Test error with {part(best)}."
    return f"Test error is lowest with {part(best)} and highest with {part(worst)}."


def of_replicates(estimates: pd.DataFrame) -> str:
    """Say how much replicates of one condition differ, beside how much the conditions do."""
    spread = floats(estimates["sd"].dropna())
    if not spread:
        return "One replicate a condition shows no spread."
    low, high = _points(min(spread)), _points(max(spread))
    told = f"Replicates of one condition have a standard deviation of {low if low == high else f'{low} to {high}'}"
    means = floats(estimates["mean"].dropna())
    whole = f"; the means of the conditions span {_points(max(means) - min(means))}" if len(means) > 1 else ""
    return f"{told} in test accuracy{whole}."


def _mean(row: Mapping[str, Any]) -> float:
    return float(row["mean"])


def of_verdicts(claims: pd.DataFrame) -> str:
    """Count the verdicts."""
    counts = claims["verdict"].value_counts()
    parts = [f"{counts[v]} {v}" for v in ("supported", "refuted", "undecided") if v in counts]
    return f"Of {len(claims)} claim{'s' if len(claims) > 1 else ''}: {', '.join(parts)}."


def _points(share: float) -> str:
    return f"{100 * share:.2f} pp"
