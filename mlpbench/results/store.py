"""The store: the parquet tables of a results folder, to which each finished stack is added.

A results folder holds `runs/`, `curves/`, `layers/` and `predictions/`. A finished stack adds a file to each, that of the
runs last: it marks the stack done. The parent process is the only writer, and holds a lock while it writes. At the end the
files of a table are compacted.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import checked_path, make_folder, refused, system_reason, write_whole
from mlpbench.base.models import SHOWN
from mlpbench.results import seal
from mlpbench.results import weight_files as weights
from mlpbench.results.part_files import Journal, damage, encoded, exchange
from mlpbench.results.schemas import KEYS, SCHEMAS, TABLES, refusal

if TYPE_CHECKING:  # a folder without tables is planned without them
    import pandas as pd
    import pyarrow.dataset as pads

# Damaged files go here, where neither we nor a reader of a table's folder take them for results.
ASIDE = "damaged"
# A compacted file is about this large at most; larger ones are left as they are.
COMPACTED_BYTES = 64 * 2**20
RELISTINGS = 3
# Rows of this table have a byte for each test example; so many of them are read at once.
LONG, LONG_ROWS = "predictions", 256
# Rows of a table of more are not compared with each other each time it is read.
MOST_COMPARED = 2_000_000
ADDED = "remove the file that was added; `mlpbench merge` joins folders"


class RemovedError(MachineError):
    """Someone has removed, or moved, what is being written to."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} was removed or moved while a command was writing to its folder: what was in it is lost; run the same "
            "command again"
        )


