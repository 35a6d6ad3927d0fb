"""Claims judged: a row for each with estimate, interval, p, corrected p, verdict, and what would decide it.

A claim is reduced to one number per replicate (`reduction`, `values`), which a t test over replicates judges
(`inference`), or a sign-flip test (`resampling`), of a median the sign test (`medians`); the share of a stream is a matter
of variances (`variance`).
Supported, refuted or equivalent-and-therefore-supported rest on Holm's p being at most 0.05 and on the side the
estimate lies, of a median the side more replicates lie; everything else is undecided. `of: every` speaks of the
replicates that were run, not of a mean: it is observed, not tested, has no p, and is no member of Holm's family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.base.models import STREAM
from mlpbench.evidence.estimates import test_sampling
from mlpbench.evidence.estimates.layer_columns import Layers, with_layers
from mlpbench.evidence.estimates.observe import DIVERGED, LEVEL, observe
from mlpbench.evidence.judging import median_claims
from mlpbench.evidence.judging.caveats import least_replicates
from mlpbench.evidence.judging.caveats import notes as notes_of
from mlpbench.evidence.judging.claim_values import Floats, Values, values_of
from mlpbench.evidence.judging.fixed_settings import held_fixed
from mlpbench.evidence.judging.reduction import Reduction, conditions_of, reduce
from mlpbench.evidence.statistics import resampling, t_test, variance_components
from mlpbench.evidence.statistics.effect_sizes import sizes
from mlpbench.evidence.statistics.sign_test import signs
from mlpbench.evidence.statistics.t_test import ALPHA, Sample
from mlpbench.experiment.claims.checks import BCA_LEAST, SHARE_LEAST
from mlpbench.experiment.claims.forms import Claim
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.metrics.metric_names import late, plain, reaches
from mlpbench.experiment.shift_spec import measured as measured_shift
from mlpbench.experiment.spec import Experiment
from mlpbench.results.test_examples import METRIC, TestSet

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
# What stands under `test` and `interval` where a median is judged.
SIGN, ORDER = "sign", "order"
RUN_COLUMNS = ["run_id", "status", *METRICS]
COLUMNS: dict[str, Any] = {
    "id": object, "says": object, "source": object, "form": object, "quantity": object, "metric": object,
    "kind": object, "per": object, "sense": object, "n": "int64", "planned": "int64", "estimate": float,
    "low": float, "high": float, "margin": float, "p": float, "p_holm": float, "verdict": object, "note": object,
    "detectable": float, "more_replicates": "Int64", "fixed": object, "observed": bool, "tuned": object, "look": "Int64",
    "exploratory": bool, "centre": float, "test": object, "interval": object, "sd": float, "iqm": float,
    "effect": float, "wins": "Int64", "ties": "Int64", "low_test": float, "high_test": float, "confirmed": "boolean",
    "sampling": object, "estimate_is": object,
}  # fmt: skip

# The table, or what reads it: all of it, or that of some runs.
Curves = pd.DataFrame | Callable[[Sequence[str] | None], pd.DataFrame]


def read_curves(curves: Curves, run_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of curves; where it is still to be read, that of some runs."""
    return curves if isinstance(curves, pd.DataFrame) else curves(run_ids)


def _points(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, curves: Curves
) -> pd.DataFrame:
    """Return the curves of the runs whose claims are about what stands in curves alone, nothing where no claim is."""
    asked = [claim for claim in experiment.claims if _is_of_curves(plain(claim.form.metric))]
    if not asked:
        return pd.DataFrame()
    needed = conditions_of(asked, experiment, conditions)
    return read_curves(curves, list(observed.loc[observed["condition_id"].isin(needed), "run_id"]))


def _is_of_curves(name: str) -> bool:
    """Return whether a metric is the steps to a loss or its kin, of the later half, or under a shift."""
    return any(of(name) is not None for of in (reaches, late, measured_shift))


