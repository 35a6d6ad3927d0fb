"""Attacks on a results folder: a file is altered in some way, a command is run, and what came of it is one word.

To add a kind of damage or a command is one entry of `DAMAGES` or `COMMANDS`; contents under right seals are entries of
`HOSTILE`.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from sealed_folders import seal_again

import mlpbench
from mlpbench.base.errors import MlpbenchError
from mlpbench.base.files import sealed
from mlpbench.cli.main import main
from mlpbench.results import seal

SPEC: dict[str, Any] = {
    "name": "d",
    "question": "Does width help on digits?",
    "dataset": "digits",
    "fixed": {"train_size": 100, "epochs": 1},
    "factors": {"width": [4, 8]},
    "replicates": 2,
    "claims": [
        {"id": "wider", "says": "8 units beat 4.", "compare": {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 4}, "expect": "greater"}},
        {"id": "rises", "says": "It rises.", "trend": {"metric": "test_accuracy", "factor": "width", "expect": "rises"}},
    ],
    "save_weights": True,
}  # fmt: skip
HANGS_AFTER_S = 60
NAMED, REFUSED, SILENT, HANG, TRACEBACK = "named", "refused", "silent", "hang", "traceback"

Damage = Callable[[Path, np.random.Generator, Path], object]


def _flip(path: Path, rng: np.random.Generator, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def _cut(path: Path, rng: np.random.Generator, other: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(1, len(content)))])


def _put(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, rng: np.random.Generator, other: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _longer(path: Path, rng: np.random.Generator, other: Path) -> None:
    # White space behind a JSON value says nothing else; any other byte does.
    byte = rng.choice([b for b in range(256) if bytes([b]).strip()])
    path.write_bytes(path.read_bytes() + bytes([int(byte)]))


def _swap(path: Path, rng: np.random.Generator, other: Path) -> None:
    if path.read_bytes() == other.read_bytes():
        _flip(path, rng, other)
    else:
        path.write_bytes(other.read_bytes())


DAMAGES: Mapping[str, Damage] = {
    "flipped": _flip,
    "cut": _cut,
    "empty": lambda path, rng, other: path.write_bytes(b""),
    "deleted": lambda path, rng, other: path.unlink(),
    "longer": _longer,
    "swapped": _swap,
    "directory": _put(Path.mkdir),
    "pipe": _put(os.mkfifo),
}

# `{d}` is the folder, `{other}` an undamaged copy, `{root}` where both lie, `{run}` a run of theirs.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "claims": ("claims", "{d}"),
    "report": ("report", "{d}"),
    "check": ("report", "{d}", "--check"),
    "diff": ("diff", "{other}", "{d}"),
    "merge": ("merge", "{d}", "{other}", "-o", "{root}/joined"),
    "list": ("list", "{root}/files", "--results", "{root}/results"),
    "verify": ("verify", "{d}", "--sample", "1", "--workers", "1"),
    "trim": ("trim", "{d}"),
    "index": ("index", "{root}/results"),
    "export": ("export", "{run}", "{root}/w.safetensors", "--results", "{root}/results"),
    "run": ("run", "{root}/files/d.yaml", "--results", "{root}/results", "--workers", "1"),
    "quiet run": ("run", "{root}/files/d.yaml", "--results", "{root}/results", "--workers", "1", "--quiet"),
    "plan": ("plan", "{root}/files/d.yaml", "--results", "{root}/results", "--workers", "1"),
    "load": (),
    "model": (),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A finished results folder, another one of the same names of files, and a run."""

    folder: Path
    other: Path
    run_id: str

    @property
    def names(self) -> list[str]:
        """The files that are read back."""
        listed = seal.read(self.folder)
        assert listed is not None
        return [seal.NAME, *listed.files, *listed.parts]


def make_target(root: Path) -> Target:
    """Train the experiment twice, with other data the second time, and verify a run."""
    folders = []
    for name, size in (("one", 100), ("two", 90)):
        tree = SPEC | {"fixed": SPEC["fixed"] | {"train_size": size}}
        folders.append(mlpbench.run(tree, results=root / name, workers=1, executor="inline").folder)
        done = CliRunner().invoke(main, ["verify", str(folders[-1]), "--sample", "1", "--workers", "1"])
        assert done.exit_code == 0, done.output
    return Target(folder=folders[0], other=folders[1], run_id=mlpbench.load(folders[0]).runs["run_id"].iloc[0])


