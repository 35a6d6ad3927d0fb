"""Learning curves as SVG that a page can highlight: the estimates and colours of the figure, a panel a split and measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

from mlpbench.evidence.frames import records
from mlpbench.report.figures.learning_curves import MEASURES
from mlpbench.report.figures.theme import SPLITS, Look
from mlpbench.report.language.words import with_spread

# Of a panel, in its own units: the page scales it.
WIDTH, HEIGHT = 360, 226
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 34
DASHES = {"dashed": "5 3", "dotted": "1.5 2.5", "solid": ""}
# The darkest and the lightest place on a sequential map that are seen on a dark page.
DARK_FROM, DARK_TO = 0.42, 0.98


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of an axis: where it is in the panel, and its words."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve: which condition's, its path, the closed path of its interval, and its dashes."""

    key: int
    path: str
    band: str
    dashes: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The curves of one split and measure."""

    title: str
    words: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A condition in the legend: its colours on light and on dark, its name, and where its curves end, in words."""

    key: int
    light: str
    dark: str
    label: str
    ends: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """All panels with their legend."""

    title: str
    entries: Sequence[Entry]
    panels: Sequence[Panel]
    width: int = WIDTH
    height: int = HEIGHT
    frame: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def chart(curves: pd.DataFrame, look: Look) -> Chart:
    """Return the chart of estimates by condition, split, epoch and measure, as `figures.learning_curves` draws them."""
    keys = {condition: i for i, condition in enumerate(look.colours)}
    panels = []
    for measure in (m for m in MEASURES if (curves["measure"] == m).any()):
        of_measure = curves[curves["measure"] == measure]
        scale = _scale(of_measure, measure)
        for split in (s for s in SPLITS if (of_measure["split"] == s).any()):
            lines = of_measure[of_measure["split"] == split]
            panels.append(_panel(lines, f"{split} {measure}", DASHES[SPLITS[split]], keys, look, scale))
    dark = _on_dark(look)
    ends = _ends(curves)
    entries = [
        Entry(key=i, light=look.colours[c], dark=dark[look.colours[c]], label=look.labels[c], ends=ends[c])
        for c, i in keys.items()
        if c in ends
    ]
    title = look.title if len(entries) == len(look.entries) else "condition"
    return Chart(title=title, entries=entries, panels=panels)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Where an epoch and a value stand in a panel, and the marks of both axes."""

    x: Callable[[float], float]
    y: Callable[[float], float]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


def _scale(curves: pd.DataFrame, measure: str) -> _Scale:
    """Do as the figure does: log for a loss that falls far, an accuracy's axis for the epochs after the first."""
    means = curves["mean"]
    log = measure == "loss" and means.min() > 0 and means.max() > 3 * means.min()
    of: Callable[[float], float] = (lambda v: math.log10(v) if v > 0 else -math.inf) if log else float
    later = curves.loc[curves["epoch"] > 0]
    shown = later if measure == "accuracy" and not later.empty else curves
    bounds = shown[["mean", "low", "high"]].to_numpy(dtype=float).ravel()
    within = [b for b in map(of, bounds) if math.isfinite(b)]
    bottom, top = _with_room(min(within, default=0.0), max(within, default=1.0))
    epochs = curves["epoch"].to_numpy(dtype=float)
    first, last = _with_room(float(epochs.min()), float(epochs.max()), 0.02)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (epoch - first) / (last - first)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (of(value) - bottom) / (top - bottom)

    if log:
        wide = top - bottom > 1
        low, high = 10**bottom, 10**top
        marks = LogLocator(subs=(1.0, 2.0, 5.0) if wide else (1, 1.5, 2, 3, 4, 5, 7)).tick_values(low, high)
        values = [float(v) for v in marks if low <= v <= high]
    else:
        values = [float(v) for v in MaxNLocator(6).tick_values(bottom, top) if bottom <= v <= top]
    at = [float(v) for v in MaxNLocator(6, integer=True).tick_values(first, last) if first <= v <= last]
    return _Scale(
        x=x,
        y=y,
        x_ticks=[Tick(at=_round(x(v)), text=f"{v:g}") for v in at],
        y_ticks=[Tick(at=_round(y(v)), text=f"{v:.6g}") for v in values],
    )


