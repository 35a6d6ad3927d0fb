"""Which runs are trained together: stacks by signature, size and cost, by arithmetic alone.

Runs with one signature (shapes, data, batch size, steps, loss, precision) may stand in one stack. How runs are put
together changes neither their bits nor their rows, only how long it all takes.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.components.optimisers import optimiser
from mlpbench.experiment.components.own_pieces import is_own
from mlpbench.experiment.components.parametrizations import STANDARD
from mlpbench.experiment.convolution_shapes import Convolution
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.experiment.metrics.set_scores import keeps_outputs
from mlpbench.experiment.value_types import parse_call

# Measured on two-core AVX-512 machines at batch 256, one thread: the rate of the products, and what an example costs
# beside them (gathering, scaling, the loss).
FLOPS_PER_SECOND = 95e9
SECONDS_PER_EXAMPLE = 0.8e-6
SECONDS_PER_UNIT = 0.3e-9
SECONDS_PER_DROPOUT_DRAW = 2e-9
SECONDS_PER_NOISE_DRAW = 8e-9
SECONDS_PER_STEP = 150e-6
# What convolutions cost beside their products, which memory holds up: training and evaluation.
SECONDS_PER_MAP_UNIT = (4e-9, 1e-9)
SECONDS_PER_TAP = (2e-9, 0.6e-9)
# What a piece of a plugin costs a run: each call, and each unit of an example in an activation, forward and backward.
SECONDS_PER_OWN_CALL = 50e-6
SECONDS_PER_OWN_UNIT = 14e-9
# Beyond this, weights and batches of a stack fall out of the last-level cache and the products slow down.
BEST_STACK_BYTES = 16 * 2**20
# Work that takes a worker longer than this is cut into more stacks than workers, even where it could be shared without:
# an interruption loses the stacks that have not ended.
SECONDS_UNCUT = 60.0
# First layers of at most this many units stand side by side where runs share a batch (see training/network/fused.py).
FUSED_UNITS = 48
EVALUATION_CHUNK = 1000
# Of images on their way through convolutions, whose taps take much memory: whole vectors of examples (see buffers.py).
CONVOLVED_CHUNK = 80
CURVE_EXAMPLES = 10_000
PROBE_EXAMPLES = 256
# On a GPU runs are trained in bricks of this many, or of a half, a quarter, ... where they would have more weights than this.
BRICK = 32
BRICK_WEIGHTS = 2**28
# Measured on an H100: the rate of a brick's products, what a step costs beside them and for each hidden layer, an example of
# a run that is evaluated, and a stack's start and end.
GPU_FLOPS_PER_SECOND = 39e12
GPU_SECONDS_PER_STEP = 60e-6
GPU_SECONDS_PER_LAYER = 15e-6
GPU_SECONDS_PER_EVALUATED = 30e-9
GPU_SECONDS_PER_STACK = 0.2
# Curves have a point after each epoch; of more epochs than this, after as many of them at most, evenly spaced.
CURVE_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Runs to be trained together, with the time and memory they are expected to take in one worker."""

    runs: tuple[Run, ...]
    seconds: float
    bytes: int
    flops: int

    @property
    def stack_id(self) -> str:
        """Name of the stack's files: a hash of its runs."""
        return hashlib.sha256(",".join(sorted(r.run_id for r in self.runs)).encode()).hexdigest()[:16]


