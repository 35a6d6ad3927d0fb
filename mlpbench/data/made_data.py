"""Data sets that pieces of plugins make: `dataset: NAME`, arrays that the code of a plugin returned, and that the cache keeps.

The code is run once, by `run` or `check`; its arrays lie in the cache under the digest of the code, as an npz file, and are read and
checked as such a file of the user's own is. So whatever reads an experiment later needs no code, and its runs are those of the arrays:
the fingerprint is theirs. A results folder has the facts, as of any table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.base.models import unknown_key
from mlpbench.data.dataset import KEY, DataFacts, Dataset, DataSource, Say, say_nothing
from mlpbench.data.named.cache import cache_root
from mlpbench.data.table.table_data import TableData, read_options

FOLDER = "plugins"
# What an experiment may say of the arrays beside their name, as of a table of the user's own.
OPTIONS = ("test", "scale", "task", "target_scale", "facts")


@dataclass(frozen=True, kw_only=True)
class MadeData(DataSource):
    """A data set of a plugin: what it is called, the digest of its code, and its arrays as a table."""

    called: str
    digest: str
    table: TableData

    @cached_property
    def facts(self) -> DataFacts:
        """The facts; the fingerprint is of the arrays, their split and their scale."""
        return replace(self.table.facts, name=self.called, title=f"{self.called}, a data set of a plugin")

    def origin(self) -> str:
        """Return that a plugin made it."""
        return f"made by the code of {self.called} ({self.digest})"

    def fetch(self, *, data_dir: Path | None = None, cache_dir: Path | None = None, say: Say = say_nothing) -> str:
        """Make sure that the arrays are there and match the facts, and return where they come from; raise InputError where not."""
        self.load()
        return self.origin()

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the arrays to train on; raise InputError where they are not on this machine, or others than the facts say."""
        if not Path(self.table.options.file).is_file():
            rule = f"the arrays of {self.called} ({self.digest}) are not on this machine, and training needs them"
            raise InputError(f"{rule}: `mlpbench check FILE`, with the plugin that has its code, makes them again")
        return replace(self.table.load(), facts=self.facts)

    def as_written(self, folder: Path | None) -> dict[str, Any]:
        """Return the name with options and facts; the arrays lie in the cache, wherever that is."""
        written = self.table.as_written(folder)
        tree = written if isinstance(written, dict) else {}
        return {"name": self.called} | {key: tree[key] for key in OPTIONS if key in tree}


def arrays_path(called: str, digest: str) -> Path:
    """Return where the arrays of a data set of a plugin lie once they are made."""
    return cache_root() / FOLDER / f"{called}-{digest}.npz"


def keep_arrays(called: str, digest: str, content: bytes) -> Path:
    """Write the arrays of a data set, the bytes of an npz file, into the cache; raise MachineError where the disk refuses."""
    path = arrays_path(called, digest)
    write_whole(path, content)
    return path


def read_made(called: str, digest: str, options: Mapping[Any, Any]) -> MadeData:
    """Return a data set whose arrays are in the cache, or whose facts the options have.

    Raises SpecProblem for wrong options, InputError for arrays that can't be learned from.
    """
    for key in options:
        if key not in OPTIONS:
            raise unknown_key((KEY, key), ["name", *OPTIONS[:-1]])
    file = {"file": str(arrays_path(called, digest).absolute())}
    table = read_options({**file, **options}, Path(), called=called)
    return MadeData(called=called, digest=digest, table=table)
