"""Claims about shares of replicates: in how many a `wins` over b, and whether the runs of one side of it fail more often (`fails`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from mlpbench.base.models import Path, SpecProblem, shown
from mlpbench.experiment.claims.claim_form import ClaimForm
from mlpbench.experiment.claims.hypothesis import FailureTest, Hypothesis, Quantity, Test, WinTest, Wording
from mlpbench.experiment.claims.replicate_numbers import FailureDifference, WeightedSum
from mlpbench.experiment.claims.selectors import (
    averaged_factors,
    confounded_levels,
    equal_weights,
    in_words,
    shared_levels,
    without_zeros,
)
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import Metric, metric


class _TwoSides(ClaimForm):
    """Two conditions, replicate by replicate, by a metric of which more or less is better."""

    selectors = ("a", "b")

    a: dict[str, Any]
    b: dict[str, Any]

    @property
    def own_test(self) -> str:
        """Replicates are counted."""
        return f"{self.name} has its own test"

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem for a metric without a better side, and one that follows from the settings."""
        if measured.better == "neither" or measured.source == "settings":
            rule = f"{self.name} is about a metric of trained runs, of which more or less is better"
            raise SpecProblem((*path, "metric"), f"{rule}, got {plain(self.metric)!r}")

    def check_selectors(self, path: Path) -> None:
        """Raise SpecProblem where a is b."""
        if self.a == self.b:
            raise SpecProblem(path, f"a and b must differ, got {shown(self.a)} twice")


class Wins(_TwoSides):
    """Side a is better than b in more than a share of replicates, ties left out: P(a > b) above 0.75."""

    name = "wins"
    instead_over_datasets = "`compare` with `test: sign` asks on how many data sets a is better than b"

    above: float = Field(default=0.75, gt=0, lt=1)

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the exact binomial test of the share, whatever test is asked for."""
        sign = -1.0 if metric(self.metric).better == "lower" else 1.0
        weights = {c: sign * w for c, w in equal_weights(self.a, conditions).items()}
        for c, w in equal_weights(self.b, conditions).items():
            weights[c] = weights.get(c, 0.0) - sign * w
        wheres = (self.a, self.b)
        name = f"share of replicates with better {plain(self.metric)}: {in_words(self.a)} than {in_words(self.b)}"
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=without_zeros(weights)),
            test=WinTest(),
            sense="greater",
            bound=self.above,
            quantity=Quantity(
                name=name, kind="share", plural="differences", unit="%", factor=100.0, signed=False, axis="wins, %"
            ),
            wording=Wording(
                formula=f"{name}, above {self.above:g}",
                expected="> {bound}",
                supported="the share is above {bound}",
                refuted="the share is below {bound}",
                question="whether it exceeds {bound}",
            ),
            averaged=averaged_factors(wheres, design, conditions),
            shared=shared_levels(wheres),
            confounded=confounded_levels(wheres, design, conditions),
            sides=(in_words(self.a), in_words(self.b)),
        )


class Fails(_TwoSides):
    """Runs of a fail more often than those of b, or less often: they diverge, or their metric is worse than a number."""

    name = "fails"
    values = ("worse_than",)
    instead_over_datasets = (
        "`compare` of the metric diverged asks by how much more of the runs of a diverge on each data set"
    )

    worse_than: float | None = None
    expect: Literal["greater", "less"]

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return McNemar's exact test of the difference of failure rates, whatever test is asked for."""
        wheres = (self.a, self.b)
        worse = "" if self.worse_than is None else f" or {plain(self.metric)} is worse than {self.worse_than:g}"
        name = f"share of runs that diverge{worse}: {in_words(self.a)} minus {in_words(self.b)}"
        above, below = "the share is larger", "the share is smaller"
        greater = self.expect == "greater"
        better = metric(self.metric).better
        assert better != "neither", "a spec that asks for it is refused"
        return Hypothesis(
            metric=self.metric,
            number=FailureDifference(
                sides=(equal_weights(self.a, conditions), equal_weights(self.b, conditions)),
                worse_than=self.worse_than,
                better=better,
            ),
            test=FailureTest(),
            sense=self.expect,
            bound=0.0,
            quantity=Quantity(
                name=name, kind="difference", plural="differences", unit=" pp", factor=100.0, axis="failures, pp"
            ),
            wording=Wording(
                formula=f"{name}, {self.expect}",
                expected=f"{'>' if greater else '<'} {{bound}}",
                supported=above if greater else below,
                refuted=below if greater else above,
                question="which side's is larger",
            ),
            averaged=averaged_factors(wheres, design, conditions),
            shared=shared_levels(wheres),
            confounded=confounded_levels(wheres, design, conditions),
            sides=(in_words(self.a), in_words(self.b)),
        )
