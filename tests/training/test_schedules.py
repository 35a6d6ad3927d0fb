"""Schedules: the factor of each step is torch's, and what the formulas say of the first, the last and the ones between."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch_reference import SCHEDULES as TORCH
from torch_reference import scheduler_of

from mlpbench.experiment.components.schedules import SCHEDULES, factors
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word, parse_call

NAMES = [
    *(*TORCH, "step(1,0.5)", "step(7,0.1)", "step(100000,0.5)", "step(10,1.0)", "step(3,2.0)"),
    *("warmup(1)", "warmup(7)", "warmup(100000)"),
]


def test_every_schedule_is_tested() -> None:
    kind = SETTINGS["schedule"].value_type
    assert isinstance(kind, Word)
    assert {parse_call(n)[0] for n in NAMES} == set(SCHEDULES) == set(kind.table)


@pytest.mark.parametrize("steps", [1, 2, 50, 333])
@pytest.mark.parametrize("name", NAMES)
def test_factors_are_torchs(name: str, steps: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = scheduler_of(name, optimiser, steps)
    rates = []
    with warnings.catch_warnings():
        # Nothing is trained here: only the rates are looked at.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(steps):
            rates.append(optimiser.param_groups[0]["lr"])
            scheduler.step()
    got = factors(name, steps)
    assert got.shape == (steps,)
    np.testing.assert_allclose(got, rates, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_no_steps_have_no_factors(name: str) -> None:
    assert factors(name, 0).shape == (0,)


def test_steps_fall_after_every_so_many() -> None:
    assert factors("step(3,0.5)", 8).tolist() == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_cosine_starts_at_1_is_half_in_the_middle_and_falls_throughout() -> None:
    got = factors("cosine", 100)
    assert got[0] == 1
    assert got[50] == pytest.approx(0.5)
    assert (np.diff(got) < 0).all()
    assert got[-1] == pytest.approx((1 - math.cos(math.pi / 100)) / 2)


def test_warmup_rises_in_equal_parts_from_its_first_step_and_stays() -> None:
    assert factors("warmup(4)", 7).tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert (factors("warmup(1)", 5) == 1).all()
