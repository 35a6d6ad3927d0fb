"""How often intervals of replicates that draw other test rows from one table hold what is true of its population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mlpbench.data.dataset import held_out
from mlpbench.evidence.statistics.t_test import Sample

Array = np.ndarray[Any, Any]


def population(rng: np.random.Generator, tables: int, rows: int, target: str) -> tuple[Array, Array]:
    """Draw tables: five normal inputs, and a target that is a number, or one of two classes, by a function that is not linear."""
    x = rng.normal(size=(tables, rows, 5))
    f = x @ np.array([1.0, 0.7, 0.5, 0.3, 0.1]) / 2 + (x[..., 0] ** 2 - 1) / 4
    y = (
        f + 0.7 * rng.normal(size=f.shape)
        if target == "number"
        else (2 * f + rng.logistic(size=f.shape) > 0).astype(float)
    )
    return x, y


def fitted(x: Array, y: Array, inputs: int) -> Callable[[Array], Array]:
    """Return ridge regression on the first inputs of each table; of classes it is the linear discriminant."""
    x = x[..., :inputs]
    centre, mean = x.mean(-2, keepdims=True), y.mean(-1, keepdims=True)
    away = x - centre
    gram = np.swapaxes(away, -1, -2) @ away + np.eye(inputs)
    w = np.linalg.solve(gram, np.swapaxes(away, -1, -2) @ (y - mean)[..., None])
    return lambda new: ((new[..., :inputs] - centre) @ w)[..., 0] + mean


def scores(x: Array, y: Array, test: Array, target: str) -> dict[str, Array]:
    """Return of each table the test and the train score of a learner with five inputs and of one with two: accuracy, or squared error."""
    train = ~test
    tables, n_test = len(x), int(test[0].sum())
    parts = {"test": test, "train": train}
    xs = {name: x[mask].reshape(tables, -1, 5) for name, mask in parts.items()}
    ys = {name: y[mask].reshape(tables, -1) for name, mask in parts.items()}
    assert ys["test"].shape[1] == n_test
    found = {}
    for learner, inputs in (("a", 5), ("b", 2)):
        predict = fitted(xs["train"], ys["train"], inputs)
        for part in parts:
            z = predict(xs[part])
            right = (z > 0.5) == (ys[part] > 0.5) if target == "class" else (z - ys[part]) ** 2
            found[f"{part} {learner}"] = right.mean(-1)
    for part in parts:
        found[f"{part} a - b"] = found[f"{part} a"] - found[f"{part} b"]
    return found


def splits(rng: np.random.Generator, y: Array, total: int, target: str) -> Array:
    """Return test rows of each table, as `resplit` draws them."""
    labels = y if target == "number" else y.astype(np.int64)
    return np.stack([held_out(of, rng.permutation(len(of)), total) for of in labels])


def coverage(
    target: str, rows: int, share: float, n: int, tables: int, rng: np.random.Generator | None = None
) -> dict[str, tuple[int, int]]:
    """Count how often plain and corrected 95% intervals of n replicates hold the expected score over tables of so many rows."""
    rng = np.random.default_rng([rows, round(100 * share), n]) if rng is None else rng
    total = round(share * rows)
    # What is true: means over 20,000 tables of one split each, with 500 test rows.
    sums: dict[str, float] = {}
    for _ in range(20):
        x, y = population(rng, 1_000, rows - total + 500, target)
        test = np.zeros(y.shape, bool)
        test[:, :500] = True
        for name, values in scores(x, y, test, target).items():
            sums[name] = sums.get(name, 0.0) + float(values.mean()) / 20
    x, y = population(rng, tables, rows, target)
    replicates = [scores(x, y, splits(rng, y, total, target), target) for _ in range(n)]
    counts = {}
    for name, true in sums.items():
        ratio = total / (rows - total)
        ratio = ratio if name.startswith("test") else 1 / ratio
        values = np.stack([r[name] for r in replicates], 1)
        held = [0, 0]
        for row in values:
            sample = Sample(n=n, mean=float(row.mean()), sd=max(float(row.std(ddof=1)), 1e-9))
            for i, of in enumerate((sample, replace(sample, overlap=ratio))):
                low, high = of.interval(0.95)
                held[i] += low <= true <= high
        counts[name] = (held[0], held[1])
    return counts
