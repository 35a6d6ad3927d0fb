"""The section "Activation functions": each activation that is varied and its derivative, a panel each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.estimates import activation_functions
from mlpbench.evidence.estimates.activation_functions import REACH, Shape
from mlpbench.experiment.components.activations import activation
from mlpbench.experiment.components.own_pieces import is_own, plain
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, figure_section

MOST_COLUMNS = 3
# Values above this are cut: every f that grows does so like x.
TOP, BOTTOM = 2.6, -1.2


def section(context: Context) -> Section | None:
    """Return each activation and its derivative where `activation` differs between conditions."""
    if not context.varied_settings(["activation"]):
        return None
    varied = list(dict.fromkeys(c.settings.activation for c in context.conditions if c.settings.n_hidden > 0))
    names, own = [n for n in varied if not is_own(n)], [plain(n) for n in varied if is_own(n)]
    if not names:
        return None
    colours = dict(context.colours.entries)
    if not all(name in colours for name in names):
        colours = theme.distinct_colours(names)
    shapes = [activation_functions.shape(name) for name in names]
    learnt = [name for name in names if activation(name)[0].learnt]
    return figure_section(
        "Activation functions",
        sentence(shapes),
        " ".join(
            [f"The learnt slope of {' and '.join(learnt)} is shown at its initial value."] * bool(learnt)
            + [f"A report runs no code of plugins: {' and '.join(own)} can't be drawn."] * bool(own)
        ),
        figure="activation_functions",
        alt="Each activation function and its derivative on [-8, 8].",
        draw=partial(draw, shapes, colours),
    )


def sentence(shapes: Sequence[Shape]) -> str:
    """Say which slope is the largest and which the smallest."""
    most, least = max(shapes, key=lambda s: s.largest), min(shapes, key=lambda s: s.largest)

    def part(shape: Shape) -> str:
        return f"{shape.largest:.5g} of {shape.name}" + ("" if shape.flat else f" (at {shape.at:.3g})")

    if most.largest == least.largest:
        return f"The largest slope on [-{REACH:g}, {REACH:g}] is {most.largest:.5g} for each of them."
    return f"The largest slopes on [-{REACH:g}, {REACH:g}] range from {part(least)} to {part(most)}."


def draw(shapes: Sequence[Shape], colours: Mapping[str, str]) -> Figure:
    """Return f as a line and f' dashed on [-8, 8] for each activation, in its colour of the report."""
    columns = min(MOST_COLUMNS, len(shapes)) if len(shapes) != 4 else 2
    rows = -(-len(shapes) // columns)
    with theme.style():
        figure, axes = theme.new(1.75 * rows + 0.45, rows, columns, sharex=True, sharey=True)
        for ax, shape in zip(axes, shapes, strict=False):
            colour = colours[shape.name]
            ax.axhline(0, color=theme.FAINT, linewidth=0.6)
            ax.plot(shape.x, shape.value, color=colour, linewidth=2.0)
            ax.plot(shape.x, shape.slope, color=colour, linestyle="dashed", linewidth=1.3)
            ax.plot([shape.at], [shape.largest], "o", color=theme.INK, markersize=4)
            beside: tuple[float, float] = (-5, 4) if shape.at < 0.5 else (3, -12)
            ax.annotate(f"{shape.largest:.5g}", (shape.at, shape.largest), beside, textcoords="offset points",
                        ha="right" if shape.at < 0.5 else "left")  # fmt: skip
            ax.set_title(shape.name, loc="left")
            ax.set_xlim(-REACH, REACH)
            ax.set_ylim(BOTTOM, TOP)
            ax.set_xticks([-8, -4, 0, 4, 8])
        for ax in axes[len(shapes) :]:
            ax.set_visible(False)
        for i, ax in enumerate(axes[: len(shapes)]):
            if i + columns >= len(shapes):
                ax.tick_params(labelbottom=True)
                ax.set_xlabel("x")
        theme.legend_below(
            figure,
            [
                Line2D([], [], color=theme.INK, linewidth=1.6, label="f(x)"),
                Line2D([], [], color=theme.INK, linewidth=1.3, linestyle="dashed", label="derivative"),
                Line2D([], [], color=theme.INK, marker="o", markersize=4, linestyle="none", label="largest derivative"),
            ],
        )
    return figure
