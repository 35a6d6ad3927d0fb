"""Results in parquet: one schema for every file of a table; a file appears whole or not at all.

A results folder holds `runs/`, `curves/`, `layers/` and `predictions/`, with one file a stack in each. The runs file of a stack is
written last: it marks the stack done. The parent process is the only writer, and holds a lock while it writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from mlpbench.errors import InputError, MachineError
from mlpbench.experiment.metrics import LAYER_METRICS, METRICS
from mlpbench.experiment.settings import SETTINGS

ENVIRONMENT = {
    "env_python": "string",
    "env_torch": "string",
    "env_numpy": "string",
    "env_mlpbench": "string",
    "env_commit": "string",
    "env_dirty": "bool",
    "env_blas": "string",
    "env_cpu": "string",
    "env_capability": "string",
    "env_threads": "int64",
    "env_numerics": "string",
    "env_device": "string",
    "env_driver": "string",
    "env_dataset": "string",
}

_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "list<int64>": pa.list_(pa.int64()),
    "list<double>": pa.list_(pa.float64()),
}


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


_RUN_COLUMNS = {
    "run_id": "string",
    "condition_id": "string",
    "replicate": "int64",
    "fold": "int64",
    "seed": "int64",
    "status": "string",
    "error": "string",
    "diverged_at_step": "int64",
    "dataset": "string",
    **{name: s.kind.column for name, s in SETTINGS.items()},
    "validation": "double",
    **dict.fromkeys(METRICS, "double"),
    "n_parameters": "int64",
    "stack_size": "int64",
    "weights_sha256": "string",
    **ENVIRONMENT,
}

SCHEMAS: dict[str, pa.Schema] = {
    "runs": _schema(_RUN_COLUMNS),
    "curves": _schema(
        {
            "run_id": "string",
            "epoch": "double",
            "step": "int64",
            "split": "string",
            "loss": "double",
            "accuracy": "double",
        }
    ),
    "layers": _schema(
        {
            "run_id": "string",
            "epoch": "double",
            "step": "int64",
            "layer": "int64",
            **dict.fromkeys(LAYER_METRICS, "double"),
        }
    ),
    "predictions": pa.schema([("run_id", pa.string()), ("predicted", pa.binary())]),  # type: ignore[arg-type]
}
# Runs first: what is removed goes in this order, and what is written in the other.
TABLES = ("runs", "curves", "layers", "predictions")


class Store:
    """The tables of one experiment in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, dict[str, Path]] = {}  # table -> run_id -> file, while writing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for writing; raise MachineError where another process does or the disk refuses.

        The lock is the kernel's (flock), so a killed process leaves none behind; what it was writing is removed here.
        """
        try:
            for table in SCHEMAS:
                (self.folder / table).mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _refused(self.folder, error) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise MachineError(
                    f"one process writes a results folder at a time, and another one is writing {self.folder}: "
                    "wait for it, or choose another folder with --results"
                ) from error
            for left in self.folder.glob("*/.*.tmp"):
                left.unlink(missing_ok=True)
            self._files = {table: self._index(table) for table in SCHEMAS}
            yield
        finally:
            os.close(handle)

    def add(self, stack_id: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write the rows of a finished stack, the runs last; raise MachineError where the disk refuses.

        What the folder had of these runs goes first, so that no table ever shows a run twice: a run that was trained
        again, or one whose stack was cut short between two tables. Killed in between, the runs are missing, not wrong.
        """
        ids = {row["run_id"] for row in rows["runs"]}
        for table in TABLES:
            self._remove(table, ids)
        for table in reversed(TABLES):
            path = self.folder / table / f"{stack_id}.parquet"
            self._write(path, SCHEMAS[table], rows[table])
            self._files[table] |= {row["run_id"]: path for row in rows[table]}

    def _index(self, table: str) -> dict[str, Path]:
        """Return the file each run of a table stands in."""
        found: dict[str, Path] = {}
        for path in _parts(self.folder / table):
            try:
                ids = pq.read_table(path, columns=["run_id"])["run_id"].unique()
            except (pa.ArrowException, OSError, KeyError) as error:
                raise _damaged([path], SCHEMAS[table], error) from error
            found |= {str(i): path for i in ids.to_pylist()}
        return found

    def _remove(self, table: str, ids: set[str]) -> None:
        """Write the files of a table again without some runs."""
        held = self._files[table]
        for path in {held[i] for i in ids if i in held}:
            kept = pq.read_table(
                path, schema=SCHEMAS[table], filters=~pads.field("run_id").isin(pa.array(ids, pa.string()))
            )
            if kept.num_rows:
                self._write_table(path, kept)
            else:
                path.unlink()
        self._files[table] = {i: path for i, path in held.items() if i not in ids}

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the folder, whole or not at all."""
        write_whole(self.folder / name, text.encode())

    def _write(self, path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
        self._write_table(path, pa.Table.from_pylist([dict(r) for r in rows], schema=schema))

    def _write_table(self, path: Path, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_whole(path, sink.getvalue().to_pybytes())

    def read(
        self, table: str, run_ids: Iterable[str] | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return a table, or its rows for some runs, as a DataFrame; empty, with its columns, where there is none."""
        schema = SCHEMAS[table]
        files = _parts(self.folder / table)
        names = list(columns or schema.names)
        if not files:
            return schema.empty_table().select(names).to_pandas()
        chosen = None if run_ids is None else pads.field("run_id").isin(pa.array(run_ids, pa.string()))
        try:
            dataset = pads.dataset([str(f) for f in files], schema=schema, format="parquet")
            found = dataset.to_table(columns=names, filter=chosen)
            if "run_id" in names and found["run_id"].null_count:
                raise pa.ArrowInvalid("a row without run_id")
            return found.to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(files, schema, error) from error


def _parts(folder: Path) -> list[Path]:
    """Return the finished files of a table, in the order of their names."""
    return sorted(f for f in folder.glob("*.parquet") if not f.name.startswith("."))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; raise MachineError where the disk refuses."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> MachineError:
    why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
    return MachineError(f"{path} can't be written: {why}; finished work is kept, run the same command again to go on")


def _damaged(files: Sequence[Path], schema: pa.Schema, error: Exception) -> InputError:
    for file in files:
        try:
            if "run_id" not in pq.read_schema(file).names:
                return InputError(f"{file} is not a file of this table, it has no run_id: remove it and run again")
            pq.read_table(file, schema=schema)
        except (pa.ArrowException, OSError) as cause:
            why = str(cause).splitlines()[0]
            return InputError(f"{file} is not a readable parquet file of this table ({why}): remove it and run again")
    return InputError(f"{files[0].parent} can't be read as one table: {error}")
