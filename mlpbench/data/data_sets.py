"""Every data set that has a name, in one table; and how an experiment file's `dataset` is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.messages import Path as Place
from mlpbench.base.messages import SpecProblem, shown, suggestion
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.dataset import KEY, DataSource
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.data.synthetic import SYNTHETIC
from mlpbench.data.table.table_data import read_options

# What `dataset: NAME` may say.
DATA_SETS: dict[str, DataSource] = {**CATALOGUE, **BUNDLED, **SYNTHETIC}


def lookup(name: str) -> DataSource:
    """Return the data set of that name; raise InputError, with the nearest name, where there is none."""
    if name not in DATA_SETS:
        raise InputError(f"a data set must be one of {', '.join(DATA_SETS)}, got {name!r}{suggestion(name, DATA_SETS)}")
    return DATA_SETS[name]


def read_dataset(written: object, base: Path) -> DataSource:
    """Return what a file's `dataset` means: a name, a name with options, or a file of the user's own.

    `{name: X}` is the same as `X`; a path starts at `base`. Raises SpecProblem, and InputError for what is wrong inside a file.
    """
    name: object = written
    place: Place = (KEY,)
    options: Mapping[Any, Any] = {}
    if isinstance(written, Mapping):
        if "name" not in written:
            return read_options(written, base)
        name, place, options = written["name"], (KEY, "name"), {k: v for k, v in written.items() if k != "name"}
    if not isinstance(name, str):
        raise SpecProblem(place, f"dataset must be a name or {{file: PATH, target: COLUMN}}, got {shown(name)}")
    if name not in DATA_SETS:
        rule = f"dataset must be one of {', '.join(DATA_SETS)}, got {name!r}"
        raise SpecProblem(place, f"{rule}{suggestion(name, DATA_SETS)}")
    return DATA_SETS[name].with_options(options)
