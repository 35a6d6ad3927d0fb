"""The sections of plugins: pictures and sentences that `run` kept, drawn again from their pixels. No code of a plugin is run."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlpbench.experiment.plugins.plugin import pieces_of
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, SectionFigure
from mlpbench.results.plugin_figures import StoredFigure

KIND = "figure"
NOT_DRAWN = "it is drawn by mlpbench run, which has not drawn it as its code is now."
NO_PICTURE = "What the folder keeps of it is no picture that a report can show."


def section(context: Context) -> Section | None:
    """Return a part for each figure of the experiment's plugins; None where they have none."""
    stored = {(figure.called, figure.digest): figure for figure in context.own_figures}
    parts = [
        _part(called, plugin.name, stored.get((called, name.partition("@")[2])))
        for plugin in context.experiment.used_plugins
        for called, name in pieces_of([plugin], KIND).items()
    ]
    return Section(title="Figures of plugins", parts=parts) if parts else None


def _part(called: str, plugin: str, stored: StoredFigure | None) -> Section:
    """Return the part of one figure.

    Args:
        called: the name of its function, which makes the title.
        plugin: the file, or the installed plugin, that it is of.
        stored: what the folder keeps of it, as its code is now; None where nothing.

    """
    title = called.replace("_", " ")
    title = f"{title[:1].upper()}{title[1:]}"
    if stored is None:
        return Section(title=title, sentences=f"A figure of {plugin}: {NOT_DRAWN}")
    if stored.error:
        return Section(title=title, sentences=f"It could not be made: {stored.error}.")
    if not stored.png:
        return Section(title=title, sentences=stored.text)
    pixels = stored.pixels
    if pixels is None:
        return Section(title=title, sentences=" ".join(filter(None, [stored.text, NO_PICTURE])))
    alt = f"{title}, a figure of {plugin}. {stored.text}".strip()
    figure = SectionFigure(name=f"own_{called}", draw=partial(draw, pixels), alt=alt)
    return Section(title=title, sentences=stored.text, figures=[figure])


def draw(pixels: NDArray[np.uint8]) -> Figure:
    """Return a picture as a figure, as wide as a report."""
    rows, columns, _ = pixels.shape
    with theme.style():
        figure = Figure(figsize=(theme.WIDTH, theme.WIDTH * rows / columns), dpi=theme.DPI)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.imshow(pixels, interpolation="antialiased", aspect="auto")
        ax.set_axis_off()
    return figure
