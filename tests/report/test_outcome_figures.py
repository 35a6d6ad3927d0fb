"""Figures of outcomes are shown where the numbers have something to show, and say what the numbers are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import FIXED, Tables, make, replace_metric, spec, width_tables
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from reports import context_of

from mlpbench.evidence.estimates import stream_variances
from mlpbench.evidence.estimates.paired_differences import difference
from mlpbench.report.context import Context
from mlpbench.report.figures.error_panels import SIDES, error_against_factor, spaced
from mlpbench.report.sections import cost, crossed_factors, error_curves, variance
from mlpbench.report.sections.crossed_factors import FAR
from mlpbench.report.sections.crossed_factors import draw as heatmap

FIVE = (-2, -1, 0, 1, 2)


def put(tables: Tables, metric: str, means: Sequence[float], noise: float = 1e-4) -> Tables:
    """Return tables whose metric has these means by condition; replicates lie evenly about them, in orders that differ."""
    values = {(i, r): m + noise * FIVE[r * (i % 4 + 1) % 5] for i, m in enumerate(means) for r in range(5)}
    return replace_metric(tables, metric, values)


def along(
    factor: str, levels: Sequence[int], test: Sequence[float], train: Sequence[float], noise: float = 1e-4, **keys: Any
) -> Context:
    """A grid over one factor with these errors; loss does as error does."""
    made = make(spec(factors={factor: list(levels)}, **keys))
    for split, error in (("test", test), ("train", train)):
        made = put(made, f"{split}_accuracy", [1 - e for e in error], noise)
        made = put(made, f"{split}_loss", error, noise)
    return context_of(made)


def marked(of: Context) -> dict[str, list[float]]:
    found = error_curves.fit_regions(of)
    error = found[found["measure"] == "error"]
    return {side: error.loc[error["side"] == side, "x"].tolist() for side in sorted(set(error["side"]))}


U_SHAPE = ([0.5, 0.2, 0.1, 0.1001, 0.3], [0.4, 0.1, 0.05, 0.04, 0.01])


def test_a_valley_of_test_error_has_two_sides() -> None:
    of = along("width", [4, 8, 16, 32, 64], *U_SHAPE)
    assert marked(of) == {"overfits": [64.0], "underfits": [4.0, 8.0]}, "32 is as good as 16, and is not marked"
    told = error_curves.regions_sentence(error_curves.fit_regions(of), "width")
    assert told.startswith(
        "By error and loss, width 16 is best; the network underfits at 4 and 8 and overfits at 64. Shaded regions: "
    )


def test_a_deep_network_that_does_not_train_does_not_overfit() -> None:
    of = along("depth", [1, 2, 3, 4, 5], [0.2, 0.1, 0.1, 0.5, 0.9], [0.15, 0.05, 0.05, 0.5, 0.9])
    assert marked(of) == {"underfits": [1.0]}


def test_a_gap_without_loss_of_fit_is_not_underfitting() -> None:
    """Below the best the test error is higher, but the train error is not: that is variance, not too small a network."""
    of = along("width", [4, 8, 16], [0.3, 0.2, 0.1], [0.01, 0.01, 0.01])
    assert marked(of) == {}
    assert error_curves.regions_sentence(error_curves.fit_regions(of), "width") == ""


def test_what_replicates_do_not_show_is_not_marked() -> None:
    assert marked(along("width", [4, 8, 16, 32, 64], *U_SHAPE, noise=0.3)) == {}


@pytest.mark.parametrize(
    ("factor", "levels"), [("train_size", [100, 200, 400, 800, 1600]), ("batch_size", [16, 32, 64, 128, 256])]
)
def test_only_capacities_have_sides(factor: str, levels: list[int]) -> None:
    assert marked(along(factor, levels, *U_SHAPE)) == {}


def test_of_two_factors_no_sides_are_marked() -> None:
    made = make(spec(factors={"width": [4, 8, 16], "lr": [0.1, 0.2]}))
    made = put(
        put(made, "test_accuracy", [0.5, 0.5, 0.8, 0.8, 0.9, 0.9]), "train_accuracy", [0.5, 0.5, 0.8, 0.8, 0.9, 0.9]
    )
    assert marked(context_of(made)) == {}


def test_sides_are_shaded_half_way_to_their_neighbours() -> None:
    of = along("width", [4, 8, 16, 32, 64], *U_SHAPE)
    found = of.errors
    figure = error_against_factor(found.estimates, found.points, "width", error_curves.fit_regions(of))
    ax = figure.axes[0]
    spans = {
        tuple(p.get_facecolor())[:3]: p.get_window_extent().transformed(ax.transData.inverted())
        for p in ax.patches
        if isinstance(p, Rectangle | Polygon)
    }
    by_side = {side: spans[_rgb(colour)] for side, colour in SIDES.items()}
    assert by_side["underfits"].x1 == pytest.approx(np.sqrt(8 * 16))
    assert by_side["overfits"].x0 == pytest.approx(np.sqrt(32 * 64))
    assert {t.get_text() for t in ax.texts} == set(SIDES)
    plain = error_against_factor(found.estimates, found.points, "width", error_curves.fit_regions(of).head(0))
    assert not plain.axes[0].patches


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_paired_differences_are_those_of_a_t_test() -> None:
    from scipy.stats import ttest_rel

    a, b = [0.91, 0.87, 0.93, 0.90], [0.88, 0.86, 0.91, 0.83]
    found = difference(dict(enumerate(a)), dict(enumerate([*b, 0.5])))
    low, high = ttest_rel(a, b).confidence_interval()
    assert (found.n, found.mean, found.low, found.high) == pytest.approx((4, np.subtract(a, b).mean(), low, high))
    wide = difference({0: 1.0, 1: 1.0}, {0: 0.0, 1: 0.0}, least=0.1)
    assert wide.high - wide.low == pytest.approx(2 * 12.7062 * 0.1 / np.sqrt(2), rel=1e-4)
    assert np.isnan(difference({0: 1.0}, {0: 0.5}).low)


def test_worse_is_positive_whichever_way_a_metric_goes() -> None:
    of = along("width", [4, 8], [0.3, 0.1], [0.3, 0.1])
    for name in ("test_accuracy", "test_loss"):
        assert of.worse_than(1, [0], name)[0].mean == pytest.approx(0.2)


def test_a_condition_with_a_diverged_run_is_best_only_where_each_has_one() -> None:
    factors = {"width": [4, 8, 16]}
    accuracies = [0.5, 0.6, 0.9]
    one = make(spec(factors=factors), status={(2, 0): "diverged"})
    assert context_of(put(one, "test_accuracy", accuracies)).best == 1
    each = make(spec(factors=factors), status={(i, 0): "diverged" for i in range(3)})
    assert context_of(put(each, "test_accuracy", accuracies)).best == 2
    none = make(spec(factors=factors), status=dict.fromkeys(itertools.product(range(3), range(5)), "failed"))
    assert context_of(none).best is None


def with_gaps(gaps: Sequence[float], noise: float = 1e-4, **keys: Any) -> Context:
    made = make(spec(factors={"width": [4, 8, 16]}, **keys))
    return context_of(put(put(made, "gap_accuracy", gaps, noise), "gap_loss", [0.0, 0.0, 0.0]))


def test_the_gap_is_shown_where_it_differs_by_more_than_its_intervals() -> None:
    of = with_gaps([0.02, 0.05, 0.21])
    shown = error_curves.generalisation_gap(of)
    assert shown is not None
    assert shown.sentences.startswith(
        "The gap (train minus test accuracy) is largest with width=16, 21.000 pp (20.980 to 21.020) and smallest with width=4, "
        "2.000 pp (1.980 to 2.020)."
    )
    assert drawn_points(shown.figures[0].draw(), 0) >= {(4.0, 0.02), (8.0, 0.05), (16.0, 0.21)}
    assert error_curves.generalisation_gap(with_gaps([0.02, 0.05, 0.21], noise=0.2)) is None
    assert error_curves.generalisation_gap(with_gaps([0.02, 0.02, 0.02])) is None


def test_networks_that_are_not_trained_have_no_gap_figure() -> None:
    untrained = {name: value for name, value in FIXED.items() if name != "width"} | {"epochs": 0}
    assert error_curves.generalisation_gap(with_gaps([0.02, 0.05, 0.21], fixed=untrained)) is None


def test_gaps_of_words_have_a_row_each_in_the_colours_of_the_report() -> None:
    made = make(spec(factors={"activation": ["relu", "tanh"]}))
    of = context_of(put(made, "gap_accuracy", [0.02, 0.2]))
    shown = error_curves.generalisation_gap(of)
    assert shown is not None
    dots = [line for line in shown.figures[0].draw().axes[0].lines if line.get_marker() == "D"]
    assert [d.get_color() for d in dots] == [of.colours.colours[c.condition_id] for c in of.conditions]


def drawn_points(figure: Figure, panel: int) -> set[tuple[float, float]]:
    lines = [np.asarray(line.get_xydata(), dtype=float) for line in figure.axes[panel].lines]
    return {(round(float(x), 9), round(float(y), 9)) for line in lines for x, y in line}


def two(lr: Sequence[float] = (0.1, 1.0, 10.0), widths: Sequence[int] = (16, 4), **keys: Any) -> Tables:
    return make(spec(factors={"lr": list(lr), "width": list(widths)}, **keys))


# By lr, then width: (0.1, 16), (0.1, 4), (1, 16), (1, 4), (10, 16), (10, 4).
ERRORS = [0.30, 0.40, 0.20, 0.4001, 0.9, 0.9]


def test_two_factors_are_a_table_with_learning_rates_in_columns() -> None:
    of = context_of(put(two(), "test_accuracy", [1 - e for e in ERRORS]))
    assert crossed_factors.crossed_factors(of) == ("width", "lr")
    cells = crossed_factors.cells(of, "width", "lr").set_index(["row_label", "column_label"])
    assert cells.at[("4", "0.1"), "value"] == pytest.approx(0.4)
    assert (cells.at[("4", "0.1"), "row"], cells.at[("16", "10"), "column"]) == (0, 2)
    assert cells.index[cells["best"]].tolist() == [("16", "1")]
    assert not cells["close"].any()
    assert sorted(cells.index[cells["best_of_row"]]) == [("16", "1"), ("4", "0.1")]
    shown = crossed_factors.section(of)
    assert shown is not None
    assert shown.sentences.startswith(
        "Mean test error is lowest with lr=1, width=16, 20.00%; each of the other 5 cells differs significantly from it (95% intervals "
        "of paired differences). The best lr is 0.1 at width 4 and 1 at width 16."
    )


def test_cells_that_replicates_do_not_tell_from_the_best_are_dashed() -> None:
    of = context_of(put(two(), "test_accuracy", [0.8003, 0.4, 0.8, 0.5, 0.1, 0.1], noise=0.001))
    cells = crossed_factors.cells(of, "width", "lr")
    assert cells["close"].sum() == 1
    (ax, _) = heatmap(cells, "width", "lr", "mean test error", share=True).axes
    outlines = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert sorted(p.get_linestyle() == "solid" for p in outlines) == [False, True]
    assert "80.0%" not in {t.get_text() for t in ax.texts}
    assert {"20.0%", "60.0%", "90.0%"} <= {t.get_text() for t in ax.texts}
    shown = crossed_factors.section(of)
    assert shown is not None
    assert "1 of the other 5 cells does not differ significantly from it" in shown.sentences


@pytest.mark.parametrize(
    "factors",
    [
        {"lr": [0.1, 1.0, 10.0]},
        {"lr": [0.1, 1.0], "width": [4, 8]},
        {"lr": [0.1, 1.0], "width": [4, 8], "depth": [1, 2]},
        {"zip": {"lr": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "width": [1, 2, 3, 4, 5, 6]}},
        {"width": list(range(1, 18)), "lr": [0.1, 1.0]},
    ],
    ids=["one factor", "four cells", "three factors", "zipped", "seventeen levels"],
)
def test_other_grids_are_no_table(factors: Mapping[str, Any]) -> None:
    assert crossed_factors.section(context_of(make(spec(factors=factors, replicates=1)))) is None


def test_a_factor_of_one_level_is_not_counted() -> None:
    made = make(spec(factors={"width": [4, 8, 16], "depth": [2], "lr": [0.1, 1.0]}, replicates=1))
    shown = crossed_factors.section(context_of(made))
    assert shown is not None
    assert "with one replicate per cell there are no intervals" in shown.sentences


def test_lost_runs_are_counted_and_a_cell_without_any_is_a_dash() -> None:
    lost = {(4, 0): "diverged", **{(5, r): "diverged" for r in range(5)}}
    tables = put(make(two().experiment, status=lost), "test_accuracy", [1 - e for e in ERRORS])
    cells = crossed_factors.cells(context_of(tables), "width", "lr")
    (ax, _) = heatmap(cells, "width", "lr", "mean test error", share=True).axes
    texts = [t.get_text() for t in ax.texts]
    assert {"-", "1 lost", "5 lost"} <= set(texts)


def test_cells_that_lost_runs_are_not_close_to_the_best() -> None:
    """Of two replicates an interval is wide enough for anything."""
    lost = {(2, r): "diverged" for r in range(3)}
    errors = [0.2, 0.4, 0.21, 0.5, 0.9, 0.9]
    of = context_of(put(make(two().experiment, status=lost), "test_accuracy", [1 - e for e in errors], noise=0.01))
    assert not crossed_factors.cells(of, "width", "lr")["close"].any()
    shown = crossed_factors.section(of)
    assert shown is not None
    assert "20.00%; each of the other 4 cells whose runs all finished differs significantly from it" in shown.sentences


def test_rows_that_are_words_are_listed() -> None:
    made = make(spec(factors={"activation": ["relu", "tanh", "elu"], "lr": [0.1, 1.0]}))
    shown = crossed_factors.section(context_of(put(made, "test_accuracy", [0.5, 0.9, 0.8, 0.7, 0.6, 0.5])))
    assert shown is not None
    assert "The best lr is 1 at activation relu and 0.1 at activation tanh and elu." in shown.sentences


def test_names_that_would_run_into_each_other_go_to_the_legend() -> None:
    made = put(make(spec(factors={"width": [1, 2, 3]})), "test_accuracy", [0.5, 0.500001, 0.8])
    apart = cost.tradeoff(context_of(costs(made, [1e9, 1e10, 1e11], [1.0, 10.0, 100.0])))
    crowd = [*range(10, 19), 20]
    rates = put(make(spec(factors={"width": crowd})), "test_accuracy", [0.5 + 1e-6 * i for i in range(9)] + [0.8])
    close = cost.tradeoff(context_of(costs(rates, [1e9 + i for i in range(9)] + [1e11], [1.0] * 9 + [100.0])))
    assert apart is not None
    assert close is not None
    assert [t.get_text() for t in apart.figures[0].draw().axes[0].texts] == ["1", "2", "3"]
    assert not close.figures[0].draw().axes[0].texts
    assert {"10", "18", "20"} <= {t.get_text() for t in close.figures[0].draw().legends[0].get_texts()}


def test_an_exploding_cell_does_not_take_the_shades_of_the_others() -> None:
    cells = crossed_factors.cells(context_of(put(two(), "test_accuracy", [1 - e for e in ERRORS])), "width", "lr")
    cells["value"] = [0.3, 0.4, 0.2, 0.5, 0.6, 1e12]
    (ax, bar) = heatmap(cells, "width", "lr", "mean test loss", share=False).axes
    assert ax.images[0].norm.vmax == pytest.approx(FAR * 0.45)
    assert "1e12" in {t.get_text() for t in ax.texts}
    assert len(list(bar.get_yticks())) >= 2


def costs(tables: Tables, flops: Sequence[float], seconds: Sequence[float]) -> Tables:
    return put(put(tables, "flops", flops, noise=0), "train_seconds", seconds, noise=0)


def test_conditions_are_pareto_optimal_where_none_is_as_good_at_their_cost() -> None:
    made = put(make(spec(factors={"width": [1, 2, 3, 4]})), "test_accuracy", [0.5, 0.7, 0.6, 0.8])
    of = context_of(costs(made, [1e9, 2e9, 3e9, 8e9], [4.0, 1.0, 2.0, 3.0]))
    table = cost.outcome_and_costs(of)
    assert table["optimal_flops"].tolist() == [True, True, False, True]
    assert table["optimal_train_seconds"].tolist() == [False, True, False, True]
    shown = cost.tradeoff(of)
    assert shown is not None
    assert shown.sentences.startswith(
        "By FLOPs, width=1, width=2 and width=4 are Pareto-optimal; the best, width=4, takes 8 times the arithmetic and 0.75 times "
        "the time of the cheapest, width=1, for +30.00 pp of test accuracy."
    )
    filled = [
        line.get_markerfacecolor() != "white"
        for line in shown.figures[0].draw().axes[1].lines
        if line.get_marker() == "o"
    ]
    assert filled == [True, True, False, True]
    assert [ax.get_xscale() for ax in shown.figures[0].draw().axes] == ["log", "log"]


def test_of_equal_conditions_at_equal_cost_one_is_optimal() -> None:
    made = put(make(spec(factors={"width": [1, 2, 3]})), "test_accuracy", [0.7, 0.7, 0.6], noise=0)
    table = cost.outcome_and_costs(context_of(costs(made, [1e9, 1e9, 4e9], [1.0, 2.0, 3.0])))
    assert table["optimal_flops"].tolist() == [True, False, False]


def test_costs_are_shown_where_arithmetic_differs_by_a_factor_of_two() -> None:
    made = put(make(spec(factors={"width": [1, 2]})), "test_accuracy", [0.5, 0.7])
    assert cost.tradeoff(context_of(costs(made, [1e9, 1.99e9], [1.0, 9.0]))) is None
    assert cost.tradeoff(context_of(costs(made, [1e9, 2e9], [1.0, 1.0]))) is not None


def streams() -> Context:
    made = make(spec(factors={"width": [4, 8]}, vary={"each": ["init", "order"]}, replicates=5))
    steps = {0: 3.0, 1: 1.0, 2: 1.0, 3: 1.0}
    values = {(i, r): 0.8 + 1e-3 * s * FIVE[r] for i, s in steps.items() for r in range(5)}
    return context_of(replace_metric(made, "test_accuracy", values))


def test_shares_of_variance_are_drawn_with_intervals_beside_the_test_set() -> None:
    of = streams()
    table = stream_variances.by_stream(of.experiment, of.conditions, of.observed, ["test_accuracy", "test_loss"])
    rows = variance.drawn_rows(table)
    first = rows[rows["label"] == rows["label"].iloc[0]].set_index("stream")
    assert first.loc["init", "share"] == pytest.approx(0.9)
    assert first.loc["init", "share_low"] < 0.9 < first.loc["init", "share_high"]
    total = (9 + 1) * np.var(FIVE, ddof=1) * 1e-6
    assert first.loc["test set", "share"] == pytest.approx(0.8 * 0.2 / 10_000 / total)
    (ax,) = variance.draw(rows, "test accuracy").axes
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    drawn = sorted(round(float(np.asarray(d.get_xdata())[0]), 6) for d in dots)
    assert drawn == sorted(round(float(v), 6) for v in rows["share"])
    assert sum(d.get_markerfacecolor() == "white" for d in dots) == 2
    assert [t.get_text() for t in ax.get_yticklabels()][-1].startswith("test-set sampling")


def test_one_stream_at_a_time_has_no_gap_figure() -> None:
    of = streams()
    apart = context_of(
        put(
            Tables(of.experiment, list(of.conditions), make(of.experiment).runs, pd.DataFrame()),
            "gap_accuracy",
            [0.1, 0.2, 0.3, 0.4],
        )
    )
    assert error_curves.generalisation_gap(apart) is None


def test_a_test_error_that_is_the_same_everywhere_is_said_in_a_whole_sentence() -> None:
    tables = width_tables()
    places = {(i, r): 0.9 for i in range(len(tables.conditions)) for r in range(tables.experiment.replicates)}
    told = error_curves.sentence(context_of(replace_metric(tables, "test_accuracy", places)).errors.estimates)
    assert told == f"Test error is the same in all {len(tables.conditions)} conditions that are drawn, 10.00%."


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_an_axis_of_one_level_is_left_as_it_is(scale: str) -> None:
    """As on the page of a run that has trained one condition so far; matplotlib warns of limits that are one number."""
    ax = Figure().subplots()
    ax.set_xscale(scale)
    before = ax.get_xlim()
    spaced(ax, [8, 8])
    assert ax.get_xlim() == before
    spaced(ax, [4, 8])
    assert ax.get_xlim()[0] < 4 < 8 < ax.get_xlim()[1]
