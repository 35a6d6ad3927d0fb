"""Weights of training examples: such that undo a shift, known or estimated without labels, and those of their classes.

Shapes: `N` examples of training (source), `M` of the target, `F` features, `C` classes. Weights have mean 1 over what a run
is fitted to.

    exact        1 / a, a the probability with which an example was accepted (see biased_selection.py)
    classifier   p(target | x) / p(source | x), of a logistic regression that tells as many target examples from the source
                 ones, L2-penalised; clipped to [1/50, 50]
    bbse         w(y), w = C^-1 mu clipped at 0: C_ij the share of one half of the source that is of class j and predicted as
                 i, mu_i that of the target predicted as i, by ridge regression on the one-hot labels of the other half

A class weighs what `class_weights` says, or, balanced, n / (C n_c) where n_c of n examples, of C classes that occur, are learnt as
c; that is multiplied. With mean 1, 1/B sum_i w_i l_i over a batch is the mean of torch's CrossEntropyLoss(weight=w, reduction="none"),
and over all examples that of reduction="mean" too: there the sum of the weights in each batch takes the place of B.

Features are means of blocks of the image (7x7, for bbse 14x14), or of consecutive inputs where there is no image.

References: S. Bickel, M. Brückner, T. Scheffer, "Discriminative learning under covariate shift", 2009; Z. Lipton, Y.-X. Wang,
A. Smola, "Detecting and correcting for label shift with black box predictors", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.grid import Run
from mlpbench.experiment.shift_spec import image_axes
from mlpbench.experiment.value_types import class_weights
from mlpbench.training.batches.biased_selection import Floats, Indices, Values, acceptance, unlabelled
from mlpbench.training.batches.device_data import PIXEL_MAX, DeviceData
from mlpbench.training.batches.minibatches import Labels

SIDE, SIDE_OF_PREDICTOR = 7, 14
NEWTON_STEPS = 20
LARGEST_WEIGHT = 50.0
# On the sum over examples, with features of variance 1 in the target.
PENALTY = 1.0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The distinct weightings of the training set, of shape (K, N), and which of them each run has, (R,)."""

    w_KN: Tensor
    of_run: Tensor

    def of_runs(self, places: Sequence[int]) -> Weights:
        """Return the weights of the runs in these places alone."""
        return Weights(w_KN=self.w_KN, of_run=self.of_run[torch.tensor(places, device=self.of_run.device)])

    def of(self, index_RB: Tensor) -> Tensor:
        """Return the weights of a batch, of shape (R, B, 1)."""
        return self.w_KN[self.of_run[:, None], index_RB].unsqueeze(2)


def weighted(
    runs: Sequence[Run], fit: Sequence[Indices], data: DeviceData, labels: Labels, dtype: torch.dtype
) -> Weights | None:
    """Return the weights of a stack, None where its runs have none; what a run is not fitted to has weight 0."""
    if not runs[0].settings.weighs_examples:
        return None
    distinct: dict[Hashable, tuple[int, Floats]] = {}
    of_run = []
    for run, chosen, labelling in zip(runs, fit, labels.of_run.tolist()):
        s = run.settings
        of_labels = () if s.class_weights == "none" else (s.class_weights, labelling)
        key = (run.seed, run.streams["split"], run.fold, s.train_shift, s.weighting, *of_labels)
        if key not in distinct:
            whole = np.zeros(len(data.labels))
            whole[chosen] = weights(run, chosen, data)
            if s.class_weights != "none":
                y = labels.y_KN[labelling].cpu().numpy()[chosen]
                by_class = weights_of_classes(s.class_weights, y, data.facts.class_names)
                whole[chosen] = _with_mean_1(whole[chosen] * by_class[y])
            distinct[key] = (len(distinct), whole)
        of_run.append(distinct[key][0])
    w_KN = torch.from_numpy(np.stack([w for _, w in distinct.values()])).to(device=data.device, dtype=dtype)
    return Weights(w_KN=w_KN, of_run=torch.tensor(of_run, device=data.device))


def weights(run: Run, fit: Indices, data: DeviceData) -> Floats:
    """Return the weights against the shift of the examples a run is fitted to, of shape (N,), with mean 1; ones without."""
    if run.settings.weighting == "none":
        return np.ones(len(fit))
    return _with_mean_1(ESTIMATORS[run.settings.weighting](run, fit, data))


def _with_mean_1(raw: Floats) -> Floats:
    mean = raw.mean()
    return raw / mean if mean > 0 else np.ones(len(raw))


def weights_of_classes(canonical: str, y: Indices, names: Sequence[str]) -> Floats:
    """Return the weight of each class, of shape (C,).

    Args:
        canonical: what `class_weights` says, as the settings of a run have it.
        y: the class that a run learns of each example it is fitted to; label noise may have replaced some.
        names: the names of the classes, in order.

    """
    if canonical == "balanced":
        counts = np.bincount(y, minlength=len(names))
        balanced: Floats = len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return balanced
    given = class_weights(canonical)
    return np.array([given.get(name, 1.0) for name in names])


