"""Fitted curves and residuals: what is drawn are the numbers that are stored, beside examples generated again; or nothing is drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import WIDTHS, make, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from number_tables import CUBIC, LINEAR, NumberTables, number_tables, truth
from reports import context_of, picture, report_of, section_failures
from scipy import stats

from mlpbench.evidence.test_outputs.number_predictions import (
    NumberPredictions,
    ResidualSummary,
    read_numbers,
    summarise_residuals,
)
from mlpbench.report.figures import theme
from mlpbench.report.section import Section
from mlpbench.report.topics import fitted_curves, residuals
from mlpbench.report.topics.condition_panels import condition_panels

FEATURES: dict[str, Any] = {"factors": {"features": [1, 3]}}


def shifted(position: int, replicate: int, drawn: Any) -> Any:
    return truth(position, replicate, drawn) + position + 0.1 * replicate


def sections(made: NumberTables) -> tuple[Section | None, Section | None]:
    context = made.context
    return fitted_curves.section(context), residuals.section(context)


def curves(made: NumberTables) -> Section:
    found = fitted_curves.section(made.context)
    assert found is not None
    return found


def of_line(line: Any) -> tuple[Any, Any]:
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_lines_are_the_stored_predictions_at_test_inputs_and_dots_the_points_trained_on() -> None:
    made = number_tables(shifted, factors={"features": [1, 3], "train_size": [5, 20]})
    axes = curves(made).figures[0].draw().axes
    assert len(axes) == 4
    heads = [ax.get_title(loc="left") for ax in axes]
    assert heads == ["features 1", "features 3", "", ""]
    assert [ax.get_ylabel() for ax in axes] == ["train_size 5\ntarget", "", "train_size 20\ntarget", ""]
    order = [0, 2, 1, 3]  # features are columns, sizes rows
    for ax, position in zip(axes, order, strict=True):
        condition = made.tables.conditions[position]
        rows = made.tables.runs[made.tables.runs["condition_id"] == condition.condition_id]
        for line, run_id in zip(ax.lines[:3], rows.sort_values("replicate", ascending=False)["run_id"], strict=True):
            x, y = of_line(line)
            drawn, stored = made.drawn[run_id], np.frombuffer(made.predicted[run_id], "<f4")
            by_x = np.argsort(drawn.x_test[:, 0], kind="stable")
            assert np.allclose(x, drawn.x_test[by_x, 0])
            assert np.allclose(y, stored[by_x])
        x, y = of_line(ax.lines[3])
        assert np.allclose(y, 5 + 1.2 * x - 3.4 * x**2 / 2 + 5.6 * x**3 / 6, atol=1e-4)
        x, y = of_line(ax.lines[4])
        first = made.drawn[rows.sort_values("replicate")["run_id"].iloc[0]]
        assert len(x) == condition.settings.train_size
        pairs = {(float(a), float(b)) for a, b in zip(first.x_train[:, 0], first.y_train, strict=True)}
        assert {(float(np.float32(a)), float(np.float32(b))) for a, b in zip(x, y, strict=True)} <= pairs


def test_the_sentence_names_the_nearest_and_the_farthest_curves() -> None:
    text = curves(number_tables(shifted, **FEATURES)).sentences
    # Off by 0, 0.1 and 0.2 in one condition, by 1 more in the other: medians 0.1 and 1.1.
    assert (
        "Of 2 conditions drawn the curves of 1 are nearest to the true function, 0.1 from it, and those of 3 farthest, 1.1 "
        in text
    )


def test_curves_that_leave_the_axis_are_said_to() -> None:
    def explodes(position: int, replicate: int, drawn: Any) -> Any:
        return truth(position, replicate, drawn) + (1e6 if position == 1 and replicate == 2 else 0.0)

    found = curves(number_tables(explodes, **FEATURES))
    assert "and some room: curves leave them in 1 of 2 panels." in found.sentences
    low, high = found.figures[0].draw().axes[0].get_ylim()
    assert high - low < 1000
    assert "curves leave" not in curves(number_tables(truth, **FEATURES)).sentences


@pytest.mark.parametrize("n", range(1, 13))
def test_one_to_twelve_conditions_have_a_panel_each(n: int) -> None:
    made = number_tables(shifted, dataset=CUBIC, factors={"lr": [0.01 * (i + 1) for i in range(n)]}, replicates=2)
    found = curves(made)
    axes = [ax for ax in found.figures[0].draw().axes if ax.lines]
    assert len(axes) == n
    assert "The figure shows" not in found.sentences


def test_of_more_conditions_some_at_equal_steps_are_drawn_and_only_those_are_read() -> None:
    made = number_tables(shifted, factors={"features": [1, 2, 3, 4, 5], "lr": [0.1, 0.2, 0.3, 0.4, 0.5]}, replicates=12)
    asked: list[str] = []

    def counted(run_ids: Any) -> Any:
        asked.extend(run_ids)
        return made.test_set.predictions(run_ids)

    found = fitted_curves.section(context_of(made.tables, test_set=replace(made.test_set, predictions=counted)))
    assert found is not None
    assert "The figure shows 12 of 25 conditions, at equal steps of their levels." in found.sentences
    assert "Thin lines are the first 10 replicates" in found.sentences
    assert len(set(asked)) == 12 * 10
    panels = condition_panels(made.context)
    assert (panels.columns, panels.rows) == (4, 3)
    assert panels.heads == ["features 1", "features 2", "features 4", "features 5"] + [""] * 8
    assert panels.sides == ["lr 0.1", "lr 0.3", "lr 0.5"]


def test_numbers_that_are_not_stored_are_not_drawn() -> None:
    none = number_tables(shifted, lost=[(i, r) for i in range(2) for r in range(3)], **FEATURES)
    assert sections(none) == (None, None)
    some = curves(number_tables(shifted, lost=[(1, 0)], **FEATURES))
    assert "Of 1 of 2 conditions drawn no predictions are stored: their panels are empty." in some.sentences
    assert [len(ax.lines) > 0 for ax in some.figures[0].draw().axes] == [True, False]


def test_predictions_that_do_not_give_the_error_on_record_are_not_drawn() -> None:
    made = number_tables(shifted, **FEATURES)
    other = replace(made.tables, runs=made.tables.runs.assign(test_rmse=made.tables.runs["test_rmse"] + 0.01))
    assert fitted_curves.section(context_of(other, test_set=made.test_set)) is None
    unknown = replace(made.tables, runs=made.tables.runs.assign(test_rmse=np.nan))
    assert fitted_curves.section(context_of(unknown, test_set=made.test_set)) is not None


def test_nothing_is_drawn_where_the_data_do_not_fit() -> None:
    several = number_tables(shifted, dataset=LINEAR, factors={"lr": [0.1, 0.2]})
    assert fitted_curves.section(several.context) is None
    assert residuals.section(several.context) is not None
    classes = make(spec(factors={"width": WIDTHS}, replicates=2))
    test_set = number_tables().test_set
    assert fitted_curves.section(context_of(classes, test_set=test_set)) is None
    assert residuals.section(context_of(classes, test_set=test_set)) is None
    assert fitted_curves.section(context_of(several.tables)) is None


def test_a_linear_truth_of_one_input_is_drawn_too() -> None:
    found = curves(
        number_tables(shifted, dataset={"name": "linear", "weights": [2.0], "bias": 1.0}, factors={"lr": [0.1, 0.2]})
    )
    x, y = of_line(found.figures[0].draw().axes[0].lines[3])
    assert np.allclose(y, 2 * x + 1, atol=1e-5)


def test_odd_words_are_escaped_and_bytes_do_not_change() -> None:
    label = "a_b *c* <i>$x$</i> |"
    conditions = [{"label": label, "features": 1}, {"label": "x" * 90, "features": 3}]
    made = number_tables(shifted, factors={"conditions": conditions})
    found = report_of(made.tables, test_set=made.test_set)
    text = found.markdown.split("## Fitted curves", 1)[1].split("\n## ", 1)[0]
    assert "<i>" not in text.replace("\\<i>", "")
    assert "\\*c\\*" in text
    drawn = picture(found, "fitted_curves")
    again = picture(report_of(made.tables, test_set=made.test_set), "fitted_curves")
    assert drawn == again
    assert not section_failures(found)
    assert len(drawn) < 40_000


def test_thousands_of_points_are_thinned_to_what_a_panel_holds() -> None:
    made = number_tables(
        shifted, dataset=CUBIC | {"train": 3000, "test": 4000}, factors={"lr": [0.1, 0.2]}, replicates=2
    )
    for line in curves(made).figures[0].draw().axes[0].lines:
        assert len(of_line(line)[0]) <= 200
    found = residuals.section(made.context)
    assert found is not None
    assert "The figure has 1000 of 8000 of them." in found.sentences
    (dots,) = [line for line in found.figures[0].draw().axes[0].lines if line.get_marker() == "o"]
    assert len(of_line(dots)[0]) == 1000
    assert len(theme.png(found.figures[0].draw())) < 60_000


# Residuals.


def test_dots_are_predictions_against_targets_of_the_best_condition() -> None:
    made = number_tables(shifted, dataset=LINEAR, factors={"lr": [0.1, 0.2]})
    found = residuals.section(made.context)
    assert found is not None
    rows = made.tables.runs[made.tables.runs["condition_id"] == made.tables.conditions[0].condition_id]
    ids = rows.sort_values("replicate")["run_id"]
    true = np.concatenate([made.drawn[i].y_test for i in ids])
    predicted = np.concatenate([np.frombuffer(made.predicted[i], "<f4") for i in ids])
    left, right = found.figures[0].draw().axes
    (dots,) = [of_line(line) for line in left.lines if line.get_marker() == "o"]
    assert np.allclose(dots, (true, predicted))
    cloud, means = [of_line(line) for line in right.lines if line.get_marker() == "o"]
    assert np.allclose(cloud, (predicted, predicted - true), atol=1e-5)
    assert np.isclose(means[1].mean(), (predicted - true).mean(), rtol=0.02)
    assert "The best condition, lr=0.1, explains 9" in found.sentences


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(-3, 3), st.sampled_from([0.0, 2.0]))
@settings(max_examples=25, deadline=None)
def test_the_summary_equals_textbook_formulas(seed: int, n: int, bias: float, fan: float) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(n, 50))
    predicted = target + bias + rng.normal(size=(n, 50)) * np.exp(fan * target)
    of = predictions(predicted, target)
    summary = summarise_residuals(of)
    assert math.isclose(
        summary.rmse, np.mean([math.sqrt(np.mean((p - t) ** 2)) for p, t in zip(predicted, target, strict=True)])
    )
    from sklearn.metrics import r2_score

    assert math.isclose(
        summary.r2, np.mean([r2_score(t, p) for p, t in zip(predicted, target, strict=True)]), abs_tol=1e-9
    )
    interval: Any = stats.ttest_1samp((predicted - target).mean(axis=1), 0).confidence_interval(0.95)
    assert np.allclose((summary.low, summary.high), interval)
    assert len(summary.bins_x_B) == 8
    assert (np.diff(summary.bins_x_B) > 0).all()


def test_bias_and_fanning_out_are_said() -> None:
    def text(**changes: Any) -> str:
        usual = {"n": 5, "rmse": 0.5, "r2": 0.9, "bias": 0.1, "low": 0.05, "high": 0.15, "fan": 1.0}
        of = ResidualSummary(**usual | changes, bins_x_B=np.zeros(0), bins_y_B=np.zeros(0))
        return residuals.residuals_sentence(of, "")

    assert text() == (
        "The network explains 90.0% of the variance of the test targets (RMSE 0.5). Predictions are too high in the mean (mean "
        "residual 0.100, 95% interval 0.050 to 0.150)."
    )
    assert "Predictions show no bias (mean residual 0.10, " in text(low=-0.05)
    assert "are too low in the mean" in text(bias=-0.1, low=-0.15, high=-0.05)
    assert text(fan=3.0).endswith("Residuals spread 3 times as far where predictions are high as where they are low.")
    assert text(fan=0.25).endswith("Residuals spread 4 times as far where predictions are low as where they are high.")
    assert "worse than their mean would (R² -0.5, RMSE 0.5)" in text(r2=-0.5)
    assert "predicts test targets with RMSE 0.5." in text(r2=math.nan)
    assert "Predictions are 0.1 too high in the mean." in text(low=math.nan, high=math.nan)


def test_replicates_that_split_one_table_are_corrected_for_their_overlap() -> None:
    predicted, target = np.random.default_rng(0).normal(size=(2, 4, 30))
    plain, corrected = (summarise_residuals(replace(predictions(predicted, target), overlap=o)) for o in (0.0, 0.25))
    assert math.isclose((corrected.high - corrected.low) / (plain.high - plain.low), math.sqrt(2))


def predictions(predicted: Any, target: Any) -> NumberPredictions:
    n = len(predicted)
    return NumberPredictions(
        position=0, replicates=tuple(range(n)), x_RN=target, predicted_RN=predicted, target_RN=target, truth_RN=None,
        points_x_P=np.zeros(1), points_y_P=np.zeros(1),
    )  # fmt: skip


def test_a_table_of_the_package_is_read_in_the_unit_of_its_target() -> None:
    """A scaled target: stored predictions are in its own units, and so are the targets beside them."""
    from mlpbench.data.table_pack.pack_table import TABLE_PACK

    name = next(n for n, of in TABLE_PACK.items() if of.facts.target_scale is not None)

    def halfway(_position: int, replicate: int, drawn: Any) -> Any:
        y = drawn.facts.target_scale.own_units(drawn.y_test)
        return y + 0.1 * y.std() * (-1) ** replicate

    made = number_tables(halfway, dataset={"name": name, "resplit": True}, factors={"lr": [0.1, 0.2]})
    of = read_numbers(made.tables.experiment, made.tables.conditions[0], made.context.observed, 0, made.test_set)
    assert of is not None
    scale = made.tables.experiment.facts[0].target_scale
    assert scale is not None
    assert abs(of.target_RN.mean() - scale.mean) < scale.sd
    assert of.overlap > 0
    assert residuals.section(made.context) is not None
