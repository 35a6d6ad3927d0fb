"""The record of looks in a results folder: when claims were judged, at how many replicates, and what had been declared.

A top-up that was not declared before the first look is known by it: by editing `replicates`, by `--set`, or by options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlpbench.base.atomic_files import read_record, write_record
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment

NAME = "looks.json"
KEYS = {"replicates", "declared", "seed", "conditions", "claims"}
Entry = Mapping[str, Any]


def recorded(folder: Path) -> list[Entry]:
    """Return the looks there were, in order: `replicates`, `declared`, `seed`, `conditions`, `claims`."""
    read = read_record(folder / NAME)
    return [e for e in read if isinstance(e, dict) and set(e) >= KEYS] if isinstance(read, list) else []


def record(folder: Path, entries: Sequence[Entry]) -> None:
    """Write the record whole; raise MachineError where the disk refuses."""
    write_record(folder / NAME, entries)








def declaration(experiment: Experiment) -> dict[str, int | None]:
    """Return what an experiment declares about its replicates."""
    top_up = experiment.until_decided
    return {"replicates": experiment.replicates, "max_replicates": None if top_up is None else top_up.max_replicates}


def _about(entries: Sequence[Entry], experiment: Experiment, conditions: Sequence[Condition]) -> Entry | None:
    """Return the first look at runs that this experiment has too."""
    ours = {c.condition_id for c in conditions}
    return next((e for e in entries if e["seed"] == experiment.seed and ours & set(e["conditions"])), None)


def declared_late(folder: Path, experiment: Experiment, conditions: Sequence[Condition]) -> str:
    """Return how the experiment was declared at its first look, where that is not how it is now; else nothing."""
    first = _about(recorded(folder), experiment, conditions)
    if first is None or first["declared"] == declaration(experiment):
        return ""
    most = first["declared"].get("max_replicates")
    return f"{first['declared'].get('replicates')} replicates and {f'up to {most} declared' if most else 'no top-up declared'}"


def joined(folders: Sequence[Path]) -> list[Entry]:
    """Return the looks of several folders, each once, those of the first folder first."""
    found: list[Entry] = []
    for folder in folders:
        found += [e for e in recorded(folder) if e not in found]
    return found
