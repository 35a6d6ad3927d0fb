"""`param_error` and `closed_form_gap`: against the truth, and against textbook formulas in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_data import made, made_numbers, runs
from synthetic_runs import drawn_runs

from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import _Stack, train_stack
from mlpbench.training.measures import solutions

LINEAR = {"name": "linear", "weights": [1.0, -2.0, 0.5], "bias": 0.3, "train": 57, "test": 33, "noise": 0.3}
SLOW = {"precision": "float64", "lr": 0.01, "epochs": 1}


def ridge(x: NDArray[Any], y: NDArray[Any], decay: float) -> tuple[NDArray[Any], float]:
    """Return w = (X'X + n decay I)^-1 X'y of centred data, and b."""
    n, d = x.shape
    xc, yc = x - x.mean(0), y - y.mean()
    w = np.linalg.inv(xc.T @ xc + n * decay * np.eye(d)) @ xc.T @ yc
    return w, float(y.mean() - x.mean(0) @ w)


def trained(given: list[Run], data: Any) -> tuple[list[dict[str, Any]], list[Any], DeviceData, list[Any]]:
    """Return the rows of a stack, its models, and the data and the training examples they were made of."""
    with torch.no_grad():
        stack = _Stack(given, data)
        rows = stack.train(lambda share: None)
        place = {r.run_id: i for i, r in enumerate(stack.runs[: len(given)])}
        models = [stack._model(place[r.run_id]) for r in given]
        return rows.runs, models, stack.data, [stack.fit[place[r.run_id]] for r in given]


@pytest.mark.parametrize("loss", ["squared_error", "mse"])
@pytest.mark.parametrize("decay", [0, 0.7])
@pytest.mark.parametrize("keys", [{}, {"validation": 0.3}], ids=["all", "validation"])
def test_the_gap_is_from_the_formula_on_the_runs_own_examples(loss: str, decay: float, keys: dict[str, Any]) -> None:
    fixed = SLOW | {"loss": loss, "weight_decay": decay, "input_scale": 1.5, "train_size": 40}
    _, data, given = drawn_runs(LINEAR, fixed, replicates=3, **keys)
    rows, models, seen, fits = trained(given, data)
    for row, model, fit in zip(rows, models, fits, strict=True):
        x, y = 1.5 * seen.x_train.numpy()[fit].astype(float), seen.y_train.numpy()[fit, 0].astype(float)
        w, b = ridge(x, y, decay / (2 if loss == "mse" else 1))
        learnt = model.weights[0][:, 0].numpy()
        expected = max(np.abs(learnt - w).max(), abs(float(model.biases[0]) - b))
        assert row["closed_form_gap"] == pytest.approx(expected, rel=1e-9)
        error = max(np.abs(1.5 * learnt - [1.0, -2.0, 0.5]).max(), abs(float(model.biases[0]) - 0.3))
        assert row["param_error"] == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("loss", ["squared_error", "mse"])
@pytest.mark.parametrize("decay", [0, 0.5])
def test_full_batch_descent_ends_at_the_closed_form(loss: str, decay: float) -> None:
    fixed = {
        "precision": "float64",
        "loss": loss,
        "weight_decay": decay,
        "lr": 0.3,
        "batch_size": "full",
        "epochs": 400,
    }
    _, data, given = drawn_runs(LINEAR, fixed, replicates=2)
    for row in train_stack(given, data).runs:
        assert row["closed_form_gap"] < 1e-12
        assert (row["param_error"] < 0.2) == (decay == 0)


def test_the_truth_itself_has_no_error() -> None:
    """At noise 0 least squares is the truth, but for the rounding of the data to float32."""
    exact = LINEAR | {"noise": 0.0}
    _, data, given = drawn_runs(exact, {"precision": "float64", "batch_size": "full", "epochs": 500, "lr": 0.5})
    for row in train_stack(given, data).runs:
        assert row["param_error"] < 1e-6


def test_powers_beyond_the_features_leave_no_truth_to_compare_with() -> None:
    dataset = {"name": "polynomial", "degree": 6}
    _, data, given = drawn_runs(dataset, {"epochs": 1}, [{"features": d} for d in (2, 3, 5)], replicates=1)
    rows = [train_stack([r], data).runs[0] for r in given]
    assert ["param_error" in row for row in rows] == [False, True, True]
    assert all("closed_form_gap" in row for row in rows)


def test_a_polynomial_is_solved_where_its_normal_equations_are_not() -> None:
    """Powers of one input are so alike that X'X loses what X still has: QR finds the coefficients behind exact data."""
    dataset = {"name": "polynomial", "degree": 9, "noise": 0.0, "train": 400}
    _, data, (run,) = drawn_runs(dataset, {"precision": "float64", "epochs": 0}, replicates=1)
    seen = data.of([run])
    fit = seen.split(run).fit
    solved = solutions._Reduced(seen, fit, 1.0).solved(0.0)
    assert solved is not None
    truth = np.array([1.2, -3.4, 5.6, *[0.0] * 6])
    assert np.abs(solved[0].numpy()[:4] - truth[:4]).max() < 1e-4
    assert abs(solved[1] - 5) < 1e-4


NONE: dict[str, dict[str, Any]] = {
    "hidden layer": {"depth": 1, "width": 3},
    "l1": {"l1": 0.1},
    "biases decay": {"decay_bias": True, "weight_decay": 0.1},
    "decoupled decay": {"optimizer": "adamw", "weight_decay": 0.1, "lr": 0.01},
    "fewer examples than inputs": {"train_size": 3},
    "as many examples as inputs": {"train_size": 3, "features": 3},
}


@pytest.mark.parametrize("case", NONE)
def test_there_is_no_gap_where_the_minimum_is_another_or_not_one(case: str) -> None:
    dataset = {"name": "linear", "features": 5, "weights": 1, "train": 57}
    _, data, given = drawn_runs(dataset, SLOW | NONE[case], replicates=1)
    (row,) = train_stack(given, data).runs
    assert row["status"] == "ok"
    assert "closed_form_gap" not in row


def test_decay_makes_one_minimum_of_many() -> None:
    dataset = {"name": "linear", "features": 5, "weights": 1, "train": 57}
    _, data, given = drawn_runs(dataset, SLOW | {"train_size": 3, "weight_decay": 0.1}, replicates=1)
    assert "closed_form_gap" in train_stack(given, data).runs[0]


@pytest.mark.parametrize("constant", [0, 0.1, 1e6])
def test_inputs_that_never_vary_have_no_solution_but_with_decay(constant: float) -> None:
    of = made_numbers(n_train=40, n_test=10, features=3)
    x = of.dataset.x_train.copy()
    x[:, 1] = constant
    data = DeviceData(of.dataset, torch.device("cpu"))
    data.x_train = torch.from_numpy(x)
    for decay in (0, 0.1):
        (run,) = runs(of, {"depth": 0, "weight_decay": decay, "epochs": 0})
        assert ("closed_form_gap" in train_stack([run], data).runs[0]) == (decay > 0)


def test_own_numbers_have_a_gap_and_no_truth_and_classes_neither() -> None:
    numbers, classes = (
        made_numbers(n_train=40, n_test=10, features=3),
        made(n_train=40, n_test=10, features=3, classes=2),
    )
    (row,) = train_stack(runs(numbers, {"depth": 0, "lr": 0.01}), numbers.data).runs
    assert "closed_form_gap" in row
    assert "param_error" not in row
    (row,) = train_stack(runs(classes, {"depth": 0, "loss": "squared_error"}), classes.data).runs
    assert not {"closed_form_gap", "param_error"} & set(row)


def test_many_inputs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solutions, "MOST_INPUTS", 2)
    _, data, given = drawn_runs(LINEAR, SLOW, replicates=1)
    (row,) = train_stack(given, data).runs
    assert "param_error" in row
    assert "closed_form_gap" not in row


