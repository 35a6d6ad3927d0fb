"""Curves of a classifier over the whole test set, which a run stores beside its predictions: reliability, and ROC of two classes.

They are computed as `set_scores` are: at the end of training, of each run on its own and in double precision, where the outputs
are kept. A run without them, as of older folders, has nothing there.

    reliability   of 15 bins ((m-1)/15, m/15] of the confidence max_c p_c: how many examples it has, then of each bin the sum of the
                  confidence, then how many are predicted right; where outputs are logits of a cross-entropy
    roc           of two classes: the true positive rate at false positive rates of 0, 1/100, ..., 1, by the trapezoids of the curve
                  of the scores z_1 - z_0; equal scores are one step

References: C. Guo et al., On calibration of modern neural networks, 2017; T. Fawcett, An introduction to ROC analysis, 2006.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.metrics.set_scores import BINS, TestOutputs, confidence_bins

Floats = NDArray[np.float64]
RELIABILITY, ROC = "reliability", "roc"
# Columns of the table `predictions`.
SET_CURVES = (RELIABILITY, ROC)
# The false positive rates of a ROC curve: steps of a percent.
ROC_STEPS = 100


def set_curves(of: TestOutputs | None) -> dict[str, list[float] | None]:
    """Return the curves of a run's outputs, each None where it has none."""
    has_outputs = of is not None and of.outputs is not None and len(of.targets) > 0
    if of is None or not has_outputs:
        return dict.fromkeys(SET_CURVES)
    both = of.n_classes == 2
    return {
        RELIABILITY: reliability(of).ravel().tolist() if of.are_logits else None,
        ROC: None if not both or (curve := roc(of.z_CN[1] - of.z_CN[0], of.y_N == 1)) is None else curve.tolist(),
    }


def reliability(of: TestOutputs) -> Floats:
    """Return the number of examples of each bin of confidence, the sum of their confidence and the number of right ones, (3, BINS)."""
    confidence_N = of.p_CN.max(axis=0)
    bin_N, right_N = confidence_bins(confidence_N), (of.predicted == of.y_N).astype(np.float64)
    return np.stack(
        [np.bincount(bin_N, weights=w, minlength=BINS) for w in (np.ones_like(right_N), confidence_N, right_N)]
    )


def roc(score_N: Floats, positive_N: NDArray[np.bool_]) -> Floats | None:
    """Return the true positive rate at false positive rates of 0, 1/100, ..., 1; None where one side has no example.

    >>> curve = roc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    >>> [float(curve[k]) for k in (0, 49, 50, 100)]
    [0.5, 0.5, 1.0, 1.0]
    """
    total = int(positive_N.sum())
    if not 0 < total < len(positive_N):
        return None
    order = np.argsort(-score_N, kind="stable")
    last_of_score = np.flatnonzero(np.diff(score_N[order], append=-np.inf))
    hits, misses = np.cumsum(positive_N[order])[last_of_score], np.cumsum(~positive_N[order])[last_of_score]
    # Corners of the curve: rates of each side, from (0, 0) to (1, 1); of corners above each other the highest is the curve's.
    x, y = np.append(0, misses) / (len(positive_N) - total), np.append(0, hits) / total
    at = np.arange(ROC_STEPS + 1) / ROC_STEPS
    before = np.searchsorted(x, at, "right") - 1
    after = np.minimum(before + 1, len(x) - 1)
    width = x[after] - x[before]
    share = np.divide(at - x[before], width, out=np.zeros_like(at), where=width > 0)
    return np.asarray(y[before] + share * (y[after] - y[before]))
