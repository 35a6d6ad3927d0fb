"""Complete interim analyses are put on the record of a results folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.records import (
    Declaration,
    InterimRecord,
    first_about,
    read_interim_analyses,
    write_interim_analyses,
)

if TYPE_CHECKING:
    from mlpbench.evidence.judging.interim_analysis import Judgement
    from mlpbench.evidence.judging.verdict import Verdict


def record_interim_analyses(
    folder: Path, experiment: Experiment, conditions: Sequence[Condition], judgement: Judgement, filed: Experiment
) -> None:
    """Add the complete interim analyses that are not on record yet.

    `filed` is the experiment as its file has it, without a top-up asked for by options: the first one was of that.
    """
    if not experiment.claims:
        return
    before = read_interim_analyses(folder)
    records = list(before)
    declared = [Declaration.of(e) for e in (experiment, filed)]
    for replicates, claims in _complete(experiment, judgement):
        record = InterimRecord(
            replicates=replicates,
            declared=declared[first_about(records, experiment, conditions) is None],
            seed=experiment.seed,
            conditions=sorted(c.condition_id for c in conditions),
            claims=claims,
        )
        if not any(replace(r, claims=claims) in [replace(record, declared=d) for d in declared] for r in records):
            records.append(record)
    if records != before:
        write_interim_analyses(folder, records)


def _complete(experiment: Experiment, judgement: Judgement) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the replicates of each complete interim analysis and the claims that were last judged at it."""
    if experiment.until_decided is not None:
        yield from ((a.replicates, _summary(a.verdicts)) for a in judgement.interim_analyses if a.complete)
    elif not (judgement.gathered.observed["status"] == "missing").any():
        yield experiment.replicates, _summary(judgement.verdicts)


def _summary(verdicts: Sequence[Verdict]) -> Mapping[str, Any]:
    return {v.claim.id: {"n": v.n, "verdict": v.decision, "p": v.p, "p_holm": v.p_corrected} for v in verdicts}
