"""How rows that stay together are dealt out: sizes that follow from those of groups and times alone, and no group on two sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from mlpbench.data.row_blocks import MOST_TIMES, FoldPart, RowBlocks

GROUPS = st.lists(st.integers(1, 40), min_size=2, max_size=40)
# Times of one size stand side by side, as days of a table of one row a day do.
TIMES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=2, max_size=12).map(
    lambda pairs: [rows for rows, count in pairs for _ in range(count)]
)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


def rows_of(sizes: list[int], seed: int) -> np.ndarray:
    """Return the block of each row, in random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


@given(sizes=GROUPS, share=SHARES, seed=SEEDS)
def test_a_share_of_groups_has_whole_groups_and_the_size_that_was_planned(
    sizes: list[int], share: float, seed: int
) -> None:
    block_N = rows_of(sizes, seed)
    blocks, order = RowBlocks.of_groups(block_N), np.random.default_rng(seed).permutation(len(sizes))
    held = blocks.in_share(block_N, share, order)
    assert 0 < held.sum() < len(held)
    assert not set(block_N[held]) & set(block_N[~held])
    assert held.sum() == blocks.validation_size(share, sum(sizes))
    assert np.array_equal(held, blocks.in_share(block_N, share, order))
    off = abs(int(held.sum()) - share * sum(sizes))
    assert off <= max(sizes) / 2 or held.sum() in (min(sizes), sum(sizes) - min(sizes))


@given(groups=st.integers(2, 40), rows=st.integers(1, 9), share=SHARES)
def test_of_groups_of_one_size_a_share_is_the_nearest_there_is(groups: int, rows: int, share: float) -> None:
    blocks = RowBlocks.of_groups(np.repeat(np.arange(groups), rows))
    found = blocks.validation_size(share, groups * rows)
    nearest = min(abs(k * rows - share * groups * rows) for k in range(1, groups))
    assert abs(found - share * groups * rows) == pytest.approx(nearest)


def test_each_size_of_group_gives_its_share() -> None:
    block_N = np.repeat(np.arange(60), [50] * 20 + [5] * 40)
    blocks = RowBlocks.of_groups(block_N)
    held = blocks.in_share(block_N, 0.25, np.random.default_rng(0).permutation(60))
    assert np.bincount(np.bincount(block_N[held]))[[5, 50]].tolist() == [10, 5]


@given(sizes=GROUPS, folds=st.integers(2, 8), seed=SEEDS)
def test_folds_of_groups_have_the_sizes_of_scikit_learn_in_every_replicate(
    sizes: list[int], folds: int, seed: int
) -> None:
    block_N = rows_of(sizes, seed)
    blocks = RowBlocks.of_groups(block_N)
    if len(sizes) < folds:
        with pytest.raises(ValueError, match=f"at most the number of groups to train on, {len(sizes)}, got {folds}"):
            blocks.fold_parts(folds, len(block_N))
        return
    parts = blocks.fold_parts(folds, len(block_N))
    theirs = [len(held) for _, held in GroupKFold(folds).split(block_N, groups=block_N)]
    assert [part.validation for part in parts] == theirs
    for replicate in range(3):
        order = np.random.default_rng([seed, replicate]).permutation(len(sizes))
        fold_N = blocks.fold_of(block_N, folds, order)
        for fold, part in enumerate(parts):
            held = fold_N == fold
            assert part == FoldPart(fit=int((~held).sum()), validation=int(held.sum()))
            assert not set(block_N[held]) & set(block_N[~held])


def test_groups_of_one_size_go_where_the_draw_says_and_others_stay() -> None:
    block_N = np.repeat(np.arange(10), [9, 7, 3, 3, 3, 3, 3, 3, 3, 3])
    blocks = RowBlocks.of_groups(block_N)
    drawn = [blocks.fold_of(block_N, 3, np.random.default_rng(i).permutation(10)) for i in range(8)]
    assert len({tuple(fold_N) for fold_N in drawn}) > 4
    assert len({tuple(fold_N[block_N < 2]) for fold_N in drawn}) == 1
    assert blocks.is_drawn(folds=3)
    assert blocks.is_drawn(share=0.2)
    different = RowBlocks.of_groups(np.repeat(np.arange(4), [1, 3, 5, 7]))
    assert not different.is_drawn(folds=2)
    assert not different.is_drawn(share=0.3)


