"""One style for all figures: fonts, size, palettes, axes, legends, and bytes that do not change between renders."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from mlpbench.base.models import Value
from mlpbench.report.figures import png_colours
from mlpbench.report.figures.text_room import settle, shorten, text_width, wrap
from mlpbench.report.number_text import RAISED

DPI = 112
WIDTH = 6.0
INK, FAINT = "#262626", "#8c8c8c"
# From seaborn's "colorblind" palette: green, orange-red and grey differ in lightness too.
VERDICT_COLOURS = {"supported": "#029e73", "refuted": "#d55e00", "at the margin": "#0173b2", "undecided": "#949494"}
Dashes = Literal["dashed", "dotted", "solid"]
SPLITS: dict[str, Dashes] = {"train": "dashed", "validation": "dotted", "test": "solid"}
# Seaborn's "colorblind" without its pink and its yellow, which are faint on white, and two dark ones of Paul Tol's.
NOMINAL = (*(sns.color_palette("colorblind").as_hex()[i] for i in (0, 1, 2, 3, 4, 5, 9, 7)), "#332288", "#882255")
# What rcParams have that is no style: the backend, and what only starting it reads.
KEPT = frozenset(("backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port", "webagg.address"))
# Behind words that stand on lines, a little transparent.
PAPER = {"facecolor": "white", "alpha": 0.8, "linewidth": 0}
MOST_COLOURS = 10
# A factor with more levels than this has round numbers on its axis.
MOST_TICKS = 60
# So far beyond the ends of an axis, in its lengths, it is made longer for a line of reference.
REACH = 0.5
# Of the width and of the letters of a figure, in points; a row of a legend, in inches, of which two have room.
POINTS, SMALL, LEGEND_ROW, USUAL_ROWS = 72 * WIDTH, 8.0, 0.165, 2
# From this ratio of levels on an axis is log.
DECADE = 10.0


def palette(n: int, *, ordered: bool) -> list[str]:
    """Return n colours as hex: a light-to-dark map for ordered levels, else the colour-blind palette, over and over."""
    if n == 1 or not ordered:
        return [NOMINAL[i % MOST_COLOURS] for i in range(n)]
    # The yellow end of viridis cannot be seen on white.
    return [mpl.colors.to_hex(mpl.colormaps["viridis_r"](0.2 + 0.77 * i / (n - 1))) for i in range(n)]


def distinct_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each distinct name: along a map where all are numbers of one thing, `width=8`, else of the palette.

    They stand in the order of the numbers, or in that in which names come first. More names than the palette has colours run
    along the map, too: two of one colour would be one in a legend.
    """
    distinct = list(dict.fromkeys(names))
    numbers = [_number_of(name) for name in distinct]
    ordered = len({name.rpartition("=")[0] for name in distinct}) == 1 and None not in numbers
    if ordered:
        distinct = [name for _, name in sorted(zip(numbers, distinct, strict=True))]
    return dict(zip(distinct, palette(len(distinct), ordered=ordered or len(distinct) > MOST_COLOURS), strict=True))


def _number_of(name: str) -> float | None:
    try:
        number = float(name.rpartition("=")[2])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@contextmanager
def style() -> Iterator[None]:
    """Set matplotlib's defaults with seaborn's style while a figure is drawn, and put back what was there before.

    The user's own settings, of a `matplotlibrc` or a notebook, are not part of a report. A `$` in a label is a dollar.
    """
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if name not in KEPT}
    settings: Any = (
        defaults
        | sns.axes_style("ticks")
        | {
            "text.parse_math": False,
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
            "font.size": 8.5,
            "axes.titlesize": 9,
            "axes.labelsize": 8.5,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.title_fontsize": 8,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": FAINT,
            "axes.grid": True,
            "grid.color": "#e8e8e8",
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "lines.linewidth": 1.4,
            "lines.dashed_pattern": (4, 2),
            "lines.dotted_pattern": (1, 1.5),
            "lines.solid_capstyle": "round",
            "xtick.color": FAINT,
            "ytick.color": FAINT,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "text.color": INK,
            "axes.labelcolor": INK,
        }
    )
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A sign that the font lacks, as of another script, is a box in the picture; the text of the report has it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        # Of very many rows or panels labels take the place of axes, which are drawn all the same.
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        yield


