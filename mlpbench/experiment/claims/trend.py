"""The claim that a metric rises or falls over the levels of a factor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from mlpbench.base.models import Path, SpecProblem, Value, shown
from mlpbench.experiment.claims.claim_form import ClaimForm, median_words
from mlpbench.experiment.claims.comparisons import difference_words
from mlpbench.experiment.claims.hypothesis import Hypothesis, Step, Test, metric_quantity
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.claims.selectors import (
    are_numbers,
    averaged_factors,
    equal_weights,
    factor_levels,
    in_words,
    selects,
    without_zeros,
)
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import Metric


class Trend(ClaimForm):
    """Slope of a metric over the levels of a factor, one slope per replicate, and the steps from each level to the next.

    A slope may rise although a step falls: the claim is supported only where no step goes the other way, and of
    `shape: monotone` where every step goes as expected.
    """

    name = "trend"
    margins = ("margin",)

    factor: str
    expect: Literal["rises", "falls"]
    scale: Literal["log", "linear", "rank"] = "linear"
    margin: float = Field(default=0.0, ge=0)
    shape: Literal["monotone"] | None = None

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem for a factor without two levels, or with levels that the scale can't place."""
        levels = factor_levels(design, self.factor, (*path, "factor"))
        if len(set(levels)) < 2:
            rule = f"a trend needs two levels or more, got {shown(list(levels))} for {self.factor}"
            raise SpecProblem((*path, "factor"), rule)
        if self.scale != "rank" and not are_numbers(levels):
            raise SpecProblem((*path, "factor"), f"scale {self.scale} needs numeric levels, got {shown(list(levels))}")
        if self.scale == "log" and any(v <= 0 for v in levels):  # type: ignore[operator]
            raise SpecProblem((*path, "scale"), f"scale log needs levels above 0, got {shown(list(levels))}")
        if self.scale == "linear":
            width = max(levels) - min(levels)  # type: ignore[operator,type-var]
            if not 0 < width * width < math.inf:
                rule = "scale linear needs levels so far apart that the square of their distance is a number above 0"
                raise SpecProblem((*path, "factor"), f"{rule}, got {shown(list(levels))}; did you mean 'scale: log'?")

    def check_conditions(self, design: Design, conditions: Sequence[Condition], path: Path) -> None:
        """Raise SpecProblem where some conditions, as those of a data set, have fewer than two of the levels."""
        super().check_conditions(design, conditions, path)
        if len(there := {c.levels[self.factor] for c in conditions}) < 2:
            rule = "a trend needs conditions at two levels or more"
            raise SpecProblem((*path, "factor"), f"{rule}, got {shown(list(there))} for {self.factor}")

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test of the least-squares slope over x, sum_c w_c metric_c, w_c = (x_c - mean x) / sum (x - mean x)^2.

        x is log2 of the level, the level itself, or its rank: of value where levels are numbers, else of the file.
        """
        levels = design.factors.get(self.factor) or design.zipped[self.factor]
        place, per = self._places(levels)
        x = [place[c.levels[self.factor]] for c in conditions]
        centre = math.fsum(x) / len(x)
        squares = math.fsum((v - centre) ** 2 for v in x)
        assert squares > 0, "a spec whose trend has one level is refused"
        slope = {c.condition_id: (v - centre) / squares for c, v in zip(conditions, x, strict=True)}
        margin = f" by more than {self.margin:g} {per}" if self.margin else ""
        every = " at every step" if self.shape else ""
        (median, of_median), name = median_words(test), f"{plain(self.metric)}: slope {per}"
        sense: Literal["greater", "less"] = "greater" if self.expect == "rises" else "less"
        wording = difference_words(
            f"{name}, {self.expect}{every}{margin}{of_median}", "slope", sense, self.margin, median
        )
        if self.shape == "monotone":
            # Without a margin every step says all: where each rises, the slope does.
            also = f"{wording.question} and " if self.margin else "whether "
            wording = replace(
                wording,
                supported=f"{wording.supported}, and every step {self.expect}",
                refuted=f"{wording.refuted}, or not every step {self.expect}"
                if self.margin
                else f"not every step {self.expect}",
                question=f"{also}every step {self.expect}",
            )
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=without_zeros(slope)),
            test=test,
            sense=sense,
            bound=self.margin if self.expect == "rises" else 0.0 - self.margin,
            margin=None if self.shape else self.margin or None,
            quantity=metric_quantity(name, self.metric, kind="slope", plural="slopes", per=per),
            wording=wording,
            averaged=averaged_factors([{self.factor: levels[0]}], design, conditions),
            sides=(f"higher levels of {self.factor}", f"lower levels of {self.factor}"),
            steps=self._steps(sorted(set(levels), key=lambda v: place[v]), conditions),
            every_step=self.shape == "monotone",
        )

    def _steps(self, levels: Sequence[Value], conditions: Sequence[Condition]) -> list[Step]:
        """Return for each pair of levels the mean at the later one minus that at the earlier one, adjacent pairs first."""
        there = [v for v in levels if any(selects({self.factor: v}, c) for c in conditions)]
        means = [equal_weights({self.factor: v}, conditions) for v in there]
        names = [in_words({self.factor: v}) for v in there]
        pairs = sorted(itertools.combinations(range(len(there)), 2), key=lambda pair: pair[1] - pair[0])
        return [
            Step(
                name=f"from {names[i]} to {names[j]}",
                number=WeightedSum(weights=means[j] | {c: -w for c, w in means[i].items()}),
                adjacent=j == i + 1,
            )
            for i, j in pairs
        ]

    def _places(self, levels: Sequence[Value]) -> tuple[dict[Value, float], str]:
        places: dict[Value, float] = {
            v: float(v) for v in levels if isinstance(v, int | float) and not isinstance(v, bool)
        }
        if self.scale == "rank":
            ranked = (
                sorted(set(levels), key=lambda v: places[v]) if set(places) == set(levels) else dict.fromkeys(levels)
            )
            return {v: float(i) for i, v in enumerate(ranked)}, f"per step of {self.factor}"
        if self.scale == "log":
            return {v: math.log2(x) for v, x in places.items()}, f"per doubling of {self.factor}"
        return places, f"per unit of {self.factor}"
