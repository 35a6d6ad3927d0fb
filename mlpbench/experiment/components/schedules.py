"""Learning-rate schedules: each is one entry of `SCHEDULES`, the factor of the learning rate at step t, from 0, of T steps.

    constant        1
    step(k, f)      f^floor(t / k)                  torch: StepLR
    cosine          (1 + cos(pi t / T)) / 2         torch: CosineAnnealingLR with T_max = T
    warmup(k)       min(1, (t + 1) / k)             torch: LambdaLR
    warmup(k)+s     (t + 1) / k of the first k steps, then s of step t - k of T - k         torch: SequentialLR

A number of steps may be written as a share of T, `warmup(10%)`: `in_steps` makes it a number, by rounding, and at least 1.

Reference: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, for cosine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.components.own_pieces import Components, unloaded
from mlpbench.experiment.value_types import THEN, Count, Number, Parameters, entry_of

Steps = NDArray[np.float64]
_SHARE = re.compile(r"([0-9.e+-]+)%")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule: `factor(t, T, parameters)` of all steps t at once, of shape (T,)."""

    factor: Callable[[Steps, int, tuple[float, ...]], Steps]
    parameters: Parameters = field(default_factory=dict)


SCHEDULES: Components[Schedule] = Components(
    {
        "constant": Schedule(factor=lambda t, total, p: np.ones_like(t)),
        "step": Schedule(
            factor=lambda t, total, p: p[1] ** np.floor(t / p[0]),
            parameters={"every": Count(share=True), "factor": Number(low=0, open_low=True)},
        ),
        "cosine": Schedule(factor=lambda t, total, p: (1 + np.cos(np.pi * t / total)) / 2),
        "warmup": Schedule(
            factor=lambda t, total, p: np.minimum(1.0, (t + 1) / p[0]), parameters={"steps": Count(share=True)}
        ),
    },
    declared=lambda name: Schedule(factor=unloaded(name)),
)


def factors(canonical: str, steps: int) -> Steps:
    """Return the factor of each step, shape (steps,), for the canonical name of a schedule such as `step(100,0.5)`.

    >>> factors("warmup(4)", 6).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    >>> factors("warmup(2)+step(1,0.5)", 5).tolist()
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """
    first, _, then = canonical.partition(THEN)
    if then:
        warm = min(steps, int(entry_of(SCHEDULES, first)[1][0]))
        return np.concatenate([factors(first, warm), factors(then, steps - warm)])
    schedule, parameters = entry_of(SCHEDULES, canonical)
    return schedule.factor(np.arange(steps, dtype=np.float64), steps, parameters)


def in_steps(canonical: str, steps: int) -> str:
    """Return a schedule with numbers of steps where it has shares of all steps, without what follows where that changes nothing.

    >>> in_steps("warmup(10%)+step(25%,0.5)", 1000), in_steps("warmup(0.01%)", 10)
    ('warmup(100)+step(250,0.5)', 'warmup(1)')
    >>> in_steps("warmup(100)+cosine", 100), in_steps("warmup(5)+constant", 100)
    ('warmup(100)', 'warmup(5)')
    """
    counted = _SHARE.sub(lambda match: str(max(1, round(float(match[1]) / 100 * steps))), canonical)
    first, _, then = counted.partition(THEN)
    if then and (then == "constant" or entry_of(SCHEDULES, first)[1][0] >= steps):
        return first
    return counted
