"""Any data set an experiment may name: of the catalogue, of the package, drawn anew for each replicate, or own data."""

from collections.abc import Callable
from pathlib import Path
from typing import overload

from mlpbench.data.bundled import bundled_arrays
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.dataset import Dataset
from mlpbench.data.named import fetch as named
from mlpbench.data.named.fetch import cached
from mlpbench.data.synthetic.draws import Draws
from mlpbench.data.synthetic.families import DRAWN_ANEW, FAMILIES, Synthetic
from mlpbench.data.table import table_data
from mlpbench.data.table.table_data import OwnData

__all__ = ["Dataset", "Draws", "cached", "fetch", "load"]


@overload
def load(dataset: str | OwnData, *, data_dir: Path | None = ..., cache_dir: Path | None = ...) -> Dataset: ...
@overload
def load(
    dataset: str | OwnData | Synthetic, *, data_dir: Path | None = ..., cache_dir: Path | None = ...
) -> Dataset | Draws: ...
def load(
    dataset: str | OwnData | Synthetic, *, data_dir: Path | None = None, cache_dir: Path | None = None
) -> Dataset | Draws:
    """Return the data set of an experiment, or what draws it for a replicate; raises what `fetch` raises."""
    if isinstance(dataset, Synthetic):
        return Draws(facts=dataset)
    if isinstance(dataset, str):
        if dataset in BUNDLED:
            return bundled_arrays.load(dataset)
        return named.load(dataset, data_dir=data_dir, cache_dir=cache_dir)
    made = table_data.arrays_of(dataset)
    arrays = {part: getattr(made, part) for part in ("x_train", "y_train", "x_test", "y_test")}
    for array in arrays.values():
        array.flags.writeable = False
    return Dataset(facts=dataset, **arrays)


def fetch(
    dataset: str | OwnData | Synthetic,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Make sure that the data of an experiment can be loaded, and return where they come from.

    Named data are cached, see `named.fetch`; those of the package are made once more. Own data are read once more: raises InputError where the file is gone, or
    is not what it was when its facts were taken.
    """
    if isinstance(dataset, Synthetic) or (isinstance(dataset, str) and dataset in FAMILIES):
        return DRAWN_ANEW
    if isinstance(dataset, str):
        if dataset in BUNDLED:
            return BUNDLED[bundled_arrays.load(dataset).name].origin
        return named.fetch(dataset, data_dir=data_dir, cache_dir=cache_dir, say=say)
    table_data.arrays_of(dataset)
    return dataset.file
