"""Panels that stand side by side, and below one another on a narrow page: where a figure can be cut between them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import pairwise
from xml.etree import ElementTree

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# From left to right, in units of the SVG.
Window = tuple[float, float]


def windows(figure: Figure) -> Sequence[Window]:
    """Return from where to where across each panel reaches; nothing where a figure is one panel, or can't be cut.

    It is cut where all panels stand in one row, each with an axis of its own, and nothing belongs to several of them or
    reaches into another. The figure must have been drawn at 72 dots an inch.
    """
    axes = figure.axes
    places = [ax.get_subplotspec() for ax in axes]
    in_a_row = len(axes) > 1 and all(place is not None and place.get_gridspec().nrows == 1 for place in places)
    shared = [figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel(), *figure.legends, *figure.texts]
    if not in_a_row or any(shared) or any(_leans(ax) for ax in axes):
        return ()
    boxes = [ax.get_tightbbox() for ax in axes]
    if any(box is None for box in boxes):
        return ()
    ends = [(float(box.x0), float(box.x1)) for box in boxes if box is not None]
    if any(right > left for (_, right), (left, _) in pairwise(ends)):
        return ()
    cuts = [0.0, *((right + left) / 2 for (_, right), (left, _) in pairwise(ends)), float(figure.bbox.width)]
    return list(pairwise(cuts))


def _leans(ax: Axes) -> bool:
    """Return whether a panel has the ticks of another as its own y axis."""
    return len(ax.get_shared_y_axes().get_siblings(ax)) > 1 and not ax.yaxis.get_tick_params()["labelleft"]


def cut(root: ElementTree.Element, across: Sequence[Window], names: Sequence[str]) -> Sequence[ElementTree.Element]:
    """Return an SVG for each panel of one that has all, and keep its units: what is at a place is there in the part too.

    Args:
        root: the whole, as matplotlib writes it; its parts are those of the result afterwards.
        across: from where to where each panel reaches.
        names: what each shows, for readers who can't see it.

    """
    _, top, width, height = map(float, root.attrib["viewBox"].split())
    figure = next(node for node in root if node.get("id") == "figure_1")
    panels = [node for node in figure if node.get("id", "").startswith("axes_")]
    parts = []
    for i, ((left, right), name, panel) in enumerate(zip(across, names, panels, strict=True)):
        part = ElementTree.Element(root.tag, dict(root.attrib))
        part.attrib |= {
            "viewBox": f"{left:.1f} {top:g} {right - left:.1f} {height:g}",
            "width": f"{100 * (right - left) / width:.2f}%",
            "class": "part",
            "aria-label": name,
        }
        # What the whole has besides its panels, as the frames that clip them, goes with the first.
        for node in root:
            if node is figure:
                kept = copy(figure)
                kept[:] = [panel] if i else [child for child in figure if child is panel or child not in panels]
                part.append(kept)
            elif not i:
                part.append(node)
        parts.append(part)
    return parts
