"""Random streams addressed by (seed, replicate, purpose, position), never by order of use.

Runs that share an address share the draws: that is how conditions of a replicate are paired. Draws are made by numpy on
the CPU whatever the device, so that a CPU and a GPU train on the same batches from the same start.

Reference: numpy's `SeedSequence` (after M. E. O'Neill, 2015) hashes the address; SFC64 (C. Doty-Humphrey) draws.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Purpose = Literal["split", "order", "init", "dropout", "noise", "data", "ranges"]

# The numbers are part of every stream's address: never reuse or change one.
_PURPOSES: dict[Purpose, int] = {"split": 0, "order": 1, "init": 2, "dropout": 3, "noise": 4, "data": 5, "ranges": 6}


def address(purpose: Purpose, replicate: int, *position: int) -> tuple[int, ...]:
    """Return the numbers that stand for an address, all but the seed."""
    return (_PURPOSES[purpose], replicate, *position)


def generator(seed: int, replicate: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """Return the generator of one address; the same address gives the same draws in every process."""
    key = address(purpose, replicate, *position)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))
