"""The section "Class probabilities": whether networks are right as often as they say, and, of two classes, their ROC curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from mlpbench.base.escapes import printable
from mlpbench.evidence.test_outputs.set_curve_estimates import (
    LEAST_IN_BIN,
    MOST_REPLICATES,
    ClassProbabilities,
    MeanCurve,
    read_probabilities,
)
from mlpbench.experiment.metrics.set_scores import BINS
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.number_text import fixed
from mlpbench.report.section import Section, figure_section

# Lines that a panel holds.
MOST_LINES = 6
HEIGHT = 3.4


def section(context: Context) -> Section | None:
    """Return reliability and ROC curves; None of numbers, of several data sets, and where no run has stored any."""
    alike = not context.experiment.one_at_a_time and len(context.experiment.sources) == 1
    if context.test_set is None or context.measure != "accuracy" or not alike:
        return None
    positions = _chosen(context)
    read = [read_probabilities(context.conditions[at], context.observed, at, context.test_set) for at in positions]
    known = [of for of in read if of is not None]
    if not known:
        return None
    names = {of.position: context.short_label(of.position) for of in known}
    colours = {of.position: context.colours.colours[context.conditions[of.position].condition_id] for of in known}
    if len(set(colours.values())) < len(colours):
        colours = dict(zip(colours, theme.palette(len(colours), ordered=False), strict=True))
    some = len(positions) < len(context.conditions)
    (names_of_classes,) = [data.class_names for data in context.experiment.facts]
    panels = ["reliability"] * any(of.reliability is not None for of in known) + ["ROC"] * any(
        of.roc is not None for of in known
    )
    return figure_section(
        "Class probabilities",
        probabilities_sentence(
            known, {at: context.conditions[at].label for at in names} if len(context.conditions) > 1 else {}
        ),
        f"Reliability: accuracy of the test examples in {BINS} equal bins of the probability of the predicted class, of bins with at least "
        f"{LEAST_IN_BIN} of them in all replicates."
        if "reliability" in panels
        else "",
        f"ROC: of the class {printable(names_of_classes[1])} against {printable(names_of_classes[0])}."
        if "ROC" in panels
        else "",
        "Means over replicates, with 95% intervals.",
        f"Only the first {MOST_REPLICATES} replicates are counted."
        if context.experiment.replicates > MOST_REPLICATES
        else "",
        f"The figure shows {len(positions)} of {len(context.conditions)} conditions, the best and others at equal steps of rank."
        if some
        else "",
        figure="class_probabilities",
        alt=f"{' and '.join(panels)} curves of conditions.".capitalize().replace("roc", "ROC"),
        draw=partial(draw_probabilities, known, names, colours, context.label_heading, panels),
    )


def _chosen(context: Context) -> list[int]:
    """Return the conditions that are drawn, in their order: all of few, of more some at equal steps of rank by mean accuracy."""
    drawn = list(context.excerpt.drawn)
    if len(drawn) <= MOST_LINES:
        return drawn
    rows = context.estimates[context.estimates["metric"] == context.outcome].set_index("position")["mean"]
    ranked = sorted((at for at in drawn if not math.isnan(rows[at])), key=lambda at: -float(rows[at]))
    if not ranked:
        return []
    steps = np.linspace(0, len(ranked) - 1, min(MOST_LINES, len(ranked))).round().astype(int)
    return sorted({ranked[i] for i in steps})


def probabilities_sentence(known: Sequence[ClassProbabilities], names: dict[int, str]) -> str:
    """Say which condition's confidence is farthest from its accuracy, and which nearest; of ROC curves alone, nothing but that."""
    judged = [of for of in known if not math.isnan(of.excess)]
    if not judged:
        return f"No probabilities are known of these runs, whose loss is no cross-entropy; the ROC curves are of {known[0].n} replicates."
    far, near = (choose(judged, key=lambda of: abs(of.excess)) for choose in (max, min))
    first = _calibration(far, f"Networks with {names[far.position]} are" if names else "The networks are")
    if far is near:
        return first
    return f"{first} Of those drawn {names[near.position]} is nearest to its accuracy, off by {_points(near)}."


def _calibration(of: ClassProbabilities, who: str) -> str:
    spread = 0.0 if math.isnan(of.low) else 100 * (of.high - of.low) / 2
    within = (
        "" if math.isnan(of.low) else f" (95% interval {fixed(100 * of.low, spread)} to {fixed(100 * of.high, spread)})"
    )
    means = f"their mean confidence is {of.confidence:.1%} and their accuracy {of.accuracy:.1%}, a difference of {_points(of)}{within}"
    if not math.isnan(of.low) and of.low <= 0 <= of.high:
        return f"{who} neither over- nor underconfident in the mean: {means}."
    return f"{who} {'over' if of.excess > 0 else 'under'}confident: {means}."


def _points(of: ClassProbabilities) -> str:
    spread = 0.0 if math.isnan(of.low) else 100 * (of.high - of.low) / 2
    return f"{fixed(100 * of.excess, spread)} pp"


def draw_probabilities(
    known: Sequence[ClassProbabilities],
    names: dict[int, str],
    colours: dict[int, str],
    title: str,
    panels: Sequence[str],
) -> Figure:
    """Return a panel for reliability, where it is known, and one for ROC; a line for each condition."""
    with theme.style():
        figure, axes = theme.new(HEIGHT, 1, len(panels))
        for ax, panel in zip(axes, panels, strict=True):
            ax.plot([0, 1], [0, 1], color=theme.INK, linewidth=1, linestyle="dashed")
            for of in known:
                curve = of.reliability if panel == "reliability" else of.roc
                if curve is not None:
                    _draw_curve(ax, curve, colours[of.position], marker="o" if panel == "reliability" else "")
            ax.set_title(panel, loc="left")
            is_roc = panel == "ROC"
            ax.set_xlabel("false positive rate" if is_roc else "probability of the predicted class")
            ax.set_ylabel("true positive rate" if is_roc else "accuracy")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(theme.percent)
            if is_roc:
                ax.set_xlim(-0.02, 1.02)
                ax.set_ylim(-0.02, 1.02)
            else:
                _zoom(ax, [of.reliability for of in known if of.reliability is not None])
        entries = [(names[of.position], colours[of.position]) for of in known]
        theme.legend_below(figure, theme.colour_handles(entries), title if len(entries) > 1 else "")
    return figure


def _draw_curve(ax: Axes, curve: MeanCurve, colour: str, marker: str) -> None:
    ax.plot(curve.x, curve.mean, color=colour, linewidth=1.4, marker=marker, markersize=3.5)
    ax.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)


def _zoom(ax: Axes, curves: Sequence[MeanCurve]) -> None:
    """Let both axes begin below the first bin and the lowest accuracy: confidence is never below one over the number of classes."""
    lows = [np.nanmin([*c.x, *c.mean, *np.nan_to_num(c.low, nan=1.0)]) for c in curves if len(c.x)]
    low = max(0.0, min(lows, default=0.0) - 0.04)
    for axis, set_limits in ((ax.xaxis, ax.set_xlim), (ax.yaxis, ax.set_ylim)):
        set_limits(low, 1 + 0.03 * (1 - low))
        axis.set_major_locator(FixedLocator([at for at in MaxNLocator(6).tick_values(low, 1) if low <= at <= 1]))
