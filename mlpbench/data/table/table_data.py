"""The user's own data in an experiment: `{file: PATH, target: COLUMN, test: 0.2, scale: standard}`.

How a text file is written is recognised, or said: `separator`, `decimal`, `encoding`, `header`, `comment`.
The file is read when the experiment is, for its facts: what a plan, identities and a report need. A results folder's
`spec.yaml` has the facts too, under `facts`, so that `report` and `claims` work where the file is gone; training reads the
file again and refuses one whose facts have changed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.base.models import SpecProblem, shown
from mlpbench.data.dataset import KEY, DataFacts, Dataset, DataSource, Say, TargetScale, say_nothing
from mlpbench.data.file_errors import file_error
from mlpbench.data.formats.column_choice import ColumnChoice, RowColumn
from mlpbench.data.formats.columns import ColumnOptions, Table
from mlpbench.data.formats.table_files import NPZ, TEXT, format_of, read_table
from mlpbench.data.row_blocks import RowBlocks
from mlpbench.data.table.table_options import (
    TEST_SHARE,
    TEXT_KEYS,
    TableFacts,
    TableOptions,
    checked_options,
)
from mlpbench.data.table.table_paths import check_addresses, check_files, spelt, whole_path

if TYPE_CHECKING:
    from mlpbench.data.table.encode import Encoded
    from mlpbench.data.table.table_draws import TableDraws
    from mlpbench.data.table.table_encoder import TableEncoder


@dataclass(frozen=True, kw_only=True)
class TableData(DataSource):
    """A table of the user's own: options with whole paths, and what is known of the file, which has been read before."""

    options: TableOptions
    file_facts: TableFacts

    @cached_property
    def facts(self) -> DataFacts:
        """The facts; the fingerprint is of values, split and scale: neither path nor format is part of it."""
        return DataFacts(
            name=self.options.name,
            title=f"{self.options.name}, target {'column ' * isinstance(self.options.target, int)}{self.options.target}",
            n_train=self.file_facts.n_train,
            n_test=self.file_facts.n_test,
            input_shape=(self.file_facts.n_features,),
            class_names=self.file_facts.classes or (),
            fingerprint=self.file_facts.fingerprint,
            target_scale=self._target_scale,
            is_drawn_anew=self.options.resplit,
            is_resplit=self.options.resplit,
            notes=self.file_facts.notes,
            profile=self.file_facts.profile,
            n_validation=self.file_facts.n_validation,
            blocks=self._blocks,
        )

    @property
    def _blocks(self) -> RowBlocks | None:
        sizes = self.file_facts.block_sizes
        return RowBlocks(sizes=sizes, in_time=self.options.time is not None) if sizes else None

    @property
    def _target_scale(self) -> TargetScale | None:
        mean, sd = self.file_facts.target_mean, self.file_facts.target_sd
        if mean is None or sd is None:
            return None
        return TargetScale(mean=mean, sd=sd, log=self.options.target_scale == "log")

    def fetch(self, *, data_dir: Path | None = None, cache_dir: Path | None = None, say: Say = say_nothing) -> str:
        """Make sure that the file is there and matches its facts, and return its path; raise InputError where not."""
        if self.options.resplit:
            # Not the one that is kept: the file may have gone since, and workers read it again.
            self._read_whole()
            return self.origin()
        return super().fetch(data_dir=data_dir, cache_dir=cache_dir, say=say)

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the arrays to train on; raise InputError where the file is gone or does not match its facts."""
        if self.options.resplit:
            return super().load()
        return self.read_again()[1]

    def draw(self, seed: int, replicate: int) -> Dataset:
        """Return the arrays of a replicate that draws its own test rows; raise as `load` does."""
        if not self.options.resplit:
            return super().draw(seed, replicate)
        return _dataset(self, _kept_for_draws(self).encoded(seed, replicate))

    def loaded(self, *, data_dir: Path | None = None) -> DataSource:
        """Return the table as it is sent to a machine that lacks its file; raise as `load` does."""
        return LoadedTable(_kept_for_draws(self)) if self.options.resplit else super().loaded()

    def encoder(self, seed: int = 0, replicate: int = 0) -> TableEncoder:
        """Return what makes inputs of new rows; raise InputError where the file is gone or does not match its facts.

        Where replicates draw their own test rows, it is that of one of them.
        """
        if self.options.resplit:
            return _kept_for_draws(self).encoder(seed, replicate)
        return self.read_again()[2]

    def read_again(self) -> tuple[TableData, Dataset, TableEncoder]:
        """Return the table with its facts, its arrays and its encoder; raise InputError as `load` does.

        Where replicates draw their own test rows, arrays and encoder are those of replicate 0 of seed 0.
        """
        read = self._read_whole()
        return read.data, _dataset(read.data, read.encoded()), read.encoder()

    def _read_whole(self) -> _TableRead:
        paths = self.options.paths
        try:
            check_files(paths, paths)
        except SpecProblem as problem:
            raise InputError(f"{problem.message} (training needs the data)") from None
        try:
            now = _read(self.options, paths)
        except SpecProblem as problem:
            raise InputError(f"{self.options.file}: {problem.message}") from None
        if now.data.file_facts.without_words() != self.file_facts.without_words():
            was, got = self.file_facts.fingerprint[:12], now.data.file_facts.fingerprint[:12]
            message = f"the data must be those of the experiment's facts, {was}, got {got}"
            hint = "put the file back as it was, or, to learn the new one, run an experiment file without `facts`"
            raise InputError(f"{self.options.file}: {message}: {hint}")
        return now

    def origin(self) -> str:
        """Return the path of the file."""
        return self.options.file

    def credits(self) -> tuple[str, ...]:
        """Return who made the table and on what terms, a sentence each; nothing of a table of the user's own."""
        return ()

    def as_written(self, folder: Path | None) -> str | dict[str, Any]:
        """Return what `read_options` reads: paths from `folder`, which keeps user names out of results, or whole ones.

        Raises InputError for a path that is no text in the locale's encoding.
        """
        tree = _as_lists(self.options.model_dump(exclude_none=True))
        if tree["missing"] == "impute":  # as files of before are written, which had no gaps
            del tree["missing"]
        if not tree["resplit"]:
            del tree["resplit"]
        for key, path in self.options.paths.items():
            written = path if folder is None else os.path.relpath(path, os.path.realpath(folder))
            tree[key] = spelt(written, key)
        profile = self.file_facts.profile and self.file_facts.profile.cut()
        file_facts = self.file_facts.model_copy(update={"profile": profile})
        return tree | {"facts": file_facts.model_dump(mode="json", exclude_none=True, exclude_defaults=True)}


