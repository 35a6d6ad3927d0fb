"""The verdict on each claim: estimate, interval, p, corrected p, decision, and what would decide it.

A claim comes down to one number per replicate, or per data set (its `Hypothesis`). The t test and the sign-flip test (and bets) judge
the mean of these numbers, the sign test their median, signed ranks the pseudo-median of data sets; the share of a random stream is judged
by variances. A claim is decided where its p, corrected by Holm's method, is at most its level, 0.05 or that of its seed: supported or
refuted by the side of the bound on which the estimate lies, of a median by the side on which more replicates lie. What is not decided may
lie at its margin (`at_the_margin`), which is a verdict too. A claim `of: every` is observed, not tested: it has no p, and is no member of
Holm's family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from mlpbench.evidence.estimates.example_sampling import NoInterval, Widened, unsupported, widened_mean
from mlpbench.evidence.estimates.layer_estimates import Layers, with_layers
from mlpbench.evidence.estimates.observe import DIVERGED, observe
from mlpbench.evidence.judging import at_the_margin
from mlpbench.evidence.judging.caveats import BoundKept, Caveat, Confounded, TooFewToDecide
from mlpbench.evidence.judging.claim_caveats import caveats_of, held_fixed
from mlpbench.evidence.judging.claim_intervals import (
    interval_of_mean,
    interval_with_examples,
    level_of,
    stands,
    within_limits,
)
from mlpbench.evidence.judging.claim_values import ClaimValues, Curves, points_of, values_of
from mlpbench.evidence.judging.divergence import no_mean
from mlpbench.evidence.judging.p_correction import AtAnyTime, AtInterimAnalysis, Bet, Correction, by_e_value, by_holm
from mlpbench.evidence.judging.registered_verdict import dropped_claims, levels_of
from mlpbench.evidence.judging.trend_steps import weigh_steps
from mlpbench.evidence.judging.verdict import (
    AT_THE_MARGIN,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Interval,
    TestSampling,
    Verdict,
    side_of,
)
from mlpbench.evidence.ranks import signed_rank
from mlpbench.evidence.ranks.signed_rank import SignedRankSample
from mlpbench.evidence.statistics import outlook, resampling, t_test, typical, variance_components
from mlpbench.evidence.statistics.bounded_mean import beyond_by_bets, equivalence_by_bets
from mlpbench.evidence.statistics.effect_sizes import Sizes, sizes_of
from mlpbench.evidence.statistics.outlook import HALF, Outlook
from mlpbench.evidence.statistics.paired_shares import failure_difference, win_share
from mlpbench.evidence.statistics.sign_test import (
    censored_median,
    count_sides,
    count_ties,
    median_interval,
    sign_test,
)
from mlpbench.evidence.statistics.t_test import ALPHA, LEVEL, Sample
from mlpbench.evidence.statistics.typical import TypicalSample
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.hypothesis import (
    EVERY_LEAST,
    BettingTest,
    Decision,
    EveryReplicate,
    ExactNumber,
    FailureTest,
    Hypothesis,
    LargestVariance,
    SignedRankTest,
    SignFlipTest,
    SignTest,
    Test,
    TTest,
    TypicalTest,
    WinTest,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.spec import Experiment
from mlpbench.results.examples import TestSet
from mlpbench.results.registration import Registration

RUN_COLUMNS = ["run_id", "status", *METRICS, own_metrics.COLUMN]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A claim judged on its own, before its p is corrected for the other claims.

    Attributes:
        verdict: the verdict so far, undecided but for a claim that is observed.
        leans: the decision if the corrected p is small enough.
        foresee: what would decide the claim at a level, and whether what lies at the margin is decided; None where that is not
            a question of replicates.
        widened: the sample with test-set sampling, of which a number that lies at the margin has another interval.
        withheld: why the claim is not supported even if it leans to that.
        p_at_margin: the p of a number that does not lie at the margin, NaN where there is none.

    """

    verdict: Verdict
    leans: Decision = UNDECIDED
    foresee: Callable[..., Outlook] | None = None
    widened: Widened | None = None
    withheld: Caveat | None = None
    p_at_margin: float = math.nan

    def at_level(self, level: float) -> Assessment:
        """Return the assessment of a claim that is decided at a level."""
        return replace(self, verdict=replace(self.verdict, level=level))

    def corrected(self, p_corrected: float) -> Assessment:
        """Return the assessment with its corrected p, decided where that is at most its level."""
        v = replace(self.verdict, p_corrected=None if math.isnan(p_corrected) else p_corrected)
        if p_corrected <= self.verdict.level and self.leans == SUPPORTED and self.withheld is not None:
            v = replace(v, withheld=self.withheld, caveats=(self.withheld, *v.caveats))
        elif p_corrected <= self.verdict.level:
            v = replace(v, decision=self.leans)
            if v.test_sampling.interval is not None:
                confirmed = stands(v.hypothesis, v.decision, v.test_sampling.interval)
                v = replace(v, test_sampling=replace(v.test_sampling, confirmed=confirmed))
        return replace(self, verdict=v)

    def with_margin(self, p_corrected: float) -> Assessment:
        """Return the assessment with the corrected p of its margin: what is undecided lies at it where that is at most its level."""
        v = replace(self.verdict, p_at_margin=None if math.isnan(p_corrected) else p_corrected)
        if p_corrected <= v.level and v.decision == UNDECIDED and v.withheld is None:
            v = replace(v, decision=AT_THE_MARGIN)
            if self.widened is not None and v.estimate is not None:
                edge, half = at_the_margin.edge_of(v.hypothesis, v.estimate), at_the_margin.reach_of(v.hypothesis)
                near = replace(v.hypothesis, sense="equivalent", bound=half, centre=edge)
                confirmed = stands(near, SUPPORTED, interval_with_examples(near, self.widened, None))
                v = replace(v, test_sampling=replace(v.test_sampling, confirmed=confirmed))
        return replace(self, verdict=v)

    def outlook(self, level: float) -> Outlook:
        """Return what would decide an undecided claim at a level, or one at its margin, but for being there."""
        v = self.verdict
        if self.foresee is None or v.decision not in (UNDECIDED, AT_THE_MARGIN) or v.observed or v.withheld is not None:
            return Outlook()
        return self.foresee(level, near=v.decision == UNDECIDED)


