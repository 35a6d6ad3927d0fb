"""The page of a report: what the Markdown says, safe to open, looked into by its table and figures, the same bytes twice."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from arithmetic_tables import WIDTHS, Tables, make, spec, width_tables
from blank_figures import leave_blank
from reports import context_of, report_of

from mlpbench.report.context import Context
from mlpbench.report.pages import page as pages
from mlpbench.report.pages.figure_svg import DrawnFigure
from mlpbench.report.pages.markdown_html import VERDICTS, body
from mlpbench.report.pages.page import report_page, run_table
from mlpbench.report.report import Report
from mlpbench.report.section import Section, table
from mlpbench.report.summary import Summary

VOID = {"meta", "link", "img", "input", "br", "hr"}
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)> & "quoted" </td>'
COMPARE = {"metric": "test_accuracy", "a": {"lr": 1.0}, "b": {"lr": 0.1}, "expect": "greater"}
LR_CLAIM = [{"id": "faster", "says": "A larger lr is better.", "compare": COMPARE}]
SOME = {(0, 0): "missing", (1, 1): "failed", (1, 2): "diverged"}
LISTED = {"conditions": [{"label": EVIL, "depth": 0}, {"label": "deep", "depth": 2}]}
EVERY = {(i, r): "diverged" for i in range(2) for r in range(5)}


def evil() -> Tables:
    says = f"{EVIL} ![spy <script>x()</script>](http://example.invalid/x.png) [link](javascript:alert(1))"
    claim = {"id": "c", "says": says, "source": EVIL, "bound": {"metric": "test_loss", "below": 1.0}}
    tables = make(spec(question=f"Is it {EVIL}?", factors=LISTED, claims=[claim]), status=SOME)
    return replace(tables, runs=tables.runs.assign(error=tables.runs["error"].where(tables.runs["error"].isna(), EVIL)))


MADE: Mapping[str, Any] = {
    "width": width_tables,
    "evil": evil,
    "incomplete": lambda: make(spec(factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM), status=SOME),
    "all diverged": lambda: make(spec(factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM), status=EVERY),
    "one run": lambda: make(spec(replicates=1)),
    "two factors": lambda: make(spec(factors={"lr": [0.1, 1.0], "activation": ["relu", "tanh"]}, claims=LR_CLAIM)),
    "many conditions": lambda: make(spec(factors={"width": WIDTHS, "lr": [0.1, 0.2, 0.5]}, replicates=2)),
    "an excerpt": lambda: make(spec(factors={"width": list(range(1, 71))}, replicates=2)),
}


@functools.cache
def made(name: str) -> Tables:
    tables: Tables = MADE[name]()
    return tables


# Pages of these have their figures, those of the others blank ones.
DRAWN = ("width", "evil")


def context(name: str) -> Context:
    found = rendered(name).context
    assert found is not None
    return found


@functools.cache
def rendered(name: str) -> Report:
    report = report_of(made(name))
    return report if name in DRAWN else leave_blank(report)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def every(self) -> Iterator[Element]:
        """Yield every element below, in the order of the page."""
        for child in self.children:
            yield child
            yield from child.every()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements below with a tag and these attributes, `class_` for class."""
        wanted = {k.rstrip("_"): v for k, v in attributes.items()}
        return [
            e
            for e in self.every()
            if e.tag == tag and all(v in e.attributes.get(k, "").split() for k, v in wanted.items())
        ]


