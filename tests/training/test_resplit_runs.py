"""Runs on a table whose test rows each replicate draws: a run sees its own draw, of classes too, whatever else is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_output import by_run
from synthetic_runs import drawn_runs
from torch_reference import train

from mlpbench.training.batches.minibatches import noisy_labels
from mlpbench.training.engine import train_stack

# What a stack may be asked of: each with what it does to the examples a run sees.
ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "few": {"fixed": {"train_size": 40}},
    "validation": {"validation": 0.25},
    "label noise": {"fixed": {"label_noise": 0.4}},
    "class weights": {"fixed": {"class_weights": "balanced", "label_noise": 0.2}},
    "hidden layer": {"fixed": {"width": 7, "depth": 1, "init": "he_normal", "dropout": 0.2, "input_noise": 0.1}},
}


def dataset(folder: Path, target: str) -> dict[str, Any]:
    """Return a table of numbers and words with gaps, of which some words come seldom."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(90, 3))
    table = pd.DataFrame(np.where(rng.random(x.shape) < 0.1, np.nan, x), columns=list("uvw"))
    table["word"] = np.where(np.arange(90) % 20 == 3, [f"w{i}" for i in range(90)], "usual")
    table["kind"] = np.where(x[:, 0] + rng.normal(size=90) > 0.4, "yes", np.where(x[:, 1] > 0, "no", "perhaps"))
    table["number"] = 100 + 20 * (x[:, 0] + rng.normal(size=90))
    path = folder / "own.csv"
    table.to_csv(path, index=False)
    return {"file": str(path), "target": target, "drop": ["number" if target == "kind" else "kind"], "resplit": True}


@pytest.mark.parametrize("asked", ASKED)
def test_each_run_of_a_stack_is_what_torch_makes_of_its_own_draw(asked: str, tmp_path: Path) -> None:
    keys = {k: v for k, v in ASKED[asked].items() if k != "fixed"}
    fixed = {"precision": "float64"} | ASKED[asked].get("fixed", {})
    draws, data, runs = drawn_runs(dataset(tmp_path, "kind"), fixed, replicates=3, **keys)
    rows = train_stack(runs, data)
    for run, row, packed in zip(runs, rows.runs, rows.predictions, strict=True):
        own = draws.draw(run.seed, run.streams["split"])
        expected = train(run, own)
        for part, measured in expected.metrics.items():
            assert row[f"{part}_loss"] == pytest.approx(measured.loss, rel=1e-9)
        predicted = np.frombuffer(packed["predicted"], np.uint8)
        assert np.array_equal(predicted, expected.test_logits.argmax(1))
        assert row["test_accuracy"] == pytest.approx((predicted == own.y_test).mean())
    assert len({row["test_loss"] for row in rows.runs}) == 3


@pytest.mark.parametrize("target", ["kind", "number"])
def test_alone_equals_in_company_bit_for_bit(target: str, tmp_path: Path) -> None:
    """The difference is 0, whatever other draws stand in the stack, and wherever they stand: label noise and weights too."""
    noise = {"label_noise": 0.3, "class_weights": "balanced"} if target == "kind" else {"input_noise": 0.3}
    fixed = {"width": 9, "depth": 1, "init": "he_normal"} | noise
    _, data, runs = drawn_runs(
        dataset(tmp_path, target), fixed, [{"lr": 0.03}, {"lr": 0.01, "weight_decay": 0.1}], replicates=4
    )
    whole = by_run(train_stack(runs, data))
    for members in ([runs[0]], [runs[6]], [runs[3], runs[0], runs[5]], runs[4:8], runs[1::2]):
        part = by_run(train_stack(members, data))
        for run in members:
            assert repr(part[run.run_id]) == repr(whole[run.run_id])


def test_noisy_labels_are_those_of_the_runs_own_rows(tmp_path: Path) -> None:
    """With every label replaced, two replicates that share their noise have the same labels at the same places of their draws."""
    _, data, runs = drawn_runs(dataset(tmp_path, "kind"), {"label_noise": 1.0}, replicates=2, vary=["split"])
    seen = data.of(runs)
    labels = noisy_labels(runs, seen)
    first, second = (labels.y_KN[k, seen.rows_of(run)] for k, run in zip(labels.of_run.tolist(), runs, strict=True))
    assert first.tolist() == second.tolist()
    clean = [seen.y_train[seen.rows_of(run)].tolist() for run in runs]
    assert clean[0] != clean[1]
    assert first.tolist() not in clean
