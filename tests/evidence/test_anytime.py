"""Claims that may be looked at whenever one likes: decided by e-values, which more replicates leave decided, and what is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from error_rates import at_most
from reports import report_of

from mlpbench.base.models import SpecProblem
from mlpbench.evidence.estimates.observe import observe
from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.claim_values import values_of
from mlpbench.evidence.judging.interim_analysis import Judgement
from mlpbench.evidence.judging.p_correction import process_of
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, UNDECIDED, claims_table
from mlpbench.evidence.statistics.e_process import anytime_interval, of_mean, of_median
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.spec import Experiment

MOST = 24


def claim(name: str, a: int, b: int, *, test: str = "t", **more: Any) -> dict[str, Any]:
    form = {"metric": "test_loss", "a": {"width": a}, "b": {"width": b}, "expect": "greater", "margin": 0.0} | more
    return {"id": name, "says": name, "compare": form, "test": test}


CLEAR, NEVER = claim("clear", 16, 8), claim("never", 32, 8)


def declared(claims: Any = (CLEAR, NEVER), most: int | None = MOST, **keys: Any) -> Experiment:
    until = {"anytime": True} | ({} if most is None else {"max_replicates": most})
    return spec(
        **{"factors": {"width": [8, 16, 32]}, "replicates": 5, "claims": list(claims), "until_decided": until} | keys
    )


def tables(experiment: Experiment, differences_CR: Any, there: int = MOST) -> Tables:
    """Return tables in which widths 16 and 32 differ from 8 by given numbers, with so many replicates."""
    whole = experiment.model_copy(update={"replicates": there, "until_decided": None})
    full = make(whole)
    losses = {(0, r): 2.0 for r in range(there)}
    losses |= {(i + 1, r): 2.0 + float(differences_CR[i][r]) for i in range(2) for r in range(there)}
    return replace_metric(Tables(experiment, full.conditions, full.runs, full.curves), "test_loss", losses)


def draws(clear: float = 3.0, never: float = 0.0, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return [rng.normal(clear, 1, MOST), rng.normal(never, 1, MOST)]


def judged(experiment: Experiment, differences_CR: Any, there: int = MOST) -> Judgement:
    return interim_analysis.judge(*tables(experiment, differences_CR, there).parts)


def test_a_claim_is_decided_where_e_reached_m_over_5_percent() -> None:
    x = draws()
    found = judged(declared(), x)
    for verdict, values in zip(found.verdicts, x, strict=True):
        e, side, _ = of_mean(values, 0.0).largest()
        assert verdict.e_value == pytest.approx(e, rel=1e-6)
        assert verdict.p == pytest.approx(min(1, 1 / e), rel=1e-6)
        assert verdict.p_corrected == pytest.approx(min(1.0, 2 / e), rel=1e-6)
        expected = UNDECIDED if e < 2 / ALPHA else SUPPORTED if side > 0 else REFUTED
        assert verdict.decision == expected
        assert verdict.anytime_interval is not None
        ends = (verdict.anytime_interval.low, verdict.anytime_interval.high)
        assert ends == pytest.approx(anytime_interval(values), rel=1e-6)
    assert [v.decision for v in found.verdicts] == [SUPPORTED, UNDECIDED]
    rows = claims_table(found.verdicts).set_index("id")
    clear = rows.to_dict("index")["clear"]
    assert clear["e_value"] >= 40
    assert clear["low_anytime"] < clear["low"]


@pytest.mark.parametrize("there", [5, 6, 8, 11, 16])
def test_undecided_claims_alone_ask_for_half_as_many_again_whatever_there_is(there: int) -> None:
    found = judged(declared(), draws(), there)
    n = min(MOST, there + max(2, -(-there // 2)))
    is_clear = found.verdicts[0].decision == SUPPORTED
    assert is_clear == (there >= 8)  # of fewer than 7, no t makes e 40
    assert found.replicates == [n, there if is_clear else n, n]


def test_a_claim_that_was_decided_stays_so_whatever_comes() -> None:
    x = draws()
    later = [np.concatenate([x[0][:8], x[0][8:] - 6]), x[1]]
    first, then = judged(declared(), x, 8), judged(declared(), later)
    assert [v.verdicts[0].decision for v in (first, then)] == [SUPPORTED, SUPPORTED]
    assert then.verdicts[0].n == MOST
    assert then.verdicts[0].e_value == pytest.approx(first.verdicts[0].e_value, rel=1e-6)


def test_fewer_replicates_than_it_starts_with_decide_nothing() -> None:
    found = judged(declared(replicates=9), draws(), 8)
    assert [v.decision for v in found.verdicts] == [UNDECIDED, UNDECIDED]
    assert found.replicates == [9, 9, 9]
    assert "8 of the first 9 replicates are there" in found.verdicts[0].note


def test_medians_and_equivalences_have_e_values_of_their_own() -> None:
    x = draws()
    claims = [claim("sign", 16, 8, test="sign"), claim("near", 32, 8, expect="equivalent", margin=5.0)]
    sign, near = judged(declared(claims, replicates=6), x).verdicts
    assert sign.e_value == pytest.approx(of_median(x[0], x[0], 0.0).largest()[0])
    assert near.e_value == pytest.approx(of_mean(x[1], 5.0, equivalent=True).largest()[0], rel=1e-6)
    assert (sign.decision, near.decision) == (SUPPORTED, SUPPORTED)


def test_evidence_may_start_at_a_later_replicate() -> None:
    """As that of a claim does that was stated when the first ones had been looked at."""
    x = draws()
    made = tables(declared(), x)
    whole = made.experiment.model_copy(update={"replicates": MOST})
    observed = observe(whole, made.conditions, made.runs)
    hypothesis = whole.claims[0].hypothesis(whole, made.conditions)
    (values,) = values_of(hypothesis, whole, made.conditions, observed, made.curves)
    assert process_of(hypothesis, values, first=8).e == pytest.approx(of_mean(x[0][8:], 0.0).e, rel=1e-6)


def test_the_report_says_how_it_was_judged() -> None:
    text = report_of(tables(declared(), draws())).markdown
    assert "each of m claims is judged by an e-process" in text
    assert "| p (corrected) |" in text
    assert "interval at any time" in text
    assert "Holm" not in text


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"until_decided": {"anytime": False}}, "until_decided needs max_replicates: N or anytime: true, got neither"),
        ({"claims": [claim("a", 16, 8, test="sign_flip")], "replicates": 6}, "claims judged by t or sign, got 'sign_flip'"),
        ({"nuisance": {"lr": [0.1, 0.2]}, "validation": 0.1, "fixed": {"batch_size": 256, "epochs": 1}},
         "settings that each replicate tunes for itself"),
        ({"claims": []}, "until_decided needs claims to decide"),
        ({"claims": [{"id": "t", "says": "t", "trend": {"metric": "test_loss", "factor": "width", "expect": "falls",
                                                        "shape": "monotone"}}]}, "claims of one number, got 'monotone'"),
    ],
)  # fmt: skip
def test_what_has_no_e_process_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecProblem, match=message):
        declared(**{"most": None} | keys)


@pytest.mark.parametrize("repeats", [4, pytest.param(1_000, marks=pytest.mark.prove)])
@pytest.mark.usefixtures("no_outlook")
def test_no_difference_is_decided_in_at_most_five_percent_of_experiments(repeats: int) -> None:
    """Through the tables, with two claims, whatever the number of replicates at which one looks."""
    experiment = declared()
    wrong = 0
    for seed in range(repeats):
        found = judged(experiment, draws(clear=0.0, seed=seed))
        wrong += any(v.decision != UNDECIDED for v in found.verdicts)
    at_most("experiments of two claims without a difference, to 24 replicates", wrong, repeats)
