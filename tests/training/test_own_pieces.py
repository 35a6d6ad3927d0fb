"""Pieces of plugins in training: what the package has itself gives the same results, and no bit depends on a stack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugin_sources import HEAD, PIECES, TOUCHY, TWINS, loaded, plugin_of
from run_output import of_run
from safetensors.torch import load
from small_data import Made, made, made_images, made_numbers, runs
from torch import Tensor, nn

from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.experiment.components.schedules import factors
from mlpbench.experiment.grid import Run
from mlpbench.training.engine import train_stack
from mlpbench.training.pieces.load_pieces import load_pieces
from mlpbench.training.worker import Worker
from mlpbench.training.worker_setup import Setup, StackRows

DATA: dict[str, Made] = {
    "classes": made(n_train=150, n_test=31, features=9, classes=4),
    "numbers": made_numbers(n_train=150, n_test=31, features=9),
    "images": made_images(n_train=90, n_test=31, image=(9, 6), classes=4),
}
FIXED: dict[str, Any] = {
    "hidden_sizes": [17, 5], "init": "he_normal", "batch_size": 32, "epochs": 3, "lr": 0.05, "precision": "float64",
}  # fmt: skip


def trained(of: Made, changes: dict[str, Any], plugins: dict[str, Any]) -> list[dict[str, Tensor]]:
    """Return the weights of two replicates."""
    rows = train_stack(runs(of, FIXED | changes, replicates=2, **plugins), of.data, save_weights=True)
    assert [row["status"] for row in rows.runs] == ["ok", "ok"]
    return [load(row["content"]) for row in rows.weights]


@pytest.mark.parametrize("kind", ["classes", "images"])
@pytest.mark.parametrize(
    ("twin", "usual"),
    [
        ({"activation": "own_relu"}, {"activation": "relu"}),
        ({"activation": "own_gelu"}, {"activation": "gelu"}),
        ({"activation": "own_tanh"}, {"activation": "tanh"}),
        ({"init": "own_he_normal"}, {"init": "he_normal"}),
        ({"bias_init": "own_he_normal"}, {"bias_init": "he_normal"}),
        ({"optimizer": "own_sgd"}, {"optimizer": "sgd"}),
        ({"optimizer": "own_sgd", "weight_decay": 0.1, "clip_norm": 0.5, "decay_bias": True}, {"optimizer": "sgd"}),
        ({"optimizer": "own_adam", "lr": 0.003, "l1": 0.001}, {"optimizer": "adam"}),
        ({"optimizer": "own_momentum", "weight_decay": 0.1}, {"optimizer": {"sgd": {"momentum": 0.9}}}),
        ({"loss": "own_cross_entropy"}, {"loss": "cross_entropy"}),
        ({"loss": "own_cross_entropy", "class_weights": "balanced"}, {"loss": "cross_entropy"}),
        ({"loss": "own_squared_error"}, {"loss": "squared_error"}),
        ({"schedule": "own_cosine"}, {"schedule": "cosine"}),
        (
            {"schedule": {"warmup": 4, "then": "own_cosine"}, "optimizer": "own_adam", "lr": 0.003},
            {"schedule": {"warmup": 4, "then": "cosine"}, "optimizer": "adam"},
        ),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()),
)
def test_what_the_package_has_written_as_a_plugin_gives_the_same_weights(
    kind: str, twin: dict[str, Any], usual: dict[str, Any]
) -> None:
    changes = {"conv_channels": [3]} if kind == "images" else {"norm": "layer", "dropout": 0.2}
    own = trained(DATA[kind], changes | twin, loaded(TWINS))
    for ours, theirs in zip(own, trained(DATA[kind], changes | twin | usual, {}), strict=True):
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=1e-9, atol=1e-9)


def test_a_loss_of_numbers_is_the_one_the_package_has() -> None:
    own = trained(DATA["numbers"], {"loss": "own_squared_error"}, loaded(TWINS))
    for ours, theirs in zip(own, trained(DATA["numbers"], {"loss": "squared_error"}, {}), strict=True):
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=1e-9, atol=1e-9)


def test_reported_losses_are_those_of_the_plugin() -> None:
    own, usual = (
        train_stack(
            runs(DATA["classes"], FIXED | {"loss": loss}, validation=0.2, **loaded(TWINS)), DATA["classes"].data
        )
        for loss in ("own_cross_entropy", "cross_entropy")
    )
    for name in ("train_loss", "val_loss", "test_loss", "train_accuracy", "test_accuracy"):
        assert own.runs[0][name] == pytest.approx(usual.runs[0][name], rel=1e-9)
    for a, b in zip(own.curves, usual.curves, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-9)
    for a, b in zip(own.layers, usual.layers, strict=True):
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-9)


def test_mish_of_the_examples_is_that_of_torch() -> None:
    plugin = plugin_of(PIECES.read_text())
    load_pieces([plugin])
    (run,) = runs(DATA["classes"], FIXED | {"activation": "mish"}, plugins=[plugin.as_written()])
    from mlpbench.experiment.components.activations import ACTIVATIONS

    mish, theirs = ACTIVATIONS[run.settings.activation].module(nn), nn.Mish()
    z = torch.linspace(-30, 30, 1001, dtype=torch.float64)[None]
    torch.testing.assert_close(mish(z), theirs(z), rtol=1e-12, atol=1e-12)
    h, d, leaf = torch.empty_like(z), torch.ones_like(z), z.clone().requires_grad_()
    f = ACTIVATIONS[run.settings.activation]
    f.forward(torch, z, h, 0.0)
    f.backward(torch, d, z, h, 0.0)
    theirs(leaf).sum().backward()
    torch.testing.assert_close(d, leaf.grad, rtol=1e-12, atol=1e-12)


def test_lion_of_the_examples_takes_the_steps_of_its_paper() -> None:
    """Algorithm 2 of Chen et al., without weight decay, written as a loop over full batches of a linear model."""
    plugin = plugin_of(PIECES.read_text())
    load_pieces([plugin])
    fixed = {
        "depth": 0,
        "init": "he_normal",
        "batch_size": "full",
        "precision": "float64",
        "lr": 0.01,
        "optimizer": "lion",
    }
    of = DATA["numbers"]

    def weights(steps: int) -> dict[str, Tensor]:
        rows = train_stack(
            runs(of, fixed | {"steps": steps}, plugins=[plugin.as_written()]), of.data, save_weights=True
        )
        return load(rows.weights[0]["content"])

    x, y = of.data.x_train.double(), of.data.y_train.double()
    start = weights(0)
    parameters = [start["layers.0.weight"].clone().requires_grad_(), start["layers.0.bias"].clone().requires_grad_()]
    moments = [torch.zeros_like(p) for p in parameters]
    for _ in range(7):
        w, b = parameters
        loss = ((x @ w.T + b - y) ** 2).sum(1).mean() / 2
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, m, g in zip(parameters, moments, gradients, strict=True):
                p -= 0.01 * torch.sign(0.9 * m + 0.1 * g)
                m.mul_(0.99).add_(0.01 * g)
    for name, expected in zip(("layers.0.weight", "layers.0.bias"), parameters, strict=True):
        torch.testing.assert_close(weights(7)[name], expected.detach(), rtol=1e-9, atol=1e-9)


def test_muon_of_the_examples_orthogonalises() -> None:
    """Five steps of its iteration bring all singular values near 1 (Jordan et al.: into [0.7, 1.2])."""
    from mlpbench.training.pieces.load_pieces import run_code

    orthogonal = run_code(plugin_of(PIECES.read_text()))["orthogonal"]
    draws = torch.Generator().manual_seed(0)
    for shape in ((30, 12), (12, 30), (9, 9)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=draws)))
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.3


KINDS: dict[str, list[Any]] = {
    "activation": ["mixing", "cusp", "in_place", "own_gelu", "own_tanh", "relu", "gelu", "prelu"],
    "init": ["heavy", "own_he_normal", "he_normal"],
    "schedule": ["zigzag", "own_cosine", {"warmup": 2, "then": "zigzag"}, "constant"],
}


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Made, list[Run]]:
    kind = draw(st.sampled_from(["classes", "classes", "numbers", "images"]))
    losses = ["shared", "own_squared_error", *(["own_cross_entropy", "cross_entropy"] if kind != "numbers" else [])]
    stops = draw(st.booleans())
    fixed: dict[str, Any] = {
        "hidden_sizes": draw(st.lists(st.integers(1, 40), min_size=0, max_size=3)),
        "batch_size": draw(st.integers(2, 70)),
        "epochs": draw(st.integers(1, 6 if stops else 2)),
        "loss": draw(st.sampled_from(losses)),
        "optimizer": draw(st.sampled_from(["whitened", "own_adam", "own_momentum", "sgd", "adam"])),
        "norm": "none" if kind == "images" else draw(st.sampled_from(["none", "layer", "batch"])),
        "precision": draw(st.sampled_from(["float32", "float32", "float64", "bfloat16"])),
        "bias": draw(st.booleans()),
    } | ({"conv_channels": [3]} if kind == "images" else {})
    members = []
    for i in range(draw(st.integers(1, 4))):
        own = {name: draw(st.sampled_from(values)) for name, values in KINDS.items()}
        own |= {
            "lr": (1 + i / 64) * draw(st.sampled_from([0.003, 0.1, 1e30])),
            "dropout": draw(st.sampled_from([0, 0, 0.3])),
            "weight_decay": draw(st.sampled_from([0, 0.01])),
            "bias_init": {"normal": draw(st.floats(0.1, 1))},
            "early_stopping": draw(st.integers(1, 3)) if stops else "none",
        }
        members.append(own)
    keys = loaded(TWINS + TOUCHY.removeprefix(HEAD))
    grid = runs(
        DATA[kind], fixed, members, replicates=draw(st.integers(1, 2)), **keys, **({"validation": 0.2} if stops else {})
    )
    return DATA[kind], draw(st.permutations(grid))[: draw(st.integers(1, 6))]


def assert_alone_equals_in_company(of: Made, stack: list[Run]) -> None:
    metrics = [p.name for p in plugin_of(TOUCHY).pieces if p.kind == "metric"]
    load_pieces([plugin_of(TOUCHY)])
    company = train_stack(stack, of.data, probes=[0.0, 1.0, float("inf")], metrics_of_plugins=metrics)
    for run in stack:
        alone = train_stack([run], of.data, probes=[0.0, 1.0, float("inf")], metrics_of_plugins=metrics)
        assert repr(of_run(alone, run)) == repr(of_run(company, run))


@settings(derandomize=True, deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company(case: tuple[Made, list[Run]]) -> None:
    assert_alone_equals_in_company(*case)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company_in_more_cases(case: tuple[Made, list[Run]]) -> None:
    assert_alone_equals_in_company(*case)


@pytest.mark.prove
@settings(derandomize=True, deadline=None, max_examples=500, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company_at_length(case: tuple[Made, list[Run]]) -> None:
    assert_alone_equals_in_company(*case)


def worked(text: str, changes: dict[str, Any]) -> StackRows:
    """Return the rows of two runs with a piece and two of the package's, as a worker trains them."""
    plugin = plugin_of(text)
    (setting, level) = next(iter(changes.items()))
    usual = {
        "activation": "relu",
        "optimizer": "sgd",
        "loss": "cross_entropy",
        "schedule": "constant",
        "init": "he_normal",
    }
    members = [{"lr": lr, setting: value} for value in (level, usual[setting]) for lr in (0.05, 0.01)]
    fixed = {k: v for k, v in FIXED.items() if k not in ("lr", setting)}
    of = DATA["classes"]
    grid = runs(of, fixed, members, plugins=[plugin.as_written()])
    setup = Setup(
        datasets=[of.source], device="cpu", threads=1, numerics="fast", data_dir=None, probes=None, plugins=[plugin]
    )
    worker = Worker(setup)
    worker._data[of.facts.fingerprint] = of.data
    stack = [run for run in grid if setting == "activation" or run.settings == grid[0].settings] or grid
    return worker.train(grid if setting in ("activation", "init", "schedule") else stack, lambda share: None)


