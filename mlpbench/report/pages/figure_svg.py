"""A figure as SVG inside a page: as matplotlib draws it, in colours that follow the theme, with what its points stand for.

There is one drawing of a figure: the page shows what the picture of the Markdown shows. Its styles become attributes, which
the page's policy admits; ink and grid take the colours of the page, the others are lightened on a dark one. What belongs to
an entry of the legend has that entry's number, so that a script can let it stand out.

Weighed against Vega-Lite (through Altair, 0.8 MB of scripts that compile strings unless an interpreter of 0.1 MB more is there), Plotly
(1 to 4 MB) and Bokeh (1 MB and more): each wants every figure described a second time, which may then differ from the first.
mpld3 takes matplotlib's figures, but knows no constrained layout, no ticks with texts of their own and no policy.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from mlpbench.report.figures import theme
from mlpbench.report.figures.text_room import settle
from mlpbench.report.pages.figure_panels import cut, windows
from mlpbench.report.pages.figure_points import hex_of, points_of

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
# What the style of a page has other names for. White is the paper where it is no text.
OF_THE_PAGE = {theme.INK: "var(--ink)", theme.FAINT: "var(--soft)", "#e8e8e8": "var(--line)"}
PAPER = "#ffffff"
FIXED = "fixed"
# Of the width of a report's figures: one that is narrower has words beside it, and is whole on a narrow page.
NARROW = 0.7
COLOURED = ("fill", "stroke")
# Luminances of lines and of texts on a dark page, of texts on a light one: contrasts of 3 and of 4.5 (WCAG 2.2).
DARK, DARK_TEXT, LIGHT_TEXT = 0.2, 0.24, 0.18
# Of attributes that are addresses within the picture.
_ADDRESS = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure for a page.

    Args:
        svg: its markup; an element for each panel, side by side, where a figure can be cut between them.
        entries: the texts of its legend that have a colour, in order; what belongs to the i-th has `data-entry="i"`.
        points: JSON: for each axes a title, the names of x and y, and points as [x, y, entry or -1, text of x, text of y] in units of the
            SVG, with a sixth that says what a point is where its drawing does.

    """

    svg: str
    entries: tuple[str, ...]
    points: str


def drawn_figure(figure: Figure, name: str, alt: str) -> DrawnFigure:
    """Return a figure as SVG with its points.

    Args:
        figure: as a section draws it; it is drawn anew, without its paper.
        name: the name of its file, which tells addresses within pictures of one page apart.
        alt: the alternative text.

    """
    with theme.style(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": None}):
        figure.set_dpi(72)  # points: the units of matplotlib's SVG
        entries = _mark_entries(figure)
        for ax in figure.axes:
            _fix_texts_on_colour(ax)
        _hide_paper(figure)
        settle(figure)
        buffer = io.StringIO()
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None})
        points = points_of(figure, {colour: i for i, colour in enumerate(entries)})
        across = windows(figure)
    root = ElementTree.fromstring(buffer.getvalue())
    root.set("fill", OF_THE_PAGE[theme.INK])  # what is black has no fill of its own
    root.set("role", "img")
    root.set("aria-label", alt)
    for side in ("width", "height"):
        del root.attrib[side]
    if float(root.attrib["viewBox"].split()[2]) < NARROW * theme.WIDTH * 72:
        root.set("class", "narrow")
    parts = cut(root, across, [alt, *(ax.get_xlabel() for ax in figure.axes[1:])]) if across else [root]
    _in_the_page(parts, name)
    return DrawnFigure(
        svg="\n".join(
            ElementTree.tostring(p, encoding="unicode").replace("ns0:", "").replace(":ns0", "") for p in parts
        ),
        entries=tuple(entries.values()),
        points=json.dumps(points, separators=(",", ":"), allow_nan=False),
    )


def _mark_entries(figure: Figure) -> dict[str, str]:
    """Return the text of each coloured entry of the legends, by colour, and mark what has that colour."""
    entries: dict[str, str] = {}
    legends = _legends(figure)
    for legend in legends:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            colour = _colour(handle)
            if colour and colour not in OF_THE_PAGE and colour != PAPER:
                entries.setdefault(colour, text.get_text())
    for ax in figure.axes:
        for text in ax.texts:  # names at the ends of lines
            colour = hex_of(text.get_color())
            if colour and colour not in OF_THE_PAGE and colour != PAPER and not _on_colour(ax):
                entries.setdefault(colour, text.get_text())
    places = {colour: i for i, colour in enumerate(entries)}
    for legend in legends:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if (colour := _colour(handle)) in places:
                text.set_gid(f"entry {places[colour]}")
                if handle is not None:
                    handle.set_gid(f"member {places[colour]}")
    for ax in figure.axes:
        for artist in ax.get_children():
            colour = hex_of(artist.get_color()) if isinstance(artist, Text) else _colour(artist)
            if colour in places and not (isinstance(artist, Text) and _on_colour(ax)):
                artist.set_gid(f"{'entry' if isinstance(artist, Text) else 'member'} {places[colour]}")
    return entries


