"""An ablation: a base of several pieces, the base without each of them, and the base without all.

`ablate: {base: {dropout: 0.2, norm: layer}, remove: {dropout: 0, norm: none}}` stands for four conditions, whose labels are
`base`, `without dropout`, `without norm` and `without all`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlpbench.base.models import Levels, Model, Path, SpecProblem, Value, shown, suggestion, unknown_key

KEY = "ablate"
BASE = "base"
REMOVE = "remove"
LABEL = "label"


class Ablation(Model):
    """The settings of the base, and what each piece is where it is removed."""

    base: Levels
    remove: Levels

    @property
    def conditions(self) -> tuple[Levels, ...]:
        """The base, the base without each piece, and without all, each with its label."""
        without = {f"without {name}": {name: value} for name, value in self.remove.items()}
        changes = {BASE: {}, **without, "without all": self.remove}
        return tuple({LABEL: label, **self.base, **change} for label, change in changes.items())

    def place(self, condition: Levels, name: str) -> Path:
        """Return where a file has the level of a condition."""
        is_removed = name in self.remove and condition[name] == self.remove[name]
        return (KEY, REMOVE if is_removed else BASE, name)

    def as_written(self, plain: Callable[[Value, str], Any]) -> dict[str, Any]:
        """Return what a file says under `ablate`."""
        return {part: {k: plain(v, k) for k, v in getattr(self, part).items()} for part in (BASE, REMOVE)}


def read_ablation(written: object, read: Callable[[str, object, Path], Value]) -> Ablation:
    """Return the ablation that a file describes; `read` returns the level of a setting at a path, or raises SpecProblem.

    Raises SpecProblem for fewer than two pieces, a piece that the base lacks, and one that its removal leaves as it is.
    """
    if not isinstance(written, Mapping):
        raise SpecProblem((KEY,), f"ablate must be {{base: {{...}}, remove: {{SETTING: value}}}}, got {shown(written)}")
    for key in written:
        if key not in (BASE, REMOVE):
            raise unknown_key((KEY, key), [BASE, REMOVE])
    parts: dict[str, Levels] = {}
    for part in (BASE, REMOVE):
        settings = written.get(part)
        if not isinstance(settings, Mapping) or not settings:
            rule = f"{part} must be a mapping of settings that is not empty"
            raise SpecProblem((KEY, part) if part in written else (KEY,), f"{rule}, got {shown(settings)}")
        parts[part] = {str(k): read(str(k), v, (KEY, part, str(k))) for k, v in settings.items()}
    base, remove = parts[BASE], parts[REMOVE]
    if len(remove) < 2:
        rule = "an ablation removes two pieces or more"
        raise SpecProblem((KEY, REMOVE), f"{rule}, got {shown(list(remove))}; one alone is a factor of two levels")
    for name, value in remove.items():
        place: Path = (KEY, REMOVE, name)
        if name not in base:
            near = suggestion(name, base) or f"; `base` says what {name} is where it is not removed"
            raise SpecProblem(place, f"remove names settings of base ({', '.join(base)}), got {name!r}{near}", key=True)
        if value == base[name]:
            raise SpecProblem(place, f"a piece that is removed must differ from that of base, got {shown(value)} twice")
    return Ablation(base=base, remove=remove)
