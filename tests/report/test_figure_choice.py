"""Which pictures a report shows, what they draw and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_layers import Reader, layer_rows
from arithmetic_tables import Tables, make, replace_metric, spec
from matplotlib.figure import Figure
from reports import context_of, report_of, section_text

from mlpbench.evidence.estimates.excerpt import Excerpt
from mlpbench.report.context import Context
from mlpbench.report.diagnostics import activation_panels, training_failures, weight_distributions
from mlpbench.report.figures.condition_colours import condition_colours
from mlpbench.report.report import SECTIONS

DEEP: dict[str, Any] = {"factors": {"activation": ["relu", "tanh"], "depth": [2, 5, 10]}, "replicates": 3}
MANY: dict[str, Any] = {
    "factors": {"init": ["he_normal", "xavier_normal"], "activation": ["relu", "tanh", "sigmoid"], "depth": [2, 3, 4]},
    "fixed": {"epochs": 0},
    "replicates": 2,
}
TWO_HIDDEN: dict[str, Any] = {"depth": 2, "epochs": 2}


@dataclass(frozen=True)
class Shown:
    """A figure of a section, and the section's sentences."""

    text: str
    draw: Callable[[], Figure]


# The sections about stability.
FIRST, LAST = (SECTIONS.index(section) for section in (activation_panels.section, weight_distributions.section))
STABILITY = SECTIONS[FIRST : LAST + 1]


def context(tables: Tables, rows: pd.DataFrame | None = None) -> Context:
    return context_of(tables, layers=Reader(layer_rows(tables) if rows is None else rows))


def figures(found: Context) -> dict[str, Shown]:
    """Return the figures about stability by name, with the sentences of their sections."""
    sections = [section for make in STABILITY if (section := make(found)) is not None]
    return {f.name: Shown(section.sentences, f.draw) for section in sections for f in section.figures}


def pictures(tables: Tables, rows: pd.DataFrame | None = None) -> dict[str, Shown]:
    return figures(context(tables, rows))


def lines(figure: Figure, panel: int) -> list[tuple[list[float], list[float]]]:
    return [
        (list(map(float, np.asarray(of.get_xdata()))), list(map(float, np.asarray(of.get_ydata()))))
        for of in figure.axes[panel].lines
    ]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"factors": {"width": [8, 16, 32]}, "fixed": TWO_HIDDEN}, set()),
        ({"factors": {"lr": [0.1, 1.0]}, "fixed": TWO_HIDDEN}, set()),
        ({"factors": {"lr": [0.1, 1.0]}, "fixed": {"depth": 2, "epochs": 0}}, {"signals"}),
        ({"factors": {"norm": ["none", "layer"]}, "fixed": TWO_HIDDEN}, {"signals"}),
        ({"factors": {"hidden_sizes": [[8, 8], [16, 8]]}, "fixed": {"epochs": 2}}, {"signals"}),
        ({"factors": {"bias_init": ["zeros", {"normal": 1}]}, "fixed": {"depth": 1, "epochs": 2}}, set()),
        ({"factors": {"init": ["zeros", "he_normal"]}, "fixed": TWO_HIDDEN}, {"signals", "weights"}),
        ({"factors": {"l1": [0, 0.1]}, "fixed": {"depth": 1, "epochs": 2}}, {"weights"}),
        ({"factors": {"activation": ["relu", "tanh"]}, "fixed": {"epochs": 2}}, {"activation_functions"}),
        ({"factors": {"activation": ["relu", "tanh"]}, "fixed": {"depth": 0, "epochs": 2}, "same": True}, set()),
        ({"factors": {"depth": [2, 3]}, "fixed": {"epochs": 2}}, {"signals"}),
        ({"factors": {"depth": [0, 2, 3]}, "fixed": {"epochs": 2}}, {"signals"}),
        ({"factors": {"depth": [1, 2, 3]}, "fixed": {"epochs": 2}}, {"signals", "depth_gain"}),
        ({"factors": {"zip": {"depth": [1, 2, 3], "lr": [0.1, 0.2, 0.3]}}, "fixed": {"epochs": 2}}, {"signals", "depth_gain"}),
        ({"factors": {"lr": [0.1, 1.0]}, "fixed": TWO_HIDDEN, "probes": [0, "end"]}, set()),
        ({"factors": {"lr": [0.1, 1.0]}, "fixed": TWO_HIDDEN, "probes": [0, 1, "end"]}, {"over_steps"}),
        (
            {"factors": {"width": [8, 16, 32]}, "fixed": {"epochs": 2}, "probes": [0, 1, "end"]},
            {"over_steps", "coordinates"},
        ),
        ({"factors": {"width": [8, 16]}, "fixed": {"epochs": 2}, "probes": [0, 1, "end"]}, {"over_steps"}),
    ],
)  # fmt: skip
def test_pictures_are_chosen_by_what_varies_and_was_measured(keys: dict[str, Any], names: set[str]) -> None:
    given = dict(keys)
    if given.pop("same", False):  # without a hidden layer activations make no difference: the conditions are one run
        given["factors"] = {"lr": [0.1, 0.2]}
    assert set(pictures(make(spec(**given, replicates=2)))) == names


