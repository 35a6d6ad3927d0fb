"""The figure of one claim: the replicates of both conditions, joined, and their differences with interval, bound and zero.

A claim that is no difference of two conditions has a dot for each replicate's number, or data set's, in place of that.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from mlpbench.base.escapes import printable
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.judging.verdict import Interval, Verdict
from mlpbench.experiment.metrics.metric import LOG10_UNIT, metric
from mlpbench.report.answer.plain_words import metric_words
from mlpbench.report.figures import theme
from mlpbench.report.words import estimate_cell, possible, within

MARKERS = {"": "D", "at least": ">", "at most": "<"}
# Multiples of the golden ratio spread dots of one place evenly, however many there are.
GOLDEN = 0.6180339887498949
# Where the interval, and above it the dots, lie on an axis from 0 to 1.
INTERVAL, DOTS = 0.2, (0.42, 0.86)
SHARES = {
    "variances": "share of the variance of {}, %",
    "wins": "share of replicates with the better {}, %",
    "failures": "difference of shares of runs that fail by {}, pp",
}
# Letters of a condition's name below its dots, in at most so many lines.
LETTERS, LINES = 16, 4
# Of what both names share, in two lines.
SHARED = 27
# Of a name beside an axis, in two lines.
UPRIGHT = 20
# Inches: of a figure of one panel, so that words have room beside it and a narrow page shows all of it; heights.
ONE_PANEL = 3.5
SIDES_HIGH, DOTS_HIGH, BAR_HIGH = 1.9, 1.5, 0.95
# Beyond so many decades a number is drawn as its logarithm.
MOST_DECADES = 300


@dataclass(frozen=True, kw_only=True)
class ClaimNumbers:
    """What the figure of a claim shows, in the unit that is printed; logarithms as the numbers they are of.

    Attributes:
        estimate, interval: NaN and None where they aren't known.
        wider: the interval that includes the sampling of the test set, or that holds whenever one looks; None where there is none.
        dots: the number of each replicate, those not known left out.
        above, below: the mean of each side in each replicate, where the number is their difference.
        bounds: the bound, or both ends of an equivalence.
        zero: where nothing differs: 0, of a ratio 1; None where the number is no difference.
        is_log: whether the axis is logarithmic.

    """

    estimate: float
    interval: tuple[float, float] | None
    wider: tuple[float, float] | None
    dots: Sequence[float]
    above: Sequence[float]
    below: Sequence[float]
    bounds: Sequence[float]
    zero: float | None
    is_log: bool

    @property
    def finite(self) -> Sequence[float]:
        """Every number that the axis has to hold."""
        ends = [*(self.interval or ()), *(self.wider or ())]
        zero = [] if self.zero is None else [self.zero]
        shown = [self.estimate, *ends, *self.dots, *self.bounds, *zero]
        return [v for v in shown if math.isfinite(v) and (v > 0 or not self.is_log)]


def has_figure(verdict: Verdict) -> bool:
    """Return whether there is a number to draw: an estimate, or a replicate's."""
    return (verdict.estimate is not None and math.isfinite(verdict.estimate)) or bool(verdict.numbers.known)


def claim_numbers(verdict: Verdict) -> ClaimNumbers:
    """Return the numbers of a verdict as its figure shows them."""
    tested, numbers = verdict.hypothesis, verdict.numbers
    # The estimate of a share is in percent of replicates, whose own numbers are something else.
    alike = tested.test.about not in ("wins", "failures", "variances")
    known = numbers.known if alike else ()
    bound, centre = tested.bound, tested.centre
    bounds = [centre - bound, centre + bound] if tested.sense == "equivalent" else [bound]
    bounds = [] if math.isnan(bound) else bounds
    raw = [v for v in (verdict.estimate, *known, *bounds) if v is not None]
    is_log = tested.quantity.unit.strip() == LOG10_UNIT and all(abs(v) < MOST_DECADES for v in raw)

    def shown(value: float) -> float:
        if not is_log:
            return tested.quantity.factor * value
        return 0.0 if value < -MOST_DECADES else math.inf if value > MOST_DECADES else 10.0**value

    def ends(interval: Interval | None) -> tuple[float, float] | None:
        if interval is None or math.isnan(interval.low) or math.isnan(interval.high):
            return None
        low, high = within(interval, possible(verdict))
        return shown(low), shown(high)

    pairs = list(zip(numbers.minuend, numbers.subtrahend, strict=True))
    pairs = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)][:MOST_DOTS]
    if tested.test.about == "wins" and metric(verdict.metric).better == "lower":
        pairs = [(b, a) for a, b in pairs]  # what is better counts as above
    scale = 100.0 if metric(verdict.metric).is_accuracy else 1.0
    if is_log:
        pairs = [(shown(a), shown(b)) for a, b in pairs]
        scale = 1.0
    zero = (1.0 if is_log else 0.0) if tested.quantity.signed else None
    return ClaimNumbers(
        estimate=math.nan if verdict.estimate is None else shown(verdict.estimate),
        interval=ends(verdict.interval),
        wider=ends(verdict.test_sampling.interval or verdict.anytime_interval),
        dots=[shown(v) for v in known[:MOST_DOTS]],
        above=[scale * a for a, _ in pairs],
        below=[scale * b for _, b in pairs],
        bounds=[shown(b) for b in bounds],
        zero=zero,
        is_log=is_log,
    )


