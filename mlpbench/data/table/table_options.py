"""What a file says of a table of the user's own, checked, and the facts of one that has been read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from mlpbench.base.models import Model, SpecProblem, first_problem, shown, unknown_key
from mlpbench.base.models import Path as Place
from mlpbench.data.dataset import KEY, TargetScaling, Task
from mlpbench.data.formats.column_choice import RowColumn
from mlpbench.data.formats.columns import MOST_CLASSES, RowOption
from mlpbench.data.formats.table_files import NPZ, conversion, format_of
from mlpbench.data.profile import ColumnProfile, TableProfile
from mlpbench.data.table.gaps import Missing, checked_spellings
from mlpbench.data.table.scaling import Scale
from mlpbench.data.text.dialect import LONGEST_COMMENT, TextOptions, checked_separator
from mlpbench.data.text.text_encoding import checked_encoding

TEST_SHARE = 0.2
NPZ_TARGET = "y"
TEXT_KEYS = tuple(field.name for field in fields(TextOptions))
ROW_OPTIONS: tuple[RowOption, ...] = get_args(RowOption)
_A_COLUMN = "the name of a column, or its position as a whole number"
# What says how columns are written, in files of new rows as in those learned from.
READING_KEYS = (*TEXT_KEYS, "decimal", "day_first", "missing_values")
HOW_TO_NAME_A_TABLE = "a data set of your own is {file: PATH, target: COLUMN}"


class TableFacts(Model):
    """What is known of a file that has been read; `classes` is None for regression.

    `blocks` are the `sizes` of `RowBlocks` in one row: the rows of a group or a time, and how many of that size follow one another.
    `notes` say how it was understood where that is not plain, a sentence each, and `profile` what became of each column, None in
    folders of earlier releases. Data with other notes, and another profile, are the same data.
    """

    fingerprint: str
    n_train: int = Field(ge=2)
    n_test: int = Field(ge=1)
    n_features: int = Field(ge=1)
    classes: tuple[str, ...] | None = Field(default=None, strict=False, min_length=2, max_length=MOST_CLASSES)
    target_mean: float | None = None
    target_sd: float | None = Field(default=None, gt=0)
    notes: tuple[str, ...] = Field(default=(), strict=False)
    profile: TableProfile | None = None
    n_validation: int = Field(default=0, ge=0)
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), strict=False)

    @field_validator("fingerprint")
    @classmethod
    def _digits(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(f"fingerprint must be 64 hex digits, got {shown(value)}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> TableFacts:
        if len(self.blocks) % 2:
            raise ValueError(f"blocks must be pairs of numbers, got {len(self.blocks)} numbers")
        total = sum(rows * count for rows, count in self.block_sizes)
        if self.blocks and total != self.n_train:
            raise ValueError(f"blocks must have the rows to train on, {self.n_train}, got {total}")
        return self

    @property
    def block_sizes(self) -> tuple[tuple[int, int], ...]:
        """The rows of each group or time and how many of that size follow one another."""
        return tuple(zip(self.blocks[::2], self.blocks[1::2], strict=True))

    def without_words(self) -> TableFacts:
        """Return what identifies the data: later versions may word notes and profiles otherwise."""
        return self.model_copy(update={"notes": (), "profile": None})


class TableOptions(Model):
    """What a file says of a table: which file, which column is the target, and how to split and scale the rest.

    `test` is None where test rows are given, by `test_file` or by an npz file. With `resplit` each replicate draws its own.
    """

    file: str = Field(min_length=1)
    target: str | int = NPZ_TARGET
    drop: Annotated[tuple[str | int, ...], Field(strict=False, min_length=1)] | None = None
    columns: Annotated[tuple[str | int, ...], Field(strict=False, min_length=1)] | None = None
    test: float | None = Field(default=None, gt=0, lt=1)
    test_file: str | None = Field(default=None, min_length=1)
    resplit: bool = False
    scale: Scale = "standard"
    missing: Missing = "impute"
    missing_values: Annotated[tuple[str | int | float, ...], Field(strict=False, min_length=1)] | None = None
    words: Annotated[tuple[str | int, ...], Field(strict=False, min_length=1)] | None = None
    day_first: bool | None = None
    task: Task | None = None
    target_scale: TargetScaling | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    header: bool | Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    comment: str | None = Field(default=None, max_length=LONGEST_COMMENT)
    split: str | int | None = None
    groups: str | int | None = None
    time: str | int | None = None
    facts: TableFacts | None = None

    @model_validator(mode="after")
    def _one_test(self) -> TableOptions:
        if self.test is not None and self.test_file is not None:
            raise ValueError("test is a share of the file, test_file another file: give one of them, got both")
        if self.resplit and self.test_file is not None:
            raise ValueError("resplit draws test rows from all rows of file: put those of test_file there, got both")
        if self.drop is not None and self.columns is not None:
            raise ValueError("drop says what is left out, columns what is read: give one of them, got both")
        said = [key for key in ROW_OPTIONS if getattr(self, key) is not None]
        if len(said) > 1:
            rule = "split, groups and time each name the column that says how rows are split: give one of them"
            raise ValueError(f"{rule}, got {' and '.join(said)}")
        if said and self.resplit:
            rule = "resplit draws test rows for each replicate, and takes each row for one of its own"
            raise ValueError(f"{rule}: leave it out where a column says how rows are split, got {said[0]} too")
        if self.split is not None and (others := [k for k in ("test", "test_file") if getattr(self, k) is not None]):
            rule = "split names a column that says which rows are for testing, test is a share, test_file another file"
            raise ValueError(f"{rule}: give one of them, got split and {others[0]}")
        return self

    @field_validator("target", *ROW_OPTIONS, mode="before")
    @classmethod
    def _one_column(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.field_name != "target":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{info.field_name} must be {_A_COLUMN}, got {shown(value)}")
        return value

    @field_validator("drop", "columns", mode="before")
    @classmethod
    def _some_columns(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{info.field_name} must be a list of columns, got {shown(value)}")
        if wrong := [v for v in value if isinstance(v, bool) or not isinstance(v, str | int)]:
            raise ValueError(f"an entry of {info.field_name} must be {_A_COLUMN}, got {shown(wrong[0])}")
        return value

    @field_validator("missing_values", mode="before")
    @classmethod
    def _spellings(cls, value: object) -> object:
        return checked_spellings(value)

    @field_validator("header", mode="before")
    @classmethod
    def _header(cls, value: object) -> object:
        if value is None or isinstance(value, bool):
            return value
        if not isinstance(value, list | tuple) or not value or not all(isinstance(v, str) for v in value):
            raise ValueError(f"header must be true, false, or a list of names of columns, got {shown(value)}")
        return value

    @field_validator("separator")
    @classmethod
    def _separator(cls, value: str | None) -> str | None:
        return value if value is None else checked_separator(value)

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str | None) -> str | None:
        return value if value is None else checked_encoding(value)

    @property
    def paths(self) -> dict[str, str]:
        """The files, by option."""
        return {"file": self.file} | ({"test_file": self.test_file} if self.test_file is not None else {})

    @property
    def name(self) -> str:
        """The name of the file."""
        return os.path.basename(self.file)

    @property
    def split_by(self) -> RowColumn | None:
        """The column that says how rows are split, by the option that names it."""
        named = ((key, getattr(self, key)) for key in ROW_OPTIONS)
        return next((RowColumn(option=key, column=column) for key, column in named if column is not None), None)

    @property
    def text(self) -> TextOptions:
        """What is said of how text files are written."""
        return TextOptions(**{key: getattr(self, key) for key in TEXT_KEYS})


def checked_options(tree: Mapping[str, Any]) -> TableOptions:
    """Return options as a file has them; raise SpecProblem for wrong ones."""
    try:
        options = TableOptions.model_validate(tree)
    except ValidationError as error:
        raise _problem(error, tree) from None
    if "target" not in tree and format_of(options.file) != NPZ:
        raise SpecProblem(
            (KEY,), f"{HOW_TO_NAME_A_TABLE}, got no target for {shown(options.file)}{conversion(options.file)}"
        )
    return options


def checked_reading(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of how a file of new rows is written; raise SpecProblem for what says nothing of that."""
    if other := next((key for key in tree if key not in READING_KEYS), None):
        raise unknown_key((KEY, other), READING_KEYS)
    options = checked_options({"file": "new.csv", "target": -1} | dict(tree))
    return {key: getattr(options, key) for key in tree}


def _problem(error: ValidationError, tree: Mapping[str, Any]) -> SpecProblem:
    def known(path: Place) -> list[str]:
        models: dict[str, type[Model]] = {"profile": TableProfile, "facts": TableFacts}
        inside = path[:-1]
        if inside[:3] == ("facts", "profile", "columns"):
            return list(ColumnProfile.model_fields)
        return list(next((models[key] for key in models if key in inside), TableOptions).model_fields)

    problem = first_problem(error, known)
    if "file" not in tree and not problem.key:
        return SpecProblem((KEY,), f"{HOW_TO_NAME_A_TABLE}, got {shown(tree)}")
    return SpecProblem((KEY, *problem.path), problem.message, key=problem.key)
