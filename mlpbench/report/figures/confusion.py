"""What is taken for what: a shade, and where there is room a number, for each pair of true and told class."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlpbench.report.figures import theme

MAP = "Blues"
MOST_NUMBERED = 12
MOST_NAMED = 40
LONGEST = 16
# Half a percent is nothing in whole percents.
LEAST = 0.005


def confusion(shares: pd.DataFrame, pair: tuple[int, int]) -> Figure:
    """Return the matrix of shares, true classes in rows and told ones in columns, with one pair outlined."""
    values, names = shares.to_numpy(dtype=float), [short(str(n)) for n in shares.index]
    n = len(names)
    colours = mpl.colormaps[MAP]
    # A root scale: mistakes are a few percent where the diagonal is near 100.
    norm = PowerNorm(0.5, 0, 1)
    with theme.style():
        figure, (ax,) = theme.new(5.0)
        image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm)
        for y, x in np.argwhere(values >= LEAST) if n <= MOST_NUMBERED else ():
            ink = theme.INK if np.dot((0.21, 0.72, 0.07), colours(norm(values[y, x]))[:3]) > 0.45 else "white"
            ax.text(x, y, f"{100 * values[y, x]:.0f}", ha="center", va="center", color=ink, fontsize=7.5)
        ax.add_patch(Rectangle((pair[1] - 0.5, pair[0] - 0.5), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2))
        every = -(-n // MOST_NAMED)
        ax.set_xticks(range(0, n, every), names[::every], rotation=90 if n > 6 or max(map(len, names)) > 8 else 0)
        ax.set_yticks(range(0, n, every), names[::every])
        ax.set_xlabel("told as")
        ax.set_ylabel("true class")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(
            image, ax=ax, label="share of the true class", pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1]
        )
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(theme.percent)
    return figure


def short(name: str) -> str:
    """Return the name of a class, cut where it would not fit."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