def draw(verdict: Verdict) -> Figure:
    """Return the figure: on the left both conditions where there are two, on the right the number of the claim."""
    numbers = claim_numbers(verdict)
    with theme.style():
        if numbers.above:
            figure, (left, right) = theme.new(SIDES_HIGH, 1, 2, width_ratios=(2, 3))
            draw_sides(left, verdict, numbers)
        else:
            figure, (right,) = theme.new(DOTS_HIGH if numbers.dots else BAR_HIGH)
            figure.set_size_inches(ONE_PANEL, figure.get_figheight())
        draw_number(right, verdict, numbers)
    return figure


def draw_sides(ax: Axes, verdict: Verdict, numbers: ClaimNumbers) -> None:
    """Draw the two conditions, side by side, with a line for each replicate."""
    colour, of = theme.VERDICT_COLOURS[verdict.decision], metric(verdict.metric)
    pairs = [[(0, below), (1, above)] for above, below in zip(numbers.above, numbers.below, strict=True)]
    ax.add_collection(LineCollection(pairs, colors=theme.FAINT, linewidths=0.8, alpha=0.7), autolim=False)
    for x, values in ((0, numbers.below), (1, numbers.above)):
        ax.plot([x] * len(values), values, "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
    ax.set_xlim(-0.35, 1.35)
    (above_name, below_name), shared = side_names(verdict.hypothesis.sides)
    ax.set_xticks([0, 1], [_wrapped(below_name), _wrapped(above_name)])
    ax.set_xlabel(_wrapped(shared.removeprefix("label="), SHARED, 2), fontsize=7.5)
    ax.tick_params(axis="x", length=0, labelsize=7.5)
    every = [*numbers.above, *numbers.below]
    if numbers.is_log or theme.spans_decade(every):
        ax.set_yscale("log")
    _ticks(ax.yaxis, every, 5)
    name = f"{metric_words(verdict.metric)}{', %' if of.is_accuracy and not numbers.is_log else ''}"
    ax.set_ylabel(_wrapped(name, UPRIGHT, 2))
    ax.grid(axis="x", visible=False)


def draw_number(ax: Axes, verdict: Verdict, numbers: ClaimNumbers) -> None:
    """Draw the numbers of replicates, and below them estimate and interval, on an axis with bound and zero."""
    colour, tested = theme.VERDICT_COLOURS[verdict.decision], verdict.hypothesis
    if numbers.is_log:
        ax.set_xscale("log")
    left, right = _limits(numbers, is_share=tested.test.about in ("wins", "variances"))
    ax.set_xlim(left, right)
    ax.set_ylim(0, 1)
    if numbers.bounds:
        start = {"greater": numbers.bounds[0], "less": left, "equivalent": numbers.bounds[0]}[tested.sense]
        end = right if tested.sense == "greater" else numbers.bounds[-1]
        ax.axvspan(start, end, color=theme.VERDICT_COLOURS["supported"], alpha=0.10, linewidth=0)
    if numbers.zero is not None and left < numbers.zero < right:
        ax.axvline(numbers.zero, color=theme.INK, linewidth=0.9)
    for bound in numbers.bounds:
        ax.axvline(bound, color=theme.INK, linestyle="dashed", linewidth=1)
    low, high = DOTS
    heights = [low + (high - low) * ((i * GOLDEN) % 1) for i in range(len(numbers.dots))]
    at = INTERVAL if numbers.dots else 0.5
    unit = tested.units.removesuffix("s")
    ax.plot(numbers.dots, heights, "o", color=theme.FAINT, markersize=4, alpha=0.8, markeredgewidth=0, label=unit)
    for ends, width in ((numbers.wider, 1.0), (numbers.interval, 3.0)):
        if ends is not None:
            ax.hlines(at, max(ends[0], left), min(ends[1], right), color=colour, linewidth=width)
    if math.isfinite(numbers.estimate):
        said = f"{verdict.decision}, {estimate_cell(verdict)}"
        ax.plot([numbers.estimate], [at], MARKERS[verdict.estimate_is], color=colour, markersize=6.5, label=said)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    _ticks(ax.xaxis, (left, right), 6)
    ax.set_xlabel(printable(_axis_label(verdict, numbers)))
    ax.grid(axis="y", visible=False)


def _limits(numbers: ClaimNumbers, *, is_share: bool) -> tuple[float, float]:
    """Return the ends of the axis: with room beyond every number, more where an end of the interval is open; a share's are fixed."""
    low, high = min(numbers.finite), max(numbers.finite)
    if is_share:
        return -3.0, 103.0
    opens = numbers.interval or (low, high)
    room_low, room_high = (0.3 if not math.isfinite(e) or (numbers.is_log and not e) else 0.07 for e in opens)
    if numbers.is_log:
        decades = math.log10(high / low) or 0.2
        return low / 10 ** (room_low * decades), high * 10 ** (room_high * decades)
    span = (high - low) or 0.2 * abs(high) or 1e-9
    return low - room_low * span, high + room_high * span


def _axis_label(verdict: Verdict, numbers: ClaimNumbers) -> str:
    """Return what the axis shows, in its unit."""
    quantity, about, words = verdict.hypothesis.quantity, verdict.hypothesis.test.about, metric_words(verdict.metric)
    per = f" {quantity.per}" if quantity.per else ""
    if about in SHARES:
        return SHARES[about].format(words)
    what = f"difference of {words}" if quantity.kind == "difference" else words
    if numbers.is_log:
        return f"{words}: ratio{per}" if quantity.signed else words
    if quantity.kind == "place":
        return f"levels between the best ones, by {words}"
    unit = quantity.unit.strip()
    # Dead units are units, and steps to a loss are steps.
    named = not unit or unit in what.split()
    return f"{what}{'' if named else f', {unit}'}{per}"


def _ticks(axis: Axis, values: Iterable[float], most: int) -> None:
    """Put few ticks with plain numbers on an axis; of a log axis over less than a decade too."""
    shown = [v for v in values if math.isfinite(v)]
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    if axis.get_scale() != "log":
        axis.set_major_locator(MaxNLocator(most))
        return
    decades = math.log10(max(shown) / min(shown)) if shown else 0.0
    if decades < 0.8:
        axis.set_major_locator(MaxNLocator(most))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=most))
    far = bool(shown) and (max(shown) >= 1e5 or min(shown) < 1e-4)
    axis.set_major_formatter(theme.power_of_ten if far and decades > 2 else "{x:g}")


