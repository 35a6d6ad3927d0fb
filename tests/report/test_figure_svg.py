"""Figures as SVG: what matplotlib draws, its points as the numbers they stand for, its entries, and colours of both themes."""

from __future__ import annotations

import functools
import json
import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from arithmetic_tables import WIDTHS, make, spec, width_tables
from matplotlib.figure import Figure
from matplotlib.text import Text
from reports import report_of

from mlpbench.report.figures import theme
from mlpbench.report.pages.figure_points import is_numeral
from mlpbench.report.pages.figure_svg import DARK, DrawnFigure, drawn_figure, mixed
from mlpbench.report.report import Report

DARK_PAGE = "#16181b"


@functools.cache
def report() -> Report:
    return report_of(width_tables())


@functools.cache
def drawn(name: str) -> DrawnFigure:
    return drawn_figure(report().drawings[f"figures/{name}.png"](), name, "What it shows.")


def whole(found: DrawnFigure) -> ElementTree.Element:
    """Return the panels of a figure together."""
    return ElementTree.fromstring(f"<div>{found.svg}</div>")


def names() -> list[str]:
    return [path.removeprefix("figures/").removesuffix(".png") for path in report().drawings]


def panel(found: DrawnFigure, title: str, y: str) -> dict[str, Any]:
    (axes,) = [a for a in json.loads(found.points) if a["t"] == title and a["y"] == y]
    return dict(axes)


def test_points_of_curves_are_the_estimates_where_the_axes_put_them() -> None:
    context = report().context
    assert context is not None
    found = drawn("learning_curves")
    assert list(found.entries) == [str(w) for w in WIDTHS]
    axes = panel(found, "test", "accuracy")
    estimates = context.curve_estimates
    of = estimates[(estimates["split"] == "test") & (estimates["measure"] == "accuracy")]
    assert axes["x"] == "epoch"
    assert len(axes["p"]) > 20
    xs, ys = [], []
    for x, y, entry, epoch, accuracy in axes["p"]:
        mean = of[(of["position"] == entry) & (of["epoch"] == float(epoch))]["mean"].item()
        assert float(accuracy) == pytest.approx(mean, rel=5e-4)
        xs.append((float(epoch), x))
        ys.append((mean, -y))
    for pairs in (xs, ys):  # both axes are linear
        values, places = np.array(pairs).T
        slope, start = np.polyfit(values, places, 1)
        assert slope > 0
        assert np.abs(slope * values + start - places).max() < 0.2


def test_every_text_of_a_figure_is_in_its_svg_and_no_style_is() -> None:
    for name in names():
        figure = report().drawings[f"figures/{name}.png"]()
        figure.draw_without_rendering()
        texts_of = {t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()}
        wanted = {t for t in texts_of if not is_numeral(t)}  # how many ticks there are follows from the renderer
        root = whole(drawn(name))
        texts = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {" ".join(t.split()) for t in texts if t and not is_numeral(t)} == {" ".join(t.split()) for t in wanted}
        assert all("style" not in node.attrib for node in root.iter())
        assert not re.search(r"\bnan\b|\binf\b", drawn(name).svg + drawn(name).points)


def test_addresses_are_those_of_one_figure_and_lead_somewhere() -> None:
    seen: set[str] = set()
    for name in names():
        root = whole(drawn(name))
        ids = [node.get("id", "") for node in root.iter() if node.get("id")]
        assert len(set(ids)) == len(ids)
        assert not seen & set(ids)
        seen |= set(ids)
        links = {node.get("href", "")[1:] for node in root.iter() if node.get("href", "").startswith("#")}
        clips = {match for node in root.iter() for match in re.findall(r"url\(#(.+)\)", node.get("clip-path", ""))}
        assert links | clips == set(ids)


