"""The sections on failed and diverged runs: where training diverges, and how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlpbench.evidence.estimates import run_endings
from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, MISSING, OK
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.rows import row_height, rows_axis
from mlpbench.report.section import Section, SectionFigure, paragraph

MOST_LISTED = 20
# Cells of more columns than this have no room for a number.
MOST_COLUMNS = 12
# Lightness alone says how many: from white to a dark red that colour-blind readers see as dark.
COLOURS = "Reds"


def divergence(context: Context) -> Section | None:
    """Return where training diverges if some but not all of the runs that ended did, and a factor tells them apart."""
    diverged = context.observed["diverged"].dropna()
    if not 0 < diverged.sum() < len(diverged):
        return None
    names = [*context.experiment.factor_names, *context.experiment.nuisance]
    cells, chosen = run_endings.divergence(context.observed, context.conditions, names)
    if not chosen:
        return None
    found = sentence(cells, chosen)
    figure = SectionFigure(
        name="divergence",
        draw=partial(draw_map if len(chosen) == 2 else draw_bars, cells, *chosen),
        alt=f"Share of runs that diverged over {' and '.join(chosen)}. {found}",
    )
    others = [n for n in names if n not in chosen and len({c.levels.get(n) for c in context.conditions}) > 1]
    pooled = f"Runs of all levels of {' and '.join(others)} are counted together." if others else ""
    return Section(title="Divergence", sentences=paragraph(found, pooled), figures=[figure])


def sentence(cells: pd.DataFrame, names: Sequence[str]) -> str:
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
                    ink = "white" if share > 0.6 else theme.INK
                    ax.text(
                        x,
                        y,
                        f"{row['diverged']:.0f}/{row['runs']:.0f}",
                        ha="center",
                        va="center",
                        color=ink,
                        fontsize=8,
                    )
        every = -(-len(columns) // MOST_COLUMNS)
        ax.set_xticks(range(0, len(columns), every), columns[::every],
                      rotation=30 if sum(map(len, columns[::every])) > 60 else 0)  # fmt: skip
        ax.set_xlim(-0.5, len(columns) - 0.5)
        rows_axis(ax, rows, down)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel(across)
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
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
            ax.annotate(
                f"{row['diverged']:.0f}/{row['runs']:.0f}", (share, i), (4, 0), textcoords="offset points", va="center"
            )
        rows_axis(ax, [r["down"] for r in rows], down)
        ax.set_xlim(0, 1.08)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
        ax.xaxis.set_major_formatter(theme.percent)
        ax.set_xlabel("runs that diverged")
        ax.grid(axis="y", visible=False)
    return figure


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
    details = runs[runs["run_id"].isin(listed["run_id"])].drop_duplicates("run_id").set_index("run_id")
    lines = []
    for row in records(listed):
        run = details.loc[row["run_id"]]
        why = (
            f"at step {int(run['diverged_at_step'])}"
            if pd.notna(run["diverged_at_step"])
            else _first_line(run["error"])
        )
        lines.append(f"- {row['label']}, replicate {row['replicate']}: {row['status']} {why}".rstrip())
    if len(ended) > MOST_LISTED:
        lines.append(f"- and {len(ended) - MOST_LISTED} more, in the table `runs`")
    missing = observed[observed["status"] == MISSING].groupby("position")["label"].agg(["first", "size"])
    lines += [f"- {label}: {size} not run" for label, size in missing.head(MOST_LISTED).itertuples(index=False)]
    if len(missing) > MOST_LISTED:
        lines.append(f"- and {missing['size'].iloc[MOST_LISTED:].sum()} more not run, of other conditions")
    return Section(title="Failed and diverged runs", sentences=f"{summary}.", notes="\n".join(lines))


def _first_line(error: object) -> str:
    return f"({error.splitlines()[0]})" if isinstance(error, str) and error else ""
