"""What a claim speaks of must be there: a condition for each selector, a validation set or classes for a metric of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlpbench.experiment.grid import Condition
from mlpbench.experiment.kinds import Value, shown
from mlpbench.experiment.metrics import metric
from mlpbench.experiment.problems import Path, SpecProblem
from mlpbench.experiment.spec import Bound, Claim, Compare, Contrast, Experiment

MEASURED_ON_VALIDATION = "val_"


def check(experiment: Experiment, conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for the first claim about a condition or a metric that the experiment does not have."""
    for i, claim in enumerate(experiment.claims):
        name, form = claim.kind, claim.form
        if form.metric.startswith(MEASURED_ON_VALIDATION) and experiment.validation is None:
            rule = "a metric of validation examples needs validation, which this experiment does not have"
            raise SpecProblem(("claims", i, name, "metric"), f"{rule}, got {form.metric!r}")
        if metric(form.metric).is_accuracy and experiment.data.n_classes is None:
            rule = f"an accuracy needs classes, and the target of {experiment.data.name} is numbers"
            loss = f"did you mean '{form.metric.replace('accuracy', 'loss')}', or `task: classes` in dataset?"
            raise SpecProblem(("claims", i, name, "metric"), f"{rule}, got {form.metric!r}; {loss}")
        for where, path in _selectors(claim):
            if not any(_meets(condition, where) for condition in conditions):
                message = f"a claim names levels that stand together in a condition, got {shown(where)}"
                raise SpecProblem(("claims", i, name, *path), message)


def _selectors(claim: Claim) -> Iterator[tuple[Mapping[str, Value], Path]]:
    form = claim.form
    if isinstance(form, Compare):
        yield from ((form.a, ("a",)), (form.b, ("b",)))
    elif isinstance(form, Bound):
        yield form.where, ("where",)
    elif isinstance(form, Contrast):
        yield from ((term.where, ("terms", i, "where")) for i, term in enumerate(form.terms))


def _meets(condition: Condition, where: Mapping[str, Value]) -> bool:
    return all(condition.levels[name] == level for name, level in where.items())
