"""Kernels of a GPU, in Triton, which comes with builds of torch for CUDA on Linux; imported only where it is.

What they compute is what the plain way computes, bit by bit: a machine without Triton is slower, and that is all.

Reference: P. Tillet, H. T. Kung, D. Cox, "Triton: an intermediate language and compiler for tiled neural network
computations", 2019.
"""

import triton
import triton.language as tl


@triton.jit
def sfc64_uniform(states, out, count):  # type: ignore[no-untyped-def]
    """Write `count` float32 uniforms of the stream whose state is number `program_id` of the states (L, 3) into out (L, N)."""
    lane = tl.program_id(0).to(tl.int64)
    a = tl.load(states + lane * 3).to(tl.uint64, bitcast=True)
    b = tl.load(states + lane * 3 + 1).to(tl.uint64, bitcast=True)
    c = tl.load(states + lane * 3 + 2).to(tl.uint64, bitcast=True)
    w = a * 0 + 1
    out += lane * count
    for i in range(-24, count, 2):  # the first twelve steps mix the seed
        t = a + b + w
        w += 1
        a = b ^ (b >> 11)
        b = c + (c << 3)
        c = ((c << 24) | (c >> 40)) + t
        low = ((t & 0xFFFFFFFF) >> 8).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08
        high = (t >> 40).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08
        tl.store(out + i, low, mask=i >= 0)
        tl.store(out + i + 1, high, mask=(i >= 0) & (i + 1 < count))


@triton.jit  # type: ignore[untyped-decorator]
def gather_scaled(source, index, out, columns, wide, scale, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write row `index[i]` of the bytes `source` (N, columns), divided by `scale`, into row i of out (L, wide), float32."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    fits = column < columns
    x = tl.load(source + tl.load(index + row) * columns + column, mask=fits)
    tl.store(out + row * wide + column, tl.div_rn(x.to(tl.float32), scale), mask=fits)