def judge_claims(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    observed: pd.DataFrame | None = None,
    correct: Correction = by_holm,
    test_set: TestSet | None = None,
    layers: Layers | None = None,
    registration: Registration | None = None,
    bets: Mapping[str, Bet] | None = None,
) -> tuple[Verdict, ...]:
    """Return the verdict on each claim, in the order of the file.

    Args:
        experiment: its claims, data and replicates.
        conditions: the conditions that claims are about.
        runs: the table of runs.
        curves: the table of curves, or a function that reads it, called only where a claim is about a metric of curves.
        observed: `observe(experiment, conditions, runs)`, where it is at hand.
        correct: how p is corrected for the other claims, and at an interim analysis for the other analyses.
        test_set: gives claims on test accuracy the interval that includes the sampling of the test set.
        layers: reads the table of layers, called only where a claim is about a metric of layers.
        registration: how the claims are registered: each is decided at the level of its seed. Where there is none it is 0.05.
        bets: by which e-process each claim is judged, by its id, where replicates may be looked at at any time.

    """
    observed = observe(experiment, conditions, runs) if observed is None else observed
    hypotheses = [claim.hypothesis(experiment, conditions) for claim in experiment.claims]
    observed = with_layers([(h.metric, h.conditions) for h in hypotheses], observed, layers)
    points = points_of(hypotheses, observed, curves)
    levels = levels_of(experiment.claims, registration)
    assessed = [
        _assess(c, h, experiment, conditions, observed, points, test_set, (bets or {}).get(c.id)).at_level(level)
        for c, h, level in zip(experiment.claims, hypotheses, levels, strict=True)
    ]
    tested = [i for i, a in enumerate(assessed) if not a.verdict.observed]
    corrected = correct([assessed[i].verdict for i in tested])
    for i, p in zip(tested, corrected.p, strict=True):
        assessed[i] = assessed[i].corrected(p)
    having = [i for i in tested if hypotheses[i].margin is not None]
    p_near = [assessed[i].p_at_margin for i in having]
    once = [bool(hypotheses[i].datasets) for i in having]
    near = at_the_margin.corrected(p_near, [levels[i] for i in having], correct, dropped_claims(registration), once)
    for i, p in zip(having, near, strict=True):
        assessed[i] = assessed[i].with_margin(p)
    at_once = not isinstance(correct, AtInterimAnalysis | AtAnyTime)
    for i, level in zip(tested, corrected.levels, strict=True):
        v = replace(assessed[i].verdict, outlook=assessed[i].outlook(level))
        judged_once = at_once or bool(v.hypothesis.datasets)
        too_few = outlook.too_few(v.hypothesis, v.level, [v.n]) if judged_once and v.p is not None else None
        if too_few is not None and v.withheld is None:
            v = replace(v, caveats=(*v.caveats, TooFewToDecide(**vars(too_few))))
        assessed[i] = replace(assessed[i], verdict=v)
    return tuple(a.verdict for a in assessed)


