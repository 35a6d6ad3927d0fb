"""The pages in a real browser: silent, offline, sortable, filterable, usable by keyboard, readable in both colours.

Pictures of every page that is looked at are left in `MLPBENCH_SCREENSHOTS`, where that is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arithmetic_folders import make_folder
from chromium import Page, chromium
from repository import REFERENCE

from mlpbench.jobs import write_pages
from mlpbench.results.folders import read_folder

pytestmark = pytest.mark.slow

WIDE = {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 1}, "expect": "greater"}
MANY: dict[str, Any] = {
    "name": "many",
    "question": "Does a page <b>hold</b> many runs & long labels?",
    "dataset": "fashion_mnist",
    "factors": {"width": [1, 8, 64], "lr": [0.001, 0.1], "activation": ["relu", "tanh"], "dropout": [0, 0.5]},
    "replicates": 5,
    "claims": [{"id": "wide", "says": "Wider is <script>better</script>.", "compare": WIDE}],
}
ROWS = "[...document.querySelectorAll('#run-table tbody tr')]"
SHOWN = f"{ROWS}.filter((r) => !r.hidden)"
CHOSEN = "[...new Set([...document.querySelectorAll('.chosen')].map((e) => e.dataset.key))]"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Contrast of every text with what is behind it (WCAG 2.2, 1.4.3), as the browser computed both.
CONTRAST = """(() => {
  const context = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255, 255];
  };
  const worst = new Map();
  const note = (what, e, colour) => {
    const [a, b] = [light(rgba(colour)), light(behind(e))].sort((x, y) => x - y);
    worst.set(what, Math.min(worst.get(what) ?? 99, (b + 0.05) / (a + 0.05)));
  };
  for (const e of document.querySelectorAll('body, body *')) {
    if (e.closest('script, .skip, [hidden], svg title')) continue;
    const style = getComputedStyle(e);
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
      note('text', e, e.closest('svg') ? style.fill : style.color);
    if (e.matches('.curve .line')) note('curve', e, style.stroke);
  }
  return Object.fromEntries(worst);
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the reference results, many runs, and an index."""
    results = tmp_path_factory.mktemp("results")
    shutil.copytree(REFERENCE / "width", results / "width")
    make_folder(MANY, results)
    for name in ("width", "many"):
        write_pages.write(results / name, html=True)
    write_pages.write_index(results)
    return results


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def width(browser: Page, folder: Path) -> Page:
    """The page of the reference results, opened anew."""
    browser.colours("light")
    browser.open(folder / "width" / "report.html")
    return browser


PAGES = ("width/report.html", "many/report.html", "index.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [1200, 800, 390])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_without_a_word_a_request_or_a_horizontal_scrollbar(
    browser: Page, folder: Path, tmp_path: Path, path: str, size: int, scheme: str
) -> None:
    browser.colours(scheme)
    browser.open(folder / path, width=size)
    shots = Path(os.environ.get("MLPBENCH_SCREENSHOTS", tmp_path))
    name = path.removesuffix(".html").replace("/", "-")
    assert browser.screenshot(shots / f"{name}-{scheme}-{size}.png").startswith(b"\x89PNG")
    assert browser.evaluate(OVERFLOW) == 0
    assert browser.complaints() == []
    assert browser.requests() == [(folder / path).resolve().as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_text_stands_out_from_what_is_behind_it(browser: Page, folder: Path, path: str, scheme: str) -> None:
    browser.colours(scheme)
    browser.open(folder / path)
    dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    found = browser.evaluate(CONTRAST)
    assert found["text"] >= 4.5
    if scheme == "dark" and path != "index.html":
        assert found["curve"] >= 3


def heading(page: Page, name: str) -> int:
    found: int = page.evaluate(
        f"[...document.querySelectorAll('#run-table th')].findIndex((h) => h.innerText === '{name}')"
    )
    assert found >= 0
    return found


def column(page: Page, name: str) -> list[str]:
    values: list[str] = page.evaluate(f"{SHOWN}.map((r) => r.cells[{heading(page, name)}].textContent)")
    return values


def test_a_heading_sorts_numbers_as_numbers_both_ways(width: Page) -> None:
    before = column(width, "width")
    assert len(before) == 64
    for name in ("width", "test loss"):
        place = heading(width, name)
        head = f"document.querySelectorAll('#run-table th')[{place}]"
        for sort, backwards in (("ascending", False), ("descending", True)):
            width.click(f"#run-table th:nth-child({place + 1}) button")
            assert width.evaluate(f"{head}.getAttribute('aria-sort')") == sort
            width.wait(
                f"((v) => v.every((x, i) => !i || ({'v[i - 1] >= x' if backwards else 'v[i - 1] <= x'})))"
                f"({ROWS}.map((r) => Number(r.cells[{place}].textContent)))"
            )
            numbers = [float(v) for v in column(width, name)]
            assert numbers == sorted(numbers, reverse=backwards)
    assert sorted(column(width, "width")) == sorted(before)
    assert before != sorted(before)  # as words 1024 comes first: the order above was not by accident
    assert width.complaints() == []


def test_typing_filters_rows_by_all_words_and_keeps_the_order_of_a_sort(browser: Page, folder: Path) -> None:
    browser.open(folder / "many" / "report.html")
    browser.evaluate("document.getElementById('filter').focus()")
    browser.type("TANH 0.001")
    expected = [("tanh", "0.001")] * 30
    assert list(zip(column(browser, "activation"), column(browser, "lr"), strict=True)) == expected
    assert browser.evaluate("document.getElementById('count').textContent") == "30 of 120"
    browser.click("#run-table th button")
    browser.wait("document.querySelector('th[aria-sort]') !== null")
    browser.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert len(column(browser, "lr")) == 30
    browser.evaluate("document.getElementById('filter').focus()")
    browser.type(" nothing has this")
    assert column(browser, "lr") == []
    assert browser.complaints() == []


def test_pointing_at_a_curve_highlights_it_in_every_panel(width: Page) -> None:
    assert width.evaluate(CHOSEN) == []
    width.evaluate("document.getElementById('curves').scrollIntoView({block: 'center'})")
    at = width.evaluate(
        "(() => { const p = document.querySelector('.panel .curve[data-key=\"0\"] .reach');"
        "const q = p.getPointAtLength(p.getTotalLength() * 0.6).matrixTransform(p.getScreenCTM()); return [q.x, q.y]; })()"
    )
    width.move(*at)
    width.wait(f"{CHOSEN}.length === 1")
    assert width.evaluate(CHOSEN) == ["0"]
    assert width.evaluate("document.querySelectorAll('.curve.chosen').length") == 4
    assert width.evaluate("document.getElementById('readout').textContent").startswith(
        "8: after 10 epochs, test accuracy 0.8"
    )
    width.wait("getComputedStyle(document.querySelector('.curve:not(.chosen) .line')).opacity < 0.3")
    width.move(2, 2)
    width.wait(f"{CHOSEN}.length === 0")


def test_the_keyboard_highlights_pins_and_lets_go(width: Page) -> None:
    width.evaluate("document.querySelectorAll('.legend button')[6].focus()")
    width.press("Tab")
    assert width.evaluate(CHOSEN) == ["7"]
    width.press("Enter")
    assert width.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    width.press("Tab", shift=True)
    assert width.evaluate(CHOSEN) == ["6"]
    width.evaluate("document.activeElement.blur()")
    assert width.evaluate(CHOSEN) == ["7"]
    width.press("Escape")
    assert width.evaluate(CHOSEN) == []
    assert width.complaints() == []


@pytest.mark.parametrize("path", PAGES)
def test_tab_reaches_everything_and_shows_where_it_is(browser: Page, folder: Path, path: str) -> None:
    browser.open(folder / path, width=800)
    reachable = "a[href]:not([tabindex='-1']), button, input, summary, .scroll"
    browser.evaluate(
        f'[...document.querySelectorAll("{reachable}")].filter((e) => e.checkVisibility()).forEach((e, i) => e.dataset.stop = i)'
    )
    n = browser.evaluate("document.querySelectorAll('[data-stop]').length")
    assert n > 4
    reached = []
    for _ in range(n):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.dataset.stop ?? document.activeElement.outerHTML"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == [str(i) for i in range(n)]


def test_the_button_changes_colours_and_the_next_page_remembers(browser: Page, folder: Path) -> None:
    browser.colours("light")
    browser.open(folder / "index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    light = browser.evaluate(background)
    try:
        browser.click("#theme")
        assert browser.evaluate("document.getElementById('theme').textContent") == "Theme: light"
        browser.click("#theme")
        dark = browser.evaluate(background)
        assert dark != light
        # What a page stores is on its way for a while: the next one, in a process of its own, may be ahead of it.
        browser.until(background, dark, by=lambda: browser.open(folder / "index.html"))
    finally:
        browser.evaluate("localStorage.clear()")


def test_links_of_the_index_open_reports(browser: Page, folder: Path) -> None:
    browser.open(folder / "index.html")
    browser.events.clear()
    name = browser.evaluate("document.querySelector('article h3 a').textContent")
    browser.click("article h3 a")
    browser.wait(f"location.pathname.endsWith('/{name}/report.html') && document.readyState === 'complete'")
    question = read_folder(folder / name).question
    assert browser.evaluate("document.querySelector('h1').textContent") == question


def test_without_scripts_everything_is_there_and_nothing_is_promised(browser: Page, folder: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(folder / "width" / "report.html")
        nodes = browser.ask("DOM.getDocument", depth=-1)["root"]["nodeId"]
        for selector, count in (
            (".tools[hidden]", 1),
            ("#theme[hidden]", 1),
            ("#run-table tbody tr", 64),
            (".curve", 32),
        ):
            found = browser.ask("DOM.querySelectorAll", nodeId=nodes, selector=selector)["nodeIds"]
            assert len(found) == count
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


BOXES = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll('.claim svg')) {
    const boxes = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    boxes.forEach(([a, one], i) => {
      if (one.left < frame.left - 1 || one.right > frame.right + 1) found.push(`${a} beyond its panel`);
      for (const [b, two] of boxes.slice(i + 1))
        if (one.left < two.right && two.left < one.right && one.top + 2 < two.bottom && two.top + 2 < one.bottom)
          found.push(`${a} on ${b}`);
    });
  }
  return found;
})()"""