def new(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of the report's width, with its axes in reading order; outside pyplot's registry."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def legend_below(figure: Figure, handles: Sequence[Line2D], title: str = "") -> None:
    """Put a legend under the axes, in as many columns as its longest text allows; nothing for no handles.

    The figure grows by the rows that it has no room for.
    """
    if not handles:
        return
    for handle in handles:
        handle.set_label(shorten(str(handle.get_label()), POINTS - 50, SMALL))
    # A handle with its spaces is about 31 points wide.
    longest = max(text_width(str(h.get_label()), SMALL) for h in handles)
    columns = max(1, min(len(handles), int((POINTS - 12) / (34 + longest))))
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(0, rows + bool(title) - USUAL_ROWS))
    figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows), title=title or None,
                  handlelength=1.8, columnspacing=1.3)  # fmt: skip


def colour_handles(entries: Iterable[tuple[str, str]]) -> list[Line2D]:
    """Return a legend's handles for texts with their colours, none for a single one, which needs no legend."""
    several = list(entries)
    if len(several) < 2:
        return []
    return [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in several]


def panel_title(ax: Axes, text: str, names: float = 0.0) -> None:
    """Write what a panel is above it, broken or cut to its width, of which names of rows take so many points of the figure's."""
    place = ax.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    beside = 34 if columns < 4 else 22
    room = (POINTS - names) / columns - (14 if names else beside)
    ax.set_title(wrap(text, max(room, 30.0), 9.0), loc="left")


def line_with_band(
    ax: Axes, line: pd.DataFrame, x: str, colour: str, linewidth: float, *, band: bool, **style: Any
) -> None:
    """Draw means over x, and the band of their intervals."""
    ax.plot(line[x], line["mean"], color=colour, linewidth=linewidth, **style)
    if band:
        ax.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)


def constant_line(ax: Axes, value: float | None, axis: Literal["x", "y"]) -> list[Line2D]:
    """Draw where a prediction that looks at no input lies, and return entries of a legend: none where it is out of sight.

    Args:
        ax: where the data have been drawn.
        value: where it lies; None where that is not known.
        axis: the axis of the outcome.

    It is in sight up to half of the axis beyond its ends: farther off, it would leave the data too little room.

    """
    if value is None:
        return []
    limits = ax.get_xlim() if axis == "x" else ax.get_ylim()
    point = (value, ax.get_ylim()[0]) if axis == "x" else (ax.get_xlim()[0], value)
    place = (ax.transData + ax.transAxes.inverted()).transform(point)["xy".index(axis)]
    if not -REACH <= place <= 1 + REACH:
        return []
    (ax.set_xlim if axis == "x" else ax.set_ylim)(min(*limits, value), max(*limits, value))
    (ax.axvline if axis == "x" else ax.axhline)(value, color=INK, linewidth=0.9, linestyle="dashdot")
    return [Line2D([], [], color=INK, linewidth=0.9, linestyle="dashdot", label="constant prediction")]


