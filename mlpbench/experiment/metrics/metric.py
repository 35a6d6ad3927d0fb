"""The metrics of a run: name, meaning, unit, which way is better, and how each is computed from a trained run.

Rows of the `runs` table have one column for each name in `METRICS`. Means over examples follow from the entries of `SCORES`,
what is of the whole test set from those of `SET_SCORES`.
Metrics of layers, and what is computed from other tables, `steps_to_train_loss_X` and `log10_METRIC` for example, are in
`metric_names`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from mlpbench.base.models import meaning, nearest
from mlpbench.experiment import shift_spec
from mlpbench.experiment.components.losses import Target
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.metrics.scores import SCORES, Better, Tensor
from mlpbench.experiment.metrics.set_scores import OF_VARIANCE, SET_SCORES, TestOutputs, of_set


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run at the end of its training, from which its metrics are computed. Tensors are on the CPU.

    Attributes:
        diverged: whether it diverged; such a run has costs alone.
        seconds: training time of the stack, divided by its runs.
        flops: floating-point operations of training's matrix products.
        buffer_bytes: the size of its buffers in `train` and `eval`.
        means: of each part that was evaluated (`train`, `val`, `test`) the mean of each score; None where it has none.
        active: of each hidden layer, which units are non-zero on some of the first training examples, (O,).
        weights, biases: of each layer, (I, O) and (O,).
        distances: `param_error` and `closed_form_gap`, where they are defined.
        test: what it gave for the test set; None where it is not evaluated there.
        constants: what a prediction that looks at no input is worth there, by the name of the metric.
        epochs: passes over the training examples that it took.
        best_epoch: the epoch whose parameters it ends with, where it could stop early.

    """

    diverged: bool
    seconds: float
    flops: int
    buffer_bytes: Mapping[str, int]
    means: Mapping[str, Mapping[str, float | None]]
    active: Sequence[Tensor]
    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    distances: Mapping[str, float]
    test: TestOutputs | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    epochs: float = 0.0
    best_epoch: float | None = None


Value = Callable[[Any, TrainedRun], float | None]

# What makes repeats of a run differ in a metric: its random draws, the clock of the machine, or nothing but its settings.
Source = Literal["draws", "clock", "settings"]

# The unit of a decimal logarithm: one more is ten times as much.
LOG10_UNIT = "log10 units"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number per run.

    `value(torch, run)` computes it; None where this run has none, and no function where it is computed from other tables.
    It has a meaning for such `targets`. A cost is known of diverged runs too. `source` is what makes repeats of a run differ in it:
    what follows from `settings` is exact. `least` and `largest` are the values that no run is beyond, of a difference those of
    what is subtracted.
    """

    name: str
    meaning: str
    unit: str
    better: Better = "neither"
    value: Value | None = None
    targets: tuple[Target, ...] = ("classes", "numbers")
    is_cost: bool = False
    source: Source = "draws"
    least: float = 0.0
    largest: float = math.inf

    @property
    def is_accuracy(self) -> bool:
        """Whether the default margin of accuracies, 0.002, applies."""
        return self.name.partition("[")[0].endswith("_accuracy") and self.unit == "fraction"

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest value it may have: 0 and 1 of a fraction, -1 and 1 of a difference of two, else infinite.

        A share of variance has no least one.
        """
        if self.unit == OF_VARIANCE:
            return -math.inf, 1.0
        if not self.is_fraction:
            return -math.inf, math.inf
        return -1.0 if self._is_difference else 0.0, 1.0

    @property
    def span(self) -> tuple[float, float]:
        """The least and the largest value that a run may have: `limits`, to which intervals are cut, and what is known beside them.

        >>> metric("test_accuracy").span, metric("gap_accuracy").span, metric("test_loss").span, metric("gap_loss").span
        ((0.0, 1.0), (-1.0, 1.0), (0.0, inf), (-inf, inf))
        """
        if self.unit == LOG10_UNIT:
            high = metric(self.name.removeprefix(metric_names.LOG10)).span[1]
            return -math.inf, math.log10(high)
        low, high = self.limits
        if self._is_difference or self.unit == OF_VARIANCE:
            return low, high
        return max(low, self.least), min(high, self.largest)

    @property
    def is_fraction(self) -> bool:
        """Whether it is a share of 1, which others give in percent."""
        return self.unit in ("fraction", "0 or 1")

    @property
    def _is_difference(self) -> bool:
        return self.name.removeprefix(metric_names.LATE).startswith(("gap_", "split_excess_"))


