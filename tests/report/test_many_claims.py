"""Over many experiments false discoveries are counted among all claims, and verdicts that would not stand are named."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.statistics.t_test import q_values
from mlpbench.report.many_claims import JudgedClaim, false_discoveries, judged_together


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_scipys(p: list[float]) -> None:
    np.testing.assert_allclose(q_values(p), stats.false_discovery_control(p), rtol=1e-12, atol=1e-300)


def test_of_what_is_discovered_five_percent_are_false_at_most() -> None:
    """2,000 indices of 100 claims, 80 of them about no effect."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(2_000):
        z = rng.normal(0, 1, 100) + np.where(np.arange(100) < 20, 3.0, 0.0)
        found = np.array(q_values((2 * stats.norm.sf(np.abs(z))).tolist())) <= 0.05
        shares.append(found[20:].sum() / max(1, found.sum()))
    error = np.std(shares) / np.sqrt(len(shares))
    print(f"false discovery rate {np.mean(shares):.4f} ± {2 * error:.4f}")
    assert np.mean(shares) <= 0.05 + 4 * error


def claim(experiment: str, name: str, verdict: str, p: float | None) -> JudgedClaim:
    return JudgedClaim(experiment=experiment, id=name, verdict=verdict, p=p)  # type: ignore[arg-type]


def test_verdicts_that_would_not_stand_are_named_and_claims_without_p_left_out() -> None:
    rest = [claim("b", f"c{i}", "undecided", 0.5) for i in range(8)]
    said = false_discoveries(
        [
            claim("a", "sure", "supported", 1e-6),
            claim("a", "close", "refuted", 0.03),
            claim("a", "seen", "supported", None),
            *rest,
        ]
    )
    assert "Over all 10 tested claims together" in said
    assert "1 of 2 decided verdicts stand; these would not: a close (q = 0.15)." in said
    assert said.endswith("A claim without a p (observed, exact, not judged, or of an older report) is left out.")
    assert false_discoveries([claim("a", "close", "refuted", 0.03)]) == "", "of one experiment Holm's method says it"
    assert false_discoveries([claim("a", "x", "supported", None), claim("b", "y", "supported", None)]) == ""


def test_where_nothing_is_decided_none_is_said_to_stand_and_one_claim_is_counted_as_one() -> None:
    open_ones = [claim(e, "c", "undecided", 0.5) for e in ("a", "b")]
    assert "interim analyses), none is decided." in false_discoveries(open_ones)
    assert judged_together(open_ones).short == "None of the 2 tested claims is decided."
    said = false_discoveries([*open_ones, claim("b", "one", "undecided", None)])
    assert said.endswith("A claim without a p (observed, exact, not judged, or of an older report) is left out.")
