"""The metrics of a run: name, meaning, unit, and which way is better.

Rows of the `runs` table have one column for each name in `METRICS`, rows of `layers` one for each in `LAYER_METRICS`. What
is worked out of tables, `steps_to_train_loss_X`, `grad_norm[LAYER,EPOCH]` and `log10_METRIC` for example, is in `derived`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlpbench.base.messages import suggestion
from mlpbench.experiment import shift_spec
from mlpbench.experiment.metrics import metric_names


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
        return self.name.partition("[")[0].endswith("_accuracy") and self.unit == "fraction"


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
        _metric(
            "param_error", "largest error of a linear model's weights and bias, where the truth is known", "1", "lower"
        ),
        _metric(
            "closed_form_gap", "largest distance of weights and bias from the least-squares solution", "1", "lower"
        ),
        _metric("diverged", "whether a loss or a parameter became infinite or not a number", "0 or 1", "lower"),
        _metric("train_seconds", "training time of the stack, divided by its runs", "s", "lower"),
        _metric("flops", "floating-point operations of training's matrix products", "1", "lower"),
        _metric("train_bytes", "bytes of the buffers in which a batch is trained, the run alone", "bytes", "lower"),
        _metric("eval_bytes", "bytes of the buffers in which a batch is evaluated, the run alone", "bytes", "lower"),
    )
}

# Beside its metrics a layer has so many quantiles of its weights, from the least to the largest, at equal steps.
WEIGHT_QUANTILES, QUANTILES = "weight_quantiles", 21

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


# Of settings tuned on folds whose every level is refitted: how far the choice lies from the best there was.
REGRETS: dict[str, Metric] = {
    m.name: m
    for m in (
        _metric("regret_accuracy", "best test accuracy among the refits minus that of the level all folds choose", "fraction", "lower"),
        _metric("regret_loss", "test loss of the level all folds choose minus the lowest among the refits", "per example", "lower"),
        _metric("split_regret_accuracy", "the same regret of the level the first fold alone chooses", "fraction", "lower"),
        _metric("split_regret_loss", "the same regret of the level the first fold alone chooses", "per example", "lower"),
        _metric("split_excess_accuracy", "regret of a single split minus that of all folds", "fraction", "lower"),
        _metric("split_excess_loss", "regret of a single split minus that of all folds", "per example", "lower"),
    )
}  # fmt: skip

# What a name may go on with: the forms of names that stand for many metrics.
FORMS = (
    "NAME[LAYER]", "NAME[LAYER,EPOCH]", "log10_METRIC", *metric_names.LATE_NAMES, "epochs_to_train_loss_X", "epochs_to_train_accuracy_X",
    "steps_to_train_accuracy_X", "shift_accuracy[KIND,SEVERITY]", "shift_loss[KIND,SEVERITY]",
)  # fmt: skip
# Zeros and ones, and differences that are 0 as a rule: a logarithm would leave most of them out.
NOT_POSITIVE = ("diverged", *REGRETS)


def metric(name: str) -> Metric:
    """Return the metric of that name; raise ValueError naming the nearest when there is none."""
    known = METRICS | REGRETS
    if name in known:
        return known[name]
    for family in _FAMILIES:
        found = family(name)
        if found is not None:
            return found
    near = suggestion(name.partition("[")[0], (*known, *LAYER_METRICS, *metric_names.LATE_NAMES))
    raise ValueError(
        f"metric must be one of {', '.join((*known, *FORMS))} or steps_to_train_loss_X, got {name!r}{near}"
    )


def _reaches(name: str) -> Metric | None:
    found = metric_names.reaches(name)
    if found is None:
        return None
    counted = {"steps": "gradient steps", "epochs": "passes over the training examples"}[found.unit]
    side = {"loss": "at most", "accuracy": "at least"}[found.measure]
    if found.measure == "accuracy" and not 0 < found.threshold <= 1:
        raise ValueError(f"the accuracy of {name!r} must be a fraction above 0 and at most 1, got {found.threshold:g}")
    meaning = f"{counted} until the train {found.measure} is {side} {found.threshold:g}"
    return _metric(name, meaning, found.unit, "lower")


def _late(name: str) -> Metric | None:
    parts = metric_names.late(name)
    if parts is None:
        return None
    of = METRICS[name.removeprefix(metric_names.LATE)]
    where = {"train": "the curve's training examples (10,000 at most)", "test": "the test set"}
    words = " minus that on ".join(where[split] for split, _, _ in parts)
    meaning = f"mean over the second half of training of the {parts[0][1]} on {words}"
    return _metric(name, meaning, of.unit, of.better)


def _of_layer(name: str) -> Metric | None:
    if name.partition("[")[0] not in LAYER_METRICS:
        return None
    found = metric_names.of_layer(name)
    of = LAYER_METRICS[found.metric]
    return _metric(metric_names.written(name), f"{of.meaning}: {found.words}", of.unit)


def _under_shift(name: str) -> Metric | None:
    shift = shift_spec.measured(name)
    if shift is None:
        return None
    meaning = f"{shift[1]} on the test set under {shift[0].removeprefix('shift:')}"
    if shift[1] == "accuracy":
        return _metric(name, meaning, "fraction", "higher")
    return _metric(name, meaning, "per example", "lower")


def _log10(name: str) -> Metric | None:
    if not name.startswith(metric_names.LOG10):
        return None
    of = name.removeprefix(metric_names.LOG10)
    if of in NOT_POSITIVE or of.startswith(metric_names.LOG10):
        raise ValueError(f"log10 is taken of a metric that is a positive number, got {name!r}")
    found = metric(of)
    return _metric(metric_names.LOG10 + found.name, f"decimal logarithm of: {found.meaning}", "decades", found.better)


# Each returns the metric of a name that is of its form, None for another name.
_FAMILIES: Sequence[Callable[[str], Metric | None]] = (_reaches, _late, _of_layer, _under_shift, _log10)