def counterpart(target: Target, name: str) -> Path:
    """Return the file of the other folder that is most like one of this."""
    same = target.other / name
    if same.exists():
        return same
    beside = sorted((target.other / name).parent.glob(f"{Path(name).name.partition('-')[0]}*")) or sorted(
        (target.other / name).parent.glob("*")
    )
    return beside[0]


def attack(target: Target, root: Path, name: str, damage: str, command: str, seed: int) -> str:
    """Alter one file of a copy of the target, run a command, and return what came of it."""
    d = shutil.copytree(target.folder, root / "results" / "d")
    DAMAGES[damage](d / name, np.random.default_rng(seed), counterpart(target, name))
    return outcome(target, root, d, command, Path(name).name)


def outcome(target: Target, root: Path, d: Path, command: str, named: str) -> str:
    """Run a command over a folder and return what came of it: `named` must be in what it says, or the status be another."""
    other = shutil.copytree(target.folder, root / "other" / "d")
    (root / "files").mkdir()
    shutil.copy(target.folder / "spec.yaml", root / "files" / "d.yaml")
    places = {"d": d, "other": other, "root": root, "run": target.run_id}
    try:
        with _alarm():
            if command in ("load", "model"):
                return _from_python(command, d, target, named)
            result = CliRunner().invoke(main, [part.format(**places) for part in COMMANDS[command]])
    except TimeoutError:
        return HANG
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return TRACEBACK
    if named in result.output or (named == seal.NAME and "no seal" in result.output):
        return NAMED
    return REFUSED if result.exit_code else SILENT


def _from_python(command: str, d: Path, target: Target, named: str) -> str:
    try:
        if command == "model":
            mlpbench.model(target.run_id, d.parent, executor="inline", workers=1)
            said = ""
        else:
            said = " ".join(mlpbench.load(d).notes)
    except MlpbenchError as error:
        return NAMED if named in str(error) else REFUSED
    except Exception:
        return TRACEBACK
    # A model that is returned has the weights of its row, which are compared.
    return NAMED if command == "model" or named in said or named == seal.NAME else SILENT


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _filled(*values: Any) -> Callable[[Any, np.random.Generator], Any]:
    def fill(column: Any, rng: np.random.Generator) -> Any:
        value = values[int(rng.integers(len(values)))]
        try:
            return pa.array([value] * len(column), column.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return pa.array([value] * len(column))

    return fill


# Other contents of one column; None takes it away.
HOSTILE: Mapping[str, Callable[[Any, np.random.Generator], Any] | None] = {
    "absent": None,
    "nested": lambda column, rng: pa.array([[value] for value in column.to_pylist()]),
    "structs": lambda column, rng: pa.array([{"a": 1}] * len(column)),
    "words": lambda column, rng: pa.array([f"${i}|<b>" for i in range(len(column))]),
    "nulls": lambda column, rng: pa.nulls(len(column), column.type),
    "untyped": lambda column, rng: pa.nulls(len(column)),
    "absurd": _filled(-1, 2**62, -(2**62), 1e308, -1e308, 5e-324),
    "no numbers": _filled(float("nan"), float("inf"), float("-inf")),
    "empty": _filled("", [], b""),
    "long": _filled("x" * 100_000, [1] * 1000, b"x" * 100_000),
}


def spoil(d: Path, table: str, column: str, how: str, seed: int) -> str:
    """Give a table another content of one column under right checksums and a right seal; return the name of its file."""
    (path,) = (d / table).glob("*.parquet")
    rows, make = pq.read_table(path), HOSTILE[how]
    at = rows.schema.get_field_index(column)
    if make is None:
        rows = rows.remove_column(at)
    else:
        rows = rows.set_column(at, column, make(rows[column], np.random.default_rng(seed)))
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    name = sealed("x", sink.getvalue(), ".parquet")
    path.unlink()
    (d / table / name).write_bytes(sink.getvalue())
    seal_again(d)
    return name


def attack_content(target: Target, root: Path, table: str, column: str, how: str, command: str, seed: int) -> str:
    """Spoil a column of a copy of the target, run a command, and return what came of it."""
    d = shutil.copytree(target.folder, root / "results" / "d")
    return outcome(target, root, d, command, spoil(d, table, column, how, seed))
