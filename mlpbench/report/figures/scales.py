"""Scales of values: where an axis is log, which ticks it has over any number of decades, and conditions that lie off it.

One condition far from all others would take the room of those: it is left beyond the edge, where an arrow with its value says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from mlpbench.report.figures import theme
from mlpbench.report.number_text import short_exponent

# From this ratio on values are on a log axis; conditions of which at most this share, and of at least so many, may lie off it.
TWO_DECADES, MOST_OFF, FEWEST = 100.0, 0.375, 5
# Those are left off where the axis of the others is so many times shorter.
# They lie so many times the span of the others from these; this share of intervals ends near; fewer decades have room for all.
GAIN, LEAST_GAP, LEAST_NEAR, DECADES = 4.0, 1.5, 0.5, 8.0
Floats = npt.NDArray[np.float64]
Format = Callable[[float], str]
OFF = "off the axis"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The ends of an axis, whether it is log, and whether some values lie beyond its ends."""

    low: float
    high: float
    log: bool
    clipped: bool

    def side(self, value: float) -> Literal[-1, 0, 1]:
        """Return -1 for a value below the axis, 1 for one above it, 0 for one on it."""
        return -1 if value < self.low else 1 if value > self.high else 0


def limits(
    means: Sequence[float], ends: Sequence[float] = (), *, log: bool | None = None, clip: bool = True
) -> Limits | None:
    """Return the ends of an axis over means with their intervals; None where nothing is finite.

    Args:
        means: of the conditions.
        ends: of their intervals, or their replicates.
        log: whether the axis is log; by default where all means are positive and spread over two decades.
        clip: whether a few conditions that lie far from the others may be left off it.

    """
    finite = [m for m in means if math.isfinite(m)]
    if not finite:
        return None
    is_log = is_wide(finite) if log is None else log and max(finite) > 0
    values = np.log10([m for m in finite if m > 0]) if is_log else np.array(finite)
    known = [e for e in ends if math.isfinite(e) and (e > 0 or not is_log)]
    inner = np.log10(known) if is_log else np.array(known)
    bulk = most_alike(values) if clip and not (is_log and np.ptp(values) < DECADES) else values
    if len(bulk) < len(values):
        reach = max(float(np.ptp(bulk)), 0.02 * float(np.ptp(values)))
        near = inner[(inner >= bulk.min() - reach) & (inner <= bulk.max() + reach)]
        # Wide intervals take the room all the same.
        if len(near) < LEAST_NEAR * len(inner):
            bulk = values
        else:
            inner = near
    low, high = (float(f([*bulk, *inner])) for f in (min, max))
    least = 1e-9 * max(abs(low), abs(high)) or 1.0
    room = 0.05 * (high - low) if high - low > least else max(0.05 * abs(high), 0.05)
    if is_log:
        # A power of ten that no number holds is no end of an axis.
        low, high = max(low - room, -320.0), min(high + room, 307.0)
        return Limits(low=max(10.0**low, 5e-324), high=10.0**high, log=True, clipped=len(bulk) < len(values))
    return Limits(low=low - room, high=high + room, log=False, clipped=len(bulk) < len(values))


def is_wide(values: Sequence[float]) -> bool:
    """Return whether values are positive and spread over two decades."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) >= TWO_DECADES * min(finite)


def most_alike(values: Sequence[float] | Floats | pd.Series[float]) -> Floats:
    """Return the values without the few that lie far from all others, by more than those span; all where there are none such."""
    ordered = np.asarray(values, dtype=float)
    ordered = np.sort(ordered[np.isfinite(ordered)])
    n = len(ordered)
    if n < FEWEST:
        return ordered
    whole = float(ordered[-1] - ordered[0])
    gaps = np.diff(ordered)
    for off in range(1, int(MOST_OFF * n) + 1):
        for below in range(off + 1):
            above = n - off + below
            span = float(ordered[above - 1] - ordered[below])
            beside = [*gaps[below - 1 : below], *gaps[above - 1 : above]]
            if (
                whole > 0
                and GAIN * max(span, 0.02 * whole) <= whole
                and min(beside) >= max(LEAST_GAP * span, 0.02 * whole)
            ):
                return ordered[below:above]
    return ordered


def put_limits(
    ax: Axes, which: Literal["x", "y"], ends: Limits | None, text: Format | None = None, most: int = 7
) -> None:
    """Give an axis its ends and its ticks, at most so many; `text` writes a tick's number."""
    if ends is None:
        return
    axis = ax.xaxis if which == "x" else ax.yaxis
    # Else a log scale would look for limits that hold every interval, beyond all numbers.
    (ax.set_autoscalex_on if which == "x" else ax.set_autoscaley_on)(False)
    (ax.set_xscale if which == "x" else ax.set_yscale)("log" if ends.log else "linear")
    (ax.set_xlim if which == "x" else ax.set_ylim)(ends.low, ends.high)
    if ends.log:
        log_ticks(axis, ends.low, ends.high, text, most)
    else:
        linear_ticks(axis, text, most)


