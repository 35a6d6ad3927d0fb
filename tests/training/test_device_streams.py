"""Streams drawn in lanes are those of numpy, bit by bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.base.streams import address, generator
from mlpbench.training.batches.device_streams import UniformDraws, states, ziggurat
from mlpbench.training.gpu import kernels_for

number = st.integers(0, 2**32 - 1)


@given(seed=st.integers(0, 2**128 - 1), addresses=st.lists(st.lists(number, min_size=4, max_size=4), min_size=1))
def test_states_are_those_of_seed_sequence(seed: int, addresses: list[list[int]]) -> None:
    for found, key in zip(states(seed, addresses), addresses, strict=True):
        expected = np.random.SeedSequence(seed, spawn_key=tuple(key)).generate_state(3, np.uint64)
        assert found.tolist() == expected.tolist()


def test_layers_of_the_ziggurat_are_those_of_numpy() -> None:
    """To the last bit: another bound takes a number more or less from a stream. Digests of numpy's ziggurat_constants.h."""
    digests = [hashlib.sha256(table.tobytes()).hexdigest()[:16] for table in ziggurat()]
    assert digests == ["7e876b6f831f031c", "b00c1701b8ee9b5e", "3ec75aef4fc5308b"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use is on this machine")
@pytest.mark.parametrize("count", [1, 2, 17, 256 * 33])
def test_draws_are_those_of_the_generator(count: int) -> None:
    assert kernels_for(torch.device("cuda:0")) is not None
    streams = [(seed, replicate, layer) for seed in (0, 7, 2**31 + 5) for replicate in (0, 3) for layer in (0, 2)]
    stems = [(seed, address("dropout", replicate, layer)) for seed, replicate, layer in streams]
    draws = UniformDraws(stems, count, torch.device("cuda:0"))
    for step in (0, 1, 2349, 5):
        for (seed, replicate, layer), u in zip(streams, draws.at(step).cpu().numpy(), strict=True):
            expected = generator(seed, replicate, "dropout", layer, step).random(count, dtype=np.float32)
            assert np.array_equal(u, expected)
