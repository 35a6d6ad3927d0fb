"""The test set as a source of spread: its share is that of the crossed model, and reports say where it matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, judged_table, make, replace_metric, spec
from reports import report_of

from mlpbench.evidence.estimates import example_sampling
from mlpbench.evidence.estimates.example_sampling import Widened, widen
from mlpbench.evidence.judging.claim_intervals import interval_with_examples, stands
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.statistics.t_test import Sample
from mlpbench.experiment.grid import conditions
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.results.examples import TestSet

N = 10_000
LABELS = (np.arange(N) % 10).astype(np.uint8)


def sample_of(correct: np.ndarray[Any, Any]) -> Sample:
    means = correct.mean(axis=1)
    return Sample(n=len(means), mean=float(means.mean()), sd=float(means.std(ddof=1)))


def crossed(n: int, examples: int, rng: np.random.Generator, sds: tuple[float, float, float]) -> Any:
    a, b, c = sds
    own = rng.normal(0, a, (n, 1)) + rng.normal(0, b, (1, examples))
    return own + rng.normal(0, c, (n, examples))


def test_what_examples_add_is_their_component_of_the_two_way_analysis_of_variance() -> None:
    """Expected mean squares of a crossed random model: (MS_examples - MS_interaction) / n is the variance of examples."""
    correct = crossed(6, 50, np.random.default_rng(1), (0.1, 0.3, 0.2))
    n, examples = correct.shape
    whole = correct.mean()
    of_examples = n * ((correct.mean(axis=0) - whole) ** 2).sum() / (examples - 1)
    rest = correct - correct.mean(axis=1, keepdims=True) - correct.mean(axis=0) + whole
    of_rest = (rest**2).sum() / ((n - 1) * (examples - 1))
    component = (of_examples - of_rest) / n
    sample = sample_of(correct)
    found = widen(sample, iter(correct))
    assert found.error**2 == pytest.approx(sample.error**2 + component / examples)


def test_the_error_is_unbiased_for_the_whole_variance_of_a_mean() -> None:
    rng, n, examples, sds = np.random.default_rng(2), 5, 40, (0.2, 0.5, 0.8)
    tables = [crossed(n, examples, rng, sds) for _ in range(4000)]
    squares = [widen(sample_of(c), iter(c)).error ** 2 for c in tables]
    truth = sds[0] ** 2 / n + sds[1] ** 2 / examples + sds[2] ** 2 / (n * examples)
    means = np.array([c.mean() for c in tables])
    assert means.var() == pytest.approx(truth, rel=0.1)
    assert np.mean(squares) == pytest.approx(truth, rel=0.05)
    twice = truth + sds[2] ** 2 / (n * examples)
    assert np.mean(squares) < twice - 0.3 * (twice - truth), "the interaction is not counted twice"


@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_interval_with_both_sources_covers_the_mean_over_test_sets(n: int) -> None:
    """The replicates' own interval does not: it is about the one test set."""
    rng, sds, examples = np.random.default_rng(n), (0.02, 0.4, 0.3), 200
    covered = own = 0
    repeats = 1000
    for _ in range(repeats):
        correct = crossed(n, examples, rng, sds)
        sample = sample_of(correct)
        low, high = widen(sample, iter(correct)).interval()
        covered += low <= 0 <= high
        own += sample.interval(0.95)[0] <= 0 <= sample.interval(0.95)[1]
    assert 0.93 <= covered / repeats <= 0.99
    assert own / repeats < 0.9


def test_examples_that_are_all_alike_add_nothing() -> None:
    correct = np.repeat(np.array([[0.8], [0.9], [0.7]]), 50, axis=1)
    sample = sample_of(correct)
    found = widen(sample, iter(correct))
    assert found.error == pytest.approx(sample.error)
    assert found.interval() == pytest.approx(sample.interval(0.95))


