"""Predictions of a condition's replicates on the test set: their confusion matrix, and the examples misclassified most often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.data.dataset import DataFacts
from mlpbench.evidence.estimates.example_sampling import AGREES, NoInterval, read_classes
from mlpbench.results.examples import Classes, TestSet

# Predictions of more replicates than this are not read.
MOST_REPLICATES = 50
# Of the examples that are chosen: classified correctly, misclassified, and misclassified of one pair of classes.
CORRECT, WRONG, WRONG_OF_A_PAIR = 2, 16, 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The predictions of one condition, shape (replicates, examples), and the class of each example."""

    position: int
    predicted: Classes
    labels: Classes

    @property
    def n(self) -> int:
        """The number of replicates."""
        return len(self.predicted)


@dataclass(frozen=True, kw_only=True)
class ChosenExamples:
    """Some test examples: their places in the test set, their classes, and a class that replicates predict for each.

    `votes` counts the replicates that predict `predicted`; `true` is the class.
    """

    at: npt.NDArray[np.int64]
    true: Classes
    predicted: Classes
    votes: npt.NDArray[np.int64]


def read_predictions(test_set: TestSet, data: DataFacts, observed: pd.DataFrame, position: int) -> Predictions | None:
    """Return the predictions of the replicates of a condition that have a test accuracy; None where they are not known.

    That is: where the folder has no labels of the test set, or no predictions of a run, or such as do not give the run's
    accuracy. Of more than 50 replicates the first 50 are read.
    """
    rows = observed[(observed["position"] == position) & observed["test_accuracy"].notna()]
    rows = rows.sort_values("replicate").head(MOST_REPLICATES)
    stored = None if rows.empty else read_classes(test_set, data, rows["run_id"].to_numpy(dtype=object))
    if stored is None or isinstance(stored, NoInterval):
        return None
    predicted, labels = stored
    right = (predicted == labels).mean(axis=1)
    if np.abs(right - rows["test_accuracy"].to_numpy(dtype=float)).max() > AGREES:
        return None
    return Predictions(position=position, predicted=predicted, labels=labels)


def confusion(predictions: Predictions, n_classes: int) -> Floats:
    """Return the share of each true class that is predicted as each class: shape (replicates, true, predicted).

    Rows sum to 1; those of a class that the test set lacks are NaN.
    """
    pairs = predictions.labels.astype(np.int64) * n_classes + predictions.predicted
    counts = np.stack([np.bincount(p, minlength=n_classes**2) for p in pairs]).reshape(-1, n_classes, n_classes)
    with np.errstate(invalid="ignore"):
        shares: Floats = counts / counts.sum(axis=2, keepdims=True)
    return shares


def choose_examples(predictions: Predictions, n_classes: int) -> ChosenExamples:
    """Return 2 examples classified correctly, and up to 16 of those misclassified most often, with the most frequent wrong class.

    The correct ones are those that most replicates classify correctly, of different classes. The others are ranked by the number of
    replicates that misclassify them, then by how many of those agree on the class, at most two of a pair of classes; ties go to the first.
    """
    votes = np.stack([(predictions.predicted == c).sum(axis=0) for c in range(n_classes)])
    right = votes[predictions.labels, np.arange(len(predictions.labels))]
    of_others = votes.copy()
    of_others[predictions.labels, np.arange(len(predictions.labels))] = -1
    mistaken = of_others.argmax(axis=0)
    same = of_others.max(axis=0)
    by_right = np.argsort(-right, kind="stable")
    by_wrong = np.lexsort((np.arange(len(right)), -same, right))
    shown = _first(by_right[right[by_right] > 0], predictions.labels, CORRECT, 1)
    pair = predictions.labels.astype(np.int64) * n_classes + mistaken
    wrong = _first(by_wrong[right[by_wrong] < predictions.n], pair, WRONG, WRONG_OF_A_PAIR)
    wrong = [i for i in wrong if i not in shown]
    at = np.array([*shown, *wrong], dtype=np.int64)
    predicted = np.array([*predictions.labels[shown], *mistaken[wrong]], dtype=np.uint8)
    return ChosenExamples(at=at, true=predictions.labels[at], predicted=predicted, votes=votes[predicted, at])


def _first(ranked: npt.NDArray[np.int64], key: npt.NDArray[Any], most: int, of_a_key: int) -> list[int]:
    """Return the first `most` of a ranking, at most `of_a_key` with the same key."""
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
