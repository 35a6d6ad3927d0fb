"""What a section about outcomes is made of: the tables of a report in, a text with one picture out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.excerpt import Excerpt
from mlpbench.evidence.estimates.observe import accuracy_step
from mlpbench.evidence.frames import records
from mlpbench.evidence.statistics.t_test import LEVEL, Sample
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment
from mlpbench.results.test_examples import TestSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlpbench.report.figures.theme import Look

Floats = npt.NDArray[np.float64]
# What draws a figure, once it is wanted.
Drawing: TypeAlias = "Callable[[], Figure]"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a section may rest on: the grid, its rows, their estimates, what of it is drawn, and in which colours.

    `good` is `accuracy`, or `loss` where the target is numbers.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    observed: pd.DataFrame
    estimates: pd.DataFrame
    excerpt: Excerpt
    look: Look
    good: str
    test_set: TestSet | None = None

    @property
    def outcome(self) -> str:
        """The metric that says how good a condition is."""
        return f"test_{self.good}"

    def means(self, name: str) -> dict[int, float]:
        """Return the mean of a metric of each condition that has one."""
        rows = self.estimates[self.estimates["metric"] == name].dropna(subset=["mean"])
        return dict(zip(rows["position"].astype(int).tolist(), rows["mean"].tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, a text that begins with a sentence of the numbers, and what draws a figure, with words for it."""

    title: str
    text: str
    name: str
    draw: Drawing
    alt: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference: over how many replicates, its mean and 95% t interval, NaN below two replicates."""

    n: int
    mean: float
    low: float
    high: float


def best(given: Given) -> int | None:
    """Return the condition with the best mean outcome of those in which no run diverged or failed, of all where each has."""
    rows = given.estimates[given.estimates["metric"] == given.outcome].dropna(subset=["mean"])
    sound = rows[(rows["diverged"] == 0) & (rows["failed"] == 0)]
    rows = rows if sound.empty else sound
    if rows.empty:
        return None
    sign = -1.0 if given.good == "accuracy" else 1.0
    return int(min(records(rows), key=lambda r: sign * float(r["mean"]))["position"])


def by_replicate(observed: pd.DataFrame, name: str, positions: Sequence[int]) -> dict[int, Mapping[int, float]]:
    """Return a metric of each replicate that has it, for each of some conditions."""
    rows = observed.loc[observed["position"].isin(list(positions)), ["position", "replicate", name]].dropna()
    groups = {int(str(p)): g for p, g in rows.groupby("position")}
    return {
        p: dict(zip(groups[p]["replicate"].tolist(), groups[p][name].tolist(), strict=True)) if p in groups else {}
        for p in positions
    }


def difference(a: Mapping[int, float], b: Mapping[int, float], least: float = 0.0) -> Difference:
    """Return a minus b over the replicates that both have.

    mean ± t(0.975, n - 1) sd / sqrt(n); `least` is the smallest sd the differences are credited with.
    Reference: Student, The Probable Error of a Mean, 1908.
    """
    both = np.array([a[r] - b[r] for r in sorted(a.keys() & b.keys())])
    if len(both) < 2:
        return Difference(n=len(both), mean=float(both.mean()) if len(both) else np.nan, low=np.nan, high=np.nan)
    sample = Sample(n=len(both), mean=float(both.mean()), sd=max(float(both.std(ddof=1)), least))
    low, high = sample.interval(LEVEL)
    return Difference(n=sample.n, mean=sample.mean, low=low, high=high)


def worse_than(given: Given, reference: int, positions: Sequence[int], name: str) -> dict[int, Difference]:
    """Return by how much each condition is worse than a reference in one metric: positive is worse."""
    sign = -1.0 if metric(name).better == "higher" else 1.0
    values = by_replicate(given.observed, name, [*dict.fromkeys([reference, *positions])])
    signed = {p: {r: sign * v for r, v in of.items()} for p, of in values.items()}
    steps = {p: accuracy_step(name, given.conditions[p].settings, given.experiment.data.n_test) for p in values}
    return {p: difference(signed[p], signed[reference], steps[p] + steps[reference]) for p in positions}
