"""Claims with the data set as unit: read, judged over data sets, wrong in at most 5% of populations, and said in words."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make
from dataset_tables import judged, make_status, on_datasets, with_numbers
from error_rates import at_most, say
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.evidence.claim_tests import claim_tests
from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.claim_values import OnDataSet
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, Verdict, claims_table
from mlpbench.evidence.pilot import pilot_claims
from mlpbench.evidence.ranks.signed_rank import SignedRankSample
from mlpbench.evidence.statistics import outlook
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.experiment.claims.claim import Claim, checked_claims, read_claims
from mlpbench.experiment.claims.claim_identity import claim_identities
from mlpbench.experiment.claims.dataset_unit import check_each_dataset
from mlpbench.experiment.claims.run_shares import Fails
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import UntilDecided, build
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.report.words import verdict_sentence

Array = np.ndarray[Any, Any]
SIDES: dict[str, Any] = {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 16}}
OVER: dict[str, Any] = {"unit": "dataset"}


def compare(expect: str = "greater", **options: Any) -> dict[str, Any]:
    of_form = {k: options.pop(k) for k in ("margin", "of") if k in options}
    return {"compare": SIDES | {"expect": expect} | of_form} | OVER | options


def drawn(shift: float, datasets: int = 10, replicates: int = 5, seed: int = 0, noise: float = 0.3) -> Array:
    """Return differences of data sets from a population with mean `shift` and sd 1, with noise of replicates on each."""
    rng = np.random.default_rng(seed)
    return shift + rng.normal(size=(datasets, 1)) + noise * rng.normal(size=(datasets, replicates))


@functools.cache
def clear() -> Array:
    return drawn(1.5, datasets=12)


def test_it_is_the_signed_rank_test_of_one_mean_a_data_set() -> None:
    verdict = judged(compare(), clear())
    ranked = SignedRankSample(values=clear().mean(axis=1))
    assert (verdict.n, verdict.planned, verdict.decision) == (12, 12, "supported")
    assert verdict.p == pytest.approx(stats.wilcoxon(ranked.values, method="exact").pvalue)
    assert verdict.estimate == pytest.approx(ranked.pseudo_median)
    assert verdict.interval is not None
    assert (verdict.interval.low, verdict.interval.high) == pytest.approx(ranked.interval(0.95))
    assert (verdict.test, verdict.interval_by) == ("signed_rank", "walsh")
    row = claims_table([verdict]).iloc[0]
    assert (row["unit"], row["n"]) == ("dataset", 12)
    assert row["form"] == "test_loss: width=8 minus width=16, greater in the pseudo-median, over 12 data sets"


def test_other_tests_are_those_of_scipy_over_data_sets() -> None:
    means = clear().mean(axis=1)
    by_t, by_sign = judged(compare(test="t"), clear()), judged(compare(test="sign"), clear())
    result = stats.ttest_1samp(means, 0.0)
    assert by_t.p == pytest.approx(result.pvalue)
    assert by_t.interval is not None
    assert (by_t.interval.low, by_t.interval.high) == pytest.approx(tuple(result.confidence_interval(0.95)))
    assert by_sign.p == pytest.approx(stats.binomtest(int((means > 0).sum()), 12).pvalue)
    assert by_sign.estimate == pytest.approx(np.median(means))
    assert judged(compare(of="median"), clear()).p == by_sign.p


def test_without_a_unit_it_speaks_of_these_data_sets() -> None:
    """The mean over data sets in each replicate, and a t test over replicates."""
    verdict = judged({"compare": SIDES | {"expect": "greater"}}, clear())
    assert verdict.p == pytest.approx(stats.ttest_1samp(clear().mean(axis=0), 0.0).pvalue)
    assert verdict.n == 5
    assert "Averaged over 12 data sets with equal weights (d0, d1, " in verdict.note
    assert "it speaks of these, and not of data sets like them, as one with unit: dataset would" in verdict.note
    assert claims_table([verdict]).iloc[0]["unit"] == "replicate"


def test_a_selector_that_names_a_data_set_is_about_it_alone() -> None:
    """The numbers of the others change nothing."""
    where = {k: SIDES[k] | {"dataset": "d2"} for k in ("a", "b")}
    claim = Claim(id="c", says="so", form=on_datasets(["d0"], [one()])[0].claims[0].form.model_copy(update=where))
    verdicts: list[Verdict] = []
    for scale in (1.0, 100.0):
        values = clear()[:4] * np.array([[scale], [scale], [1.0], [scale]])
        experiment, tables = on_datasets([f"d{i}" for i in range(4)], replicates=5)
        tables = with_numbers(tables, "test_loss", numbers_of(values))
        experiment = experiment.model_copy(update={"claims": (claim,)})
        verdicts += interim_analysis.judge(experiment, *tables.parts[1:]).verdicts
    assert [v.p for v in verdicts] == [pytest.approx(stats.ttest_1samp(clear()[2], 0.0).pvalue)] * 2
    assert "data sets" not in verdicts[0].note


def one() -> dict[str, Any]:
    return {"id": "c", "says": "so", "compare": SIDES | {"expect": "greater"}}


def numbers_of(values: Array) -> dict[tuple[int, int, int], float]:
    cells = itertools.product(range(len(values)), range(2), range(values.shape[1]))
    return {(i, w, j): 1.0 + float(values[i, j]) * (1 - w) for i, w, j in cells}


@given(st.randoms(use_true_random=False), st.sampled_from(["signed_rank", "t", "sign"]))
@settings(max_examples=8, deadline=None)
def test_names_and_order_of_data_sets_and_of_replicates_change_nothing(random: Any, test: str) -> None:
    values = drawn(0.5, datasets=8)
    first = judged(compare(test=test), values)
    rows, columns = list(range(8)), list(range(5))
    random.shuffle(rows)
    random.shuffle(columns)
    again = judged(compare(test=test), values[rows][:, columns], names=[f"x{i}" for i in rows])
    assert again.decision == first.decision
    assert again.p == pytest.approx(first.p)
    assert again.estimate == pytest.approx(first.estimate)


def test_swapping_sides_turns_the_estimate_and_nothing_else() -> None:
    turned = compare("less") | {"compare": SIDES | {"a": SIDES["b"], "b": SIDES["a"], "expect": "less"}}
    first, other = judged(compare(), clear()), judged(turned, clear())
    assert (first.p, first.decision) == (other.p, other.decision)
    assert first.estimate == pytest.approx(-(other.estimate or 0.0))


@pytest.mark.parametrize("test", ["signed_rank", "t"])
@pytest.mark.parametrize(
    ("shift", "expect", "decision"),
    [
        (0.0, "equivalent", "supported"),
        (3.0, "equivalent", "refuted"),
        (1.0, "equivalent", AT_THE_MARGIN),
        (3.0, "greater", "supported"),
        (1.0, "greater", AT_THE_MARGIN),
        (0.0, "greater", "refuted"),
    ],
)
def test_margins_are_judged_either_way_and_what_lies_at_them(
    shift: float, expect: str, decision: str, test: str
) -> None:
    spread = np.linspace(-0.3, 0.3, 10)[:, None] + np.zeros((10, 3))
    verdict = judged(compare(expect, margin=1.0, test=test), shift + spread)
    assert verdict.decision == decision
    assert verdict.interval is not None
    assert verdict.interval.level == (0.9 if expect == "equivalent" else 0.95)


@pytest.mark.parametrize(
    ("form", "of_values"),
    [
        ({"bound": {"metric": "test_loss", "where": {"width": 8}, "above": 0.5}}, lambda m: 1 + m - 0.5),
        ({"matches": {"metric": "test_loss", "where": {"width": 8}, "value": 2, "tolerance": 3}}, None),
        ({"trend": {"metric": "test_loss", "factor": "width", "expect": "falls"}}, lambda m: -m / 8),
        (
            {"contrast": {"metric": "test_loss", "expect": "greater",
                          "terms": [{"weight": 2, "where": {"width": 8}}, {"weight": -2, "where": {"width": 16}}]}},
            lambda m: 2 * m,
        ),
    ],
    ids=["bound", "matches", "trend", "contrast"],
)  # fmt: skip
def test_every_form_of_a_number_is_judged_over_data_sets(form: dict[str, Any], of_values: Any) -> None:
    verdict = judged(form | OVER, clear())
    assert (verdict.n, verdict.decision) == (12, "supported")
    if of_values is not None:
        expected = SignedRankSample(values=of_values(clear().mean(axis=1)))
        assert verdict.p == pytest.approx(expected.p(0.0))


def test_an_interval_over_data_sets_ends_where_the_metric_does() -> None:
    """A t interval of two accuracies far apart would go below 0 and above 1."""
    bound = {"bound": {"metric": "test_accuracy", "where": {"width": 8}, "above": 0.1}} | OVER | {"test": "t"}
    verdict = judged(bound, [[-0.9, -0.9], [-0.1, -0.1]], metric="test_accuracy")
    assert verdict.interval is not None
    assert (verdict.interval.low, verdict.interval.high) == pytest.approx((0.0, 1.0))


def test_a_step_that_goes_back_over_data_sets_withholds_a_trend() -> None:
    """Down from 8 to 16 and far up to 32: the slope rises, a step goes back."""
    trend = {"id": "c", "says": "so", "trend": {"metric": "test_loss", "factor": "width", "expect": "rises"}} | OVER
    widths = (8, 16, 32)
    _, tables = on_datasets([f"d{i}" for i in range(10)], [trend], widths, replicates=3)
    rng = np.random.default_rng(0)
    means = np.array([1.0, 0.7, 2.0]) + 0.05 * rng.normal(size=(10, 3))
    numbers = {(d, w, r): float(means[d, w]) for d in range(10) for w in range(3) for r in range(3)}
    (verdict,) = interim_analysis.judge(*with_numbers(tables, "test_loss", numbers, widths).parts).verdicts
    assert verdict.p is not None
    assert verdict.p < 0.01
    assert verdict.decision == "undecided"
    assert "from width=8 to width=16 the pseudo-median difference is" in verdict.note
    flat = {k: v - 0.4 * (k[1] == 0) for k, v in numbers.items()}
    (rises,) = interim_analysis.judge(*with_numbers(tables, "test_loss", flat, widths).parts).verdicts
    assert rises.decision == "supported"


def test_a_data_set_without_a_complete_replicate_is_left_out_and_counted() -> None:
    failed = {(2, r): "failed" for r in range(5)} | {(4, 0): "failed"}
    verdict = judged(compare(), clear(), status=failed)
    kept = np.delete(clear(), 1, axis=0).mean(axis=1)
    kept[1] = clear()[2, 1:].mean()
    assert (verdict.n, verdict.planned) == (11, 12)
    assert verdict.p == pytest.approx(SignedRankSample(values=kept).p(0.0))
    assert "1 of 12 data sets left out, without a complete replicate: d1." in verdict.note
    assert "5 of 5 replicates failed in dataset=d1, width=8." in verdict.note
    assert "the mean of 4 to 5 replicates" in verdict.note


@pytest.mark.parametrize("test", ["signed_rank", "t"])
def test_runs_that_diverged_are_never_left_out(test: str) -> None:
    diverged = {(2, 3): "diverged"}
    verdict = judged(compare(test=test), clear(), status=diverged)
    assert (verdict.decision, verdict.p) == ("undecided", None)
    assert "`test: sign` (6 data sets or more) judges the median" in verdict.note


def test_signs_count_a_diverged_run_as_the_worst_value_of_its_data_set() -> None:
    """A loss of width 8 that is infinite lies above the bound, and one of width 16 below it."""
    means = clear().mean(axis=1)
    for column, side in ((0, 1.0), (1, -1.0)):
        verdict = judged(compare(test="sign"), clear(), status={(2 * 1 + column, 3): "diverged"})
        signs = np.sign(means)
        signs[1] = side
        assert verdict.p == pytest.approx(stats.binomtest(int((signs > 0).sum()), 12).pvalue)
        assert "there are some in 1 of 12 data sets" in verdict.note


def test_noise_of_each_data_set_is_said() -> None:
    values = clear()
    verdict = judged(compare(), values)
    errors = values.std(axis=1, ddof=1) / np.sqrt(5)
    share = (errors**2).mean() / values.mean(axis=1).var(ddof=1)
    least, most = f"{errors.min():.2g}", f"{errors.max():.2g}"
    assert f"with a standard error of {least} to {most}; that noise makes {share:.0%} of the variance" in verdict.note
    alone = judged(compare(), values[:, :1])
    assert alone.decision == "supported"
    assert "the mean of 1 replicate: how far noise moves it is not known" in alone.note


def test_replicates_that_are_one_draw_are_one_number_of_their_data_set() -> None:
    """Nothing varies between them; the data sets differ all the same."""
    means = np.repeat(clear().mean(axis=1, keepdims=True), 3, axis=1)
    verdict = judged(compare(), means, vary=["dropout"])
    assert verdict.p == judged(compare(), means).p
    assert "the mean of 1 replicate: how far noise moves it is not known" in verdict.note


def test_an_undecided_one_asks_for_data_sets_and_not_for_replicates() -> None:
    verdict = judged(compare(), drawn(0.3, datasets=10, seed=3))
    assert verdict.decision == "undecided"
    words = verdict_sentence(verdict)
    assert "10 data sets detect a distance of" in words
    assert "more data sets would decide it with a chance of 50%" in words
    assert "replicates" not in words
    assert "10/10 data sets" in terminal_table([verdict])


def test_six_data_sets_decide_nothing_at_a_first_seed() -> None:
    """2 / 2^6 = 0.031 is above the level of a first seed, 0.0304, and seven reach it; beside other claims it takes more."""
    experiment, tables = on_datasets([f"d{i}" for i in range(6)], [one() | compare()], replicates=5)
    hypothesis = experiment.claims[0].hypothesis(experiment, tables.conditions)
    few = outlook.too_few(hypothesis, seed_level(1), [6])
    assert few is not None
    assert (few.n, few.least, few.units) == (6, 7, "data sets")
    (test,) = claim_tests(experiment, tables.conditions).values()
    assert test.too_few(100) == few
    assert not test.is_foreseen
    assert outlook.too_few(hypothesis, 0.05, [6]) is None
    equivalent = compare("equivalent", margin=1.0)
    experiment, tables = on_datasets([f"d{i}" for i in range(6)], [one() | equivalent], replicates=5)
    nearness = experiment.claims[0].hypothesis(experiment, tables.conditions)
    assert outlook.fewest(nearness, 0.03) == 6, "each test of an equivalence is of one side"


def test_a_top_up_gives_it_no_replicates_and_its_whole_level_at_once() -> None:
    names = [f"d{i}" for i in range(10)]
    plain = {"id": "these", "says": "so", "compare": SIDES | {"expect": "greater"}}
    experiment, tables = on_datasets(names, [one() | compare(), plain], replicates=30)
    declared = UntilDecided(max_replicates=30)
    experiment = experiment.model_copy(update={"replicates": 5, "until_decided": declared})
    values = drawn(0.0, datasets=10, replicates=30, noise=8.0)
    tables = with_numbers(tables, "test_loss", numbers_of(values))
    judgement = interim_analysis.judge(experiment, *tables.parts[1:])
    over, these = judgement.verdicts
    first = SignedRankSample(values=values[:, :5].mean(axis=1)).p(0.0)
    assert over.interim_analysis == 1
    assert over.p == pytest.approx(first)
    assert over.p_corrected == pytest.approx(min(1.0, 2 * first)), "Bonferroni over the two claims, at all of the level"
    assert these.interim_analysis is not None
    assert these.interim_analysis > 1
    assert "further replicates are no further data sets" in over.note
    alone = experiment.model_copy(update={"claims": experiment.claims[:1]})
    judgement = interim_analysis.judge(alone, *tables.parts[1:])
    assert set(judgement.replicates) == {5}


def test_at_the_margin_it_spends_its_whole_level_at_once_too() -> None:
    """At the first of several analyses, which spends next to nothing of the level of claims that are judged at all of them."""
    claim = one() | compare("equivalent", margin=1.0)
    experiment, tables = on_datasets([f"d{i}" for i in range(8)], [claim], replicates=30)
    experiment = experiment.model_copy(update={"replicates": 5, "until_decided": UntilDecided(max_replicates=30)})
    values = 1.0 + np.linspace(-0.3, 0.3, 8)[:, None] + np.zeros((8, 30))
    tables = with_numbers(tables, "test_loss", numbers_of(values))
    (verdict,) = interim_analysis.judge(experiment, *tables.parts[1:]).verdicts
    assert (verdict.decision, verdict.interim_analysis) == (AT_THE_MARGIN, 1)
    assert verdict.p_at_margin == pytest.approx(2.0**-8)
    greater = checked_claims(read_claims([one() | compare()]), experiment)
    (verdict,) = interim_analysis.judge(experiment.model_copy(update={"claims": greater}), *tables.parts[1:]).verdicts
    assert (verdict.decision, verdict.interim_analysis) == ("supported", 1)
    assert verdict.p_corrected == pytest.approx(2.0**-7)


def test_a_pilot_and_a_plan_say_that_replicates_add_no_data_sets() -> None:
    experiment, tables = on_datasets([f"d{i}" for i in range(8)], [one() | compare()], replicates=3)
    tests = claim_tests(experiment, tables.conditions)
    of_pilot = pilot_claims(
        tests, experiment, tables.conditions, experiment, tables.conditions, tables.runs, tables.curves
    )
    assert of_pilot["c"].missing == "it is judged over data sets, to which replicates add none"
    assert tests["c"].detectable(30) is None


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    (compare(), 5, "a signed-rank test needs 6 data sets or more, since 5 can't reach p < 0.05, got 5; add data sets, say `test: t`, or leave `unit` out"),
    (compare(test="sign"), 5, "a sign test needs 6 data sets or more"),
    (compare(test="t"), 1, "a verdict over data sets needs two or more, got 1"),
    (compare(test="sign_flip"), 8, "numbers of data sets are judged by signed_rank, t, sign, got 'sign_flip'; did you mean 'signed_rank'?"),
    (compare("equivalent", margin=1.0, test="sign"), 8, "and expect: equivalent whether it lies near one, got 'sign'; did you mean 'signed_rank'?"),
    (compare(interval="bca"), 20, "the signed-rank test has its own interval: it takes no interval, got 'bca'"),
    (compare(interval="bca", test="t"), 14, "a BCa interval needs 15 data sets or more"),
    (compare(of="typical"), 30, "a compare of typical replicates has its own test, which is none over data sets, got 'dataset'; leave `of` out"),
    (compare(of="median", test="t"), 30, "a compare of the median is judged by the sign test"),
    ({"bound": {"metric": "test_loss", "above": 1, "of": "every"}} | OVER, 30, "leave `of` out"),
    ({"wins": SIDES} | OVER, 30, "`compare` with `test: sign` asks on how many data sets a is better than b"),
    ({"fails": SIDES | {"expect": "greater"}} | OVER, 30, "`compare` of the metric diverged asks"),
    ({"best": {"metric": "test_loss", "over": "width", "where": {}, "and": {}, "expect": "same"}} | OVER, 8, "must differ"),
    ({"compare": SIDES | {"metric": "flops", "expect": "greater"}} | OVER, 8, "flops follows from the settings, and is exact on each data set"),
    ({"trend": {"metric": "test_loss", "factor": "dataset", "expect": "rises", "scale": "rank"}} | OVER, 8, "so that it is about another factor, got 'dataset'"),
    (compare(unit="replicates"), 8, "unit must be 'replicate' or 'dataset', got 'replicates'; did you mean 'replicate'?"),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "datasets", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_can_not_be_judged_over_data_sets_is_refused(claim: dict[str, Any], datasets: int, message: str) -> None:
    with pytest.raises(SpecProblem) as refused:
        on_datasets([f"d{i}" for i in range(datasets)], [{"id": "c", "says": "so"} | claim], replicates=2)
    assert message in str(refused.value)


def test_looks_at_any_time_are_refused() -> None:
    experiment, _ = on_datasets([f"d{i}" for i in range(8)])
    design = experiment.model_copy(update={"until_decided": UntilDecided(anytime=True)})
    with pytest.raises(SpecProblem, match="is judged once, as further replicates are no further data sets"):
        checked_claims(read_claims([one() | compare()]), design)


def test_a_form_of_another_number_is_refused_even_if_it_names_no_test_of_its_own() -> None:
    experiment, tables = on_datasets([f"d{i}" for i in range(8)])
    form = Fails(metric="test_loss", a={"width": 8}, b={"width": 16}, expect="greater")
    rule = "fails has no weighted sum of conditions, of which data sets have a mean, got 'dataset'; `compare` of"
    with pytest.raises(SpecProblem, match=rule) as refused:
        check_each_dataset(form, experiment, tables.conditions, ("claims", 0, "fails"))
    assert refused.value.path == ("claims", 0, "unit")


LISTED = [{"label": "A", "dataset": "digits"}, {"label": "B", "dataset": "mnist1d"}]


@pytest.mark.parametrize(
    "factors",
    [
        {"dataset": ["digits", "mnist1d"], "depth": [0, 1]},
        {"zip": {"dataset": ["digits", "mnist1d"], "lr": [0.1, 0.2]}, "depth": [0, 1]},
        {"zip": {"dataset": ["digits", "digits", "mnist1d", "mnist1d"], "depth": [0, 1, 0, 1]}},
        {"conditions": LISTED, "depth": [0, 1]},
    ],
    ids=["factor", "zip", "all in zip", "conditions"],
)
def test_data_sets_may_be_varied_in_any_way_that_files_have(factors: dict[str, Any]) -> None:
    deeper = {"compare": {"metric": "test_loss", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "less"}}
    claims = [{"id": "these", "says": "so"} | deeper, {"id": "over", "says": "so"} | deeper | OVER | {"test": "t"}]
    fixed = {"width": 8, "epochs": 1}
    made = {"name": "x", "question": "?", "fixed": fixed, "replicates": 2, "factors": factors, "claims": claims}
    tables = make(build(made))
    these, over = interim_analysis.judge(*tables.parts).verdicts
    assert [d.name for d in over.datasets] == ["digits", "mnist1d"]
    assert over.estimate == pytest.approx(these.estimate)
    assert "2 data sets with equal weights (digits, mnist1d)" in these.note


def test_a_data_set_without_a_level_of_what_is_compared_is_refused() -> None:
    compare_depths = {"compare": {"metric": "test_loss", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "less"}}
    zipped = {"zip": {"dataset": ["digits", "mnist1d"], "depth": [0, 1]}}
    claim = {"id": "over", "says": "so", "unit": "dataset", "test": "t"} | compare_depths
    made = {"name": "x", "question": "?", "fixed": {"width": 8}, "factors": zipped, "claims": [claim]}
    with pytest.raises(InputError, match="of data set digits, as unit: dataset asks for a number of each"):
        yaml_reader.from_mapping(made)


def digest(claim: Mapping[str, Any]) -> str:
    experiment, tables = on_datasets([f"d{i}" for i in range(8)], [one() | dict(claim)])
    (identity,) = claim_identities(experiment.claims, experiment, tables.conditions)
    return identity.digest


def test_the_unit_is_part_of_what_a_claim_is_but_for_its_default() -> None:
    plain = {"compare": SIDES | {"expect": "greater"}}
    assert digest(plain | {"unit": "replicate"}) == digest(plain)
    assert digest(compare(test="signed_rank")) == digest(compare())
    assert len({digest(plain), digest(compare()), digest(compare(test="t")), digest(compare(test="sign"))}) == 4
    assert digest(compare(of="median")) == digest(compare(test="sign"))


@pytest.mark.parametrize("options", [{}, {"test": "t"}, {"test": "sign"}, {"of": "median"}])
def test_it_is_written_as_it_is_read(options: dict[str, Any]) -> None:
    experiment, _ = on_datasets([f"d{i}" for i in range(8)], [one() | compare(**options)])
    written = experiment.claims[0].as_written()
    assert written["unit"] == "dataset"
    again, _ = on_datasets([f"d{i}" for i in range(8)], [written])
    assert again.claims == experiment.claims
    assert ("test" in written) == bool(options)


@pytest.mark.parametrize(
    "repeats",
    [
        pytest.param(30, id="short"),
        pytest.param(500, marks=pytest.mark.slow),
        pytest.param(5_000, marks=pytest.mark.prove),
    ],
)
@pytest.mark.usefixtures("no_outlook")
def test_verdicts_over_data_sets_are_wrong_in_at_most_5_percent(repeats: int) -> None:
    """From rows to p, of data sets from a population without a difference.

    A verdict on these data sets, which replicates decide, is one on the sample and not on the population.
    """
    tests, names = ("signed_rank", "t", "sign"), [f"d{i}" for i in range(8)]
    claims = [one() | {"id": "these"}, *(one() | compare(test=test) | {"id": test} for test in tests)]
    _, tables = on_datasets(names, claims, replicates=4)
    decided: Counter[str] = Counter()
    for seed in range(repeats):
        values = numbers_of(drawn(0.0, datasets=8, replicates=4, seed=seed))
        judgement = interim_analysis.judge(*with_numbers(tables, "test_loss", values).parts)
        decided.update(v.claim.id for v in judgement.verdicts if v.p is not None and v.p <= 0.05)
    for test in tests:
        at_most(f"over data sets by {test}", decided[test], repeats)
    say("on these data sets, of which most have a difference", decided["these"], repeats)
    assert decided["these"] > 0.4 * repeats


def test_a_table_of_all_statuses_is_judged() -> None:
    """Runs that are not there leave no verdict, as of any claim."""
    experiment, tables = on_datasets([f"d{i}" for i in range(8)], [one() | compare()], replicates=3)
    tables = make_status(tables, {(0, 0): "failed"})
    fewer = tables.runs.iloc[:-1]
    (verdict,) = interim_analysis.judge(experiment, tables.conditions, fewer, tables.curves).verdicts
    assert verdict.decision == "undecided"
    assert "No verdict before all runs are there: 47 of 48 runs." in verdict.note


def test_the_error_of_a_data_set_whose_replicates_overlap_is_corrected() -> None:
    """Nadeau and Bengio: s sqrt(1/n + n_test/n_train), as of a claim within the data set."""
    plain = OnDataSet(name="a", n=4, planned=4, mean=0.5, sd=0.1)
    assert math.isclose(plain.error, 0.05)
    assert math.isclose(replace(plain, overlap=0.25).error, 0.1 * math.sqrt(1 / 4 + 0.25))