def _metric(name: str, meaning: str, unit: str, better: Better = "neither", **fields: Any) -> Metric:
    return Metric(name=name, meaning=meaning, unit=unit, better=better, **fields)


def finite(mean: float | None) -> float | None:
    """Return a mean that is a number, or None: losses and other scores may overflow where weights do not."""
    return mean if mean is not None and math.isfinite(mean) else None


def _mean(torch: Any, run: TrainedRun, *, part: str, score: str) -> float | None:
    return finite(run.means[part][score]) if part in run.means else None


def _gap(torch: Any, run: TrainedRun, *, score: str) -> float | None:
    train, test = (_mean(torch, run, part=part, score=score) for part in ("train", "test"))
    if train is None or test is None:
        return None
    return train - test if SCORES[score].better == "higher" else test - train


def _of_examples() -> Iterator[Metric]:
    """Yield the metrics that follow from scores: means over each part of the data, and the gaps between them."""
    parts = {"train": "whole training set, in evaluation mode", "val": "validation examples", "test": "test set"}
    for part, where in parts.items():
        for name, score in SCORES.items():
            meaning, value = f"{score.title} on the {where}", partial(_mean, part=part, score=name)
            yield _of_score(name, f"{part}_{name}", meaning, score.better, value)
    for name, score in SCORES.items():
        sides = ("train", "test") if score.better == "higher" else ("test", "train")
        meaning = " minus ".join(f"{side} {score.title}" for side in sides)
        yield _of_score(name, f"gap_{name}", meaning, "lower", partial(_gap, score=name))


def _of_score(score: str, name: str, meaning: str, better: Better, value: Value | None = None) -> Metric:
    return _metric(name, meaning, SCORES[score].unit, better, value=value, targets=SCORES[score].targets)


def _of_test_set() -> Iterator[Metric]:
    """Yield the metrics of the whole test set."""
    for name, score in SET_SCORES.items():
        meaning = f"{score.title} on the test set: {score.meaning}"
        value, targets = partial(_of_set, score=name), (score.target,)
        yield _metric(
            f"test_{name}", meaning, score.unit, score.better, value=value, targets=targets, largest=score.largest
        )


def _of_set(torch: Any, run: TrainedRun, *, score: str) -> float | None:
    return finite(of_set(score, run.test)) if run.test is not None else None


def _constant(name: str, meaning: str, unit: str, better: Better, target: Target) -> Metric:
    value = partial(_of_constant, name=name)
    return _metric(name, meaning, unit, better, value=value, targets=(target,))


def _of_constant(torch: Any, run: TrainedRun, *, name: str) -> float | None:
    return finite(run.constants.get(name))


def _weight_norm(torch: Any, run: TrainedRun) -> float:
    return math.sqrt(sum(float(w.double().square().sum()) for w in run.weights))


def _sparsity(torch: Any, run: TrainedRun) -> float:
    return sum(int((w.double() == 0).sum()) for w in run.weights) / sum(int(w.numel()) for w in run.weights)