def log_ticks(axis: Axis, low: float, high: float, text: Format | None = None, most: int = 7) -> None:
    """Put ticks on a log axis: at 1, 2, 5 of each decade, at whole decades, or at every k-th of very many."""
    at = log_places(low, high, most)
    powers = all(abs(math.log10(v) - round(math.log10(v))) < 1e-9 for v in at)
    far = powers and (at[0] < 1e-3 or at[-1] > 1e4)
    write = text or (theme.power_of_ten if far else _plain)
    axis.set_major_locator(FixedLocator(at))
    axis.set_major_formatter(FuncFormatter(lambda v, _: write(v)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_places(low: float, high: float, most: int = 7) -> list[float]:
    """Return where ticks of a log axis stand: two at least, and at most so many.

    >>> log_places(0.9, 60)
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    slack = 1 + 1e-9
    for subs in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0)):
        if last - first > 2 * most:
            break
        # Written and read again: 5e-5 is not 5 times 1e-5.
        places = [float(f"{sub:g}e{p}") for p in range(first, last + 1) for sub in subs]
        places = [v for v in places if low / slack <= v <= high * slack]
        if 2 <= len(places) <= most:
            return places
        if len(places) < 2:
            inner = [float(v) for v in MaxNLocator(max(2, most - 2)).tick_values(low, high)]
            return [v for v in inner if low <= v <= high] or [low, high]
    powers = [p for p in range(first, last + 1) if low / slack <= 10.0**p <= high * slack]
    every = max(1, -(-len(powers) // most))
    return [10.0**p for p in powers if p % every == 0] or [10.0 ** powers[0]]


def linear_ticks(axis: Axis, text: Format | None = None, most: int = 7) -> None:
    """Put round numbers on a linear axis, with the digits that tell them apart and no factor at its end."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter((lambda v, _: text(v)) if text else lambda v, _: _apart(axis, v)))


def _apart(axis: Axis, value: float) -> str:
    ticks = axis.get_majorticklocs()
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 0.0
    if not step:
        return _plain(value)
    if abs(value) < 1e-9 * step:
        return "0"
    digits = max(1, min(15, math.ceil(math.log10(max(abs(value), step) / step) - 1e-9) + 2))
    return short_exponent(f"{value:.{digits}g}").replace("-", "\N{MINUS SIGN}", 1 if value < 0 else 0)


def _plain(value: float) -> str:
    return short_exponent(f"{value:.4g}")


def arrow(
    ax: Axes, which: Literal["x", "y"], at: float, value: str, ends: Limits, side: Literal[-1, 1], colour: str
) -> None:
    """Mark what lies off an axis: an arrow at its edge, and its value beside it.

    Args:
        ax: the panel.
        which: the axis that it lies off.
        at: where it is on the other axis.
        value: the number, as text.
        ends: the ends of the axis.
        side: which end.
        colour: of the condition.

    """
    edge = ends.high if side > 0 else ends.low
    marker = {("x", 1): ">", ("x", -1): "<", ("y", 1): "^", ("y", -1): "v"}[which, side]
    point = (edge, at) if which == "x" else (at, edge)
    ax.plot([point[0]], [point[1]], marker, color=colour, markersize=5.5, clip_on=False, zorder=5)
    if value:
        beside = (-8 * side, 0) if which == "x" else (6, 0)
        across = ("right" if side > 0 else "left") if which == "x" else "left"
        up = "center" if which == "x" else "top" if side > 0 else "bottom"
        ax.annotate(value, point, beside, textcoords="offset points", ha=across, va=up, fontsize=7.5, color=theme.INK)


def arrow_handle(*, valued: bool = True) -> Line2D:
    """Return the entry of a legend that says what an arrow at an edge is; `valued` where a number stands beside it."""
    label = f"{OFF}, at this value" if valued else OFF
    return Line2D([], [], color=theme.INK, marker=">", markersize=5.5, linestyle="none", label=label)
