"""The figure of a claim: what is drawn is what was judged, in every form, over any range, with any name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import COMPARED, verdict_with, width_tables
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from mlpbench.evidence.judging.claim_values import UnitNumbers
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Interval, Verdict
from mlpbench.report.answer import claim_figure
from mlpbench.report.answer.claim_figure import claim_numbers, draw, has_figure, side_names
from mlpbench.report.figures import theme

VERDICTS = judge_claims(*width_tables().parts)
SLOPE = {"factor": "width", "scale": "log", "expect": "rises"}


def right(figure: Figure) -> Any:
    """Return the axes of the claim's number."""
    return figure.axes[-1]


def dots(figure: Figure) -> list[float]:
    return sorted(float(x) for x in right(figure).lines[-2].get_xdata())


def with_numbers(numbers: list[float], **changes: Any) -> Verdict:
    keys: dict[str, Any] = {"estimate": float(np.mean(numbers)), "low": min(numbers), "high": max(numbers)}
    return replace(
        verdict_with(**keys | {"n": len(numbers)} | changes), numbers=UnitNumbers(lower=numbers, upper=numbers)
    )


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda v: v.claim.id)
def test_a_dot_is_a_replicate_and_the_line_is_the_interval_of_the_test(verdict: Verdict) -> None:
    factor = verdict.hypothesis.quantity.factor
    figure = draw(verdict)
    assert dots(figure) == pytest.approx(sorted(factor * v for v in verdict.numbers.known))
    assert verdict.interval is not None
    ends = right(figure).collections[-1].get_segments()[0][:, 0]
    assert list(ends) == pytest.approx([factor * verdict.interval.low, factor * verdict.interval.high])
    left, high = right(figure).get_xlim()
    assert left < min(ends) <= max(ends) < high
    bounds = sorted(float(line.get_xdata()[0]) for line in right(figure).lines if line.get_linestyle() == "--")
    tested = verdict.hypothesis
    expected = [factor * s * tested.bound for s in ((-1, 1) if tested.sense == "equivalent" else (1,))]
    assert bounds == pytest.approx(expected)


def test_replicates_are_joined_from_one_condition_to_the_other() -> None:
    verdict = VERDICTS[0]
    left = draw(verdict).axes[0]
    lines = left.collections[0]
    assert isinstance(lines, LineCollection)
    joined = [np.asarray(segment)[:, 1].tolist() for segment in lines.get_segments()]
    pairs = zip(verdict.numbers.subtrahend, verdict.numbers.minuend, strict=True)
    assert joined == [pytest.approx([100 * b, 100 * a]) for b, a in pairs]
    assert [t.get_text() for t in left.get_xticklabels()] == ["256", "1024"]
    assert left.get_xlabel() == "width"


@pytest.mark.parametrize("decades", [1, 2, 3, 5, 8, 13, 20, 30])
def test_ratios_stand_on_a_log_axis_with_readable_ticks_over_any_number_of_decades(decades: int) -> None:
    numbers = [decades * i / 4 for i in range(5)]
    verdict = with_numbers(numbers, metric="log10_train_loss")
    figure = draw(verdict)
    theme.png(figure)
    assert dots(figure) == pytest.approx([10**v for v in numbers])
    ax = right(figure)
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    shown = [t for t in ax.get_xticks() if low <= t <= high]
    assert 2 <= len(shown) <= 12
    assert not overlapping(figure)


def overlapping(figure: Figure) -> list[str]:
    """Return the tick labels and titles that stand on each other."""
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    labels = [
        t for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label)
    ]
    within = [t for t in texts if t in labels and _in_axes(t, figure)]
    boxes = [(t.get_text(), t.get_window_extent()) for t in within]
    return [
        f"{a} | {b}"
        for i, (a, one) in enumerate(boxes)
        for b, two in boxes[i + 1 :]
        if one.x0 + 0.5 < two.x1 and two.x0 + 0.5 < one.x1 and one.y0 + 0.5 < two.y1 and two.y0 + 0.5 < one.y1
    ]


def _in_axes(text: Text, figure: Figure) -> bool:
    """Return whether a tick label is in the range of its axis: others are not drawn."""
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            for tick, at in zip(axis.get_major_ticks(), axis.get_majorticklocs()):
                if text in (tick.label1, tick.label2):
                    return bool(low <= at <= high)
    return True


@pytest.mark.parametrize("low", [-math.inf, -0.01])
@pytest.mark.parametrize("high", [math.inf, 0.03])
def test_open_intervals_go_on_to_the_edge(low: float, high: float) -> None:
    verdict = with_numbers([0.0, 0.01, 0.02], low=low, high=high)
    ax = right(draw(verdict))
    ends = ax.collections[-1].get_segments()[0][:, 0]
    left, far = ax.get_xlim()
    assert ends[0] == (pytest.approx(left) if math.isinf(low) else pytest.approx(100 * low))
    assert ends[1] == (pytest.approx(far) if math.isinf(high) else pytest.approx(100 * high))


