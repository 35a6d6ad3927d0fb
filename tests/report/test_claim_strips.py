"""The small picture of a claim: its parts lie in the order of the numbers, inside, whatever the numbers are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from arithmetic_tables import width_tables
from hypothesis import given
from hypothesis import strategies as st
from reports import report_of

from mlpbench.report.claim_answers import numbers_of
from mlpbench.report.pages.claim_strips import COLOURS, HEIGHT, WIDTH, picture, strip
from mlpbench.report.summary import LARGEST, Answer, DrawnNumbers

NUMBERS = st.floats(-LARGEST, LARGEST) | st.floats(-100, 100) | st.sampled_from([0.0, -0.0, 5e-324, 1e-300])
ENDS = st.none() | NUMBERS


def ordered(ends: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = ends
    return ends if low is None or high is None else (min(low, high), max(low, high))


@st.composite
def drawn(draw: st.DrawFn) -> DrawnNumbers:
    estimate, low, high = draw(NUMBERS), draw(ENDS), draw(ENDS)
    low = None if low is None else min(low, estimate)
    high = None if high is None else max(high, estimate)
    holds = draw(st.none() | st.tuples(ENDS, ENDS).map(ordered))
    return DrawnNumbers(
        estimate=estimate, low=low, high=high, interval=draw(st.booleans()), holds=holds, zero=draw(st.booleans())
    )


def parts(numbers: DrawnNumbers) -> dict[str, list[float]]:
    """Return where the parts of a strip lie, from left to right, by class."""
    found: dict[str, list[float]] = {}
    for element in ET.fromstring(f"<g>{strip(numbers)}</g>"):
        at = element.get("cx") or " ".join(re.findall(r"[MH]([-\d.]+)", element.get("d", "")))
        found.setdefault(element.attrib["class"], []).extend(map(float, at.split()))
    return found


@given(drawn())
def test_whatever_the_numbers_all_parts_lie_inside_and_in_their_order(numbers: DrawnNumbers) -> None:
    found = parts(numbers)
    assert all(0 <= x <= WIDTH for places in found.values() for x in places)
    (dot,) = found["dot"]
    assert ("span" in found) == numbers.interval
    assert ("zero" in found) == numbers.zero
    assert ("holds" in found) == (numbers.holds is not None)
    assert len(found.get("open", [])) == numbers.interval * [numbers.low, numbers.high].count(None)
    if numbers.interval:
        assert found["span"][0] <= dot <= found["span"][1]
    marks = [(numbers.estimate, dot)]
    marks += [(0.0, found["zero"][0])] if numbers.zero else []
    if numbers.holds is not None:
        left, right, back = found["holds"]
        assert left == back <= right
        marks += [(v, x) for v, x in zip(numbers.holds, (left, right), strict=True) if v is not None]
    for value, x in marks:
        for other, y in marks:
            assert x <= y or value >= other


@pytest.mark.parametrize(
    ("holds", "inside"), [((0.2, None), True), ((None, 0.2), False), ((0.5, None), False), ((-1.0, 1.0), True)]
)
def test_the_dot_is_on_the_shade_where_the_claim_holds(holds: tuple[float | None, float | None], inside: bool) -> None:
    found = parts(DrawnNumbers(estimate=0.4, low=0.3, high=0.45, interval=True, holds=holds, zero=True))
    left, right, _ = found["holds"]
    assert (left < found["dot"][0] < right) == inside
    assert right - left > 3, "where a claim holds can be seen"


def test_numbers_of_verdicts_are_those_of_their_text() -> None:
    report = report_of(width_tables())
    assert report.context is not None
    for verdict, answer in zip(report.context.verdicts, report.summary.answers, strict=True):
        numbers = numbers_of(verdict)
        assert answer.numbers == numbers
        assert numbers is not None
        text = [
            float(t) for t in re.findall(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?", answer.estimate.replace("95%", ""))
        ]
        assert text[0] == pytest.approx(numbers.estimate, rel=0.05)
        assert answer.n == verdict.n
        assert answer.source == verdict.claim.source
        assert numbers.holds is not None
        low, high = (-float("inf") if numbers.holds[0] is None else numbers.holds[0]), numbers.holds[1]
        holds = low < numbers.estimate < (float("inf") if high is None else high)
        if verdict.decision in ("supported", "refuted"):
            assert holds == (verdict.decision == "supported")


def test_a_picture_has_a_strip_for_each_claim_in_the_colour_of_its_verdict() -> None:
    numbers = DrawnNumbers(estimate=1.0)
    answers = [
        Answer(id="a", says="A.", verdict="supported", estimate="1", numbers=numbers),
        Answer(id="b", says="B.", verdict="at the margin", estimate="-"),
        Answer(id="c", says="C.", verdict="refuted", estimate="1", numbers=numbers),
    ]
    content = picture(answers)
    assert content is not None
    root = ET.fromstring(content)
    groups = [e for e in root if e.tag.endswith("}g")]
    assert [g.get("color") for g in groups] == [COLOURS[a.verdict] for a in answers]
    assert [len(g) for g in groups] == [1, 0, 1]
    assert float(root.attrib["height"]) >= 3 * HEIGHT
    assert picture(answers[1:2]) is None
    assert picture([]) is None
