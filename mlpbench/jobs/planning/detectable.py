"""What the planned replicates detect of each claim, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlpbench.evidence.claim_tests import ClaimTest, claim_tests
from mlpbench.evidence.statistics.outlook import TooFew
from mlpbench.experiment.drawn_streams import SharedDraw
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.registration import Registration


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """What the planned number of replicates detects with 80% power.

    Attributes:
        replicates: the planned number, with a top-up the largest.
        tests: how each claim is judged, by id.

    """

    replicates: int
    tests: Mapping[str, ClaimTest]

    @cached_property
    def sds(self) -> Mapping[str, float | None]:
        """The distance from the bound in standard deviations, by claim; None where none is detected or known."""
        return {name: test.detectable(self.replicates) for name, test in self.tests.items()}

    @cached_property
    def too_few(self) -> Mapping[str, TooFew]:
        """The claims that so many replicates decide in no case."""
        found = {name: test.too_few(self.replicates) for name, test in self.tests.items()}
        return {name: few for name, few in found.items() if few is not None}

    @cached_property
    def one_draw(self) -> Mapping[str, SharedDraw]:
        """The claims whose replicates are one draw, which is no test."""
        return {name: test.shared for name, test in self.tests.items() if test.shared is not None}

    def notes(self) -> list[str]:
        """Return a line about each claim that the planned replicates decide in no case."""
        said = {name: shared.sentence for name, shared in self.one_draw.items()}
        if self.too_few:
            from mlpbench.evidence.judging.caveats import TooFewToDecide  # pandas takes a while to load

            said |= {name: TooFewToDecide(**vars(few)).sentence for name, few in self.too_few.items()}
        return [f"claim {name}: {said[name]}" for name in self.tests if name in said]

    def to_json(self) -> dict[str, Any]:
        """Return it as `plan --json` has it."""
        levels = {name: test.level(self.replicates) for name, test in self.tests.items() if test.is_foreseen}
        seeds = {
            name: {
                "level": test.seed_level,
                "seed_number": test.standing.number,
                "exploratory": test.standing.is_exploratory,
            }
            for name, test in self.tests.items()
            if not test.hypothesis.is_observed
        }
        fewest = {name: few.least for name, few in self.too_few.items()}
        family = {"family": next(iter(self.tests.values())).family} if self.tests else {}
        shared = {name: {"varied": list(s.varied), "drawn": list(s.drawn)} for name, s in self.one_draw.items()}
        of_claims = {"levels": levels, "sd": dict(self.sds), "seeds": seeds, "too_few": fewest, "one_draw": shared}
        return {"replicates": self.replicates} | family | of_claims


def detectable(experiment: Experiment, conditions: Sequence[Condition], registration: Registration) -> Detectable:
    """Return what the planned number of replicates detects, by claims that are registered, or will be."""
    tests = claim_tests(experiment, conditions, registration)
    return Detectable(replicates=experiment.most_replicates, tests=tests)
