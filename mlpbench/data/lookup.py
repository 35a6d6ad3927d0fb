"""What `dataset` may say: a name of the catalogue, a family of synthetic data with its options, or the user's own data."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from mlpbench.base.messages import Path, SpecProblem, shown, suggestion, unknown_key
from mlpbench.data.named.catalogue import names
from mlpbench.data.synthetic.families import FAMILIES, Synthetic, synthetic
from mlpbench.data.table.table_data import OwnData, own


def named_or_own(value: object, base: pathlib.Path) -> str | OwnData | Synthetic:
    """Return a name of the catalogue, synthetic or own data; `{name: X}` says the same as `X`.

    Raises SpecProblem, and InputError for what is wrong inside a file.
    """
    if isinstance(value, Mapping) and "name" not in value:
        return own(value, base)
    name: object = value
    place: Path = ("dataset",)
    if isinstance(value, Mapping) and isinstance(value["name"], str) and value["name"] in FAMILIES:
        return synthetic(value)
    if isinstance(value, Mapping):
        if extra := next((k for k in value if k != "name"), None):
            raise unknown_key(("dataset", extra), ["name"])
        name, place = value["name"], ("dataset", "name")
    if not isinstance(name, str):
        raise SpecProblem(place, f"dataset must be a name or {{file: PATH, target: COLUMN}}, got {shown(name)}")
    if name not in names():
        known = ", ".join(names())
        raise SpecProblem(place, f"dataset must be one of {known}, got {name!r}{suggestion(name, names())}")
    return synthetic({"name": name}) if name in FAMILIES else name
