"""What conditions differ in, as figures need it: groups of levels, one for colours, one for dashes, others for panels and rows.

A factor is a group; factors that are zipped are one, since their levels go together. Listed conditions have what their labels
or their settings have in common: `linear` and `linear, shifted` beside `network` and `network, shifted` are two groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlpbench.base.models import Value
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment

LABEL = "label"
# What the second part of a label is called where there is none.
NOTHING = "(nothing more)"
# Of fewer listed conditions labels say more than settings.
FEWEST_SETTINGS = 6


@dataclass(frozen=True, kw_only=True)
class Group:
    """Levels that go together, a text for each condition.

    Attributes:
        names: the settings that it is made of; none for parts of labels.
        texts: the level of each condition.
        numbers: the levels as numbers, where all are and have an order; else none.
        apart: whether texts say what they are levels of.

    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[float, ...] = ()
    apart: bool = False

    @property
    def title(self) -> str:
        """What the texts are levels of; empty where they say so themselves."""
        return "" if self.apart or len(self.names) != 1 else self.names[0]

    @property
    def levels(self) -> list[str]:
        """The different texts: numbers by size, others in the order of the file."""
        distinct = list(dict.fromkeys(self.texts))
        if not self.numbers:
            return distinct
        number = dict(zip(self.texts, self.numbers, strict=True))
        return sorted(distinct, key=number.__getitem__)

    @property
    def full(self) -> list[str]:
        """The text of each condition, with the name of what it is a level of."""
        return [f"{self.title}={text}" if self.title and self.title != LABEL else text for text in self.texts]


def groups(experiment: Experiment, conditions: Sequence[Condition]) -> list[Group]:
    """Return what conditions differ in, in the order of the file: what does not differ is left out."""
    names = list(experiment.factor_names)
    found: list[Group] = []
    for name in names:
        if name in experiment.zipped:
            together = tuple(n for n in names if n in experiment.zipped)
            if name == together[0]:
                found.append(of_settings(conditions, together))
        elif name == LABEL and len(names) == 1:
            found += of_labels(conditions)
        else:
            found.append(of_settings(conditions, (name,)))
    return [group for group in found if len(set(group.texts)) > 1]


def of_settings(conditions: Sequence[Condition], names: tuple[str, ...]) -> Group:
    """Return the group of some settings: the texts of several say what they are, as `depth=1, epochs=10`."""
    if len(names) == 1:
        levels = [c.levels.get(names[0]) for c in conditions]
        return Group(names=names, texts=tuple(format_level(v) for v in levels), numbers=numbers(levels))
    texts = tuple(", ".join(f"{n}={format_level(c.levels.get(n))}" for n in names) for c in conditions)
    first = numbers([c.levels.get(names[0]) for c in conditions])
    told_apart = len(set(first)) == len(set(texts))
    return Group(names=names, texts=texts, numbers=first if told_apart else (), apart=True)


def numbers(levels: Sequence[Value]) -> tuple[float, ...]:
    """Return levels as numbers, none where some are no numbers."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels):
        return tuple(float(v) for v in levels)  # type: ignore[arg-type]
    return ()


def of_labels(conditions: Sequence[Condition]) -> list[Group]:
    """Return the groups of listed conditions: parts of their labels, else two settings they differ in, else their labels."""
    labels = [str(c.levels[LABEL]) for c in conditions]
    whole = Group(names=(LABEL,), texts=tuple(labels))
    parts = [tuple(label.split(", ", 1)) if ", " in label else (label, "") for label in labels]
    first, second = ({part[i] for part in parts} for i in (0, 1))
    if min(len(first), len(second)) > 1 and len(set(parts)) == len(labels) == len(first) * len(second):
        return [
            Group(names=(), texts=tuple(part[0] for part in parts)),
            Group(names=(), texts=tuple(part[1] or NOTHING for part in parts)),
        ]
    varied = settings_of_labels(conditions)
    if (
        len(varied) == 2
        and len(conditions) >= FEWEST_SETTINGS
        and all(name in c.levels for name in varied for c in conditions)
    ):
        pair = [of_settings(conditions, (name,)) for name in varied]
        if len(set(zip(pair[0].texts, pair[1].texts, strict=True))) == len(conditions):
            pair.sort(key=lambda group: -len(set(group.texts)))
            return pair if len(set(pair[0].texts)) < len(conditions) else [whole]
    if len(varied) == 1:
        return [
            Group(names=(LABEL,), texts=tuple(labels), numbers=numbers([c.levels.get(varied[0]) for c in conditions]))
        ]
    return [whole]


def settings_of_labels(conditions: Sequence[Condition]) -> list[str]:
    """Return the settings that listed conditions differ in."""
    names = dict.fromkeys(name for c in conditions for name in c.levels if name != LABEL)
    return [name for name in names if len({_text(c.levels, name) for c in conditions}) > 1]


def _text(levels: Mapping[str, Value], name: str) -> str | None:
    return format_level(levels[name]) if name in levels else None
