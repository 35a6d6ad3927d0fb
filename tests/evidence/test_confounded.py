"""A comparison whose sides are means over different levels of a further factor decides nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec

from mlpbench.evidence.judging.caveats import Confounded
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict

SIDES = {"a": {"width": 16}, "b": {"width": 8}}
FORMS: list[dict[str, Any]] = [
    {"compare": {"metric": "test_accuracy", "expect": "greater", **SIDES}},
    {
        "contrast": {
            "metric": "test_accuracy",
            "expect": "greater",
            "terms": [{"weight": 1, "where": {"width": 16}}, {"weight": -1, "where": {"width": 8}}],
        }
    },
]


def judged(factors: dict[str, Any], form: dict[str, Any]) -> Verdict:
    made = make(spec(factors=factors, claims=[{"id": "c", "says": "x"} | form], replicates=6))
    noise = np.random.default_rng(0).normal(0, 1e-4, (len(made.conditions), 6))
    values = {
        (i, r): 0.8 + 0.1 * (c.levels["width"] == 16) + noise[i, r]
        for i, c in enumerate(made.conditions)
        for r in range(6)
    }
    (verdict,) = judge_claims(*replace_metric(made, "test_accuracy", values).parts)
    return verdict


@pytest.mark.parametrize("form", FORMS, ids=["compare", "contrast"])
@pytest.mark.parametrize(
    ("lr", "levels"),
    [
        ([0.1, 0.2, 0.1, 0.3], "lr (0.1, 0.3 against 0.1, 0.2)"),
        ([0.1, 0.2, 0.3, 0.3], "lr (0.3 against 0.1, 0.2)"),
    ],
)
def test_sides_with_different_levels_are_confounded(form: dict[str, Any], lr: list[float], levels: str) -> None:
    verdict = judged({"zip": {"width": [8, 8, 16, 16], "lr": lr, "dropout": [0.0, 0.5, 0.0, 0.5]}}, form)
    assert (verdict.decision, verdict.p) == ("undecided", None)
    assert isinstance(verdict.withheld, Confounded)
    assert verdict.withheld.factors == (levels,)
    assert "confounded with lr" in verdict.note


@pytest.mark.parametrize("form", FORMS, ids=["compare", "contrast"])
@pytest.mark.parametrize(
    "factors",
    [
        {"width": [8, 16], "lr": [0.1, 0.2]},
        {"zip": {"width": [8, 8, 16, 16], "lr": [0.1, 0.2, 0.1, 0.2]}},
        {"zip": {"width": [8, 16], "lr": [0.1, 0.2]}},
    ],
    ids=["crossed", "balanced", "one with each"],
)
def test_sides_with_the_same_levels_or_one_that_goes_with_the_side_are_not(
    form: dict[str, Any], factors: dict[str, Any]
) -> None:
    assert judged(factors, form).decision == "supported"