@pytest.mark.parametrize("factor", [1.0, 3.0])
@pytest.mark.parametrize(
    ("sense", "bound", "decision"),
    [
        ("greater", 0.0, "supported"),
        ("greater", 2.0, "refuted"),
        ("equivalent", 2.0, "supported"),
        ("equivalent", 0.2, "refuted"),
        ("equivalent", 0.0001, "refuted"),
    ],
)
def test_a_verdict_stands_just_where_the_wider_interval_lies_on_its_side(
    factor: float, sense: Any, bound: float, decision: Any
) -> None:
    """Whatever p is: it was by p that a refuted equivalence was called robust, or not."""
    claim = {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"}
    experiment = make(spec(factors={"width": [8, 16]}, claims=[{"id": "c", "says": "s", "compare": claim}])).experiment
    (stated,) = experiment.claims
    hypothesis = replace(stated.hypothesis(experiment, conditions(experiment)), sense=sense, bound=bound)
    widened = Widened(own=(own := Sample(n=10, mean=1.0, sd=1.0)), error=factor * own.error, df=9)
    interval = interval_with_examples(hypothesis, widened, None)
    sides = {"supported": (-bound, bound), "refuted": (bound, math.inf)}[decision]
    inside = (
        (interval.low > sides[0] and interval.high < sides[1])
        if sense == "equivalent"
        else not interval.low <= bound <= interval.high
    )
    assert stands(hypothesis, decision, interval) == inside == (factor == 1.0)


def predicted(
    tables: Tables, flips: dict[int, np.ndarray[Any, Any]], luck: int = 0
) -> tuple[Tables, TestSet, list[int]]:
    """Predictions in which condition i is wrong about `flips[i]` and, in replicate r, about r examples more."""
    rows, asked = [], []
    position = {c.condition_id: i for i, c in enumerate(tables.conditions)}
    accuracy = {}
    for run in tables.runs.to_dict("records"):
        i, r = position[run["condition_id"]], run["replicate"]
        wrong = np.zeros(N, bool)
        wrong[flips[i]] = True
        wrong[N - luck - r * (i + 1) :] = True
        classes = np.where(wrong, (LABELS + 1) % 10, LABELS).astype(np.uint8)
        rows.append({"run_id": run["run_id"], "predicted": classes.tobytes()})
        accuracy[i, r] = float((classes == LABELS).mean())
    table = pd.DataFrame(rows)

    def read(run_ids: Sequence[str]) -> pd.DataFrame:
        asked.append(len(run_ids))
        return table[table["run_id"].isin(run_ids)]

    made = replace_metric(tables, "test_accuracy", accuracy)
    return made, TestSet(predictions=read, labels=lambda _: LABELS), asked


def tables(*claims: dict[str, Any], **keys: Any) -> Tables:
    named = [{"id": f"c{i}", "says": "It does."} | c for i, c in enumerate(claims)]
    return make(spec(factors={"width": [8, 16]}, claims=named, **keys))


COMPARE = {
    "compare": {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater", "margin": 0}
}
LOSS = {"compare": {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "less"}}
EVERY = {"bound": {"metric": "test_accuracy", "above": 0.1, "of": "every"}}
# 60 examples only one is right about, 40 only the other: 0.2 pp, whose error over test sets is 0.1 pp.
FLIPS = {0: np.arange(60), 1: np.arange(60, 100)}


def test_it_stands_beside_the_interval_and_marks_what_another_test_set_may_not_confirm() -> None:
    made, test_set, _ = predicted(tables(COMPARE), FLIPS)
    plain = judged_table(*made.parts).iloc[0]
    row = judged_table(*made.parts, test_set=test_set).iloc[0]
    assert row["verdict"] == plain["verdict"] == "supported"
    assert row["low"] == plain["low"]
    paired = np.zeros(N)
    paired[:60], paired[60:100] = 1, -1
    own = (row["high"] - row["low"]) / 2
    whole = (row["high_test"] - row["low_test"]) / 2
    assert whole > own
    assert whole == pytest.approx(1.96 * paired.std() / math.sqrt(N), rel=0.1), "the examples' error, mostly"
    assert not row["confirmed"]
    text = report_of(made, test_set=test_set).markdown
    assert "Including test-set sampling the interval is " in text
    assert "**supported, not robust**" in text, "flagged in the table of verdicts too"
    assert "**Not robust to test-set sampling: a different test set of this size could change the verdict.**" in text
    shown = " ".join(terminal_table(judge_claims(*made.parts, test_set=test_set)).split())
    assert "Not robust to test-set sampling" in shown


def test_a_difference_far_from_its_bound_is_confirmed() -> None:
    made, test_set, _ = predicted(tables(COMPARE), {0: np.arange(600), 1: np.arange(600, 640)})
    row = judged_table(*made.parts, test_set=test_set).iloc[0]
    assert row["confirmed"]
    assert "Not robust" not in report_of(made, test_set=test_set).markdown


def test_predictions_are_read_for_claims_on_test_accuracy_alone() -> None:
    made, test_set, asked = predicted(tables(LOSS, EVERY), FLIPS)
    frame = judged_table(*made.parts, test_set=test_set)
    assert asked == []
    assert frame["low_test"].isna().all()
    assert (frame["sampling"] == "").all()
    late = {"compare": COMPARE["compare"] | {"metric": "late_test_accuracy"}}
    made, test_set, asked = predicted(tables(late), FLIPS)
    (row,) = judged_table(*made.parts, test_set=test_set).to_dict("records")
    assert asked == []
    # A folder that is older than the counts.
    assert (
        "for the final step only, as of runs that may stop early; of others `mlpbench run --rerun all`"
        in row["sampling"]
    )
    made, test_set, asked = predicted(tables(COMPARE, LOSS), FLIPS)
    judged_table(*made.parts, test_set=test_set)
    assert asked == [10]


def test_why_it_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made, test_set, asked = predicted(tables(COMPARE), FLIPS)

    def said(**changed: Any) -> str:
        row = judged_table(*made.parts, test_set=replace(test_set, **changed)).iloc[0]
        assert math.isnan(row["low_test"])
        assert row["verdict"] == "supported"
        prefix = "No test-set-sampling interval: "
        assert row["sampling"].startswith(prefix)
        return str(row["sampling"]).removeprefix(prefix)

    assert said(labels=lambda _: None) == "the folder lacks the labels; `mlpbench report` adds them where the data are."
    assert asked == [], "without labels nothing is read"
    assert said(predictions=lambda ids: test_set.predictions(ids[1:])) == "1 of 10 runs have no predictions."
    assert said(labels=lambda _: LABELS[:5]) == "predictions are not those of this test set."
    assert said(labels=lambda _: LABELS[::-1]) == "predictions and accuracies disagree."
    assert (
        "the folder lacks the labels; `mlpbench report` adds them where the data are."
        in report_of(made, test_set=replace(test_set, labels=lambda _: None)).markdown
    )
    monkeypatch.setattr(example_sampling, "MOST_RUNS", 9)
    assert said() == "it takes predictions of 10 runs, more than 9."


@pytest.mark.parametrize("points", [1, 3])
def test_a_late_accuracy_has_the_interval_of_the_shares_of_points_that_examples_were_right_at(points: int) -> None:
    late = {"compare": COMPARE["compare"] | {"metric": "late_test_accuracy"}}
    made, test_set, asked = predicted(tables(late), FLIPS)
    rng = np.random.default_rng(points)
    runs = made.runs["run_id"].tolist()
    counts = {i: rng.binomial(points, 0.9, N).astype(np.uint8) for i in runs}
    rows = pd.DataFrame({"run_id": runs, "late_right": [bytes([points]) + counts[i].tobytes() for i in runs]})
    # The curve has a point before the later half, and then as many as are counted.
    steps = [0, *range(100, 100 + points)]
    curves = pd.DataFrame(
        [
            {"run_id": i, "epoch": float(step), "step": step, "split": "test", "loss": 0.1,
             "accuracy": 0.1 if step == 0 else float(counts[i].mean() / points)}
            for i in runs for step in steps
        ]
    )  # fmt: skip
    made = replace(made, curves=curves)
    with_counts = replace(test_set, late_right=lambda ids: rows[rows["run_id"].isin(ids)])
    (row,) = judged_table(*made.parts, test_set=with_counts).to_dict("records")
    assert asked == []
    by_condition = {c.condition_id: made.runs[made.runs["condition_id"] == c.condition_id] for c in made.conditions}
    narrow, wide = (
        np.stack([counts[i] / points for i in of.sort_values("replicate")["run_id"]]) for of in by_condition.values()
    )
    expected = widen(sample_of(wide - narrow), iter(wide - narrow)).interval()
    assert (row["low_test"], row["high_test"]) == pytest.approx(expected)
    assert row["sampling"] == ""
    lacking = replace(test_set, late_right=lambda ids: rows[rows["run_id"].isin(ids)].iloc[1:])
    (row,) = judged_table(*made.parts, test_set=lacking).to_dict("records")
    assert "of 1 of 10 runs predictions are stored for the final step only" in row["sampling"]
    wrong = replace(test_set, late_right=lambda ids: rows.assign(late_right=[bytes([points]) + bytes(N)] * len(rows)))
    (row,) = judged_table(*made.parts, test_set=wrong).to_dict("records")
    assert "predictions and accuracies disagree" in row["sampling"]
