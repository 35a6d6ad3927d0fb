"""The critical-difference diagram: places are mean ranks, bars join what the Nemenyi test can't tell apart, nothing overlaps."""

from __future__ import annotations

import itertools
from typing import Any

import demsar
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dataset_ranks import cells, ranked

from mlpbench.evidence.ranks.rank_table import RankTable, rank_table
from mlpbench.report.figures import theme
from mlpbench.report.topics import critical_difference
from mlpbench.report.topics.critical_difference import BAR, bar_levels


def demsar_table() -> RankTable:
    return ranked(np.array([demsar.C45, demsar.C45_M, demsar.C45_CF, demsar.C45_M_CF]).T)


def drawn(table: RankTable) -> Any:
    (figure,) = critical_difference.figures(table)
    (ax,) = figure.draw().axes
    return ax


def test_published_ranks_stand_where_they_are_and_bars_join_what_is_within_the_difference() -> None:
    """Demsar 2006, section 3.2.2: critical difference 1.25 (at 0.05 of four); C4.5 and C4.5+m+cf are not told apart, by 1.14."""
    table = demsar_table()
    ax = drawn(table)
    stems = [np.asarray(line.get_xdata(), dtype=float) for line in ax.lines if len(line.get_xdata()) == 3]
    assert np.allclose(sorted(x[0] for x in stems), sorted(demsar.MEAN_RANKS), atol=0.0005)
    texts = [text.get_text() for text in ax.texts]
    assert "critical difference 1.25" in texts
    assert "3  1.96" in texts
    assert table.groups == [tuple(int(i) for i in np.argsort(table.mean_ranks))], "all four are within 1.25"
    assert (
        critical_difference.groups_sentence(table) == "All mean ranks are within it of each other: one bar joins them."
    )


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(3, 12))
@settings(max_examples=40, deadline=None)
def test_groups_are_the_largest_sets_within_the_critical_difference(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    table = ranked(rng.normal(size=(n, k)) + np.linspace(0, 3, k))
    assert table.test is not None
    means, limit = table.mean_ranks, table.test.critical_difference
    within = [
        frozenset(group)
        for size in range(2, k + 1)
        for group in itertools.combinations(range(k), size)
        if max(means[list(group)]) - min(means[list(group)]) < limit
    ]
    largest = {group for group in within if not any(group < other for other in within)}
    # Equal mean ranks have no order: as sets of ranks both are the same.
    assert {frozenset(group) for group in table.groups} == largest


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=12))
def test_bars_on_one_level_never_touch(parts: list[tuple[float, float]]) -> None:
    bars = sorted((start, start + length) for start, length in parts)
    levels = bar_levels(bars)
    for (one, at), (other, there) in itertools.combinations(zip(bars, levels, strict=True), 2):
        assert at != there or one[1] < other[0] or other[1] < one[0]


@pytest.mark.parametrize("k", range(3, 13))
def test_names_never_overlap_and_stay_inside(k: int) -> None:
    names = [f"hidden_sizes=(512, {i}), norm" for i in range(k)]
    frame = cells(np.random.default_rng(k).normal(size=(8, k)))
    found = rank_table(frame.assign(condition=frame["condition"].map(lambda i: names[int(i)])), "higher")
    assert found is not None
    (figure,) = critical_difference.figures(found)
    made = figure.draw()
    with theme.style():
        made.canvas.draw()
        boxes = [text.get_window_extent() for text in made.axes[0].texts if text.get_text().strip()]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    width, height = made.bbox.width, made.bbox.height
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)


def test_of_many_conditions_the_best_are_drawn() -> None:
    table = ranked(np.random.default_rng(0).normal(size=(9, 300)))
    stems = [line for line in drawn(table).lines if len(line.get_xdata()) == 3]
    assert len(stems) == critical_difference.MOST_DRAWN
    best = np.sort(table.mean_ranks)[: len(stems)]
    assert np.allclose(sorted(float(line.get_xdata()[0]) for line in stems), best)


def test_there_is_no_diagram_of_two_conditions_or_one_data_set_or_ties_alone() -> None:
    assert critical_difference.figures(ranked([[1.0, 2.0], [1.0, 2.0]])) == []
    assert critical_difference.figures(ranked([[1.0, 2.0, 3.0]])) == []
    assert critical_difference.figures(ranked([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])) == []
    assert critical_difference.figures(None) == []


def test_conditions_that_are_all_apart_have_no_bar() -> None:
    table = ranked(np.tile([1.0, 5.0, 9.0], (40, 1)))
    assert critical_difference.groups_sentence(table) == "No two mean ranks are within it of each other."
    bars = [line for line in drawn(table).lines if line.get_color() == BAR and line.get_linewidth() == 3.5]
    assert bars == []


def test_bytes_do_not_change_and_are_few() -> None:
    (figure,) = critical_difference.figures(demsar_table())
    assert theme.png(figure.draw()) == theme.png(figure.draw())
    assert len(theme.png(figure.draw())) < 12_000
