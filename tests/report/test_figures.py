"""Figures show the numbers they are given, in colours that mean the same throughout."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from arithmetic_tables import COMPARED, WIDTHS, make, spec, verdict_with, width_tables
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image
from reports import report_of

from mlpbench.evidence.estimates.axis_estimates import errors, numeric_factor
from mlpbench.evidence.estimates.observe import GEOMETRIC, estimate, estimate_curves, observe
from mlpbench.experiment.grid import Condition
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours, condition_colours
from mlpbench.report.figures.condition_groups import NOTHING, groups
from mlpbench.report.figures.error_panels import error_against_factor
from mlpbench.report.figures.layouts import replicate_rows as replicates
from mlpbench.report.figures.theme import png
from mlpbench.report.sections.learning_curves import draw as learning_curves
from mlpbench.report.sections.verdicts import draw as forest


def test_numbers_run_along_a_map_from_light_to_dark() -> None:
    made = width_tables()
    look = condition_colours(made.experiment, made.conditions)
    assert [text for text, _ in look.entries] == [str(w) for w in WIDTHS]
    lightness = [np.dot((0.21, 0.72, 0.07), to_rgb(colour)) for _, colour in look.entries]
    assert lightness == sorted(lightness, reverse=True)


def test_a_level_has_one_colour_whatever_the_order_of_the_file() -> None:
    def colours(*widths: int) -> dict[str, str]:
        made = make(spec(factors={"width": list(widths)}, replicates=1))
        return dict(condition_colours(made.experiment, made.conditions).entries)

    assert colours(8, 64, 1024) == colours(1024, 8, 64)


def look_of(**factors: object) -> tuple[list[Condition], ConditionColours]:
    made = make(spec(factors=factors, replicates=1))
    return made.conditions, condition_colours(made.experiment, made.conditions)


def test_the_first_factor_is_a_colour_and_the_second_a_dash() -> None:
    conditions, look = look_of(activation=["relu", "tanh", "gelu", "silu", "elu"], depth=[1, 2])
    assert [text for text, _ in look.entries] == ["relu", "tanh", "gelu", "silu", "elu"]
    assert (look.style_title, look.style_entries) == ("depth", [("1", 0), ("2", 1)])
    for condition in conditions:
        assert look.colours[condition.condition_id] == dict(look.entries)[str(condition.levels["activation"])]
        assert look.styles[condition.condition_id] == dict(look.style_entries)[str(condition.levels["depth"])]
    assert look.is_detailed
    assert set(look.blocks.values()) == {"depth=1", "depth=2"}
    assert {look.row_names[c.condition_id] for c in conditions} == {"relu", "tanh", "gelu", "silu", "elu"}


def test_a_second_factor_of_many_levels_takes_the_colours_of_a_first_one_of_few() -> None:
    _, look = look_of(activation=["relu", "tanh"], width=WIDTHS)
    assert [text for text, _ in look.entries] == [str(w) for w in WIDTHS]
    assert [text for text, _ in look.style_entries] == ["relu", "tanh"]
    assert not look.is_detailed


def test_what_neither_colours_nor_dashes_stand_for_is_said() -> None:
    _, look = look_of(init=["zeros", "he_normal"], activation=["relu", "tanh"], depth=[1, 2, 3])
    assert look.sentence == "Lines of one look differ in depth."
    assert [text for text, _ in look.third_entries] == ["depth=1", "depth=2", "depth=3"]
    assert look.all_differ


def test_zipped_factors_are_one_and_labels_are_taken_apart() -> None:
    made = make(
        spec(factors={"activation": ["relu", "tanh"], "zip": {"depth": [1, 3], "epochs": [10, 3]}}, replicates=1)
    )
    assert condition_colours(made.experiment, made.conditions).style_entries == [
        ("depth=1, epochs=10", 0),
        ("depth=3, epochs=3", 1),
    ]
    rows = [
        {"label": f"{name}{', ' * bool(more)}{more}", "width": width, "dropout": share}
        for name, width in (("narrow", 8), ("wide", 64))
        for more, share in (("", 0.0), ("dropped", 0.5))
    ]
    made = make(spec(factors={"conditions": rows}, replicates=1))
    parts = groups(made.experiment, made.conditions)
    assert [group.levels for group in parts] == [["narrow", "wide"], [NOTHING, "dropped"]]
    pairs = [(0.1, 1), (0.2, 1), (0.4, 1), (0.8, 1), (0.1, 2), (0.2, 2)]
    rates = [{"label": f"rate {i}", "lr": lr, "depth": d} for i, (lr, d) in enumerate(pairs)]
    made = make(spec(factors={"conditions": rates}, replicates=1))
    found = groups(made.experiment, made.conditions)
    assert [(g.title, g.levels, bool(g.numbers)) for g in found] == [
        ("lr", ["0.1", "0.2", "0.4", "0.8"], True),
        ("depth", ["1", "2"], True),
    ]


def test_names_never_run_along_a_map_and_more_than_ten_differ_in_dashes() -> None:
    labels = [{"label": f"name {i}", "width": 8 + i, "lr": 0.1 + i, "depth": 1 + i} for i in range(12)]
    made = make(spec(factors={"conditions": labels}, replicates=1))
    look = condition_colours(made.experiment, made.conditions)
    looks = {(look.colours[c.condition_id], look.styles[c.condition_id]) for c in made.conditions}
    assert len(looks) == 12
    assert {colour for colour, _ in looks} == set(theme.NOMINAL)


def test_the_axis_is_log_where_levels_spread_over_a_decade() -> None:
    _, (wide, narrow, with_zero) = theme.new(3, 1, 3)
    theme.level_axis(wide, [float(w) for w in WIDTHS], "width")
    theme.level_axis(narrow, [0.0, 1.0, 5.0], "depth")
    theme.level_axis(with_zero, [0.0, 0.1, 0.3, 1.0, 3.0], "weight_decay")
    assert wide.get_xscale() == "log"
    assert narrow.get_xscale() == "linear"
    assert with_zero.get_xscale() == "symlog"
    places = with_zero.transData.transform([(x, 0) for x in (0.0, 0.1, 0.3, 1.0, 3.0)])[:, 0]
    assert np.diff(places).min() > 0.4 * np.diff(places).max(), "no level is crowded"
    assert [t.get_text() for t in wide.get_xticklabels()] == [str(w) for w in WIDTHS]


def test_learning_curves_draw_the_means_and_the_bands() -> None:
    made = make(spec(factors={"width": [8, 1024]}))
    seen = observe(made.experiment, made.conditions, made.runs)
    curves = estimate_curves(made.experiment, made.conditions, seen, made.curves)
    figure = learning_curves(curves, condition_colours(made.experiment, made.conditions))
    loss, accuracy = figure.axes
    assert len(loss.lines) == len(accuracy.lines) == 4
    assert len(loss.collections) == 4
    styles = {line.get_linestyle() for line in loss.lines}
    assert styles == {"--", "-"}
    drawn = sorted(tuple(np.asarray(line.get_ydata(), dtype=float)) for line in loss.lines)
    rows = curves[curves["measure"] == "loss"].groupby(["position", "split"])["geo_mean"]
    assert loss.get_yscale() == "log"
    assert drawn == sorted(tuple(v) for _, v in rows)


@pytest.mark.parametrize("factor", [1.0, 5.0, 30.0, 1e6])
def test_a_loss_however_wide_has_numbers_beside_its_axis(factor: float) -> None:
    made = make(spec(factors={"width": WIDTHS}))
    seen = observe(made.experiment, made.conditions, made.runs)
    curves = estimate_curves(made.experiment, made.conditions, seen, made.curves)
    wide = curves["condition_id"] == curves["condition_id"].iloc[0]
    curves.loc[wide & (curves["measure"] == "loss"), ["mean", "low", "high", *GEOMETRIC.values()]] *= factor
    figure = learning_curves(curves, condition_colours(made.experiment, made.conditions))
    theme.png(figure)
    ax = figure.axes[0]
    bottom, top = ax.get_ylim()
    assert sum(bottom <= tick <= top for tick in ax.get_yticks()) >= 2


def test_error_against_the_factor_draws_what_the_estimates_say() -> None:
    made = width_tables()
    seen = observe(made.experiment, made.conditions, made.runs)
    metrics = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]
    found = errors(
        made.experiment, made.conditions, seen, estimate(made.experiment, made.conditions, seen, made.curves, metrics)
    )
    assert found.factor == "width"
    error, _ = error_against_factor(found.estimates, found.points, "width").axes
    test = 1 - made.runs.groupby("width")["test_accuracy"].mean()
    lines = [np.asarray(line.get_ydata(), dtype=float) for line in error.lines]
    assert any(len(y) == len(WIDTHS) and np.allclose(y, test[WIDTHS]) for y in lines)
    faint = [y for y in lines if len(y) == 5 * len(WIDTHS)]
    assert len(faint) == 2
    row = found.estimates[(found.estimates["measure"] == "error") & (found.estimates["split"] == "test")].iloc[0]
    assert row["low"] < row["mean"] < row["high"]
    assert row["mean"] == pytest.approx(test[8])


def test_a_factor_of_words_has_no_numeric_axis() -> None:
    words = spec(factors={"activation": ["relu", "tanh"], "lr": [0.1, 1.0]})
    assert numeric_factor(words, make(words).conditions) == "lr"
    only = spec(factors={"activation": ["relu", "tanh"]})
    assert numeric_factor(only, make(only).conditions) is None
    mixed = spec(factors={"batch_size": [256, "full"]})
    assert numeric_factor(mixed, make(mixed).conditions) is None
    many = spec(factors={"depth": [1, 3], "activation": ["relu", "tanh", "gelu", "silu", "elu"]})
    assert numeric_factor(many, make(many).conditions) is None, "ten dots a place hide each other"
    few = spec(factors={"depth": [1, 3], "width": [8, 16, 32]})
    assert numeric_factor(few, make(few).conditions) == "width"
    paired = {"zip": {"activation": ["relu", "tanh", "sigmoid"], "lr": [0.1, 0.2, 0.3]}}
    zipped = spec(factors=paired, fixed={"epochs": 1})
    assert numeric_factor(zipped, make(zipped).conditions) is None, "no two conditions differ in lr alone"
    crossed = spec(factors=paired | {"width": [8, 16, 32]}, fixed={"epochs": 1})
    assert numeric_factor(crossed, make(crossed).conditions) == "width"


def test_replicates_are_all_there_and_short_rows_say_so() -> None:
    made = make(spec(factors={"width": [8, 16]}), status={(1, 0): "diverged"})
    seen = observe(made.experiment, made.conditions, made.runs)
    rows = estimate(made.experiment, made.conditions, seen, made.curves, ["test_accuracy"])
    points = seen[["position", "test_accuracy"]].rename(columns={"test_accuracy": "value"})
    (ax,) = replicates(rows, points, condition_colours(made.experiment, made.conditions), "test accuracy").axes
    lines = [np.asarray(line.get_xdata(), dtype=float) for line in ax.lines]
    drawn = np.concatenate([x for x in lines if len(x) > 1])
    assert sorted(drawn) == sorted(made.runs["test_accuracy"].dropna())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["8", "16 (n = 4)"]


def test_the_forest_has_a_strip_for_each_claim_with_its_margin() -> None:
    rows = [
        verdict_with(estimate=0.01, low=0.005, high=0.015),
        verdict_with(fields=COMPARED | {"expect": "equivalent"}, decision="undecided", estimate=0.001, low=-0.001,
                     high=0.003),
        verdict_with("matches", {"value": 0.9, "tolerance": 0.01}, decision="refuted", estimate=0.85, low=0.84, high=0.86),
    ]  # fmt: skip
    first, second, third = forest(rows).axes
    margins = [
        [float(np.asarray(line.get_xdata())[0]) for line in ax.lines if line.get_linestyle() == "--"]
        for ax in (first, second, third)
    ]
    assert margins == [[0.2], [-0.2, 0.2], [pytest.approx(0.89), pytest.approx(0.91)]]
    low, high = first.get_xlim()
    assert low < 0.2 < 1.5 < high


def test_legends_and_labels_stay_inside_the_picture() -> None:
    """Ten levels and long labels once ran over the edge."""
    widths = [2**i for i in range(4, 14)]
    made = make(spec(factors={"width": widths}, replicates=2))
    seen = observe(made.experiment, made.conditions, made.runs)
    look = condition_colours(made.experiment, made.conditions)
    curves = learning_curves(estimate_curves(made.experiment, made.conditions, seen, made.curves), look)
    long = make(spec(factors={"loss": ["cross_entropy", "squared_error"], "activation": ["sigmoid", "gelu"]}))
    seen = observe(long.experiment, long.conditions, long.runs)
    rows = estimate(long.experiment, long.conditions, seen, long.curves, ["test_accuracy"])
    points = seen[["position", "test_accuracy"]].rename(columns={"test_accuracy": "value"})
    strips = replicates(rows, points, condition_colours(long.experiment, long.conditions), "test accuracy")
    for figure in (curves, strips):
        theme.png(figure)
        texts = [ax.xaxis.get_label() for ax in figure.axes] + figure.legends
        for box in (artist.get_window_extent() for artist in texts):
            assert box.x0 >= 0
            assert box.x1 <= theme.WIDTH * theme.DPI


def test_more_lines_than_colours_are_grouped_by_the_first_of_the_other_factors() -> None:
    made = make(
        spec(factors={"width": [8, 16, 32], "lr": [0.1, 0.2, 0.3], "dropout": [0.0, 0.1, 0.2, 0.5]}, replicates=1)
    )
    seen = observe(made.experiment, made.conditions, made.runs)
    metrics = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]
    rows = estimate(made.experiment, made.conditions, seen, made.curves, metrics)
    found = errors(made.experiment, made.conditions, seen, rows).estimates
    assert found["series"].nunique() == 12
    assert set(found["group"]) == {"lr=0.1", "lr=0.2", "lr=0.3"}


def test_a_picture_has_a_palette_in_which_areas_keep_their_colours() -> None:
    colours = [*theme.palette(10, ordered=False), *theme.palette(8, ordered=True), *theme.VERDICT_COLOURS.values()]
    figure, (ax,) = theme.new(3.0)
    ax.barh(range(len(colours)), [1.0] * len(colours), color=colours, alpha=1)
    with Image.open(io.BytesIO(theme.png(figure))) as picture:
        assert picture.mode == "P"
        drawn = np.asarray(picture.convert("RGB"), dtype=int)
    canvas: Any = FigureCanvasAgg(figure)
    with theme.style():
        canvas.draw()
    before = np.asarray(canvas.buffer_rgba(), dtype=int)[:, :, :3]
    assert (drawn[before.min(axis=2) == 255] == 255).all(), "white stays white"
    for colour in colours:
        area = (before == np.round(255 * np.array(to_rgb(colour)))).all(axis=2)
        assert area.sum() > 1000
        assert (drawn[area] == before[area]).all()


def test_a_colour_bar_keeps_its_shades() -> None:
    figure, (ax,) = theme.new(2.0)
    figure.colorbar(ax.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap="viridis"))
    alone, (other,) = theme.new(2.0)
    alone.colorbar(mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), mpl.colormaps["Reds"]), ax=other)
    for one, fewest in ((figure, 100), (alone, 80)):
        with Image.open(io.BytesIO(theme.png(one))) as picture:
            assert len(np.unique(np.asarray(picture))) > fewest


# What people have in their matplotlibrc.
USERS = {
    "axes.labelpad": 50, "axes.titlesize": 30, "axes.grid.axis": "x", "axes.xmargin": 0.4, "axes.formatter.use_locale": True,
    "axes.formatter.limits": [-1, 1], "axes.unicode_minus": False, "axes.prop_cycle": cycler(color=["r"]),
    "figure.facecolor": "black", "figure.constrained_layout.w_pad": 0.5, "figure.titlesize": 40, "font.weight": "bold",
    "image.cmap": "jet", "image.interpolation": "nearest", "legend.borderpad": 3, "lines.marker": "s", "lines.markersize": 20,
    "path.simplify": False, "savefig.dpi": 20, "text.antialiased": False, "text.hinting": "none", "xtick.direction": "in",
    "xtick.major.size": 12, "ytick.minor.visible": True, "text.parse_math": True,
}  # fmt: skip


def pictures_of_widths() -> dict[str, bytes]:
    report = report_of(width_tables())
    return {path: png(report.drawings[path]()) for path in ("figures/learning_curves.png", "figures/error.png")}


@pytest.mark.parametrize("names", [list(USERS), *(pytest.param([n], marks=pytest.mark.prove) for n in USERS)], ids=str)
def test_settings_of_the_user_change_no_byte(names: list[str]) -> None:
    plain = pictures_of_widths()
    settings: Any = {name: USERS[name] for name in names}
    with mpl.rc_context(settings):
        assert pictures_of_widths() == plain


@pytest.mark.parametrize(
    "label",
    [
        "$5-$10",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("$100_$200", r"\alpha^{", "a$b", "50% _x_ {y}", "$$")),
    ],
)
def test_a_dollar_in_a_label_is_a_dollar(label: str) -> None:
    labels = [{"label": label, "width": 8}, {"label": f"{label} more", "width": 16}]
    report = report_of(make(spec(factors={"conditions": labels}, replicates=2)))
    assert report.failures == {}
    drawn = report.drawings["figures/error.png"]()
    png(drawn)
    texts = {text.get_text() for text in drawn.findobj(Text)}
    assert {label, f"{label} more"} <= texts
    assert not any(text.get_parse_math() for text in drawn.findobj(Text) if text.get_text() == label)


def test_signs_that_can_not_be_seen_are_written_out_and_signs_of_other_scripts_are_no_warning() -> None:
    """Warnings are errors here: a font that lacks a sign has printed lines about itself."""
    labels = [{"label": "中文 عربي", "width": 8}, {"label": "other", "width": 16}]
    says = "It is \x1b[31m\u202e so."
    compare = {"metric": "test_accuracy", "a": {"label": "other"}, "b": {"label": "中文 عربي"}, "expect": "greater"}
    claims = [{"id": "c", "says": says, "compare": compare}]
    report = report_of(make(spec(factors={"conditions": labels}, replicates=2, claims=claims)))
    for figure in (report.drawings["figures/claim_1.png"](), report.drawings["figures/error.png"]()):
        png(figure)
    strips = forest(report.context.verdicts if report.context else ())
    png(strips)
    assert "It is \\x1b[31m\\u202e so." in {text.get_text() for text in strips.findobj(Text)}
