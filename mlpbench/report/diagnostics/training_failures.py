"""Sections about training that fails: where it diverges, failed and diverged runs one by one, and dead hidden units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlpbench.base.escapes import Markdown, bullets
from mlpbench.evidence.estimates import run_endings
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, MISSING, OK
from mlpbench.evidence.frames import is_among, records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.layouts import replicate_rows, row_height, rows_axis
from mlpbench.report.section import Section, figure_section, paragraph
from mlpbench.report.topics import dead_units_by_depth
from mlpbench.report.words import highest_and_lowest, listing

MOST_LISTED = 20
# Cells of more columns than this have no room for a number.
MOST_COLUMNS = 12
# Lightness alone says how many: from white to a dark red that colour-blind readers see as dark.
COLOURS = "Reds"
# Of so few cells in which any run diverged, among more, sentences say all.
FEW_CELLS = 2
# Of fewer rows sentences say all.
FEWEST_ROWS = 2
DEATH_SETTINGS = ("activation", "lr", "init", "bias_init")
DEAD = "A unit is dead if it is zero on every one of 10,000 training examples."


def warnings(context: Context) -> Section | None:
    """Return what a supervisor would point at; None where there is nothing."""
    if not context.warnings:
        return None
    lines = bullets([warning.text for warning in context.warnings])
    looked_at, every = len(context.excerpt.drawn), len(context.conditions)
    some = f"Looked for in {looked_at} of {every} conditions, those that figures show." if looked_at < every else ""
    return Section(title="Warnings", table=lines, notes=some)


def divergence(context: Context) -> Section | None:
    """Return where training diverges if some but not all of the runs that ended did, and a factor tells them apart."""
    diverged = context.observed["diverged"].dropna()
    if not 0 < diverged.sum() < len(diverged):
        return None
    names = [*context.experiment.factor_names, *context.experiment.nuisance]
    cells, chosen = run_endings.divergence(context.observed, context.conditions, names)
    if not chosen:
        return None
    others = [n for n in names if n not in chosen and len({c.levels.get(n) for c in context.conditions}) > 1]
    there = cells[cells["runs"] > 0]
    if int((there["diverged"] > 0).sum()) <= FEW_CELLS <= len(there) // 3:
        return Section(
            title="Divergence", sentences=paragraph(divergence_sentence(cells, chosen), each_cell(there, chosen))
        )
    return figure_section(
        "Divergence",
        divergence_sentence(cells, chosen),
        f"Runs of all levels of {' and '.join(others)} are counted together." if others else "",
        figure="divergence",
        alt=f"Share of runs that diverged over {' and '.join(chosen)}.",
        draw=partial(draw_map if len(chosen) == 2 else draw_bars, cells, *chosen),
    )


def each_cell(cells: pd.DataFrame, names: Sequence[str]) -> str:
    """Say how many runs diverged in each of the few cells in which any did; nothing for one, of which it is said before."""
    some = records(cells[cells["diverged"] > 0])
    if len(some) < 2:
        return ""
    keys = ("across", "down") if len(names) == 2 else ("down",)
    parts = [f"{_fraction(r)} with {', '.join(f'{n}={r[k]}' for n, k in zip(names, keys))}" for r in some]
    return f"These are {listing(parts)}."


def divergence_sentence(cells: pd.DataFrame, names: Sequence[str]) -> str:
    """Count the runs that diverged, and say in which cell most did and in how many none."""
    there = records(cells[cells["runs"] > 0])
    worst = max(r["diverged"] / r["runs"] for r in there)
    tied = [r for r in there if r["diverged"] / r["runs"] == worst]
    keys = ("across", "down") if len(names) == 2 else ("down",)
    one = ", ".join(f"{n}={tied[0][k]}" for n, k in zip(names, keys))
    what = "combinations" if len(names) == 2 else "levels"
    share = "all" if worst == 1 else f"{tied[0]['diverged']:.0f} of {tied[0]['runs']:.0f}"
    where = f"with {one}" if len(tied) == 1 else f"in each of {len(tied)} {what}, {one} among them"
    never = sum(r["diverged"] == 0 for r in there)
    rest = f", none in {never} of {len(there)} {what}" if never else ""
    return f"{cells['diverged'].sum():.0f} of {cells['runs'].sum():.0f} runs diverged: {share} {where}{rest}."


def draw_map(cells: pd.DataFrame, across: str, down: str) -> Figure:
    """Return the share of each cell as colour and as `diverged/runs`; cells without a run stay grey.

    `cells` has across and down (levels as text, in order of their first row), diverged and runs.
    """
    columns, rows = list(dict.fromkeys(cells["across"])), list(dict.fromkeys(cells["down"]))
    with theme.style():
        figure, (ax,) = theme.new(min(12.0, 1.1 + 0.34 * max(len(rows), 3)))
        ax.set_facecolor("#e4e4e4")
        map_ = mpl.colormaps[COLOURS]
        for row in records(cells):
            if row["runs"]:
                x, y, share = columns.index(row["across"]), rows.index(row["down"]), row["diverged"] / row["runs"]
                ax.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=map_(share), linewidth=0))
                if len(columns) <= MOST_COLUMNS:
                    ax.text(x, y, _fraction(row), ha="center", va="center", color=theme.ink_on(map_(share)), fontsize=8)
        every = -(-len(columns) // MOST_COLUMNS)
        ax.set_xticks(range(0, len(columns), every), columns[::every],
                      rotation=30 if sum(map(len, columns[::every])) > 60 else 0)  # fmt: skip
        ax.set_xlim(-0.5, len(columns) - 0.5)
        rows_axis(ax, rows, down)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel(across)
        theme.cells_axes(ax)
        if len(columns) <= MOST_COLUMNS:
            return figure  # each cell has its number
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), map_)
        bar = figure.colorbar(scale, ax=ax, format=theme.percent, ticks=[0, 0.5, 1], aspect=14, shrink=0.9)
        bar.set_label("runs that diverged")
        bar.outline.set_visible(False)
    return figure


def draw_bars(cells: pd.DataFrame, down: str) -> Figure:
    """Return a bar for each level with `diverged/runs` at its end; `cells` has down, diverged and runs."""
    rows = records(cells[cells["runs"] > 0])
    with theme.style():
        figure, (ax,) = theme.new(row_height(len(rows)))
        shares = [r["diverged"] / r["runs"] for r in rows]
        ax.barh(range(len(rows)), shares, height=0.62, color=mpl.colormaps[COLOURS](0.7))
        for i, (row, share) in enumerate(zip(rows, shares, strict=True)):
            ax.annotate(_fraction(row), (share, i), (4, 0), textcoords="offset points", va="center")
        rows_axis(ax, [r["down"] for r in rows], down)
        ax.set_xlim(0, 1.08)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
        ax.xaxis.set_major_formatter(theme.percent)
        ax.set_xlabel("runs that diverged")
        ax.grid(axis="y", visible=False)
    return figure


def _fraction(cell: Mapping[str, Any]) -> str:
    return f"{cell['diverged']:.0f}/{cell['runs']:.0f}"


def unfinished(context: Context) -> Section | None:
    """Return the runs that failed, diverged or were not run, one line each, many of them counted; None where all finished."""
    observed, runs = context.observed, context.runs
    total, ok = len(observed), int((observed["status"] == OK).sum())
    if ok == total:
        return None
    counts = observed["status"].value_counts()
    words = {DIVERGED: "diverged", FAILED: "failed", MISSING: "not run"}
    summary = f"{ok} of {total} runs finished; " + ", ".join(
        f"{counts[s]} {w}" for s, w in words.items() if s in counts
    )
    ended = observed[observed["status"].isin([DIVERGED, FAILED])]
    listed = ended.head(MOST_LISTED)
    details = runs[is_among(runs["run_id"], listed["run_id"])].drop_duplicates("run_id").set_index("run_id")
    lines: list[str] = []
    for row in records(listed):
        run = details.loc[row["run_id"]]
        why = ending(run["diverged_at_step"], run["error"])
        lines.append(f"{row['label']}, replicate {row['replicate']}: {row['status']}{why}")
    if len(ended) > MOST_LISTED:
        lines.append(Markdown(f"and {len(ended) - MOST_LISTED} more, in the table `runs`"))
    missing = observed[observed["status"] == MISSING].groupby("position")["label"].agg(["first", "size"])
    lines += [f"{label}: {size} not run" for label, size in missing.head(MOST_LISTED).itertuples(index=False)]
    if len(missing) > MOST_LISTED:
        lines.append(f"and {missing['size'].iloc[MOST_LISTED:].sum()} more not run, of other conditions")
    return Section(title="Failed and diverged runs", sentences=f"{summary}.", notes=bullets(lines) if lines else "")


def ending(step: float, error: object) -> str:
    """Return at which step a run diverged, or why it failed."""
    if not pd.isna(step):
        return f" at step {int(step)}"
    return f" ({error.splitlines()[0]})" if isinstance(error, str) and error else ""


def dead_units(context: Context) -> Section | None:
    """Return the share of dead hidden units if a run has any and activation, lr, init or bias_init is varied."""
    if not (context.observed["dead_units"] > 0).any() or not context.varied_settings(DEATH_SETTINGS):
        return None
    if dead_units_by_depth.applies(context):  # lines say what many rows would
        return None
    estimates, points = run_endings.dead_shares(context.observed, context.conditions, context.overlaps_of_training())
    sentence = dead_units_sentence(estimates)
    most = points.groupby("position")["value"].max()
    some = set(most.index[most > 0])
    place = {p: i for i, p in enumerate(p for p in context.excerpt.drawn if p in some)}
    without = len([p for p in context.excerpt.drawn if p in set(estimates["position"])]) - len(place)
    few = context.observed["replicate"].reindex(points.index) < MOST_DOTS
    drawn = [f[f["position"].isin(list(place))] for f in (estimates, points[few])]
    estimates, points = (f.assign(position=f["position"].map(place)) for f in drawn)
    if len(estimates) < FEWEST_ROWS:
        return Section(title="Dead units", sentences=paragraph(sentence, DEAD))
    return figure_section(
        "Dead units",
        sentence,
        DEAD,
        f"Conditions without any have no row in the figure: there are {without}." if without else "",
        context.drawn_by,
        figure="dead_units",
        alt="Share of hidden units that are dead, by condition.",
        draw=partial(
            replicate_rows,
            estimates.sort_values("position", kind="stable"),
            points,
            context.colours,
            "share of hidden units that are dead",
            is_share=True,
        ),
    )


def dead_units_sentence(estimates: pd.DataFrame) -> str:
    """Say where most and fewest hidden units are dead."""
    rows = records(estimates.dropna(subset=["mean"]))
    most, least = highest_and_lowest(rows)

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