def _with_room(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    room = share * (high - low) or 0.01 * (abs(high) or 1.0)
    return low - room, high + room


def _panel(curves: pd.DataFrame, title: str, dashes: str, keys: dict[str, int], look: Look, scale: _Scale) -> Panel:
    lines = []
    for condition, line in curves.groupby("condition_id", sort=False):
        ordered = line.sort_values("epoch", kind="stable")
        along = [(scale.x(e), scale.y(m)) for e, m in zip(ordered["epoch"], ordered["mean"], strict=True)]
        lines.append(
            Line(
                key=keys[str(condition)],
                path=" ".join(_path(along)),
                band=_band(ordered, scale) if look.is_detailed else "",
                dashes=dashes,
            )
        )
    lines.sort(key=lambda of: of.key)
    return Panel(
        title=title,
        words=f"Mean {title} against epochs, a curve for each {look.title or 'condition'}.",
        x_ticks=scale.x_ticks,
        y_ticks=scale.y_ticks,
        lines=lines,
    )


def _band(line: pd.DataFrame, scale: _Scale) -> str:
    rows = line.dropna(subset=["low", "high"])
    if len(rows) < 2:
        return ""
    # A bound at or below nought has no place on a log axis; far below the frame is where it is cut off anyway.
    edges = [
        [(scale.x(e), min(scale.y(v), 10.0 * HEIGHT)) for e, v in zip(rows["epoch"], rows[side], strict=True)]
        for side in ("low", "high")
    ]
    return f"{' '.join(_path(edges[0] + edges[1][::-1]))} Z"


def _path(points: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Yield the steps of a path; where a point is missing it is interrupted."""
    pen = "M"
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        yield f"{pen}{_round(x):g},{_round(y):g}"
        pen = "L"


def _round(value: float) -> float:
    return round(value, 1) + 0.0


def _ends(curves: pd.DataFrame) -> dict[str, str]:
    """Return where the curves of each condition end: test first, as it is what is compared."""
    found: dict[str, list[str]] = {}
    order = {name: i for i, name in enumerate(reversed(SPLITS))}
    last = curves[curves["epoch"] == curves.groupby(["condition_id", "measure", "split"])["epoch"].transform("max")]
    for row in sorted(records(last), key=lambda r: (r["measure"], order[r["split"]])):
        said = f"{row['split']} {row['measure']} {with_spread(row['mean'], row['sd'])}"
        found.setdefault(row["condition_id"], [f"after {row['epoch']:g} epochs"]).append(said)
    return {condition: ", ".join(parts) for condition, parts in found.items()}


def _on_dark(look: Look) -> dict[str, str]:
    """Return for each colour one that is seen on a dark page: a sequential map runs from dim to bright there."""
    colours = list(dict.fromkeys(look.colours.values()))
    sequential = {_hex(mpl.colormaps["viridis_r"](v)) for v in _places(len(colours), 0.12, 0.95)}
    if len(colours) > 1 and set(colours) == sequential:
        order = [c for _, c in look.entries]
        steps = _places(len(order), DARK_FROM, DARK_TO)
        return {c: _hex(mpl.colormaps["viridis"](v)) for c, v in zip(order, steps, strict=True)}
    return {c: _lighter(c) for c in colours}


def _places(n: int, first: float, last: float) -> Sequence[float]:
    return [first + (last - first) * i / max(n - 1, 1) for i in range(n)]


def _lighter(colour: str) -> str:
    """Mix dark colours with white until their luminance is that of a mid grey."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    weights = np.array([0.2126, 0.7152, 0.0722])
    for share in np.linspace(0, 0.6, 7):
        mixed = rgb + share * (1 - rgb)
        if float(weights @ mixed**2.2) >= 0.25:
            break
    return _hex(mixed)


def _hex(colour: Any) -> str:
    return str(mpl.colors.to_hex(colour))
