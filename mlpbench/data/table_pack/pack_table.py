"""A small real table that comes with the package, in an experiment: `dataset: penguins`, or `{name: penguins, scale: robust}`.

Beside the name stand the options of tables of the user's own, but for those that say where and how a file is written. At
default options the facts are those of `facts.json`, so that plans and lists read no table; with others the table is read. What
a results folder has is the name and the options: the table is found wherever mlpbench is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.models import SpecProblem, shown, unknown_key
from mlpbench.data.dataset import KEY, DataFacts, Dataset
from mlpbench.data.table.table_data import TableData, read_options
from mlpbench.data.table.table_options import TEST_SHARE, TEXT_KEYS, TableFacts, TableOptions
from mlpbench.data.table_pack.pack_entries import ENTRIES, PackEntry

if TYPE_CHECKING:
    from mlpbench.data.table.table_encoder import TableEncoder

FOLDER = Path(__file__).resolve().parent
FACTS = FOLDER / "facts.json"
# What is said of a file of one's own: where it is, and how it is written.
_OF_FILES = ("file", "test_file", "facts", "decimal", "day_first", *TEXT_KEYS)


@dataclass(frozen=True, kw_only=True)
class PackTable(TableData):
    """A table of the package; its options have whole paths, as those of any table, which are never written."""

    entry: PackEntry

    @cached_property
    def facts(self) -> DataFacts:
        """The facts, with the name that experiments have."""
        title = f"{self.entry.title}, target {self.options.target}"
        return replace(super().facts, name=self.entry.name, title=title)

    @property
    def is_in_package(self) -> bool:
        """Whether the rows are had wherever mlpbench is: the table comes with it."""
        return True

    def read_again(self) -> tuple[PackTable, Dataset, TableEncoder]:
        """Return the table with its facts, its arrays and its encoder; raise MachineError where the package's file is another."""
        try:
            now, dataset, encoder = super().read_again()
        except InputError as error:
            raise MachineError(
                f"{self.entry.file} of the package is damaged, install mlpbench again: {error}"
            ) from None
        table = PackTable(options=now.options, file_facts=now.file_facts, entry=self.entry)
        return table, replace(dataset, facts=table.facts), encoder

    def origin(self) -> str:
        """Return that it comes with the package, its licence and where it is published."""
        return f"in the package, {self.entry.licence}, {self.entry.url}"

    def credits(self) -> tuple[str, ...]:
        """Return what the table is about, who made it, its licence, and what was changed."""
        of = self.entry
        return (
            f"{of.title}: {of.about}",
            f"source: {of.citation}, {of.url}; copied from {of.copied_from}",
            f"licence: {of.licence}. Changed: {of.changes}",
        )

    def with_options(self, options: Mapping[Any, Any]) -> PackTable:
        """Return the table with the options that stand beside its name; raise SpecProblem for wrong ones.

        Raises InputError for what is wrong in the table with them.
        """
        for key, value in options.items():
            if key in _OF_FILES:
                rule = f"{key} is said of files of your own, and {self.entry.name} comes with mlpbench"
                raise SpecProblem((KEY, key), f"{rule}: leave it out, got {shown(value)}", key=True)
            if key not in TableOptions.model_fields:
                raise unknown_key((KEY, key), ["name", *(k for k in TableOptions.model_fields if k not in _OF_FILES)])
        if not options:
            return self
        tree = {"file": self.entry.file, "target": self.entry.target, **options}
        read = read_options(tree, FOLDER, called=self.entry.file)
        return PackTable(options=read.options, file_facts=read.file_facts, entry=self.entry)

    def as_written(self, folder: Path | None) -> str | dict[str, Any]:
        """Return the name, with the options that are not at their default."""
        usual = _usual_options(self.entry, self.file_facts).model_dump()
        said = {k: v for k, v in self.options.model_dump().items() if v != usual[k] and v is not None}
        if not said:
            return self.entry.name
        return {"name": self.entry.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}


def _usual_options(entry: PackEntry, facts: TableFacts) -> TableOptions:
    """Return the options where none stands beside the name, as those of a table that has been read."""
    return TableOptions(
        file=str(FOLDER / entry.file),
        target=entry.target,
        test=TEST_SHARE,
        target_scale="standard" if facts.classes is None else None,
    )


def _table_pack() -> dict[str, PackTable]:
    """Return the tables by name, but for one whose facts are still to be written."""
    known = {name: TableFacts.model_validate(facts) for name, facts in json.loads(FACTS.read_text("utf-8")).items()}
    return {
        entry.name: PackTable(
            options=_usual_options(entry, known[entry.name]), file_facts=known[entry.name], entry=entry
        )
        for entry in ENTRIES
        if entry.name in known
    }


TABLE_PACK = _table_pack()
