"""What a pilot says of the claims of a planned experiment: the chance that they are decided, by the number of replicates.

A pilot is a results folder with some of the planned conditions, which are found by content. Its replicates say what the effect of a
claim may be; how likely replicates of another seed, judged alone, decide the claim then is its assurance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mlpbench.base.models import STREAMS
from mlpbench.evidence.claim_tests import ClaimTest
from mlpbench.evidence.estimates.layer_estimates import Layers, with_layers
from mlpbench.evidence.estimates.tuning_choice import TunedGrid, tuned_grid
from mlpbench.evidence.judging.claim_values import ClaimValues, Curves, read_curves, values_of
from mlpbench.evidence.statistics import outlook
from mlpbench.evidence.statistics.assurance import assurance, sign_assurance
from mlpbench.evidence.statistics.sign_test import count_sides, count_ties
from mlpbench.evidence.statistics.t_test import MOST_REPLICATES, Sample, smallest_enough
from mlpbench.experiment.claims.hypothesis import EVERY_LEAST, EveryReplicate, ExactNumber, SignTest
from mlpbench.experiment.drawn_streams import streams_that_matter
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment


@dataclass(frozen=True, kw_only=True)
class PilotClaim:
    """A planned claim with what a pilot showed of it.

    Attributes:
        test: how it is judged.
        missing: why the pilot says nothing of it, in words; empty where it does.
        n: number of replicates that the pilot has for it.
        sample: of a mean, their number's distance from the centre of the claim, summed up.
        larger, counted: of a median, how many lie on the side of the bound where more do, and how many have a side.

    """

    test: ClaimTest
    missing: str = ""
    n: int = 0
    sample: Sample | None = None
    larger: int = 0
    counted: int = 0

    def assurance(self, n: int) -> float:
        """Return the chance that n replicates of another seed decide the claim, either way, or find it at its margin."""
        level, bound = self.test.level(n), self.test.hypothesis.bound
        if level == 0:
            return 0.0
        n = self.test.judged(n)
        if self.sample is None:
            return sign_assurance(self.larger, self.counted, round(n * self.counted / self.n), level)
        bounds = (-bound, bound) if self.test.is_equivalence else (bound,)
        half = outlook.HALF * (self.test.hypothesis.margin or 0.0)
        return assurance(self.sample, n, bounds, level, half, alone=True)

    def replicates_for(self, wanted: float) -> int | None:
        """Return the number of replicates with which assurance is `wanted`; None where it takes more than 100,000."""
        return smallest_enough(1, lambda n: self.assurance(n) >= wanted, MOST_REPLICATES)


def pilot_claims(
    tests: Mapping[str, ClaimTest],
    experiment: Experiment,
    conditions: Sequence[Condition],
    pilot: Experiment,
    pilot_conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    layers: Layers | None = None,
) -> dict[str, PilotClaim]:
    """Return what a pilot says of the claims of a planned experiment.

    Args:
        tests: how they are judged, by id.
        experiment: what is planned.
        conditions: its conditions, those of every tuning.
        pilot: the experiment of the pilot's folder, of which the tables are.
        pilot_conditions: its conditions.
        runs: the table of runs.
        curves: the table of curves, or a function that reads it.
        layers: reads the table of layers.

    """
    groups = len(pilot_conditions) // count_tunings(pilot)
    grid = tuned_grid(
        pilot, pilot_conditions, runs, [pilot.most_replicates] * groups
    )  # those that are missing are left out
    by_content = {group: place for place, group in enumerate(_contents(pilot, pilot_conditions))}
    planned = conditions[:: count_tunings(experiment)]
    places = {
        c.condition_id: by_content.get(g) for c, g in zip(planned, _contents(experiment, conditions), strict=True)
    }
    claims = {}
    for name, test in tests.items():
        needed = [c for c in planned if c.condition_id in test.hypothesis.conditions]
        if test.hypothesis.datasets:
            claims[name] = PilotClaim(test=test, missing="it is judged over data sets, to which replicates add none")
        elif not test.is_foreseen:
            claims[name] = PilotClaim(test=test, missing=_why_unforeseen(test))
        elif differs := _differs(experiment, planned, pilot):
            claims[name] = PilotClaim(test=test, missing=differs)
        elif lacking := [c.label for c in needed if places[c.condition_id] is None]:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            claims[name] = PilotClaim(test=test, missing=f"the pilot has no condition {lacking[0]}{more}")
        else:
            at = [place for c in needed if (place := places[c.condition_id]) is not None]
            claims[name] = _summed_up(test, _values(test, pilot, needed, at, grid, curves, layers))
    return claims


def _why_unforeseen(test: ClaimTest) -> str:
    """Say why no pilot has an assurance for a claim, and what decides it where that is known."""
    if test.shared is not None:
        return "the planned replicates are one draw, which is no test"
    if isinstance(test.hypothesis.test, EveryReplicate):
        return f"{EVERY_LEAST} replicates that all keep its bound show it, and one that doesn't refutes it"
    if isinstance(test.hypothesis.test, ExactNumber):
        return "its number follows from the settings, whatever replicates there are"
    return "its test has no power that is known beforehand"


def _differs(experiment: Experiment, conditions: Sequence[Condition], pilot: Experiment) -> str:
    """Say how the replicates of a pilot are others than those that are planned; nothing where they are not."""
    matter = {s for c in conditions for s in streams_that_matter(c, experiment)}
    vary, varied = (
        ", ".join(s for s in STREAMS if s in matter and s in e.vary) + " one at a time" * e.one_at_a_time
        for e in (experiment, pilot)
    )
    if vary != varied:
        return f"the replicates of the pilot differ by {varied or 'nothing'}, those that are planned by {vary or 'nothing'}"
    if experiment.folds != pilot.folds:
        return f"the pilot has {pilot.folds or 'no'} folds, and {experiment.folds or 'none'} are planned"
    return ""


def _contents(experiment: Experiment, conditions: Sequence[Condition]) -> list[frozenset[str]]:
    """Return for each scientific condition what it is by content: the ids of its tunings."""
    tunings = count_tunings(experiment)
    ids = [c.condition_id for c in conditions]
    return [frozenset(ids[i : i + tunings]) for i in range(0, len(ids), tunings)]


def _values(
    test: ClaimTest,
    pilot: Experiment,
    needed: Sequence[Condition],
    places: Sequence[int],
    grid: TunedGrid,
    curves: Curves,
    layers: Layers | None,
) -> ClaimValues:
    """Return the claim's numbers in the pilot, whose conditions at `places` are those that are needed, in that order."""
    rows = [grid.observed[grid.observed["position"] == place] for place in places]
    ids = [c.condition_id for c in needed]
    observed = pd.concat([r.assign(position=i, condition_id=ids[i]) for i, r in enumerate(rows)], ignore_index=True)
    observed = with_layers([(test.hypothesis.metric, ids)], observed, layers)
    points = read_curves(curves, list(observed["run_id"]))
    return values_of(test.hypothesis, pilot, needed, observed, points)[0]