def test_without_a_table_of_layers_the_pictures_of_runs_are_left() -> None:
    made = make(spec(**DEEP), status={(1, 0): "diverged"})
    bare = context_of(made)
    assert list(figures(bare)) == ["activation_functions"]
    empty = context(made, layer_rows(made).head(0))
    assert list(figures(empty)) == ["activation_functions"]


def test_only_layers_of_what_is_drawn_are_read_and_weights_of_one_run_each() -> None:
    made = make(spec(**MANY))
    some = context(made)
    vars(some)["excerpt"] = Excerpt(listed=[3, 1], drawn=[3, 1], listed_by="Some.", drawn_by="Some.")
    assert set(figures(some)) >= {"signals", "weights"}
    reader = some.layers
    assert isinstance(reader, Reader)
    ids = some.observed.set_index("position")["run_id"]
    (runs, columns), (single, weights) = reader.asked
    assert "weight_quantiles" not in columns
    assert set(runs) == set(ids.loc[3]) | set(ids.loc[1])
    assert weights[-1] == "weight_quantiles"
    assert single == [ids.loc[3].iloc[0]], "both are he_normal: the first that is drawn"


@pytest.mark.slow
def test_signals_draw_the_estimates_start_above_end() -> None:
    made = make(spec(**DEEP))
    found = pictures(made, layer_rows(made, spread=0.0))["signals"]
    start, _, end, _ = found.draw().axes
    assert [ax.get_title(loc="left") for ax in found.draw().axes] == ["start", "start", "end", "end"]
    assert start.get_ylabel() == end.get_ylabel() == "activation variance"
    assert start.get_ylim() == end.get_ylim()
    (x, y), *rest = lines(found.draw(), 0)
    assert x == [1, 2]
    assert y == pytest.approx([0.25, 0.0625])
    assert [len(of) for of, _ in rest] == [5, 10, 2, 5, 10]
    gradient = lines(found.draw(), 1)[0]
    assert gradient[0] == [1, 2, 3]
    assert gradient[1] == pytest.approx([0.25, 0.5, 1])
    assert start.get_yscale() == "log"
    assert found.text.startswith(
        "At the start the variance of activations in the last hidden layer is 3.8e-6 (activation=relu, depth=10) to 0.81 "
        "(activation=tanh, depth=2) times that in the first and the gradient norm of the first layer is 0.002 "
        "(activation=relu, depth=10) to 0.9 (activation=tanh, depth=2) times that of the last hidden layer. At the end "
    )


@pytest.mark.slow
def test_many_conditions_stand_in_panels_and_keep_their_colours() -> None:
    made = make(spec(**MANY))
    look = condition_colours(made.experiment, made.conditions)
    found = pictures(made)
    for name, each in (("signals", 2 * 3), ("depth_gain", 2)):
        figure = found[name].draw()
        assert [ax.get_title(loc="left") for ax in figure.axes[:3]] == [
            "activation=relu", "activation=tanh", "activation=sigmoid",
        ]  # fmt: skip
        for ax in figure.axes:
            assert len(ax.lines) == each
            assert {line.get_color() for line in ax.lines} == set(dict(look.entries).values())
    (legend,) = found["signals"].draw().legends
    assert {"depth=2", "depth=3", "depth=4"} <= {t.get_text() for t in legend.get_texts()}, "a dash each"
    assert not any("Lines of one colour" in shown.text for shown in found.values())


def test_gains_are_drawn_over_depth_forward_first() -> None:
    made = make(spec(**DEEP))
    found = pictures(made, layer_rows(made, spread=0.0))["depth_gain"]
    assert [ax.get_ylabel() for ax in found.draw().axes[:2]] == ["forward gain", "backward gain"]
    x, y = lines(found.draw(), 0)[0]
    assert x == [2, 5, 10]
    assert y == pytest.approx([0.5**d for d in (2, 5, 10)])
    assert found.text.startswith(
        "Through 10 hidden layers at the start the forward gain is 0.00098 (activation=relu, depth=10) to 0.35 "
        "(activation=tanh, depth=10) and the backward gain is 0.00098 (activation=relu, depth=10) to 0.35 "
    )


