"""The verdict on one claim: what was estimated, how sure that is, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.example_sampling import NoInterval
from mlpbench.evidence.judging.caveats import Caveat
from mlpbench.evidence.judging.claim_values import OnDataSet, UnitNumbers
from mlpbench.evidence.statistics.effect_sizes import Sizes
from mlpbench.evidence.statistics.outlook import Outlook
from mlpbench.evidence.statistics.sign_test import EstimateIs
from mlpbench.evidence.statistics.t_test import ALPHA, LEVEL
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.hypothesis import Decision, Hypothesis, SignedRankTest, SignFlipTest
from mlpbench.experiment.components.own_pieces import plain

SUPPORTED: Decision = "supported"
REFUTED: Decision = "refuted"
UNDECIDED: Decision = "undecided"
AT_THE_MARGIN: Decision = "at the margin"


def side_of(sense: str, estimate: float, bound: float) -> Decision:
    """Return what a claim leans to: whether its number lies where it is expected, from the centre of an equivalence."""
    expected = {"greater": estimate > bound, "less": estimate < bound, "equivalent": abs(estimate) <= bound}
    return SUPPORTED if expected[sense] else REFUTED


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval in the metric's unit; an open end is infinite.

    Its level is 95%, of an equivalence 90%: see `claim_intervals`.
    """

    low: float
    high: float
    level: float = LEVEL


# The tests that forms have of their own, as the public table names them.
OWN_NAMES = {"wins": "binomial", "failures": "mcnemar", "typical": "studentised_flip"}
# How the public table has no interval.
NO_INTERVAL = Interval(low=math.nan, high=math.nan)


@dataclass(frozen=True, kw_only=True)
class TestSampling:
    """How far the sampling of the test set moves an estimate of test accuracy.

    Attributes:
        interval: with replicates and test examples as sources of spread; None where it isn't known.
        confirmed: whether a decided verdict stands with that interval; None where nothing is decided.
        unknown: why there is no such interval; None where there is one or the claim needs none.

    """

    __test__ = False  # no test class for pytest

    interval: Interval | None = None
    confirmed: bool | None = None
    unknown: NoInterval | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one claim.

    Attributes:
        claim: the claim as the experiment file states it.
        hypothesis: the number per replicate that the claim comes down to, the bound it is tested against, and the words for it.
        decision: `supported`, `refuted`, `at the margin` or `undecided`.
        n, planned: number of complete replicates (or data sets), and of planned ones.
        estimate: mean (or median, or share) of the replicates' numbers, in the metric's unit; None where it isn't known.
        estimate_is: `at least` or `at most` where censored runs leave only a bound of the estimate, else empty.
        interval: unadjusted interval of the estimate.
        p, p_corrected: p of the test, and p corrected for the other claims (and interim analyses).
        p_at_margin: corrected p of a number half of the margin or more from it; None where the claim has no margin or no test.
        sizes: spread and effect sizes of the replicates' numbers.
        outlook: what would decide an undecided claim, or tell on which side of its margin one lies that is at it.
        test_sampling: the interval that includes the sampling of the test set.
        held_fixed: settings that are the same on all sides, as `lr=0.1, epochs=10`.
        tuned: tuned settings of the conditions, as `lr=0.1`.
        e_value: the largest value that the e-process of the claim has reached, where it may be looked at whenever one likes; p is
            1 / e_value then.
        anytime_interval: the 95% interval that holds then.
        interim_analysis: number, from 1, of the interim analysis that the verdict stands at; None without a top-up.
        exploratory: whether the claim, or the number of its replicates, was stated after its runs had been looked at.
        anytime: whether a claim that was stated late is decided by replicates that were trained since, whenever one looks.
        level: a verdict is decided where `p_corrected` is at most this.
        seed_number, seeds: which seed, counted from 1, of all at which these conditions were compared it is judged at; None
            where no results folder says so.
        caveats: what was averaged or left out, how it was tested, and how far that can be trusted.
        withheld: why the claim is undecided whatever its p, or without one; it stands among the caveats too.
        datasets: where the data set is the unit, its number on each.
        numbers: what `n` counts, one by one. Verdicts are compared without them.

    """

    claim: Claim
    hypothesis: Hypothesis
    decision: Decision = UNDECIDED
    n: int
    planned: int
    estimate: float | None = None
    estimate_is: EstimateIs = ""
    interval: Interval | None = None
    p: float | None = None
    p_corrected: float | None = None
    p_at_margin: float | None = None
    sizes: Sizes = field(default_factory=Sizes)
    outlook: Outlook = field(default_factory=Outlook)
    test_sampling: TestSampling = field(default_factory=TestSampling)
    held_fixed: str = ""
    tuned: str = ""
    e_value: float | None = None
    anytime_interval: Interval | None = None
    interim_analysis: int | None = None
    exploratory: bool = False
    anytime: bool = False
    level: float = ALPHA
    seed_number: int | None = None
    seeds: int | None = None
    caveats: Sequence[Caveat] = ()
    withheld: Caveat | None = None
    datasets: Sequence[OnDataSet] = ()
    numbers: UnitNumbers = field(default_factory=UnitNumbers, compare=False, repr=False)

    @property
    def metric(self) -> str:
        """The metric that the claim is about."""
        return self.hypothesis.metric

    @property
    def observed(self) -> bool:
        """Whether the claim is observed and not tested: about every replicate, or about an exact number."""
        return self.hypothesis.is_observed

    @property
    def test(self) -> str:
        """The test: `t`, `sign_flip`, `signed_rank`, or `sign` for a median; `exact` where there is nothing to test."""
        if self.hypothesis.is_exact:
            return "exact"
        if self.hypothesis.test.about in OWN_NAMES:
            return OWN_NAMES[self.hypothesis.test.about]
        if isinstance(self.hypothesis.test, SignFlipTest):  # which `best` has of its own accord
            return "sign_flip"
        return "sign" if self.hypothesis.is_of_median else self.claim.test

    @property
    def interval_by(self) -> str:
        """How the interval is made: `t`, `bca`, `sign_flip` (the means that are not rejected), or `order` statistics for a median.

        `walsh` is that of a signed-rank test, between two Walsh averages.
        """
        if isinstance(self.hypothesis.test, SignedRankTest):
            return "walsh"
        if self.hypothesis.test.about in OWN_NAMES:
            return "studentised_flip" if self.hypothesis.test.about == "typical" else "clopper_pearson"
        if isinstance(self.hypothesis.test, SignFlipTest) and self.claim.interval == "t":
            return "sign_flip"
        return "order" if self.hypothesis.is_of_median else self.claim.interval

    @property
    def note(self) -> str:
        """The caveats as one text."""
        return sentences(self.caveats)

    @property
    def is_partly_known(self) -> bool:
        """Whether censored replicates leave the median unknown, or known from one side only."""
        return self.estimate is None or self.estimate_is != ""


# The public table of claims: its columns, in order, and their types.
COLUMNS: dict[str, Any] = {
    "id": object, "says": object, "source": object, "form": object, "quantity": object, "metric": object,
    "kind": object, "per": object, "sense": object, "n": "int64", "planned": "int64", "estimate": float,
    "low": float, "high": float, "margin": float, "p": float, "p_holm": float, "verdict": object, "note": object,
    "detectable": float, "more_replicates": "Int64", "fixed": object, "observed": bool, "tuned": object, "look": "Int64",
    "exploratory": bool, "centre": float, "test": object, "interval": object, "sd": float, "iqm": float,
    "effect": float, "wins": "Int64", "ties": "Int64", "low_test": float, "high_test": float, "confirmed": "boolean",
    "sampling": object, "estimate_is": object, "interval_level": float,
    "e_value": float, "low_anytime": float, "high_anytime": float, "more_for_even": "Int64",
    "level": float, "seed_number": "Int64", "seeds": "Int64",
    "p_at_margin": float, "anytime": bool, "unit": object,
}  # fmt: skip


def sentences(caveats: Iterable[Caveat]) -> str:
    """Return caveats as one text."""
    return " ".join(c.sentence for c in caveats)


def claims_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return the public table of claims: a row for each verdict, with the columns and types of `COLUMNS`.

    `margin` is the bound the estimate is tested against (for `equivalent` both signs of it, about `centre`), `low` and
    `high` the unadjusted interval, `low_test` and `high_test` the one that includes test-set sampling, both of `interval_level`:
    0.95, or 0.9 of an equivalence, which two tests at 5% judge, each of one side.
    """
    rows = [_row(v) for v in verdicts]
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in COLUMNS.items()})