@pytest.mark.parametrize(
    ("setting", "kind", "body", "says"),
    [
        ("activation", "activation", "def p(z):\n    raise ValueError('no\\nway')", "activation p raised ValueError: no"),
        ("activation", "activation", "def p(z):\n    return z[:1]", "activation p must return f(z), number by number, of shape (150, 17), got shape (1, 17)"),
        ("activation", "activation", "def p(z):\n    return 0", "activation p must return f(z), number by number, of shape (150, 17), got int"),
        ("activation", "activation", "def p(z):\n    raise SystemExit(3)", "activation p raised SystemExit: 3 (pieces.py:"),
        ("optimizer", "optimiser", "def p(g, state, lr, step):\n    return -lr * g", "optimiser p must return a pair (update, state), got Tensor"),
        ("optimizer", "optimiser", "def p(g, state, lr, step):\n    return -lr * g, None", "optimiser p must return its state as a dict, got NoneType"),
        ("loss", "loss", "def p(outputs, targets):\n    return outputs.mean()", "loss p must return the loss of each example, of shape (150,), got shape ()"),
        ("schedule", "schedule", "def p(share):\n    return -share", "schedule p must return a number of at least 0, got -"),
        ("schedule", "schedule", "def p(share):\n    return 'fast'", "schedule p must return a number of at least 0, got str at 0"),
        ("init", "initialiser", "def p(shape, fan_in, fan_out, generator):\n    return generator.normal(size=3)", "initialiser p must return an array of shape (9, 17), got shape (3,)"),
        ("activation", "activation", "def p(z):\n    return z\nglobals().pop('p')", "activation p must be a function, got NoneType"),
        ("activation", "activation", "def p(z):\n    return z\nimport no_such_module", "pieces.py raised ModuleNotFoundError: No module named 'no_such_module' (pieces.py:"),
        ("activation", "activation", "def p(z):\n    return z\ntorch.set_default_dtype(torch.float64)", "pieces.py must leave torch's settings alone, got another default dtype: torch.float64"),
    ],
)  # fmt: skip
def test_what_goes_wrong_in_a_piece_fails_its_runs_with_its_name(setting: str, kind: str, body: str, says: str) -> None:
    rows = worked(f"{HEAD}@mlpbench.{kind}\n{body}\n", {setting: "p"}).runs
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    for row in failed:
        assert says in row["error"]
    if (
        "pieces.py" not in says and "globals" not in body
    ):  # where its code can't be run at all, no run of the experiment is trained
        assert len(failed) <= 2
        assert all(row["status"] == "ok" for row in rows if row not in failed)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("setting", "kind", "body"),
    [
        ("activation", "activation", "def p(z):\n    return z / 0"),
        ("optimizer", "optimiser", "def p(g, state, lr, step):\n    return g / 0, state"),
        ("loss", "loss", "def p(outputs, targets):\n    return outputs.sum(1) * float('nan')"),
        ("init", "initialiser", "def p(shape, fan_in, fan_out, generator):\n    return np.full(shape, np.inf)"),
    ],
)
def test_what_is_not_finite_is_divergence(setting: str, kind: str, body: str) -> None:
    rows = worked(f"{HEAD}@mlpbench.{kind}\n{body}\n", {setting: "p"}).runs
    assert sum(row["status"] == "diverged" for row in rows) >= 1
    assert not any(row["status"] == "failed" for row in rows)
    assert {row["diverged_at_step"] for row in rows if row["status"] == "diverged"} <= {1, 2}


