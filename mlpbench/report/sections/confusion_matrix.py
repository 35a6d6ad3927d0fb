"""What the best condition tells right and wrong: its confusion matrix, and the test images it gets wrong most often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.test_sampling import AGREES
from mlpbench.evidence.frames import places
from mlpbench.report.sections.section import Floats, Given, Section, best

# Predictions of more replicates than this are not read.
MOST_REPLICATES = 50
RIGHT, WRONG, OF_A_PAIR = 2, 16, 2

Classes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The predictions of one condition, shape (replicates, examples), and the class of each example."""

    position: int
    predicted: Classes
    labels: Classes

    @property
    def n(self) -> int:
        """How many replicates there are."""
        return len(self.predicted)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Test examples to be seen: their places in the test set, and what most replicates take each for, and how many do.

    `votes` counts the replicates that say `told`; `true` is the class.
    """

    at: npt.NDArray[np.int64]
    true: Classes
    told: Classes
    votes: npt.NDArray[np.int64]


def of_best(given: Given) -> Predicted | None:
    """Return the predictions of the condition with the best mean test accuracy; None where they are not to be had.

    That is: where the target is numbers, where the folder has no labels of the test set, or no predictions of a run, or
    such as do not give the run's accuracy. Of more than 50 replicates the first 50 are read.
    """
    labels = None if given.test_set is None or given.good != "accuracy" else given.test_set.labels()
    top = best(given)
    if labels is None or top is None:
        return None
    rows = given.observed[(given.observed["position"] == top) & given.observed["test_accuracy"].notna()]
    rows = rows.sort_values("replicate").head(MOST_REPLICATES)
    assert given.test_set is not None
    stored = given.test_set.predictions(list(rows["run_id"])).drop_duplicates("run_id")
    at = places(rows["run_id"], stored["run_id"])
    if (at < 0).any():
        return None
    raw: list[Any] = stored["predicted"].to_numpy(dtype=object)[at].tolist()
    if any(len(p) != len(labels) for p in raw):
        return None
    predicted = np.stack([np.frombuffer(p, dtype=np.uint8) for p in raw])
    right = (predicted == labels).mean(axis=1)
    if np.abs(right - rows["test_accuracy"].to_numpy(dtype=float)).max() > AGREES:
        return None
    return Predicted(position=top, predicted=predicted, labels=labels)


def confusion(found: Predicted, n_classes: int) -> Floats:
    """Return the share of each class that is told as each, one matrix a replicate: shape (replicates, true, told).

    Rows sum to 1; those of a class that the test set lacks are NaN.
    """
    pairs = found.labels.astype(np.int64) * n_classes + found.predicted
    counts = np.stack([np.bincount(p, minlength=n_classes**2) for p in pairs]).reshape(-1, n_classes, n_classes)
    with np.errstate(invalid="ignore"):
        shares: Floats = counts / counts.sum(axis=2, keepdims=True)
    return shares


def choose(found: Predicted, n_classes: int) -> Choice:
    """Return the examples that a panel shows: 2 told right, and up to 16 of those told wrong most often.

    Right are those that most replicates tell right, of different classes. Wrong are ranked by how many replicates tell
    them wrong, then by how many of those say the same class, at most two of a pair of classes; ties go to the first.
    """
    votes = np.stack([(found.predicted == c).sum(axis=0) for c in range(n_classes)])
    right = votes[found.labels, np.arange(len(found.labels))]
    of_others = votes.copy()
    of_others[found.labels, np.arange(len(found.labels))] = -1
    mistaken = of_others.argmax(axis=0)
    same = of_others.max(axis=0)
    by_right = np.argsort(-right, kind="stable")
    by_wrong = np.lexsort((np.arange(len(right)), -same, right))
    shown = _first(by_right[right[by_right] > 0], found.labels, RIGHT, 1)
    pair = found.labels.astype(np.int64) * n_classes + mistaken
    wrong = _first(by_wrong[right[by_wrong] < found.n], pair, WRONG, OF_A_PAIR)
    wrong = [i for i in wrong if i not in shown]
    at = np.array([*shown, *wrong], dtype=np.int64)
    told = np.array([*found.labels[shown], *mistaken[wrong]], dtype=np.uint8)
    return Choice(at=at, true=found.labels[at], told=told, votes=votes[told, at])


def _first(ranked: npt.NDArray[np.int64], key: npt.NDArray[Any], most: int, of_a_key: int) -> list[int]:
    """Return the first of a ranking, so many of a key at most."""
    counts: dict[int, int] = {}
    chosen: list[int] = []
    for i in ranked.tolist():
        k = int(key[i])
        counts[k] = counts.get(k, 0) + 1
        if counts[k] <= of_a_key:
            chosen.append(i)
            if len(chosen) == most:
                break
    return chosen


def sections(given: Given) -> list[Section]:
    """Return the confusion matrix of the best condition, and a panel of test images where the data are images.

    Nothing where predictions are not to be had (see `of_best`), nor where conditions are the random streams that vary one
    at a time, of which none is better; no panel where the images are not to be had.
    """
    found = None if given.experiment.one_at_a_time else of_best(given)
    if found is None or found.n == 0:
        return []
    from mlpbench.report.figures.confusion import confusion as picture

    data = given.experiment.data
    names = list(data.class_names)
    shares = confusion(found, len(names))
    told = confused(shares, names, "" if len(given.conditions) == 1 else given.conditions[found.position].label)
    first = (
        f"The first {found.n} replicates count."
        if (given.observed["position"] == found.position).sum() > found.n
        else ""
    )
    text = f"{told} Rows are the true classes and sum to 100%, columns what they are told as. {first}".rstrip()
    mean = pd.DataFrame(shares.mean(axis=0), index=names, columns=names)
    pair = _most_confused(mean.to_numpy())
    return [
        Section(
            title="What is taken for what",
            text=text,
            name="confusion",
            draw=partial(picture, mean, pair),
            alt=f"Share of each true class that is told as each class. {told}",
        ),
        *_panel(given, found, names),
    ]


def _most_confused(mean: Floats) -> tuple[int, int]:
    off = np.where(np.eye(len(mean), dtype=bool) | np.isnan(mean), -1.0, mean)
    true, told = np.unravel_index(int(off.argmax()), off.shape)
    return int(true), int(told)


def confused(shares: Floats, names: Sequence[str], label: str = "") -> str:
    """Say which class is most often taken for which other, how often, and how often the other way round.

    `label` is the condition, where there are others.
    """
    true, told = _most_confused(shares.mean(axis=0))
    there, back = (shares[:, a, b] for a, b in ((true, told), (told, true)))
    who = f"The best condition, {label}," if label else "The network"
    if not there.mean() > 0:
        return f"{who} tells every test example right."
    spread = f" ± {100 * there.std(ddof=1):.1f} pp (sd over {len(there)} replicates)" if len(there) > 1 else ""
    other = f"; the other way round it is {back.mean():.1%}" if not np.isnan(back).any() else ""
    return f"{who} most often takes {names[true]} for {names[told]}: {there.mean():.1%}{spread} of its test examples{other}."


def _panel(given: Given, found: Predicted, names: Sequence[str]) -> list[Section]:
    shape = _picture_shape(given.experiment.data.input_shape)
    if shape is None or given.test_set is None:
        return []
    chosen = choose(found, len(names))
    images = given.test_set.images(chosen.at)
    if images is None:
        return []
    from mlpbench.report.figures.test_images import panel

    told = wrong_sentence(found)
    rule = (
        "Shown are two that most replicates tell right, of different classes, then those that most tell wrong, at most two "
        "of a pair of classes: above each its class, below what most replicates take it for wrongly, and how many of them."
    )
    rows = pd.DataFrame(
        {
            "true": [names[i] for i in chosen.true],
            "told": [names[i] for i in chosen.told],
            "right": chosen.true == chosen.told,
            "votes": chosen.votes,
        }
    )
    seen = "; ".join(f"{t}, told {p}" for t, p in zip(rows["true"], rows["told"], strict=True))
    return [
        Section(
            title="Test images",
            text=f"{told} {rule}",
            name="test_images",
            draw=partial(panel, shape(images), rows, found.n),
            alt=f"Test images with their class and what they are told as: {seen}.",
        )
    ]


def _picture_shape(shape: tuple[int, ...]) -> Callable[[Classes], Classes] | None:
    """Return what gives flat examples the shape of pictures, (n, rows, columns) or (n, rows, columns, 3); None for no pictures."""
    if len(shape) == 2 and min(shape) > 1:
        return lambda flat: flat.reshape(-1, *shape)
    if len(shape) == 3 and shape[2] == 3:
        return lambda flat: flat.reshape(-1, *shape)
    if len(shape) == 3 and shape[0] == 3:
        return lambda flat: flat.reshape(-1, *shape).transpose(0, 2, 3, 1)
    return None


def wrong_sentence(found: Predicted) -> str:
    """Say how many test examples no replicate tells right, and how many at least one tells wrong."""
    wrong = (found.predicted != found.labels).sum(axis=0)
    every, some, n = int((wrong == found.n).sum()), int((wrong > 0).sum()), len(found.labels)
    if found.n == 1:
        return f"Of {n} test examples {every} are told wrong."
    return f"Of {n} test examples {every} are told wrong in all {found.n} replicates, and {some} in at least one."
