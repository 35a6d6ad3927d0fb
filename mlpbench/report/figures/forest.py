"""Verdicts at a glance: estimate, interval and margin of each claim, on an axis of its own unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme

MARKERS = {"": "D", "at least": ">", "at most": "<"}


def forest(claims: pd.DataFrame) -> Figure:
    """Return a strip for each claim with an estimate; the side of the bound where it would be supported is shaded.

    An interval with an open end goes on to the edge. An estimate that is a bound points where the number lies. Needs id,
    verdict, sense, estimate, estimate_is, low, high, margin, centre, factor (to the printed unit) and unit (in words).
    """
    with theme.style():
        figure, axes = theme.new(0.35 + 0.72 * len(claims), len(claims))
        for ax, row in zip(axes, records(claims), strict=True):
            _strip(ax, row)
        present = [v for v in theme.VERDICT_COLOURS if (claims["verdict"] == v).any()]
        handles = [Line2D([], [], color=theme.VERDICT_COLOURS[v], marker="D", linewidth=2, markersize=5, label=v)
                   for v in present]  # fmt: skip
        handles.append(Line2D([], [], color=theme.INK, linestyle="dashed", linewidth=1, label="bound or margin"))
        if (claims["estimate_is"] != "").any():
            handles.append(Line2D([], [], color=theme.FAINT, marker="<", linestyle="none", markersize=5,
                                  label="at most (or at least)"))  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _strip(ax: Axes, row: Mapping[str, Any]) -> None:
    colour = theme.VERDICT_COLOURS[row["verdict"]]
    at, low, high, margin, centre = (row["factor"] * row[k] for k in ("estimate", "low", "high", "margin", "centre"))
    bounds = [centre - margin, centre + margin] if row["sense"] == "equivalent" else [margin]
    shown = [v for v in (at, low, high, *bounds) if math.isfinite(v)]
    pad = 0.08 * (max(shown) - min(shown)) or max(abs(at), 1e-9) * 0.1
    # Where an end is open there is room to see that the line goes on.
    left, right = min(shown) - (4 if low == -math.inf else 1) * pad, max(shown) + (4 if high == math.inf else 1) * pad
    ax.set_xlim(left, right)
    start = {"greater": margin, "less": left, "equivalent": centre - margin}[row["sense"]]
    ax.axvspan(start, right if row["sense"] == "greater" else bounds[-1], color=theme.VERDICT_COLOURS["supported"],
               alpha=0.10, linewidth=0)  # fmt: skip
    for bound in bounds:
        ax.axvline(bound, color=theme.INK, linestyle="dashed", linewidth=1)
    if not math.isnan(low):
        ax.hlines(0, max(low, left), min(high, right), color=colour, linewidth=2.5)
    ax.plot([at], [0], MARKERS[row["estimate_is"]], color=colour, markersize=6)
    ax.set_ylim(-1, 1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(7))
    ax.set_title(f"{row['id']}: {row['verdict']}", loc="left", color=theme.INK, fontsize=8.5, pad=3)
    ax.set_title(row["unit"], loc="right", color=theme.FAINT, fontsize=7.5, pad=3)
    ax.grid(axis="y", visible=False)