def _legends(figure: Figure) -> list[Legend]:
    of_axes = (ax.get_legend() for ax in figure.axes)
    return [*figure.legends, *(legend for legend in of_axes if legend is not None)]


def _colour(artist: Artist | None) -> str:
    """Return the one colour of an artist as hex; empty where it has several or none."""
    if isinstance(artist, Line2D):
        return hex_of(artist.get_color())
    if isinstance(artist, Patch):
        return hex_of(artist.get_facecolor())
    if isinstance(artist, Collection) and not isinstance(artist, QuadMesh):
        shades = [c for c in (artist.get_facecolor(), artist.get_edgecolor()) if len(np.atleast_2d(c))]
        colours = {hex_of(c) for shade in shades[:1] for c in np.atleast_2d(shade)}
        return colours.pop() if len(colours) == 1 else ""
    return ""


def _on_colour(ax: Axes) -> bool:
    """Return whether texts of the axes stand on coloured cells or pictures, whose shades no theme changes."""
    return bool(ax.images) or any(isinstance(c, QuadMesh) for c in ax.collections)


def _fix_texts_on_colour(ax: Axes) -> None:
    if _on_colour(ax):
        for text in ax.texts:
            text.set_gid(FIXED)


def _hide_paper(figure: Figure) -> None:
    for patch in (figure.patch, *(ax.patch for ax in figure.axes)):
        if hex_of(patch.get_facecolor()) == PAPER:
            patch.set_visible(False)


def _in_the_page(parts: Sequence[ElementTree.Element], name: str) -> None:
    """Turn styles into attributes, colours into those of a theme and names into those of one picture of many; in place."""
    for root in parts:
        for child in list(root):
            if child.tag == f"{SVG}metadata" or (child.tag == f"{SVG}defs" and child.find(f"{SVG}style") is not None):
                root.remove(child)
    every = [node for root in parts for node in root.iter()]
    targets = {node.attrib[LINK][1:] for node in every if LINK in node.attrib}
    targets |= {match for node in every for match in _ADDRESS.findall(node.get("clip-path", ""))}
    for node, is_fixed in (found for root in parts for found in _with_fixed(root, is_fixed=False)):
        for key, value in _declarations(node.attrib.pop("style", "")):
            if key == "font-family":
                continue
            node.set(key, _shade(value, fixed=is_fixed, text=node.tag == f"{SVG}text") if key in COLOURED else value)
        own = node.attrib.pop("id", "")
        if own in targets:
            node.set("id", f"{name}-{own}")
        elif own == FIXED:
            node.set("class", FIXED)
        elif own.startswith(("entry ", "member ")):
            node.set("class", own.split()[0])
            node.set("data-entry", own.split()[1])
        if LINK in node.attrib and node.attrib[LINK].startswith("#"):
            node.set("href", f"#{name}-{node.attrib.pop(LINK)[1:]}")
        elif LINK in node.attrib:
            node.set("href", node.attrib.pop(LINK))
        if "clip-path" in node.attrib:
            node.set("clip-path", _ADDRESS.sub(rf"url(#{name}-\1)", node.attrib["clip-path"]))
        for key in ("d", "x", "y", "transform", "points"):
            if key in node.attrib:
                short = _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), node.attrib[key])
                node.set(key, " ".join(short.split()))
        node.text, node.tail = (None if part is None or not part.strip() else part for part in (node.text, node.tail))


def _with_fixed(node: ElementTree.Element, *, is_fixed: bool) -> Iterator[tuple[ElementTree.Element, bool]]:
    """Yield each element, and whether its colours are those of every theme."""
    is_fixed = is_fixed or node.get("id") == FIXED or node.get("id", "").startswith("QuadMesh")
    yield node, is_fixed
    for child in node:
        yield from _with_fixed(child, is_fixed=is_fixed)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        key, _, value = declaration.partition(":")
        if value:
            yield key.strip(), value.strip()


def _shade(colour: str, *, fixed: bool, text: bool) -> str:
    """Return a colour as it is on a page of either theme."""
    if fixed or not colour.startswith("#"):
        return colour
    if colour in OF_THE_PAGE:
        return OF_THE_PAGE[colour]
    if colour == "#000000":
        return OF_THE_PAGE[theme.INK]
    if colour == PAPER:
        return colour if text else "var(--page)"
    light = mixed(colour, "black", most=LIGHT_TEXT) if text else colour
    dark = mixed(colour, "white", least=DARK_TEXT if text else DARK)
    return colour if light == dark == colour else f"light-dark({light}, {dark})"


def mixed(colour: str, other: str, *, least: float = 0.0, most: float = 1.0) -> str:
    """Return a colour with as little of black or white as gives it a luminance of at least, or at most, so much."""
    rgb, end = (np.array(mpl.colors.to_rgb(c)) for c in (colour, other))
    for share in np.linspace(0, 1, 21):
        mix = rgb + share * (end - rgb)
        if least <= theme.luminance(mix.tolist()) <= most:
            return mpl.colors.to_hex(tuple(mix.tolist()))
    return mpl.colors.to_hex(other)
