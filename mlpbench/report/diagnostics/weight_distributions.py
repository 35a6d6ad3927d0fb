"""The section "Weights": their distribution at the start and at the end, a row for each condition and a column for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.evidence.estimates.layer_estimates import END, START, axis_scale, smooth_density, weight_density
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import format_level
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.text_room import shorten, text_width
from mlpbench.report.number_text import short_exponent
from mlpbench.report.section import Section, figure_section
from mlpbench.report.words import span

WEIGHT_SETTINGS = ("init", "weight_decay", "l1")
MOST_ROWS = 12
HEIGHT = 0.82
# A peak so many times that of the start is cut, or nothing else of the row could be seen.
MOST_TIMES = 3
METHOD = "Densities are the slopes of monotone curves through 21 quantiles of the first finished run of a condition, scaled to their peak."


AT_ONE_PLACE = "A bar, with its share, stands for weights that have one value."
PAPER = theme.PAPER | {"pad": 0.6}


def _has_atoms(weights: pd.DataFrame) -> bool:
    """Return whether many weights of a layer have one value, as 0."""
    return any(0 < share < 1 for quantiles in weights["quantiles"] for _, share in weight_density(quantiles)[1])


def section(context: Context) -> Section | None:
    """Return the weights' distributions if init, weight_decay or l1 is varied: the first drawn condition of each combination."""
    names = context.varied_settings(WEIGHT_SETTINGS)
    if not names or context.layers is None:
        return None
    first: dict[tuple[object, ...], int] = {}
    for position in context.excerpt.drawn:
        settings = context.conditions[position].settings
        first.setdefault(tuple(getattr(settings, n) for n in names), position)
    positions = list(first.values())[:MOST_ROWS]
    weights = layer_estimates.weight_distributions(context.read_layers(positions, [WEIGHT_QUANTILES], single=True))
    if weights.empty:
        return None
    chosen = [context.conditions[p] for p in positions]
    colours = {i: context.colours.colours[c.condition_id] for i, c in enumerate(chosen)}
    levels = [[format_level(getattr(c.settings, n)) for n in names] for c in chosen]
    labels = {i: ", ".join(f"{n}={v}" for n, v in zip(names, texts, strict=True)) for i, texts in enumerate(levels)}
    short = {i: texts[0] for i, texts in enumerate(levels)} if len(names) == 1 else labels
    rule = ""
    if not len(first) == len(context.excerpt.drawn) == len(positions):
        some = f", for {MOST_ROWS} of {len(first)} combinations" if len(first) > MOST_ROWS else ""
        rule = f"The figure shows the first condition of each {' and '.join(names)}{some}."
    return figure_section(
        "Weights",
        sentence(weights, labels),
        METHOD,
        AT_ONE_PLACE if _has_atoms(weights) else "",
        "The axis is linear about 0 and logarithmic beyond." if axis_scale(weights) else "",
        rule,
        figure="weights",
        alt="Distribution of the weights of first, middle and last layer.",
        draw=partial(draw, weights, short, colours, names[0] if len(names) == 1 else ""),
    )


