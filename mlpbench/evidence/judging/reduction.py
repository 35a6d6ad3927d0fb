"""A claim as a weighted sum over conditions, and a bound that the sum is tested against.

Every form of claim reduces to one number per replicate, sum_c weight_c metric_c, so that one test judges them all:
a comparison weighs two conditions +1 and -1, a trend weighs every condition by its place on the factor, a bound weighs
one condition 1. Conditions that a selector does not tell apart share its weight equally.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlpbench.base.models import Value
from mlpbench.experiment.claims.forms import Best, Bound, Claim, Compare, Contrast, Form, Matches, Share, Trend
from mlpbench.experiment.grid import Condition, Levels, format_level
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment

Sense = Literal["greater", "less", "equivalent"]
Kind = Literal["difference", "slope", "level", "place", "share"]
# The best level is called the same where its mean place moves by less than half a level.
SAME_PLACE = 0.5
# A weight of less than this share of the largest one is 0 but for rounding.
NEGLIGIBLE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """What a claim comes down to: the sum, the side of the bound it is expected on, and how to say it.

    `quantity` names the sum, `form` adds what is expected of it; `per` is the unit of a slope; `averaged` are factors
    a selector left out and `shared` the levels that all sides of a comparison have in common. `centre` is what an
    equivalence is about; `median` says that the claim is about the median of the sums, which the sign test judges, `every`
    that it is about each of them. The number of a `place` is no sum, but the difference of two places: that of the best of the
    `sides[0]` minus that of the best of the `sides[1]`, each a sum for every level in order; `better` says which is best.
    """

    metric: str
    weights: Mapping[str, float]
    sense: Sense
    bound: float
    kind: Kind
    quantity: str
    form: str
    per: str = ""
    every: bool = False
    median: bool = False
    averaged: tuple[str, ...] = ()
    shared: Levels
    centre: float = 0.0
    sides: tuple[Sequence[Mapping[str, float]], ...] = ()
    better: Literal["higher", "lower"] = "higher"


def reduce(claim: Claim, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    """Return the reduction of a claim of any form, to the median where the claim asks for the sign test."""
    found = _reduce(claim.form, experiment, conditions)
    if claim.test != "sign" or found.median:
        return found
    return replace(found, median=True, form=f"{found.form} in the median")


def _reduce(form: Form, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    if isinstance(form, Compare):
        return _compare(form, experiment, conditions)
    if isinstance(form, Trend):
        return _trend(form, experiment, conditions)
    if isinstance(form, Bound):
        return _bound(form, experiment, conditions)
    if isinstance(form, Matches):
        return _matches(form, experiment, conditions)
    if isinstance(form, Best):
        return _best(form, experiment, conditions)
    if isinstance(form, Share):
        return _streams(form, experiment, conditions)
    return _contrast(form, experiment, conditions)


def conditions_of(claims: Iterable[Claim], experiment: Experiment, conditions: Sequence[Condition]) -> set[str]:
    """Return the `condition_id` of every condition that a claim rests on."""
    return {c for claim in claims for c in reduce(claim, experiment, conditions).weights}


def _compare(form: Compare, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    quantity = f"{_words(form.a)} minus {_words(form.b)}"
    return _signed(form, [(1.0, form.a), (-1.0, form.b)], quantity, experiment, conditions)


def _contrast(form: Contrast, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    terms = [(t.weight, t.where) for t in form.terms]
    parts = [
        ("- " if w < 0 else "+ ") + ("" if abs(w) == 1 else f"{abs(w):g} ") + f"({_words(where)})" for w, where in terms
    ]
    return _signed(form, terms, " ".join(parts).removeprefix("+ "), experiment, conditions)


def _signed(
    form: Compare | Contrast,
    terms: Sequence[tuple[float, Levels]],
    quantity: str,
    experiment: Experiment,
    conditions: Sequence[Condition],
) -> Reduction:
    margin = form.margin or 0.0
    expected = {
        "greater": f"greater by {margin:g}" if margin else "greater",
        "less": f"less by {margin:g}" if margin else "less",
        "equivalent": f"equivalent within {margin:g}",
    }[form.expect]
    weights: dict[str, float] = {}
    for weight, where in terms:
        for condition_id, share in _share(where, conditions).items():
            weights[condition_id] = weights.get(condition_id, 0.0) + weight * share
    return Reduction(
        metric=form.metric,
        weights=_needed(weights),
        sense=form.expect,
        bound=0.0 - margin if form.expect == "less" else margin,
        kind="difference",
        quantity=f"{form.metric}: {quantity}",
        form=f"{form.metric}: {quantity}, {expected}",
        averaged=_averaged([where for _, where in terms], experiment, conditions),
        shared=_shared([where for _, where in terms]),
    )


def _bound(form: Bound, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    where = f" at {_words(form.where)}" if form.where else ""
    side, limit = ("above", form.above) if form.above is not None else ("below", form.below)
    assert limit is not None
    of = {"every": "in every replicate", "median": "in the median", "mean": "in the mean"}[form.of]
    return Reduction(
        metric=form.metric,
        weights=_share(form.where, conditions),
        sense="greater" if side == "above" else "less",
        bound=limit,
        kind="level",
        quantity=f"{form.metric}{where}",
        form=f"{form.metric}{where}: {side} {limit:g} {of}",
        every=form.of == "every",
        median=form.of == "median",
        averaged=_averaged([form.where], experiment, conditions),
        shared={},
    )


def _matches(form: Matches, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    where = f" at {_words(form.where)}" if form.where else ""
    return Reduction(
        metric=form.metric,
        weights=_share(form.where, conditions),
        sense="equivalent",
        bound=form.tolerance,
        kind="level",
        quantity=f"{form.metric}{where}",
        form=f"{form.metric}{where}: {form.value:g} within {form.tolerance:g} in the mean",
        averaged=_averaged([form.where], experiment, conditions),
        shared={},
        centre=form.value,
    )


def _best(form: Best, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    """Weigh, on each side, the conditions of every level of the factor, in the order of the levels."""
    levels = sorted({c.levels[form.over] for c in conditions if _is_in(c, form.where)}, key=lambda v: float(v))  # type: ignore[arg-type]
    wheres = (form.where, form.other)
    sides = tuple([_share({**where, form.over: level}, conditions) for level in levels] for where in wheres)
    better = metric(form.metric).better
    assert better != "neither", "a spec that asks for the best of it is refused"
    weights = {c: 1.0 for side in sides for share in side for c in share}
    expected = {"same": "the same", "higher": "higher", "lower": "lower"}[form.expect]
    quantity = f"place of the best {form.over} by {form.metric}: {_words(form.where)} minus {_words(form.other)}"
    return Reduction(
        metric=form.metric,
        weights=weights,
        sense={"same": "equivalent", "higher": "greater", "lower": "less"}[form.expect],  # type: ignore[arg-type]
        bound=SAME_PLACE if form.expect == "same" else 0.0,
        kind="place",
        quantity=quantity,
        form=f"{quantity}, {expected}",
        averaged=tuple(n for n in _averaged(wheres, experiment, conditions) if n != form.over),
        shared=_shared(wheres),
        sides=sides,
        better=better,
    )


def _streams(form: Share, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    """Name the condition of each stream; what is done with them stands in `variance`."""
    where = f" at {_words(form.where)}" if form.where else ""
    quantity = f"variance of {form.metric}{where}: share of {form.stream}"
    return Reduction(
        metric=form.metric,
        weights={c.condition_id: 1.0 for c in conditions if _is_in(c, form.where)},
        sense="greater",
        bound=math.nan,
        kind="share",
        quantity=quantity,
        form=f"{quantity}, the largest of {', '.join(experiment.vary)}",
        shared=form.where,
    )


def _trend(form: Trend, experiment: Experiment, conditions: Sequence[Condition]) -> Reduction:
    """Weigh conditions by the least-squares slope over x, w_c = (x_c - mean x) / sum (x - mean x)^2.

    x is log2 of the level, the level itself, or its rank: of value where levels are numbers, else of the file.
    """
    levels = experiment.factors.get(form.factor) or experiment.zipped[form.factor]
    place, per = _places(form, levels)
    x = [place[c.levels[form.factor]] for c in conditions]
    centre = math.fsum(x) / len(x)
    squares = math.fsum((v - centre) ** 2 for v in x)
    assert squares > 0, "a spec whose trend has one level is refused"
    slope = {c.condition_id: (v - centre) / squares for c, v in zip(conditions, x, strict=True)}
    margin = f" by more than {form.margin:g} {per}" if form.margin else ""
    quantity = f"{form.metric}: slope {per}"
    return Reduction(
        metric=form.metric,
        weights=_needed(slope),
        sense="greater" if form.expect == "rises" else "less",
        bound=form.margin if form.expect == "rises" else 0.0 - form.margin,
        kind="slope",
        quantity=quantity,
        form=f"{quantity}, {form.expect}{margin}",
        per=per,
        averaged=_averaged([{form.factor: levels[0]}], experiment, conditions),
        shared={},
    )


def _places(form: Trend, levels: Sequence[Value]) -> tuple[dict[Value, float], str]:
    numbers: dict[Value, float] = {
        v: float(v) for v in levels if isinstance(v, int | float) and not isinstance(v, bool)
    }
    if form.scale == "rank":
        order = sorted(set(levels), key=lambda v: numbers[v]) if set(numbers) == set(levels) else dict.fromkeys(levels)
        return {v: float(i) for i, v in enumerate(order)}, f"per step of {form.factor}"
    if form.scale == "log":
        return {v: math.log2(x) for v, x in numbers.items()}, f"per doubling of {form.factor}"
    return numbers, f"per unit of {form.factor}"


def _needed(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights that are not 0, or what rounding leaves of 0: those conditions do not matter."""
    least = NEGLIGIBLE * max(map(abs, weights.values()), default=0.0)
    return {c: w for c, w in weights.items() if abs(w) > least}


def _share(where: Levels, conditions: Sequence[Condition]) -> dict[str, float]:
    found = [c.condition_id for c in conditions if _is_in(c, where)]
    assert found, "a spec whose selector meets no condition is refused"
    return {c: 1 / len(found) for c in found}


def _is_in(condition: Condition, where: Levels) -> bool:
    return all(condition.levels.get(name) == level for name, level in where.items())


def _averaged(wheres: Sequence[Levels], experiment: Experiment, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Return the factors whose levels differ within a selector, so that the number is a mean over them."""
    found = []
    for name in experiment.factor_names:
        for where in wheres:
            levels = {c.levels.get(name) for c in conditions if _is_in(c, where)}
            if name not in where and len(levels) > 1 and name not in found:
                found.append(name)
    return tuple(found)


def _shared(wheres: Sequence[Levels]) -> Levels:
    first, *others = wheres
    return {name: level for name, level in first.items() if all(o.get(name) == level and name in o for o in others)}


def _words(where: Levels) -> str:
    return ", ".join(f"{name}={format_level(level)}" for name, level in where.items()) or "all conditions"
