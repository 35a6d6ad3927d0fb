"""Complete analyses put on the record of a results folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.look_record import _about, declaration, record, recorded

if TYPE_CHECKING:
    from mlpbench.evidence.judging.interim_analysis import Judgement
    from mlpbench.evidence.judging.verdict import Verdict


def note(
    folder: Path, experiment: Experiment, conditions: Sequence[Condition], judgement: Judgement, filed: Experiment
) -> None:
    """Add the complete looks that are not in the record yet.

    `filed` is the experiment as its file has it, without a top-up asked for by options: the first look was at that.
    """
    if not experiment.claims:
        return
    before = recorded(folder)
    entries = list(before)
    for replicates, claims in _complete(experiment, judgement):
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


def _complete(experiment: Experiment, judgement: Judgement) -> list[tuple[int, dict[str, Any]]]:
    """Return the replicates of each complete look and the claims that were last judged at it."""
    if experiment.until_decided is None:
        whole = not (judgement.gathered.observed["status"] == "missing").any()
        return [(experiment.replicates, _said(judgement.verdicts))] if whole else []
    return [(look.replicates, _said(look.verdicts)) for look in judgement.interim_analyses if look.complete]


def _said(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {v.claim.id: {"n": v.n, "verdict": v.decision, "p": v.p, "p_holm": v.p_corrected} for v in verdicts}
