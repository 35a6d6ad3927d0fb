"""Claims against their experiment: factors, levels, metrics and replicates a claim needs; selectors made canonical."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlpbench.base.messages import Path, SpecProblem, shown, suggestion
from mlpbench.base.models import LARGEST, STREAM, Levels, Value
from mlpbench.experiment.claims.forms import OWN_TEST, Best, Bound, Claim, Compare, Contrast, Matches, Share, Trend
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import REGRETS, Metric, metric
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.shift_spec import undeclared

if TYPE_CHECKING:
    from mlpbench.experiment.spec import Experiment

ACCURACY_MARGIN = 0.002
# With fewer replicates than this no assignment of signs has a two-sided p below 0.05: 2 / 2^5 = 0.0625.
SIGN_FLIP_LEAST = 6
# With fewer, the BCa interval covers less than it says: 85% instead of 95% at 5 replicates, in simulation.
BCA_LEAST = 15
SHARE_LEAST = 5


def checked(experiment: Experiment) -> tuple[Claim, ...]:
    """Check every claim against factors, metrics and replicates; selectors come back in canonical form."""
    seen: set[str] = set()
    found = []
    for i, claim in enumerate(experiment.claims):
        path: Path = ("claims", i)
        if claim.id in seen:
            raise SpecProblem((*path, "id"), f"claim ids must differ, got {claim.id!r} twice")
        seen.add(claim.id)
        _options(experiment, claim, path)
        form = _form(experiment, claim.form, (*path, claim.kind))
        if isinstance(form, Bound) and claim.test == "sign":
            form = form.model_copy(update={"of": "median"})  # two ways to ask for one test
        found.append(claim.model_copy(update={claim.kind: form}))
    return tuple(found)


def _options(experiment: Experiment, claim: Claim, path: Path) -> None:
    n = experiment.replicates
    observed = isinstance(claim.form, Bound) and claim.form.of == "every"
    for option, value in (("test", claim.test), ("interval", claim.interval)):
        if value != "t" and (claim.kind in OWN_TEST or observed):
            what = (
                "a bound of every replicate is observed, not tested" if observed else f"{claim.kind} has its own test"
            )
            raise SpecProblem((*path, option), f"{what}: it takes no {option}, got {value!r}")
    of_median = isinstance(claim.form, Bound) and claim.form.of == "median"
    if of_median or claim.test == "sign":
        _median(claim, n, path, "a bound of the median" if of_median else "a claim judged by the sign test")
    if (claim.test == "sign_flip" or claim.kind == "best") and n < SIGN_FLIP_LEAST:
        where = (*path, "test") if claim.test == "sign_flip" else (*path, "best")
        rule = f"a sign-flip test needs {SIGN_FLIP_LEAST} replicates or more, since {SIGN_FLIP_LEAST - 1} can't reach p < 0.05"
        raise SpecProblem(where, f"{rule}, got {n}")
    if claim.interval == "bca" and n < BCA_LEAST:
        rule = f"a BCa interval needs {BCA_LEAST} replicates or more: at 5 it covered 85% instead of 95%"
        raise SpecProblem((*path, "interval"), f"{rule}, got {n}")


def _median(claim: Claim, n: int, path: Path, what: str) -> None:
    """Refuse what the sign test, of a bound `of: median` or asked for by `test: sign`, can't do."""
    if isinstance(claim.form, Matches) or (
        isinstance(claim.form, Compare | Contrast) and claim.form.expect == "equivalent"
    ):
        asked = "matches" if isinstance(claim.form, Matches) else "expect: equivalent"
        rule = f"the sign test asks on which side of a number the median lies, and {asked} whether it lies near one"
        raise SpecProblem((*path, "test"), f"{rule}, got {claim.test!r}; did you mean 'sign_flip'?")
    if isinstance(claim.form, Bound) and claim.form.of == "mean" and "of" in claim.form.model_fields_set:
        rule = "the sign test is of the median, and this bound of the mean"
        raise SpecProblem((*path, "test"), f"{rule}, got {claim.test!r}; did you mean 'of: median'?")
    for option, value in (("test", claim.test), ("interval", claim.interval)):
        if value not in ("t", "sign"):
            raise SpecProblem(
                (*path, option), f"{what} has its own test and interval: it takes no {option}, got {value!r}"
            )
    if n < SIGN_FLIP_LEAST:
        rule = (
            f"a sign test needs {SIGN_FLIP_LEAST} replicates or more, since {SIGN_FLIP_LEAST - 1} can't reach p < 0.05"
        )
        raise SpecProblem((*path, "test") if claim.test == "sign" else (*path, "bound", "of"), f"{rule}, got {n}")


