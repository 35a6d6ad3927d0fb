"""The section "Confusion matrix": which classes the best condition predicts for which, counted over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlpbench.evidence.estimates.predictions import Floats, confusion
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, SectionFigure, paragraph

MAP = "Blues"
MOST_NUMBERED = 12
MOST_NAMED = 40
LONGEST = 16
# Half a percent is nothing in whole percents.
LEAST = 0.005


def section(context: Context) -> Section | None:
    """Return the confusion matrix of the best condition; None where its predictions are not known (`Context.best_predictions`)."""
    found = context.best_predictions
    if found is None:
        return None
    names = list(context.experiment.data.class_names)
    shares = confusion(found, len(names))
    label = "" if len(context.conditions) == 1 else context.conditions[found.position].label
    most = sentence(shares, names, label)
    some = (context.observed["position"] == found.position).sum() > found.n
    mean = pd.DataFrame(shares.mean(axis=0), index=names, columns=names)
    figure = SectionFigure(
        name="confusion",
        draw=partial(draw, mean, _most_confused(mean.to_numpy())),
        alt=f"Share of the test examples of each true class that are predicted as each class. {most}",
    )
    text = paragraph(
        most,
        "Rows are true classes and sum to 100%, columns are predicted classes.",
        f"Only the first {found.n} replicates are counted." if some else "",
    )
    return Section(title="Confusion matrix", sentences=text, figures=[figure])


def _most_confused(mean: Floats) -> tuple[int, int]:
    off = np.where(np.eye(len(mean), dtype=bool) | np.isnan(mean), -1.0, mean)
    true, predicted = np.unravel_index(int(off.argmax()), off.shape)
    return int(true), int(predicted)


def sentence(shares: Floats, names: Sequence[str], label: str = "") -> str:
    """Say which class is most often misclassified as which other, how often, and how often the other way round.

    `label` is the condition, where there are others.
    """
    true, predicted = _most_confused(shares.mean(axis=0))
    there, back = (shares[:, a, b] for a, b in ((true, predicted), (predicted, true)))
    who = f"The best condition, {label}," if label else "The network"
    if not there.mean() > 0:
        return f"{who} classifies every test example correctly."
    spread = f" ± {100 * there.std(ddof=1):.1f} pp (sd over {len(there)} replicates)" if len(there) > 1 else ""
    reverse = f"; the reverse happens for {back.mean():.1%}" if not np.isnan(back).any() else ""
    return (
        f"{who} most often misclassifies {names[true]} as {names[predicted]}: {there.mean():.1%}{spread} of the test examples of that "
        f"class{reverse}."
    )


def draw(shares: pd.DataFrame, pair: tuple[int, int]) -> Figure:
    """Return the matrix of shares, true classes in rows and predicted classes in columns, with one pair outlined."""
    values, names = shares.to_numpy(dtype=float), [short(str(n)) for n in shares.index]
    n = len(names)
    colours = mpl.colormaps[MAP]
    # A root scale: mistakes are a few percent where the diagonal is near 100.
    norm = PowerNorm(0.5, 0, 1)
    with theme.style():
        figure, (ax,) = theme.new(5.0)
        image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm)
        for y, x in np.argwhere(values >= LEAST) if n <= MOST_NUMBERED else ():
            ink = theme.INK if np.dot((0.21, 0.72, 0.07), colours(norm(values[y, x]))[:3]) > 0.45 else "white"
            ax.text(x, y, f"{100 * values[y, x]:.0f}", ha="center", va="center", color=ink, fontsize=7.5)
        ax.add_patch(Rectangle((pair[1] - 0.5, pair[0] - 0.5), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2))
        every = -(-n // MOST_NAMED)
        ax.set_xticks(range(0, n, every), names[::every], rotation=90 if n > 6 or max(map(len, names)) > 8 else 0)
        ax.set_yticks(range(0, n, every), names[::every])
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(
            image, ax=ax, label="share of the true class (root scale)", pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1]
        )
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(theme.percent)
    return figure


def short(name: str) -> str:
    """Return the name of a class, cut where it would not fit."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
