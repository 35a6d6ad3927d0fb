"""The section "Data sets": ranks of conditions on each data set, and the numbers of claims over data sets, one by one."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.special import stdtrit

from mlpbench.base.escapes import Markdown, printable
from mlpbench.base.models import DATASET
from mlpbench.evidence.frames import records
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.ranks.rank_table import RankTable, rank_table
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment.claims.dataset_unit import by_dataset
from mlpbench.experiment.claims.selectors import in_words
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.number_text import fixed
from mlpbench.report.section import Section, SectionFigure, paragraph, table
from mlpbench.report.topics import critical_difference
from mlpbench.report.verdict_tables import verdict_cell
from mlpbench.report.words import estimate_cell, listing, probability

# Columns of conditions; claims and data sets that a figure has room for; letters above a panel.
MOST_COLUMNS, MOST_CLAIMS, MOST_SETS, LONGEST = 8, 4, 40, 80
# Of the test of ranks.
WITHOUT_SIZES = "Ranks say nothing of sizes, and the test is beside the claims and not corrected for them."


def section(context: Context) -> Section | None:
    """Return mean ranks of conditions over data sets, and which can't be told apart; None where data sets are no factor."""
    if not context.experiment.varies_data or (ranked := _ranked(context)) is None:
        return None
    return Section(
        title="Data sets",
        sentences=paragraph(
            friedman_sentence(ranked), critical_difference.groups_sentence(ranked), WITHOUT_SIZES if ranked.test else ""
        ),
        figures=critical_difference.figures(ranked),
    )


def each_data_set(context: Context) -> Section | None:
    """Return the outcome of each condition on each data set, and a figure of claims over data sets; None where data sets are no factor."""
    if not context.experiment.varies_data:
        return None
    ranked = _ranked(context)
    over = [v for v in context.verdicts if v.datasets and v.estimate is not None]
    if ranked is None and not over:
        return None
    figure = SectionFigure(
        name="data_sets",
        draw=partial(draw, over[:MOST_CLAIMS]),
        alt=f"Each data set's number with its interval over replicates, and the interval over data sets, of {claims_in_words(over)}.",
    )
    some = (
        f"The figure shows the first {MOST_CLAIMS} of {len(over)} claims over data sets."
        if len(over) > MOST_CLAIMS
        else ""
    )
    return Section(
        title="Each data set",
        sentences="" if ranked is None else how_ranked(context, ranked),
        table="" if ranked is None else ranks_table(ranked),
        figures=[figure] if over else [],
        notes=some,
    )


def _ranked(context: Context) -> RankTable | None:
    """Return the ranks of conditions over data sets; None where nothing is ranked."""
    return rank_table(_cells(context), "higher" if metric(context.outcome).better == "higher" else "lower")


def _cells(context: Context) -> pd.DataFrame:
    """Return mean outcome and number of diverged runs of each condition on each data set.

    A condition is its levels but for the data set, and for what goes with it: labels, or settings under `zip`.
    """
    by_name = by_dataset(context.experiment, context.conditions)
    names = {c.condition_id: name for name, own in by_name.items() for c in own}
    varied = [
        factor
        for factor in context.experiment.factor_names
        if factor != DATASET and any(len({c.levels.get(factor) for c in own}) > 1 for own in by_name.values())
    ]
    rows = []
    for row in records(context.estimates[context.estimates["metric"] == context.outcome]):
        condition = context.conditions[row["position"]]
        label = in_words({name: condition.levels[name] for name in varied if name in condition.levels})
        rows.append(
            {
                "dataset": names[condition.condition_id],
                "condition": label,
                "mean": row["mean"],
                "diverged": row["diverged"],
            }
        )
    return pd.DataFrame(rows)


def claims_in_words(verdicts: Sequence[Verdict]) -> str:
    """Return the ids of claims as a list in words."""
    return listing([v.claim.id for v in verdicts[:MOST_CLAIMS]]) or "no claim"


def friedman_sentence(ranked: RankTable) -> str:
    """Say which condition has the least mean rank, whether ranks differ by more than chance, and from which others it differs."""
    best, (n, k), tested = ranked.conditions[ranked.best], ranked.rank_NK.shape, ranked.test
    if tested is None:
        return f"{best} has the least rank on the only data set."
    if math.isnan(tested.p):
        return f"All {k} conditions tie on each of {n} data sets."
    first = f"{best} has the least mean rank, {ranked.mean_ranks[ranked.best]:.2f} of {k} over {n} data sets."
    differ = tested.p <= 1 - LEVEL
    finding = "mean ranks differ by more than chance" if differ else "mean ranks do not differ by more than chance"
    p = probability(tested.p).replace("<", "< ")
    f = f"{tested.f:.2f}" if math.isfinite(tested.f) else "infinite, as all data sets agree"
    how = f"the Friedman test {finding} (Iman and Davenport's F({k - 1}, {(k - 1) * (n - 1)}) is {f}"
    if k == 2:
        how = f"the sign test, which is that of Friedman for two conditions, {finding} ("
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    apart = (
        f"The Nemenyi critical difference of two mean ranks, at 5% over all pairs, is {tested.critical_difference:.2f}"
    )
    near, far = list(ranked.near_best), [c for c in ranked.conditions if c not in {best, *ranked.near_best}]
    if len(near) > MOST_COLUMNS:
        near = [*near[:MOST_COLUMNS], f"{len(near) - MOST_COLUMNS} more"]
    told = (
        f": {listing(near)} can't be told from {best}" if near else f": {best} differs from all others" if far else ""
    )
    return paragraph(first, f"By {how}{', ' * (k > 2)}{p}).", f"{apart}{told if differ else ''}.")


