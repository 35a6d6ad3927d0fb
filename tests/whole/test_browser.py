"""The pages in a real browser: silent, offline, sortable, filterable, usable by keyboard, readable in both colours.

Pictures of every page that is looked at are left in `MLPBENCH_SCREENSHOTS`, where that is set.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from arithmetic_folders import make_folder
from chromium import Page
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
CURVES = "figure.drawn[data-name=learning_curves]"
CHOSEN = f"[...new Set([...document.querySelectorAll('{CURVES} .chosen')].map((e) => e.dataset.entry))]"
READOUT = f"document.querySelector('{CURVES} .readout').textContent"
VIEW = f"document.querySelector('{CURVES} svg').getAttribute('viewBox').split(' ').map(Number)"
# What a button would save, by the name of the file.
CATCH = """(() => {
  window.saved = {};
  URL.createObjectURL = (blob) => { window.caught = blob; return 'data:,'; };
  HTMLAnchorElement.prototype.click = function () { window.saved[this.download] = window.caught; };
})()"""
# Texts of a figure that stand on each other, as the browser sets them.
OVERPRINTED = """[...document.querySelectorAll('figure.drawn svg')].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll('text')].filter((t) => t.textContent.trim()).map((t) => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) =>
    Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4)
    .map(([b]) => `${svg.closest('figure').dataset.name}: ${a} | ${b}`));
})"""
# Texts of a claim's panel that reach beyond it.
BEYOND = """[...document.querySelectorAll('.card .drawn svg')].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter((t) => t.textContent.trim()).map((t) => [t.textContent, t.getBoundingClientRect()])
    .filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
    .map(([words]) => words);
})"""
FOLD_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = false; })"
UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
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
    if (e.closest('script, .skip, [hidden], .fixed, svg title')) continue;
    const style = getComputedStyle(e);
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
      note('text', e, e.closest('svg') ? style.fill : style.color);
    if (e.matches('.member path') && style.stroke.startsWith('rgb') && style.fill === 'none') note('curve', e, style.stroke);
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


@pytest.fixture
def width(browser: Page, folder: Path) -> Page:
    """The page of the reference results, opened anew."""
    browser.colours("light")
    browser.open(folder / "width" / "report.html")
    browser.evaluate(UNFOLD)
    return browser


PAGES = ("width/report.html", "many/report.html", "index.html")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_silent_offline_and_readable_at_any_size_in_both_colours(
    browser: Page, folder: Path, tmp_path: Path, path: str
) -> None:
    """Opened once, for everything that is looked at: nothing said, nothing asked for, nothing wider than the window."""
    shots = Path(os.environ.get("MLPBENCH_SCREENSHOTS", tmp_path))
    name = path.removesuffix(".html").replace("/", "-")
    browser.open(folder / path)
    is_index = path == "index.html"
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")
        for size in (1280, 800, 400):
            browser.size(size, 900)
            for state in ("closed", "open")[: 1 + (not is_index)]:
                browser.evaluate(FOLD_ALL if state == "closed" else UNFOLD)
                picture = browser.screenshot(shots / f"{name}-{scheme}-{size}-{state}.png")
                assert picture.startswith(b"\x89PNG")
                assert browser.evaluate(OVERFLOW) == 0
            assert browser.evaluate(OVERPRINTED) == []
            assert browser.evaluate(BEYOND) == []
        found = browser.evaluate(CONTRAST)
        assert found["text"] >= 4.5
        if dark and not is_index:
            assert found["curve"] >= 3
    assert browser.complaints() == []
    assert browser.requests() == [(folder / path).resolve().as_uri()]


def test_a_link_to_a_passage_opens_the_fold_around_it(browser: Page, folder: Path) -> None:
    """As a search engine links to it; the browser's own search, which no protocol reaches, shows what is found in the same way."""
    path = folder / "width" / "report.html"
    browser.open(path)
    folded = "document.getElementById('diagnostics').closest('details')"
    assert browser.evaluate(f"{folded}.open") is False
    browser.ask("Page.navigate", url=f"{path.resolve().as_uri()}#:~:text=Replicates%20of%20one%20condition")
    browser.wait(f"{folded}.open && scrollY > 0")
    others = "[...document.querySelectorAll('main details')].filter((d) => d.open).length"
    assert browser.evaluate(others) == 1
    assert browser.complaints() == []


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
    browser.evaluate(UNFOLD)
    browser.evaluate("document.getElementById('filter').focus()")
    browser.type("TANH 0.001")
    expected = [("tanh", "0.001")] * 30
    assert list(zip(column(browser, "activation"), column(browser, "lr"), strict=True)) == expected
    assert browser.evaluate("document.getElementById('count').textContent") == "30 of 120 rows"
    browser.click("#run-table th button")
    browser.wait("document.querySelector('th[aria-sort]') !== null")
    browser.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert len(column(browser, "lr")) == 30
    browser.evaluate("document.getElementById('filter').focus()")
    browser.type(" nothing has this")
    assert column(browser, "lr") == []
    assert browser.evaluate("document.getElementById('count').textContent") == "0 of 120 rows: no run matches"
    assert browser.complaints() == []


