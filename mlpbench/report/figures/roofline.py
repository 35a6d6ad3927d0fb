"""Kernels under the machine's roofs: how much arithmetic a byte brings, and how fast it is done."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlpbench.report.figures import theme

# From seaborn's "colorblind" palette; the four differ in lightness too.
COLOURS = {"from scratch": "#949494", "torch.nn": "#de8f05", "torch.compile": "#cc78bc", "stacked": "#0173b2"}
MARKERS = {"forward": "o", "backward": "s", "update": "^", "step": "D"}


def roofline(kernels: pd.DataFrame, limits: pd.DataFrame) -> Figure:
    """Return GFLOP/s against FLOP/byte, both log: a colour an implementation, a marker a phase, a row a device.

    The left panel has all, the right one the phases that have products, closer; there, implementations at one intensity
    stand side by side, in the order of the legend. `kernels` needs device, implementation, phase, intensity and gflops;
    `limits` device, implementation, gflops, gbytes_per_s and binds.
    """
    devices = list(dict.fromkeys(kernels["device"]))
    with theme.style():
        products = kernels["phase"] != "update"
        closer = bool(products.any() and not products.all())
        figure, axes = theme.new(0.9 + 2.9 * len(devices), len(devices), 1 + closer)
        panels = iter(axes)
        for device in devices:
            own = kernels[kernels["device"] == device]
            roofs = limits[(limits["device"] == device) & limits["binds"]].set_index("implementation")
            roof = float(roofs.loc["sgemm", "gflops"]), float(roofs.loc["copy", "gbytes_per_s"])
            on = f" on {device}" if len(devices) > 1 else ""
            _whole(next(panels), own, *roof, f"all phases{on}")
            if closer:
                _close(next(panels), own[own["phase"] != "update"], *roof, f"phases with products{on}, closer")
        _legend(figure, kernels)
    return figure


def _whole(ax: Axes, kernels: pd.DataFrame, peak: float, bandwidth: float, title: str) -> None:
    corner = peak / bandwidth
    left = min(kernels["intensity"].min(), corner) / 2.2
    right = max(kernels["intensity"].max(), corner) * 2.2
    _axes(ax, title, (1.0,))
    ax.set_xlim(left, right)
    ax.set_ylim(min(kernels["gflops"].min(), left * bandwidth) / 1.6, 3 * max(peak, kernels["gflops"].max()))
    ax.plot([left, corner, right], [left * bandwidth, peak, peak], color=theme.INK, linewidth=1.2)
    _points(ax, kernels, size=4.5, apart=1.0)
    _say(ax, f"best square product,\n{peak:.3g} GFLOP/s", (right, peak), (-2, 4), "right", "bottom")
    middle = float(np.sqrt(left * corner))
    _say(ax, f"copy,\n{bandwidth:.3g} GB/s", (middle, middle * bandwidth), (9, -7), "left", "top")


def _close(ax: Axes, kernels: pd.DataFrame, peak: float, bandwidth: float, title: str) -> None:
    left, right = kernels["intensity"].min() / 1.3, kernels["intensity"].max() * 1.3
    corner = min(max(peak / bandwidth, left), right)
    _axes(ax, title, (1.0, 2.0, 3.0, 4.0, 6.0))
    ax.set_xlim(left, right)
    ax.set_ylim(kernels["gflops"].min() / 1.15, 1.15 * max(peak, kernels["gflops"].max()))
    ax.plot([left, corner, right], np.minimum(peak, np.multiply(bandwidth, [left, corner, right])), color=theme.INK,
            linewidth=1.2)  # fmt: skip
    _points(ax, kernels, size=5.5, apart=1.045)


def _axes(ax: Axes, title: str, ticks: tuple[float, ...]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_title(title, loc="left")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10, subs=ticks))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("intensity, FLOP/byte")
    ax.set_ylabel("GFLOP/s")


def _points(ax: Axes, kernels: pd.DataFrame, *, size: float, apart: float) -> None:
    """Draw the kernels, implementations a factor `apart` from each other."""
    for place, (name, colour) in enumerate(COLOURS.items()):
        for phase, marker in MARKERS.items():
            seen = kernels[(kernels["implementation"] == name) & (kernels["phase"] == phase)]
            beside = seen["intensity"] * apart ** (place - (len(COLOURS) - 1) / 2)
            ax.plot(beside, seen["gflops"], marker, color=colour, markersize=size, markeredgecolor="white",
                    markeredgewidth=0.4, alpha=0.9)  # fmt: skip


def _say(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], side: str, end: str) -> None:
    ax.annotate(text, at, xytext=offset, textcoords="offset points", ha=side, va=end, color=theme.INK, fontsize=8)


def _legend(figure: Figure, kernels: pd.DataFrame) -> None:
    """Say what colours and markers there are, in a row each."""
    names = [n for n in COLOURS if (kernels["implementation"] == n).any()]
    phases = [p for p in MARKERS if (kernels["phase"] == p).any()]
    columns = max(len(names), len(phases))
    none = Line2D([], [], linestyle="none", label=" ")
    rows = [
        [Line2D([], [], color=COLOURS[n], linewidth=4, label=n) for n in names],
        [Line2D([], [], color=theme.INK, marker=MARKERS[p], linestyle="none", markersize=5, label=p) for p in phases],
    ]
    padded = [row + [none] * (columns - len(row)) for row in rows]
    # A legend is filled column by column.
    handles = [row[i] for i in range(columns) for row in padded]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=2)
