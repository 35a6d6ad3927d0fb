"""The arithmetic of the benchmark cases: FLOPs as PyTorch counts them, bytes by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from bench_cases import CASES, COMPILED, Case
from bench_kernels import IMPLEMENTATIONS, Problem
from torch.utils.flop_counter import FlopCounterMode

CPU = torch.device("cpu")
SMALL = {"batch": 8, "inputs": 20, "classes": 3}
SHAPES = [{"width": 5}, {"width": 7, "depth": 3}, {"width": 6, "depth": 2, "activation": "gelu", "dropout": 0.5}]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("phase", ["forward", "backward"])
@pytest.mark.parametrize("implementation", ["from scratch", "torch.nn"])
def test_flops_are_those_of_the_products_that_run(implementation: str, phase: str, shape: dict[str, int]) -> None:
    case = Case(phase=phase, implementation=implementation, **SMALL, **shape)  # type: ignore[arg-type]
    kernel = IMPLEMENTATIONS[implementation](Problem(case, CPU))
    with FlopCounterMode(display=False) as counter:
        kernel.work()
    assert counter.get_total_flops() == case.flops


def test_a_step_is_both_passes_and_the_update() -> None:
    whole = Case(phase="step", implementation="stacked", width=7, depth=3, stack=4, batch=8, inputs=20, classes=3)
    parts = {p: dataclasses.replace(whole, phase=p) for p in ("forward", "backward", "update", "step")}
    assert parts["step"].flops == sum(parts[p].flops for p in ("forward", "backward", "update"))
    parameters = 20 * 7 + 7 + 2 * (7 * 7 + 7) + 7 * 3 + 3
    assert parts["update"].flops == 4 * 2 * parameters
    alone = dataclasses.replace(parts["step"], stack=1)
    assert (parts["step"].flops, parts["step"].bytes) == (4 * alone.flops, 4 * alone.bytes)
    # The loss, and the weights read where the gradient would have been written.
    beyond = 4 * (4 * (2 * 8 * 3 + parameters) + 8 * 8)
    assert parts["step"].bytes == parts["forward"].bytes + parts["backward"].bytes + beyond


@pytest.mark.parametrize(
    ("phase", "kept", "elements"),
    [
        # x, W_1, b_1 -> h_1 and what is kept with it; h_1, W_2, b_2 -> z_2
        ("forward", 0, (160 + 100 + 5 + 40) + (40 + 15 + 3 + 24)),
        ("forward", 2, (160 + 100 + 5 + 40 + 80) + (40 + 15 + 3 + 24)),
        # dz_2, h_1, W_2 and what is kept -> dW_2, db_2, dz_1; dz_1, x -> dW_1, db_1
        ("backward", 0, (24 + 40 + 15 + 15 + 3 + 40) + (40 + 160 + 100 + 5)),
        ("backward", 2, (24 + 40 + 15 + 80 + 15 + 3 + 40) + (40 + 160 + 100 + 5)),
        # w, g -> w
        ("update", 0, 3 * (105 + 18)),
    ],
)
def test_bytes_are_operands_read_once_and_results_written_once(phase: str, kept: int, elements: int) -> None:
    more = {"activation": "gelu", "dropout": 0.5} if kept else {}
    case = Case(phase=phase, implementation="stacked", width=5, **SMALL, **more)  # type: ignore[arg-type]
    assert case.bytes == 4 * elements


def test_cases_differ_and_cover_what_is_to_be_compared() -> None:
    every = [*CASES, *COMPILED]
    assert len(set(map(str, every))) == len(every)
    assert {c.implementation for c in every} == set(IMPLEMENTATIONS)
    for field, least in (("phase", 4), ("width", 4), ("depth", 3), ("activation", 3), ("dropout", 2), ("stack", 4)):
        assert len({getattr(c, field) for c in every}) >= least
    assert all(c.stack >= 2 for c in every if c.implementation == "stacked")
