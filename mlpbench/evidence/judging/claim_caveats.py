"""Which caveats the verdict on a claim has, and which settings and streams it was made at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.base.models import DATASET, Value
from mlpbench.evidence.estimates.overlap import METHOD
from mlpbench.evidence.judging import caveats, draws
from mlpbench.evidence.judging.caveats import Caveat
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.divergence import divergence_caveats
from mlpbench.evidence.ranks.signed_rank import MOST_EXACT
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.bounded_mean import least_replicates
from mlpbench.evidence.statistics.effect_sizes import far_from_others, is_skewed, skewness
from mlpbench.evidence.statistics.sign_test import count_sides, count_ties, median_places
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment.claims.dataset_unit import by_dataset
from mlpbench.experiment.claims.hypothesis import BettingTest, Hypothesis
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.drawn_streams import streams_to_vary
from mlpbench.experiment.grid import Condition, format_level, resolve
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.plan import CURVE_POINTS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import Experiment

EQUAL_DATA_SETS = caveats.Remark(text="Every data set gave the same number.")
# Where replicates are lacking in more conditions than this, conditions are counted, not named.
MOST_NOTED = 20
# Named even at their defaults: the answer to most questions depends on them.
ALWAYS = ("activation", "init", "optimizer", "lr", "batch_size")
# Ways to say one thing: the first of each that is the same on all sides is named.
SHAPE = (("width", "depth"), ("hidden_sizes",))
LENGTH = (("epochs",), ("steps",))


@dataclass(frozen=True, kw_only=True)
class OnTheseDataSets(Caveat):
    """The data sets over which a claim without a unit averages."""

    names: Sequence[str]

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return (
            f"Averaged over {len(self.names)} data sets with equal weights ({', '.join(self.names)}): it speaks of these, and not of data "
            "sets like them, as one with unit: dataset would."
        )


@dataclass(frozen=True, kw_only=True)
class EachDataSet(Caveat):
    """What the number of each data set is, and how far noise of replicates moves it; `share` is that of the variance over data sets.

    `least` and `most` are the smallest and the largest standard error of a data set's number, in the unit that is printed; infinite
    where there are too few replicates for one.
    """

    replicates: str
    least: float
    most: float
    unit: str
    share: float

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        of = f"One number a data set, the mean of {self.replicates}"
        if math.isinf(self.most):
            return f"{of}: how far noise moves it is not known."
        errors = f"{self.least:.2g} to {self.most:.2g}{self.unit}"
        share = "" if math.isnan(self.share) else f"; that noise makes {self.share:.0%} of the variance over data sets"
        return f"{of}, with a standard error of {errors}{share}."


@dataclass(frozen=True, kw_only=True)
class DataSetsLeftOut(Caveat):
    """Data sets without a complete replicate."""

    names: Sequence[str]
    planned: int

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return f"{len(self.names)} of {self.planned} data sets left out, without a complete replicate: {', '.join(self.names)}."


@dataclass(frozen=True, kw_only=True)
class JudgedByRanks(Caveat):
    """The signed-rank test, and how many of n data sets lie where, in words."""

    counted: str
    n: int

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        exact = "exact" if self.n <= MOST_EXACT else "by the normal distribution"
        return (
            f"Signed-rank test ({exact}): {self.counted}. The estimate is the pseudo-median (Hodges and Lehmann); the interval is of those "
            "that are not rejected."
        )


@dataclass(frozen=True, kw_only=True)
class FarDataSets(caveats.FarReplicates):
    """Data sets whose numbers lie far from the others, of which a t test knows too little."""

    template = (
        "{far} of {n} {plural} lie{s} far from the others ({times:.0f} times their spread): the t test is moved by a single data set; "
        "`test: signed_rank` (the default) is not."
    )


JUDGED_ONCE = caveats.Remark(
    text="Judged once, at the first interim analysis and at its whole level: further replicates are no further data sets."
)


def caveats_of(
    hypothesis: Hypothesis, values: ClaimValues, experiment: Experiment, conditions: Sequence[Condition]
) -> list[Caveat]:
    """Return the caveats of a claim that follow from its numbers, in the order they are said in."""
    noted: list[Caveat] = []
    reaches = metric_names.reaches(metric_names.plain(hypothesis.metric))
    if experiment.tuning_rule:
        noted.append(caveats.Remark(text=experiment.tuning_rule))
    if others := [name for name in hypothesis.averaged if name != DATASET]:
        noted.append(caveats.AveragedOver(factors=others))
    if DATASET in hypothesis.averaged or ("label" in hypothesis.averaged and experiment.varies_data):
        needed = [c for c in conditions if c.condition_id in hypothesis.conditions]
        noted.append(OnTheseDataSets(names=list(by_dataset(experiment, needed))))
    if hypothesis.datasets:
        noted += _of_datasets(hypothesis, values, experiment)
    noted += _left_out(hypothesis, values, conditions)
    noted += divergence_caveats(hypothesis, values)
    if values.censored and hypothesis.test.about not in ("median", "wins", "failures"):
        noted.append(caveats.CensoredMean(unit=reaches.unit if reaches else "steps"))
    if reaches is not None:
        every_epoch = all(c.settings.steps <= CURVE_POINTS * c.settings.steps_per_epoch for c in conditions)
        noted.append(caveats.CountedOnCurve(unit=reaches.unit, goal=reaches.measure, every_epoch=every_epoch))
    unmeasured = [n for (why, _), n in values.left_out.items() if why == "unmeasured"]
    if unmeasured and hypothesis.metric.startswith(metric_names.LOG10):
        noted.append(caveats.WITHOUT_LOGARITHM)
    elif unmeasured and metric_names.layer_metric(hypothesis.metric) is not None:
        noted.append(caveats.WITHOUT_LAYERS)
    elif values.replicates_planned in unmeasured:
        noted.append(caveats.WITHOUT_METRIC)
    n, test = len(values.complete), hypothesis.test
    if values.together:
        noted.append(draws.MeasuredTogether(replicates=values.together))
    if test.about == "exact" or values.is_one_draw:
        return [*noted, *_without_draws(values, experiment, conditions)]
    if n < test.least:
        noted.append(caveats.TooFewReplicates(least=test.least, n=n, units=hypothesis.units))
    elif n > 1 and test.about not in ("variances", "failures") and np.ptp(values.complete) == 0:
        noted.append(EQUAL_DATA_SETS if hypothesis.datasets else caveats.EQUAL_REPLICATES)
    if n >= test.least:
        noted += _of_test(hypothesis, values)
    shared = shared_streams(experiment, conditions)
    if (shared or experiment.one_at_a_time) and test.about != "variances":
        noted.append(caveats.SharedStreams(streams=tuple(shared), one_varies=experiment.one_at_a_time))
    if (
        values.censored
        and test.about in ("mean", "typical", "pseudomedian")
        and hypothesis.sense != "equivalent"
        and not values.overlap
    ):
        noted.append(caveats.MEDIAN_WOULD_DO)
    return noted


def _of_datasets(hypothesis: Hypothesis, values: ClaimValues, experiment: Experiment) -> list[Caveat]:
    """Return what the numbers of data sets are made of, and which are left out."""
    noted: list[Caveat] = [] if experiment.until_decided is None else [JUDGED_ONCE]
    there = [d for d in values.datasets if d.n]
    if there:
        errors = np.array([d.error for d in there])
        known = errors[np.isfinite(errors)]
        fewest, most = min(d.n for d in there), max(d.n for d in there)
        count = f"{most} replicate{'s' * (most != 1)}" if fewest == most else f"{fewest} to {most} replicates"
        variance = float(np.var(values.complete, ddof=1)) if len(there) > 1 else math.nan
        each = EachDataSet(
            replicates=count,
            least=hypothesis.quantity.factor * float(known.min(initial=math.inf)),
            most=hypothesis.quantity.factor * float(known.max(initial=-math.inf)),
            unit=hypothesis.quantity.unit,
            share=min(1.0, float((errors**2).mean()) / variance) if variance > 0 else math.nan,
        )
        noted.append(each)
    if lost := [d.name for d in values.datasets if not d.n]:
        noted.append(DataSetsLeftOut(names=lost, planned=values.planned))
    return noted


def _by_ranks(hypothesis: Hypothesis, values: ClaimValues) -> JudgedByRanks:
    n, bound = len(values.complete), hypothesis.bound
    if hypothesis.sense == "equivalent":
        within = int((np.abs(values.complete - hypothesis.centre) <= bound).sum())
        return JudgedByRanks(counted=f"{within} of {n} data sets within the margin", n=n)
    above, below = count_sides(values.lower, bound, values.upper)
    equal = n - above - below
    ties = f", {equal} equal to it, ranked and on neither side" if equal else ""
    return JudgedByRanks(counted=f"{above} of {n} data sets above the bound, {below} below{ties}", n=n)


def _without_draws(values: ClaimValues, experiment: Experiment, conditions: Sequence[Condition]) -> list[Caveat]:
    """Return why there is nothing to test: the number is exact, or all replicates are one draw."""
    if not values.is_one_draw:
        return [draws.EXACT if np.ptp(values.complete) == 0 else draws.NOT_EXACT] if len(values.complete) else []
    needed = [c for c in conditions if c.condition_id in values.conditions]
    drawn = streams_to_vary(experiment, needed)
    return [draws.OneDraw(replicates=values.planned, varied=experiment.vary, drawn=drawn)]


def held_fixed(experiment: Experiment, conditions: Sequence[Condition], shared: Mapping[str, Value]) -> str:
    """Return the settings that all conditions have in common and the levels the sides of a claim share, as one text.

    It follows from the resolved settings alone: a file that spells out a default says the same as one that does not.
    """
    settings = [c.settings for c in conditions]
    same = {n: getattr(settings[0], n) for n in SETTINGS if len({getattr(s, n) for s in settings}) == 1}
    default = resolve({"hidden_sizes": settings[0].hidden_sizes}, experiment, conditions[0].data, {})
    either = {n for ways in (SHAPE, LENGTH) for way in ways for n in way}
    named: dict[str, Value] = {}
    for ways in (SHAPE, LENGTH):
        way = next((w for w in ways if any(same.get(n) is not None for n in w)), ())
        named |= {n: same[n] for n in way if same.get(n) is not None}
    named |= {n: v for n, v in same.items() if n not in either and (n in ALWAYS or v != getattr(default, n))}
    fixed = {n: named[n] for n in SETTINGS if n in named and n not in experiment.nuisance} | dict(shared)
    return ", ".join(f"{n}={format_level(v)}" for n, v in fixed.items())


def shared_streams(experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
    """Return the random streams that are drawn from and do not differ between replicates."""
    return [s for s in streams_to_vary(experiment, conditions) if s not in experiment.vary]


def _left_out(hypothesis: Hypothesis, values: ClaimValues, conditions: Sequence[Condition]) -> list[Caveat]:
    reaches = metric_names.reaches(metric_names.plain(hypothesis.metric))
    goals = {"censored": "loss" if reaches is None else reaches.measure, "unmeasured": plain(hypothesis.metric)}
    noted: list[Caveat] = []
    for why, group in itertools.groupby(sorted(values.left_out.items()), key=lambda item: item[0][0]):
        counts = {position: count for (_, position), count in group}
        ranges = [(n, n, conditions[i].label) for i, n in counts.items()]
        if len(counts) > MOST_NOTED:
            ranges = [(min(counts.values()), max(counts.values()), f"each of {len(counts)} conditions")]
        noted += [
            caveats.LeftOut(
                why=why,
                goal=goals.get(why, ""),
                fewest=fewest,
                most=most,
                planned=values.replicates_planned,
                where=where,
            )
            for fewest, most, where in ranges
        ]
    return noted


def _of_test(hypothesis: Hypothesis, values: ClaimValues) -> list[Caveat]:
    """Return how the claim was tested where that is not by t, and where t is not to be trusted."""
    n, test = len(values.complete), hypothesis.test
    noted: list[Caveat] = [caveats.Remark(text=hypothesis.wording.remark)] if hypothesis.wording.remark else []
    if values.overlap:
        noted.append(caveats.CorrectedForOverlap(method=METHOD, overlap=values.overlap))
    if test.about == "median":
        above, below = count_sides(values.lower, hypothesis.bound, values.upper)
        place, coverage = median_places(n, LEVEL)
        signs = caveats.JudgedBySigns(
            n=n,
            above=above,
            below=below,
            equal=count_ties(values.lower, hypothesis.bound, values.upper),
            drops_ties=hypothesis.drops_ties,
            unknown=values.unknown,
            place=place,
            coverage=coverage,
            units=hypothesis.units,
        )
        return [*noted, signs]
    if test.about == "pseudomedian":
        return [*noted, _by_ranks(hypothesis, values)]
    if test.about == "typical":
        return [*noted, caveats.JudgedByMiddle(n=n, cut=n // 4)]
    if test.about in ("wins", "failures"):
        above, below = count_sides(values.lower, 0.0, values.upper)
        ties = count_ties(values.lower, 0.0, values.upper)
        counted = caveats.WinsCounted if test.about == "wins" else caveats.FailuresCounted
        return [*noted, counted(a=hypothesis.sides[0], b=hypothesis.sides[1], above=above, below=below, ties=ties, n=n)]
    if test.about != "mean":
        return noted
    plural = hypothesis.quantity.plural
    if isinstance(test, BettingTest):
        least = least_replicates(hypothesis.bound, test.reach, seed_level(1))
        noted.append(caveats.JudgedByBets(low=-test.reach, high=test.reach, least=least))
    elif not test.assumes_normal:
        noted.append(caveats.JudgedByFlips(n=n))
    elif values.sd < values.least_spread:
        noted.append(caveats.LeastSpread(plural=plural, least=values.least_spread))
    elif is_skewed(values.complete):
        noted.append(caveats.Skewed(plural=plural, skewness=skewness(values.complete), n=n))
    if test.assumes_normal and (far := far_from_others(values.complete)):
        count, times = far
        kind = FarDataSets if hypothesis.datasets else caveats.FarReplicates
        judges = {"judges": caveats.NONE_JUDGES} if values.overlap else {}
        noted.append(kind(plural=plural, far=count, n=n, s="s" * (count == 1), times=times, **judges))
    if values.at_edge:
        noted.append(caveats.BestAtEdge(replicates=values.at_edge, n=n))
    if test.interval == "bca":
        noted.append(caveats.Bootstrapped(n=n, units=hypothesis.units))
    return noted