def plan(runs: Sequence[Run], *, workers: int, memory: int, on_gpu: bool = False) -> list[Stack]:
    """Return stacks that cover the runs once, long ones first, each within `memory` bytes and fit to share the work.

    On a GPU a stack is a `brick` of runs, or what is left of them.
    """
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.data.fingerprint, signature(run.settings)), []).append(run)
    counted = [(_counted(g), g[0].data) for g in groups.values()]
    cuts = _cuts(counted, workers=workers, memory=memory, on_gpu=on_gpu)
    stacks = []
    for g, places in zip(groups.values(), cuts, strict=True):
        ordered = sorted(g, key=neighbourhood)
        stacks += [make_stack(ordered[a:b], on_gpu=on_gpu) for a, b in itertools.pairwise(places)]
    return sorted(stacks, key=lambda s: (-s.seconds, s.stack_id))


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The number of stacks of a plan, their work in one worker, the longest of them, and the memory of the largest."""

    stacks: int
    flops: int
    seconds: float
    longest: float
    bytes: int
    on_gpu: bool = False

    def busy(self, workers: int) -> int:
        """Return how many of the workers have a stack to train."""
        return min(workers, max(1, self.stacks))

    def elapsed(self, workers: int) -> float:
        """Return the seconds that this many workers are expected to take; on a GPU they share it."""
        if self.on_gpu:
            return round(self.seconds, 1)
        return round(max(self.longest, self.seconds / self.busy(workers)), 1)


def outline(
    wanted: Iterable[tuple[RunSettings, DataFacts, int]], *, workers: int, memory: int, on_gpu: bool = False
) -> Outline:
    """Return the outline of what `plan` gives for a number of runs of each settings on a data set, without making the runs.

    Where runs of one signature differ in what they cost (dropout, noise), each counts as their mean.
    """
    groups: dict[tuple[Any, ...], tuple[Counter[RunSettings], DataFacts]] = {}
    for settings, facts, n in wanted:
        if n:
            groups.setdefault((facts.fingerprint, signature(settings)), (Counter(), facts))[0][settings] += n
    flops, memories, stacks = 0, [0], []
    cuts = _cuts(list(groups.values()), workers=workers, memory=memory, on_gpu=on_gpu)
    for (g, data), places in zip(groups.values(), cuts, strict=True):
        s, n = next(iter(g)), g.total()
        each = (_seconds(g, data) - _seconds_of_steps(s)) / n
        sizes = [b - a for a, b in itertools.pairwise(places)]
        if on_gpu:
            stacks += [_seconds_on_gpu(s, data)] * len(sizes)
        else:
            stacks += [size * each + _seconds_of_steps(s) for size in sizes]
        memories.append(max(sizes) * run_bytes(s, data))
        flops += n * training_flops(s, data)
    return Outline(
        stacks=len(stacks),
        flops=flops,
        seconds=sum(stacks),
        longest=max(stacks, default=0.0),
        bytes=max(memories),
        on_gpu=on_gpu,
    )


def neighbourhood(run: Run) -> tuple[Any, ...]:
    """Return what neighbours have in common: runs of one replicate, fold and shift share batches, of one activation its kernel."""
    fold = -1 if run.fold is None else run.fold
    return (sorted(run.streams.items()), fold, run.settings.train_shift, run.settings.activation, run.run_id)


def signature(s: RunSettings) -> tuple[Any, ...]:
    """Return what runs of one stack have in common."""
    shapes = (s.hidden_sizes, s.batch_size, s.steps, s.train_size, s.n_validation, s.folds, s.norm, s.loss, s.precision)
    inputs = (s.features, s.input_scale, s.conv_channels, s.pooling)
    name, numbers = parse_call(s.optimizer)
    return (
        *shapes,
        *inputs,
        s.n_fit,
        s.weighs_examples,
        s.label_smoothing > 0,
        name,
        len(numbers),  # with more of them than usual it has another rule
        s.clip_norm is None,
        s.l1 > 0,
        s.bias,
        s.residual,
        s.parametrization == STANDARD,
        s.stops_early,
    )


def make_stack(runs: Iterable[Run], *, on_gpu: bool = False) -> Stack:
    """Return the stack of these runs of one data set with its estimates."""
    members = tuple(runs)
    data = members[0].data
    return Stack(
        runs=members,
        seconds=_seconds_on_gpu(members[0].settings, data) if on_gpu else seconds(members),
        bytes=len(members) * run_bytes(members[0].settings, data),
        flops=len(members) * training_flops(members[0].settings, data),
    )


def training_flops(s: RunSettings, data: DataFacts, steps: int | None = None) -> int:
    """Return the operations of training's matrix products: 2 a multiply-add, no gradient for the inputs.

    Of so many `steps`, by default of all of them, as if no run stopped early.
    """
    products = sum(n * (2 if layer == 0 else 3) for layer, n in enumerate(_products(s, data)))
    return 2 * products * examples_seen(s, steps)


def _products(s: RunSettings, data: DataFacts) -> list[int]:
    """Return the multiply-adds of an example's way forward, layer by layer: convolutions first, a product a position."""
    return [*(c.products for c in s.convolutions(data)), *(i * o for i, o in itertools.pairwise(s.sizes(data)))]