def _distinct_units(torch: Any, run: TrainedRun) -> float | None:
    if len(run.weights) == 1:
        return None
    incoming = torch.cat([run.weights[0], run.biases[0][None]]).T.contiguous().numpy()
    return float(len({unit.tobytes() for unit in incoming}))


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        *_of_examples(),
        _metric("weight_norm", "square root of the sum of squared weights, biases left out", "1", value=_weight_norm),
        _metric("sparsity", "share of weights that are exactly zero", "fraction", value=_sparsity),
        _metric(
            "dead_units", "hidden units that are zero on every one of 10,000 training examples", "units", "lower",
            value=lambda torch, run: float(sum(int((~active).sum()) for active in run.active)),
        ),
        _metric(
            "distinct_units", "hidden units of the first layer with different incoming weights", "units",
            value=_distinct_units,
        ),
        _metric(
            "param_error", "largest error of a linear model's weights and bias, where the truth is known", "1", "lower",
            value=lambda torch, run: run.distances.get("param_error"),
        ),
        _metric(
            "closed_form_gap", "largest distance of weights and bias from the least-squares solution", "1", "lower",
            value=lambda torch, run: run.distances.get("closed_form_gap"),
        ),
        _metric(
            "diverged", "whether a loss or a parameter became infinite or not a number", "0 or 1", "lower",
            value=lambda torch, run: float(run.diverged), is_cost=True,
        ),
        _metric(
            "train_seconds", "training time of the stack, divided by its runs", "s", "lower",
            value=lambda torch, run: run.seconds, is_cost=True, source="clock",
        ),
        _metric(
            "flops", "floating-point operations of training's matrix products", "1", "lower",
            value=lambda torch, run: float(run.flops), is_cost=True, source="settings",
        ),
        _metric(
            "train_bytes", "bytes of the buffers in which a batch is trained, the run alone", "bytes", "lower",
            value=lambda torch, run: float(run.buffer_bytes["train"]), is_cost=True, source="settings",
        ),
        _metric(
            "eval_bytes", "bytes of the buffers in which a batch is evaluated, the run alone", "bytes", "lower",
            value=lambda torch, run: float(run.buffer_bytes["eval"]), is_cost=True, source="settings",
        ),
        *_of_test_set(),
        _constant(
            "constant_accuracy", "test accuracy of always predicting the most frequent class of the training examples",
            "fraction", "higher", "classes",
        ),
        _constant(
            "constant_loss", "test loss of always predicting the mean of the training targets", "per example", "lower",
            "numbers",
        ),
        _constant(
            "constant_rmse", "test RMSE of always predicting the mean of the training targets", "target units", "lower",
            "numbers",
        ),
        _metric(
            "epochs_taken", "passes over the training examples that were taken", "epochs", "lower",
            value=lambda torch, run: run.epochs,
        ),
        _metric(
            "best_epoch", "epoch whose parameters are kept, where training stops early", "epochs",
            value=lambda torch, run: run.best_epoch,
        ),
    )
}  # fmt: skip


def values(torch: Any, run: TrainedRun) -> dict[str, float]:
    """Return the metrics that a run has; one that diverged has costs alone."""
    every = {m.name: m.value(torch, run) for m in METRICS.values() if m.value and (m.is_cost or not run.diverged)}
    return {name: value for name, value in every.items() if value is not None}


# Beside its metrics a layer has so many quantiles of its weights, from the least to the largest, at equal steps.
WEIGHT_QUANTILES, QUANTILES = "weight_quantiles", 21

# Of settings tuned on folds whose every level is refitted: how far the choice lies from the best there was.
REGRETS: dict[str, Metric] = {
    m.name: m
    for m in (
        _of_score("accuracy", "regret_accuracy", "best test accuracy among the refits minus that of the level all folds choose", "lower"),
        _of_score("loss", "regret_loss", "test loss of the level all folds choose minus the lowest among the refits", "lower"),
        _of_score("accuracy", "split_regret_accuracy", "the same regret of the level the first fold alone chooses", "lower"),
        _of_score("loss", "split_regret_loss", "the same regret of the level the first fold alone chooses", "lower"),
        _of_score("accuracy", "split_excess_accuracy", "regret of a single split minus that of all folds", "lower"),
        _of_score("loss", "split_excess_loss", "regret of a single split minus that of all folds", "lower"),
    )
}  # fmt: skip

# The forms of names that stand for many metrics, and what is named by one of them alone.
_OF_A_FORM = {*(f"test_{name}" for name in SET_SCORES), *(n for n in METRICS if n.startswith("constant_")), *REGRETS}
FORMS = (
    f"test_{{{','.join(SET_SCORES)}}}", "constant_{accuracy,loss,rmse}", "{regret,split_regret,split_excess}_{accuracy,loss}",
    "NAME[LAYER]", "NAME[LAYER,EPOCH]", "log10_METRIC", "late_{train,test,gap}_{loss,accuracy}", "epochs_to_train_loss_X", "epochs_to_train_accuracy_X",
    "steps_to_train_accuracy_X", "shift_accuracy[KIND,SEVERITY]", "shift_loss[KIND,SEVERITY]",
)  # fmt: skip
# Zeros and ones, and differences that are 0 as a rule: a logarithm would leave most of them out.
NOT_POSITIVE = ("diverged", *REGRETS)


