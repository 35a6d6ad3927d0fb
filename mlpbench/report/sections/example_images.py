"""The section "Test images": the test images that the best condition misclassifies most often, and two that it does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates.predictions import Classes, Predictions, choose_examples
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, SectionFigure, paragraph
from mlpbench.report.sections.confusion import short

COLUMNS = 6
SIGNS = {True: ("✓", theme.VERDICT_COLOURS["supported"]), False: ("✗", theme.VERDICT_COLOURS["refuted"])}
RULE = (
    "Shown are two images that most replicates classify correctly, of different classes, then those that most misclassify, at "
    "most two of a pair of classes."
)


def section(context: Context) -> Section | None:
    """Return some test images with their predictions; None where the data are no images, or either is not known."""
    shape = _image_shape(context.experiment.data.input_shape)
    found = None if shape is None else context.best_predictions
    if shape is None or found is None or context.test_set is None:
        return None
    names = list(context.experiment.data.class_names)
    chosen = choose_examples(found, len(names))
    images = context.test_set.images(chosen.at)
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
        draw=partial(draw, shape(images), rows, found.n),
        alt=f"Test images with their true and their predicted class: {pairs}.",
    )
    if (chosen.votes == found.n).all():
        predicted = f"the class that {f'all {found.n} replicates predict' if found.n > 1 else 'is predicted'}"
    else:
        predicted = (
            "the most frequent prediction (of a misclassified image the most frequent wrong one) with the number of replicates "
            "that have it"
        )
    key = f"Above each image stands its true class, below it {predicted}."
    return Section(title="Test images", sentences=paragraph(sentence(found), RULE, key), figures=[figure])


def sentence(predictions: Predictions) -> str:
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


def draw(images: npt.NDArray[Any], rows: pd.DataFrame, n: int) -> Figure:
    """Return a grid of images; `rows` has true, predicted, right and votes, the number of `n` replicates that predict it.

    Shape: images (examples, rows, columns), or with three colours last.
    """
    unanimous = bool((rows["votes"] == n).all())
    lines = -(-len(rows) // COLUMNS)
    with theme.style():
        figure, axes = theme.new(0.2 + 1.42 * lines, lines, COLUMNS)
        for ax in axes:
            ax.set_axis_off()
        for ax, image, row in zip(axes, images, records(rows), strict=False):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            sign, colour = SIGNS[bool(row["right"])]
            ax.set_title(short(row["true"]), fontsize=8, pad=3)
            votes = f"\n{row['votes']} of {n}" if n > 1 and not unanimous else ""
            ax.text(
                0.5,
                -0.05,
                f"{sign} {short(row['predicted'])}{votes}",
                transform=ax.transAxes,
                ha="center",
                va="top",
                color=colour,
                fontsize=8,
            )
    return figure
