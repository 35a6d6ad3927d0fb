"""Claims judged: a verdict for each with estimate, interval, p, corrected p, verdict, and what would decide it.

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
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlpbench.base.models import STREAM
from mlpbench.evidence.estimates import test_sampling
from mlpbench.evidence.estimates.layer_columns import Layers, with_layers
from mlpbench.evidence.estimates.observe import DIVERGED, LEVEL, observe
from mlpbench.evidence.estimates.test_sampling import Widened
from mlpbench.evidence.judging.caveats import least_replicates
from mlpbench.evidence.judging.caveats import notes as notes_of
from mlpbench.evidence.judging.claim_values import Floats, Values, values_of
from mlpbench.evidence.judging.fixed_settings import held_fixed
from mlpbench.evidence.judging.reduction import Reduction, conditions_of, reduce
from mlpbench.evidence.judging.verdict import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Decision,
    Interval,
    Outlook,
    TestSampling,
    Verdict,
)
from mlpbench.evidence.statistics import censored, resampling, t_test, variance_components
from mlpbench.evidence.statistics.effect_sizes import Sizes, sizes
from mlpbench.evidence.statistics.sign_test import median_interval, more_needed, sign_test, signs
from mlpbench.evidence.statistics.t_test import ALPHA, Sample
from mlpbench.experiment.claims.checks import BCA_LEAST, SHARE_LEAST
from mlpbench.experiment.claims.forms import Claim
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.metrics.metric_names import late, plain, reaches
from mlpbench.experiment.shift_spec import measured as measured_shift
from mlpbench.experiment.spec import Experiment
from mlpbench.results.test_examples import TestSet

RUN_COLUMNS = ["run_id", "status", *METRICS]

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


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A claim judged on its own, before its p is corrected for the other claims.

    `leans` is the decision if p is small enough. `sample`, of means, and `larger`, of medians the share of replicates on the
    side of the bound where more lie, say what would decide it; `widened` whether a decision stands with test-set sampling.
    """

    verdict: Verdict
    leans: Decision = UNDECIDED
    sample: Sample | None = None
    larger: float | None = None
    widened: Widened | None = None

    def corrected(self, p_corrected: float) -> Assessment:
        """Return the assessment with its corrected p, decided where that is at most 0.05."""
        v = replace(self.verdict, p_corrected=None if math.isnan(p_corrected) else p_corrected)
        if p_corrected <= ALPHA:
            v = replace(v, decision=self.leans)
            if self.widened is not None:
                confirmed = self.widened.confirms(v.reduction.sense, v.reduction.bound, v.reduction.centre)
                v = replace(v, test_sampling=replace(v.test_sampling, confirmed=confirmed))
        return replace(self, verdict=v)

    def outlook(self, level: float) -> Outlook:
        """Return what would decide an undecided claim at a level."""
        v = self.verdict
        if v.decision != UNDECIDED or v.observed:
            return Outlook()
        if self.larger is not None:
            needed = more_needed(v.n, self.larger, level, t_test.POWER, t_test.MOST_REPLICATES)
            return Outlook(more_replicates=None if needed is None else needed - v.n)
        return Outlook() if self.sample is None else _outlook(self.sample, v.reduction, level)


def judge(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    observed: pd.DataFrame | None = None,
    level: float | None = None,
    test_set: TestSet | None = None,
    layers: Layers | None = None,
) -> tuple[Verdict, ...]:
    """Return the verdict on each claim, in the order of the file.

    Curves may be a function, which is called only where a claim is about them. `observed` is what `observe` makes of the
    runs, where it is at hand. At an interim analysis each claim may spend `level`: its corrected p is at most 0.05
    where its p is at most that. `test_set` gives claims on test accuracy the interval that includes its sampling.
    `layers` reads what claims about layers rest on, and is called for them alone.
    """
    observed = observe(experiment, conditions, runs) if observed is None else observed
    observed = with_layers(experiment, experiment.claims, conditions, observed, layers)
    points = _points(experiment, conditions, observed, curves)
    assessed = [_assess(claim, experiment, conditions, observed, points, test_set) for claim in experiment.claims]
    tested = [i for i, a in enumerate(assessed) if not a.verdict.observed]
    p = [math.nan if (p := assessed[i].verdict.p) is None else p for i in tested]
    adjusted = t_test.holm(p) if level is None else [min(1.0, v * ALPHA / level) for v in p]
    for i, corrected in zip(tested, adjusted, strict=True):
        assessed[i] = assessed[i].corrected(corrected)
    # Holm's next step tests the smallest p that is left at this level.
    level = level or ALPHA / max(1, sum(assessed[i].verdict.decision == UNDECIDED for i in tested))
    return tuple(replace(a.verdict, outlook=a.outlook(level)) for a in assessed)


