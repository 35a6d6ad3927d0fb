"""The section "Data sets": ranks over data sets, the Friedman test in words, and a figure of claims over data sets."""

from __future__ import annotations

import functools
import math
from typing import Any

import demsar
import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import make, spec
from dataset_tables import make_status, on_datasets, with_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import context_of, picture, report_of, section_text

from mlpbench.evidence.ranks.rank_table import RankTable, rank_table
from mlpbench.experiment.spec import build
from mlpbench.report.report import Report
from mlpbench.report.sections.dataset_ranks import draw, each_data_set, friedman_sentence, section

WIDTHS = (8, 16, 32)
NAMES = ["iris", "wine", "breast_cancer", "digits", "glass", "ionosphere", "sonar"]
OVER: dict[str, Any] = {
    "id": "over",
    "says": "Narrow networks are worse on data sets like these.",
    "unit": "dataset",
    "compare": {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 16}, "expect": "greater"},
}


def cells(outcome_NK: Any, diverged: Any = None) -> pd.DataFrame:
    """Return the cells of a table of outcomes, data sets named by letters and conditions by numbers."""
    table = np.asarray(outcome_NK, dtype=float)
    lost = np.zeros(table.shape, dtype=int) if diverged is None else np.asarray(diverged)
    rows = [
        {"dataset": chr(97 + i), "condition": str(j), "mean": table[i, j], "diverged": lost[i, j]}
        for i, j in np.ndindex(table.shape)
    ]
    return pd.DataFrame(rows)


def ranked(*parts: Any, better: Any = "higher") -> RankTable:
    found = rank_table(cells(*parts), better)
    assert found is not None
    return found


def test_a_published_table_is_ranked_and_worded() -> None:
    found = ranked(np.array([demsar.C45, demsar.C45_M, demsar.C45_CF, demsar.C45_M_CF]).T)
    assert found.mean_ranks == pytest.approx(demsar.MEAN_RANKS, abs=0.0005)
    words = friedman_sentence(found)
    assert words.startswith(
        "3 has the least mean rank, 1.96 of 4 over 14 data sets. By the Friedman test mean ranks differ by"
    )
    assert "(Iman and Davenport's F(3, 39) is 4.19, p = 0.012)." in words
    assert words.endswith("at 5% over all pairs, is 1.25: 0, 1 and 2 can't be told from 3.")


def test_two_conditions_are_told_apart_by_signs_and_not_where_chance_would_do() -> None:
    seven = friedman_sentence(ranked(np.tile([0.2, 0.9], (7, 1))))
    assert (
        "By the sign test, which is that of Friedman for two conditions, mean ranks differ by more than chance (p = 0.016)"
        in seven
    )
    assert seven.endswith("is 0.74: 1 differs from all others.")
    five = friedman_sentence(ranked(np.tile([0.2, 0.9], (5, 1))))
    assert "mean ranks do not differ by more than chance (p = 0.062)" in five
    assert five.endswith("at 5% over all pairs, is 0.88.")
    assert friedman_sentence(ranked([[1.0, 1.0], [2.0, 2.0]])) == "All 2 conditions tie on each of 2 data sets."
    assert friedman_sentence(ranked([[1.0, 2.0]])) == "1 has the least rank on the only data set."


@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=6), st.data())
@settings(max_examples=40, deadline=None)
def test_ties_share_a_place_and_what_diverged_is_last(table: list[list[int]], data: Any) -> None:
    lost = np.array(
        data.draw(
            st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=len(table), max_size=len(table))
        )
    )
    outcome = np.where(lost > 0, np.nan, np.array(table, dtype=float))
    for better, sign in (("higher", -1.0), ("lower", 1.0)):
        found = ranked(outcome, lost, better=better)
        key = np.where(lost > 0, 100.0, sign * np.array(table))
        expected = [[(row < v).sum() + ((row == v).sum() + 1) / 2 for v in row] for row in key]
        assert found.rank_NK.tolist() == expected
        assert found.rank_NK.sum(axis=1).tolist() == [6.0] * len(table)


def test_a_data_set_without_an_outcome_is_left_out_and_a_condition_that_is_not_on_all() -> None:
    table = cells([[1.0, 2.0], [math.nan, 3.0], [2.0, 1.0]])
    found = rank_table(table, "higher")
    assert found is not None
    assert (found.datasets, found.left_out) == (["a", "c"], ["b"])
    assert found.mean_ranks.tolist() == [1.5, 1.5]
    more = pd.concat([table, pd.DataFrame([{"dataset": "a", "condition": "alone", "mean": 9.0, "diverged": 0}])])
    again = rank_table(more, "higher")
    assert again is not None
    assert again.conditions == ["0", "1"]
    assert rank_table(cells([[1.0], [2.0]]), "higher") is None


