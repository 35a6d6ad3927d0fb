"""What a claim speaks of must be there: a condition for each selector, a validation set or classes for a metric of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from mlpbench.experiment.claim_forms import Best, Bound, Claim, Compare, Contrast, Matches, Share
from mlpbench.experiment.grid import Condition, RunSettings
from mlpbench.experiment.kinds import Value, shown
from mlpbench.experiment.metrics import metric
from mlpbench.experiment.models import STREAM
from mlpbench.experiment.problems import Path, SpecProblem
from mlpbench.experiment.spec import Experiment

MEASURED_ON_VALIDATION = "val_"


def check(experiment: Experiment, conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for the first stream that nothing draws from, or claim about what the experiment does not have."""
    _check_streams(experiment, conditions)
    for i, claim in enumerate(experiment.claims):
        name, form = claim.kind, claim.form
        if form.metric.startswith(MEASURED_ON_VALIDATION) and not experiment.validates:
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
        if isinstance(form, Best):
            _check_best(form, conditions, ("claims", i, name))
        elif isinstance(form, Share):
            n = sum(_meets(condition, form.where) for condition in conditions)
            if n != len(experiment.vary):
                rule = f"a share is of one condition for each stream, {len(experiment.vary)}: say which by `where`"
                raise SpecProblem(("claims", i, name), f"{rule}, got {n}")


def _check_streams(experiment: Experiment, conditions: Sequence[Condition]) -> None:
    """Refuse to vary a stream alone that no draw comes from: its runs would all be one."""
    if not experiment.one_at_a_time:
        return
    total = experiment.data.n_train
    drawn: dict[str, tuple[str, Callable[[RunSettings], bool]]] = {
        "init": ("init or bias_init is random", lambda s: _is_random(s.init) or _is_random(s.bias_init)),
        "order": ("there are steps", lambda s: s.steps > 0),
        "dropout": ("dropout is above 0", lambda s: s.steps > 0 and any(0 < p < 1 for p in s.dropout)),
        "split": ("there is validation or train_size is below all", lambda s: s.n_fit < total),
        "noise": ("input_noise or label_noise is above 0", lambda s: s.input_noise > 0 or s.label_noise > 0),
    }
    for i, stream in enumerate(experiment.vary):
        when, is_drawn = drawn[stream]
        still = next((c for c in conditions if c.levels[STREAM] == stream and not is_drawn(c.settings)), None)
        if still is not None:
            rule = f"a stream that varies alone is one that runs draw from; of {stream} they do where {when}"
            raise SpecProblem(("vary", "each", i), f"{rule}, got {still.label!r}")


def _is_random(init: str) -> bool:
    return init != "zeros" and not init.startswith("constant")


def _check_best(form: Best, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse sides between which the best level can't be compared: each has the same levels, of which one is best."""
    found = [{c.levels[form.over] for c in conditions if _meets(c, side)} for side in (form.where, form.other)]
    for levels, key in zip(found, ("where", "and"), strict=True):
        if len(levels) < 2 or levels != found[0]:
            rule = f"both sides need the same two or more levels of {form.over}"
            raise SpecProblem((*path, key), f"{rule}, got {shown(sorted(levels, key=float))}")  # type: ignore[arg-type]


def _selectors(claim: Claim) -> Iterator[tuple[Mapping[str, Value], Path]]:
    form = claim.form
    if isinstance(form, Compare):
        yield from ((form.a, ("a",)), (form.b, ("b",)))
    elif isinstance(form, Bound | Matches | Share):
        yield form.where, ("where",)
    elif isinstance(form, Best):
        yield from ((form.where, ("where",)), (form.other, ("and",)))
    elif isinstance(form, Contrast):
        yield from ((term.where, ("terms", i, "where")) for i, term in enumerate(form.terms))


def _meets(condition: Condition, where: Mapping[str, Value]) -> bool:
    return all(condition.levels[name] == level for name, level in where.items())
