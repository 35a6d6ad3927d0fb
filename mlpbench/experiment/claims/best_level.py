"""The claim that the best level of a factor is the same under two circumstances, or a higher or lower one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mlpbench.base.models import Path, SpecProblem, shown
from mlpbench.experiment.claims.claim_form import ClaimForm, too_few
from mlpbench.experiment.claims.hypothesis import (
    SIGN_FLIP_LEAST,
    BettingTest,
    Hypothesis,
    Quantity,
    SignFlipTest,
    Test,
    Wording,
)
from mlpbench.experiment.claims.replicate_numbers import BestPlace
from mlpbench.experiment.claims.selectors import (
    are_numbers,
    averaged_factors,
    equal_weights,
    factor_levels,
    in_words,
    selects,
    shared_levels,
)
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import Metric, metric

# The best level is called the same where its mean place moves by less than half a level.
SAME_PLACE = 0.5


class Best(ClaimForm):
    """The place of the best level of a factor under `where`, against the place it has under `and`."""

    name = "best"
    selectors = ("where", "other")

    over: str
    where: dict[str, Any]
    other: dict[str, Any] = Field(alias="and")
    expect: Literal["same", "higher", "lower"]

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"and" if k == "other" else k: v for k, v in handler(self).items()}

    @property
    def own_test(self) -> str:
        """Places are coarse: their signs are flipped."""
        return "best has its own test"

    def check_options(self, test: str, interval: str, n: int, path: Path) -> None:
        """Raise SpecProblem for options, and for too few replicates."""
        super().check_options(test, interval, n, path)
        if self.expect != "same" and n < SIGN_FLIP_LEAST:
            raise SpecProblem((*path, self.name), too_few("sign-flip", n))

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem for a metric of which neither more nor less is better, and a factor without an order."""
        if measured.better == "neither":
            rule = "the best level is one by a metric of which more or less is better"
            raise SpecProblem((*path, "metric"), f"{rule}, got {plain(self.metric)!r}")
        levels = factor_levels(design, self.over, (*path, "over"))
        if len(set(levels)) < 2 or not are_numbers(levels):
            rule = "the place of the best level needs two or more levels in order: numbers"
            raise SpecProblem((*path, "over"), f"{rule}, got {shown(list(levels))} for {self.over}")

    def check_selectors(self, path: Path) -> None:
        """Raise SpecProblem where a side names a level of the factor, or the sides are the same."""
        for (below,), side in self.wheres():
            if self.over in side:
                rule = f"the best level of {self.over} is looked for, so that a selector leaves {self.over} out"
                raise SpecProblem((*path, below, self.over), f"{rule}, got {shown(side[self.over])}", key=True)
        if self.where == self.other:
            raise SpecProblem(path, f"where and and must differ, got {shown(self.where)} twice")

    def check_conditions(self, design: Design, conditions: Sequence[Condition], path: Path) -> None:
        """Raise SpecProblem where the sides do not have the same levels, of which one is best."""
        super().check_conditions(design, conditions, path)
        levels_of_sides = [
            (below, {c.levels[self.over] for c in conditions if selects(s, c)}) for below, s in self.wheres()
        ]
        for below, levels in levels_of_sides:
            if len(levels) < 2 or levels != levels_of_sides[0][1]:
                rule = f"both sides need the same two or more levels of {self.over}"
                raise SpecProblem((*path, *below), f"{rule}, got {shown(sorted(levels, key=float))}")  # type: ignore[arg-type]

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test of the difference of places, whatever test is asked for."""
        levels = {c.levels[self.over] for c in conditions if selects(self.where, c)}
        order = sorted(levels, key=lambda v: float(v))  # type: ignore[arg-type]
        wheres = (self.where, self.other)
        a, b = ([equal_weights({**where, self.over: level}, conditions) for level in order] for where in wheres)
        better = metric(self.metric).better
        assert better != "neither", "a spec that asks for the best of it is refused"
        same = self.expect == "same"
        name = f"place of the best {self.over} by {plain(self.metric)}: {in_words(self.where)} minus {in_words(self.other)}"
        expected = {"same": "the same", "higher": "higher", "lower": "lower"}[self.expect]
        opposite = {"higher": "lower", "lower": "higher"}.get(self.expect, "")
        return Hypothesis(
            metric=self.metric,
            number=BestPlace(sides=(a, b), better=better),
            test=BettingTest(reach=len(order) - 1) if same else SignFlipTest(),
            sense="equivalent" if same else "greater" if self.expect == "higher" else "less",
            bound=SAME_PLACE if same else 0.0,
            quantity=Quantity(
                name=name, kind="place", plural="places", unit=" levels", axis=f"{plain(self.metric)}, levels"
            ),
            wording=Wording(
                formula=f"{name}, {expected}",
                expected=f"{'within' if same else '>' if self.expect == 'higher' else '<'} {{bound}}",
                supported="the mean place differs by less than half a level"
                if same
                else f"the best level is {self.expect}",
                refuted="the mean place differs by more" if same else f"the best level is {opposite}",
                question="whether it lies within {bound}"
                if same
                else f"whether it {'exceeds' if self.expect == 'higher' else 'is below'} {{bound}}",
                detectable="a distance of {reach} from {bound}",
                equivalent="equal places as equivalent within {reach}",
                remark="Places count the levels in order.",
            ),
            averaged=tuple(n for n in averaged_factors(wheres, design, conditions) if n != self.over),
            shared=shared_levels(wheres),
        )