@functools.cache
def tables() -> Any:
    rng = np.random.default_rng(0)
    _, made = on_datasets(NAMES, [OVER], WIDTHS, replicates=4)
    shape = [(d, w, r) for d in range(len(NAMES)) for w in range(3) for r in range(4)]
    accuracy = {(d, w, r): 0.7 + 0.03 * d + (0.02 if w == 1 else 0.0) for d, w, r in shape}
    loss = {(d, w, r): 1.0 + 0.1 * d - 0.2 * w + 0.02 * float(rng.normal()) for d, w, r in shape}
    made = with_numbers(made, "test_accuracy", accuracy, WIDTHS)
    return with_numbers(made, "test_loss", loss, WIDTHS)


@functools.cache
def report() -> Report:
    return report_of(tables())


def test_a_report_has_outcomes_ranks_and_mean_ranks() -> None:
    text = section_text(report(), "Each data set")
    assert "| data set | width=8 | width=16 | width=32 |" in text
    assert "| iris | 0.700 (2.5) | 0.720 (1) | 0.700 (2.5) |" in text
    assert "| mean rank | 2.50 | 1.00 | 2.50 |" in text
    text = section_text(report(), "Data sets")
    assert "width=16 has the least mean rank, 1.00 of 3 over 7 data sets." in text
    assert "F(2, 12) is infinite, as all data sets agree, p < 0.001)." in text
    assert "can't be told from" not in text


def test_the_figure_has_each_data_set_and_the_interval_over_them() -> None:
    assert picture(report(), "data_sets").startswith(b"\x89PNG")
    (verdict,) = context_of(tables()).verdicts
    assert [d.name for d in verdict.datasets] == NAMES
    (ax,) = draw([verdict]).axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    means = {d.name: d.mean for d in verdict.datasets}
    assert names == [*sorted(NAMES, key=lambda n: -means[n]), "over data sets"]
    dots = [float(np.asarray(line.get_xdata())[0]) for line in ax.get_lines()[: len(NAMES)]]
    assert dots == pytest.approx(sorted(means.values(), reverse=True))


def test_a_condition_that_diverged_is_ranked_last_and_says_so() -> None:
    lost = make_status(tables(), {(1, 0): "diverged"})
    text = section_text(report_of(lost), "Each data set")
    assert "| iris | 0.700 (1.5) | 0.720 (3, 1 diverged) | 0.700 (1.5) |" in text
    assert "A condition of which runs diverged ranks last" in text


@pytest.mark.parametrize(
    "factors",
    [
        {"zip": {"dataset": ["digits", "mnist1d"], "lr": [0.1, 0.2]}, "depth": [0, 1]},
        {"conditions": [{"label": "A", "dataset": "digits"}, {"label": "B", "dataset": "mnist1d"}], "depth": [0, 1]},
    ],
    ids=["zip", "conditions"],
)
def test_what_goes_with_the_data_set_is_no_part_of_a_condition(factors: dict[str, Any]) -> None:
    made = make(build({"name": "x", "question": "?", "fixed": {"width": 8}, "replicates": 2, "factors": factors}))
    shown = each_data_set(context_of(made))
    assert shown is not None
    assert shown.table.splitlines()[0] == "| data set | depth=0 | depth=1 |"
    assert [line.split(" | ")[0] for line in shown.table.splitlines()[2:]] == ["| digits", "| mnist1d", "| mean rank"]


def test_there_is_no_section_without_the_factor() -> None:
    context = context_of(make(spec(factors={"width": [8, 16]}, replicates=2)))
    assert section(context) is None
    assert each_data_set(context) is None


def test_ranks_are_seen_at_once_and_single_data_sets_are_folded() -> None:
    titles = {s.title: s for s in report().sections}
    assert not titles["Data sets"].fold
    assert not titles["Data sets"].in_fold
    assert titles["Each data set"].in_fold


def test_verdicts_say_of_what_they_speak() -> None:
    text = section_text(report(), "How this was judged")
    assert "those over data sets to data sets like these" in text
    assert "| 7 data sets |" in text
    assert "n = 7 data sets," in section_text(report(), "Verdicts")
