"""The generalisation gap: how far a network does worse on test examples than on those it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.observe import estimate
from mlpbench.evidence.estimates.series import Errors
from mlpbench.evidence.frames import records
from mlpbench.report.language.words import fixed
from mlpbench.report.sections.section import Given, Section

MEANING = {"gap_accuracy": "train minus test accuracy", "gap_loss": "test minus train loss"}


def section(given: Given, found: Errors) -> Section | None:
    """Return the gap by condition, where it differs between conditions by more than its intervals.

    Shown where the 95% intervals of the largest and the smallest mean gap, in accuracy or in loss, do not meet; not where
    conditions are the random streams that vary one at a time: they differ by the draw that the others are held at.
    """
    if given.experiment.one_at_a_time:
        return None
    names = [f"gap_{given.good}", *["gap_loss"] * (given.good == "accuracy")]
    gaps = estimate(given.experiment, given.conditions, given.observed, pd.DataFrame(), names)
    apart = [name for name in names if _differs(gaps[gaps["metric"] == name])]
    if not apart:
        return None
    from mlpbench.report.figures.gap import gap_against_factor, gap_by_condition

    places = found.estimates.drop_duplicates("position").set_index("position")[["x", "series", "group"]]
    drawn = gaps.dropna(subset=["mean"]).join(places, on="position", how="inner")
    if found.factor:
        draw = partial(gap_against_factor, drawn, found.factor)
    else:
        shown = [given.conditions[i].condition_id for i in given.excerpt.drawn]
        draw = partial(gap_by_condition, drawn, shown, given.look)
    told = sentence(gaps[gaps["metric"] == apart[0]])
    text = f"{told} Bars are 95% intervals over replicates. {found.drawn_by}".rstrip()
    return Section(
        title="Generalisation gap",
        text=text,
        name="gap",
        draw=draw,
        alt=f"Generalisation gap against {found.factor or 'condition'}. {told}",
    )


def _differs(rows: pd.DataFrame) -> bool:
    known = records(rows.dropna(subset=["low"]))
    if not known:
        return False
    largest, smallest = _ends(known)
    return bool(largest["low"] > smallest["high"])


def _ends(known: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    return max(known, key=lambda r: float(r["mean"])), min(known, key=lambda r: float(r["mean"]))


def sentence(rows: pd.DataFrame) -> str:
    """Say where one gap is largest and where it is smallest, with intervals."""
    known = records(rows.dropna(subset=["low"]))
    name = known[0]["metric"]
    largest, smallest = _ends(known)
    return (
        f"The gap, {MEANING[name]}, is largest with {_part(largest, name)} and smallest with {_part(smallest, name)}."
    )


def _part(row: Mapping[str, Any], name: str) -> str:
    factor, unit = (100.0, " pp") if name == "gap_accuracy" else (1.0, "")
    spread = factor * (row["high"] - row["low"]) / 2
    mean, low, high = (fixed(factor * row[k], spread) for k in ("mean", "low", "high"))
    return f"{row['label']}, {mean}{unit} ({low} to {high})"
