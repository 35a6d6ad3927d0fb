"""The metrics of a run: name, meaning, unit, and which way is better.

Rows of the `runs` table have one column for each name in `METRICS`; `steps_to_train_loss_X` is derived from `curves`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mlpbench.experiment.kinds import suggestion

STEPS_TO_LOSS = re.compile(r"steps_to_train_loss_([0-9]*\.?[0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number per run."""

    name: str
    meaning: str
    unit: str
    better: Literal["higher", "lower", "neither"] = "neither"

    @property
    def is_accuracy(self) -> bool:
        """Whether the default margin of accuracies, 0.002, applies."""
        return self.name.endswith("_accuracy")


def _metric(name: str, meaning: str, unit: str, better: Literal["higher", "lower", "neither"] = "neither") -> Metric:
    return Metric(name=name, meaning=meaning, unit=unit, better=better)


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        _metric("train_loss", "loss on the whole training set, in evaluation mode", "per example", "lower"),
        _metric("train_accuracy", "accuracy on the whole training set", "fraction", "higher"),
        _metric("val_loss", "loss on the validation examples", "per example", "lower"),
        _metric("val_accuracy", "accuracy on the validation examples", "fraction", "higher"),
        _metric("test_loss", "loss on the test set", "per example", "lower"),
        _metric("test_accuracy", "accuracy on the test set", "fraction", "higher"),
        _metric("gap_loss", "test loss minus train loss", "per example", "lower"),
        _metric("gap_accuracy", "train accuracy minus test accuracy", "fraction", "lower"),
        _metric("weight_norm", "square root of the sum of squared weights, biases left out", "1"),
        _metric("sparsity", "share of weights that are exactly zero", "fraction"),
        _metric("dead_units", "hidden units that are zero on every one of 10,000 training examples", "units", "lower"),
        _metric("distinct_units", "hidden units of the first layer with different incoming weights", "units"),
        _metric("diverged", "whether a loss or a parameter became infinite or not a number", "0 or 1", "lower"),
        _metric("train_seconds", "training time of the stack, divided by its runs", "s", "lower"),
        _metric("flops", "floating-point operations of training's matrix products", "1", "lower"),
    )
}

LAYER_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        _metric("act_mean", "mean of a layer's activations over probe examples and units", "1"),
        _metric("act_var", "variance of a layer's activations over probe examples and units", "1"),
        _metric("act_zero", "share of a layer's activations that are exactly zero", "fraction"),
        _metric("act_saturated", "share of activations whose slope is below 1% of the largest", "fraction"),
        _metric("grad_norm", "norm of the loss gradient of a layer's weights", "1"),
        _metric("update_ratio", "norm of the last step of a layer's weights over their norm before it", "1"),
        _metric("forward_gain", "root mean square of a layer's activations over that of its inputs", "1"),
        _metric("backward_gain", "root mean square of the loss gradient before a layer over that of the next", "1"),
    )
}


def metric(name: str) -> Metric:
    """Return the metric of that name; raise ValueError naming the nearest when there is none."""
    if name in METRICS:
        return METRICS[name]
    match = STEPS_TO_LOSS.fullmatch(name)
    if match:
        return _metric(name, f"gradient steps until the train loss is at most {match[1]}", "steps", "lower")
    near = suggestion(name, METRICS)
    raise ValueError(f"metric must be one of {', '.join(METRICS)} or steps_to_train_loss_X, got {name!r}{near}")