def metric(name: str, target: Target | None = None) -> Metric:
    """Return the metric of that name; raise ValueError, with the nearest one of such a target, when there is none."""
    by_name = METRICS | REGRETS
    if name in by_name:
        return by_name[name]
    for family in _FAMILIES:
        matched = family(name)
        if matched is not None:
            return matched
    near = near_metric(name, target)
    names = (*(n for n in by_name if n not in _OF_A_FORM), *FORMS)
    raise ValueError(f"metric must be one of {', '.join(names)} or steps_to_train_loss_X, got {name!r}{near}")


def near_metric(name: str, target: Target | None, further: Sequence[str] = ()) -> str:
    """Return which metric was meant, as a message ends: one that there is of such a target; nothing where none is near.

    Args:
        name: what was written.
        target: what the targets of an experiment are, None where that is not known.
        further: metrics that the experiment has beside those of the package.

    """
    word, by_name = name.partition("[")[0], METRICS | REGRETS
    known = (*further, *by_name, *LAYER_METRICS, *metric_names.LATE_NAMES)
    of_shifts = next((form for form in FORMS if form.startswith(f"{word}[")), None)
    near = f"test_{word}" if f"test_{word}" in METRICS else of_shifts or nearest(word, known)
    if near is None:
        score = nearest(word, (*SCORES, *SET_SCORES))
        near = None if score is None or score == word else f"test_{score}"
    if near is None:
        return ""
    of = _late(near) or by_name.get(near)
    if target is None or of is None or target in of.targets:
        return f"; {meaning(word, near)}"
    # What a metric of classes stands for among numbers, and the other way round.
    return f"; did you mean '{'test_accuracy' if target == 'classes' else 'test_rmse'}'?"


def _reaches(name: str) -> Metric | None:
    goal = metric_names.reaches(name)
    if goal is None:
        return None
    counted = {"steps": "gradient steps", "epochs": "passes over the training examples"}[goal.unit]
    side = {"loss": "at most", "accuracy": "at least"}[goal.measure]
    if goal.measure == "accuracy" and not 0 < goal.threshold <= 1:
        raise ValueError(f"the accuracy of {name!r} must be a fraction above 0 and at most 1, got {goal.threshold:g}")
    meaning = f"{counted} until the train {goal.measure} is {side} {goal.threshold:g}"
    return _metric(name, meaning, goal.unit, "lower", targets=SCORES[goal.measure].targets)


def _late(name: str) -> Metric | None:
    parts = metric_names.late(name)
    if parts is None:
        return None
    of = METRICS[name.removeprefix(metric_names.LATE)]
    where = {"train": "the curve's training examples (10,000 at most)", "test": "the test set"}
    words = " minus that on ".join(where[split] for split, _, _ in parts)
    meaning = f"mean over the second half of training of the {parts[0][1]} on {words}"
    return replace(of, name=name, meaning=meaning, value=None)


def _of_layer(name: str) -> Metric | None:
    if name.partition("[")[0] not in LAYER_METRICS:
        return None
    at = metric_names.of_layer(name)
    of = LAYER_METRICS[at.metric]
    return _metric(metric_names.written(name), f"{of.meaning}: {at.words}", of.unit, least=of.least)


def _under_shift(name: str) -> Metric | None:
    shift = shift_spec.measured(name)
    if shift is None:
        return None
    meaning = f"{shift[1]} on the test set under {shift[0].removeprefix('shift:')}"
    return replace(METRICS[f"test_{shift[1]}"], name=name, meaning=meaning, value=None)


def _log10(name: str) -> Metric | None:
    if not name.startswith(metric_names.LOG10):
        return None
    of = name.removeprefix(metric_names.LOG10)
    if of in NOT_POSITIVE or of.startswith(metric_names.LOG10):
        raise ValueError(f"log10 is taken of a metric that is a positive number, got {name!r}")
    inner = metric(of)
    meaning = f"decimal logarithm of: {inner.meaning}"
    return replace(inner, name=metric_names.LOG10 + inner.name, meaning=meaning, unit=LOG10_UNIT, value=None)


def _of_plugin(name: str) -> Metric | None:
    meaning = own_metrics.meaning(name)
    return None if meaning is None else _metric(name, meaning, "1", least=-math.inf)


# Each returns the metric of a name that is of its form, None for another name.
_FAMILIES: Sequence[Callable[[str], Metric | None]] = (_reaches, _late, _of_layer, _under_shift, _of_plugin, _log10)