def read_options(written: Mapping[Any, Any], base: Path, *, called: str | None = None) -> TableData:
    """Return the table that a file describes: its facts are those written, else they are read from the table.

    Args:
        written: the options.
        base: where a path starts that is not whole.
        called: what errors call the table's file, by default its path.

    Raises SpecProblem for wrong options or a file that is not there, InputError for what is wrong inside it.

    """
    if not_a_word := next((k for k in written if not isinstance(k, str)), None):
        raise SpecProblem((KEY, not_a_word), f"a key must be a word, got {shown(not_a_word)}", key=True)
    tree = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in written.items()}
    options = checked_options(tree)
    check_addresses(options.paths)
    names = {key: str(base / path) for key, path in options.paths.items()} | (
        {} if called is None else {"file": called}
    )
    whole = options.model_copy(update={key: whole_path(path, base) for key, path in options.paths.items()})
    if options.facts is not None:
        if options.facts.classes is None and options.facts.target_mean is None:
            # Written before targets were scaled: the runs there are of the target as it is.
            whole = whole.model_copy(update={"target_scale": "none"})
        return TableData(options=whole.model_copy(update={"facts": None}), file_facts=options.facts)
    check_files(whole.paths, names)
    return _read(whole, names).data


@dataclass(frozen=True, kw_only=True)
class _TableRead:
    """A table that has been read: with its facts, its columns, and what it is encoded to, or what draws that."""

    data: TableData
    table: Table
    source: Encoded | TableDraws

    def encoded(self, seed: int = 0, replicate: int = 0) -> Encoded:
        """Return the arrays, of a replicate where each has its own."""
        from mlpbench.data.table.table_draws import TableDraws

        return self.source.draw(seed, replicate) if isinstance(self.source, TableDraws) else self.source

    def encoder(self, seed: int = 0, replicate: int = 0) -> TableEncoder:
        """Return what makes inputs of new rows, of a replicate where each has its own."""
        from mlpbench.data.table.table_encoder import OPTION_KEYS, TableEncoder

        options, encoded, by = self.data.options, self.encoded(seed, replicate), self.table.split_by
        return TableEncoder(
            target=self.table.target,
            columns=encoded.columns,
            scale=encoded.input_scale,
            left_out=(*self.table.left_out, *((by.name,) if by is not None and not by.is_input else ())),
            is_named=self.table.is_named,
            asked_for=tuple(
                c.name for c in self.table.columns if c.is_asked_for and not (by is not None and c.name == by.name)
            ),
            text={key: getattr(options, key) for key in TEXT_KEYS if getattr(options, key) is not None},
            **{key: getattr(options, key) for key in ("missing", *OPTION_KEYS) if getattr(options, key) is not None},
        )


