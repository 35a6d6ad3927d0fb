"""What a metric needs of an experiment: validation examples, classes, a known solution, layers, training."""

from __future__ import annotations

from collections.abc import Sequence

from mlpbench.base.models import Path, SpecProblem
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.metrics.scores import SCORES
from mlpbench.experiment.plan import probe_steps

MEASURED_ON_VALIDATION = "val_"
SOLVED = ("param_error", "closed_form_gap")


def check_metric(name: str, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem for a metric that no run of an experiment has."""
    plain = metric_names.plain(name)
    if plain.startswith(MEASURED_ON_VALIDATION) and not design.validates:
        rule = "a metric of validation examples needs validation, which this experiment does not have"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    needed, target = metric(plain).targets, "numbers" if design.data.n_classes is None else "classes"
    if target not in needed:
        score = max((score for score in SCORES if score in plain), key=len)
        rule = f"{SCORES[score].title} needs {needed[0]}, and the target of {design.data.name} is {target}"
        near = f"did you mean '{name.replace(score, 'loss')}'" + (
            ", or `task: classes` in dataset?" if target == "numbers" else "?"
        )
        raise SpecProblem(path, f"{rule}, got {name!r}; {near}")
    _check_solution(plain, design, conditions, path)


def check_metric_of(name: str, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem for a metric that some of the conditions a claim is about can't have."""
    _check_layers(name, conditions, path)
    _check_late(name, conditions, path)


def _check_solution(name: str, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a distance from a solution that there is none of: no truth, no number, or no linear model."""
    if name not in SOLVED:
        return
    if name == "param_error" and design.data.truth is None:
        names = ", ".join(n for n, data in DATA_SETS.items() if data.facts.truth is not None)
        rule = f"{name} needs a data set with known weights ({names}), and those of {design.data.name} are not known"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    if design.data.n_classes is not None:
        rule = f"{name} needs a target that is a number, and {design.data.name} has classes"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    if all(c.settings.depth > 0 for c in conditions):
        raise SpecProblem(
            path, f"{name} needs a condition at depth 0, which this experiment does not have, got {name!r}"
        )


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
