"""Convolutions in a spec: which data and settings they stand beside, their shapes, and what a plan makes of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from drawn_specs import spec
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.experiment.convolution_shapes import Convolution, convolutions
from mlpbench.experiment.grid import Run, conditions, runs
from mlpbench.experiment.plan import (
    CONVOLVED_CHUNK,
    CURVE_EXAMPLES,
    evaluation_chunk,
    examples_seen,
    run_bytes,
    seconds,
    signature,
    training_flops,
)
from mlpbench.training.buffers import VECTOR

FASHION = CATALOGUE["fashion_mnist"].facts


def resolved(**fixed: Any) -> Run:
    (run,) = runs(spec(replicates=1, fixed=fixed))
    return run


PLANNED: list[dict[str, Any]] = [
    {"conv_channels": [8, 16], "depth": 0, "train_size": 60, "batch_size": 32, "epochs": 1},
    {"conv_channels": [4], "width": 7, "train_size": 60, "batch_size": 25, "steps": 4},
]


@pytest.mark.parametrize("fixed", PLANNED)
def test_flops_and_shapes_are_those_of_torch(fixed: dict[str, Any]) -> None:
    s = resolved(**fixed).settings
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([1, *s.conv_channels]):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    for inputs, outputs in itertools.pairwise(s.sizes(FASHION)):
        layers.append(nn.Linear(inputs, outputs))
    found = [(m.weight[0].numel(), len(m.weight)) for m in layers if isinstance(m, nn.Linear | nn.Conv2d)]
    assert s.layer_shapes(FASHION) == found
    with FlopCounterMode(display=False) as counter:
        nn.Sequential(*layers)(torch.zeros(examples_seen(s), 1, 28, 28)).sum().backward()
    assert training_flops(s, FASHION) == counter.get_total_flops()


def test_positions_that_no_pooling_reads_are_not_counted() -> None:
    (first, second, third) = convolutions([2, 3, 4], (28, 31))
    assert [(c.rows, c.columns, c.pooled) for c in (first, second, third)] == [
        (28, 31, (14, 15)),
        (14, 15, (7, 7)),
        (7, 7, (3, 3)),
    ]
    assert (first.positions, second.positions, third.positions) == (28 * 30, 14 * 14, 6 * 6)
    assert third == Convolution(rows=7, columns=7, before=3, channels=4)


def test_more_channels_take_longer_and_need_more_memory() -> None:
    less, more, deeper = (resolved(conv_channels=c) for c in ([8], [16], [8, 8]))
    for bigger in (more, deeper):
        assert seconds([bigger]) > seconds([less])
        assert run_bytes(bigger.settings, FASHION) > run_bytes(less.settings, FASHION)
    # Taps and maps of the second convolution, forward and back.
    assert run_bytes(deeper.settings, FASHION) - run_bytes(less.settings, FASHION) > 4 * 256 * 196 * (72 + 3 * 8)


def test_convolutions_and_poolings_do_not_stand_in_one_stack() -> None:
    choices: list[dict[str, Any]] = [
        {},
        {"conv_channels": [8]},
        {"conv_channels": [8, 8]},
        {"conv_channels": [8], "pooling": "average"},
    ]
    assert len({signature(resolved(**c).settings) for c in choices}) == len(choices)


def test_a_pooling_without_convolutions_is_no_other_run() -> None:
    (plain,) = conditions(spec())
    (named,) = conditions(spec(fixed={"pooling": "average", "conv_channels": []}))
    assert named.condition_id == plain.condition_id
    (given,) = conditions(spec(fixed={"pooling": "max", "conv_channels": [8]}))
    assert given.condition_id != plain.condition_id
    assert given.condition_id != conditions(spec(fixed={"pooling": "average", "conv_channels": [8]}))[0].condition_id


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (
            {"conv_channels": [1, 2, 3, 4, 5]},
            "conv_channels must be at most 4 for images of 28 x 28, which each pooling halves, got 5: [1, 2, 3, 4, 5]",
        ),
        (
            {"conv_channels": [8], "features": 100},
            "features must be all of an image where conv_channels are given, got 100",
        ),
        (
            {"conv_channels": [8], "norm": "batch"},
            "norm must be none where conv_channels are given, got 'batch'",
        ),
    ],
)
def test_what_cannot_stand_beside_convolutions_is_refused(fixed: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecProblem, InputError), match="must be") as caught:
        conditions(spec(fixed=fixed))
    assert message in str(caught.value)


def test_evaluation_takes_chunks_that_depend_on_the_runs_settings_alone() -> None:
    with_maps, without = (resolved(conv_channels=c) for c in ([8], []))
    assert evaluation_chunk(with_maps.settings) == CONVOLVED_CHUNK < evaluation_chunk(without.settings)
    assert CURVE_EXAMPLES % CONVOLVED_CHUNK == CONVOLVED_CHUNK % VECTOR == 0
