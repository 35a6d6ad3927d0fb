"""Tables of an experiment on several data sets, with chosen numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from arithmetic_tables import Tables, make, replace_metric, spec

from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.claims.claim import check_conditions, checked_claims, read_claims
from mlpbench.experiment.spec import Experiment

WIDTHS = (8, 16)
Numbers = Mapping[tuple[int, int, int], float]


def on_datasets(
    names: Sequence[str], claims: Sequence[Mapping[str, Any]] = (), widths: Sequence[int] = WIDTHS, **keys: Any
) -> tuple[Experiment, Tables]:
    """Return an experiment in which data sets and widths are factors, and its tables; claims are read and checked."""
    made = make(spec(factors={"lr": [(i + 1) / 100 for i in range(len(names))], "width": list(widths)}, **keys))
    factors = {"dataset": tuple(names), "width": tuple(widths)}
    (source,) = made.experiment.sources
    experiment = made.experiment.model_copy(
        update={"factors": factors, "datasets": dict.fromkeys(map(str, names), source)}
    )
    conditions = [
        replace(c, levels={"dataset": names[i // len(widths)], "width": widths[i % len(widths)]})
        for i, c in enumerate(made.conditions)
    ]
    conditions = [replace(c, label=", ".join(f"{k}={v}" for k, v in c.levels.items())) for c in conditions]
    checked = checked_claims(read_claims([dict(c) for c in claims]), experiment)
    check_conditions(checked, experiment, conditions)
    experiment = experiment.model_copy(update={"claims": checked})
    return experiment, replace(made, experiment=experiment, conditions=conditions)


def with_numbers(tables: Tables, metric: str, numbers: Numbers, widths: Sequence[int] = WIDTHS) -> Tables:
    """Return tables with a metric of (data set, level of width, replicate) set to given numbers."""
    return replace_metric(tables, metric, {(d * len(widths) + w, r): v for (d, w, r), v in numbers.items()})


def judged(
    claim: Mapping[str, Any],
    difference_DR: Any,
    *,
    metric: str = "test_loss",
    names: Sequence[str] | None = None,
    status: Mapping[tuple[int, int], str] | None = None,
    **keys: Any,
) -> Verdict:
    """Return the verdict on a claim where width 8 has a metric of 1 plus so much, on each data set in each replicate, and 16 of 1."""
    difference = np.asarray(difference_DR, dtype=float)
    d, r = difference.shape
    names = names or [f"d{i}" for i in range(d)]
    _, tables = on_datasets(names, [{"id": "c", "says": "so"} | dict(claim)], replicates=r, **keys)
    tables = make_status(tables, status)
    numbers = {(i, w, j): 1.0 + float(difference[i, j]) * (1 - w) for i in range(d) for w in range(2) for j in range(r)}
    (verdict,) = interim_analysis.judge(*with_numbers(tables, metric, numbers).parts).verdicts
    return verdict


def make_status(tables: Tables, status: Mapping[tuple[int, int], str] | None) -> Tables:
    """Return tables whose runs of (condition, replicate) ended otherwise: diverged or failed."""
    runs, position = tables.runs.copy(), {c.condition_id: i for i, c in enumerate(tables.conditions)}
    for (i, r), ended in (status or {}).items():
        of = (runs["condition_id"].map(position) == i) & (runs["replicate"] == r)
        assert of.sum() == 1
        runs.loc[of, "status"] = ended
    return replace(tables, runs=runs)
