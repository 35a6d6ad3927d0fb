"""Learning-rate schedules: the factor of the learning rate at each step, t counted from 0, of T steps.

    constant        1
    step(k, f)      f^floor(t / k)                  torch: StepLR
    cosine          (1 + cos(pi t / T)) / 2         torch: CosineAnnealingLR with T_max = T
    warmup(k)       min(1, (t + 1) / k)             torch: LambdaLR

Reference: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, for cosine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.value_types import parse_call

Steps = NDArray[np.float64]
# (t, T, parameters) -> factors
Schedule = Callable[[Steps, int, tuple[float, ...]], Steps]

SCHEDULES: dict[str, Schedule] = {
    "constant": lambda t, total, p: np.ones_like(t),
    "step": lambda t, total, p: p[1] ** np.floor(t / p[0]),
    "cosine": lambda t, total, p: (1 + np.cos(np.pi * t / total)) / 2,
    "warmup": lambda t, total, p: np.minimum(1.0, (t + 1) / p[0]),
}


def factors(schedule: str, steps: int) -> Steps:
    """Return the factor of each step, shape (steps,), for the canonical name of a schedule such as `step(100,0.5)`."""
    name, parameters = parse_call(schedule)
    return SCHEDULES[name](np.arange(steps, dtype=np.float64), steps, parameters)