@dataclass(frozen=True)
class LoadedTable(DataSource):
    """A table that is in memory, of which each replicate draws its own test rows."""

    read: _TableRead

    @property
    def facts(self) -> DataFacts:
        """The facts of the table."""
        return self.read.data.facts

    def origin(self) -> str:
        """Return the path of its file, on the machine that read it."""
        return self.read.data.origin()

    def draw(self, seed: int, replicate: int) -> Dataset:
        """Return the arrays of a replicate, those that the table draws."""
        return _dataset(self.read.data, self.read.encoded(seed, replicate))


@functools.lru_cache(maxsize=4)
def _kept_for_draws(data: TableData) -> _TableRead:
    """Return a table of which each replicate draws its own rows; it is read once in a process."""
    return data._read_whole()


def _dataset(data: TableData, encoded: Encoded) -> Dataset:
    arrays = {part: getattr(encoded, part) for part in ("x_train", "y_train", "x_test", "y_test", "block_train")}
    return Dataset(facts=data.facts, **arrays).read_only()


def _read(options: TableOptions, names: Mapping[str, str]) -> _TableRead:
    """Read the files: return the table with its facts and what it is encoded to; `names` are the files' names in errors.

    Raises SpecProblem where the target is no column, InputError for what is wrong inside a file.
    """
    # Whoever has no table of their own need not wait for pyarrow.
    from mlpbench.data.table.description import profile_of
    from mlpbench.data.table.encode import encode, prepare
    from mlpbench.data.table.table_draws import TableDraws, draws_of

    _check_text_options(options, names["file"])
    choice = ColumnChoice(
        target=options.target,
        drop=options.drop,
        columns=options.columns,
        words=options.words or (),
        split_by=options.split_by,
    )
    missing_values = options.missing_values or ()
    asked = ColumnOptions(missing_values=missing_values, day_first=options.day_first, decimal=options.decimal)
    table, test_table = read_table(Path(options.file), names["file"], choice, options.text, asked)
    if test_table is not None:
        _check_one_test_part(options, names["file"])
        test_table = _renamed(test_table, table)
    if options.test_file is not None:
        if format_of(options.test_file) == NPZ:
            raise SpecProblem((KEY, "test_file"), "test_file must be a table, text, parquet or npy, got an npz file")
        same = None if table.split_by is None else RowColumn(option=table.split_by.option, column=table.split_by.name)
        other = ColumnChoice(target=table.target, ignore=frozenset(table.left_out), split_by=same)
        forms = {c.name: c.form for c in table.columns}
        asked = replace(asked, words=tuple(c.name for c in table.columns if c.is_asked_for), learned=forms)
        test_table, _ = read_table(Path(options.test_file), names["test_file"], other, options.text, asked)
    share = options.test if options.test is not None else TEST_SHARE
    source: Encoded | TableDraws
    try:
        if options.resplit:
            prepared = prepare(table, None, table.target, options.task, options.missing)
            source = draws_of(prepared, share, options.scale, options.target_scale)
        else:
            source = encode(
                table,
                test_table,
                table.target,
                share=share,
                scale=options.scale,
                task=options.task,
                target_scale=options.target_scale,
                missing=options.missing,
            )
    except InputError as error:
        # How a file was understood may be why it can't be learned from.
        notes = "; ".join(dict.fromkeys([*table.notes, *(test_table.notes if test_table is not None else ())]))
        if not notes:
            raise
        raise InputError(f"{error} (as it was read: {printable(notes)})") from None
    scaled = source.target_scale
    file_facts = TableFacts(
        fingerprint=source.fingerprint,
        n_train=source.n_train,
        n_test=source.n_test,
        n_features=source.n_features,
        classes=source.classes,
        target_mean=None if scaled is None else scaled.mean,
        target_sd=None if scaled is None else scaled.sd,
        notes=_notes(options, table, test_table, source),
        profile=profile_of(
            source.draw(0, 0) if isinstance(source, TableDraws) else source, table.target, table.left_out
        ),
        n_validation=source.n_validation,
        blocks=() if source.blocks is None else tuple(chain.from_iterable(source.blocks.sizes)),
    )
    has_share = test_table is None and options.split is None
    update: dict[str, Any] = {"facts": None, "test": share if has_share else None}
    if source.classes is None and options.target_scale is None:
        update["target_scale"] = "standard"
    data = TableData(options=options.model_copy(update=update), file_facts=file_facts)
    return _TableRead(data=data, table=table, source=source)


