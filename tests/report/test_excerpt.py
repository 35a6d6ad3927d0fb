"""Reports on many conditions: tables and pictures show some, by a rule they state; numbers are about all."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, judged_table, make, spec
from matplotlib.figure import Figure
from reports import report_of, section_text

from mlpbench.evidence.estimates.axis_estimates import errors
from mlpbench.evidence.estimates.excerpt import MOST_DOTS, MOST_DRAWN, MOST_ROWS, choose
from mlpbench.evidence.estimates.observe import estimate, observe
from mlpbench.evidence.judging import interim_analysis
from mlpbench.report.context import Context
from mlpbench.report.figures.condition_colours import condition_colours
from mlpbench.report.figures.error_panels import error_against_factor
from mlpbench.report.figures.layouts import replicate_rows as replicates
from mlpbench.report.report import Report, render

WORDS = ["relu", "tanh", "sigmoid", "gelu", "silu"]
SHARES = [round(0.05 * i, 2) for i in range(20)]
SHORT: dict[str, Any] = {"fixed": {"epochs": 1}, "replicates": 2}


@functools.cache
def many() -> Tables:
    """A hundred and twenty conditions, one of which diverged and one of which never ran."""
    factors = {"activation": WORDS, "width": [8, 16, 32], "init": ["default", "he_normal"], "lr": [0.1, 0.2, 0.4, 0.8]}
    status = {(7, 0): "diverged", (7, 1): "diverged", (9, 0): "missing", (9, 1): "missing"}
    return make(spec(**SHORT, factors=factors), status=status)


@functools.cache
def told() -> Report:
    return report_of(many())


def frame(means: list[float], metric: str = "test_accuracy") -> pd.DataFrame:
    return pd.DataFrame({"position": range(len(means)), "metric": metric, "mean": means})


@pytest.mark.parametrize("n", [1, 2, MOST_ROWS])
def test_few_conditions_are_all_shown(n: int) -> None:
    shown = choose(n, frame(list(np.linspace(1, 0, n))))
    assert shown.is_whole
    assert list(shown.listed) == list(shown.drawn) == list(range(n))
    assert shown.listed_by == shown.drawn_by == ""


def test_of_many_the_best_are_listed_and_the_best_to_the_worst_drawn() -> None:
    accuracy = np.random.default_rng(0).permutation(100) / 100
    shown = choose(100, frame(accuracy.tolist()))
    order = np.argsort(-accuracy).tolist()
    assert list(shown.listed) == order[:MOST_ROWS]
    assert list(shown.drawn) == [order[11 * i] for i in range(MOST_DRAWN)]
    assert "60 of 100 conditions, those with the highest mean test accuracy, best first" in shown.listed_by
    assert "10 of 100 conditions: the best, the worst and those at equal steps of rank" in shown.drawn_by


def test_the_lowest_loss_is_best_where_there_is_no_accuracy() -> None:
    shown = choose(70, pd.concat([frame([np.nan] * 70), frame([float(i) for i in range(70)], "test_loss")]))
    assert (shown.listed[0], shown.drawn[0], shown.drawn[-1]) == (0, 0, 69)
    assert "lowest mean test loss" in shown.listed_by


def test_what_did_not_finish_comes_last_and_is_not_drawn() -> None:
    shown = choose(70, frame([np.nan] * 20 + [0.1 * i for i in range(50)]))
    assert list(shown.listed[:2]) == [69, 68]
    assert list(shown.listed[50:]) == list(range(10))
    assert min(shown.drawn) == 20
    nothing = choose(70, frame([np.nan] * 70))
    assert list(nothing.listed) == list(range(60))


@pytest.mark.parametrize("title", ["Conditions", "Cost"])
def test_tables_are_cut_and_say_where_the_rest_is(title: str) -> None:
    text = section_text(told(), title)
    rows = re.findall(r"^\| (activation=.*?) \|", text, re.MULTILINE)
    assert (
        "These are 60 of 120 conditions, those with the highest mean test accuracy, best first; the table `runs` has all."
        in text
    )
    accuracy = many().runs.groupby("condition_id")["test_accuracy"].mean()
    accuracy = accuracy.reindex([c.condition_id for c in many().conditions])  # equals stand in the order of the file
    label = {c.condition_id: c.label for c in many().conditions}
    best = accuracy.sort_values(ascending=False, kind="stable").index[:MOST_ROWS]
    assert rows == [label[str(i)] for i in best]


def test_sentences_are_about_all_conditions() -> None:
    means = many().runs.groupby("condition_id")["test_accuracy"].mean()
    label = {c.condition_id: c.label for c in many().conditions}
    text = section_text(told(), "Train and test error")
    assert f"lowest with {label[str(means.idxmax())]} ({1 - means.max():.2%}" in text
    assert f"highest with {label[str(means.idxmin())]} ({1 - means.min():.2%}" in text
    curves = section_text(told(), "Learning curves")
    ends = re.search(r"highest with (.+?), ([\d.]+) ± [\d.]+, and lowest with (.+?), ([\d.]+) ±", curves)
    assert ends is not None
    assert (ends[1], ends[3]) == (label[str(means.idxmax())], label[str(means.idxmin())])
    assert [float(ends[2]), float(ends[4])] == pytest.approx([means.max(), means.min()], abs=6e-5)
    assert f"the means of conditions span {100 * (means.max() - means.min()):.2f} pp" in section_text(
        told(), "Replicates"
    )
    sections = re.split(r"^## ", told().markdown, flags=re.MULTILINE)
    drawn = [s.splitlines()[0] for s in sections if "The figure shows 10 of 120 conditions" in s]
    assert drawn == ["Learning curves", "Train and test error", "Generalisation gap", "Result and cost", "Replicates"]


@pytest.mark.slow
def test_only_curves_that_are_drawn_are_read() -> None:
    asked: list[int | None] = []

    def read(run_ids: Any) -> pd.DataFrame:
        asked.append(None if run_ids is None else len(run_ids))
        curves = many().curves
        return curves if run_ids is None else curves[curves["run_id"].isin(run_ids)]

    tables = many()
    judgement = interim_analysis.judge(tables.experiment, tables.conditions, tables.runs, read)
    report = render(Context(experiment=tables.experiment, judgement=judgement, stored=tables.runs, curves=read))
    assert asked == [MOST_DRAWN * 2]
    assert report.markdown == told().markdown
    assert dict(report.pictures) == dict(told().pictures)


def test_curves_are_read_for_claims_about_them_only() -> None:
    bound = {"bound": {"metric": "test_accuracy", "above": 0.5}}
    steps = {"bound": {"metric": "steps_to_train_loss_0.5", "below": 9}}
    late = {"bound": {"metric": "log10_late_test_loss", "below": 9, "where": {"lr": 1.0}}}
    for form, reads in ((bound, 0), (steps, 2), (late, 1)):
        made = make(spec(**SHORT, factors={"lr": [0.1, 1.0]}, claims=[{"id": "a", "says": "It is.", **form}]))
        asked: list[Any] = []

        def read(run_ids: Any, made: Tables = made, asked: list[Any] = asked) -> pd.DataFrame:
            asked.append(run_ids)
            return made.curves

        lazily = judged_table(made.experiment, made.conditions, made.runs, read)
        pd.testing.assert_frame_equal(lazily, judged_table(*made.parts))
        lr = dict(zip(made.runs["run_id"], made.runs["lr"], strict=True))
        assert [sorted({lr[i] for i in ids}) for ids in asked] == [[0.1, 1.0][-reads:]] * (reads > 0)


def drawn(made: Tables) -> tuple[Figure, str]:
    """Return the figure of errors of an excerpt, and how it was chosen."""
    seen = observe(made.experiment, made.conditions, made.runs)
    metrics = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]
    rows = estimate(made.experiment, made.conditions, seen, made.curves, metrics)
    found = errors(made.experiment, made.conditions, seen, rows, choose(len(made.conditions), rows))
    assert found.factor is not None
    assert found.every["position"].nunique() == len(made.conditions)
    return error_against_factor(found.estimates, found.points, found.factor), found.drawn_by


@pytest.mark.slow
def test_along_a_factor_whole_lines_are_drawn_of_those_chosen() -> None:
    made = make(spec(**SHORT, factors={"width": [8, 16, 32], "lr": [0.1, 0.2], "dropout": SHARES}))
    figure, by = drawn(made)
    assert by.endswith("each with the conditions that differ from it in width alone, without replicates.")
    (legend,) = figure.legends
    texts = [t.get_text() for t in legend.get_texts()]
    assert texts[:2] == ["train", "test"]
    assert len(texts) <= 2 + MOST_DRAWN
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]
    assert len(lines) == 2 * (len(texts) - 2)
    assert {len(np.asarray(line.get_xdata())) for line in lines} == {3}


def test_an_axis_of_many_levels_has_round_numbers() -> None:
    figure, by = drawn(make(spec(**SHORT, factors={"width": list(range(1, 81))})))
    assert by == "Replicates are not drawn."
    assert len(figure.axes[0].get_xticks()) < 15
    (line,) = [x for x in figure.axes[0].lines if x.get_linestyle() == "-"]
    assert len(np.asarray(line.get_xdata())) == 80, "one line goes through all conditions"


def test_of_many_replicates_the_first_are_dots() -> None:
    n = MOST_DOTS + 50
    made = make(spec(fixed={"epochs": 1}, replicates=n, factors={"lr": [0.1, 1.0]}))
    report = report_of(made)
    assert f"Dots are the first {MOST_DOTS} replicates." in section_text(report, "Replicates")
    conditions = section_text(report, "Conditions")
    assert conditions.count(f" | {n} |\n") == 2
    assert "No run diverged." in conditions
    few = replace(made, runs=made.runs[made.runs["replicate"] < MOST_DOTS])
    assert "Dots are" not in section_text(report_of(make(spec(**SHORT, factors={"lr": [0.1, 1.0]}))), "Replicates")
    assert few.runs["replicate"].nunique() == MOST_DOTS


@pytest.mark.slow
def test_pictures_of_many_fit_a_screen_or_two() -> None:
    assert all(int.from_bytes(content[20:24]) < 2000 for content in told().pictures.values())
    look = condition_colours(many().experiment, [many().conditions[i] for i in range(MOST_DRAWN)])
    assert look.is_detailed, "each that is drawn has a colour of its own"


@pytest.mark.slow
def test_many_claims_are_all_judged_and_some_drawn() -> None:
    claims = [
        {"id": f"c{i}", "says": "It is.", "bound": {"metric": "test_accuracy", "above": 0.001 * i}} for i in range(80)
    ]
    report = report_of(make(spec(**SHORT, factors={"lr": [0.1, 1.0]}, claims=claims)))
    text = section_text(report, "Verdicts")
    assert "The figure shows the first 60 of 68 claims with an estimate." in text
    assert text.count("\n### It is.\n") == 12
    assert len(re.findall(r"^\| It is\.", text, re.MULTILINE)) == 68
    assert len(re.findall(r"^\| It is\.", section_text(report, "How this was judged"), re.MULTILINE)) == 80


def test_replicates_that_many_conditions_lack_are_counted() -> None:
    trend = {"metric": "test_accuracy", "factor": "lr", "expect": "rises"}
    levels = [round(0.1 * i, 1) for i in range(1, 31)]
    status = {(i, r): "diverged" for i in range(25) for r in range(1 + (i > 9))}
    made = make(
        spec(
            fixed={"epochs": 1},
            replicates=3,
            factors={"lr": levels},
            claims=[{"id": "t", "says": "Up.", "trend": trend}],
        ),
        status=status,
    )
    (note,) = judged_table(*made.parts)["note"]
    assert "1 to 2 of 3 replicates diverged in each of 25 conditions." in note
    text = section_text(report_of(made), "Failed and diverged runs")
    assert "- and 20 more, in the table `runs`" in text


def test_conditions_that_did_not_run_are_counted_beyond_those_listed() -> None:
    levels = [round(0.1 * i, 1) for i in range(1, 31)]
    made = make(spec(**SHORT, factors={"lr": levels}), status={(i, r): "missing" for i in range(25) for r in range(2)})
    text = section_text(report_of(made), "Failed and diverged runs")
    assert len(re.findall(r": 2 not run$", text, re.MULTILINE)) == 20
    assert "- and 10 more not run, of other conditions" in text


def test_rows_of_replicates_stand_in_the_order_of_rank() -> None:
    tables = many()
    seen = observe(*tables.parts[:3])
    rows = estimate(tables.experiment, tables.conditions, seen, tables.curves, ["test_accuracy"])
    shown = choose(len(tables.conditions), rows)
    look = condition_colours(tables.experiment, [tables.conditions[i] for i in shown.drawn])
    place = {position: i for i, position in enumerate(shown.drawn)}
    some = rows[rows["position"].isin(place)]
    some = some.assign(position=some["position"].map(place)).sort_values("position")
    points = seen[seen["position"].isin(place)].rename(columns={"test_accuracy": "value"})
    (ax,) = replicates(some, points.assign(position=points["position"].map(place)), look, "test accuracy").axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [tables.conditions[i].label for i in shown.drawn]
