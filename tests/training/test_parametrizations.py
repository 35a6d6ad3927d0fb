"""The maximal update parametrisation: another published form of it, the standard one at base width, and what it is for.

That stacked networks follow the table of the paper is a matter of the oracle: see oracle_rows.py and mup_reference.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from small_data import Made, made, runs
from torch import Tensor, nn
from torch.nn import functional
from torch_reference import OPTIMISERS, affine, build

from mlpbench.experiment.components.initialisers import INITIALISERS
from mlpbench.experiment.components.optimisers import OPTIMISERS as OURS
from mlpbench.experiment.components.parametrizations import layer_scales
from mlpbench.experiment.grid import Run
from mlpbench.training.engine import _Stack, train_stack
from mlpbench.training.measures.run_rows import Model

MADE = made(n_train=60, n_test=16, features=19, classes=5)
BASE = 4
STEPS = 12
FIXED: dict[str, Any] = {
    "hidden_sizes": [12, 20],
    "activation": "tanh",
    "init": "he_normal",
    "bias_init": {"normal": 0.5},
    "batch_size": "full",
    "steps": STEPS,
    "precision": "float64",
}


def trained(run: Run, data: Made = MADE) -> Model:
    with torch.no_grad():
        stack = _Stack([run], data.data)
        stack.train(lambda share: None)
        return stack._model(0)


class Readout(nn.Linear):
    """The output layer of the authors' package: it divides what it is given by its width over the base width."""

    def forward(self, h: Tensor) -> Tensor:
        """Return W h / m + b."""
        return super().forward(h * (BASE / self.in_features))


# The package's table: of each kind of array, factors of rate and decay, from its fan-in and fan-out over those at base width.
Rule = Mapping[str, float]


def package_rule(kind: str, m_in: float, m_out: float, *, normalises: bool) -> tuple[float, float]:
    """Return what `mup.MuAdam` or `mup.MuSGD` multiply rate and decay by: of a matrix with both fans wide, a vector, or neither."""
    if kind == "matrix":
        ratio = m_in if normalises else m_in / m_out
        return 1 / ratio, ratio
    if kind == "vector" and not normalises:
        width = max(m_in, m_out)
        return width, 1 / width
    return 1.0, 1.0


def trained_by_the_package(run: Run) -> nn.Sequential:
    """Train a network with a multiplier at its outputs, whose weights are as many times larger: Table 8 of the paper."""
    s = run.settings
    name = s.optimizer.partition("(")[0]
    numbers = tuple(map(float, s.optimizer.partition("(")[2].rstrip(")").split(","))) if "(" in s.optimizer else ()
    model = build(run, 19, 5)
    last = affine(model)[-1]
    readout = Readout(last.weight.shape[1], 5, bias=s.bias, dtype=torch.float64)
    with torch.no_grad():
        readout.weight.copy_(last.weight * readout.in_features / BASE)
        if readout.bias is not None and last.bias is not None:
            readout.bias.copy_(last.bias)
    model[-1] = readout
    model.eval()  # nothing is dropped
    sizes = [19, *s.hidden_sizes, 5]
    groups: list[dict[str, Any]] = []
    for i, m in enumerate(affine(model)):
        m_in = sizes[i] / BASE if i > 0 else 1.0
        m_out = sizes[i + 1] / BASE if i < len(s.hidden_sizes) else 1.0
        kinds = [
            "matrix" if 0 < i < len(s.hidden_sizes) else "vector",
            "vector" if i < len(s.hidden_sizes) else "fixed",
        ]
        for array, kind, decay in zip((m.weight, m.bias), kinds, (s.weight_decay, s.weight_decay * s.decay_bias)):
            if array is not None:
                fans = (1.0, m_out) if array.ndim == 1 else (m_in, m_out)
                rate, by = package_rule(kind, *fans, normalises=OPTIMISERS[name].normalises)
                groups.append({"params": [array], "lr": s.lr * rate, "weight_decay": decay * by})
    optimiser = OPTIMISERS[name].make(groups, s.lr, numbers)
    x = torch.from_numpy(MADE.dataset.x_train.copy()).double() / 255
    y = torch.from_numpy(MADE.dataset.y_train.astype("int64"))
    for _ in range(STEPS):
        optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(x), y))
        if s.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), s.clip_norm)
        optimiser.step()
    return model


TINY = 1e-30
OTHERS: list[Any] = [
    *("sgd", "momentum", "nesterov"),
    # Eps is what the two forms differ in.
    *({"adam": {"eps": TINY}}, {"adamw": {"eps": TINY}}, {"rmsprop": {"eps": TINY}}),
]


