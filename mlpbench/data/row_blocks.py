"""Training rows that no split divides: groups, such as patients, or the times at which rows were taken.

How many rows a validation set and folds have follows from the sizes of groups, or from how many rows each time has, and from
nothing else: it is known without the rows, and is the same in every replicate, so that their runs have one shape. Which of the
groups of one size go where is drawn. Rows in time are not drawn: the latest ones are validated on.

Shapes: `N` training rows, `G` groups.

Reference: scikit-learn's GroupKFold and TimeSeriesSplit, whose folds have the same sizes.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

MOST_GROUPS = 1_000_000
# Entries of `sizes` that a table with times is described by: neighbouring times are put together until there are no more.
MOST_TIMES = 1_000


@dataclass(frozen=True, kw_only=True)
class FoldPart:
    """How many rows the runs on a fold are fitted to and validated on."""

    fit: int
    validation: int


@dataclass(frozen=True, kw_only=True)
class RowBlocks:
    """The blocks of training rows that stay together, by their sizes alone.

    Attributes:
        sizes: rows of a block and how many blocks of that size follow one another: of groups the largest first, of times in
            their order.
        in_time: whether blocks are times, so that later rows are validated on; else they are groups.

    """

    sizes: tuple[tuple[int, int], ...]
    in_time: bool = False

    @classmethod
    def of_groups(cls, group_N: Indices) -> RowBlocks:
        """Return the blocks of rows whose groups are numbered from 0, none of them empty."""
        rows, counts = np.unique(np.bincount(group_N), return_counts=True)
        return cls(sizes=tuple(zip(rows[::-1].tolist(), counts[::-1].tolist(), strict=True)))

    @classmethod
    def of_times(cls, time_N: NDArray[np.float64]) -> RowBlocks:
        """Return the blocks of rows by their times, in any order."""
        _, rows = np.unique(time_N, return_counts=True)
        sizes = _repeated(rows.tolist())
        if len(sizes) > MOST_TIMES:
            # Where one block ends is where a time does, near to each thousandth of the rows.
            ends = np.cumsum(rows)
            chosen = np.unique(np.searchsorted(ends, np.linspace(0, ends[-1], MOST_TIMES + 1)[1:], side="left"))
            sizes = _repeated(np.diff(ends[chosen], prepend=0).tolist())
        return cls(sizes=sizes, in_time=True)

    @property
    def n_rows(self) -> int:
        """Number of rows, N."""
        return sum(rows * count for rows, count in self.sizes)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return sum(count for _, count in self.sizes)

    def validation_size(self, share: float, train_size: int) -> int:
        """Return how many of the latest `train_size` rows, or of all rows in groups, are validated on.

        Of groups, each size gives its share, the largest first, and smaller ones what is left to the whole share: the total is
        within half of the largest group of it. In time it is where a time ends that is nearest to the share.

        Raises ValueError where blocks are too few.

        """
        if self.in_time:
            start = self.n_rows - train_size
            cut = self._cut_near(self.n_rows - round(share * train_size), start)
            if cut is None:
                raise ValueError("validation needs training rows of two times at least, got one")
            return self.n_rows - cut
        return sum(k * rows for k, (rows, _) in zip(_taken(self.sizes, share), self.sizes, strict=True))

    def fold_parts(self, folds: int, train_size: int) -> list[FoldPart]:
        """Return how many rows each fold is fitted to and validated on; raise ValueError where blocks are too few.

        In time each fold is validated on the rows that follow those it is fitted to; the first rows are fitted to alone.
        """
        if self.in_time:
            bounds, start = self._fold_bounds(folds, train_size), self.n_rows - train_size
            return [FoldPart(fit=a - start, validation=b - a) for a, b in pairwise(bounds)]
        if self.n_blocks < folds:
            raise ValueError(f"folds must be at most the number of groups to train on, {self.n_blocks}, got {folds}")
        fold_G = _dealt(self.sizes, folds)
        sizes = np.bincount(fold_G, np.repeat(*np.array(self.sizes).T), minlength=folds).astype(np.int64).tolist()
        return [FoldPart(fit=self.n_rows - size, validation=size) for size in sizes]

    def is_drawn(self, *, share: float | None = None, folds: int | None = None) -> bool:
        """Return whether replicates differ in the rows of a share that is validated on, or of their folds."""
        if self.in_time:
            return False
        counts = [count for _, count in self.sizes]
        if folds is not None:
            parts = np.split(_dealt(self.sizes, folds), np.cumsum(counts)[:-1])
            return any(len(np.unique(part)) > 1 for part in parts)
        return any(0 < k < count for k, count in zip(_taken(self.sizes, share or 0.0), counts, strict=True))

    def in_share(self, block_N: Indices, share: float, order_G: Indices) -> Mask:
        """Return which rows are in a share of the groups, (N,).

        Args:
            block_N: the group of each row, from 0.
            share: the share of the rows.
            order_G: a random permutation of the groups.

        """
        taken = _taken(self.sizes, share)
        pattern = [np.arange(count) < k for k, (_, count) in zip(taken, self.sizes, strict=True)]
        chosen_G = np.zeros(len(order_G), bool)
        chosen_G[_largest_first(block_N, order_G)] = np.concatenate(pattern)
        return np.asarray(chosen_G[block_N])

    def fold_of(self, block_N: Indices, folds: int, order_G: Indices) -> Indices:
        """Return the fold of each row, (N,): groups are dealt into the smallest fold, largest first, equal ones in `order_G`."""
        fold_G = np.empty(len(order_G), np.int64)
        fold_G[_largest_first(block_N, order_G)] = _dealt(self.sizes, folds)
        return np.asarray(fold_G[block_N])

    def _fold_bounds(self, folds: int, train_size: int) -> list[int]:
        """Return where folds begin and the last one ends, in rows in time."""
        n, start, size = self.n_rows, self.n_rows - train_size, train_size // (folds + 1)
        bounds = [self._cut_near(n - (folds - fold) * size, start) for fold in range(folds)] if size else [None]
        found = [start, *(bound for bound in bounds if bound is not None), n]
        if None in bounds or any(a >= b for a, b in pairwise(found)):
            times = self._times_from(start)
            rule = "folds must leave each of them, and what is before the first, a time of its own"
            raise ValueError(f"{rule}: {train_size} training rows have {times} times, got {folds} folds")
        return found[1:]

    def _times_from(self, start: int) -> int:
        """Return how many times have rows after the first `start` ones."""
        times, end = 0, 0
        for rows, count in self.sizes:
            times += count - min(max((start - end) // rows, 0), count)
            end += rows * count
        return times

    def _cut_near(self, wanted: int, start: int) -> int | None:
        """Return where a time ends nearest to a place, after the first `start` rows and before the last; None where none does.

        Of two that are equally near it is the later.
        """
        nearest, end, n = None, 0, self.n_rows
        for rows, count in self.sizes:
            last = end + rows * count
            # Ends of this entry are end + rows, ..., last: those on either side of what is wanted, and the outermost.
            below = end + rows * min(max((wanted - end) // rows, 1), count)
            inner = end + rows * min(max((start - end) // rows + 1, 1), count)
            for cut in (below, min(below + rows, last), inner, last - rows, last):
                fits = max(start, end) < cut < n
                if fits and (nearest is None or (abs(cut - wanted), -cut) < (abs(nearest - wanted), -nearest)):
                    nearest = cut
            end = last
        return nearest


def _repeated(rows: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return numbers with how often each of them follows itself.

    >>> _repeated([1, 1, 1, 5, 1])
    ((1, 3), (5, 1), (1, 1))
    """
    values = np.asarray(rows)
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    counts = np.diff(starts, append=len(values))
    return tuple(zip(values[starts].tolist(), counts.tolist(), strict=True))


