"""The index in a real browser: chips and search choose claims, by mouse and by keyboard, and what is left is counted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from chromium import Page

from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.pages.index_page import Entry, Index, page
from mlpbench.report.summary import Answer, DrawnNumbers, Summary

pytestmark = pytest.mark.slow

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
ROWS = "[...document.querySelectorAll('tbody tr')].filter((r) => r.checkVisibility()).map((r) => r.id)"
TOPICS = "[...document.querySelectorAll('.topic')].filter((t) => t.checkVisibility()).map((t) => t.id)"
ARTICLES = "[...document.querySelectorAll('article h3')].filter((t) => t.checkVisibility()).map((t) => t.textContent)"
COUNT = "document.getElementById('found').textContent"
PRESSED = (
    "[...document.querySelectorAll('.chips [aria-pressed=true]')].map((b) => b.dataset.verdict ?? b.dataset.topic)"
)
# Pairs of texts that stand over each other, of those that can be seen.
OVERPRINTED = """(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const boxes = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.textContent.trim() || !node.parentElement.checkVisibility() || node.parentElement.closest('script, style, .unseen, .skip, .find')) continue;
    const range = document.createRange(); range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1) boxes.push([box, node.textContent.trim()]);
  }
  const over = [];
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const [a, b] = [boxes[i][0], boxes[j][0]];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 0.45 * Math.min(a.height, b.height)) over.push([boxes[i][1], boxes[j][1]]);
  }
  return over;
})()"""
ODD = "A claim of $x_1$ <b>in bold</b> & 🙂, of averyverylongwordthatfitsnocolumnofanypageandgoeson" + "on" * 30


def entry(name: str, topic: str, *claims: tuple[str, Decision, str]) -> Entry:
    verdicts: dict[Decision, int] = {}
    answers = []
    for i, (identity, verdict, says) in enumerate(claims):
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        numbers = DrawnNumbers(
            estimate=10.0**i, low=None if i % 2 else -1.0, high=10.0**i + 1, interval=True, holds=(0.2, None)
        )
        given: dict[str, Any] = {"p": 0.001 * (i + 1), "n": 8, "source": "A book of 2015", "numbers": numbers}
        estimate = (
            "+0.000000867 pp per unit of batch_size (90%: +0.000000827 to +0.000000907)" if i % 2 else "+1 (-1 to 2)"
        )
        answers.append(Answer(id=identity, says=says, verdict=verdict, estimate=estimate, **given))
    summary = Summary(
        name=name, question=f"What of {name}?", topic=topic, answers=tuple(answers), verdicts=verdicts, runs={"ok": 9}
    )
    return Entry(folder=name, summary=summary, files=["report.md", "spec.yaml"])


INDEX = Index(
    entries=[
        entry(
            "dropout",
            "Regularisation",
            ("narrows", "refuted", "It narrows the gap."),
            ("helps", "supported", "It helps."),
        ),
        entry("depth", "Width and depth", ("deeper", "undecided", "Deeper is better."), ("odd", "refuted", ODD)),
        entry(
            "width",
            "Width and depth",
            ("wider", "supported", "Wider is better."),
            ("margin", "at the margin", "Narrow too."),
        ),
        entry("bare", "Width and depth"),
    ],
    unread=[],
)
ALL = ["depth--deeper", "depth--odd", "width--wider", "width--margin", "dropout--narrows", "dropout--helps"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "index.html"
    path.write_text(page(INDEX), encoding="utf-8")
    return path


@pytest.fixture
def index(browser: Page, path: Path) -> Page:
    browser.colours("light")
    browser.open(path)
    assert browser.evaluate(ROWS) == ALL
    assert browser.evaluate(COUNT) == "6 of 6 claims"
    return browser


def test_it_fits_and_prints_nothing_over_anything(browser: Page, path: Path, tmp_path: Path) -> None:
    shots = Path(os.environ.get("MLPBENCH_SCREENSHOTS", tmp_path))
    browser.open(path)
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        for width in (1280, 700, 400, 320):
            browser.size(width, 900)
            browser.screenshot(shots / f"claims-{scheme}-{width}.png")
            assert browser.evaluate(OVERFLOW) == 0
            assert browser.evaluate(OVERPRINTED) == []
    assert browser.complaints() == []
    assert browser.requests() == [path.resolve().as_uri()]


def test_chips_of_one_kind_add_up_and_of_two_kinds_narrow_down(index: Page) -> None:
    index.click("[data-verdict=refuted]")
    assert index.evaluate(ROWS) == ["depth--odd", "dropout--narrows"]
    assert index.evaluate(COUNT) == "2 of 6 claims"
    assert index.evaluate(ARTICLES) == ["depth", "dropout"], "what has no claim left goes, and what claims nothing too"
    index.click("[data-verdict=supported]")
    assert index.evaluate(ROWS) == ["depth--odd", "width--wider", "dropout--narrows", "dropout--helps"]
    index.click("[data-topic=topic-regularisation]")
    assert index.evaluate(ROWS) == ["dropout--narrows", "dropout--helps"]
    assert index.evaluate(TOPICS) == ["topic-regularisation"]
    assert index.evaluate(PRESSED) == ["supported", "refuted", "topic-regularisation"]
    index.click("[data-verdict=refuted]")
    assert index.evaluate(ROWS) == ["dropout--helps"]
    index.click("#all")
    assert index.evaluate(ROWS) == ALL
    assert index.evaluate(PRESSED) == []
    assert not index.evaluate("document.getElementById('all').checkVisibility()")
    assert index.complaints() == []


def test_chips_are_pressed_by_keyboard_and_escape_lets_all_go(index: Page) -> None:
    index.evaluate("document.querySelector('.chips button').focus()")
    assert index.evaluate("document.activeElement.dataset.verdict") == "supported"
    index.press("Enter")
    assert index.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert index.evaluate(ROWS) == ["width--wider", "dropout--helps"]
    index.press("Tab")
    index.press("Enter")
    assert index.evaluate(PRESSED) == ["supported", "refuted"]
    assert index.evaluate(COUNT) == "4 of 6 claims"
    index.press("Escape")
    assert index.evaluate(ROWS) == ALL
    assert index.evaluate("document.activeElement.dataset.verdict") == "refuted", "the focus stays where it was"


def test_words_find_claims_sources_experiments_and_topics_and_no_match_is_said(index: Page) -> None:
    for text, expected in (
        ("BETTER", ["depth--deeper", "width--wider"]),
        ("depth better", ["depth--deeper", "width--wider"]),
        ("dropout 2015", ["dropout--narrows", "dropout--helps"]),
        ("regularisation gap", ["dropout--narrows"]),
        ("what of bare", []),
        ("<b>in", ["depth--odd"]),
    ):
        index.evaluate("(() => { const s = document.getElementById('search'); s.value = ''; s.focus(); })()")
        index.type(text)
        assert index.evaluate(ROWS) == expected
        assert index.evaluate(COUNT) == f"{len(expected)} of 6 claims"
    index.evaluate("(() => { const s = document.getElementById('search'); s.value = ''; s.focus(); })()")
    index.type("what of bare")
    assert index.evaluate(ARTICLES) == ["bare"]
    assert not index.evaluate("document.getElementById('none').checkVisibility()")
    index.type(" nothing has this")
    assert index.evaluate(TOPICS) == []
    assert index.evaluate("document.getElementById('none').innerText").startswith("No claim matches.")
    assert index.evaluate("document.getElementById('none').checkVisibility()")
    index.press("Escape")
    assert index.evaluate(ROWS) == ALL


def test_a_link_to_a_claim_shows_it_whatever_is_chosen(index: Page) -> None:
    index.click("[data-verdict=supported]")
    assert "depth--odd" not in index.evaluate(ROWS)
    index.evaluate("location.hash = '#depth--odd'")
    index.wait(f"{ROWS}.includes('depth--odd')")
    box = index.evaluate(
        "(() => { const b = document.querySelector('#depth--odd').getBoundingClientRect(); return [b.top, b.bottom]; })()"
    )
    assert 0 <= box[0] < box[1] <= 900
    bar = index.evaluate("document.getElementById('find').getBoundingClientRect().bottom")
    assert box[0] >= bar - 1, "it isn't behind the bar"
    assert index.complaints() == []


def test_what_the_keyboard_reaches_is_not_behind_the_bar(index: Page) -> None:
    index.size(1200, 420)
    index.evaluate("document.querySelector('#dropout--helps a').focus()")
    for _ in range(12):
        index.press("Tab", shift=True)
        box, bar, inside = index.evaluate(
            "(() => { const e = document.activeElement, f = document.getElementById('find'); return [e.getBoundingClientRect().top,"
            " f.getBoundingClientRect().bottom, Boolean(e.closest('main'))]; })()"
        )
        assert not inside or box >= bar - 1


def test_strips_have_the_colours_of_their_verdicts(index: Page) -> None:
    colours = index.evaluate(
        "Object.fromEntries([...document.querySelectorAll('tbody tr')].map((r) => [r.id, "
        "[getComputedStyle(r.querySelector('.dot')).fill, getComputedStyle(r.querySelector('.verdict')).color]]))"
    )
    assert list(colours) == ALL
    assert all(dot == word for dot, word in colours.values())
    assert len({dot for dot, _ in colours.values()}) == 4


def test_without_scripts_every_claim_is_there_and_nothing_is_promised(browser: Page, path: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(path)
        nodes = browser.ask("DOM.getDocument", depth=-1)["root"]["nodeId"]
        for selector, count in (
            ("#find[hidden]", 1),
            ("tbody tr:not([hidden])", 6),
            ("#none[hidden]", 1),
            (".strip", 6),
        ):
            found = browser.ask("DOM.querySelectorAll", nodeId=nodes, selector=selector)["nodeIds"]
            assert len(found) == count, json.dumps(selector)
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
