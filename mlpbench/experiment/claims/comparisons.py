"""Claims about a difference between conditions: `compare` two of them, or a weighted sum of several, a `contrast`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field

from mlpbench.base.models import Levels, Model, Path, SpecProblem, shown
from mlpbench.experiment.claims.claim_form import ClaimForm, median_words, too_few_typical
from mlpbench.experiment.claims.hypothesis import (
    TYPICAL_LEAST,
    Hypothesis,
    Sense,
    SignTest,
    Test,
    TypicalTest,
    Wording,
    metric_quantity,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.claims.selectors import (
    averaged_factors,
    confounded_levels,
    equal_weights,
    in_words,
    read_selector,
    shared_levels,
    without_zeros,
)
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import Metric, metric

ACCURACY_MARGIN = 0.002


class _Difference(ClaimForm):
    """A weighted sum of conditions, paired by replicate, that is expected to be beyond a margin, or within it."""

    margins = ("margin",)

    def stated(self) -> tuple[Sense, float | None]:
        """Return what is expected and the margin, None where none is stated."""
        raise NotImplementedError

    @property
    def asks_for_nearness(self) -> str:
        """An equivalence."""
        return "expect: equivalent" if self.stated()[0] == "equivalent" else ""

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem for an equivalence without a margin, or within one of 0, which no replicates show."""
        if self.stated() == ("equivalent", None) and not measured.is_accuracy:
            raise SpecProblem(path, f"equivalent on {plain(self.metric)} must state a margin")
        if self.stated() == ("equivalent", 0.0):
            raise SpecProblem((*path, "margin"), "margin must be greater than 0 where expect is equivalent, got 0")

    def with_selectors(self, design: Design, path: Path) -> Self:
        """Return the form with its selectors in canonical form, and the margin that differences of the metric have."""
        usual = ACCURACY_MARGIN if metric(self.metric).is_accuracy else 0.0
        form = super().with_selectors(design, path)
        return form if form.stated()[1] is not None else form.model_copy(update={"margin": usual})

    def weighted(self) -> list[tuple[float, Levels]]:
        """Return weights and selectors."""
        raise NotImplementedError

    def weights(self, conditions: Sequence[Condition]) -> dict[str, float]:
        """Return the weight of each condition in the sum; nothing of those that cancel out."""
        weights: dict[str, float] = {}
        largest = 0.0
        for weight, where in self.weighted():
            for condition_id, share in equal_weights(where, conditions).items():
                weights[condition_id] = weights.get(condition_id, 0.0) + weight * share
                largest = max(largest, abs(weight * share))
        return without_zeros(weights, largest)

    def test_of(self, test: Test) -> Test:
        """Return the test that judges the form, given the one that is asked for."""
        return test

    def in_words(self) -> str:
        """Return the sum in words."""
        raise NotImplementedError

    def sides(self) -> Sequence[str]:
        """Return the conditions with a positive and with a negative weight, in words."""
        return "terms with a positive weight", "terms with a negative weight"

    def outcomes(self) -> tuple[str, str] | None:
        """Return what replicates with a positive and a negative sum show, in words; None for a sum that is no comparison."""
        return None

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test of sum_c weight_c metric_c against the margin."""
        test = self.test_of(test)
        (expect, stated), (median, of_median) = self.stated(), median_words(test)
        margin = stated or 0.0
        wheres = [where for _, where in self.weighted()]
        name = f"{plain(self.metric)}: {self.in_words()}"
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=self.weights(conditions)),
            test=test,
            sense=expect,
            bound=0.0 - margin if expect == "less" else margin,
            margin=margin or None,
            quantity=metric_quantity(name, self.metric, kind="difference", plural="differences"),
            wording=difference_words(
                f"{name}, {_expected(expect, margin)}{of_median}", "difference", expect, margin, median, self.outcomes()
            ),
            averaged=averaged_factors(wheres, design, conditions),
            shared=shared_levels(wheres),
            confounded=confounded_levels(wheres, design, conditions),
            sides=self.sides(),
        )


def _expected(expect: Sense, margin: float) -> str:
    if expect == "equivalent":
        return f"equivalent within {margin:g}"
    return f"{expect} by {margin:g}" if margin else expect


def difference_words(
    formula: str,
    noun: str,
    sense: Sense,
    margin: float,
    median: str = "",
    outcomes: tuple[str, str] | None = None,
) -> Wording:
    """Return the words for a difference, or a slope, against its margin."""
    if sense == "equivalent":
        return Wording(
            formula=formula,
            expected=f"{median}within {{bound}}",
            supported=f"the {noun} lies within the margin of {{bound}}",
            refuted=f"the {noun} lies beyond the margin of {{bound}}",
            question="whether it lies within {bound}",
            detectable="a distance of {reach} from the margin",
            equivalent="the equivalence of equal conditions within {reach}",
            outcomes=outcomes,
        )
    greater = sense == "greater"
    gain = {"difference": ("advantage", "reduction"), "slope": ("rise", "fall")}[noun][0 if greater else 1]
    supported, refuted = (
        f"the {median}{gain} is above the margin of {{margin}}",
        f"any {median}{gain} is below the margin of {{margin}}",
    )
    if not margin:
        above, below = (f"the {median}{noun} is {side} {{bound}}" for side in ("above", "below"))
        supported, refuted = (above, below) if greater else (below, above)
    return Wording(
        formula=formula,
        expected=f"{median}{'>' if greater else '<'} {{bound}}",
        supported=supported,
        refuted=refuted,
        question=f"whether it {'exceeds' if greater else 'is below'} {{bound}}",
        detectable="a distance of {reach} from {bound}",
        outcomes=outcomes,
    )


class Compare(_Difference):
    """Metric of condition a against condition b, paired by replicate."""

    name = "compare"
    selectors = ("a", "b")

    a: dict[str, Any]
    b: dict[str, Any]
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)
    of: Literal["mean", "median", "typical"] | None = None

    @property
    def own_test(self) -> str:
        """A typical difference is judged by studentised sign flips."""
        return "a compare of typical replicates has its own test" if self.of == "typical" else ""

    @property
    def is_of_median(self) -> bool:
        """Whether it says `of: median`."""
        return self.of == "median"

    def check_options(self, test: str, interval: str, n: int, path: Path) -> None:
        """Raise SpecProblem for options, and for too few replicates."""
        super().check_options(test, interval, n, path)
        if self.of == "typical" and n < TYPICAL_LEAST:
            raise SpecProblem((*path, self.name, "of"), too_few_typical(n))

    def for_test(self, test: str, path: Path) -> Self:
        """Return the comparison in the one way in which it says of what it is: nothing of the mean, and of the median by sign test."""
        if test == "sign" and self.of == "mean":
            rule = "the sign test is of the median, and this compare of the mean"
            raise SpecProblem((*path, "test"), f"{rule}, got {test!r}; did you mean 'of: median'?")
        return self.model_copy(update={"of": None}) if test == "sign" or self.of == "mean" else self

    def test_of(self, test: Test) -> Test:
        """Return the sign test of the median, the test of typical replicates, or the test that is asked for."""
        own: dict[str, Test] = {"median": SignTest(), "typical": TypicalTest()}
        return own.get(self.of or "mean", test)

    def stated(self) -> tuple[Sense, float | None]:
        """Return what is expected and the margin."""
        return self.expect, self.margin

    def check_selectors(self, path: Path) -> None:
        """Raise SpecProblem where a is b."""
        if self.a == self.b:
            raise SpecProblem(path, f"a and b must differ, got {shown(self.a)} twice")

    def weighted(self) -> list[tuple[float, Levels]]:
        """Return 1 for a and -1 for b."""
        return [(1.0, self.a), (-1.0, self.b)]

    def in_words(self) -> str:
        """Return `a minus b`."""
        return f"{in_words(self.a)} minus {in_words(self.b)}"

    def sides(self) -> Sequence[str]:
        """Return a and b."""
        return in_words(self.a), in_words(self.b)

    def outcomes(self) -> tuple[str, str]:
        """Return `width=1024 better than width=256` and the same with `worse`, by the direction of the metric."""
        how = {
            "higher": ("better than", "worse than"),
            "lower": ("worse than", "better than"),
            "neither": ("above", "below"),
        }[metric(self.metric).better]
        above, below = (f"{in_words(self.a)} {words} {in_words(self.b)}" for words in how)
        return above, below


class Term(Model):
    """One weighted condition of a contrast."""

    weight: float
    where: dict[str, Any]


class Contrast(_Difference):
    """A weighted sum of conditions, paired by replicate."""

    name = "contrast"

    terms: list[Term] = Field(min_length=1)
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)

    def stated(self) -> tuple[Sense, float | None]:
        """Return what is expected and the margin."""
        return self.expect, self.margin

    def wheres(self) -> list[tuple[Path, Levels]]:
        """Return the selector of each term."""
        return [(("terms", i, "where"), term.where) for i, term in enumerate(self.terms)]

    def with_selectors(self, design: Design, path: Path) -> Self:
        """Return the form with the selectors of its terms in canonical form."""
        below = [(term, (*path, "terms", i, "where")) for i, term in enumerate(self.terms)]
        terms = [t.model_copy(update={"where": read_selector(design, t.where, at)}) for t, at in below]
        return super().with_selectors(design, path).model_copy(update={"terms": terms})

    def check_conditions(self, design: Design, conditions: Sequence[Condition], path: Path) -> None:
        """Raise SpecProblem where weights leave no condition, or are beyond the range of numbers."""
        super().check_conditions(design, conditions, path)
        rule = ""
        if not math.isfinite(sum(abs(t.weight) for t in self.terms)):
            rule = "the weights of a contrast must add up to a finite number"
        elif not self.weights(conditions):
            rule = "the weights of a contrast must not cancel out over the conditions"
        if rule:
            raise SpecProblem((*path, "terms"), f"{rule}, got {self.in_words()}")

    def weighted(self) -> list[tuple[float, Levels]]:
        """Return the terms."""
        return [(t.weight, t.where) for t in self.terms]

    def in_words(self) -> str:
        """Return `(width=16) - 2 (width=8) + ...`."""
        parts = [
            f"{'-' if t.weight < 0 else '+'} {'' if abs(t.weight) == 1 else f'{abs(t.weight):g} '}({in_words(t.where)})"
            for t in self.terms
        ]
        return " ".join(parts).removeprefix("+ ")
