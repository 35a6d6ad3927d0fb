"""The paths of tables of the user's own: made whole, checked before anything is opened, and written."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.base.models import Path as Place
from mlpbench.base.models import SpecProblem, shown, suggestion
from mlpbench.data.dataset import KEY
from mlpbench.data.file_errors import MAX_BYTES
from mlpbench.data.formats.table_files import FORMATS, TEXT, conversion, format_of
from mlpbench.data.text.packed_files import PACKED

_FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# An address of the web, whose slashes a path would lose.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
NOT_FETCHED = "mlpbench fetches no addresses: download the file"
_LOCALE_RULE = "in the locale's encoding"
_LOCALE_HINT = f"which is {sys.getfilesystemencoding()}; where that is not utf-8, set LC_ALL=C.UTF-8 or PYTHONUTF8=1"


def spelt(path: str, key: str) -> str:
    """Return a path as a file has it; raise InputError for one that is no text in the locale's encoding."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{key} must be a path {_LOCALE_RULE}, got {shown(path)}, {_LOCALE_HINT}") from None
    return path


def whole_path(path: str, base: Path) -> str:
    """Return the path of a file that starts at `base` unless it is whole."""
    # The folder is resolved, not the file: a link to today's table is what the user means, wherever it leads.
    start = os.path.realpath(base)
    return os.path.normpath(os.path.join(start, os.path.expanduser(path)))


def check_addresses(paths: Mapping[str, str]) -> None:
    """Raise SpecProblem for an address of the web in the place of a path."""
    for key, path in paths.items():
        if ADDRESS.match(path):
            raise SpecProblem(
                (KEY, key), f"{key} must be the path of a file here, got {shown(path)}; {NOT_FETCHED}, and name it"
            )


def check_files(paths: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Raise SpecProblem for a path at which there is no file that can be read; `names` are the files' names in errors."""
    for key, path in paths.items():
        _check_file(Path(path), names[key], (KEY, key))
    if "test_file" in paths and os.path.samefile(paths["file"], paths["test_file"]):
        message = f"test_file must be another file than file, got {shown(names['test_file'])}"
        raise SpecProblem((KEY, "test_file"), f"{message}; leave it out to hold out a share of the rows")


def _check_file(path: Path, name: str, place: Place) -> None:
    key = place[-1]
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        near = suggestion(path.name, _beside(path))
        raise SpecProblem(place, f"{key} not found: {name}{near}") from None
    except UnicodeEncodeError:
        message = f"{key} must be a path {_LOCALE_RULE}, got {shown(name)}, {_LOCALE_HINT}"
        raise SpecProblem(place, message) from None
    except ValueError:  # whose words differ between versions of Python
        raise SpecProblem(place, f"{key} must be a path without null characters, got {shown(name)}") from None
    except OSError as error:
        raise SpecProblem(place, f"{key} must be a data file that can be read, got {str(error)!r}") from None
    if not stat.S_ISREG(status.st_mode):
        # To open a pipe would wait for whoever writes into it.
        file_type = _FILE_TYPES.get(stat.S_IFMT(status.st_mode), "something else")
        raise SpecProblem(place, f"{key} must be a regular file, got {file_type}, {name}")
    if format_of(path.name) is None:
        packed = f"{', '.join(TEXT)}, which {' or '.join(PACKED)} may follow"
        others = ", ".join(f for f in FORMATS if f not in TEXT)
        raise SpecProblem(
            place, f"{key} must end in {packed}, or in {others}, got {shown(path.name)}{conversion(path.name)}"
        )
    if status.st_size > MAX_BYTES:
        raise SpecProblem(place, f"{key} must have at most {MAX_BYTES} bytes, got {status.st_size}")


def _beside(path: Path) -> list[str]:
    try:
        return sorted(p.name for p in path.parent.iterdir() if format_of(p.name) is not None and p.is_file())
    except OSError:
        return []
