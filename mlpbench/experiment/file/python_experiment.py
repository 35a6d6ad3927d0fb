"""An experiment that is written in Python: the keys of an experiment file as typed keywords, read as the file is read.

There is one reader: keywords become the mapping that a file holds, and what is wrong is said in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Never, TypeAlias

from mlpbench.base.errors import InputError
from mlpbench.base.files import expanded
from mlpbench.base.models import Stream
from mlpbench.experiment.file import yaml_reader, yaml_text
from mlpbench.experiment.file.keyword_types import Claim, Levels, Settings
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.experiment.spec import Experiment as CheckedExperiment

# The name of a data set, or its name or file with options.
DataSet: TypeAlias = str | Mapping[str, Any]
# What holds others so deep is no part of an experiment, and may hold itself.
MOST_DEPTH = yaml_text.MAX_DEPTH


class Experiment:
    """An experiment: the keys of an experiment file as keywords, checked as a file is when it is made.

    Levels may be NumPy numbers and arrays, tuples and ranges, and a file may be a `Path`; paths start at the current folder.
    One on a data set of a plugin whose arrays were never made is checked when `mlpbench.run` makes them: nothing else runs their code.
    Editors complete settings, words and keys of claims, also in mappings inside the keywords.

    Args:
        name: A plain word; names the folder of results.
        question: What the experiment asks, in a sentence.
        dataset: A named data set, or a mapping with `name` or `file` and options; left out where data sets are levels of a factor.
        topic: The heading under which an index lists the experiment.
        validation: A share of the training examples held out, or `{"folds": K}`.
        fixed: One value for each setting that is not varied; others have their defaults.
        factors: Levels for each setting that is varied; also `zip` and `conditions`.
        ablate: `{"base": {...}, "remove": {...}}`.
        nuisance: Levels, or a range, of each setting that is tuned on validation.
        probes: Epochs at which layers are measured; also `start` and `end`.
        shifts: Kinds of shift of the test set, each with its severities.
        replicates: How often every condition is repeated; 5 where it is left out.
        seed: Of all random draws; 0 where it is left out.
        vary: The random streams in which replicates differ, or `{"each": [...]}`.
        until_decided: `{"max_replicates": N}` or `{"anytime": True}`.
        save_weights: Whether the weights of every run are kept.
        plugins: Files with pieces of your own, in the current folder; of one, its name is enough.
        claims: Mappings with `id`, `says` and a form, such as `compare`.
        unknown: None: any other keyword is refused, with the nearest one that there is.

    Raises:
        InputError: Something is wrong: the message names the key, the rule, the value and a suggestion, as of a file.

    >>> experiment = Experiment(name="widths", question="Is wider better?", dataset="digits", factors={"width": (8, 16)})
    >>> experiment
    Experiment(name='widths', question='Is wider better?')

    """

    def __init__(
        self,
        *,
        name: str,
        question: str,
        dataset: DataSet | None = None,
        topic: str | None = None,
        validation: float | Mapping[str, Any] | None = None,
        fixed: Settings | Mapping[str, Any] | None = None,
        factors: Levels | Mapping[str, Any] | None = None,
        ablate: Mapping[str, Settings | Mapping[str, Any]] | None = None,
        nuisance: Levels | Mapping[str, Any] | None = None,
        probes: Sequence[float | Literal["start", "end"]] | None = None,
        shifts: Mapping[str, Sequence[float]] | None = None,
        replicates: int | None = None,
        seed: int | None = None,
        vary: Sequence[Stream] | Mapping[Literal["each"], Sequence[Stream]] | None = None,
        until_decided: Mapping[str, Any] | None = None,
        save_weights: bool | None = None,
        plugins: str | Path | Sequence[str | Path] | None = None,
        claims: Sequence[Claim | Mapping[str, Any]] | None = None,
        **unknown: Never,
    ) -> None:
        keys: dict[str, Any] = {
            "name": name, "question": question, "topic": topic, "dataset": dataset, "validation": validation,
            "fixed": fixed, "factors": factors, "ablate": ablate, "nuisance": nuisance, "probes": probes,
            "shifts": shifts, "replicates": replicates, "seed": seed, "vary": vary, "until_decided": until_decided,
            "save_weights": save_weights, "plugins": plugins, "claims": claims,
        }  # fmt: skip
        needed = ("name", "question")
        given = {key: value for key, value in keys.items() if value is not None or key in needed}
        self._keys = plain_mapping(given | unknown)
        self._checked: CheckedExperiment | None = None
        with suppress(_UnmadeError):
            self._checked = yaml_reader.from_mapping(self._keys, make=_not_now)

    @property
    def keys(self) -> Mapping[str, Any]:
        """The keys of the experiment as a file would have them, those that were left out left out."""
        return self._keys

    @property
    def checked(self) -> CheckedExperiment:
        """The experiment in canonical form, as results folders have it; raises InputError where its data set was never made."""
        if self._checked is None:
            self._checked = yaml_reader.from_mapping(self._keys)
        return self._checked

    def to_yaml(self, folder: str | Path | None = None) -> str:
        """Return the text of a file that has the same runs and claims, defaults filled in.

        Paths of own data are absolute, or relative to the folder that the file is for.
        """
        return yaml_reader.dump(self.checked, None if folder is None else expanded(folder))

    def __repr__(self) -> str:
        return f"Experiment(name={self._keys['name']!r}, question={self._keys['question']!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self._keys == other._keys

    __hash__ = None  # type: ignore[assignment]


class _UnmadeError(Exception):
    """The arrays of a data set of a plugin are not there."""


def _not_now(_plugin: Plugin, _piece: Piece) -> None:
    raise _UnmadeError


def plain_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping whose values are those that a YAML file can hold, where Python has others that mean them."""
    return {key: plain_value(value) for key, value in mapping.items()}


# How each library writes a table; others are no less tables.
_WRITERS = {
    "pandas": 'df.to_parquet("table.parquet")',
    "polars": 'df.write_parquet("table.parquet")',
    "pyarrow": 'pyarrow.parquet.write_table(df, "table.parquet")',
}


def _of_table(table: Any) -> str:
    """Return what to do with a table in memory: results say what they are of, which a file does and memory does not."""
    library = type(table).__module__.partition(".")[0]
    how = _WRITERS.get(library, "write it to table.parquet or table.csv")
    return (
        f"a table of your own must be a file, got a {type(table).__name__} of shape {table.shape}: "
        f'write it, {how}, and give dataset={{"file": "table.parquet", "target": COLUMN}}'
    )


def plain_value(value: object, depth: int = 0) -> Any:
    """Return what a YAML file has in place of a value: numbers of NumPy, arrays, tuples, ranges and paths become plain.

    Whatever else there is stays, and the reader says what is wrong with it. Raises InputError for a table in memory.

    >>> import numpy as np
    >>> plain_value({"lr": np.logspace(-2, 0, 3), "width": range(8, 10)})
    {'lr': [0.01, 0.1, 1.0], 'width': [8, 9]}
    """
    if depth > MOST_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: plain_value(of, depth + 1) for key, of in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain_value(of, depth + 1) for of in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "columns") and hasattr(value, "shape"):  # tables of pandas, polars and pyarrow
        raise InputError(_of_table(value))
    if hasattr(value, "tolist"):  # arrays, series and numbers of NumPy and pandas
        return value.tolist()
    return value