def _summed_up(test: ClaimTest, values: ClaimValues) -> PilotClaim:
    """Return what the numbers of a pilot's replicates say."""
    hypothesis, n = test.hypothesis, len(values.complete)
    if n < 2:
        return PilotClaim(
            test=test, n=n, missing=f"the pilot has {n} whole replicate{'s' * (n != 1)} of it, and 2 are needed"
        )
    if values.is_one_draw:
        return PilotClaim(test=test, n=n, missing="the pilot's replicates are one draw")
    if isinstance(hypothesis.test, SignTest):
        sides = count_sides(values.lower, hypothesis.bound, values.upper)
        ties = count_ties(values.lower, hypothesis.bound, values.upper) * hypothesis.drops_ties
        if n == ties:
            return PilotClaim(test=test, n=n, missing="the pilot's replicates all tie")
        return PilotClaim(test=test, n=n, larger=max(sides), counted=n - ties)
    if values.diverged or values.censored:
        why = "runs of the pilot diverged" if values.diverged else "runs of the pilot never got there"
        return PilotClaim(test=test, n=n, missing=f"{why}, so that there is no mean")
    sample = replace(values.sample, mean=values.sample.mean - hypothesis.centre)
    if not sample.sd > 0 or not math.isfinite(sample.mean):
        return PilotClaim(test=test, n=n, missing="the pilot's replicates are equal")
    return PilotClaim(test=test, n=n, sample=sample)
