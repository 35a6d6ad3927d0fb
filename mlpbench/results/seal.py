"""The seal of a results folder, `seal.json`: what its files are to hold, so that one that was altered, cut or deleted is named.

Tables and weights have checksums in their names; the seal lists those that there are. Of the other files that are read back,
the specification, records, test labels and images, and of the report its summary and first figure, it has size and SHA-256.
It is a checksum, not a signature: who alters a folder on purpose can seal it again.

    files     by name the size and the SHA-256 of what was written last
    pending   the same of what was being written when the seal was; null where the file was being removed
    parts     the files of tables and weights, but while some of them are exchanged for others
    digest    the SHA-256 of all that, so that the seal is sealed too

A file may hold what `files` says or what `pending` says. So a killed process leaves no file that its seal refuses:
the seal is written first, then the files, then the seal without `pending`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import (
    MOST_RECORD,
    MOST_WEIGHTS,
    checksum,
    make_folder,
    read_record,
    read_regular,
    refused,
    system_reason,
    write_record,
    write_whole,
)

NAME = "seal.json"
SPEC, INTERIM_ANALYSES, VERIFICATIONS, SUMMARY = "spec.yaml", "looks.json", "verified.json", "summary.json"
OWN_FIGURES = "own_figures.json"
REGISTER = "register.json"
# An exchange of files that may not be finished: see part_files.
JOURNAL = ".journal.json"
_REMEDIES = {
    SPEC: "restore it from a copy; `mlpbench run` of the experiment file writes it again",
    INTERIM_ANALYSES: "restore it from a copy, it says which analyses of these claims came before; without one, run the experiment into another "
    "folder (--results)",
    REGISTER: "restore it from a copy, it says which claims were stated before runs were looked at; without one, run the experiment at "
    "another seed, into another folder (--results)",
    VERIFICATIONS: "remove it, and verify again",
    "test_labels": "remove it; where the data are, `mlpbench report` writes it again",
    "test_examples": "where the data are, `mlpbench report` writes it again",
    "test_arrays": "where the data are, `mlpbench report` writes it again",
    SUMMARY: "`mlpbench report` writes it again",
    OWN_FIGURES: "remove it; `mlpbench run` with the plugin draws it again",
    "figures": "`mlpbench report` writes it again",
    **dict.fromkeys(
        ("runs", "curves", "layers", "predictions", "weights"),
        "`mlpbench run` trains those of its runs again that no other file has",
    ),
}
# What stands nowhere else: all other files can be restored where they are missing.
IRREPLACEABLE = (SPEC, INTERIM_ANALYSES, REGISTER)
# Folders of tables and weights.
PARTS = ("runs", "curves", "layers", "predictions", "weights")
REMEDY = "restore it from a copy, or remove it: the folder is then read without a seal"
MISSING = "is missing"
ALTERED = "its bytes are not those that were written"
WAIT_S = 20
RELISTINGS = 5
_FILE = r"spec\.yaml|looks\.json|register\.json|verified\.json|summary\.json|own_figures\.json|test_labels-\w+\.npy|test_(?:examples|arrays)-[\w-]+\.npz|figures/[\w.-]+\.png"
_PART = rf"(?:{'|'.join(PARTS)})/[A-Za-z0-9_][A-Za-z0-9_.-]*-[0-9a-f]{{16}}\.(?:parquet|safetensors)"
# Folders whose seal is written without `pending` at the end of what is under way, not after each file.
_under_way: set[Path] = set()

FileName = Annotated[str, StringConstraints(pattern=f"^(?:{_FILE})$")]
PartName = Annotated[str, StringConstraints(pattern=f"^{_PART}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Content(_Model):
    """What a file holds: its size, and the SHA-256 of its bytes."""

    size: Annotated[int, Field(ge=0, le=MOST_RECORD)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]

    @classmethod
    def of(cls, content: bytes) -> Content:
        """Return what says that a file holds these bytes."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())


