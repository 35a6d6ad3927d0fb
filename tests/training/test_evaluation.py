"""What is measured: against the whole set at once, in plain torch and numpy, from the weights that were trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_data import made, runs
from torch import Tensor
from torch_reference import LOSSES as REFERENCE_LOSSES
from torch_reference import MODULES, train

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import CURVE_EXAMPLES, EVALUATION_CHUNK, curve_steps
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.batches.minibatches import Examples
from mlpbench.training.batches.stacked_inputs import Group
from mlpbench.training.engine import _Stack, train_stack
from mlpbench.training.measures.evaluation import Evaluator
from mlpbench.training.network.mlp_stack import Network
from mlpbench.training.worker_setup import StackRows

CPU = torch.device("cpu")
MADE = made(n_train=12_300, n_test=1_234, features=19, classes=5)
BASE = {"hidden_sizes": [13, 6], "init": {"normal": 0.4}, "batch_size": 100, "train_size": 500, "steps": 12}
METRICS = ("loss", "accuracy")
MEASURED = {
    *(f"{part}_{metric}" for part in ("train", "val", "test", "gap") for metric in METRICS),
    *("weight_norm", "sparsity", "dead_units", "distinct_units"),
}


def trained(members: Sequence[Run], data: DeviceData = MADE.data) -> tuple[StackRows, dict[str, list[Tensor]]]:
    """Rows, and weights (I, O) and biases (O,) of each run."""
    with torch.no_grad():
        stack = _Stack(members, data)
        rows = stack.train(lambda share: None)
        return rows, {r.run_id: stack._model(i).learnt for i, r in enumerate(stack.runs[: len(members)])}


def outputs(run: Run, parameters: Sequence[Tensor], pixels: NDArray[np.generic]) -> tuple[Tensor, list[Tensor]]:
    """The outputs and the hidden layers, all examples at once, in float64."""
    h = torch.from_numpy(np.array(pixels)).double() / 255
    hidden = []
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = MODULES[run.settings.activation]()(h @ weight.double() + bias.double())
        hidden.append(h)
    return h @ parameters[-2].double() + parameters[-1].double(), hidden


def labels(of: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(of.astype(np.int64))


def test_an_example_counts_once_whatever_the_chunks() -> None:
    """Sums over chunks against one F.cross_entropy, for lists that end before, at and after the end of a chunk."""
    members = runs(MADE, BASE | {"precision": "float64"}, [{"activation": "relu"}, {"activation": "tanh"}])
    _, weights = trained(members)
    order = [r.run_id for r in sorted(members, key=lambda r: r.settings.activation)]
    ordered = [next(r for r in members if r.run_id == i) for i in order]
    network = Network([r.settings for r in ordered], [19, 13, 6, 5], dtype=torch.float64, device=CPU)
    for i, run in enumerate(ordered):
        for layer, (w, b) in enumerate(zip(weights[run.run_id][::2], weights[run.run_id][1::2])):
            network.parameters.weights[layer].x_RNM[i, : w.shape[0]] = w
            network.parameters.biases[layer].x_RNM[i, 0] = b
    for loss in LOSSES:
        evaluate = Evaluator(network, LOSSES[loss], 19)
        for n in (1, EVALUATION_CHUNK - 1, EVALUATION_CHUNK, EVALUATION_CHUNK + 1, 2 * EVALUATION_CHUNK + 7):
            index = np.random.default_rng(n).permutation(12_300)[: 2 * n].reshape(2, n)
            made_of = [Group(start=0, stop=1, batch=1), Group(start=1, stop=2, batch=0)]
            examples = Examples(
                x=MADE.data.x_train,
                labels=MADE.data.y_train[None],
                labelling=torch.zeros(2, dtype=torch.int64),
                index_GN=torch.from_numpy(index),
                groups=made_of,
            )
            with torch.no_grad():
                measured = evaluate(examples, predict=True)
            assert measured.predicted is not None
            means = measured.means()
            losses, accuracies = means["loss"], means["accuracy"]
            for i, own in enumerate(index[[1, 0]]):
                z, _ = outputs(ordered[i], weights[ordered[i].run_id], MADE.dataset.x_train[own])
                y = labels(MADE.dataset.y_train[own])
                assert losses[i] == pytest.approx(float(REFERENCE_LOSSES[loss](z, y)), rel=1e-12)
                assert accuracies[i] == float((z.argmax(1) == y).double().mean())
                assert measured.predicted[i].tolist() == z.argmax(1).tolist()


def test_the_mean_over_the_first_examples_is_of_those_only() -> None:
    (run,) = runs(MADE, BASE | {"precision": "float64", "steps": 0, "train_size": "all"})
    with torch.no_grad():
        stack = _Stack([run], MADE.data)
        whole = stack.evaluator(stack.train_part)
        first = stack.evaluator(stack.train_part.first(CURVE_EXAMPLES))
    assert whole.means(CURVE_EXAMPLES) == first.means()
    assert whole.means() != first.means()
    assert CURVE_EXAMPLES % EVALUATION_CHUNK == 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_metrics_are_those_of_the_trained_weights(precision: str) -> None:
    conditions = [{"activation": a, "dropout": 0.3} for a in ("relu", "sigmoid", "gelu")]
    members = runs(MADE, BASE | {"precision": precision}, conditions, replicates=2, validation=0.2)
    rows, weights = trained(members)
    tolerance = 1e-12 if precision == "float64" else 1e-5
    for run, row, packed in zip(members, rows.runs, rows.predictions, strict=True):
        z, _ = outputs(run, weights[run.run_id], MADE.dataset.x_test)
        y = labels(MADE.dataset.y_test)
        assert row["test_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(z, y)), rel=tolerance)
        predicted = np.frombuffer(packed["predicted"], np.uint8)
        assert packed["run_id"] == run.run_id
        assert row["test_accuracy"] == (predicted == MADE.dataset.y_test).mean()
        assert (predicted == z.argmax(1).numpy()).mean() > (0.998 if precision == "float32" else 1 - 1e-12)
        assert row["n_parameters"] == 19 * 13 + 13 + 13 * 6 + 6 + 6 * 5 + 5
        assert {k for k, v in row.items() if v is not None} >= MEASURED


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_counts_of_right_predictions_have_the_mean_of_the_later_half_of_the_curve(epochs: int) -> None:
    base = {k: v for k, v in BASE.items() if k != "steps"} | {"epochs": epochs}
    members = runs(MADE, base, [{"activation": "relu"}, {"activation": "tanh"}], replicates=2)
    rows, _ = trained(members)
    for run, packed in zip(members, rows.predictions, strict=True):
        steps = run.settings.steps
        curve = [r for r in rows.curves if r["run_id"] == run.run_id and r["split"] == "test" and 2 * r["step"] > steps]
        counts = np.frombuffer(packed["late_right"], np.uint8)
        right = (np.frombuffer(packed["predicted"], np.uint8) == MADE.dataset.y_test).astype(np.uint8)
        assert counts[0] == len(curve) == epochs // 2 + epochs % 2
        assert counts[1:].mean() / counts[0] == pytest.approx(np.mean([r["accuracy"] for r in curve]), abs=1e-12)
        assert (counts[1:] >= right).all()
        if epochs == 1:
            assert (counts[1:] == right).all()


def test_the_digest_is_that_of_the_little_endian_parameters() -> None:
    """What `verify` compares: anyone can compute it from exported weights."""
    members = runs(MADE, BASE, [{"activation": "relu"}, {"activation": "tanh"}])
    rows, weights = trained(members)
    for run, row in zip(members, rows.runs):
        content = b"".join(p.numpy().astype("<f4").tobytes() for p in weights[run.run_id])
        assert row["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert rows.runs[0]["weights_sha256"] != rows.runs[1]["weights_sha256"]


WEIGHTED = [
    {"init": "zeros"},
    {"init": "zeros", "activation": "sigmoid", "steps": 1},
    {"init": {"constant": 0.1}},
    {"init": {"constant": 0.1}, "bias_init": "default"},
    {"init": "he_normal", "dropout": [1, 0]},
    {"init": "he_normal", "weight_decay": 0.1},
]


@pytest.mark.parametrize("condition", WEIGHTED)
def test_norm_sparsity_and_distinct_units_are_those_of_the_weights(condition: Mapping[str, Any]) -> None:
    (run,) = runs(MADE, BASE | dict(condition))
    rows, weights = trained([run])
    (row,) = rows.runs
    matrices = [w.double().numpy() for w in weights[run.run_id][::2]]
    joined = np.concatenate([w.ravel() for w in matrices])
    assert row["weight_norm"] == pytest.approx(np.linalg.norm(joined), rel=1e-12)
    assert row["sparsity"] == np.mean(joined == 0)
    units = np.vstack([matrices[0], weights[run.run_id][1].numpy()])
    assert row["distinct_units"] == np.unique(units, axis=1).shape[1]


def test_known_sparsity_and_distinct_units() -> None:
    fixed = {"hidden_sizes": [8], "batch_size": 100, "train_size": 500, "steps": 1}
    zeros, sigmoid, constant, normal, biased = trained(
        runs(
            MADE,
            fixed,
            [
                {"init": "zeros", "activation": "relu"},
                {"init": "zeros", "activation": "sigmoid"},
                {"init": {"constant": 0.1}, "activation": "relu"},
                {"init": "default", "activation": "relu"},
                {"init": "zeros", "activation": "relu", "bias_init": {"normal": 1.0}},
            ],
        )
    )[0].runs
    assert (zeros["sparsity"], zeros["distinct_units"]) == (1.0, 1.0), "nothing flows through a ReLU of zeros"
    assert sigmoid["sparsity"] == 19 * 8 / (19 * 8 + 8 * 5), "one step reaches the output weights only"
    assert (constant["sparsity"], constant["distinct_units"]) == (0.0, 1.0)
    assert (normal["sparsity"], normal["distinct_units"]) == (0.0, 8.0)
    assert biased["distinct_units"] == 8, "units that differ in their bias only are different"


def test_a_linear_model_has_no_units_to_count() -> None:
    (row,) = trained(runs(MADE, {"depth": 0, "batch_size": 100, "train_size": 500, "steps": 3}))[0].runs
    assert row.get("distinct_units") is None
    assert row["dead_units"] == 0


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "identity"])
def test_dead_units_are_zero_on_every_one_of_the_first_examples(activation: str) -> None:
    """Biases around -1 leave some units below zero for all examples; only ReLU is silent there."""
    conditions = [{"bias_init": {"constant": -c}, "activation": activation} for c in (0.0, 1.0, 2.0)]
    members = runs(MADE, BASE | {"steps": 2, "lr": 0.01}, conditions, replicates=2)
    rows, weights = trained(members)
    found = []
    for run, row in zip(members, rows.runs):
        chosen = MADE.dataset.x_train[_fit(run)]
        _, hidden = outputs(run, weights[run.run_id], chosen)
        dead = sum(int((h == 0).all(0).sum()) for h in hidden)
        assert row["dead_units"] == dead
        found.append(dead)
    assert (0 < max(found) <= 19) == (activation == "relu")


def _fit(run: Run) -> NDArray[np.int64]:
    with torch.no_grad():
        return np.asarray(_Stack([run], MADE.data).fit[0])


def test_units_that_wake_up_after_10_000_examples_are_dead() -> None:
    """Unit u answers to pixel u alone, which is on in one example only; its number decides."""
    features = 12
    plain = made(n_train=12_300, n_test=10, features=features, classes=3)
    x = np.zeros((12_300, features), np.uint8)
    on_in = [0, 1, 999, 1000, 5_000, 9_998, 9_999, 10_000, 10_001, 10_999, 11_000, 12_299]
    x[on_in, range(features)] = 255
    dataset = replace(plain.dataset, x_train=x)
    data = DeviceData(dataset, CPU)
    fixed = {"hidden_sizes": [features], "activation": "relu", "steps": 0}
    (run,) = runs(plain, fixed)
    with torch.no_grad():
        stack = _Stack([run], data)
        stack.network.parameters.weights[0].x_RNM[:, :features] = torch.eye(features)
        (row,) = stack.train(lambda share: None).runs
    assert row["dead_units"] == sum(number >= 10_000 for number in on_in) == 5


DIVERGING: dict[str, dict[str, Any]] = {
    "a rate of 1e30": {"lr": 1e30, "activation": "identity"},
    "a rate of 1e30, ReLU, squared error": {"lr": 1e30, "activation": "relu", "loss": "squared_error"},
    "a rate of 1e4": {"lr": 1e4, "activation": "identity"},
    "a rate of 30": {"lr": 30.0, "activation": "elu", "loss": "squared_error"},
    "a rate beyond stability": {"lr": 0.8, "activation": "identity", "loss": "squared_error"},
    "decay that overshoots": {"lr": 0.1, "weight_decay": 50.0, "steps": 600},
    "weights that the loss does not see": {"lr": 10.0, "weight_decay": 10.0, "steps": 200, "dropout": 1},
}
AWAY = BASE | {"init": "he_normal", "activation": "tanh", "steps": 60}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", DIVERGING)
def test_divergence_is_noted_at_its_first_step_and_nothing_is_measured(name: str, precision: str) -> None:
    members = runs(MADE, AWAY | {"precision": precision} | DIVERGING[name], replicates=2)
    rows = train_stack(members, MADE.data)
    for run, row in zip(members, rows.runs):
        expected = train(run, MADE.dataset)
        assert expected.diverged_at is not None, "the case is one of divergence"
        assert row["status"] == "diverged"
        assert row["diverged"] == 1.0
        assert row["diverged_at_step"] == expected.diverged_at
        assert {k for k in MEASURED | {"weights_sha256"} if row.get(k) is not None} == set()
        points = {(r["step"], r["split"]) for r in rows.curves if r["run_id"] == run.run_id}
        asked = curve_steps(run.settings)
        assert points == {(step, part) for step, part in expected.curves if step in asked}, "up to the last before it"
    assert rows.predictions == []


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_run_whose_last_step_leaves_losses_that_overflow_has_diverged(precision: str) -> None:
    """The step's loss and the weights it leads to are finite, but what they compute is not: no metric may be NaN."""
    rate = 1e30 if precision == "float32" else 1e150
    fixed = AWAY | {"activation": "relu", "precision": precision, "steps": 1}
    rows = train_stack(runs(MADE, fixed, [{"lr": rate}, {"lr": 0.1}]), MADE.data)
    gone, fine = rows.runs
    assert (gone["status"], gone["diverged_at_step"], gone.get("test_loss")) == ("diverged", 1, None)
    assert fine["status"] == "ok"
    assert {r["run_id"] for r in rows.predictions} == {fine["run_id"]}
    assert not [r for r in rows.curves if r["run_id"] == gone["run_id"] and r["step"] == 1]


