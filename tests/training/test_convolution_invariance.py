"""Convolutions with pooling: a run has the same bits alone and in company, wherever it stands, and every time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from run_output import of_run
from small_data import made_images, runs
from torch_reference import POOLINGS

from mlpbench.training.engine import train_stack

COMPANY: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.05, "activation": "sigmoid", "dropout": 0.5, "schedule": "cosine"},
    {"lr": 1e300, "activation": "gelu"},  # more than float32 has: infinite there, from the first step on
    {"lr": 0.1, "activation": "prelu", "init": "he_normal", "weight_decay": 0.1, "label_noise": 0.5},
    {"lr": 0.2, "activation": "elu", "input_noise": 0.2, "bias_init": {"normal": 1.0}},
]
CASES: list[Any] = [
    ((12, 12), {"conv_channels": [1], "pooling": "average"}),
    ((12, 12), {"conv_channels": [3, 1]}),
    ((7, 9), {"conv_channels": [8], "optimizer": "adam", "batch_size": 1, "steps": 3}),
    ((9, 7), {"conv_channels": [17, 3], "pooling": "average", "precision": "float64"}),
    ((15, 15), {"conv_channels": [8, 16], "optimizer": "nesterov", "clip_norm": 0.5, "batch_size": 48}),
    pytest.param((28, 28), {"conv_channels": [8, 16], "width": 64, "l1": 1e-3}, marks=pytest.mark.slow),
    ((11, 6), {"conv_channels": [5, 2], "precision": "bfloat16"}),
]


@pytest.mark.parametrize(("image", "fixed"), CASES)
def test_alone_equals_in_company(image: tuple[int, int], fixed: dict[str, Any]) -> None:
    """Neighbours of every kind, two replicates, one that diverges; a run's rows are the same to the bit."""
    of = made_images(n_train=90, n_test=101, image=image, classes=7)
    shared = {"width": 9, "depth": 1, "batch_size": 37, "steps": 4, "init": {"normal": 0.3}} | fixed
    grid = runs(of, shared, COMPANY, replicates=2)
    stack = [grid[i] for i in (7, 0, 4, 8, 1, 2, 6, 3)]
    company = train_stack(stack, of.data)
    assert sum(row["status"] == "diverged" for row in company.runs) == 1
    for run in stack:
        alone = train_stack([run], of.data)
        assert repr(of_run(alone, run)) == repr(of_run(company, run))


@pytest.mark.parametrize("channels", [[1], [3], *(pytest.param(c, marks=pytest.mark.slow) for c in ([8, 3], [17]))])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_stack_size_and_position_gives_the_same_bits(channels: list[int], pooling: str) -> None:
    of = made_images(n_train=90, n_test=41, image=(10, 7), classes=5)
    fixed = {
        "conv_channels": channels,
        "pooling": pooling,
        "depth": 0,
        "batch_size": 37,
        "steps": 4,
        "activation": "silu",
    }
    grid = runs(of, fixed, replicates=5)
    whole = train_stack(grid, of.data)
    for size, first in itertools.product((1, 2, 3), range(5)):
        stack = [grid[(first + i) % 5] for i in range(size)]
        part = train_stack(stack, of.data)
        for run in stack:
            assert repr(of_run(part, run)) == repr(of_run(whole, run))


def test_a_crowd_changes_no_bits() -> None:
    of = made_images(n_train=40, n_test=41, image=(6, 5), classes=3)
    members = [{"activation": a, "lr": lr} for a in ("prelu", "silu") for lr in (0.1, 0.2)]
    fixed = {"conv_channels": [3, 2], "depth": 0, "batch_size": 16, "steps": 3, "optimizer": "adam", "clip_norm": 0.1}
    crowd = runs(of, fixed, members, replicates=40)
    together = train_stack(crowd, of.data)
    for start in (0, 77, len(crowd) - 2):
        few = crowd[start : start + 2]
        pair = train_stack(few, of.data)
        for run in few:
            assert repr(of_run(pair, run)) == repr(of_run(together, run))


def test_the_same_stack_twice_has_the_same_digest() -> None:
    of = made_images(n_train=90, n_test=30, image=(9, 9), classes=4)
    stack = runs(of, {"conv_channels": [3, 4], "width": 5, "batch_size": 32, "epochs": 2}, replicates=2)
    one, other = ([r["weights_sha256"] for r in train_stack(stack, of.data).runs] for _ in range(2))
    assert one == other
    assert len(set(one)) == 2
