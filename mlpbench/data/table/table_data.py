"""The user's own data in an experiment: `{file: PATH, target: COLUMN, test: 0.2, scale: standard}`.

The file is read when the experiment is, for its facts: what a plan, identities and a report need. A results folder's
`spec.yaml` has the facts too, under `facts`, so that `report` and `claims` work where the file is gone; training reads the
file again and refuses one whose facts have changed.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlpbench.base.errors import InputError
from mlpbench.base.messages import Path as Place
from mlpbench.base.messages import SpecProblem, first_problem, shown, suggestion
from mlpbench.data.table.size_limits import MAX_BYTES, MOST_CLASSES

if TYPE_CHECKING:
    from mlpbench.data.table.columns import Table
    from mlpbench.data.table.encode import Encoded

SUFFIXES = (".csv", ".parquet", ".npz")
KEY = "dataset"
TEST_SHARE = 0.2
NPZ_TARGET = "y"
_KINDS_OF_FILE = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_LOCALE_RULE = "in the locale's encoding"
_LOCALE_HINT = f"which is {sys.getfilesystemencoding()}; where that is not utf-8, set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
NOT_GIVEN = "a data set of your own is {file: PATH, target: COLUMN}"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OwnFacts(_Frozen):
    """What is known of a file that has been read; `classes` is None where the target is numbers."""

    fingerprint: str
    n_train: int = Field(ge=2)
    n_test: int = Field(ge=1)
    n_features: int = Field(ge=1)
    classes: tuple[str, ...] | None = Field(default=None, strict=False, min_length=2, max_length=MOST_CLASSES)

    @field_validator("fingerprint")
    @classmethod
    def _digits(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(f"fingerprint must be 64 hex digits, got {shown(value)}")
        return value


class OwnData(_Frozen):
    """Own data as an experiment names them, with their facts; what `DataFacts` asks for is answered from these.

    `file` and `test_file` are whole paths here; `test` is None where there are test rows of their own.
    """

    file: str = Field(min_length=1)
    target: str = NPZ_TARGET
    test: float | None = Field(default=None, gt=0, lt=1)
    test_file: str | None = Field(default=None, min_length=1)
    scale: Literal["standard", "none"] = "standard"
    task: Literal["classes", "number"] | None = None
    facts: OwnFacts | None = None

    @model_validator(mode="after")
    def _one_test(self) -> OwnData:
        if self.test is not None and self.test_file is not None:
            raise ValueError("test is a share of the file, test_file another file: give one of them, got both")
        return self

    @property
    def known(self) -> OwnFacts:
        """The facts, which every experiment that has been read has."""
        assert self.facts is not None, "own() fills in the facts"
        return self.facts

    @property
    def name(self) -> str:
        """The name of the file."""
        return os.path.basename(self.file)

    @property
    def title(self) -> str:
        """The name of the file and the column to be told."""
        return f"{self.name}, target {self.target}"

    @property
    def n_train(self) -> int:
        """Rows to train on, validation included."""
        return self.known.n_train

    @property
    def n_test(self) -> int:
        """Rows to test on."""
        return self.known.n_test

    @property
    def n_features(self) -> int:
        """Inputs per row, one for each word of a column of text."""
        return self.known.n_features

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """None: columns of a table have no neighbours."""
        return None

    @property
    def n_outputs(self) -> int:
        """One a class, or one for the number."""
        return self.n_classes or 1

    @property
    def n_classes(self) -> int | None:
        """Classes of the target, None where it is numbers."""
        return None if self.known.classes is None else len(self.known.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The words or numbers that are classes, sorted."""
        return self.known.classes or ()

    @property
    def fingerprint(self) -> str:
        """Hash of the values and of how they are split and scaled; neither path nor format is part of it."""
        return self.known.fingerprint


