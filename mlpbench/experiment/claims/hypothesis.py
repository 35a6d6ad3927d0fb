"""What a claim comes down to: one number per replicate, the bound it is tested against, the test, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mlpbench.base.models import Levels
from mlpbench.experiment.claims.replicate_numbers import ReplicateNumber, WeightedSum
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import LOG10_UNIT, metric

Sense = Literal["greater", "less", "equivalent"]
# What the evidence says of a claim.
Decision = Literal["supported", "refuted", "at the margin", "undecided"]
# With fewer replicates than this no assignment of signs has a two-sided p below 0.05: 2 / 2^5 = 0.0625.
SIGN_FLIP_LEAST = 6
# With fewer, flips of signs may not reach a first seed's level, however far the numbers lie from the bound: 14 miss it in 5%, 10 in 30%.
TYPICAL_LEAST = 20
# With fewer, the BCa interval covers less than it says: 85% instead of 95% at 5 replicates, in simulation.
BCA_LEAST = 15
# If 90% of all replicates keep a bound, so many all do in less than 5%: 0.9^29 = 0.047.
EVERY_LEAST = 29
# Variances of fewer replicates say next to nothing.
VARIANCE_LEAST = 5
# Units that are printed behind a number; a fraction or a loss per example has none.
PRINTED_UNITS = ("s", "steps", "epochs", "units", "bytes", LOG10_UNIT)


@dataclass(frozen=True, kw_only=True)
class _Test:
    """What every test says of itself.

    Attributes:
        about: what of the replicates it judges.
        assumes_normal: whether skewed numbers mislead it.
        is_tested: whether it gives a p, so that the claim is one of those that p is corrected for.
        least: the number of replicates it needs.
        interval: `t` or `bca`.

    """

    about: ClassVar[
        Literal["mean", "median", "typical", "pseudomedian", "every", "variances", "exact", "wins", "failures"]
    ]
    assumes_normal: ClassVar[bool] = False
    is_tested: ClassVar[bool] = True

    least: int
    interval: str = "t"


@dataclass(frozen=True, kw_only=True)
class TTest(_Test):
    """A t test of the mean, with a t interval or a BCa bootstrap interval."""

    about = "mean"
    assumes_normal = True
    least: int = 2


@dataclass(frozen=True, kw_only=True)
class SignFlipTest(_Test):
    """A sign-flip test of the mean: the signs of the replicates' distances from the bound are flipped."""

    about = "mean"
    least: int = SIGN_FLIP_LEAST


@dataclass(frozen=True, kw_only=True)
class BettingTest(_Test):
    """A test of the mean of numbers that lie within `reach` of 0, by bets: nothing else is asked of their distribution."""

    about = "mean"
    reach: float
    least: int = 2


@dataclass(frozen=True, kw_only=True)
class SignTest(_Test):
    """A sign test of the median; a censored replicate counts where the side it lies on is known."""

    about = "median"
    least: int = SIGN_FLIP_LEAST


@dataclass(frozen=True, kw_only=True)
class SignedRankTest(_Test):
    """Wilcoxon's signed-rank test of the pseudo-median of numbers of which there is one a data set."""

    about = "pseudomedian"
    least: int = SIGN_FLIP_LEAST


@dataclass(frozen=True, kw_only=True)
class TypicalTest(_Test):
    """A studentised sign-flip test of the interquartile mean, the mean of the middle half of the replicates."""

    about = "typical"
    least: int = TYPICAL_LEAST


@dataclass(frozen=True, kw_only=True)
class WinTest(_Test):
    """An exact binomial test of the share of replicates that lie above 0, of those that don't tie."""

    about = "wins"
    least: int = 1


@dataclass(frozen=True, kw_only=True)
class FailureTest(_Test):
    """McNemar's exact test of the difference of two failure rates, replicate by replicate."""

    about = "failures"
    least: int = 1


@dataclass(frozen=True, kw_only=True)
class EveryReplicate(_Test):
    """No test: every replicate must keep the bound, and so many that 90% of further ones would, with 95% confidence."""

    about = "every"
    is_tested = False
    least: int = 0


@dataclass(frozen=True, kw_only=True)
class ExactNumber(_Test):
    """No test: the number follows from the settings and is the same in every replicate."""

    about = "exact"
    is_tested = False
    least: int = 1


@dataclass(frozen=True, kw_only=True)
class LargestVariance(_Test):
    """Brown and Forsythe's test, pair by pair, that the variance of one random stream is the largest.

    `streams` has the stream of each condition.
    """

    about = "variances"
    stream: str
    streams: Mapping[str, str]
    least: int = VARIANCE_LEAST