class Store:
    """The tables of one experiment in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = checked_path(folder)
        # table -> run_id -> name of its file, while writing; run_ids are interned, as the tables have the same ones.
        self._file_of: dict[str, dict[str, str]] = {}
        self._weights_of: dict[str, set[Path]] = {}  # run_id -> its files of weights, while writing
        # What is wrong with a file, and its state then: files never change once they are there.
        self._damage_of: dict[Path, tuple[tuple[int, ...], str | None]] = {}
        self._lock_handle: int | None = None  # while writing
        self._texts: set[Path] = set()

    @contextmanager
    def writing(self) -> Iterator[Mapping[Path, str]]:
        """Lock the folder for writing; raise MachineError where another process has it or the disk refuses.

        Yields the damaged files, which are moved to `ASIDE`, with what is wrong with each. The lock is the kernel's (flock),
        so a killed process leaves none behind; an exchange that it began is finished here. Whoever removes the folder, or a
        file of it, meanwhile is noticed at the next write, at the latest in the end: MachineError.
        """
        try:
            for table in SCHEMAS:
                make_folder(self.folder / table)
            # A link would have us write into what it points to.
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise refused(self.folder, error) from error
        try:
            self._lock(handle)
            self._lock_handle = handle
            try:
                Journal.read(self.folder).finish()
                with seal.under_way(self.folder):
                    damaged = self.damaged()
                    for path in damaged:
                        self.set_aside(path)
                    self._file_of = {table: self._index(table) for table in TABLES}
                    self._weights_of = weights.by_run(self.folder)
                    self._texts = set()
                    yield damaged
                    self._check_present()
            except Exception as error:
                if self._removed() and not isinstance(error, RemovedError):
                    raise RemovedError(self.folder) from error
                raise
            with suppress(OSError):
                os.ftruncate(handle, 0)
        finally:
            self._lock_handle = None
            os.close(handle)

    def _removed(self) -> bool:
        """Return whether the folder that is locked is no longer the one of this name."""
        assert self._lock_handle is not None, "only while writing"
        try:
            named = os.stat(self.folder / ".lock", follow_symlinks=False)
        except OSError:
            return True
        return not os.path.samestat(named, os.fstat(self._lock_handle))

    def _check_present(self) -> None:
        """Raise MachineError where someone has removed the folder, or a file that was written or found here."""
        if self._removed():
            raise RemovedError(self.folder)
        written = {self.folder / table / name for table in TABLES for name in set(self._file_of[table].values())}
        listed = {path for table in TABLES for path in self._parts(table)}
        missing = [*(written - listed), *(path for path in self._texts if not path.is_file())]
        if missing:
            raise RemovedError(min(missing))

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                message = f"{self.folder} can't be locked ({system_reason(error)})"
                raise MachineError(
                    f"{message}: its file system may have no locks; choose a folder on another one with --results"
                ) from error
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
            process = f"process {holder}" if holder else "another process"
            message = f"{process} is writing to {self.folder}, and one process at a time may"
            raise MachineError(f"{message}: wait for it, or choose another folder with --results") from error
        with suppress(OSError):  # only for the message of other processes
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)

    def damaged(self) -> dict[Path, str]:
        """Return the files that are not what was written, with what is wrong with each."""
        for attempt in range(RELISTINGS):
            try:
                files = {path: self._damage(path, table) for table in TABLES for path in self._parts(table)}
                files |= {path: self._damage(path, weights.FOLDER) for path in weights.files(self.folder)}
                break
            except FileNotFoundError:  # another process has compacted the folder since it was listed
                if attempt == RELISTINGS - 1:
                    raise
        return {path: why for path, why in files.items() if why}

    def _parts(self, table: str) -> list[Path]:
        """Return the files of a table, listed while no exchange began or ended."""
        while True:
            journal = Journal.read(self.folder)
            files = journal.parts(table)
            if Journal.read(self.folder) == journal:
                return files

    def _damage(self, path: Path, table: str) -> str | None:
        status = path.lstat()
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._damage_of.get(path)
        if known is None or known[0] != state:
            known = state, weights.damage(path) if table == weights.FOLDER else damage(path, table)
            self._damage_of[path] = known
        return known[1]

    def set_aside(self, path: Path) -> None:
        """Move a damaged file of the folder to `ASIDE`; raise MachineError where the disk refuses."""
        name = path.relative_to(self.folder)
        seal.forget(self.folder, [name.as_posix()])
        aside = self.folder / ASIDE / name.parent
        numbered = (f"{path.stem}.{i}{path.suffix}" for i in itertools.count(2))
        to = next(aside / name for name in itertools.chain([path.name], numbered) if not (aside / name).exists())
        try:
            make_folder(to.parent)
            path.replace(to)
        except OSError as error:
            raise refused(to, error) from error

    def _index(self, table: str) -> dict[str, str]:
        """Return the name of the file that has each run of a table; raise InputError where two have one."""
        file_of: dict[str, str] = {}
        for path in self._parts(table):
            with _naming([path], table):
                ids: list[Any] = pq.read_table(path, columns=["run_id"])["run_id"].unique().to_pylist()
            if not file_of.keys().isdisjoint(ids):
                twice = next(run_id for run_id in ids if run_id in file_of)
                rule = "a run must be in one file of a table"
                raise InputError(f"{rule}, got {twice} in {path.with_name(file_of[twice])} and {path}: {ADDED}")
            file_of |= dict.fromkeys((sys.intern(str(i)) for i in ids), path.name)
        return file_of

    def add(self, stem: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write the weights and the rows of a finished stack, the runs last; raise MachineError where the disk refuses.

        They replace what the folder had of these runs, in one exchange: no table ever shows a run twice, or loses it.
        """
        for row in rows.get(weights.FOLDER, ()):
            path = weights.write(self.folder, row["run_id"], row["content"])
            self._weights_of.setdefault(row["run_id"], set()).add(path)
        self.put(stem, {t: pa.Table.from_pylist([dict(r) for r in rows[t]], schema=SCHEMAS[t]) for t in TABLES})
        digests = {row["run_id"]: row.get("weights_sha256") for row in rows["runs"]}
        weights.tidy(self.folder, digests, self._weights_of)

    def put(self, stem: str, tables: Mapping[str, pa.Table]) -> None:
        """Do as `add` does, with Arrow tables; files are named after `stem` and their content."""
        ids = {str(i) for table in tables.values() for i in table["run_id"].unique().to_pylist()}
        if self._removed():
            raise RemovedError(self.folder)
        new = [(name, *encoded(stem, tables[name])) for name in reversed(TABLES)]
        if old := self._files_with(ids):
            self._replace(old, ids, new)
            return
        for table, name, content in new:
            write_whole(self.folder / table / name, content)
            added = tables[table]["run_id"].unique().to_pylist()
            self._file_of[table] |= dict.fromkeys((sys.intern(str(i)) for i in added), name)

    def _files_with(self, ids: set[str]) -> set[Path]:
        """Return the files that have rows of some runs."""
        found = {(table, self._file_of[table].get(i)) for table in TABLES for i in ids}
        return {self.folder / table / name for table, name in found if name is not None}

    def _replace(self, old: Collection[Path], ids: set[str], new: Iterable[tuple[str, str, bytes]] = ()) -> None:
        """Put new files, and what other runs had in old ones, in the place of the old ones, in one exchange."""
        self._check_present()
        seal.release_parts(self.folder)
        remainders = [part for path in sorted(old) for part in self._without(path, ids)]
        exchange(
            self.folder,
            {f"{table}/{name}": content for table, name, content in (*new, *remainders)},
            [f"{path.parent.name}/{path.name}" for path in old],
        )
        self._file_of = {table: self._index(table) for table in TABLES}

    def _without(self, path: Path, ids: set[str]) -> Iterator[tuple[str, str, bytes]]:
        """Yield the part that is left of a file without some runs, if there is one."""
        import pyarrow.dataset as pads

        table = path.parent.name
        others = ~pads.field("run_id").isin(pa.array(ids, pa.string()))
        remainder = pq.read_table(path, schema=SCHEMAS[table], filters=others)
        if remainder.num_rows:
            yield table, *encoded(path.stem.rpartition("-")[0] or path.stem, remainder)

    def compact(self) -> None:
        """Join the files of each table, in the order of their rows' keys; raise MachineError where the disk refuses."""
        import pyarrow.dataset as pads

        self._check_present()
        exchanged = False
        for table in TABLES:
            for files in _batches(self._parts(table)):
                with _naming(files, table):
                    rows = pads.dataset([str(f) for f in files], schema=SCHEMAS[table], format="parquet").to_table()
                ordered = rows.sort_by([(key, "ascending") for key in KEYS[table]])
                stem = hashlib.sha256("".join(f.name for f in files).encode()).hexdigest()[:16]
                name, content = encoded(stem, ordered)
                seal.release_parts(self.folder)
                exchange(self.folder, {f"{table}/{name}": content}, [f"{table}/{f.name}" for f in files])
                exchanged = True
        if exchanged:
            self._file_of = {table: self._index(table) for table in TABLES}

    def remove(self, ids: set[str]) -> None:
        """Remove runs and their weights, of all tables in one exchange; raise MachineError where the disk refuses."""
        if old := self._files_with(ids):
            self._replace(old, ids)
            weights.tidy(self.folder, dict.fromkeys(ids), self._weights_of)

    def rewrite(self, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Replace each file of a table by a small one with other values in the same rows.

        Raises MachineError where the disk refuses.
        """
        for path in self._parts(table):
            with _naming([path], table):
                rows = pq.read_table(path, schema=SCHEMAS[table])
            changed = change(rows)
            assert changed["run_id"].equals(rows["run_id"]), "rows stay"
            name, content = encoded(path.stem.rpartition("-")[0] or path.stem, changed, smallest=True)
            if name != path.name:
                seal.release_parts(self.folder)
                exchange(self.folder, {f"{table}/{name}": content}, [f"{table}/{path.name}"])
        self._file_of[table] = self._index(table)

    def write_spec(self, text: str) -> None:
        """Write the experiment of the folder, whole or not at all."""
        seal.write_sealed(self.folder, {seal.SPEC: text.encode()})
        self._texts.add(self.folder / seal.SPEC)

    def weights(self) -> dict[str, dict[str, Path]]:
        """Return the sound files of weights: run, then weights_sha256, then the file."""
        files: dict[str, dict[str, Path]] = {}
        for path in weights.files(self.folder):
            if self._damage(path, weights.FOLDER) is None:
                metadata = weights.metadata(path)
                files.setdefault(metadata["run_id"], {})[metadata["weights_sha256"]] = path
        return files

    def is_empty(self, table: str) -> bool:
        """Return whether a table has no file: then nothing that reads tables need be loaded."""
        return not self._parts(table)

    def read(
        self,
        table: str,
        run_ids: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        *,
        sound: bool = False,
    ) -> pd.DataFrame:
        """Return a table, or its rows for some runs, as a DataFrame; empty, with its columns, where there is none.

        Raises InputError where a file of it is damaged, unless only `sound` ones are asked for.
        """
        import pyarrow.dataset as pads

        chosen = None if run_ids is None else pads.field("run_id").isin(pa.array(run_ids, pa.string()))
        names = list(columns or SCHEMAS[table].names)
        for attempt in range(RELISTINGS):
            try:
                files = self._sound_files(table, sound=sound)
                with _naming(files, table):
                    rows = self._read(files, table, names, chosen)
                break
            except FileNotFoundError:  # another process has compacted the folder since it was listed
                if attempt == RELISTINGS - 1:
                    raise
        if why := refusal(rows, table):
            path = next(
                (f for f in files if refusal(pq.read_table(f, schema=SCHEMAS[table]).to_pandas(), table)), self.folder
            )
            raise InputError(_unreadable(path, why))
        if set(KEYS[table]) <= set(names) and len(rows) <= MOST_COMPARED:
            twice = rows["run_id"][rows.duplicated(list(KEYS[table]))]
            if len(twice):
                rule = "a row must be in a table once"
                raise InputError(f"{rule}, got one of run {twice.iloc[0]} twice in {self.folder / table}: {ADDED}")
        return rows

    def read_layers(self, run_ids: Iterable[str], metrics: Sequence[str], *, sound: bool = False) -> pd.DataFrame:
        """Return some metrics of the layers of some runs, with the `steps` each run was to take; raise as `read` does."""
        ids = list(run_ids)
        rows = self.read("layers", ids, ["run_id", "epoch", "step", "layer", *metrics], sound=sound)
        return rows.merge(self.read("runs", ids, ["run_id", "steps"], sound=sound), on="run_id")

    def salvaged(self, table: str) -> pd.DataFrame:
        """Return the rows of damaged files, of those that can still be read: altered ones, as a rule, not broken ones."""
        readable = [SCHEMAS[table].empty_table()]
        for path in self._parts(table):
            if self._damage(path, table) and path.is_file():
                with suppress(pa.ArrowException, OSError, ValueError):
                    readable.append(pq.read_table(path, schema=SCHEMAS[table]))
        rows = pa.concat_tables(readable).to_pandas()
        return rows[~rows.duplicated(list(KEYS[table])) & rows["run_id"].notna()]

    def _sound_files(self, table: str, *, sound: bool) -> list[Path]:
        """Return the files of a table but damaged ones; raise InputError where there is one, unless `sound` ones are asked for."""
        files = []
        for path in self._parts(table):
            why = self._damage(path, table)
            if why is None:
                files.append(path)
            elif not sound:
                raise InputError(damage_message(path, why))
        return files

    def _read(
        self, files: Sequence[Path], table: str, names: list[str], chosen: pads.Expression | None
    ) -> pd.DataFrame:
        if not files:
            return SCHEMAS[table].empty_table().select(names).to_pandas()
        if table == LONG and chosen is not None:
            empty = SCHEMAS[table].empty_table().select(names)
            return pa.concat_tables(
                [empty, *(rows for f in files for rows in _long_rows(f, names, chosen))]
            ).to_pandas()
        import pyarrow.dataset as pads

        dataset = pads.dataset([str(f) for f in files], schema=SCHEMAS[table], format="parquet")
        return dataset.to_table(columns=names, filter=chosen).to_pandas()


def damage_message(path: Path, why: str) -> str:
    """Return what to say of a damaged file, and what to do about it."""
    return f"{path} {why}: `mlpbench run` moves it to `{ASIDE}/` and trains its runs again"


def _unreadable(path: Path, why: str) -> str:
    """Return what to say of a file whose bytes are those that were written, but no rows of a table."""
    return f"{path} is damaged ({why}): remove it; `mlpbench run` trains its runs again"


@contextmanager
def _naming(files: Sequence[Path], table: str) -> Iterator[None]:
    """Raise InputError, which names the file, where files of a table can't be read; FileNotFoundError stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        for path in files:
            try:
                pq.read_table(path, schema=SCHEMAS[table]).to_pandas()
            except (pa.ArrowException, OSError, ValueError) as own:
                raise InputError(_unreadable(path, _first_line(own))) from error
        raise InputError(_unreadable(files[0].parent, _first_line(error))) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:SHOWN]


def _long_rows(path: Path, names: list[str], chosen: pads.Expression) -> Iterator[pa.Table]:
    """Yield rows of some runs of a file whose rows are long; a dataset would have all its rows in memory at once.

    As in a dataset, columns that it lacks are null, and those it has are of the schema's type.
    """
    schema = SCHEMAS[LONG]
    with pq.ParquetFile(path) as file:
        has = [name for name in schema.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(LONG_ROWS, columns=has):
            arrays = [batch[field.name] if field.name in has else pa.nulls(len(batch), field.type) for field in schema]
            yield pa.Table.from_arrays(arrays, schema=schema).filter(chosen).select(names)


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield files that are to be joined: of the smaller ones, as many as make a large one."""
    batch: list[Path] = []
    size = 0
    for path in files:
        bytes_of = path.stat().st_size
        if bytes_of > COMPACTED_BYTES / 2:
            continue
        if size + bytes_of > COMPACTED_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += bytes_of
    if len(batch) > 1:
        yield batch
