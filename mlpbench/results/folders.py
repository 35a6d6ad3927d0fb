"""Results folders on the disk: which there are, the experiment of one, and its two JSON records.

The records say which of its runs were verified, and list the interim analyses of its claims.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_record, record
from mlpbench.base.models import LARGEST, suggestion
from mlpbench.data.dataset import Say
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.shipped import IN_RESULTS, RESULTS
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results.seal import INTERIM_ANALYSES, VERIFICATIONS, remedy, write_sealed
from mlpbench.results.store import ASIDE, Store

MOST_NAMED = 3
# How far two trainings of the same run agree.
Grade = Literal["identical", "within tolerance", "different"]
GRADES: tuple[Grade, ...] = get_args(Grade)
IDENTICAL, WITHIN, DIFFERENT = GRADES


def folders_below(root: Path, mark: str = "spec.yaml", *, deep: bool = True) -> Iterator[Path]:
    """Yield the folders below a folder that have a file called `mark`, by default results folders.

    `deep` searches at any depth, the folder itself included; else only the folders directly in it. Hidden folders and
    damaged files that were moved away are left out.
    """
    for file in root.rglob(mark) if deep else root.glob(f"*/{mark}"):
        parts = file.relative_to(root).parts
        moved = any(p == ASIDE and (root.joinpath(*parts[:i]) / "spec.yaml").is_file() for i, p in enumerate(parts))
        if not moved and not any(p.startswith(".") for p in parts):
            yield file.parent


def located_folder(path: Path, say: Say) -> Path:
    """Return the results folder that a name means: what is there by it, or else the one of that name below results/.

    `say` gets a line where it is another one than was written. A path that means none comes back as it is. Raises InputError
    where the name may mean several.
    """
    if len(path.parts) != 1 or os.path.lexists(path) or not RESULTS.is_dir():
        return path
    beside = RESULTS / path
    found = (
        [beside]
        if (beside / IN_RESULTS).is_file()
        else sorted(f for f in folders_below(RESULTS) if f.name == path.name)
    )
    if len(found) > 1:
        raise InputError(f"{path} may be any of {', '.join(map(str, found))}: give the path of one")
    if found:
        say(f"{path}: the results in {found[0]}")
    return found[0] if found else path


def read_folder(folder: Path) -> Experiment:
    """Return the experiment of a results folder; raise InputError where it is none."""
    if not (folder / "spec.yaml").is_file():
        raise InputError(f"{folder} is not a results folder (no spec.yaml); {_hint(folder)}")
    return yaml_reader.read(folder / "spec.yaml")


def _hint(folder: Path) -> str:
    """Say which results folder may have been meant."""
    if folder.name == "spec.yaml":
        return f"did you mean {folder.parent}?"
    nearby = folders_below(folder.parent if folder.is_file() else folder, deep=False)
    beside = sorted(f for f in nearby if (f / "spec.yaml").is_file())
    if len(folder.parts) == 1 and (RESULTS / folder / IN_RESULTS).is_file():
        return f"did you mean {RESULTS / folder}?"
    if not folder.exists() and len(folder.parts) == 1 and RESULTS.is_dir():
        names = sorted(f.name for f in folders_below(RESULTS))
        return suggestion(folder.name, names).removeprefix("; ") or "`mlpbench run SPEC` writes one"
    if not beside:
        return "`mlpbench run SPEC` writes one"
    if folder.is_file():
        return f"it is a file: `{folder.parent}/*/` matches the folders beside it"
    more = f" and {len(beside) - MOST_NAMED} more" if len(beside) > MOST_NAMED else ""
    return f"did you mean {', '.join(map(str, beside[:MOST_NAMED]))}{more}?"


@dataclass(frozen=True, kw_only=True)
class VerifiedRun:
    """How far a run that was trained again agreed with its rows, the weights it was compared with, and where that was."""

    grade: Grade
    weights_sha256: str | None = None
    cpu: str | None = None
    torch: str | None = None


_VERIFICATIONS = TypeAdapter(dict[Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")], VerifiedRun])


def read_verifications(folder: Path) -> dict[str, VerifiedRun]:
    """Return what verifying the runs of a folder led to, by run_id; raise InputError where the record is damaged."""
    return read_record(folder / VERIFICATIONS, _VERIFICATIONS, remedy(VERIFICATIONS)) or {}


def write_verifications(folder: Path, verified: Mapping[str, VerifiedRun]) -> None:
    """Write the whole record; raise MachineError where the disk refuses."""
    write_sealed(folder, {VERIFICATIONS: record({run_id: asdict(entry) for run_id, entry in verified.items()})})


def current_verifications(store: Store) -> list[VerifiedRun]:
    """Return the entries of runs whose weights, in the table, are still those that were verified."""
    verified = read_verifications(store.folder)
    if not verified:
        return []
    runs = store.read("runs", verified, columns=["run_id", "weights_sha256"])
    weights = {run_id: digest_of(digest) for run_id, digest in zip(runs["run_id"], runs["weights_sha256"])}
    return [e for run_id, e in verified.items() if run_id in weights and e.weights_sha256 == weights[run_id]]


def digest_of(value: object) -> str | None:
    """Return a digest of a table as the record has it: None for a run without weights, such as a diverged one."""
    import pandas as pd

    return None if pd.isna(value) else str(value)  # type: ignore[call-overload]


# What a record may say, and no more.
EXACT = ConfigDict(extra="forbid")
Replicates = Annotated[int, Field(ge=1, le=LARGEST)]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What an experiment says about the number of its replicates before any result is known."""

    __pydantic_config__ = EXACT

    replicates: Replicates
    max_replicates: Replicates | Literal["anytime"] | None

    @classmethod
    def of(cls, experiment: Experiment) -> Declaration:
        """Return what an experiment declares."""
        top_up = experiment.until_decided
        if top_up is not None and top_up.anytime:
            return cls(replicates=experiment.replicates, max_replicates="anytime")
        return cls(replicates=experiment.replicates, max_replicates=None if top_up is None else top_up.max_replicates)


