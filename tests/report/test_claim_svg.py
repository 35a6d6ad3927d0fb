"""The figure of a claim on the page: the same numbers at the same places as in the picture, with words for each dot."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from arithmetic_tables import verdict_with, width_tables
from reports import report_of

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.answer.claim_figure import claim_numbers, draw
from mlpbench.report.pages.claim_svg import NUMBER, RIGHT, panels
from mlpbench.report.pages.page import report_page

VERDICTS = judge_claims(*width_tables().parts)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda v: v.claim.id)
def test_everything_stands_where_the_picture_has_it(verdict: Verdict) -> None:
    numbers, panel = claim_numbers(verdict), panels(verdict)[-1]
    left, right = draw(verdict).axes[-1].get_xlim()

    def place(value: float) -> float:
        return RIGHT + (value - left) / (right - left) * (NUMBER - 2 * RIGHT)

    assert [dot.x for dot in panel.dots] == pytest.approx([place(v) for v in numbers.dots], abs=0.06)
    assert list(panel.bounds) == pytest.approx([place(v) for v in numbers.bounds], abs=0.06)
    assert panel.estimate == pytest.approx(place(numbers.estimate), abs=0.06)
    assert numbers.interval is not None
    assert panel.spans[-1] == pytest.approx([place(v) for v in numbers.interval], abs=0.06)
    assert len(panels(verdict)) == 1 + bool(numbers.above)


def test_every_dot_says_its_number_and_lies_within_its_frame() -> None:
    for verdict in VERDICTS:
        for panel in panels(verdict):
            left, top, right, bottom = panel.frame
            assert panel.dots
            for dot in panel.dots:
                assert re.fullmatch(r"-?[\d.e+-]+( \w+)?", dot.words)
                assert left <= dot.x <= right
                assert top <= dot.y <= bottom


def test_replicates_are_joined_in_their_order() -> None:
    sides = panels(VERDICTS[0])[0]
    numbers = claim_numbers(VERDICTS[0])
    assert [(a.words, b.words) for a, b in sides.joined] == [
        (f"{b:.4g}", f"{a:.4g}") for a, b in zip(numbers.above, numbers.below, strict=True)
    ]
    assert [lines for _, lines in sides.names] == [["256"], ["1024"]]


@pytest.mark.usefixtures("blank_figures")
def test_a_page_has_a_figure_for_each_card_and_no_words_of_users_as_markup() -> None:
    page = report_page(report_of(width_tables()))
    assert page.count('<figure class="claim"') == len(VERDICTS)
    assert page.count('<path class="estimate"') == len(VERDICTS)
    assert page.count("<circle") == sum(len(p.dots) for v in VERDICTS for p in panels(v))
    odd = replace(VERDICTS[0], hypothesis=replace(VERDICTS[0].hypothesis, sides=("<b>&", '"x"')))
    assert panels(odd)[0].names[0][1] == ['"x"']


def test_a_verdict_without_numbers_has_its_interval_alone() -> None:
    (panel,) = panels(verdict_with())
    assert not panel.dots
    assert panel.spans
    assert panel.height < panels(VERDICTS[1])[0].height