def test_a_filter_compares_the_numbers_and_words_of_a_column(width: Page) -> None:
    everything = width.evaluate(f"{ROWS}.map((r) => [...r.cells].map((c) => c.textContent))")
    at = heading(width, "width"), heading(width, "test accuracy")
    runs = [(float(r[at[0]]), float(r[at[1]])) for r in everything]
    high = round(statistics.median(a for w, a in runs if w >= 256), 4)
    low = round(statistics.median(a for w, a in runs if w != 8), 4)
    rules: tuple[tuple[str, Callable[[float, float], bool] | None], ...] = (
        ("width=512", lambda w, a: w == 512),
        (f"WIDTH>=256 test_accuracy>{high}", lambda w, a: w >= 256 and a > high),
        (f"width!=8 status=ok test_accuracy<{low}", lambda w, a: w != 8 and a < low),
        ("512", None),
    )
    for typed, expected in rules:
        width.evaluate("(() => { const f = document.getElementById('filter'); f.value = ''; f.focus(); })()")
        width.type(typed)
        rows = list(zip(map(float, column(width, "width")), map(float, column(width, "test accuracy")), strict=True))
        assert rows
        if expected:
            assert all(expected(w, a) for w, a in rows)
            assert len(rows) == sum(expected(w, a) for w, a in runs)
    assert width.complaints() == []


def point_at(page: Page, what: str, i: int) -> list[float]:
    """Return where the i-th of the points of a panel of the learning curves is in the window, and show it."""
    found: list[float] = page.evaluate(
        f"(() => {{ const f = document.querySelector('{CURVES}'); f.scrollIntoView({{block: 'center'}});"
        f"const axes = JSON.parse(f.dataset.points).find((a) => `${{a.t}} ${{a.y}}` === '{what}'); const p = axes.p.at({i});"
        "const q = new DOMPoint(p[0], p[1]).matrixTransform(f.querySelector('svg').getScreenCTM()); return [q.x, q.y]; })()"
    )
    return found


def test_pointing_at_a_point_says_what_it_stands_for(width: Page) -> None:
    assert width.evaluate(READOUT).startswith("Point at a number")
    width.move(*point_at(width, "test accuracy", -1))
    width.wait(f"{READOUT}.includes('epoch 10')")
    said = width.evaluate(READOUT)
    assert said.startswith("test, ")
    entry = said.split(", ")[1].split(" ")[0]
    runs = [
        float(accuracy)
        for w, accuracy in zip(column(width, "width"), column(width, "test accuracy"), strict=True)
        if w == entry
    ]
    assert float(said.rpartition("accuracy ")[2]) == pytest.approx(sum(runs) / len(runs), abs=1e-4)
    assert width.evaluate(f"document.querySelector('{CURVES} .mark').getAttribute('visibility')") == "visible"
    width.move(2, 2)
    width.wait(f"{READOUT}.startsWith('Point at')")


def test_arrow_keys_go_through_the_points(width: Page) -> None:
    width.evaluate(f"document.querySelector('{CURVES} .canvas').focus()")
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        width.press(key)
        said.append(width.evaluate(READOUT))
    assert said[0] == said[2]
    assert len({*said}) == 2
    assert "epoch " in said[0]
    width.press("Escape")
    assert width.evaluate(READOUT).startswith("Point at")


def test_the_keyboard_highlights_pins_and_lets_go(width: Page) -> None:
    width.evaluate(f"document.querySelectorAll('{CURVES} .entry')[6].focus()")
    width.press("Tab")
    assert width.evaluate(CHOSEN) == ["7"]
    width.wait(f"getComputedStyle(document.querySelector('{CURVES} .member:not(.chosen)')).opacity < 0.3")
    width.press("Enter")
    assert width.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    width.press("Tab", shift=True)
    assert width.evaluate(CHOSEN) == ["6"]
    width.evaluate("document.activeElement.blur()")
    assert width.evaluate(CHOSEN) == ["7"]
    width.evaluate(f"document.querySelector('{CURVES} .canvas').focus()")
    width.press("Escape")
    assert width.evaluate(CHOSEN) == []
    assert width.complaints() == []