def evaluation_chunk(s: RunSettings) -> int:
    """Return how many examples are evaluated at once, which is part of a run's bits."""
    return CONVOLVED_CHUNK if s.conv_channels else EVALUATION_CHUNK


def examples_seen(s: RunSettings, steps: int | None = None) -> int:
    """Return how many examples training reads, with repetition, in all steps or in so many."""
    epochs, rest = divmod(s.steps if steps is None else steps, s.steps_per_epoch)
    return epochs * s.n_fit + rest * s.batch_size


def probe_steps(s: RunSettings, epochs: Sequence[float] | None) -> list[int]:
    """Return after how many steps layers are measured: by default at the start and at the end, which is infinity."""
    wanted = (0.0, math.inf) if epochs is None else epochs
    steps = {s.steps if math.isinf(e) else round(e * s.steps_per_epoch) for e in wanted}
    return sorted(step for step in steps if step <= s.steps)


def brick(s: RunSettings, data: DataFacts) -> int:
    """Return how many runs a GPU trains at once, copies among them where there are fewer: a part of a run's bits there."""
    most = max(1, BRICK_WEIGHTS // sum(i * o for i, o in s.layer_shapes(data)))
    return min(BRICK, 1 << (most.bit_length() - 1))


def curve_steps(s: RunSettings) -> list[int]:
    """Return after how many steps curves have a point: at the start, after epochs, and at the end."""
    every = math.ceil(s.steps / (s.steps_per_epoch * CURVE_POINTS)) * s.steps_per_epoch
    return sorted({0, s.steps, *range(0, s.steps, max(every, 1))})


def evaluation_examples(s: RunSettings, data: DataFacts) -> int:
    """Return how many examples are evaluated: those of the curves at each point, and all of them at the end."""
    points = max(1, len(curve_steps(s)) - 1)  # the last one is part of the evaluation at the end
    held_out = s.n_validation + (data.n_test if s.in_fold is None else 0)
    stopping = s.n_validation * math.ceil(s.steps / s.steps_per_epoch) if s.stops_early else 0
    return stopping + points * (min(CURVE_EXAMPLES, s.n_fit) + held_out) + s.n_fit + held_out


def seconds(runs: Sequence[Run]) -> float:
    """Return the time that training these runs of one signature and data set is expected to take in one worker."""
    return _seconds(_counted(runs), runs[0].data)


def _counted(runs: Sequence[Run]) -> Counter[RunSettings]:
    """Return how many runs have each settings; those of a condition share them, so that few are hashed."""
    objects = {id(s): s for s in (r.settings for r in runs)}
    counts: Counter[RunSettings] = Counter()
    for place, n in Counter(id(r.settings) for r in runs).items():
        counts[objects[place]] += n
    return counts


def _seconds(group: Counter[RunSettings], data: DataFacts) -> float:
    """Return the time that runs of one signature take, given the number of runs of each settings."""
    return sum(n * _seconds_each(s, data) for s, n in group.items()) + _seconds_of_steps(next(iter(group)))


def _seconds_of_steps(s: RunSettings) -> float:
    """Return what the steps of a stack cost however many runs take them."""
    return s.steps * SECONDS_PER_STEP * (1 + len(s.hidden_sizes) + 2 * len(s.conv_channels))


def _seconds_each(s: RunSettings, data: DataFacts) -> float:
    forward = 2 * sum(_products(s, data))
    units = sum(s.hidden_sizes) + data.n_outputs
    seen, evaluated = examples_seen(s), evaluation_examples(s, data)
    drawn = sum(u for u, p in zip(s.hidden_sizes, s.dropout, strict=True) if p > 0)
    noise = s.n_inputs(data) if s.input_noise > 0 else 0
    return (
        (training_flops(s, data) + evaluated * forward) / FLOPS_PER_SECOND * (2 if s.precision == "float64" else 1)
        + seen
        * (
            SECONDS_PER_EXAMPLE
            + 2 * units * SECONDS_PER_UNIT
            + drawn * SECONDS_PER_DROPOUT_DRAW
            + noise * SECONDS_PER_NOISE_DRAW
        )
        + evaluated * (units * SECONDS_PER_UNIT + SECONDS_PER_EXAMPLE / 4)
        + _seconds_of_maps(s.convolutions(data), seen, evaluated)
        + _seconds_of_own(s, data, seen)
    )


def _seconds_of_own(s: RunSettings, data: DataFacts, seen: int) -> float:
    """Return what pieces of plugins cost a run beside what the package's own would: they are called run by run."""
    calls = 2 * s.n_hidden * is_own(s.activation) + 2 * is_own(s.loss) + 2 * s.n_layers * is_own(s.optimizer)
    units = (sum(s.hidden_sizes) + sum(c.units for c in s.convolutions(data))) * is_own(s.activation)
    return s.steps * calls * SECONDS_PER_OWN_CALL + seen * units * SECONDS_PER_OWN_UNIT


def _seconds_on_gpu(s: RunSettings, data: DataFacts) -> float:
    """Return the time that a GPU takes for a brick of such runs, however many of them are copies."""
    runs, layers = brick(s, data), len(s.hidden_sizes) + 2 * len(s.conv_channels)
    return (
        s.steps * (GPU_SECONDS_PER_STEP + layers * GPU_SECONDS_PER_LAYER)
        + runs * training_flops(s, data) / GPU_FLOPS_PER_SECOND
        + runs * evaluation_examples(s, data) * GPU_SECONDS_PER_EVALUATED
        + GPU_SECONDS_PER_STACK
    )


def _seconds_of_maps(layers: Sequence[Convolution], seen: int, evaluated: int) -> float:
    """Return what convolutions cost beside their products; the images' taps have no gradient, and runs share them."""
    units, taps = sum(c.units for c in layers), sum(c.taps for c in layers)
    (unit, unit_ahead), (tap, tap_ahead) = SECONDS_PER_MAP_UNIT, SECONDS_PER_TAP
    training = units * unit + sum(c.taps for c in layers[1:]) * tap
    return seen * training + evaluated * (units * unit_ahead + taps * tap_ahead)


def run_bytes(s: RunSettings, data: DataFacts) -> int:
    """Return the memory of one more run in a stack, beyond the data that all workers share."""
    itemsize = 8 if s.precision == "float64" else 4
    weights = sum(i * o for i, o in s.layer_shapes(data))
    # Beside the weights: those before a probed step and the probe's gradients; then what the update keeps.
    states = optimiser(s.optimizer)[0].states
    copies = 3 + (s.precision == "bfloat16") + (0 if s.plain_sgd else 1 + states)
    rows = 5 * s.batch_size + 2 * EVALUATION_CHUNK + 4 * PROBE_EXAMPLES
    if s.residual:  # sums of layers, and their gradients
        rows += 2 * s.batch_size + EVALUATION_CHUNK + 2 * PROBE_EXAMPLES
    inputs = (s.batch_size + EVALUATION_CHUNK) * s.n_inputs(data)
    numbers = (
        copies * weights + rows * (sum(s.hidden_sizes) + 16) + inputs + _map_numbers(s, data) + _fused_numbers(s, data)
    )
    if s.in_fold is None and keeps_outputs(data.n_test, data.n_classes):
        numbers += data.n_test * data.n_outputs
    # Where runs stop early the best epochs are kept, and a stack that shrinks stands beside what is left of it.
    numbers *= 1 + s.stops_early
    # A draw stands alone and below others; the one being made is in float64 too.
    return itemsize * numbers + 8 * s.n_fit + 3 * data.draw_bytes


def _whole_vectors(n: int) -> int:
    """Return n rounded up to whole vectors of 16, as buffers are laid out (see training/buffers.py)."""
    return -(-n // 16) * 16


def _fused_numbers(s: RunSettings, data: DataFacts) -> int:
    """Return how many numbers stand side by side with other runs': in training, for two ways to share examples, in a trial."""
    inputs, units = s.sizes(data)[:2]
    if units > FUSED_UNITS or s.precision != "float32" or s.conv_channels:
        return 0
    wide = _whole_vectors(units)
    return (3 + 3) * inputs * wide + (s.batch_size + (2 + 4) * EVALUATION_CHUNK) * wide


def _map_numbers(s: RunSettings, data: DataFacts) -> int:
    """Return how many numbers convolutions keep: examples stand in whole vectors of 16."""
    layers = s.convolutions(data)
    if not layers:
        return 0
    lanes = {n: _whole_vectors(n) for n in (s.batch_size, CONVOLVED_CHUNK, PROBE_EXAMPLES)}
    left = layers[-1].channels * layers[-1].cells
    ahead = sum(c.units + c.taps + c.frame for c in layers) + left
    # On the way back an activation's inputs and the errors stand beside, and PReLU's products for a while.
    back = ahead + sum(2 * c.units + c.frame for c in layers) + left
    largest = max(c.units for c in layers)
    # Probes are measured in double precision, layer by layer.
    probe = lanes[PROBE_EXAMPLES] * (back + 8 * largest)
    return lanes[s.batch_size] * (back + 2 * largest) + lanes[CONVOLVED_CHUNK] * ahead + probe


def _cuts(
    groups: Sequence[tuple[Counter[RunSettings], DataFacts]], *, workers: int, memory: int, on_gpu: bool
) -> Iterator[list[int]]:
    """Yield where the runs of each signature and data set are cut into near-equal stacks; both ends are included.

    Stacks are within memory and cache. Work that is a large part of all is cut further, so that stacks can be dealt out to
    the workers; work of one signature is cut evenly anyway.
    """
    times = [_seconds(g, data) for g, data in groups]
    alone = len(groups) == 1
    rounds = 1 if alone and sum(times) / workers < SECONDS_UNCUT else 2
    for (g, data), time in zip(groups, times, strict=True):
        n, s = g.total(), next(iter(g))
        if on_gpu:
            yield [*range(0, n, brick(s, data)), n]
            continue
        largest = max(1, min(_best(s, data, _sharing(g)), memory // run_bytes(s, data)))
        # A share that is a whole number but for its rounding is that number.
        least = math.ceil(rounds * workers * time / sum(times) * (1 - 1e-9))
        # A stack of one is trained as a stack of two (see training/engine.py), so pairs are the smallest that pay.
        count = max(math.ceil(n / largest), min(least, n // 2), 1)
        even = math.ceil(count / workers) * workers
        count = even if alone and even <= n // 2 else count
        yield [round(i * n / count) for i in range(count + 1)]


def _sharing(different: Collection[RunSettings]) -> int:
    """Return how many conditions of one signature share each batch: none with noise on its inputs, nor other shifts."""
    if any(s.input_noise > 0 for s in different):
        return 1
    return max(1, len(different) // len({s.train_shift for s in different}))


def _best(s: RunSettings, data: DataFacts, sharing: int) -> int:
    """Return how many runs of these shapes are trained fastest at once, at least four; `sharing` runs share each batch."""
    itemsize = 8 if s.precision == "float64" else 4
    own = itemsize * (
        sum(i * o for i, o in s.layer_shapes(data))
        + s.batch_size * sum(s.hidden_sizes)
        + s.batch_size * sum(c.units + c.taps for c in s.convolutions(data))
    )
    batch = itemsize * s.batch_size * s.n_inputs(data)
    # All that share a batch are in a stack, perhaps with others like them; or some of them are.
    best = int(BEST_STACK_BYTES / (own + batch / sharing))
    if best < sharing:
        best = (BEST_STACK_BYTES - batch) // own
    return max(4, best)
