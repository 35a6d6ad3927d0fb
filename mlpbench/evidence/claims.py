"""Claims judged: a row for each with estimate, interval, p, corrected p, verdict, and what would decide it.

A claim is reduced to one number per replicate (`reduction`), which a t test over replicates judges (`inference`).
Supported, refuted or equivalent-and-therefore-supported rest on Holm's p being at most 0.05 and on the side the
estimate lies; everything else is undecided. `of: every` speaks of the replicates that were run, not of a mean: it is
observed, not tested, has no p, and is no member of Holm's family.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.evidence import inference
from mlpbench.evidence.estimates import DIVERGED, FAILED, KEYS, LEVEL, MISSING, OK, accuracy_step, measure, observe
from mlpbench.evidence.held import held_fixed, shared_streams
from mlpbench.evidence.inference import ALPHA, Sample
from mlpbench.evidence.reduction import Reduction, reduce
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import METRICS, STEPS_TO_LOSS
from mlpbench.experiment.spec import Claim, Experiment

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
# Counts move by whole units: see `_least_spread`.
COUNTS = ("diverged", "dead_units", "distinct_units")
# Where replicates are lacking in more conditions than this, conditions are counted, not named.
MOST_NOTED = 20
RUN_COLUMNS = ["run_id", "status", *METRICS]
COLUMNS: dict[str, Any] = {
    "id": object, "says": object, "source": object, "form": object, "quantity": object, "metric": object,
    "kind": object, "per": object, "sense": object, "n": "int64", "planned": "int64", "estimate": float,
    "low": float, "high": float, "margin": float, "p": float, "p_holm": float, "verdict": object, "note": object,
    "detectable": float, "more_replicates": "Int64", "fixed": object, "observed": bool,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Values:
    """The claim's number in each complete replicate, how many were planned, and why others were left out."""

    complete: np.ndarray[Any, np.dtype[np.float64]]
    planned: int
    left_out: Mapping[tuple[str, int], int]
    censored: bool
    least_spread: float


# The table, or what reads it: all of it, or that of some runs.
Curves = pd.DataFrame | Callable[[Sequence[str] | None], pd.DataFrame]


