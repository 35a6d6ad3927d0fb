"""Divergence: the share of runs that diverged, over two factors as a map, over one as bars."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.figures.error_curves import row_height, rows_axis

# Cells of more columns or rows than this have no room for a number.
MOST_COLUMNS, MOST_ROWS = 12, 40
# Lightness alone says how many: from white to a dark red that colour-blind readers see as dark.
COLOURS = "Reds"


def divergence_map(cells: pd.DataFrame, across: str, down: str) -> Figure:
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
                _cell(
                    ax,
                    columns.index(row["across"]),
                    rows.index(row["down"]),
                    row,
                    map_,
                    written=len(columns) <= MOST_COLUMNS,
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
        for spine in ax.spines.values():
            spine.set_visible(False)
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), map_)
        bar = figure.colorbar(scale, ax=ax, format=theme.percent, ticks=[0, 0.5, 1], aspect=14, shrink=0.9)
        bar.set_label("runs that diverged")
        bar.outline.set_visible(False)
    return figure


def divergence_bars(cells: pd.DataFrame, down: str) -> Figure:
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


def _cell(ax: Axes, x: int, y: int, row: dict[str, object], map_: mpl.colors.Colormap, *, written: bool) -> None:
    diverged, runs = float(str(row["diverged"])), float(str(row["runs"]))
    share = diverged / runs
    ax.add_patch(mpl.patches.Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=map_(share), linewidth=0))
    if written:
        ink = "white" if share > 0.6 else theme.INK
        ax.text(x, y, f"{diverged:.0f}/{runs:.0f}", ha="center", va="center", color=ink, fontsize=8)
