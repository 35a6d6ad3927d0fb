"""Which columns of a file are read: the target, and the inputs that `drop` or `columns` leave.

A column is named by its name or by its position: 1 is the first, -1 the last. A position is a whole number; the name of a
column that is a number is written in quotes. An index that was left out has no position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from mlpbench.base.models import Path as Place
from mlpbench.base.models import SpecProblem, shown, suggestion
from mlpbench.data.dataset import KEY
from mlpbench.data.file_errors import file_error
from mlpbench.data.formats.columns import MOST_COLUMNS, ColumnOptions, RowOption, SplitColumn

Named = str | int


@dataclass(frozen=True, kw_only=True)
class RowColumn:
    """A column that says how rows are split, by the option that names it."""

    option: RowOption
    column: Named


@dataclass(frozen=True, kw_only=True)
class ChosenColumns:
    """Positions of the columns that are read, counted from 0, with the target's name and what is to be said of the choice.

    `words` has the names of the columns whose values are words, whatever they look like, `split_by` the column that says how rows
    are split.
    """

    keep: tuple[int, ...]
    target: str | None
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    split_by: SplitColumn | None = None

    def asked(self, options: ColumnOptions) -> ColumnOptions:
        """Return what is said of how columns are read, with the columns of words by name."""
        by = self.split_by
        # Groups and sides are names, whatever they look like: 1 and 1.0 come from one spelling.
        names = () if by is None or by.option == "time" else (by.name,)
        sides = names if by is not None and by.option == "split" else ()
        return replace(options, words=(*options.words, *self.words), text=(*options.text, *names), trimmed=sides)


@dataclass(frozen=True, kw_only=True)
class ColumnChoice:
    """What an experiment says of the columns of a file.

    Attributes:
        target: the target, None where all columns are alike.
        drop: columns to leave out.
        columns: the inputs, all others being left out.
        words: columns of words, whatever they look like.
        ignore: names of columns that are left out where they are: those that the other file of the experiment lost.
        only: names of the columns that are read where they are, all others being left out; None for all.
        split_by: the column that says how rows are split, which is read whatever `drop` and `columns` say.

    """

    target: Named | None = None
    drop: tuple[Named, ...] | None = None
    columns: tuple[Named, ...] | None = None
    words: tuple[Named, ...] = ()
    ignore: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    split_by: RowColumn | None = None

    def names(self) -> set[str]:
        """Return the names that are asked for: a column of such a name is no index."""
        by = self.split_by.column if self.split_by is not None else None
        named = (self.target, by, *(self.columns or ()), *self.words, *(self.only or ()))
        return {n for n in named if isinstance(n, str)}

    def of(self, names: Sequence[str], file: str, *, named: bool = True) -> ChosenColumns:
        """Return the columns of a file that are read.

        Args:
            names: the names of its columns, "" where one has none.
            file: what the file is called in errors.
            named: whether the names stand in the file; else they are positions.

        Raises SpecProblem for columns that the file does not have, InputError for columns of no name or of one name.

        """
        if len(names) > MOST_COLUMNS:
            raise file_error(f"a table must have at most {MOST_COLUMNS} columns, got {len(names)}", file)
        notes = []
        target = None if self.target is None else self._target(names, file)
        dropped = {i for i, n in enumerate(names) if n in self.ignore and i != target}
        if self.only is not None:
            dropped |= {i for i, n in enumerate(names) if n not in self.only}
        for k, which in enumerate(self.drop or ()):
            at = self._found(which, names, file, (KEY, "drop", k))
            if target in at:
                raise SpecProblem((KEY, "drop", k), f"drop must leave the target, got {shown(which)}")
            dropped |= set(at)
        if self.columns is not None:
            chosen = {
                i for k, which in enumerate(self.columns) for i in self._found(which, names, file, (KEY, "columns", k))
            }
            dropped |= set(range(len(names))) - chosen - {target}
        split_by = None if self.split_by is None else self._split_by(self.split_by, names, file, target)
        if split_by is not None:
            dropped.discard(split_by.at)
        self.check_words(names, file, dropped)
        keep = tuple(i for i in range(len(names)) if i not in dropped)
        _check_names(names, keep, file)
        if isinstance(self.target, int) and target is not None and named:
            notes.append(f"the target, column {self.target}, is {names[target]!r}")
        left_out = tuple(sorted({names[i] for i in dropped}))
        return ChosenColumns(
            keep=keep,
            target=None if target is None else names[target],
            left_out=left_out,
            notes=tuple(notes),
            words=self.found_words(names, file),
            split_by=split_by,
        )

    def _split_by(self, by: RowColumn, names: Sequence[str], file: str, target: int | None) -> SplitColumn:
        """Return the column that says how rows are split; raise SpecProblem where there is none, or it is the target or an input."""
        at = self._found(by.column, names, file, (KEY, by.option))[0]
        if at == target:
            rule = f"{by.option} must be another column than the target"
            raise SpecProblem((KEY, by.option), f"{rule}, got {shown(by.column)}")
        chosen = [self._found(which, names, file, (KEY, "columns", k)) for k, which in enumerate(self.columns or ())]
        as_input = next((k for k, found in enumerate(chosen) if at in found), None)
        if as_input is not None and by.option != "time":
            rule = f"columns must leave out that of {by.option}, which is no input"
            raise SpecProblem((KEY, "columns", as_input), f"{rule}, got {shown((self.columns or ())[as_input])}")
        return SplitColumn(option=by.option, name=names[at], at=at, is_input=as_input is not None)

    def found_words(self, names: Sequence[str], file: str) -> tuple[str, ...]:
        """Return the names of the columns of words; raise SpecProblem for one that the file does not have."""
        found = (self._found(which, names, file, (KEY, "words", k)) for k, which in enumerate(self.words))
        return tuple(names[i] for at in found for i in at)

    def check_words(self, names: Sequence[str], file: str, dropped: Collection[int]) -> None:
        """Raise SpecProblem where `words` names a column, by its name or position, that is left out."""
        for k, which in enumerate(self.words):
            place = (KEY, "words", k)
            if set(self._found(which, names, file, place)) <= set(dropped):
                raise SpecProblem(
                    place, f"words must name columns that are read, got {shown(which)}, which is left out"
                )

    def _target(self, names: Sequence[str], file: str) -> int:
        assert self.target is not None
        return self._found(self.target, names, file, (KEY, "target"))[0]

    def _found(self, which: Named, names: Sequence[str], file: str, place: Place) -> list[int]:
        """Return the positions of the columns that are meant, which is one, or all of one name."""
        if isinstance(which, int):
            if which == 0 or abs(which) > len(names):
                rule = f"a position must be from 1 to {len(names)}, or from -{len(names)} to -1, which is the last"
                hint = f"; a column of that name is written '{which}', in quotes" if str(which) in names else ""
                raise SpecProblem(place, f"{rule}, in {file}, got {which}{hint}")
            return [which - 1 if which > 0 else len(names) + which]
        if found := [i for i, n in enumerate(names) if n == which.strip()]:
            return found
        what = "target" if place[-1] == "target" else f"{place[1]}"
        message = f"{what} must be a column of {file} ({shown(', '.join(names))[1:-1]})"
        near = (
            suggestion(which, [n for n in names if n])
            or f"; a position such as -1, the last, does too{_unquoted(which)}"
        )
        raise SpecProblem(place, f"{message}, got {shown(which)}{near}")


def _unquoted(which: str) -> str:
    return ", without quotes" if which.strip().lstrip("-").isdecimal() else ""


def _check_names(names: Sequence[str], keep: Iterable[int], file: str) -> None:
    """Refuse columns of no name, or of a name that stands twice, unless they are left out."""
    kept = list(keep)
    forward = "`header: [...]` gives names, `drop: [{}]` leaves it out".format
    if (nameless := next((i for i in kept if not names[i]), None)) is not None:
        message = f"a column must have a name of its own, got '' for column {nameless + 1}"
        raise file_error(f"{message}; {forward(nameless + 1)}", file)
    counts = Counter(names[i] for i in kept)
    if (twice := next((i for i in reversed(kept) if counts[names[i]] > 1), None)) is not None:
        message = f"the columns of a table must have different names, got {shown(names[twice])} twice"
        raise file_error(f"{message}; {forward(twice + 1)}", file)
