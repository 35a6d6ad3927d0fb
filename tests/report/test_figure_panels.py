"""Panels on the page: a figure is cut between them where nothing is lost by it, and each point says its number."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest
from arithmetic_tables import verdict_with, width_tables
from matplotlib.figure import Figure
from reports import report_of

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.answer.claim_figure import claim_numbers, draw
from mlpbench.report.figures import theme
from mlpbench.report.pages import figure_svg
from mlpbench.report.pages.figure_svg import drawn_figure
from mlpbench.report.pages.page import report_page

VERDICTS = judge_claims(*width_tables().parts)
SIDES = [v for v in VERDICTS if claim_numbers(v).above]


def parts_of(svg: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(part) for part in svg.split("\n") if part]


def view(part: ElementTree.Element) -> list[float]:
    return [float(v) for v in part.attrib["viewBox"].split()]


def marks(parts: list[ElementTree.Element]) -> Counter[Any]:
    """Return what is drawn, wherever it stands."""
    nodes = [node for part in parts for node in part.iter() if not node.tag.endswith(("svg", "}g"))]
    return Counter((node.tag, node.text, *sorted(node.attrib.items())) for node in nodes)


@pytest.mark.parametrize("verdict", SIDES, ids=lambda v: v.claim.id)
def test_panels_are_parts_of_the_whole_and_lose_nothing(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(drawn_figure(draw(verdict), "claim_1", "It.").svg)
    monkeypatch.setattr(figure_svg, "windows", lambda figure: ())
    (whole,) = parts_of(drawn_figure(draw(verdict), "claim_1", "It.").svg)
    assert len(parts) == 2
    assert marks(parts) == marks([whole])
    left, right = map(view, parts)
    assert left[0] == view(whole)[0] == 0
    assert left[2] == pytest.approx(right[0], abs=0.11)
    assert right[0] + right[2] == pytest.approx(view(whole)[2], abs=0.11)
    assert left[3] == right[3] == view(whole)[3]
    shares = [float(part.attrib["width"].removesuffix("%")) for part in parts]
    assert sum(shares) == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda v: v.claim.id)
def test_every_replicate_has_its_number_and_the_estimate_its_verdict(verdict: Verdict) -> None:
    found = drawn_figure(draw(verdict), "claim_1", "It.")
    numbers, panels = claim_numbers(verdict), json.loads(found.points)
    *sides, number = panels
    assert [p[3] for p in number["p"]][:-1] == [f"{v:.4g}" for v in numbers.dots]
    assert {p[5] for p in number["p"][:-1]} == {"replicate"}
    assert number["p"][-1][5].startswith(f"{verdict.decision}, ")
    assert len(sides) == bool(numbers.above)
    if sides:
        assert [p[4] for p in sides[0]["p"]] == [f"{v:.4g}" for v in (*numbers.below, *numbers.above)]
    windows = [view(part) for part in parts_of(found.svg)]
    for panel, (x, _, width, height) in zip(panels, windows, strict=True):
        assert all(x < p[0] < x + width and 0 < p[1] < height for p in panel["p"])


def test_a_verdict_without_numbers_has_its_interval_alone() -> None:
    found = drawn_figure(draw(verdict_with()), "claim_1", "It.")
    assert len(parts_of(found.svg)) == 1
    (panel,) = json.loads(found.points)
    assert len(panel["p"]) == 1


def _panels(rows: int, columns: int, *, legend: bool = False, **options: Any) -> Figure:
    with theme.style():
        figure, axes = theme.new(2, rows, columns, **options)
        for ax in axes:
            ax.plot([0, 1], [0, 1], color="#0173b2", label="one")
        if legend:
            theme.legend_below(figure, theme.colour_handles([("one", "#0173b2"), ("two", "#d55e00")]))
    return figure


@pytest.mark.parametrize(
    ("figure", "n"),
    [
        (_panels(1, 1), 1),
        (_panels(1, 3), 3),
        (_panels(2, 2), 1),
        (_panels(1, 2, sharey=True), 1),
        (_panels(1, 2, legend=True), 1),
    ],
    ids=["one", "a row", "a grid", "a shared axis", "a common legend"],
)
def test_a_figure_is_cut_where_each_panel_can_be_read_alone(figure: Figure, n: int) -> None:
    assert len(parts_of(drawn_figure(figure, "panels", "Panels.").svg)) == n


def test_a_page_has_a_figure_for_each_card() -> None:
    page = report_page(report_of(width_tables()))
    assert re.findall(r'data-name="(claim_\d+)"', page) == [f"claim_{i + 1}" for i in range(len(VERDICTS))]
