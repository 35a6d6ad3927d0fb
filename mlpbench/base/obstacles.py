"""What stands where a folder or a file is to be written: a file, a folder, a symlink that leads nowhere, a name that is too long.

To run a command again helps none of them: whoever reads the message has to move something.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlpbench.base.escapes import shortened

# Errors of the system that stay for as long as what is in the way does; behind a symlink that leads nowhere there is no such file.
LASTING = (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
# Letters of a name that a message has.
MOST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What is in the way, in words; a symlink that leads nowhere is none to those who only read."""

    words: str
    remedy: str = "remove or rename it"
    is_dangling: bool = False

    @property
    def refusal(self) -> str:
        """What it is, and what to do about it."""
        return f"{self.words}: {self.remedy}"


def of_folder(folder: Path) -> Obstacle | None:
    """Return what keeps a path from being a folder, it itself or one above it; None where it is one, or can be made."""
    return next(filter(None, map(_at, _down_to(folder))), None) or _too_long(folder)


def of_file(file: Path) -> Obstacle | None:
    """Return what keeps a path from being a file; None where it is one, or can be made."""
    above = of_folder(file.parent)
    return above or (Obstacle(words=f"{file} is a folder") if os.path.isdir(file) else _too_long(file))


def first(folders: Iterable[Path], files: Iterable[Path] = ()) -> Obstacle | None:
    """Return what is in the way of any of them."""
    return next(filter(None, (*map(of_folder, folders), *map(of_file, files))), None)


def _down_to(path: Path) -> tuple[Path, ...]:
    return (*reversed(path.parents), path)


def _at(path: Path) -> Obstacle | None:
    """Return what stands at a path below folders; None for a folder, nothing, and what may not be seen."""
    try:
        is_link = stat.S_ISLNK(path.lstat().st_mode)
    except OSError:
        return None
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        where = f"a symlink to {os.readlink(path)}, which is not there"
        return Obstacle(words=f"{path} is {where}", is_dangling=True)
    except OSError as error:
        return Obstacle(words=f"{path} is a symlink that leads to itself") if error.errno == errno.ELOOP else None
    return None if is_folder else Obstacle(words=f"{path} is {'a symlink to a file' if is_link else 'a file'}")


def _too_long(path: Path) -> Obstacle | None:
    """Return the first name of a path that is longer than its file system takes; one below a folder that is not there is too."""
    there = next((p for p in reversed(_down_to(path)) if os.path.isdir(p)), Path())
    try:
        most = os.pathconf(there, "PC_NAME_MAX")
    except OSError:
        return None
    for part in path.parts:
        if (n := len(os.fsencode(part))) > most:
            words = f"the name {shortened(part, MOST_NAME)} of {n} bytes is longer than the {most} that the file system takes"
            return Obstacle(words=words, remedy="choose a shorter one")
    return None
