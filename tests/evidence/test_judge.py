"""Claims: each form is the right number per replicate, judged by the right test, and says what it left out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import WIDTHS, Tables, judged_table, make, replace_metric, spec, width_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpbench.evidence.statistics.assurance import assurance
from mlpbench.evidence.statistics.t_test import Sample

ACCURACY = "test_accuracy"


def compare(expect: str = "greater", metric: str = ACCURACY, **more: Any) -> dict[str, Any]:
    sides = {"a": {"width": 16}, "b": {"width": 8}} | more
    return {"id": "c", "says": "It does.", "compare": {"metric": metric, "expect": expect, **sides}}


def bound(**more: Any) -> dict[str, Any]:
    return {"id": "c", "says": "It does.", "bound": {"metric": ACCURACY, "where": {"width": 8}, **more}}


def tables(*claims: dict[str, Any], values: dict[tuple[int, int], float] | None = None, **more: Any) -> Tables:
    """Two widths with five replicates, test accuracies as given."""
    keys: dict[str, Any] = {"factors": {"width": [8, 16]}, "replicates": 5} | more
    status = keys.pop("status", None)
    made = make(spec(claims=[c | {"id": f"c{i}"} for i, c in enumerate(claims)], **keys), status=status)
    return replace_metric(made, ACCURACY, values or {})


def grid_values(*rows: list[float]) -> dict[tuple[int, int], float]:
    return {(i, r): v for i, row in enumerate(rows) for r, v in enumerate(row)}


def only(made: Tables) -> dict[str, Any]:
    (row,) = judged_table(*made.parts).to_dict("records")
    return {str(k): v for k, v in row.items()}


def test_compare_is_the_paired_t_test_against_the_margin() -> None:
    a, b = [0.85, 0.86, 0.87, 0.85, 0.88], [0.84, 0.85, 0.85, 0.85, 0.86]
    row = only(tables(compare(margin=0.002), values=grid_values(b, a)))
    d = np.subtract(a, b)
    assert row["n"] == 5
    assert row["estimate"] == pytest.approx(d.mean())
    assert row["p"] == pytest.approx(stats.ttest_1samp(d, popmean=0.002).pvalue)
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


# Five differences whose sd is 0.001: t against the margin decides clearly, one way or the other.
NOISE = np.array([-0.001, -0.001, 0.0, 0.001, 0.001])
CASES = [
    ("greater", 0.002, 0.010, "supported"),
    ("greater", 0.002, 0.002, "at the margin"),
    ("greater", 0.002, 0.0025, "undecided"),
    ("greater", 0.002, -0.003, "refuted"),
    ("greater", 0.010, 0.004, "refuted"),
    ("less", 0.002, -0.010, "supported"),
    ("less", 0.002, -0.002, "at the margin"),
    ("less", 0.002, -0.0025, "undecided"),
    ("less", 0.010, -0.004, "refuted"),
    ("less", 0.0, 0.005, "refuted"),
    ("equivalent", 0.005, 0.0005, "supported"),
    ("equivalent", 0.002, 0.002, "at the margin"),
    ("equivalent", 0.002, 0.0025, "undecided"),
    ("equivalent", 0.002, 0.008, "refuted"),
    ("equivalent", 0.002, -0.008, "refuted"),
]


@pytest.mark.parametrize(("expect", "margin", "difference", "verdict"), CASES)
def test_verdicts_lie_on_the_right_side_of_the_margin(
    expect: str, margin: float, difference: float, verdict: str
) -> None:
    a = list(0.85 + difference + NOISE)
    row = only(tables(compare(expect, margin=margin), values=grid_values([0.85] * 5, a)))
    assert row["verdict"] == verdict
    assert math.isnan(row["detectable"]) == (verdict != "undecided")


@pytest.mark.parametrize(("difference", "side"), [(0.001, "tost"), (-0.004, "less"), (0.004, "greater")])
def test_equivalence_takes_its_p_by_where_the_estimate_lies(difference: float, side: str) -> None:
    d = difference + NOISE
    row = only(tables(compare("equivalent", margin=0.002), values=grid_values([0.85] * 5, list(0.85 + d))))
    if side == "tost":
        above = stats.ttest_1samp(d, -0.002, alternative="greater").pvalue
        expected = max(above, stats.ttest_1samp(d, 0.002, alternative="less").pvalue)
    else:
        beyond: Any = side
        bounds = (math.copysign(0.002, difference), -math.copysign(0.002, difference))
        expected = sum(stats.ttest_1samp(d, bound, alternative=beyond).pvalue for bound in bounds)
    assert row["p"] == pytest.approx(expected)


def test_trend_is_the_slope_of_a_straight_line_in_every_replicate() -> None:
    claims = [
        {"id": s, "says": "x", "trend": {"metric": ACCURACY, "factor": "width", "expect": "rises", "scale": s}}
        for s in ("log", "linear", "rank")
    ]
    made = make(spec(factors={"width": WIDTHS}, claims=claims))
    wide = made.runs.pivot(index="replicate", columns="width", values=ACCURACY)
    axes = {"log": np.log2(WIDTHS), "linear": np.array(WIDTHS), "rank": np.arange(8)}
    for row in judged_table(*made.parts).to_dict("records"):
        slopes = np.array([np.polyfit(axes[row["id"]], values, 1)[0] for values in wide[WIDTHS].to_numpy()])
        assert row["estimate"] == pytest.approx(slopes.mean())
        assert row["p"] == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue, rel=1e-6)


def test_rank_follows_the_value_of_numbers_and_the_file_for_words() -> None:
    trend = {"metric": ACCURACY, "factor": "width", "expect": "rises", "scale": "rank"}
    falling = only(make(spec(factors={"width": [512, 8]}, claims=[{"id": "t", "says": "x", "trend": trend}])))
    assert falling["estimate"] > 0
    trend = trend | {"factor": "activation"}
    words = make(spec(factors={"activation": ["tanh", "relu"]}, claims=[{"id": "t", "says": "x", "trend": trend}]))
    by = words.runs.groupby("activation")[ACCURACY].mean()
    assert only(words)["estimate"] == pytest.approx(by["relu"] - by["tanh"])


def test_contrast_is_the_weighted_sum() -> None:
    made = width_tables()
    row = judged_table(*made.parts).set_index("id").loc["gain-levels-off"]
    wide = made.runs.pivot(index="replicate", columns="width", values=ACCURACY)
    d = wide[16] - wide[8] - wide[1024] + wide[512]
    assert row["estimate"] == pytest.approx(d.mean())
    assert row["p"] == pytest.approx(stats.ttest_1samp(d, 0.002).pvalue)


def test_a_bound_tests_the_mean_against_the_number() -> None:
    values = grid_values([0.85, 0.86, 0.87, 0.85, 0.88])
    above, below = judged_table(*tables(bound(above=0.8), bound(below=0.8), values=values).parts).to_dict("records")
    assert above["p"] == pytest.approx(stats.ttest_1samp([0.85, 0.86, 0.87, 0.85, 0.88], 0.8).pvalue)
    assert (above["verdict"], below["verdict"]) == ("supported", "refuted")


def test_factors_left_out_are_averaged_within_the_replicate() -> None:
    claim = compare("greater")
    made = make(spec(factors={"width": [8, 16], "activation": ["relu", "tanh", "gelu"]}, claims=[claim]))
    row = only(made)
    mean = made.runs.groupby(["replicate", "width"])[ACCURACY].mean().unstack()
    assert row["estimate"] == pytest.approx((mean[16] - mean[8]).mean())
    assert row["p"] == pytest.approx(stats.ttest_1samp(mean[16] - mean[8], 0.002).pvalue)
    assert "Averaged over activation with equal weights." in row["note"]


def test_levels_both_sides_share_are_named_as_held() -> None:
    claim = compare(a={"width": 16, "activation": "tanh"}, b={"width": 8, "activation": "tanh"})
    row = only(make(spec(factors={"width": [8, 16], "activation": ["relu", "tanh"]}, claims=[claim])))
    assert (
        row["fixed"] == "depth=1, init=normal(0.01), optimizer=sgd, lr=0.1, batch_size=256, epochs=10, activation=tanh"
    )
    assert "Averaged" not in row["note"]


def test_holm_corrects_over_the_claims_of_the_experiment() -> None:
    frame = judged_table(*width_tables().parts)
    tested = frame[~frame["observed"]]
    order = tested.sort_values("p")["p"].to_numpy()
    smallest = min(1.0, order[0] * len(order))
    assert tested["p_holm"].min() == pytest.approx(smallest)
    assert (tested["p_holm"] >= tested["p"]).all()
    assert len(tested) == 5


def test_a_p_below_five_percent_is_not_enough_for_one_of_many_claims() -> None:
    values = grid_values([0.85] * 5, list(0.85 + 0.0035 + NOISE))
    alone = only(tables(compare(), values=values))
    assert 0.005 < alone["p"] < 0.05
    assert alone["verdict"] == "supported"
    hopeless = [compare(metric="val_loss")] * 9  # not measured: no p, and still members of the family
    among = judged_table(*tables(compare(), *hopeless, values=values).parts).iloc[0]
    assert among["p"] == alone["p"]
    assert among["p_holm"] > 0.05
    assert among["verdict"] == "undecided"


def test_every_speaks_of_the_replicates_there_are() -> None:
    claims = [bound(above=0.849, of="every"), bound(above=0.851, of="every"), compare()]
    made = tables(*claims, values=grid_values([0.85, 0.86, 0.87, 0.85, 0.88]))
    kept, broken, other = judged_table(*made.parts).to_dict("records")
    assert kept["verdict"] == "undecided", "of so few, too many others might not"
    assert "5 of 5 replicates keep the bound; lowest 0.85." in kept["note"]
    assert "at least 55%" in kept["note"]
    assert broken["verdict"] == "refuted"
    assert "3 of 5 replicates keep the bound" in broken["note"]
    assert math.isnan(kept["p"])
    assert math.isnan(kept["p_holm"])
    assert other["p_holm"] == other["p"]


def test_every_with_a_run_missing_is_undecided_and_with_one_diverged_refuted() -> None:
    every = bound(above=0.1, of="every")
    assert only(tables(every, replicates=30, status={(0, 1): "missing"}))["verdict"] == "undecided"
    assert only(tables(every, replicates=30, status={(0, 1): "diverged"}))["verdict"] == "refuted"
    assert only(tables(every, replicates=30, status={(1, 1): "diverged"}))["verdict"] == "supported"


def test_replicates_with_a_run_that_did_not_end_well_are_left_out_and_counted() -> None:
    status = {(1, 0): "diverged", (1, 3): "diverged", (0, 4): "failed", (0, 3): "missing"}
    made = tables(compare(), status=status, replicates=7)
    row = only(made)
    wide = made.runs.pivot(index="replicate", columns="width", values=ACCURACY).dropna()
    assert row["n"] == len(wide) == 4
    assert row["estimate"] == pytest.approx((wide[16] - wide[8]).mean())
    assert "2 of 7 replicates diverged in width=16." in row["note"]
    assert "1 of 7 replicates failed in width=8." in row["note"]
    assert "1 of 7 replicates not run in width=8." in row["note"]


def test_diverged_is_a_metric_that_diverged_runs_have() -> None:
    status = {(1, r): "diverged" for r in range(5)}
    row = only(tables(compare(metric="diverged"), status=status))
    assert (row["n"], row["estimate"], row["verdict"]) == (5, 1.0, "supported")
    assert row["p"] == pytest.approx(2 * stats.t.sf(5, 4)), "floored at one replicate in n: t is n"
    few = only(tables(compare(metric="diverged"), status={(1, 0): "diverged"}))
    assert few["verdict"] == "undecided"


@pytest.mark.parametrize("replicates", [1, 5])
def test_fewer_than_two_complete_replicates_decide_nothing(replicates: int) -> None:
    status = {(0, r): "missing" for r in range(1, replicates)}
    row = only(tables(compare(), status=status, replicates=replicates))
    assert row["verdict"] == "undecided"
    assert math.isnan(row["p"])
    assert "A test needs 2 complete replicates, got 1." in row["note"]
    assert not math.isnan(row["estimate"])


def test_equal_accuracies_are_credited_with_one_test_example_of_spread() -> None:
    row = only(tables(compare(margin=0.0), values=grid_values([0.85] * 5, [0.8501] * 5)))
    assert row["estimate"] == pytest.approx(1e-4)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(stats.t.isf(0.025, 4) * 1e-4 / math.sqrt(5))
    assert row["p"] == pytest.approx(2 * stats.t.sf(math.sqrt(5), 4))


def test_a_loss_without_spread_is_exact() -> None:
    made = replace_metric(tables(compare("less", "test_loss")), "test_loss", grid_values([2.0] * 5, [1.0] * 5))
    row = only(made)
    assert (row["p"], row["verdict"], row["low"], row["high"]) == (0.0, "supported", -1.0, -1.0)


def steps_claims() -> list[dict[str, Any]]:
    return [compare("less", "steps_to_train_loss_0.6"), compare("less", "steps_to_train_loss_0.001")]


def test_steps_come_from_the_first_curve_point_at_or_below_the_loss() -> None:
    made = tables(*steps_claims())
    reached, never = judged_table(*made.parts).to_dict("records")
    train = made.curves[made.curves["split"] == "train"]
    first = train[train["loss"] <= 0.6].groupby("run_id")["step"].min()
    steps = made.runs.assign(steps=made.runs["run_id"].map(first)).pivot(
        index="replicate", columns="width", values="steps"
    )
    assert reached["estimate"] == pytest.approx((steps[16] - steps[8]).mean())
    assert never["verdict"] == "undecided"
    assert "5 of 5 replicates short of the loss in width=8." in never["note"]


def test_a_censored_replicate_keeps_the_claim_from_being_judged() -> None:
    made = tables(compare("less", "steps_to_train_loss_0.6"))
    assert not math.isnan(only(made)["p"])
    one = made.runs.loc[(made.runs["width"] == 8) & (made.runs["replicate"] == 2), "run_id"].item()
    slow = made.curves.assign(loss=made.curves["loss"].where(made.curves["run_id"] != one, 2.0))
    row = only(replace(made, curves=slow))
    assert row["n"] == 4
    assert math.isnan(row["p"])
    assert row["verdict"] == "undecided"
    assert "How many steps those need is not known" in row["note"]


def test_a_metric_that_was_not_measured_is_named() -> None:
    row = only(tables(compare("less", "val_loss")))
    assert row["n"] == 0
    assert "5 of 5 replicates without val_loss in width=8." in row["note"]
    assert "select conditions that have it, or claim another metric." in row["note"]


def test_undecided_says_what_would_be_found_and_how_many_more_would_decide() -> None:
    d = 0.0035 + 2 * NOISE
    row = only(tables(compare(), values=grid_values([0.85] * 5, list(0.85 + d))))
    assert row["verdict"] == "undecided"
    sd = d.std(ddof=1)
    noncentrality = row["detectable"] / sd * math.sqrt(5)
    assert stats.nct.sf(stats.t.isf(0.025, 4), 4, noncentrality) == pytest.approx(0.8, abs=1e-6)
    seen = Sample(n=5, mean=d.mean() - 0.002, sd=sd)
    for column, wanted in (("more_for_even", 0.5), ("more_replicates", 0.8)):
        more = row[column]
        now, before = (assurance(seen, m, (0.0,), 0.05, 0.001) for m in (more, more - 1))
        assert now >= wanted > before, "decided, or at the margin of 0.002"


numbers = st.lists(st.integers(8000, 9000), min_size=10, max_size=10)
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BASE = tables(compare("greater", margin=0.0), compare("less", margin=0.0, a={"width": 8}, b={"width": 16}))


@quick
@given(numbers)
def test_swapping_a_and_b_flips_the_estimate_and_nothing_else(values: list[int]) -> None:
    accuracies = grid_values([v / 10_000 for v in values[:5]], [v / 10_000 for v in values[5:]])
    one, other = judged_table(*replace_metric(BASE, ACCURACY, accuracies).parts).to_dict("records")
    assert one["estimate"] == -other["estimate"]
    assert (one["low"], one["high"]) == (-other["high"], -other["low"])
    assert one["p"] == other["p"]
    assert one["verdict"] == other["verdict"]


@quick
@given(numbers, st.integers(-800, 800))
def test_a_constant_added_to_both_sides_changes_nothing(values: list[int], shift: int) -> None:
    def judged(by: int) -> pd.DataFrame:
        moved = [(v + by) / 10_000 for v in values]
        return judged_table(*replace_metric(BASE, ACCURACY, grid_values(moved[:5], moved[5:])).parts)

    before, after = judged(0), judged(shift)
    assert after["estimate"].to_numpy() == pytest.approx(before["estimate"].to_numpy(), abs=1e-12)
    assert after["p"].to_numpy() == pytest.approx(before["p"].to_numpy(), rel=1e-6)


@quick
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_move_a_bit(random: Any) -> None:
    made = width_tables()
    order = list(range(len(made.runs)))
    random.shuffle(order)
    shuffled = judged_table(made.experiment, made.conditions, made.runs.iloc[order], made.curves.iloc[::-1])
    pd.testing.assert_frame_equal(shuffled, judged_table(*made.parts), check_exact=True)


def test_an_experiment_without_claims_has_an_empty_frame_with_the_columns() -> None:
    made = make(spec(factors={"width": [8, 16]}))
    frame = judged_table(*made.parts)
    assert frame.empty
    assert "p_holm" in frame.columns


def test_runs_of_another_grid_are_not_looked_at() -> None:
    made, other = tables(compare()), make(spec(factors={"width": [8, 16]}, seed=1))
    both = replace(made, runs=pd.concat([other.runs, made.runs]), curves=pd.concat([other.curves, made.curves]))
    pd.testing.assert_frame_equal(judged_table(*both.parts), judged_table(*made.parts))
