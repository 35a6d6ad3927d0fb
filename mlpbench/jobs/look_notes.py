"""Complete looks put on the record of a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment

if TYPE_CHECKING:
    from mlpbench.evidence.judging.interim_analysis import Judged
from mlpbench.results.look_record import _about, declaration, record, recorded


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
