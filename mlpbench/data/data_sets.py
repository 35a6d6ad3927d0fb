"""Every data set that has a name, in one table; and how an experiment file's `dataset` is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.models import Path as Place
from mlpbench.base.models import SpecProblem, shown, suggestion
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.dataset import KEY, DataSource
from mlpbench.data.formats.table_files import format_of
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.data.synthetic import SYNTHETIC
from mlpbench.data.table.table_data import TableData, read_options
from mlpbench.data.table.table_options import TableOptions
from mlpbench.data.table.table_paths import ADDRESS, NOT_FETCHED
from mlpbench.data.table_pack.pack_table import TABLE_PACK

RESPLIT = "resplit"
# What `dataset: NAME` may say.
DATA_SETS: dict[str, DataSource] = {**CATALOGUE, **BUNDLED, **TABLE_PACK, **SYNTHETIC}


def lookup(name: str) -> DataSource:
    """Return the data set of that name; raise InputError, with the nearest name, where there is none."""
    if name not in DATA_SETS:
        raise InputError(f"a data set must be {_no_name(name)}")
    return DATA_SETS[name]


def _no_name(name: str) -> str:
    """Return the rest of the message about a name that no data set has: the nearest name, or all where none is near."""
    near = suggestion(name, DATA_SETS) or _as_a_file(name)
    names = "" if near else f" ({', '.join(DATA_SETS)})"
    return f"a name of `mlpbench data list`{names}, got {name!r}{near}"


def _as_a_file(name: str) -> str:
    """Return how a file is written, where a name is one: it ends as tables do, or has folders; of an address, what to do first."""
    if ADDRESS.match(name):
        return f"; {NOT_FETCHED}, and write `dataset: {{file: PATH, target: COLUMN}}`"
    if format_of(name) is None and not {"/", "\\"} & set(name):
        return ""
    return f"; a file is written `dataset: {{file: {name}, target: COLUMN}}`"


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
        raise SpecProblem(place, f"dataset must be {_no_name(name)}")
    source = DATA_SETS[name]
    if "file" in options:
        rule = "a data set is a name or a file, not both"
        raise SpecProblem(
            (KEY, "file"), f"{rule}: leave out name or file, got {shown(name)} and {shown(options['file'])}", key=True
        )
    if RESPLIT in options and not isinstance(DATA_SETS[name], TableData):
        why = (
            "each replicate draws its own data anyway" if source.facts.is_drawn_anew else "it has a test set of its own"
        )
        rule = f"resplit is for tables, such as {{file: PATH, target: COLUMN, resplit: true}}; of {name}, {why}"
        raise SpecProblem((KEY, RESPLIT), f"{rule}: leave it out", key=True)
    return source.with_options(options)


def level_schema() -> dict[str, Any]:
    """Return the JSON Schema of a data set that is a level of a factor: it may have a word of its own, under `label`."""
    name, named, file = dataset_schema()["anyOf"]
    label = {"label": {"type": "string", "pattern": r"\S"}}
    labelled = [shape | {"properties": shape["properties"] | label} for shape in (named, file)]
    return {"anyOf": [name, *labelled]}


def shared_schema() -> dict[str, Any]:
    """Return the JSON Schema of the options that all data sets of a factor share: neither a name nor a file."""
    return {"type": "object", "not": {"anyOf": [{"required": [key]} for key in ("name", "file")]}}


def table_of(table: Path, options: Mapping[str, Any]) -> TableData:
    """Return the table that comes with mlpbench under that name, or is in that file, with options.

    Raises InputError for other data that have a name, and what `read_dataset` raises.
    """
    name = str(table)
    if name in TABLE_PACK:
        return TABLE_PACK[name].with_options(options)
    is_named = name in DATA_SETS
    near = "" if is_named or table.suffix or table.exists() else suggestion(name, TABLE_PACK)
    if is_named or near:
        got = f"{name!r}{near}" if near else f"{name!r}, which is no table"
        raise InputError(f"a table must be a file or one of {', '.join(TABLE_PACK)}, got {got}")
    return read_options({"file": table, **options}, Path())


def dataset_schema() -> dict[str, Any]:
    """Return the JSON Schema of `dataset`: a name, alone or with its own options, or a file, whose facts mlpbench writes.

    The names of data sets are offered; another word is refused when the experiment is read.
    """
    name = {"anyOf": [{"enum": list(DATA_SETS)}, {"type": "string", "pattern": r"^[A-Za-z0-9_-]+$"}]}
    named = {"type": "object", "required": ["name"], "properties": {"name": name}}
    shapes = TableOptions.model_json_schema()["properties"]
    options = {key: {k: v for k, v in shape.items() if k != "title"} for key, shape in shapes.items()}
    options["facts"] = {"type": "object"}
    file = {"type": "object", "additionalProperties": False, "properties": options, "required": ["file"]}
    return {"anyOf": [name, named, file]}