def _derived(experiment: Experiment, measured: Metric, path: Path) -> None:
    """Refuse a layer metric at an epoch that is not probed, and a regret where levels are not refitted."""
    of = metric_names.layer_metric(measured.name)
    epochs = (0.0, math.inf) if experiment.probes is None else experiment.probes
    if of is not None and of.epoch not in epochs:
        rule = f"layers are measured at `probes`, here {', '.join(map(_epoch, epochs)) or 'none'}"
        nearest = min(epochs, key=lambda e: abs(min(e, LARGEST) - min(of.epoch, LARGEST)), default=of.epoch)
        near = f"; did you mean {_epoch(nearest)!r}, or a further epoch of probes?"
        raise SpecProblem(path, f"{rule}, got {_epoch(of.epoch)!r} in {measured.name!r}{near}")
    if measured.name in REGRETS and not (experiment.refit == "all" and experiment.nuisance):
        rule = "a regret compares refits of all nuisance levels, which `validation: {folds: K, refit: all}` makes"
        raise SpecProblem(path, f"{rule}, got {measured.name!r} without")


def _epoch(epoch: float) -> str:
    return {0.0: "start", math.inf: "end"}.get(epoch, f"{epoch:g}")


def _form(experiment: Experiment, form: Any, path: Path) -> Any:
    try:
        measured = metric(form.metric)
    except ValueError as error:
        raise SpecProblem((*path, "metric"), str(error)) from None
    if message := undeclared(metric_names.plain(measured.name), experiment.shifts):
        raise SpecProblem((*path, "metric"), message)
    _derived(experiment, measured, (*path, "metric"))
    update: dict[str, Any] = {"metric": measured.name}
    if isinstance(form, Compare | Contrast) and form.margin is None:
        if form.expect == "equivalent" and not measured.is_accuracy:
            raise SpecProblem(path, f"equivalent on {form.metric} must state a margin")
        update["margin"] = ACCURACY_MARGIN if measured.is_accuracy else 0.0
    if isinstance(form, Compare):
        update["a"] = _selector(experiment, form.a, (*path, "a"))
        update["b"] = _selector(experiment, form.b, (*path, "b"))
        if update["a"] == update["b"]:
            raise SpecProblem(path, f"a and b must differ, got {form.a!r} twice")
    elif isinstance(form, Bound | Matches):
        update["where"] = _selector(experiment, form.where, (*path, "where"))
    elif isinstance(form, Contrast):
        terms = [(t, (*path, "terms", j, "where")) for j, t in enumerate(form.terms)]
        update["terms"] = [t.model_copy(update={"where": _selector(experiment, t.where, p)}) for t, p in terms]
    elif isinstance(form, Trend):
        _trend_factor(experiment, form, path)
    elif isinstance(form, Best):
        update |= _best(experiment, form, measured, path)
    elif isinstance(form, Share):
        update["where"] = _share(experiment, form, path)
    return form.model_copy(update=update)


def _levels_of(experiment: Experiment, name: str, path: Path) -> Sequence[Value]:
    """Return the levels of a factor with values; raise SpecProblem where there is none of that name."""
    numbered = experiment.factors | experiment.zipped
    if name not in numbered:
        raise SpecProblem(path, _not_a_factor(numbered, name))
    return numbered[name]