def _largest_first(block_N: Indices, order_G: Indices) -> Indices:
    """Return the groups, (G,), the largest first, those of one size in a drawn order."""
    rows_G = np.bincount(block_N, minlength=len(order_G))
    return np.asarray(order_G[np.argsort(-rows_G[order_G], kind="stable")])


@functools.lru_cache(maxsize=256)
def _taken(sizes: tuple[tuple[int, int], ...], share: float) -> tuple[int, ...]:
    """Return how many groups of each size make a share of the rows; at least one group of all, and never every group."""
    if sum(count for _, count in sizes) < 2:
        raise ValueError("a share of the rows in groups needs two groups at least, got one")
    taken, total, chosen = [], 0, 0
    for rows, count in sizes:
        total += rows * count
        taken.append(min(count, max(0, round((share * total - chosen) / rows))))
        chosen += taken[-1] * rows
    if not chosen:
        taken[-1] = 1
    elif chosen == total:
        taken[-1] -= 1
    return tuple(taken)


@functools.lru_cache(maxsize=64)
def _dealt(sizes: tuple[tuple[int, int], ...], folds: int) -> Indices:
    """Return the fold of each group, the largest first, (G,): that with the fewest rows so far, and of equal ones the first."""
    if (groups := sum(count for _, count in sizes)) > MOST_GROUPS:
        raise ValueError(f"groups to train on must be at most {MOST_GROUPS} where there are folds, got {groups}")
    filled = [(0, fold) for fold in range(folds)]
    dealt = []
    for rows, count in sizes:
        for _ in range(count):
            total, fold = filled[0]
            heapq.heapreplace(filled, (total + rows, fold))
            dealt.append(fold)
    return np.array(dealt, np.int64)
