"""`test: sign` from tables to reports: runs that never got there are judged, and what is not known is not made up."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, judged_table, replace_metric
from arithmetic_times import EACH, METRIC, NEVER, faster, timed
from click.testing import CliRunner
from reports import report_of
from scipy import stats

import mlpbench
from mlpbench.cli.main import main
from mlpbench.evidence.frames import records
from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Interval, claims_table
from mlpbench.evidence.statistics.sign_test import more_needed
from mlpbench.report.sections.verdicts import draw as forest
from mlpbench.report.sections.verdicts import explanations
from mlpbench.report.verdict_tables import ledger, terminal_table, verdicts_table
from mlpbench.report.words import estimate_cell, expected_cell

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

# Replicates of width 8 take 3 to 6 epochs of 10; of width 16 two get there, both later.
FEW = [3, 4, 5, 3, 4, 5, 6, 3]
NONE = [NEVER, NEVER, NEVER, 9, NEVER, NEVER, NEVER, 8]


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def row_of(made: Tables) -> dict[str, Any]:
    return records(judged_table(*made.parts))[0]


def test_a_claim_about_runs_that_never_get_there_comes_out() -> None:
    """Of width 16 six took more than 10 epochs, so that all differences are below 0: -7 at most, ... -4 at most, -6, -5."""
    frame = judged_table(*timed([FEW, NONE], faster()).parts)
    (row,) = records(frame)
    assert (row["verdict"], row["n"], row["planned"]) == ("supported", 8, 8)
    assert row["p"] == pytest.approx(stats.binomtest(0, 8).pvalue)
    assert (row["test"], row["interval"]) == ("sign", "order")
    assert row["form"] == f"{METRIC}: width=8 minus width=16, less in the median"
    # At most, in order: -7, -7, -6, -6 (known), -5, -5, -5 (known), -4; the median is the mean of values 4 and 5.
    assert (row["estimate"], row["estimate_is"]) == (-5.5 * EACH, "at most")
    assert (row["low"], row["high"]) == (-math.inf, -4 * EACH)
    assert (row["wins"], row["ties"]) == (0, 0)
    assert all(math.isnan(row[name]) for name in ("sd", "iqm", "effect"))
    (verdict,) = judge_claims(*timed([FEW, NONE], faster()).parts)
    assert estimate_cell(verdict) == "at most -1292 steps (at most -940)"
    assert expected_cell(verdict) == "median < 0 steps"
    text = explanations([verdict])
    assert (
        "Estimated at most -1292 steps (95% interval at most -940, n = 8): the median difference is below 0 steps"
        in text
    )
    assert "width=8 better than width=16 in 8 of 8 replicates." in text
    assert "6 of 8 replicates short of the loss in width=16." in text
    assert (
        "Sign test of the median: 0 of 8 replicates above the bound, 8 below, none undetermined. A run that never reached "
        "it is censored at the end of its training. Order-statistic interval (1st to 8th of 8; the lower end of the smallest "
        "possible values, the upper of the largest), coverage at least 99.2%."
    ) in text
    assert "can't be judged" not in text


def test_the_other_side_is_refuted_and_an_estimate_that_is_known_stands() -> None:
    """Medians of 5 epochs against 9, with one run that never got there: only the far end of the interval is open."""
    late = [9, 9, 9, 9, 9, 9, 8, NEVER]
    row = row_of(timed([late, FEW], faster()))
    assert (row["verdict"], row["estimate"], row["estimate_is"]) == ("refuted", 5 * EACH, "")
    assert (row["low"], row["high"]) == (2 * EACH, math.inf)
    (verdict,) = judge_claims(*timed([late, FEW], faster()).parts)
    assert estimate_cell(verdict) == "+1175 steps (at least +470)"
    assert "the median difference is above 0 steps" in explanations([verdict])


def test_where_neither_got_there_the_side_is_not_known_and_counts_for_none() -> None:
    """6 of 8 known signs have p = 2 P(X >= 6); 1 of 2 unknown more is not the p of 6 of 6."""
    row = row_of(timed([[*FEW[:6], NEVER, NEVER], [NEVER] * 8], faster()))
    assert row["p"] == pytest.approx(2 * stats.binom.sf(5, 8, 0.5))
    assert row["verdict"] == "undecided"
    assert pd.isna(row["wins"])
    assert "0 of 8 replicates above the bound, 6 below, 2 undetermined" in row["note"]
    needed = more_needed(8, 6 / 8, 0.05, 0.8, 100_000)
    assert needed is not None
    assert row["more_replicates"] == needed - 8
    assert "worse than" not in explanations(
        judge_claims(*timed([[*FEW[:6], NEVER, NEVER], [NEVER] * 8], faster()).parts)
    )


def test_where_nobody_got_there_nothing_is_known_and_that_is_said() -> None:
    (verdict,) = judge_claims(*timed([[NEVER] * 8, [NEVER] * 8], faster()).parts)
    assert verdict.estimate is None
    assert (verdict.interval, verdict.p) == (Interval(low=-math.inf, high=math.inf), 1.0)
    assert estimate_cell(verdict) == "-"
    assert (
        "The median isn't known (95% interval open on both sides, n = 8); inconclusive: the data do not show whether it is below 0 steps "
        "(p = 1.00; p = 1.00 after Holm's correction). No affordable number"
    ) in explanations([verdict])


def test_a_run_is_longer_than_its_own_training_and_a_tie_is_no_longer() -> None:
    """b gets there at the last point: a, which never does, took more; where a does too, they are equal."""
    assert row_of(timed([[NEVER] * 6, [10] * 6], faster(expect="greater")))["verdict"] == "supported"
    assert row_of(timed([[10] * 6, [10] * 6], faster(expect="greater")))["p"] == 1.0
    assert row_of(timed([[NEVER] * 6, [10] * 6], faster(expect="greater", margin=1.0)))["p"] == 1.0


def test_rows_without_numbers_are_not_training() -> None:
    """`trim` keeps rows and drops numbers: what is known of a run ends where its numbers do."""
    bound = {"id": "b", "says": "b", "test": "sign", "bound": {"metric": METRIC, "above": 100}}
    made = timed([[NEVER] * 6], bound)
    curves = made.curves.assign(loss=made.curves["loss"].where(made.curves["epoch"] <= 4))
    row = row_of(replace(made, curves=curves))
    assert (row["estimate"], row["estimate_is"], row["verdict"]) == (4 * EACH, "at least", "supported")
    bare = row_of(replace(made, curves=made.curves.assign(loss=math.nan)))
    assert bare["n"] == 0


@pytest.mark.parametrize(
    ("metric", "least"),
    [
        ("steps_to_train_loss_0.5", 10 * EACH),
        ("epochs_to_train_loss_0.5", 10),
        ("epochs_to_train_accuracy_0.5", 10),
        ("log10_steps_to_train_accuracy_0.5", math.log10(10 * EACH)),
        ("log10_epochs_to_train_loss_0.5", 1),
    ],
)
def test_what_is_known_is_counted_as_the_metric_counts(metric: str, least: float) -> None:
    bound = {"id": "b", "says": "b", "bound": {"metric": metric, "above": 0.5, "of": "median"}}
    row = row_of(timed([[3, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER]], bound))
    assert (row["estimate"], row["estimate_is"]) == (pytest.approx(least), "at least")


def test_of_a_logarithm_nothing_is_known_of_a_run_without_a_step() -> None:
    bound = {"id": "b", "says": "b", "test": "sign", "bound": {"metric": f"log10_{METRIC}", "above": 0}}
    row = row_of(timed([[NEVER] * 6], bound, epochs=0))
    assert math.isnan(row["estimate"])
    assert row["p"] == 1.0


def test_a_bound_of_the_median_and_one_with_the_sign_test_are_one_claim() -> None:
    form = {"metric": METRIC, "where": {"width": 16}, "above": 1000}
    claims = [
        {"id": "c", "says": "c", "bound": form | {"of": "median"}},
        {"id": "c", "says": "c", "bound": form, "test": "sign"},
        {"id": "c", "says": "c", "bound": form | {"of": "median"}, "test": "sign"},
    ]
    found = [judge_claims(*timed([FEW, NONE], claim).parts) for claim in claims]
    one, *others = map(claims_table, found)
    assert one["form"].item() == f"{METRIC} at width=16: above 1000 in the median"
    assert "the median is above 1000 steps" in explanations(found[0])
    for other in others:
        pd.testing.assert_frame_equal(one, other)


def test_a_trend_and_a_contrast_have_bounds_of_their_own_sums() -> None:
    """Per doubling: half of last minus first. Of a + c - 2 b, with b never in 10, at most a + c - 20 epochs."""
    trend = {"metric": METRIC, "factor": "width", "expect": "rises", "scale": "log"}
    terms = [{"weight": w, "where": {"width": 8 * 2**i}} for i, w in enumerate((1, -2, 1))]
    contrast = {"metric": METRIC, "terms": terms, "expect": "less", "margin": 100.0}
    claims = [{"id": k, "says": k, k: f, "test": "sign"} for k, f in (("trend", trend), ("contrast", contrast))]
    made = timed([[2] * 7, [NEVER] * 7, [NEVER, *[8] * 6]], *claims)
    found = judge_claims(*made.parts)
    rises, bends = records(claims_table(found))
    assert (rises["estimate"], rises["estimate_is"], rises["low"], rises["high"]) == (3 * EACH, "", 3 * EACH, math.inf)
    assert rises["form"].endswith("per doubling of width, rises in the median")
    assert (bends["estimate"], bends["estimate_is"], bends["high"]) == (-10 * EACH, "at most", math.inf)
    assert rises["verdict"] == "supported"
    assert bends["verdict"] == "undecided"
    assert "6 below, 1 undetermined" in bends["note"]
    assert expected_cell(found[1]) == "median < -100 steps"
    fewer = judge_claims(*timed([[2] * 7, [NEVER] * 7, [8] * 7], *claims).parts)
    assert "the median slope is above 0 steps" in explanations(fewer)
    assert "the median reduction is above the margin of 100 steps" in explanations(fewer)


def test_what_is_known_everywhere_is_judged_as_any_number_is() -> None:
    """Against scipy, numpy and a comparison by t of the same numbers."""
    form = {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 16}, "expect": "greater", "margin": 0.5}
    claims = [{"id": t, "says": t, "compare": form, "test": t} for t in ("sign", "t")]
    a = [1.9, 2.4, 2.0, 3.3, 9.0, 2.2, 0.3]
    made = timed([[1] * 7, [1] * 7], *claims)
    losses = {(0, r): v for r, v in enumerate(a)} | {(1, r): 1.0 for r in range(7)}
    by_sign, by_t = records(judged_table(*replace_metric(made, "test_loss", losses).parts))
    differences = np.sort(np.array(a) - 1.0)
    assert by_sign["estimate"] == pytest.approx(np.median(differences))
    assert (by_sign["low"], by_sign["high"]) == (differences[0], differences[-1])
    assert by_sign["p"] == pytest.approx(stats.binomtest(6, 7).pvalue)
    for name in ("sd", "iqm", "wins", "ties"):
        assert by_sign[name] == by_t[name]
    assert (
        "Sign test of the median: 6 of 7 replicates above the bound, 1 below. Order-statistic interval (1st to 7th of 7)"
        in by_sign["note"]
    )
    assert "never got there" not in by_sign["note"]


def test_failed_and_missing_runs_are_left_out_as_ever_and_diverged_ones_count_as_the_worst() -> None:
    diverged = {(0, 0): "diverged", (0, 1): "failed", (1, 2): "missing"}
    row = row_of(timed([[*FEW, 3], [*NONE, NEVER]], faster(), status=diverged))
    assert (row["n"], row["planned"], row["verdict"], row["p"]) == (7, 9, "undecided", pytest.approx(2 * 8 / 2**7))
    status = {(0, 0): "failed", (0, 1): "failed", (1, 2): "missing"}
    row = row_of(timed([[*FEW, 3], [*NONE, NEVER]], faster(), status=status))
    assert (row["n"], row["planned"], row["verdict"]) == (6, 9, "supported")
    few = row_of(timed([FEW, NONE], faster(), status=status))
    assert few["n"] == 5
    assert math.isnan(few["p"])
    assert "A test needs 6 complete replicates, got 5." in few["note"]


HINT = "`test: sign` (6 replicates or more, and more beside other claims) would judge the median with them."


def test_other_tests_say_what_would_judge_such_runs_where_that_is_so() -> None:
    form = {"metric": METRIC, "where": {"width": 16}, "above": 1}
    matches = {"metric": METRIC, "where": {"width": 16}, "value": 1, "tolerance": 1}
    told = [faster(test="t"), faster(test="sign_flip"), {"bound": form}]
    untold = [{"bound": form | {"of": "every"}}, {"matches": matches}, faster(test="t", expect="equivalent", margin=1)]
    for claim, hint in [*((c, True) for c in told), *((c, False) for c in untold)]:
        row = row_of(timed([FEW, NONE], {"id": "c", "says": "c"} | claim))
        assert math.isnan(row["p"])
        assert row["note"].endswith(HINT) == hint
        assert (row["n"], math.isfinite(row["estimate"])) == (2, True)
        assert "so the claim can't be judged on the others alone" in row["note"]
    assert "would judge" not in row_of(timed([FEW, FEW], faster(test="t")))["note"]


ALL = [
    faster(id="less"), faster(id="more", expect="greater"), faster(id="far", margin=2000.0), faster(id="by-t", test="t"),
    {"id": "level", "says": "l", "test": "sign", "bound": {"metric": METRIC, "where": {"width": 16}, "above": 100}},
    {"id": "slope", "says": "s", "test": "sign", "trend": {"metric": METRIC, "factor": "width", "expect": "falls"}},
]  # fmt: skip


@pytest.mark.parametrize("times", [[FEW, NONE], [NONE, FEW], [[NEVER] * 8] * 2, [[*FEW[:6], 10, NEVER], [NEVER] * 8]])
def test_no_report_table_or_dump_says_inf_or_nan(times: list[list[int | None]]) -> None:
    made = timed(times, *ALL)
    frame, found = judged_table(*made.parts), judge_claims(*made.parts)
    report = report_of(made)
    texts = [report.markdown, verdicts_table(found), terminal_table(found), ledger([("made", found)])]
    for text in texts:
        words = {w.strip("(),;:.%+-*|`").lower() for w in text.split()}
        assert not words & {"inf", "nan", "none%", "infinity"}
    rows = json.loads(frame.to_json(orient="records"), parse_constant=refuse)
    assert [r["id"] for r in rows] == [c["id"] for c in ALL]
    assert all(r["high"] is None or math.isfinite(r["high"]) for r in rows)
    assert "figures/claim_" in report.markdown or frame["estimate"].isna().all()
    assert all(len(line) <= 110 for line in terminal_table(found).splitlines())


def test_an_open_end_is_drawn_to_the_edge_and_a_bound_points_to_where_the_number_lies() -> None:
    found = judge_claims(*timed([FEW, NONE], faster(), faster(id="again", expect="greater")).parts)
    first, _ = forest(found).axes
    (segment,) = first.collections[-1].get_segments()  # type: ignore[attr-defined]
    left, right = first.get_xlim()
    assert segment[:, 0].tolist() == [left, -4 * EACH]
    assert left < -5.5 * EACH < 0 < right
    assert [line.get_marker() for line in first.lines if line.get_marker() not in ("None", "")] == ["<"]


def test_a_top_up_judges_and_goes_on_with_runs_that_never_get_there() -> None:
    """At 6 replicates one side is not known; at 9 eight are known, which the share of the level at that look decides."""
    until: dict[str, Any] = {"until_decided": {"max_replicates": 14}}
    a, b = [NEVER, *[3] * 13], [NEVER] * 14
    made = timed([a, b], faster())
    experiment = timed([a[:6], b[:6]], faster(), **until).experiment
    found = interim_analysis.judge(experiment, made.conditions, made.runs, made.curves)
    at = [(look.replicates, look.verdicts[0].p, look.verdicts[0].decision) for look in found.interim_analyses]
    assert [n for n, *_ in at] == [6, 9, 14]
    for n, p, verdict in at:
        assert p == pytest.approx(2 * stats.binom.sf(n - 2, n, 0.5))
        level = 0.05 * (n - {6: 0, 9: 6, 14: 9}[n]) / 14
        assert p is not None
        assert verdict == ("supported" if p <= level else "undecided")
    assert found.verdicts[0].decision == "supported"
    assert "after correction for interim analyses and claims, at interim analysis 3" in explanations(found.verdicts)


@pytest.mark.slow
def test_a_training_whose_runs_never_get_there_is_reported_and_printed(tmp_path: Path) -> None:
    """With a learning rate of 1e-6 three epochs move nothing: the loss stays near ln 10."""
    metric = "epochs_to_train_loss_2"
    compare = {"metric": metric, "a": {"lr": 0.1}, "b": {"lr": 1e-6}, "expect": "less"}
    bound = {"metric": metric, "where": {"lr": 1e-6}, "above": 3}
    tree = {
        "name": "short", "question": "Is 1e-6 enough?", "dataset": "fashion_mnist", "replicates": 6,
        "fixed": {"width": 16, "init": "he_normal", "train_size": 100, "batch_size": 10, "epochs": 3},
        "factors": {"lr": [0.1, 1e-6]},
        "claims": [
            {"id": "sooner", "says": "s", "compare": compare, "test": "sign"},
            {"id": "later", "says": "l", "bound": bound, "test": "sign"},
        ],
    }  # fmt: skip
    outcome = mlpbench.run(tree, results=tmp_path, device="cpu", workers=1)
    folder = tmp_path / "short"
    assert outcome.claims["verdict"].tolist() == ["undecided", "undecided"]  # two claims of six: p 2 x 0.031
    assert outcome.claims["p"].tolist() == pytest.approx([2 / 64, 2 / 64])
    pd.testing.assert_frame_equal(mlpbench.load(folder).claims, outcome.claims)
    assert "of: median" in (folder / "spec.yaml").read_text()
    commands = (
        ["report", folder, "--html"],
        ["report", folder, "--check"],
        ["claims", folder, "--json"],
        ["index", tmp_path],
    )
    printed = [CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False) for words in commands]
    assert [p.exit_code for p in printed] == [0, 0, 0, 0]
    sooner, later = json.loads(printed[2].stdout, parse_constant=refuse)["short"]
    assert (sooner["estimate_is"], sooner["low"], later["estimate"], later["high"]) == ("at most", None, 3.0, None)
    for page in ("report.md", "report.html"):
        assert "at least 3 epochs (at least 3)" in (folder / page).read_text()


def trend(levels: list[float], expect: str, scale: str = "linear", factor: str = "dropout") -> dict[str, Any]:
    return {
        "id": "t",
        "says": "t",
        "test": "sign",
        "trend": {"metric": METRIC, "factor": factor, "expect": expect, "scale": scale},
    }


@pytest.mark.parametrize("expect", ["rises", "falls"])
@pytest.mark.parametrize(
    ("factor", "levels", "scale"),
    [
        ("dropout", [0.1, 0.2, 0.3], "linear"),
        ("dropout", [0.1, 0.2, 0.4], "linear"),
        ("width", [8, 16, 24], "log"),
        ("width", [64, 256, 512], "log"),
    ],
)
def test_replicates_that_tie_are_on_no_side_whatever_rounding_makes_of_their_sum(
    factor: str, levels: list[float], scale: str, expect: str
) -> None:
    """Every run takes 4 epochs: the slope is 0, though the sum of rounded products is not."""
    for test in ("sign", "sign_flip"):
        claim = trend(levels, expect, scale, factor) | {"test": test}
        row = row_of(timed([[4] * 6] * 3, claim, factors={factor: levels}))
        assert (row["verdict"], row["p"], row["estimate"]) == ("undecided", 1.0, 0.0), test


def test_means_over_conditions_that_tie_are_on_no_side() -> None:
    """(1, 5, 6) against (4, 4, 4) epochs over three widths, and (7, 2, 2) against (3, 3, 5), weighed by a third each."""
    factors = {"width": [8, 16, 24], "lr": [0.1, 0.2]}
    for first, second in (((1, 5, 6), (4, 4, 4)), ((7, 2, 2), (3, 3, 5))):
        times = [[t] * 6 for pair in zip(first, second, strict=True) for t in pair]
        form = {"metric": METRIC, "a": {"lr": 0.1}, "b": {"lr": 0.2}, "expect": "greater"}
        row = row_of(timed(times, {"id": "c", "says": "c", "test": "sign", "compare": form}, factors=factors))
        assert (row["p"], row["estimate"], row["wins"], row["ties"]) == (1.0, 0.0, 0, 6)


def test_accuracies_that_differ_by_just_the_margin_are_on_no_side_of_it() -> None:
    form = {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 16}, "expect": "greater"}
    made = timed([[4] * 12] * 2, {"id": "c", "says": "c", "test": "sign", "compare": form})
    values = {(0, r): (8500 + 7 * r + 20) / 10_000 for r in range(12)} | {
        (1, r): (8500 + 7 * r) / 10_000 for r in range(12)
    }
    row = row_of(replace_metric(made, "test_accuracy", values))
    assert (row["margin"], row["p"], row["wins"]) == (0.002, 1.0, 12)


@pytest.mark.parametrize("levels", [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]])
def test_a_condition_without_weight_may_be_unknown(levels: list[float]) -> None:
    """The middle of three even levels has no part in a slope, though rounding leaves 1e-15 of its weight.

    It has one in the steps: what took longer than both others rose to it, and by t such a step can't be judged.
    """
    row = row_of(timed([[8] * 6, [NEVER] * 6, [2] * 6], trend(levels, "falls"), factors={"dropout": levels}))
    assert (row["n"], row["high"]) == (6, pytest.approx(row["estimate"]))
    assert row["p"] == pytest.approx(2 / 2**6)
    assert row["verdict"] == "undecided"
    assert (
        f"from dropout={levels[0]} to dropout={levels[1]} the median difference is at least +470 steps" in row["note"]
    )
    t = row_of(
        timed([[8] * 6, [NEVER] * 6, [2] * 6], trend(levels, "falls") | {"test": "t"}, factors={"dropout": levels})
    )
    assert (t["verdict"], t["n"]) == ("undecided", 6)
    assert t["p"] < 1e-6
    assert "a test needs 2 complete replicates, got 0" in t["note"]


def test_a_lost_run_does_not_end_a_top_up() -> None:
    """With 6 replicates one failed run leaves 5, too few for a sign test: more are asked for, not given up."""
    made = timed([[3] * 6, [5] * 6], faster(), status={(0, 2): "failed"}, until_decided={"max_replicates": 24})
    judged = interim_analysis.judge(made.experiment, made.conditions, made.runs, made.curves)
    assert list(judged.replicates) == [9, 9]
    gone = timed(
        [[3] * 6, [5] * 6],
        faster(),
        status={(0, r): "failed" for r in range(6)},
        until_decided={"max_replicates": 24},
    )
    assert list(interim_analysis.judge(gone.experiment, gone.conditions, gone.runs, gone.curves).replicates) == [6, 6]


def test_a_top_up_ends_where_the_sides_are_not_known_and_says_so() -> None:
    made = timed([[NEVER] * 8, [NEVER] * 8], faster(), until_decided={"max_replicates": 24})
    judged = interim_analysis.judge(made.experiment, made.conditions, made.runs, made.curves)
    assert list(judged.replicates) == [8, 8]
    half = timed([[3] * 4 + [NEVER] * 4, [5] * 4 + [NEVER] * 4], faster())
    text = explanations(judge_claims(*half.parts))
    assert "No affordable number of replicates gives 80% power if as many replicates stay censored." in text
    even = explanations(judge_claims(*timed([[3] * 4 + [5] * 4, [4] * 8], faster()).parts))
    assert "No affordable number of replicates gives 80% power if the shares above and below stay the same." in even


def test_an_incomplete_interim_analysis_says_nothing_of_more_replicates() -> None:
    """Seven of seven decide by themselves, but one run is missing, so that the look does not."""
    made = timed([[3] * 8, [5] * 8], faster(), status={(0, 7): "missing"}, until_decided={"max_replicates": 9})
    judged = interim_analysis.judge(made.experiment, made.conditions, made.runs, made.curves)
    (row,) = records(claims_table(judged.verdicts))
    assert (row["verdict"], row["n"]) == ("undecided", 7)
    assert "Interim analysis 1 is incomplete and decides nothing yet." in row["note"]
    assert "more replicates" not in explanations(judged.verdicts)


def test_the_size_of_an_effect_is_of_means_and_not_given_beside_a_median() -> None:
    made = timed([[3] * 7 + [9], [4] * 7 + [1]], faster())
    row = row_of(made)
    assert math.isnan(row["effect"])
    assert (row["wins"], row["ties"]) == (1, 0)
    assert "Hedges" not in explanations(judge_claims(*made.parts))


def test_the_terminal_says_how_many_more_replicates_in_the_words_of_the_test() -> None:
    made = timed([[3, 3, 3, 3, 3, 5], [4] * 6], faster())
    assert "more replicates needed for 80% power if the share on that side stays the same." in " ".join(
        terminal_table(judge_claims(*made.parts)).split()
    )
