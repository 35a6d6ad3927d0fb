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
