"""Under shift: metrics out of curves, estimates by severity, the sentence and the figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, frame, judged_table, make, spec
from reports import report_of

from mlpbench.evidence.estimates.axis_estimates import by_severity
from mlpbench.evidence.estimates.observe import accuracy_step, estimate_curves, measure, observe
from mlpbench.report.figures.condition_colours import condition_colours
from mlpbench.report.figures.shift_panels import draw_shifts as under_shift
from mlpbench.report.sections.learning_curves import shift_sentence

SHIFTS = {"noise": [0.1, 0.2, 0.4], "labels": [1]}
FALLS = {"shift:noise:0.1": 0.05, "shift:noise:0.2": 0.1, "shift:noise:0.4": 0.3, "shift:labels:1": 0.7}


def tables(ended: str = "diverged", **keys: Any) -> Tables:
    """Two widths, of which the narrow one falls twice as far; one run diverged, or failed, and one is missing."""
    experiment = spec(shifts=SHIFTS, factors={"width": [8, 1024]}, replicates=6, **keys)
    made = make(experiment, status={(0, 5): ended, (1, 4): "missing"})
    rows = []
    for run in made.runs[made.runs["status"] == "ok"].to_dict("records"):
        for split, fall in FALLS.items():
            lost = fall * (1.0 if run["width"] == 1024 else 1.1)
            where = {"run_id": run["run_id"], "epoch": 10.0, "step": 2350, "split": split}
            rows.append(where | {"accuracy": run["test_accuracy"] - lost, "loss": run["test_loss"] + lost})
    return replace(made, curves=pd.concat([made.curves, frame("curves", rows)], ignore_index=True))


def claims() -> list[dict[str, Any]]:
    wide, narrow = {"width": 1024}, {"width": 8}
    forms: list[dict[str, Any]] = [
        {"compare": {"metric": "shift_accuracy[noise,0.4]", "a": wide, "b": narrow, "expect": "greater"}},
        {"trend": {"metric": "shift_loss[noise,0.1]", "factor": "width", "expect": "falls", "scale": "log"}},
        {"bound": {"metric": "shift_accuracy[labels,1]", "where": wide, "below": 0.2, "of": "mean"}},
        {"matches": {"metric": "shift_accuracy[noise, 0.20]", "where": wide, "value": 0.76, "tolerance": 0.05}},
        {"contrast": {"metric": "shift_loss[labels,1]", "expect": "less",
                      "terms": [{"weight": 1, "where": wide}, {"weight": -1, "where": narrow}]}},
    ]  # fmt: skip
    return [{"id": f"c{i}", "says": "?", **form} for i, form in enumerate(forms)]


def test_a_metric_under_shift_is_the_row_of_its_split() -> None:
    made = tables()
    observed = observe(*made.parts[:3])
    found = measure(observed, made.curves, "shift_accuracy[noise,0.2]")
    right = observed["test_accuracy"] - np.where(observed["position"] == 1, 0.1, 0.11)
    assert np.allclose(found["value"], right, equal_nan=True)
    assert found["value"].notna().sum() == 10
    assert not found["censored"].any()
    loss = measure(observed, made.curves, "shift_loss[labels,1]")["value"] - observed["test_loss"]
    assert set(loss.dropna().round(9)) == {0.7, 0.77}


def test_a_row_of_a_run_that_did_not_end_well_does_not_count() -> None:
    made = tables()
    gone = made.runs.loc[made.runs["status"] == "diverged", "run_id"].iloc[0]
    stray = frame("curves", [{"run_id": gone, "epoch": 1.0, "step": 1, "split": "shift:labels:1", "accuracy": 0.5}])
    found = measure(observe(*made.parts[:3]), pd.concat([made.curves, stray]), "shift_accuracy[labels,1]")
    assert found.loc[found["run_id"] == gone, "value"].isna().all()


def test_every_form_of_claim_is_judged_under_shift() -> None:
    made = tables("failed", claims=claims())
    found = judged_table(*made.parts)
    assert list(found["n"]) == [4, 4, 5, 5, 4]
    assert list(found["verdict"]) == ["supported"] * 5
    assert found["margin"].iloc[0] == 0.002
    assert found["estimate"].iloc[2] == pytest.approx(0.1767, abs=0.02)


def test_the_spread_of_an_accuracy_under_shift_is_at_least_one_test_example() -> None:
    made = tables()
    assert accuracy_step("shift_accuracy[noise,0.2]", made.conditions[0].settings, 10_000) == 1e-4
    assert accuracy_step("shift_loss[noise,0.2]", made.conditions[0].settings, 10_000) == 0


def test_learning_curves_and_steps_are_as_without_shifts() -> None:
    with_shifts = tables()
    without = make(spec(factors={"width": [8, 1024]}, replicates=6), status={(0, 5): "diverged", (1, 4): "missing"})
    for step in (estimate_curves, lambda e, c, o, k: measure(o, k, "steps_to_train_loss_0.5")):
        one, other = (step(t.experiment, t.conditions, observe(*t.parts[:3]), t.curves) for t in (with_shifts, without))
        pd.testing.assert_frame_equal(one, other)


def test_estimates_start_at_the_plain_test_accuracy_and_stand_in_the_order_of_the_file() -> None:
    made = tables()
    observed = observe(*made.parts[:3])
    found = by_severity(made.experiment, made.conditions, observed, made.curves, "accuracy")
    assert list(dict.fromkeys(found["kind"])) == ["noise", "labels"]
    assert found.groupby(["kind", "label"], sort=False)["severity"].apply(list).tolist() == [
        [0, 0.1, 0.2, 0.4], [0, 0.1, 0.2, 0.4], [0, 1], [0, 1],
    ]  # fmt: skip
    plain = observed.groupby("position")["test_accuracy"].mean()
    start = found[found["severity"] == 0]
    assert start["mean"].tolist() == pytest.approx([plain[0], plain[1]] * 2)
    at = found.set_index(["kind", "position", "severity"])
    assert at.loc[("noise", 1, 0.4), "mean"] == pytest.approx(plain[1] - 0.3)
    assert at.loc[("labels", 0, 1.0), "mean"] == pytest.approx(plain[0] - 0.77)
    assert set(found["n"]) == {5}
    assert ((found["low"] < found["mean"]) & (found["mean"] < found["high"])).all()


def test_the_sentence_names_the_largest_and_the_smallest_fall() -> None:
    made = tables()
    observed = observe(*made.parts[:3])
    found = by_severity(made.experiment, made.conditions, observed, made.curves, "accuracy")
    plain = observed.groupby("position")["test_accuracy"].mean()
    said = shift_sentence(found, "accuracy")
    assert said == (
        f"Mean test accuracy suffers most from labels 1 with width=8 ({plain[0]:.1%} to {plain[0] - 0.77:.1%}) "
        f"and least from noise 0.1 with width=1024 ({plain[1]:.1%} to {plain[1] - 0.05:.1%})."
    )
    losses = by_severity(made.experiment, made.conditions, observed, made.curves, "loss")
    assert shift_sentence(losses, "loss").startswith("Mean test loss suffers most from labels 1 with width=8 (")
    few = found[(found["kind"] == "labels") & (found["position"] == 1)]
    assert shift_sentence(few, "accuracy").startswith("Mean test accuracy changes under labels 1 (")
    assert shift_sentence(found[found["severity"] == 0], "accuracy") == shift_sentence(found.head(0), "accuracy") == ""


def test_the_figure_has_a_panel_for_each_kind_and_draws_means_and_bands() -> None:
    made = tables()
    found = by_severity(made.experiment, made.conditions, observe(*made.parts[:3]), made.curves, "accuracy")
    look = condition_colours(made.experiment, made.conditions)
    figure = under_shift(found, look, "accuracy")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["noise"], "one severity makes no line"
    (rows_of_one,) = under_shift(found[found["kind"] == "labels"], look, "accuracy").axes
    dots = [line for line in rows_of_one.lines if line.get_marker() == "o"]
    alone = found[found["kind"] == "labels"]
    assert sorted(float(np.asarray(d.get_xdata())[0]) for d in dots) == sorted(alone["mean"])
    assert [d.get_markerfacecolor() == "white" for d in dots] == list(alone["severity"] == 0)
    for ax in figure.axes:
        rows = found[found["kind"] == ax.get_title(loc="left")]
        drawn = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in ax.lines]
        assert drawn == [part["mean"].tolist() for _, part in rows.groupby("position")]
        assert len(ax.collections) == 2
        assert ax.get_xticks()[0] == 0


@pytest.mark.slow
def test_a_report_has_the_section_only_where_there_is_something_to_show() -> None:
    made = tables(claims=claims())
    report = report_of(made)
    assert report.markdown.count("## Under shift") == 1
    assert "Mean test accuracy suffers most from labels 1 with width=8" in report.markdown
    assert report.pictures["figures/shift.png"].startswith(b"\x89PNG")
    assert report.pictures == report_of(made).pictures, "the same tables give the same bytes"
    plain = make(spec(factors={"width": [8, 1024]}))
    assert "Under shift" not in report_of(plain).markdown
    bare = make(spec(shifts=SHIFTS, factors={"width": [8, 1024]}))
    assert "figures/shift.png" not in report_of(bare).pictures
