"""Shifts of the test set that an experiment asks for: kinds, severities, and the metrics that name them.

Like probes, they decide what is measured and not which run it is. A shift goes by its kind and severity: `noise,0.2` in a
metric, `shift:noise:0.2` as the split of its rows in `curves`.

Reference: D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
2019.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlpbench.base.models import LARGEST, Path, SpecProblem, shown, suggestion
from mlpbench.data.dataset import DataFacts

Shifts = Mapping[str, Sequence[float]]
SHIFT_METRIC = re.compile(r"shift_(accuracy|loss)\[([a-z_]+), ?([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\]")
# Every shift is an evaluation of the whole test set at the end of each run.
MOST_SHIFTS = 100


@dataclass(frozen=True, kw_only=True)
class ShiftKind:
    """A way to change test examples: what a severity is, how large it may be, and what data it needs."""

    meaning: str
    high: float = math.inf
    whole: bool = False
    needs: Literal["image", "classes", "nothing"] = "image"

    @property
    def rule(self) -> str:
        """The severities in words."""
        words = f"{'whole numbers' if self.whole else 'numbers'} above 0"
        return words if math.isinf(self.high) else f"{words}, at most {self.high:g}"


KINDS: Mapping[str, ShiftKind] = {
    "noise": ShiftKind(meaning="standard deviation of Gaussian noise on every input", needs="nothing"),
    "blur": ShiftKind(meaning="standard deviation of a Gaussian blur, in pixels", high=100),
    "translation": ShiftKind(meaning="pixels each image is moved by, in one of eight directions", whole=True),
    "brightness": ShiftKind(meaning="what is added to every pixel", high=1),
    "contrast": ShiftKind(meaning="share by which pixels are drawn to the mean of their image", high=1),
    "labels": ShiftKind(meaning="classes each label is moved on by, the last followed by the first", whole=True, needs="classes"),
}  # fmt: skip


def read(value: object) -> dict[str, tuple[float, ...]]:
    """Return what a file says under `shifts` in canonical form: severities in order; raise SpecProblem."""
    if not isinstance(value, Mapping):
        rule = "shifts must be a mapping of kinds to lists of severities, as in {noise: [0.1, 0.2]}"
        raise SpecProblem(("shifts",), f"{rule}, got {shown(value)}")
    shifts: dict[str, tuple[float, ...]] = {}
    for kind, severities in value.items():
        if kind not in KINDS:
            message = f"a kind of shift must be one of {', '.join(KINDS)}, got {shown(kind)}{suggestion(kind, KINDS)}"
            raise SpecProblem(("shifts", kind), message, key=True)
        shifts[kind] = _severities(kind, severities)
    if (n := sum(map(len, shifts.values()))) > MOST_SHIFTS:
        raise SpecProblem(("shifts",), f"an experiment must have at most {MOST_SHIFTS} shifts, got {n}")
    return shifts


def _severities(kind: str, severities: object) -> tuple[float, ...]:
    path: Path = ("shifts", kind)
    rule = f"the severities of {kind} must be {KINDS[kind].rule}"
    if not isinstance(severities, list | tuple) or not severities:
        raise SpecProblem(path, f"{rule}, in a list that is not empty, got {shown(severities)}")
    for i, v in enumerate(severities):
        number = isinstance(v, int | float) and not isinstance(v, bool)
        if not number or not 0 < v <= min(KINDS[kind].high, LARGEST) or (KINDS[kind].whole and v != int(v)):
            raise SpecProblem((*path, i), f"{rule}, got {shown(v)}")
    # Six digits are what names of metrics and of splits have.
    for i, v in enumerate(severities):
        if any(f"{v:g}" == f"{other:g}" for other in severities[:i]):
            raise SpecProblem((*path, i), f"the severities of {kind} must differ in six digits, got {v:g} twice")
    return tuple(sorted(float(v) for v in severities))


def plain(shifts: Shifts) -> dict[str, list[float]]:
    """Return shifts as a file has them: whole numbers where a severity is one."""
    return {k: [int(v) if KINDS[k].whole else v for v in severities] for k, severities in shifts.items()}


def image_axes(facts: DataFacts) -> tuple[int, int] | None:
    """Return which axes of `input_shape` are rows and columns, or None where examples are no images.

    Of three axes the channels come first where there are at most four of them, else last.
    """
    shape = facts.input_shape
    if len(shape) == 2:
        return 0, 1
    if len(shape) == 3:
        return (1, 2) if shape[0] <= 4 else (0, 1)
    return None


def check(shifts: Shifts, data: DataFacts) -> None:
    """Raise SpecProblem for the first shift that data can't have."""
    axes = image_axes(data)
    for kind, severities in shifts.items():
        needs, largest = KINDS[kind].needs, severities[-1]
        path: Path = ("shifts", kind)
        if needs == "image" and axes is None:
            free = ", ".join(k for k, of in KINDS.items() if of.needs != "image")
            rule = f"{kind} needs images, and the examples of {data.name} are none: it takes {free}"
            raise SpecProblem(path, f"{rule}, got {kind!r}", key=True)
        if needs == "classes":
            if data.n_classes is None:
                rule = f"a shift of labels needs classes, and the target of {data.name} is numbers"
                raise SpecProblem(path, f"{rule}, got {kind!r}", key=True)
            if largest >= data.n_classes:
                rule = f"labels must be moved by fewer than all classes, of which {data.name} has {data.n_classes}"
                raise SpecProblem(path, f"{rule}, got {largest:g}")
        if kind == "translation" and axes is not None:
            side = min(data.input_shape[a] for a in axes)
            if largest >= side:
                rule = f"images must be moved by less than their side, {side} pixels in {data.name}"
                raise SpecProblem(path, f"{rule}, got {largest:g}")


def split_of(kind: str, severity: float) -> str:
    """Return the split of a shift's rows in the table of curves."""
    return f"shift:{kind}:{severity:g}"


def splits(shifts: Shifts) -> list[str]:
    """Return the split of every shift, in order."""
    return [split_of(kind, s) for kind, s in pairs(shifts)]


def pairs(shifts: Shifts) -> list[tuple[str, float]]:
    """Return (kind, severity) of every shift, in order."""
    return list(itertools.chain.from_iterable(((k, s) for s in severities) for k, severities in shifts.items()))


def measured(metric: str) -> tuple[str, str] | None:
    """Return (split, accuracy or loss) of a metric under a shift, None for any other metric."""
    match = SHIFT_METRIC.fullmatch(metric)
    return None if match is None else (split_of(match[2], float(match[3])), match[1])


def undeclared(metric: str, shifts: Shifts) -> str | None:
    """Return why a metric can't be had, one of a shift that the experiment does not declare; None where it can."""
    shift = measured(metric)
    declared = splits(shifts)
    if shift is None or shift[0] in declared:
        return None
    named = [f"shift_{shift[1]}[{split.removeprefix('shift:').replace(':', ',')}]" for split in declared]
    rule = f"a metric under a shift must name one that is declared in shifts ({', '.join(named) or 'this experiment has none'})"
    return f"{rule}, got {metric!r}{suggestion(metric, named)}"
