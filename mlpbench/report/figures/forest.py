"""Verdicts at a glance: estimate, interval and margin of each claim, on an axis of its own unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.figures import theme

MARKERS = {"": "D", "at least": ">", "at most": "<"}


def forest(verdicts: Sequence[Verdict]) -> Figure:
    """Return a strip for each verdict with an estimate; the side of the bound where it would be supported is shaded.

    An interval with an open end goes on to the edge. An estimate that is a bound points where the number lies.
    """
    with theme.style():
        figure, axes = theme.new(0.35 + 0.72 * len(verdicts), len(verdicts))
        for ax, verdict in zip(axes, verdicts, strict=True):
            _strip(ax, verdict)
        present = [d for d in theme.VERDICT_COLOURS if any(v.decision == d for v in verdicts)]
        handles = [Line2D([], [], color=theme.VERDICT_COLOURS[v], marker="D", linewidth=2, markersize=5, label=v)
                   for v in present]  # fmt: skip
        handles.append(Line2D([], [], color=theme.INK, linestyle="dashed", linewidth=1, label="bound or margin"))
        if any(v.known for v in verdicts):
            handles.append(Line2D([], [], color=theme.FAINT, marker="<", linestyle="none", markersize=5,
                                  label="at most (or at least)"))  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _strip(ax: Axes, verdict: Verdict) -> None:
    colour, tested = theme.VERDICT_COLOURS[verdict.decision], verdict.hypothesis
    ends = (math.nan, math.nan) if verdict.interval is None else (verdict.interval.low, verdict.interval.high)
    numbers = (math.nan if verdict.estimate is None else verdict.estimate, *ends, tested.bound, tested.centre)
    at, low, high, margin, centre = (tested.quantity.factor * v for v in numbers)
    bounds = [centre - margin, centre + margin] if tested.sense == "equivalent" else [margin]
    shown = [v for v in (at, low, high, *bounds) if math.isfinite(v)]
    pad = 0.08 * (max(shown) - min(shown)) or max(abs(at), 1e-9) * 0.1
    # Where an end is open there is room to see that the line goes on.
    left, right = min(shown) - (4 if low == -math.inf else 1) * pad, max(shown) + (4 if high == math.inf else 1) * pad
    ax.set_xlim(left, right)
    start = {"greater": margin, "less": left, "equivalent": centre - margin}[tested.sense]
    ax.axvspan(start, right if tested.sense == "greater" else bounds[-1], color=theme.VERDICT_COLOURS["supported"],
               alpha=0.10, linewidth=0)  # fmt: skip
    for bound in bounds:
        ax.axvline(bound, color=theme.INK, linestyle="dashed", linewidth=1)
    if not math.isnan(low):
        ax.hlines(0, max(low, left), min(high, right), color=colour, linewidth=2.5)
    ax.plot([at], [0], MARKERS[verdict.known], color=colour, markersize=6)
    ax.set_ylim(-1, 1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(7))
    ax.set_title(f"{verdict.claim.id}: {verdict.decision}", loc="left", color=theme.INK, fontsize=8.5, pad=3)
    ax.set_title(tested.quantity.axis, loc="right", color=theme.FAINT, fontsize=7.5, pad=3)
    ax.grid(axis="y", visible=False)
