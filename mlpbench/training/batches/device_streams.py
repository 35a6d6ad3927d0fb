"""Draws of many addressed streams at once, on a GPU: those of `base.streams.generator`, uniforms bit by bit.

A stream is a number after the other: on a GPU each has a thread, and those of many streams and steps run side by side. All is
integer arithmetic, so that there is nothing to round.

    state (x, y, z)   numpy's SeedSequence of the seed and the address: see `states`
    SFC64             t = a + b + w;  w += 1;  a = b ^ (b >> 11);  b = c + (c << 3);  c = rotl(c, 24) + t;  t is drawn
    uniform           (u >> 8) / 2^24, u the lower and then the upper half of t
    normal            numpy's ziggurat of 256 layers: see `ziggurat`; in the tail, a logarithm may round elsewhere

Shapes: `L` lanes, one a stream and step; `N` numbers.

References: G. Marsaglia, W. W. Tsang, "The ziggurat method for generating random variables", 2000; M. E. O'Neill, "Developing a seed_seq alternative", 2015; C. Doty-Humphrey, "PractRand", for SFC64; numpy 2.4,
`numpy/random/bit_generator.pyx` and `sfc64.h`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.training.gpu import kernels_for

Words = NDArray[np.uint32]
POOL = 4
# Of SeedSequence, as numpy has them.
INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875
INIT_B, MULT_B = 0x8B51F9DD, 0x58F38DED
MIX_L, MIX_R = 0xCA01F9DD, 0x4973F715
BITS = 0xFFFFFFFF
# A lane takes as long as many: draws for so many bytes of steps are made at once.
BYTES_AHEAD = 2**29
MOST_AHEAD = 64
LANES = 32
# Of numpy's ziggurat: where the tail of a normal begins, and the area of each layer.
TAIL, AREA = 3.6541528853610088, 0.00492867323399


def states(seed: int, addresses: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """Return what SeedSequence(seed, spawn_key=address).generate_state(3, np.uint64) is for each address, of shape (L, 3).

    The addresses have equally many numbers, each below 2^32; the seed is below 2^128.
    """
    entropy = [seed >> 32 * i & BITS for i in range(POOL)]
    words = np.hstack([np.tile(np.array(entropy, np.uint32), (len(addresses), 1)), np.array(addresses, np.uint32)])
    constant = INIT_A

    def hashed(value: Words) -> Words:
        nonlocal constant
        value = value ^ np.uint32(constant)
        constant = constant * MULT_A & BITS
        value = value * np.uint32(constant)
        hashed_value: Words = value ^ (value >> np.uint32(16))
        return hashed_value

    def mixed(x: Words, y: Words) -> Words:
        result: Words = x * np.uint32(MIX_L) - y * np.uint32(MIX_R)
        return result ^ (result >> np.uint32(16))

    with np.errstate(over="ignore"):
        pool = [hashed(words[:, i]) for i in range(POOL)]
        for source in range(POOL):
            for into in range(POOL):
                if source != into:
                    pool[into] = mixed(pool[into], hashed(pool[source]))
        for source in range(POOL, words.shape[1]):
            for into in range(POOL):
                pool[into] = mixed(pool[into], hashed(words[:, source]))
        constant = INIT_B
        halves = []
        for i in range(6):
            value = pool[i % POOL] ^ np.uint32(constant)
            constant = constant * MULT_B & BITS
            value = value * np.uint32(constant)
            halves.append((value ^ (value >> np.uint32(16))).astype(np.uint64))
    return np.stack([halves[2 * i] | halves[2 * i + 1] << np.uint64(32) for i in range(3)], axis=1)


class UniformDraws:
    """The float32 draws of some streams, `count` for each step, made for some steps ahead.

    A stream is a seed and an address but for its last number, the step.
    """

    bytes_ahead = BYTES_AHEAD

    def __init__(self, streams: Sequence[tuple[int, Sequence[int]]], count: int, device: torch.device) -> None:
        self._streams, self._count = streams, count
        self._ahead = max(1, min(MOST_AHEAD, self.bytes_ahead // (4 * count * len(streams))))
        self._u_SGN = torch.empty(self._ahead, len(streams), count, device=device)
        self._first: int | None = None

    def at(self, step: int) -> Tensor:
        """Return the draws of a step, of shape (streams, count)."""
        if self._first is None or not self._first <= step < self._first + self._ahead:
            self._draw(step)
            self._first = step
        return self._u_SGN[step - self._first]

    def _launch(self, kernels: ModuleType, lanes: Tensor, total: int) -> None:
        kernels.sfc64_uniform[(-(-total // LANES),)](lanes, self._u_SGN, self._count, total, LANES=LANES, num_warps=1)

    def _draw(self, first: int) -> None:
        steps, streams = range(first, first + self._ahead), len(self._streams)
        lanes = torch.empty(self._ahead, streams, 3, dtype=torch.int64, pin_memory=torch.cuda.is_available())
        # Of one seed at once: a call for each stream takes longer than a step.
        for seed in dict.fromkeys(seed for seed, _ in self._streams):
            of_seed = [i for i, (own, _) in enumerate(self._streams) if own == seed]
            drawn = states(seed, [(*self._streams[i][1], step) for step in steps for i in of_seed])
            lanes.numpy()[:, of_seed] = drawn.view(np.int64).reshape(self._ahead, len(of_seed), 3)
        kernels = kernels_for(self._u_SGN.device)
        assert kernels is not None, "who asks for draws has kernels"
        total = self._ahead * streams
        self._launch(kernels, lanes.to(self._u_SGN.device, non_blocking=True), total)


class NormalDraws(UniformDraws):
    """The float32 standard normals of some streams, as `UniformDraws` has uniforms; there are more of them."""

    bytes_ahead = 2 * BYTES_AHEAD

    def _launch(self, kernels: ModuleType, lanes: Tensor, total: int) -> None:
        tables = [torch.from_numpy(t).to(lanes.device) for t in ziggurat()]
        # As numpy's compiler does, no product and sum in one step: which numbers are taken follows from their rounding.
        kernels.sfc64_normal[(-(-total // LANES),)](
            lanes, self._u_SGN, self._count, total, *tables, R=TAIL, LANES=LANES, num_warps=1, enable_fp_fusion=False
        )


@functools.cache
def ziggurat() -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """Return the layers of numpy's ziggurat of normals: widths / 2^23, bounds of what lies inside, densities at the edges.

    Layers have the area AREA under f(x) = exp(-x^2 / 2); the lowest has the tail beyond TAIL.
    """
    scale, edge = 2.0**23, TAIL
    widths, bounds, densities = np.zeros(256), np.zeros(256), np.ones(256)
    base = AREA / np.exp(-0.5 * edge * edge)
    widths[0], bounds[0] = base / scale, edge / base * scale
    widths[255], densities[255] = edge / scale, np.exp(-0.5 * edge * edge)
    for i in range(254, 0, -1):
        above = np.sqrt(-2 * np.log(AREA / edge + np.exp(-0.5 * edge * edge)))
        bounds[i + 1], edge = above / edge * scale, above
        widths[i], densities[i] = edge / scale, np.exp(-0.5 * edge * edge)
    return widths.astype(np.float32), np.rint(bounds).astype(np.int32), densities.astype(np.float32)
