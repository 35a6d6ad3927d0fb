"""What the outputs of a network for the whole test set are worth: each score is one entry of `SET_SCORES`.

From an entry follows one column of the table `runs`, and the metric of that name, `test_NAME`. They are computed at the end of
training, of each run on its own and in double precision, so that stack-mates change nothing. Those of outputs exist where the
test set has at most `MOST_OUTPUTS` of them; those of predictions always.

Shapes: `N` test examples, `C` classes or outputs. Of targets y, outputs z, predictions argmax_c z_c (the first of equal ones), and
p = softmax(z), which are probabilities where the loss is a cross-entropy:

    balanced_accuracy   mean over classes c that occur of the share of examples of c that are predicted as c
    macro_f1            mean over classes that occur or are predicted of 2 TP / (2 TP + FP + FN)
    roc_auc             P(s_i > s_j) + 1/2 P(s_i = s_j), i an example of a class, j one of another, s its p (z for other losses; of
                        two classes z_1 - z_0): of the second of two classes, of more the mean over those that occur
    log_loss            mean of -log p_y
    brier               mean of sum_c (p_c - [c = y])^2; of two classes half of that, (p_1 - y)^2
    ece                 sum over 15 bins ((m-1)/15, m/15] of max_c p_c of |sum in the bin of [right] - max_c p_c| / N
    top_k_accuracy      share with fewer than k classes ahead of y: with a larger output, or as large a one and a smaller number
    rmse, mae, r2       sqrt(mean (z - y)^2), mean |z - y|, 1 - sum (z - y)^2 / sum (y - mean y)^2, of numbers in the target's own
                        units; of several numbers the mean

References: T. Fawcett, An introduction to ROC analysis, 2006; D. Hand, R. Till, A simple generalisation of the area under the ROC
curve, 2001; G. Brier, Verification of forecasts expressed in terms of probability, 1950; C. Guo et al., On calibration of modern
neural networks, 2017. All but `ece` equal those of scikit-learn, `ece` that of torchmetrics off the edges of its bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.components.losses import Target
from mlpbench.experiment.metrics.scores import Better

Floats = NDArray[np.float64]
# Outputs of a run are kept until its scores are computed: 10,000 examples of 100 classes, 4 MB.
MOST_OUTPUTS = 2**20
BINS = 15
# The share of the variance that is explained: at most 1, with no lower end.
OF_VARIANCE = "share of variance"


def keeps_outputs(n_test: int, n_classes: int | None) -> bool:
    """Return whether outputs for the test set are few enough to be kept; numbers are their own predictions."""
    return n_classes is not None and n_test * n_classes <= MOST_OUTPUTS


@dataclass(frozen=True, kw_only=True)
class TestOutputs:
    """What one run gave for the test set.

    Attributes:
        targets: classes, (N,), or numbers, (N, C).
        predicted: predicted classes, (N,), or numbers, (N, C).
        n_classes: the number of classes; None of numbers.
        outputs: the outputs, (N, C); None where they are too many, or are the predictions.
        are_logits: whether the softmax of the outputs are probabilities.

    """

    __test__ = False  # no test of pytest's

    targets: NDArray[Any]
    predicted: NDArray[Any]
    n_classes: int | None
    outputs: NDArray[Any] | None = None
    are_logits: bool = False

    @cached_property
    def y_N(self) -> NDArray[np.int64]:
        """The class of each example."""
        return self.targets.astype(np.int64)

    @cached_property
    def counts_CC(self) -> Floats:
        """How many examples of each class, a row, are predicted as each, a column."""
        assert self.n_classes is not None
        pairs = self.y_N * self.n_classes + self.predicted
        return np.bincount(pairs, minlength=self.n_classes**2).reshape(self.n_classes, -1).astype(np.float64)

    @cached_property
    def z_CN(self) -> Floats:
        """The outputs, a row for each class."""
        assert self.outputs is not None
        return np.ascontiguousarray(self.outputs.T, dtype=np.float64)

    @cached_property
    def _logs(self) -> tuple[Floats, Floats]:
        """The logarithm of each probability but for that of the sum over classes, and that."""
        ahead_CN = self.z_CN - self.z_CN.max(axis=0)
        return ahead_CN, np.log(np.exp(ahead_CN).sum(axis=0))

    @cached_property
    def p_CN(self) -> Floats:
        """The probability of each class."""
        ahead_CN, log_sum_N = self._logs
        return np.exp(ahead_CN - log_sum_N)

    @cached_property
    def log_p_N(self) -> Floats:
        """The logarithm of the probability of the class of each example."""
        ahead_CN, log_sum_N = self._logs
        return self._at_target(ahead_CN) - log_sum_N

    def _at_target(self, x_CN: Floats) -> Floats:
        own_N: Floats = np.take_along_axis(x_CN, self.y_N[None], axis=0)[0]
        return own_N

    @cached_property
    def ahead_N(self) -> NDArray[np.int64]:
        """How many classes are ranked before the class of each example."""
        z_CN, own_N = self.z_CN, self._at_target(self.z_CN)
        earlier_CN = np.arange(len(z_CN))[:, None] < self.y_N
        ahead_N: NDArray[np.int64] = ((z_CN > own_N) | ((z_CN == own_N) & earlier_CN)).sum(axis=0)
        return ahead_N


def _balanced_accuracy(of: TestOutputs) -> float:
    totals = of.counts_CC.sum(axis=1)
    occur = totals > 0
    return float((np.diagonal(of.counts_CC)[occur] / totals[occur]).mean())


def _macro_f1(of: TestOutputs) -> float:
    both = of.counts_CC.sum(axis=0) + of.counts_CC.sum(axis=1)
    occur = both > 0
    return float((2 * np.diagonal(of.counts_CC)[occur] / both[occur]).mean())


def _roc_auc(of: TestOutputs) -> float | None:
    s_CN = of.p_CN if of.are_logits else of.z_CN
    if len(s_CN) == 2:
        return area_under_curve(s_CN[1] if of.are_logits else s_CN[1] - s_CN[0], of.y_N == 1)
    areas = (area_under_curve(s_N, of.y_N == c) for c, s_N in enumerate(s_CN))
    known = [area for area in areas if area is not None]
    return math.fsum(known) / len(known) if known else None


def area_under_curve(s_N: Floats, positive_N: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve of scores; None where one side has no example.

    It is the share of pairs of a positive and a negative example in which the positive one is ahead, ties counted half: whole
    numbers, so that no order of adding up changes it.
    """
    positive, negative = s_N[positive_N], np.sort(s_N[~positive_N])
    if not len(positive) or not len(negative):
        return None
    twice = sum(int(np.searchsorted(negative, positive, side).sum()) for side in ("left", "right"))
    return twice / (2 * len(positive) * len(negative))