def _assess(
    claim: Claim,
    hypothesis: Hypothesis,
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
    test_set: TestSet | None,
    bet: Bet | None,
) -> Assessment:
    values, *of_steps = values_of(hypothesis, experiment, conditions, observed, curves)
    blank = Verdict(
        claim=claim,
        hypothesis=hypothesis,
        n=len(values.complete),
        planned=values.planned,
        held_fixed=held_fixed(experiment, conditions, hypothesis.shared),
        caveats=tuple(caveats_of(hypothesis, values, experiment, conditions)),
        datasets=values.datasets,
        numbers=values.one_by_one(hypothesis),
    )
    if values.is_one_draw and hypothesis.test.is_tested:
        estimate = float(values.complete.mean()) if len(values.complete) else math.nan
        return Assessment(verdict=replace(blank, estimate=None if math.isnan(estimate) else estimate))
    assessment = ASSESSED_BY[type(hypothesis.test)](blank, values, None if hypothesis.datasets else test_set)
    lost = Confounded(factors=hypothesis.confounded) if hypothesis.confounded else no_mean(hypothesis, values)
    if lost is not None:
        v = assessment.verdict
        return Assessment(
            verdict=replace(
                v, decision=UNDECIDED, p=None, test_sampling=TestSampling(), withheld=lost, caveats=(lost, *v.caveats)
            )
        )
    near = at_the_margin.p_at_the_margin(assessment.verdict, values, bet)
    assessment = replace(assessment, p_at_margin=near)
    if bet is not None and assessment.verdict.p is not None:
        verdict, leans = by_e_value(assessment.verdict, values, bet)
        assessment = replace(assessment, verdict=verdict, leans=leans)
    if not hypothesis.steps or (assessment.verdict.p is None and hypothesis.test.is_tested):
        return assessment
    judged, leans, withheld = weigh_steps(assessment.verdict, assessment.leans, of_steps, anytime=experiment.is_anytime)
    foresee = None if hypothesis.every_step else assessment.foresee
    return replace(assessment, verdict=judged, leans=leans, withheld=withheld, foresee=foresee)


def _of_mean(blank: Verdict, values: ClaimValues, test_set: TestSet | None) -> Assessment:
    """Return estimate, interval, sizes and p of a claim about the mean, judged by t or by sign flips."""
    hypothesis, n = blank.hypothesis, blank.n
    if not n:
        return Assessment(verdict=blank)
    mean, centre = float(values.complete.mean()), hypothesis.centre
    leans = side_of(hypothesis.sense, mean - centre, hypothesis.bound)
    if n < 2:
        return Assessment(verdict=replace(blank, estimate=mean), leans=leans)
    sample, interval, sizes = _spread(hypothesis, values)
    verdict = replace(blank, estimate=mean, interval=interval, sizes=sizes)
    if values.censored or n < hypothesis.test.least:
        return Assessment(verdict=verdict, leans=leans)
    if isinstance(hypothesis.test, SignFlipTest):
        p = resampling.p_of_sense(values.complete - centre, hypothesis.sense, hypothesis.bound)
    elif isinstance(hypothesis.test, BettingTest):
        judged, reach = equivalence_by_bets if leans == SUPPORTED else beyond_by_bets, hypothesis.test.reach
        return Assessment(
            verdict=replace(verdict, p=judged(values.complete, hypothesis.bound, reach)),
            leans=leans,
            foresee=partial(outlook.of_bets, values.complete, hypothesis.bound, reach),
        )
    else:
        p = t_test.p_of_sense(replace(sample, mean=mean - centre), hypothesis.sense, hypothesis.bound)
    sampled: Widened | NoInterval | None = None
    if test_set is not None and not values.overlap and isinstance(hypothesis.number, WeightedSum):
        weights = hypothesis.number.weights_of(values.conditions)
        sampled = widened_mean(
            hypothesis.metric, sample, values.run_ids, weights, values.complete[0], test_set, values.data
        )
    widened = None
    if isinstance(sampled, Widened):
        widened, sampling = sampled, TestSampling(interval=interval_with_examples(hypothesis, sampled, interval))
    else:
        sampling = TestSampling(unknown=sampled)
    verdict = replace(verdict, p=p, test_sampling=sampling)
    foresee = partial(outlook.of_mean, sample, hypothesis, are_equal=values.sd == 0)
    return Assessment(verdict=verdict, leans=leans, foresee=foresee, widened=widened)


