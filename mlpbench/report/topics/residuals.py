"""The section "Predicted and true": of a target that is a number, what the best condition predicts, and by how much it is off."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpbench.evidence.test_outputs.number_predictions import (
    MOST_REPLICATES,
    NumberPredictions,
    ResidualSummary,
    read_numbers,
    summarise_residuals,
)
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.number_text import brief, fixed, rounded_factor
from mlpbench.report.section import Section, figure_section

Floats = npt.NDArray[np.float64]
DOT, BIN = "#0173b2", "#d55e00"
MOST_DOTS = 1000
# From here on the spread of residuals differs enough to be said.
FANS = 1.5


def section(context: Context) -> Section | None:
    """Return predictions of the best condition beside the targets; None where they are classes or not stored, or data differ."""
    alike = not context.experiment.one_at_a_time and len(context.experiment.sources) == 1
    if context.test_set is None or context.measure != "loss" or context.best is None or not alike:
        return None
    best = context.conditions[context.best]
    read = read_numbers(context.experiment, best, context.observed, context.best, context.test_set)
    if read is None:
        return None
    dots, summary = min(read.residual_RN.size, MOST_DOTS), summarise_residuals(read)
    more = context.experiment.replicates > read.n
    return figure_section(
        "Predicted and true",
        residuals_sentence(summary, "" if len(context.conditions) == 1 else best.label),
        f"These are predictions of the first {MOST_REPLICATES} replicates."
        if more and read.n == MOST_REPLICATES
        else "",
        f"The figure has {dots} of {read.residual_RN.size} of them." if dots < read.residual_RN.size else "",
        figure="predicted_and_true",
        alt="Predicted against true numbers of the test set, and residuals against predictions.",
        draw=partial(draw_residuals, read, summary),
    )


def residuals_sentence(of: ResidualSummary, label: str) -> str:
    """Say how much of the variance is explained, whether predictions are too high or too low, and whether errors fan out."""
    who = f"The best condition, {label}," if label else "The network"
    error = f"RMSE {brief(of.rmse)}"
    if math.isnan(of.r2):
        first = f"{who} predicts test targets with {error}."
    elif of.r2 < 0:
        first = f"{who} predicts test targets worse than their mean would (R² {of.r2:.3g}, {error})."
    else:
        first = f"{who} explains {explained(of.r2)} of the variance of the test targets ({error})."
    side = "too high" if of.bias > 0 else "too low"
    if math.isnan(of.low):
        bias = f"Predictions are {rounded_factor(abs(of.bias))} {side} in the mean."
    else:
        spread = (of.high - of.low) / 2
        low, high = (fixed(v, spread) for v in (of.low, of.high))
        within = f"mean residual {fixed(of.bias, spread)}, 95% interval {low} to {high}"
        seen = f"are {side} in the mean" if of.low > 0 or of.high < 0 else "show no bias"
        bias = f"Predictions {seen} ({within})."
    fan = ""
    if not math.isnan(of.fan) and not 1 / FANS < of.fan < FANS:
        wide, narrow = ("high", "low") if of.fan > 1 else ("low", "high")
        factor = rounded_factor(max(of.fan, 1 / of.fan))
        fan = f"Residuals spread {factor} times as far where predictions are {wide} as where they are {narrow}."
    return " ".join(part for part in (first, bias, fan) if part)


def explained(r2: float) -> str:
    """Return a share of variance in percent, with as many nines as it has.

    >>> explained(0.873), explained(0.99964), explained(1.0)
    ('87.3%', '99.964%', '100%')
    """
    if r2 >= 1:
        return "100%"
    decimals = max(1, 1 - math.floor(math.log10(100 * (1 - r2)))) if r2 > 0.99 else 1
    return f"{100 * r2:.{min(decimals, 6)}f}%"


def draw_residuals(of: NumberPredictions, summary: ResidualSummary) -> Figure:
    """Return two panels: predicted against true numbers with the line of equality, and residuals against predictions."""
    some = chosen_dots(of.residual_RN.size)
    true, predicted = of.target_RN.ravel()[some], of.predicted_RN.ravel()[some]
    size = 3.0 if len(some) <= 300 else 2.2
    with theme.style():
        figure, (left, right) = theme.new(3.3, 1, 2)
        ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
        left.plot(ends, ends, color=theme.INK, linewidth=1, linestyle="dashed")
        for ax, x, y in ((left, true, predicted), (right, predicted, predicted - true)):
            ax.plot(x, y, "o", color=DOT, alpha=0.35, markersize=size, markeredgewidth=0)
        left.set_xlabel("true")
        left.set_ylabel("predicted")
        left.set_title("predicted against true", loc="left")
        right.axhline(0, color=theme.INK, linewidth=1, linestyle="dashed")
        right.set_xlabel("predicted")
        right.set_ylabel("predicted minus true")
        right.set_title("residuals", loc="left")
        means = _draw_means(right, summary)
        for ax in (left, right):
            ax.xaxis.set_major_locator(MaxNLocator(6))
            ax.yaxis.set_major_locator(MaxNLocator(6))
        line = Line2D([], [], color=theme.INK, linewidth=1, linestyle="dashed", label="no error")
        dot = Line2D([], [], color=DOT, alpha=0.5, marker="o", markersize=3.5, linestyle="none")
        dot.set_label("test example of a replicate" if of.n > 1 else "test example")
        theme.legend_below(figure, [dot, line, *means])
    return figure


def chosen_dots(n: int) -> npt.NDArray[np.int64]:
    """Return which of n predictions have a dot: all, or some at equal steps."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST_DOTS)).round().astype(np.int64))


def _draw_means(ax: Axes, of: ResidualSummary) -> list[Line2D]:
    """Draw the mean residual of each bin, and return an entry of a legend; nothing where there are no bins."""
    style: dict[str, Any] = {"color": BIN, "linewidth": 1.5, "marker": "o", "markersize": 3.5}
    if not len(of.bins_x_B):
        return []
    ax.plot(of.bins_x_B, of.bins_y_B, **style)
    return [Line2D([], [], label=f"mean residual, {len(of.bins_x_B)} bins of equally many", **style)]
