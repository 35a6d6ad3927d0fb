"""Ranges of nuisance settings: quasi-random points that all settings with a range share.

    nuisance: {lr: {log_uniform: [1e-4, 1], levels: 24}, weight_decay: {log_uniform: [1e-6, 1e-2]}, depth: {int: [1, 4]}}

The table of levels follows from the experiment's seed, the ranges and their number alone, so that every condition has the same
budget and the same points. Point i of D settings is the i-th of Sobol's sequence in D dimensions, each coordinate's bits flipped
as 32 drawn ones say (a random digital shift, which keeps how evenly points lie); settings have dimensions in the order of their
names. A coordinate u becomes

    uniform [a, b]   a + u (b - a)            log_uniform [a, b]   a (b / a)^u
    int [a, b]       a + floor(u (b - a + 1))          choice [v_1 ... v_k]   v_(1 + floor(u k))

Numbers are rounded to four digits, so that no processor's logarithm makes other runs of them. A point that is there already is
skipped.

Reference: I. Sobol, "Distribution of points in a cube and approximate evaluation of integrals", 1967; C. Lemieux, "Monte Carlo
and quasi-Monte Carlo sampling", 2009, chapter 6; Godbole et al., "Deep learning tuning playbook", 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpbench.base.models import Path, SpecProblem, Value, shown, suggestion, whole
from mlpbench.base.streams import generator
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Count, Number, PerLayer

KINDS = ("log_uniform", "uniform", "int", "choice")
MOST_POINTS = 10_000
BITS = 32
DIGITS = 4
# A table of whole numbers or words may need more points than levels: so many times as many are looked at.
MOST_TRIES = 64
# What an example of a range looks like.
EXAMPLE = "{log_uniform: [low, high], levels: N}"


@dataclass(frozen=True, kw_only=True)
class TuningRange:
    """The range of a nuisance setting: its kind and its ends, or the levels to choose from, as they are read."""

    kind: str
    ends: tuple[Value, ...]

    def at(self, u: float) -> Value:
        """Return the level at a coordinate in [0, 1)."""
        if self.kind == "choice":
            return self.ends[int(u * len(self.ends))]
        low, high = (float(end) for end in self.ends)  # type: ignore[arg-type]
        if self.kind == "int":
            return int(low) + int(u * (int(high) - int(low) + 1))
        exact = low * (high / low) ** u if self.kind == "log_uniform" else low + u * (high - low)
        return min(max(float(f"{exact:.{DIGITS}g}"), low), high)

    def written(self, levels: int) -> dict[str, Any]:
        """Return the range as a file has it."""
        return {self.kind: list(self.ends), "levels": levels}


def read_range(
    name: str, written: Mapping[Any, Any], path: Path, words: Mapping[str, str] | None = None
) -> tuple[TuningRange, int | None]:
    """Return the range of a setting and the number of levels it names; raise SpecProblem for what is none.

    Args:
        name: the setting.
        written: what the file says.
        path: where it says so.
        words: pieces of plugins that it may be chosen from, each with its canonical name.

    """
    kinds = [key for key in written if key != "levels"]
    rule = f"the range of {name} must be one of {', '.join(KINDS)} with its ends, such as {EXAMPLE}"
    if len(kinds) != 1 or kinds[0] not in KINDS:
        near = next((suggestion(str(k), KINDS) for k in kinds if k not in KINDS), "")
        raise SpecProblem(path, f"{rule}, got {shown(dict(written))}{near}")
    (kind,) = kinds
    ends = written[kind]
    least = 1 if kind == "choice" else 2
    if not isinstance(ends, list) or len(ends) < least or (kind != "choice" and len(ends) > 2):
        raise SpecProblem((*path, kind), f"{rule}, got {shown(ends)}")
    return TuningRange(kind=kind, ends=_ends(name, kind, ends, (*path, kind), words or {})), _levels(written, path)


def _levels(written: Mapping[Any, Any], path: Path) -> int | None:
    levels = whole(written.get("levels"))
    if levels is not None and (
        isinstance(levels, bool) or not isinstance(levels, int) or not 2 <= levels <= MOST_POINTS
    ):
        message = f"levels must be a whole number in [2, {MOST_POINTS}], how many points are tried, got {shown(levels)}"
        raise SpecProblem((*path, "levels"), message)
    return levels


def _ends(name: str, kind: str, ends: Sequence[Any], path: Path, words: Mapping[str, str]) -> tuple[Value, ...]:
    """Return the ends of a range as the setting reads them."""
    setting = SETTINGS[name]
    values: list[Value] = []
    for i, end in enumerate(ends):
        try:
            values.append(setting.read(end, words))
        except ValueError as error:
            raise SpecProblem((*path, i), str(error)) from None
    if kind == "choice":
        if len(set(values)) < len(values):
            raise SpecProblem(path, f"what {name} is chosen from must differ, got {shown(ends)}")
        return tuple(values)
    if not isinstance(setting.value_type, Number | Count | PerLayer) or not all(_is_number(v) for v in values):
        raise SpecProblem(
            path, f"{kind} is a range of numbers; for {name} write {{choice: [...], levels: N}}, got {shown(ends)}"
        )
    low, high = values
    if isinstance(setting.value_type, Count) and kind != "int":
        raise SpecProblem(path, f"{name} is a whole number: write {{int: {shown(ends)}, levels: N}}, got {kind}")
    if kind == "int" and not all(float(v) == int(v) for v in (low, high)):  # type: ignore[arg-type]
        raise SpecProblem(path, f"the ends of an int range must be whole numbers, got {shown(ends)}")
    if not low < high:  # type: ignore[operator]
        raise SpecProblem(path, f"a range goes from a lower to a higher end, got {shown(ends)}")
    if kind == "log_uniform" and not low > 0:  # type: ignore[operator]
        raise SpecProblem(
            path, f"the ends of a log_uniform range must be above 0, got {shown(ends)}; did you mean 'uniform'?"
        )
    return tuple(values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def levels_of(ranges: Mapping[str, TuningRange], count: int, seed: int) -> dict[str, tuple[Value, ...]]:
    """Return the levels of each setting, point by point; raise SpecProblem where there are not so many different points.

    Args:
        ranges: of each setting with one.
        count: how many points there are.
        seed: that of the experiment.

    """
    names = sorted(ranges)
    points: dict[tuple[Value, ...], None] = {}
    for row in _points(len(names), count * MOST_TRIES, seed):
        point = tuple(_read(name, ranges[name], u) for name, u in zip(names, row, strict=True))
        points.setdefault(point)
        if len(points) == count:
            return {name: tuple(p[i] for p in points) for i, name in enumerate(names)}
    ways = " and ".join(names)
    rule = f"levels must be at most the {len(points)} different points that the range of {ways} has"
    raise SpecProblem(("nuisance", names[0], "levels"), f"{rule}, got {count}")


def _read(name: str, of: TuningRange, u: float) -> Value:
    """Return the level at a coordinate; one of a choice was read before."""
    return of.at(u) if of.kind == "choice" else SETTINGS[name].read(of.at(u))


def _points(dimensions: int, most: int, seed: int) -> Iterator[Sequence[float]]:
    """Yield points of the shifted sequence, twice as many as before each time."""
    from scipy.stats.qmc import Sobol  # takes a while to load, and most experiments need none of it

    shift = generator(seed, 0, "ranges", 0).integers(0, 2**BITS, dimensions, dtype=np.uint64)
    sequence = Sobol(dimensions, scramble=False, bits=BITS)
    done, power = 0, 5
    while done < most:
        block = sequence.random_base2(power) if not done else sequence.random(done)
        yield from ((np.round(block * 2**BITS).astype(np.uint64) ^ shift) / 2.0**BITS).tolist()
        done += len(block)


def budget_of(ranges: Mapping[str, tuple[TuningRange, int | None]], paths: Mapping[str, Path]) -> int:
    """Return how many points the settings with ranges share; raise SpecProblem where that is not said, or twice."""
    named = {name: levels for name, (_, levels) in ranges.items() if levels is not None}
    if not named:
        first = next(iter(ranges))
        raise SpecProblem(paths[first], f"a range must say how many points are tried, such as {EXAMPLE}; got no levels")
    if len(set(named.values())) > 1:
        name, other = list(named)[:2]
        message = f"settings with ranges share their points: levels must be the same, got {named[other]} after {named[name]} for {name}"
        raise SpecProblem((*paths[other], "levels"), message)
    return next(iter(named.values()))
