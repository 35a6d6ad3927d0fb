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
from PIL import Image

from mlpbench.base.models import Value

DPI = 128
PALETTE = 256
WIDTH = 6.0
INK, FAINT = "#262626", "#8c8c8c"
# From seaborn's "colorblind" palette: green, orange-red and grey differ in lightness too.
VERDICT_COLOURS = {"supported": "#029e73", "refuted": "#d55e00", "at the margin": "#0173b2", "undecided": "#949494"}
Dashes = Literal["dashed", "dotted", "solid"]
SPLITS: dict[str, Dashes] = {"train": "dashed", "validation": "dotted", "test": "solid"}
# What rcParams have that is no style: the backend, and what only starting it reads.
KEPT = frozenset(("backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port", "webagg.address"))
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_COLOURS = 10
# A factor with more levels than this has round numbers on its axis.
MOST_TICKS = 60
# So far beyond the ends of an axis, in its lengths, it is made longer for a line of reference.
REACH = 0.5
# Letters of tick labels that the width of a figure has room for.
LETTERS = 60


def palette(n: int, *, ordered: bool) -> list[str]:
    """Return n colours as hex: a dark-to-light map for ordered or many levels, else the colour-blind palette."""
    if n == 1:
        return [mpl.colors.to_hex(sns.color_palette("colorblind")[0])]
    if ordered or n > MOST_COLOURS:
        # The yellow end of viridis cannot be seen on white.
        return [mpl.colors.to_hex(mpl.colormaps["viridis_r"](0.12 + 0.83 * i / (n - 1))) for i in range(n)]
    return [mpl.colors.to_hex(c) for c in sns.color_palette("colorblind", n)]


def distinct_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour of the colour-blind palette for each distinct name, in the order in which names come first."""
    distinct = list(dict.fromkeys(names))
    return dict(zip(distinct, palette(len(distinct), ordered=False), strict=True))


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
    """Put a legend under the axes, in as many columns as its longest text allows; nothing for no handles."""
    if not handles:
        return
    # In points: a handle with its spaces is about 31 wide, a letter of 8 points about 5, the figure 432.
    longest = max(len(str(h.get_label())) for h in handles)
    columns = max(1, min(len(handles), 415 // (31 + 5 * longest)))
    rows = -(-len(handles) // columns)
    figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows), title=title or None,
                  handlelength=1.8, columnspacing=1.3)  # fmt: skip


def colour_handles(entries: Iterable[tuple[str, str]]) -> list[Line2D]:
    """Return a legend's handles for texts with their colours, none for a single one, which needs no legend."""
    several = list(entries)
    if len(several) < 2:
        return []
    return [Line2D([], [], color=colour, linewidth=3, label=text) for text, colour in several]


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
    """Return the colour of text that is read on a shade (red, green, blue)."""
    return INK if np.dot((0.21, 0.72, 0.07), shade[:3]) > 0.45 else "white"


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
    """Return the figure as PNG with a palette of 256 colours, without the metadata that would change its bytes.

    Shades, as of images and colour bars, take a median cut; flat areas take an octree, which makes smaller files and keeps
    their colours to within 2 of 255. White stays white.
    """
    canvas: Any = FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with style():
        canvas.draw()  # lays out and draws once, where savefig would draw once more to find out the size
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    has_shades = any(ax.images or ax.get_label() == "<colorbar>" for ax in figure.axes)
    method = Image.Quantize.MEDIANCUT if has_shades else Image.Quantize.FASTOCTREE
    few = drawn.quantize(PALETTE, method, dither=Image.Dither.NONE)
    palette = np.array(few.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette[np.asarray(few)[0, 0]] = np.asarray(drawn)[0, 0]  # the paper
    few.putpalette(palette.tobytes())
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def is_number(value: Value) -> bool:
    """Return whether a level is a number that an axis can show."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def spans_decade(values: Sequence[float]) -> bool:
    """Return whether values are positive and the largest is at least ten times the smallest."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) >= 10 * min(finite)


def level_axis(ax: Axes, levels: Sequence[float], name: str) -> None:
    """Show a factor on the x axis: log where levels spread over a decade, a tick at each level unless they are many."""
    log = spans_decade(levels)
    if log:
        ax.set_xscale("log", base=2)
    distinct = sorted(set(levels))
    ax.set_xlabel(name)
    ax.xaxis.set_minor_locator(NullLocator())
    if len(distinct) > MOST_TICKS:
        ax.xaxis.set_major_locator(LogLocator(base=2, numticks=10) if log else MaxNLocator(8))
        ax.xaxis.set_major_formatter("{x:g}")
        return
    ax.xaxis.set_major_locator(FixedLocator(distinct))
    place = ax.get_subplotspec()
    room = LETTERS // (1 if place is None else place.get_gridspec().ncols)
    texts = [f"{v:g}" for v in distinct]
    if _width(texts) > room:
        texts = [_in_thousands(v) for v in distinct]
    ax.set_xticklabels(texts, rotation=90 if _width(texts) > room else 0)


def _width(texts: Sequence[str]) -> int:
    """Return how many letters texts take beside each other, with the space between them."""
    return sum(len(text) + 1 for text in texts)


def _in_thousands(value: float) -> str:
    """Return `60k` for 60000; other numbers as they are."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 and value % 1000 == 0 else f"{value:g}"
