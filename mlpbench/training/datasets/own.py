"""Any data set an experiment may name: of the catalogue, or the user's own file.

A data set that is drawn anew for each replicate would be a third kind: the draws of a stack's replicates one below the
other in `x_train`, and `split` choosing rows of a run's own draw.
"""

from collections.abc import Callable
from pathlib import Path

from mlpbench.experiment import own_data
from mlpbench.experiment.own_data import OwnData
from mlpbench.training.datasets import named
from mlpbench.training.datasets.dataset import Dataset


def load(dataset: str | OwnData, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
    """Return the data set of an experiment; raises what `fetch` raises."""
    if isinstance(dataset, str):
        return named.load(dataset, data_dir=data_dir, cache_dir=cache_dir)
    made = own_data.arrays_of(dataset)
    arrays = {part: getattr(made, part) for part in ("x_train", "y_train", "x_test", "y_test")}
    for array in arrays.values():
        array.flags.writeable = False
    return Dataset(facts=dataset, **arrays)


def fetch(
    dataset: str | OwnData,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Make sure that the data of an experiment can be loaded, and return where they come from.

    Named data are cached, see `named.fetch`. Own data are read once more: raises InputError where the file is gone, or
    is not what it was when its facts were taken.
    """
    if isinstance(dataset, str):
        return named.fetch(dataset, data_dir=data_dir, cache_dir=cache_dir, say=say)
    own_data.arrays_of(dataset)
    return dataset.file
