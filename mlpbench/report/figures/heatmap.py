"""A table of two factors as a picture: a shade and a number for each cell."""

from __future__ import annotations

from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter

from mlpbench.evidence.frames import floats, records
from mlpbench.report.figures import theme
from mlpbench.report.language.words import short_exponent

# Sequential in lightness, and the same to the colour-blind.
MAP = "cividis_r"
LOST = "#d9d9d9"
# A shade is for what can be compared: cells this many times the median are as dark as the scale goes.
FAR = 30.0
_ROUND = [float(f"{first}e{power}") for power in range(-12, 13) for first in (1, 2, 3, 5, 7)]


def heatmap(cells: pd.DataFrame, rows: str, columns: str, what: str, *, share: bool) -> Figure:
    """Return the cells with their numbers; the best is outlined, those close to it dashed, the best of a row has a dot.

    `cells` has row, column, row_label, column_label, value (NaN where no run finished), lost, best, close and best_of_row.
    """
    n_rows, n_columns = int(cells["row"].max()) + 1, int(cells["column"].max()) + 1
    values = np.full((n_rows, n_columns), np.nan)
    values[cells["row"], cells["column"]] = cells["value"]
    norm = _norm(floats(cells["value"].dropna()))
    colours = mpl.colormaps[MAP].with_extremes(bad=LOST)
    with theme.style():
        figure, (ax,) = theme.new(max(2.2, min(7.5, 1.25 + 0.42 * n_rows)))
        image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, aspect="auto")
        size = 8.0 if n_columns <= 10 else 6.0
        for cell in records(cells):
            x, y, value = cell["column"], cell["row"], cell["value"]
            shade = colours(norm(value)) if np.isfinite(value) else mpl.colors.to_rgba(LOST)
            ink = theme.INK if np.dot((0.21, 0.72, 0.07), shade[:3]) > 0.45 else "white"
            ax.text(x, y, _number(value, share=share), ha="center", va="center", color=ink, fontsize=size,
                    fontweight="bold" if cell["best"] else "normal")  # fmt: skip
            if cell["lost"]:
                ax.text(x, y + 0.46, f"{cell['lost']} lost", ha="center", va="bottom", color=ink, fontsize=size - 2)
            if cell["best_of_row"]:
                ax.plot([x - 0.42], [y - 0.3], "o", color=ink, markersize=3.5)
            if cell["best"] or cell["close"]:
                ax.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=ink, linewidth=1.6,
                                       linestyle="solid" if cell["best"] else (0, (3, 2))))  # fmt: skip
        ax.set_xticks(*_labels(cells, "column"))
        ax.set_yticks(*_labels(cells, "row"))
        ax.set_xlabel(columns)
        ax.set_ylabel(rows)
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        low, high = float(norm.vmin or 0), float(norm.vmax or 0)
        more: Literal["max", "neither"] = "max" if high < np.nanmax(values) else "neither"
        bar = figure.colorbar(image, ax=ax, label=what, pad=0.02, extend=more)
        if isinstance(norm, LogNorm):
            bar.set_ticks([t for t in _ROUND if low <= t <= high])
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(theme.percent if share else lambda v, _: short_exponent(f"{v:.3g}"))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _labels(cells: pd.DataFrame, axis: str) -> tuple[list[int], list[str]]:
    named = cells.drop_duplicates(axis).sort_values(axis)
    return named[axis].tolist(), named[f"{axis}_label"].tolist()


def _norm(values: list[float]) -> Normalize:
    low, high = min(values), min(max(values), FAR * float(np.median(values)))
    if low == high:
        return Normalize(low, low + 1)
    return LogNorm(low, high, clip=True) if low > 0 and high >= 3 * low else Normalize(low, high, clip=True)


def _number(value: float, *, share: bool) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{100 * value:.1f}%" if share else short_exponent(f"{value:.3g}")
