"""The user's own files, read by the reader of their format; what the machine says of a file becomes one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpbench.base.errors import MachineError
from mlpbench.data.table.columns import Table, reason, wrong
from mlpbench.data.table.csv_file import read_csv
from mlpbench.data.table.npz_file import read_npz
from mlpbench.data.table.parquet_file import read_parquet

_TABLES = {".csv": read_csv, ".parquet": read_parquet}


def read_table(path: Path, name: str) -> Table:
    """Return the table of a csv or parquet file; raise InputError for anything that is not a clean table."""
    with _told(name):
        return _TABLES[path.suffix](path, name)


def read_arrays(path: Path, name: str, target: str) -> tuple[Table, Table | None]:
    """Return the table of an npz file, and that of its test arrays if it has them; raise InputError, see `read_npz`."""
    with _told(name):
        return read_npz(path, name, target)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = repr(error.strerror.lower()) if error.strerror else reason(error)
        raise wrong(f"a data file must be readable, got {why}", name) from None
    except MemoryError:
        raise MachineError(f"own data must fit this machine's memory, got more ({name})") from None
