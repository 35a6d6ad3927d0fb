"""Selectors of conditions: levels of factors, read in canonical form, and the conditions that they select."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mlpbench.base.models import DATASET, STREAM, Levels, Path, SpecProblem, Value, shown, suggestion
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.plugins.plugin import words_of
from mlpbench.experiment.settings import SETTINGS

# A weight of less than this share of the largest one is 0 but for rounding.
NEGLIGIBLE = 1e-12


def read_selector(design: Design, where: Mapping[str, Any], path: Path) -> Levels:
    """Return a selector in canonical form; raise SpecProblem where it names what is no factor or none of its levels."""
    canonical: Levels = {}
    for name, value in where.items():
        if name in design.nuisance:
            message = f"a claim compares factors, and {name} is a nuisance setting, tuned for each condition; got {shown(value)}"
            raise SpecProblem((*path, name), message, key=True)
        if name not in design.factor_names:
            raise SpecProblem((*path, name), _not_a_factor(design.factor_names, name), key=True)
        levels: Sequence[Value]
        level: Value
        if name == "label":
            levels, level = [c["label"] for c in design.conditions], value
        elif name == STREAM:
            levels, level = list(design.vary), value
        elif name == DATASET:
            levels, level = list(design.datasets), _data_set(design, value)
        else:
            levels = design.factors.get(name) or design.zipped[name]
            try:
                level = SETTINGS[name].read(value, words_of(design.plugins, name))
            except ValueError as error:
                raise SpecProblem((*path, name), str(error)) from None
        if level not in levels:
            near = suggestion(level, [plain(str(v)) for v in levels])
            known = [plain(v) if isinstance(v, str) else v for v in levels]
            rule = f"a claim about {name} names one of its levels {shown(known)}"
            raise SpecProblem((*path, name), f"{rule}, got {shown(value)}{near}")
        canonical[name] = level
    return canonical


def _data_set(design: Design, value: Value) -> Value:
    """Return the level that is meant by its word, or by the name of its file or data set where one alone has that."""
    meant = [name for name, source in design.datasets.items() if source.facts.name == value]
    return meant[0] if value not in design.datasets and len(meant) == 1 else value


def factor_levels(design: Design, name: str, path: Path) -> Sequence[Value]:
    """Return the levels of a factor with values; raise SpecProblem where there is none of that name."""
    numbered = design.factors | design.zipped
    if name not in numbered:
        raise SpecProblem(path, _not_a_factor(numbered, name))
    return numbered[name]


def _not_a_factor(names: Collection[str], name: str) -> str:
    listed = ", ".join(names) or "this experiment has none"
    return f"a claim here names a factor ({listed}), got {name!r}{suggestion(name, names)}"


def are_numbers(levels: Sequence[Value]) -> bool:
    """Return whether all levels are numbers."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels)


def selects(where: Mapping[str, Value], condition: Condition) -> bool:
    """Return whether a selector selects a condition."""
    return all(condition.levels.get(name) == level for name, level in where.items())


def equal_weights(where: Levels, conditions: Sequence[Condition]) -> dict[str, float]:
    """Return the weights of the mean over the conditions that a selector selects, by `condition_id`."""
    selected = [c.condition_id for c in conditions if selects(where, c)]
    assert selected, "a spec whose selector meets no condition is refused"
    return {c: 1 / len(selected) for c in selected}


def check_sides_differ(sides: Mapping[str, Levels], conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem where both sides of a claim, by what a file calls them, select the same conditions, in whatever words."""
    a, b = ({c.condition_id for c in conditions if selects(where, c)} for where in sides.values())
    if a == b:
        rule = f"{' and '.join(sides)} must differ, but select the same conditions"
        raise SpecProblem(path, f"{rule}, got {' and '.join(map(shown, sides.values()))}")


def without_zeros(weights: Mapping[str, float], largest: float = 0.0) -> dict[str, float]:
    """Return the weights that are not 0, or what rounding leaves of 0: those conditions do not matter.

    `largest` is the largest number that was added up to one of them, where numbers were that may cancel.
    """
    least = NEGLIGIBLE * max(largest, *map(abs, weights.values())) if weights else 0.0
    return {c: w for c, w in weights.items() if abs(w) > least}


def averaged_factors(wheres: Sequence[Levels], design: Design, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Return the factors whose levels differ within a selector, so that the number is a mean over them."""
    averaged = []
    for name in design.factor_names:
        for where in wheres:
            levels = {c.levels.get(name) for c in conditions if selects(where, c)}
            if name not in where and len(levels) > 1 and name not in averaged:
                averaged.append(name)
    return tuple(averaged)


def confounded_levels(wheres: Sequence[Levels], design: Design, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Return factors that no selector names and over whose levels the sides take different means, each with its levels.

    A factor that is zipped with a named one, and has one level on each side, is part of what is compared.
    """
    unnamed = [name for name in design.factor_names if not any(name in where for where in wheres)]
    sides = [[c.levels for c in conditions if selects(where, c)] for where in wheres]

    def goes_with_a_named_one(name: str) -> bool:
        zipped = name in design.zipped and any(n in design.zipped for where in wheres for n in where)
        return zipped and all(len({levels.get(name) for levels in side}) == 1 for side in sides)

    def shares(names: Sequence[str]) -> list[dict[tuple[Value, ...], Fraction]]:
        counts = [Counter(tuple(levels[n] for n in names if n in levels) for levels in side) for side in sides]
        return [{key: Fraction(n, count.total()) for key, n in count.items()} for count in counts]

    names = [name for name in unnamed if not goes_with_a_named_one(name)]
    joint = shares(names)
    if all(side == joint[0] for side in joint):
        return ()
    differ = [n for n in names if any(side != shares([n])[0] for side in shares([n]))] or names
    return tuple(
        f"{n} ({' against '.join(', '.join(format_level(k[0]) for k in side if k) for side in shares([n]))})"
        for n in differ
    )


def shared_levels(wheres: Sequence[Levels]) -> Levels:
    """Return the levels that all selectors have in common."""
    first, *others = wheres
    return {name: level for name, level in first.items() if all(o.get(name) == level and name in o for o in others)}


def in_words(where: Levels) -> str:
    """Return a selector in words: `width=8, depth=1`."""
    return ", ".join(f"{name}={format_level(level)}" for name, level in where.items()) or "all conditions"


def at_words(where: Levels) -> str:
    """Return ` at width=8`, nothing for all conditions."""
    return f" at {in_words(where)}" if where else ""