def _trend_factor(experiment: Experiment, form: Trend, path: Path) -> None:
    levels = _levels_of(experiment, form.factor, (*path, "factor"))
    if len(set(levels)) < 2:
        raise SpecProblem(
            (*path, "factor"), f"a trend needs two levels or more, got {list(levels)!r} for {form.factor}"
        )
    if form.scale != "rank" and not _are_numbers(levels):
        raise SpecProblem((*path, "factor"), f"scale {form.scale} needs numeric levels, got {list(levels)!r}")
    if form.scale == "log" and any(v <= 0 for v in levels):  # type: ignore[operator]
        raise SpecProblem((*path, "scale"), f"scale log needs levels above 0, got {list(levels)!r}")


def _best(experiment: Experiment, form: Best, measured: Metric, path: Path) -> dict[str, Any]:
    if measured.better == "neither":
        rule = "the best level is one by a metric of which more or less is better"
        raise SpecProblem((*path, "metric"), f"{rule}, got {form.metric!r}")
    levels = _levels_of(experiment, form.over, (*path, "over"))
    if len(set(levels)) < 2 or not _are_numbers(levels):
        rule = "the place of the best level needs two or more levels in order: numbers"
        raise SpecProblem((*path, "over"), f"{rule}, got {list(levels)!r} for {form.over}")
    sides = {
        "where": _selector(experiment, form.where, (*path, "where")),
        "other": _selector(experiment, form.other, (*path, "and")),
    }
    for key, side in (("where", sides["where"]), ("and", sides["other"])):
        if form.over in side:
            rule = f"the best level of {form.over} is looked for, so that a selector leaves {form.over} out"
            raise SpecProblem((*path, key, form.over), f"{rule}, got {shown(side[form.over])}", key=True)
    if sides["where"] == sides["other"]:
        raise SpecProblem(path, f"where and and must differ, got {form.where!r} twice")
    return sides


def _share(experiment: Experiment, form: Share, path: Path) -> Levels:
    if not experiment.one_at_a_time:
        rule = "the share of a stream needs runs in which one stream varies at a time, `vary: {each: [...]}`"
        raise SpecProblem((*path, "stream"), f"{rule}, got vary {shown(list(experiment.vary))}")
    if form.stream not in experiment.vary:
        rule = f"a share is that of a stream that varies ({', '.join(experiment.vary)})"
        raise SpecProblem((*path, "stream"), f"{rule}, got {form.stream!r}")
    if experiment.replicates < SHARE_LEAST:
        rule = f"variances are compared over {SHARE_LEAST} replicates or more"
        raise SpecProblem(path, f"{rule}, got {experiment.replicates}")
    where = _selector(experiment, form.where, (*path, "where"))
    if STREAM in where:
        rule = "a share is taken over all streams, so that `where` leaves stream out"
        raise SpecProblem((*path, "where", STREAM), f"{rule}, got {where[STREAM]!r}", key=True)
    return where


def _are_numbers(levels: Sequence[Value]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels)


def _not_a_factor(names: Collection[str], name: str) -> str:
    known = ", ".join(names) or "this experiment has none"
    return f"a claim here names a factor ({known}), got {name!r}{suggestion(name, names)}"


def _selector(experiment: Experiment, where: Mapping[str, Any], path: Path) -> Levels:
    canonical: Levels = {}
    for name, value in where.items():
        if name in experiment.nuisance:
            message = f"a claim compares factors, and {name} is a nuisance setting, tuned for each condition; got {shown(value)}"
            raise SpecProblem((*path, name), message, key=True)
        if name not in experiment.factor_names:
            raise SpecProblem((*path, name), _not_a_factor(experiment.factor_names, name), key=True)
        levels: Sequence[Value]
        level: Value
        if name == "label":
            levels, level = [c["label"] for c in experiment.conditions], value
        elif name == STREAM:
            levels, level = list(experiment.vary), value
        else:
            levels = experiment.factors.get(name) or experiment.zipped[name]
            try:
                level = SETTINGS[name].read(value)
            except ValueError as error:
                raise SpecProblem((*path, name), str(error)) from None
        if level not in levels:
            near = suggestion(level, [str(v) for v in levels])
            raise SpecProblem(
                (*path, name),
                f"a claim about {name} names one of its levels {shown(list(levels))}, got {shown(value)}{near}",
            )
        canonical[name] = level
    return canonical
