"""The section "Replicates": the outcome of every replicate, to see how much of a difference is chance."""

from __future__ import annotations

from functools import partial

import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.frames import floats
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.context import Context
from mlpbench.report.figures.rows import replicate_rows
from mlpbench.report.section import Section, SectionFigure, paragraph


def section(context: Context) -> Section | None:
    """Return the outcome of the replicates of the conditions that are drawn; None where no run has one."""
    estimates = context.estimates[context.estimates["metric"] == context.outcome]
    if estimates["mean"].isna().all():
        return None
    few = context.observed["replicate"] < MOST_DOTS
    points = context.observed.loc[few, ["position", context.outcome]].rename(columns={context.outcome: "value"})
    found = sentence(estimates)
    title = f"test {context.measure}"
    figure = SectionFigure(
        name="replicates",
        draw=partial(
            replicate_rows, context.ranked_rows(estimates), context.ranked_rows(points), context.colours, title
        ),
        alt=f"{title.capitalize()} of every replicate by condition. {found}",
    )
    some = f"Dots are the first {MOST_DOTS} replicates." if context.experiment.replicates > MOST_DOTS else ""
    return Section(title="Replicates", sentences=paragraph(found, some, context.excerpt.drawn_by), figures=[figure])


def sentence(estimates: pd.DataFrame) -> str:
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
