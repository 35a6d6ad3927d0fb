"""Scores: the metrics that follow from each are the means that scikit-learn computes, of weights that were trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from numpy.typing import NDArray
from small_data import Made, made, made_numbers, runs
from torch_reference import LOSSES

from mlpbench.experiment.components.losses import Target
from mlpbench.experiment.metrics.metric import TrainedRun, metric, values
from mlpbench.experiment.metrics.scores import SCORES
from mlpbench.training.engine import _Stack

Numbers = NDArray[np.float64]
# Of each score its mean over examples, from outputs (N, C) and targets, classes (N,) or numbers (N, 1), in double precision.
MEANS: dict[str, Callable[[Numbers, NDArray[Any]], float]] = {
    "loss": lambda z, y: float(
        LOSSES["cross_entropy" if y.ndim == 1 else "squared_error"](torch.from_numpy(z), torch.from_numpy(y))
    ),
    "accuracy": lambda z, y: reference.accuracy_score(y, z.argmax(1)),
}
DATA: dict[Target, Made] = {
    "classes": made(n_train=1_700, n_test=1_234, features=19, classes=7),
    "numbers": made_numbers(n_train=1_700, n_test=1_234, features=19),
}
CASES = [(name, target) for name, score in SCORES.items() for target in score.targets]
FIXED = {"depth": 0, "init": {"normal": 0.4}, "batch_size": 100, "steps": 5, "precision": "float64"}


def trained(target: Target, **fixed: Any) -> tuple[list[dict[str, Any]], list[tuple[Numbers, NDArray[Any]]]]:
    """Return the rows of a stack of linear models, and outputs and targets of each for the test examples."""
    of = DATA[target]
    members = runs(of, FIXED | {"lr": 0.01} | fixed, replicates=3, validation=0.2)
    with torch.no_grad():
        stack = _Stack(members, of.data)
        rows = stack.train(lambda share: None).runs
        models = {run.run_id: stack._model(i) for i, run in enumerate(stack.runs)}
    x = of.dataset.x_test.astype(np.float64) / (255 if target == "classes" else 1)
    y = of.dataset.y_test.astype(np.int64) if target == "classes" else of.dataset.y_test.astype(np.float64)[:, None]
    found: list[tuple[Numbers, NDArray[Any]]] = []
    for run in members:
        weight, bias = (models[run.run_id].learnt[i].double().numpy() for i in (0, 1))
        found.append((x @ weight + bias, y))
    return rows, found


def test_every_score_has_a_reference() -> None:
    assert set(MEANS) == set(SCORES)


@pytest.mark.parametrize(("name", "target"), CASES)
def test_a_metric_is_the_mean_over_test_examples(name: str, target: Target) -> None:
    rows, outputs = trained(target)
    for row, (z, y) in zip(rows, outputs, strict=True):
        assert row[f"test_{name}"] == pytest.approx(MEANS[name](z, y), rel=1e-9)
    assert len({row[f"test_{name}"] for row in rows}) > 1, "the case would prove little if all were the same"


@pytest.mark.parametrize(("name", "target"), CASES)
def test_parts_and_gaps_follow_from_a_score(name: str, target: Target) -> None:
    row = trained(target)[0][0]
    test, train = row[f"test_{name}"], row[f"train_{name}"]
    assert row[f"gap_{name}"] == (train - test if SCORES[name].better == "higher" else test - train)
    assert row[f"val_{name}"] not in (None, test, train)
    for part in ("train", "val", "test"):
        assert (metric(f"{part}_{name}").better, metric(f"{part}_{name}").unit) == (
            SCORES[name].better,
            SCORES[name].unit,
        )
    assert metric(f"gap_{name}").better == "lower"


@pytest.mark.parametrize("target", get_args(Target))
def test_a_score_without_a_meaning_for_the_target_is_missing(target: Target) -> None:
    row = trained(target)[0][0]
    measured = {name for name in SCORES if f"test_{name}" in row}
    assert measured == {name for name, score in SCORES.items() if target in score.targets}


@pytest.mark.parametrize(("name", "target"), CASES)
def test_a_score_leaves_the_outputs_as_they_are(name: str, target: Target) -> None:
    of_examples, rng = SCORES[name].of_examples, torch.Generator().manual_seed(0)
    z = torch.randn(3, 11, 5, generator=rng)
    y = torch.randint(5, (3, 11, 1), generator=rng) if target == "classes" else torch.randn(3, 11, 5, generator=rng)
    before = z.clone()
    if of_examples is not None:
        assert of_examples(torch, z, y).shape == (3, 11)
    assert torch.equal(z, before)


def test_a_mean_that_is_not_finite_is_none() -> None:
    means = {"train": dict.fromkeys(SCORES, 1.0), "test": dict.fromkeys(SCORES, float("inf"))}
    run = TrainedRun(
        diverged=False,
        seconds=1.0,
        flops=1,
        buffer_bytes={"train": 1, "eval": 1},
        means=means,
        active=[],
        weights=[torch.ones(2, 1)],
        biases=[torch.ones(1)],
        distances={},
    )
    row = values(torch, run)
    assert row["train_accuracy"] == 1.0
    assert not {"test_accuracy", "gap_accuracy"} & set(row)
    costs = set(values(torch, replace(run, diverged=True)))
    assert costs == {"diverged", "train_seconds", "flops", "train_bytes", "eval_bytes"}