@pytest.mark.parametrize("beside", [{}, {"weight_decay": 0.1, "decay_bias": True}, {"clip_norm": 0.1}, {"bias": False}])
@pytest.mark.parametrize("optimizer", OTHERS, ids=str)
def test_it_trains_the_function_that_a_multiplier_at_the_outputs_does(optimizer: Any, beside: dict[str, Any]) -> None:
    """Two published forms, Table 3 and Table 8, are one training."""
    lr = 0.05 if isinstance(optimizer, str) else 0.01
    (run,) = runs(MADE, FIXED | {"optimizer": optimizer, "lr": lr, "parametrization": {"mup": BASE}} | beside)
    own, other = trained(run), trained_by_the_package(run)
    layers = affine(other)
    for i, (weight, m) in enumerate(zip(own.weights, layers, strict=True)):
        of_package = m.weight.detach().T * (BASE / m.weight.shape[1] if i == len(layers) - 1 else 1)
        assert float((weight - of_package).abs().max()) < 1e-9 * float(of_package.abs().max())
    if run.settings.bias:
        for bias, m in zip(own.biases, layers, strict=True):
            assert m.bias is not None
            torch.testing.assert_close(bias, m.bias.detach(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("optimizer", OURS)
@pytest.mark.parametrize("init", [name for name, i in INITIALISERS.items() if i.of_fans])
def test_at_base_width_it_is_the_standard_one(init: str, optimizer: str) -> None:
    shared = {
        "width": 12, "hidden_sizes": None, "depth": 3, "init": {"normal": 0.3} if init == "normal" else init,
        "optimizer": optimizer, "lr": 0.01, "weight_decay": 0.1, "decay_bias": True, "clip_norm": 0.5, "norm": "layer",
    }  # fmt: skip
    fixed = {k: v for k, v in (FIXED | shared).items() if v is not None}
    standard, mup = runs(MADE, fixed, [{"parametrization": p} for p in ("standard", {"mup": 12})])
    for one, other in zip(trained(standard).learnt, trained(mup).learnt, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_factors_follow_the_table_where_widths_differ() -> None:
    sizes = [784, 128, 256, 10]
    sgd = layer_scales("mup(64)", sizes, normalises=False, coupled=True)
    adam = layer_scales("mup(64)", sizes, normalises=True, coupled=True)
    adamw = layer_scales("mup(64)", sizes, normalises=True, coupled=False)
    assert sgd is not None
    assert adam is not None
    assert adamw is not None
    assert [s.rate for s in sgd] == [2, 2, 0.25]
    assert [s.vector_rate for s in sgd] == [2, 4, 1]
    assert [s.rate for s in adam] == [1, 0.5, 0.25]
    assert [s.vector_rate for s in adam] == [1, 1, 1]
    assert [s.init for s in sgd] == [s.init for s in adam] == pytest.approx([1, math.sqrt(0.5), 0.25])
    assert [s.decay for s in sgd] == [0.5, 0.5, 4]
    assert [s.decay for s in adam] == [1, 2, 16]
    assert [s.decay for s in adamw] == [1, 2, 4]
    assert [s.multiplier for s in sgd] == [1, 1, 0.25]
    assert layer_scales("standard", sizes, normalises=True, coupled=True) is None


def scales(parametrization: Any, optimizer: str, lr: float) -> dict[tuple[int, int, int], float]:
    """Return the root mean square of activations by width, layer and step, in the mean of three replicates."""
    fixed = {"depth": 2, "init": "he_normal", "optimizer": optimizer, "lr": lr, "batch_size": "full", "steps": 3}
    means: dict[tuple[int, int, int], float] = {}
    for width in (64, 256, 1024):
        members = runs(MADE, fixed | {"width": width, "parametrization": parametrization}, replicates=3)
        for r in train_stack(members, MADE.data, probes=[0, 1, 2, 3]).layers:
            at = width, r["layer"], r["step"]
            means[at] = means.get(at, 0.0) + math.sqrt(r["act_mean"] ** 2 + r["act_var"]) / 3
    return means


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.3), ("adam", 0.02)])
def test_activations_keep_their_scale_over_widths_as_training_goes_on(optimizer: str, lr: float) -> None:
    """The coordinate check: in the standard parametrisation outputs grow with the width after a step, here nothing does."""
    mup, standard = (scales(p, optimizer, lr) for p in ({"mup": 64}, "standard"))
    for width in (256, 1024):
        for layer in (1, 2):
            for step in range(4):
                assert 0.7 < mup[width, layer, step] / mup[64, layer, step] < 1.4, (width, layer, step)
        assert mup[width, 3, 1] / mup[64, 3, 1] < 1.4
    assert standard[1024, 3, 1] / standard[64, 3, 1] > 2
