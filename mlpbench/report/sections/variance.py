"""The section "Variance decomposition": the spread that each random stream causes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.stream_variances import MOST_DRAWN, TEST_SET
from mlpbench.evidence.frames import records
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.language.words import fixed
from mlpbench.report.sections.tables import table as markdown_table


def section(table: pd.DataFrame) -> list[str]:
    """Return the section of a report: what it shows, a sentence, and a row for each stream; nothing where none has values."""
    if table.empty:
        return []
    whole = [r for r in records(table) if not math.isnan(r["sd"])]
    labelled = any(r["label"] != "all" for r in whole)
    head = [
        *["condition"] * labelled,
        "metric",
        "stream",
        "n",
        "sd (95% interval)",
        "variance",
        "share of the sum (95% interval)",
    ]
    rows = [
        [
            *[r["label"]] * labelled, r["metric"].replace("_", " "), r["stream"], str(r["n"]),
            fixed(r["sd"], r["sd"])
            + ("" if math.isnan(r["low"]) else f" ({fixed(r['low'], r['sd'])} to {fixed(r['high'], r['sd'])})"),
            f"{r['sd'] ** 2:.2g}", _share_cell(r),
        ]
        for r in whole
    ]  # fmt: skip
    text = (
        "In each condition one random stream varies from replicate to replicate, the others are held at one draw; intervals "
        "are Bonett's, for spreads that need not be normal. Streams that act together may spread more than the sum."
    )
    if any(r["stream"] == TEST_SET for r in whole):
        text += (
            " The finite test set is beside them: the sd that an accuracy has over test sets of this size, were its "
            "examples drawn anew."
        )
    columns = "l" * labelled + "llrrrr"
    return ["## Where the spread comes from", f"{sentence(table)} {text}", markdown_table(head, rows, columns)]


def _share_cell(row: Mapping[str, Any]) -> str:
    if math.isnan(row["share"]) or row["stream"] == TEST_SET:
        return "-"
    interval = "" if math.isnan(row["share_low"]) else f" ({row['share_low']:.0%} to {row['share_high']:.0%})"
    return f"{row['share']:.0%}{interval}"


def drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a figure shows: those of the first metric, of the first 6 conditions, with a share."""
    if table.empty:
        return table
    rows: pd.DataFrame = table[(table["metric"] == table["metric"].iloc[0]) & table["share"].notna()]
    first = list(dict.fromkeys(rows["label"]))[:MOST_DRAWN]
    return rows.loc[rows["label"].isin(first)]


def sentence(table: pd.DataFrame) -> str:
    """Say of the first metric which stream makes most of the spread, and how that compares with the test set's."""
    streams = table[(table["stream"] != TEST_SET) & (table["metric"] == table["metric"].iloc[0])]
    parts = []
    for label, group in streams.groupby("label", sort=False):
        top = group.loc[group["sd"].idxmax()]
        of = metric(str(top["metric"])).name.replace("_", " ")
        where = "" if label == "all" else f"With {label}, "
        named = f"{where}{top['stream']} makes the largest variance of {of}, {top['share']:.0%} of the sum."
        parts.append(named[0].upper() + named[1:])
    return " ".join(parts)
