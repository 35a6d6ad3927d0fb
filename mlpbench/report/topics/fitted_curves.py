"""The section "Fitted curves": of data with one input, what replicates of each condition have learnt, over the points they saw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.test_outputs.number_predictions import MOST_REPLICATES, NumberPredictions, read_numbers
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.number_text import brief
from mlpbench.report.section import Section, figure_section
from mlpbench.report.topics.condition_panels import (
    PANEL_HEIGHT,
    ConditionPanels,
    condition_panels,
    input_names,
    name_axes,
    new_panels,
    target_name,
)

Floats = npt.NDArray[np.float64]
CURVE, POINT = "#0173b2", "#de8f05"
# A curve is drawn through so many of its points at most, a panel has so many dots.
MOST_PLACES, MOST_POINTS = 200, 200
# Dots of no more points than this are large.
FEW_POINTS = 30
# Axes span the inputs and targets between these quantiles, and so far beyond, as a share of their range.
SPANNED, ROOM = (0.01, 0.99), 0.15
Limits = tuple[float, float, float, float]


def section(context: Context) -> Section | None:
    """Return the fitted curves of the conditions; None where there is more than one input, or predictions are not stored."""
    if context.test_set is None or context.measure != "loss" or len(context.experiment.sources) > 1:
        return None
    (source,) = context.experiment.sources
    if not source.has_one_input:
        return None
    panels = condition_panels(context)
    read = [
        read_numbers(context.experiment, context.conditions[at], context.observed, at, context.test_set)
        for at in panels.positions
    ]
    known = [of for of in read if of is not None]
    if not known:
        return None
    limits = axis_limits(known)
    beyond = sum(_leaves(of, limits) for of in known)
    several = len(context.conditions) > 1
    more = context.experiment.replicates > MOST_REPLICATES
    return figure_section(
        "Fitted curves",
        curves_sentence(known, [context.short_label(of.position) for of in known], several=several),
        _key(known, more=more),
        _beyond_sentence(beyond, len(known)),
        _lacking_sentence(len(read) - len(known), len(read)),
        panels.sentence,
        figure="fitted_curves",
        alt="Curves fitted by replicates of each condition over the training points"
        f"{'' if known[0].truth_RN is None else ', and the true function'}.",
        draw=partial(draw_curves, panels, read, limits, (input_names(source.facts)[0], target_name(source.facts))),
    )


def curves_sentence(known: Sequence[NumberPredictions], labels: Sequence[str], *, several: bool) -> str:
    """Say of which condition the curves are nearest to the true function, or to the test targets, and of which farthest."""
    aim = "test targets" if known[0].truth_RN is None else "true function"
    near, far = (choose(range(len(known)), key=lambda i: known[i].off_truth) for choose in (min, max))
    how = "root mean square at the test inputs, median of replicates"
    first = brief(known[near].off_truth)
    if len(known) == 1:
        which = f"of {labels[0]} " if several else ""
        return f"The fitted curves {which}are {first} from the {aim} ({how})."
    last = brief(known[far].off_truth)
    return (
        f"Of {len(known)} conditions drawn the curves of {labels[near]} are nearest to the {aim}, {first} from it, and those of "
        f"{labels[far]} farthest, {last} ({how})."
    ).replace("from it", "from them" if aim == "test targets" else "from it")


def _key(known: Sequence[NumberPredictions], *, more: bool) -> str:
    """Say what lines and dots are."""
    dots = ", and dots are points that it was trained on" if any(len(of.points_x_P) for of in known) else ""
    if all(of.n == 1 for of in known):
        return f"The line goes through predictions at the test inputs{dots}."
    which = f"the first {MOST_REPLICATES}" if more else "all"
    return f"Thin lines are {which} replicates at their test inputs, the thick line is the first{dots}."


def _beyond_sentence(beyond: int, drawn: int) -> str:
    spans = "Axes span the middle 98% of the inputs and targets of the test set, and some room"
    if not beyond:
        return f"{spans}."
    some = "" if drawn == 1 else f" in {beyond} of {drawn} panels"
    return f"{spans}: curves leave them{some}."


def _lacking_sentence(lacking: int, panels: int) -> str:
    return (
        f"Of {lacking} of {panels} conditions drawn no predictions are stored: their panels are empty."
        if lacking
        else ""
    )


def axis_limits(known: Sequence[NumberPredictions]) -> Limits:
    """Return the ends of x, then of y, that all but the outermost inputs and targets of the test set lie within, with some room."""
    ends: list[float] = []
    for values in ([of.x_RN for of in known], [of.target_RN for of in known]):
        low, high = (float(v) for v in np.quantile(np.concatenate([v.ravel() for v in values]), SPANNED))
        room = ROOM * (high - low) or 1.0
        ends += [low - room, high + room]
    return ends[0], ends[1], ends[2], ends[3]


def _leaves(of: NumberPredictions, limits: Limits) -> bool:
    """Return whether a curve is above or below the axis where its input is on it, and the target with it."""
    there = (of.x_RN > limits[0]) & (of.x_RN < limits[1]) & (of.target_RN > limits[2]) & (of.target_RN < limits[3])
    return bool((there & ((of.predicted_RN < limits[2]) | (of.predicted_RN > limits[3]))).any())


def draw_curves(
    panels: ConditionPanels, read: Sequence[NumberPredictions | None], limits: Limits, names: tuple[str, str]
) -> Figure:
    """Return a panel for each condition, with its curves, the points of the first replicate and the true function."""
    with theme.style():
        figure, axes = new_panels(panels, PANEL_HEIGHT, sharex=True, sharey=True)
        for ax, of in zip(axes, read, strict=True):
            if of is not None:
                _draw_panel(ax, of)
            else:
                ax.text(0.5, 0.5, "no predictions", transform=ax.transAxes, ha="center", va="center", color=theme.FAINT)
        name_axes(panels, axes, *names)
        axes[0].set_xlim(*limits[:2])
        axes[0].set_ylim(*limits[2:])
        handles = [
            Line2D([], [], color=CURVE, linewidth=1.8, label="first replicate"),
            Line2D([], [], color=CURVE, linewidth=0.7, alpha=0.6, label="other replicates"),
            Line2D([], [], color=POINT, marker="o", markersize=3.5, linestyle="none", label="training points"),
        ]
        known = [of for of in read if of is not None]
        if all(of.n == 1 for of in known):
            handles = [handles[0].__class__([], [], color=CURVE, linewidth=1.8, label="fitted curve"), handles[2]]
        if any(of.truth_RN is not None for of in known):
            handles.append(Line2D([], [], color=theme.INK, linewidth=1, linestyle="dashed", label="true function"))
        theme.legend_below(figure, handles)
    return figure


def _draw_panel(ax: Axes, of: NumberPredictions) -> None:
    for i in reversed(range(of.n)):
        x, y = _in_order(of.x_RN[i], of.predicted_RN[i])
        ax.plot(x, y, color=CURVE, linewidth=0.7 if i else 1.8, alpha=0.5 if i else 1.0)
    if of.truth_RN is not None:
        x, y = _in_order(of.x_RN.ravel(), of.truth_RN.ravel())
        ax.plot(x, y, color=theme.INK, linewidth=1, linestyle="dashed")
    some = slice(None, MOST_POINTS)
    size = 3.0 if len(of.points_x_P[some]) <= FEW_POINTS else 2.2
    ax.plot(of.points_x_P[some], of.points_y_P[some], "o", color=POINT, markersize=size, markeredgewidth=0,
            zorder=1.5)  # fmt: skip


def _in_order(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return points along x: all of them, or some at equal steps of rank, the ends among them."""
    order = np.argsort(x, kind="stable")
    if len(order) > MOST_PLACES:
        order = order[np.linspace(0, len(order) - 1, MOST_PLACES).round().astype(int)]
    return x[order], y[order]