@dataclass(frozen=True, kw_only=True)
class InterimRecord:
    """When claims were judged: at how many replicates, of which conditions, and what was declared then.

    `claims` has for each claim id its `n`, `verdict`, `p` and `p_holm`.
    """

    __pydantic_config__ = EXACT

    replicates: Replicates
    declared: Declaration
    seed: int
    conditions: Sequence[str]
    claims: Mapping[str, Mapping[str, Any]]

    def is_about(self, experiment: Experiment, condition_ids: set[str]) -> bool:
        """Return whether the experiment has runs that were judged then."""
        return self.seed == experiment.seed and bool(condition_ids & set(self.conditions))


_INTERIM_ANALYSES = TypeAdapter(list[InterimRecord])


def read_interim_analyses(folder: Path) -> list[InterimRecord]:
    """Return the interim analyses of a folder, in order; raise InputError where the record is damaged."""
    return read_record(folder / INTERIM_ANALYSES, _INTERIM_ANALYSES, remedy(INTERIM_ANALYSES)) or []


def write_interim_analyses(folder: Path, records: Sequence[InterimRecord]) -> None:
    """Write the whole record; raise MachineError where the disk refuses."""
    write_sealed(folder, {INTERIM_ANALYSES: record([asdict(interim) for interim in records])})


def merged_interim_analyses(folders: Sequence[Path]) -> list[InterimRecord]:
    """Return the interim analyses of several folders, each once, those of the first folder first."""
    merged: list[InterimRecord] = []
    for folder in folders:
        merged += [record for record in read_interim_analyses(folder) if record not in merged]
    return merged


def first_about(
    records: Sequence[InterimRecord], experiment: Experiment, conditions: Sequence[Condition]
) -> InterimRecord | None:
    """Return the first interim analysis of runs that this experiment has too."""
    ours = {condition.condition_id for condition in conditions}
    return next((record for record in records if record.is_about(experiment, ours)), None)
