"""Streams: an address means the same draws everywhere, and no two addresses mean the same draws."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from mlpbench.base.streams import Purpose, generator

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

# Drawn with numpy 2.4.6; every stored result rests on them.
GOLDEN_ORDER = [5, 8, 3, 1, 0, 7, 4, 6, 2, 9]
GOLDEN: dict[Purpose, float] = {
    "split": 0.731659385224732,
    "order": 0.007826151822017402,
    "init": 0.08990670708077741,
    "dropout": 0.334087706763198,
    "noise": 0.48959611968509265,
    "data": 0.042364114617627346,
    "ranges": 0.07305535162894394,
}

PRINTS = """
from mlpbench.base.streams import generator
for purpose in ("split", "order", "init", "dropout", "noise", "data", "ranges"):
    print(repr(generator(3, 2, purpose, 1, 5).random(4).tolist()))
"""


def first_word(seed: int, replicate: int, purpose: Purpose, *position: int) -> int:
    return int(generator(seed, replicate, purpose, *position).integers(2**63))


def test_golden_values() -> None:
    """A change of numpy or of the addresses would change every result without a word: it has to fail here."""
    assert generator(0, 0, "order", 0).permutation(10).tolist() == GOLDEN_ORDER
    for purpose, value in GOLDEN.items():
        assert generator(3, 2, purpose, 1, 5).random() == value
    assert set(GOLDEN) == set(PURPOSES)


def test_the_same_address_gives_the_same_draws_whatever_was_drawn_before() -> None:
    before = generator(1, 2, "init", 3).standard_normal(5)
    generator(1, 2, "order", 3).random(1000)
    assert np.array_equal(generator(1, 2, "init", 3).standard_normal(5), before)


def test_no_two_addresses_of_a_grid_give_the_same_draws() -> None:
    """Seeds above 32 bits and positions that end in zeros are where a hash of words would slip."""
    seeds = [0, 1, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1]
    positions = [(), (0,), (0, 0), (0, 0, 0), (1,), (1, 0), (0, 1), (1, 1), (2, 7), (7, 2), (0, 2**31)]
    grid = list(itertools.product(seeds, [0, 1, 2, 29, 99_999], PURPOSES, positions))
    drawn = {first_word(seed, replicate, purpose, *at) for seed, replicate, purpose, at in grid}
    assert len(drawn) == len(grid) == 6 * 5 * 7 * 11


def test_steps_epochs_and_layers_do_not_repeat() -> None:
    drawn = {first_word(0, r, "dropout", layer, step) for r in range(3) for layer in range(4) for step in range(500)}
    assert len(drawn) == 3 * 4 * 500


@pytest.mark.parametrize("axis", ["seed", "replicate", "purpose", "position"])
def test_neighbouring_addresses_are_uncorrelated(axis: str) -> None:
    n = 20_000
    addresses: dict[str, tuple[int, int, Purpose, int]] = {
        "seed": (1, 0, "order", 0),
        "replicate": (0, 1, "order", 0),
        "purpose": (0, 0, "init", 0),
        "position": (0, 0, "order", 1),
    }
    a, b = generator(0, 0, "order", 0).random(n), generator(*addresses[axis]).random(n)
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_another_process_draws_the_same(hash_seed: str) -> None:
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    told = subprocess.run([sys.executable, "-c", PRINTS], env=env, capture_output=True, text=True, check=True)
    here = [repr(generator(3, 2, p, 1, 5).random(4).tolist()) for p in PURPOSES]
    assert told.stdout.splitlines() == here
