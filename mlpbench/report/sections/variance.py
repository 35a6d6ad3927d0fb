"""The section "Variance decomposition": how much each random stream adds to the variance of the outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.estimates.stream_variances import MOST_DRAWN, TEST_SET, by_stream
from mlpbench.evidence.frames import records
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.number_text import brief, fixed
from mlpbench.report.section import Section, SectionFigure, paragraph, table


def section(context: Context) -> Section | None:
    """Return a row for each random stream, and a figure of shares; None where streams do not vary one at a time."""
    if not context.experiment.one_at_a_time:
        return None
    names = list(dict.fromkeys([context.outcome, "test_loss"]))
    estimates = by_stream(context.experiment, context.conditions, context.observed, names)
    if estimates.empty:
        return None
    whole = [r for r in records(estimates) if not math.isnan(r["sd"])]
    labelled = any(r["label"] != "all" for r in whole)
    shares = "share of the sum (95% interval)"
    head = [*["condition"] * labelled, "metric", "stream", "n", "sd (95% interval)", "variance", shares]
    rows = [
        [
            *[r["label"]] * labelled, r["metric"].replace("_", " "), r["stream"], str(r["n"]),
            fixed(r["sd"], r["sd"])
            + ("" if math.isnan(r["low"]) else f" ({fixed(r['low'], r['sd'])} to {fixed(r['high'], r['sd'])})"),
            brief(r['sd'] ** 2, 2), _share_cell(r),
        ]
        for r in whole
    ]  # fmt: skip
    text = (
        "In each condition one random stream varies between replicates while the others are fixed; intervals are Bonett's, which do not "
        "assume a normal distribution. Streams that interact may have a larger variance together than the sum."
    )
    if any(r["stream"] == TEST_SET for r in whole):
        text += (
            " Test-set sampling is not part of the sum: it is the sd that an accuracy has over test sets of this size whose examples "
            "are drawn anew."
        )
    drawn, finding = drawn_rows(estimates), sentence(estimates)
    metric_name = str(estimates["metric"].iloc[0]).replace("_", " ")
    figure = SectionFigure(
        name="spread",
        draw=partial(draw, drawn, metric_name),
        alt=f"Share of each random stream in the variance of {metric_name}. {finding}",
    )
    return Section(
        title="Variance decomposition",
        sentences=paragraph(finding, text),
        table=table(head, rows, "l" * labelled + "llrrrr"),
        figures=[] if drawn.empty else [figure],
    )


def _share_cell(row: Mapping[str, Any]) -> str:
    if math.isnan(row["share"]) or row["stream"] == TEST_SET:
        return "-"
    interval = "" if math.isnan(row["share_low"]) else f" ({row['share_low']:.0%} to {row['share_high']:.0%})"
    return f"{row['share']:.0%}{interval}"


def drawn_rows(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a figure shows: those of the first metric, of the first 6 conditions, with a share."""
    if estimates.empty:
        return estimates
    rows: pd.DataFrame = estimates[(estimates["metric"] == estimates["metric"].iloc[0]) & estimates["share"].notna()]
    first = list(dict.fromkeys(rows["label"]))[:MOST_DRAWN]
    return rows.loc[rows["label"].isin(first)]


def sentence(estimates: pd.DataFrame) -> str:
    """Say which stream has the largest share of the variance of the first metric."""
    streams = estimates[(estimates["stream"] != TEST_SET) & (estimates["metric"] == estimates["metric"].iloc[0])]
    parts = []
    for label, group in streams.groupby("label", sort=False):
        top = group.loc[group["sd"].idxmax()]
        of = metric(str(top["metric"])).name.replace("_", " ")
        where = "" if label == "all" else f"With {label}, "
        named = f"{where}{top['stream']} has the largest share of the variance of {of}: {top['share']:.0%} of the sum."
        parts.append(named[0].upper() + named[1:])
    return " ".join(parts)


def draw(rows: pd.DataFrame, metric_name: str) -> Figure:
    """Return the share of the summed variance by stream, one point a condition, with intervals; the test set's is hollow, below a line.

    `rows` has label (the condition), stream, share, share_low and share_high.
    """
    streams, labels = list(dict.fromkeys(rows["stream"])), list(dict.fromkeys(rows["label"]))
    streams.sort(key=lambda s: s == TEST_SET)
    apart = 0.6 / len(labels)
    with theme.style():
        figure, (ax,) = theme.new(1.15 + (0.3 + 0.1 * len(labels)) * len(streams))
        colours = theme.distinct_colours(labels)
        for row in records(rows):
            at = streams.index(row["stream"]) + (labels.index(row["label"]) - (len(labels) - 1) / 2) * apart
            colour, outside = colours[row["label"]], row["stream"] == TEST_SET
            ax.hlines(at, row["share_low"], row["share_high"], color=colour, linewidth=2)
            ax.plot(
                [row["share"]], [at], "o", color=colour, markersize=6, markerfacecolor="white" if outside else colour
            )
        names = [s if s != TEST_SET else "test-set sampling\n(not part of the sum)" for s in streams]
        if TEST_SET in streams and len(streams) > 1:
            ax.axhline(len(streams) - 1.5, color=theme.FAINT, linewidth=0.8)
        ax.set_yticks(range(len(streams)), names)
        ax.set_ylim(len(streams) - 0.45, -0.55)
        known = [v for v in (*rows["share"], *rows["share_high"]) if math.isfinite(v)]
        ax.set_xlim(0, 1.06 * max(known, default=1.0) or 1.0)
        scales.linear_ticks(ax.xaxis, theme.percent)
        ax.set_xlabel(f"share of the summed variance of {metric_name}")
        ax.grid(axis="y", visible=False)
        handles = [Line2D([], [], color=c, linewidth=2, marker="o", label=label) for label, c in colours.items()]
        theme.legend_below(figure, handles if len(labels) > 1 else [])
    return figure
