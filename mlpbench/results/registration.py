"""Claims are registered before their runs are trained, and judged by how they are registered.

one look      the same claim at the same seed, however often it is run, resumed, cloned, reported or merged
late          a claim that was stated, or altered, at a seed at which runs of all its sides had been looked at: exploratory
family        the claims that were registered with it at its seed, here or where it was registered first; dropped ones too
seed number   the seeds at which a comparison was registered, in this folder and in those directly beside it, are counted;
these are read once, here, and the number is stored
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mlpbench.base.errors import InputError
from mlpbench.base.files import refused
from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim_identity import ClaimIdentity, claim_identities
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results import seal
from mlpbench.results.folders import Declaration, read_interim_analyses
from mlpbench.results.register import EarlierSeed, Register, RegisteredClaim, read_register, seed_number
from mlpbench.results.seal import INTERIM_ANALYSES, REGISTER, SPEC
from mlpbench.results.store import Store

FAILED = "failed"
ANYTIME = "anytime"
Key = TypeVar("Key", str, int)


@dataclass(frozen=True, kw_only=True)
class ClaimStanding:
    """How a claim is registered.

    Attributes:
        seed: the seed it is judged at.
        number: which seed of its comparison that is, counted from 1.
        seeds: at how many seeds its comparison is registered here.
        is_registered: whether it was registered before it is judged.
        is_late: whether runs of all its sides had been looked at when it was.
        before: how many replicates there were then, of a claim that is late.
        earlier: seeds at which it was registered before, with the number of replicates it had come to; evidence of them counts
            too where it holds at any time.
        declared_before: how its replicates were declared then, in words, where they are declared in another way now.

    """

    seed: int = 0
    number: int = 1
    seeds: int = 1
    is_registered: bool = True
    is_late: bool = False
    before: int = 0
    earlier: Sequence[tuple[int, int]] = ()
    declared_before: str = ""

    @property
    def is_exploratory(self) -> bool:
        """Whether its verdict is exploratory."""
        return not self.is_registered or self.is_late or bool(self.declared_before)

    @property
    def is_confirmed_later(self) -> bool:
        """Whether replicates that were trained after it was registered may yet make more of it than an exploratory claim."""
        return self.is_registered and self.is_late and not self.declared_before


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How the claims of an experiment are registered in its folder.

    Attributes:
        standings: by claim id.
        dropped: the number of tested claims that are registered at this seed, and stated no more.
        is_pilot: whether the runs are those of a pilot, which gives no verdicts.

    """

    standings: Mapping[str, ClaimStanding] = field(default_factory=dict)
    dropped: int = 0
    is_pilot: bool = False

    def earlier_run_ids(self, experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
        """Return the runs of earlier seeds whose evidence counts too."""
        seeds = _most(*(dict(standing.earlier) for standing in self.standings.values()))
        return [
            i for seed, n in sorted(seeds.items()) for i in grid.all_run_ids(of_seed(experiment, seed, n), conditions)
        ]


def of_seed(experiment: Experiment, seed: int, replicates: int) -> Experiment:
    """Return an experiment as it was at another seed, where that had come to a number of replicates."""
    return experiment.model_copy(update={"seed": seed, "replicates": replicates, "until_decided": None})


def registration_of(folder: Path, experiment: Experiment, conditions: Sequence[Condition]) -> Registration:
    """Return how the claims of an experiment are registered in its folder; raise InputError where the register is damaged."""
    return registration_in(read_register(folder), experiment, conditions)


def planned_registration(
    store: Store, experiment: Experiment, conditions: Sequence[Condition], *, spec: bool = True
) -> Registration:
    """Return how the claims of an experiment will be registered once it is run, where claims can be at its seed.

    `spec` says whether the experiment that the folder has can be read. Raises InputError where a register is damaged or was
    removed, in the folder or beside.
    """
    register = read_register(store.folder, spec=spec)
    if not register.has_pilot(experiment.seed):  # whose runs are for another seed
        register = registered(store, experiment, conditions, experiment, spec=spec)
    return registration_in(register, experiment, conditions)


def registration_in(register: Register, experiment: Experiment, conditions: Sequence[Condition]) -> Registration:
    """Return how the claims of an experiment are registered in a register."""
    seed, declared = experiment.seed, Declaration.of(experiment)
    at = {claim.digest: claim for claim in register.at(seed)}
    standings = {}
    identities = claim_identities(experiment.claims, experiment, conditions)
    for identity in identities:
        claim = at.get(identity.digest)
        counted = {c.seed for c in register.claims if c.comparison == identity.comparison}
        number = seed_number(identity.comparison, seed, register.claims)
        standings[identity.claim_id] = ClaimStanding(
            seed=seed,
            number=number if claim is None else claim.number,
            seeds=max(number, len(counted | {seed})),
            is_registered=claim is not None,
            is_late=claim is not None and claim.late,
            before=0 if claim is None else claim.before,
            earlier=[(e.seed, e.replicates) for e in claim.earlier]
            if claim is not None and experiment.is_anytime
            else (),
            declared_before="" if claim is None or _alike(claim.declared, declared) else _in_words(claim.declared),
        )
    stated = {identity.digest for identity in identities}
    dropped = sum(digest not in stated and not claim.observed for digest, claim in at.items())
    return Registration(standings=standings, dropped=dropped, is_pilot=register.has_pilot(seed))


def registered(
    store: Store,
    experiment: Experiment,
    conditions: Sequence[Condition],
    filed: Experiment,
    *,
    pilot: bool = False,
    spec: bool = True,
) -> Register:
    """Return the register of a folder with the claims of an experiment whose runs are about to be trained.

    Args:
        store: the results folder.
        experiment: what is trained.
        conditions: those of the grid, with all tunings.
        filed: the experiment as its file has it, which declares the number of replicates.
        pilot: whether no claim is to be registered.
        spec: whether the experiment that the folder has can be read.

    Raises:
        InputError: A register is damaged or was removed, here or beside; a pilot at a seed at which claims are registered, or
            claims at a seed of a pilot.

    """
    seed = experiment.seed
    register = read_register(store.folder, spec=spec)
    trained = _trained(store)
    looked_at = _most(
        trained.get(seed, {}),
        *(dict.fromkeys(a.conditions, a.replicates) for a in read_interim_analyses(store.folder) if a.seed == seed),
    )
    if not looked_at:  # nothing was seen: what was registered may be restated
        register = register.without(seed)
    ids = [condition.condition_id for condition in conditions]
    if pilot:
        if register.at(seed):
            rule = "--pilot needs a seed at which no claim was registered"
            raise InputError(f"{rule}, got seed {seed} of {store.folder}: --set seed=N takes another")
        return register.with_runs(seed, ids, experiment.most_replicates, pilot=True)
    if experiment.claims and register.has_pilot(seed):
        rule = "claims need a seed that no pilot was trained at"
        raise InputError(f"{rule}, got seed {seed} of {store.folder}: --set seed=N takes another")
    identities = claim_identities(experiment.claims, experiment, conditions)
    known = {claim.digest for claim in register.at(seed)}
    new = [identity for identity in identities if identity.digest not in known]
    claims = list(register.claims)
    beside = list(_registers_beside(store.folder, ids)) if new else []
    elsewhere = [claim for other in beside for claim in other.claims]
    looked_at = _most(looked_at, *(other.replicates_at(seed) for other in beside))
    counted = [*register.claims, *elsewhere]
    for identity in new:
        entry = _entry(identity, seed, Declaration.of(filed), counted, elsewhere, looked_at)
        claims.append(entry.model_copy(update={"earlier": _earlier(entry, identity, register, trained)}))
    claims += _families(claims, beside, seed)
    register = register.model_copy(update={"claims": claims})
    return register.with_runs(seed, ids, experiment.most_replicates, pilot=False)


def _entry(
    identity: ClaimIdentity,
    seed: int,
    declared: Declaration,
    counted: Sequence[RegisteredClaim],
    elsewhere: Sequence[RegisteredClaim],
    looked_at: Mapping[str, int],
) -> RegisteredClaim:
    """Return the entry of a claim that is new here; a folder beside may have registered it at the same seed."""
    same = [claim for claim in elsewhere if (claim.digest, claim.seed) == (identity.digest, seed)]
    first = next((claim for claim in same if not claim.late), same[0] if same else None)
    late = all(not side.isdisjoint(looked_at) for side in identity.sides)
    before = max(looked_at.get(c, 0) for side in identity.sides for c in side) if late else 0
    if first is not None:
        declared, late, before = first.declared, first.late, first.before
    return RegisteredClaim(
        id=identity.claim_id,
        digest=identity.digest,
        comparison=identity.comparison,
        seed=seed,
        number=seed_number(identity.comparison, seed, counted),
        replicates=declared.replicates,
        max_replicates=declared.max_replicates,
        late=late,
        before=before,
        observed=identity.is_observed,
    )


def _families(claims: Sequence[RegisteredClaim], beside: Sequence[Register], seed: int) -> list[RegisteredClaim]:
    """Return the claims that folders beside registered at a seed together with some that are judged here, and that are not."""
    known = {claim.digest for claim in claims if claim.seed == seed}
    families = [other.at(seed) for other in beside if not known.isdisjoint(c.digest for c in other.at(seed))]
    return list({c.digest: c for family in families for c in family if c.digest not in known}.values())


def _earlier(
    entry: RegisteredClaim, identity: ClaimIdentity, register: Register, trained: Mapping[int, Mapping[str, int]]
) -> list[EarlierSeed]:
    """Return the other seeds at which a claim was registered here, if it may be looked at at any time, and what they came to."""
    if entry.late or entry.max_replicates != ANYTIME:
        return []
    same = [c for c in register.claims if c.digest == entry.digest and c.max_replicates == ANYTIME and not c.late]
    needed = frozenset().union(*identity.sides)
    there = {c.seed: min(trained.get(c.seed, {}).get(i, 0) for i in needed) for c in same if c.seed != entry.seed}
    return [EarlierSeed(seed=seed, replicates=n) for seed, n in there.items() if n]


def _trained(store: Store) -> dict[int, dict[str, int]]:
    """Return by seed up to how many replicates conditions have runs; failed ones have nothing to look at."""
    if store.is_empty("runs"):
        return {}
    runs = store.read("runs", columns=["condition_id", "replicate", "seed", "status"], sound=True)
    most = runs[runs["status"] != FAILED].groupby(["seed", "condition_id"])["replicate"].max().reset_index()
    trained: dict[int, dict[str, int]] = {}
    for seed, condition, replicate in zip(most["seed"], most["condition_id"], most["replicate"], strict=True):
        trained.setdefault(int(seed), {})[str(condition)] = int(replicate) + 1
    return trained


def _most(*counts: Mapping[Key, int]) -> dict[Key, int]:
    """Return the largest count of each condition, or seed."""
    return {c: max(some.get(c, 0) for some in counts) for c in set().union(*counts)}


def _alike(one: Declaration, other: Declaration) -> bool:
    """Return whether the same was declared; what holds at any time holds from whatever number on."""
    return one == other or one.max_replicates == other.max_replicates == ANYTIME


def _registers_beside(folder: Path, conditions: Collection[str]) -> Iterator[Register]:
    """Yield the registers of the folders directly beside one; raise InputError where one is damaged or was removed.

    A folder that may not be looked into, `lost+found` or one of the system, has no results of who runs this.
    """
    place = folder.resolve()
    try:
        others = sorted(p for p in place.parent.iterdir() if p != place and not p.name.startswith("."))
        others = [p for p in others if os.access(p, os.R_OK | os.X_OK)]
        beside = [p for p in others if any((p / name).exists() for name in (REGISTER, INTERIM_ANALYSES, seal.NAME))]
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(place.parent, error) from error
    for path in beside:
        for name, why in seal.flaws(path, (REGISTER, INTERIM_ANALYSES, SPEC)).items():
            remedy = seal.remedy(name, missing=why == seal.MISSING)
            counts = f"it stands beside {folder}, and says at which seeds claims were looked at"
            raise InputError(f"{path / name} {why}; {counts}: {remedy}")
        yield read_register(path, about=conditions)


def _in_words(declared: Declaration) -> str:
    most = declared.max_replicates
    top_up = "no top-up" if most is None else "looks at any time" if most == "anytime" else f"up to {most}"
    return f"{declared.replicates} replicates and {top_up} declared"
