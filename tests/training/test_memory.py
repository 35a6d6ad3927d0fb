"""Bytes of a run's buffers: those of the engine's own, whatever its company, and linear where memory should be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from oracle_rows import BASE, ROWS
from small_data import Made, made, made_images, made_numbers, runs
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.experiment.run_settings import RunSettings
from mlpbench.training.batches.minibatches import Gather
from mlpbench.training.batches.training_noise import InputNoise
from mlpbench.training.engine import train_stack
from mlpbench.training.measures.memory import buffer_bytes
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.parameter_updates import Updates

DATA = made(n_train=64, n_test=16, features=20, classes=3)
CLASSES = made(n_train=5000, n_test=16, features=19, classes=5)
NUMBERS = made_numbers(n_train=5000, n_test=16, features=19)
IMAGES = made_images(n_train=700, n_test=16, image=(9, 6), classes=5)
META = torch.device("meta")
FIXED = {"width": 32, "batch_size": 16, "epochs": 1}


def bytes_of(settings: RunSettings, data: Made = DATA) -> dict[str, int]:
    return dict(buffer_bytes(settings, data.facts, data.data.x_train.element_size()))


def held(**settings: Any) -> dict[str, int]:
    (run,) = runs(DATA, FIXED | settings)
    return bytes_of(run.settings)


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
    tuned = held(optimizer={"adam": {"eps": 1e-6}})["train"]
    assert tuned - adam == 3 * 8, "the betas and eps in double precision"


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


def test_what_changes_no_buffer_changes_nothing() -> None:
    assert len({tuple(held(lr=lr, init=init).values()) for lr in (0.1, 0.5) for init in ("he_normal", "zeros")}) == 1


def test_a_row_has_them_whatever_the_company() -> None:
    """A stack-mate with dropout makes buffers for all; a run without it has what it has alone."""
    company = runs(DATA, FIXED | {"train_size": 64}, [{"label": "a"}, {"label": "b", "dropout": 0.5}])
    together = {r["run_id"]: (r["train_bytes"], r["eval_bytes"]) for r in train_stack(company, DATA.data).runs}
    alone = [train_stack([r], DATA.data).runs[0] for r in company]
    assert together == {r["run_id"]: (r["train_bytes"], r["eval_bytes"]) for r in alone}
    (a, _), (b, _) = together[company[0].run_id], together[company[1].run_id]
    assert b > a


def engine_bytes(run: Run, data: Made) -> dict[str, int]:
    """Build the engine's own objects for a run alone, on a device of shapes without numbers, and add up their buffers."""
    s, of = run.settings, data.data.of([run])
    make: dict[str, Any] = {"dtype": torch.float64 if s.precision == "float64" else torch.float32, "device": META}
    found = {}
    for use in ("train", "eval"):
        network = Network([s], s.sizes(data.facts), convolutions=s.convolutions(data.facts), **make)
        work = Workspace(network, s.batch_size, backward=use == "train")
        if work.maps is not None:
            work.maps.room(1)
        owners: list[object] = [network, work, Gather(1, s.batch_size, of.n_features, source=of.x_train.dtype, **make)]
        if use == "train":
            owners += [Updates(network, [s])] + [InputNoise([run], of.n_features, **make)._x] * (s.input_noise > 0)
        storages = [buffer.untyped_storage() for buffer in tensors(owners)]
        found[use] = sum({storage._cdata: storage.nbytes() for storage in storages}.values())
    return found


def tensors(owner: object) -> Iterator[Tensor]:
    """Yield the tensors that objects refer to, through lists, mappings and attributes; some more than once."""
    if isinstance(owner, Tensor):
        yield owner
    elif isinstance(owner, list | tuple | set):
        for item in owner:
            yield from tensors(item)
    elif isinstance(owner, Mapping):
        yield from tensors(list(owner.values()))
    elif type(owner).__module__.startswith("mlpbench.training"):
        yield from tensors(list(vars(owner).values()))


@pytest.mark.parametrize(
    "precision", ["float32", *(pytest.param(p, marks=pytest.mark.slow) for p in ("float64", "bfloat16"))]
)
def test_the_arithmetic_is_that_of_the_engines_buffers_for_every_row_of_the_oracle(precision: str) -> None:
    """Whatever component, norm, schedule, decay, noise or convolution there is: equal to the byte."""
    for name, row in ROWS.items():
        data = NUMBERS if row.numbers else IMAGES if row.images else CLASSES
        fixed = {k: v for k, v in {**BASE, "precision": precision, **row.fixed}.items() if v is not None}
        run = runs(data, fixed, **row.keys)[0]
        assert bytes_of(run.settings, data) == engine_bytes(run, data), name


@pytest.mark.parametrize("of", ["train", "eval"])
def test_convolutions_hold_their_maps_too(of: str) -> None:
    """Channels, taps and borders of every position, in whole vectors of 16 examples: far more than the dense part."""
    images = made_images(n_train=64, n_test=16, image=(8, 8), classes=3)
    fixed = FIXED | {"depth": 0}
    members = runs(images, fixed, [{"conv_channels": []}, {"conv_channels": [2]}, {"conv_channels": [4]}])
    plain, two, four = (bytes_of(r.settings, images)[of] for r in members)
    per_channel = 4 * 16 * 64 * (2 if of == "train" else 1)
    assert two - plain > 2 * per_channel + 4 * 16 * (9 * 64 + 100)
    assert four - two >= 2 * per_channel
    noisy = [bytes_of(replace(r.settings, input_noise=0.1), images)["train"] for r in members]
    quiet = [bytes_of(r.settings, images)["train"] for r in members]
    assert [a - b for a, b in zip(noisy, quiet, strict=True)] == [numbers((16, 64))] * 3
