"""The figure of a claim as SVG that follows the page's colours and says the number of each dot: where its own axes put everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.answer import claim_figure
from mlpbench.report.answer.claim_figure import ClaimNumbers
from mlpbench.report.figures import theme

# Of both panels, in their own units: the page scales them.
SIDES, NUMBER, HEIGHT = 270, 340, 170
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 8, 46
# The panel of a number alone, without dots above its interval.
LOW = 96
MARKS = {"": "M0,-6 L6,0 L0,6 L-6,0 Z", "at least": "M-5,-5 L5,0 L-5,5 Z", "at most": "M5,-5 L-5,0 L5,5 Z"}


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of an axis: where it is, and its words."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A replicate: where it is, and its number in words."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One of the two panels: its size, its frame (left, top, right, bottom), ticks, dots, and the lines that join dots.

    Attributes:
        names: of the two conditions, lines of text, by where they stand.
        spans: the ends of the interval, and of the wider one that includes the test set or holds at any time, behind it.
        shade: from where to where a number is as claimed.
        estimate: where it is; None where there is none.
        mark: the path of its sign.

    """

    width: int
    height: int
    x_label: str
    y_label: str = ""
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()
    names: Sequence[tuple[float, Sequence[str]]] = ()
    dots: Sequence[Dot] = ()
    joined: Sequence[tuple[Dot, Dot]] = ()
    bounds: Sequence[float] = ()
    zero: float | None = None
    shade: tuple[float, float] | None = None
    spans: Sequence[tuple[float, float]] = ()
    estimate: float | None = None
    middle: float = 0.0
    mark: str = ""

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what the axes enclose."""
        return LEFT if self.y_label else RIGHT, TOP, self.width - RIGHT, self.height - BOTTOM


def panels(verdict: Verdict) -> Sequence[Panel]:
    """Return the panels of a claim: both conditions where there are two, and the claim's number."""
    numbers = claim_figure.claim_numbers(verdict)
    return [*([_sides(verdict, numbers)] if numbers.above else []), _number(verdict, numbers)]


def _axes(width: int, height: int, left: int, draw: Callable[[Axes], None]) -> Axes:
    """Return the axes of a panel, drawn, in a figure whose pixels are the units of the panel."""
    with theme.style():
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasAgg(figure)
        size = (width - left - RIGHT) / width, (height - TOP - BOTTOM) / height
        ax = figure.add_axes((left / width, BOTTOM / height, *size))
        draw(ax)
        figure.draw_without_rendering()
    return ax


def _sides(verdict: Verdict, numbers: ClaimNumbers) -> Panel:
    ax = _axes(SIDES, HEIGHT, LEFT, lambda ax: claim_figure.draw_sides(ax, verdict, numbers))
    columns = [
        [_dot(ax, x, value, f"{value:.4g}") for value in values]
        for x, values in enumerate((numbers.below, numbers.above))
    ]
    names = [text.get_text().split("\n") for text in ax.get_xticklabels()]
    return Panel(
        width=SIDES,
        height=HEIGHT,
        x_label=ax.get_xlabel() if max(map(len, names)) == 1 else "",
        y_label=ax.get_ylabel(),
        y_ticks=_ticks(ax, ax.yaxis, HEIGHT),
        names=[(_x(ax, x), lines[:2]) for x, lines in enumerate(names)],
        dots=[dot for column in columns for dot in column],
        joined=list(zip(*columns, strict=True)),
    )


def _number(verdict: Verdict, numbers: ClaimNumbers) -> Panel:
    height = HEIGHT if numbers.dots else LOW
    ax = _axes(NUMBER, height, RIGHT, lambda ax: claim_figure.draw_number(ax, verdict, numbers))
    left, right = ax.get_xlim()

    def x(value: float) -> float:
        return _x(ax, min(max(value, left), right))

    places, middle = claim_figure.places(numbers)
    ends = [span for span in (numbers.wider, numbers.interval) if span is not None]
    quantity = verdict.hypothesis.quantity
    unit = "" if numbers.is_log else quantity.unit
    shade = claim_figure.claimed(verdict, numbers, left, right)
    return Panel(
        width=NUMBER,
        height=height,
        x_label=ax.get_xlabel(),
        x_ticks=_ticks(ax, ax.xaxis, height),
        dots=[_dot(ax, v, y, f"{v:.4g}{unit}", height) for v, y in zip(numbers.dots, places, strict=True)],
        bounds=[x(bound) for bound in numbers.bounds],
        zero=x(numbers.zero) if numbers.zero is not None and left < numbers.zero < right else None,
        shade=None if shade is None else (x(shade[0]), x(shade[1])),
        spans=[(x(low), x(high)) for low, high in ends],
        estimate=x(numbers.estimate) if math.isfinite(numbers.estimate) else None,
        middle=_dot(ax, left, middle, "", height).y,
        mark=MARKS[verdict.estimate_is],
    )


def _dot(ax: Axes, x: float, y: float, words: str, height: int = HEIGHT) -> Dot:
    """Return where a point is in a panel, whose y runs down."""
    across, up = ax.transData.transform((x, y))
    return Dot(x=_round(across), y=_round(height - up), words=words)


def _x(ax: Axes, value: float) -> float:
    return _round(ax.transData.transform((value, 0.5))[0])


def _ticks(ax: Axes, axis: Axis, height: int) -> list[Tick]:
    """Return the ticks of an axis that lie within the panel."""
    low, high = sorted(axis.get_view_interval())
    values = [v for v in axis.get_majorticklocs() if low <= v <= high]
    texts = axis.get_major_formatter().format_ticks(values)
    along_x = axis is ax.xaxis
    at = [_x(ax, v) if along_x else _dot(ax, 0.0, v, "", height).y for v in values]
    return [Tick(at=place, text=text) for place, text in zip(at, texts, strict=True)]


def _round(value: float) -> float:
    return round(float(value), 1) + 0.0
