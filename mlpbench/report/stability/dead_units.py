"""The section "Dead units": the share of hidden units that are zero on every example, by condition."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import run_endings
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.rows import replicate_rows
from mlpbench.report.section import Section, SectionFigure
from mlpbench.report.stability import layer_lines

DEATH_SETTINGS = ("activation", "lr", "init", "bias_init")
MEANING = "A unit is dead if it is zero on every one of 10,000 training examples."


def section(context: Context) -> Section | None:
    """Return the share of dead hidden units if a run has any and activation, lr, init or bias_init is varied."""
    if not (context.observed["dead_units"] > 0).any() or not layer_lines.varied(context, DEATH_SETTINGS):
        return None
    estimates, points = run_endings.dead_shares(context.observed, context.conditions)
    found = sentence(estimates)
    place = {p: i for i, p in enumerate(p for p in context.excerpt.drawn if p in set(estimates["position"]))}
    few = context.observed["replicate"].reindex(points.index) < MOST_DOTS
    drawn = [f[f["position"].isin(list(place))] for f in (estimates, points[few])]
    estimates, points = (f.assign(position=f["position"].map(place)) for f in drawn)
    if estimates.empty:
        return None
    figure = SectionFigure(
        name="dead_units",
        draw=partial(draw, estimates.sort_values("position", kind="stable"), points, context.colours),
        alt=f"Share of hidden units that are dead, by condition. {found}",
    )
    return Section(title="Dead units", sentences=layer_lines.text(context, found, MEANING), figures=[figure])


def sentence(estimates: pd.DataFrame) -> str:
    """Say where most and fewest hidden units are dead."""
    rows = records(estimates.dropna(subset=["mean"]))
    most, least = (choose(rows, key=lambda r: float(r["mean"])) for choose in (max, min))

    def part(row: Mapping[str, Any]) -> str:
        interval = "" if np.isnan(row["low"]) else f" (95% interval {row['low']:.1%} to {row['high']:.1%})"
        return f"{row['label']}, {row['mean']:.1%}{interval if row['mean'] > 0 else ''}"

    if len(rows) == 1 or most["mean"] == least["mean"]:
        return f"The share of hidden units that are dead is {most['mean']:.1%}."
    none = sum(r["mean"] == 0 for r in rows)
    low = (
        f"{none} of {len(rows)} conditions {'has' if none == 1 else 'have'} none"
        if none
        else f"it is lowest with {part(least)}"
    )
    return f"The share of hidden units that are dead is highest with {part(most)}; {low}."


def draw(estimates: pd.DataFrame, points: pd.DataFrame, colours: ConditionColours) -> Figure:
    """Return a row for each condition: the share in each replicate, its mean and interval; frames as for `replicate_rows`."""
    figure = replicate_rows(estimates, points, colours, "share of hidden units that are dead")
    (ax,) = figure.axes
    ax.xaxis.set_major_formatter(theme.percent)
    return figure
