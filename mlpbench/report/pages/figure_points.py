"""What the points of a drawn figure stand for: where each is, the entry of the legend it belongs to, and its numbers in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

# Points of one figure: of more, each k-th of a line is kept, which is as close as a finger can point.
MOST_POINTS = 4_000
DIGITS = 4
# So far from its row or column a mark may stand.
BESIDE = 0.4
Floats = npt.NDArray[np.float64]
# x and y in units of the data, the colour, and a name that says what the points are; empty where they have none.
Series = tuple[Floats, str, str]


def points_of(figure: Figure, entries: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return for each axes its title, the names of its axes and its points; a figure must have been drawn.

    Args:
        figure: drawn at 72 dots an inch, so that pixels are points.
        entries: the place in the legend of each colour.

    """
    height = float(figure.bbox.height)
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]
    total = sum(len(xy) for ax in shown for xy, *_ in _series(ax))
    every = max(1, -(-total // MOST_POINTS))
    return [part for ax in shown if (part := _of_axes(ax, figure, entries, height, every))["p"]]


def _of_axes(ax: Axes, figure: Figure, entries: Mapping[str, int], height: float, every: int) -> dict[str, Any]:
    low, high = np.asarray(ax.bbox.min) - 1, np.asarray(ax.bbox.max) + 1
    points = []
    text_x, text_y = _texts(ax.xaxis), _texts(ax.yaxis)
    for xy, colour, name in _series(ax):
        places = ax.transData.transform(xy)
        for (x, y), (px, py) in zip(xy[::every].tolist(), places[::every].tolist(), strict=True):
            if np.isfinite([px, py]).all() and low[0] <= px <= high[0] and low[1] <= py <= high[1]:
                texts = [text_x(x), text_y(y)]
                entry = entries.get(colour, -1)
                points.append([_round(px), _round(height - py), entry, *texts, *([name] if name and entry < 0 else [])])
    for x, y, value in _cells(ax):
        px, py = ax.transData.transform((x, y)).tolist()
        where = ", ".join(filter(None, (text_y(y), text_x(x))))
        points.append([_round(px), _round(height - py), -1, where, value])
    names = {
        side: _name(ax, figure, side) if len(axis.get_majorticklocs()) else ""
        for side, axis in (("x", ax.xaxis), ("y", ax.yaxis))
    }
    return {"t": _title(ax, figure), **names, "p": points}


def _series(ax: Axes) -> Iterator[Series]:
    """Yield the points of lines, markers and bars that stand in the units of the data."""
    for line in ax.lines:
        if line.get_transform() == ax.transData and line.get_visible():
            xy = np.column_stack([_floats(line.get_xdata()), _floats(line.get_ydata())])
            name = str(line.get_label())
            yield xy[np.isfinite(xy).all(axis=1)], hex_of(line.get_color()), "" if name.startswith("_") else name
    for collection in ax.collections:
        if isinstance(collection, PathCollection) and collection.get_offset_transform() == ax.transData:
            offsets = np.asarray(collection.get_offsets(), dtype=float)
            colours = np.atleast_2d(np.asarray(collection.get_facecolor()))
            one = hex_of(colours[0]) if len(colours) == 1 else ""
            yield offsets[np.isfinite(offsets).all(axis=1)], one, ""
    for bars in ax.containers:
        if isinstance(bars, BarContainer):
            flat = bars.orientation == "horizontal"
            for bar in bars.patches:
                x = bar.get_x() + (bar.get_width() if flat else bar.get_width() / 2)
                y = bar.get_y() + (bar.get_height() / 2 if flat else bar.get_height())
                yield np.array([[x, y]], dtype=float), hex_of(bar.get_facecolor()), ""


def _cells(ax: Axes) -> Iterator[tuple[float, float, str]]:
    """Yield the middle and the number of each cell of a heat map, not of photographs, whose axes have no ticks."""
    if not ax.axison or (not len(ax.get_xticks()) and not len(ax.get_yticks())):
        return
    written = {
        (round(float(t.get_position()[0]), 3), round(float(t.get_position()[1]), 3)): t.get_text() for t in ax.texts
    }
    for image in ax.images:
        values: Any = np.ma.asarray(image.get_array())
        if values.ndim != 2:
            continue
        left, right, bottom, top = image.get_extent()
        rows, columns = values.shape
        for i in range(rows):
            for j in range(columns):
                x = left + (right - left) * (j + 0.5) / columns
                up = (i + 0.5) / rows
                y = top + (bottom - top) * up if image.origin == "upper" else bottom + (top - bottom) * up
                text = written.get((round(x, 3), round(y, 3)), "")
                if text or not np.ma.is_masked(values[i, j]):
                    yield x, y, text or f"{float(values[i, j]):.{DIGITS}g}"
    for mesh in ax.collections:
        if isinstance(mesh, QuadMesh):
            values = np.ma.asarray(mesh.get_array())
            corners = np.asarray(mesh.get_coordinates())
            middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
            flat = zip(middles.reshape(-1, 2).tolist(), values.reshape(-1).tolist(), strict=True)
            for (x, y), value in flat:
                text = written.get((round(x, 3), round(y, 3)), "")
                if text or value is not None:
                    yield x, y, text or f"{float(value):.{DIGITS}g}"


def _texts(axis: Axis) -> Callable[[float], str]:
    """Return what says a number of an axis in words: the name of a row or column, or digits; nothing where there are no ticks."""
    formatter = axis.get_major_formatter()
    ticks = np.asarray(axis.get_majorticklocs(), dtype=float)
    if not len(ticks):
        return lambda value: ""
    fixed = isinstance(axis.get_major_locator(), FixedLocator)
    names = [" ".join(text.split()) for text in formatter.format_ticks(ticks.tolist())] if fixed else []
    # Rows and columns are counted from 0, and their marks stand a little beside: of a number that would be rounding.
    counted = bool((ticks == np.rint(ticks)).all()) and ticks.min() == 0 and axis.get_scale() == "linear"
    some_unnamed = counted and not all(is_numeral(name) for name in names)  # of many rows, every k-th has its name

    def text(value: float) -> str:
        if names:
            nearest = int(np.argmin(np.abs(ticks - value)))
            if math.isclose(ticks[nearest], value) or (counted and abs(ticks[nearest] - value) < BESIDE):
                return names[nearest]
            if some_unnamed:
                return ""
        if isinstance(formatter, FuncFormatter) and (said := str(formatter(value, 0))).endswith("%"):
            return said
        return f"{value:.{DIGITS}g}"

    return text


def is_numeral(text: str) -> bool:
    """Return whether a text is a number, or a percentage."""
    try:
        float(text.replace("\N{MINUS SIGN}", "-").removesuffix("%"))
    except ValueError:
        return False
    return True


def _title(ax: Axes, figure: Figure) -> str:
    """Return what stands above the axes, or above the column of panels they are in."""
    place = ax.get_subplotspec()
    column = [
        other
        for other in figure.axes
        if place is not None and (there := other.get_subplotspec()) is not None and there.colspan == place.colspan
    ]
    titles = (str(t) for other in (ax, *column) for t in (other.get_title(loc="left"), other.get_title()))
    return next((t for t in titles if t), "")


def _name(ax: Axes, figure: Figure, side: str) -> str:
    """Return the name of an axis, of panels that share it the one that is written."""
    own = ax.get_xlabel() if side == "x" else ax.get_ylabel()
    if own:
        return str(own)
    whole = figure.get_supxlabel() if side == "x" else figure.get_supylabel()
    if whole:
        return str(whole)
    shared = ax.get_shared_x_axes() if side == "x" else ax.get_shared_y_axes()
    names = [other.get_xlabel() if side == "x" else other.get_ylabel() for other in shared.get_siblings(ax)]
    place = ax.get_subplotspec()
    for other in figure.axes:
        there = other.get_subplotspec()
        if place is None or there is None:
            continue
        same = there.colspan == place.colspan if side == "x" else there.rowspan == place.rowspan
        names += [other.get_xlabel() if side == "x" else other.get_ylabel()] if same else []
    return next((str(name) for name in names if name), "")


def _floats(values: Any) -> Floats:
    try:
        return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    except (TypeError, ValueError):
        return np.full(np.shape(values), np.nan)


def hex_of(colour: Any) -> str:
    """Return a colour as hex, empty where there is none."""
    try:
        return mpl.colors.to_hex(colour)
    except ValueError:
        return ""


def _round(value: float) -> float:
    return round(float(value), 1) + 0.0
