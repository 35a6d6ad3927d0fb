"""The maximal update parametrisation: how initial weights, rates and decay of a layer follow from its width.

With m the width of a hidden layer divided by the base width, m_in and m_out those before and behind a layer (1 where there is
none), the table has factors, by which a network of base width is what it is in the standard parametrisation:

                              input weights   hidden weights   output weights   biases, norms
    initial scale             1               1 / sqrt m_in    1 / m_in         1
    rate: sgd, with momentum  m_out           m_out / m_in     1 / m_in         m_out
    rate: adam, rmsprop       1               1 / m_in         1 / m_in         1

That is Table 3 of the paper. Its Table 8, as the package `mup` has it, gives the outputs a multiplier 1 / m_in and the output
weights m_in times the scale; by Lemma J.1 both train one function, but that eps of Adam counts for m_in times as much here. Weight
decay takes what the package takes: lambda over the rate's factor, so that a step shrinks weights as at base width, and for
the outputs of coupled adam and rmsprop m_in squared. Gradient clipping sees the gradient of the package's output weights,
which is 1 / m_in of it.

Initialisers are those of the base width: `he_normal` of a hidden layer has variance 2 / base width, divided by m_in.

Reference: G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlpbench.experiment.value_types import Count, Parameters, parse_call

STANDARD = "standard"
BASE_WIDTH = 64
PARAMETRIZATIONS: Mapping[str, Parameters] = {STANDARD: {}, "mup": {"base_width": Count(default=BASE_WIDTH)}}


@dataclass(frozen=True, kw_only=True)
class LayerScales:
    """Factors of one dense layer: of initial weights, of rates and lambdas; of the weights' gradient where it is clipped."""

    fan_in: int
    fan_out: int
    init: float
    rate: float
    decay: float
    vector_rate: float
    vector_decay: float
    multiplier: float


def layer_scales(
    canonical: str, sizes: Sequence[int], *, normalises: bool, coupled: bool
) -> tuple[LayerScales, ...] | None:
    """Return the factors of each layer, and the fans that its initial values are drawn for; None in the standard parametrisation.

    >>> [s.rate for s in layer_scales("mup(64)", [784, 256, 128, 10], normalises=False, coupled=True)]
    [4.0, 0.5, 0.5]

    Args:
        canonical: canonical name of the parametrisation.
        sizes: units of inputs, hidden layers and outputs.
        normalises: whether steps of the optimiser are about as long for small gradients as for large ones.
        coupled: whether it adds weight decay to the gradient.

    """
    name, numbers = parse_call(canonical)
    if name == STANDARD:
        return None
    base, last = int(numbers[0]), len(sizes) - 2
    scales = []
    for layer in range(last + 1):
        m_in = sizes[layer] / base if layer > 0 else 1.0
        m_out = sizes[layer + 1] / base if layer < last else 1.0
        rate = (1.0 if normalises else m_out) / m_in
        squares = layer == last and normalises and coupled
        vector_rate = 1.0 if normalises else m_out
        scales.append(
            LayerScales(
                fan_in=base if layer > 0 else sizes[0],
                fan_out=base if layer < last else sizes[-1],
                init=1 / m_in if layer == last else 1 / math.sqrt(m_in),
                rate=rate,
                decay=m_in**2 if squares else 1 / rate,
                vector_rate=vector_rate,
                vector_decay=1 / vector_rate,
                multiplier=1 / m_in if layer == last else 1.0,
            )
        )
    return tuple(scales)