def test_a_zipped_factor_follows_depth_and_makes_no_lines_of_its_own() -> None:
    made = make(spec(factors={"zip": {"depth": [1, 2, 4], "lr": [0.1, 0.2, 0.3]}}, replicates=2))
    assert [x for x, _ in lines(pictures(made)["depth_gain"].draw(), 0)] == [[1, 2, 4]]


def test_lines_break_off_where_a_number_is_zero_and_the_text_says_so() -> None:
    made = make(spec(**DEEP))
    rows = layer_rows(made, lambda row: {"act_var": 0.0} if row["layer"] == 2 and row["replicate"] == 1 else {})
    found = pictures(made, rows)["signals"]
    assert np.isnan(lines(found.draw(), 0)[0][1][1])
    assert "6 conditions have a replicate in which a number is exactly 0: lines break off there." in found.text


def test_steps_are_drawn_for_first_and_last_hidden_layer() -> None:
    made = make(
        spec(factors={"lr": [0.1, 0.2]}, fixed=TWO_HIDDEN | {"train_size": 512}, probes=[0, 1, "end"], replicates=2)
    )
    rows = layer_rows(made, lambda row: {"grad_norm": 2.0 ** (1 + row["step"])}, spread=0.0)
    found = pictures(made, rows)["over_steps"]
    assert [ax.get_title(loc="left") for ax in found.draw().axes] == ["first hidden layer", "last hidden layer", "", ""]
    x, y = lines(found.draw(), 2)[0]
    assert x == [0, 2, 4]
    assert y == pytest.approx([2, 8, 32])
    assert found.text.startswith(
        "From the first probe to the last the gradient norm of the first hidden layer changes by a factor of 16."
    )


def test_the_coordinate_check_has_a_line_for_each_probe() -> None:
    made = make(spec(factors={"width": [8, 16, 64]}, fixed={"epochs": 2}, probes=[0, 1, "end"], replicates=2))

    def scale(row: dict[str, Any]) -> dict[str, float]:
        return {"act_mean": 0.0, "act_var": float(row["condition"].levels["width"]) ** (2 * row["epoch"])}

    found = pictures(made, layer_rows(made, scale))["coordinates"]
    assert [y for _, y in lines(found.draw(), 0)] == [
        pytest.approx([w**epoch for w in (8, 16, 64)]) for epoch in (0, 1, 2)
    ]
    assert found.draw().axes[0].get_xscale() == found.draw().axes[0].get_yscale() == "log"
    assert "changes by a factor of 1 at epoch 0 and 64 at epoch 2." in found.text


def test_the_coordinate_check_has_a_panel_for_each_parametrisation_and_what_there_is_room_for() -> None:
    """The parametrisation before other factors; rates, of which there are more than panels, are averaged."""
    factors = {
        "lr": [0.1, 0.2, 0.3, 0.4, 0.5],
        "optimizer": ["sgd", "adam"],
        "width": [8, 16, 64],
        "parametrization": ["standard", {"mup": 8}],
    }
    made = make(spec(factors=factors, fixed={"epochs": 2}, probes=[0, 1, "end"], replicates=2))

    def scale(row: dict[str, Any]) -> dict[str, float]:
        levels = row["condition"].levels
        grows = levels["parametrization"] == "standard" and levels["optimizer"] == "adam"
        return {"act_mean": 0.0, "act_var": float(levels["width"]) ** (2 * row["epoch"] * grows)}

    found = pictures(made, layer_rows(made, scale))["coordinates"]
    heads = [ax.get_title(loc="left") for ax in found.draw().axes]
    assert set(heads) == {"standard, sgd", "standard, adam", "mup(8), sgd", "mup(8), adam"}
    assert (
        "changes by a factor of 1 at epoch 0 and 1 at epoch 2 with parametrization=standard, optimizer=sgd;"
        in found.text
    )
    assert "64 at epoch 2 with parametrization=standard, optimizer=adam;" in found.text
    assert "1 at epoch 2 with parametrization=mup(8), optimizer=adam." in found.text