ODD: dict[str, Verdict] = {
    "one replicate": with_numbers([0.01], low=None, high=None, n=1),
    "all equal": with_numbers([0.01] * 5),
    "all zero": with_numbers([0.0] * 5),
    "no numbers": verdict_with(),
    "a bound of an estimate": with_numbers([0.01, 0.02], estimate_is="at most"),
    "no estimate": with_numbers([0.01, 0.02], estimate=None, low=None, high=None),
    "huge": with_numbers([1e300, -1e300], metric="train_loss"),
    "tiny": with_numbers([1e-300, 2e-300], metric="train_loss"),
    "beyond numbers": with_numbers([-350.0, 320.0], metric="log10_train_loss"),
    "slope": with_numbers([0.01, 0.02], form="trend", fields=SLOPE),
    "level": with_numbers([0.81, 0.82], form="bound", fields={"above": 0.7}),
    "equivalent": with_numbers([0.01, -0.02], fields=COMPARED | {"expect": "equivalent", "margin": 0.01}),
    "with test set": replace(
        with_numbers([0.01, 0.02]),
        test_sampling=replace(verdict_with().test_sampling, interval=Interval(low=-0.05, high=0.07)),
    ),
    "at any time": with_numbers([0.01, 0.02], anytime_interval=Interval(low=-math.inf, high=0.05)),
    "an interval that isn't known": with_numbers([0.01, 0.02], low=math.nan, high=math.nan),
    "many": with_numbers(list(np.linspace(-1, 1, 1000))),
    "sides with gaps": replace(
        with_numbers([0.01, 0.02]),
        numbers=UnitNumbers(
            lower=[0.01, 0.02, -math.inf], upper=[0.01, 0.02, math.inf], minuend=[0.9, 0.8, math.nan],
            subtrahend=[0.89, 0.78, math.nan],
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("verdict", ODD.values(), ids=ODD)
def test_odd_verdicts_are_drawn(verdict: Verdict) -> None:
    assert has_figure(verdict)
    figure = draw(verdict)
    assert theme.png(figure).startswith(b"\x89PNG")
    assert not overlapping(figure)
    assert all(math.isfinite(v) for v in right(figure).get_xlim())


def test_what_has_no_number_has_no_figure() -> None:
    assert not has_figure(verdict_with(estimate=None, low=None, high=None))
    assert not has_figure(verdict_with(estimate=math.nan, low=None, high=None))


@pytest.mark.parametrize(
    ("sides", "names", "shared"),
    [
        (("width=16", "width=8"), ("16", "8"), "width"),
        (("label=a, 0", "label=a, 0.5"), ("0", "0.5"), "label=a"),
        (("label=a, (0.2, 0.5)", "label=a, (0.5, 0.2)"), ("(0.2, 0.5)", "(0.5, 0.2)"), "label=a"),
        (("a=1, depth=2", "a=3, depth=2"), ("1", "3"), "a, depth=2"),
        (("a=1", "a=1, b=2"), ("1", "1, b=2"), "a"),
        (("one", "other"), ("one", "other"), ""),
        (("x=relu", "x=elu"), ("relu", "elu"), "x"),
    ],
)
def test_what_both_sides_share_stands_once(sides: tuple[str, str], names: tuple[str, str], shared: str) -> None:
    assert side_names(sides) == (names, shared)
    assert side_names(sides[::-1]) == (names[::-1], shared)


@given(st.lists(st.sampled_from(["a=1", "b=2", "c", "0.5", "(x, y)"]), max_size=4).map(", ".join), st.data())
def test_names_of_sides_stay_different(first: str, data: st.DataObject) -> None:
    second = data.draw(st.lists(st.sampled_from(["a=1", "b=3", "c", "0.5", ""]), max_size=4).map(", ".join))
    (one, two), _ = side_names((first, second))
    assert (one == two) == (first == second)


NAMES = ["a" * 300, "$x^2$ _y_", "<b>&amp;", "two\nlines", "中文 🙂", "x=1, " * 60]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_of_conditions_keep_to_their_place(name: str) -> None:
    verdict = VERDICTS[0]
    verdict = replace(verdict, hypothesis=replace(verdict.hypothesis, sides=(name, f"{name} b")))
    figure = draw(verdict)
    theme.png(figure)
    assert not overlapping(figure)
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert all(len(line) <= claim_figure.LETTERS + 2 for label in labels for line in label.split("\n"))
    assert all(label.count("\n") < claim_figure.LINES for label in labels)


def test_a_share_of_replicates_is_drawn_without_their_numbers() -> None:
    fields = {"a": {"width": 16}, "b": {"width": 8}, "above": 0.5}
    verdict = with_numbers([0.01, -0.02], form="wins", fields=fields, estimate=0.6, low=0.4, high=0.8)
    numbers = claim_numbers(verdict)
    assert not numbers.dots
    assert numbers.estimate == pytest.approx(60)
    assert list(numbers.bounds) == pytest.approx([50.0])
