"""Learning curves as SVG that a page can highlight: where the figure's own axes put each curve, band and tick.

Matplotlib's SVG writer is not used: it sets styles inline, which the page's policy refuses, gives each curve and its band
groups apart, and takes two to three times the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.theme import SPLITS
from mlpbench.report.sections.learning_curves import MEASURES, draw_panel
from mlpbench.report.words import with_spread

# Of a panel, in its own units: the page scales it.
WIDTH, HEIGHT = 360, 226
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 34
DASHES = {"dashed": "5 3", "dotted": "1.5 2.5", "solid": ""}


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


def chart(curves: pd.DataFrame, colours: ConditionColours) -> Chart:
    """Return the chart of estimates by condition, split, epoch and measure, as the figure of learning curves has them."""
    keys = {condition: i for i, condition in enumerate(colours.colours)}
    panels = []
    for measure in (m for m in MEASURES if (curves["measure"] == m).any()):
        of_measure = curves[curves["measure"] == measure]
        figure, ax = _new()
        with theme.style():
            draw_panel(ax, of_measure, measure, colours)  # all splits, which share an axis
            figure.draw_without_rendering()
        for split in (s for s in SPLITS if (of_measure["split"] == s).any()):
            panels.append(_panel(ax, of_measure[of_measure["split"] == split], f"{split} {measure}", keys, colours))
    ends = _ends(curves)
    entries = [
        Entry(key=i, light=colours.colours[c], dark=_lighter(colours.colours[c]), label=colours.labels[c], ends=ends[c])
        for c, i in keys.items()
        if c in ends
    ]
    title = colours.title if len(entries) == len(colours.entries) else "condition"
    return Chart(title=title, entries=entries, panels=panels)


def _panel(ax: Axes, curves: pd.DataFrame, title: str, keys: Mapping[str, int], colours: ConditionColours) -> Panel:
    lines = []
    for (condition, split), line in curves.groupby(["condition_id", "split"], sort=False):
        rows = line.dropna(subset=["low", "high"])
        edges = [rows[["epoch", side]].to_numpy(dtype=float) for side in ("low", "high")]
        outline = np.concatenate([edges[0], edges[1][::-1]])
        lines.append(
            Line(
                key=keys[str(condition)],
                path=" ".join(_path(ax, line[["epoch", "mean"]].to_numpy(dtype=float))),
                band=f"{' '.join(_path(ax, outline))} Z" if colours.is_detailed and len(rows) > 1 else "",
                dashes=DASHES[SPLITS[str(split)]],
            )
        )
    return Panel(
        title=title,
        words=f"Mean {title} against epochs, a curve for each {colours.title or 'condition'}.",
        x_ticks=_ticks(ax, ax.xaxis),
        y_ticks=_ticks(ax, ax.yaxis),
        lines=sorted(lines, key=lambda line: line.key),
    )


def _new() -> tuple[Figure, Axes]:
    """Return a figure whose pixels are the units of a panel, and its axes."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    FigureCanvasAgg(figure)
    size = (WIDTH - LEFT - RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / HEIGHT
    return figure, figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, *size))


def _ticks(ax: Axes, axis: Axis) -> list[Tick]:
    """Return the ticks of an axis that lie within the panel."""
    low, high = sorted(axis.get_view_interval())
    values = [v for v in axis.get_majorticklocs() if low <= v <= high]
    at = _places(ax, np.column_stack([values, values]))[:, 0 if axis is ax.xaxis else 1]
    texts = axis.get_major_formatter().format_ticks(values)
    return [Tick(at=_round(place), text=text) for place, text in zip(at, texts, strict=True)]


def _places(ax: Axes, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return where points are in a panel, whose y runs down.

    A bound at or below nought has no place on a log axis; far below the frame is where it is cut off anyway.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        places = ax.transData.transform(points)
    places[:, 1] = np.where(np.isnan(points[:, 1]), np.nan, np.clip(HEIGHT - places[:, 1], -10 * HEIGHT, 10 * HEIGHT))
    return places


def _path(ax: Axes, points: npt.NDArray[Any]) -> Iterator[str]:
    """Yield the steps of a path; where a point is missing it is interrupted."""
    pen = "M"
    for x, y in _places(ax, points):
        if np.isnan(y):
            pen = "M"
            continue
        yield f"{pen}{_round(x):g},{_round(y):g}"
        pen = "L"


def _round(value: float) -> float:
    return round(float(value), 1) + 0.0


def _ends(curves: pd.DataFrame) -> dict[str, str]:
    """Return where the curves of each condition end: test first, as it is what is compared."""
    ends: dict[str, list[str]] = {}
    order = {name: i for i, name in enumerate(reversed(SPLITS))}
    last = curves[curves["epoch"] == curves.groupby(["condition_id", "measure", "split"])["epoch"].transform("max")]
    for row in sorted(records(last), key=lambda r: (r["measure"], order[r["split"]])):
        text = f"{row['split']} {row['measure']} {with_spread(row['mean'], row['sd'])}"
        ends.setdefault(row["condition_id"], [f"after {row['epoch']:g} epochs"]).append(text)
    return {condition: ", ".join(parts) for condition, parts in ends.items()}


def _lighter(colour: str) -> str:
    """Return a colour that is seen on a dark page: mixed with white until its luminance is that of a mid grey."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    weights = np.array([0.2126, 0.7152, 0.0722])
    mixes = (rgb + share * (1 - rgb) for share in np.linspace(0, 0.6, 13))
    return mpl.colors.to_hex(next(mixed for mixed in mixes if float(weights @ mixed**2.2) >= 0.2))