def test_what_belongs_to_an_entry_has_its_number() -> None:
    root = ElementTree.fromstring(drawn("learning_curves").svg)
    of = [node for node in root.iter() if node.get("data-entry") is not None]
    members = [node.get("data-entry") for node in of if node.get("class") == "member"]
    labels = ["".join(node.itertext()) for node in of if node.get("class") == "entry"]
    assert labels == [str(w) for w in WIDTHS]
    # A curve and a band in each of four panels, and the handle of the legend.
    assert {members.count(str(i)) for i in range(len(WIDTHS))} == {9}


def test_rows_have_their_names_and_replicates_their_numbers() -> None:
    context = report().context
    assert context is not None
    points = [p for axes in json.loads(drawn("replicates").points) for p in axes["p"]]
    assert {p[4] for p in points} == {str(w) for w in WIDTHS}
    seen = context.observed
    for position, width in enumerate(WIDTHS):
        wanted = seen.loc[seen["position"] == position, "test_accuracy"]
        expected = [*wanted, wanted.mean()]
        assert sorted(p[3] for p in points if p[4] == str(width)) == sorted(f"{v:.4g}" for v in expected)


def _heat_map() -> Figure:
    with theme.style():
        figure, (ax,) = theme.new(2)
        ax.imshow(np.array([[0.1, 0.25], [math.nan, 4.0]]), cmap="viridis")
        ax.set_xticks([0, 1], ["a", "b"])
        ax.set_yticks([0, 1], ["top", "bottom"])
        ax.text(1, 0, "25%", color="white")
    return figure


def test_cells_of_a_heat_map_have_their_place_and_what_is_written_in_them() -> None:
    found = drawn_figure(_heat_map(), "cells", "Cells.")
    (axes,) = json.loads(found.points)
    assert {(p[3], p[4]) for p in axes["p"]} == {("top, a", "0.1"), ("top, b", "25%"), ("bottom, b", "4")}
    fixed = [n for n in ElementTree.fromstring(found.svg).iter() if n.get("class") == "fixed"]
    assert ["".join(n.itertext()).strip() for n in fixed] == ["25%"]
    assert 'fill="#ffffff"' in ElementTree.tostring(fixed[0], encoding="unicode")
    assert found.entries == ()


@pytest.mark.parametrize("text", ["$x_1$ <b>&amp;", "a\"b'c", "é 漢 🙂"])
def test_words_of_users_are_text(text: str) -> None:
    tables = make(
        spec(factors={"conditions": [{"label": text, "lr": 0.1}, {"label": "other", "lr": 0.2}]}, replicates=2)
    )
    made = report_of(tables)
    found = drawn_figure(made.drawings["figures/replicates.png"](), "replicates", f"About {text}.")
    root = ElementTree.fromstring(found.svg)
    assert root.get("aria-label") == f"About {text}."
    assert any(text in "".join(node.itertext()) for node in root.iter())
    assert text in {p[4] for axes in json.loads(found.points) for p in axes["p"]}


@pytest.mark.parametrize("colour", ["#440154", "#fde725", "#0173b2", "#d55e00", "#000000", "#31688e"])
def test_colours_are_seen_on_both_pages(colour: str) -> None:
    def contrast(one: str, other: str) -> float:
        parts = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in (one, other)]
        low, high = sorted(map(theme.luminance, parts))
        return (high + 0.05) / (low + 0.05)

    assert contrast(mixed(colour, "white", least=DARK), DARK_PAGE) >= 3
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, "word", color=colour)
    *inherited, found = re.findall(r'fill="([^"]+)"', drawn_figure(figure, "word", "").svg)
    if found == "var(--ink)":
        assert colour == "#000000"
        return
    assert inherited == ["var(--ink)"]
    light, dark = re.findall("#[0-9a-f]{6}", found) * (1 if "light-dark" in found else 2)
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, DARK_PAGE) >= 4.5


def test_the_same_figure_gives_the_same_bytes() -> None:
    for name in names():
        again = drawn_figure(report().drawings[f"figures/{name}.png"](), name, "What it shows.")
        assert again == drawn(name)
