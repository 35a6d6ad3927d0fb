"""The record of looks in a results folder: when claims were judged, at how many replicates, and what had been declared.

A top-up that was not declared before the first look is known by it: by editing `replicates`, by `--set`, or by options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.part_files import read_record, write_record

if TYPE_CHECKING:
    from mlpbench.evidence.judging.interim_analysis import Judged

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


def note(
    folder: Path, experiment: Experiment, conditions: Sequence[Condition], judged: Judged, filed: Experiment
) -> None:
    """Add the complete looks that are not in the record yet.

    `filed` is the experiment as its file has it, without a top-up asked for by options: the first look was at that.
    """
    if not experiment.claims:
        return
    before = recorded(folder)
    entries = list(before)
    for replicates, claims in _complete(experiment, judged):
        declared = filed if not _about(entries, experiment, conditions) else experiment
        entry = {
            "replicates": replicates,
            "declared": declaration(declared),
            "seed": experiment.seed,
            "conditions": sorted(c.condition_id for c in conditions),
            "claims": claims,
        }
        same = ("replicates", "seed", "conditions")
        if not any(
            all(e[k] == entry[k] for k in same) and e["declared"] in (declaration(experiment), declaration(filed))
            for e in entries
        ):
            entries.append(entry)
    if entries != before:
        record(folder, entries)


def _complete(experiment: Experiment, judged: Judged) -> list[tuple[int, dict[str, Any]]]:
    """Return the replicates of each complete look and the claims that were last judged at it."""
    rows = records(judged.claims)
    if experiment.until_decided is None:
        there = not (judged.gathered.observed["status"] == "missing").any()
        return [(experiment.replicates, {r["id"]: _said(r) for r in rows})] if there else []
    found = []
    for look in judged.looks:
        if look.complete:
            found.append((look.replicates, {r["id"]: _said(r) for r in records(look.claims)}))
    return found


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    p = {name: None if row[name] != row[name] else row[name] for name in ("p", "p_holm")}
    return {"n": int(row["n"]), "verdict": row["verdict"], **p}


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