def own(given: Mapping[str, Any], base: Path) -> OwnData:
    """Return own data with facts: those given, else those of the file; a path that is not whole starts at `base`.

    Raises SpecProblem for wrong options or a file that is not there, InputError for what is wrong inside it.
    """
    if bad := next((k for k in given if not isinstance(k, str)), None):
        raise SpecProblem((KEY, bad), f"a key must be a word, got {shown(bad)}", key=True)
    tree = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in given.items()}
    try:
        data = OwnData.model_validate(tree)
    except ValidationError as error:
        raise _problem(error, tree) from None
    if "target" not in tree and not data.file.endswith(".npz"):
        raise SpecProblem((KEY,), f"{NOT_GIVEN}, got no target for {shown(data.file)}")
    whole = {key: _whole(path, base) for key, path in _paths(data).items()}
    if data.facts is not None:
        return data.model_copy(update=whole)
    names = {key: str(base / path) for key, path in _paths(data).items()}
    _check_files(whole, names)
    made = read(data.model_copy(update=whole), names)
    return made[0]


def read(data: OwnData, names: Mapping[str, str] | None = None) -> tuple[OwnData, Encoded]:
    """Read the files: return the data with their facts, and the arrays; `names` are the files' names in errors.

    Raises SpecProblem where the target is no column, InputError for what is wrong inside a file.
    """
    # Whoever has no data of their own need not wait for the readers.
    from mlpbench.data.table.encode import encode
    from mlpbench.data.table.table_file import read_arrays, read_table

    called = _paths(data) | dict(names or {})
    own_test = None
    if data.file.endswith(".npz"):
        table, own_test = read_arrays(Path(data.file), called["file"], data.target)
        target = table.columns[-1].name
        if own_test is not None:
            _one_test_part(data, called["file"])
            own_test = _renamed(own_test, table)
    else:
        table, target = read_table(Path(data.file), called["file"]), data.target
        if target not in [c.name for c in table.columns]:
            columns = [c.name for c in table.columns]
            message = f"target must be a column of {called['file']} ({shown(', '.join(columns))[1:-1]})"
            raise SpecProblem((KEY, "target"), f"{message}, got {shown(target)}{suggestion(target, columns)}")
    if data.test_file is not None:
        if data.test_file.endswith(".npz"):
            raise SpecProblem((KEY, "test_file"), "test_file must be a table, csv or parquet, got an npz file")
        own_test = read_table(Path(data.test_file), called["test_file"])
    share = data.test if data.test is not None else TEST_SHARE
    arrays = encode(table, own_test, target, share=share, scale=data.scale, task=data.task)
    facts = OwnFacts(
        fingerprint=arrays.fingerprint,
        n_train=len(arrays.y_train),
        n_test=len(arrays.y_test),
        n_features=arrays.x_train.shape[1],
        classes=arrays.classes,
    )
    return data.model_copy(update={"facts": facts, "test": share if own_test is None else None}), arrays


def arrays_of(data: OwnData) -> Encoded:
    """Return the arrays to train on; raise InputError where the file is gone or is no longer what the facts say."""
    try:
        _check_files(_paths(data), _paths(data))
    except SpecProblem as problem:
        raise InputError(f"{problem.message} (training needs the data)") from None
    try:
        now, arrays = read(data.model_copy(update={"facts": None}))
    except SpecProblem as problem:
        raise InputError(f"{problem.message} ({data.file})") from None
    if now.facts != data.facts:
        was, got = data.known.fingerprint[:12], now.known.fingerprint[:12]
        message = f"the data must be those of the experiment's facts, {was}, got {got}"
        hint = "the file or its options have changed; take `facts` out to begin anew"
        raise InputError(f"{message}: {hint} ({data.file})")
    return arrays


