"""An outcome in a notebook: the report's cards in one element, in both themes, with nothing of a user's taken for markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from arithmetic_tables import Tables, make, spec, width_tables
from chromium import Page, chromium
from hypothesis import HealthCheck, given, settings
from reports import context_of
from test_hostile_words import PLAIN, TEXTS, tables_of

from mlpbench.report.answer import claim_cards
from mlpbench.report.notebook.outcome_cards import ShownOutcome, outcome_html

WORDS = ("script", "iframe", "link", "object", "embed", "form", "img", "base", "meta")


class Elements(HTMLParser):
    """The tags of a text with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} ends what is not open"

    def handle_data(self, data: str) -> None:
        self.words += data if self.open[-1:] != ["style"] else ""


def shown(tables: Tables, said: tuple[str, ...] = (), folder: str = "results/made") -> str:
    context = context_of(tables)
    outcome = ShownOutcome(
        context=context, runs=tables.runs, folder=Path(folder), trained=3, report=None, said=said
    )  # fmt: skip
    return outcome_html(outcome)


def test_each_claim_has_the_card_of_the_report() -> None:
    context = context_of(width_tables())
    found = Elements(shown(width_tables()))
    cards = [a["class"] for tag, a in found.tags if tag == "section"]
    assert cards == [f"card {v.decision.replace(' ', '-')}" for v in context.verdicts]
    for verdict in context.verdicts:
        assert verdict.claim.says in found.words
        assert str(claim_cards.judged_by(verdict)).partition(" Claim")[0] in found.words.replace("\u2060", "")
    assert "width: 40 runs, 3 trained now" in found.words


def test_a_picture_stands_in_each_card_and_names_are_its_own() -> None:
    text = shown(width_tables())
    assert text.count("<svg") >= len(context_of(width_tables()).verdicts)
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(names)
    other = re.findall(r'\bid="([^"]+)"', shown(make(spec(**SMALL), seed=1)))
    assert other
    assert not set(other) & set(names), "two outcomes on one page"


SMALL: dict[str, Any] = {
    "factors": {"width": [8, 16]},
    "replicates": 5,
    "claims": [
        {
            "id": "wide",
            "says": "It is.",
            "compare": {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"},
        }
    ],
}


def test_the_same_outcome_has_the_same_text() -> None:
    assert shown(width_tables()) == shown(width_tables())


def test_it_is_small_and_asks_for_nothing() -> None:
    text = shown(width_tables())
    assert len(text) < 100_000
    assert not {tag for tag, _ in Elements(text).tags} & set(WORDS)
    assert not re.search(r"https?://(?!www\.w3\.org/)|@import|url\((?!#)", text)


def test_many_claims_have_twelve_cards_and_a_table() -> None:
    claims = [SMALL["claims"][0] | {"id": f"c{i}"} for i in range(20)]
    found = Elements(shown(make(spec(**SMALL | {"claims": claims}))))
    assert sum(tag == "section" for tag, _ in found.tags) == claim_cards.MOST_CARDS
    assert sum(tag == "tr" for tag, _ in found.tags) == 1 + 8


def test_runs_that_ended_badly_and_what_was_noticed_are_said() -> None:
    tables = make(spec(**SMALL), status={(0, 0): "failed", (1, 1): "diverged"})
    words = Elements(shown(tables, said=tuple(f"warning: no. {i}" for i in range(7)))).words
    assert "made: 10 runs, 1 diverged, 1 failed, 3 trained now" in words
    assert "warning: no. 4" in words
    assert "warning: no. 5" not in words
    assert "and 2 more: see `warnings` and `notes`" in words


def test_an_experiment_without_claims_says_so() -> None:
    words = Elements(shown(make(spec(factors={"width": [8, 16]}, replicates=2)))).words
    assert "This experiment makes no claims." in words


def structure(*words: str, said: str, folder: str) -> list[str]:
    tags = Elements(shown(tables_of(*words), said=(said,), folder=folder)).tags
    # Pictures have as many letters as words have.
    return [
        f"{tag} {a.get('class')}"
        for tag, a in tags
        if tag in ("div", "style", "p", "section", "h3", "figure", "svg", *WORDS)
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS, TEXTS)
def test_whatever_users_call_things_the_structure_is_the_same(question: str, says: str, said: str) -> None:
    plain = structure(*PLAIN, said="a note", folder="results")
    words = (f"q{question}", f"s{says}", *PLAIN[2:])
    assert structure(*words, said=f"a{said}", folder=f"f{said}") == plain


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "system", "is_dark"),
    [
        ("<body>", "light", False),
        ("<body>", "dark", True),
        ('<body data-jp-theme-light="true">', "dark", False),
        ('<body data-jp-theme-light="false">', "light", True),
        ('<body class="vscode-dark">', "light", True),
    ],
)
def test_colours_are_those_of_the_notebook_and_nothing_is_cut_off(
    page: Page, tmp_path: Path, body: str, system: str, is_dark: bool
) -> None:
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    (tmp_path / "cell.html").write_text(f"{head}{body}{shown(width_tables())}")
    page.colours(system)
    for width in (400, 1200):
        page.open(tmp_path / "cell.html", width=width)
        paper, ink = page.evaluate(
            "(() => { const s = getComputedStyle(document.querySelector('.mlpbench'));"
            "return [s.backgroundColor, s.color].map((c) => c.match(/\\d+/g).slice(0, 3).map(Number)); })()"
        )
        assert (sum(paper) < sum(ink)) == is_dark
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.complaints() == []
        assert page.requests() == [(tmp_path / "cell.html").as_uri()]