@given(sizes=GROUPS, share=SHARES, folds=st.integers(2, 5), seed=SEEDS)
def test_what_is_said_to_be_drawn_is(sizes: list[int], share: float, folds: int, seed: int) -> None:
    """Over many draws all are alike exactly where nothing is said to be drawn."""
    block_N = rows_of(sizes, seed)
    blocks = RowBlocks.of_groups(block_N)
    orders = [np.random.default_rng([seed, i]).permutation(len(sizes)) for i in range(60)]
    shares = {blocks.in_share(block_N, share, order).tobytes() for order in orders}
    assert (len(shares) > 1) == blocks.is_drawn(share=share)
    if len(sizes) >= folds:
        found = {blocks.fold_of(block_N, folds, order).tobytes() for order in orders}
        assert (len(found) > 1) == blocks.is_drawn(folds=folds)


@given(rows=st.integers(2, 300), folds=st.integers(1, 9))
def test_folds_in_time_are_those_of_scikit_learn_where_no_two_rows_share_a_time(rows: int, folds: int) -> None:
    blocks = RowBlocks.of_times(np.random.default_rng(rows).permutation(rows).astype(float))
    if rows // (folds + 1) == 0:
        with pytest.raises(ValueError, match=f"{rows} training rows have {rows} times, got {folds} folds"):
            blocks.fold_parts(folds, rows)
        return
    if folds < 2:
        return
    theirs = [(len(fit), len(held)) for fit, held in TimeSeriesSplit(folds).split(np.zeros(rows))]
    assert [(part.fit, part.validation) for part in blocks.fold_parts(folds, rows)] == theirs


@given(sizes=TIMES, share=SHARES, used=st.floats(0.2, 1))
def test_a_share_in_time_ends_where_a_time_does_nearest_to_it(sizes: list[int], share: float, used: float) -> None:
    n, ends = sum(sizes), np.cumsum(sizes)
    blocks, train_size = (
        RowBlocks.of_times(np.repeat(np.arange(len(sizes)), sizes).astype(float)),
        max(2, round(used * n)),
    )
    allowed = [end for end in ends if n - train_size < end < n]
    if not allowed:
        with pytest.raises(ValueError, match="two times at least"):
            blocks.validation_size(share, train_size)
        return
    wanted = n - round(share * train_size)
    found = n - blocks.validation_size(share, train_size)
    assert found in allowed
    assert abs(found - wanted) == min(abs(end - wanted) for end in allowed)


@given(sizes=TIMES, folds=st.integers(2, 6), used=st.floats(0.3, 1))
def test_folds_in_time_split_no_time_and_go_forward(sizes: list[int], folds: int, used: float) -> None:
    n, ends = sum(sizes), np.cumsum(sizes).tolist()
    train_size = max(2, round(used * n))
    blocks = RowBlocks.of_times(np.repeat(np.arange(len(sizes)), sizes).astype(float))
    start, size = n - train_size, train_size // (folds + 1)
    allowed = [end for end in ends if start < end < n]
    wanted = [n - (folds - fold) * size for fold in range(folds)]
    firsts = [min(allowed, key=lambda end: (abs(end - at), -end), default=0) for at in wanted]
    if not size or not allowed or len(set(firsts)) < folds:
        times = len([end for end in ends if end > start])
        with pytest.raises(ValueError, match=f"{train_size} training rows have {times} times, got {folds} folds"):
            blocks.fold_parts(folds, train_size)
        return
    lasts = [*firsts[1:], n]
    parts = [FoldPart(fit=first - start, validation=last - first) for first, last in zip(firsts, lasts, strict=True)]
    assert blocks.fold_parts(folds, train_size) == parts


@given(seed=SEEDS)
def test_many_times_of_different_sizes_are_put_together_and_none_is_split(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 6 * MOST_TIMES)
    blocks = RowBlocks.of_times(np.repeat(np.arange(len(sizes)), sizes).astype(float))
    assert len(blocks.sizes) <= MOST_TIMES
    assert blocks.n_rows == sizes.sum()
    ends = np.cumsum(np.repeat(*np.array(blocks.sizes).T))
    assert set(ends.tolist()) <= set(np.cumsum(sizes).tolist())
    assert np.diff(ends, prepend=0).max() <= blocks.n_rows / MOST_TIMES + 9


def test_a_million_rows_are_described_by_a_few_numbers() -> None:
    assert RowBlocks.of_times(np.arange(1e6)).sizes == ((1, 1_000_000),)
    assert RowBlocks.of_groups(np.arange(1_000_000) // 10).sizes == ((10, 100_000),)


def test_hostile_sizes_take_no_memory_and_no_time() -> None:
    huge = RowBlocks(sizes=((1, 10**15),), in_time=True)
    assert huge.validation_size(0.25, 10**15) == 25 * 10**13
    assert huge.fold_parts(4, 10**15)[0] == FoldPart(fit=2 * 10**14, validation=2 * 10**14)
    with pytest.raises(ValueError, match="groups to train on must be at most"):
        RowBlocks(sizes=((1, 10**15),)).fold_parts(4, 10**15)
