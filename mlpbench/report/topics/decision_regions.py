"""The section "Decision regions": of classes with two inputs, test points, and the class that networks predict all over the plane."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.base.escapes import printable
from mlpbench.evidence.test_outputs.plane_predictions import MOST_NETWORKS, PlanePredictions, read_plane
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, figure_section
from mlpbench.report.topics.condition_panels import (
    ConditionPanels,
    condition_panels,
    input_names,
    name_axes,
    new_panels,
)

PANEL_HEIGHT, MOST_POINTS = 1.7, 400
# Of more classes than there are colours, points and regions can't be told apart.
MOST_CLASSES, LONGEST = 10, 16
# How much of the paper shows through a region on which all networks agree.
LIGHT = 0.62


def section(context: Context) -> Section | None:
    """Return the regions of the conditions; None where there are no two inputs, too many classes, or no predictions."""
    if context.test_set is None or context.measure != "accuracy" or len(context.experiment.sources) > 1:
        return None
    (source,) = context.experiment.sources
    names = source.facts.class_names
    if source.facts.n_features != 2 or len(names) > MOST_CLASSES:
        return None
    panels = condition_panels(context)
    read = [
        read_plane(context.experiment, context.conditions[at], context.observed, at, context.test_set)
        for at in panels.positions
    ]
    known = [of for of in read if of is not None]
    if not known:
        return None
    labels = {of.position: context.short_label(of.position) for of in known}
    has_regions = any(of.shares_CGG is not None for of in known)
    how = (
        f"Shades are the class that most of up to {MOST_NETWORKS} replicates predict, the paler the fewer agree."
        if has_regions
        else "With `save_weights: true` the figure has regions too: no weights are kept of these runs."
    )
    some = f"It shows the first {MOST_POINTS} test points." if len(known[0].true_N) > MOST_POINTS else ""
    return figure_section(
        "Decision regions",
        regions_sentence(known, labels if len(context.conditions) > 1 else {}),
        how,
        some,
        panels.sentence,
        figure="decision_regions",
        alt="Test points of each condition by their two inputs, coloured by their true class, misclassified ones crossed.",
        draw=partial(draw_regions, panels, read, list(names), input_names(source.facts)),
    )


def regions_sentence(known: Sequence[PlanePredictions], labels: dict[int, str]) -> str:
    """Say how many test points are misclassified in which condition, and on how much of the plane replicates agree."""
    n, by_wrong = len(known[0].true_N), sorted(known, key=lambda of: of.wrong)
    if len(known) > 1 and by_wrong[0].wrong == by_wrong[-1].wrong:
        first = f"The first replicate of each condition misclassifies {known[0].wrong} of {n} test points."
    elif len(known) == 1 or not labels:
        first = f"The first replicate misclassifies {known[0].wrong} of {n} test points."
    else:
        least, most = by_wrong[0], by_wrong[-1]
        first = (
            f"The first replicate of {labels[least.position]} misclassifies {least.wrong} of {n} test points, that of "
            f"{labels[most.position]} {most.wrong}."
        )
    agreed = [(share, of.position) for of in known if (share := of.agreement) is not None]
    if not agreed:
        return first
    low, high = min(agreed), max(agreed)
    if len(agreed) == 1 or not labels:
        return f"{first} Replicates agree on {high[0]:.0%} of the plane drawn."
    where = f"{low[0]:.0%} of the plane drawn ({labels[low[1]]}) to {high[0]:.0%} ({labels[high[1]]})"
    return f"{first} Replicates agree on {where}."


def draw_regions(
    panels: ConditionPanels,
    read: Sequence[PlanePredictions | None],
    names: Sequence[str],
    inputs: Sequence[str],
) -> Figure:
    """Return a panel for each condition; classes have the same colours in all, and inputs their names."""
    colours = theme.palette(len(names), ordered=False)
    with theme.style():
        figure, axes = new_panels(panels, PANEL_HEIGHT)
        for ax, of in zip(axes, read, strict=True):
            if of is None:
                ax.set_axis_off()
                continue
            _draw_panel(ax, of, colours)
            ax.tick_params(labelsize=7)
        name_axes(panels, axes, *inputs)
        handles = [
            Line2D([], [], color=colour, marker="o", markersize=4, linestyle="none", label=_short(name))
            for name, colour in zip(names, colours, strict=True)
        ]
        cross = Line2D([], [], color=theme.INK, marker="x", markersize=5, linestyle="none", label="misclassified")
        theme.legend_below(figure, [*handles, cross])
    return figure


def _draw_panel(ax: Axes, of: PlanePredictions, colours: Sequence[str]) -> None:
    ax.grid(visible=False)
    if of.shares_CGG is not None:
        ax.imshow(region_colours(of.shares_CGG, colours), extent=of.ends, origin="lower", aspect="auto", zorder=0)
    some = slice(None, MOST_POINTS)
    x, true, predicted = of.x_N2[some], of.true_N[some], of.predicted_N[some]
    for c, colour in enumerate(colours):
        ax.plot(*x[true == c].T, "o", color=colour, markersize=3, markeredgewidth=0.3, markeredgecolor="white")
    ax.plot(*x[true != predicted].T, "x", color=theme.INK, markersize=5, markeredgewidth=1)
    ax.set_xlim(*of.ends[:2])
    ax.set_ylim(*of.ends[2:])


def region_colours(shares_CGG: npt.NDArray[np.float64], colours: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return red, green and blue of each place: the colour of the class that most predict, mixed with white, more where fewer do."""
    of_class = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    most = shares_CGG.argmax(axis=0)
    ink = (1 - LIGHT) * shares_CGG.max(axis=0)[..., None]
    return np.asarray(1 - ink * (1 - of_class[most]))


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
