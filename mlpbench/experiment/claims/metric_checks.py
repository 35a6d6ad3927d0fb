"""What a metric needs of an experiment: validation examples, classes, a known solution, layers, training."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mlpbench.base.models import Path, SpecProblem
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.components.own_pieces import is_own
from mlpbench.experiment.components.own_pieces import plain as without_digest
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.metrics.scores import SCORES
from mlpbench.experiment.metrics.set_scores import MOST_OUTPUTS, SET_SCORES, SetScore, keeps_outputs
from mlpbench.experiment.plan import probe_steps

MEASURED_ON_VALIDATION, OF_TEST_SET = "val_", "test_"
SOLVED = ("param_error", "closed_form_gap")
# Ends of metrics in the unit of a target that is a number, or its square.
IN_UNITS = ("_loss", "_rmse", "_mae")
# By so much a margin may be above the largest one: weights are rounded.
ROUNDING = 1e-9
# Metrics that are the loss a run is trained with, or follow from it, as steps_to_train_loss_0.5; test_log_loss is none.
OF_TRAINED_LOSS = re.compile(r"(?<!log)_loss(?![a-z])")


def check_metric(name: str, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem for a metric that no run of an experiment has."""
    plain = metric_names.plain(name)
    if plain.startswith(MEASURED_ON_VALIDATION) and not design.validates:
        rule = "a metric of validation examples needs validation, which this experiment does not have"
        raise SpecProblem(path, f"{rule}, got {without_digest(name)!r}")
    needed, target = metric(plain).targets, "classes" if design.has_classes else "numbers"
    if target not in needed:
        titles = {name: of.title for scores in (SCORES, SET_SCORES) for name, of in scores.items()}
        score = max((score for score in titles if score in plain), key=len)
        rule = f"{titles[score]} needs {needed[0]}, and the target of {design.facts[0].name} is {target}"
        near = f"did you mean '{name.replace(score, 'loss')}'" + (
            ", or `task: classes` in dataset?" if target == "numbers" else "?"
        )
        raise SpecProblem(path, f"{rule}, got {name!r}; {near}")
    _check_solution(plain, design, conditions, path)


