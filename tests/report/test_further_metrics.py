"""Further metrics of the test set in a report, and what a prediction that looks at no input is worth beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from reports import context_of, report_of, section_text

from mlpbench.report.figures import theme
from mlpbench.report.sections import conditions, learning_curves

WIDTHS = [8, 64, 512]


def tables(**metrics: float) -> Tables:
    """Return an experiment of three widths and three replicates whose metrics rise by a hundredth with each width."""
    made = make(spec(factors={"width": WIDTHS}, replicates=3))
    for name, start in metrics.items():
        step = 0.0 if name.startswith("constant_") else 0.01
        made = replace_metric(
            made, name, {(i, r): start + step * i + 0.001 * r for i in range(len(WIDTHS)) for r in range(3)}
        )
    return made


def test_a_table_has_a_column_for_each_metric_that_runs_have() -> None:
    text = section_text(report_of(tables(test_balanced_accuracy=0.5, test_ece=0.04)), "Further metrics")
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "| width | balanced accuracy | calibration error | n |"
    assert rows[0] == "| 8 | 0.5010 ± 0.0010 | 0.0410 ± 0.0010 | 3 |"
    assert rows[2] == "| 512 | 0.5210 ± 0.0010 | 0.0610 ± 0.0010 | 3 |"
    assert "- Balanced accuracy: mean over classes of the share of a class that is predicted right." in text
    assert "Macro F1" not in text


def test_a_report_of_runs_without_them_has_neither_table_nor_line() -> None:
    context = context_of(tables())
    assert conditions.further(context) is None
    assert context.constant is None
    assert "Always predicting" not in report_of(tables()).markdown


def test_log_loss_stands_only_where_it_is_not_the_loss() -> None:
    known = {"test_log_loss": 0.4, "test_brier": 0.3}
    assert "log loss" not in section_text(report_of(tables(**known)), "Further metrics")
    made = make(spec(factors={"loss": ["cross_entropy", "naive_cross_entropy"]}, replicates=2))
    for name, value in known.items():
        made = replace_metric(made, name, {(i, r): value + 0.01 * r for i in range(2) for r in range(2)})
    assert "| log loss | Brier score |" in section_text(report_of(made), "Further metrics")


def test_a_sentence_says_what_the_most_frequent_class_is_worth() -> None:
    report = report_of(tables(constant_accuracy=0.099))
    says = (
        "Always predicting the most frequent class of the training examples has an accuracy of 0.1000 on the test set."
    )
    assert says in section_text(report, "Conditions")


def test_of_numbers_it_says_loss_and_rmse_of_the_mean() -> None:
    settings: dict[str, Any] = {
        "fixed": {"epochs": 2, "loss": "squared_error"},
        "dataset": "polynomial",
        "replicates": 2,
    }
    made = make(spec(factors={"width": WIDTHS}, **settings))
    for name, value in (("constant_loss", 12.5), ("constant_rmse", 5.0), ("test_r2", 0.75)):
        made = replace_metric(made, name, {(i, r): value for i in range(len(WIDTHS)) for r in range(2)})
    text = report_of(made).markdown
    assert (
        "Always predicting the mean of the training targets has a loss of 12.5, an RMSE of 5 on the test set." in text
    )
    assert "| width | R² | n |" in text


def lines(figure: Figure) -> list[tuple[Axes, float]]:
    """Return the axes and the place of each line of the constant prediction."""
    found = [(ax, line) for ax in figure.axes for line in ax.get_lines() if line.get_linestyle() == "-."]
    both = [(ax, np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for ax, line in found]
    return [(ax, float(x[0] if x[0] == x[1] else y[0])) for ax, x, y in both]


@pytest.mark.parametrize(("constant", "is_drawn"), [(0.815, True), (0.1, False)])
def test_figures_have_a_line_where_it_is_in_sight(constant: float, is_drawn: bool) -> None:
    """Accuracies are 0.82 to 0.85: a tenth would take all of the figure for itself."""
    context = context_of(tables(constant_accuracy=constant - 0.001))
    section = conditions.replicates(context)
    assert section is not None
    plain = conditions.replicates(context_of(tables()))
    assert plain is not None
    (figure,), (other,) = section.figures, plain.figures
    assert (theme.png(figure.draw()) != theme.png(other.draw())) == is_drawn
    assert [place for _, place in lines(figure.draw())] == pytest.approx([constant] * is_drawn)


def test_curves_that_end_at_one_mean_have_neither_a_highest_nor_a_lowest() -> None:
    rows = [
        {
            "split": "test",
            "measure": "accuracy",
            "epoch": 5.0,
            "position": i,
            "label": f"width={w}",
            "mean": 0.5 + 1e-17 * i,
            "sd": 0.1,
            "n": 3,
        }
        for i, w in enumerate(WIDTHS)
    ]
    says = "After 5 epochs mean test accuracy is the same in all 3 conditions, 0.50."
    assert learning_curves.sentence(pd.DataFrame(rows)) == says
    rows[1]["mean"] = 0.6
    assert "is highest with width=64, 0.60" in learning_curves.sentence(pd.DataFrame(rows))


@pytest.mark.parametrize("n", [2, 5])
def test_curves_have_it_in_the_panel_of_the_test_set(n: int) -> None:
    """In one panel with the training examples, or beside theirs where conditions are many."""
    made = make(spec(factors={"width": [8 * 2**i for i in range(n)]}, replicates=3))
    made = replace_metric(made, "constant_accuracy", {(i, r): 0.4 for i in range(n) for r in range(3)})
    section = learning_curves.section(context_of(made))
    assert section is not None
    figure = section.figures[0].draw()
    ((ax, place),) = lines(figure)
    assert place == pytest.approx(0.4)
    assert ax is figure.axes[1 if n == 2 else 3]
    assert ax.get_ylim()[0] <= 0.4