def _spread(hypothesis: Hypothesis, values: ClaimValues) -> tuple[Sample, Interval | None, Sizes]:
    """Return the sample of two replicates or more, the interval of its mean where there is one, and its sizes."""
    sizes = sizes_of(values.complete, values.tested_sd, compared=hypothesis.wording.outcomes is not None)
    return values.sample, interval_of_mean(hypothesis, values, values.sample), sizes


def _of_median(blank: Verdict, values: ClaimValues, test_set: TestSet | None) -> Assessment:
    """Return estimate, interval, sizes and p of a claim about the median, also where some numbers are censored."""
    hypothesis, n = blank.hypothesis, blank.n
    if not n:
        return Assessment(verdict=blank)
    lower, upper, bound = values.lower, values.upper, hypothesis.bound
    above, below = count_sides(lower, bound, upper)
    leans = side_of(hypothesis.sense, above - below, 0)
    estimate, estimate_is = censored_median(lower, upper, bound)
    verdict = replace(blank, estimate=None if math.isnan(estimate) else estimate, estimate_is=estimate_is)
    if n < 2:
        return Assessment(verdict=verdict, leans=leans)
    interval = median_interval(lower, LEVEL, upper)
    verdict = replace(
        verdict,
        sizes=values.known_sizes(compared=hypothesis.wording.outcomes is not None),
        interval=None if interval is None else Interval(low=interval[0], high=interval[1]),
    )
    if n < hypothesis.test.least:
        return Assessment(verdict=verdict, leans=leans)
    unknown = None if test_set is None else unsupported(hypothesis.metric, median=True)
    p = sign_test(lower, bound, upper, drop_ties=hypothesis.drops_ties)
    counted = n - count_ties(lower, bound, upper) * hypothesis.drops_ties
    verdict = replace(verdict, p=p, test_sampling=TestSampling(unknown=unknown))
    foresee = partial(outlook.of_median, n, counted, max(above, below))
    return Assessment(verdict=verdict, leans=leans, foresee=foresee)


def _of_middle(blank: Verdict, values: ClaimValues, test_set: TestSet | None) -> Assessment:
    """Return estimate, interval, sizes and p of a claim about the interquartile mean of replicates, or the pseudo-median of data sets."""
    hypothesis, n, of_ranks = blank.hypothesis, blank.n, isinstance(blank.hypothesis.test, SignedRankTest)
    if not n:
        return Assessment(verdict=blank)
    flipped = TypicalSample(values=values.complete, least_spread=values.least_spread)
    ranked = SignedRankSample(values=values.complete)
    estimate = ranked.pseudo_median if of_ranks else flipped.iqm
    if n < hypothesis.test.least or values.censored or values.diverged:
        return Assessment(verdict=replace(blank, estimate=estimate))
    sense, centre, bound = hypothesis.sense, hypothesis.centre, hypothesis.bound
    if of_ranks:
        level, sd, foresee = level_of(hypothesis), values.tested_sd, outlook.of_ranks
        ends, p = ranked.interval(level), signed_rank.of_sense(ranked, sense, centre, bound)
    else:
        level, sd, foresee = LEVEL, flipped.error * math.sqrt(n), outlook.of_mean
        ends, p = flipped.interval(level), typical.of_sense(flipped, sense, centre, bound)
    verdict = replace(
        blank,
        estimate=estimate,
        interval=within_limits(hypothesis, ends, level),
        sizes=values.known_sizes(compared=hypothesis.wording.outcomes is not None),
        p=p,
        test_sampling=TestSampling(unknown=None if test_set is None else unsupported(hypothesis.metric, median=True)),
    )
    about, leans = Sample(n=n, mean=estimate, sd=sd), side_of(sense, estimate - centre, bound)
    return Assessment(
        verdict=verdict, leans=leans, foresee=partial(foresee, about, hypothesis, are_equal=values.sd == 0)
    )


