"""The typical replicate: its test keeps its level where few runs collapse, and claims of it read and judged."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, replace_metric, spec
from error_rates import at_most, say
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import report_of
from scipy import stats
from simulated_experiments import DISTRIBUTIONS, TOO_SKEWED, drawn_of, interquartile_truth

from mlpbench.base.models import SpecProblem
from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, Verdict, claims_table
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.effect_sizes import interquartile_mean
from mlpbench.evidence.statistics.typical import TypicalSample, between, of_sense
from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim_identity import claim_identities
from mlpbench.report.words import verdict_sentence

Array = np.ndarray[Any, Any]
SIDES: dict[str, Any] = {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 16}}
numbers = st.lists(st.integers(-40, 40), min_size=10, max_size=30).filter(lambda v: len(set(v)) > 4)
REPEATS = pytest.mark.parametrize(
    "repeats", [pytest.param(250, marks=pytest.mark.slow), pytest.param(4_000, marks=pytest.mark.prove)]
)


@REPEATS
@pytest.mark.parametrize("n", [10, 20, 30])
@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != TOO_SKEWED])
def test_it_is_wrong_in_at_most_what_its_level_says(name: str, n: int, repeats: int) -> None:
    """At 5%, and at the level of a first seed, with what a t test of the mean and the percentile bootstrap come to beside it."""
    rng, at = np.random.default_rng(n), interquartile_truth(name)
    experiments = drawn_of(name, (repeats, n), rng)
    p = np.array([TypicalSample(values=values).p(at) for values in experiments])
    for level in (0.05, seed_level(1)):
        at_most(f"{name}, n = {n}, at {level:.3f}", int((p <= level).sum()), repeats, level)
    by_t = np.asarray(stats.ttest_1samp(experiments, at, axis=1).pvalue)
    say("a t test of the mean", int((by_t <= 0.05).sum()), repeats)
    few = experiments[: min(repeats, 1_000)]
    resampled = np.sort([rng.choice(values, (999, n)) for values in few], axis=2)[:, :, n // 4 : n - n // 4].mean(
        axis=2
    )
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    say("a percentile bootstrap", int(((at < low) | (at > high)).sum()), len(few))


@REPEATS
def test_where_few_runs_collapse_it_decides_what_a_t_test_can_not(repeats: int) -> None:
    """A whole sd above 0 but for 5% that collapse, whose mean is the same 0: 20 replicates."""
    rng = np.random.default_rng(5)
    values = 1.0 + drawn_of("normal, 5% of which collapse", (repeats, 20), rng)
    found = sum(TypicalSample(values=row).p(0.0) <= 0.05 for row in values)
    by_t = int((np.asarray(stats.ttest_1samp(values, 0.0, axis=1).pvalue) <= 0.05).sum())
    say("typical replicates found above 0", found, repeats)
    say("means found above 0, or below", by_t, repeats)
    assert found >= 0.8 * repeats
    assert by_t <= 0.6 * repeats


@given(numbers)
@settings(max_examples=20, deadline=None)
def test_mean_and_error_are_those_of_scipy(values: list[int]) -> None:
    """Its error of a trimmed mean divides by sqrt(n) h / n, where Tukey and McLaughlin have sqrt(h (h - 1) / (n - 1))."""
    x = np.array(values, dtype=float)
    n, h = len(x), len(x) - 2 * (len(x) // 4)
    sample = TypicalSample(values=x)
    assert sample.iqm == pytest.approx(stats.trim_mean(x, 0.25), abs=1e-12)
    assert sample.iqm == pytest.approx(interquartile_mean(x), abs=1e-12)
    cut = len(x) // 4
    inner = np.sort(x)[cut : n - cut]
    winsorised = stats.mstats.winsorize(x, limits=(cut / n + 1e-9, cut / n + 1e-9)).data
    expected = winsorised.std(ddof=1) * np.sqrt((n - 1) / (h * (h - 1)))
    assert sample.error == pytest.approx(expected if np.ptp(inner) else 0.0, abs=1e-9)


@given(numbers, st.randoms(use_true_random=False), st.floats(-60, 60))
@settings(max_examples=8, deadline=None)
def test_it_is_the_same_in_any_order_turned_round_and_in_other_units(values: list[int], random: Any, at: float) -> None:
    x = np.array(values, dtype=float)
    mixed = list(values)
    random.shuffle(mixed)
    one = TypicalSample(values=x)
    for other, sign, unit in ((np.array(mixed, dtype=float), 1, 1.0), (-x, -1, 1.0), (x / 1024, 1, 1 / 1024)):
        same = TypicalSample(values=other)
        assert same.p(sign * unit * at) == one.p(at)
        ends = [sign * unit * end for end in one.interval(0.95)][::sign]
        assert same.interval(0.95) == pytest.approx(ends)


@given(numbers, st.sampled_from([0.05, 0.1, 0.0304]))
@settings(max_examples=20, deadline=None)
def test_the_interval_has_just_the_means_that_are_not_rejected(values: list[int], level: float) -> None:
    sample = TypicalSample(values=np.array(values, dtype=float))
    low, high = sample.interval(1 - level)
    if np.isfinite(low) and high > low:
        reach = 1e-6 * (high - low)
        assert [sample.p(at) <= level for at in (low - reach, low + reach, high - reach, high + reach)] == [
            True,
            False,
            False,
            True,
        ]


def test_equal_numbers_in_the_middle_reject_nothing() -> None:
    """Nothing says how far is far."""
    equal = TypicalSample(values=np.append(np.full(18, 0.9), [0.1, 0.2]))
    assert (equal.p(0.9), equal.p(0.8)) == (1.0, 1.0)
    assert equal.interval(0.95) == (-np.inf, np.inf)


def test_equivalence_and_margin_ask_the_nearer_and_both_ends() -> None:
    sample = TypicalSample(values=np.linspace(0.0, 1.0, 12))
    assert of_sense(sample, "equivalent", 0.0, 0.6) == sample.p(0.6)
    assert of_sense(sample, "equivalent", 1.0, 0.6) == sample.p(0.4)
    assert of_sense(sample, "greater", 0.0, 0.2) == sample.p(0.2)
    assert between(sample, (0.1, 0.7)) == max(sample.p(0.1), sample.p(0.7))
    assert between(sample, (0.6, 0.7)) == 1.0


def experiment_with(claim: dict[str, Any], replicates: int = 20, **keys: Any) -> Any:
    return spec(factors={"width": [8, 16]}, replicates=replicates, claims=[{"id": "c", "says": "so"} | claim], **keys)


def judged(claim: dict[str, Any], a: Any, b: Any, status: Any = None) -> Verdict:
    made = make(experiment_with(claim, len(a)), status=status or {})
    values = {(i, r): float(v) for i, row in enumerate((a, b)) for r, v in enumerate(row)}
    (verdict,) = interim_analysis.judge(*replace_metric(made, "test_loss", values).parts).verdicts
    return verdict


def compare(of: str = "typical", **fields: Any) -> dict[str, Any]:
    return {"compare": SIDES | {"expect": "greater", "of": of} | fields}


EVEN = stats.zscore(np.arange(20.0) ** 1.2, ddof=1)


def test_a_collapse_decides_a_claim_of_the_mean_and_not_of_the_typical_replicate() -> None:
    a, b = 1.0 + 0.05 * EVEN, np.full(20, 0.9)
    a[7] -= 10
    by_mean, by_middle = judged(compare("mean"), a, b), judged(compare(), a, b)
    assert (by_mean.decision, by_middle.decision) == ("undecided", "supported")
    x = a - b
    assert by_middle.estimate == pytest.approx(stats.trim_mean(x, 0.25))
    assert by_middle.interval is not None
    assert (by_middle.interval.low, by_middle.interval.high) == TypicalSample(values=x).interval(0.95)
    assert (by_middle.test, by_middle.interval_by) == ("studentised_flip", "studentised_flip")
    assert "the 5 largest and the 5 smallest of 20 replicates are cut off" in by_middle.note
    assert "typical difference is above" in verdict_sentence(by_middle)
    row = claims_table([by_middle]).iloc[0]
    assert row["form"].endswith("greater in the interquartile mean")
    assert row["iqm"] == pytest.approx(by_middle.estimate)


@pytest.mark.parametrize(("shift", "decision"), [(0.0, "supported"), (0.3, "refuted"), (0.1, AT_THE_MARGIN)])
def test_equivalence_is_judged_either_way_and_at_the_margin(shift: float, decision: str) -> None:
    verdict = judged(compare(expect="equivalent", margin=0.1), 1 + shift + 0.03 * EVEN, np.ones(20))
    assert verdict.decision == decision
    assert verdict.interval is not None
    assert verdict.interval.level == 0.95


def test_swapping_sides_turns_the_estimate_and_nothing_else() -> None:
    a, b = 1.0 + 0.05 * EVEN, 1.02 + 0.03 * EVEN[::-1] ** 3
    one = judged(compare(), a, b)
    other = judged({"compare": SIDES | {"a": SIDES["b"], "b": SIDES["a"], "of": "typical", "expect": "less"}}, a, b)
    assert (one.estimate, one.p, one.decision) == (-(other.estimate or 0.0), other.p, other.decision)


def test_an_undecided_one_says_how_many_more_and_a_bound_may_be_of_it_too() -> None:
    wide = judged(compare(), 1.0 + EVEN, 0.8 + 0.0 * EVEN)
    assert wide.decision == "undecided"
    assert "more replicates would decide it with a chance of 50%" in verdict_sentence(wide)
    bound = {"bound": {"metric": "test_loss", "where": {"width": 8}, "above": 0.8, "of": "typical"}}
    level = judged(bound, 1.0 + 0.1 * EVEN, np.ones(20))
    assert level.decision == "supported"
    assert "the interquartile mean is above 0.8" in verdict_sentence(level)


def test_a_diverged_run_leaves_no_interquartile_mean() -> None:
    verdict = judged(compare(), 1.0 + EVEN, np.zeros(20), status={(0, 3): "diverged"})
    assert verdict.decision == "undecided"
    assert "so that there is no interquartile mean" in verdict.note
    assert "`test: sign`" in verdict.note


def test_a_report_draws_and_words_it() -> None:
    made = make(experiment_with(compare()))
    values = {
        (i, r): 1.0 - 0.1 * i + 0.01 * float(EVEN[r]) * (1 - i) for i, r in itertools.product(range(2), range(20))
    }
    text = report_of(replace_metric(made, "test_loss", values)).markdown
    assert "test_loss: width=8 minus width=16, greater in the interquartile mean" in text
    assert "Studentised sign-flip test, not a t test." in text


@pytest.mark.parametrize(
    ("claim", "replicates", "message"),
    [
        (compare(), 19, "an interquartile mean needs 20 replicates or more, of which a quarter at each end is cut off, got 19"),
        (compare() | {"test": "sign"}, 20, "a compare of typical replicates has its own test: it takes no test, got 'sign'"),
        (compare() | {"interval": "bca"}, 20, "a compare of typical replicates has its own test: it takes no interval, got 'bca'"),
        (compare("mean") | {"test": "sign"}, 20, "the sign test is of the median, and this compare of the mean, got 'sign'; did you mean 'of: median'?"),
        (compare("iqm"), 20, "of must be 'mean', 'median' or 'typical', got 'iqm'"),
        (compare("median", expect="equivalent"), 20, "the sign test asks on which side of a number the median lies"),
        ({"bound": {"metric": "test_loss", "above": 1, "of": "typical"}}, 9, "an interquartile mean needs 20 replicates"),
    ],
)  # fmt: skip
def test_what_can_not_be_judged_so_is_refused(claim: dict[str, Any], replicates: int, message: str) -> None:
    with pytest.raises(SpecProblem) as refused:
        experiment_with(claim, replicates)
    assert message in str(refused.value)


def test_looks_at_any_time_have_no_e_process_of_it() -> None:
    with pytest.raises(
        SpecProblem, match="claims judged by t or sign, and a compare of typical replicates has its own test"
    ):
        experiment_with(compare(), until_decided={"anytime": True})


def test_of_mean_is_what_no_of_is_and_of_median_is_the_sign_test() -> None:
    """The same claim by its digest, so that it is registered as one; typical replicates are another claim."""
    plain = {"compare": SIDES | {"expect": "greater"}}

    def digest(claim: dict[str, Any]) -> str:
        experiment = experiment_with(claim)
        (identity,) = claim_identities(experiment.claims, experiment, grid.conditions(experiment))
        return identity.digest

    assert digest(compare("mean")) == digest(plain)
    assert len({digest(plain), digest(compare()), digest(compare("median"))}) == 3
    a, b = 1.0 + 0.05 * EVEN, 0.98 + 0.0 * EVEN
    by_of, by_test = judged(compare("median"), a, b), judged(plain | {"test": "sign"}, a, b)
    assert (by_of.p, by_of.estimate, by_of.decision) == (by_test.p, by_test.estimate, by_test.decision)
    assert "of" not in experiment_with(plain).claims[0].as_written()["compare"]
