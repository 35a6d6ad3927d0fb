"""How many bytes the buffers of one run take, in training and in evaluation: plain arithmetic on their shapes.

    train = parameters + gradients and optimiser state + batch + activations kept for the backward pass + their gradients
    eval  = parameters + batch + activations

A linear step keeps no gradients of parameters: the product that computes one subtracts it. Both are for the batch of the
run alone, whatever its company; a test holds them to the engine's own buffers. Rows are padded as in training
(buffers.py). The data set, indices, random draws and what a kernel needs in passing are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.components.activations import activation
from mlpbench.experiment.components.optimisers import optimiser
from mlpbench.experiment.components.parametrizations import STANDARD
from mlpbench.experiment.convolution_shapes import Convolution
from mlpbench.experiment.grid import RunSettings
from mlpbench.training.buffers import elements, padded


def buffer_bytes(s: RunSettings, data: DataFacts, input_bytes: int) -> Mapping[str, int]:
    """Return `train` and `eval`, in bytes; `input_bytes` is the size of one input of an example as the data set keeps it."""
    itemsize, features = 8 if s.precision == "float64" else 4, s.n_inputs(data)
    raw = s.batch_size * features * input_bytes
    batch = s.batch_size * padded(features) + 1  # the number that pixels are divided by
    forward = _parameters(s, data) + _averages(s) + batch + _buffers(s, data, backward=False)
    backward = _parameters(s, data) + _averages(s) + batch + _buffers(s, data, backward=True) + _updates(s, data)
    return {"train": raw + itemsize * backward, "eval": raw + itemsize * forward}


def _parameters(s: RunSettings, data: DataFacts) -> int:
    """Return the numbers of all arrays of parameters: weights, whose rows are padded too, biases, slopes, scales, shifts."""
    learnt = activation(s.activation)[0].learnt is not None
    affine = sum(elements(padded(i), o) + elements(1, o) for i, o in s.layer_shapes(data))
    norms = sum(2 * elements(1, units) for units in s.hidden_sizes) if s.norm != "none" else 0
    return affine + s.n_hidden * learnt * elements(1, 1) + norms


def _averages(s: RunSettings) -> int:
    """Return the numbers that a network keeps besides its parameters: running averages, and limits of dropout."""
    return 2 * len(s.hidden_sizes) + (2 * sum(s.hidden_sizes) if s.norm != "none" else 0)


def _buffers(s: RunSettings, data: DataFacts, *, backward: bool) -> int:
    """Return the numbers of the buffers of a pass: activations, masks, losses, errors, and weights that are rounded."""
    n, outputs = s.batch_size, elements(s.batch_size, data.n_outputs)
    keeps_input = backward and activation(s.activation)[0].needs_input
    copies = 1 + keeps_input + (s.norm != "none") + backward
    dense = sum((copies + 2 * (backward and p > 0)) * elements(n, u) for u, p in zip(s.hidden_sizes, s.dropout))
    # The sum of a layer, which dropout has room for, and its gradient.
    sums = sum(
        ((not (backward and p > 0)) + backward) * elements(n, u)
        for u, p, skips in zip(s.hidden_sizes, s.dropout, s.skips())
        if skips
    )
    rounded = s.precision == "bfloat16"
    weights = rounded * sum(elements(padded(i), o) for i, o in s.layer_shapes(data))
    noisy = elements(n, s.n_inputs(data)) if backward and s.input_noise > 0 else 0
    maps = _maps(s.convolutions(data), padded(n), keeps_input=keeps_input, backward=backward)
    return dense + sums + (1 + backward) * outputs + elements(1, n) + weights + noisy + maps


def _maps(convolutions: Sequence[Convolution], lanes: int, *, keeps_input: bool, backward: bool) -> int:
    """Return the numbers of the buffers of convolutions: frames, taps, maps and what the last pooling leaves."""
    if not convolutions:
        return 0

    def frame(c: Convolution) -> int:
        return elements(c.before, c.framed[0] * c.framed[1] * lanes)

    last = convolutions[-1]
    pooled = elements(last.channels, last.cells * lanes)
    maps = sum(elements(c.channels, c.positions * lanes) for c in convolutions)
    ahead = sum(frame(c) + elements(c.inputs, c.positions * lanes) for c in convolutions) + maps + pooled
    if not backward:
        return ahead
    weights_before = sum(elements(padded(c.inputs), c.channels) for c in convolutions)
    return ahead + (1 + keeps_input) * maps + sum(map(frame, convolutions[1:])) + pooled + weights_before


def _updates(s: RunSettings, data: DataFacts) -> int:
    """Return the numbers that updates keep: the run's own, such as its rate; gradients and the optimiser's state."""
    decays, decays_bias = s.weight_decay > 0, s.weight_decay > 0 and s.decay_bias
    own = 1 + (s.l1 > 0) + decays + decays_bias
    if s.plain_sgd:
        return own
    if s.parametrization != STANDARD:
        own += _scales(s)
    rule, numbers = optimiser(s.optimizer)
    doubles = (1 if s.precision == "float64" else 2) * len(numbers) * (len(numbers) > rule.usual)
    biases = 0 if s.bias else sum(elements(1, o) for _, o in s.layer_shapes(data))
    states = rule.states * (_parameters(s, data) - biases)
    return own + 1 + doubles + (s.clip_norm is not None) + _parameters(s, data) + states


def _scales(s: RunSettings) -> int:
    """Return the numbers of factors: each array has that of its rate and, where it decays, its lambda; outputs one for clipping."""
    layers, hidden = len(s.hidden_sizes) + 1, len(s.hidden_sizes)
    vectors = layers if s.bias else hidden * (s.norm != "none")  # scales and shifts of a norm have those of biases
    rates = layers + vectors
    lambdas = layers * ((s.weight_decay > 0) + (s.weight_decay > 0 and s.decay_bias))
    return rates + lambdas - bool(lambdas) * (1 + s.decay_bias) + (s.clip_norm is not None)
