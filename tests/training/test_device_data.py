"""Synthetic data: what is drawn is what the family says, and a run sees its own draw, whatever else is drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from synthetic_runs import drawn_runs
from torch_reference import train

from mlpbench.data.synthetic import LinearData, PolynomialData
from mlpbench.training.engine import train_stack

LINEAR = {"name": "linear", "weights": [1.0, -2.0, 0.5], "train": 57, "test": 33, "noise": 0.3}
POLYNOMIAL = {"name": "polynomial", "degree": 6, "train": 57, "test": 33}
# What a stack may be asked of: each with what it does to the examples a run sees.
ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "few": {"fixed": {"train_size": 20}},
    "validation": {"validation": 0.25},
    "features": {"fixed": {"features": 2, "input_scale": 1.5}},
    "hidden layer": {"fixed": {"width": 7, "depth": 1, "init": "he_normal", "dropout": 0.2, "input_noise": 0.1}},
    "only init": {"vary": ["init"]},
    "order and split": {"vary": ["order", "split"]},
}


def residuals(x: NDArray[Any], y: NDArray[Any], weights: Any, bias: float) -> NDArray[np.float64]:
    return np.asarray(y.astype(float) - x.astype(float) @ np.array(weights) - bias)


def test_linear_examples_are_a_line_with_noise() -> None:
    data = LinearData(train=40_000, test=10_000, noise=0.5)
    made = data.draw(0, 0)
    for x, y in ((made.x_train, made.y_train), (made.x_test, made.y_test)):
        left = residuals(x, y, data.weights, 1.7)
        within = 4 / math.sqrt(len(y))
        assert abs(left.mean()) < 0.5 * within
        assert left.std() == pytest.approx(0.5, rel=within)
        assert np.abs(x.mean(0)).max() < within
        assert np.abs(np.cov(np.column_stack([x.astype(float), left]).T) - np.diag([1, 1, 1, 0.25])).max() < 2 * within
    assert np.abs(np.corrcoef(made.x_train[:10_000, 0], made.x_test[:, 0])[0, 1]) < 0.04


def test_polynomial_inputs_are_powers_over_factorials_and_the_target_is_the_books() -> None:
    made = PolynomialData(train=500, test=500).draw(0, 0)
    for given, y in ((made.x_train, made.y_train), (made.x_test, made.y_test)):
        x = given[:, 0].astype(float)
        expected = np.stack([x**k / math.factorial(k) for k in range(1, 21)], 1)
        np.testing.assert_allclose(given, expected, rtol=1e-5, atol=2e-38)
        assert not ((given != 0) & (np.abs(given) < np.finfo(np.float32).tiny)).any()
        target = 5 + 1.2 * x - 3.4 * x**2 / 2 + 5.6 * x**3 / 6
        assert (y - target).std() == pytest.approx(0.1, rel=0.15)
        assert abs((y - target).mean()) < 0.02


def test_draws_are_those_of_the_first_release() -> None:
    """Every stored result rests on them; without BLAS they are the same on every machine."""
    linear = LinearData(train=3, test=2).draw(3, 1)
    polynomial = PolynomialData(train=3, test=2).draw(3, 1)
    assert linear.y_train.tolist() == [-7.7517290115356445, 17.396894454956055, -13.025891304016113]
    assert linear.y_test.tolist() == [16.046672821044922, -18.51721954345703]
    assert polynomial.y_train.tolist() == [5.1593337059021, 5.2004289627075195, 1.8499715328216553]
    assert polynomial.y_test.tolist() == [4.868869304656982, 2.3770673274993896]


@pytest.mark.parametrize("data", [LinearData(train=50, test=20), PolynomialData(train=50, test=20)])
def test_a_draw_is_a_function_of_seed_and_replicate(data: LinearData | PolynomialData) -> None:
    first = data.draw(0, 0)
    again = data.draw(0, 0)
    assert first.x_train.tobytes() == again.x_train.tobytes()
    assert first.y_test.tobytes() == again.y_test.tobytes()
    others = [data.draw(0, 1), data.draw(1, 0)]
    firsts = {x[0, 0] for d in (first, *others) for x in (d.x_train, d.x_test)}
    assert len(firsts) == 6
    longer = type(data)(train=80, test=20).draw(0, 0)
    assert np.array_equal(longer.x_train[:50], first.x_train)
    assert np.array_equal(longer.y_train[:50], first.y_train)
    assert np.array_equal(longer.y_test, first.y_test)


@pytest.mark.parametrize("dataset", [LINEAR, POLYNOMIAL], ids=["linear", "polynomial"])
@pytest.mark.parametrize("asked", ASKED)
def test_each_run_of_a_stack_is_what_torch_makes_of_its_own_draw(dataset: dict[str, Any], asked: str) -> None:
    keys = {k: v for k, v in ASKED[asked].items() if k != "fixed"}
    fixed = {"precision": "float64"} | ASKED[asked].get("fixed", {})
    draws, data, runs = drawn_runs(dataset, fixed, replicates=3, **keys)
    rows = train_stack(runs, data)
    for run, row, packed in zip(runs, rows.runs, rows.predictions, strict=True):
        expected = train(run, draws.draw(run.seed, run.streams["split"]))
        for part, measured in expected.metrics.items():
            assert row[f"{part}_loss"] == pytest.approx(measured.loss, rel=1e-9)
        got = np.frombuffer(packed["predicted"], "<f4")
        np.testing.assert_allclose(got, expected.test_logits[:, 0], rtol=1e-5, atol=1e-6)
    assert len({row["test_loss"] for row in rows.runs}) == 3


def test_folds_divide_a_runs_own_draw() -> None:
    draws, data, runs = drawn_runs(LINEAR, {"precision": "float64"}, replicates=2, validation={"folds": 3})
    for fold in range(3):
        mine = [r for r in runs if r.fold == fold]
        for run, row in zip(mine, train_stack(mine, data).runs, strict=True):
            expected = train(run, draws.draw(run.seed, run.streams["split"]))
            assert row["val_loss"] == pytest.approx(expected.metrics["val"].loss, rel=1e-9)
            assert "test_loss" not in row


def test_a_smaller_train_size_is_a_part_of_a_larger_one_of_the_same_replicate() -> None:
    _, data, runs = drawn_runs(LINEAR, {"batch_size": 5}, [{"train_size": 20}, {"train_size": 40}], replicates=3)
    small, large = runs[:3], runs[3:]
    seen = data.of(runs)
    for i in range(3):
        few, many = (set(seen.split(r).fit.tolist()) for r in (small[i], large[i]))
        assert few < many
        assert seen.draw_of(small[i]) == seen.draw_of(large[i])
    rows = [set(seen.split(r).fit.tolist()) for r in large]
    assert not rows[0] & rows[1]
    assert len(seen.x_train) == 3 * 57


@pytest.mark.parametrize("dataset", [LINEAR, POLYNOMIAL], ids=["linear", "polynomial"])
@pytest.mark.parametrize("depth", [0, 2])
def test_alone_equals_in_company_bit_for_bit(dataset: dict[str, Any], depth: int) -> None:
    """The difference is 0, whatever other draws stand in the stack, and wherever they stand."""
    fixed = {"width": 9, "depth": depth, "init": "he_normal", "features": 2}
    conditions = [{"lr": 0.03}, {"lr": 0.01, "weight_decay": 0.1, "input_noise": 0.2}, {"lr": 1e30}]
    _, data, runs = drawn_runs(dataset, fixed, conditions, replicates=4)
    whole = of_runs(train_stack(runs, data))
    for members in ([runs[0]], [runs[6]], [runs[3], runs[0], runs[5]], runs[4:8], runs[1::2]):
        part = of_runs(train_stack(members, data))
        for run in members:
            assert part[run.run_id] == whole[run.run_id]


def of_runs(rows: Any) -> dict[str, list[str]]:
    """Everything that came out of a stack, run by run, exactly."""
    found: dict[str, list[str]] = {}
    for table in (rows.runs, rows.curves, rows.layers, rows.predictions):
        for row in table:
            kept = {k: v for k, v in row.items() if k not in ("train_seconds", "stack_size")}
            found.setdefault(row["run_id"], []).append(repr(kept))
    return found


def test_test_examples_are_the_replicates_own() -> None:
    """With weights at zero the test loss is that of the targets alone."""
    draws, data, runs = drawn_runs(LINEAR, {"init": "zeros", "epochs": 0}, replicates=3)
    for run, row in zip(runs, train_stack(runs, data).runs, strict=True):
        made = draws.draw(run.seed, run.replicate)
        assert row["test_loss"] == pytest.approx(float((made.y_test.astype(float) ** 2).mean() / 2), rel=1e-5)
        assert row["train_loss"] == pytest.approx(float((made.y_train.astype(float) ** 2).mean() / 2), rel=1e-5)


def test_targets_do_not_depend_on_how_many_draws_are_made_at_once() -> None:
    _, data, runs = drawn_runs(LINEAR, replicates=5)
    together, alone = data.of(runs), data.of(runs[3:4])
    start = together.draw_of(runs[3]) * 57
    assert torch.equal(together.x_train[start : start + 57], alone.x_train)
    assert torch.equal(together.y_train[start : start + 57], alone.y_train)