class Seal(_Model):
    """What the files of a folder are to hold; the module says what each field means."""

    files: dict[FileName, Content] = {}
    pending: dict[FileName, Content | None] = {}
    parts: list[PartName] = []
    digest: str = ""

    @property
    def sealed(self) -> Seal:
        """The same, with its digest."""
        fields = self.model_dump(exclude={"digest"})
        return self.model_copy(
            update={"digest": hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()}
        )

    def allowed(self, name: str) -> list[Content | None]:
        """Return what a file may hold: None where it may be absent."""
        return [self.files.get(name), *([self.pending[name]] if name in self.pending else [])]


_SEAL = TypeAdapter(Seal)


def read(folder: Path) -> Seal | None:
    """Return the seal of a folder, None where it has none; raise InputError where the seal itself is damaged."""
    seal = read_record(folder / NAME, _SEAL, REMEDY)
    if seal is not None and seal.sealed != seal:
        raise InputError(f"{folder / NAME} is damaged ({ALTERED}): {REMEDY}")
    return seal


def remedy(name: str, *, missing: bool = False) -> str:
    """Return what to do about a file of a folder that is damaged or missing."""
    text = next(text for start, text in _REMEDIES.items() if name.startswith(start))
    return text.removeprefix("remove it; ").removeprefix("remove it, and ") if missing else text


def is_sealed(folder: Path) -> bool:
    """Return whether a folder has a seal, a damaged one included."""
    return os.path.lexists(folder / NAME)


def _have(folders: Sequence[Path]) -> str:
    return f"{folders[0]} has" if len(folders) == 1 else f"{len(folders)} folders, {folders[0]} for one, have"


def unsealed(folders: Iterable[Path]) -> str:
    """Return a note about the folders that have no seal; nothing where all have one."""
    bare = [folder for folder in folders if not is_sealed(folder)]
    if not bare:
        return ""
    it = "it" if len(bare) == 1 else "them"
    return f"{_have(bare)} no seal, so that only tables are known to be as they were written; the next `mlpbench run` or `report` seals {it}"


def sealed_now(folders: Iterable[Path]) -> str:
    """Return a note about the folders that had no seal, and were given one; nothing where there are none."""
    given = [folder for folder in folders if is_sealed(folder)]
    if not given:
        return ""
    it = "it was" if len(given) == 1 else "they were"
    return f"{_have(given)} a seal ({NAME}) now, which {it} without: whether files were altered or removed before is not known"


