"""What the best condition misclassifies: counted as scikit-learn does, examples chosen by the rule that is printed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from arithmetic_tables import make, replace_metric, spec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image
from reports import context_of
from sklearn.metrics import confusion_matrix

from mlpbench.data.data_sets import lookup
from mlpbench.data.dataset import DataFacts
from mlpbench.evidence.estimates.observe import observe
from mlpbench.evidence.estimates.predictions import CORRECT, WRONG, WRONG_OF_A_PAIR, Predictions, choose_examples
from mlpbench.evidence.estimates.predictions import confusion as shares_of
from mlpbench.experiment.file import yaml_reader
from mlpbench.report.context import Context
from mlpbench.report.figures import png_colours, theme
from mlpbench.report.section import Section
from mlpbench.report.sections import predicted_classes
from mlpbench.results.examples import TestSet

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
RNG = np.random.default_rng(5)
N = 10_000
LABELS = (np.arange(N) % 10).astype(np.uint8)
ALL = np.arange(N)


def predictions_of(replicate: int) -> npt.NDArray[np.uint8]:
    """Classes 0 to 4 are predicted right; of 6 a third is predicted as 2, by the replicate; of others some as the next."""
    out = LABELS.copy()
    out[(LABELS == 6) & (replicate % 3 == ALL // 10 % 3)] = 2
    out[(LABELS == 8) & (ALL // 10 % 50 == 0)] = 9
    return out


PREDICTED = np.stack([predictions_of(r) for r in range(5)])


def given(
    rows: Mapping[int, npt.NDArray[np.uint8]] | None = None, labels: npt.NDArray[np.uint8] | None = LABELS, **keys: Any
) -> tuple[Context, list[str]]:
    """Two widths, of which the second is the better one and has the predictions above; and which images were asked for."""
    made = make(spec(factors={"width": [4, 8]}))
    rows = dict(enumerate(PREDICTED)) if rows is None else rows
    right = {(1, r): float((PREDICTED[r] == LABELS).mean()) for r in range(5)}
    made = replace_metric(made, "test_accuracy", right | {(0, r): 0.5 for r in range(5)})
    seen = observe(made.experiment, made.conditions, made.runs)
    ids = seen.loc[seen["position"] == 1, "run_id"].tolist()
    table = pd.DataFrame({"run_id": [ids[r] for r in rows], "predicted": [p.tobytes() for p in rows.values()]})
    asked: list[str] = []

    def read(run_ids: Sequence[str]) -> pd.DataFrame:
        asked.extend(run_ids)
        return table[table["run_id"].isin(run_ids)].iloc[::-1]

    def images(_: DataFacts, at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return np.repeat((at % 256).astype(np.uint8)[:, None], 784, axis=1)

    test_set = TestSet(predictions=read, labels=lambda _: labels, images=keys.get("images", images))
    found = context_of(made, test_set=test_set)
    if "data" in keys:
        source, grid = keys["data"], found.judgement.grid
        conditions = [replace(c, data=source.facts) for c in grid.conditions]
        found = replace(
            found,
            experiment=found.experiment.model_copy(update={"datasets": {source.facts.name: source}}),
            judgement=replace(found.judgement, grid=replace(grid, conditions=conditions)),
        )
    return found, asked


def sections(of: Context) -> list[Section]:
    return [
        section
        for make in (predicted_classes.confusion_matrix, predicted_classes.example_images)
        if (section := make(of)) is not None
    ]


def test_the_predictions_of_the_best_condition_are_read_in_the_order_of_replicates() -> None:
    of, asked = given()
    found = of.best_predictions
    assert found is not None
    assert found.position == 1
    assert (found.predicted == PREDICTED).all()
    assert asked == of.observed.loc[of.observed["position"] == 1, "run_id"].tolist()


WRONG_ONE = np.roll(LABELS, 1)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ({r: PREDICTED[r] for r in range(4)}, LABELS),
        ({**dict(enumerate(PREDICTED)), 2: WRONG_ONE}, LABELS),
        ({**dict(enumerate(PREDICTED)), 2: PREDICTED[2][:-1]}, LABELS),
        (None, None),
    ],
    ids=["a run lacks them", "not those of the accuracy", "too short", "no labels"],
)
def test_predictions_that_do_not_fit_are_not_shown(rows: Any, labels: Any) -> None:
    of, _ = given(rows, labels)
    assert sections(of) == []


def test_numbers_have_no_classes_to_confuse() -> None:
    of, asked = given(data=yaml_reader.read(EXPERIMENTS / "polynomial.yaml").sources[0])
    assert of.measure == "loss"
    assert sections(of) == []
    assert asked == []


def test_confusion_is_that_of_scikit_learn() -> None:
    mixed = RNG.integers(0, 10, (3, N)).astype(np.uint8)
    found = shares_of(Predictions(position=0, predicted=mixed, labels=LABELS), 10)
    for shares, of_replicate in zip(found, mixed, strict=True):
        np.testing.assert_allclose(shares, confusion_matrix(LABELS, of_replicate, normalize="true"))


def test_the_sentence_names_the_most_confused_pair() -> None:
    of, _ = given()
    matrix, images = sections(of)
    assert matrix.sentences.startswith(
        "The best condition, width=8, most often misclassifies Shirt as Pullover: 33.3% ± 0.1 pp (sd over 5 replicates) of the "
        "test examples of that class; the reverse happens for 0.0%."
    )
    assert matrix.figures[0].alt.endswith("the reverse happens for 0.0%.")
    # Shirts of one third are missed by two replicates, of the next by two, of the last by one; bags by all or by none.
    assert images.sentences.startswith(
        "20 of 10000 test examples are misclassified in all 5 replicates, 1020 in at least one."
    )
    perfect = np.stack([np.eye(3), np.eye(3)])
    assert (
        predicted_classes.confusion_sentence(perfect, ["a", "b", "c"])
        == "The network classifies every test example correctly."
    )


def test_a_class_the_test_set_lacks_is_no_pair() -> None:
    found = Predictions(position=0, predicted=np.array([[0, 1, 0]], np.uint8), labels=np.array([0, 0, 0], np.uint8))
    shares = shares_of(found, 3)
    assert np.isnan(shares[:, 1:]).all()
    assert (
        predicted_classes.confusion_sentence(shares, ["a", "b", "c"])
        == "The network most often misclassifies a as b: 33.3% of the test examples of that class."
    )


def test_the_matrix_is_drawn_with_its_numbers_and_its_pair() -> None:
    shares = pd.DataFrame([[0.9, 0.1], [0.004, 0.996]], index=["boot", "a name of more than sixteen"])
    ax, _ = predicted_classes.draw_confusion(shares, (0, 1)).axes
    assert sorted(t.get_text() for t in ax.texts) == ["10", "100", "90"]
    (outline,) = ax.patches
    assert isinstance(outline, Rectangle)
    assert (*outline.get_xy(), outline.get_width(), outline.get_height()) == (0.5, -0.5, 1, 1)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["boot", "a name of more …"]
    many = pd.DataFrame(np.eye(200))
    large = predicted_classes.draw_confusion(many.set_axis([f"c{i}" for i in many.index]), (0, 1))
    assert len(large.axes[0].get_yticks()) == 40
    assert not large.axes[0].texts
    theme.png(large)


def test_examples_are_chosen_by_how_many_replicates_misclassify_them() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1, 2, 2], np.uint8)
    rows = np.array(
        [
            [0, 0, 2, 2, 2, 1, 2, 0],
            [0, 0, 2, 0, 2, 1, 2, 0],
            [0, 0, 2, 2, 2, 2, 2, 2],
        ],
        np.uint8,
    )
    chosen = choose_examples(Predictions(position=0, predicted=rows, labels=labels), 3)
    # Right by all, of two classes: 0 and 6. Wrong: 2 and 4 by all alike, 3 by all but not alike (a third of its pair), then 7
    # by two of three; 5 by one, of a pair that has two.
    assert chosen.at.tolist() == [0, 6, 2, 4, 7]
    assert chosen.true.tolist() == [0, 2, 1, 1, 2]
    assert chosen.predicted.tolist() == [0, 2, 2, 2, 0]
    assert chosen.votes.tolist() == [3, 3, 3, 3, 2]


def test_a_panel_has_at_most_eighteen_examples() -> None:
    rows = RNG.integers(0, 10, (3, N)).astype(np.uint8)
    chosen = choose_examples(Predictions(position=0, predicted=rows, labels=LABELS), 10)
    assert len(chosen.at) == len(set(chosen.at.tolist())) == CORRECT + WRONG
    right = (chosen.true == chosen.predicted).sum()
    assert right == CORRECT
    pairs = pd.Series(list(zip(chosen.true, chosen.predicted, strict=True)))
    assert pairs.value_counts().max() <= WRONG_OF_A_PAIR


def test_the_panel_shows_the_images_it_names() -> None:
    of, _ = given()
    _, section = sections(of)
    found = of.best_predictions
    assert found is not None
    chosen = choose_examples(found, 10)
    shown = [ax.images[0] for ax in section.figures[0].draw().axes if ax.images]
    assert len(shown) == len(chosen.at)
    for image, i in zip(shown, chosen.at, strict=True):
        assert isinstance(image, AxesImage)
        assert np.asarray(image.get_array()).shape == (28, 28)
        assert set(np.asarray(image.get_array()).ravel()) == {i % 256}
    names = of.experiment.facts[0].class_names
    assert [ax.get_title() for ax in section.figures[0].draw().axes if ax.images] == [names[i] for i in chosen.true]
    signs = [ax.texts[0].get_text()[0] for ax in section.figures[0].draw().axes if ax.images]
    assert signs == ["✓" if t == p else "✗" for t, p in zip(chosen.true, chosen.predicted, strict=True)]
    assert theme.png(section.figures[0].draw()) == theme.png(sections(of)[1].figures[0].draw())


def test_images_of_the_package_are_shown_too_and_signals_are_not() -> None:
    for dataset, panels in (("digits", ["test_images"]), ("mnist1d", [])):
        of, _ = given(images=lambda _, at: np.zeros((len(at), 64), np.uint8), data=lookup(dataset))
        assert [s.figures[0].name for s in sections(of)] == ["confusion", *panels]


def test_without_images_the_matrix_stands_alone() -> None:
    of, _ = given(images=lambda _, _at: None)
    assert [s.figures[0].name for s in sections(of)] == ["confusion"]


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((28, 28), (5, 28, 28)), ((4, 6, 3), (5, 4, 6, 3)), ((3, 4, 6), (5, 4, 6, 3)), ((40,), None), ((1, 40), None)],
)
def test_only_shapes_of_pictures_are_pictures(shape: tuple[int, ...], seen: tuple[int, ...] | None) -> None:
    form: Callable[[Any], Any] | None = predicted_classes._image_shape(shape)
    assert (form is None) == (seen is None)
    if form is not None:
        flat = RNG.integers(0, 256, (5, int(np.prod(shape)))).astype(np.uint8)
        assert form(flat).shape == seen
        if shape[0] == 3:
            assert (form(flat)[2, 1, 5] == flat[2].reshape(shape)[:, 1, 5]).all()


def test_a_picture_of_many_greys_leaves_the_words_their_colours() -> None:
    """Black and white stay what they are, greys are no farther off than a step, and signs have the colours of verdicts."""
    rows = pd.DataFrame({"true": ["a"] * 2, "predicted": ["a", "b"], "right": [True, False], "votes": [1, 1]})
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    figure = predicted_classes.draw_images(np.stack([shades, shades.T]), rows, 1)
    drawn = np.asarray(Image.open(io.BytesIO(theme.png(figure))).convert("RGB"))
    found = {tuple(map(int, colour)) for colour in np.unique(drawn.reshape(-1, 3), axis=0)}
    assert len(found) < png_colours.OF_IMAGES
    for _, colour in predicted_classes.SIGNS.values():
        nearest = min(found, key=lambda c: np.abs(np.subtract(c, tuple(bytes.fromhex(colour[1:])))).max())
        assert np.abs(np.subtract(nearest, tuple(bytes.fromhex(colour[1:])))).max() <= 4
    box = figure.axes[0].get_window_extent()
    high = round(drawn.shape[0] - box.y1)
    picture = drawn[high : high + round(box.height), round(box.x0) : round(box.x1), 0].astype(int)
    middles = (np.arange(16) + 0.5) / 16
    found_shades = picture[np.ix_((middles * picture.shape[0]).astype(int), (middles * picture.shape[1]).astype(int))]
    assert (np.abs(found_shades - (255 - shades.astype(int))) <= 256 / predicted_classes.GREYS).all()
    assert (found_shades[0, 0], found_shades[-1, -1]) == (255, 0)


def test_rows_of_a_panel_are_filled_and_its_words_stay_inside() -> None:
    rows = pd.DataFrame(
        {"true": ["Ankle boot"] * 7, "predicted": ["T-shirt/top"] * 7, "right": [False] * 7, "votes": [4] * 7}
    )
    figure = predicted_classes.draw_images(np.zeros((7, 8, 8), np.uint8), rows, 5)
    assert len(figure.axes) == 2 * predicted_classes.COLUMNS
    theme.png(figure)
    for ax in figure.axes[:7]:
        box = ax.texts[0].get_window_extent()
        assert box.y0 >= 0
        assert box.x0 >= 0
        assert box.x1 <= theme.WIDTH * theme.DPI