def _brier(of: TestOutputs) -> float:
    error_CN = of.p_CN.copy()
    error_CN[of.y_N, np.arange(len(of.y_N))] -= 1
    total = float(np.square(error_CN).sum(axis=0).mean())
    return total / 2 if len(error_CN) == 2 else total


def confidence_bins(confidence_N: Floats) -> NDArray[np.int64]:
    """Return in which of 15 equal bins, open below and closed above, each confidence lies."""
    return np.asarray(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence_N, "left"), dtype=np.int64)


def _ece(of: TestOutputs) -> float:
    confidence_N = of.p_CN.max(axis=0)
    bin_N = confidence_bins(confidence_N)
    excess_N = (of.predicted == of.y_N) - confidence_N
    return float(np.abs(np.bincount(bin_N, weights=excess_N, minlength=BINS)).sum() / len(bin_N))


def _top(of: TestOutputs, *, k: int) -> float:
    return float((of.ahead_N < k).mean())


def _errors(of: TestOutputs) -> Floats:
    errors: Floats = of.predicted.astype(np.float64) - of.targets
    return errors


def _r2(of: TestOutputs) -> float | None:
    y = of.targets.astype(np.float64)
    total = np.square(y - y.mean(axis=0)).sum(axis=0)
    return float((1 - np.square(_errors(of)).sum(axis=0) / total).mean()) if (total > 0).all() else None


@dataclass(frozen=True, kw_only=True)
class SetScore:
    """A number of the whole test set.

    Attributes:
        title: what a heading calls it.
        meaning: what it is, in a sentence of the list of metrics; the title where that says it.
        unit: its unit; a `fraction` lies in [0, 1].
        better: which side is better.
        of_set: computes it; None where this test set has none.
        target: the target it has a meaning for.
        needs: `predictions`, `outputs`, or `probabilities`, which there are where the loss is a cross-entropy.
        classes_above: the number of classes above which it has a meaning; None where any will do.
        largest: the value that none is above.

    """

    title: str
    meaning: str = ""
    unit: str
    better: Better
    of_set: Callable[[TestOutputs], float | None]
    target: Target = "classes"
    needs: Literal["predictions", "outputs", "probabilities"] = "predictions"
    classes_above: int | None = None
    largest: float = math.inf