def sentence(weights: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say how wide the central 90% of the first layer's weights are, where widest and where narrowest."""
    when = END if (weights["when"] == END).any() else START
    first = weights[(weights["when"] == when) & (weights["layer"] == 1)]
    widths = {int(r["position"]): float(r["quantiles"][-2] - r["quantiles"][1]) for r in records(first)}
    width = span(widths, labels, "the central 90% of the first layer's weights have a width of")
    return f"At the {when} {width}." if width else ""


def draw(weights: pd.DataFrame, labels: Mapping[int, str], colours: Mapping[int, str], title: str = "") -> Figure:
    """Return the densities, each row scaled to its own peak (see `MOST_TIMES`); start as an outline where there is an end.

    Args:
        weights: position, when, which (the layer, in words) and quantiles.
        labels: what stands beside a row, by position.
        colours: by position.
        title: what all labels are levels of.

    """
    positions, which = list(labels), list(dict.fromkeys(weights.sort_values("layer", kind="stable")["which"]))
    which.sort(key=["first layer", "middle layer", "last layer"].index)
    scale = axis_scale(weights)
    with theme.style():
        figure, axes = theme.new(min(12.0, 1.25 + 0.42 * max(len(positions), 3)), 1, len(which), sharey=True)
        for ax, name in zip(axes, which, strict=True):
            of_layer = weights[weights["which"] == name]
            for row, position in enumerate(positions):
                _ridge(
                    ax, of_layer[of_layer["position"] == position], len(positions) - 1 - row, colours[position], scale
                )
            theme.panel_title(
                ax, name, min(160.0, max(text_width(label, theme.SMALL) for label in labels.values())) + 30
            )
            ax.set_xlabel("weight")
            _ticks(ax, of_layer, scale, 7 - 2 * (len(which) - 1))
        names = [shorten(labels[p], 160, theme.SMALL) for p in reversed(positions)]
        axes[0].set_yticks([i + HEIGHT / 2 for i in range(len(positions))], names)
        axes[0].set_ylabel(title)
        for ax in axes:
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="y", visible=False)
        axes[0].set_ylim(-0.15, len(positions) + 0.1)
        if (weights["when"] == END).any():
            start = Line2D([], [], color=theme.INK, linewidth=1, label=START)
            theme.legend_below(figure, [start, Patch(color=theme.FAINT, alpha=0.5, label=END)])  # type: ignore[list-item]
    return figure


def _ridge(ax: Axes, rows: pd.DataFrame, base: float, colour: str, scale: float) -> None:
    drawn = {str(r["when"]): (smooth_density(r["quantiles"]), weight_density(r["quantiles"])[1]) for r in records(rows)}
    peaks = {
        when: max((float(heights.max()) for _, heights in curves), default=0.0) for when, (curves, _) in drawn.items()
    }
    top = max(peaks.values(), default=0.0)
    top = min(top, MOST_TIMES * peaks.get(START, top) or top) or 1.0
    for when, (curves, atoms) in drawn.items():
        filled = when == END or END not in drawn
        for places, heights in curves:
            at = np.arcsinh(places / scale) if scale else places
            tall = base + HEIGHT * np.minimum(heights / top, 1)
            if filled:
                ax.fill_between(at, base, tall, color=colour, alpha=0.55, linewidth=0)
            ax.plot(at, tall, color=colour if filled else theme.INK, linewidth=0.6 if filled else 0.9)
        for spot, share in atoms:
            place = float(np.arcsinh(spot / scale)) if scale else spot
            ax.vlines(
                place, base, base + HEIGHT, color=colour if filled else theme.INK, linewidth=2.2 if filled else 1.2
            )
            if filled and share < 1:
                ax.annotate(
                    f"{share:.0%}", (place, base + HEIGHT), (4, -6), textcoords="offset points", fontsize=7, bbox=PAPER
                )
    ax.axhline(base, color=theme.FAINT, linewidth=0.5)


def _ticks(ax: Axes, weights: pd.DataFrame, scale: float, most: int) -> None:
    ends = [float(q[i]) for q in weights["quantiles"] for i in (0, -1)]
    if not scale:
        scales.linear_ticks(ax.xaxis, None, most)
        return
    farthest = max(abs(e) for e in ends)
    powers = range(int(np.ceil(np.log10(scale))), int(np.floor(np.log10(farthest))) + 1) if farthest > 0 else range(0)
    each = max(1, most // 2)
    chosen = [10.0**p for p in list(powers)[:: -max(1, -(-len(powers) // each))]][::-1]
    places = [-c for c in reversed(chosen)] + [0.0] + chosen
    texts = [short_exponent(f"{p:g}") for p in places]
    ax.set_xticks([float(np.arcsinh(p / scale)) for p in places], texts)
