"""Schedules: the factor of each step is torch's, and what the formulas say of the first, the last and the ones between."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from drawn_specs import spec
from torch_reference import SCHEDULES as TORCH
from torch_reference import scheduler_of

from mlpbench.experiment.components.schedules import SCHEDULES, factors, in_steps
from mlpbench.experiment.grid import runs
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import THEN, Chain, parse_call

NAMES = [
    *(*TORCH, "step(1,0.5)", "step(7,0.1)", "step(100000,0.5)", "step(10,1.0)", "step(3,2.0)"),
    *("warmup(1)", "warmup(7)", "warmup(100000)"),
    *("warmup(12)+cosine", "warmup(1)+cosine", "warmup(333)+cosine", "warmup(9)+step(7,0.5)", "warmup(20)+constant"),
]


def test_every_schedule_is_tested() -> None:
    kind = SETTINGS["schedule"].value_type
    assert isinstance(kind, Chain)
    parts = [part for name in NAMES for part in name.split(THEN)]
    assert {parse_call(part)[0] for part in parts} == set(SCHEDULES) == set(kind.word.table)


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


def test_what_follows_a_warmup_has_the_steps_that_are_left() -> None:
    got = factors("warmup(10)+cosine", 110)
    assert got[:10].tolist() == [(t + 1) / 10 for t in range(10)]
    np.testing.assert_array_equal(got[10:], factors("cosine", 100))
    assert factors("warmup(50)+cosine", 20).tolist() == [(t + 1) / 50 for t in range(20)]


@pytest.mark.parametrize(
    ("written", "level", "steps", "resolved"),
    [
        ({"warmup": 200, "then": "cosine"}, "warmup(200)+cosine", 235, "warmup(200)+cosine"),
        ({"warmup": "10%", "then": "cosine"}, "warmup(10%)+cosine", 235, "warmup(24)+cosine"),
        ("warmup(10%)+cosine", "warmup(10%)+cosine", 1000, "warmup(100)+cosine"),
        ({"warmup": "0.10%"}, "warmup(0.1%)", 235, "warmup(1)"),
        (
            {"warmup": 7, "then": {"step": {"every": "25%", "factor": 0.5}}},
            "warmup(7)+step(25%,0.5)",
            1000,
            "warmup(7)+step(250,0.5)",
        ),
        ({"step": {"every": "100.0%", "factor": 0.5}}, "step(100%,0.5)", 40, "step(40,0.5)"),
    ],
)
def test_shares_of_a_run_are_steps_of_it(written: object, level: str, steps: int, resolved: str) -> None:
    assert SETTINGS["schedule"].read(written) == level == SETTINGS["schedule"].read(level)
    assert in_steps(level, steps) == resolved


def test_a_share_and_its_steps_are_one_run() -> None:
    """Identities are of what is trained: 10% of 1000 steps are 100."""
    ids = [
        [run.run_id for run in runs(spec(fixed={"steps": 1000, "schedule": {"warmup": warm, "then": "cosine"}}))]
        for warm in ("10%", 100, 101)
    ]
    assert ids[0] == ids[1] != ids[2]