def _exact(run: Run, fit: Indices, data: DeviceData) -> Floats:
    return 1 / acceptance(run.settings.train_shift, data.z_train, data.labels)[fit]


def _classifier(run: Run, fit: Indices, data: DeviceData) -> Floats:
    return density_ratio(*_source_and_target(run, fit, data, SIDE))


def _bbse(run: Run, fit: Indices, data: DeviceData) -> Floats:
    assert data.n_classes is not None, "resolve refuses numbers"
    labels = data.labels[fit].astype(np.int64)
    source, target = _source_and_target(run, fit, data, SIDE_OF_PREDICTOR)
    return label_ratios(source, labels, target, data.n_classes)[labels]


def _source_and_target(run: Run, fit: Indices, data: DeviceData, side: int) -> tuple[Floats, Floats]:
    """Return the features of what a run is fitted to, and of as many examples of the target."""
    x = data.whole_train.cpu().numpy()
    of_target = unlabelled(run, len(fit), len(x))
    return pooled(x[fit], data.facts, side), pooled(x[of_target], data.facts, side)


ESTIMATORS: Mapping[str, Callable[[Run, Indices, DeviceData], Floats]] = {
    "exact": _exact,
    "classifier": _classifier,
    "bbse": _bbse,
}


def density_ratio(source_NF: Floats, target_MF: Floats) -> Floats:
    """Return target over source density at each source example, clipped, by logistic regression and Newton's method.

    log p(target | x) / p(source | x) = b + w'x minimises the sum of log losses + PENALTY/2 ||w||^2.
    """
    centre, spread = target_MF.mean(axis=0), target_MF.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    x = np.concatenate([source_NF, target_MF])
    design = np.hstack([(x - centre) / scale, np.ones((len(x), 1))])
    is_target = np.repeat([0.0, 1.0], [len(source_NF), len(target_MF)])
    penalty = np.append(np.full(source_NF.shape[1], PENALTY), 0.0)
    beta = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(design @ beta).clip(-30, 30)))
        gradient = design.T @ (p - is_target) + penalty * beta
        # A step is damped by so little that it only matters where classes are apart and p (1 - p) is 0.
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty + 1e-6)
        beta = beta - np.linalg.solve(hessian, gradient)
    odds: Floats = np.exp((design[: len(source_NF)] @ beta).clip(-30, 30)) * (len(source_NF) / len(target_MF))
    return odds.clip(1 / LARGEST_WEIGHT, LARGEST_WEIGHT)


def label_ratios(source_NF: Floats, labels: Indices, target_MF: Floats, classes: int) -> Floats:
    """Return target over source prior of each class, of shape (C,), by black-box shift estimation."""
    half = len(labels) // 2
    predict = _ridge(source_NF[:half], np.eye(classes)[labels[:half]])
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (predict(source_NF[half:]), labels[half:]), 1 / max(len(labels) - half, 1))
    target = np.bincount(predict(target_MF), minlength=classes) / len(target_MF)
    # Least squares where a class is missing and the confusion has no inverse.
    ratios: NDArray[Any] = np.linalg.lstsq(confusion, target, rcond=1e-6)[0]
    return ratios.astype(np.float64).clip(0.0)


def _ridge(x_NF: Floats, y_NC: Floats) -> Callable[[Floats], NDArray[np.int64]]:
    """Return the predictor of classes that ridge regression by the normal equations gives."""
    if not len(x_NF):
        return lambda x: np.zeros(len(x), dtype=np.int64)
    centre, means = x_NF.mean(axis=0), y_NC.mean(axis=0)
    x = x_NF - centre
    # Relative to the mean variance, so that the scale of inputs does not matter.
    penalty = 1e-3 * max(float((x**2).sum()) / x.shape[1], 1e-12)
    slopes = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y_NC - means))
    return lambda new: ((new - centre) @ slopes + means).argmax(axis=1)


def pooled(x_NI: Values, facts: DataFacts, side: int) -> Floats:
    """Return the means of at most `side` x `side` blocks of each image, or of so many runs of inputs, of shape (N, F)."""
    x: NDArray[Any] = x_NI / PIXEL_MAX if x_NI.dtype == np.uint8 else x_NI.astype(np.float64)
    axes = image_axes(facts)
    if axes is None:
        return _means(x, 1, side * side)
    images = x.reshape(len(x), *facts.input_shape)
    for axis in axes:
        images = _means(images, axis + 1, side)
    return images.reshape(len(x), -1)


def _means(x: NDArray[Any], axis: int, parts: int) -> Floats:
    """Return the means of consecutive entries of an axis, in so many parts or as many as there are."""
    size = x.shape[axis]
    n = min(parts, size)
    starts = np.arange(n) * size // n
    sums = np.add.reduceat(x, starts, axis=axis)
    shape = [1] * x.ndim
    shape[axis] = n
    means: Floats = sums / np.diff(starts, append=size).reshape(shape)
    return means