def test_a_schedule_is_asked_for_shares_of_what_follows_a_warm_up() -> None:
    plugin = plugin_of(HEAD + "@mlpbench.schedule\ndef left(share):\n    return 1 - share\n")
    load_pieces([plugin])
    name = plugin.pieces[0].name
    assert factors(name, 4).tolist() == [1.0, 0.75, 0.5, 0.25]
    assert factors(f"warmup(2)+{name}", 4).tolist() == [0.5, 1.0, 1.0, 0.5]


def test_a_process_that_has_not_loaded_a_piece_says_so() -> None:
    plugin = plugin_of(HEAD + "@mlpbench.activation\ndef never_loaded(z):\n    return z\n")
    (run,) = runs(DATA["classes"], FIXED | {"activation": "never_loaded"}, plugins=[plugin.as_written()])
    with pytest.raises(PieceError, match="the code of never_loaded@"):
        train_stack([run], DATA["classes"].data)


def test_the_code_that_runs_is_the_one_that_was_read() -> None:
    """What has a name has the code of its digest: another text under the same file name is another piece."""
    texts = [f"{HEAD}@mlpbench.activation\ndef scaled(z):\n    return {k} * z\n" for k in (1, 2)]
    (first, second) = (plugin_of(text) for text in texts)
    load_pieces([first, second])
    from mlpbench.experiment.components.activations import ACTIVATIONS

    z = torch.ones(1, 3)
    for plugin, expected in ((first, 1.0), (second, 2.0)):
        h = torch.empty_like(z)
        ACTIVATIONS[plugin.pieces[0].name].forward(torch, z, h, 0.0)
        assert h.tolist() == [[expected] * 3]
    with pytest.raises(PieceError):
        load_pieces([replace(plugin_of(HEAD + "@mlpbench.loss\ndef gone(o, t):\n    return o\n1 / 0\n"))])