SET_SCORES: Mapping[str, SetScore] = {
    "balanced_accuracy": SetScore(
        title="balanced accuracy", meaning="mean over classes of the share of a class that is predicted right",
        unit="fraction", better="higher", of_set=_balanced_accuracy,
    ),
    "macro_f1": SetScore(
        title="macro F1", meaning="mean over classes of the F1 score", unit="fraction", better="higher", of_set=_macro_f1
    ),
    "roc_auc": SetScore(
        title="ROC AUC", meaning="area under the ROC curve; of more than two classes the mean of each against the rest",
        unit="fraction", better="higher", of_set=_roc_auc, needs="outputs", classes_above=1,
    ),
    "top_3_accuracy": SetScore(
        title="top-3 accuracy", meaning="share with the right class among the 3 largest outputs", unit="fraction",
        better="higher", of_set=partial(_top, k=3), needs="outputs", classes_above=3,
    ),
    "top_5_accuracy": SetScore(
        title="top-5 accuracy", meaning="share with the right class among the 5 largest outputs", unit="fraction",
        better="higher", of_set=partial(_top, k=5), needs="outputs", classes_above=5,
    ),
    "log_loss": SetScore(
        title="log loss", meaning="mean of -log of the probability of the right class", unit="per example", better="lower",
        of_set=lambda of: float(-of.log_p_N.mean()), needs="probabilities",
    ),
    "brier": SetScore(
        title="Brier score", meaning="mean squared error of the probabilities", unit="per example", better="lower",
        of_set=_brier, needs="probabilities", largest=2.0,
    ),
    "ece": SetScore(
        title="calibration error", meaning="expected calibration error of the predicted class, 15 equal bins",
        unit="fraction", better="lower", of_set=_ece, needs="probabilities",
    ),
    "rmse": SetScore(
        title="RMSE", meaning="root mean squared error", unit="target units", better="lower", target="numbers",
        of_set=lambda of: float(np.sqrt(np.square(_errors(of)).mean(axis=0)).mean()),
    ),
    "mae": SetScore(
        title="MAE", meaning="mean absolute error", unit="target units", better="lower", target="numbers",
        of_set=lambda of: float(np.abs(_errors(of)).mean()),
    ),
    "r2": SetScore(
        title="R²", meaning="share of the variance of the targets that is explained", unit=OF_VARIANCE, better="higher",
        target="numbers", of_set=_r2,
    ),
}  # fmt: skip


def of_set(name: str, of: TestOutputs) -> float | None:
    """Return a score of the test set; None where it has none."""
    score = SET_SCORES[name]
    numbers = of.n_classes is None
    if numbers != (score.target == "numbers") or not len(of.targets):
        return None
    if score.needs != "predictions" and (of.outputs is None or (score.needs == "probabilities" and not of.are_logits)):
        return None
    if score.classes_above is not None and (of.n_classes or 0) <= score.classes_above:
        return None
    return score.of_set(of)


def of_constant(fitted: NDArray[Any], targets: NDArray[Any], n_classes: int | None) -> dict[str, float]:
    """Return what a prediction that looks at no input is worth on the test set, by the names of its metrics.

    Args:
        fitted: the targets that a run is fitted to: the prediction is their most frequent class, the first of equal ones, or
            their mean.
        targets: those of the test set.
        n_classes: the number of classes; None of numbers.

    """
    if not len(targets):
        return {}
    if n_classes is not None:
        return {"constant_accuracy": float((targets == np.bincount(fitted, minlength=n_classes).argmax()).mean())}
    return {"constant_rmse": float(np.sqrt(np.square(_from_mean(fitted, targets)).mean(axis=0)).mean())}


def constant_loss(fitted: NDArray[Any], targets: NDArray[Any], half_squares: float) -> float:
    """Return the loss of always predicting the mean of numbers; `half_squares` is its factor on half the squared error."""
    return half_squares / 2 * float(np.square(_from_mean(fitted, targets)).mean())


def _from_mean(fitted: NDArray[Any], targets: NDArray[Any]) -> Floats:
    distances: Floats = targets.astype(np.float64) - fitted.astype(np.float64).mean(axis=0)
    return distances
