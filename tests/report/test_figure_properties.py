"""Whatever the numbers and the names, texts of figures are read: none on another, none outside, no empty panel, no endless axis."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arithmetic_layers import layer_rows, reads
from arithmetic_tables import Tables, make, spec
from matplotlib.figure import Figure
from matplotlib.text import Text
from reports import context_of

from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.line_ends import spread
from mlpbench.report.figures.text_room import settle, shorten, text_width, texts, wrap
from mlpbench.report.report import SECTIONS

OURS = {
    "learning_curves", "error", "gap", "replicates", "cost", "heatmap", "shift", "spread", "signals", "depth_gain", "over_steps",
    "coordinates", "dead_units", "divergence", "weights", "activation_functions", "confusion", "test_images", "tuning_curve",
}  # fmt: skip
ODD = ["$5-$10", "a_b^{c", "<b>x</b>", "50% {y}", "😀 déjà vu", "中文", "C:\\x & y", "#1 | two"]
LONG = [f"a condition whose name goes on and on, for reasons of its own, number {i} of many" for i in range(12)]
EARLY = {"epochs": 2}
Names = dict[str, Any]


def labelled(names: Sequence[str]) -> Names:
    return {
        "factors": {"conditions": [{"label": name, "width": 8 + i, "lr": 0.1 + i / 8} for i, name in enumerate(names)]}
    }


DESIGNS: dict[str, Names] = {
    "one condition": {"fixed": EARLY},
    "two widths": {"factors": {"width": [8, 16]}, "fixed": EARLY},
    "forty widths": {"factors": {"width": [2**k + j for k in range(3, 13) for j in range(4)]}, "fixed": EARLY},
    "decays": {"factors": {"weight_decay": [0.0, 1e-6, 1e-4, 1e-2, 1.0]}, "fixed": EARLY},
    "two factors": {"factors": {"activation": ["relu", "tanh", "leaky_relu(0.01)"], "depth": [1, 2, 3]}, "fixed": EARLY},
    "rates and widths": {"factors": {"lr": [1e-4, 1e-2, 0.1, 1.0], "width": [8, 64, 512]}, "fixed": EARLY, "probes": [0, 1, "end"]},
    "words and words": {
        "factors": {"activation": ["relu", "tanh", "gelu", "silu", "elu", "sigmoid"], "init": ["he_normal", "zeros", "orthogonal"]},
        "fixed": {"depth": 2, **EARLY},
    },
    "zipped": {"factors": {"activation": ["relu", "tanh", "elu", "gelu", "silu", "identity"], "zip": {"depth": [1, 3], "epochs": [2, 1]}}},
    "three factors": {"factors": {"init": ["he_normal", "zeros"], "activation": ["relu", "tanh"], "depth": [2, 5, 10]}, "fixed": EARLY},
    "four factors": {
        "factors": {"width": [8, 16], "lr": [0.1, 0.2], "activation": ["relu", "tanh"], "depth": [1, 2, 3]},
        "fixed": EARLY,
    },
    "odd names": {**labelled(ODD), "fixed": EARLY},
    "long names": {**labelled(LONG), "fixed": EARLY},
    "untrained": {"factors": {"init": ["zeros", "he_normal"], "depth": [2, 3, 4]}, "fixed": {"epochs": 0}},
    "shifts": {
        "factors": {"depth": [0, 1]},
        "fixed": EARLY,
        "shifts": {"noise": [0.1, 0.2, 0.4], "blur": [1, 2], "labels": [1]},
    },
    "streams": {"factors": {"width": [4, 8]}, "vary": {"each": ["init", "order"]}, "fixed": EARLY},
}  # fmt: skip
DECADES = (1, 3, 10, 30)
QUICK = {("two factors", 3), ("odd names", 1), ("long names", 10), ("decays", 30)}


def spanning(tables: Tables, decades: float, seed: int = 0) -> Tables:
    """Return the tables with losses and times over so many decades, by condition, and replicates within a third of one."""
    rng = np.random.default_rng(seed)
    names = [c.condition_id for c in tables.conditions]
    powers = dict(zip(names, rng.permutation(np.linspace(-decades / 2, decades / 2, len(names))), strict=True))
    runs, curves = tables.runs, tables.curves
    size = 10.0 ** (runs["condition_id"].map(powers) + rng.normal(0, 0.1, len(runs)))
    changed = {m: runs[m] * size for m in ("train_loss", "test_loss", "train_seconds", "flops")}
    if decades > 3:
        changed["test_accuracy"] = runs["test_accuracy"] * rng.uniform(0.1, 1.0, len(runs))
    runs = runs.assign(**changed)
    by_run = dict(zip(runs["run_id"], size, strict=True))
    return replace(tables, runs=runs, curves=curves.assign(loss=curves["loss"] * curves["run_id"].map(by_run)))


def figures(tables: Tables) -> dict[str, Figure]:
    """Return the figures of our sections, laid out as their pictures are."""
    context = context_of(tables, layers=reads(layer_rows(tables)))
    sections = [section for made in SECTIONS if (section := made(context)) is not None]
    drawn = {f.name: f.draw() for section in sections for f in section.figures if f.name in OURS}
    with theme.style():
        for figure in drawn.values():
            settle(figure)
    return drawn


def faults(figure: Figure) -> list[str]:
    """Return what is wrong with the texts and the panels of a figure."""
    found = []
    boxes = [(text, text.get_window_extent()) for text in texts(figure)]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in boxes:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            found.append(f"outside: {text.get_text()!r} {box.extents}")
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        if a.x0 + 1 < b.x1 - 1 and b.x0 + 1 < a.x1 - 1 and a.y0 + 1 < b.y1 - 1 and b.y0 + 1 < a.y1 - 1:
            found.append(f"on one another: {one.get_text()!r} {other.get_text()!r}")
    for ax in figure.axes:
        if not (ax.lines or ax.collections or ax.patches or ax.images):
            found.append(f"an empty panel: {ax.get_title(loc='left')!r}")
        if not np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all():
            found.append(f"an endless axis: {ax.get_xlim()} {ax.get_ylim()}")
    return found


def mark_of(name: str, decades: int) -> list[pytest.MarkDecorator]:
    if (name, decades) in QUICK:
        return []
    return [pytest.mark.slow if decades in (3, 30) else pytest.mark.prove]


@pytest.mark.parametrize(
    ("name", "decades"), [pytest.param(n, d, marks=mark_of(n, d)) for n in DESIGNS for d in DECADES]
)
def test_every_text_is_read_and_every_panel_shows_something(name: str, decades: int) -> None:
    keys = DESIGNS[name]
    status = {(0, 0): "diverged", (1, 1): "failed"} if "factors" in keys and name != "streams" else {}
    tables = spanning(make(spec(**keys, replicates=3), status=status), decades)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = figures(tables)
    assert drawn or name == "untrained"
    wrong = {path: found for path, figure in drawn.items() if (found := faults(figure))}
    assert wrong == {}


@pytest.mark.parametrize("name", ["two factors", pytest.param("words and words", marks=pytest.mark.slow)])
def test_of_one_replicate_there_are_no_intervals_and_figures_are_whole(name: str) -> None:
    drawn = figures(make(spec(**DESIGNS[name], replicates=1)))
    assert {"learning_curves", "error", "replicates"} <= drawn.keys()
    assert {path: found for path, figure in drawn.items() if (found := faults(figure))} == {}


def test_the_faults_are_seen() -> None:
    """The check itself: a text on another, one outside, an empty panel."""
    figure, (ax, empty) = theme.new(2.0, 1, 2)
    ax.plot([0, 1], [0, 1])
    for _ in range(2):
        ax.text(0.5, 0.5, "a word")
    ax.text(3.0, 0.5, "far off")
    theme.png(figure)
    found = faults(figure)
    assert any(f.startswith("on one another: 'a word' 'a word'") for f in found)
    assert any(f.startswith("outside: 'far off'") for f in found)
    assert sum(f.startswith("an empty panel") for f in found) == 1
    assert empty in figure.axes


def test_labels_are_written_as_they_are() -> None:
    tables = make(spec(**DESIGNS["odd names"], replicates=2))
    seen = {t.get_text() for t in figures(tables)["error"].findobj(Text) if isinstance(t, Text)}
    assert set(ODD) <= seen


@pytest.mark.parametrize("decades", [0.01, 0.1, 0.4, 1, 1.7, 2, 3, 5, 9, 10, 30, 60, 300])
@pytest.mark.parametrize("low", [1.0, 3.7e-9, 4.4e5])
def test_a_log_axis_has_two_to_seven_ticks_over_any_number_of_decades(decades: float, low: float) -> None:
    high = low * 10**decades if math.log10(low) + decades < 307 else 1e307
    for most in (4, 7):
        places = scales.log_places(low, high, most)
        assert 2 <= len(places) <= most + 1
        assert all(low / 1.001 <= v <= high * 1.001 for v in places)
        assert places == sorted(set(places))


def test_ticks_beside_a_log_axis_differ() -> None:
    for high in (1.3, 8.0, 4e3, 7e11, 1e30):
        figure, (ax,) = theme.new(3.0)
        ax.plot([1.0, 2.0], [1.0, high])
        scales.put_limits(ax, "y", scales.limits([1.0, high], log=True))
        theme.png(figure)
        shown = [t.get_text() for t in ax.get_yticklabels() if t.get_visible()]
        assert len(set(shown)) == len(shown) >= 2


@pytest.mark.parametrize(
    ("values", "off"),
    [
        ([16, 17, 18, 19, 90], [90]),
        ([16, 17, 18, 19, 20, 17, 52, 63, 90], [52, 63, 90]),
        ([1, 2, 3, 4, 5, 6, 7, 8], []),
        ([1, 2, 4, 8, 16, 32, 64], []),
        ([10, 10, 90, 90], []),
        ([5, 5, 5, 5, 5, 7], [7]),
        ([5, 5, 5], []),
    ],
)
def test_only_values_apart_from_a_group_of_most_are_left_off_an_axis(values: list[float], off: list[float]) -> None:
    kept = scales.most_alike(values)
    assert sorted([*kept, *off]) == sorted(values)


def test_intervals_that_take_the_room_leave_nobody_off() -> None:
    means = [0.80, 0.84, 0.841, 0.842, 0.843]
    narrow = scales.limits(means, [m + d for m in means for d in (-0.001, 0.001)], log=False)
    wide = scales.limits(means, [m + d for m in means for d in (-0.03, 0.03)], log=False)
    assert narrow is not None
    assert wide is not None
    assert narrow.clipped
    assert narrow.side(0.80) == -1
    assert not wide.clipped
    assert wide.side(0.80) == 0


def test_texts_are_cut_in_the_middle_and_broken_at_spaces() -> None:
    long = LONG[0]
    cut = shorten(long, 120, 8)
    assert text_width(cut, 8) <= 120
    assert cut.startswith("a condition")
    assert cut.endswith("many")
    assert "…" in cut
    assert shorten("short", 120, 8) == "short"
    first, second = wrap(long, 150, 8).split("\n")
    assert max(text_width(line, 8) for line in (first, second)) <= 150


def test_texts_at_line_ends_move_no_farther_than_they_must() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        heights = sorted(rng.uniform(0, 100, int(rng.integers(1, 8))))
        moved = spread(heights, 10, 0, 100)
        assert moved is not None
        assert all(b - a > 10 - 1e-6 for a, b in itertools.pairwise(moved))
        assert -1e-6 <= moved[0] <= moved[-1] <= 100 + 1e-6
        if all(b - a >= 10 for a, b in itertools.pairwise(heights)):
            assert moved == pytest.approx(heights)
    assert spread([1, 2, 3], 10, 0, 15) is None
