"""Claims about the value a metric has in some conditions: a `bound` of it, or that it `matches` a published number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mlpbench.base.models import Path, SpecProblem
from mlpbench.experiment.claims.claim_form import ClaimForm, median_words, too_few_typical
from mlpbench.experiment.claims.hypothesis import (
    TYPICAL_LEAST,
    EveryReplicate,
    Hypothesis,
    SignTest,
    Test,
    TypicalTest,
    Wording,
    metric_quantity,
    middle_of,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.claims.selectors import at_words, averaged_factors, equal_weights
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition


class Bound(ClaimForm):
    """A metric above or below a number, in the mean, in the median, in the typical replicate or in every one."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["above"]}, {"required": ["below"]}]})
    name = "bound"
    selectors = ("where",)
    values = ("above", "below")

    where: dict[str, Any] = Field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    of: Literal["mean", "every", "median", "typical"] = "mean"

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.above is None) == (self.below is None):
            sides = "neither" if self.above is None else "both"
            raise ValueError(f"a bound has exactly one of 'above' and 'below', got {sides}")
        return self

    @property
    def own_test(self) -> str:
        """A bound of every replicate is observed, one of typical ones judged by studentised sign flips."""
        if self.of == "typical":
            return "a bound of typical replicates has its own test"
        return "a bound of every replicate is observed, not tested" if self.of == "every" else ""

    def check_options(self, test: str, interval: str, n: int, path: Path) -> None:
        """Raise SpecProblem for options, and for too few replicates."""
        super().check_options(test, interval, n, path)
        if self.of == "typical" and n < TYPICAL_LEAST:
            raise SpecProblem((*path, self.name, "of"), too_few_typical(n))

    @property
    def is_of_median(self) -> bool:
        """Whether it says `of: median`."""
        return self.of == "median"

    def for_test(self, test: str, path: Path) -> Self:
        """Return the bound of the median where the sign test is asked for: two ways to ask for one test."""
        if test != "sign":
            return self
        if self.of == "mean" and "of" in self.model_fields_set:
            rule = "the sign test is of the median, and this bound of the mean"
            raise SpecProblem((*path, "test"), f"{rule}, got {test!r}; did you mean 'of: median'?")
        return self.model_copy(update={"of": "median"})

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test of the metric against the bound."""
        above = self.above is not None
        limit = self.above if self.above is not None else self.below
        assert limit is not None
        side, sign = ("above", ">") if above else ("below", "<")
        own: dict[str, Test] = {"median": SignTest(), "typical": TypicalTest(), "every": EveryReplicate()}
        used = own.get(self.of, test)
        middle = middle_of(used)
        is_above, is_below = (f"the {middle} is {s} {{bound}}" for s in ("above", "below"))
        in_every = "in every replicate" if self.of == "every" else f"in the {middle}"
        name = f"{plain(self.metric)}{at_words(self.where)}"
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=equal_weights(self.where, conditions)),
            test=used,
            sense="greater" if above else "less",
            bound=limit,
            quantity=metric_quantity(name, self.metric, kind="level", plural="values"),
            wording=Wording(
                formula=f"{name}: {side} {limit:g} {in_every}",
                expected=f"{median_words(used)[0]}{sign} {{bound}}",
                supported=is_above if above else is_below,
                refuted=is_below if above else is_above,
                question=f"whether it {'exceeds' if above else 'is below'} {{bound}}",
                detectable="a distance of {reach} from {bound}",
            ),
            averaged=averaged_factors([self.where], design, conditions),
        )


class Matches(ClaimForm):
    """The mean of a metric is a published number, within a tolerance."""

    name = "matches"
    selectors = ("where",)
    values = ("value",)
    margins = ("tolerance",)

    where: dict[str, Any] = Field(default_factory=dict)
    value: float
    tolerance: float = Field(gt=0)

    @property
    def asks_for_nearness(self) -> str:
        """All that it asks."""
        return "matches"

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test that the metric is equivalent to the number."""
        name, middle = f"{plain(self.metric)}{at_words(self.where)}", middle_of(test)
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=equal_weights(self.where, conditions)),
            test=test,
            sense="equivalent",
            bound=self.tolerance,
            margin=self.tolerance,
            centre=self.value,
            quantity=metric_quantity(name, self.metric, kind="level", plural="values"),
            wording=Wording(
                formula=f"{name}: {self.value:g} within {self.tolerance:g} in the {middle}",
                expected="{plain_centre} within {bound}",
                supported=f"the {middle} lies within {{bound}} of {{centre}}",
                refuted=f"the {middle} lies beyond {{bound}} of {{centre}}",
                question="whether it lies within {bound} of {centre}",
                detectable="a distance of {reach} from the tolerance",
                equivalent=f"a {middle} of just {{centre}} as equivalent within {{reach}}",
            ),
            averaged=averaged_factors([self.where], design, conditions),
        )
