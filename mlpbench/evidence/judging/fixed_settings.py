"""What a comparison was made at: settings that are the same on all sides, random streams that replicates share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlpbench.base.models import Value
from mlpbench.experiment.grid import Condition, format_level, resolve
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import STREAMS, Experiment

# Named even at their defaults: the answer to most questions depends on them.
ALWAYS = ("activation", "init", "optimizer", "lr", "batch_size")
# Ways to say one thing: the first of each that is the same on all sides is named.
SHAPE = (("width", "depth"), ("hidden_sizes",))
LENGTH = (("epochs",), ("steps",))


def held_fixed(experiment: Experiment, conditions: Sequence[Condition], shared: Mapping[str, Any]) -> str:
    """Return the settings that all conditions have in common and the levels the sides of a claim share, as one text.

    It follows from the resolved settings alone: a file that spells out a default says the same as one that does not.
    """
    settings = [c.settings for c in conditions]
    same = {n: getattr(settings[0], n) for n in SETTINGS if len({getattr(s, n) for s in settings}) == 1}
    default = resolve({"hidden_sizes": settings[0].hidden_sizes}, experiment, {})
    either = {n for ways in (SHAPE, LENGTH) for way in ways for n in way}
    named: dict[str, Value] = {}
    for ways in (SHAPE, LENGTH):
        way = next((w for w in ways if any(same.get(n) is not None for n in w)), ())
        named |= {n: same[n] for n in way if same.get(n) is not None}
    named |= {n: v for n, v in same.items() if n not in either and (n in ALWAYS or v != getattr(default, n))}
    held = {n: named[n] for n in SETTINGS if n in named and n not in experiment.nuisance} | dict(shared)
    return ", ".join(f"{n}={format_level(v)}" for n, v in held.items())


def shared_streams(experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
    """Return the random streams that are drawn from and do not differ between replicates."""
    settings = [c.settings for c in conditions]
    drawn = {
        "dropout": any(p > 0 for s in settings for p in s.dropout),
        "noise": any(s.input_noise > 0 or s.label_noise > 0 for s in settings),
    }
    return [s for s in STREAMS if s not in experiment.vary and drawn.get(s, True)]
