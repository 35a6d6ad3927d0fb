"""Sections on what the best condition predicts: its confusion matrix, and test images that it misclassifies most often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlpbench.base.escapes import printable
from mlpbench.evidence.estimates.predictions import Floats, Predictions, choose_examples, confusion
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, SectionFigure, figure_section, paragraph
from mlpbench.results.examples import Classes

MAP = "Blues"
MOST_NUMBERED = 12
MOST_NAMED = 40
LONGEST = 16
# Half a percent is nothing in whole percents.
LEAST = 0.005
LEFT_BLANK = " Cells of less than 0.5% have no number."
COLUMNS = 6
# More shades of grey can't be told apart in so small a picture, and leave colours for the words.
GREYS = 32
SIGNS = {True: ("✓", theme.VERDICT_COLOURS["supported"]), False: ("✗", theme.VERDICT_COLOURS["refuted"])}
RULE = (
    "The figure shows two images that most replicates classify correctly, of different classes, then those that most "
    "misclassify, at most two of a pair of classes."
)


def confusion_matrix(context: Context) -> Section | None:
    """Return the confusion matrix of the best condition; None where its predictions are not known (`Context.best_predictions`)."""
    predictions = context.best_predictions
    if predictions is None:
        return None
    names = list(context.conditions[predictions.position].data.class_names)
    shares = confusion(predictions, len(names))
    label = "" if len(context.conditions) == 1 else context.conditions[predictions.position].label
    some = (context.observed["position"] == predictions.position).sum() > predictions.n
    mean = pd.DataFrame(shares.mean(axis=0), index=names, columns=names)
    return figure_section(
        "Confusion matrix",
        confusion_sentence(shares, names, label),
        "Rows are true classes and sum to 100%, columns are predicted classes; shades are by the root of a share, so that few mistakes are "
        f"seen.{LEFT_BLANK if len(names) <= MOST_NUMBERED else ''}",
        f"Only the first {predictions.n} replicates are counted." if some else "",
        figure="confusion",
        alt="Share of the test examples of each true class that are predicted as each class.",
        draw=partial(draw_confusion, mean, _most_confused(mean.to_numpy())),
    )


def _most_confused(mean: Floats) -> tuple[int, int]:
    off = np.where(np.eye(len(mean), dtype=bool) | np.isnan(mean), -1.0, mean)
    true, predicted = np.unravel_index(int(off.argmax()), off.shape)
    return int(true), int(predicted)


def confusion_sentence(shares: Floats, names: Sequence[str], label: str = "") -> str:
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


def draw_confusion(shares: pd.DataFrame, pair: tuple[int, int]) -> Figure:
    """Return the matrix of shares, true classes in rows and predicted classes in columns, with one pair outlined."""
    values, names = shares.to_numpy(dtype=float), [short_name(str(n)) for n in shares.index]
    n = len(names)
    colours = mpl.colormaps[MAP]
    # A root scale: mistakes are a few percent where the diagonal is near 100.
    norm = PowerNorm(0.5, 0, 1)
    with theme.style():
        figure, (ax,) = theme.new(5.0)
        image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm)
        for y, x in np.argwhere(values >= LEAST) if n <= MOST_NUMBERED else ():
            ink = theme.ink_on(colours(norm(values[y, x])))
            ax.text(x, y, f"{100 * values[y, x]:.0f}", ha="center", va="center", color=ink, fontsize=7.5)
        ax.add_patch(Rectangle((pair[1] - 0.5, pair[0] - 0.5), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2))
        every = -(-n // MOST_NAMED)
        ax.set_xticks(range(0, n, every), names[::every], rotation=90 if n > 6 or max(map(len, names)) > 8 else 0)
        ax.set_yticks(range(0, n, every), names[::every])
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        theme.cells_axes(ax)
        bar = figure.colorbar(
            image, ax=ax, label="share of the true class", pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1]
        )
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(theme.percent)
    return figure


def short_name(name: str) -> str:
    """Return the name of a class, of signs that can be seen, cut where it would not fit."""
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def example_images(context: Context) -> Section | None:
    """Return some test images with their predictions; None where the data are no images, or either is not known.

    How sure a network was of each is not shown: a run stores the class that it predicts of an example in a byte, and its
    probability would take four more. Whether networks are right as often as they say is under "Class probabilities".
    """
    if context.test_set is None or not any(_image_shape(data.input_shape) for data in context.experiment.facts):
        return None
    predictions = context.best_predictions
    data = None if predictions is None else context.conditions[predictions.position].data
    shape = None if data is None else _image_shape(data.input_shape)
    if shape is None or predictions is None or data is None:
        return None
    names = list(data.class_names)
    chosen = choose_examples(predictions, len(names))
    images = context.test_set.images(data, chosen.at)
    if images is None:
        return None
    rows = pd.DataFrame(
        {
            "true": [names[i] for i in chosen.true],
            "predicted": [names[i] for i in chosen.predicted],
            "right": chosen.true == chosen.predicted,
            "votes": chosen.votes,
        }
    )
    pairs = "; ".join(f"{t}, predicted {p}" for t, p in zip(rows["true"], rows["predicted"], strict=True))
    figure = SectionFigure(
        name="test_images",
        draw=partial(draw_images, shape(images), rows, predictions.n),
        alt=f"Test images with their true and their predicted class: {pairs}.",
    )
    if (chosen.votes == predictions.n).all():
        predicted = (
            f"the class that {f'all {predictions.n} replicates predict' if predictions.n > 1 else 'is predicted'}"
        )
    else:
        predicted = (
            "the most frequent prediction (of a misclassified image the most frequent wrong one) with the number of replicates "
            "that have it"
        )
    key = f"Above each image stands its true class, below it {predicted}."
    return Section(title="Test images", sentences=paragraph(images_sentence(predictions), RULE, key), figures=[figure])


def images_sentence(predictions: Predictions) -> str:
    """Say how many test examples all replicates misclassify, and how many at least one does."""
    wrong = (predictions.predicted != predictions.labels).sum(axis=0)
    every, some, n = int((wrong == predictions.n).sum()), int((wrong > 0).sum()), len(predictions.labels)
    if predictions.n == 1:
        return f"{every} of {n} test examples are misclassified."
    return f"{every} of {n} test examples are misclassified in all {predictions.n} replicates, {some} in at least one."


def _image_shape(shape: tuple[int, ...]) -> Callable[[Classes], Classes] | None:
    """Return what gives flat examples the shape of images, (n, rows, columns) or (n, rows, columns, 3); None for no images."""
    if len(shape) == 2 and min(shape) > 1:
        return lambda flat: flat.reshape(-1, *shape)
    if len(shape) == 3 and shape[2] == 3:
        return lambda flat: flat.reshape(-1, *shape)
    if len(shape) == 3 and shape[0] == 3:
        return lambda flat: flat.reshape(-1, *shape).transpose(0, 2, 3, 1)
    return None


def draw_images(images: npt.NDArray[Any], rows: pd.DataFrame, n: int) -> Figure:
    """Return a grid of images; `rows` has true, predicted, right and votes, the number of `n` replicates that predict it.

    Shape: images (examples, rows, columns), or with three colours last.
    """
    unanimous = bool((rows["votes"] == n).all())
    lines = -(-len(rows) // COLUMNS)
    greys = mpl.colormaps["gray_r"].resampled(GREYS)
    with theme.style():
        figure, axes = theme.new(0.2 + 1.42 * lines, lines, COLUMNS)
        for ax in axes:
            ax.set_axis_off()
        for ax, image, row in zip(axes, images, records(rows), strict=False):
            ax.imshow(image, cmap=greys, vmin=0, vmax=255, interpolation="nearest")
            sign, colour = SIGNS[bool(row["right"])]
            ax.set_title(short_name(row["true"]), fontsize=8, pad=3)
            votes = f"\n{row['votes']} of {n}" if n > 1 and not unanimous else ""
            text = f"{sign} {short_name(row['predicted'])}{votes}"
            ax.text(0.5, -0.05, text, transform=ax.transAxes, ha="center", va="top", color=colour, fontsize=8)
    return figure
