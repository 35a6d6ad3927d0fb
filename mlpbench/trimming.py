"""Make a results folder small enough to be published: predictions stay where the report reads them.

What the report reads is found out by rendering it. A dropped prediction leaves its row, with nothing in it: the run is as
done as before, and `agreement` takes what is not there for no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench import examples, runner
from mlpbench.api import read_folder
from mlpbench.errors import InputError
from mlpbench.store import Store

TABLE = "predictions"


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """How many runs keep their predictions, how many have none (left), and the bytes of the table before and after."""

    kept: int
    dropped: int
    before: int
    after: int


class _Noting(Store):
    """A store that takes down of which runs predictions are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: set[str] = set()

    def read(
        self,
        table: str,
        run_ids: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        *,
        sound: bool = False,
    ) -> pd.DataFrame:
        found = super().read(table, run_ids, columns, sound=sound)
        if table == TABLE and (columns is None or "predicted" in columns):
            self.asked |= set(found["run_id"])
        return found


def trim(folder: Path) -> Trimmed:
    """Drop the predictions that the report of a folder does not read.

    Raises InputError where it is no results folder or has damaged files, MachineError where it can't be written.
    """
    experiment, store = read_folder(folder), _Noting(folder)
    if damaged := store.damaged():
        path, why = next(iter(damaged.items()))
        raise InputError(f"{path} {why}: `mlpbench run` sets it aside and trains its runs again")
    with store.writing():
        examples.keep(experiment, store)
        if examples.needed(experiment) and examples.test_set(experiment, store, keeping=False).labels() is None:
            rule = "which predictions the report reads is known where the test labels are"
            raise InputError(f"{rule}, got {folder} without them: `mlpbench report` adds them where the data are")
        runner.render(experiment, store)
        wanted = pa.array(sorted(store.asked), pa.string())
        before = _size(folder)

        def without(rows: pa.Table) -> pa.Table:
            kept = pc.if_else(pc.is_in(rows["run_id"], wanted), rows["predicted"], pa.scalar(None, pa.binary()))
            return rows.set_column(rows.schema.get_field_index("predicted"), "predicted", kept)

        store.rewrite(TABLE, without)
        left = store.read(TABLE)["predicted"].notna()
    return Trimmed(kept=int(left.sum()), dropped=int((~left).sum()), before=before, after=_size(folder))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / TABLE).glob("*.parquet"))
