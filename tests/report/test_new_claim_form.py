"""A form of claim is one class: defined here, it is read, offered by the schema, checked, judged and put into words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import WIDTHS, make, replace_metric, spec
from reports import report_of

from mlpbench.base.models import SpecProblem
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.experiment.claims.claim_form import FORMS, ClaimForm
from mlpbench.experiment.claims.hypothesis import Hypothesis, Test, Wording, metric_quantity
from mlpbench.experiment.claims.replicate_numbers import Bools, Measured, Numbers
from mlpbench.experiment.design import Design
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.json_schema import schema
from mlpbench.experiment.grid import Condition
from mlpbench.report.verdict_tables import terminal_table


@dataclass(frozen=True, kw_only=True)
class Lowest:
    """The lowest number among some conditions."""

    conditions: frozenset[str]

    def numbers(self, measured: Measured, bound: float, *, bounded: bool) -> Numbers:
        whole: Bools = np.asarray(~np.isnan(measured.value_RC).any(axis=1))
        lowest = measured.value_RC[whole].min(axis=1)
        return Numbers(whole=whole, lower=lowest, upper=lowest)

    def least_spread(self, steps: Mapping[str, float], n: int) -> float:
        return max(steps.values())


@pytest.fixture
def worst() -> Iterator[str]:
    """Define a ninth form, for as long as a test."""

    class Worst(ClaimForm):
        """The worst of all conditions is above a number."""

        name = "worst"

        above: float

        def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
            name = f"lowest {self.metric} of all conditions"
            return Hypothesis(
                metric=self.metric,
                number=Lowest(conditions=frozenset(c.condition_id for c in conditions)),
                test=test,
                sense="greater",
                bound=self.above,
                quantity=metric_quantity(name, self.metric, kind="level", plural="values"),
                wording=Wording(
                    formula=f"{name}: above {self.above:g}",
                    expected="worst > {bound}",
                    supported="even the worst condition is above {bound}",
                    refuted="the worst condition is below {bound}",
                    question="whether the worst condition exceeds {bound}",
                    detectable="a distance of {reach} from {bound}",
                ),
            )

    yield Worst.name
    del FORMS["worst"]


CLAIM = {"id": "all-good", "says": "All widths do well.", "worst": {"metric": "test_accuracy", "above": 0.5}}


def test_a_ninth_form_is_read_checked_and_written_as_the_others_are(worst: str) -> None:
    experiment = spec(factors={"width": WIDTHS}, claims=[CLAIM])
    assert experiment.claims[0].form.name == worst
    assert "above: 0.5" in yaml_reader.dump(experiment)
    assert worst in schema()["$defs"]["Claim"]["properties"]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"metric": "test_acuracy"}, "did you mean 'test_accuracy'?"),
        ({"abov": 1}, "did you mean 'above'?"),
    ]
    for wrong, said in refused:
        with pytest.raises(SpecProblem, match=re.escape(said)) as caught:
            spec(
                factors={"width": WIDTHS}, claims=[CLAIM | {"worst": {"metric": "test_accuracy", "above": 0.5} | wrong}]
            )
        assert caught.value.path[:3] == ("claims", 0, worst)


def test_a_ninth_form_is_judged_and_reported_as_the_others_are(worst: str) -> None:
    made = make(
        spec(factors={"width": WIDTHS}, claims=[CLAIM, CLAIM | {"id": "median", "test": "sign_flip"}], replicates=8)
    )
    values = {(i, r): 0.6 + 0.01 * i + 0.001 * r for i in range(len(WIDTHS)) for r in range(8)}
    made = replace_metric(made, "test_accuracy", values)
    verdict, flipped = judge_claims(*made.parts)
    assert (verdict.decision, flipped.decision) == ("supported", "supported")
    assert verdict.estimate == pytest.approx(0.6035)
    text = report_of(made).markdown
    assert "`lowest test_accuracy of all conditions: above 0.5`" in text
    assert "even the worst condition is above 0.5 (p < 0.001;" in text
    assert "worst > 0.5" in terminal_table([verdict])


def test_without_the_class_the_form_is_unknown() -> None:
    with pytest.raises(SpecProblem, match="unknown key 'worst'"):
        spec(factors={"width": WIDTHS}, claims=[CLAIM])