def _row(v: Verdict) -> dict[str, Any]:
    tested, sized, sampling = v.hypothesis, v.sizes, v.test_sampling
    ends, ends_test = v.interval or NO_INTERVAL, sampling.interval or NO_INTERVAL
    return {
        "id": v.claim.id, "says": v.claim.says, "source": v.claim.source, "form": tested.wording.formula,
        "quantity": tested.quantity.name, "metric": plain(v.metric), "kind": tested.quantity.kind, "per": tested.quantity.per,
        "sense": tested.sense, "n": v.n, "planned": v.planned, "estimate": v.estimate, "low": ends.low, "high": ends.high,
        "margin": tested.bound, "p": v.p, "p_holm": v.p_corrected, "verdict": v.decision, "note": v.note,
        "detectable": v.outlook.detectable, "more_replicates": v.outlook.more_replicates, "fixed": v.held_fixed,
        "observed": v.observed, "tuned": v.tuned, "look": v.interim_analysis, "exploratory": v.exploratory,
        "centre": tested.centre, "test": v.test, "interval": v.interval_by, "sd": sized.sd, "iqm": sized.iqm,
        "effect": sized.effect, "wins": sized.wins, "ties": sized.ties, "low_test": ends_test.low,
        "high_test": ends_test.high, "confirmed": sampling.confirmed,
        "sampling": "" if sampling.unknown is None else sampling.unknown.sentence, "estimate_is": v.estimate_is,
        "interval_level": None if v.interval is None else v.interval.level, "e_value": v.e_value,
        "low_anytime": (v.anytime_interval or NO_INTERVAL).low, "high_anytime": (v.anytime_interval or NO_INTERVAL).high,
        "more_for_even": v.outlook.more_for_even,
        "level": v.level, "seed_number": v.seed_number, "seeds": v.seeds,
        "p_at_margin": v.p_at_margin, "anytime": v.anytime, "unit": v.claim.unit,
    }  # fmt: skip
