"""Exchange files of a results folder for others, all at once: a process that is killed leaves the old ones or the new.

The new files are written under hidden names; then the journal, which lists them and the old ones, appears, and that is the
exchange: whoever reads the folder from then on sees the new files. Last, they get their names, and the old ones go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlpbench.base.atomic_files import UNFINISHED, refused, write_whole
from mlpbench.base.errors import InputError
from mlpbench.results.part_files import PART, damage, parts
from mlpbench.results.schemas import TABLES

NAME = ".journal.json"
_LISTED = re.compile(rf"(?:{'|'.join(TABLES)})/[^/]+\.parquet")


@dataclass(frozen=True, kw_only=True)
class Journal:
    """An exchange that may not be finished: `new` and `old` files as `table/name`."""

    folder: Path
    new: frozenset[str] = field(default_factory=frozenset)
    old: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Return the exchange that a folder was left in, an empty one as a rule; raise InputError where it is damaged.

        One whose new files are not all there, or not what was written, was copied from elsewhere in parts: the old files
        stay what counts.
        """
        path = folder / NAME
        try:
            listed = json.loads(path.read_bytes())
            made = cls(folder=folder, new=frozenset(listed["new"]), old=frozenset(listed["old"]))
            if not all(_LISTED.fullmatch(name) for name in made.new | made.old):
                raise ValueError("a name in it is none of a part")
        except FileNotFoundError:
            return cls(folder=folder)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it and run again") from error
        return made if all(_is_sound(folder / name) for name in made.new) else cls(folder=folder)

    def parts(self, table: str) -> list[Path]:
        """Return the files of a table, as they are once the exchange is finished."""
        gone = self.old - self.new
        there = {path.name: path for path in parts(self.folder / table) if f"{table}/{path.name}" not in gone}
        for path in (self.folder / name for name in self.new if name.startswith(f"{table}/")):
            if _hidden(path).exists():
                there[path.name] = _hidden(path)
        return [there[name] for name in sorted(there)]

    def finish(self) -> None:
        """Give the new files their names and remove the old ones; raise MachineError where the disk refuses."""
        try:
            for name in sorted(self.new):
                if _hidden(self.folder / name).exists():
                    _hidden(self.folder / name).replace(self.folder / name)
            for name in sorted(self.old - self.new):
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / NAME).unlink(missing_ok=True)
            for left in _leftovers(self.folder):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise refused(self.folder, error) from error


def exchange(folder: Path, new: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Put new files in the place of old ones, all of them `table/name`; raise MachineError where the disk refuses."""
    for name, content in new.items():
        write_whole(_hidden(folder / name), content)
    journal = Journal(folder=folder, new=frozenset(new), old=frozenset(old))
    listed = {"new": sorted(journal.new), "old": sorted(journal.old)}
    write_whole(folder / NAME, json.dumps(listed, indent=1).encode())
    journal.finish()


def _leftovers(folder: Path) -> Iterator[Path]:
    """Yield the files that a killed process left half written: ours, by their names, and nobody else's."""
    for place in (folder, folder / "figures", folder / "weights", *(folder / table for table in TABLES)):
        for path in place.glob(".*"):
            unnamed = place.name in TABLES and PART.fullmatch(path.name)
            if (UNFINISHED.fullmatch(path.name) or unnamed) and path.is_file():
                yield path


def _is_sound(path: Path) -> bool:
    for place in (_hidden(path), path):  # in this order: it may get its name in between
        with suppress(FileNotFoundError):
            return damage(place, path.parent.name) is None
    return False


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")
