"""An estimate as a person reads it: images of a hundred, times, percent, units. The precise number stands beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.components.own_pieces import plain as without_digest
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import LOG10_UNIT, metric
from mlpbench.experiment.metrics.set_scores import OF_VARIANCE
from mlpbench.report.number_text import brief, rounded_factor, times
from mlpbench.report.words import MOST_LOG10, Digits

# Of so many examples a difference is counted: the fewest of which it is `LEAST` or more, else the most.
COUNTS, LEAST = (100, 1_000, 10_000), 3.0
# From this factor on something is so many times another; below, so many percent more.
TIMES = 2.0
# What differs by less than this share is said by its difference alone.
LEAST_RATIO = 0.01
# Whose number an estimate is that is no mean.
TYPICAL = {"median": "in the median", "typical": "in a typical replicate", "pseudomedian": "on a typical data set"}
PARTS = {"train": "training", "val": "validation", "test": "test"}
# Numbers that are differences already, or may be negative: they have no ratio.
WITHOUT_RATIO = ("gap_", "split_excess_", "regret_", "split_regret_", "closed_form_gap")


def plainly(verdict: Verdict, items: str) -> str:
    """Return an estimate in plain words, `about 4 more of 1,000 test images right`; nothing where the number itself is plain.

    Args:
        verdict: what was estimated; a bound of an estimate, and one that isn't finite, is not put in other words.
        items: what examples are: `images`, `rows` or `examples`.

    """
    if verdict.estimate is None or verdict.estimate_is or not math.isfinite(verdict.estimate):
        return ""
    said, where = _plainly(verdict, verdict.estimate, items), TYPICAL.get(verdict.hypothesis.test.about, "")
    return f"{said} {where}" if said and where else said


def metric_words(name: str) -> str:
    """Return a metric as words: `test accuracy` for `late_test_accuracy` and `log10_test_accuracy`, `accuracy gap` for `gap_accuracy`."""
    reaches = metric_names.reaches(metric_names.plain(name))
    if reaches is not None:
        return f"{reaches.unit} to a train {reaches.measure} of {reaches.threshold:g}"
    plain = without_digest(metric_names.plain(name)).removeprefix(metric_names.LATE).partition("[")[0]
    for kind in ("split_regret_", "split_excess_", "regret_"):
        if plain.startswith(kind):
            return f"{kind}of {plain.removeprefix(kind)}".replace("_", " ")
    score = plain.removeprefix("gap_")
    return f"{score} gap".replace("_", " ") if score != plain else plain.replace("_", " ")


def _plainly(verdict: Verdict, estimate: float, items: str) -> str:
    quantity = verdict.hypothesis.quantity
    per = f" {quantity.per}" if quantity.per else ""
    if verdict.hypothesis.test.about == "failures":
        points = Digits(verdict).plain(abs(estimate), signed=False)
        return f"{points} {'more' if estimate > 0 else 'fewer'} of 100 runs fail" if estimate else ""
    if quantity.kind == "share":
        return _share(verdict, estimate)
    if quantity.unit.strip() == LOG10_UNIT:
        if abs(estimate) >= MOST_LOG10:
            return ""
        what = metric_words(verdict.metric)
        return f"{what} {_times(10**estimate)}{per}" if quantity.signed else f"{what} {rounded_factor(10**estimate)}"
    counted = _counted(verdict.metric)
    if quantity.kind == "level":
        return _level(verdict, estimate, counted, items)
    if quantity.kind == "difference" and verdict.hypothesis.wording.outcomes is None:
        number = Digits(verdict).full(estimate).replace(" pp", " percentage points")
        return f"a contrast of {number} in {metric_words(verdict.metric)}"
    if counted and quantity.unit == " pp" and (said := _more_of(100 * estimate, f"{counted} {items}", per)):
        return said
    size, what = Digits(verdict).plain(abs(estimate), signed=False), metric_words(verdict.metric)
    side = "higher" if estimate > 0 else "lower"
    if not any(c in "123456789" for c in size):
        return f"no difference in {what}"
    if quantity.kind == "place":
        return f"the best level is {size} level{'s' * (size != '1')} {side}"
    if quantity.unit == " pp":
        return f"{what} {size} percentage points {side}{per}"
    if quantity.unit:
        full = Digits(verdict).full(abs(estimate), signed=False)
        return f"{full} {'more' if estimate > 0 else 'fewer' if quantity.unit != ' s' else 'less'}{per}"
    return f"{what} {_against(verdict) or f'{size} {side}{per}'}"


def _counted(name: str) -> str:
    """Return of which examples an accuracy is a share: `test`; nothing for another metric."""
    plain = name.removeprefix(metric_names.LATE)
    part, _, score = plain.partition("_")
    return PARTS.get(part, "") if score == "accuracy" else ""


def _more_of(points: float, items: str, per: str) -> str:
    """Return `about 4 more of 1,000 test images right`, of a difference in percentage points; nothing of a slope too small for it."""
    of = next((count for count in COUNTS if abs(points) / 100 * count >= LEAST), COUNTS[-1])
    number = round(abs(points) / 100 * of)
    if not number:
        return "" if per else f"as many of {of:,} {items} right"
    return f"about {number:,} {'more' if points > 0 else 'fewer'} of {of:,} {items} right{per}"


def _times(factor: float) -> str:
    """Return `51 times as large`, `51 times smaller`, or `20% smaller`."""
    size, way = (factor, "larger") if factor >= 1 else (1 / factor, "smaller")
    if size >= TIMES:
        return f"{times(size)} times {way}"
    percent = rounded_factor(100 * (size - 1 if factor >= 1 else 1 - factor))
    return f"{percent}% {way}"


def _against(verdict: Verdict) -> str:
    """Return `28% lower, 0.60 against 0.83`, of a difference of two positive means; nothing where a ratio makes no sense."""
    of, numbers = metric(verdict.metric), verdict.numbers
    name = of.name.removeprefix(metric_names.LATE)
    plain = verdict.hypothesis.test.about == "mean"
    if not plain or of.unit == OF_VARIANCE or of.limits != (-math.inf, math.inf) or name.startswith(WITHOUT_RATIO):
        return ""
    if not numbers.minuend or min(*numbers.minuend, *numbers.subtrahend) <= 0:
        return ""
    above, below = _mean(numbers.minuend), _mean(numbers.subtrahend)
    factor = above / below
    if not math.isfinite(factor) or abs(factor - 1) < LEAST_RATIO:
        return ""
    said = _times(factor).replace("larger", "higher").replace("smaller", "lower")
    return f"{said}, {brief(above)} against {brief(below)}"


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _level(verdict: Verdict, estimate: float, counted: str, items: str) -> str:
    """Return a share in percent, another number with the name of its metric; nothing for one that has a unit."""
    if counted:
        return f"{100 * estimate:.3g}% of {counted} {items} right"
    of, what = metric(verdict.metric), metric_words(verdict.metric)
    if of.is_accuracy:
        return f"{what} {100 * estimate:.2g} percentage points"
    if of.name == "diverged":
        return f"{100 * estimate:.3g}% of runs diverged"
    if of.unit == "fraction":
        return f"{what} {100 * estimate:.3g}%"
    unit, number = verdict.hypothesis.quantity.unit.strip(), Digits(verdict).plain(estimate)
    if unit:
        return f"{number} {what}" if unit in what.split() else f"{what} {number} {unit}"
    return f"{what} {number}"


def _share(verdict: Verdict, estimate: float) -> str:
    """Return a share of replicates or of variance in words."""
    if verdict.hypothesis.test.about == "wins":
        return f"{verdict.hypothesis.sides[0]} is better in {100 * estimate:.0f} of 100 replicates that differ"
    return f"{100 * estimate:.2g}% of the variance"
