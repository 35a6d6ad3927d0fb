"""One sentence for each figure, made of the numbers it shows, and the alternative text for those who can't see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.observe import OK, with_numbers
from mlpbench.evidence.frames import floats, places, records
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, UNDECIDED, Verdict
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.language.words import fixed, with_spread


def of_curves(curves: pd.DataFrame) -> str:
    """Say where the mean test accuracy ends, or the loss where there is none; which conditions end highest and lowest."""
    of_test = curves[curves["split"] == "test"]
    if of_test.empty:
        return ""
    what = "accuracy" if (of_test["measure"] == "accuracy").any() else "loss"
    test = of_test[of_test["measure"] == what]
    end = records(test[test["epoch"] == test.groupby("position")["epoch"].transform("max")])
    best, worst = max(end, key=_mean), min(end, key=_mean)
    if len(end) == 1:
        start = min(records(test), key=lambda r: float(r["epoch"]))
        return (
            f"Mean test {what} goes from {fixed(start['mean'], best['sd'])} to "
            f"{with_spread(best['mean'], best['sd'])} in {best['epoch']:g} epochs (n = {best['n']})."
        )
    lengths = sorted({r["epoch"] for r in end})
    after = f"{lengths[0]:g}" if len(lengths) == 1 else f"{lengths[0]:g} to {lengths[-1]:g}"
    plural = "" if after == "1" else "s"
    return (
        f"After {after} epoch{plural} mean test {what} is highest with {best['label']}, "
        f"{with_spread(best['mean'], best['sd'])}, and lowest with {worst['label']}, "
        f"{with_spread(worst['mean'], worst['sd'])} (mean ± sd over replicates)."
    )


def of_lacking(observed: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Say how many finished runs have no curves, nothing where all have: those of a trimmed folder may be gone."""
    finished = observed.loc[observed["status"] == OK, "run_id"]
    there = with_numbers(curves)["run_id"].drop_duplicates()
    lacking = int((places(finished, there) < 0).sum())
    return f"Of {len(finished)} finished runs {lacking} have no curves in this folder, which was trimmed." * (
        lacking > 0
    )


def of_errors(estimates: pd.DataFrame) -> str:
    """Say where the test error is lowest and highest, and how far train error lies below it there; of numbers, loss."""
    classes = bool((estimates["measure"] == "error").any())
    what = "error" if classes else "loss"
    error = estimates[estimates["measure"] == what]
    test = records(error[error["split"] == "test"])
    train = {r["position"]: float(r["mean"]) for r in records(error[error["split"] == "train"])}
    if not test:
        return ""
    best, worst = min(test, key=_mean), max(test, key=_mean)

    def part(row: Mapping[str, Any]) -> str:
        gap = row["mean"] - train[row["position"]]
        side = "above" if gap >= 0 else "below"
        if not classes:
            return f"{row['label']} ({row['mean']:.4g}, {abs(gap):.4g} {side} its train loss)"
        return f"{row['label']} ({row['mean']:.2%}, {100 * abs(gap):.2f} pp {side} its train error)"

    if best["position"] == worst["position"]:
        return f"Test {what} with {part(best)}."
    return f"Test {what} is lowest with {part(best)} and highest with {part(worst)}."


def of_replicates(estimates: pd.DataFrame) -> str:
    """Say how much replicates of one condition differ in one metric, beside how much the conditions do."""
    spread = floats(estimates["sd"].dropna())
    if not spread:
        return "One replicate a condition shows no spread."
    of = metric(str(estimates["metric"].iloc[0]))
    show = _points if of.is_accuracy else _number
    low, high = show(min(spread)), show(max(spread))
    told = f"Replicates of one condition have a standard deviation of {low if low == high else f'{low} to {high}'}"
    means = floats(estimates["mean"].dropna())
    whole = f"; the means of the conditions span {show(max(means) - min(means))}" if len(means) > 1 else ""
    return f"{told} in {of.name.replace('_', ' ')}{whole}."


def _mean(row: Mapping[str, Any]) -> float:
    return float(row["mean"])


def of_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Count the verdicts."""
    counts = Counter(v.decision for v in verdicts)
    parts = [f"{counts[d]} {d}" for d in (SUPPORTED, REFUTED, UNDECIDED) if d in counts]
    return f"Of {len(verdicts)} claim{'s' if len(verdicts) > 1 else ''}: {', '.join(parts)}."


def _number(value: float) -> str:
    return f"{value:.3g}"


def _points(share: float) -> str:
    return f"{100 * share:.2f} pp"
