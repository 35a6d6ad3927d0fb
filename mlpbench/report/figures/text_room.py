"""Texts of figures: how wide they are, how they are cut or broken to fit, and ticks that give way where they would overlap."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Between two tick labels there are so many pixels at least.
APART = 3.0
ELLIPSIS = "…"


@functools.cache
def _measuring() -> tuple[Any, dict[float, FontProperties]]:
    make: Any = RendererAgg
    return make(8, 8, 72), {}


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Return the width of a line of text in points, in the font of all figures."""
    renderer, fonts = _measuring()
    font = fonts.setdefault(size, FontProperties(family="DejaVu Sans", size=size))
    return float(renderer.get_text_width_height_descent(text, font, False)[0])


def shorten(text: str, width: float, size: float) -> str:
    """Return the text, or its beginning and its end with an ellipsis between, where it is wider than so many points."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if text_width(_middle_out(text, kept), size) <= width else (low, kept - 1)
    return _middle_out(text, low)


def _middle_out(text: str, kept: int) -> str:
    head = -(-kept * 3 // 5)
    tail = kept - head
    return text[:head].rstrip() + ELLIPSIS + (text[-tail:].lstrip() if tail else "")


def wrap(text: str, width: float, size: float, lines: int = 2) -> str:
    """Return the text broken at spaces into lines of at most so many points; what is still too long is cut.

    Args:
        text: one line.
        width: the room, in points.
        size: of the letters, in points.
        lines: how many there may be.

    """
    if "\n" in text:
        return "\n".join(shorten(line, width, size) for line in text.split("\n"))
    rows: list[str] = []
    for word in text.split(" "):
        joined = f"{rows[-1]} {word}" if rows else word
        if rows and (text_width(joined, size) <= width or len(rows) == lines):
            rows[-1] = joined
        else:
            rows.append(word)
    return "\n".join(shorten(row, width, size) for row in rows)


def settle(figure: Figure) -> None:
    """Lay a figure out for good, and leave out tick labels that would stand on one another; the ticks stay."""
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            _thin(axis, 0 if axis is ax.xaxis else 1)
    # Else drawing would lay it out once more, which is most of its time.
    figure.set_layout_engine("none")


def _thin(axis: Axis, along: int) -> None:
    low, high = sorted(axis.get_view_interval())
    ticks = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    kept: Bbox | None = None
    for label in sorted(
        (t.label1 for t in ticks), key=lambda text: float(text.get_window_extent().get_points()[0][along])
    ):
        if not label.get_visible() or not label.get_text():
            continue
        box = label.get_window_extent()
        if kept is not None and _touch(kept, box):
            label.set_visible(False)
        else:
            kept = box


def _touch(a: Bbox, b: Bbox) -> bool:
    return bool(a.x1 + APART > b.x0 and b.x1 + APART > a.x0 and a.y1 > b.y0 and b.y1 > a.y0)


def texts(figure: Figure) -> Sequence[Text]:
    """Return the texts that are seen in a figure that was laid out."""
    seen: list[Text] = []
    hidden = {id(t) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for t in _unseen(axis)}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
            seen.append(text)
    return seen


def _unseen(axis: Axis) -> list[Text]:
    """Return texts of an axis that are there and not drawn: of ticks out of view, of second labels, of axes that are off."""
    low, high = sorted(axis.get_view_interval())
    unseen: list[Text] = []
    every = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    for tick in every:
        unseen.append(tick.label2)
        if not axis.axes.axison or not axis.axes.get_visible() or not low <= tick.get_loc() <= high:
            unseen.append(tick.label1)
    if not axis.axes.axison or not axis.axes.get_visible():
        unseen.append(axis.label)
    return unseen
