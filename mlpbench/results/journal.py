"""Replace files of a results folder by others, all at once: after a killed process there are the old ones or the new.

The new files are written under hidden names. Then the journal appears, which lists them and the old ones: from then on,
readers of the folder see the new files. Last, these get their names, and the old ones are removed.
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
    """An exchange of files that may not be finished: `new` and `old` files as `table/name`."""

    folder: Path
    new: frozenset[str] = field(default_factory=frozenset)
    old: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Return the exchange that a folder was left in, mostly an empty one; raise InputError where it is damaged.

        Where a new file is missing or damaged, the folder is an incomplete copy: the old files stay valid.
        """
        path = folder / NAME
        try:
            listed = json.loads(path.read_bytes())
            journal = cls(folder=folder, new=frozenset(listed["new"]), old=frozenset(listed["old"]))
            if not all(_LISTED.fullmatch(name) for name in journal.new | journal.old):
                raise ValueError("it lists a file that is not part of a table")
        except FileNotFoundError:
            return cls(folder=folder)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it and run again") from error
        return journal if all(_is_sound(folder / name) for name in journal.new) else cls(folder=folder)

    def parts(self, table: str) -> list[Path]:
        """Return the files of a table, as they are once the exchange is finished."""
        removed = self.old - self.new
        files = {path.name: path for path in parts(self.folder / table) if f"{table}/{path.name}" not in removed}
        for path in (self.folder / name for name in self.new if name.startswith(f"{table}/")):
            if _hidden(path).exists():
                files[path.name] = _hidden(path)
        return [files[name] for name in sorted(files)]

    def finish(self) -> None:
        """Give the new files their names and remove the old ones; raise MachineError where the disk refuses."""
        try:
            for name in sorted(self.new):
                if _hidden(self.folder / name).exists():
                    _hidden(self.folder / name).replace(self.folder / name)
            for name in sorted(self.old - self.new):
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / NAME).unlink(missing_ok=True)
            for path in _unfinished_files(self.folder):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise refused(self.folder, error) from error


def exchange(folder: Path, new: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Replace old files by new ones, all named `table/name`; raise MachineError where the disk refuses."""
    for name, content in new.items():
        write_whole(_hidden(folder / name), content)
    journal = Journal(folder=folder, new=frozenset(new), old=frozenset(old))
    listed = {"new": sorted(journal.new), "old": sorted(journal.old)}
    write_whole(folder / NAME, json.dumps(listed, indent=1).encode())
    journal.finish()


def _unfinished_files(folder: Path) -> Iterator[Path]:
    """Yield the files that a killed process left half written; by their names they are ours."""
    for place in (folder, folder / "figures", folder / "weights", *(folder / table for table in TABLES)):
        for path in place.glob(".*"):
            unnamed = place.name in TABLES and PART.fullmatch(path.name)
            if (UNFINISHED.fullmatch(path.name) or unnamed) and path.is_file():
                yield path


def _is_sound(path: Path) -> bool:
    for place in (_hidden(path), path):  # in this order: it may get its name meanwhile
        with suppress(FileNotFoundError):
            return damage(place, path.parent.name) is None
    return False


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")