def _assess(
    claim: Claim,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
    test_set: TestSet | None,
) -> Assessment:
    reduction = reduce(claim, experiment, conditions)
    values = values_of(reduction, experiment, conditions, observed, curves)
    blank = Verdict(
        claim=claim,
        reduction=reduction,
        n=len(values.complete),
        planned=values.planned,
        held_fixed=held_fixed(experiment, conditions, reduction.shared),
        note=" ".join(notes_of(claim, reduction, values, experiment, conditions)),
    )
    if reduction.kind == "share":
        return _of_stream(blank, values, conditions)
    if reduction.every:
        return Assessment(verdict=_every(blank, values))
    if not blank.n:
        return Assessment(verdict=blank)
    return (_of_median if reduction.median else _of_mean)(blank, values, test_set)


def _of_mean(blank: Verdict, values: Values, test_set: TestSet | None) -> Assessment:
    """Return estimate, interval, sizes and p of a claim about the mean."""
    claim, reduction, n = blank.claim, blank.reduction, blank.n
    mean = float(values.complete.mean())
    leans = _side(reduction.sense, mean - reduction.centre, reduction.bound)
    if n < 2:
        return Assessment(verdict=replace(blank, estimate=mean), leans=leans)
    sample, interval, sized = _spread(claim, values)
    verdict = replace(blank, estimate=mean, interval=interval, sizes=sized)
    if values.censored or n < least_replicates(claim, reduction):
        return Assessment(verdict=verdict, leans=leans)
    if claim.test == "sign_flip" or reduction.kind == "place":
        p = _flip_p(values.complete - reduction.centre, reduction.sense, reduction.bound)
    else:
        p = _p(replace(sample, mean=mean - reduction.centre), reduction.sense, reduction.bound)
    widened, sampling = None, TestSampling()
    if test_set is not None and reduction.kind != "place":
        found = test_sampling.of_mean(reduction.metric, sample, values, test_set)
        if isinstance(found, str):
            sampling = TestSampling(unknown=found)
        else:
            widened, (low, high) = found, found.interval()
            sampling = TestSampling(interval=Interval(low=low, high=high))
    verdict = replace(verdict, p=p, test_sampling=sampling)
    return Assessment(verdict=verdict, leans=leans, sample=sample, widened=widened)


def _spread(claim: Claim, values: Values) -> tuple[Sample, Interval, Sizes]:
    """Return the sample of two replicates or more, the interval of its mean, and its sizes."""
    raw = float(values.complete.std(ddof=1)) if np.ptp(values.complete) > 0 else 0.0
    sample = Sample(n=len(values.complete), mean=float(values.complete.mean()), sd=max(raw, values.least_spread))
    low, high = sample.interval(LEVEL)
    if claim.interval == "bca" and sample.n >= BCA_LEAST and raw > 0:
        low, high = resampling.bca(values.complete, LEVEL)
    sized = sizes(values.complete, sample.sd, compared=claim.kind == "compare")
    return sample, Interval(low=low, high=high), sized


def _of_median(blank: Verdict, values: Values, test_set: TestSet | None) -> Assessment:
    """Return estimate, interval, sizes and p of a claim about the median, also where some numbers are censored."""
    claim, reduction, n = blank.claim, blank.reduction, blank.n
    lower, upper, bound = values.lower, values.upper, reduction.bound
    above, below = signs(lower, bound, upper)
    leans = _side(reduction.sense, above - below, 0)
    estimate, known = censored.median(lower, upper, bound)
    verdict = replace(blank, estimate=None if math.isnan(estimate) else estimate, known=known)
    if n < 2:
        return Assessment(verdict=verdict, leans=leans)
    interval = median_interval(lower, LEVEL, upper)
    verdict = replace(
        verdict,
        sizes=_median_sizes(claim, values),
        interval=None if interval is None else Interval(low=interval[0], high=interval[1]),
    )
    if n < least_replicates(claim, reduction):
        return Assessment(verdict=verdict, leans=leans)
    unknown = "" if test_set is None else test_sampling.unknown(reduction.metric, median=True)
    verdict = replace(verdict, p=sign_test(lower, bound, upper), test_sampling=TestSampling(unknown=unknown))
    return Assessment(verdict=verdict, leans=leans, larger=max(above, below) / n)


