"""Caveats of a verdict, as values: what was averaged or left out, how it was tested, and how far that can be trusted.

Each is a small frozen type that holds its numbers; its `sentence` says them. A new caveat is one class, or a `Remark` where it
has no numbers, and a line where it is added: most are in `claim_caveats.caveats_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, MISSING
from mlpbench.evidence.statistics.resampling import DRAWN, MOST_EXACT, RESAMPLES
from mlpbench.experiment.claims.hypothesis import BCA_LEAST, EVERY_LEAST, SIGN_FLIP_LEAST
from mlpbench.experiment.plan import CURVE_POINTS


class Caveat:
    """Something to keep in mind about a verdict: its fields stand in the `template` of its sentence."""

    template: ClassVar[str] = ""

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return self.template.format(**vars(self))


@dataclass(frozen=True, kw_only=True)
class Remark(Caveat):
    """A sentence without numbers."""

    text: str

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return self.text


OTHERS_JUDGE = "`of: typical` (of `compare` and `bound`) or `test: sign` judges such."
NONE_JUDGES = "no other test is for replicates that draw their own test rows."
MEDIAN_WOULD_DO = Remark(
    text=Markdown(
        f"`test: sign` ({SIGN_FLIP_LEAST} replicates or more, and more beside other claims) would judge the median with them."
    )
)
WITHOUT_LOGARITHM = Remark(
    text="Only positive numbers have a logarithm: the estimate is of the replicates that have one."
)
WITHOUT_METRIC = Remark(
    text="A condition without the metric can't be judged by it: select conditions that have it, or claim another metric."
)
WITHOUT_LAYERS = Remark(
    text=Markdown(
        "Runs without a finite number of this layer can't be judged by it: select conditions that have one, or, where `mlpbench trim` "
        "removed the numbers, train the runs again with `mlpbench run --rerun all`."
    )
)
EQUAL_REPLICATES = Remark(text="Every replicate gave the same number.")


@dataclass(frozen=True, kw_only=True)
class AveragedOver(Caveat):
    """Factors that a selector leaves out."""

    factors: Sequence[str]

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return f"Averaged over {', '.join(self.factors)} with equal weights."


@dataclass(frozen=True, kw_only=True)
class Confounded(Caveat):
    """Factors that no side names and whose levels differ between the sides, so that they may make the difference."""

    factors: Sequence[str]

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        return f"Undecided: confounded with {', '.join(self.factors)}, whose levels differ between the sides. Name one of them."


@dataclass(frozen=True, kw_only=True)
class TiedTunings(Caveat):
    """Replicates in which several levels of tuned settings are as good by validation, in predictions and in loss."""

    template = (
        "In {tied} of {n} replicates several tuned levels tie in {where}, in right predictions and in loss: one of them was taken by an order of their contents, "
        "not by their place in the file."
    )
    tied: int
    n: int
    where: str


@dataclass(frozen=True, kw_only=True)
class LeftOut(Caveat):
    """Replicates without a number in a condition, or in many: `fewest` to `most` in each.

    `why` is a status, `censored` or `unmeasured`; `goal` is what censored runs did not reach, or what others lack.
    """

    why: str
    goal: str
    fewest: int
    most: int
    planned: int
    where: str

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        what = {
            DIVERGED: "diverged", FAILED: "failed", MISSING: "not run", "censored": f"short of the {self.goal}",
            "unmeasured": f"without {self.goal}",
        }[self.why]  # fmt: skip
        count = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return f"{count} of {self.planned} replicates {what} in {self.where}."


@dataclass(frozen=True, kw_only=True)
class CensoredMean(Caveat):
    """A mean that has no value because runs never got to a loss or an accuracy; `unit` is what would count how long."""

    template = "How many {unit} those need is not known, so the claim can't be judged on the others alone."
    unit: str


@dataclass(frozen=True, kw_only=True)
class CountedOnCurve(Caveat):
    """Steps or epochs that are counted at the points of a curve."""

    unit: str
    goal: str
    every_epoch: bool

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        points = (
            "one an epoch" if self.every_epoch else f"{CURVE_POINTS} at most, of longer training one in several epochs"
        )
        return (
            f"{self.unit.capitalize()} are counted up to the first point of the curve that reaches the {self.goal}: curves "
            f"have {points}."
        )


@dataclass(frozen=True, kw_only=True)
class TooFewReplicates(Caveat):
    """Fewer complete replicates than the test needs."""

    template = "A test needs {least} complete {units}, got {n}."
    least: int
    n: int
    units: str = "replicates"


@dataclass(frozen=True, kw_only=True)
class TooFewToDecide(Caveat):
    """Replicates that decide a claim at its level in no case, and how many there must be; of a share how many to support it."""

    n: int
    least: int
    to_support: int
    level: float
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        support = f", {self.to_support} can support it" * (self.to_support > self.least)
        return f"{self.n} {self.units} can't decide it at level {self.level:.2g}, whatever they show: {self.least} can{support}."


@dataclass(frozen=True, kw_only=True)
class JudgedBySigns(Caveat):
    """The sign test of the median.

    `above`, `below` and `equal` count replicates on each side of the bound and on it; `unknown` those that are censored. Where
    ties are dropped, those that are equal count for nothing. The interval goes from value `place` of n in order to value n + 1 - place.
    """

    n: int
    above: int
    below: int
    equal: int
    drops_ties: bool
    unknown: int
    place: int
    coverage: float
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        left_out = " and left out, as they lie on neither side" if self.drops_ties else ""
        equal = f", {self.equal} equal to it{left_out}" if self.equal else ""
        counts = f"{self.above} of {self.n} {self.units} above the bound, {self.below} below{equal}"
        ends = f"{ordinal(self.place)} to {ordinal(self.n + 1 - self.place)} of {self.n}"
        if not self.unknown:
            return (
                f"Sign test of the median: {counts}. Order-statistic interval ({ends}), coverage {self.coverage:.1%}."
            )
        neither = self.n - self.above - self.below - self.equal
        return (
            f"Sign test of the median: {counts}, {neither or 'none'} undetermined. A run that never reached it is censored at "
            f"the end of its training. Order-statistic interval ({ends}; the lower end of the smallest possible values, "
            f"the upper of the largest), coverage at least {self.coverage:.1%}."
        )


@dataclass(frozen=True, kw_only=True)
class JudgedByFlips(Caveat):
    """The sign-flip test."""

    n: int

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        all_of_them = f"all {2**self.n} assignments of signs"
        flipped = all_of_them if self.n <= MOST_EXACT else f"{DRAWN} seeded assignments of signs"
        return f"Sign-flip test ({flipped}), not a t test."


@dataclass(frozen=True, kw_only=True)
class JudgedByMiddle(Caveat):
    """The interquartile mean of n replicates, of which so many are cut off at each end."""

    template = "Interquartile mean: the {cut} largest and the {cut} smallest of {n} replicates are cut off. Studentised sign-flip test, not a t test."
    n: int
    cut: int


@dataclass(frozen=True, kw_only=True)
class SidesCounted(Caveat):
    """In how many of n replicates side a is ahead (above), side b (below), and neither (ties)."""

    a: str
    b: str
    above: int
    below: int
    ties: int
    n: int


class WinsCounted(SidesCounted):
    """In how many replicates each side is better."""

    template = (
        "{a} is better in {above} of {n} replicates, {b} in {below}; they tie in {ties}, which are left out. Exact binomial test, and Clopper "
        "and Pearson's interval."
    )


class FailuresCounted(SidesCounted):
    """In how many replicates more runs of a side fail."""

    template = (
        "More runs of {a} fail in {above} of {n} replicates, more of {b} in {below}, as many in {ties}. McNemar's exact test on the "
        "replicates that differ."
    )


@dataclass(frozen=True, kw_only=True)
class JudgedByBets(Caveat):
    """The test by bets, and the fewest replicates that it may support a claim by."""

    template = (
        "Judged by bets on a mean of numbers between {low:g} and {high:g}, which ask nothing of their distribution: if all are 0, "
        "{least} replicates are the fewest that show it, at a first seed and beside no other claim."
    )
    low: float
    high: float
    least: int


@dataclass(frozen=True, kw_only=True)
class FarReplicates(Caveat):
    """Numbers far from the others, as of a run that collapsed, of which a mean and its t test know too little."""

    template = (
        "{far} of {n} {plural} lie{s} far from the others ({times:.0f} times their spread): where few runs collapse, the t test is wrong "
        "in up to half of experiments; {judges}"
    )
    plural: str
    far: int
    n: int
    s: str
    times: float
    judges: str = OTHERS_JUDGE


@dataclass(frozen=True, kw_only=True)
class CorrectedForOverlap(Caveat):
    """That replicates split one table anew, by which the variance of their mean is larger than of independent ones."""

    template = (
        "Interval and p are {method}: the variance of the mean of n replicates is s^2 (1/n + {overlap:.3g}). They hold the sampling "
        "of test rows, so that there is no second interval that adds it."
    )
    method: str
    overlap: float


@dataclass(frozen=True, kw_only=True)
class LeastSpread(Caveat):
    """Numbers that differ by less than the metric can show, of an accuracy by less than one example."""

    template = (
        "The {plural} differ by less than the metric can show: the t test takes a standard deviation of {least:.2g}."
    )
    plural: str
    least: float


@dataclass(frozen=True, kw_only=True)
class BestAtEdge(Caveat):
    """Replicates whose best level is the first or the last."""

    template = "In {replicates} of {n} replicates a best level is the first or the last: a better one may lie beyond."
    replicates: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Skewed(Caveat):
    """Numbers whose skewness is visible, so that t is not to be trusted."""

    template = (
        "The {plural} are skewed (skewness {skewness:.1f}): with skewed {plural} at n = {n} the t test's "
        "error rate may exceed 5%."
    )
    plural: str
    skewness: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Bootstrapped(Caveat):
    """A BCa interval, or too few replicates for one."""

    n: int
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        if self.n >= BCA_LEAST:
            return f"BCa bootstrap interval of {RESAMPLES} seeded resamples."
        return f"A BCa interval needs {BCA_LEAST} complete {self.units}, got {self.n}: this one is a t interval."


@dataclass(frozen=True, kw_only=True)
class SharedStreams(Caveat):
    """Random streams in which replicates do not differ, or of which each condition varies one alone."""

    streams: Sequence[str]
    one_varies: bool

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        if self.one_varies:
            return "One stream varies in each condition: the verdict is about one draw of the others."
        return f"Replicates share {', '.join(self.streams)}: the verdict is about that one draw."


@dataclass(frozen=True, kw_only=True)
class BoundKept(Caveat):
    """How many replicates keep a bound that all of them must keep; `rate` is what a further one does with 95% confidence."""

    kept: int
    planned: int
    extreme: float | None
    is_lowest: bool
    rate: float | None

    @property
    def count(self) -> str:
        """Return `kept 28 of 29`."""
        return f"kept {self.kept} of {self.planned}"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        worst = "" if self.extreme is None else f"; {'lowest' if self.is_lowest else 'highest'} {self.extreme:.4g}"
        words = f"{self.kept} of {self.planned} replicates keep the bound{worst}. Observed, not tested."
        if self.rate is None:
            return words
        words += f" With 95% confidence at least {self.rate:.0%} of further replicates would keep it"
        return (
            f"{words}."
            if self.planned >= EVERY_LEAST
            else f"{words}; {EVERY_LEAST} of {EVERY_LEAST} would make that 90%."
        )


@dataclass(frozen=True, kw_only=True)
class Unfinished(Caveat):
    """A results folder that lacks runs of the experiment: of those `planned` it has `done`."""

    template = "No verdict before all runs are there: {done} of {planned} runs."
    done: int
    planned: int


@dataclass(frozen=True, kw_only=True)
class IncompleteAnalysis(Unfinished):
    """An interim analysis that lacks runs."""

    template = "Interim analysis {number} is incomplete and decides nothing yet."
    number: int


@dataclass(frozen=True, kw_only=True)
class TooFewYet(Caveat):
    """Fewer replicates than the experiment starts with."""

    template = "{there} of the first {first} replicates are there: nothing is decided yet."
    there: int
    first: int


@dataclass(frozen=True, kw_only=True)
class Exploratory(Caveat):
    """Replicates that were added after a first analysis which had not declared them; `declared` is what that had."""

    template = "Exploratory: the first analysis was with {declared}."
    declared: str


def ordinal(n: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`, `11th`, ...

    >>> [ordinal(n) for n in (1, 2, 13, 23)]
    ['1st', '2nd', '13th', '23rd']
    """
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