def side_names(sides: Sequence[str]) -> tuple[tuple[str, str], str]:
    """Return the names of both sides without what they share, and that.

    >>> side_names(("activation=relu, depth=1", "activation=tanh, depth=1"))
    (('relu', 'tanh'), 'activation, depth=1')
    >>> side_names(("dropout=(0.2, 0.4), lr=1", "dropout=(0.2, 0.5), lr=1"))
    (('(0.2, 0.4)', '(0.2, 0.5)'), 'dropout, lr=1')
    """
    first, second = sides
    start = _shared(first, second)
    signs = [at + len(sign) for sign in ("=", ", ") for at in range(start) if first[:start].startswith(sign, at)]
    start = max((at for at in signs if _is_closed(first[:at])), default=0)
    end = _shared(first[start:][::-1], second[start:][::-1])
    ends = [i for i in range(end + 1) if first[len(first) - i :].startswith(", ")]
    end = max((i for i in ends if _is_closed(first[len(first) - i :])), default=0)
    names = (first[start : len(first) - end], second[start : len(second) - end])
    if not all(names):
        return (first, second), ""
    return names, ", ".join(
        filter(None, [first[:start].rstrip("=, "), first[len(first) - end :].strip(", ") if end else ""])
    )


def _is_closed(text: str) -> bool:
    """Return whether a text ends outside of brackets, and so begins: a list of numbers is one level."""
    return text.count("(") == text.count(")")


def _shared(first: str, second: str) -> int:
    """Return with how many equal letters two texts begin."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def _wrapped(text: str, letters: int = LETTERS, lines: int = LINES) -> str:
    """Return the name of a condition in few lines."""
    return textwrap.fill(
        printable(text), letters, max_lines=lines, placeholder=" …", break_long_words=True, break_on_hyphens=False
    )
