"""One look for all figures: style, size, colours of conditions, and bytes that do not change between renders."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from PIL import Image

from mlpbench.base.models import Value
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures.flat import PALETTE, flat

DPI = 128
WIDTH = 6.0
INK, FAINT = "#262626", "#8c8c8c"
# From seaborn's "colorblind" palette: green, orange-red and grey differ in lightness too.
VERDICT_COLOURS = {"supported": "#029e73", "refuted": "#d55e00", "undecided": "#949494"}
Dashes = Literal["dashed", "dotted", "solid"]
SPLITS: dict[str, Dashes] = {"train": "dashed", "validation": "dotted", "test": "solid"}
MOST_COLOURS = 10
# A factor with more levels than this has round numbers on its axis.
MOST_TICKS = 60


@dataclass(frozen=True, kw_only=True)
class Look:
    """Which colour stands for which condition, the legend that says so, and the names of rows and of their axis."""

    colours: dict[str, str]
    entries: list[tuple[str, str]]
    title: str
    labels: dict[str, str]
    rows: str

    @property
    def is_detailed(self) -> bool:
        """Whether every condition has a colour of its own, few enough for bands and points."""
        return len(self.entries) == len(self.colours)


def look(experiment: Experiment, conditions: Sequence[Condition]) -> Look:
    """Return colours that mean the same in every figure of a report.

    Conditions of one factor, or few of several, have a colour each; many are told apart by their first factor alone.
    Levels that are numbers run along a sequential map, words take the colour-blind palette.
    """
    names = experiment.factor_names
    single = len(names) == 1 and names[0] != "label"
    labels = {c.condition_id: format_level(c.levels[names[0]]) if single else c.label for c in conditions}
    title = names[0] if single else "condition" if names else ""
    keys = [c.condition_id for c in conditions]
    texts = [labels[k] for k in keys]
    if len(names) > 1 and len(conditions) > MOST_COLOURS:
        texts = [format_level(c.levels.get(names[0])) for c in conditions]
        title = names[0]
    ordered = bool(names) and title == names[0] and all(is_number(c.levels.get(names[0])) for c in conditions)
    if ordered:
        values = {t: float(c.levels[names[0]]) for t, c in zip(texts, conditions, strict=True)}  # type: ignore[arg-type]
        distinct = sorted(values, key=lambda t: values[t])
    else:
        distinct = list(dict.fromkeys(texts))
    of = dict(zip(distinct, palette(len(distinct), ordered=ordered), strict=True))
    return Look(
        colours={k: of[t] for k, t in zip(keys, texts, strict=True)},
        entries=list(of.items()),
        title=title,
        labels=labels,
        rows=names[0] if single else "",
    )


def palette(n: int, *, ordered: bool) -> list[str]:
    """Return n colours as hex: a dark-to-light map for ordered or many levels, else the colour-blind palette."""
    if n == 1:
        return [mpl.colors.to_hex(sns.color_palette("colorblind")[0])]
    if ordered or n > MOST_COLOURS:
        # The yellow end of viridis cannot be seen on white.
        return [mpl.colors.to_hex(mpl.colormaps["viridis_r"](0.12 + 0.83 * i / (n - 1))) for i in range(n)]
    return [mpl.colors.to_hex(c) for c in sns.color_palette("colorblind", n)]


@contextmanager
def style() -> Iterator[None]:
    """Set seaborn's style while a figure is drawn, and put back what was there before."""
    settings: Any = sns.axes_style("ticks") | {
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
    with mpl.rc_context(settings):
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


def percent(value: float, _position: float = 0) -> str:
    """Return a share as a tick label."""
    return f"{100 * value:.4g}%"


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, without the metadata that would change its bytes.

    It has few colours: those of flat areas as they are (see flat.py), or of a median cut where images have shades.
    """
    canvas: Any = FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with style():
        canvas.draw()  # lays out and draws once, where savefig would draw once more to find out the size
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    if any(ax.images for ax in figure.axes):
        few = drawn.quantize(PALETTE, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    else:
        few = flat(drawn)
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
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        return
    ax.xaxis.set_major_locator(FixedLocator(distinct))
    texts = [f"{v:g}" for v in distinct]
    ax.set_xticklabels(texts, rotation=90 if sum(map(len, texts)) > 22 else 0)