def log_ticks(
    axis: Axis, subs: Sequence[float], text: str | Callable[[float, float], str] = "{x:g}", most: int | None = None
) -> None:
    """Put ticks of a log axis at these multiples of powers of ten, and texts at no others."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(text)
    axis.set_minor_formatter(NullFormatter())


def cells_axes(ax: Axes) -> None:
    """Let coloured cells stand without grid, tick marks and frame."""
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def ink_on(shade: Sequence[float]) -> str:
    """Return the colour of text that is read best on a shade (red, green, blue): of ink and white that of more contrast.

    Reference: Web Content Accessibility Guidelines 2.2, relative luminance, 2023.
    """
    light, ink = (luminance(of) for of in (shade[:3], mpl.colors.to_rgb(INK)))
    return INK if (light + 0.05) / (ink + 0.05) >= 1.05 / (light + 0.05) else "white"


def luminance(rgb: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2.2): 0.2126 R + 0.7152 G + 0.0722 B of linear light."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def power_of_ten(value: float, _position: float = 0) -> str:
    """Return a power of ten as a tick label: `10` with a raised exponent.

    >>> power_of_ten(1000.0), power_of_ten(0.01)
    ('10³', '10⁻²')
    """
    return "10" + str(round(math.log10(value))).translate(RAISED) if value > 0 else ""


def percent(value: float, _position: float = 0) -> str:
    """Return a share as a tick label."""
    return f"{100 * value:.4g}%"


def png(figure: Figure) -> bytes:
    """Return the figure as PNG with a palette, without the metadata that would change its bytes.

    See `png_colours` for which colours it has.
    """
    canvas: Any = FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with style():
        settle(figure)
        canvas.draw()
    drawn = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    has_bar = any(ax.get_label() == "<colorbar>" for ax in figure.axes)
    if not has_bar and any(ax.images for ax in figure.axes):
        few = png_colours.of_images(drawn)
    else:
        lines = png_colours.colours_of_lines(figure)
        is_rich = has_bar or len(lines) > png_colours.OF_LINES // 2
        few = png_colours.of_lines(drawn, lines, png_colours.OF_SHADES if is_rich else png_colours.OF_LINES)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def is_number(value: Value) -> bool:
    """Return whether a level is a number that an axis can show."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def spans_decade(values: Sequence[float]) -> bool:
    """Return whether values are positive and the largest is at least ten times the smallest."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) >= DECADE * min(finite)


def level_axis(ax: Axes, levels: Sequence[float], name: str) -> None:
    """Show a factor on the x axis: log where levels spread over a decade, 0 apart, a tick at each level unless they are many."""
    distinct = sorted(set(levels))
    set_level_scale(ax, distinct)
    place = ax.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    room = POINTS / columns - 45
    ax.set_xlabel(wrap(name, room, 8.5))
    ax.xaxis.set_minor_locator(NullLocator())
    if len(distinct) > MOST_TICKS:
        ax.xaxis.set_major_locator(LogLocator(base=2, numticks=10) if ax.get_xscale() == "log" else MaxNLocator(8))
        ax.xaxis.set_major_formatter("{x:g}")
        return
    ax.xaxis.set_major_locator(FixedLocator(distinct))
    texts = [f"{v:g}" for v in distinct]
    if _width(texts) > room:
        texts = [_in_thousands(v) for v in distinct]
    ax.set_xticklabels(texts, rotation=90 if _width(texts) > 1.6 * room else 0)


def set_level_scale(ax: Axes, distinct: Sequence[float]) -> None:
    """Make the x axis log where levels spread over a decade; where 0 or less is among such levels, linear about 0."""
    if spans_decade(distinct):
        ax.set_xscale("log", base=2)
        return
    positive = [v for v in distinct if v > 0]
    if spans_decade(positive) and min(distinct) == 0:
        steps = np.diff(np.log10(positive))
        ax.set_xscale("symlog", linthresh=positive[0], linscale=max(0.25, float(np.median(steps))))
        reach = positive[0] * 0.25
        ax.set_xlim(-reach, positive[-1] * 10 ** (0.08 * math.log10(positive[-1] / positive[0])))


def _width(texts: Sequence[str]) -> float:
    """Return how wide texts are beside each other, in points, with the space between them."""
    return sum(text_width(text, SMALL) + 5 for text in texts)


def _in_thousands(value: float) -> str:
    """Return `60k` for 60000; other numbers as they are."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 and value % 1000 == 0 else f"{value:g}"