def check_metric_of(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem for a metric that some of the conditions a claim is about can't have."""
    if (of_plugin := own_metrics.measured(metric_names.plain(name))) is not None:
        _check_outputs(of_plugin[0], without_digest(name), conditions, path)
        return
    _check_layers(name, conditions, path)
    _check_late(name, conditions, path)
    _check_units(name, conditions, path)
    _check_losses(name, conditions, path)
    for data in {c.data.fingerprint: c.data for c in conditions}.values():
        _check_test_set(metric_names.plain(name), data, path)
        _check_truth(metric_names.plain(name), data, path)
    score = set_score(metric_names.plain(name))
    other = next((c for c in conditions if not LOSSES[c.settings.loss].of_softmax), None)
    if score is not None and score.needs == "probabilities" and other is not None:
        likely = ", ".join(loss for loss, of in LOSSES.items() if of.of_softmax)
        rule = f"{score.title} is of probabilities, so that loss must be one of {likely}"
        raise SpecProblem(
            path, f"{rule}, got {name!r} for {other.label!r}, whose loss is {without_digest(other.settings.loss)}"
        )


def _check_outputs(part: str, name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a metric of a plugin where the outputs that it is computed of are too many."""
    for c in conditions:
        n, classes = c.data.n_test if part == "test" else c.settings.n_validation, c.data.n_classes
        if not own_metrics.keeps_outputs(n, classes):
            rule = f"a metric of a plugin is computed of at most {MOST_OUTPUTS:,} outputs"
            raise SpecProblem(path, f"{rule}, got {name!r} of {n:,} examples times {classes} classes of {c.data.name}")


def _check_units(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse to put together, over data sets, numbers in the units of their targets."""
    targets = {c.data.fingerprint: c.data.name for c in conditions if c.data.n_classes is None}
    # A logarithm makes units a constant that differences are free of.
    if len(targets) > 1 and name.endswith(IN_UNITS) and name == metric_names.plain(name):
        rule = f"{name} is in the unit of each target, which {' and '.join(list(targets.values())[:2])} need not share"
        raise SpecProblem(path, f"{rule}, got {name!r}; did you mean 'test_r2', 'log10_test_rmse', or one data set?")


def _check_losses(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse to put together losses of runs that are trained with different ones: their numbers have no common scale."""
    if not OF_TRAINED_LOSS.search(metric_names.plain(name)):
        return
    losses = dict.fromkeys(
        "cross_entropy" if LOSSES[of].of_softmax else of for of in (c.settings.loss for c in conditions)
    )
    if len(losses) > 1:
        names = " and ".join([without_digest(of) for of in losses][:2])
        rule = f"{name} is of the loss that a run is trained with, and {names} have no common scale"
        near = "test_accuracy" if any(c.data.n_classes for c in conditions) else "test_rmse"
        raise SpecProblem(path, f"{rule}, got {name!r}; did you mean {near!r}, or one loss?")


def span_of(name: str, conditions: Sequence[Condition]) -> tuple[float, float]:
    """Return the least and the largest value that a metric may have in some conditions; a loss of a plugin has any."""
    low, high = metric(name).span
    is_loss = metric(name).unit == "per example" and OF_TRAINED_LOSS.search(name)
    return (-math.inf if is_loss and any(is_own(c.settings.loss) for c in conditions) else low), high


def check_value(name: str, field: str, value: float, span: tuple[float, float], path: Path) -> None:
    """Raise SpecProblem for a value that a metric has in no run."""
    low, high = span
    if low <= value <= high:
        return
    of, plain = metric(name), without_digest(name)
    what = "fraction" if of.is_fraction else "number"
    ends = [f"of at least {low:g}"] * math.isfinite(low) + [f"of at most {high:g}"] * math.isfinite(high)
    words = f"a {what} in [{low:g}, {high:g}]" if len(ends) == 2 else f"a {what} {ends[0]}"
    near = of_percent(name, value, high)
    raise SpecProblem(path, f"{field} must be one that {plain} can have, {words}, got {value:g}{near}")


def check_margin(name: str, field: str, margin: float | None, reach: float, kind: str, path: Path) -> None:
    """Raise SpecProblem for a margin beyond the largest difference, or slope, that values of a metric can have."""
    if margin is None or not margin > reach * (1 + ROUNDING):  # beyond the range of numbers it is not one
        return
    of = {"level": "the width of the range", "difference": "the largest difference", "slope": "the steepest slope"}[
        kind
    ]
    near = of_percent(name, margin, reach)
    raise SpecProblem(path, f"{field} must be at most {reach:g}, {of} of {without_digest(name)}, got {margin:g}{near}")


def of_percent(name: str, value: float, high: float) -> str:
    """Return the fraction that a percentage was meant to be, as a question; nothing where it can't be one."""
    is_percent = metric(name).is_fraction and 1 < value <= 100 and value / 100 <= high
    return f"; did you mean {value / 100:g}?" if is_percent else ""


def set_score(name: str) -> SetScore | None:
    """Return the score of the whole test set that a metric is; None for another metric."""
    return SET_SCORES.get(name.removeprefix(OF_TEST_SET)) if name.startswith(OF_TEST_SET) else None


def _check_test_set(name: str, data: DataFacts, path: Path) -> None:
    """Refuse a score of outputs where they are too many, or as many as the classes it counts among."""
    score, classes = set_score(name), data.n_classes
    if score is None or classes is None or score.needs == "predictions":
        return
    if not keeps_outputs(data.n_test, classes):
        rule = f"{score.title} is computed where the test set has at most {MOST_OUTPUTS:,} outputs"
        of = f"{data.name} has {data.n_test:,} examples times {classes} classes"
        raise SpecProblem(path, f"{rule}, and {of}, got {name!r}; did you mean 'test_balanced_accuracy'?")
    if score.classes_above is not None and classes <= score.classes_above:
        rule = f"{score.title} needs more than {score.classes_above} classes, and {data.name} has {classes}"
        raise SpecProblem(path, f"{rule}, got {name!r}; did you mean 'test_accuracy'?")


def _check_solution(name: str, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a distance from a solution that there is none of: no truth, no number, or no linear model."""
    if name not in SOLVED:
        return
    if design.has_classes and name != "param_error":  # which no data set of classes has known weights for, see below
        rule = f"{name} needs a target that is a number, and {design.facts[0].name} has classes"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    if all(c.settings.depth > 0 for c in conditions):
        raise SpecProblem(
            path, f"{name} needs a condition at depth 0, which this experiment does not have, got {name!r}"
        )


def _check_truth(name: str, data: DataFacts, path: Path) -> None:
    """Refuse a distance from weights that are not known."""
    if name == "param_error" and data.truth is None:
        names = ", ".join(n for n, known in DATA_SETS.items() if known.facts.truth is not None)
        rule = f"{name} needs a data set with known weights ({names}), and those of {data.name} are not known"
        raise SpecProblem(path, f"{rule}, got {name!r}")


def _check_late(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a mean over the second half of training where there is none."""
    if metric_names.late(metric_names.plain(name)) is None:
        return
    still = next((c for c in conditions if c.settings.steps == 0), None)
    if still is not None:
        rule = "a mean over the second half of training needs steps above 0"
        near = metric_names.plain(name).removeprefix(metric_names.LATE)
        raise SpecProblem(path, f"{rule}, got {name!r} for {still.label!r}; did you mean '{near}'?")


def _check_layers(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a layer metric that a condition can't have: no such layer, or no such epoch."""
    of = metric_names.layer_metric(name)
    if of is None:
        return
    for condition in conditions:
        s = condition.settings
        layers = s.n_layers
        numbers = of.numbers(layers)
        got = f"got {name!r} for {condition.label!r}"
        if not numbers:
            raise SpecProblem(path, f"{of.layer} is over hidden layers, and a linear model has none; {got}")
        if max(numbers) > layers:
            rule = f"a layer must be one of 1 to {layers}, of which {layers} is the output layer"
            raise SpecProblem(path, f"{rule}, {got}; did you mean {layers}, or 'out'?")
        if metric_names.LAYER_METRICS[of.metric].of_hidden and layers in numbers:
            rule = f"{of.metric} is of hidden layers, and layer {layers} is that of the outputs"
            raise SpecProblem(path, f"{rule}, {got}" + ("; did you mean 'last'?" if layers > 1 else ""))
        steps = probe_steps(s, [of.epoch])
        if not steps:
            rule = f"an epoch must be one that training reaches, and training ends after epoch {s.steps / s.steps_per_epoch:g}"
            raise SpecProblem(path, f"{rule}, {got}; did you mean 'end'?")
        if metric_names.LAYER_METRICS[of.metric].of_step and steps == [0]:
            raise SpecProblem(path, f"{of.metric} needs a step before the probe, and there is none at the start; {got}")
