"""Kernels of a GPU against float64: products with what follows them, losses, updates.

Where there is no GPU, Triton's interpreter does them on a CPU: TRITON_INTERPRET=1 pytest -m gpu tests/training/test_dense_kernels.py.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from small_data import made
from small_data import runs as small_runs
from torch import Tensor

from mlpbench.base.streams import address, generator
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.components.optimisers import BETA_1, BETA_2, OPTIMISERS, Step
from mlpbench.training.batches.device_streams import NormalDraws, states
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.batches.training_noise import InputNoise
from mlpbench.training.buffers import Stacked
from mlpbench.training.network.dense_kernels import DenseKernels

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (INTERPRETED or torch.cuda.is_available()), reason="no GPU that torch can use"),
]
AT = torch.device("cpu" if INTERPRETED else "cuda:0")
MAKE: dict[str, Any] = {"dtype": torch.float32, "device": AT}
# Rows, inputs, units: whole tiles, parts of tiles, and fewer than a tile.
SHAPES = [(64, 64, 64), (50, 65, 10), (7, 19, 33), (96, 40, 70)]
# Of what a run's rounding may be, relative to the norm of the result.
BOUNDS = {"float32": 2e-6, "tf32x3": 2e-6, "bfloat16": 1e-2}
if INTERPRETED:
    del BOUNDS["bfloat16"]  # whose bits the interpreter multiplies as integers
RUNS = 3


def kernels(precision: str = "float32", runs: int = RUNS) -> DenseKernels:
    from mlpbench.training import kernels

    return DenseKernels(kernels, runs, precision, AT, products=True)


def drawn(rows: int, columns: int, seed: int, runs: int = RUNS) -> Stacked:
    stacked = Stacked.zeros(runs, rows, columns, **MAKE)
    stacked.x_RNM.copy_(torch.randn(runs, rows, columns, generator=torch.Generator().manual_seed(seed)))
    return stacked


def rounded(x: Tensor, precision: str) -> Tensor:
    return (x.bfloat16() if precision == "bfloat16" else x).double()


def weights(inputs: int, units: int, seed: int) -> Stacked:
    """Rows of weights are padded too: those are zero."""
    stacked = drawn(-(-inputs // 16) * 16, units, seed)
    stacked.x_RNM[:, inputs:] = 0
    return stacked


def assert_close(got: Tensor, wanted: Tensor, precision: str = "float32") -> None:
    assert (got.double() - wanted).norm() <= BOUNDS[precision] * wanted.norm()


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_forward_is_that_of_float64(shape: tuple[int, int, int], precision: str) -> None:
    rows, inputs, units = shape
    x, w, b, z = drawn(rows, inputs, 1), weights(inputs, units, 2), drawn(1, units, 3), drawn(rows, units, 4)
    exact = rounded(x.x_RNM, precision) @ rounded(w.x_RNM[:, :inputs], precision) + b.x_RNM.double()
    bound = "float32" if precision == "bfloat16" else precision  # the products of rounded operands are exact
    kernels(precision).affine(x.x_RNM, w, b, z, relu=False)
    assert_close(z.x_RNM, exact, bound)
    kernels(precision).affine(x.x_RNM, w, b, z, relu=True)
    assert_close(z.x_RNM, exact.clamp_min(0), bound)
    assert not z.wide_RNP[:, :, units:].any()


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_backward_is_that_of_float64(shape: tuple[int, int, int], precision: str) -> None:
    rows, inputs, units = shape
    d, w, before = drawn(rows, units, 1), weights(inputs, units, 2), drawn(rows, inputs, 3)
    active, mask = drawn(rows, inputs, 4), drawn(rows, inputs, 5)
    exact = rounded(d.x_RNM, precision) @ rounded(w.x_RNM[:, :inputs], precision).transpose(1, 2)
    bound = "float32" if precision == "bfloat16" else precision
    kernels(precision).back_through(d, w, before, active=None, mask=None)
    assert_close(before.x_RNM, exact, bound)
    kernels(precision).back_through(d, w, before, active=active, mask=mask)
    assert_close(before.x_RNM, exact * mask.x_RNM * (active.x_RNM > 0), bound)
    assert not before.wide_RNP[:, :, inputs:].any()


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_descent_is_that_of_float64(shape: tuple[int, int, int], precision: str) -> None:
    rows, inputs, units = shape
    x, d, w, b = drawn(rows, inputs, 1), drawn(rows, units, 2), weights(inputs, units, 3), drawn(1, units, 4)
    factor_R1 = torch.tensor([[1.0], [0.9], [0.5]], device=AT)
    x.wide_RNP[:, :, inputs:] = 0.5  # as sigmoid leaves the padding
    gradient = rounded(x.x_RNM, precision).transpose(1, 2) @ rounded(d.x_RNM, precision)
    decayed = w.x_RNM[:, :inputs].double() * factor_R1[:, :, None] - gradient
    biases = b.x_RNM.double() * factor_R1[:, :, None] - d.x_RNM.double().sum(1, keepdim=True)
    bound = "float32" if precision == "bfloat16" else precision
    own = kernels(precision)
    own.put_weights(x.x_RNM, d, w, subtracts=True, decay_factor_R1=factor_R1)
    own.put_biases(d, b, subtracts=True, decay_factor_R1=factor_R1)
    assert_close(w.x_RNM[:, :inputs], decayed, bound)
    assert_close(b.x_RNM, biases)
    assert not w.x_RNM[:, inputs:].any()
    assert not w.wide_RNP[:, :, units:].any()
    own.put_weights(x.x_RNM, d, w, subtracts=False, decay_factor_R1=None)
    own.put_biases(d, b, subtracts=False, decay_factor_R1=None)
    assert_close(w.x_RNM[:, :inputs], gradient, bound)
    assert_close(b.x_RNM, d.x_RNM.double().sum(1, keepdim=True))


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_cross_entropy_is_that_of_the_plain_way(classes: int) -> None:
    rows = 70
    z, d, losses = drawn(rows, classes, 1), drawn(rows, classes, 2), Stacked.zeros(RUNS, 1, rows, **MAKE)
    y_RB1 = torch.randint(classes, (RUNS, rows, 1), generator=torch.Generator().manual_seed(3)).to(AT)
    rate_R1 = torch.tensor([[0.1], [1.0], [3.0]], device=AT)
    loss_R = kernels().cross_entropy(z, y_RB1, rate_R1, d).clone()
    expected = z.zeros_like()
    LOSSES["cross_entropy"].forward(torch, z, y_RB1, losses)
    LOSSES["cross_entropy"].gradient(torch, z, y_RB1, rate_R1[:, :, None] / rows, expected)
    torch.testing.assert_close(loss_R, losses.x_RNM.sum((1, 2)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(d.x_RNM, expected.x_RNM, rtol=1e-5, atol=1e-7)
    assert not d.wide_RNP[:, :, classes:].any()


@pytest.mark.parametrize("decays", [False, True])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_update_is_that_of_the_plain_way(name: str, decays: bool) -> None:
    optimiser, own = OPTIMISERS[name], kernels()
    rate_R1, parameter_R1, decay_R1 = (
        torch.rand(RUNS, 1, generator=torch.Generator().manual_seed(i)).to(AT) for i in range(3)
    )
    w, g = drawn(17, 40, 1), drawn(17, 40, 2)
    wanted = w.flat_RS.clone()
    states, others = ([torch.rand_like(w.flat_RS) for _ in range(optimiser.states)] for _ in range(2))
    for state, other in zip(states, others, strict=True):
        other.copy_(state)
    corrections = torch.tensor([[1 - BETA_1**t, (1 - BETA_2**t) ** 0.5] for t in range(5)], device=AT)
    number = torch.tensor(3.0, dtype=torch.float64, device=AT)
    own.update(name, w, g, states, rate_R1, parameter_R1, decay_R1 if decays else None, number, corrections)
    gradient = g.flat_RS.clone()
    if decays and optimiser.coupled:
        gradient.add_(wanted * decay_R1)
    elif decays:
        wanted.mul_(1 - rate_R1 * decay_R1)
    roots: Any = {"root": torch.sqrt, "roots": torch.sqrt, "product": torch.mul}
    optimiser.rule(wanted, gradient, others, Step(rate=rate_R1, parameter=parameter_R1, number=3, **roots))
    torch.testing.assert_close(w.flat_RS, wanted, rtol=1e-5, atol=1e-6)
    for state, other in zip(states, others, strict=True):
        torch.testing.assert_close(state, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_noted_of_its_run_and_once(value: float) -> None:
    own, loss_R = kernels(), torch.zeros(RUNS, device=AT)
    x, d, w = drawn(40, 70, 1), drawn(40, 10, 2), weights(70, 10, 3)
    w.x_RNM[1, 69, 9] = value
    own.put_weights(x.x_RNM, d, w, subtracts=True, decay_factor_R1=None)
    assert own.finite(loss_R).tolist() == [True, False, True]
    assert own.finite(loss_R).tolist() == [True, True, True]
    b = drawn(1, 10, 4)
    b.x_RNM[2, 0, 3] = value
    own.note_not_finite(b)
    assert own.finite(loss_R).tolist() == [True, True, False]
    loss_R[0] = value
    assert own.finite(loss_R).tolist() == [False, True, True]


def test_relu_keeps_nan() -> None:
    x, w, b, z = drawn(8, 16, 1), weights(16, 16, 2), drawn(1, 16, 3), drawn(8, 16, 4)
    x.x_RNM[0, 3, 5] = float("nan")
    kernels().affine(x.x_RNM, w, b, z, relu=True)
    assert z.x_RNM[0].isnan().all(1).tolist() == [i == 3 for i in range(8)]


def test_a_run_has_the_same_bits_among_any_number_of_runs() -> None:
    of = {n: drawn(50, 40, 1, n) for n in (1, 5)}
    of[5].x_RNM[3] = of[1].x_RNM[0]
    shared = drawn(48, 33, 2, 1), drawn(1, 33, 3, 1)
    results = {}
    for n, x in of.items():
        w, b = (Stacked.zeros(n, *s.x_RNM.shape[1:], **MAKE) for s in shared)
        for to, s in zip((w, b), shared, strict=True):
            to.flat_RS.copy_(s.flat_RS)
        z = Stacked.zeros(n, 50, 33, **MAKE)
        own = kernels(runs=n)
        own.affine(x.x_RNM, w, b, z, relu=True)
        own.put_weights(x.x_RNM, z, w, subtracts=True, decay_factor_R1=None)
        results[n] = z.x_RNM[3 % n].clone(), w.x_RNM[3 % n].clone()
    for alone, among in zip(results[1], results[5], strict=True):
        assert torch.equal(alone, among)


def test_masks_keep_what_the_plain_way_keeps() -> None:
    rows, units, of_run = 21, 150, torch.tensor([1, 0, 1], device=AT)
    u_GN = torch.rand(2, 40 * units, generator=torch.Generator().manual_seed(1)).to(AT)
    keep_from, scale = (torch.tensor(x, device=AT)[:, None, None] for x in ([0.0, 0.3, 0.5], [1.0, 1 / 0.7, 2.0]))
    mask = drawn(30, units, 2)
    before = mask.x_RNM.clone()
    kernels().dropout_masks(u_GN, of_run, keep_from, scale, mask.x_RNM[:, :rows])
    u_RBU = u_GN[of_run, : rows * units].view(RUNS, rows, units)
    assert torch.equal(mask.x_RNM[:, :rows], (u_RBU >= keep_from) * scale)
    assert torch.equal(mask.x_RNM[:, rows:], before[:, rows:])


@pytest.mark.parametrize("count", [7, 40])
def test_streams_are_those_of_numpy(count: int) -> None:
    from mlpbench.training import kernels

    addresses = [(3, layer, step) for layer in range(5) for step in range(7)]
    lanes = states(11, [address("dropout", *a) for a in addresses])
    out = torch.zeros(len(addresses), count, device=AT)
    on_device = torch.from_numpy(lanes.view(np.int64)).to(AT)
    kernels.sfc64_uniform[(2,)](on_device, out, count, len(addresses), LANES=32, num_warps=1)
    for (replicate, layer, step), drawn_N in zip(addresses, out.cpu().numpy(), strict=True):
        expected = generator(11, replicate, "dropout", layer, step).random(count, dtype=np.float32)
        np.testing.assert_array_equal(drawn_N, expected)


def test_normals_are_those_of_numpy() -> None:
    """As many streams as a warp has lanes and more, long enough for edges of layers and the tail."""
    addresses, count = [address("noise", i, 2, 7) for i in range(40)], 400 if INTERPRETED else 20_000
    draws = NormalDraws([(11, a[:-1]) for a in addresses], count, AT)
    from mlpbench.training import kernels

    draws._u_SGN = torch.zeros(1, len(addresses), count, device=AT)
    lanes = torch.from_numpy(states(11, addresses).view(np.int64)).to(AT)
    draws._launch(kernels, lanes, len(addresses))
    expected = [generator(11, i, "noise", 2, 7).standard_normal(count, dtype=np.float32) for i in range(40)]
    got = draws._u_SGN[0].cpu().numpy()
    np.testing.assert_allclose(got, np.stack(expected), rtol=0, atol=1e-6)
    assert (got != np.stack(expected)).mean() < 1e-4
    assert np.abs(got).max() > 2.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_of_inputs_is_what_the_host_draws(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlpbench.training import kernels

    data, conditions = made(n_train=20, n_test=5, features=3, classes=2), [{"input_noise": 0.0}, {"input_noise": 0.2}]
    members = small_runs(data, {"batch_size": 6}, conditions, replicates=2)
    x = torch.rand(len(members), 6, 3, dtype=dtype, generator=torch.Generator().manual_seed(1)).to(AT)
    noised = []
    for own in (kernels, None):
        for module in ("training_noise", "device_streams"):
            monkeypatch.setattr(f"mlpbench.training.batches.{module}.kernels_for", lambda device, own=own: own)
        noise = InputNoise(members, 3, dtype=dtype, device=AT)
        for step, n in ((3, 6), (4, 5)):
            noise.draw(step, n)
            noised.append(noise.added(Inputs(x_GBI=x[:, :n])).x_GBI.clone())
    for on_device, on_host in zip(noised[:2], noised[2:], strict=True):
        torch.testing.assert_close(on_device, on_host, rtol=0, atol=1e-6)
        assert torch.equal(on_device[0], x[0, : on_device.shape[1]]) == (members[0].settings.input_noise == 0)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter rounds twice where a GPU does once")
def test_gathered_bytes_are_divided_exactly() -> None:
    from mlpbench.training import kernels

    source = torch.arange(256, dtype=torch.uint8, device=AT).view(8, 32)
    index, labelling = torch.tensor([5, 0, 7, 2, 3, 1, 4, 6], device=AT), torch.tensor([1, 0], device=AT)
    labels, classes = torch.arange(16, device=AT).view(2, 8), torch.zeros(2, 4, dtype=torch.int64, device=AT)
    out = torch.zeros(8, 32, device=AT)
    shapes = 32, 32, labels, labelling, classes, 8, 4
    kernels.gather_scaled[(8,)](source, index, out, *shapes, SCALE=255.0, BLOCK=32, LABELLED=True, num_warps=1)
    assert torch.equal(out.cpu(), source.cpu()[index.cpu()].float() / torch.tensor(255.0))
    assert torch.equal(classes, index.view(2, 4) + torch.tensor([[8], [0]], device=AT))
