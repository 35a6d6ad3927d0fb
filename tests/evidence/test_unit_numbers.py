"""The numbers one by one that a verdict rests on: their mean is its estimate, and each is the difference of its two sides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import WIDTHS, make, replace_metric, spec, width_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Verdict

ACCURACY = "test_accuracy"


def verdict_on(form: dict[str, Any], values: dict[tuple[int, int], float], replicates: int, **claim: Any) -> Verdict:
    claims = [{"id": "c", "says": "so", **form, **claim}]
    tables = make(spec(factors={"width": WIDTHS[:3]}, replicates=replicates, claims=claims))
    (verdict,) = judge_claims(*replace_metric(tables, ACCURACY, values).parts)
    return verdict


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=8))
def test_a_comparison_is_the_mean_of_differences_of_its_sides(rows: list[tuple[float, ...]]) -> None:
    values = {(i, r): row[i] for r, row in enumerate(rows) for i in range(3)}
    compare = {"metric": ACCURACY, "a": {"width": WIDTHS[2]}, "b": {"width": WIDTHS[0]}, "expect": "greater"}
    verdict = verdict_on({"compare": compare}, values, len(rows))
    numbers = verdict.numbers
    assert numbers.minuend == [row[2] for row in rows]
    assert numbers.subtrahend == [row[0] for row in rows]
    differences = np.subtract(numbers.minuend, numbers.subtrahend)
    np.testing.assert_allclose(numbers.known, differences, atol=1e-12)
    assert verdict.estimate == pytest.approx(float(differences.mean()), abs=1e-12)


@pytest.mark.parametrize("verdict", judge_claims(*width_tables().parts), ids=lambda v: v.claim.id)
def test_of_every_form_the_mean_of_the_numbers_is_the_estimate(verdict: Verdict) -> None:
    known = verdict.numbers.known
    assert len(known) == verdict.n
    assert verdict.estimate == pytest.approx(math.fsum(known) / len(known), rel=1e-9, abs=1e-12)
    assert bool(verdict.numbers.minuend) == (verdict.claim.id in ("wider-is-better", "wide-is-wide"))


def test_a_sum_that_is_no_difference_of_two_means_has_no_sides() -> None:
    terms = [{"weight": w, "where": {"width": WIDTHS[i]}} for i, w in enumerate((2.0, -1.0, -1.0))]
    values = {(i, r): 0.1 * i + 0.01 * r for i in range(3) for r in range(4)}
    form = {"metric": ACCURACY, "terms": terms, "expect": "greater"}
    verdict = verdict_on({"contrast": form}, values, 4)
    assert len(verdict.numbers.known) == 4
    assert not verdict.numbers.minuend


def test_what_never_came_to_a_loss_is_known_by_its_bounds_alone() -> None:
    form = {"metric": "steps_to_train_loss_0.000001", "a": {"width": 16}, "b": {"width": 8}, "expect": "less"}
    claims = [{"id": "c", "says": "so", "compare": form, "test": "sign"}]
    tables = make(spec(factors={"width": WIDTHS[:2]}, replicates=8, claims=claims))
    (verdict,) = judge_claims(*tables.parts)
    assert len(verdict.numbers.lower) == verdict.n == 8
    assert verdict.numbers.known == []
    assert all(map(math.isnan, verdict.numbers.minuend))
