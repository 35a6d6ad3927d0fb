"""Sharing examples among classes: a part of the data has each class in the proportion that the whole has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def apportion(counts: Indices, total: int) -> Indices:
    """Share `total` among classes in proportion to their counts, by largest remainder (Hamilton's method)."""
    exact = counts * total / counts.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: total - shares.sum()]] += 1
    return shares


def stratified(labels: NDArray[np.generic], order: Indices, total: int) -> NDArray[np.bool_]:
    """Return which examples are held out: of each class its share of `total`, the first ones in `order`."""
    held = np.zeros(len(labels), bool)
    classes, counts = np.unique(labels, return_counts=True)
    for label, count in zip(classes, apportion(counts, total)):
        held[order[labels[order] == label][:count]] = True
    return held


def fold_of(labels: NDArray[np.generic], order: Indices, folds: int) -> Indices:
    """Return the fold of each example: dealt out in `order`, class by class where labels are classes.

    Folds have equally many examples, and equally many of each class, up to one; the first ones have the one more.
    """
    dealt = order if labels.dtype.kind == "f" else order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[dealt] = np.arange(len(labels)) % folds
    return found
