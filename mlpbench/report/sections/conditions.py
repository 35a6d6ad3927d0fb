"""Sections on all conditions: a table of their main metrics, and the outcome of every replicate."""

from __future__ import annotations

from functools import partial

import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.frames import floats, records
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.context import FURTHER_SCORES, Context
from mlpbench.report.figures.layouts import replicate_rows
from mlpbench.report.section import Section, figure_section, paragraph, table
from mlpbench.report.words import scientific, with_spread

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


def replicates(context: Context) -> Section | None:
    """Return the outcome of the replicates of the conditions that are drawn; None where no run has one."""
    estimates = context.estimates[context.estimates["metric"] == context.outcome]
    if estimates["mean"].isna().all():
        return None
    few = context.observed["replicate"] < MOST_DOTS
    points = context.observed.loc[few, ["position", context.outcome]].rename(columns={context.outcome: "value"})
    title = f"test {context.measure}"
    drawn, dots = context.ranked_rows(estimates), context.ranked_rows(points)
    return figure_section(
        "Replicates",
        spread_sentence(estimates),
        f"Dots are the first {MOST_DOTS} replicates." if context.experiment.replicates > MOST_DOTS else "",
        context.excerpt.drawn_by,
        figure="replicates",
        alt=f"{title.capitalize()} of every replicate by condition.",
        draw=partial(replicate_rows, drawn, dots, context.colours, title),
    )


def spread_sentence(estimates: pd.DataFrame) -> str:
    """Say how much replicates of one condition differ in one metric, and how much conditions do."""
    spread = floats(estimates["sd"].dropna())
    if not spread:
        return "There is one replicate per condition, so that no spread is known."
    name = str(estimates["metric"].iloc[0])
    unit, factor, digits = (" pp", 100, ".2f") if metric(name).is_accuracy else ("", 1, ".3g")
    low, high = (f"{factor * f(spread):{digits}}{unit}" for f in (min, max))
    within = f"Replicates of one condition have a standard deviation of {low if low == high else f'{low} to {high}'}"
    means = floats(estimates["mean"].dropna())
    span = (
        f"; the means of conditions span {factor * (max(means) - min(means)):{digits}}{unit}" if len(means) > 1 else ""
    )
    return f"{within} in {name.replace('_', ' ')}{span}."
