"""The report of kernel benchmarks: a roofline, the machine, its limits, and a table for each phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme
from mlpbench.report.kernel_benchmarks import Measurements
from mlpbench.report.report import Report, first_figure
from mlpbench.report.section import Section, SectionFigure, paragraph, table
from mlpbench.report.summary import Summary

TITLE = "Kernel benchmarks"
PHASES = ("forward", "backward", "update", "step")
IMPLEMENTATIONS = ("from scratch", "torch.nn", "torch.compile", "stacked")
SHAPE = ["width", "depth", "activation", "dropout", "batch", "inputs", "classes"]
MEANING = (
    "Time is the median over rounds, of the whole stack (for a limit, the fastest round). FLOPs count the products (in the update two "
    "per parameter); bytes are the least possible traffic: each layer reads its operands once and writes its results once, as float32. "
    "The limit of a row is the smaller of two: the rate of the best square product, and FLOP/byte times the bandwidth of the copy. "
    "Shares above 100% are of work that stays in cache, which the copy does not."
)
# From seaborn's "colorblind" palette; the four differ in lightness too.
COLOURS = {"from scratch": "#949494", "torch.nn": "#de8f05", "torch.compile": "#cc78bc", "stacked": "#0173b2"}
MARKERS = {"forward": "o", "backward": "s", "update": "^", "step": "D"}


def render(measured: Measurements) -> Report:
    """Return the report; the same JSON gives the same bytes."""
    kernels, limits = measured.kernels, measured.limits
    devices = list(dict.fromkeys(kernels["device"]))
    several = len(devices) > 1
    lead = sentence(kernels)
    roof = SectionFigure(
        name="roofline",
        draw=partial(roofline, kernels, limits),
        alt=paragraph("GFLOP/s against FLOP/byte under the roofs of the machine.", lead),
    )
    sections = [
        Section(title="Roofline", sentences=MEANING, figures=[roof]),
        Section(title="Machine", table=table(["what", "value"], _machine(kernels, measured.commit), "ll")),
        Section(
            title="Limits",
            table=table(
                ["limit", *["device"] * several, "time", "GFLOP/s", "GB/s"],
                [_limit_row(r, several=several) for r in records(limits)],
                "l" * (1 + several) + "rrr",
            ),
        ),
    ]
    for phase in PHASES:
        for device in devices:
            rows = kernels[(kernels["phase"] == phase) & (kernels["device"] == device)]
            if not rows.empty:
                title = phase.capitalize() + f" on {device}" * several
                sections.append(Section(title=title, table=_phase_table(rows)))
    summary = Summary(name=TITLE, question=lead, figure=first_figure(sections), benchmarks=len(kernels))
    return Report(title=TITLE, lead=lead, sections=sections, summary=summary)


def sentence(kernels: pd.DataFrame) -> str:
    """Return how the time of a stacked run compares with that of `torch.nn`, over all work that both were timed at."""
    alike = ["phase", "device", *SHAPE]
    columns = [*alike, "per_run", "label", "stack"]
    ours, theirs = (kernels.loc[kernels["implementation"] == name, columns] for name in ("stacked", "torch.nn"))
    pairs = ours.merge(theirs, on=alike, suffixes=("", "_nn"))
    if pairs.empty:
        return Markdown("No work was timed both stacked and by `torch.nn`.")
    pairs = pairs.assign(ratio=pairs["per_run"] / pairs["per_run_nn"])
    steps = pairs[pairs["phase"] == "step"]
    compared = pairs if steps.empty else steps
    what = "the same work" if steps.empty else "a training step"
    rows = records(compared.loc[list(dict.fromkeys([compared["ratio"].idxmin(), compared["ratio"].idxmax()]))])
    phase = ["phase"] * steps.empty
    device = ["device"] * (kernels["device"].nunique() > 1)
    places = [
        ", ".join([*(r[k] for k in phase + device), f"hidden layers {r['label']}", f"stack of {r['stack']}"])
        for r in rows
    ]
    ends = " to ".join(f"{r['ratio']:.2f} times ({at})" for r, at in zip(rows, places, strict=True))
    count = f"{len(pairs)} pairs" if len(pairs) > 1 else "1 pair"
    return Markdown(
        "In a stack, {} of one run takes {} as long as by `torch.nn`; over all phases the median of {} is {:.2f} times."
    ).format(what, ends, count, pairs["ratio"].median())


def _machine(kernels: pd.DataFrame, commit: str) -> list[list[str]]:
    facts = {"processor": "cpu", "GPU": "gpu", "torch": "torch", "threads": "threads"}
    rows = [[name, ", ".join(dict.fromkeys(map(str, kernels[c].dropna())))] for name, c in facts.items()]
    shared = [f"{c} {v}" for c in ("batch", "inputs", "classes") for v in [", ".join(map(str, kernels[c].unique()))]]
    return [row for row in [*rows, ["commit", commit], ["work", ", ".join(shared)]] if row[1]]


def _limit_row(row: Mapping[str, Any], *, several: bool) -> list[str]:
    names: dict[str, Callable[[int], str]] = {
        "sgemm": lambda n: f"square product, n = {n}",
        "copy": lambda n: f"copy of {4 * n / 2**20:.3g} MiB",
    }
    name = names[row["implementation"]](row["n"]) + (" (a roof)" if row["binds"] else "")
    rate = _number(row["gflops"]) if row["implementation"] == "sgemm" else "-"
    return [name, *[row["device"]] * several, _time(row["seconds"]), rate, _number(row["gbytes_per_s"])]


def _phase_table(kernels: pd.DataFrame) -> str:
    """Return the rows of one phase, implementations of the same work below each other."""
    place = kernels["implementation"].map(IMPLEMENTATIONS.index)
    ordered = kernels.assign(place=place).sort_values([*SHAPE, "place", "stack"], kind="stable")
    rows = [
        [
            r["label"], r["implementation"], str(r["stack"]), _time(r["seconds"]), _time(r["per_run"]),
            _number(r["intensity"]), _number(r["gflops"]), _number(r["gbytes_per_s"]), f"{100 * r['share']:.0f}%",
        ]
        for r in records(ordered)
    ]  # fmt: skip
    work = ["hidden layers", "implementation", "stack"]
    head = [*work, "time", "per run", "FLOP/byte", "GFLOP/s", "GB/s", "of the limit"]
    return table(head, rows, "llrrrrrrr")


def _time(seconds: float) -> str:
    """Return `42.0 µs` or `1.23 ms`, three significant digits."""
    if seconds < 1e-3:
        return f"{_number(1e6 * seconds)} µs"
    return f"{_number(1e3 * seconds)} ms" if seconds < 1 else f"{_number(seconds)} s"


def _number(value: float) -> str:
    """Return a positive number with three significant digits, never with an exponent."""
    decimals = 2 - int(np.floor(np.log10(float(f"{value:.2e}"))))
    return f"{round(value, decimals):.{max(0, decimals)}f}"


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
        theme.log_ticks(axis, ticks)
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