def _notes(
    options: TableOptions, table: Table, test_table: Table | None, source: Encoded | TableDraws
) -> tuple[str, ...]:
    """Return what is to be known of how the files were read, each line with the name of its file, without its folder."""
    test_name = os.path.basename(options.test_file) if options.test_file is not None else options.name
    said = [f"{options.name}: {note}" for note in (*table.notes, *_reading_notes(table, source))]
    if test_table is not None:
        # What is to be known of both files is said of the first.
        again = {note.partition(": ")[2] for note in said}
        of_test = (*test_table.notes, *_reading_notes(test_table, source))
        said += [f"{test_name}: {note}" for note in of_test if note not in again]
    columns = [c for part in (table, test_table) if part is not None for c in part.columns]
    named = {spelling for c in columns for spelling in c.named_gaps}
    lost = [value for value in options.missing_values or () if str(value) not in named]
    said += [f"{options.name}: missing_values: no column has {', '.join(map(shown, lost))}"] if lost else []
    forms = [c.form for c in columns]
    for key in ("decimal", "day_first"):
        if getattr(options, key) is not None and all(getattr(form, key) is None for form in forms):
            what = "numbers" if key == "decimal" else "dates"
            said.append(f"{options.name}: {key}: no column has {what} that need it")
    said += [f"{options.name}: {note}" for note in source.notes]
    return tuple(map(printable, dict.fromkeys(said)))


def _reading_notes(table: Table, source: Encoded | TableDraws) -> list[str]:
    """Return how the columns of a file were read; a column of dates that became seconds, for its other file has times, says that."""
    from mlpbench.data.table.table_inputs import reading_notes
    from mlpbench.data.text.dates import DAYS, SECONDS

    units = {c.name: c.unit for c in source.columns}
    seconds = [
        replace(c, notes=tuple(note.replace(f"as {DAYS}", f"as {SECONDS}") for note in c.notes))
        if units.get(c.name) == SECONDS and c.unit == DAYS
        else c
        for c in table.columns
    ]
    return reading_notes(seconds)


def _as_lists(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in tree.items()}


def _check_text_options(options: TableOptions, name: str) -> None:
    """Refuse what is said of text where no file is text."""
    if any(format_of(path) in TEXT for path in options.paths.values()):
        return
    if key := next((key for key in (*TEXT_KEYS, "decimal") if getattr(options, key) is not None), None):
        message = f"{key} must be left out where the file is no text, as {name} is none"
        raise SpecProblem((KEY, key), f"{message}, got {shown(getattr(options, key))}")


def _check_one_test_part(options: TableOptions, name: str) -> None:
    for key, value in (("test", options.test), ("test_file", options.test_file), ("resplit", options.resplit or None)):
        if value is not None:
            message = f"{key} must be left out where the file has test arrays of its own, as {name} has"
            raise SpecProblem((KEY, key), f"{message}, got {shown(value)}")


def _renamed(test: Table, like: Table) -> Table:
    """Give the columns of the test arrays the names of those they belong to."""
    if len(test.columns) != len(like.columns):
        message = "x_train and x_test must have equally many numbers per row"
        raise file_error(f"{message}, got {len(like.columns) - 1} and {len(test.columns) - 1}", like.name)
    columns = [replace(c, name=other.name) for c, other in zip(test.columns, like.columns)]
    return replace(test, columns=columns)