def test_dead_units_are_shown_where_there_are_any() -> None:
    made = make(spec(factors={"lr": [0.1, 1.0]}, fixed={"width": 100, "epochs": 2}, replicates=3))
    assert "dead_units" not in pictures(made)
    one = context_of(replace_metric(made, "dead_units", {(1, 0): 10.0, (1, 1): 20.0, (1, 2): 30.0}))
    told = training_failures.dead_units(one)
    assert told is not None
    assert "highest with lr=1, 20.0% (95% interval 0.0% to 44.8%); 1 of 2 conditions has none." in told.sentences
    assert not told.figures, "of one condition the sentence says all"
    three = make(spec(factors={"lr": [0.1, 1.0, 2.0]}, fixed={"width": 100, "epochs": 2}, replicates=3))
    dead = {(i, r): 10.0 * (r + i) for i in (1, 2) for r in range(3)}
    found = pictures(replace_metric(three, "dead_units", dead))["dead_units"]
    (ax,) = found.draw().axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "2"]
    assert any(list(np.asarray(line.get_xdata())) == [0.1, 0.2, 0.3] for line in ax.lines)
    assert "Conditions without any have no row in the figure: there are 1." in found.text
    other = make(spec(factors={"dropout": [0.1, 0.2]}, fixed={"epochs": 2}, replicates=2))
    assert "dead_units" not in pictures(replace_metric(other, "dead_units", {(0, 0): 5.0}))


def test_divergence_is_a_map_of_two_factors_and_bars_of_one() -> None:
    made = make(spec(factors={"lr": [0.1, 9.0], "init": ["zeros", "he_normal"]}, fixed={"epochs": 2}, replicates=2))
    status = {(3, 0): "diverged", (3, 1): "diverged", (2, 0): "diverged"}
    found = pictures(make(made.experiment, status=status))["divergence"]
    assert [t.get_text() for t in found.draw().axes[0].texts] == ["0/2", "1/2", "0/2", "2/2"]
    assert found.text == "3 of 8 runs diverged: all with lr=9, init=he_normal, none in 2 of 4 combinations."
    one = make(
        spec(factors={"lr": [9.0, 0.1, 5.0]}, fixed={"epochs": 2}, replicates=2),
        status={(0, 0): "diverged", (2, 1): "diverged"},
    )
    bars = pictures(one)["divergence"]
    assert [p.get_width() for p in bars.draw().axes[0].patches] == [0, 0.5, 0.5]  # type: ignore[attr-defined]
    assert bars.text == "2 of 6 runs diverged: 1 of 2 in each of 2 levels, lr=5 among them, none in 1 of 3 levels."
    everywhere = make(one.experiment, status={(i, r): "diverged" for i in range(3) for r in range(2)})
    assert "divergence" not in pictures(everywhere)


@pytest.mark.parametrize("name", ["prelu", "relu"])
def test_a_learnt_slope_is_said_to_be_drawn_as_it_starts(name: str) -> None:
    made = make(spec(factors={"activation": ["tanh", name]}, fixed={"epochs": 2}, replicates=2))
    assert ("The learnt slope of prelu is shown at its initial value." in report_of(made).markdown) == (name == "prelu")


def test_activation_functions_take_the_colours_of_the_report() -> None:
    made = make(spec(factors={"activation": ["gelu", "sigmoid"]}, fixed={"epochs": 2}, replicates=2))
    found = pictures(made)["activation_functions"]
    entries = dict(condition_colours(made.experiment, made.conditions).entries)
    for ax in found.draw().axes:
        assert entries[ax.get_title(loc="left")] in {line.get_color() for line in ax.lines}
    assert [[t.get_text() for t in ax.texts] for ax in found.draw().axes] == [["1.1289"], ["0.25"]]
    assert found.text == "The largest slopes on [-8, 8] range from 0.25 of sigmoid (at 0) to 1.1289 of gelu (at 1.41)."


def test_weights_have_a_row_for_each_combination_and_start_as_an_outline() -> None:
    made = make(spec(factors={"weight_decay": [0.0, 0.1], "lr": [0.1, 0.2]}, fixed={"epochs": 2}, replicates=2))
    found = pictures(made)["weights"]
    first, last = found.draw().axes
    assert [t.get_text() for t in reversed(first.get_yticklabels())] == ["0", "0.1"]
    assert first.get_ylabel() == "weight_decay"
    assert [ax.get_title(loc="left") for ax in (first, last)] == ["first layer", "last layer"]
    assert len(first.lines) == 2 * 3, "start, end and the line that they stand on"
    assert len(first.collections) == 2, "the filling of the end"
    assert "The figure shows the first condition of each weight_decay." in found.text


@pytest.mark.slow
def test_the_report_has_the_sections_and_the_same_bytes_twice() -> None:
    made = make(spec(**DEEP), status={(1, 0): "diverged"})
    rows = layer_rows(made)
    one = report_of(made, layers=Reader(rows))
    other = report_of(made, layers=Reader(rows.sample(frac=1, random_state=5)))
    assert one.pictures == other.pictures
    assert one.markdown == other.markdown
    for title, name in (
        ("Signal by layer", "signals"),
        ("Gain against depth", "depth_gain"),
    ):
        section = section_text(one, title)
        assert f"](figures/{name}.png)" in section
        assert "![" in section
        assert f"figures/{name}.png" in one.pictures
