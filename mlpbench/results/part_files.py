"""The parquet files that a table consists of, each with a checksum in its name, and their exchange for others, all at once.

A part of a table is called `<stem>-<checksum of its bytes>.parquet`, so that readers notice a file that was altered or cut
short.

In an exchange, the new files are written under hidden names. Then the journal appears, which lists them and the old ones:
from then on, readers of the folder see the new files. Last, these get their names, and the old ones are removed. After a
killed process, or a power failure, there are the old ones or the new: each step is on the disk before the next begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.base.errors import InputError
from mlpbench.base.files import (
    MOST_WEIGHTS,
    UNFINISHED,
    checksum,
    parse_json,
    read_regular,
    refused,
    sealed,
    sweep,
    sync_folder,
    write_whole,
)
from mlpbench.results.schemas import KEYS, SCHEMAS, STATUSES, TABLES, mismatch
from mlpbench.results.seal import JOURNAL

# How the values of a column are stored: each by its place among those that there are, as they are, or byte by byte.
Encoding = Literal["dictionary", "plain", "split"]
# zstd's highest level that needs no more memory to read.
SMALLEST = 19
PART = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]-([0-9a-f]{16})\.parquet")
# What a part may come to in memory, and how many times its size a large one may.
SMALL_PART, MOST_TIMES = 2**30, 1000
# How many bytes, and how many rows of places in a dictionary, to unpack at once; and how often, before that takes long.
AT_ONCE, ROWS_AT_ONCE, MANY_TIMES = 2**26, 2**16, 2000
# How words are encoded here: plainly, or once each with their places.
_WORDS = {"PLAIN", "PLAIN_DICTIONARY", "RLE", "RLE_DICTIONARY", "BIT_PACKED"}
_LISTED = re.compile(rf"(?:{'|'.join(TABLES)})/[^/]+\.parquet")


def parts(folder: Path) -> list[Path]:
    """Return the finished files of a table, in the order of their names."""
    return sorted(f for f in folder.glob("*.parquet") if not f.name.startswith("."))


def encoded(stem: str, table: pa.Table, *, smallest: bool = False) -> tuple[str, bytes]:
    """Return the name and the bytes of a part; `smallest` compresses as much as possible, in ten times the time.

    The smallest has no statistics, and no schema but parquet's own: `SCHEMAS` have the types of columns. Floating-point
    numbers are stored by byte position (byte stream split): signs and exponents are similar, stand together and compress.
    All other columns are dictionary-encoded. In the smallest each column has the encoding in which it takes the fewest bytes.
    """
    leaves = {
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name: (
            field.type.value_type if pa.types.is_list(field.type) else field.type
        )
        for field in table.schema
    }
    encodings: dict[str, Encoding] = {
        path: "split" if pa.types.is_floating(kind) else "dictionary" for path, kind in leaves.items()
    }
    if smallest:
        encodings = {
            path: _least(table.select([path.partition(".")[0]]), path, usual) for path, usual in encodings.items()
        }
    content = _parquet(table, encodings, smallest=smallest)
    return sealed(stem, content, ".parquet"), content


def _least(column: pa.Table, path: str, usual: Encoding) -> Encoding:
    """Return the encoding in which a column takes the fewest bytes; of equally small ones the usual one, if it is one of them."""
    possible: list[Encoding] = [usual, "dictionary", "plain"]
    return min(dict.fromkeys(possible), key=lambda e: len(_parquet(column, {path: e}, smallest=True)))


def _parquet(table: pa.Table, encodings: Mapping[str, Encoding], *, smallest: bool) -> bytes:
    sink = pa.BufferOutputStream()
    by_encoding = {e: [path for path, of in encodings.items() if of == e] for e in get_args(Encoding)}
    # stubs know no lists here
    options: dict[str, Any] = {
        "use_dictionary": by_encoding["dictionary"],
        "use_byte_stream_split": by_encoding["split"],
    }
    if smallest:
        options |= {"compression_level": SMALLEST, "write_statistics": False, "store_schema": False}
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue().to_pybytes()


def damage(path: Path, table: str) -> str | None:
    """Return what is wrong with a part, or None; a file without a checksum in its name is read to find out.

    Raises FileNotFoundError where it does not exist any more.
    """
    try:
        path.lstat()
        if not path.is_file():  # reading a pipe would wait
            return "is not a regular file"
        content = read_regular(path, MOST_WEIGHTS)
        name = PART.fullmatch(path.name)
        if name and checksum(content) != name[1]:
            return "is damaged: its bytes are not those that were written"
        needed = (*KEYS[table], *(["status"] if table == "runs" else []))
        schema = pq.read_schema(pa.BufferReader(content))
        if name and (why := mismatch(schema, table)):
            return f"is not a file of this table: {why}"
        if lacking := [column for column in needed if column not in schema.names]:
            return f"is not a file of this table, it has no {lacking[0]}"
        most = max(SMALL_PART, MOST_TIMES * len(content))
        if _unpacked(content, most) > most:
            return f"is not a file of this table: it would come to more than {most} bytes in memory"
        if name:
            return None
        rows = pq.read_table(pa.BufferReader(content), schema=SCHEMAS[table])
        if any(rows[column].null_count for column in needed):
            return f"is damaged: it has a row without {' or '.join(needed)}"
        if table == "runs" and (other := set(rows["status"].unique().to_pylist()) - STATUSES):
            return f"is damaged: a status must be one of {', '.join(sorted(STATUSES))}, got {min(map(str, other))!r}"
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return f"is not a readable parquet file of this table ({why})"
    return None


def _unpacked(content: bytes, most: int) -> int:
    """Return how many bytes a part comes to in memory, by what it says of itself; of more than `most` bytes, some of them.

    A long word that stands in many rows is in the file once: where that may be so, words are counted, a few rows at a time
    or, where that would take long, through the file's own dictionary. Raises ValueError where words are encoded by what they
    share, which may come to anything.
    """
    metadata = pq.read_metadata(pa.BufferReader(content))
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = max(8 * metadata.num_rows * metadata.num_columns, sum(group.total_byte_size for group in groups))
    chunks = [group.column(i) for group in groups for i in range(metadata.num_columns)]
    texts = [chunk for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"]
    if other := sorted({encoding for chunk in texts for encoding in chunk.encodings} - _WORDS):
        raise ValueError(f"words are encoded as {other[0]}, which mlpbench never writes")
    many = [chunk for chunk in texts if chunk.total_uncompressed_size * chunk.num_values > SMALL_PART]
    for column, longest in sorted({chunk.path_in_schema: chunk.total_uncompressed_size for chunk in many}.items()):
        rows = max(1, AT_ONCE // longest)
        by_dictionary = metadata.num_rows > MANY_TIMES * rows
        with pq.ParquetFile(pa.BufferReader(content), read_dictionary=[column] if by_dictionary else None) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE if by_dictionary else rows, columns=[column]):
                if size > most:
                    return size
                size += _length(batch.column(0)) if by_dictionary else batch.nbytes
    return size


def _length(words: Any) -> int:  # stubs know no dictionaries
    """Return how many bytes words come to that are stored once each; they may stand in lists."""
    import pyarrow.compute as pc

    while pa.types.is_list(words.type):
        words = words.flatten()
    lengths = pc.binary_length(words.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(words.indices)).as_py() or 0)


@dataclass(frozen=True, kw_only=True)
class Journal:
    """An exchange of files that may not be finished: `new` and `old` files as `table/name`."""

    folder: Path
    new: frozenset[str] = field(default_factory=frozenset)
    old: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Return the exchange that a folder was left in, mostly an empty one.

        Where a new file is missing or damaged, the folder is an incomplete copy: the old files stay valid. Raises InputError
        where the journal is damaged, or would remove runs that no new file has: no exchange of ours does.
        """
        path = folder / JOURNAL
        try:
            listed = parse_json(read_regular(path))
            journal = cls(folder=folder, new=frozenset(listed["new"]), old=frozenset(listed["old"]))
            if not all(_LISTED.fullmatch(name) for name in journal.new | journal.old):
                raise ValueError("it lists a file that is not part of a table")
        except FileNotFoundError:
            return cls(folder=folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it and run again") from error
        if not all(_is_sound(folder / name) for name in journal.new):
            return cls(folder=folder)
        if lost := journal.lost():
            raise InputError(
                f"{path} is damaged (it would remove {lost} and keep its runs nowhere): remove it and run again"
            )
        return journal

    def lost(self) -> str | None:
        """Return an old file with a run that no new one has: of its table or, where runs lose all rows of one, of the runs.

        Runs lose rows where they are replaced: then their old rows of the runs go too.
        """
        if self.old and not self.new:
            return min(self.old)
        replaced = self._run_ids("runs") if any(name.startswith("runs/") for name in self.old) else set()
        for name in sorted(self.old - self.new):
            table = name.partition("/")[0]
            if not _run_ids(self.folder / name) <= self._run_ids(table) | replaced:
                return name
        return None

    def _run_ids(self, table: str) -> set[str]:
        names = [name for name in self.new if name.startswith(f"{table}/")]
        return {i for name in names for i in _run_ids(_hidden(self.folder / name)) | _run_ids(self.folder / name)}

    def parts(self, table: str) -> list[Path]:
        """Return the files of a table, as they are once the exchange is finished."""
        removed = self.old - self.new
        files = {path.name: path for path in parts(self.folder / table) if f"{table}/{path.name}" not in removed}
        for path in (self.folder / name for name in self.new if name.startswith(f"{table}/")):
            if _hidden(path).exists():
                files[path.name] = _hidden(path)
        return [files[name] for name in sorted(files)]

    def finish(self) -> None:
        """Give the new files their names and remove the old ones; raise MachineError where the disk refuses."""
        try:
            for name in sorted(self.new):
                if _hidden(self.folder / name).exists():
                    _hidden(self.folder / name).replace(self.folder / name)
            for name in sorted(self.old - self.new):
                (self.folder / name).unlink(missing_ok=True)
            for table in sorted({name.partition("/")[0] for name in self.new | self.old}):
                sync_folder(self.folder / table)
            if (self.folder / JOURNAL).exists():
                (self.folder / JOURNAL).unlink(missing_ok=True)
                sync_folder(self.folder)
            for path in _unfinished_files(self.folder):
                sweep(path)
        except OSError as error:
            raise refused(self.folder, error) from error


def exchange(folder: Path, new: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Replace old files by new ones, all named `table/name`; raise MachineError where the disk refuses."""
    for name, content in new.items():
        write_whole(_hidden(folder / name), content)
    journal = Journal(folder=folder, new=frozenset(new), old=frozenset(old))
    listed = {"new": sorted(journal.new), "old": sorted(journal.old)}
    write_whole(folder / JOURNAL, json.dumps(listed, indent=1).encode())
    journal.finish()


def _unfinished_files(folder: Path) -> Iterator[Path]:
    """Yield the files that a killed process left half written; by their names they are ours."""
    for place in (folder, folder / "figures", folder / "weights", *(folder / table for table in TABLES)):
        for path in place.glob(".*"):
            unnamed = place.name in TABLES and PART.fullmatch(path.name)
            if (UNFINISHED.fullmatch(path.name) or unnamed) and path.is_file():
                yield path


def _is_sound(path: Path) -> bool:
    for place in (_hidden(path), path):  # in this order: it may get its name meanwhile
        with suppress(FileNotFoundError):
            return damage(place, path.parent.name) is None
    return False


def _run_ids(path: Path) -> set[str]:
    """Return the runs of a part, none where it is gone or can't be read."""
    try:
        return {str(i) for i in pq.read_table(path, columns=["run_id"])["run_id"].unique().to_pylist()}
    except (pa.ArrowException, OSError, ValueError):
        return set()


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")