def flaws(folder: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Return what is wrong with the files of a folder that its seal lists, or some of them, by name.

    Raises InputError where the seal itself is damaged.
    """
    found: dict[str, str] = {}
    for _ in range(RELISTINGS):
        seal = read(folder)
        if seal is None:
            return {}
        found = {
            name: why
            for name in sorted({*seal.files, *seal.pending})
            if (names is None or name in names) and (why := _flaw(folder / name, seal.allowed(name)))
        }
        if names is None:
            found |= {name: MISSING for name in seal.parts if not os.path.lexists(folder / name)}
        if not found or read(folder) == seal:
            break  # else it was written to meanwhile
    return found


def altered_parts(folder: Path) -> dict[str, str]:
    """Return which files of tables and weights are not what their names say, by name."""
    found = {}
    for name in _parts(folder):
        try:
            if checksum(read_regular(folder / name, MOST_WEIGHTS)) != Path(name).stem[-16:]:
                found[name] = "is damaged: its bytes are not those that were written"
        except FileNotFoundError:
            continue  # exchanged for another meanwhile
        except OSError as error:
            found[name] = f"is damaged: {system_reason(error)}"
    return found


def write_sealed(folder: Path, contents: Mapping[str, bytes | None]) -> None:
    """Write files of a folder, each whole or not at all, and seal them; those with None are removed.

    A folder without a seal gets one, of all that it has. Raises MachineError where the disk refuses, InputError where the
    seal is damaged.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise refused(folder, error) from error
    with locked(folder):
        seal = _settled(folder)
        new = {name: None if content is None else Content.of(content) for name, content in contents.items()}
        new = {name: content for name, content in new.items() if seal.files.get(name) != content}
        if new:
            _write(folder, seal.model_copy(update={"pending": new}))
        for name, content in contents.items():
            if content is None:
                _remove(folder / name)
            elif not _holds(folder / name, content):
                write_whole(folder / name, content)
        if new and folder not in _under_way:
            _write(folder, _settled(folder))


@contextmanager
def under_way(folder: Path) -> Iterator[None]:
    """Seal tables and weights once the work in it is done, and write what is pending out of the seal once, not after each file."""
    _under_way.add(folder)
    try:
        yield
        with locked(folder):
            before = read(folder)
            after = _settled(folder).model_copy(update={"parts": _parts(folder)})
            if before != after.sealed:
                _write(folder, after)
    finally:
        _under_way.discard(folder)


def release_parts(folder: Path) -> None:
    """Take tables and weights off the seal until they are sealed again: some are about to be removed."""
    with locked(folder):
        seal = read(folder)
        if seal is not None and seal.parts:
            _write(folder, seal.model_copy(update={"parts": []}))


def forget(folder: Path, names: Collection[str]) -> None:
    """Take files off the seal that are not there any more, or were moved away."""
    with locked(folder):
        seal = read(folder)
        if seal is not None and any(name in (*seal.files, *seal.pending, *seal.parts) for name in names):
            fields: dict[str, Mapping[str, object]] = {"files": seal.files, "pending": seal.pending}
            left = {field: {n: c for n, c in of.items() if n not in names} for field, of in fields.items()}
            _write(folder, seal.model_copy(update={**left, "parts": [n for n in seal.parts if n not in names]}))


def forget_but(folder: Path, beginning: str, kept: str | None) -> None:
    """Take files whose names begin so off the seal, all but one."""
    seal = read(folder)
    if seal is not None:
        forget(folder, [n for n in (*seal.files, *seal.pending) if n.startswith(beginning) and n != kept])


def _settled(folder: Path) -> Seal:
    """Return the seal without `pending`: each file has what it has of the two; of a folder without one, the seal it would have."""
    seal = read(folder)
    if seal is None:
        names = [path.relative_to(folder).as_posix() for path in folder.iterdir()] if folder.is_dir() else []
        present = {name: _content(folder / name) for name in sorted(names) if re.fullmatch(_FILE, name)}
        return Seal(files={name: content for name, content in present.items() if content}, parts=_parts(folder))
    files = dict(seal.files)
    for name, content in seal.pending.items():
        if _content(folder / name) == content:
            files.pop(name, None)
            files |= {} if content is None else {name: content}
    return seal.model_copy(update={"files": files, "pending": {}})


def _write(folder: Path, seal: Seal) -> None:
    write_record(folder / NAME, seal.sealed.model_dump())


def _parts(folder: Path) -> list[str]:
    listed = (f"{part}/{path.name}" for part in PARTS for path in (folder / part).glob("*"))
    return sorted(name for name in listed if re.fullmatch(_PART, name))


def _content(path: Path) -> Content | None:
    try:
        return Content.of(read_regular(path, MOST_RECORD))
    except OSError:
        return None


def _flaw(path: Path, allowed: Collection[Content | None]) -> str:
    try:
        return "" if Content.of(read_regular(path, MOST_RECORD)) in allowed else f"is damaged ({ALTERED})"
    except FileNotFoundError:
        return "" if None in allowed else MISSING
    except OSError as error:
        return f"is damaged ({system_reason(error)})"


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path, len(content)) == content
    except OSError:
        return False


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(path, error) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that do so too from going on meanwhile; where the file system has no locks, go on without."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise refused(folder, error) from error
    try:
        until = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise MachineError(f"another process is writing to {folder}: wait for it, and try again") from error
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        os.close(handle)
