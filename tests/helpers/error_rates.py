"""How often something was so in simulated experiments, printed with its binomial interval, and held against a rate."""

from __future__ import annotations

import math

from scipy import stats


def say(what: str, found: int, repeats: int) -> None:
    """Print a count with its rate and the 95% interval of Clopper and Pearson; `pytest -s` or `-rP` shows it."""
    low, high = stats.binomtest(found, repeats).proportion_ci(0.95)
    print(f"{what}: {found} of {repeats}, {found / repeats:.1%} ({low:.1%} to {high:.1%})")


def at_most(what: str, found: int, repeats: int, rate: float = 0.05) -> None:
    """Print a count and require that it is within four binomial errors of a rate, or below it."""
    say(what, found, repeats)
    most = repeats * rate + 4 * math.sqrt(repeats * rate * (1 - rate))
    assert found <= most, f"{what}: {found} of {repeats}, more than {rate:.0%}"
