"""Trends: a slope alone supports nothing where a step goes back, and `shape: monotone` needs every step.

Rates are counted over simulated experiments, through the tables; `make prove` counts more of them, and prints them all.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, judged_table, make, replace_metric, spec
from error_rates import at_most, say
from scipy import stats

from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.trend_steps import EveryStep, StepGoesBack, StepNotJudged, judge_step
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.words import verdict_sentence

METRIC = "test_accuracy"
WIDTHS = [8, 16, 32, 64]
# Four rounds of noise whose means are 0, so that steps are what they are said to be.
NOISE = np.array(
    [[1, -1, 2, -2, 1, -1, 0, 0], [-1, 2, 0, 1, -2, 0, 1, -1], [2, 0, -1, 0, 1, -2, -1, 1], [0, 1, 1, -2, 0, 0, -1, 1]]
)
SAMPLES = pytest.mark.parametrize("repeats", [40, pytest.param(1000, marks=pytest.mark.prove)])


def trend(expect: str = "rises", test: str = "t", **more: Any) -> dict[str, Any]:
    form = {"metric": METRIC, "factor": "width", "expect": expect, "scale": "log"} | more
    return {"id": "c", "says": "It does.", "trend": form, "test": test}


def blank(claim: dict[str, Any], n: int, levels: Sequence[int] = WIDTHS, **more: Any) -> Tables:
    made = make(spec(factors={"width": list(levels)}, claims=[claim], replicates=n), **more)
    return replace(made, curves=made.curves.iloc[:0])


def judged(made: Tables, table: Any) -> Verdict:
    values = {(i, r): float(v) for i, row in enumerate(table) for r, v in enumerate(row)}
    (verdict,) = judge_claims(*replace_metric(made, METRIC, values).parts)
    return verdict


def levels(*means: float, spread: float = 1e-3) -> Any:
    return 0.8 + np.array(means)[:, None] + spread * NOISE[: len(means)]


@pytest.mark.parametrize("test", ["t", "sign_flip", "sign"])
@pytest.mark.parametrize(("expect", "sign"), [("rises", 1), ("falls", -1)])
@pytest.mark.parametrize(
    ("means", "where"),
    [
        ((0.0, 0.04, 0.08, 0.05), "from width=32 to width=64"),
        ((0.05, 0.0, 0.08, 0.12), "from width=8 to width=16"),
    ],
)
def test_a_slope_is_not_enough_where_a_step_goes_back(
    means: tuple[float, ...], where: str, expect: str, sign: int, test: str
) -> None:
    verdict = judged(blank(trend(expect, test), 8), levels(*(sign * m for m in means)))
    assert verdict.p_corrected is not None
    assert verdict.p_corrected <= 0.05
    assert sign * (verdict.estimate or 0) > 0, "the slope alone would support the claim"
    assert verdict.decision == "undecided"
    assert isinstance(verdict.withheld, StepGoesBack)
    assert verdict.withheld in verdict.caveats
    assert where in verdict.withheld.sentence
    assert verdict.outlook.more_replicates is None, "replicates are not what is missing"
    assert "yet the claim is not supported" in verdict_sentence(verdict)


def test_what_goes_back_little_by_little_shows_in_longer_steps_alone() -> None:
    table = 0.8 + np.array([0.0, 0.1, 0.0975, 0.095])[:, None] + 1e-3 * np.array([1, 1, 8, 1])[:, None] * NOISE
    verdict = judged(blank(trend(), 8), table)
    assert isinstance(verdict.withheld, StepGoesBack)
    assert verdict.withheld.steps == "3 longer steps"
    assert verdict.withheld.name == "from width=16 to width=64"


def test_p_of_a_step_is_the_paired_t_test_by_holms_method() -> None:
    table = levels(0.0, 0.04, 0.08, 0.0775)
    verdict = judged(blank(trend(), 8), table)
    assert isinstance(verdict.withheld, StepGoesBack)
    p = stats.ttest_rel(table[3], table[2], alternative="less").pvalue
    assert verdict.withheld.p == pytest.approx(3 * p)


def test_a_refuted_slope_stays_refuted_and_a_trend_without_a_reversal_supported() -> None:
    falling = levels(0.08, 0.0, 0.04, 0.0)
    assert judged(blank(trend("rises"), 8), falling).decision == "refuted"
    assert judged(blank(trend("rises"), 8), levels(0.0, 0.04, 0.08, 0.12)).decision == "supported"


def test_the_middle_level_counts_although_a_slope_over_three_levels_has_no_weight_for_it() -> None:
    made = blank(trend(scale="rank"), 8, WIDTHS[:3])
    verdict = judged(made, levels(0.0, 0.2, 0.1))
    assert verdict.decision == "undecided"
    assert isinstance(verdict.withheld, StepGoesBack)
    lost = blank(trend(scale="rank"), 8, WIDTHS[:3], status={(1, r): "failed" for r in range(8)})
    verdict = judged(lost, levels(0.0, 0.2, 0.1))
    assert verdict.decision == "undecided"
    assert isinstance(verdict.withheld, StepNotJudged)


def test_monotone_needs_every_step_and_its_p_is_the_largest_of_one_sided_ones() -> None:
    made = blank(trend(shape="monotone"), 8)
    rising, flat = levels(0.0, 0.04, 0.08, 0.12), levels(0.0, 0.04, 0.0402, 0.12)
    assert judged(made, rising).decision == "supported"
    verdict = judged(made, flat)
    assert verdict.decision == "undecided"
    steps = [stats.ttest_rel(b, a, alternative="greater").pvalue for a, b in itertools.pairwise(flat)]
    assert verdict.p == pytest.approx(max(steps))
    (weakest,) = (c for c in verdict.caveats if isinstance(c, EveryStep))
    assert weakest.name == "from width=16 to width=32"
    back = judged(made, levels(0.0, 0.04, 0.02, 0.12))
    assert back.decision == "refuted"
    assert "not every step rises" in verdict_sentence(back)


def test_numbers_that_follow_from_the_settings_have_steps_without_a_test() -> None:
    for shape, decision in (({}, "undecided"), ({"shape": "monotone"}, "refuted")):
        claim = trend(metric="flops", scale="rank", **shape)
        made = replace_metric(
            blank(claim, 4), "flops", {(i, r): v for i, v in enumerate((1, 5, 9, 8)) for r in range(4)}
        )
        (verdict,) = judge_claims(*made.parts)
        assert (verdict.decision, verdict.p) == (decision, None)
        assert ("the other way (exactly)" in verdict.note) == (decision == "undecided")


def test_shape_is_written_as_it_is_read_and_refuses_other_words() -> None:
    (claim,) = spec(factors={"width": WIDTHS}, claims=[trend(shape="monotone")]).claims
    assert claim.as_written()["trend"]["shape"] == "monotone"
    (plain,) = spec(factors={"width": WIDTHS}, claims=[trend()]).claims
    assert "shape" not in plain.as_written()["trend"]
    with pytest.raises(ValueError, match="shape must be 'monotone'"):
        spec(factors={"width": WIDTHS}, claims=[trend(shape="convex")])


def test_order_of_levels_in_the_file_changes_nothing() -> None:
    table = levels(0.0, 0.04, 0.08, 0.05)
    one = judged_table(*replace_metric(blank(trend(), 8), METRIC, _cells(table)).parts)
    other = judged_table(*replace_metric(blank(trend(), 8, WIDTHS[::-1]), METRIC, _cells(table[::-1])).parts)
    pd.testing.assert_frame_equal(one, other)


def _cells(table: Any) -> dict[tuple[int, int], float]:
    return {(i, r): float(v) for i, row in enumerate(table) for r, v in enumerate(row)}


def simulated(claim: dict[str, Any], means: Sequence[float], repeats: int, seed: int) -> tuple[Counter[str], int]:
    """Return verdicts on simulated experiments with 10 replicates, and how many the slope alone would have supported."""
    made, rng = blank(claim, 10), np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    before = 0
    for _ in range(repeats):
        table = 0.8 + 0.002 * (np.array(means)[:, None] + rng.normal(0, 1, (1, 10)) + rng.normal(0, 1, (4, 10)))
        slopes = (np.arange(4) - 1.5) @ table
        before += int(stats.ttest_1samp(slopes, 0).pvalue <= 0.05 and slopes.mean() > 0)
        counts[judged(made, table).decision] += 1
    return counts, before


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
def test_a_trend_with_a_reversed_step_is_seldom_supported(repeats: int) -> None:
    """Steps of 4, 4 and -2 sd of a run: 10 replicates see the last one almost always."""
    counts, before = simulated(trend(), (0, 4, 8, 6), repeats, seed=1)
    say("reversed by 2 sd, supported before", before, repeats)
    at_most("reversed by 2 sd, supported now", counts["supported"], repeats)
    assert before > 0.95 * repeats


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
def test_a_trend_that_goes_back_little_by_little_is_mostly_withheld(repeats: int) -> None:
    counts, before = simulated(trend(), (0, 6, 5.2, 4.4), repeats, seed=2)
    say("reversed by 0.8 and 0.8 sd, supported before", before, repeats)
    say("reversed by 0.8 and 0.8 sd, supported now", counts["supported"], repeats)
    assert counts["supported"] < 0.5 * before


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
def test_a_trend_that_levels_off_is_seldom_withheld(repeats: int) -> None:
    """The worst that a trend which goes back nowhere can be, in each of the two families at most 5%."""
    counts, before = simulated(trend(), (0, 6, 6, 6), repeats, seed=3)
    assert before == repeats
    at_most("levels off, withheld", repeats - counts["supported"], repeats, rate=0.1)


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
@pytest.mark.parametrize(
    "means", [(0, 4, 4, 8), (0, 4, 3, 8), (0, 0, 0, 0)], ids=["flat step", "reversed step", "flat"]
)
def test_monotone_is_supported_wrongly_in_at_most_five_percent(means: tuple[float, ...], repeats: int) -> None:
    counts, before = simulated(trend(shape="monotone"), means, repeats, seed=4)
    say(f"steps of {means}, supported by the slope alone", before, repeats)
    at_most(f"steps of {means}, monotone supported", counts["supported"], repeats)


@SAMPLES
@pytest.mark.usefixtures("no_outlook")
def test_monotone_is_refuted_wrongly_in_at_most_five_percent_and_has_power(repeats: int) -> None:
    """Steps next to nothing are the hardest; steps of 2 sd are found by 10 replicates."""
    counts, _ = simulated(trend(shape="monotone"), (0, 1e-6, 2e-6, 3e-6), repeats, seed=5)
    at_most("monotone by next to nothing, refuted", counts["refuted"], repeats)
    counts, _ = simulated(trend(shape="monotone"), (0, 2, 4, 6), repeats, seed=6)
    say("monotone by 2 sd a step, supported", counts["supported"], repeats)
    assert counts["supported"] > 0.9 * repeats


def test_words_of_monotone_with_a_margin_say_both() -> None:
    """The slope may be below the margin although every step rises."""
    verdict = judged(blank(trend(shape="monotone", margin=0.1), 8), levels(0.0, 0.01, 0.02, 0.03))
    assert verdict.decision == "refuted"
    assert "any rise is below the margin of 10 pp, or not every step rises" in verdict_sentence(verdict)
    wording = verdict.hypothesis.wording
    assert wording.supported == "the rise is above the margin of {margin}, and every step rises"
    assert wording.question == "whether it exceeds {bound} and every step rises"
    plain = judged(blank(trend(shape="monotone"), 8), levels(0.0, 0.01, 0.02, 0.03)).hypothesis.wording
    assert (plain.refuted, plain.question) == ("not every step rises", "whether every step rises")


def values_of_step(x: Any) -> ClaimValues:
    n = len(x)
    return ClaimValues(
        complete=x, lower=x, upper=x, planned=n, left_out={}, censored=False, least_spread=0.0, conditions=(), data=(),
        table=x[:, None], run_ids=np.empty((n, 1), dtype=object), replicates=np.arange(n),
    )  # fmt: skip


@pytest.mark.parametrize("test", ["t", "sign"])
@pytest.mark.parametrize(("expect", "sign"), [("rises", 1), ("falls", -1)])
def test_who_looks_whenever_they_like_has_steps_that_hold_at_any_time(expect: str, sign: int, test: str) -> None:
    made = blank(trend(expect, test), 8)
    (claim,) = made.experiment.claims
    hypothesis = claim.hypothesis(made.experiment, made.conditions)
    rng = np.random.default_rng(0)
    back, forth = (values_of_step(sign * rng.normal(shift, 1, 40)) for shift in (-2.0, 2.0))
    step = hypothesis.steps[0]
    assert judge_step(step, hypothesis, back, anytime=True).back < 1e-4
    assert judge_step(step, hypothesis, back, anytime=True).forth > 0.2
    assert judge_step(step, hypothesis, forth, anytime=True).forth < 1e-4
    # What was seen once stays: replicates that are added make no p larger.
    seen = [judge_step(step, hypothesis, values_of_step(back.complete[:n]), anytime=True).back for n in range(6, 41)]
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("repeats", [100, pytest.param(2_000, marks=pytest.mark.prove)])
def test_a_flat_step_is_seldom_found_to_go_back_however_often_one_looks(repeats: int) -> None:
    made = blank(trend(), 8)
    (claim,) = made.experiment.claims
    hypothesis = claim.hypothesis(made.experiment, made.conditions)
    rng, now, before = np.random.default_rng(8), 0, 0
    for _ in range(repeats):
        x = rng.normal(0, 1, 60)
        now += judge_step(hypothesis.steps[0], hypothesis, values_of_step(x), anytime=True).back <= 0.05
        before += any(
            judge_step(hypothesis.steps[0], hypothesis, values_of_step(x[:n])).back <= 0.05 for n in range(5, 61)
        )
    say("flat step, looked at after each of 5 to 60 replicates, goes back at fixed n", before, repeats)
    at_most("flat step, looked at after each of 5 to 60 replicates, goes back at any time", now, repeats)
    assert before > 0.1 * repeats
