"""Bytes that a run holds: those of the engine's own buffers, whatever its company, and linear where memory should be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_data import made, made_images, runs

from mlpbench.training.engine import train_stack
from mlpbench.training.measures import memory
from mlpbench.training.network.network import Network, Workspace

DATA = made(n_train=64, n_test=16, features=20, classes=3)
FIXED = {"width": 32, "batch_size": 16, "epochs": 1}


def held(**settings: Any) -> dict[str, int]:
    (run,) = runs(DATA, FIXED | settings)
    return dict(memory.held_bytes(run.settings, DATA.data))


def numbers(*shapes: tuple[int, int], each: int = 4) -> int:
    """Bytes of buffers of these rows and columns: columns in whole vectors of 16, 64 elements to spare."""
    padded = [rows * -(-columns // 16) * 16 for rows, columns in shapes]
    return sum(each * (-(-p // 64) * 64 + 64) for p in padded)


def test_plain_descent_holds_what_its_arithmetic_says() -> None:
    """One hidden layer of 32 units on 20 inputs and 3 classes: weights, biases, batch, activation, outputs, losses."""
    parameters = numbers((32, 32), (32, 3), (1, 32), (1, 3))
    batch = 16 * 20 + 4 * 16 * 32 + 4  # bytes as they are, numbers in rows of 32, the scale
    forward = numbers((16, 32), (16, 3), (1, 16))
    backward = numbers((16, 32), (16, 3))
    vectors = 2 * 4  # keep_from and keep_scale of the one hidden layer
    rate = 4
    assert held() == {
        "train": parameters + batch + forward + backward + vectors + rate,
        "eval": parameters + batch + forward + vectors,
    }


def test_an_optimiser_holds_gradients_and_its_state() -> None:
    parameters = numbers((32, 32), (32, 3), (1, 32), (1, 3))
    plain, momentum, adam = (held(optimizer=o)["train"] for o in ("sgd", "momentum", "adam"))
    assert momentum - plain == pytest.approx(2 * parameters, abs=64)
    assert adam - momentum == parameters


@pytest.mark.parametrize("of", ["train", "eval"])
def test_memory_is_linear_in_depth_and_in_batch(of: str) -> None:
    for name, levels in (("depth", [1, 2, 3, 4]), ("batch_size", [16, 32, 48, 64])):
        found = [held(**{name: level})[of] for level in levels]
        steps = {b - a for a, b in itertools.pairwise(found)}
        assert max(steps) - min(steps) <= 64, (name, found)
        assert min(steps) > 0


@pytest.mark.parametrize(
    ("settings", "grows"),
    [
        ({"dropout": 0.5}, numbers((16, 32), (16, 32))),  # the mask, and what it leaves
        ({"activation": "gelu"}, numbers((16, 32))),  # its derivative needs its input
        ({"norm": "layer"}, None),
        ({"input_noise": 0.1}, numbers((16, 20))),
        ({"precision": "float64"}, None),
        ({"clip_norm": 1.0}, None),
    ],
)
def test_what_keeps_more_for_the_way_back_is_seen(settings: dict[str, Any], grows: int | None) -> None:
    more = held(**settings)["train"] - held()["train"]
    assert more == grows if grows is not None else more > 0


def test_what_changes_no_buffer_changes_nothing_and_is_counted_once() -> None:
    memory._held.cache_clear()
    assert len({tuple(held(lr=lr, init=init).values()) for lr in (0.1, 0.5) for init in ("he_normal", "zeros")}) == 1
    assert memory._held.cache_info().misses == 1


def test_a_row_has_them_whatever_the_company() -> None:
    """A stack-mate with dropout makes buffers for all; a run without it has what it has alone."""
    company = runs(DATA, FIXED | {"train_size": 64}, [{"label": "a"}, {"label": "b", "dropout": 0.5}])
    together = {r["run_id"]: (r["train_bytes"], r["eval_bytes"]) for r in train_stack(company, DATA.data).runs}
    alone = [train_stack([r], DATA.data).runs[0] for r in company]
    assert together == {r["run_id"]: (r["train_bytes"], r["eval_bytes"]) for r in alone}
    (a, _), (b, _) = together[company[0].run_id], together[company[1].run_id]
    assert b > a


def test_the_buffers_are_those_of_the_engine() -> None:
    """What a network and its workspace hold on the CPU, where they are what is trained with, for one run."""
    (run,) = runs(DATA, FIXED | {"norm": "batch", "activation": "prelu", "dropout": 0.5, "depth": 3})
    network = Network([run.settings], run.settings.sizes(DATA.facts), dtype=torch.float32, device=torch.device("cpu"))
    work = Workspace(network, 16, backward=False)
    storages = [t.untyped_storage() for t in memory._tensors([network, work])]
    bytes_of = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    batch = 16 * 20 + 4 * 16 * 32 + 4
    assert memory.held_bytes(run.settings, DATA.data)["eval"] == bytes_of + batch


@pytest.mark.parametrize("of", ["train", "eval"])
def test_convolutions_hold_their_maps_too(of: str) -> None:
    """Channels, taps and borders of every position, in whole vectors of 16 examples: far more than the dense part."""
    images = made_images(n_train=64, n_test=16, image=(8, 8), classes=3)
    fixed = FIXED | {"depth": 0}
    members = runs(images, fixed, [{"conv_channels": []}, {"conv_channels": [2]}, {"conv_channels": [4]}])
    plain, two, four = (memory.held_bytes(r.settings, images.data)[of] for r in members)
    per_channel = 4 * 16 * 64 * (2 if of == "train" else 1)
    assert two - plain > 2 * per_channel + 4 * 16 * (9 * 64 + 100)
    assert four - two >= 2 * per_channel
    noisy = [memory.held_bytes(replace(r.settings, input_noise=0.1), images.data)["train"] for r in members]
    quiet = [memory.held_bytes(r.settings, images.data)["train"] for r in members]
    assert [a - b for a, b in zip(noisy, quiet, strict=True)] == [numbers((16, 64))] * 3
