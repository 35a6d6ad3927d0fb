"""Splits of examples: a part to hold out, or folds, in which each class has the proportion that it has in the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def held_out(targets: NDArray[np.generic], order: Indices, total: int) -> NDArray[np.bool_]:
    """Return which examples are held out, `total` of them, the first ones in `order`.

    Args:
        targets: numbers of a floating type, which are drawn from alike, or classes, each of which has its share of `total`.
        order: a random permutation of the examples.
        total: the number of examples to hold out.

    """
    mask = np.zeros(len(targets), bool)
    if targets.dtype.kind == "f":
        mask[order[:total]] = True
        return mask
    classes, counts = np.unique(targets, return_counts=True)
    for label, count in zip(classes, _apportioned(counts, total)):
        mask[order[targets[order] == label][:count]] = True
    return mask


def _apportioned(counts: Indices, total: int) -> Indices:
    """Share `total` among classes in proportion to their counts, by largest remainder (Hamilton's method)."""
    exact = counts * total / counts.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: total - shares.sum()]] += 1
    return shares


def fold_of(targets: NDArray[np.generic], order: Indices, folds: int) -> Indices:
    """Return the fold of each example: dealt out in `order`, class by class where targets are classes.

    Folds have equally many examples, and equally many of each class, but for one; the first folds have the one more.
    """
    dealt = order if targets.dtype.kind == "f" else order[np.argsort(targets[order], kind="stable")]
    fold = np.empty(len(targets), np.int64)
    fold[dealt] = np.arange(len(targets)) % folds
    return fold