@pytest.mark.parametrize("size", [1280, 400])
@pytest.mark.parametrize("path", PAGES[:2])
def test_panels_of_a_claim_stand_side_by_side_or_below_and_no_text_on_another(
    browser: Page, folder: Path, path: str, size: int
) -> None:
    browser.open(folder / path, width=size)
    places = browser.evaluate(
        "[...document.querySelectorAll('.claim:has(.sides)')].map((f) => [...f.children].map((e) => "
        "{ const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }))"
    )
    assert places
    for first, second in places:
        if size > 1000:
            assert first[2] <= second[0]
            assert first[1] < second[3]
        else:
            assert first[3] <= second[1]
        assert second[2] <= size
    assert browser.evaluate(BOXES) == []


def test_a_link_or_a_key_opens_a_folded_section(width: Page) -> None:
    state = "document.getElementById('how-this-was-judged').closest('details').open"
    assert width.evaluate(state) is False
    width.click("nav a[href='#how-this-was-judged']")
    width.wait(state)
    width.evaluate("document.getElementById('replicates').closest('summary').focus()")
    width.press("Enter")
    width.wait("document.getElementById('replicates').closest('details').open")
    assert width.complaints() == []


def test_a_dot_says_its_number(width: Page) -> None:
    said = width.evaluate("[...document.querySelectorAll('.claim circle title')].map((t) => t.textContent)")
    assert len(said) == width.evaluate("document.querySelectorAll('.claim circle').length") > 30
    assert all(any(c.isdigit() for c in words) for words in said)