def test_divergence_comes_late_in_one_case_and_at_once_in_another() -> None:
    """The cases above would prove less if all of them ended in the first step."""
    steps = [train_stack(runs(MADE, AWAY | case), MADE.data).runs[0]["diverged_at_step"] for case in DIVERGING.values()]
    assert min(steps) <= 2
    assert max(steps) > 50


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_beyond_all_reason_a_run_diverges_no_later_than_a_plain_loop(activation: str) -> None:
    """At a rate of 1e30 units saturate: a plain loop multiplies their gradient by 0 before the rate, and may go on.

    The engine multiplies by the rate at the outputs, where 1e30 overflows: it may stop earlier. Up to a rate of 1e4 both
    stop at the same step.
    """
    for rate, same in ((1e30, False), (1e4, True)):
        for precision in ("float32", "float64"):
            fixed = AWAY | {"lr": rate, "loss": "squared_error", "activation": activation, "precision": precision}
            (run,) = runs(MADE, fixed)
            (row,) = train_stack([run], MADE.data).runs
            plain = train(run, MADE.dataset).diverged_at
            assert plain is not None
            assert row["diverged_at_step"] == plain if same else row["diverged_at_step"] <= plain


def test_runs_that_do_not_diverge_say_so() -> None:
    for row in train_stack(runs(MADE, BASE, replicates=3), MADE.data).runs:
        assert (row["status"], row["diverged"]) == ("ok", 0.0)
        assert not {"diverged_at_step", "error"} & set(row)


def test_progress_ends_at_1_and_never_falls() -> None:
    shares: list[float] = []
    train_stack(runs(MADE, BASE | {"steps": 13}, replicates=2), MADE.data, shares.append)
    assert shares == [5 / 13, 10 / 13, 1.0]


def test_subnormals_are_flushed_and_algorithms_deterministic() -> None:
    """Subnormals would make a run that dies out many times slower; both settings are part of what a run's bits are."""
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("medium")
    train_stack(runs(MADE, BASE | {"steps": 0}), MADE.data)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not (torch.full((64,), 1e-38) * 1e-3).any()
