"""What a plan says of claims before anything is trained: what its replicates detect, and how many a pilot asks for.

A pilot is any results folder with conditions of the planned experiment: an earlier run of it with few replicates, or of a part of it.
The time of each number of replicates is that of training all of them, whatever the results folder of the experiment has already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mlpbench.base.errors import InputError
from mlpbench.data.dataset import Say
from mlpbench.evidence.claim_tests import ClaimTest
from mlpbench.evidence.judging.claim_verdicts import RUN_COLUMNS
from mlpbench.evidence.pilot import PilotClaim, pilot_claims
from mlpbench.evidence.statistics.assurance import EVEN, LIKELY
from mlpbench.evidence.statistics.t_test import MOST_REPLICATES
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.plan import outline
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options
from mlpbench.results.folder_check import open_folder

# The assurances that numbers of replicates are given for: the one that is suggested, and the ends of its range.
SURE = 0.9
WANTED = (EVEN, LIKELY, SURE)
# Numbers of replicates that are shown beside the planned one.
SHOWN = (5, 10, 20, 40, 80, 160)


@dataclass(frozen=True, kw_only=True)
class PilotPlan:
    """What a pilot says of a planned experiment.

    Attributes:
        folder, replicates, seed: the pilot, how many replicates it has of the claims that it says something of, and their seed.
        experiment: what is planned.
        conditions: its conditions.
        options: how it is to be trained, which the time depends on.
        claims: what the pilot says of each claim, by id.

    """

    folder: Path
    replicates: int
    seed: int
    experiment: Experiment
    conditions: Sequence[Condition]
    options: Options
    claims: Mapping[str, PilotClaim]

    @property
    def foreseen(self) -> Mapping[str, PilotClaim]:
        """The claims that the pilot says something of."""
        return {name: claim for name, claim in self.claims.items() if not claim.missing}

    @property
    def counts(self) -> list[int]:
        """The numbers of replicates to be shown, the planned one among them."""
        return sorted({*SHOWN, self.experiment.most_replicates})

    @cached_property
    def needed(self) -> Mapping[str, Sequence[int | None]]:
        """The number of replicates for each of `WANTED`, by claim."""
        return {name: [claim.replicates_for(w) for w in WANTED] for name, claim in self.foreseen.items()}

    @cached_property
    def suggested(self) -> Sequence[int | None]:
        """The number of replicates with which each claim has each of `WANTED`; None where it takes more than 100,000.

        Empty where the pilot says nothing of any claim.
        """
        by_wanted = zip(*self.needed.values(), strict=True)
        return [None if None in of_all else max(n for n in of_all if n is not None) for of_all in by_wanted]

    def seconds(self, replicates: int) -> float:
        """Return the time that training all conditions is expected to take with a number of replicates."""
        experiment, slots = self.experiment, grid.slots(self.experiment)
        tunings = grid.count_tunings(experiment)
        refits = tunings if experiment.folds and experiment.refit == "chosen" else 1
        runs = (
            (condition.settings_of(fold), condition.data, replicates if fold is not None or i % refits == 0 else 0)
            for i, condition in enumerate(self.conditions)
            for fold in slots
        )
        work = outline(runs, **self.options.resources)
        return work.elapsed(self.options.n_workers)

    def to_json(self) -> dict[str, Any]:
        """Return it as `plan --json` has it."""
        at = [{"replicates": n, "seconds": self.seconds(n)} for n in self.counts]
        claims: dict[str, Any] = {}
        for name, claim in self.claims.items():
            if claim.missing:
                claims[name] = {"missing": claim.missing}
                continue
            sample = claim.sample
            showed = (
                {"n": claim.n, "larger": claim.larger, "counted": claim.counted}
                if sample is None
                else {"n": sample.n, "mean": sample.mean + claim.test.hypothesis.centre, "sd": sample.sd}
            )
            needed = {f"{w:g}": n for w, n in zip(WANTED, self.needed[name], strict=True)}
            assurances = [claim.assurance(n) for n in self.counts]
            claims[name] = showed | {"assurance": assurances, "replicates_for": needed}
        suggested = None
        if self.foreseen:
            even, likely, sure = self.suggested
            seconds = None if likely is None else self.seconds(likely)
            suggested = {"replicates": likely, "from": even, "to": sure, "seconds": seconds}
        return {
            "folder": str(self.folder),
            "replicates": self.replicates if self.foreseen else None,
            "seed": self.seed,
            "at": at,
            "claims": claims,
            "suggested": suggested,
        }


def read_pilot(
    folder: Path,
    experiment: Experiment,
    conditions: Sequence[Condition],
    options: Options,
    tests: Mapping[str, ClaimTest],
    say: Say,
) -> PilotPlan:
    """Return what a results folder says of the claims of a planned experiment.

    Args:
        folder: the pilot.
        experiment: what is planned.
        conditions: its conditions.
        options: how it is to be trained.
        tests: how its claims are judged, by id.
        say: gets a line about what should be known of the pilot.

    Raises:
        InputError: The folder is none, is damaged, or has the conditions and metric of none of the claims that a pilot says something of.

    """
    if not experiment.claims:
        raise InputError(f"--pilot shows how many replicates claims need, got {experiment.name}, which has no claims")
    pilot, store = open_folder(folder, say, of_report=False)
    pilot_conditions = grid.conditions(pilot)
    ids = grid.all_run_ids(pilot, pilot_conditions)

    def curves(some: Sequence[str] | None = None) -> pd.DataFrame:
        return store.read("curves", ids if some is None else some)

    runs = store.read("runs", ids, columns=RUN_COLUMNS)
    claims = pilot_claims(tests, experiment, conditions, pilot, pilot_conditions, runs, curves, store.read_layers)
    plan = PilotPlan(
        folder=folder,
        replicates=max((claim.n for claim in claims.values()), default=0),
        seed=pilot.seed,
        experiment=experiment,
        conditions=conditions,
        options=options,
        claims=claims,
    )
    askable = {name: claim for name, claim in claims.items() if claim.test.is_foreseen}
    if askable and not plan.foreseen:
        whys = "\n".join(f"  claim {name}: {claim.missing}" for name, claim in askable.items())
        rule = (
            f"--pilot must be a results folder with conditions and metrics of claims of {experiment.name}, got {folder}"
        )
        raise InputError(f"{rule}:\n{whys}")
    if pilot.seed == experiment.seed:
        say(
            f"the pilot has the seed of the plan, {pilot.seed}: assurance is of replicates that it has not seen; run the claims "
            "at another `seed`"
        )
    return plan


def in_replicates(n: int | None) -> str:
    """Return a number of replicates for a reader."""
    return f"> {MOST_REPLICATES}" if n is None else str(n)


def spread_counts(plan: PilotPlan) -> list[int]:
    """Return numbers of replicates for a curve: a third of an octave apart, up to what is shown and what is suggested."""
    likely = plan.suggested[1]
    most = max(*plan.counts, min(likely or 0, 10 * plan.counts[-1]))
    return sorted({*plan.counts, *(round(2 ** (i / 3)) for i in range(3, math.ceil(3 * math.log2(most)) + 1))})