def _median_sizes(claim: Claim, values: Values) -> Sizes:
    """Return spread, middle and who was ahead how often, as far as that is known."""
    compared = claim.kind == "compare"
    if not values.unknown:
        sd = float(values.complete.std(ddof=1)) if np.ptp(values.complete) > 0 else 0.0
        sized = sizes(values.complete, max(sd, values.least_spread), compared=compared)
        return replace(sized, effect=None)  # Hedges' g is of the mean, which may lie on the other side
    above, below = signs(values.lower, 0.0, values.upper)
    ties = int((values.complete == 0).sum())
    if not compared or above + below + ties < len(values.complete):
        return Sizes()
    return Sizes(wins=above, ties=ties)


def _of_stream(blank: Verdict, values: Values, conditions: Sequence[Condition]) -> Assessment:
    """Return estimate, interval and p of the claim that a stream's variance is the largest."""
    if len(values.table) < SHARE_LEAST:
        return Assessment(verdict=blank)
    assert blank.claim.share is not None
    stream, needed = blank.claim.share.stream, blank.reduction.weights
    streams = [str(c.levels[STREAM]) for c in conditions if c.condition_id in needed]
    by_stream = dict(zip(streams, values.table.T, strict=True))
    estimate, low, high = variance_components.share(stream, by_stream)
    p, leads = variance_components.largest(stream, by_stream)
    verdict = replace(
        blank,
        estimate=None if math.isnan(estimate) else estimate,
        interval=None if math.isnan(low) else Interval(low=low, high=high),
        p=p,
    )
    return Assessment(verdict=verdict, leans=SUPPORTED if leads else REFUTED)


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


def _side(sense: str, estimate: float, bound: float) -> Decision:
    expected = {"greater": estimate > bound, "less": estimate < bound, "equivalent": abs(estimate) <= bound}
    return SUPPORTED if expected[sense] else REFUTED


def _every(blank: Verdict, values: Values) -> Verdict:
    """Return the verdict on a bound of every replicate: one that breaks it refutes; all planned must keep it.

    A diverged run has no value that could keep a bound, so it breaks it. The share of replicates that would keep it in
    the long run is at least 0.05^(1/n), with 95% confidence, when n of n do.
    Reference: Clopper and Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial,
    1934.
    """
    above, bound = blank.reduction.sense == "greater", blank.reduction.bound
    kept = int((values.complete > bound).sum() if above else (values.complete < bound).sum())
    n, planned = blank.n, values.planned
    broken = n - kept + sum(k for (why, _), k in values.left_out.items() if why == DIVERGED)
    worst = f"; {'lowest' if above else 'highest'} {(min if above else max)(values.complete):.4g}" if n else ""
    words = f"{kept} of {planned} replicates keep the bound{worst}. Observed, not tested."
    decision = REFUTED if broken else UNDECIDED if kept < planned or n < 2 else SUPPORTED
    if decision == SUPPORTED:
        words += f" With 95% confidence at least {ALPHA ** (1 / n):.0%} of further replicates would keep it."
    verdict = replace(blank, decision=decision, note=f"{words} {blank.note}".strip())
    if n:
        verdict = replace(verdict, estimate=float(values.complete.mean()))
    if n > 1:
        _, interval, sized = _spread(blank.claim, values)
        verdict = replace(verdict, interval=interval, sizes=sized)
    return verdict


def _outlook(sample: Sample, reduction: Reduction, level: float) -> Outlook:
    """Return what an undecided claim could show now, and about how many further replicates would decide it, by t."""
    equivalent, bound = reduction.sense == "equivalent", reduction.bound
    sample = replace(sample, mean=sample.mean - reduction.centre)
    if equivalent and abs(sample.mean) <= bound:
        shift = t_test.detectable_margin(sample.n, level)
        needed = t_test.replicates_needed(sample.n, sample, (-bound, bound), level) if bound else None
    else:
        nearer = math.copysign(bound, sample.mean) if equivalent else bound
        one_sided = level if equivalent else level / 2
        shift = t_test.detectable_shift(sample.n, one_sided)
        needed = t_test.replicates_needed(sample.n, sample, (nearer,), one_sided)
    return Outlook(detectable=shift * sample.sd, more_replicates=None if needed is None else needed - sample.n)
