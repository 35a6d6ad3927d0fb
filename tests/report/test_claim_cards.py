"""Cards answer first: what is said, in which order, how much of it before the first picture, and that nothing is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arithmetic_tables import COMPARED, WIDTHS, make, spec, verdict_with, width_tables
from reports import report_of, section_text
from repository import REFERENCE

from mlpbench.base.escapes import Markdown, markdown
from mlpbench.evidence.judging.caveats import IncompleteAnalysis, LeftOut, Skewed, TooFewReplicates, Unfinished
from mlpbench.evidence.judging.claim_values import UnitNumbers
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Interval, TestSampling, Verdict
from mlpbench.evidence.statistics.outlook import Outlook
from mlpbench.jobs.write_pages import render
from mlpbench.report.answer import claim_cards, claim_figure, section_order
from mlpbench.report.answer.claim_cards import MOST_CARDS, MOST_WORDS, answer, card, in_how_many, judged_by
from mlpbench.report.answer.claim_flags import flags, would_decide
from mlpbench.report.pages.markdown_html import OPEN_CARDS, Fold, body
from mlpbench.report.pages.page import report_page
from mlpbench.report.section import Section
from mlpbench.report.sections import conditions, predicted_classes
from mlpbench.report.sections.verdicts import explanations
from mlpbench.report.topics import class_probabilities, residuals

WIDTH = report_of(width_tables())


def many(n: int, says: str = "A larger one is better.") -> Any:
    compare = {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    claims = [{"id": f"c{i}", "says": f"{i}: {says}", "compare": compare | {"margin": i / 1000}} for i in range(n)]
    return make(spec(factors={"width": WIDTHS[:2]}, claims=claims))


def test_the_answer_counts_all_verdicts_and_names_claims_of_each() -> None:
    verdicts = judge_claims(*width_tables().parts)
    text = answer(verdicts)
    counts = {d: sum(v.decision == d for v in verdicts) for d in ("supported", "undecided")}
    assert text.startswith(f"**{counts['supported']} of {len(verdicts)} claims ")
    for v in verdicts:
        assert v.claim.says.rstrip(".") in text
    assert answer([]) == ""
    assert answer(verdicts[:1]).startswith(f"**The claim is {verdicts[0].decision}.**")


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_an_answer_is_short_however_many_claims_there_are(n: int) -> None:
    verdicts = judge_claims(*many(n, says="one two three four five six seven eight nine ten").parts)
    text = answer(verdicts)
    assert len(text.split()) < MOST_WORDS + 40
    named = sum(v.claim.says.rstrip(".") in text for v in verdicts)
    left = sum(int(k) for k in re.findall(r"and (\d+) more", text))
    assert named + left == n
    for decision in {v.decision for v in verdicts}:
        assert f"- **{decision.capitalize()}**: " in text


def test_a_card_has_the_claim_the_verdict_the_estimate_and_a_picture() -> None:
    verdicts = judge_claims(*width_tables().parts)
    text = section_text(WIDTH, "Verdicts")
    assert text.count("\n### ") == len(verdicts)
    for i, v in enumerate(verdicts, start=1):
        of = text.split(f"\n### {markdown(v.claim.says)}\n")[1].split("\n### ")[0]
        assert of.strip().startswith(f"**{v.decision.capitalize()}")
        assert f"](figures/claim_{i}.png)" in of
        assert f"Claim `{v.claim.id}`." in of
        assert ("A dot is a replicate" in of) == (i == 1)


def test_nothing_that_was_said_of_a_claim_is_lost() -> None:
    verdicts = judge_claims(*width_tables().parts)
    text = section_text(WIDTH, "How this was judged")
    assert explanations(verdicts) in text
    for v in verdicts:
        assert f"| {v.claim.says} (`{v.claim.id}`) |" in text


def test_claims_beyond_the_cards_stand_in_a_table_with_strips() -> None:
    report = report_of(many(MOST_CARDS + 3))
    text = section_text(report, "Verdicts")
    assert text.count("](figures/claim_") == MOST_CARDS
    assert "### Further claims" in text
    assert text.count("\n| ") == 2 + 3
    assert "figures/verdicts.png" in report.drawings
    assert "figures/verdicts.png" not in report_of(many(MOST_CARDS)).drawings


def test_what_shows_the_first_claim_follows_the_cards_and_provenance_is_last() -> None:
    titles = [section.title for section in WIDTH.sections]
    assert titles[:2] == ["Verdicts", "Train and test error"]
    assert titles[-3:] == ["How this was judged", "Cost", "Provenance"]
    diagnostics = titles.index("Diagnostics")
    assert max(map(titles.index, ("Conditions", "Learning curves"))) < diagnostics < titles.index("Replicates")
    cards = len(judge_claims(*width_tables().parts))
    assert cards >= section_order.MOST_OPEN, "there is room for one figure alone"
    assert [s.title for s in WIDTH.sections if s.fold and not s.in_fold] == [*titles[2 : diagnostics + 1], *titles[-3:]]
    assert WIDTH.sections[2].fold in WIDTH.sections[2].sentences
    inside = [s.title for s in WIDTH.sections if s.in_fold]
    assert inside == titles[diagnostics + 1 : -3]
    assert WIDTH.sections[diagnostics].fold == f"{', '.join(inside)}."


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("gap_accuracy", "Generalisation gap"),
        ("train_seconds", "Result and cost"),
        ("late_test_loss", "Train and test error"),
        ("steps_to_train_loss_0.5", "Learning curves"),
        ("test_loss", "Train and test error"),
    ],
)
def test_the_metric_of_the_first_claim_says_which_section_stands_first(metric: str, title: str) -> None:
    compare = {"metric": metric, "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    claims = [{"id": "c", "says": "So.", "compare": compare}]
    report = report_of(make(spec(factors={"width": WIDTHS[:3]}, claims=claims)))
    assert [section.title for section in report.sections][1] == title


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("test_ece", class_probabilities.section),
        ("test_brier", class_probabilities.section),
        ("test_log_loss", class_probabilities.section),
        ("test_roc_auc", class_probabilities.section),
        ("test_macro_f1", predicted_classes.confusion_matrix),
        ("test_balanced_accuracy", predicted_classes.confusion_matrix),
        ("test_top_5_accuracy", conditions.further),
        ("test_rmse", residuals.section),
        ("test_mae", residuals.section),
        ("test_r2", residuals.section),
    ],
)
def test_a_claim_calls_what_shows_its_metric_out_of_the_diagnostics(metric: str, shown: section_order.Make) -> None:
    made = {make: Section(title=f"{make.__module__}.{make.__name__}") for make in section_order.SHOWS}
    verdict = verdict_with()
    asked = replace(verdict, hypothesis=replace(verdict.hypothesis, metric=metric))

    def open_ones(*claims: Verdict) -> set[str]:
        return {s.title for s in section_order.arrange(made, claims) if not s.in_fold}

    assert made[shown].title in open_ones(asked)
    assert made[shown].title not in open_ones()


def test_sections_stay_open_while_a_page_has_room_and_words_of_a_fold_are_plain() -> None:
    compare = {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    tables = make(spec(factors={"width": WIDTHS[:3]}, claims=[{"id": "c", "says": "So.", "compare": compare}]))
    few = report_of(tables)
    assert [s.title for s in few.sections if s.fold] == ["Diagnostics", "How this was judged", "Cost", "Provenance"]
    said = Markdown("Lowest with `a_b`, 0.5 \\*e.g.\\*: that. And more.")
    assert section_order.first_sentence(Section(title="t", sentences=said)) == "Lowest with a_b, 0.5 *e.g.*:"
    assert section_order.first_sentence(Section(title="t", sentences="At 0.5 it is. So.")) == "At 0.5 it is."
    assert len(section_order.first_sentence(Section(title="t", sentences="word " * 99))) <= section_order.LETTERS


def test_every_section_that_claims_call_for_is_one_of_the_report() -> None:
    from mlpbench.report.report import SECTIONS

    assert {*section_order.SHOWS, *section_order.FIRST, *section_order.MAIN, *section_order.LAST} <= set(SECTIONS)


def test_replicates_are_counted_on_the_side_that_was_found() -> None:
    numbers = [0.01, 0.003, 0.001, -0.01]
    of = replace(verdict_with(n=4), numbers=UnitNumbers(lower=numbers, upper=numbers))
    assert in_how_many(of) == "above 0.2 pp in 2 of 4 replicates"
    low = [-v for v in numbers]
    assert in_how_many(replace(of, numbers=UnitNumbers(lower=low, upper=low))) == "below 0.2 pp in 3 of 4 replicates"
    equal = verdict_with(fields=COMPARED | {"expect": "equivalent", "margin": 0.005}, n=4)
    assert in_how_many(replace(equal, numbers=of.numbers)) == "within that in 2 of 4 replicates"
    tied = [0.01, 0.002, 0.002, -0.01]
    said = in_how_many(replace(of, numbers=UnitNumbers(lower=tied, upper=tied)))
    assert said == "above 0.2 pp in 1 of 4 replicates, equal to it in 2"
    assert in_how_many(verdict_with(n=4)) == "n = 4", "where numbers aren't known"


def test_flags_are_short_and_say_what_could_change_a_verdict() -> None:
    assert not flags(verdict_with())
    shaky = TestSampling(interval=Interval(low=-0.1, high=0.1), confirmed=False)
    assert flags(verdict_with(test_sampling=shaky))[0].startswith("not robust: a different test set")
    assert flags(verdict_with(seeds=3, seed_number=2)) == ["seed 2 of 3 looked at"]
    assert flags(verdict_with(seeds=1, seed_number=1)) == []
    caveats = (
        Skewed(plural="differences", skewness=2.0, n=5),
        LeftOut(why="diverged", goal="", fewest=2, most=2, planned=8, where="width=8"),
        Unfinished(done=3, planned=10),
    )
    assert flags(verdict_with(caveats=caveats)) == [
        "the differences are skewed",
        "2 of 8 replicates diverged in width=8",
        "3 of 10 runs are there",
    ]
    open_one = verdict_with(decision="undecided", more_replicates=12, more_for_even=4, detectable=0.01)
    assert flags(open_one) == ["about 4 more replicates would decide it with a chance of 50%, about 12 with one of 80%"]


def test_of_every_undecided_claim_it_is_said_what_would_decide_it() -> None:
    assert would_decide(verdict_with()) == ""
    open_one = verdict_with(decision="undecided", more_replicates=12, more_for_even=4, detectable=0.01)
    counted = "bout 4 more replicates would decide it with a chance of 50%, about 12 with one of 80%"
    assert would_decide(open_one) == f"A{counted}."
    few = replace(open_one, caveats=(TooFewReplicates(least=6, n=4, units="replicates"),))
    assert would_decide(few).endswith(f"got 4; a{counted}.")
    hopeless = replace(verdict_with(decision="undecided"), outlook=Outlook(is_foreseen=True))
    assert would_decide(hopeless) == "No affordable number of replicates would decide it with a chance of 50%."
    unknown = replace(hopeless, outlook=Outlook())
    assert would_decide(unknown) == "How many replicates would decide it is not known for this test."
    unfinished = replace(unknown, caveats=(Unfinished(done=3, planned=10),))
    assert would_decide(unfinished) == "3 of 10 runs are there."
    incomplete = replace(unknown, caveats=(IncompleteAnalysis(number=2, done=3, planned=10),))
    assert would_decide(incomplete) == "3 of 10 runs are there."
    withheld = replace(few, withheld=few.caveats[0])
    assert would_decide(withheld).count("got 4") == 1
    compare = {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    experiment = spec(factors={"width": [8, 16]}, claims=[{"id": "c", "says": "More.", "compare": compare}])
    (lost,) = judge_claims(*make(experiment, status=dict.fromkeys(((0, r) for r in range(5)), "diverged")).parts)
    assert would_decide(lost).startswith("Runs that diverged have no test_accuracy")
    assert "`" not in would_decide(lost)


@pytest.mark.parametrize("verdict", judge_claims(*width_tables().parts), ids=lambda v: v.claim.id)
def test_the_method_is_one_line(verdict: Any) -> None:
    line = judged_by(verdict)
    assert len(line.split()) < 25
    assert f"n = {verdict.n}" in line


def test_the_method_of_best_levels_is_the_test_that_judged_them() -> None:
    best = {"metric": "test_accuracy", "over": "lr", "where": {"width": 8}, "and": {"width": 16}, "expect": "higher"}
    claims = [{"id": "moves", "says": "The best rate is higher.", "best": best}]
    experiment = spec(factors={"width": [8, 16], "lr": [0.1, 0.2, 0.4]}, claims=claims, replicates=8)
    (verdict,) = judge_claims(*make(experiment).parts)
    assert judged_by(verdict).startswith("Judged by a sign-flip test of the mean, n = 8")
    assert "Sign-flip test" in verdict.note


def test_a_card_without_an_estimate_has_no_picture_and_says_so() -> None:
    section = card(verdict_with(estimate=None, low=None, high=None, p=None, p_corrected=None), 1, "rows")
    assert not section.figures
    assert "**Supported**: no estimate." in section.markdown


def test_what_could_change_a_verdict_is_said_in_parts_of_one_sentence() -> None:
    """Of a claim whose runs all diverged: the reason it is undecided, which says so itself elsewhere, and what a test needs."""
    compare = {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    experiment = spec(
        factors={"width": [8, 16]}, claims=[{"id": "c", "says": "More.", "compare": compare}], replicates=2
    )
    tables = make(experiment, status={(i, r): "diverged" for i in range(2) for r in range(2)})
    text = section_text(report_of(tables), "Verdicts")
    assert "Claimed > 0.2 pp; no complete replicate to judge it by." in text
    assert "What could change it: runs that diverged have no test_accuracy" in text
    assert "`test: sign`" in text
    assert "; a test needs 2 complete replicates, got 0." in text


@pytest.mark.usefixtures("blank_figures")
def test_pages_have_cards_with_their_verdict_and_fold_what_is_folded() -> None:
    page = report_page(WIDTH)
    verdicts = judge_claims(*width_tables().parts)
    for decision in ("supported", "undecided"):
        cards = len(re.findall(f'<(?:section|details) class="card {decision}">', page))
        assert cards == sum(v.decision == decision for v in verdicts)
    assert page.count("<details>") == sum(bool(s.fold) for s in WIDTH.sections) + 1, "and the runs"
    assert page.count("<details") == page.count("</details>")
    diagnostics = page.partition('<h2 id="diagnostics">')[2].partition("</details>")[0]
    inside = [s.title for s in WIDTH.sections if s.in_fold]
    assert inside
    assert re.findall(r"<h2 [^>]+>(.+?)</h2>", diagnostics) == inside
    assert re.findall(r"<li><a [^>]+>(.+?)</a></li>", diagnostics) == inside
    top = page.partition("<nav")[2].partition("</nav>")[0]
    assert "Diagnostics" in top
    assert not [title for title in inside if f">{title}<" in top]
    assert page.count("<section") == page.count("</section>")
    assert re.search(r'<summary><h2 id="how-this-was-judged">How this was judged</h2>\s*<span', page)


def test_of_many_claims_the_first_cards_are_open_and_of_the_others_the_verdict_is_seen() -> None:
    page = report_page(report_of(many(OPEN_CARDS + 2)))
    assert len(re.findall('<section class="card ', page)) == OPEN_CARDS
    closed = re.findall(
        r'<details class="card [\w-]+">\s*<summary>(.*?)</summary>(.*?)</details>', page, flags=re.DOTALL
    )
    assert len(closed) == 2
    for seen, behind in closed:
        assert re.search(r"<h3>.+</h3>\s*<p><strong class=.verdict", seen)
        assert "Claim <code>" in behind
        assert behind.count("<figure") == 1
    assert page.count("<details") == page.count("</details>")
    assert page.count('<div class="evidence">') == OPEN_CARDS + 2


def test_words_of_users_make_no_card_and_no_fold() -> None:
    text = "# t\n\n## Verdicts\n\n### **supported**\n\n\\*\\*Supported\\*\\*: it is.\n\n## Other\n\nx\n"
    html = body(text, {}, {}, {1: Fold(inside="<b>", sections=1)}).html
    assert "card" not in html
    assert '<span class="inside">&lt;b&gt;</span>' in html
    assert html.count("<details>") == 1
    assert claim_cards.MOST_CARDS > 1


FOLDERS = sorted(path.parent for path in REFERENCE.glob("*/spec.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_at_most_200_words_stand_before_the_first_picture(folder: Path) -> None:
    report = render(folder)
    before = report.markdown.partition("![")[0]
    print(f"{folder.name}: {len(before.split())} words before the first picture")
    assert len(before.split()) <= 200
    assert report.context is not None
    if any(claim_figure.has_figure(v) for v in report.context.verdicts):
        assert report.summary.figure is not None
        assert report.summary.figure.file.startswith("figures/claim_")
