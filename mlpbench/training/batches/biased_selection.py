"""Training examples whose distribution differs from that of the test set, in a way that is known exactly.

Examples are taken in random order and accepted with probability a, until `train_size` are: those that are accepted
have density p a / E[a] where all of them have p, so that the weight E[a] / a takes them back.

    covariate(s)   a = exp(-s max(0, 1 - z)), z the mean input of an example, standardised over the training set: dark
                   images are rare; from a standard deviation above the mean on, all are accepted
    label(s)       a = exp(-s c / (C - 1)) for class c of 0 ... C - 1: the first is accepted always, the last with exp(-s)

Reference: H. Shimodaira, "Improving predictive inference under covariate shift by weighting the log-likelihood function",
2000.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.streams import generator
from mlpbench.experiment.grid import Run
from mlpbench.experiment.value_types import parse_call

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Values = NDArray[np.uint8] | NDArray[np.float32]
# Positions in the stream of splits; 0 and 1 are those of the order of examples and of validation: see `device_data.split`.
ORDER, ACCEPTANCE, TARGET = 0, 2, 3
# Above this standardised mean input every example is accepted.
ALL_ABOVE = 1.0


def acceptance(shift: str, z: Floats, y: Values) -> Floats:
    """Return the probability with which each training example is accepted, of shape (N,).

    `shift` is canonical, such as `label(2.0)`; z are standardised mean inputs, y classes, of the whole training set.
    """
    name, (strength,) = parse_call(shift)
    far: Floats = np.maximum(0.0, ALL_ABOVE - z) if name == "covariate" else y / max(int(y.max()), 1)
    return np.exp(-strength * far)


def standardised_mean(x: Values) -> Floats:
    """Return the mean input of each example, less the mean of all, over their standard deviation; zeros where that is 0."""
    mean = x.sum(axis=1, dtype=np.int64 if x.dtype == np.uint8 else np.float64) / x.shape[1]
    spread = mean.std()
    return (mean - mean.mean()) / spread if spread > 0 else np.zeros(len(x))


def selected(run: Run, z: Floats, y: Values) -> Indices:
    """Return the training examples of a run under its `train_shift`: a smaller train size is a subset of a larger one.

    Runs of a replicate that differ in their shift look at the same examples in the same order, with the same draws.
    Raises ValueError where fewer than `train_size` are accepted.
    """
    s, replicate = run.settings, run.streams["split"]
    order = generator(run.seed, replicate, "split", ORDER).permutation(len(y))
    accepted = generator(run.seed, replicate, "split", ACCEPTANCE).random(len(y)) < acceptance(s.train_shift, z, y)
    chosen: Indices = order[accepted[order]]
    if len(chosen) < s.train_size:
        rule = f"train_size must be at most what train_shift {s.train_shift} accepts, {len(chosen)} of {len(y)} here"
        raise ValueError(f"{rule}, got {s.train_size}")
    return chosen[: s.train_size]


def unlabelled(run: Run, n: int, total: int) -> Indices:
    """Return training examples drawn evenly from all, selected or not: what is known of the target without its labels."""
    draw = generator(run.seed, run.streams["split"], "split", TARGET)
    chosen: Indices = draw.permutation(total)[:n]
    return chosen