def judge(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    observed: pd.DataFrame | None = None,
    level: float | None = None,
    test_set: TestSet | None = None,
    layers: Layers | None = None,
) -> pd.DataFrame:
    """Return a row for each claim, in the order of the file, with the columns of `COLUMNS`.

    Curves may be a function, which is called only where a claim is about them. `observed` is what `observe` makes of the
    runs, where it is at hand. At a look of a top-up (see `looks`) each claim may spend `level`: its corrected p is at most 0.05
    where its p is at most that. `test_set` gives claims on test accuracy the interval that includes its sampling.
    `layers` reads what claims about layers rest on, and is called for them alone.

    `margin` is the bound the estimate is tested against (both signs of it, about `centre`, for `equivalent`), `low` and `high` the
    unadjusted 95% interval, `detectable` the distance from the bound that would be found with 80% power at the present
    n, `more_replicates` about how many further ones would decide. `sd` and `iqm` (interquartile mean) are of the numbers of
    the replicates, `effect` the difference of a comparison in sds, `wins` and `ties` in how many replicates a is above b or
    equal. `low_test` and `high_test` are the interval with test-set sampling, `confirmed` says whether the verdict would
    stand with that error, `sampling` why it is not known. Units are the metric's.

    Of a median of numbers that are not all known (see `censored`) `estimate_is` says `at least` or `at most` where no more is
    known of it; `estimate`, `sd`, `iqm`, `effect`, `wins` and `ties` are missing where they are not known, and an end of the
    interval that is open is infinite.
    """
    observed = observe(experiment, conditions, runs) if observed is None else observed
    observed = with_layers(experiment, experiment.claims, conditions, observed, layers)
    points = _points(experiment, conditions, observed, curves)
    rows = [_row(claim, experiment, conditions, observed, points, test_set) for claim in experiment.claims]
    tested = [r for r in rows if not r["observed"]]
    p = [float(r["p"]) for r in tested]
    adjusted = t_test.holm(p) if level is None else [min(1.0, v * ALPHA / level) for v in p]
    for row, corrected in zip(tested, adjusted, strict=True):
        row["p_holm"] = corrected
        if corrected <= ALPHA:
            row["verdict"] = row["leans"]
            if row["widened"] is not None:
                row["confirmed"] = row["widened"].confirms(row["sense"], row["margin"], row["centre"])
    # Holm's next step tests the smallest p that is left at this level.
    level = level or ALPHA / max(1, sum(r["verdict"] == UNDECIDED for r in tested))
    for row in tested:
        if row["verdict"] == UNDECIDED and row["larger"] is not None:
            row["more_replicates"] = median_claims.more(row["n"], row["larger"], level)
        elif row["verdict"] == UNDECIDED and row["sample"] is not None:
            row |= _outlook(row["sample"], row["sense"], row["margin"], row["centre"], level)
    frame = pd.DataFrame([{c: r[c] for c in COLUMNS} for r in rows], columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def _row(
    claim: Claim,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
    test_set: TestSet | None,
) -> dict[str, Any]:
    reduction = reduce(claim, experiment, conditions)
    values = values_of(reduction, experiment, conditions, observed, curves)
    n = len(values.complete)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | {
        "id": claim.id, "says": claim.says, "source": claim.source, "metric": claim.form.metric,
        "form": reduction.form, "quantity": reduction.quantity, "kind": reduction.kind, "per": reduction.per,
        "sense": reduction.sense, "margin": reduction.bound, "n": n, "planned": values.planned,
        "fixed": held_fixed(experiment, conditions, reduction.shared), "observed": reduction.every,
        "verdict": UNDECIDED, "note": "", "more_replicates": pd.NA, "sample": None, "tuned": "", "look": pd.NA,
        "exploratory": False, "centre": reduction.centre, "test": claim.test, "interval": claim.interval, "wins": pd.NA,
        "ties": pd.NA, "confirmed": pd.NA, "sampling": "", "widened": None, "leans": UNDECIDED, "larger": None,
        "estimate_is": "",
    }  # fmt: skip
    if reduction.median:
        row |= {"test": SIGN, "interval": ORDER}
    notes = notes_of(claim, reduction, values, experiment, conditions)
    if reduction.kind == "share":
        row |= _of_stream(claim.form, reduction, values, conditions)
    elif n and reduction.median:
        above, below = signs(values.lower, reduction.bound, values.upper)
        row["leans"] = _side(reduction.sense, above - below, 0)
        row |= median_claims.judged(claim, reduction, values, test_set)
    elif n:
        row["estimate"] = float(values.complete.mean())
        row["leans"] = _side(reduction.sense, row["estimate"] - reduction.centre, reduction.bound)
        if n > 1:
            row |= _tested(claim, reduction, values, test_set)
    if reduction.every:
        row["verdict"], said = _every(reduction, values)
        notes.insert(0, said)
    return row | {"note": " ".join(notes)}


def _tested(claim: Claim, reduction: Reduction, values: Values, test_set: TestSet | None) -> dict[str, Any]:
    """Return interval, p and sizes of a claim that has a number in two replicates or more."""
    n, mean = len(values.complete), float(values.complete.mean())
    raw = float(values.complete.std(ddof=1)) if np.ptp(values.complete) > 0 else 0.0
    sample = Sample(n=n, mean=mean, sd=max(raw, values.least_spread))
    found = sizes(values.complete, sample.sd, compared=claim.kind == "compare")
    found["low"], found["high"] = sample.interval(LEVEL)
    if claim.interval == "bca" and n >= BCA_LEAST and raw > 0:
        found["low"], found["high"] = resampling.bca(values.complete, LEVEL)
    if reduction.every or values.censored or n < least_replicates(claim, reduction):
        return found
    flipped = claim.test == "sign_flip" or reduction.kind == "place"
    about = Sample(n=n, mean=mean - reduction.centre, sd=sample.sd)
    found["sample"] = sample
    if flipped:
        found["p"] = _flip_p(values.complete - reduction.centre, reduction.sense, reduction.bound)
    else:
        found["p"] = _p(about, reduction.sense, reduction.bound)
    if test_set is not None and reduction.metric == METRIC and reduction.kind != "place":
        widened = test_sampling.sampled(sample, values, test_set)
        if isinstance(widened, str):
            found["sampling"] = widened
        else:
            found["widened"] = widened
            found["low_test"], found["high_test"] = widened.interval()
    elif test_set is not None and reduction.kind != "place":
        found["sampling"] = test_sampling.unknown(reduction.metric, median=False)
    return found


def _of_stream(form: Any, reduction: Reduction, values: Values, conditions: Sequence[Condition]) -> dict[str, Any]:
    """Return estimate, interval and p of the claim that a stream's variance is the largest."""
    if len(values.table) < SHARE_LEAST:
        return {}
    streams = [str(c.levels[STREAM]) for c in conditions if c.condition_id in reduction.weights]
    by_stream = dict(zip(streams, values.table.T, strict=True))
    estimate, low, high = variance_components.share(form.stream, by_stream)
    p, leads = variance_components.largest(form.stream, by_stream)
    leans = SUPPORTED if leads else REFUTED
    return {"estimate": estimate, "low": low, "high": high, "p": p, "leans": leans}


def _p(sample: Sample, sense: str, bound: float) -> float:
    if sense != "equivalent":
        return t_test.two_sided(sample, bound)
    inside = abs(sample.mean) <= bound
    return t_test.equivalence(sample, bound) if inside else t_test.beyond(sample, bound)


def _flip_p(values: Floats, sense: str, bound: float) -> float:
    if sense != "equivalent":
        return resampling.sign_flip(values - bound)
    inside = abs(values.mean()) <= bound
    return resampling.equivalence_flip(values, bound) if inside else resampling.beyond_flip(values, bound)


def _side(sense: str, estimate: float, bound: float) -> str:
    expected = {"greater": estimate > bound, "less": estimate < bound, "equivalent": abs(estimate) <= bound}
    return SUPPORTED if expected[sense] else REFUTED


def _every(reduction: Reduction, values: Values) -> tuple[str, str]:
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


def _outlook(sample: Sample, sense: str, bound: float, centre: float, level: float) -> dict[str, Any]:
    """Return what an undecided claim could show now, and about how many further replicates would decide it, by t."""
    sample = Sample(n=sample.n, mean=sample.mean - centre, sd=sample.sd)
    if sense == "equivalent" and abs(sample.mean) <= bound:
        shift = t_test.detectable_margin(sample.n, level)
        needed = t_test.replicates_needed(sample.n, sample, (-bound, bound), level) if bound else None
    else:
        nearer = math.copysign(bound, sample.mean) if sense == "equivalent" else bound
        one_sided = level if sense == "equivalent" else level / 2
        shift = t_test.detectable_shift(sample.n, one_sided)
        needed = t_test.replicates_needed(sample.n, sample, (nearer,), one_sided)
    return {"detectable": shift * sample.sd, "more_replicates": pd.NA if needed is None else needed - sample.n}
