"""The index has a row for each claim under its topic, counts what stands over all of them, and is safe and the same twice."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.evidence.statistics.t_test import q_values
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.pages.index_page import MOST_PICTURED, PICTURES, Entry, Index, markdown, page, pictures
from mlpbench.report.summary import Answer, DrawnNumbers, Summary
from mlpbench.report.topic_order import BENCHMARKS, COURSE, OTHER

EVIL = '<script>alert(1)</script> | "it"'
NUMBERS = DrawnNumbers(estimate=0.4, low=0.35, high=0.47, interval=True, holds=(0.2, None), zero=True, unit="pp")


def answer(name: str, verdict: Decision = "supported", p: float | None = 0.001, **more: Any) -> Answer:
    given: dict[str, Any] = {
        "says": f"It is {name}.",
        "estimate": "+0.40 pp (+0.35 to +0.47)",
        "n": 8,
        "source": "A book",
    }
    return Answer(id=name, verdict=verdict, p=p, **given | {"numbers": NUMBERS} | more)


def entry(name: str, topic: str, *answers: Answer, **more: Any) -> Entry:
    verdicts: dict[Decision, int] = {}
    for a in answers:
        verdicts[a.verdict] = verdicts.get(a.verdict, 0) + 1
    given: dict[str, Any] = {"question": f"What of {name}?", "runs": {"ok": 39, "diverged": 1}}
    summary = Summary(name=name, topic=topic, answers=answers, verdicts=verdicts, **given | more)
    return Entry(folder=f"reference/{name}", summary=summary, files=["report.html", "report.md", "spec.yaml"])


WIDTH = entry("width", "Width and depth", answer("wider"), answer("late", "undecided", 0.3, source=""))
DROPOUT = entry("dropout", "Regularisation", answer("helps", "refuted", 0.04), answer("seen", "supported", None))
OLD = Answer(id="old", says="An older report says less.", verdict="supported", estimate="-")
OLDER = entry("older", "", OLD)
BARE = Entry(folder="a folder", summary=Summary(name="bare", question=EVIL, runs={"ok": 1}), files=["spec.yaml"])
INDEX = Index(entries=[BARE, DROPOUT, OLDER, WIDTH], unread=[("broken", f"name must be text, got {EVIL}")])


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables of claims."""
    lines = [line for line in text.splitlines() if re.match(r"\| .*\(`", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_has_a_row_for_each_claim_with_what_is_known_of_it() -> None:
    assert rows(markdown(INDEX)) == [
        ["It is wider. (`wider`)", "**supported**", "+0.40 pp (+0.35 to +0.47)", "8", "0.003", "A book"],
        ["It is late. (`late`)", "**undecided**", "+0.40 pp (+0.35 to +0.47)", "8", "0.3", ""],
        ["It is helps. (`helps`)", "**refuted**", "+0.40 pp (+0.35 to +0.47)", "8", "0.06, would not stand", "A book"],
        ["It is seen. (`seen`)", "**supported**", "+0.40 pp (+0.35 to +0.47)", "8", "", "A book"],
        ["An older report says less. (`old`)", "**supported**", "-", "", "", ""],
    ]


def test_topics_stand_in_the_order_of_the_course_whatever_the_order_of_the_entries() -> None:
    for entries in (INDEX.entries, INDEX.entries[::-1]):
        index = replace(INDEX, entries=entries)
        expected = ["Width and depth", "Regularisation", OTHER]
        assert [group.title for group in index.groups] == expected
        headings = re.findall(r"^## (.*)$", markdown(index), flags=re.MULTILINE)
        assert headings[:3] == expected
        assert re.findall(r"<h2>(.*?)</h2>", page(index))[:3] == expected
    topics = [*COURSE, "Mine", OTHER, BENCHMARKS]
    many = Index(
        entries=[entry(f"e{i}", topic) for i, topic in enumerate(reversed(topics)) if topic != BENCHMARKS], unread=[]
    )
    bench = Entry(folder="b", summary=Summary(name="b", question="q", benchmarks=3), files=["report.md"])
    assert [g.title for g in replace(many, entries=[bench, *many.entries]).groups] == topics


def test_an_experiment_has_its_name_question_picture_and_runs() -> None:
    text = markdown(INDEX)
    assert text.startswith(
        "# What is true about MLPs\n\n4 experiments, 5 claims: 3 supported, 1 refuted, 1 undecided. "
    )
    assert (
        "### [width](reference/width/report.html)\n\nWhat of width?\n\n"
        f"![One strip a claim: estimate, interval, and where it holds.]({PICTURES}/reference-width.svg)\n\n| claim |"
    ) in text
    assert "\n40 runs, 1 diverged.\n" in text
    assert "### [bare](a%20folder/spec.yaml)\n\n" in text
    assert "\nno claims, 1 run.\n" in text
    assert "\n## Could not be read\n\n- `broken`: name must be text, got " in text
    assert "| [Width and depth](#width-and-depth) | 1 | 1 |  |  | 1 |\n" in text
    assert set(pictures(INDEX)) == {f"{PICTURES}/reference-{name}.svg" for name in ("width", "dropout")}


def test_undecided_claims_stand_together_with_what_would_decide_each() -> None:
    more = "About 9 more replicates would decide it with a chance of 50%."
    open_one = entry("open", "Cost", answer("dear", "undecided", 0.3, would_decide=more), answer("cheap"))
    text = markdown(Index(entries=[*INDEX.entries, open_one], unread=[]))
    listed = text.partition("## Undecided\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| \[.*$", listed, flags=re.MULTILINE) == [
        "| [width](reference/width/report.html): It is late. | +0.40 pp (+0.35 to +0.47) | 8 |  |",
        f"| [open](reference/open/report.html): It is dear. | +0.40 pp (+0.35 to +0.47) | 8 | {more} |",
    ]
    assert page(Index(entries=[open_one], unread=[])).count(more) == 1
    assert "## Undecided" not in markdown(Index(entries=[DROPOUT], unread=[]))


def test_what_qualifies_a_verdict_stands_beside_it_is_counted_and_explained() -> None:
    qualified = entry(
        "late", "Cost", answer("a", qualifiers=("not robust", "exploratory")), answer("b", qualifiers=("anytime",))
    )
    index = Index(entries=[qualified, WIDTH], unread=[])
    text, shown = markdown(index), page(index)
    cells = {row[0]: row[1] for row in rows(text)}
    assert cells["It is a. (`a`)"] == "**supported, not robust, exploratory**"
    assert cells["It is b. (`b`)"] == "**supported, anytime**"
    assert cells["It is wider. (`wider`)"] == "**supported**"
    assert "4 claims: 3 supported, 1 undecided; among them 1 not robust, 1 exploratory, 1 anytime. " in index.about
    assert '>supported</strong> <span class="from">not robust, exploratory</span></td>' in shown
    terms = [term for term, _ in index.reading]
    assert terms[:4] == ["Verdict", "Not robust", "Exploratory", "Anytime"]
    for term, meaning in index.reading[1:4]:
        assert f"- **{term}**: {meaning}" in text
    assert [term for term, _ in INDEX.reading][:2] == ["Verdict", "Effect"]
    assert "among them" not in INDEX.about
    assert "It is late. (exploratory) |" in markdown(
        Index(entries=[entry("e", "", answer("late", "undecided", qualifiers=("exploratory",)))], unread=[])
    )


def test_of_words_that_are_not_explained_none_is_shown_and_none_counts_twice() -> None:
    evil = Index(
        entries=[entry("e", "", answer("c", qualifiers=(EVIL, "peer reviewed", *["exploratory"] * 1000)))], unread=[]
    )
    assert rows(markdown(evil))[0][1] == "**supported, exploratory**"
    assert "1 claim: 1 supported; among them 1 exploratory." in evil.about
    for made in (markdown(evil), page(evil)):
        assert "alert(1)" not in made
        assert "peer reviewed" not in made


def test_topics_are_linked_to_as_github_names_their_headings() -> None:
    """Reference: gjtorikian/html-pipeline, toc_filter.rb: small letters, no punctuation, hyphens for spaces, then numbers."""
    entries = [
        entry("cost", "Width and depth"),
        entry("e", "Under- and overfitting"),
        entry("f", "Cost"),
        entry("g", "Größe (neu)"),
    ]
    text = markdown(Index(entries=[*entries, WIDTH], unread=[]))
    links = re.findall(r"^\| \[.*?\]\(#(.*?)\)", text, flags=re.MULTILINE)
    assert links == ["width-and-depth", "under--and-overfitting", "cost-1", "gr%C3%B6%C3%9Fe-neu"]


def test_over_all_claims_the_false_discovery_rate_is_said_and_who_would_not_stand_is_marked() -> None:
    assert (
        "At a false discovery rate of 5% over all 3 tested claims together, by p that are not corrected for interim analyses, "
        "1 of 2 decided verdicts stand." in INDEX.about
    )
    q = dict(zip(("wider", "late", "helps"), q_values([0.001, 0.3, 0.04]), strict=True))
    found = {row.answer.id: (row.q, row.falls) for shown in INDEX.rows.values() for row in shown}
    assert found == {
        "wider": (q["wider"], False),
        "late": (q["late"], False),
        "helps": (q["helps"], True),
        "seen": (None, False),
        "old": (None, False),
    }
    for text in (markdown(INDEX), page(INDEX)):
        assert "these would not: reference/dropout helps (q = 0.06)" in text
        assert "would not stand" in text
    alone = Index(entries=[WIDTH], unread=[])
    assert "false discovery rate of 5%" not in alone.about
    assert [row.q_text for row in alone.rows["reference/width"]] == ["", ""], "Holm's method says it of one experiment"


def test_the_page_has_verdicts_with_signs_links_addresses_and_strips() -> None:
    text = page(INDEX)
    assert text.count('<strong class="verdict supported" data-sign="✓">supported</strong>') == 3
    assert text.count('<strong class="verdict undecided" data-sign="?">undecided</strong>') == 1
    assert text.count('<svg class="strip"') == 4, "an older report has no numbers to draw"
    links = re.findall(r'<a href="([^"#]+)">', text)
    files = ("report.html", "report.html", "report.md", "spec.yaml")
    expected = [f"reference/{name}/{file}" for name in ("width", "dropout", "older") for file in files]
    assert sorted(links) == sorted([*expected, *["a%20folder/spec.yaml"] * 2])
    addresses = re.findall(r'<tr id="([^"]+)"', text)
    assert addresses[:2] == ["reference-width--wider", "reference-width--late"]
    assert len(set(addresses)) == 5
    for address in addresses:
        assert f'<a href="#{address}">' in text
    chips = re.findall(r'data-verdict="([^"]+)" aria-pressed="false">.*?<span class="n">(\d+)</span>', text)
    assert chips == [("supported", "3"), ("refuted", "1"), ("undecided", "1")]
    assert re.findall(r'data-topic="([^"]+)"', text) == ["topic-width-and-depth", "topic-regularisation", "topic-other"]


def test_folders_whose_names_are_alike_have_addresses_and_pictures_of_their_own() -> None:
    """Topics of users too, and whatever the page calls its own parts."""
    folders = ["a b", "a-b", "a/b", "a-b-2", ".", "größe", "中", "文", "topic-how", "find", "text"]
    topics = ["How", "how!", "How?", "find", "topic", "中", "文", "text", "A", "B", "C"]
    entries = [
        replace(WIDTH, folder=f, summary=WIDTH.summary.model_copy(update={"topic": t})) for f, t in zip(folders, topics)
    ]
    index = Index(entries=entries, unread=[])
    assert len({group.anchor for group in index.groups}) == len(topics)
    assert len(set(index.names.values())) == len(folders)
    assert len(pictures(index)) == len(folders)
    assert all(re.fullmatch("[a-z0-9_-]+", name) for name in index.names.values())
    text = page(index)
    identities = re.findall(r' id="([^"]+)"', text)
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("n", [MOST_PICTURED, MOST_PICTURED + 1])
def test_of_very_many_folders_neither_page_has_pictures_and_both_say_so(n: int) -> None:
    index = Index(entries=[replace(WIDTH, folder=f"e{i}") for i in range(n - 1)], unread=[("broken", "why")])
    pictured = n == MOST_PICTURED
    assert page(index).count('<svg class="strip"') == 2 * (n - 1) * pictured
    assert markdown(index).count("![") == len(pictures(index)) == (n - 1) * pictured
    for text in (page(index), markdown(index)):
        assert ("With more than 100 folders, only the reports have pictures." in text) != pictured
        assert f"e{n - 2}/report.html" in text


def test_what_users_wrote_is_text() -> None:
    hostile = entry("h", EVIL, answer(EVIL, says=EVIL, source=EVIL, estimate=EVIL))
    text = page(replace(INDEX, entries=[*INDEX.entries, hostile]))
    assert text.count("<script>") == 2
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8
    shown = markdown(replace(INDEX, entries=[hostile], unread=[]))
    counts = {len(re.findall(r"(?<!\\)\|", line)) for line in shown.splitlines() if line.startswith("|")}
    assert counts == {7}
    assert "<script>" not in re.sub(r"`[^`]*`", "", shown).replace(r"\<script>", "")


@given(st.lists(st.sampled_from(get_args(Decision)), max_size=12), st.integers(0, 3))
def test_every_claim_is_a_row_of_both_pages_and_counted_once(verdicts: list[Decision], bare: int) -> None:
    entries = [entry(f"e{i}", "Cost", answer(f"c{i}", v)) for i, v in enumerate(verdicts)]
    entries += [entry(f"b{i}", "Tables") for i in range(bare)]
    index = Index(entries=entries, unread=[])
    assert len(rows(markdown(index))) == page(index).count("<tr id=") == len(verdicts)
    assert sum(index.counts.values()) == len(verdicts) == sum(group.claims for group in index.groups)


def test_the_same_index_gives_the_same_bytes() -> None:
    assert page(INDEX) == page(INDEX)
    assert markdown(INDEX) == markdown(INDEX)
    assert pictures(INDEX) == pictures(INDEX)


def test_an_index_of_nothing_says_so() -> None:
    empty = Index(entries=[], unread=[])
    assert markdown(empty) == "# Results\n\n0 experiments.\n"
    assert "0 experiments." in page(empty)
    assert 'id="find"' not in page(empty), "there is nothing to choose among"