Test = (
    TTest
    | SignFlipTest
    | BettingTest
    | SignTest
    | SignedRankTest
    | TypicalTest
    | WinTest
    | FailureTest
    | EveryReplicate
    | ExactNumber
    | LargestVariance
)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a claim estimates, and how its number is printed: `factor` times the number, followed by `unit` and `per`.

    Attributes:
        name: the quantity in words, as `test_accuracy: width=1024 minus width=256`.
        kind: the word for it in the public table: difference, slope, level, place or share.
        plural: what the replicates' numbers are, in a sentence about them.
        unit: printed unit with the space before it, as ` pp`; empty where none is printed.
        per: of a slope, per what, as `per doubling of width`.
        factor: from the metric's unit to the printed one.
        signed: whether a plus sign is printed.
        axis: the label of an axis that shows it.

    """

    name: str
    kind: str
    plural: str
    unit: str = ""
    per: str = ""
    factor: float = 1.0
    signed: bool = True
    axis: str = ""


def metric_quantity(name: str, measured: str, *, kind: str, plural: str, per: str = "") -> Quantity:
    """Return a quantity in the unit of a metric; differences and slopes of accuracies are in percentage points (pp)."""
    of = metric(measured)
    level = kind == "level"
    points = of.is_accuracy and not level
    unit = "pp" if points else of.unit if of.unit in PRINTED_UNITS else ""
    return Quantity(
        name=name,
        kind=kind,
        plural=plural,
        unit=f" {unit}" if unit else "",
        per=per,
        factor=100.0 if points else 1.0,
        signed=not level,
        axis=f"{plain(of.name)}, {unit or of.unit} {per}".rstrip(),
    )


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The words for a claim. All but `formula` have `{bound}`, `{margin}` (its size), `{centre}` and `{reach}` for numbers.

    Attributes:
        formula: the claim as a formula in words.
        expected: what the claim expects of the estimate, for a table: `> {bound}`.
        supported, refuted: what a decided verdict means: `the advantage is above the margin of {margin}`.
        question: what an undecided one leaves open: `whether it exceeds {bound}`.
        detectable: what the test finds with 80% power: `a difference of {reach} from {bound}`.
        equivalent: the same where the estimate lies within the margin: `equivalence within {reach} of equal conditions`.
        outcomes: of a comparison the words for a replicate in which a is above b, and for one in which it is below:
            `width=1024 better than width=256`, `width=1024 worse than width=256`.
        remark: a sentence that every verdict of the claim should say.

    """

    formula: str
    expected: str
    supported: str
    refuted: str
    question: str
    detectable: str = ""
    equivalent: str = ""
    outcomes: tuple[str, str] | None = None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A difference that is judged beside a claim's number: the claim expects it on the same side of 0.

    `name` is the step in words, as `from depth=2 to depth=5`; `adjacent` says whether there is no level between the two.
    """

    name: str
    number: WeightedSum
    adjacent: bool = True


@dataclass(frozen=True, kw_only=True)
class OfDataSet:
    """A claim's number on one data set, and that of each of its steps, of the same data set's conditions alone."""

    name: str
    number: ReplicateNumber
    steps: Sequence[WeightedSum] = ()


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A claim of any form, as statistics judge it.

    Attributes:
        metric: name of the metric.
        number: the number per replicate.
        test: the test that judges it.
        sense: on which side of the bound the number is expected, or that it lies within it of the centre.
        bound: the bound, in the metric's unit (NaN for a share, which has none).
        margin: the size of a difference that counts, in the metric's unit, where the bound is a margin above 0; else None.
        centre: what an equivalence is about.
        quantity, wording: what the number is, in words and unit, and the sentences about it.
        averaged: factors that a selector left out: the number is a mean over their levels, with equal weights.
        shared: levels that all sides of a comparison have in common.
        confounded: factors over whose levels the sides of a comparison take different means, with the levels.
        sides: the conditions with a positive and with a negative weight, in words; empty where the latter have none.
        steps: differences that are judged beside the number: the claim is not supported where one goes the other way.
        every_step: whether each step between adjacent levels must go as expected.
        datasets: where the data set is the unit, the number on each; `number` is their mean. Empty where the replicate is.

    """

    metric: str
    number: ReplicateNumber
    test: Test
    sense: Sense
    bound: float
    margin: float | None = None
    centre: float = 0.0
    quantity: Quantity
    wording: Wording
    averaged: tuple[str, ...] = ()
    shared: Levels = field(default_factory=dict)
    confounded: tuple[str, ...] = ()
    sides: Sequence[str] = ()
    steps: Sequence[Step] = ()
    every_step: bool = False
    datasets: Sequence[OfDataSet] = ()

    @property
    def units(self) -> str:
        """What the claim has one number of each of: `replicates`, or `data sets`."""
        return "data sets" if self.datasets else "replicates"

    @property
    def conditions(self) -> frozenset[str]:
        """The `condition_id` of every condition that the number or a step needs."""
        return self.number.conditions.union(*(step.number.conditions for step in self.steps))

    def positions(self, conditions: Sequence[Condition]) -> list[int]:
        """Return the positions, among some conditions, of those that the number or a step needs."""
        needed = self.conditions
        return [i for i, c in enumerate(conditions) if c.condition_id in needed]

    @property
    def is_of_median(self) -> bool:
        """Whether the claim is about the median of the replicates."""
        return self.test.about == "median"

    @property
    def is_observed(self) -> bool:
        """Whether what the claim is about is observed and not tested: every replicate, or an exact number."""
        return not self.test.is_tested

    @property
    def drops_ties(self) -> bool:
        """Whether replicates without a difference say nothing: of a difference, or a slope, that is claimed to have a side."""
        return self.is_of_median and self.quantity.signed and self.bound == 0

    @property
    def is_exact(self) -> bool:
        """Whether the number follows from the settings."""
        return self.test.about == "exact"

    @property
    def is_a_level(self) -> bool:
        """Whether the number is the metric's own, and no difference."""
        return not self.quantity.signed and self.test.about not in ("variances", "wins")

    @property
    def takes_bounds(self) -> bool:
        """Whether a replicate of which only bounds are known counts, and a diverged run as the worst value: on a side it may be known."""
        return self.test.about in ("median", "wins")

    @property
    def middle(self) -> str:
        """What of the replicates the claim is about."""
        return middle_of(self.test)


def middle_of(test: Test) -> str:
    """Return what of its numbers a test is about, in words."""
    middles = {"median": "median", "typical": "interquartile mean", "pseudomedian": "pseudo-median"}
    return middles.get(test.about, "mean")