def dump(data: OwnData, folder: Path | None) -> dict[str, Any]:
    """Return what `own` reads: paths from `folder`, which keeps user names out of results, or whole ones.

    Raises InputError for a path that is no text in the locale's encoding.
    """
    tree = data.model_dump(exclude_none=True)
    for key, path in _paths(data).items():
        written = path if folder is None else os.path.relpath(path, os.path.realpath(folder))
        tree[key] = _spelt(written, key)
    if data.facts is not None and data.facts.classes is not None:
        tree["facts"]["classes"] = list(data.facts.classes)
    return tree


def _spelt(path: str, key: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{key} must be a path {_LOCALE_RULE}, got {shown(path)}, {_LOCALE_HINT}") from None
    return path


def _paths(data: OwnData) -> dict[str, str]:
    return {"file": data.file} | ({"test_file": data.test_file} if data.test_file is not None else {})


def _whole(path: str, base: Path) -> str:
    # The folder is resolved, not the file: a link to today's table is what the user means, wherever it leads.
    start = os.path.realpath(base)
    return os.path.normpath(os.path.join(start, os.path.expanduser(path)))


def _check_files(paths: Mapping[str, str], names: Mapping[str, str]) -> None:
    for key, path in paths.items():
        _check_file(Path(path), names[key], (KEY, key))
    if "test_file" in paths and os.path.samefile(paths["file"], paths["test_file"]):
        message = f"test_file must be another file than file, got {shown(names['test_file'])}"
        raise SpecProblem((KEY, "test_file"), f"{message}; leave it out to hold a share of the rows back")


def _check_file(path: Path, name: str, place: Place) -> None:
    key = place[-1]
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        near = suggestion(path.name, _beside(path))
        raise SpecProblem(place, f"{key} must be a data file, got no file at {name}{near}") from None
    except UnicodeEncodeError:
        message = f"{key} must be a path {_LOCALE_RULE}, got {shown(name)}, {_LOCALE_HINT}"
        raise SpecProblem(place, message) from None
    except (OSError, ValueError) as error:
        raise SpecProblem(place, f"{key} must be a data file that can be read, got {str(error)!r}") from None
    if not stat.S_ISREG(found.st_mode):
        # To open a pipe would wait for whoever writes into it.
        what = _KINDS_OF_FILE.get(stat.S_IFMT(found.st_mode), "something else")
        raise SpecProblem(place, f"{key} must be a regular file, got {what}, {name}")
    if path.suffix not in SUFFIXES:
        raise SpecProblem(place, f"{key} must end in {', '.join(SUFFIXES)}, got {shown(path.name)}")
    if found.st_size > MAX_BYTES:
        raise SpecProblem(place, f"{key} must have at most {MAX_BYTES} bytes, got {found.st_size}")


def _beside(path: Path) -> list[str]:
    try:
        return sorted(p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES)
    except OSError:
        return []


def _one_test_part(data: OwnData, name: str) -> None:
    for key in ("test", "test_file"):
        if getattr(data, key) is not None:
            message = f"{key} must be left out where the file has test arrays of its own, as {name} has"
            raise SpecProblem((KEY, key), f"{message}, got {shown(getattr(data, key))}")


def _renamed(test: Table, like: Table) -> Table:
    """Give the columns of the test arrays the names of those they belong to."""
    if len(test.columns) != len(like.columns):
        message = "x_train and x_test must have as many numbers a row"
        raise InputError(f"{message}, got {len(like.columns) - 1} and {len(test.columns) - 1} ({like.name})")
    columns = [replace(c, name=other.name) for c, other in zip(test.columns, like.columns)]
    return replace(test, columns=columns)


def _problem(error: ValidationError, tree: Mapping[str, Any]) -> SpecProblem:
    def known(path: Place) -> list[str]:
        return list(OwnFacts.model_fields if "facts" in path[:-1] else OwnData.model_fields)

    problem = first_problem(error, known)
    if "file" not in tree and not problem.key:
        return SpecProblem((KEY,), f"{NOT_GIVEN}, got {shown(tree)}")
    return SpecProblem((KEY, *problem.path), problem.message, key=problem.key)
