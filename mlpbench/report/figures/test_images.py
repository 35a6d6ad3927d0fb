"""Test images with what they are, and what they are told as."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.figures.confusion import short

COLUMNS = 6
SIGNS = {True: ("✓", theme.VERDICT_COLOURS["supported"]), False: ("✗", theme.VERDICT_COLOURS["refuted"])}


def panel(images: npt.NDArray[Any], rows: pd.DataFrame, n: int) -> Figure:
    """Return a grid of images; `rows` has true, told, right and votes, the number of `n` replicates that say `told`.

    Shape: images (examples, rows, columns), or with three colours last.
    """
    lines = -(-len(rows) // COLUMNS)
    with theme.style():
        figure, axes = theme.new(0.2 + 1.42 * lines, lines, COLUMNS)
        for ax in axes:
            ax.set_axis_off()
        for ax, image, row in zip(axes, images, records(rows), strict=False):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            sign, colour = SIGNS[bool(row["right"])]
            ax.set_title(short(row["true"]), fontsize=8, pad=3)
            told = f"{sign} {short(row['told'])}" + (f"\n{row['votes']} of {n}" if n > 1 else "")
            ax.text(0.5, -0.05, told, transform=ax.transAxes, ha="center", va="top", color=colour, fontsize=8)
    return figure