def _of_variances(blank: Verdict, values: ClaimValues, _test_set: TestSet | None) -> Assessment:
    """Return estimate, interval and p of the claim that a stream's variance is the largest."""
    test = blank.hypothesis.test
    assert isinstance(test, LargestVariance)
    if blank.n < test.least:
        return Assessment(verdict=blank)
    by_stream = {test.streams[c]: column for c, column in zip(values.conditions, values.table.T, strict=True)}
    estimate, low, high = variance_components.share(test.stream, by_stream)
    p, leads = variance_components.largest(test.stream, by_stream)
    verdict = replace(
        blank,
        estimate=None if math.isnan(estimate) else estimate,
        interval=None if math.isnan(low) else Interval(low=low, high=high),
        p=p,
    )
    return Assessment(verdict=verdict, leans=SUPPORTED if leads else REFUTED)


def _of_every(blank: Verdict, values: ClaimValues, _test_set: TestSet | None) -> Assessment:
    """Return the verdict on a bound of every replicate: one that breaks it refutes; all planned must keep it, 29 or more.

    A diverged run has no value that could keep a bound, so it breaks it. The share of replicates that would keep it in the long run
    is at least 0.05^(1/n), with 95% confidence, when n of n do: at least 90% from 29 on. Reference: Clopper and Pearson, The Use of
    Confidence or Fiducial Limits Illustrated in the Case of the Binomial, 1934.
    """
    above, bound = blank.hypothesis.sense == "greater", blank.hypothesis.bound
    kept = int((values.complete > bound).sum() if above else (values.complete < bound).sum())
    n, planned = blank.n, values.planned
    broken = n - kept + sum(k for (why, _), k in values.left_out.items() if why == DIVERGED)
    all_kept = not broken and kept == planned and not values.is_one_draw
    decision = REFUTED if broken else SUPPORTED if all_kept and kept >= EVERY_LEAST else UNDECIDED
    caveat = BoundKept(
        kept=kept,
        planned=planned,
        extreme=float((min if above else max)(values.complete)) if n else None,
        is_lowest=above,
        rate=ALPHA ** (1 / n) if all_kept and n > 1 else None,
    )
    verdict = replace(blank, decision=decision, caveats=(caveat, *blank.caveats))
    if n:
        verdict = replace(verdict, estimate=float(values.complete.mean()))
    if n > 1 and not values.is_one_draw:
        _, interval, sizes = _spread(blank.hypothesis, values)
        verdict = replace(verdict, interval=interval, sizes=sizes)
    return Assessment(verdict=verdict)


def _of_share(blank: Verdict, values: ClaimValues, _test_set: TestSet | None) -> Assessment:
    """Return estimate, interval and p of the share of replicates that one side wins, or of the difference of failure rates."""
    hypothesis = blank.hypothesis
    wins = isinstance(hypothesis.test, WinTest)
    found = win_share(values.lower, values.upper, hypothesis.bound) if wins and blank.n else None
    found = failure_difference(values.lower) if blank.n and not wins else found
    if found is None:
        return Assessment(verdict=blank)
    verdict = replace(blank, estimate=found.estimate, interval=Interval(low=found.low, high=found.high), p=found.p)
    above, below = count_sides(values.lower, 0.0, values.upper)
    leans, share = side_of(hypothesis.sense, found.estimate, hypothesis.bound), hypothesis.bound if wins else HALF
    foresee = partial(outlook.of_share, blank.n, above + below, above, share)
    return Assessment(verdict=verdict, leans=leans, foresee=foresee)


def _of_exact(blank: Verdict, values: ClaimValues, _test_set: TestSet | None) -> Assessment:
    """Return the verdict on a number that follows from the settings, by the number itself."""
    if not blank.n:
        return Assessment(verdict=blank)
    estimate, hypothesis = float(values.complete[0]), blank.hypothesis
    if (values.complete != estimate).any():
        return Assessment(verdict=replace(blank, estimate=float(values.complete.mean())))
    side = side_of(hypothesis.sense, estimate - hypothesis.centre, hypothesis.bound)
    return Assessment(verdict=replace(blank, estimate=estimate, decision=side))


# What assesses a claim, by its test.
ASSESSED_BY: Mapping[type[Test], Callable[[Verdict, ClaimValues, TestSet | None], Assessment]] = {
    TTest: _of_mean,
    SignFlipTest: _of_mean,
    BettingTest: _of_mean,
    WinTest: _of_share,
    FailureTest: _of_share,
    SignTest: _of_median,
    TypicalTest: _of_middle,
    SignedRankTest: _of_middle,
    EveryReplicate: _of_every,
    ExactNumber: _of_exact,
    LargestVariance: _of_variances,
}
