"""The register of claims of a results folder, `register.json`: which claims were stated before their runs were trained, at which seeds.

    claims    each claim at each seed it was judged at: `id`, `digest` and `comparison` (see `claim_identity`), `seed`, `number` (which
              seed of its comparison it is, counted from 1), `replicates` and `max_replicates` as they were declared, `late`
              (whether runs of all its sides had been looked at before), `before` (how many replicates there were then), `observed`
              (no member of Holm's family), `earlier` (the seeds at which it was registered before, not late, where replicates may
              be looked at at any time, each with the number of replicates that it had come to)
    runs      by seed the conditions that were trained, by their ids, up to how many replicates, and whether by a pilot

`mlpbench run` writes it before it trains. A folder that is older than it has the claims of its experiment on record, at the
seeds of its interim analyses (`looks.json`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_record, record
from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim_identity import claim_identities
from mlpbench.results.folders import Declaration, InterimRecord, read_folder, read_interim_analyses
from mlpbench.results.seal import MISSING, REGISTER, remedy, write_sealed

# By this key an interim analysis names the claims that were on the register.
DIGEST = "digest"
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]
ConditionId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class EarlierSeed(_Model):
    """The first `replicates` of a seed."""

    seed: Seed
    replicates: Count


class RegisteredClaim(_Model):
    """A claim at a seed; the module says what each field means."""

    id: str
    digest: Hash
    comparison: Hash
    seed: Seed
    number: Count
    replicates: Count
    max_replicates: Count | Literal["anytime"] | None = None
    late: bool = False
    before: Annotated[int, Field(ge=0)] = 0
    observed: bool = False
    earlier: list[EarlierSeed] = []

    @property
    def declared(self) -> Declaration:
        """What was declared about its replicates."""
        return Declaration(replicates=self.replicates, max_replicates=self.max_replicates)


class TrainedConditions(_Model):
    """The conditions that were trained at a seed, in a pilot or not."""

    seed: Seed
    pilot: bool
    replicates: Count
    conditions: list[ConditionId]


class Register(_Model):
    """What was registered in a folder; the module says what each field means."""

    claims: list[RegisteredClaim] = []
    runs: list[TrainedConditions] = []

    def at(self, seed: int) -> list[RegisteredClaim]:
        """Return the claims that were registered at a seed."""
        return [claim for claim in self.claims if claim.seed == seed]

    def replicates_at(self, seed: int) -> dict[str, int]:
        """Return up to how many replicates each condition was trained at a seed."""
        at = sorted((trained for trained in self.runs if trained.seed == seed), key=lambda trained: trained.replicates)
        return {c: trained.replicates for trained in at for c in trained.conditions}

    def has_pilot(self, seed: int) -> bool:
        """Return whether a pilot was trained at a seed."""
        return any(trained.pilot for trained in self.runs if trained.seed == seed)

    def without(self, seed: int) -> Register:
        """Return the register without what it has at a seed."""
        return Register(
            claims=[c for c in self.claims if c.seed != seed], runs=[r for r in self.runs if r.seed != seed]
        )

    def with_runs(self, seed: int, conditions: Iterable[str], replicates: int, *, pilot: bool) -> Register:
        """Return the register with further conditions that are trained at a seed, up to a number of replicates."""
        same = [r for r in self.runs if (r.seed, r.pilot) == (seed, pilot)]
        every = sorted({*conditions, *(c for r in same for c in r.conditions)})
        others = [r for r in self.runs if r not in same]
        most = max(replicates, *(r.replicates for r in same), 1)
        trained = TrainedConditions(seed=seed, pilot=pilot, replicates=most, conditions=every)
        return self.model_copy(update={"runs": sorted([*others, trained], key=lambda r: (r.seed, r.pilot))})


_REGISTER = TypeAdapter(Register)


def read_register(folder: Path, *, about: Collection[str] | None = None, spec: bool = True) -> Register:
    """Return the register of a folder; of one that is older than registers, what its interim analyses come to.

    Args:
        folder: a results folder.
        about: conditions; an older folder is read where it has an interim analysis of one of them.
        spec: whether its experiment can be read.

    Raises:
        InputError: The register is damaged, or was removed.

    """
    register = read_record(folder / REGISTER, _REGISTER, remedy(REGISTER))
    if register is not None:
        return register
    analyses = read_interim_analyses(folder)
    if any(DIGEST in claim for analysis in analyses for claim in analysis.claims.values()):
        raise InputError(f"{folder / REGISTER} {MISSING}: {remedy(REGISTER, missing=True)}")
    ours = {c for analysis in analyses for c in analysis.conditions}
    if not spec or not analyses or (about is not None and not ours & set(about)):
        return Register()
    return _taken_over(folder, analyses)


def write_register(folder: Path, register: Register) -> None:
    """Write the whole register; raise MachineError where the disk refuses."""
    write_sealed(folder, {REGISTER: record(register.model_dump())})


def seed_number(comparison: str, seed: int, claims: Iterable[RegisteredClaim]) -> int:
    """Return which seed of a comparison a seed is, counted from 1, given the claims that are registered."""
    alike = [claim for claim in claims if claim.comparison == comparison]
    known = [claim.number for claim in alike if claim.seed == seed]
    return max(known) if known else 1 + len({claim.seed for claim in alike})


def merged_registers(registers: Sequence[Register]) -> Register:
    """Return the register of a folder with the runs of several, those of the first folder first.

    A claim that was registered in several is one. Seeds are counted on. At a seed that several folders have, a claim about
    conditions that an earlier one compares, and that it does not have, is late: who stated it may have seen the runs of the other.
    It was after all replicates of either.

    Raises InputError where runs of a pilot would come to be judged.
    """
    merged = Register()
    for register in registers:
        before = list(merged.claims)
        seen = {(claim.seed, claim.comparison) for claim in before}
        known = {(claim.seed, claim.digest) for claim in before}
        claims = list(before)
        for claim in register.claims:
            if (claim.seed, claim.digest) in known:
                continue
            number = max(claim.number, seed_number(claim.comparison, claim.seed, claims))
            changed: dict[str, object] = {"number": number}
            if (claim.seed, claim.comparison) in seen:
                most = max(
                    [claim.before, *(r.replicates for r in (*merged.runs, *register.runs) if r.seed == claim.seed)]
                )
                changed |= {"late": True, "before": most}
            claims.append(claim.model_copy(update=changed))
        merged = merged.model_copy(update={"claims": claims})
        for trained in register.runs:
            merged = merged.with_runs(trained.seed, trained.conditions, trained.replicates, pilot=trained.pilot)
    for seed in sorted({trained.seed for trained in merged.runs if trained.pilot}):
        if merged.at(seed):
            raise InputError(
                f"runs of a pilot can't be merged with runs whose claims are registered, got both at seed {seed}"
            )
    return merged


def _taken_over(folder: Path, analyses: Sequence[InterimRecord]) -> Register:
    """Return the claims of an older folder's experiment, at the seed of each interim analysis that has their conditions."""
    experiment = read_folder(folder)
    identities = claim_identities(experiment.claims, experiment, grid.conditions(experiment))
    register = Register()
    for analysis in analyses:
        known = {claim.digest for claim in register.at(analysis.seed)}
        new = [i for i in identities if i.digest not in known and set().union(*i.sides) <= set(analysis.conditions)]
        claims = [
            RegisteredClaim(
                id=i.claim_id,
                digest=i.digest,
                comparison=i.comparison,
                seed=analysis.seed,
                number=seed_number(i.comparison, analysis.seed, register.claims),
                replicates=analysis.declared.replicates,
                max_replicates=analysis.declared.max_replicates,
                observed=i.is_observed,
            )
            for i in new
        ]
        register = register.model_copy(update={"claims": [*register.claims, *claims]})
        register = register.with_runs(analysis.seed, analysis.conditions, analysis.replicates, pilot=False)
    return register