def test_chunks_are_one_triangle(monkeypatch: pytest.MonkeyPatch) -> None:
    _, data, given = drawn_runs(LINEAR, SLOW, replicates=1)
    whole = train_stack(given, data).runs[0]["closed_form_gap"]
    monkeypatch.setattr(solutions, "CHUNK", 10)
    assert train_stack(given, data).runs[0]["closed_form_gap"] == pytest.approx(whole, rel=1e-12)


def test_runs_that_share_their_examples_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    made_of: list[int] = []
    reduced = solutions._Reduced

    def counted(*given: Any) -> Any:
        made_of.append(1)
        return reduced(*given)

    monkeypatch.setattr(solutions, "_Reduced", counted)
    conditions = [{"weight_decay": d} for d in (0, 0.1, 0.2)]
    _, data, given = drawn_runs(LINEAR, SLOW, conditions, replicates=2)
    rows = train_stack(given, data).runs
    assert len(made_of) == 2
    assert len({row["closed_form_gap"] for row in rows}) == 6


def test_the_gap_is_of_the_runs_own_examples_whatever_selected_those_of_its_company() -> None:
    numbers = made_numbers(n_train=200, n_test=20, features=3)
    shifts: list[dict[str, Any]] = [
        {"train_shift": "none"},
        {"train_shift": {"covariate": 1}},
        {"train_shift": {"covariate": 2}},
    ]
    company = runs(numbers, {"depth": 0, "train_size": 20, "batch_size": 10, "epochs": 1}, shifts)
    together = {r["run_id"]: r["closed_form_gap"] for r in train_stack(company, numbers.data).runs}
    alone = [train_stack([r], numbers.data).runs[0] for r in company]
    assert together == {r["run_id"]: r["closed_form_gap"] for r in alone}
    assert len(set(together.values())) == len(shifts)
