"""Replicates that are none: equal draws, one measurement of a stack, and numbers that follow from the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import FIXED, Tables, make, replace_metric, spec

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.draws import measured_apart
from mlpbench.evidence.judging.verdict import Verdict, claims_table
from mlpbench.experiment import grid
from mlpbench.experiment.drawn_streams import streams_that_matter
from mlpbench.report.verdict_tables import verdicts_table
from mlpbench.report.words import verdict_sentence

LESS = {"a": {"width": 16}, "b": {"width": 8}, "expect": "less"}


def tables(metric: str, numbers: list[list[float]], form: dict[str, Any], **keys: Any) -> Tables:
    """Return the tables of two widths with a metric, and one claim about it."""
    fixed = {k: v for k, v in (FIXED | keys.pop("fixed", {})).items() if k != "width"}
    (name, fields), more = next(iter(form.items())), keys.pop("options", {})
    claim = {"id": "c", "says": "It does.", name: {"metric": metric} | fields} | more
    made = make(spec(factors={"width": [8, 16]}, fixed=fixed, claims=[claim], replicates=len(numbers[0]), **keys))
    values = {(i, r): v for i, row in enumerate(numbers) for r, v in enumerate(row)}
    return replace_metric(replace(made, curves=made.curves.iloc[:0]), metric, values)


def judged(*args: Any, **keys: Any) -> Verdict:
    """Return the verdict on the claim of `tables`."""
    (verdict,) = judge_claims(*tables(*args, **keys).parts)
    return verdict


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"vary": ["dropout"]}, "they differ only in dropout, which these runs do not draw from. Vary init or order."),
        ({"vary": ["dropout", "noise"], "validation": 0.1}, "Vary init, order or split."),
        ({"vary": ["split"]}, "they differ only in split"),
        ({"vary": ["init"], "fixed": {"init": "zeros"}}, "they differ only in init, which these runs do not draw from. Vary order."),
        ({"vary": ["order"], "fixed": {"batch_size": "full"}}, "they differ only in order, which these runs do not draw from. Vary init."),
        ({"fixed": {"batch_size": "full", "init": {"constant": 0.1}}}, "these runs draw no random numbers."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["compare", "bound", "every", "sign", "sign_flip"])
def test_replicates_that_draw_nothing_anew_are_one_draw_and_no_test(form: str, keys: dict[str, Any], says: str) -> None:
    # Six equal runs, and six that differ by rounding alone: either would be supported with p next to 0.
    forms: dict[str, dict[str, Any]] = {
        "compare": {"compare": LESS | {"margin": 0.0}},
        "bound": {"bound": {"where": {"width": 8}, "above": 0.5}},
        "every": {"bound": {"where": {"width": 8}, "above": 0.5, "of": "every"}},
    }
    shape = forms.get(form, forms["compare"])
    options = {"test": form} if form in ("sign", "sign_flip") else {}
    for rounding in (0.0, 1e-9):
        rows = [[0.84 + rounding * r for r in range(6)], [0.83] * 6]
        verdict = judged("test_accuracy", rows, shape, options=options, **keys)
        assert verdict.decision == "undecided"
        assert (verdict.p, verdict.interval, verdict.outlook.more_replicates) == (None, None, None)
        assert verdict.estimate == pytest.approx(-0.01 if shape is forms["compare"] else 0.84)
        assert "The 6 replicates are one draw, which is no test: " in verdict.note
        assert says in verdict.note


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"vary": ["dropout"], "fixed": {"dropout": 0.5}},
        {"vary": ["init"], "fixed": {"init": "zeros", "bias_init": "default"}},
        {"vary": ["order"]},
        {"vary": ["split"], "validation": 0.1},
        {"vary": ["noise"], "fixed": {"label_noise": 0.1}},
    ],
)
def test_replicates_that_draw_from_a_stream_that_varies_are_tested(keys: dict[str, Any]) -> None:
    rows = [[0.84 + 1e-4 * r for r in range(6)], [0.83] * 6]
    verdict = judged("test_accuracy", rows, {"compare": LESS}, **keys)
    assert verdict.decision == "supported"
    assert verdict.p is not None
    assert verdict.p < 1e-6


def test_one_side_that_draws_is_enough_for_replicates_to_differ() -> None:
    claim = {"id": "c", "says": "x", "compare": {"metric": "test_accuracy", "a": {"dropout": 0.5}, "b": {"dropout": 0}, "expect": "less"}}  # fmt: skip
    alone = {"id": "d", "says": "x", "bound": {"metric": "test_accuracy", "where": {"dropout": 0}, "above": 0.1}}
    made = make(spec(factors={"dropout": [0, 0.5]}, claims=[claim, alone], replicates=6, vary=["dropout"]))
    compared, of_none = judge_claims(*made.parts)
    assert compared.p is not None
    assert of_none.p is None


def test_a_broken_bound_refutes_from_one_draw_too() -> None:
    broken = {"bound": {"where": {"width": 8}, "above": 0.9, "of": "every"}}
    assert judged("test_accuracy", [[0.84] * 6, [0.83] * 6], broken, vary=["dropout"]).decision == "refuted"


def test_streams_of_a_run_follow_from_its_settings() -> None:
    made = spec(factors={"width": [8]}, fixed=FIXED | {"dropout": 0.5, "input_noise": 0.1}, validation=0.1)
    (condition,) = grid.conditions(made)
    assert streams_that_matter(condition, made) == ("init", "order", "dropout", "split", "noise")
    whole = spec(factors={"width": [8]}, fixed=FIXED | {"batch_size": "full", "dropout": 1})
    assert streams_that_matter(grid.conditions(whole)[0], whole) == ("init",)


@pytest.mark.parametrize("metric", ["flops", "train_bytes", "eval_bytes"])
@pytest.mark.parametrize(
    ("form", "decision"),
    [
        ({"compare": LESS}, "supported"),
        ({"compare": LESS | {"expect": "greater"}}, "refuted"),
        ({"compare": LESS | {"expect": "equivalent", "margin": 20.0}}, "supported"),
        ({"bound": {"where": {"width": 8}, "above": 115.0}}, "supported"),
        ({"bound": {"where": {"width": 8}, "above": 115.0, "of": "median"}}, "supported"),
        ({"bound": {"where": {"width": 8}, "above": 125.0, "of": "every"}}, "refuted"),
    ],
)
def test_numbers_that_follow_from_settings_are_exact(metric: str, form: dict[str, Any], decision: str) -> None:
    verdict = judged(metric, [[120.0] * 6, [100.0] * 6], form)
    assert verdict.decision == decision
    assert (verdict.p, verdict.p_corrected, verdict.interval, verdict.test) == (None, None, None, "exact")
    assert "Exact: it follows from the settings" in verdict.note
    assert "| exact |" in verdicts_table([verdict])
    assert verdict_sentence(verdict).startswith("It is ")


def test_one_replicate_is_enough_for_an_exact_number_and_runs_that_disagree_are_none() -> None:
    claim = {"compare": LESS}
    assert judged("flops", [[120.0], [100.0]], claim).decision == "supported"
    differ = judged("flops", [[120.0, 121.0], [100.0, 100.0]], claim)
    assert differ.decision == "undecided"
    assert "still differs between replicates" in differ.note


def test_exact_claims_are_no_members_of_holms_family() -> None:
    rows = [[0.84 + 1e-3 * (r % 3) for r in range(6)], [0.83] * 6]
    made = tables("test_accuracy", rows, {"compare": LESS})
    exact = [{"id": f"e{i}", "says": "x", "bound": {"metric": "flops", "above": 1.0}} for i in range(5)]
    both = spec(factors={"width": [8, 16]}, claims=[c.as_written() for c in made.experiment.claims] + exact, replicates=6)  # fmt: skip
    together = judge_claims(both, *made.parts[1:])
    (alone,) = judge_claims(*made.parts)
    assert together[0].p_corrected == alone.p_corrected == alone.p


def test_seconds_of_one_stack_are_one_measurement() -> None:
    stack = judged("train_seconds", [[2.0] * 6, [1.0] * 6], {"compare": LESS})
    assert (stack.decision, stack.n, stack.p) == ("undecided", 1, None)
    assert "5 replicates were timed in the same stacks as others" in stack.note
    two = judged("train_seconds", [[2.0] * 3 + [2.1] * 3, [1.0] * 3 + [1.05] * 3], {"compare": LESS})
    assert two.n == 2
    apart = judged("train_seconds", [[2.0 + r for r in range(6)], [1.0 + r / 7 for r in range(6)]], {"compare": LESS})
    assert apart.n == 6
    assert list(claims_table([stack])["n"]) == [1]


def test_rows_are_measured_apart_where_every_number_is_new() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 6, (40, 2)).astype(float)
    kept = table[measured_apart(table)]
    assert all(len(set(column)) == len(column) for column in kept.T.tolist())
    assert measured_apart(rng.normal(size=(9, 3))).all()


@pytest.mark.parametrize("repeats", [60, pytest.param(1000, marks=pytest.mark.prove)])
@pytest.mark.usefixtures("no_outlook")
def test_timing_of_equal_stacks_is_called_different_in_at_most_five_percent(repeats: int) -> None:
    """Two conditions of equal cost, five stacks of four replicates each; counting replicates was wrong in about half."""
    rng, wrong, before = np.random.default_rng(7), 0, 0
    from mlpbench.evidence.statistics import t_test
    from mlpbench.evidence.statistics.t_test import Sample

    made = tables("train_seconds", [[1.0] * 20, [1.0] * 20], {"compare": LESS})
    for _ in range(repeats):
        seconds = np.repeat(rng.normal(2.0, 0.1, (2, 5)), 4, axis=1)
        values = {(i, r): float(v) for i, row in enumerate(seconds) for r, v in enumerate(row)}
        (verdict,) = judge_claims(*replace_metric(made, "train_seconds", values).parts)
        wrong += verdict.decision != "undecided"
        difference = seconds[1] - seconds[0]
        sample = Sample(n=20, mean=float(difference.mean()), sd=float(difference.std(ddof=1)))
        before += t_test.two_sided(sample, 0.0) <= 0.05
    print(f"timing: {before} of {repeats} wrong by replicates, {wrong} by stacks")
    assert before > 0.2 * repeats
    assert wrong <= 0.05 * repeats + 4 * (repeats * 0.05 * 0.95) ** 0.5