class Tree(HTMLParser):
    """The elements of a page; a tag that is not closed, or closed twice, fails."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(page)
        self.close()
        assert len(self.open) == 1, f"not closed: {self.open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"an attribute twice: {attrs}"
        element = Element(tag, {k: v or "" for k, v in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


@functools.cache
def page(name: str) -> str:
    return report_page(rendered(name))


@functools.cache
def tree(name: str) -> Element:
    return Tree(page(name)).root


QUICK = ("evil", "incomplete")


@pytest.fixture(params=[pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in MADE])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_page_is_well_formed_with_ids_that_links_find(name: str) -> None:
    root = tree(name)
    ids = [e.attributes["id"] for e in root.every() if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    links = [e.attributes["href"] for e in root.all("a")]
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(b.attributes.get("type") == "button" for b in root.all("button"))


def test_a_page_says_what_the_markdown_says(name: str) -> None:
    report = rendered(name)
    text = " ".join(tree(name).all("main")[0].text.split())
    titles = re.findall(r"^## (.+)$", report.markdown, flags=re.MULTILINE)
    assert [h.text for h in tree(name).all("h2")] == [*titles, "Runs"]
    linked = [a.attributes["href"] for nav in tree(name).all("nav") for a in nav.all("a")]
    assert sorted(linked) == sorted(f"#{h.attributes['id']}" for h in tree(name).all("h2"))
    cells = re.findall(r"(?<=\| )[^|*`&<\\]+(?= \|)", report.markdown)
    assert len(cells) > 20
    assert [c for c in cells if not re.fullmatch("-+:?", c) and c not in text] == []
    assert tree(name).all("h1")[0].text == made(name).experiment.question


def test_figures_are_inside_with_their_words(name: str) -> None:
    report = rendered(name)
    linked = re.findall(r"^!\[.+\]\((figures/.+)\)$", report.markdown, flags=re.MULTILINE)
    words = {f.path: f.alt for section in report.sections for f in section.every_figure}
    drawn = tree(name).all("figure", class_="drawn")
    assert [f"figures/{e.attributes['data-name']}.png" for e in drawn] == linked
    assert [e.all("svg")[0].attributes["aria-label"] for e in drawn] == [words[path] for path in linked]
    assert tree(name).all("img") == []


def test_a_figure_that_is_too_large_for_a_page_stands_as_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = itertools.cycle([1, 60_000])

    def sized(*_: object) -> DrawnFigure:
        return DrawnFigure(svg=f"<svg>{'.' * next(sizes)}</svg>", entries=(), points="[]")

    monkeypatch.setattr(pages, "MOST_SVG", 60_000)
    monkeypatch.setattr(pages, "drawn_figure", sized)
    report = rendered("two factors")
    root = Tree(report_page(report)).root
    pictures = {i.attributes["alt"]: i.attributes["src"] for i in root.all("img")}
    words = {
        f.alt.replace("[", "(").replace("]", ")"): f.path for section in report.sections for f in section.every_figure
    }
    assert 0 < len(pictures) < len(words)
    for alt, source in pictures.items():
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == report.pictures[words[alt]]
    assert len(root.all("figure", class_="drawn")) == len(words) - len(pictures)


def test_nothing_is_loaded_and_only_our_own_code_runs(name: str) -> None:
    root = tree(name)
    (policy,) = (m.attributes["content"] for m in root.all("meta") if "Security" in m.attributes.get("http-equiv", ""))
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]

    def allowed(elements: list[Element]) -> list[str]:
        return [f"'sha256-{base64.b64encode(hashlib.sha256(e.text.encode()).digest()).decode()}'" for e in elements]

    assert rules["script-src"] == allowed(root.all("script"))
    assert rules["style-src"] == allowed(root.all("style"))
    named = {k for e in root.every() for k in e.attributes}
    assert "href" in named
    assert not [k for k in named if k in ("style", "srcset", "background", "ping") or k.startswith("on")]
    asked = [v for e in root.every() for k, v in e.attributes.items() if k in ("src", "href", "action", "poster")]
    assert all(a.startswith(("#", "data:")) for a in asked)
    ours = "".join(e.text for e in [*root.all("script"), *root.all("style")])
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|WebSocket|https?:", ours)


def test_what_users_wrote_is_text() -> None:
    root = tree("evil")
    assert len(root.all("script")) == 3
    assert all(i.attributes["src"].startswith("data:") and "onerror" not in i.attributes for i in root.all("img"))
    assert [a for a in root.all("a") if not a.attributes["href"].startswith("#")] == []
    text = root.all("h1")[0].text + root.all("main")[0].text
    for place in ("Is it {}?", "failed ({})"):
        assert place.format(EVIL) in text
    assert text.count("alert(1)") >= 5  # question, claim, source, label and error
    assert "![spy]" not in text
    cells = [c.text for c in root.all("table", id="run-table")[0].all("td")]
    assert EVIL in cells
    assert f"failed ({EVIL})" in cells
    figures = [e for f in root.all("figure") for e in f.every()]
    assert any("<script>" in e.text for e in figures), "labels are shortened there, and text"
    assert not [e for e in figures if e.tag in ("script", "img", "foreignobject")]


def test_verdicts_have_a_sign_beside_their_word() -> None:
    root, verdicts = tree("width"), context("width").verdicts
    shown = [(v.text, v.attributes["data-sign"]) for v in root.all("strong", class_="verdict")]
    answered = [(d.capitalize(), VERDICTS[d]) for d in ("supported", "undecided")]
    of_cards = [(v.decision.capitalize(), VERDICTS[v.decision]) for v in verdicts]
    assert shown == [*answered, *of_cards, *((v.decision, VERDICTS[v.decision]) for v in verdicts)]
    assert len(set(VERDICTS.values())) == len(VERDICTS)


def test_the_table_of_runs_has_every_run_with_numbers_to_sort_by() -> None:
    tables = made("width")
    table = tree("width").all("table", id="run-table")[0]
    head = [h.text for h in table.all("th")]
    assert head == ["width", "replicate", "status", "train loss", "test loss", "train accuracy", "test accuracy", "gap",
                    "seconds", "run"]  # fmt: skip
    stored = tables.runs.set_index("run_id")
    rows = [r.all("td") for r in table.all("tr")[1:]]
    assert {r[-1].text for r in rows} == set(stored.index)
    for row in rows:
        of = stored.loc[row[-1].text]
        assert row[0].text == str(of["width"])
        assert row[2].text == "ok"
        assert float(row[4].attributes["data-sort"]) == of["test_loss"]
        assert row[6].text == f"{of['test_accuracy']:.4f}"
    assert rows[0][0].attributes["class"] == "number"


def test_runs_without_metrics_say_why_and_sort_last() -> None:
    table = tree("incomplete").all("table", id="run-table")[0]
    rows = {(r.all("td")[0].text, r.all("td")[1].text): r.all("td") for r in table.all("tr")[1:]}
    assert len(rows) == 10
    assert rows["0.1", "0"][2].text == "missing"
    assert rows["1", "1"][2].text == "failed (MemoryError: no room)"
    assert rows["1", "2"][2].text == "diverged at step 300"
    assert [c.attributes["data-sort"] for c in rows["0.1", "0"][3:9]] == [""] * 6
    assert "n-last" in table.attributes["class"]


def test_of_very_many_runs_a_part_is_shown_that_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = context("an excerpt")
    assert run_table(shown).about == "All 140 runs of the grid."
    monkeypatch.setattr(pages, "MOST_RUNS", 100)
    part = run_table(shown)
    assert part.about == "These are the first replicate of the 60 conditions listed above, 60 of 140 runs."
    assert len(part.rows) == 60
    whole = context("width")
    monkeypatch.setattr(pages, "MOST_RUNS", 30)
    part = run_table(whole)
    assert part.about == "These are the first 3 replicates of each condition, 24 of 40 runs."
    assert [c.text for c in (row[1] for row in part.rows)] == ["0", "1", "2"] * 8


def test_of_tuned_conditions_the_table_says_which_runs_it_has() -> None:
    shown = context("width")
    vars(shown)["runs"] = pd.concat([shown.runs] * 3)
    about = run_table(shown).about
    assert about.startswith("40 runs. They are those of 120 runs that represent a condition in a replicate: ")


def test_levels_that_are_none_or_not_there_are_told_apart() -> None:
    tables = make(spec(factors={"clip_norm": [None, 1.0]}, replicates=2))
    shown = context_of(tables)
    assert [row[0].text for row in run_table(shown).rows] == ["none", "none", "1", "1"]
    one = replace(shown.conditions[0], levels={})
    grid = replace(shown.judgement.grid, conditions=[one, shown.conditions[1]])
    lacking = replace(shown, judgement=replace(shown.judgement, grid=grid))
    assert run_table(lacking).rows[0][0].text == "-"


@pytest.mark.slow
def test_rows_in_another_order_and_another_render_give_the_same_bytes(name: str) -> None:
    tables = made(name)
    again = replace(tables, runs=tables.runs.sample(frac=1, random_state=1), curves=tables.curves.iloc[::-1])
    other = report_of(again)
    vars(other)["pictures"] = rendered(name).pictures  # whose bytes test_report.py compares
    assert report_page(other) == page(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "7"}, {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"}]
)
def test_another_process_gives_the_same_bytes_without_torch(environment: Mapping[str, str], tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from arithmetic_tables import width_tables; "
        "from reports import report_of; from mlpbench.report.pages.page import report_page; "
        f"pathlib.Path({str(tmp_path / 'page')!r}).write_bytes(report_page(report_of(width_tables())).encode()); "
        "assert 'torch' not in sys.modules"
    )
    env = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"], **environment}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    assert (tmp_path / "page").read_text(encoding="utf-8") == page("width")


def test_a_report_without_runs_of_an_experiment_has_a_page_too() -> None:
    limits = Section(title="Limits", table=table(["a", "b"], [["1", "2"]], "lr"))
    report = Report(title="Kernels", lead="Fast.", sections=[limits], summary=Summary(name="Kernels", question="Fast."))
    root = Tree(report_page(report)).root
    assert [h.text for h in root.all("h2")] == ["Limits"]
    assert [c.attributes for c in root.all("td")] == [{}, {"class": "number"}]
    assert not root.all("table", id="run-table")


def test_sections_of_one_name_have_two_ids() -> None:
    found = body("# T\n\n## A b\n\n## A b\n\n## ?\n", {}, {})
    assert found.title == "T"
    assert [i for i, _ in found.sections] == ["a-b", "a-b-1", "section"]


def test_what_is_not_ours_has_its_licence_beside_it() -> None:
    vendored = files("mlpbench.report.pages") / "vendor"
    licence = (vendored / "LICENSE").read_text()
    names = [f.name for f in vendored.iterdir() if f.name not in ("LICENSE", "SOURCES")]
    assert names
    assert all(name in licence for name in names)
    assert "public domain" in licence


def test_what_is_not_ours_is_a_named_version_byte_for_byte() -> None:
    """A digest that changes is a version that changes: both stand in `SOURCES`, and the version in the licence too."""
    vendored = files("mlpbench.report.pages") / "vendor"
    sources = [line.split() for line in (vendored / "SOURCES").read_text().splitlines() if not line.startswith("#")]
    digests = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in vendored.iterdir()}
    assert {name: digest for digest, name, *_ in sources} == {
        name: digest for name, digest in digests.items() if name not in ("LICENSE", "SOURCES")
    }
    for _, _, package, place, _ in sources:
        name, version = package.split("@")
        assert f"{name} {version} ({place})" in (vendored / "LICENSE").read_text()
