"""Kernels of a GPU, in Triton, which comes with builds of torch for CUDA on Linux; imported only where it is.

Each does in one pass over memory what the plain way does in several. Uniform draws and gathered batches have the bits of the
plain way; products, losses and updates agree with it within rounding. A program works on one run alone, in tiles whose sizes
do not follow from the number of runs, so that a run has the same bits alone and in any company.

Shapes: `R` runs, `B` batch, `I` inputs and `O` outputs of a layer (rows of a run are `P` long, see buffers.py), `C` classes.

Reference: P. Tillet, H. T. Kung, D. Cox, "Triton: an intermediate language and compiler for tiled neural network
computations", 2019.
"""

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def sfc64_uniform(states, out, count, lanes, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write `count` float32 uniforms of each of LANES streams, whose states are rows of `states` (L, 3), into out (L, N)."""
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    there = lane < lanes
    a = tl.load(states + lane * 3, mask=there, other=0).to(tl.uint64, bitcast=True)
    b = tl.load(states + lane * 3 + 1, mask=there, other=0).to(tl.uint64, bitcast=True)
    c = tl.load(states + lane * 3 + 2, mask=there, other=0).to(tl.uint64, bitcast=True)
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
        tl.store(out + i, low, mask=there & (i >= 0))
        tl.store(out + i + 1, high, mask=there & (i >= 0) & (i + 1 < count))


@triton.jit  # type: ignore[untyped-decorator]
def sfc64_normal(  # type: ignore[no-untyped-def]
    states, out, count, lanes, widths, bounds, densities, R: tl.constexpr, LANES: tl.constexpr
):  # fmt: skip
    """Write `count` float32 normals of each of LANES streams, as `sfc64_uniform` does uniforms, by numpy's ziggurat.

    A lane is in one of four phases: a number is drawn (0), one at the edge of its layer is examined (1), or one of the tail
    is drawn and examined (2, 3). Of the 256 layers `widths` are float32, `bounds` int32 and `densities` float32.
    """
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    there = lane < lanes
    a = tl.load(states + lane * 3, mask=there, other=0).to(tl.uint64, bitcast=True)
    b = tl.load(states + lane * 3 + 1, mask=there, other=0).to(tl.uint64, bitcast=True)
    c = tl.load(states + lane * 3 + 2, mask=there, other=0).to(tl.uint64, bitcast=True)
    w = a * 0 + 1
    for _ in range(12):
        t = a + b + w
        w += 1
        a = b ^ (b >> 11)
        b = c + (c << 3)
        c = ((c << 24) | (c >> 40)) + t
    at = tl.where(there, 0, count)
    phase, layer = at * 0, at * 0
    x, first = at.to(tl.float32) * 0, at.to(tl.float32) * 0
    out += lane * count
    while tl.min(at, 0) < count:
        t = a + b + w
        w += 1
        a = b ^ (b >> 11)
        b = c + (c << 3)
        c = ((c << 24) | (c >> 40)) + t
        for half in tl.static_range(2):
            drawn = ((t >> (32 * half)) & 0xFFFFFFFF).to(tl.int64)
            own = (drawn & 0xFF).to(tl.int32)
            size = (drawn >> 9).to(tl.int32)
            fresh = size.to(tl.float32) * tl.load(widths + own)
            fresh = tl.where((drawn >> 8) & 1 == 1, -fresh, fresh)
            inside = size < tl.load(bounds + own)
            new = phase == 0
            emits, value = new & inside, fresh
            next_phase = tl.where(new & (inside == 0), tl.where(own == 0, 2, 1), 0)
            if tl.max(tl.where(phase > 0, 1, 0), 0) > 0:
                u = (drawn >> 8).to(tl.float32) * 5.9604644775390625e-08
                edge = tl.where(phase == 1, layer, 1)
                below, above = tl.load(densities + edge), tl.load(densities + edge - 1)
                height = (above - below) * u + below
                wide = x.to(tl.float64)
                under = height.to(tl.float64) < tl.exp(-0.5 * wide * wide)
                minus_log = (-tl.log((1 - u).to(tl.float64))).to(tl.float32)
                beyond = minus_log * (1 / R)
                in_tail = minus_log + minus_log > first * first
                emits = emits | ((phase == 1) & under) | ((phase == 3) & in_tail)
                tail = tl.where((layer >> 8) & 1 == 1, -(R + first), R + first)
                value = tl.where(phase == 1, x, tl.where(phase == 3, tail, value))
                next_phase = tl.where(phase == 2, 3, tl.where((phase == 3) & (in_tail == 0), 2, next_phase))
                first = tl.where(phase == 2, beyond, first)
            # Of the tail, the sign is kept where the layer would be.
            layer = tl.where(new, tl.where(own == 0, size & 0x100, own), layer)
            x = tl.where(new, fresh, x)
            phase = next_phase
            tl.store(out + at, value, mask=emits & (at < count))
            at += tl.where(emits & (at < count), 1, 0)


@triton.jit  # type: ignore[untyped-decorator]
def gather_scaled(  # type: ignore[no-untyped-def]
    source, index, out, columns, wide, labels, labelling, classes, total, rows, SCALE: tl.constexpr, BLOCK: tl.constexpr,
    LABELLED: tl.constexpr,
):  # fmt: skip
    """Write row `index[i]` of the bytes `source` (N, columns), divided by SCALE, into row i of out (L, wide), float32.

    If LABELLED, write its class too, in the labelling of the run that row i is of, one of `rows`: labels (K, total).
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    fits = column < columns
    chosen = tl.load(index + row)
    x = tl.load(source + chosen * columns + column, mask=fits).to(tl.float32)
    # A quotient by the reciprocal, corrected by its remainder: rounded correctly for every byte, in a third of the time.
    quotient = x * (1 / SCALE)
    quotient = tl.fma(tl.fma(quotient, -SCALE, x), 1 / SCALE, quotient)
    tl.store(out + row * wide + column, quotient, mask=fits)
    if LABELLED:
        labelled = tl.load(labelling + row // rows) * total + chosen
        tl.store(classes + row, tl.load(labels + labelled))


@triton.jit  # type: ignore[untyped-decorator]
def _plus_product(total, x, y, PRECISION: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return total + x y; in bfloat16 the operands are rounded to it, and the sum is float32."""
    if PRECISION == "bfloat16":
        total = tl.dot(x.to(tl.bfloat16), y.to(tl.bfloat16), total)
    else:
        total = tl.dot(x, y, total, input_precision=PRECISION)
    return total


@triton.jit  # type: ignore[untyped-decorator]
def affine(  # type: ignore[no-untyped-def]
    x, w, bias, z, rows, columns, depth, x_run, x_row, w_run, w_row, bias_run, z_run, z_row,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, EVEN: tl.constexpr, RELU: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write x W + b, or max(x W + b, 0), into z: x (R, rows, depth), W (R, depth, columns). `EVEN`: DEPTH divides depth."""
    run = tl.program_id(1).to(tl.int64)
    tiles = tl.cdiv(columns, COLUMNS)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    row_fits, column_fits = row[:, None] < rows, column[None, :] < columns
    x += run * x_run + row[:, None] * x_row + k[None, :]
    w += run * w_run + k[:, None] * w_row + column[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, depth, DEPTH):
        if EVEN:
            a = tl.load(x, mask=row_fits, other=0.0)
            b = tl.load(w, mask=column_fits, other=0.0)
        else:
            a = tl.load(x, mask=row_fits & (start + k[None, :] < depth), other=0.0)
            b = tl.load(w, mask=column_fits & (start + k[:, None] < depth), other=0.0)
        total = _plus_product(total, a, b, PRECISION)
        x += DEPTH
        w += DEPTH * w_row
    total += tl.load(bias + run * bias_run + column, mask=column < columns, other=0.0)[None, :]
    if RELU:  # NaN stays NaN, for divergence to be seen
        total = tl.where(total < 0, 0.0, total)
    tl.store(z + run * z_run + row[:, None] * z_row + column[None, :], total, mask=row_fits & column_fits)


@triton.jit  # type: ignore[untyped-decorator]
def back_through(  # type: ignore[no-untyped-def]
    d, w, before, active, mask, rows, columns, depth, d_run, d_row, w_run, w_row, before_run, before_row,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, EVEN: tl.constexpr, RELU: tl.constexpr,
    MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write d W^T, times dropout's mask and ReLU's derivative at `active`, into before; d (R, rows, depth), W (R, columns, depth).

    `active` and `mask` lie as `before` does.
    """
    run = tl.program_id(1).to(tl.int64)
    tiles = tl.cdiv(columns, COLUMNS)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    row_fits, column_fits = row[:, None] < rows, column[None, :] < columns
    d += run * d_run + row[:, None] * d_row + k[None, :]
    w += run * w_run + column[None, :] * w_row + k[:, None]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, depth, DEPTH):
        if EVEN:
            a = tl.load(d, mask=row_fits, other=0.0)
            b = tl.load(w, mask=column_fits, other=0.0)
        else:
            a = tl.load(d, mask=row_fits & (start + k[None, :] < depth), other=0.0)
            b = tl.load(w, mask=column_fits & (start + k[:, None] < depth), other=0.0)
        total = _plus_product(total, a, b, PRECISION)
        d += DEPTH
        w += DEPTH
    place = run * before_run + row[:, None] * before_row + column[None, :]
    fits = row_fits & column_fits
    if MASKED:
        total *= tl.load(mask + place, mask=fits, other=0.0)
    if RELU:
        total = tl.where(tl.load(active + place, mask=fits, other=0.0) <= 0, 0.0, total)
    tl.store(before + place, total, mask=fits)


@triton.jit
def _note_if_not_finite(flag, values):  # type: ignore[no-untyped-def]
    bad = tl.max(tl.max(tl.where(tl.abs(values) < float("inf"), 0, 1), 1), 0)
    tl.atomic_or(flag, 1, mask=bad > 0)


@triton.jit  # type: ignore[untyped-decorator]
def descend(  # type: ignore[no-untyped-def]
    x, d, w, factor, flags, rows, padded_rows, columns, depth, x_run, x_row, d_run, d_row, w_run, w_row,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, EVEN: tl.constexpr, SUBTRACT: tl.constexpr,
    DECAYS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write x^T d into w, or, to `SUBTRACT`, take it from w times a run's factor; x (R, depth, rows), d (R, depth, columns).

    Where weights are not finite then, the run's flag is set. Of x, `padded_rows` may be read.
    """
    run = tl.program_id(1).to(tl.int64)
    tiles = tl.cdiv(columns, COLUMNS)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    column_fits = column[None, :] < columns
    x += run * x_run + k[None, :] * x_row + row[:, None]
    d += run * d_run + k[:, None] * d_row + column[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, depth, DEPTH):
        if EVEN:
            a = tl.load(x, mask=row[:, None] < padded_rows, other=0.0)
            b = tl.load(d, mask=column_fits, other=0.0)
        else:
            a = tl.load(x, mask=(row[:, None] < padded_rows) & (start + k[None, :] < depth), other=0.0)
            b = tl.load(d, mask=column_fits & (start + k[:, None] < depth), other=0.0)
        total = _plus_product(total, a, b, PRECISION)
        x += DEPTH * x_row
        d += DEPTH * d_row
    fits = (row[:, None] < rows) & column_fits
    place = w + run * w_run + row[:, None] * w_row + column[None, :]
    if SUBTRACT:
        old = tl.load(place, mask=fits, other=0.0)
        if DECAYS:
            old *= tl.load(factor + run)
        total = old - total
        _note_if_not_finite(flags + run, tl.where(fits, total, 0.0))
    tl.store(place, total, mask=fits)


@triton.jit  # type: ignore[untyped-decorator]
def descend_biases(  # type: ignore[no-untyped-def]
    d, bias, factor, flags, rows, columns, d_run, d_row, bias_run,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, SUBTRACT: tl.constexpr, DECAYS: tl.constexpr,
):  # fmt: skip
    """Write the sums of d over its rows into the bias, or take them from it, as `descend` does; d (R, rows, columns)."""
    run = tl.program_id(1).to(tl.int64)
    row, column = tl.arange(0, ROWS), tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    fits = column < columns
    d += run * d_run + row[:, None] * d_row + column[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, rows, ROWS):
        total += tl.load(d, mask=(start + row[:, None] < rows) & fits[None, :], other=0.0)
        d += ROWS * d_row
    found = tl.sum(total, 0)
    if SUBTRACT:
        old = tl.load(bias + run * bias_run + column, mask=fits, other=0.0)
        if DECAYS:
            old *= tl.load(factor + run)
        found = old - found
        _note_if_not_finite(flags + run, tl.where(fits, found, 0.0)[None, :])
    tl.store(bias + run * bias_run + column, found, mask=fits)


@triton.jit  # type: ignore[untyped-decorator]
def cross_entropy(  # type: ignore[no-untyped-def]
    z, y, rate, d, losses, rows, classes, z_run, z_row, d_run, d_row, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """Write the sum of a run's cross-entropies into losses (R), and their gradients, times rate / rows, into d (R, rows, P).

    z (R, rows, P) are outputs, y (R, rows) classes; columns of d beyond the classes are left alone.
    """
    run = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    scale = tl.div_rn(tl.load(rate + run), rows.to(tl.float32))
    sums = tl.zeros((ROWS,), tl.float32)
    for start in range(0, rows, ROWS):
        row = start + tl.arange(0, ROWS)
        fits = (row[:, None] < rows) & (column[None, :] < classes)
        own = tl.load(z + run * z_run + row[:, None] * z_row + column[None, :], mask=fits, other=float("-inf"))
        label = tl.load(y + run * rows + row, mask=row < rows, other=0)
        own -= tl.max(tl.where(row[:, None] < rows, own, 0.0), 1)[:, None]
        is_class = column[None, :] == label[:, None]
        chosen = tl.sum(tl.where(is_class & fits, own, 0.0), 1)
        p = tl.exp(own)
        total = tl.sum(p, 1)
        sums += tl.where(row < rows, tl.log(total) - chosen, 0.0)
        gradient = p * tl.div_rn(scale, total)[:, None] - tl.where(is_class, scale, 0.0)
        tl.store(d + run * d_run + row[:, None] * d_row + column[None, :], gradient, mask=fits)
    tl.store(losses + run, tl.sum(sums, 0))


@triton.jit  # type: ignore[untyped-decorator]
def note_not_finite(w, flags, size, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Set the flag of a run any of whose numbers w (R, size) is not finite."""
    run = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    own = tl.load(w + run * size + at, mask=at < size, other=0.0)
    _note_if_not_finite(flags + run, own[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def take_flags(flags, losses, finite, runs, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write whether a run's loss is finite and its flag not set into finite (R), and unset the flag."""
    run = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    fits = run < runs
    bad = tl.load(flags + run, mask=fits, other=0)
    loss = tl.load(losses + run, mask=fits, other=0.0)
    tl.store(finite + run, (bad == 0) & (tl.abs(loss) < float("inf")), mask=fits)
    tl.store(flags + run, tl.zeros((BLOCK,), tl.int32), mask=fits)


@triton.jit  # type: ignore[untyped-decorator]
def update(  # type: ignore[no-untyped-def]
    w, g, m, v, rate, parameter, decay, number, corrections, flags, size, BLOCK: tl.constexpr, RULE: tl.constexpr,
    DECAYS: tl.constexpr, ALPHA: tl.constexpr, BETA_1: tl.constexpr, BETA_2: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """Take an optimiser's step, as `experiment.components.optimisers` has it: w, g and the states m and v are (R, size).

    `corrections` has 1 - beta_1^t and the root of 1 - beta_2^t of every step t, of which this is `number`; `ALPHA` is that of RMSprop.
    """
    run = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    fits = at < size
    place = run * size + at
    eta = tl.load(rate + run)
    weight = tl.load(w + place, mask=fits, other=0.0)
    slope = tl.load(g + place, mask=fits, other=0.0)
    if DECAYS:
        by = tl.load(decay + run)
        if RULE == "adamw":
            weight *= 1 - eta * by
        else:
            slope += weight * by
    if RULE == "sgd":
        weight -= slope * eta
    elif RULE == "momentum" or RULE == "nesterov":
        mu = tl.load(parameter + run)
        moment = tl.load(m + place, mask=fits, other=0.0) * mu + slope
        tl.store(m + place, moment, mask=fits)
        if RULE == "nesterov":
            weight -= (slope + moment * mu) * eta
        else:
            weight -= moment * eta
    elif RULE == "rmsprop":
        square = tl.load(m + place, mask=fits, other=0.0) * ALPHA + slope * slope * (1 - ALPHA)
        tl.store(m + place, square, mask=fits)
        weight -= tl.div_rn(slope * eta, tl.sqrt_rn(square) + EPS)
    elif RULE == "adam" or RULE == "adamw":
        moment = tl.load(m + place, mask=fits, other=0.0)
        moment += (slope - moment) * (1 - BETA_1)
        square = tl.load(v + place, mask=fits, other=0.0) * BETA_2 + slope * slope * (1 - BETA_2)
        tl.store(m + place, moment, mask=fits)
        tl.store(v + place, square, mask=fits)
        own = corrections + 2 * tl.load(number).to(tl.int64)
        scale = tl.div_rn(tl.sqrt_rn(square), tl.load(own + 1)) + EPS
        weight -= tl.div_rn(moment * tl.div_rn(eta, tl.load(own)), scale)
    tl.store(w + place, weight, mask=fits)
    _note_if_not_finite(flags + run, weight[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def dropout_masks(  # type: ignore[no-untyped-def]
    u, stream, keep_from, scale, mask, rows, columns, u_run, mask_run, mask_row,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write a run's scale where its stream's uniforms u (G, rows x columns) are at least `keep_from`, else 0, into mask."""
    run = tl.program_id(1).to(tl.int64)
    tiles = tl.cdiv(columns, COLUMNS)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    column = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    fits = (row < rows) & (column < columns)
    drawn = tl.load(u + tl.load(stream + run) * u_run + row * columns + column, mask=fits, other=0.0)
    keeps = tl.where(drawn >= tl.load(keep_from + run), tl.load(scale + run), 0.0)
    tl.store(mask + run * mask_run + row * mask_row + column, keeps, mask=fits)