def read_curves(curves: Curves, run_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of curves; where it is still to be read, that of some runs."""
    return curves if isinstance(curves, pd.DataFrame) else curves(run_ids)


def needs_curves(experiment: Experiment) -> bool:
    """Return whether a claim is about the steps to a loss, which stand in the curves alone."""
    return any(STEPS_TO_LOSS.match(claim.form.metric) for claim in experiment.claims)


def judge(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    observed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return a row for each claim, in the order of the file, with the columns of `COLUMNS`.

    Curves may be a function, which is called only where a claim is about them. `observed` is what `observe` makes of the
    runs, where it is at hand.
    `margin` is the bound the estimate is tested against (both signs of it for `equivalent`), `low` and `high` the
    unadjusted 95% interval, `detectable` the distance from the bound that would be found with 80% power at the present
    n, `more_replicates` about how many further ones would decide. Units are the metric's.
    """
    observed = observe(experiment, conditions, runs) if observed is None else observed
    points = read_curves(curves) if needs_curves(experiment) else pd.DataFrame()
    rows = [_row(claim, experiment, conditions, observed, points) for claim in experiment.claims]
    tested = [r for r in rows if not r["observed"]]
    for row, corrected in zip(tested, inference.holm([r["p"] for r in tested]), strict=True):
        row["p_holm"] = corrected
        if corrected <= ALPHA:
            row["verdict"] = _side(row["sense"], row["estimate"], row["margin"])
    # Holm's next step tests the smallest p that is left at this level.
    level = ALPHA / max(1, sum(r["verdict"] == UNDECIDED for r in tested))
    for row in tested:
        if row["verdict"] == UNDECIDED and row["sample"] is not None:
            row |= _outlook(row["sample"], row["sense"], row["margin"], level)
    frame = pd.DataFrame([{c: r[c] for c in COLUMNS} for r in rows], columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def _row(
    claim: Claim, experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, curves: pd.DataFrame
) -> dict[str, Any]:
    reduction = reduce(claim, experiment, conditions)
    values = _values(reduction, experiment, conditions, observed, curves)
    n = len(values.complete)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | {
        "id": claim.id, "says": claim.says, "source": claim.source, "metric": claim.form.metric,
        "form": reduction.form, "quantity": reduction.quantity, "kind": reduction.kind, "per": reduction.per,
        "sense": reduction.sense, "margin": reduction.bound, "n": n, "planned": values.planned,
        "fixed": held_fixed(experiment, conditions, reduction.shared), "observed": reduction.every,
        "verdict": UNDECIDED, "note": "", "more_replicates": pd.NA, "sample": None,
    }  # fmt: skip
    notes = _notes(reduction, values, experiment, conditions)
    if n:
        row["estimate"] = float(values.complete.mean())
    if n > 1:
        raw = float(values.complete.std(ddof=1)) if np.ptp(values.complete) > 0 else 0.0
        sample = Sample(n=n, mean=row["estimate"], sd=max(raw, values.least_spread))
        row["low"], row["high"] = sample.interval(LEVEL)
        if not reduction.every and not values.censored:
            row |= {"sample": sample, "p": _p(sample, reduction.sense, reduction.bound)}
    if reduction.every:
        row["verdict"], said = _every(reduction, values)
        notes.insert(0, said)
    return row | {"note": " ".join(notes)}


def _values(
    reduction: Reduction,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
) -> _Values:
    positions = [i for i, c in enumerate(conditions) if c.condition_id in reduction.weights]
    needed = [conditions[i] for i in positions]
    columns = [*KEYS, *({reduction.metric} & set(observed.columns))]
    some = observed["position"].isin(positions)
    frame = measure(observed.loc[some, columns], curves, reduction.metric)
    weights = np.array([reduction.weights[c.condition_id] for c in needed])
    # A row for each replicate, a column for each condition: `observed` has all that are planned, in this order.
    table = frame["value"].to_numpy(dtype=float).reshape(len(needed), -1).T
    lacking = frame[frame["value"].isna()]
    reason = lacking["status"].where(
        lacking["status"] != OK, lacking["censored"].map({True: "censored", False: "unmeasured"})
    )
    counts = lacking.groupby([reason.astype(str).rename("why"), "position"]).size()
    left_out = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    whole = table[~np.isnan(table).any(axis=1)]
    # math.fsum is exact, so that neither the order of rows nor of conditions moves a bit of the estimate.
    complete = np.array([math.fsum(row) for row in (weights * whole).tolist()], dtype=float)
    return _Values(
        complete=complete,
        planned=len(table),
        left_out=left_out,
        censored=bool(frame["censored"].any()),
        least_spread=_least_spread(reduction, needed, experiment.data.n_test, len(complete)),
    )


def _least_spread(reduction: Reduction, needed: Sequence[Condition], n_test: int, n: int) -> float:
    """Return the least standard deviation the replicates are credited with.

    For an accuracy: what one example in one condition moves the sum by. Counts, steps and `diverged` are coarse, and
    equal in all of few replicates by luck: they get the sd of one replicate in n that is off by one, 1 / sqrt(n).
    """
    steps = []
    for c in needed:
        if reduction.metric in COUNTS:
            step = 1 / math.sqrt(max(n, 1))
        elif STEPS_TO_LOSS.match(reduction.metric):
            step = c.settings.steps_per_epoch / math.sqrt(max(n, 1))
        else:
            step = accuracy_step(reduction.metric, c.settings, n_test)
        steps.append(abs(reduction.weights[c.condition_id]) * step)
    return max(steps, default=0.0)


def _p(sample: Sample, sense: str, bound: float) -> float:
    if sense != "equivalent":
        return inference.two_sided(sample, bound)
    inside = abs(sample.mean) <= bound
    return inference.equivalence(sample, bound) if inside else inference.beyond(sample, bound)


def _side(sense: str, estimate: float, bound: float) -> str:
    expected = {"greater": estimate > bound, "less": estimate < bound, "equivalent": abs(estimate) <= bound}
    return SUPPORTED if expected[sense] else REFUTED


def _every(reduction: Reduction, values: _Values) -> tuple[str, str]:
    """Return verdict and words for a bound of every replicate: one that breaks it refutes; all planned must keep it.

    A diverged run has no value that could keep a bound, so it breaks it. The share of replicates that would keep it in
    the long run is at least 0.05^(1/n), with 95% confidence, when n of n do.
    Reference: Clopper and Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial,
    1934.
    """
    above = reduction.sense == "greater"
    kept = int((values.complete > reduction.bound).sum() if above else (values.complete < reduction.bound).sum())
    n, planned = len(values.complete), values.planned
    broken = n - kept + sum(k for (why, _), k in values.left_out.items() if why == DIVERGED)
    worst = (
        f"; {'lowest' if above else 'highest'} {values.complete.min() if above else values.complete.max():.4g}"
        if n
        else ""
    )
    words = f"{kept} of {planned} replicates keep the bound{worst}. Observed, not tested."
    if broken:
        return REFUTED, words
    if kept < planned or n < 2:
        return UNDECIDED, words
    return (
        SUPPORTED,
        f"{words} With 95% confidence at least {ALPHA ** (1 / n):.0%} of further replicates would keep it.",
    )


def _outlook(sample: Sample, sense: str, bound: float, level: float) -> dict[str, Any]:
    """Return what an undecided claim could show now, and about how many further replicates would decide it."""
    if sense == "equivalent" and abs(sample.mean) <= bound:
        shift = inference.detectable_margin(sample.n, level)
        needed = inference.replicates_needed(sample.n, sample, (-bound, bound), level) if bound else None
    else:
        nearer = math.copysign(bound, sample.mean) if sense == "equivalent" else bound
        one_sided = level if sense == "equivalent" else level / 2
        shift = inference.detectable_shift(sample.n, one_sided)
        needed = inference.replicates_needed(sample.n, sample, (nearer,), one_sided)
    return {"detectable": shift * sample.sd, "more_replicates": pd.NA if needed is None else needed - sample.n}


def _notes(reduction: Reduction, values: _Values, experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
    notes = []
    if reduction.averaged:
        notes.append(f"Averaged over {', '.join(reduction.averaged)} with equal weights.")
    said = {
        DIVERGED: "diverged", FAILED: "failed", MISSING: "not run",
        "censored": "short of the loss", "unmeasured": f"without {reduction.metric}",
    }  # fmt: skip
    for why, group in itertools.groupby(sorted(values.left_out.items()), key=lambda item: item[0][0]):
        counts = {position: count for (_, position), count in group}
        if len(counts) > MOST_NOTED:
            few, many = min(counts.values()), max(counts.values())
            each = f"{few}" if few == many else f"{few} to {many}"
            notes.append(f"{each} of {values.planned} replicates {said[why]} in each of {len(counts)} conditions.")
            continue
        notes += [
            f"{n} of {values.planned} replicates {said[why]} in {conditions[i].label}." for i, n in counts.items()
        ]
    if values.censored:
        notes.append("How many steps those need is not known, so the claim can't be judged on the others alone.")
    if STEPS_TO_LOSS.match(reduction.metric):
        notes.append(
            "Steps are counted up to the first point of the curve that reaches the loss: curves have one an epoch."
        )
    if len(values.complete) < 2 and not reduction.every:
        notes.append(f"A test needs 2 complete replicates, got {len(values.complete)}.")
    elif len(values.complete) > 1 and np.ptp(values.complete) == 0:
        notes.append("Every replicate gave the same number.")
    held = shared_streams(experiment, conditions)
    if held:
        notes.append(f"Replicates share {', '.join(held)}: the verdict is about that one draw.")
    return notes
