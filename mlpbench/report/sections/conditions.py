"""The section "Conditions": a table with mean and standard deviation of the main metrics of each condition."""

from __future__ import annotations

import pandas as pd

from mlpbench.evidence.frames import records
from mlpbench.report.context import FURTHER_SCORES, Context
from mlpbench.report.language.words import scientific, with_spread
from mlpbench.report.section import Section, paragraph, table

HEADINGS = {
    "train_loss": "train loss", "test_loss": "test loss", "train_accuracy": "train accuracy",
    "val_accuracy": "validation accuracy", "test_accuracy": "test accuracy", "gap_accuracy": "gap",
    "val_loss": "validation loss", "gap_loss": "gap", **FURTHER_SCORES,
}  # fmt: skip
GAPS = {"accuracy": "train minus test accuracy", "loss": "test minus train loss"}
# Numbers from here on are scientific; a spread this many times that of its column has its own digits.
HUGE, FAR = 1e5, 100.0


def section(context: Context) -> Section:
    """Return a row for each condition listed: mean ± sd of the main metrics, how many replicates, how many diverged."""
    estimates, listed = context.estimates, context.excerpt.listed
    metrics = [m for m in HEADINGS if m in set(estimates["metric"])]
    estimates = estimates[estimates["position"].isin(list(listed))]
    cells = {(r["position"], r["metric"]): r for r in records(estimates)}
    # One number of digits a column, so that it can be read down: by its middle spread, since one run that explodes would
    # take the digits of all others.
    spread = {str(m): _middle(sds) for m, sds in estimates.groupby("metric")["sd"]}
    rows = []
    for i in listed:
        numbers = [_number(cells[i, m]["mean"], cells[i, m]["sd"], spread[m]) for m in metrics]
        some = cells[i, metrics[0]]
        rows.append([context.short_label(i), *numbers, str(some["n"]), f"{some['diverged']} of {some['planned']}"])
    head = [context.label_heading, *(HEADINGS[m] for m in metrics), "n", "diverged"]
    meaning = f"Mean ± standard deviation over replicates. The gap is {GAPS[context.measure]}."
    return Section(
        title="Conditions",
        sentences=paragraph(meaning, context.excerpt.listed_by),
        table=table(head, rows, "l" + "r" * (len(head) - 1)),
    )


def _middle(sds: pd.Series[float]) -> float:
    """Return the median of the spreads that are known and not 0; where there is none, the largest."""
    positive = sds[sds > 0]
    return float(sds.max() if positive.empty else positive.median())


def _number(mean: float, sd: float, spread: float) -> str:
    """Return mean ± sd with the digits of its column, or with its own where it is of another order."""
    if abs(mean) >= HUGE or sd >= HUGE:
        return scientific(mean, sd)
    return with_spread(mean, sd, sd if sd >= FAR * spread > 0 else spread)
