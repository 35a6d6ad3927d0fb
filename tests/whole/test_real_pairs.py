"""Statistics on networks that were really trained: one condition against itself, and what pairing gains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

import mlpbench
from mlpbench.evidence.statistics.t_test import ALPHA, Sample, two_sided

Floats = npt.NDArray[np.float64]
EACH = 5
RESAMPLINGS = 5000
HEAD: dict[str, Any] = {"question": "What do replicates differ by?", "dataset": "fashion_mnist"}


def trained(folder: Path, **spec: Any) -> pd.DataFrame:
    """Train an experiment and return its runs, replicate by replicate."""
    outcome = mlpbench.run(HEAD | spec, results=folder, report=False, quiet=True)
    assert set(outcome.runs["status"]) == {"ok"}
    return outcome.runs.sort_values("replicate", ignore_index=True)


@pytest.mark.prove
@pytest.mark.parametrize("comparisons", [200])
def test_a_condition_seldom_differs_from_itself(comparisons: int, tmp_path: Path) -> None:
    """2,000 replicates on 2,000 images, by index 200 comparisons of 5 against 5 at margin 0: at most 5% false verdicts."""
    fixed = {"width": 16, "train_size": 2000, "epochs": 5}
    runs = trained(tmp_path, name="same", fixed=fixed, replicates=2 * EACH * comparisons)
    assert len(runs) == 2 * EACH * comparisons
    for metric in ("test_accuracy", "test_loss"):
        values = runs[metric].to_numpy(float).reshape(comparisons, 2, EACH)
        differences = values[:, 0] - values[:, 1]
        samples = [Sample(n=EACH, mean=float(d.mean()), sd=float(d.std(ddof=1))) for d in differences]
        false = sum(two_sided(sample, 0.0) <= ALPHA for sample in samples)
        interval = stats.binomtest(false, comparisons).proportion_ci()
        # The same replicates in other pairs: what is chance in one split of them is none in the mean over many.
        rng = np.random.default_rng(1)
        shuffled = [rng.permutation(values.ravel()).reshape(comparisons, 2, EACH) for _ in range(200)]
        p = stats.ttest_1samp(np.array([s[:, 0] - s[:, 1] for s in shuffled]), 0, axis=2).pvalue
        rate = float(np.mean(np.asarray(p) <= ALPHA))
        print(
            f"{metric}: {false} of {comparisons} comparisons of a condition with itself decided "
            f"({interval.low:.3f} to {interval.high:.3f}); {rate:.4f} over 200 other splits"
        )
        assert false <= stats.binom.ppf(0.999, comparisons, ALPHA)
        assert rate <= 0.06


def gain(one: Floats, other: Floats) -> Floats:
    """Return the variance of a difference of means without pairing over that with pairing, along the last axis."""
    unpaired = one.var(axis=-1, ddof=1) + other.var(axis=-1, ddof=1)
    return np.asarray(unpaired / (one - other).var(axis=-1, ddof=1))


@pytest.mark.parametrize(
    ("images", "vary"),
    [
        pytest.param("the same images", ["init", "order"], id="same images", marks=pytest.mark.prove),
        pytest.param("resampled images", ["init", "order", "split"], id="resampled images", marks=pytest.mark.prove),
    ],
)
def test_what_pairing_by_replicate_gains(images: str, vary: list[str], tmp_path: Path) -> None:
    """30 replicates: two learning rates, which share their initial weights, and two widths, which do not.

    Both share batches. The gain is stated whatever it is; what is required is that pairing does not lose, and that of
    two learning rates with the same weights to begin with it gains.
    """
    conditions = [
        {"label": "base", "width": 64, "lr": 0.1},
        {"label": "two learning rates", "width": 64, "lr": 0.12},
        {"label": "two widths", "width": 96, "lr": 0.1},
    ]
    fixed = {"train_size": 2000, "steps": 300, "init": "he_normal"}
    spec = {"name": "pairs", "fixed": fixed, "factors": {"conditions": conditions}, "replicates": 30, "vary": vary}
    runs = trained(tmp_path, **spec)
    which = runs["width"].astype(str) + "," + runs["lr"].astype(str)
    values = {c["label"]: runs.loc[which == f"{c['width']},{c['lr']}", "test_accuracy"] for c in conditions}
    base = values.pop("base").to_numpy(float)
    lows = {}
    for label, column in values.items():
        other = column.to_numpy(float)
        drawn = np.random.default_rng(0).integers(30, size=(RESAMPLINGS, 30))
        low, high = np.percentile(gain(base[drawn], other[drawn]), [2.5, 97.5])
        print(f"{images}, {label}: unpaired over paired variance {gain(base, other):.2f} ({low:.2f} to {high:.2f})")
        assert high > 1, "pairing does not lose"
        lows[label] = low
    assert lows["two learning rates"] > 1