def test_a_figure_is_zoomed_moved_and_shown_whole_again(width: Page) -> None:
    whole = width.evaluate(VIEW)
    tools = f"{CURVES} .tools button"
    width.click(f"{tools}[data-do=in]")
    width.click(f"{tools}[data-do=in]")
    near = width.evaluate(VIEW)
    assert near[2] == pytest.approx(whole[2] / 1.4**2)
    assert near[2] / near[3] == pytest.approx(whole[2] / whole[3])
    assert near[0] > whole[0]
    box = width.evaluate(
        f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])(document.querySelector('{CURVES} svg').getBoundingClientRect())"
    )
    for kind, dx, buttons in (("mousePressed", 0, 1), ("mouseMoved", 40, 1), ("mouseReleased", 40, 0)):
        button = "none" if kind == "mouseMoved" else "left"
        width.ask(
            "Input.dispatchMouseEvent", type=kind, x=box[0] + dx, y=box[1], button=button, buttons=buttons, clickCount=1
        )
    assert width.evaluate(VIEW)[0] < near[0]
    for _ in range(20):
        width.click(f"{tools}[data-do=out]")
    assert width.evaluate(VIEW) == pytest.approx(whole)
    for _ in range(30):
        width.click(f"{tools}[data-do=in]")
    assert width.evaluate(VIEW)[2] == pytest.approx(whole[2] / 16), "no further"
    width.click(f"{tools}[data-do=all]")
    assert width.evaluate(VIEW) == pytest.approx(whole)
    assert width.complaints() == []


def test_figures_and_tables_are_saved_as_files(width: Page) -> None:
    width.evaluate(CATCH)
    for what in ("svg", "csv"):
        width.click(f"{CURVES} .tools button[data-do={what}]")
    for i in (1, 2):
        width.click(f"main .keep button:nth-child({i})")
    saved = {
        name: width.evaluate(f"window.saved[{name!r}].text()") for name in width.evaluate("Object.keys(window.saved)")
    }
    picture = ElementTree.fromstring(saved["learning_curves.svg"])
    colours = {node.get(key, "") for node in picture.iter() for key in ("fill", "stroke")}
    assert not [c for c in colours if "var(" in c or "light-dark" in c], "it stands alone"
    assert "svg" in picture.tag
    rows = list(csv.DictReader(io.StringIO(saved["learning_curves.csv"])))
    assert {r["entry"] for r in rows} == {str(2**i) for i in range(3, 11)}
    assert {(r["x name"], r["y name"]) for r in rows} == {("epoch", "loss"), ("epoch", "accuracy")}
    ends = {name.rpartition(".")[2]: content for name, content in saved.items() if "learning" not in name}
    assert set(ends) == {"csv", "tex"}
    assert ends["tex"].startswith("\\begin{tabular}{")
    assert ends["tex"].count("\\\\") == len(list(csv.reader(io.StringIO(ends["csv"]))))
    assert width.complaints() == []


@pytest.mark.parametrize("path", PAGES)
def test_tab_reaches_everything_and_shows_where_it_is(browser: Page, folder: Path, path: str) -> None:
    browser.open(folder / path, width=800)
    reachable = "a[href]:not([tabindex='-1']), button, input, summary, .scroll, .canvas, .entry[role=button]"
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
    browser.open(folder / "width" / "report.html")
    drawn = {
        s: browser.evaluate(f"document.querySelectorAll('{s}').length")
        for s in (".tools", ".drawn svg:not(.part)", ".part")
    }
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(folder / "width" / "report.html")
        nodes = browser.ask("DOM.getDocument", depth=-1)["root"]["nodeId"]
        for selector, count in (
            (".tools[hidden]", drawn[".tools"]),
            ("#theme[hidden]", 1),
            ("#run-table tbody tr", 64),
            (".drawn svg:not(.part)", drawn[".drawn svg:not(.part)"]),
            (".part", drawn[".part"]),
            ("[data-name=learning_curves] .entry", 8),
        ):
            found = browser.ask("DOM.querySelectorAll", nodeId=nodes, selector=selector)["nodeIds"]
            assert len(found) == count > 0
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("path", PAGES[:2])
def test_panels_of_a_claim_stand_side_by_side_or_below(browser: Page, folder: Path, path: str) -> None:
    browser.open(folder / path)
    for size in (1280, 400):
        browser.size(size, 900)
        places = browser.evaluate(
            "[...document.querySelectorAll('.card .canvas:has(.part)')].map((f) => [...f.children].map((e) => "
            "{ const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }))"
        )
        assert places
        for first, second in places:
            if size > 1000:
                assert first[2] <= second[0] + 0.5
                assert abs(first[3] - second[3]) < 2
            else:
                assert first[3] <= second[1]
            assert second[2] <= size


