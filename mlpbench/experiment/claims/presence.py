"""What a claim speaks of must be there: a condition for each selector, a validation set or classes for a metric of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from mlpbench.base.messages import Path, SpecProblem, shown
from mlpbench.base.models import STREAM, Value
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment.claims.forms import Best, Bound, Claim, Compare, Contrast, Matches, Share
from mlpbench.experiment.grid import Condition, RunSettings
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.plan import probe_steps
from mlpbench.experiment.spec import Experiment

MEASURED_ON_VALIDATION = "val_"
SOLVED = ("param_error", "closed_form_gap")


def check(experiment: Experiment, conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for the first stream that nothing draws from, or claim about what the experiment does not have."""
    _check_streams(experiment, conditions)
    for i, claim in enumerate(experiment.claims):
        name, form = claim.kind, claim.form
        of = metric_names.plain(form.metric)
        if of.startswith(MEASURED_ON_VALIDATION) and not experiment.validates:
            rule = "a metric of validation examples needs validation, which this experiment does not have"
            raise SpecProblem(("claims", i, name, "metric"), f"{rule}, got {form.metric!r}")
        if _is_of_accuracy(of) and experiment.data.n_classes is None:
            rule = f"an accuracy needs classes, and the target of {experiment.data.name} is numbers"
            loss = f"did you mean '{form.metric.replace('accuracy', 'loss')}', or `task: classes` in dataset?"
            raise SpecProblem(("claims", i, name, "metric"), f"{rule}, got {form.metric!r}; {loss}")
        _check_solution(of, experiment, conditions, ("claims", i, name, "metric"))
        for where, path in _selectors(claim):
            if not any(_meets(condition, where) for condition in conditions):
                message = f"a claim names levels that stand together in a condition, got {shown(where)}"
                raise SpecProblem(("claims", i, name, *path), message)
        _check_layers(claim, conditions, ("claims", i, name, "metric"))
        _check_late(claim, conditions, ("claims", i, name, "metric"))
        if isinstance(form, Best):
            _check_best(form, conditions, ("claims", i, name))
        elif isinstance(form, Share):
            n = sum(_meets(condition, form.where) for condition in conditions)
            if n != len(experiment.vary):
                rule = f"a share is of one condition for each stream, {len(experiment.vary)}: say which by `where`"
                raise SpecProblem(("claims", i, name), f"{rule}, got {n}")


def _is_of_accuracy(name: str) -> bool:
    reaches = metric_names.reaches(name)
    return metric(name).is_accuracy or (reaches is not None and reaches.measure == "accuracy")


def _meant(claim: Claim, conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that a claim is about: all where it has no selector."""
    wheres = [where for where, _ in _selectors(claim)] or [{}]
    return [c for c in conditions if any(_meets(c, where) for where in wheres)]


def _check_late(claim: Claim, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a mean over the second half of training where there is none."""
    if metric_names.late(metric_names.plain(claim.form.metric)) is None:
        return
    still = next((c for c in _meant(claim, conditions) if c.settings.steps == 0), None)
    if still is not None:
        rule = "a mean over the second half of training is of networks that are trained"
        near = metric_names.plain(claim.form.metric).removeprefix(metric_names.LATE)
        raise SpecProblem(path, f"{rule}, got {claim.form.metric!r} for {still.label!r}; did you mean '{near}'?")


def _check_layers(claim: Claim, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a layer metric that a condition the claim is about can't have: no such layer, or no such epoch."""
    of = metric_names.layer_metric(claim.form.metric)
    if of is None:
        return
    for condition in _meant(claim, conditions):
        s = condition.settings
        layers = s.n_layers
        numbers = of.numbers(layers)
        got = f"got {claim.form.metric!r} for {condition.label!r}"
        if not numbers:
            raise SpecProblem(path, f"{of.layer} is over hidden layers, and a linear model has none; {got}")
        if max(numbers) > layers:
            rule = f"a layer is one of the {layers} there are, the outputs included"
            raise SpecProblem(path, f"{rule}, {got}; did you mean {layers}, or 'out'?")
        if of.metric in metric_names.OF_HIDDEN and layers in numbers:
            rule = f"{of.metric} is of hidden layers, and layer {layers} is that of the outputs"
            raise SpecProblem(path, f"{rule}, {got}" + ("; did you mean 'last'?" if layers > 1 else ""))
        steps = probe_steps(s, [of.epoch])
        if not steps:
            rule = f"an epoch is one that training comes to, which ends after {s.steps / s.steps_per_epoch:g}"
            raise SpecProblem(path, f"{rule}, {got}; did you mean 'end'?")
        if of.metric == metric_names.OF_STEP and steps == [0]:
            raise SpecProblem(path, f"{of.metric} is of the last step before the probe, of which there is none; {got}")


def _check_streams(experiment: Experiment, conditions: Sequence[Condition]) -> None:
    """Refuse to vary a stream alone that no draw comes from: its runs would all be one."""
    if not experiment.one_at_a_time:
        return
    total = experiment.data.n_train
    anew = experiment.data.is_drawn_anew
    drawn: dict[str, tuple[str, Callable[[RunSettings], bool]]] = {
        "init": ("init or bias_init is random", lambda s: _is_random(s.init) or _is_random(s.bias_init)),
        "order": ("there are steps", lambda s: s.steps > 0),
        "dropout": ("dropout is above 0", lambda s: s.steps > 0 and any(0 < p < 1 for p in s.dropout)),
        "split": ("there is validation or train_size is below all", lambda s: anew or s.n_fit < total),
        "noise": ("input_noise or label_noise is above 0", lambda s: s.input_noise > 0 or s.label_noise > 0),
    }
    for i, stream in enumerate(experiment.vary):
        when, is_drawn = drawn[stream]
        still = next((c for c in conditions if c.levels[STREAM] == stream and not is_drawn(c.settings)), None)
        if still is not None:
            rule = f"a stream that varies alone is one that runs draw from; of {stream} they do where {when}"
            raise SpecProblem(("vary", "each", i), f"{rule}, got {still.label!r}")


def _check_solution(name: str, experiment: Experiment, conditions: Sequence[Condition], path: Path) -> None:
    """Refuse a distance from a solution that there is none of: no truth, no number, or no linear model."""
    if name not in SOLVED:
        return
    if name == "param_error" and experiment.data.truth is None:
        known = ", ".join(n for n, data in DATA_SETS.items() if data.facts.truth is not None)
        rule = f"{name} needs data whose truth is known ({known}), and of {experiment.data.name} it is not"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    if experiment.data.n_classes is not None:
        rule = f"{name} needs a target that is a number, and {experiment.data.name} has classes"
        raise SpecProblem(path, f"{rule}, got {name!r}")
    if all(c.settings.depth > 0 for c in conditions):
        raise SpecProblem(
            path, f"{name} needs a condition at depth 0, which this experiment does not have, got {name!r}"
        )


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