def how_ranked(context: Context, ranked: RankTable) -> str:
    """Say what is ranked, and what ranks leave out."""
    name = context.outcome.replace("_", " ")
    how = f"Mean {name} of each condition and, in brackets, its rank on the data set: 1 is the best, and equal ones share the mean of their places."
    lost = (
        "A condition of which runs diverged ranks last, whatever the others of its runs came to."
        if (ranked.lost_NK > 0).any()
        else ""
    )
    left = ""
    if ranked.left_out:
        left = f"Left out, as some condition has no run that finished there: {listing(list(ranked.left_out))}."
    more = len(ranked.conditions) - MOST_COLUMNS
    some = (
        f"The table has the {MOST_COLUMNS} conditions with the least mean ranks; {more} more are ranked."
        if more > 0
        else ""
    )
    return paragraph(how, lost, left, some)


def ranks_table(ranked: RankTable) -> Markdown:
    """Return a row for each data set, with the outcome and the rank of each condition, and a last one of mean ranks."""
    columns = [int(j) for j in np.argsort(ranked.mean_ranks, kind="stable")[:MOST_COLUMNS]]
    columns = columns if len(ranked.conditions) > MOST_COLUMNS else list(range(len(ranked.conditions)))
    rows = []
    for i, name in enumerate(ranked.datasets):
        known = ranked.outcome_NK[i][np.isfinite(ranked.outcome_NK[i])]
        spread = float(np.ptp(known)) if len(known) else math.nan
        cells = [_cell(ranked, i, j, spread) for j in columns]
        rows.append([printable(name), *cells])
    rows.append(["mean rank", *(f"{ranked.mean_ranks[j]:.2f}" for j in columns)])
    return table(["data set", *(ranked.conditions[j] for j in columns)], rows, "l" + "r" * len(columns))


def _cell(ranked: RankTable, i: int, j: int, spread: float) -> str:
    lost, outcome = int(ranked.lost_NK[i, j]), ranked.outcome_NK[i, j]
    value = fixed(float(outcome), spread) if np.isfinite(outcome) else "-"
    diverged = f", {lost} diverged" if lost else ""
    return f"{value} ({ranked.rank_NK[i, j]:g}{diverged})"


def draw(verdicts: Sequence[Verdict]) -> Figure:
    """Return for each claim a row for each data set, largest number first, and below them the verdict's own interval."""
    counts = [min(len(v.datasets), MOST_SETS) for v in verdicts]
    heights = [0.75 + 0.17 * (n + 2) for n in counts]
    with theme.style():
        figure, axes = theme.new(sum(heights) + 0.4, len(verdicts), height_ratios=heights)
        for ax, verdict in zip(axes, verdicts, strict=True):
            _forest(ax, verdict)
        dot = Line2D([], [], color=theme.INK, marker="o", markersize=3.5, linewidth=1.2)
        dot.set_label("data set, 95% interval over replicates")
        whole = Line2D([], [], color=theme.INK, marker="D", markersize=5, linewidth=2.5, label="over data sets")
        bound = Line2D([], [], color=theme.INK, linestyle="dashed", linewidth=1, label="bound or margin")
        theme.legend_below(figure, [dot, whole, bound])
    return figure


def _forest(ax: Axes, verdict: Verdict) -> None:
    tested, factor = verdict.hypothesis, verdict.hypothesis.quantity.factor
    known = sorted((d for d in verdict.datasets if math.isfinite(d.mean)), key=lambda d: (-d.mean, d.name))
    for at, d in enumerate(known[:MOST_SETS]):
        half = float(stdtrit(d.n - 1, 0.5 + LEVEL / 2)) * d.error if d.n > 1 else 0.0
        ax.hlines(at, factor * (d.mean - half), factor * (d.mean + half), color=theme.INK, linewidth=1.2)
        ax.plot([factor * d.mean], [at], "o", color=theme.INK, markersize=3.5)
    shown, colour = known[:MOST_SETS], theme.VERDICT_COLOURS[verdict.decision]
    below = len(shown) + 0.5
    assert verdict.estimate is not None
    if verdict.interval is not None and math.isfinite(verdict.interval.low) and math.isfinite(verdict.interval.high):
        ax.hlines(below, factor * verdict.interval.low, factor * verdict.interval.high, color=colour, linewidth=2.5)
    ax.plot([factor * verdict.estimate], [below], "D", color=colour, markersize=5)
    equivalent = tested.sense == "equivalent"
    bounds = [tested.centre - tested.bound, tested.centre + tested.bound] if equivalent else [tested.bound]
    for bound in bounds:
        ax.axvline(factor * bound, color=theme.INK, linestyle="dashed", linewidth=1)
    names = [textwrap.shorten(printable(d.name), 28, placeholder=" …") for d in shown]
    ax.set_yticks([*range(len(shown)), below], [*names, "over data sets"])
    ax.set_ylim(below + 0.7, -0.7)
    ax.set_xlabel(tested.quantity.axis)
    ax.grid(axis="y", visible=False)
    says = textwrap.shorten(printable(verdict.claim.says), LONGEST, placeholder=" …")
    ax.set_title(f"{says}\n{verdict_cell(verdict)}: {estimate_cell(verdict)}", loc="left", fontsize=8)