def test_a_claim_says_its_numbers_is_zoomed_and_saved_whole(width: Page) -> None:
    claim = "figure.drawn[data-name=claim_1]"
    readout = f"document.querySelector('{claim} .readout').textContent"
    views = (
        f"[...document.querySelectorAll('{claim} svg')].map((s) => s.getAttribute('viewBox').split(' ').map(Number))"
    )
    whole = width.evaluate(views)
    assert len(whole) == 2
    for panel, words in ((0, "test accuracy, %"), (1, "replicate · difference of test accuracy, pp")):
        at = width.evaluate(
            f"(() => {{ const f = document.querySelector('{claim}'); f.scrollIntoView({{block: 'center'}});"
            f"const p = JSON.parse(f.dataset.points)[{panel}].p[0];"
            f"const q = new DOMPoint(p[0], p[1]).matrixTransform(f.querySelectorAll('svg')[{panel}].getScreenCTM());"
            "return [q.x, q.y, p[3], p[4]]; })()"
        )
        width.move(*at[:2])
        width.wait(f"{readout}.includes('{words}')")
        assert width.evaluate(readout).endswith(at[3] or at[2])
    width.click(f"{claim} .tools button[data-do=in]")
    near = width.evaluate(views)
    assert near[0] == whole[0], "the panel that was pointed at last is zoomed"
    assert near[1][2] == pytest.approx(whole[1][2] / 1.4)
    width.evaluate(CATCH)
    for what in ("svg", "csv", "tex"):
        width.click(f"{claim} .tools button[data-do={what}]")
    saved = {n: width.evaluate(f"window.saved[{n!r}].text()") for n in width.evaluate("Object.keys(window.saved)")}
    picture = ElementTree.fromstring(saved["claim_1.svg"])
    assert float(picture.attrib["width"]) == pytest.approx(sum(view[2] for view in whole), abs=0.2)
    texts = "".join(picture.itertext())
    assert "difference of test accuracy, pp" in texts
    assert "test accuracy, %" in texts
    rows = list(csv.DictReader(io.StringIO(saved["claim_1.csv"])))
    assert {r["entry"] for r in rows} >= {"replicate", ""}
    assert saved["claim_1.tex"].count("\\\\") == len(rows) + 1
    width.click(f"{claim} .tools button[data-do=all]")
    assert [v for view in width.evaluate(views) for v in view] == pytest.approx([v for view in whole for v in view])
    assert width.complaints() == []


OPEN = "[...document.querySelectorAll('details[open] summary h2')].map((h) => h.textContent)"


def test_a_page_is_folded_until_a_link_a_key_a_search_or_a_printer_asks(browser: Page, folder: Path) -> None:
    path = folder / "width" / "report.html"
    browser.open(path)
    assert browser.evaluate(OPEN) == []
    assert browser.evaluate("document.documentElement.scrollHeight") < 4500
    browser.click("nav a[href='#how-this-was-judged']")
    browser.wait(f"{OPEN}.join() === 'How this was judged'")
    browser.evaluate("document.querySelector('#how-this-was-judged').closest('details').open = false")
    browser.click("nav a[href='#how-this-was-judged']")  # the address is the same
    browser.wait(f"{OPEN}.join() === 'How this was judged'")
    browser.evaluate("document.getElementById('runs').closest('summary').focus()")
    browser.press("Enter")
    browser.wait(f"{OPEN}.includes('Runs')")
    browser.evaluate(FOLD_ALL)
    browser.evaluate("location.hash = '#replicates'")
    browser.wait(f"{OPEN}.join() === 'Diagnostics'")
    browser.wait("Math.abs(document.getElementById('replicates').getBoundingClientRect().top) < 100")
    browser.evaluate(FOLD_ALL)
    browser.evaluate(
        "addEventListener('beforeprint', () => { window.printed = document.querySelectorAll('details[open]').length; })"
    )
    browser.ask("Page.printToPDF")
    assert browser.evaluate("window.printed") == browser.evaluate("document.querySelectorAll('details').length")
    assert browser.evaluate(OPEN) == []
    assert browser.complaints() == []
